// What a kernel's shape promises, held against its ops, and the form that the SDK gives each.
#include "backends/conformance/Kernel.h"
#include "backends/sdk/Graph.h"
#include <gtest/gtest.h>

namespace {
using namespace kiln;
using conformance::Attribute;
using conformance::Dims;
using conformance::fixed;
using conformance::Kernel;

const Dims full = {fixed(8), fixed(20)}, row = {fixed(8)}, column = {fixed(20)};

std::string errorOf(Kernel &kernel) {
  sdk::Graph graph;
  std::string error;
  return sdk::Graph::read(*tableReader(), &kernel.table("k0"), graph, error) ? "" : error;
}

uint32_t sum(Kernel &kernel, uint32_t of, const Dims &to, int64_t axis) {
  return kernel.op("reduce", {of}, KILN_F32, to, {Attribute::text("kind", "sum"), Attribute::list("axes", {axis})});
}

/// A kernel of each kind, told to be of a shape.
std::string sweep(const char *shape) {
  Kernel kernel(shape);
  kernel.output(kernel.op("exp", {kernel.input(KILN_F32, full)}, KILN_F32, full));
  return errorOf(kernel);
}
std::string rowSum(const char *shape) {
  Kernel kernel(shape);
  kernel.output(sum(kernel, kernel.input(KILN_F32, full), row, 1));
  return errorOf(kernel);
}
std::string columnSum(const char *shape) {
  Kernel kernel(shape);
  kernel.output(sum(kernel, kernel.input(KILN_F32, full), column, 0));
  return errorOf(kernel);
}
std::string product(const char *shape, bool sumBehind = false) {
  Kernel kernel(shape);
  uint32_t x = kernel.input(KILN_F32, full), w = kernel.input(KILN_F32, {fixed(20), fixed(20)});
  uint32_t y = kernel.op("dot_general", {x, w}, KILN_F32, full,
                         {Attribute::list("lhs_batch", {}), Attribute::list("rhs_batch", {}),
                          Attribute::list("lhs_contract", {1}), Attribute::list("rhs_contract", {0})});
  kernel.output(sumBehind ? sum(kernel, y, row, 1) : y);
  return errorOf(kernel);
}

TEST(Shape, IsHeldAgainstTheOps) {
  for (const char *shape : {"any", "elementwise", "single"})
    EXPECT_EQ(sweep(shape), "") << shape;
  for (const char *shape : {"rows", "columns", "contract", "window", "scatter", "attention"})
    EXPECT_EQ(sweep(shape), "the kernel's shape is '" + std::string(shape) + "', which its ops are not");
  for (const char *shape : {"any", "rows", "columns", "single"})
    EXPECT_EQ(rowSum(shape), "") << shape;
  EXPECT_NE(rowSum("elementwise"), "");
  EXPECT_NE(rowSum("contract"), "");
  EXPECT_EQ(columnSum("columns"), "");
  EXPECT_NE(columnSum("rows"), "");
  EXPECT_EQ(product("contract"), "");
  EXPECT_NE(product("attention"), "");
  EXPECT_NE(product("contract", /*sumBehind=*/true), "");
  EXPECT_EQ(product("any", /*sumBehind=*/true), "");
}

TEST(Shape, OfColumnsHasNoSumBelowAnother) {
  for (bool chained : {false, true}) {
    Kernel kernel("columns");
    uint32_t x = kernel.input(KILN_F32, full), first = sum(kernel, x, column, 0);
    uint32_t wide = kernel.op("broadcast", {first}, KILN_F32, full, {Attribute::list("axes", {1})});
    kernel.output(first);
    kernel.output(sum(kernel, chained ? wide : x, column, 0));
    EXPECT_EQ(errorOf(kernel).empty(), !chained);
  }
}

TEST(Shape, OfRowsHasNoOtherResults) {
  Kernel kernel("rows");
  uint32_t x = kernel.input(KILN_F32, full);
  kernel.output(sum(kernel, x, row, 1));
  kernel.output(kernel.op("exp", {kernel.input(KILN_F32, column)}, KILN_F32, column));
  EXPECT_NE(errorOf(kernel), "");
}

TEST(Shape, ThatIsNotKnownPromisesNothing) {
  Kernel kernel("elementwise");
  kernel.output(sum(kernel, kernel.input(KILN_F32, full), row, 1));
  kiln_kernel later = kernel.table("k0");
  later.shape = KILN_SHAPE_SINGLE + 1;
  sdk::Graph graph;
  std::string error;
  EXPECT_TRUE(sdk::Graph::read(*tableReader(), &later, graph, error)) << error;
  EXPECT_EQ(graph.shape, KILN_SHAPE_ANY);
}
} // namespace
