// If, Loop and Scan: branches that are taken, branches and loops that data decide, loops with a known count.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

static const Graph &graphOf(Call &call, const char *name) {
  const Attribute *found = call.attribute(name);
  if (!found || found->kind != Attribute::Graph)
    refuse("it has no graph '" + std::string(name) + "'");
  return *found->graph;
}

/// A bool as `if` and `while` take it.
static std::string decision(Call &call, Value condition) {
  std::string text = call.importer.tensor(condition);
  return condition.rank() == 0 ? text : "reshape(" + text + ")";
}

namespace {
/// A branch that data decide: what each side writes becomes its block.
class BranchWriter {
public:
  explicit BranchWriter(Call &call) : call_(call), importer_(call.importer) {}

  void write(const Graph &first, const Graph &second) {
    std::string condition = decision(call_, call_.in(0));
    size_t begin = importer_.lines().size();
    std::vector<Value> a = importer_.inlined(first, {});
    size_t middle = importer_.lines().size();
    std::vector<Value> b = importer_.inlined(second, {});
    std::string left, texts[2];
    std::vector<std::string> names(call_.node.outputs.size());
    for (size_t i = 0; i < names.size(); ++i) {
      if (i >= a.size() || i >= b.size())
        refuse("a branch has fewer results than it");
      if (!call_.wants(i) || a[i].failed || b[i].failed)
        continue;
      if (a[i].rows || b[i].rows)
        refuse("its condition depends on data, and a branch's result has as many rows as data decide");
      bool alike = a[i].dtype == b[i].dtype && a[i].shape == b[i].shape;
      // Where sizes decide, it is for those with which it holds: a squeezed axis that has one element.
      if (const Value &decides = call_.in(0); !alike && decides.zero)
        importer_.needEqual(*decides.zero, 0);
      if (!alike)
        refuse("its condition depends on data, and its branches give " + typeText(a[i].dtype, a[i].shape) + " and " +
               typeText(b[i].dtype, b[i].shape) + ": they would have to be of one shape");
      std::string comma = left.empty() ? "" : ", ";
      texts[0] += comma + importer_.tensor(a[i]);
      texts[1] += comma + importer_.tensor(b[i]);
      // Its type is told by either side; the statement itself comes last.
      names[i] = importer_.fresh(call_.node.outputs[i], "chosen");
      importer_.write({names[i]}, importer_.tensor(a[i]));
      importer_.lines().pop_back();
      left += comma + names[i];
    }
    if (!left.empty())
      finish(condition, left, texts, begin, middle);
    for (size_t i = 0; i < names.size(); ++i)
      if (!names[i].empty())
        call_.alias(i, importer_.typeOf(names[i]));
  }

private:
  void finish(const std::string &condition, const std::string &left, const std::string (&texts)[2], size_t begin,
              size_t middle) {
    std::vector<Line> &lines = importer_.lines();
    bool bare = begin == lines.size() && left.find(',') == std::string::npos;
    if (bare) { // both sides are there already
      lines.push_back({{left}, texts[0] + " if " + condition + " else " + texts[1], 0, false});
      return;
    }
    for (size_t i = begin; i < lines.size(); ++i)
      ++lines[i].depth;
    lines.push_back({{}, left + " = " + texts[1], 1, true, true});
    auto at = [&](size_t index) { return lines.begin() + static_cast<int64_t>(index); };
    lines.insert(at(middle), {Line{{}, left + " = " + texts[0], 1, true, true}, Line{{}, "else:", 0, true}});
    lines.insert(at(begin), Line{{}, "if " + condition + ":", 0, true});
  }

