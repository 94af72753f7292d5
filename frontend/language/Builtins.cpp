// The built-in functions' table, the binding of calls to signatures, and the checked access to arguments.
#include "frontend/language/Builtins.h"

#include "frontend/language/Elaborate.h"
#include "frontend/language/Parts.h"

#include <map>
#include <set>

namespace kiln::language {

static const std::multimap<std::string_view, const Builtin *> &table() {
  static const auto *all = [] {
    auto *map = new std::multimap<std::string_view, const Builtin *>();
    for (llvm::ArrayRef<Builtin> part :
         {elementwiseBuiltins(), reductionBuiltins(), shapeBuiltins(), networkBuiltins(), randomBuiltins(),
          compileTimeBuiltins(), declarationBuiltins(), recipeBuiltins()})
      for (const Builtin &builtin : part)
        map->emplace(builtin.name, &builtin);
    return map;
  }();
  return *all;
}

const Builtin *findBuiltin(std::string_view name, Space space) {
  const Builtin *found = nullptr;
  auto [begin, end] = table().equal_range(name);
  for (auto it = begin; it != end; ++it) {
    if (it->second->space == space)
      return it->second;
    if (!found || it->second->space == Space::General)
      found = it->second;
  }
  return found;
}

void builtinNames(std::vector<std::string> &out, bool generalOnly) {
  for (const auto &[name, builtin] : table())
    if (!generalOnly || builtin->space == Space::General)
      out.emplace_back(name);
}

/// Each table entry's signature, read once.
static const Signature &signatureOf(const Builtin &builtin) {
  static const auto *all = [] {
    auto *map = new std::map<const Builtin *, Signature>();
    for (const auto &[name, entry] : table()) {
      Signature &signature = map->emplace(entry, Signature::parse(entry->signature)).first->second;
      signature.what = std::string(name);
    }
    return map;
  }();
  return all->at(&builtin);
}

Value Elaborator::callBuiltin(const Builtin &builtin, const Arguments &arguments, Range range) {
  if (appliesToParts(entry_, builtin, arguments))
    return partsCall(*this, builtin, arguments, range);
  if (reportDimensions(*this, builtin, arguments))
    return Value::error();
  const Signature &signature = signatureOf(builtin);
  std::optional<BoundArguments> bound = bindArguments(*this, signature, arguments, range);
  if (!bound)
    return Value::error();
  for (size_t i = 0; i < signature.slots.size(); ++i)
    if (!bound->given[i])
      bound->values[i] = *signature.slots[i].initial;
  BoundCall call{*this,
                 range,
                 builtin,
                 std::move(bound->values),
                 std::move(bound->ranges),
                 std::move(bound->rest),
                 std::move(bound->restRanges),
                 std::move(bound->named)};
  for (const auto *list : {&call.values, &call.rest})
    for (const Value &value : *list)
      if (value.isError())
        return value;
  return builtin.run(call);
}

Value makeRecord(BoundCall &call) {
  const Signature &signature = signatureOf(call.builtin);
  Value value = Value::of(Value::Kind::Record);
  value.record = std::make_shared<Record>();
  value.record->kind = std::string(call.builtin.name);
  value.record->range = call.range;
  for (size_t i = 0; i < call.values.size(); ++i) {
    value.record->fields.emplace_back(signature.slots[i].name, call.values[i]);
    value.record->ranges.push_back(call.ranges[i]);
  }
  for (const auto &[name, field] : call.named) {
    value.record->fields.emplace_back(name, field);
    value.record->ranges.push_back(call.range);
  }
  return value;
}

//===-- Arguments -----------------------------------------------------------------------------------------------===//

static std::string argumentName(const BoundCall &call, size_t index) {
  const Signature &signature = signatureOf(call.builtin);
  return std::string(call.builtin.name) + "'s argument '" + signature.slots[index].name + "'";
}

template <typename T> static std::optional<T> wrong(BoundCall &call, size_t index, const std::string &wanted) {
  call.e.error(call.ranges[index],
               argumentName(call, index) + " is " + describe(call.values[index]) + "; " + wanted + " is expected");
  return std::nullopt;
}

std::optional<Value> BoundCall::tensor(size_t index) {
  if (values[index].isTensor())
    return values[index];
  if (values[index].isNumber())
    return e.toTensor(values[index], ranges[index]);
  return wrong<Value>(*this, index, "a tensor");
}

std::optional<int64_t> BoundCall::integer(size_t index) {
  if (std::optional<int64_t> value = values[index].asInteger())
    return value;
  return wrong<int64_t>(*this, index, "a whole number known at compile time");
}

std::optional<Dim> BoundCall::dim(size_t index) {
  if (values[index].isInteger())
    return values[index].integer;
  return wrong<Dim>(*this, index, "a number or dimension");
}

std::optional<double> BoundCall::number(size_t index) {
  if (std::optional<double> value = values[index].asDouble())
    return value;
  return wrong<double>(*this, index, "a number known at compile time");
}

std::optional<bool> BoundCall::boolean(size_t index) {
  if (values[index].kind == Value::Kind::Boolean)
    return values[index].boolean;
  return wrong<bool>(*this, index, "True or False");
}

std::optional<std::string> BoundCall::string(size_t index) {
  if (values[index].kind == Value::Kind::String)
    return values[index].text;
  return wrong<std::string>(*this, index, "a string");
}

std::optional<mlir::Type> BoundCall::dtype(size_t index) {
  if (values[index].kind == Value::Kind::Dtype && !isClass(values[index].dtype))
    return elementType(values[index].dtype, e.context());
  return wrong<mlir::Type>(*this, index, "a dtype such as f32");
}

std::optional<int64_t> BoundCall::axis(size_t index, int64_t rank) {
  std::optional<int64_t> value = integer(index);
  if (!value)
    return std::nullopt;
  int64_t axis = *value < 0 ? *value + rank : *value;
  if (axis < 0 || axis >= rank) {
    e.error(ranges[index], "the axis " + std::to_string(*value) + " is outside of a tensor with " +
                               std::to_string(rank) + (rank == 1 ? " axis" : " axes"));
    return std::nullopt;
  }
  return axis;
}

std::optional<std::vector<int64_t>> BoundCall::axes(size_t index, int64_t rank) {
  std::vector<int64_t> axes;
  if (values[index].isNone()) {
    for (int64_t i = 0; i < rank; ++i)
      axes.push_back(i);
    return axes;
  }
  if (!values[index].isList()) {
    std::optional<int64_t> one = axis(index, rank);
    if (!one)
      return std::nullopt;
    return std::vector<int64_t>{*one};
  }
  std::set<int64_t> set;
  for (const Value &item : *values[index].items) {
    std::optional<int64_t> number = item.asInteger();
    int64_t axis = number ? (*number < 0 ? *number + rank : *number) : -1;
    if (axis < 0 || axis >= rank || !set.insert(axis).second) {
      e.error(ranges[index], "axes are different numbers between " + std::to_string(-rank) + " and " +
                                 std::to_string(rank - 1) + " here; found " + describe(item));
      return std::nullopt;
    }
  }
  return std::vector<int64_t>(set.begin(), set.end());
}

std::optional<std::vector<Dim>> BoundCall::shape(size_t from, size_t leaveOut) {
  std::vector<Value> items(rest.begin() + from, rest.end() - leaveOut);
  Range at = restRanges.empty() ? range : restRanges[std::min(from, restRanges.size() - 1)];
  if (items.size() == 1 && items[0].isList())
    items = std::vector<Value>(*items[0].items);
  std::vector<Dim> dims;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].isInteger()) {
      Diagnostic &diagnostic = e.error(rest.size() == items.size() ? restRanges[from + i] : at,
                                       "a dimension is a whole number; this is " + describe(items[i]));
      if (items[i].isTensor() && isFloat(items[i].tensorType().getElementType()))
        diagnostic.withHelp("B // 2 and 5 * B // 4 are dimensions; B / 2 is computed in the run");
      return std::nullopt;
    }
    dims.push_back(items[i].integer);
  }
  return dims;
}

Origins BoundCall::restOrigins() const {
  Origins origins;
  const std::vector<Value> &items = rest.size() == 1 && rest[0].isList() ? *rest[0].items : rest;
  for (size_t i = 0; i < items.size(); ++i)
    origins.push_back({items[i].origin ? items[i].origin : rest.size() == items.size() ? restRanges[i] : Range()});
  return origins;
}

std::optional<std::vector<int64_t>> BoundCall::perAxis(size_t index, size_t count) {
  if (std::optional<int64_t> one = values[index].asInteger())
    return std::vector<int64_t>(count, *one);
  std::vector<int64_t> out;
  if (values[index].isList())
    for (const Value &item : *values[index].items)
      if (std::optional<int64_t> number = item.asInteger())
        out.push_back(*number);
  if (values[index].isList() && out.size() == count && values[index].items->size() == count)
    return out;
  return wrong<std::vector<int64_t>>(*this, index, "a number, or a tuple of " + std::to_string(count) + " numbers,");
}

} // namespace kiln::language
