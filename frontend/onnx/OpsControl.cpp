// If, Loop and Scan: branches that are taken, both branches where data decide, loops with a known count.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

static const Graph &graphOf(Call &call, const char *name) {
  const Attribute *found = call.attribute(name);
  if (!found || found->kind != Attribute::Graph)
    refuse("it has no graph '" + std::string(name) + "'");
  return *found->graph;
}

static void branch(Call &call) {
  Importer &importer = call.importer;
  const Graph &first = graphOf(call, "then_branch"), &second = graphOf(call, "else_branch");
  Value condition = call.in(0);
  if (condition.known && condition.known->size() == 1 && condition.known->front().constant()) {
    std::vector<Value> results = importer.inlined(condition.known->front().dim != Dim(0) ? first : second, {});
    for (size_t i = 0; i < call.node.outputs.size() && i < results.size(); ++i)
      call.alias(i, results[i]);
    return;
  }
  // Data decide: both are computed, and one of them is taken.
  std::vector<Value> a = importer.inlined(first, {}), b = importer.inlined(second, {});
  std::string text = condition.rank() == 0 ? call.tensor(0) : "reshape(" + call.tensor(0) + ")";
  for (size_t i = 0; i < call.node.outputs.size(); ++i) {
    if (i >= a.size() || i >= b.size())
      refuse("a branch has fewer results than it");
    if (a[i].failed || b[i].failed)
      continue;
    if (a[i].dtype != b[i].dtype || a[i].shape != b[i].shape)
      refuse("its condition depends on data, and its branches give " + typeText(a[i].dtype, a[i].shape) + " and " +
             typeText(b[i].dtype, b[i].shape) + ": they would have to be of one shape");
    call.set(i, "where(" + text + ", " + importer.tensor(a[i]) + ", " + importer.tensor(b[i]) + ")");
  }
}

namespace {
/// A loop while it is written: the header and the body's statements come last.
class LoopWriter {
public:
  explicit LoopWriter(Call &call) : call_(call), importer_(call.importer) {}

  /// A carried value: a name of its own, with its first value.
  Value carry(Value &initial, const std::string &wish) {
    std::string name = importer_.fresh(wish, "carried");
    importer_.write({name}, importer_.tensor(initial));
    importer_.lines().back().fixed = true;
    carried_.push_back(name);
    return importer_.typeOf(name);
  }
  /// The number of the step; the loop's body begins.
  std::string open() {
    step_ = importer_.fresh("t", "t");
    before_ = importer_.lines().size();
    importer_.write({step_}, "full(0, dtype=i32)");
    importer_.lines().pop_back();
    return step_;
  }
  /// `next`: the carried values' new ones; `stacked`: what each step gives.
  void close(const std::string &count, std::vector<Value> next, std::vector<Value> stacked, const Dim &extent,
             const std::string &how, size_t firstResult) {
    std::string left, right, yields;
    for (size_t i = 0; i < next.size(); ++i) {
      Value old = importer_.typeOf(carried_[i]);
      if (next[i].dtype != old.dtype || next[i].shape != old.shape)
        refuse("a value that it carries is " + typeText(old.dtype, old.shape) + " before a step and " +
               typeText(next[i].dtype, next[i].shape) + " after it");
      left += (left.empty() ? "" : ", ") + carried_[i];
      right += (right.empty() ? "" : ", ") + importer_.tensor(next[i]);
    }
    std::vector<std::string> names;
    for (size_t i = 0; i < stacked.size(); ++i) {
      names.push_back(
          importer_.fresh(call_.wants(firstResult + i) ? call_.node.outputs[firstResult + i] : "stacked", "stacked"));
      yields += (yields.empty() ? "" : ", ") + names.back() + " = " + beforeStep(stacked[i]);
    }
    std::vector<Line> &lines = importer_.lines();
    for (size_t i = before_; i < lines.size(); ++i)
      ++lines[i].depth;
    int depth = 1;
    if (!left.empty())
      lines.push_back({{}, left + " = " + right, depth, true});
    if (!yields.empty())
      lines.push_back({{}, "yield " + yields, depth, true});
    if (left.empty() && yields.empty())
      refuse("it has no results");
    std::string header =
        "scan " + step_ + " in " + count + how + (left.empty() ? "" : " carrying " + left) + " along 0:";
    lines.insert(lines.begin() + static_cast<int64_t>(before_), Line{{}, header, 0, true});
    for (size_t i = 0; i < stacked.size(); ++i) {
      std::vector<Dim> shape = stacked[i].shape;
      shape.insert(shape.begin(), extent);
      importer_.write({names[i]}, "zeros(" + dimsText(shape) + ", dtype=" + dtypeName(stacked[i].dtype) + ")");
      lines.pop_back();
      call_.alias(firstResult + i, importer_.typeOf(names[i]));
    }
    for (size_t i = 0; i < next.size(); ++i)
      call_.alias(i, importer_.typeOf(carried_[i]));
  }

private:
  /// What a step gives, where the carried values have their new ones already: an old one has to be kept.
  std::string beforeStep(Value &value) {
    std::string text = importer_.tensor(value);
    if (std::find(carried_.begin(), carried_.end(), text) == carried_.end())
      return text;
    std::string kept = importer_.fresh(text + "_before", "kept");
    importer_.write({kept}, text);
    importer_.lines().back().fixed = true;
    return kept;
  }

