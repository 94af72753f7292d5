// What the writer of an op sees of its node.
#include "frontend/onnx/Importer.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln::onnx {

void refuse(std::string why) { throw Refusal{std::move(why)}; }

//===-- Attributes -----------------------------------------------------------------------------------------------===//

const Attribute *Call::attribute(std::string_view name) {
  asked_.emplace(name);
  return node.find(name);
}

bool Call::hasAttribute(std::string_view name) { return attribute(name) != nullptr; }

static const Attribute *ofKind(Call &call, std::string_view name, Attribute::Kind kind) {
  const Attribute *found = call.attribute(name);
  if (found && found->kind != kind)
    refuse("its attribute '" + std::string(name) + "' is " + kindName(found->kind) + "; " + kindName(kind) +
           " is expected");
  return found;
}

int64_t Call::integer(std::string_view name, int64_t fallback) {
  const Attribute *found = ofKind(*this, name, Attribute::Int);
  return found ? found->integer : fallback;
}

double Call::number(std::string_view name, double fallback) {
  const Attribute *found = ofKind(*this, name, Attribute::Float);
  return found ? static_cast<double>(found->number) : fallback;
}

std::string Call::string(std::string_view name, const std::string &fallback) {
  const Attribute *found = ofKind(*this, name, Attribute::String);
  return found ? found->text : fallback;
}

std::vector<int64_t> Call::integers(std::string_view name, std::vector<int64_t> fallback) {
  const Attribute *found = ofKind(*this, name, Attribute::Ints);
  return found ? found->integers : std::move(fallback);
}

std::vector<double> Call::numbers(std::string_view name, std::vector<double> fallback) {
  const Attribute *found = ofKind(*this, name, Attribute::Floats);
  return found ? std::vector<double>(found->numbers.begin(), found->numbers.end()) : std::move(fallback);
}

void Call::checkAttributes() const {
  for (const Attribute &attribute : node.attributes)
    if (!asked_.contains(attribute.name))
      refuse("its attribute '" + attribute.name + "' is not known for opset " + std::to_string(opset));
}

//===-- Inputs ---------------------------------------------------------------------------------------------------===//

Value &Call::in(size_t index) {
  if (!has(index))
    refuse("its input " + std::to_string(index) + " is missing");
  Value &value = *importer.find(node.inputs[index]);
  if (value.items)
    refuse("its input " + std::to_string(index) + ", '" + node.inputs[index] + "', is a sequence of tensors");
  return value;
}

std::string Call::number(size_t index, int64_t rank) {
  Value &value = in(index);
  bool isWeight = value.constant && value.rank() > 0 && isFloat(value.dtype) && !value.constant->name.empty();
  if (value.text.empty() && value.known && value.isSingle() && value.rank() <= rank && !isWeight)
    return elementText(value.known->front(), value.dtype);
  return importer.tensor(value);
}

std::string Call::setting(size_t index, int64_t rank) {
  Value value = in(index);
  if (!value.initial || !value.isSingle())
    return number(index, rank);
  if (value.rank() <= rank)
    return elementText(value.initial->front(), value.dtype);
  value.text = "", value.known = value.initial, value.constant = nullptr; // of this copy alone
  return importer.tensor(value);
}

std::string Call::tensor(size_t index) { return importer.tensor(in(index)); }

std::vector<std::string> Call::operands() {
  int64_t rank = -1;
  for (size_t i = 0; i < inputs(); ++i) {
    Value &value = in(i);
    if (!value.text.empty() || !value.known || !value.isSingle())
      rank = std::max(rank, value.rank());
  }
  std::vector<std::string> out;
  for (size_t i = 0; i < inputs(); ++i)
    out.push_back(rank < 0 && i == 0 ? tensor(i) : number(i, rank < 0 ? in(0).rank() : rank));
  return out;
}

std::vector<Element> Call::elements(size_t index, const char *what) {
  Value &value = in(index);
  if (!value.known && value.initial)
    return *value.initial;
  if (!value.known)
    refuse(std::string(what) + " depend" + (std::string_view(what).ends_with("s") ? "" : "s") + " on data: '" +
           node.inputs[index] + "' is not known before the model runs");
  return *value.known;
}

std::vector<Dim> Call::dims(size_t index, const char *what) {
  std::vector<Dim> out;
  for (const Element &element : elements(index, what)) {
    if (!element.isDim)
      refuse(std::string(what) + ": '" + node.inputs[index] + "' holds a fraction");
    out.push_back(element.dim);
  }
  return out;
}

std::vector<int64_t> Call::constants(size_t index, const char *what) {
  std::vector<int64_t> out;
  for (const Dim &dim : dims(index, what)) {
    std::optional<int64_t> number = dim.constant();
    if (!number)
      refuse(std::string(what) + " would have to be numbers, and '" + node.inputs[index] + "' holds " + dim.str());
    out.push_back(*number);
  }
  return out;
}

