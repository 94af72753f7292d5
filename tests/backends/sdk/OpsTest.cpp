// The tables of ops and dtypes, and what Graph::read refuses by them.
#include "backends/sdk/Graph.h"
#include "runtime/support/Tensor.h"
#include "tests/backends/cpu/TestKernel.h"
#include <gtest/gtest.h>
#include <set>

namespace {
using namespace kiln::test;
using namespace kiln::sdk;

std::string errorOf(TestKernel &kernel) {
  Graph graph;
  std::string message;
  EXPECT_FALSE(Graph::read(*kiln::tableReader(), &kernel.get(), graph, message));
  return message;
}

TEST(Ops, StandUnderTheirNames) {
  std::set<std::string_view> names;
  for (const OpInfo &info : opTable()) {
    EXPECT_EQ(&infoOf(info.code), &info);
    EXPECT_EQ(opCode(info.name), info.code) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.results.empty()) << info.name;
    EXPECT_TRUE(info.opClass != OpClass::Composite || !info.primitive) << info.name;
  }
  EXPECT_EQ(opCode("nothing"), OpCode::Other);
  EXPECT_FALSE(infoOf(OpCode::Other).primitive);
  EXPECT_TRUE(isWhole(OpCode::Other));
}

TEST(Ops, SayWhatTheDefinitionsSay) {
  const OpInfo &gather = infoOf(OpCode::Gather);
  EXPECT_EQ(gather.opClass, OpClass::Layout);
  ASSERT_EQ(gather.operands.size(), 2u);
  EXPECT_EQ(gather.operands[1].dtype, "integer");
  ASSERT_EQ(gather.attributes.size(), 2u);
  EXPECT_EQ(gather.attributes[0].name, "axis");
  EXPECT_FALSE(gather.attributes[0].optional);
  EXPECT_EQ(gather.attributes[1].name, "batch_dims");
  EXPECT_TRUE(gather.attributes[1].optional);
  const OpInfo &compare = infoOf(OpCode::Compare);
  EXPECT_EQ(compare.attributes[0].choice, "eq|ne|lt|le|gt|ge");
  EXPECT_EQ(compare.results[0].dtype, "bool");
  const OpInfo &bits = infoOf(OpCode::RandomBits);
  EXPECT_TRUE(bits.operands[1].scalar);
  EXPECT_EQ(bits.operands[1].count, '*');
  EXPECT_EQ(infoOf(OpCode::Attention).operands[3].count, '?');
  EXPECT_TRUE(isElementwise(OpCode::StopGradient));
  EXPECT_FALSE(isElementwise(OpCode::Gelu)); // a composite has no code of its own
  EXPECT_FALSE(isWhole(OpCode::DynamicUpdateSlice));
  EXPECT_GE(infoOf(OpCode::Tanh).cost, Cost::Polynomial);
}

TEST(Ops, RefuseDtypesThatTheyDoNotTake) {
  struct {
    const char *op;
    std::vector<kiln_dtype> operands;
    kiln_dtype result;
    const char *error;
  } cases[] = {
      {"exp", {KILN_I32}, KILN_I32, "op 'exp' (conformance:1:1) takes floats, not i32"},
      {"not", {KILN_F32}, KILN_F32, "op 'not' (conformance:1:1) takes integers, not f32"},
      {"shl", {KILN_BOOL, KILN_BOOL}, KILN_BOOL, "op 'shl' (conformance:1:1) takes integers, not bool"},
      {"sub", {KILN_BOOL, KILN_BOOL}, KILN_BOOL, "op 'sub' (conformance:1:1) takes numbers, not bool"},
      {"add",
       {KILN_F32, KILN_F64},
       KILN_F32,
       "op 'add' (conformance:1:1) has operand 1 of f64 and rank 1, where it takes f32"},
      {"add",
       {KILN_F32, KILN_F32},
       KILN_F64,
       "op 'add' (conformance:1:1) has result 0 of f64 and rank 1, where it takes f32"},
      {"select",
       {KILN_I32, KILN_F32, KILN_F32},
       KILN_F32,
       "op 'select' (conformance:1:1) has operand 0 of i32 and rank 1, where it takes bool"},
      {"pow", {KILN_I32, KILN_I32}, KILN_I32, "op 'pow' (conformance:1:1) takes floats, not i32"},
  };
  for (const auto &one : cases) {
    TestKernel kernel;
    std::vector<uint32_t> operands;
    for (kiln_dtype dtype : one.operands)
      operands.push_back(kernel.input(dtype, {4}));
    kernel.output(kernel.op(one.op, operands, one.result, {4}));
    EXPECT_EQ(errorOf(kernel), one.error);
  }
}