  Call &call_;
  Importer &importer_;
};
} // namespace

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
  BranchWriter(call).write(first, second);
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
  std::vector<Value> close(const std::string &count, std::vector<Value> next, std::vector<Value> stacked,
                           const Dim &extent, const std::string &how = "") {
    assign(next);
    std::vector<std::string> names;
    std::string yields = yielded(stacked, next.size(), names);
    if (left_.empty() && yields.empty())
      refuse("it has no results");
    wrap("scan " + step_ + " in " + count + how + (left_.empty() ? "" : " carrying " + left_) + " along 0:", yields);
    return results(stacked, extent, names, false);
  }

  /// A loop that goes on while `first` holds, then while `going` does, and for no more steps than `most` or `count` (an
  /// expression) says. `step`: the name of the number of the step as the body has it. `stacked`: what each step gives,
  /// `extent` rows of which the number of steps is there.
  std::vector<Value> closeWhile(const std::string &first, std::optional<Value> going, const std::string &most,
                                const std::string &count, std::vector<Value> next, const std::string &step,
                                std::vector<Value> stacked, const Dim &extent) {
    std::vector<Line> &lines = importer_.lines();
    assign(next);
    std::vector<std::string> names;
    std::string yields = yielded(stacked, next.size(), names);
    std::string condition;
    if (going) {
      std::string name = importer_.fresh("going", "going");
      lines.insert(lines.begin() + static_cast<int64_t>(before_++), Line{{}, name + " = " + first, 0, true});
      left_ += (left_.empty() ? "" : ", ") + name;
      right_ += (right_.empty() ? "" : ", ") + decision(call_, *going);
      condition = name;
    } else if (first != "True") {
      condition = first;
    }
    bool counts = !count.empty();
    std::vector<Line> body(lines.begin() + static_cast<int64_t>(before_), lines.end());
    if (counts || !stacked.empty() || countUses(body, right_)[step] > 0) {
      lines.insert(lines.begin() + static_cast<int64_t>(before_++), Line{{}, step_ + " = 0", 0, true});
      left_ += (left_.empty() ? "" : ", ") + step_;
      right_ += (right_.empty() ? "" : ", ") + step_ + " + 1";
    }
    if (counts)
      condition += (condition.empty() ? "" : " and ") + step_ + " < " + count;
    wrap("while " + condition + " carrying " + left_ + (most.empty() ? "" : " at most " + most) +
             (stacked.empty() ? ":" : " along 0:"),
         yields);
    return results(stacked, extent, names, true);
  }

private:
  /// What each step gives, by the names of the results from `firstResult` on.
  std::string yielded(std::vector<Value> &stacked, size_t firstResult, std::vector<std::string> &names) {
    std::string out;
    for (size_t i = 0; i < stacked.size(); ++i) {
      if (stacked[i].rows)
        refuse("a step of it gives as many rows as data decide");
      names.push_back(
          importer_.fresh(call_.wants(firstResult + i) ? call_.node.outputs[firstResult + i] : "stacked", "stacked"));
      out += (out.empty() ? "" : ", ") + names.back() + " = " + beforeStep(stacked[i]);
    }
    return out;
  }
  /// What is carried once the loop has ended, and what its steps gave; `counted`: as many rows as steps were taken.
  std::vector<Value> results(const std::vector<Value> &stacked, const Dim &extent,
                             const std::vector<std::string> &names, bool counted) {
    std::vector<Value> out;
    for (const std::string &name : carried_)
      out.push_back(importer_.typeOf(name));
    for (size_t i = 0; i < stacked.size(); ++i) {
      std::vector<Dim> shape = stacked[i].shape;
      shape.insert(shape.begin(), extent);
      importer_.write({names[i]}, "zeros(" + dimsText(shape) + ", dtype=" + dtypeName(stacked[i].dtype) + ")");
      importer_.lines().pop_back();
      out.push_back(importer_.typeOf(names[i]));
      if (counted)
        out.back().rows = std::make_shared<Rows>(Rows{0, step_});
    }
    return out;
  }
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
  /// The names of what is carried, and what they hold after a step.
  void assign(std::vector<Value> &next) {
    for (size_t i = 0; i < next.size(); ++i) {
      Value old = importer_.typeOf(carried_[i]);
      if (next[i].rows)
        refuse("a value that it carries has as many rows as data decide");
      if (next[i].dtype != old.dtype || next[i].shape != old.shape)
        refuse("a value that it carries is " + typeText(old.dtype, old.shape) + " before a step and " +
               typeText(next[i].dtype, next[i].shape) + " after it");
      left_ += (left_.empty() ? "" : ", ") + carried_[i];
      right_ += (right_.empty() ? "" : ", ") + importer_.tensor(next[i]);
    }
  }
  /// The header before what has been written since the loop began, and the last lines behind it.
  void wrap(const std::string &header, const std::string &yields) {
    std::vector<Line> &lines = importer_.lines();
    for (size_t i = before_; i < lines.size(); ++i)
      ++lines[i].depth;
    if (!left_.empty())
      lines.push_back({{}, left_ + " = " + right_, 1, true, true});
    if (!yields.empty())
      lines.push_back({{}, "yield " + yields, 1, true});
    lines.insert(lines.begin() + static_cast<int64_t>(before_), Line{{}, header, 0, true});
  }
  Call &call_;
  Importer &importer_;
  std::vector<std::string> carried_;
  std::string step_, left_, right_;
  size_t before_ = 0;
};
} // namespace

