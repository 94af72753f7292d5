// Kernels whose elements take more of an operand's than a driver lets one invocation's loop come round.
//
// Mesa's llvmpipe ends all loops of an invocation after 65,535 passes in all, without a word; others may have a limit
// of their own. Few rows, so that a judge on one processor is soon through.
#include "backends/conformance/Shapes.h"

namespace kiln::conformance {

namespace {

constexpr int64_t length = 66'000;

Case start(const char *what, const char *kind) {
  Case made{"fused: long loops", what, KILN_F32, std::make_shared<Kernel>(kind), {}, {}, {}};
  made.launches = {{{length}}, {{5}}};
  return made;
}

void logSumExp(std::vector<Case> &cases) {
  Case made = start("log of a row's sum of exp", "rows");
  Kernel &k = *made.kernel;
  Dims d = {fixed(2), k.extent(length)}, left = {d[0]};
  uint32_t x = k.input(KILN_F32, d);
  made.operands = {{Fill::Range, -4, 4}};
  uint32_t top = k.op("reduce", {x}, KILN_F32, left, {Attribute::text("kind", "max"), Attribute::axes({1})});
  uint32_t wide = k.op("broadcast", {top}, KILN_F32, d, {Attribute::axes({0})});
  uint32_t e = k.op("exp", {k.op("sub", {x, wide}, KILN_F32, d)}, KILN_F32, d);
  uint32_t sum = k.op("reduce", {e}, KILN_F32, left, {Attribute::text("kind", "sum"), Attribute::axes({1})});
  k.output(k.op("add", {k.op("log", {sum}, KILN_F32, left), top}, KILN_F32, left));
  made.accuracy = {64, false, 0};
  cases.push_back(std::move(made));
}

void columns(std::vector<Case> &cases) {
  Case made = start("sum of columns", "columns");
  Kernel &k = *made.kernel;
  uint32_t x = k.input(KILN_F32, {k.extent(length), fixed(3)});
  made.operands = {{Fill::Range, -2, 2}};
  k.output(k.op("reduce", {x}, KILN_F32, {fixed(3)}, {Attribute::text("kind", "sum"), Attribute::axes({0})}));
  made.accuracy = {1, true, length};
  cases.push_back(std::move(made));
}

void product(std::vector<Case> &cases) {
  Case made = start("product of a deep matrix", "contract");
  Kernel &k = *made.kernel;
  kiln_extent depth = k.extent(length);
  uint32_t x = k.input(KILN_F32, {fixed(5), depth}), y = k.input(KILN_F32, {fixed(6), depth});
  made.operands = {{Fill::Range, -1, 1}, {Fill::Range, -1, 1}};
  k.output(k.op("dot_general", {x, y}, KILN_F32, {fixed(5), fixed(6)},
                {Attribute::list("lhs_batch", {}), Attribute::list("rhs_batch", {}),
                 Attribute::list("lhs_contract", {1}), Attribute::list("rhs_contract", {1})}));
  made.accuracy = {2, true, length};
  cases.push_back(std::move(made));
}

void largest(std::vector<Case> &cases) {
  Case made = start("place of a row's largest", "rows");
  Kernel &k = *made.kernel;
  uint32_t x = k.input(KILN_F32, {fixed(2), k.extent(length)});
  made.operands = {{Fill::Range, -1e6, 1e6}};
  k.output(
      k.op("arg_reduce", {x}, KILN_I32, {fixed(2)}, {Attribute::text("kind", "max"), Attribute::number("axis", 1)}));
  cases.push_back(std::move(made));
}

void updates(std::vector<Case> &cases) {
  Case made = start("many updates of few places", "scatter");
  Kernel &k = *made.kernel;
  kiln_extent count = k.extent(length);
  made.dtype = KILN_I32;
  uint32_t x = k.input(KILN_I32, {fixed(13), fixed(2)}), ids = k.input(KILN_I32, {count}),
           rows = k.input(KILN_I32, {count, fixed(2)});
  made.operands = {{Fill::Range, -9, 9}, {Fill::Index, 0, 12}, {Fill::Range, -9, 9}};
  k.output(k.op("scatter", {x, ids, rows}, KILN_I32, {fixed(13), fixed(2)},
                {Attribute::text("kind", "add"), Attribute::number("axis", 0), Attribute::number("batch_dims", 0)}),
           0);
  made.reports = true;
  cases.push_back(std::move(made));
}

} // namespace

void longCases(std::vector<Case> &cases) {
  logSumExp(cases);
  columns(cases);
  product(cases);
  largest(cases);
  updates(cases);
}

} // namespace kiln::conformance