  Call &call_;
  Importer &importer_;
  std::vector<std::string> carried_;
  std::string step_;
  size_t before_ = 0;
};
} // namespace

static bool isTrue(const Value &value) {
  return value.known && value.known->size() == 1 && value.known->front().dim == Dim(1);
}

static bool anyFailed(const std::vector<Value> &values) {
  return std::any_of(values.begin(), values.end(), [](const Value &value) { return value.failed; });
}

static void loop(Call &call) {
  Importer &importer = call.importer;
  const Graph &body = graphOf(call, "body");
  if (!call.has(0))
    refuse("it has no bound on the number of its steps, and the language has no such loop yet");
  Dim count = call.dims(0, "the number of its steps").at(0);
  if (call.has(1) && !isTrue(call.in(1)))
    refuse("its condition depends on data, and the language has no such loop yet");
  if (!importer.isNonNegative(count))
    count = max(count, Dim(0));
  LoopWriter writer(call);
  Value truth;
  truth.dtype = KILN_BOOL;
  truth.known = std::make_shared<std::vector<Element>>(1, Element(Dim(1)));
  std::vector<Value> inputs = {Value(), truth};
  for (size_t i = 2; i < call.inputs(); ++i)
    inputs.push_back(writer.carry(call.in(i), i < body.inputs.size() ? body.inputs[i].name : "carried"));
  std::string step = writer.open();
  inputs[0] = call.typed(call.let("step", step + ".to(i64)"));
  std::vector<Value> results = importer.inlined(body, inputs);
  if (anyFailed(results))
    return;
  size_t carried = call.inputs() < 2 ? 0 : call.inputs() - 2;
  if (results.size() < 1 + carried)
    refuse("its body has fewer results than it carries values");
  if (!isTrue(results[0]))
    refuse("it ends by a condition that depends on data, and the language has no such loop yet");
  writer.close(dimText(count), {results.begin() + 1, results.begin() + 1 + static_cast<int64_t>(carried)},
               {results.begin() + 1 + static_cast<int64_t>(carried), results.end()}, count, "", carried);
}

/// Does it count down? All of its inputs and outputs have to go the same way.
static bool goesBackwards(Call &call, size_t scanned, size_t stacked) {
  std::vector<int64_t> all = call.integers("scan_input_directions"), out = call.integers("scan_output_directions");
  all.resize(scanned, 0);
  out.resize(stacked, 0);
  all.insert(all.end(), out.begin(), out.end());
  size_t back = static_cast<size_t>(std::count(all.begin(), all.end(), 1));
  if (back != 0 && back != all.size())
    refuse("it goes forwards through some of its inputs and outputs and backwards through others");
  return back != 0;
}

static void scan(Call &call) {
  Importer &importer = call.importer;
  const Graph &body = graphOf(call, "body");
  if (call.opset < 9)
    refuse("it is of opset 8, which is another op");
  int64_t scanned = call.integer("num_scan_inputs", 0);
  for (const char *name : {"scan_input_axes", "scan_output_axes"})
    for (int64_t number : call.integers(name))
      if (number != 0)
        refuse("its '" + std::string(name) + "' is not 0");
  size_t carried =
      call.inputs() - static_cast<size_t>(std::clamp<int64_t>(scanned, 0, static_cast<int64_t>(call.inputs())));
  if (scanned < 1 || carried + static_cast<size_t>(scanned) != call.inputs())
    refuse("its num_scan_inputs is " + std::to_string(scanned) + " of " + std::to_string(call.inputs()) + " inputs");
  size_t stacked = call.node.outputs.size() - std::min(carried, call.node.outputs.size());
  bool reversed = goesBackwards(call, static_cast<size_t>(scanned), stacked);
  LoopWriter writer(call);
  std::vector<Value> inputs;
  for (size_t i = 0; i < carried; ++i)
    inputs.push_back(writer.carry(call.in(i), i < body.inputs.size() ? body.inputs[i].name : "carried"));
  std::vector<std::string> sources;
  for (size_t i = carried; i < call.inputs(); ++i)
    sources.push_back(call.tensor(i));
  if (call.in(carried).rank() < 1)
    refuse("what it goes through has no axes");
  Dim count = call.in(carried).shape[0];
  std::string step = writer.open();
  for (size_t i = 0; i < sources.size(); ++i)
    inputs.push_back(call.typed(call.let(carried + i < body.inputs.size() ? body.inputs[carried + i].name : "x",
                                         sources[i] + "[" + step + "]")));
  std::vector<Value> results = importer.inlined(body, inputs);
  if (anyFailed(results))
    return;
  if (results.size() < carried)
    refuse("its body has fewer results than it carries values");
  writer.close(dimText(count), {results.begin(), results.begin() + static_cast<int64_t>(carried)},
               {results.begin() + static_cast<int64_t>(carried), results.end()}, count, reversed ? " reversed" : "",
               carried);
}

std::vector<Op> controlOps() {
  return {
      {"If", 7, "the branch that is taken, or where(condition, a, b)", branch,
       "branches of different shapes where data decide"},
      {"Loop", 7, "scan t in n carrying a along 0", loop, "a condition or a count that depends on data"},
      {"Scan", 9, "scan t in n carrying a along 0", scan, "axes other than 0, both ways at once"},
  };
}

} // namespace kiln::onnx
