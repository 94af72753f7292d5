// A kernel cut into phases of one item an element, and their text.

#include "Phases.h"
#include "Functions.h"
#include <algorithm>

namespace kiln::sdk {

//===-- Planning --------------------------------------------------------------------------------------------------===//

/// Where an output lies in an input's memory, all that reads the input must be done before the output's phase: a whole
/// op may wait for a later one only where there is none.
static bool oneLastPhase(const Graph &graph, uint32_t value) {
  if (std::all_of(graph.alias.begin(), graph.alias.end(), [](int32_t alias) { return alias < 0; }))
    return true;
  return std::all_of(graph.outputs.begin(), graph.outputs.end(),
                     [&](uint32_t output) { return sameDims(graph.type(output).dims, graph.type(value).dims); });
}

/// Elementwise readers alone, down to outputs: each element is then asked for once.
static bool readElementwise(const Graph &graph, uint32_t value) {
  return std::all_of(graph.ops.begin(), graph.ops.end(), [&](const Op &op) {
    if (std::find(op.operands.begin(), op.operands.end(), value) == op.operands.end())
      return true;
    return isElementwise(op.code) && readElementwise(graph, op.results[0]);
  });
}

/// What runs along an axis or goes to places of its own is cheaper, or only possible, all at once; windows are not.
static bool hasElementForm(OpCode code) {
  return infoOf(code).opClass != OpClass::Whole || code == OpCode::ReduceWindow || code == OpCode::ReduceWindowGrad;
}

int Phases::place(uint32_t value) const {
  for (auto [stored, at] : places)
    if (stored == value)
      return at;
  return -1;
}

int Phases::addScratch(const Graph &graph, uint32_t value) {
  scratch.push_back({value, scratchBytes, graph.byteBound(value)});
  if (__builtin_add_overflow(scratchBytes, scratch.back().bytes, &scratchBytes))
    scratchBytes = INT64_MAX / 2;
  scratchBytes = (scratchBytes + 63) / 64 * 64;
  return static_cast<int>(graph.inputs.size() + graph.outputs.size() + scratch.size()) - 1;
}

/// An output's memory, unless it may be an input's that is still read.
int Phases::homeOf(const Graph &graph, const Op &op, uint32_t value) {
  int output = graph.outputNumber(value);
  if (output < 0)
    return addScratch(graph, value);
  int32_t alias = graph.alias[static_cast<size_t>(output)];
  bool own = alias < 0;
  if (!own && op.code == OpCode::Scatter)
    own = op.operands[0] == graph.inputs[static_cast<size_t>(alias)] && graph.uses(op.operands[0]) == 1;
  return own ? static_cast<int>(graph.inputs.size()) + output : addScratch(graph, value);
}

static std::vector<kiln_extent> without(std::vector<kiln_extent> dims, size_t axis) {
  dims.erase(dims.begin() + long(axis));
  return dims;
}

bool Phases::plan(const Graph &graph, Phases &out, std::string &reason, uint32_t &opNumber) {
  out = Phases();
  for (const Op &op : graph.ops) {
    opNumber = op.number;
    if (!infoOf(op.code).primitive)
      return reason = "no form of op '" + op.name + "' is known here", false;
    if (!isWhole(op.code) ||
        (hasElementForm(op.code) && readElementwise(graph, op.results[0]) && oneLastPhase(graph, op.results[0])))
      continue;
    for (uint32_t value : op.results)
      out.places.push_back({value, out.homeOf(graph, op, value)});
    Phase phase{Phase::Elements, graph.type(op.results[0]).dims, op.results, nullptr};
    if (op.code == OpCode::Sort || op.code == OpCode::TopK) {
      phase = {Phase::Rank, graph.type(op.operands[0]).dims, op.results, &op};
    } else if (op.code == OpCode::Scatter) {
      phase.op = &op; // copies the operand
      out.phases.push_back(phase);
      phase = {Phase::Update, without(phase.items, static_cast<size_t>(op.integer("axis"))), op.results, &op};
    } else if (!hasElementForm(op.code)) {
      phase = {Phase::Line, without(phase.items, static_cast<size_t>(op.integer("axis"))), op.results, &op};
    }
    out.phases.push_back(std::move(phase));
  }
  opNumber = KILN_NONE;
  if (out.scratchBytes > (static_cast<int64_t>(1) << 40))
    return reason = "what is kept between its phases would take " + std::to_string(out.scratchBytes >> 30) + " GiB",
           false;
  std::vector<Phase> last;
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    uint32_t value = graph.outputs[i];
    if (out.place(value) == static_cast<int>(graph.inputs.size() + i))
      continue;
    const std::vector<kiln_extent> &dims = graph.type(value).dims;
    auto same = std::find_if(last.begin(), last.end(), [&](const Phase &p) { return sameDims(p.items, dims); });
    if (same == last.end())
      same = last.insert(last.end(), Phase{Phase::Elements, dims, {}, nullptr});
    same->outputs.push_back(static_cast<uint32_t>(i));
  }
  // The largest first: a small output may lie in the memory of an input that the larger ones broadcast.
  std::sort(last.begin(), last.end(),
            [&](const Phase &a, const Phase &b) { return graph.bound(a.items) > graph.bound(b.items); });
  out.phases.insert(out.phases.end(), last.begin(), last.end());
  return true;
}