std::vector<double> Call::floats(size_t index, const char *what) {
  std::vector<double> out;
  for (const Element &element : elements(index, what)) {
    std::optional<double> number = element.constant();
    if (!number)
      refuse(std::string(what) + " would have to be numbers, and '" + node.inputs[index] + "' holds " +
             element.dim.str());
    out.push_back(*number);
  }
  return out;
}

int64_t Call::axis(int64_t axis, int64_t rank) const {
  int64_t positive = axis < 0 ? axis + rank : axis;
  if (positive < 0 || positive >= rank)
    refuse("its axis " + std::to_string(axis) + " is outside of a tensor with " + std::to_string(rank) +
           (rank == 1 ? " axis" : " axes"));
  return positive;
}

void Call::sliceAxes(size_t starts, size_t ends, std::vector<int64_t> &axes, std::vector<int64_t> &steps) {
  if (opset < 10) {
    axes = integers("axes");
  } else {
    axes = has(3) ? constants(3, "its axes") : std::vector<int64_t>();
    steps = has(4) ? constants(4, "its steps") : std::vector<int64_t>();
  }
  for (size_t i = axes.size(); i < starts; ++i)
    axes.push_back(static_cast<int64_t>(i));
  steps.resize(starts, 1);
  if (ends != starts || axes.size() != starts)
    refuse("it has " + std::to_string(starts) + " starts, " + std::to_string(ends) + " ends and " +
           std::to_string(axes.size()) + " axes");
}

std::vector<int64_t> Call::axes(const char *name, size_t input, int64_t since, int64_t rank,
                                std::vector<int64_t> fallback) {
  std::vector<int64_t> out;
  if (opset >= since ? !has(input) : !hasAttribute(name))
    return fallback;
  for (int64_t axis : opset >= since ? constants(input, "its axes") : integers(name)) {
    int64_t positive = this->axis(axis, rank);
    if (std::find(out.begin(), out.end(), positive) != out.end())
      refuse("its axis " + std::to_string(axis) + " is named twice");
    out.push_back(positive);
  }
  return out;
}

//===-- Results --------------------------------------------------------------------------------------------------===//

/// The result's name, where it is one: PyTorch's exporter calls what has none val_N.
static std::string wishOf(const Call &call, size_t index) {
  std::string name = index < call.node.outputs.size() ? call.node.outputs[index] : "";
  bool isMadeUp = name.starts_with("val_") && name.find_first_not_of("0123456789", 4) == std::string::npos;
  return isMadeUp ? "" : name;
}

std::string Call::resultName(size_t index) { return importer.fresh(wishOf(*this, index), node.type); }

void Call::set(size_t index, const std::string &expression) {
  if (!wants(index))
    return;
  std::string name = resultName(index);
  importer.write({name}, expression);
  importer.bind(node.outputs[index], importer.typeOf(name));
}

void Call::setAll(const std::string &expression, size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i)
    names.push_back(wants(i) ? importer.fresh(wishOf(*this, i), node.type) : "_");
  importer.write(names, expression);
  for (size_t i = 0; i < count; ++i)
    if (wants(i))
      importer.bind(node.outputs[i], importer.typeOf(names[i]));
}

void Call::alias(size_t index, Value value) {
  if (wants(index))
    importer.bind(node.outputs[index], std::move(value));
}

void Call::setRows(size_t index, int64_t axis, const std::string &count) {
  if (wants(index))
    importer.find(node.outputs[index])->rows = std::make_shared<Rows>(Rows{axis, count});
}

void Call::know(size_t index, kiln_dtype dtype, std::vector<Dim> shape, std::vector<Element> elements) {
  Value value;
  value.dtype = dtype;
  value.shape = std::move(shape);
  value.known = std::make_shared<std::vector<Element>>(std::move(elements));
  value.wish = wishOf(*this, index);
  alias(index, std::move(value));
}

void Call::setAs(kiln_dtype dtype, const std::string &expression) {
  Value result = typed(let(wants(0) ? node.outputs[0] : "", expression));
  result.dtype == dtype ? alias(0, result) : set(0, result.text + ".to(" + dtypeName(dtype) + ")");
}

void Call::ofShapes() {
  for (const std::string &name : node.outputs)
    if (Value *value = importer.find(name); value && value->known)
      value->sized = true;
}

std::string Call::let(const std::string &wish, const std::string &expression) {
  std::string name = importer.fresh(wish, node.type);
  importer.write({name}, expression);
  return name;
}

Value Call::typed(const std::string &name) { return importer.typeOf(name); }

void readsOf(const Node &node, std::vector<std::string> &out) {
  out.insert(out.end(), node.inputs.begin(), node.inputs.end());
  for (const Attribute &attribute : node.attributes)
    if (attribute.graph) {
      for (const Node &inner : attribute.graph->nodes)
        readsOf(inner, out);
      for (const ValueInfo &output : attribute.graph->outputs)
        out.push_back(output.name);
    }
}

} // namespace kiln::onnx
