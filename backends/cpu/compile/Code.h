// A builder that puts every value where it is computed least often.
//
// Functions, loops and arithmetic of kernels. Integers are i64, addresses !llvm.ptr; control flow is scf, arithmetic
// arith/math/vector, memory the llvm dialect's loads and stores (masked ones too).
//
// Code keeps the stack of loops under construction. `op<…>` and the integer helpers put an operation in the
// outermost loop whose values it needs, so that what does not depend on a loop stands before it: no later pass has to
// hoist. That includes loads, which is sound because a kernel reads no memory that an earlier iteration wrote; where
// that does not hold (scratch, accumulators), use `here<…>`, which places at the current point.
#pragma once

#include "backends/cpu/compile/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/DenseMap.h"
#include <optional>

namespace kiln::cpu {

/// What the code is for, as far as code shapes depend on it.
struct Machine {
  std::string triple, cpu;
  std::string targetFeatures; // for LLVM, each with its sign: "+avx2,-avx512f"
  std::string features;       // those that a processor is asked for at start: "avx2,fma,avx512f"
  int64_t vectorBytes = 16;   // of the widest native vector
  int64_t vectorRegisters = 16;
  int64_t level2 = 0; // bytes of a core's second-level cache, where the target says so; 0: as its kind has
  bool fma = false;
  bool fast = false; // sums may be formed in other ways than the definition's (--math fast)
  /// For tests: draws among the forms that a shape allows, in place of what the models choose; 0: they choose.
  uint64_t forms = 0;
  bool has(llvm::StringRef feature) const;
  /// Whether a form is taken where it may be: as `model` says, or as `forms` draws it for that choice.
  bool takes(llvm::StringRef choice, bool model) const;
  /// What a form's cycles count in a comparison of forms: themselves, or far fewer or more as `forms` draws it.
  double weighed(llvm::StringRef choice, double cycles, int64_t among = 0) const;
  /// A limit: as `model` says, or as `forms` draws it, down to `least`.
  int64_t sized(llvm::StringRef choice, int64_t model, int64_t least) const;
  /// Whether it adds products of pairs of bf16 to sums of f32, in vectors as wide as its widest.
  bool dotsOfBF16() const { return vectorBytes == 64 && has("avx512bf16"); }
};

class Code {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;

  Code(mlir::ModuleOp module, const Machine &machine);

  mlir::OpBuilder b;
  mlir::Location loc;
  mlir::ModuleOp module;
  const Machine &machine;

  //===-- Functions ---------------------------------------------------------------------------------------------===//

  /// Starts a function, makes its body the outermost scope, and returns its arguments.
  ValueRange beginFunction(llvm::StringRef name, llvm::ArrayRef<mlir::Type> arguments,
                           llvm::ArrayRef<mlir::Type> results, bool isPrivate = false);
  void endFunction(ValueRange results = {});

  //===-- Placing -----------------------------------------------------------------------------------------------===//

  /// The scope (0: the function's body) that `v` belongs to.
  size_t level(Value v) const;
  size_t depth() const { return scopes.size() - 1; }

  /// Moves the insertion point to the outermost scope where all of `values` are known; restores it when destroyed.
  struct Hoisted {
    mlir::OpBuilder::InsertionGuard guard;
    Hoisted(Code &code, llvm::ArrayRef<Value> values);
  };

  /// Creates a one-result operation as far out as its operands allow.
  template <class OpTy, class... Args> Value op(Args &&...args) {
    llvm::SmallVector<Value, 4> values;
    (collect(values, args), ...);
    Hoisted placed(*this, values);
    return b.createOrFold<OpTy>(loc, std::forward<Args>(args)...);
  }
  /// Creates an operation at the current point of the innermost scope.
  template <class OpTy, class... Args> OpTy here(Args &&...args) {
    return b.create<OpTy>(loc, std::forward<Args>(args)...);
  }

  //===-- Integers (i64), folded and shared -----------------------------------------------------------------------===//

  Value integer(int64_t value);
  static std::optional<int64_t> known(Value v);
  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value div(Value a, Value b); // operands are never negative
  Value rem(Value a, Value b);
  Value min(Value a, Value b);
  Value max(Value a, Value b);
  Value ceilDiv(Value a, Value b);
  Value compare(mlir::arith::CmpIPredicate predicate, Value a, Value b);
  Value both(Value a, Value b); // and of two i1 or i1 vectors of one shape; null is true
  /// A scalar constant, or the constant splat over a vector type.
  Value constant(mlir::Type type, double value);
  Value constantInt(mlir::Type type, int64_t value);
  Value constants(mlir::VectorType type, llvm::ArrayRef<double> values); // one a lane