static bool isTrue(const Value &value) {
  return value.known && value.known->size() == 1 && value.known->front().dim == Dim(1);
}

static bool anyFailed(const std::vector<Value> &values) {
  return std::any_of(values.begin(), values.end(), [](const Value &value) { return value.failed; });
}

static void giveAll(Call &call, const std::vector<Value> &results) {
  for (size_t i = 0; i < results.size(); ++i)
    call.alias(i, results[i]);
}

/// How many steps a loop may take: a dimension, an expression that data decide, or nothing.
struct Steps {
  std::optional<Dim> most;
  std::string counted;
};

static Steps stepsOf(Call &call) {
  Steps out;
  if (!call.has(0))
    return out;
  const Value &count = call.in(0);
  if (!count.known || count.known->size() != 1) {
    out.counted = decision(call, count);
    return out;
  }
  Dim most = call.dims(0, "the number of its steps").at(0);
  // What exporters write for a loop without a bound.
  constexpr int64_t kEndless = INT32_MAX;
  if (!most.constant() || *most.constant() < kEndless)
    out.most = call.importer.isNonNegative(most) ? most : max(most, Dim(0));
  return out;
}

static void loop(Call &call) {
  Importer &importer = call.importer;
  const Graph &body = graphOf(call, "body");
  Steps steps = stepsOf(call);
  bool begins = !call.has(1) || isTrue(call.in(1));
  std::string first = begins ? "True" : decision(call, call.in(1));
  LoopWriter writer(call);
  // The body runs where its condition holds.
  Value truth;
  truth.dtype = KILN_BOOL;
  truth.known = std::make_shared<std::vector<Element>>(1, Element(Dim(1)));
  std::vector<Value> inputs = {Value(), truth};
  for (size_t i = 2; i < call.inputs(); ++i)
    inputs.push_back(writer.carry(call.in(i), i < body.inputs.size() ? body.inputs[i].name : "carried"));
  std::string step = call.let("step", writer.open() + ".to(i64)");
  inputs[0] = call.typed(step);
  std::vector<Value> results = importer.inlined(body, inputs);
  if (anyFailed(results))
    return;
  int64_t carried = call.inputs() < 2 ? 0 : static_cast<int64_t>(call.inputs()) - 2;
  if (results.size() < 1 + static_cast<size_t>(carried))
    refuse("its body has fewer results than it carries values");
  std::vector<Value> next(results.begin() + 1, results.begin() + 1 + carried);
  std::vector<Value> stacked(results.begin() + 1 + carried, results.end());
  bool goesOn = isTrue(results[0]);
  if (steps.most && begins && goesOn)
    return giveAll(call, writer.close(dimText(*steps.most), std::move(next), std::move(stacked), *steps.most));
  bool stacks = false;
  for (size_t i = 0; i < stacked.size(); ++i)
    stacks |= call.wants(static_cast<size_t>(carried) + i);
  if (stacks && !steps.most)
    refuse("it stacks the values of its steps, data decide how many there are, and nothing says how many there can be");
  if (!stacks)
    stacked.clear();
  if (goesOn && !steps.most && steps.counted.empty())
    refuse("it never ends: it has neither a number of steps nor a condition that changes");
  if (carried == 0 && !stacks)
    refuse("it has no results");
  // Where only its beginning depends on data, the number of the step ends it.
  std::string most = steps.most && (!goesOn || stacks) ? dimText(*steps.most) : "";
  std::string counted = steps.most && goesOn ? dimText(*steps.most) : steps.counted;
  giveAll(call, writer.closeWhile(first, goesOn ? std::optional<Value>() : results[0], most, counted, std::move(next),
                                  step, std::move(stacked), stacks ? *steps.most : Dim(0)));
}

