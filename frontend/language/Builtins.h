// The table of built-in functions. Each entry has a signature in the language's own syntax, from which calls are bound,
// and a C++ function that is handed the bound values.
#pragma once

#include "frontend/language/Value.h"

namespace kiln::language {

/// Where a name is looked for first: `constant` is an initialiser behind `init=` and a schedule in an optimizer's rate.
enum class Space { General, Init, Recipe, Rate, Reader, Draw };

/// The values of one call, in the order of the signature.
struct BoundCall {
  Elaborator &e;
  Range range; // of the whole call
  const Builtin &builtin;
  std::vector<Value> values;
  std::vector<Range> ranges; // of the arguments; of the call where the default stands
  std::vector<Value> rest;   // of a signature with *rest
  std::vector<Range> restRanges;
  std::vector<std::pair<std::string, Value>> named; // of a signature with **named

  // Each reports an error and gives nullopt (or an error value) when the argument is of another kind.
  std::optional<Value> tensor(size_t index);    // numbers become scalars
  std::optional<int64_t> integer(size_t index); // a constant
  std::optional<Dim> dim(size_t index);
  std::optional<double> number(size_t index);
  std::optional<bool> boolean(size_t index);
  std::optional<std::string> string(size_t index);
  std::optional<mlir::Type> dtype(size_t index);
  std::optional<int64_t> axis(size_t index, int64_t rank);
  /// One axis, several, or None for all; sorted.
  std::optional<std::vector<int64_t>> axes(size_t index, int64_t rank);
  /// The rest as a shape: numbers one by one, or one tuple of them.
  std::optional<std::vector<Dim>> shape(size_t from = 0, size_t leaveOut = 0);
  /// A number for all spatial axes, or a tuple with one for each.
  std::optional<std::vector<int64_t>> perAxis(size_t index, size_t count);
  Origins restOrigins() const;

  bool given(size_t index) const { return !values[index].isNone(); }
};

/// As values hold them.
inline std::shared_ptr<Origins> shared(Origins origins) { return std::make_shared<Origins>(std::move(origins)); }

struct Builtin {
  std::string_view name;
  std::string_view signature; // "x, axis=None, keepdims=False", "*tensors, axis=-1"
  Value (*run)(BoundCall &);
  Space space = Space::General;
};

/// Every table's entries; each lives in its own file.
llvm::ArrayRef<Builtin> elementwiseBuiltins();
llvm::ArrayRef<Builtin> reductionBuiltins();
llvm::ArrayRef<Builtin> shapeBuiltins();
llvm::ArrayRef<Builtin> networkBuiltins();
llvm::ArrayRef<Builtin> randomBuiltins();
llvm::ArrayRef<Builtin> compileTimeBuiltins();
llvm::ArrayRef<Builtin> declarationBuiltins();
llvm::ArrayRef<Builtin> recipeBuiltins();

/// The function of this name: first among those of the space, then the others; null when there is none.
const Builtin *findBuiltin(std::string_view name, Space space);
/// The call's arguments as a record that is named after the function.
Value makeRecord(BoundCall &call);
bool reportDimensions(Elaborator &e, const Builtin &builtin, const Arguments &arguments);
void builtinNames(std::vector<std::string> &out, bool generalOnly = false);

} // namespace kiln::language
