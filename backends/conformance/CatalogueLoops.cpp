// Loops as one kernel: what is carried, what is stacked, forwards and backwards, with no steps and with one.
#include "backends/conformance/Shapes.h"

#include "backends/sdk/Graph.h"

namespace kiln::conformance {

namespace {

/// A case of one loop over T steps of values [N, M], and its region, whose inputs are made in the interface's order.
class Loop {
public:
  Loop(const char *variant, kiln_dtype dtype, bool reverse) : reverse(reverse) {
    made = {"scan", std::string(variant) + (reverse ? ", backwards" : "") + ", dynamic",
            dtype,  std::make_shared<Kernel>("any"),
            {},     {},
            {}};
    Kernel &kernel = *made.kernel;
    count = kernel.extent(9);
    dims = {kernel.extent(17), kernel.extent(33)};
    region = kernel.region();
    step = region->input(KILN_I32, {});
    made.launches = {{{9, 3, 7}}, {{0, 3, 7}}, {{1, 1, 1}}, {{2, 0, 5}}, {{4, 17, 33}}, {{5, 8, 16}}};
    // A few roundings a step, of values near 1.
    if (sdk::isFloat(dtype))
      made.accuracy = {dtype == KILN_F32 || dtype == KILN_F64 ? 32.0 : 4.0, false, 0, false,
                       dtype == KILN_F64    ? 1e-13
                       : dtype == KILN_F32  ? 2e-5
                       : dtype == KILN_BF16 ? 0.05
                                            : 0.006};
  }

  /// An operand of the loop and the region's input for it.
  uint32_t carry(Dims of) { return pass(carries, of, of); }
  uint32_t sequence(Dims slice) {
    Dims whole = slice;
    whole.insert(whole.begin(), count);
    return pass(sequences, std::move(whole), std::move(slice));
  }
  uint32_t captured(Dims of) { return pass(others, of, of); }
  uint32_t op(const char *name, std::vector<uint32_t> operands, std::vector<Attribute> attributes = {}) {
    return region->op(name, std::move(operands), made.dtype, dims, std::move(attributes));
  }

  /// `next` of each carry, then what is stacked, all [N, M].
  void finish(std::vector<Case> &cases, const std::vector<uint32_t> &next, const std::vector<uint32_t> &stacked) {
    for (const std::vector<uint32_t> *list : {&next, &stacked})
      for (uint32_t value : *list)
        region->output(value);
    std::vector<uint32_t> operands = carries;
    operands.insert(operands.end(), sequences.begin(), sequences.end());
    operands.insert(operands.end(), others.begin(), others.end());
    std::vector<uint32_t> results = made.kernel->loop(operands, region, count, next.size(), sequences.size(), reverse);
    for (uint32_t value : results)
      made.kernel->output(value);
    made.operands.resize(operands.size(), {Fill::Range, -1, 1});
    cases.push_back(std::move(made));
  }

  Case made;
  kiln_extent count;
  Dims dims;
  std::shared_ptr<Kernel> region;
  uint32_t step;

private:
  bool reverse;
  std::vector<uint32_t> carries, sequences, others;

  uint32_t pass(std::vector<uint32_t> &list, Dims outside, Dims inside) {
    list.push_back(made.kernel->input(made.dtype, std::move(outside)));
    return region->input(made.dtype, std::move(inside));
  }
};

/// c' = (c + x_t) r, stacked; integers only add.
void runningSum(std::vector<Case> &cases, kiln_dtype dtype, bool reverse) {
  Loop loop("a running sum", dtype, reverse);
  uint32_t carry = loop.carry(loop.dims), x = loop.sequence(loop.dims);
  uint32_t next = loop.op("add", {carry, x});
  if (sdk::isFloat(dtype))
    next = loop.op("mul", {next, loop.captured(loop.dims)});
  loop.finish(cases, {next}, {next});
}

/// h' = tanh(h W + x_t), stacked as it was before the step.
void recurrence(std::vector<Case> &cases, kiln_dtype dtype, bool reverse) {
  Loop loop("a recurrent product", dtype, reverse);
  uint32_t h = loop.carry(loop.dims), x = loop.sequence(loop.dims), w = loop.captured({loop.dims[1], loop.dims[1]});
  uint32_t product = loop.op("dot_general", {h, w},
                             {Attribute::list("lhs_batch", {}), Attribute::list("rhs_batch", {}),
                              Attribute::list("lhs_contract", {1}), Attribute::list("rhs_contract", {0})});
  loop.made.accuracy.near *= 4; // 33 terms, and the next step's
  loop.finish(cases, {loop.op("tanh", {loop.op("add", {product, x})})}, {h});
}

/// Two carries that change places, one of them with the step's number added; nothing is stacked, or one as it came in.
void changingPlaces(std::vector<Case> &cases, kiln_dtype dtype, bool reverse, bool stacks) {
  Loop loop(stacks ? "carries that change places" : "carries that change places, nothing stacked", dtype, reverse);
  uint32_t a = loop.carry(loop.dims), b = loop.carry(loop.dims);
  uint32_t number = loop.region->op("convert", {loop.step}, dtype, {});
  uint32_t wide = loop.op("broadcast", {number}, {Attribute::axes({})});
  uint32_t sum = loop.op("add", {a, wide});
  loop.finish(cases, {b, sum}, stacks ? std::vector<uint32_t>{a} : std::vector<uint32_t>{});
}

/// y_t = x_t r, and x_t itself.
void withoutCarry(std::vector<Case> &cases, kiln_dtype dtype, bool reverse) {
  Loop loop("no carry", dtype, reverse);
  uint32_t x = loop.sequence(loop.dims);
  loop.finish(cases, {}, {loop.op("mul", {x, loop.captured(loop.dims)}), x});
}

/// A loop in the loop: rows of x_t, one after another, added to what the outer loop carries.
void loopInLoop(std::vector<Case> &cases, kiln_dtype dtype, bool reverse) {
  Loop loop("a loop in it", dtype, reverse);
  uint32_t c = loop.carry(loop.dims), x = loop.sequence({fixed(3), loop.dims[0], loop.dims[1]}),
           r = loop.captured(loop.dims);
  std::shared_ptr<Kernel> inner = loop.region->region();
  inner->input(KILN_I32, {});
  uint32_t carry = inner->input(dtype, loop.dims), row = inner->input(dtype, loop.dims),
           rate = inner->input(dtype, loop.dims);
  uint32_t next = inner->op("mul", {inner->op("add", {carry, row}, dtype, loop.dims), rate}, dtype, loop.dims);
  inner->output(next);
  uint32_t last = loop.region->loop({c, x, r}, inner, fixed(3), 1, 1, !reverse).front();
  loop.finish(cases, {last}, {last});
}

} // namespace

void loopCases(std::vector<Case> &cases) {
  for (bool reverse : {false, true}) {
    for (kiln_dtype dtype : {KILN_F32, KILN_F64, KILN_BF16, KILN_F16, KILN_I32, KILN_I64})
      runningSum(cases, dtype, reverse);
    for (kiln_dtype dtype : {KILN_F32, KILN_F64}) {
      recurrence(cases, dtype, reverse);
      withoutCarry(cases, dtype, reverse);
      loopInLoop(cases, dtype, reverse);
      for (bool stacks : {true, false})
        changingPlaces(cases, dtype, reverse, stacks);
    }
  }
}

} // namespace kiln::conformance