/// A list of so many numbers, 0 where nothing is said.
static std::vector<int64_t> numbersOf(Call &call, const char *name, size_t count) {
  std::vector<int64_t> out = call.integers(name);
  out.resize(count, 0);
  return out;
}

/// A loop through sources: its results, carried ones first; none where its body cannot be imported.
static std::vector<Value> goneThrough(Call &call, const Graph &body, std::vector<Value> first,
                                      const std::vector<std::string> &sources, const Dim &count, bool reversed) {
  LoopWriter writer(call);
  std::vector<Value> inputs;
  auto wish = [&](size_t i, const char *fallback) { return i < body.inputs.size() ? body.inputs[i].name : fallback; };
  for (Value &value : first)
    inputs.push_back(writer.carry(value, wish(inputs.size(), "carried")));
  std::string step = writer.open();
  for (const std::string &source : sources)
    inputs.push_back(call.typed(call.let(wish(inputs.size(), "x"), source + "[" + step + "]")));
  std::vector<Value> results = call.importer.inlined(body, inputs);
  if (anyFailed(results))
    return {};
  if (results.size() < first.size())
    refuse("its body has fewer results than it carries values");
  auto middle = results.begin() + static_cast<int64_t>(first.size());
  return writer.close(dimText(count), {results.begin(), middle}, {middle, results.end()}, count,
                      reversed ? " reversed" : "");
}

/// Opset 8: each row of a batch goes its own way. Where how many rows there are is known, each is a loop.
static void scanOfRows(Call &call, const Graph &body) {
  constexpr int64_t kMostRows = 64;
  int64_t scanned = call.integer("num_scan_inputs", 0), inputs = static_cast<int64_t>(call.inputs()) - 1;
  if (call.has(0))
    refuse("its rows have lengths of their own");
  if (scanned < 1 || scanned > inputs)
    refuse("its num_scan_inputs is " + std::to_string(scanned) + " of " + std::to_string(inputs) + " inputs");
  std::vector<int64_t> directions = call.integers("directions");
  directions.resize(static_cast<size_t>(scanned), 0);
  int64_t back = std::count(directions.begin(), directions.end(), 1);
  if (back != 0 && back != scanned)
    refuse("it goes forwards through some of its inputs and backwards through others");
  const Value &x = call.in(static_cast<size_t>(1 + inputs - scanned));
  std::optional<int64_t> rows = x.rank() < 2 ? std::nullopt : x.shape[0].constant();
  if (!rows || *rows > kMostRows)
    refuse("it is of opset 8, and the rows of its batch are not known to be " + std::to_string(kMostRows) +
           " or less: --dim sets a dimension to a number");
  std::vector<std::string> parts;
  for (int64_t row = 0; row < *rows; ++row) {
    std::string at = "[" + std::to_string(row) + "]";
    std::vector<Value> first;
    std::vector<std::string> sources;
    for (size_t i = 1; i <= static_cast<size_t>(inputs - scanned); ++i)
      first.push_back(call.typed(call.let("first", call.tensor(i) + at)));
    for (size_t i = 1 + first.size(); i < call.inputs(); ++i)
      sources.push_back(call.let("row", call.tensor(i) + at));
    std::vector<Value> results = goneThrough(call, body, first, sources, x.shape[1], back != 0);
    if (results.empty())
      return;
    parts.resize(results.size());
    for (size_t i = 0; i < results.size(); ++i)
      parts[i] += results[i].text + ", ";
  }
  for (size_t i = 0; i < parts.size(); ++i)
    call.set(i, "stack(" + parts[i] + "axis=0)");
}