//===-- Printing --------------------------------------------------------------------------------------------------===//

void Phases::print(Emitter &e, const Phase &phase, const Expr &item) const {
  const Graph &graph = e.graph;
  for (auto [value, at] : places)
    if (std::find(phase.values.begin(), phase.values.end(), value) == phase.values.end()) {
      const std::vector<kiln_extent> &dims = graph.type(value).dims;
      e.define(value, [&e, &dims, value = value, at = at](const Index &index) {
        return e.load(static_cast<uint32_t>(at), value, e.linear(dims, index));
      });
    }
  if (phase.kind == Phase::Line)
    return printLine(e, phase, item);
  if (phase.kind == Phase::Update)
    return printUpdate(e, phase, item);
  if (phase.kind == Phase::Rank)
    return printRank(e, phase, item);
  Expr at = e.bind(e.indexType(), item);
  Index index = e.unlinear(phase.items, at);
  if (!phase.outputs.empty())
    return e.storeOutputs(phase.outputs, index, at);
  std::vector<Expr> elements; // all are read before one is written
  for (uint32_t value : phase.values)
    elements.push_back(e.element(phase.op ? phase.op->operands[0] : value, index));
  for (size_t i = 0; i < elements.size(); ++i)
    e.store(static_cast<uint32_t>(place(phase.values[i])), graph.type(phase.values[i]).dtype, at, elements[i]);
}

void Phases::printLine(Emitter &e, const Phase &phase, const Expr &item) const {
  const Op &op = *phase.op;
  const Type &type = e.graph.type(phase.values[0]);
  size_t axis = static_cast<size_t>(op.integer("axis"));
  kiln_dtype dtype = Emitter::accumulator(type.dtype);
  Index at = e.unlinear(phase.items, item);
  at.insert(at.begin() + long(axis), e.index(0));
  Expr total = e.variable(e.registerType(dtype), e.literal(dtype, 0, 0)), size = e.extent(type.dims[axis]);
  Expr i = e.loop(size);
  e.ordered(); // the sums may lie where the terms do
  at[axis] = op.integer("reverse") ? e.sub(e.sub(size, e.index(1)), i) : i;
  Expr before = e.bind(e.registerType(dtype), {"(" + total.text + ")", total.level, {}, true});
  Expr after = e.combine("sum", before, e.element(op.operands[0], at), dtype);
  e.line(total.text + " = " + after.text + ";");
  e.store(static_cast<uint32_t>(place(phase.values[0])), type.dtype, e.linear(type.dims, at),
          op.integer("exclusive") ? before : after);
  e.close();
}

void Phases::printUpdate(Emitter &e, const Phase &phase, const Expr &item) const {
  const Op &op = *phase.op;
  const Graph &graph = e.graph;
  const Type &type = graph.type(phase.values[0]), &indices = graph.type(op.operands[1]);
  size_t axis = static_cast<size_t>(op.integer("axis")), batch = static_cast<size_t>(op.integer("batch_dims"));
  kiln_dtype dtype = Emitter::accumulator(type.dtype);
  Index at = e.unlinear(phase.items, item); // without the axis
  Index which(at.begin(), at.begin() + long(batch)), from(at.begin(), at.begin() + long(axis));
  for (size_t d = batch; d < indices.rank(); ++d) {
    which.push_back(e.loop(e.extent(indices.dims[d])));
    from.push_back(which.back());
  }
  from.insert(from.end(), at.begin() + long(axis), at.end());
  e.ordered();
  Expr found = e.indexOf(op.operands[1], which), size = e.extent(type.dims[axis]);
  std::string outside = found.text + " < 0 || " + found.text + " >= " + size.text;
  e.report(KILN_INDEX_OUT_OF_RANGE, op, {outside, found.level, {}}, e.givenIndex(op.operands[1], which), size);
  e.open("if (!(" + outside + "))", /*guard=*/true);
  Index to = at;
  to.insert(to.begin() + long(axis), found);
  Expr linear = e.bind(e.indexType(), e.linear(type.dims, to));
  uint32_t home = static_cast<uint32_t>(place(phase.values[0]));
  Expr update = e.element(op.operands[2], from);
  std::string_view kind = op.text("kind");
  e.store(home, type.dtype, linear,
          kind == "set" ? update : e.combine(kind, e.load(home, phase.values[0], linear), update, dtype));
  e.close();
  for (size_t d = batch; d < indices.rank(); ++d)
    e.close();
}

