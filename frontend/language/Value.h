// What an expression can be while a module is being elaborated: a compile-time value, or a tensor that an op gives.
#pragma once

#include "frontend/language/Ast.h"
#include "ir/Kiln.h"

#include <map>
#include <memory>
#include <optional>

namespace kiln::language {

class Elaborator;
struct Arguments;
struct Builtin;
struct Value;
struct Captured;

/// Where a dimension (or the number behind it) was written.
struct Origin {
  Range range;
};
using Origins = std::vector<Origin>;

/// Element types, and the classes of them that a signature may name.
enum class Dtype { f32, f64, bf16, f16, i8, u8, i32, u32, i64, boolean, anyFloat, anyInt, any };

/// A tensor type as written: `f32[B, T]`.
struct TypeInfo {
  Dtype dtype = Dtype::f32;
  std::vector<Dim> dims;
  Origins origins;
  Range range;
};

/// A trained parameter or a state: what was declared, and its place among the model's.
struct Variable {
  enum class Kind { Parameter, Persistent, Session } kind = Kind::Parameter;
  TypeInfo type;
  std::string initKind = "zeros";
  std::vector<std::pair<std::string, double>> initFields;
  bool trainable = true;
  int64_t batchAxis = 0;
  std::string lastName;               // the last component of its name, when given
  std::string name;                   // the path; empty until the model's tree has been walked
  int index = -1;                     // among the model's parameters or states
  std::shared_ptr<Variable> original; // of a copy, whose initial values are that one's
  Range range;
};

/// One module brought to life with its arguments. `Sequential` has items in the place of a declaration.
struct Instance {
  const Stmt *module = nullptr;
  std::vector<std::pair<std::string, Value>> arguments, attributes;
  std::map<std::string, Range, std::less<>> setAt; // where an attribute got its value
  std::vector<Value> items;
  bool sequential = false, underConstruction = true;
  bool inference = false; // whatever mode the program is in
  Range range;            // of the call that made it

  const Value *find(std::string_view name) const;
};

/// A named bundle of settings: an optimizer, a schedule, an initialiser, a data source.
struct Record {
  std::string kind;
  std::vector<std::pair<std::string, Value>> fields;
  std::vector<Range> ranges; // of the fields' expressions, empty where the default stands
  Range range;
  const Stmt *module = nullptr;         // of an optimizer
  std::shared_ptr<Arguments> arguments; // its, as they were given
};

struct Value {
  enum class Kind {
    Error, // something that was reported; whatever touches it stays silent
    None,
    Integer, // a dimension expression: a number, or symbolic
    Float,
    Boolean,
    String,
    Tensor,
    List, // lists, tuples, and dict(...), whose items have names
    Instance,
    Function, // declared with def; `instance` is its self
    Builtin,
    Module, // not yet instantiated
    Dtype,
    Type,
    Record,
    Variable, // a parameter or state, outside of a function
    Ellipsis,
  };

  Kind kind = Kind::Error;
  Dim integer;
  double number = 0;
  bool boolean = false;
  std::string text;
  mlir::Value tensor;
  std::shared_ptr<std::vector<Value>> items;
  std::shared_ptr<std::vector<std::string>> names; // of the items of a dict
  std::shared_ptr<Instance> instance;
  std::shared_ptr<Variable> variable;
  std::shared_ptr<Record> record;
  std::shared_ptr<TypeInfo> type;
  const Stmt *declaration = nullptr; // of a function or module
  Captured *captured = nullptr;      // of a function within another one: what it sees of that one
  const Builtin *builtin = nullptr;
  Dtype dtype = Dtype::f32;
  Range origin;                           // of an integer: where it was written
  std::shared_ptr<const Origins> origins; // of a tensor's dimensions, where known

  static Value error() { return {}; }
  static Value none() { return of(Kind::None); }
  static Value of(Kind kind) {
    Value value;
    value.kind = kind;
    return value;
  }
  static Value integerOf(Dim dim, Range origin = {});
  static Value floatOf(double number);
  static Value booleanOf(bool boolean);
  static Value stringOf(std::string text);
  static Value tensorOf(mlir::Value tensor, std::shared_ptr<const Origins> origins = nullptr);
  static Value listOf(std::vector<Value> items);

  bool isError() const { return kind == Kind::Error; }
  /// As it is written: True, which counts as 1 elsewhere, is none.
  bool isNumeral() const { return kind == Kind::Integer || kind == Kind::Float; }
  bool isNone() const { return kind == Kind::None; }
  bool isTensor() const { return kind == Kind::Tensor; }
  bool isInteger() const { return kind == Kind::Integer; }
  bool isList() const { return kind == Kind::List; }
  /// A compile-time number or boolean; a symbolic dimension counts.
  bool isNumber() const { return kind == Kind::Integer || kind == Kind::Float || kind == Kind::Boolean; }
  /// The number, where it is one and not symbolic.
  std::optional<double> asDouble() const;
  std::optional<int64_t> asInteger() const;

  mlir::RankedTensorType tensorType() const { return llvm::cast<mlir::RankedTensorType>(tensor.getType()); }
  int64_t rank() const { return tensorType().getRank(); }
  Range originOf(size_t axis) const { return origins && axis < origins->size() ? (*origins)[axis].range : Range(); }
};

/// How a value is called in messages: "a number", "a tensor f32[B, T]", "the module Linear".
std::string describe(const Value &value);

std::optional<Dtype> dtypeByName(std::string_view name);
const char *dtypeName(Dtype dtype);
bool isClass(Dtype dtype);
mlir::Type elementType(Dtype dtype, mlir::MLIRContext *context);
Dtype dtypeOf(mlir::Type element);
bool matches(Dtype pattern, mlir::Type element);
bool isFloat(mlir::Type element);
std::string typeName(mlir::Type tensor);
/// "f32[B, T]"
std::string typeText(Dtype dtype, const std::vector<Dim> &dims);

} // namespace kiln::language