static void scan(Call &call) {
  const Graph &body = graphOf(call, "body");
  if (call.opset < 9)
    return scanOfRows(call, body);
  int64_t scanned = call.integer("num_scan_inputs", 0);
  size_t carried =
      call.inputs() - static_cast<size_t>(std::clamp<int64_t>(scanned, 0, static_cast<int64_t>(call.inputs())));
  if (scanned < 1 || carried + static_cast<size_t>(scanned) != call.inputs())
    refuse("its num_scan_inputs is " + std::to_string(scanned) + " of " + std::to_string(call.inputs()) + " inputs");
  size_t count = static_cast<size_t>(scanned),
         stacked = call.node.outputs.size() - std::min(carried, call.node.outputs.size());
  std::vector<int64_t> in = numbersOf(call, "scan_input_directions", count),
                       out = numbersOf(call, "scan_output_directions", stacked),
                       from = numbersOf(call, "scan_input_axes", count),
                       to = numbersOf(call, "scan_output_axes", stacked);
  // Backwards where all go so; else what does is turned round.
  bool reversed = std::count(in.begin(), in.end(), 1) + std::count(out.begin(), out.end(), 1) ==
                  static_cast<int64_t>(count + stacked);
  std::vector<Value> first;
  for (size_t i = 0; i < carried; ++i)
    first.push_back(call.in(i));
  std::vector<std::string> sources;
  Dim steps;
  for (size_t i = 0; i < count; ++i) {
    Value x = call.in(carried + i);
    if (x.rank() < 1)
      refuse("what it goes through has no axes");
    int64_t axis = call.axis(from[i], x.rank());
    std::string source = call.tensor(carried + i);
    if (axis != 0)
      source = call.let("source", "moved(" + source + ", " + std::to_string(axis) + ", 0)");
    if (!reversed && in[i] != 0)
      source = call.let("source", "reverse(" + source + ", 0)");
    sources.push_back(source);
    if (i == 0)
      steps = x.shape[axis];
  }
  std::vector<Value> results = goneThrough(call, body, std::move(first), sources, steps, reversed);
  for (size_t i = 0; i < results.size(); ++i) {
    std::string text = results[i].text;
    if (i >= carried && i - carried < stacked) {
      if (!reversed && out[i - carried] != 0)
        text = "reverse(" + text + ", 0)";
      if (int64_t axis = call.axis(to[i - carried], results[i].rank()); axis != 0)
        text = "moved(" + text + ", 0, " + std::to_string(axis) + ")";
    }
    text == results[i].text ? call.alias(i, results[i]) : call.set(i, text);
  }
}

std::vector<Op> controlOps() {
  return {
      {"If", 7, "the branch that is taken, or if", branch, "branches of different shapes where data decide"},
      {"Loop", 7, "scan t in n carrying a along 0, or while", loop,
       "stacked values where nothing bounds the number of steps"},
      {"Scan", 8, "scan t in n carrying a along 0", scan,
       "of opset 8 a batch of more than 64 rows, lengths, both ways at once"},
  };
}

} // namespace kiln::onnx
