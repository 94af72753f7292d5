// Ops that pick elements by place, and the reverse.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

/// An axis has the element at this place, which may count from its end.
static void needElement(Call &call, int64_t at, const Dim &extent) {
  call.importer.needNonNegative(at < 0 ? extent + Dim(at) : extent - Dim(at + 1));
}

/// Indices as Kiln takes them: none negative. ONNX counts negative ones from the end.
static std::string indices(Call &call, size_t input, const Dim &extent) {
  Value &value = call.in(input);
  for (const Element &element : value.known ? *value.known : std::vector<Element>())
    if (std::optional<double> at = element.constant())
      needElement(call, static_cast<int64_t>(*at), extent);
  if (value.known && std::all_of(value.known->begin(), value.known->end(), [](const Element &element) {
        std::optional<double> number = element.constant();
        return number && *number >= 0;
      }))
    return call.tensor(input);
  return "from_end(" + call.tensor(input) + ", " + dimText(extent) + ")";
}

std::string colons(int64_t count) {
  std::string out;
  for (int64_t i = 0; i < count; ++i)
    out += ":, ";
  return out;
}

static void gather(Call &call) {
  Value x = call.in(0), at = call.in(1);
  int64_t axis = call.axis(call.integer("axis", 0), x.rank());
  if (at.rank() == 0 && at.known && at.known->front().dim.constant())
    needElement(call, *at.known->front().dim.constant(), x.shape[axis]);
  if (at.rank() == 0 && at.known)
    return call.set(0, call.tensor(0) + "[" + colons(axis) + dimText(at.known->front().dim) + "]");
  if (at.rank() == 0)
    return call.set(0, call.tensor(0) + "[" + colons(axis) + indices(call, 1, x.shape[axis]) + "]");
  call.set(0, "take(" + call.tensor(0) + ", " + indices(call, 1, x.shape[axis]) + ", " + std::to_string(axis) + ")");
}

static void gatherElements(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.integer("axis", 0), x.rank());
  call.set(0, "gather(" + call.tensor(0) + ", " + indices(call, 1, x.shape[axis]) + ", " + std::to_string(axis) + ")");
}

/// The number of the axes that a last axis of indices walks along; it has to be known.
static int64_t depthOf(Call &call, const Value &at, int64_t most) {
  std::optional<int64_t> depth = at.rank() > 0 ? at.shape.back().constant() : std::nullopt;
  if (!depth || *depth < 1 || *depth > most)
    refuse("the last axis of its indices is not known to be 1 to " + std::to_string(most));
  return *depth;
}

static void gatherND(Call &call) {
  Value x = call.in(0), at = call.in(1);
  int64_t batch = call.integer("batch_dims", 0);
  if (batch < 0 || batch >= x.rank() || batch >= at.rank())
    refuse("its batch_dims is " + std::to_string(batch));
  depthOf(call, at, x.rank() - batch);
  call.set(0,
           "gather_nd(" + call.tensor(0) + ", " + call.tensor(1) + (batch ? ", " + std::to_string(batch) : "") + ")");
}

static std::string reductionOf(Call &call) {
  std::string how = call.string("reduction", "none");
  if (how != "none" && how != "add" && how != "mul" && how != "max" && how != "min")
    refuse("its reduction is '" + how + "'; none, add, mul, max and min are there");
  return how == "none" ? "" : keyword("how", "\"" + how + "\"");
}

static void scatterElements(Call &call) {
  Value x = call.in(0), at = call.in(1);
  int64_t axis = call.axis(call.integer("axis", 0), x.rank());
  std::string how = reductionOf(call);
  call.set(0, "scatter_elements(" + call.tensor(0) + ", " + indices(call, 1, x.shape[axis]) + ", " + call.tensor(2) +
                  ", " + std::to_string(axis) + how + ")");
}

static void scatterND(Call &call) {
  Value x = call.in(0), at = call.in(1);
  std::string how = reductionOf(call);
  depthOf(call, at, x.rank());
  call.set(0, "scatter_nd(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2) + how + ")");
}

