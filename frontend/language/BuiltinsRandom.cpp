// Random numbers and sources of constants.
#include "frontend/language/Elaborate.h"

namespace kiln::language {

static bool checkShape(BoundCall &call, const std::vector<Dim> &dims) {
  for (const Dim &dim : dims)
    if (!call.e.provablyNonNegative(dim)) {
      call.e.error(call.range, "a dimension of " + dim.str() + " is not possible");
      return false;
    }
  return call.e.inFunction(call.range, std::string(call.builtin.name).c_str());
}

template <int number> static Value filled(BoundCall &call) {
  std::optional<std::vector<Dim>> dims = call.shape();
  std::optional<mlir::Type> type = call.dtype(0);
  if (!dims || !type || !checkShape(call, *dims))
    return Value::error();
  return Value::tensorOf(call.e.emit(call.range).splat(tensorType(*dims, *type), number), shared(call.restOrigins()));
}

/// full(d, …, value)
static Value full(BoundCall &call) {
  if (call.rest.empty()) {
    call.e.error(call.range, "full wants dimensions and a value: full(B, T, 0.5)");
    return Value::error();
  }
  std::optional<std::vector<Dim>> dims = call.shape(0, 1);
  std::optional<mlir::Type> type = call.dtype(0);
  if (!dims || !type || !checkShape(call, *dims))
    return Value::error();
  std::optional<Value> value = call.e.toTensor(call.rest.back(), call.restRanges.back(), *type);
  if (!value)
    return Value::error();
  if (value->rank() != 0) {
    call.e.error(call.restRanges.back(), "full's value is a scalar; this is " + describe(*value));
    return Value::error();
  }
  Emit emit = call.e.emit(call.range);
  return Value::tensorOf(emit.broadcastScalar(emit.convertTo(value->tensor, *type), *dims));
}

static Value iota(BoundCall &call) {
  std::optional<Dim> count = call.dim(0);
  std::optional<mlir::Type> type = call.dtype(1);
  if (!count || !type || !checkShape(call, {*count}))
    return Value::error();
  if (type->isInteger(1)) {
    call.e.error(call.ranges[1], "iota counts; bool cannot");
    return Value::error();
  }
  return Value::tensorOf(call.e.emit(call.range).iota({*count}, 0, *type),
                         shared({{call.values[0].origin ? call.values[0].origin : call.ranges[0]}}));
}

static mlir::Value compareAxes(BoundCall &call, const Dim &n, Predicate predicate) {
  Emit emit = call.e.emit(call.range);
  mlir::Type i32 = call.e.builder().getI32Type();
  return emit.compare(predicate, emit.iota({n, n}, 1, i32), emit.iota({n, n}, 0, i32));
}

static Value eye(BoundCall &call) {
  std::optional<Dim> count = call.dim(0);
  std::optional<mlir::Type> type = call.dtype(1);
  if (!count || !type || !checkShape(call, {*count}))
    return Value::error();
  return Value::tensorOf(call.e.emit(call.range).convertTo(compareAxes(call, *count, Predicate::eq), *type));
}

static Value tril(BoundCall &call) {
  std::optional<Dim> count = call.dim(0);
  if (!count || !checkShape(call, {*count}))
    return Value::error();
  return Value::tensorOf(compareAxes(call, *count, Predicate::le));
}

//===-- Random --------------------------------------------------------------------------------------------------===//

/// Every place that draws has a stream of its own, numbered in the order of elaboration.
static int64_t nextStream(BoundCall &call) { return call.e.entry()->nextStream++; }

template <typename Op> static Value random(BoundCall &call) {
  std::optional<std::vector<Dim>> dims = call.shape();
  if (!dims || !checkShape(call, *dims))
    return Value::error();
  mlir::Type type = tensorType(*dims, call.e.builder().getF32Type());
  mlir::Value result = call.e.emit(call.range)
                           .create<Op>(type, call.e.seed(call.range), call.e.counters(call.range),
                                       call.e.builder().getI64IntegerAttr(nextStream(call)));
  return Value::tensorOf(result, shared(call.restOrigins()));
}

static Value bernoulli(BoundCall &call) {
  Value uniform = random<RandomUniformOp>(call);
  return uniform.isError() ? uniform
                           : call.e.compare("<", uniform, call.values[0], call.range, call.range, call.ranges[0]);
}

static Value dropout(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<double> p = call.number(1);
  if (!x || !p)
    return Value::error();
  if (!(*p >= 0 && *p < 1)) {
    call.e.error(call.ranges[1], "dropout's p is at least 0 and below 1; this is " + describe(call.values[1]));
    return Value::error();
  }
  if (!isFloat(x->tensorType().getElementType())) {
    call.e.error(call.ranges[0], "dropout works on floats; this is " + describe(*x));
    return Value::error();
  }
  if (*p == 0 || !call.e.training())
    return *x;
  mlir::OpBuilder &b = call.e.builder();
  mlir::Value result =
      call.e.emit(call.range)
          .create<DropoutOp>(x->tensor.getType(), x->tensor, call.e.seed(call.range), call.e.counters(call.range),
                             b.getF64FloatAttr(*p), b.getI64IntegerAttr(nextStream(call)));
  return Value::tensorOf(result, x->origins);
}

llvm::ArrayRef<Builtin> randomBuiltins() {
  static const Builtin builtins[] = {
      // Zeros. torch.zeros.
      {"zeros", "*dims, dtype=f32", filled<0>},
      // Ones. torch.ones.
      {"ones", "*dims, dtype=f32", filled<1>},
      // A value everywhere: full(d, …, value). torch.full.
      {"full", "*dims, dtype=f32", full},
      // 0, 1, …, n - 1. torch.arange.
      {"iota", "n, dtype=i32", iota},
      // 1 on the diagonal. torch.eye.
      {"eye", "n, dtype=f32", eye},
      // bool [n, n]: true where column <= row. torch.ones(n, n).tril().bool().
      {"tril", "n", tril},
      // Draws between 0 and 1. torch.rand.
      {"random_uniform", "*dims", random<RandomUniformOp>},
      // Draws of mean 0 and variance 1. torch.randn.
      {"random_normal", "*dims", random<RandomNormalOp>},
      // true with probability p: bernoulli(p, d, …). torch.bernoulli.
      {"bernoulli", "p, *dims", bernoulli},
      // In training a share p of the elements is 0, the others 1 / (1 - p) times as large. torch.nn.functional.dropout.
      {"dropout", "x, p", dropout},
  };
  return builtins;
}

} // namespace kiln::language