TEST(Ops, RefuseAttributesThatAreNotTheirs) {
  TestKernel unknown;
  unknown.output(unknown.op("exp", {unknown.input(KILN_F32, {4})}, KILN_F32, {4}, {integer("base", 2)}));
  EXPECT_EQ(errorOf(unknown), "op 'exp' (conformance:1:1) has an attribute 'base' that is not known here");
  TestKernel kind;
  kind.output(
      kind.op("reduce", {kind.input(KILN_F32, {4})}, KILN_F32, {}, {string("kind", "mean"), ints("axes", {0})}));
  EXPECT_EQ(errorOf(kind),
            "op 'reduce' (conformance:1:1) has an attribute 'kind' of another kind than sum|prod|max|min|any|all");
  TestKernel list;
  list.output(list.op("cumsum", {list.input(KILN_F32, {4})}, KILN_F32, {4}, {ints("axis", {0})}));
  EXPECT_EQ(errorOf(list), "op 'cumsum' (conformance:1:1) has an attribute 'axis' of another kind");
}

TEST(Ops, RefuseTensorsWhereScalarsStand) {
  TestKernel kernel;
  uint32_t x = kernel.input(KILN_F32, {4}), start = kernel.input(KILN_I32, {1});
  kernel.output(kernel.op("dynamic_slice", {x, start}, KILN_F32, {2}));
  EXPECT_EQ(errorOf(kernel),
            "op 'dynamic_slice' (conformance:1:1) has operand 1 of i32 and rank 1, where it takes a scalar of integer");
}

TEST(Dtypes, ReservedOnesAreRefusedByName) {
  for (int32_t number : {10, 12, 13, 15, 17, 99}) {
    EXPECT_FALSE(isSupported(number));
    auto dtype = static_cast<kiln_dtype>(number);
    TestKernel kernel;
    kernel.output(kernel.input(dtype, {4}));
    std::string name = number == 99 ? "number 99" : dtypeName(dtype);
    EXPECT_EQ(errorOf(kernel), "value 0 is of dtype " + name + ", which is reserved");
  }
}

TEST(Dtypes, OneTableForAll) {
  EXPECT_EQ(byteSize(KILN_BF16), 2);
  EXPECT_EQ(byteSize(KILN_BOOL), 1);
  EXPECT_EQ(bitWidth(KILN_BOOL), 1);
  EXPECT_EQ(bitWidth(KILN_I64), 64);
  EXPECT_EQ(accumulatorOf(KILN_U8), KILN_I32);
  EXPECT_EQ(accumulatorOf(KILN_F16), KILN_F32);
  EXPECT_EQ(accumulatorOf(KILN_F64), KILN_F64);
  for (int32_t number = 0; isSupported(number); ++number) {
    auto dtype = static_cast<kiln_dtype>(number);
    EXPECT_STREQ(dtypeName(dtype), kiln::dtypeName(dtype));
    EXPECT_EQ(static_cast<size_t>(byteSize(dtype)), kiln::dtypeSize(dtype));
    EXPECT_EQ(kiln::dtypeFromName(dtypeName(dtype)), dtype);
  }
  for (const char *name : {"i4", "f8e4m3", "quantized", "?", ""}) // no bytes of their own
    EXPECT_FALSE(kiln::dtypeFromName(name)) << name;
  EXPECT_STREQ(dtypeName(static_cast<kiln_dtype>(99)), "unknown");
}

} // namespace
