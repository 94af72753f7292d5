// Values that consist of tensors: taken apart and put together again.
#include "frontend/language/Structure.h"

#include "frontend/language/Elaborate.h"

#include <cstring>

namespace kiln::language {

bool flatten(const Value &value, std::vector<Value> &out) {
  if (value.isTensor()) {
    out.push_back(value);
    return true;
  }
  if (!value.isList())
    return false;
  for (const Value &item : *value.items)
    if (!flatten(item, out))
      return false;
  return true;
}

Value rebuild(const Value &shape, std::vector<Value>::const_iterator &next) {
  if (shape.isTensor())
    return *next++;
  std::vector<Value> items;
  for (const Value &item : *shape.items)
    items.push_back(rebuild(item, next));
  Value value = Value::listOf(std::move(items));
  value.names = shape.names;
  return value;
}

bool numbersToTensors(Elaborator &e, Value &value, Range range) {
  if (value.isNumber()) {
    std::optional<Value> tensor = e.toTensor(value, range);
    if (!tensor)
      return false;
    value = *tensor;
  } else if (value.isList()) {
    std::vector<Value> items = *value.items;
    for (Value &item : items)
      if (!numbersToTensors(e, item, range))
        return false;
    auto names = value.names;
    value = Value::listOf(std::move(items));
    value.names = names;
  }
  return true;
}

static bool sameItems(const Value &left, const Value &right) {
  if (left.items == right.items)
    return true;
  return left.items && right.items &&
         std::equal(left.items->begin(), left.items->end(), right.items->begin(), right.items->end(), isSame);
}

bool isSame(const Value &left, const Value &right) {
  if (left.kind != right.kind)
    return false;
  switch (left.kind) {
  case Value::Kind::Error:
  case Value::Kind::None:
  case Value::Kind::Ellipsis:
    return true;
  case Value::Kind::Integer:
    return left.integer == right.integer;
  case Value::Kind::Float: // two zeros of different signs are two values, a NaN is itself
    return std::memcmp(&left.number, &right.number, sizeof(double)) == 0;
  case Value::Kind::Boolean:
    return left.boolean == right.boolean;
  case Value::Kind::String:
    return left.text == right.text;
  case Value::Kind::Tensor:
    return left.tensor == right.tensor;
  case Value::Kind::Dtype:
    return left.dtype == right.dtype;
  case Value::Kind::List:
    return sameItems(left, right) &&
           (left.names == right.names || (left.names && right.names && *left.names == *right.names));
  case Value::Kind::Instance:
  case Value::Kind::Function:
  case Value::Kind::Builtin:
  case Value::Kind::Module:
    return left.instance == right.instance && left.declaration == right.declaration && left.builtin == right.builtin &&
           sameItems(left, right);
  case Value::Kind::Type:
    return left.type == right.type;
  case Value::Kind::Record:
    return left.record == right.record;
  case Value::Kind::Variable:
    return left.variable == right.variable;
  }
  return false;
}

} // namespace kiln::language
