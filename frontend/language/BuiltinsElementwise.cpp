// Elementwise functions. On compile-time numbers they compute; on tensors they leave ops.
#include "frontend/language/Elaborate.h"

#include <cmath>

namespace kiln::language {

/// The operand as a float tensor; integers become f32, as PyTorch's.
static std::optional<Value> floatTensor(BoundCall &call, size_t index) {
  std::optional<Value> x = call.tensor(index);
  if (x && !isFloat(x->tensorType().getElementType()))
    x = call.e.convert(*x, call.e.builder().getF32Type(), call.range);
  return x;
}

template <typename Op, auto compute, bool needsFloat = true> static Value unary(BoundCall &call) {
  if (call.values[0].isNumber() && call.values[0].asDouble()) {
    double result = compute(*call.values[0].asDouble());
    // floor, ceil, round and abs of whole numbers stay whole.
    if (!needsFloat && call.values[0].kind != Value::Kind::Float)
      return Value::integerOf(static_cast<int64_t>(result), call.range);
    return Value::floatOf(result);
  }
  if (call.values[0].isInteger()) { // a symbolic dimension
    std::optional<Value> scalar = call.e.toTensor(call.values[0], call.ranges[0], call.e.builder().getF32Type());
    if (!scalar)
      return Value::error();
    call.values[0] = *scalar;
  }
  std::optional<Value> x = needsFloat ? floatTensor(call, 0) : call.tensor(0);
  if (!x)
    return Value::error();
  if (x->tensorType().getElementType().isInteger(1)) {
    call.e.error(call.ranges[0], std::string(call.builtin.name) + " does not apply to " + describe(*x));
    return Value::error();
  }
  return Value::tensorOf(call.e.emit(call.range).template op<Op>(x->tensor), x->origins);
}

static double reluOf(double x) { return x > 0 ? x : 0; }
static double siluOf(double x) { return x * (1 / (1 + std::exp(-x))); }
static double softplusOf(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

static Value gelu(BoundCall &call) {
  std::optional<Value> x = floatTensor(call, 0);
  std::optional<bool> tanh = call.boolean(1);
  if (!x || !tanh)
    return Value::error();
  return Value::tensorOf(call.e.emit(call.range).create<GeluOp>(x->tensor.getType(), x->tensor, *tanh), x->origins);
}

static Value square(BoundCall &call) {
  return call.e.binary("*", call.values[0], call.values[0], call.range, call.ranges[0], call.ranges[0]);
}
static Value reciprocal(BoundCall &call) {
  return call.e.binary("/", Value::floatOf(1), call.values[0], call.range, call.ranges[0], call.ranges[0]);
}
static Value powFunction(BoundCall &call) {
  return call.e.binary("**", call.values[0], call.values[1], call.range, call.ranges[0], call.ranges[1]);
}

template <typename Op> static Value extremum(BoundCall &call, Value a, Value b, Range ra, Range rb) {
  if (!call.e.unify(a, b, call.range, ra, rb))
    return Value::error();
  return Value::tensorOf(call.e.emit(call.range).template op<Op>(a.tensor, b.tensor), a.origins);
}
static Value maximum(BoundCall &call) {
  return extremum<MaxOp>(call, call.values[0], call.values[1], call.ranges[0], call.ranges[1]);
}
static Value minimum(BoundCall &call) {
  return extremum<MinOp>(call, call.values[0], call.values[1], call.ranges[0], call.ranges[1]);
}

/// One bound of clip, argument `index`. As torch.clamp's: where x is at a bound that is a number its gradient is 0;
/// with a bound that is a tensor it shares the gradient, as maximum and minimum do.
template <typename Op> static Value bounded(BoundCall &call, const Value &x, size_t index) {
  Value value = x, bound = call.values[index];
  bool isNumber = bound.isNumber() && !(bound.asDouble() && std::isnan(*bound.asDouble()));
  if (!isNumber)
    return extremum<Op>(call, value, bound, call.ranges[0], call.ranges[index]);
  if (!call.e.unify(value, bound, call.range, call.ranges[0], call.ranges[index]))
    return Value::error();
  Emit emit = call.e.emit(call.range);
  Predicate beyond = std::is_same_v<Op, MaxOp> ? Predicate::le : Predicate::ge;
  return Value::tensorOf(emit.select(emit.compare(beyond, value.tensor, bound.tensor), bound.tensor, value.tensor),
                         value.origins);
}

static Value clip(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return Value::error();
  Value value = *x;
  if (call.given(1))
    value = bounded<MaxOp>(call, value, 1);
  if (!value.isError() && call.given(2))
    value = bounded<MinOp>(call, value, 2);
  return value;
}

static Value where(BoundCall &call) {
  std::optional<Value> condition = call.tensor(0);
  if (!condition)
    return Value::error();
  if (!condition->tensorType().getElementType().isInteger(1)) {
    call.e.error(call.ranges[0], "where's condition is bool; this is " + describe(*condition))
        .withHelp("compare it: x != 0");
    return Value::error();
  }
  Value a = call.values[1], b = call.values[2];
  if (!call.e.unify(a, b, call.range, call.ranges[1], call.ranges[2]))
    return Value::error();
  std::vector<Value> all = {*condition, a, b};
  if (!call.e.broadcastAll(all, {call.ranges[0], call.ranges[1], call.ranges[2]}, call.range))
    return Value::error();
  return Value::tensorOf(call.e.emit(call.range).select(all[0].tensor, all[1].tensor, all[2].tensor), all[1].origins);
}

static Value isnan(BoundCall &call) {
  return call.e.compare("!=", call.values[0], call.values[0], call.range, call.ranges[0], call.ranges[0]);
}

static Value stopGradient(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  return x ? Value::tensorOf(call.e.emit(call.range).stopGradient(x->tensor), x->origins) : Value::error();
}

static Value convertFunction(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<mlir::Type> type = call.dtype(1);
  return x && type ? call.e.convert(*x, *type, call.range) : Value::error();
}

static Value bitcast(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<mlir::Type> type = call.dtype(1);
  if (!x || !type)
    return Value::error();
  mlir::Type from = x->tensorType().getElementType();
  bool wholes = !isFloat(from) && !isFloat(*type);
  if (from.getIntOrFloatBitWidth() != type->getIntOrFloatBitWidth() && !(from.isInteger(1) && type->isInteger(8))) {
    call.e.error(call.range, "a bitcast is between types of one width; this is " + describe(*x) + ", and " +
                                 typeName(mlir::RankedTensorType::get({}, *type)) + " is another one");
    return Value::error();
  }
  if (from == *type || wholes)
    return call.e.convert(*x, *type, call.range);
  if (from.getIntOrFloatBitWidth() < 32 || isFloat(from) == isFloat(*type)) {
    call.e.error(call.range, "there is no bitcast of floats of 16 bits")
        .withHelp("widen them: x.to(f32) has their bits in its upper half where x is bf16");
    return Value::error();
  }
  mlir::Value bits = call.e.emit(call.range).create<BitcastOp>(withElement(x->tensorType(), *type), x->tensor);
  return Value::tensorOf(bits, x->origins);
}

llvm::ArrayRef<Builtin> elementwiseBuiltins() {
  static const Builtin builtins[] = {
#define KILN_FUNCTION(code, name, real) {name, "x", unary<code##Op, [](double x) { return real; }>},
#define KILN_NUMBER_FUNCTION(code, name, real, whole)                                                                  \
  {name, "x", unary<code##Op, [](double x) { return real; }, false>},
#include "ir/Ops.inc"
      // max(x, 0). torch.relu.
      {"relu", "x", unary<ReluOp, reluOf>},
      // x sigmoid(x). torch.nn.functional.silu.
      {"silu", "x", unary<SiluOp, siluOf>},
      // ln(1 + eˣ). torch.nn.functional.softplus.
      {"softplus", "x", unary<SoftplusOp, softplusOf>},
      // x Φ(x), or with tanh its approximation. torch.nn.functional.gelu.
      {"gelu", "x, tanh=False", gelu},
      // x². torch.square.
      {"square", "x", square},
      // 1 / x. torch.reciprocal.
      {"reciprocal", "x", reciprocal},
      // aᵇ. torch.pow.
      {"pow", "a, b", powFunction},
      // The larger one of each two. torch.maximum.
      {"maximum", "a, b", maximum},
      // The smaller one of each two. torch.minimum.
      {"minimum", "a, b", minimum},
      // x between low and high. torch.clamp.
      {"clip", "x, low=None, high=None", clip},
      // a where the condition is true, else b. torch.where.
      {"where", "condition, a, b", where},
      // Whether x is no number. torch.isnan.
      {"isnan", "x", isnan},
      // x, through which no gradient flows. torch.Tensor.detach.
      {"stop_gradient", "x", stopGradient},
      // x as another dtype; also x.to(dtype). torch.Tensor.to.
      {"convert", "x, dtype", convertFunction},
      // The bits of x as a dtype of the same width. torch.Tensor.view of a dtype.
      {"bitcast", "x, dtype", bitcast},
  };
  return builtins;
}

} // namespace kiln::language