/// start:end:step of one axis, clamped to it as numpy does. `reversed`: it counts down, and the range is of the axis
/// turned round.
static std::string span(Call &call, Dim start, Dim end, int64_t step, const Dim &extent, Dim &size) {
  Importer &importer = call.importer;
  auto resolved = [&](Dim at, const Dim &low, const Dim &high) {
    std::optional<int64_t> number = at.constant();
    // Exporters write large numbers for "to the end": no axis is as long.
    if (number && *number >= (1LL << 29))
      return high;
    if (number && *number <= -(1LL << 29))
      return low;
    if (importer.isNonNegative(Dim(-1) - at))
      at = at + extent;
    else if (!importer.isNonNegative(at))
      refuse("it is not shown whether " + dimText(at) + " counts from the end");
    if (importer.isNonNegative(low - at))
      return low;
    if (importer.isNonNegative(at - high))
      return high;
    // As many of a table as there are positions, say: the table has no more.
    std::vector<std::string> symbols = at.symbols();
    if (symbols.size() == 1 && at == Dim::symbol(symbols[0]) && high.constant() && *high.constant() >= 1 &&
        !importer.isNonNegative(high - at))
      throw ImpliedBound{symbols[0], *high.constant()};
    return importer.isNonNegative(at - low) ? at : max(at, low);
  };
  bool down = step < 0;
  int64_t by = std::abs(step);
  if (down) { // of the reversed axis: element i is element extent - 1 - i of this one
    start = extent - Dim(1) - resolved(start, extent == Dim(0) ? Dim(-1) : Dim(0), extent - Dim(1));
    end = extent - Dim(1) - resolved(end, Dim(-1), extent - Dim(1));
  } else {
    start = resolved(start, Dim(0), extent), end = resolved(end, Dim(0), extent);
  }
  auto smaller = [](const Dim &a, const Dim &b) { return a + b - max(a, b); };
  if (importer.isNonNegative(start - end))
    end = start;
  if (!importer.isNonNegative(extent - start))
    start = smaller(start, extent);
  if (!importer.isNonNegative(extent - end))
    end = smaller(end, extent);
  // Without its first and last elements, say: short ones have none left, which no model asks for.
  constexpr int64_t kFew = 8;
  importer.needNonNegative(end - start, kFew);
  if (!importer.isNonNegative(end - start))
    end = max(start, end);
  size = by == 1 ? end - start : (end - start + Dim(by - 1)).floordiv(by);
  if (start == Dim(0) && end == extent && by == 1)
    return ":";
  std::string out = (start == Dim(0) ? "" : dimText(start)) + ":" + (end == extent ? "" : dimText(end));
  return by == 1 ? out : out + ":" + std::to_string(by);
}

/// A single integer as one that data decide and what is added to it; nothing where it is no such thing.
static std::optional<Offset> offsetOf(Call &call, size_t input) {
  const Value *value = call.has(input) ? call.importer.find(call.node.inputs[input]) : nullptr;
  if (!value || value->items || !value->isSingle() || (value->dtype != KILN_I64 && value->dtype != KILN_I32))
    return std::nullopt;
  if (value->known)
    return value->known->front().isDim ? std::optional(Offset{"", value->known->front().dim}) : std::nullopt;
  if (value->offset)
    return *value->offset;
  return value->text.empty() ? std::nullopt : std::optional(Offset{value->text, Dim(0)});
}

void keepOffset(Call &call) {
  const std::string &op = call.node.type;
  if (op == "Equal" && call.node.domain.empty() && call.wants(0)) {
    const Value &a = call.in(0), &b = call.in(1);
    auto isSize = [](const Value &v) { return v.known && v.known->size() == 1 && v.known->front().isDim; };
    Value &out = *call.importer.find(call.node.outputs[0]);
    if (isSize(a) && isSize(b) && !out.known)
      out.zero = std::make_shared<Dim>(a.known->front().dim - b.known->front().dim);
    return;
  }
  bool sum = op == "Add" || op == "Sub",
       same = op == "Cast" || op == "Unsqueeze" || op == "Squeeze" || op == "Reshape" || op == "Identity";
  if (!(sum || same) || !call.node.domain.empty() || !call.wants(0))
    return;
  std::optional<Offset> a = offsetOf(call, 0), b = sum ? offsetOf(call, 1) : Offset{"", Dim(0)};
  Value &out = *call.importer.find(call.node.outputs[0]);
  bool isSingle = !out.known && out.isSingle() && (out.dtype == KILN_I64 || out.dtype == KILN_I32);
  if (!a || !b || !isSingle || (!a->base.empty() && !b->base.empty()) || (op == "Sub" && !b->base.empty()))
    return;
  out.offset = std::make_shared<Offset>(
      Offset{a->base.empty() ? b->base : a->base, op == "Sub" ? a->plus - b->plus : a->plus + b->plus});
}

/// A range of one axis at a place that data decide, whose length is known all the same.
static bool sliceFrom(Call &call) {
  Value x = call.in(0);
  if (call.opset < 10 || call.in(1).known || call.in(2).known)
    return false;
  std::optional<Offset> start = offsetOf(call, 1), end = offsetOf(call, 2);
  if (!start || !end || start->base != end->base)
    return false;
  std::vector<int64_t> axes, steps;
  call.sliceAxes(1, 1, axes, steps);
  std::optional<int64_t> size = (end->plus - start->plus).constant();
  if (!size || *size < 1 || steps[0] != 1)
    return false;
  call.set(0, "slice(" + call.tensor(0) + ", reshape(" + call.tensor(1) + ").to(i32), " + std::to_string(*size) + ", " +
                  std::to_string(call.axis(axes[0], x.rank())) + ")");
  return true;
}

