// Values as C++ types, and how they are called in messages.

#include "frontend/language/Value.h"

#include "frontend/language/Builtins.h"
#include "ir/Classes.h"
#include "ir/Infer.h"
#include "runtime/support/Tensor.h"

#include <cstdio>

namespace kiln::language {

const Value *Instance::find(std::string_view name) const {
  for (const auto *list : {&attributes, &arguments})
    for (const auto &[key, value] : *list)
      if (key == name)
        return &value;
  return nullptr;
}

Value Value::integerOf(Dim dim, Range origin) {
  Value value = of(Kind::Integer);
  value.integer = std::move(dim);
  value.origin = origin;
  return value;
}
Value Value::floatOf(double number) {
  Value value = of(Kind::Float);
  value.number = number;
  return value;
}
Value Value::booleanOf(bool boolean) {
  Value value = of(Kind::Boolean);
  value.boolean = boolean;
  return value;
}
Value Value::stringOf(std::string text) {
  Value value = of(Kind::String);
  value.text = std::move(text);
  return value;
}
Value Value::tensorOf(mlir::Value tensor, std::shared_ptr<const Origins> origins) {
  Value value = of(Kind::Tensor);
  value.tensor = tensor;
  value.origins = std::move(origins);
  return value;
}
Value Value::listOf(std::vector<Value> items) {
  Value value = of(Kind::List);
  value.items = std::make_shared<std::vector<Value>>(std::move(items));
  return value;
}

std::optional<double> Value::asDouble() const {
  if (kind == Kind::Float)
    return number;
  if (kind == Kind::Boolean)
    return boolean ? 1.0 : 0.0;
  if (std::optional<int64_t> whole = asInteger())
    return static_cast<double>(*whole);
  return std::nullopt;
}

std::optional<int64_t> Value::asInteger() const {
  if (kind == Kind::Integer)
    return integer.constant();
  if (kind == Kind::Boolean)
    return boolean;
  return std::nullopt;
}

static std::string numberText(double number) {
  if (number != number)
    return "nan"; // its sign says nothing
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.12g", number);
  return buffer;
}

std::string describe(const Value &value) {
  switch (value.kind) {
  case Value::Kind::Error:
    return "an error";
  case Value::Kind::None:
    return "None";
  case Value::Kind::Integer:
    return value.integer.isConstant() ? "the number " + value.integer.str() : "the dimension " + value.integer.str();
  case Value::Kind::Float:
    return "the number " + numberText(value.number);
  case Value::Kind::Boolean:
    return value.boolean ? "True" : "False";
  case Value::Kind::String:
    return "the string \"" + value.text + "\"";
  case Value::Kind::Tensor:
    return (value.rank() == 0 ? "a scalar " : "a tensor ") + typeName(value.tensor.getType());
  case Value::Kind::List:
    return value.names ? "a dict" : "a list of " + std::to_string(value.items->size());
  case Value::Kind::Instance:
    return value.instance->sequential ? "a Sequential" : "a " + value.instance->module->name;
  case Value::Kind::Function:
    return "the function " + value.declaration->name;
  case Value::Kind::Builtin:
    return "the function " + std::string(value.builtin->name);
  case Value::Kind::Module:
    return "the module " + value.declaration->name + " itself, not an instance";
  case Value::Kind::Dtype:
    return std::string("the dtype ") + dtypeName(value.dtype);
  case Value::Kind::Type:
    return "the type " + typeText(value.type->dtype, value.type->dims);
  case Value::Kind::Record:
    return value.record->kind + "(…)";
  case Value::Kind::Variable:
    return value.variable->kind == Variable::Kind::Parameter ? "a parameter" : "a state";
  case Value::Kind::Ellipsis:
    return "'...'";
  }
  return "a value";
}

// Those that are no classes stand in the order of the table of dtypes.
static_assert(static_cast<int>(Dtype::f32) == KILN_F32 && static_cast<int>(Dtype::boolean) == KILN_BOOL);

std::optional<Dtype> dtypeByName(std::string_view name) {
  for (Dtype dtype = Dtype::f32; dtype <= Dtype::any; dtype = static_cast<Dtype>(static_cast<int>(dtype) + 1))
    if (name == dtypeName(dtype))
      return dtype;
  return std::nullopt;
}

const char *dtypeName(Dtype dtype) {
  switch (dtype) {
  case Dtype::anyFloat:
    return "float";
  case Dtype::anyInt:
    return "int";
  case Dtype::any:
    return "any";
  default:
    return kiln::dtypeName(static_cast<kiln_dtype>(dtype));
  }
}

bool isClass(Dtype dtype) { return dtype >= Dtype::anyFloat; }

mlir::Type elementType(Dtype dtype, mlir::MLIRContext *context) {
  mlir::Builder b(context);
  switch (dtype) {
  case Dtype::f32:
  case Dtype::anyFloat:
  case Dtype::any:
    return b.getF32Type();
  case Dtype::f64:
    return b.getF64Type();
  case Dtype::bf16:
    return b.getBF16Type();
  case Dtype::f16:
    return b.getF16Type();
  case Dtype::i8:
    return b.getIntegerType(8);
  case Dtype::u8:
    return b.getIntegerType(8, false);
  case Dtype::i32:
  case Dtype::anyInt:
    return b.getIntegerType(32);
  case Dtype::u32:
    return b.getIntegerType(32, false);
  case Dtype::i64:
    return b.getIntegerType(64);
  case Dtype::boolean:
    return b.getI1Type();
  }
  return b.getF32Type();
}

bool isFloat(mlir::Type element) { return llvm::isa<mlir::FloatType>(element); }

Dtype dtypeOf(mlir::Type element) {
  std::optional<kiln_dtype> dtype = kiln::dtypeOf(element);
  return dtype ? static_cast<Dtype>(*dtype) : Dtype::any;
}

bool matches(Dtype pattern, mlir::Type element) {
  switch (pattern) {
  case Dtype::any:
    return true;
  case Dtype::anyFloat:
    return isFloat(element);
  case Dtype::anyInt:
    return !isFloat(element) && !element.isInteger(1);
  default:
    return elementType(pattern, element.getContext()) == element;
  }
}

std::string typeName(mlir::Type tensor) {
  llvm::SmallVector<Dim> dims = dimsOf(tensor);
  return typeText(dtypeOf(llvm::cast<mlir::RankedTensorType>(tensor).getElementType()),
                  std::vector<Dim>(dims.begin(), dims.end()));
}

std::string typeText(Dtype dtype, const std::vector<Dim> &dims) {
  std::string text = dtypeName(dtype);
  if (dims.empty())
    return text;
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? ", " : "[") + dims[i].str();
  return text + "]";
}

} // namespace kiln::language
