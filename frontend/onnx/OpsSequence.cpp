// Sequences of tensors, as far as how many there are is known: lists while the model is read, nothing in the text.
#include "frontend/onnx/Ops.h"

namespace kiln::onnx {

static constexpr int64_t kMostItems = 4096;

static const std::vector<Value> &sequenceOf(Call &call, size_t index) {
  Value *value = call.has(index) ? call.importer.find(call.node.inputs[index]) : nullptr;
  if (!value || !value->items)
    refuse("its input " + std::to_string(index) + " is no sequence that is known");
  return *value->items;
}

static void setSequence(Call &call, std::vector<Value> items) {
  Value value;
  value.items = std::make_shared<std::vector<Value>>(std::move(items));
  call.alias(0, value);
}

/// The sizes of the parts along the axis: as listed, or equal ones but for the last.
static std::vector<Dim> partSizes(Call &call, const Dim &extent) {
  if (call.has(1) && call.in(1).rank() == 1)
    return call.dims(1, "its sizes");
  int64_t part = call.has(1) ? call.constants(1, "its part").at(0) : 1;
  if (part < 1)
    refuse("a part is " + std::to_string(part) + " long");
  std::optional<int64_t> whole = extent.constant();
  if (!whole)
    refuse("how many parts there are depends on the dimension " + dimText(extent) + ": --dim sets it to a number");
  if ((*whole + part - 1) / part > kMostItems)
    refuse("it makes more than " + std::to_string(kMostItems) + " parts");
  std::vector<Dim> sizes;
  for (int64_t at = 0; at < *whole; at += part)
    sizes.emplace_back(std::min(part, *whole - at));
  return sizes;
}

static void splitToSequence(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.integer("axis", 0), x.rank());
  bool keeps = call.integer("keepdims", 1) != 0 || call.has(1);
  std::vector<Dim> sizes = partSizes(call, x.shape[axis]);
  if (sizes.empty() || sizes.size() > static_cast<size_t>(kMostItems))
    refuse("it makes " + std::to_string(sizes.size()) + " parts");
  std::vector<std::string> names;
  std::string wish = call.node.outputs.empty() ? "part" : call.node.outputs[0];
  for (size_t i = 0; i < sizes.size(); ++i)
    names.push_back(call.importer.fresh(wish + "_" + std::to_string(i), "part"));
  if (sizes.size() == 1)
    call.importer.write(names, call.tensor(0));
  else
    call.importer.write(names,
                        "split(" + call.tensor(0) + ", (" + dimsText(sizes) + "), axis=" + std::to_string(axis) + ")");
  std::vector<Value> items;
  for (const std::string &name : names)
    items.push_back(call.typed(keeps ? name : call.let(name, "squeeze(" + name + ", " + std::to_string(axis) + ")")));
  setSequence(call, std::move(items));
}

static void sequenceConstruct(Call &call) {
  std::vector<Value> items;
  for (size_t i = 0; i < call.inputs(); ++i)
    items.push_back(call.in(i));
  setSequence(call, std::move(items));
}

static void sequenceAt(Call &call) {
  const std::vector<Value> &items = sequenceOf(call, 0);
  auto count = static_cast<int64_t>(items.size());
  int64_t at = call.constants(1, "its place").at(0);
  if (at < -count || at >= count)
    refuse("its place " + std::to_string(at) + " is outside of a sequence of " + std::to_string(count));
  call.alias(0, items[static_cast<size_t>(at < 0 ? at + count : at)]);
}

static void sequenceLength(Call &call) {
  call.know(0, KILN_I64, {}, {Element(Dim(static_cast<int64_t>(sequenceOf(call, 0).size())))});
}

static void concatFromSequence(Call &call) {
  std::vector<Value> items = sequenceOf(call, 0);
  if (items.empty())
    refuse("its sequence is empty");
  bool isNew = call.integer("new_axis", 0) != 0;
  int64_t axis = call.axis(call.integer("axis", 0), items[0].rank() + (isNew ? 1 : 0));
  std::string all;
  for (Value &item : items)
    all += call.importer.tensor(item) + ", ";
  call.set(0, std::string(isNew ? "stack(" : "concat(") + all + "axis=" + std::to_string(axis) + ")");
}

std::vector<Op> sequenceOps() {
  return {
      {"SplitToSequence", 11, "split(x, (2, 2), axis=1)", splitToSequence, "a number of parts that is not known"},
      {"SequenceConstruct", 11, "a, b", sequenceConstruct},
      {"SequenceAt", 11, "b", sequenceAt, "a place that depends on data"},
      {"SequenceLength", 11, "2", sequenceLength},
      {"ConcatFromSequence", 11, "concat(a, b, axis=1)", concatFromSequence},
  };
}

} // namespace kiln::onnx