static void slice(Call &call) {
  Value x = call.in(0);
  std::vector<Dim> starts, ends;
  std::vector<int64_t> axes, steps;
  if (sliceFrom(call))
    return;
  if (call.opset < 10) {
    for (int64_t start : call.integers("starts"))
      starts.emplace_back(start);
    for (int64_t end : call.integers("ends"))
      ends.emplace_back(end);
  } else {
    starts = call.dims(1, "its starts"), ends = call.dims(2, "its ends");
  }
  call.sliceAxes(starts.size(), ends.size(), axes, steps);
  std::vector<std::string> spans(x.shape.size(), ":");
  std::string out = call.tensor(0);
  for (size_t i = 0; i < starts.size(); ++i) {
    int64_t axis = call.axis(axes[i], x.rank());
    if (steps[i] == 0)
      refuse("its step is 0");
    Dim size;
    spans[axis] = span(call, starts[i], ends[i], steps[i], x.shape[axis], size);
    if (steps[i] < 0)
      out = "reverse(" + out + ", " + std::to_string(axis) + ")";
  }
  while (!spans.empty() && spans.back() == ":")
    spans.pop_back();
  std::string text;
  for (const std::string &span : spans)
    text += (text.empty() ? "" : ", ") + span;
  if (text.empty() && out == call.tensor(0))
    return call.alias(0, x);
  call.set(0, text.empty() ? out : out + "[" + text + "]");
}

static void oneHot(Call &call) {
  Value at = call.in(0), values = call.in(2);
  int64_t depth = call.opset >= 9 ? static_cast<int64_t>(call.floats(1, "its depth").at(0)) : 0;
  int64_t axis = call.axis(call.integer("axis", -1), at.rank() + 1);
  std::string n = std::to_string(depth);
  std::string at64 = isFloat(at.dtype) ? call.tensor(0) + ".to(i64)" : call.tensor(0);
  std::string hot = "(from_end(" + at64 + ", " + n + ")[..., None] == iota(" + n +
                    ", dtype=" + (isFloat(at.dtype) ? "i64" : dtypeName(at.dtype)) + "))";
  std::string off = values.known && values.known->size() == 2 ? elementText((*values.known)[0], values.dtype)
                                                              : call.tensor(2) + "[0]";
  std::string on = values.known && values.known->size() == 2 ? elementText((*values.known)[1], values.dtype)
                                                             : call.tensor(2) + "[1]";
  std::string out = values.known
                        ? "where(" + hot + ", full(" + on + ", dtype=" + dtypeName(values.dtype) + "), " + off + ")"
                        : "where(" + hot + ", " + on + ", " + off + ")";
  call.set(0, axis == at.rank() ? out : "moved(" + out + ", -1, " + std::to_string(axis) + ")");
}

static void reverseSequence(Call &call) {
  Value x = call.in(0);
  int64_t batch = call.integer("batch_axis", 1), time = call.integer("time_axis", 0);
  if (x.rank() < 2 || batch + time != 1 || batch * time != 0)
    refuse("its axes are not 0 and 1");
  std::string swapped = batch == 0 ? call.tensor(0) : "transpose(" + call.tensor(0) + ", 0, 1)";
  std::string out = "reverse_sequence(" + swapped + ", " + call.tensor(1) + ")";
  call.set(0, batch == 0 ? out : "transpose(" + out + ", 0, 1)");
}

std::vector<Op> indexOps() {
  return {
      {"Gather", 7, "x[:, 3], take(x, from_end(at, n), 0)", gather},
      {"GatherElements", 11, "gather(x, from_end(at, n), axis)", gatherElements},
      {"GatherND", 11, "gather_nd(x, at)", gatherND},
      {"GatherND", 1, "gather_nd(x, at)", gatherND, "", "com.microsoft"},
      {"ScatterElements", 11, "scatter_elements(x, at, updates, axis)", scatterElements},
      {"Scatter", 9, "scatter_elements(x, at, updates, axis)", scatterElements},
      {"ScatterND", 11, "scatter_nd(x, at, updates)", scatterND},
      {"Slice", 7, "x[:, 1:T - 1:2]", slice, "a length that depends on data"},
      {"OneHot", 9, "where(at[..., None] == iota(n), on, off)", oneHot, "a depth that depends on data"},
      {"ReverseSequence", 10, "reverse_sequence(x, lengths)", reverseSequence},
  };
}

} // namespace kiln::onnx
