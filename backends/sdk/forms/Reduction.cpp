// A reduction's accumulators, their loop, and the tree that joins them.

#include "backends/sdk/forms/Reduction.h"
#include <algorithm>
#include <bit>

namespace kiln::sdk {

//===-- The form --------------------------------------------------------------------------------------------------===//

ReductionForm::ReductionForm(const Graph &graph) {
  for (const Op &op : graph.ops)
    if (isWhole(op.code))
      ops.push_back(&op);
  full = graph.type(ops[0]->operands[0]).dims;
  for (int64_t axis : sdk::reducedAxes(*ops[0]))
    reducedAxes.push_back(static_cast<size_t>(axis));
  for (size_t axis = 0; axis < full.size(); ++axis) {
    bool isReduced = std::find(reducedAxes.begin(), reducedAxes.end(), axis) != reducedAxes.end();
    (isReduced ? reduced : left).push_back(full[axis]);
    if (!isReduced)
      leftAxes.push_back(axis);
  }
}

Index ReductionForm::merge(const Index &outer, const Index &inner) const {
  Index index(full.size());
  for (size_t i = 0; i < outer.size(); ++i)
    index[leftAxes[i]] = outer[i];
  for (size_t i = 0; i < inner.size(); ++i)
    index[reducedAxes[i]] = inner[i];
  return index;
}

void defineResult(Emitter &emitter, const Op &op, const Index &index, const std::string &name, bool &mismatch) {
  Expr held = emitter.name(name);
  defineAt(emitter, op.results[0], index,
           op.code == OpCode::ArgReduce ? emitter.convert(held, KILN_I32, emitter.graph.type(op.results[0]).dtype)
                                        : held,
           mismatch);
}

//===-- Accumulators ----------------------------------------------------------------------------------------------===//

Accumulators::Accumulators(Workgroup &group, Emitter &emitter, const Graph &graph, std::vector<const Op *> ops)
    : ops(std::move(ops)), group(group), emitter(emitter) {
  for (const Op *op : this->ops) {
    State state;
    state.kind = std::string(op->text("kind"));
    state.dtype = Emitter::accumulator(graph.type(op->operands[0]).dtype);
    state.sums = op->code == OpCode::Reduce && state.kind == "sum" && isFloat(state.dtype);
    if (op->code == OpCode::ArgReduce)
      state.position = "?";
    states.push_back(state);
  }
}

void Accumulators::start() {
  for (State &state : states) {
    state.value = emitter.variable(emitter.registerType(state.dtype), emitter.neutral(state.kind, state.dtype)).text;
    if (!state.position.empty()) // no element yet: everything is better
      state.position = emitter.variable(emitter.indexType(), emitter.index(-1)).text;
  }
}

void Accumulators::loop(const Expr &begin, const Expr &end, int64_t step, int64_t boundOfSteps,
                        const std::function<void(const Expr &)> &body) {
  constexpr int64_t block = 64;
  bool sums = std::any_of(states.begin(), states.end(), [](const State &state) { return state.sums; });
  if (!sums || boundOfSteps <= 4 * block) {
    body(emitter.loop(begin, end, emitter.index(step), boundOfSteps));
    emitter.close();
    return;
  }
  std::vector<std::string> totals;
  for (State &state : states)
    if (state.sums)
      state.total = emitter.variable(emitter.registerType(state.dtype), emitter.neutral("sum", state.dtype)).text;
  Expr first = emitter.loop(begin, end, emitter.index(step * block), (boundOfSteps + block - 1) / block);
  Expr last = emitter.bind(emitter.indexType(), emitter.name("min(" + first.text + " + " +
                                                             std::to_string(step * block) + ", " + end.text + ")"));
  body(emitter.loop(first, last, emitter.index(step), block));
  emitter.close();
  for (State &state : states)
    if (state.sums)
      emitter.line(state.total + " += " + state.value + "; " + state.value + " = " +
                   emitter.neutral("sum", state.dtype).text + ";");
  emitter.close();
  for (State &state : states)
    if (state.sums)
      emitter.line(state.value + " = " + state.total + ";");
}

/// The accumulator as it is at this point.
static Expr current(const Emitter &emitter, const std::string &name) {
  Expr result = emitter.name(name);
  result.changes = true;
  return result;
}

/// arg_reduce: the first of equals, and the first NaN before all.
void Accumulators::better(const State &state, const Expr &element, const Expr &position) {
  std::string x = element.text, best = state.value, at = state.position, here = position.text;
  std::string ahead = x + (state.kind == "max" ? " > " : " < ") + best;
  std::string condition = "(" + ahead + " || " + x + " == " + best + " && " + here + " < " + at + ")";
  if (isFloat(state.dtype)) {
    std::string isNaN = emitter.isNaN(element, state.dtype), bestIsNaN = emitter.isNaN(emitter.name(best), state.dtype);
    condition =
        "(" + isNaN + " ? !" + bestIsNaN + " || " + here + " < " + at + " : !" + bestIsNaN + " && " + condition + ")";
  }
  emitter.line("if (" + here + " >= 0 && (" + at + " < 0 || " + condition + ")) { " + best + " = " + x + "; " + at +
               " = " + here + "; }");
}

void Accumulators::take(size_t which, const Expr &element, const Expr &position) {
  const State &state = states[which];
  if (!state.position.empty())
    return better(state, emitter.bind(emitter.registerType(state.dtype), element), position);
  Expr sum = emitter.combine(state.kind, current(emitter, state.value), element, state.dtype);
  emitter.line(state.value + " = " + sum.text + ";");
}

void Accumulators::tree(uint32_t lanes, uint32_t invocations) {
  if (lanes == 1)
    return;
  const Language &language = emitter.language();
  std::string index = language.localIndex, x = language.localX;
  std::vector<std::string> values, positions;
  for (const State &state : states) {
    uint32_t bytes = static_cast<uint32_t>(std::max<int64_t>(byteSize(state.dtype), 4));
    values.push_back(group.shared(emitter.registerType(state.dtype), invocations, bytes));
    positions.push_back(state.position.empty() ? "" : group.shared(emitter.indexType(), invocations, 4));
    emitter.line(values.back() + "[" + index + "] = " + state.value + ";");
    if (!state.position.empty())
      emitter.line(positions.back() + "[" + index + "] = " + state.position + ";");
  }
  barrier(emitter);
  std::string distance = emitter.fresh("d");
  emitter.openLoop(std::string("for (") + language.uint32 + " " + distance + " = " + std::to_string(lanes / 2) + "u; " +
                       distance + " > 0u; " + distance + " >>= 1)",
                   std::bit_width(lanes / 2));
  emitter.open("if (" + x + " < " + distance + ")", /*guard=*/true);
  for (size_t i = 0; i < states.size(); ++i) {
    const State &state = states[i];
    std::string other = values[i] + "[" + index + " + " + distance + "]";
    if (state.position.empty()) {
      std::string theirs = emitter.fresh("t");
      emitter.line(emitter.registerType(state.dtype) + " " + theirs + " = " + other + ";");
      Expr sum = emitter.combine(state.kind, current(emitter, state.value), current(emitter, theirs), state.dtype);
      emitter.line(state.value + " = " + sum.text + ";");
    } else {
      std::string theirs = emitter.fresh("t"), place = emitter.fresh("t");
      emitter.line(emitter.registerType(state.dtype) + " " + theirs + " = " + other + ";");
      emitter.line(emitter.indexType() + " " + place + " = " + positions[i] + "[" + index + " + " + distance + "];");
      better(state, emitter.name(theirs), emitter.name(place));
      emitter.line(positions[i] + "[" + index + "] = " + state.position + ";");
    }
    emitter.line(values[i] + "[" + index + "] = " + state.value + ";");
  }
  emitter.close();
  barrier(emitter);
  emitter.close();
  std::string first = "[" + index + " - " + x + "]";
  for (size_t i = 0; i < states.size(); ++i) {
    emitter.line(states[i].value + " = " + values[i] + first + ";");
    if (!states[i].position.empty())
      emitter.line(states[i].position + " = " + positions[i] + first + ";");
  }
}

} // namespace kiln::sdk