void Phases::printRank(Emitter &e, const Phase &phase, const Expr &item) const {
  const Op &op = *phase.op;
  const Type &operand = e.graph.type(op.operands[0]);
  size_t axis = op.code == OpCode::TopK ? operand.rank() - 1 : static_cast<size_t>(op.integer("axis"));
  bool descending = op.code == OpCode::TopK || op.integer("descending");
  kiln_dtype dtype = operand.dtype == KILN_BOOL ? KILN_I32 : operand.dtype;
  Index at = e.unlinear(phase.items, item);
  Expr x = e.element(op.operands[0], at), mine = e.convert(x, operand.dtype, dtype);
  Expr own = at[axis] = e.bind(e.indexType(), at[axis]);
  Expr rank = e.variable(e.indexType(), e.index(0));
  Index from = at;
  from[axis] = e.loop(e.extent(operand.dims[axis]));
  Expr other = e.convert(e.element(op.operands[0], from), operand.dtype, dtype);
  // NaN is above all others, and equal to itself.
  auto less = [&](const Expr &a, const Expr &b) {
    std::string plain = a.text + " < " + b.text;
    return isFloat(dtype) ? "(" + e.isNaN(b, dtype) + " ? !" + e.isNaN(a, dtype) + " : " + plain + ")"
                          : "(" + plain + ")";
  };
  std::string before = descending ? less(mine, other) : less(other, mine);
  std::string behind = descending ? less(other, mine) : less(mine, other);
  e.open("if (" + before + " || (!" + behind + " && " + from[axis].text + " < " + own.text + "))");
  e.line(rank.text + "++;");
  e.close();
  e.close();
  const std::vector<kiln_extent> &kept = e.graph.type(op.results[0]).dims;
  e.open("if (" + rank.text + " < " + e.extent(kept[axis]).text + ")", /*guard=*/true);
  at[axis] = Emitter::settled(rank);
  Expr to = e.bind(e.indexType(), e.linear(kept, at));
  e.store(static_cast<uint32_t>(place(op.results[0])), operand.dtype, to, x);
  kiln_dtype index = e.graph.type(op.results[1]).dtype;
  e.store(static_cast<uint32_t>(place(op.results[1])), index, to,
          e.convert(own, e.options.wideIndex ? KILN_I64 : KILN_I32, index));
  e.close();
}

//===-- What can be printed ---------------------------------------------------------------------------------------===//

/// The function of the table that an op of floats is printed as; empty where it is an expression.
static std::string functionOf(const Op &op) {
  switch (op.code) {
  case OpCode::Neg:
  case OpCode::Sign:
  case OpCode::Not:
  case OpCode::Convert:
  case OpCode::Bitcast:
  case OpCode::StopGradient:
    return "";
  case OpCode::Rsqrt:
    return "sqrt";
  case OpCode::Sigmoid:
    return "exp";
  case OpCode::Rem:
    return "fmod";
  default:
    return isElementwise(op.code) && (op.operands.size() == 1 || infoOf(op.code).cost >= Cost::Exponential) ? op.name
                                                                                                            : "";
  }
}

static bool printable(const Emitter &e, const Op &op, std::string &reason) {
  if (!infoOf(op.code).primitive)
    return reason = "no form of op '" + op.name + "' is known here", false;
  if (op.find("kind") && !Emitter::canCombine(op.text("kind")))
    return reason = "no way to combine elements by '" + std::string(op.text("kind")) + "' is known here", false;
  if (op.code == OpCode::Constant && e.language().largestConstant &&
      op.find("value")->string.size() > e.language().largestConstant)
    return reason = "a constant of more than " + std::to_string(e.language().largestConstant) +
                    " bytes does not fit in a shader",
           false;
  kiln_dtype dtype = e.graph.type(op.results[0]).dtype;
  std::string name = functionOf(op);
  if (name.empty() || !isFloat(dtype))
    return true;
  return hasFunction(e.language(), e.options.ownFunctions, name + (dtype == KILN_F64 ? "_f64" : "_f32")) ||
         (reason = std::string(e.language().name) + " has no " + op.name + " of " + std::string(dtypeName(dtype)),
          false);
}

bool Emitter::canPrint(uint32_t value, std::string &reason, uint32_t &op) const {
  std::set<uint32_t> seen = {value};
  std::vector<uint32_t> open = {value};
  while (!open.empty()) {
    uint32_t next = open.back();
    open.pop_back();
    const Op *source = graph.definingOp(next);
    if (!source || sources.contains(next))
      continue;
    op = source->number;
    if (!printable(*this, *source, reason))
      return false;
    if (source->code == OpCode::Scatter || source->code == OpCode::Sort || source->code == OpCode::TopK)
      return reason = "op '" + source->name + "' is not computed one element at a time", false;
    for (uint32_t operand : source->operands)
      if (seen.insert(operand).second)
        open.push_back(operand);
  }
  return true;
}

bool Emitter::canPrintAll(std::string &reason, uint32_t &op) const {
  return std::all_of(graph.ops.begin(), graph.ops.end(), [&](const Op &source) {
    op = source.number;
    return printable(*this, source, reason);
  });
}

} // namespace kiln::sdk