  //===-- Control -----------------------------------------------------------------------------------------------===//

  void loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value iv)> body);
  llvm::SmallVector<Value> loop(Value begin, Value end, int64_t step, ValueRange inits,
                                llvm::function_ref<llvm::SmallVector<Value>(Value iv, ValueRange carried)> body);
  void ifThen(Value condition, llvm::function_ref<void()> body);
  llvm::SmallVector<Value> ifElse(Value condition, mlir::TypeRange results,
                                  llvm::function_ref<llvm::SmallVector<Value>()> onTrue,
                                  llvm::function_ref<llvm::SmallVector<Value>()> onFalse);
  void ifElse(Value condition, llvm::function_ref<void()> onTrue, llvm::function_ref<void()> onFalse);

  /// Builds the body of a region op that was made by hand (scf.while): `block` is a scope while `body` runs.
  void within(mlir::Block *block, mlir::Operation *op, llvm::function_ref<void()> body);

  //===-- Memory ------------------------------------------------------------------------------------------------===//

  mlir::Type i1, i8, i16, i32, i64, f32, f64, f16, ptr;
  mlir::Type memoryType(kiln_dtype dtype) const;
  mlir::VectorType vectorOf(mlir::Type element, int64_t lanes) const { return mlir::VectorType::get({lanes}, element); }
  /// pointer + index * bytes; `offset` is added in elements too.
  Value address(Value pointer, Value index, int64_t elementBytes);
  Value load(mlir::Type type, Value pointer, int64_t alignment);     // placed by its address
  Value loadHere(mlir::Type type, Value pointer, int64_t alignment); // at the current point
  /// `pastCaches`: lines are written whole, without being read; the pointer is a multiple of the value's size then.
  void store(Value value, Value pointer, int64_t alignment, bool pastCaches = false);
  void fetch(Value pointer); // a line, into the second level; an address that does not exist does nothing
  Value maskedLoad(mlir::VectorType type, Value pointer, Value mask, int64_t alignment, bool pinned = false);
  void maskedStore(Value value, Value pointer, Value mask, int64_t alignment);

  //===-- Vectors -----------------------------------------------------------------------------------------------===//

  Value splat(Value scalar, int64_t lanes);
  Value lane(Value vector, int64_t index); // one element, as a scalar
  /// 0, 1, 2, … in an integer vector type.
  Value steps(mlir::VectorType type);
  /// Lanes below `count` (an i64, may exceed the lanes).
  Value firstLanes(Value count, int64_t lanes);

  struct Scope {
    mlir::Block *block;
    mlir::Operation *next = nullptr; // the nested loop under construction: what is placed here goes before it
    llvm::DenseMap<std::tuple<int, mlir::Value, mlir::Value>, mlir::Value> integers;
    explicit Scope(mlir::Block *block) : block(block) {}
  };
  llvm::SmallVector<Scope, 0> scopes;
  /// Called when a scope ends, with its depth: memo tables drop what was known inside it.
  llvm::SmallVector<std::function<void(size_t)>, 2> onScopeEnd;

private:
  static void collect(llvm::SmallVectorImpl<Value> &values, Value v) { values.push_back(v); }
  static void collect(llvm::SmallVectorImpl<Value> &values, const llvm::SmallVector<Value> &list) {
    values.append(list.begin(), list.end());
  }
  static void collect(llvm::SmallVectorImpl<Value> &values, ValueRange list) {
    values.append(list.begin(), list.end());
  }
  template <class T,
            std::enable_if_t<!std::is_convertible_v<T, Value> && !std::is_convertible_v<T, ValueRange>, int> = 0>
  static void collect(llvm::SmallVectorImpl<Value> &, const T &) {}
  /// The constant of `attribute`, or its splat where it is one element of a vector type; made once a function.
  Value constantOf(mlir::Type type, mlir::Attribute attribute);
  Value shared(int opcode, Value a, Value b, llvm::function_ref<Value()> make);
  void enter(mlir::Block *block, mlir::Operation *op);
  void leave();
  llvm::DenseMap<std::pair<mlir::Attribute, mlir::Type>, Value> made; // constants of the current function
};

} // namespace kiln::cpu
