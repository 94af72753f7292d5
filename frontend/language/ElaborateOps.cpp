// Operators on compile-time values and tensors.
#include "frontend/language/Elaborate.h"
#include "frontend/language/Parts.h"
#include "ir/Infer.h"

#include <cmath>

namespace kiln::language {

static Value integerResult(Elaborator &e, bool overflow, int64_t value, Range range) {
  if (!overflow)
    return Value::integerOf(value, range);
  e.error(range, "the result does not fit a 64-bit integer");
  return Value::error();
}

static int64_t floorDivide(int64_t a, int64_t b) { return a / b - ((a % b != 0) && ((a < 0) != (b < 0))); }

/// Python's, and PyTorch's for floats: the quotient that fits the remainder. (floor(1 / 0.1) is 10, though 9 times 0.1
/// is what goes into 1.)
static double floorDivide(double a, double b) {
  double rest = std::fmod(a, b), quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0))
    quotient -= 1;
  if (quotient == 0)
    return std::copysign(0.0, a / b);
  double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

static double floorRemainder(double a, double b) {
  double rest = std::fmod(a, b);
  return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
}

static std::optional<Value> constantIntegers(Elaborator &e, std::string_view op, int64_t a, int64_t b, Range range) {
  int64_t result = 0;
  if (op == "+")
    return integerResult(e, __builtin_add_overflow(a, b, &result), result, range);
  if (op == "-")
    return integerResult(e, __builtin_sub_overflow(a, b, &result), result, range);
  if (op == "*")
    return integerResult(e, __builtin_mul_overflow(a, b, &result), result, range);
  if ((op == "/" || op == "//" || op == "%") && (b == 0 || (a == INT64_MIN && b == -1))) {
    e.error(range, b == 0 ? "division by zero" : "the result does not fit a 64-bit integer");
    return Value::error();
  }
  if (op == "/")
    return Value::floatOf(static_cast<double>(a) / static_cast<double>(b));
  if (op == "//")
    return Value::integerOf(floorDivide(a, b), range);
  if (op == "%")
    return Value::integerOf(a - floorDivide(a, b) * b, range);
  if (op == "**" && b >= 0) {
    int64_t power = 1;
    bool overflow = false;
    for (int64_t i = 0; i < b && !overflow && power != 0 && (a != 1 || i < 1); ++i)
      overflow = i > 64 && a != 0 && a != -1 && a != 1 ? true : __builtin_mul_overflow(power, a, &power);
    return integerResult(e, overflow, power, range);
  }
  if (op == "&" || op == "|" || op == "^")
    return Value::integerOf(op == "&" ? a & b : op == "|" ? a | b : a ^ b, range);
  if ((op == "<<" || op == ">>") && b >= 0 && b < 63)
    return op == ">>" ? Value::integerOf(a >> b, range)
                      : integerResult(e, __builtin_mul_overflow(a, int64_t(1) << b, &result), result, range);
  return std::nullopt;
}

static std::optional<Value> symbolicIntegers(Elaborator &e, std::string_view op, const Dim &a, const Dim &b,
                                             Range range) {
  if (op == "+")
    return Value::integerOf(a + b, range);
  if (op == "-")
    return Value::integerOf(a - b, range);
  if (op == "*")
    return Value::integerOf(a * b, range);
  if (op == "//" || op == "%") {
    std::optional<int64_t> divisor = b.constant();
    std::optional<Dim> quotient;
    if (divisor && *divisor > 0)
      quotient = a.floordiv(*divisor);
    else if (!divisor)
      quotient = a.exactDiv(b);
    if (quotient)
      return Value::integerOf(op == "//" ? *quotient : a - *quotient * b, range);
    e.error(range, "the dimension " + a.str() + " is divided by " + b.str() +
                       "; a dimension can be divided by a positive number, or by what is a factor of it");
    return Value::error();
  }
  return std::nullopt;
}

static std::optional<Value> floats(Elaborator &e, std::string_view op, double a, double b, Range range) {
  if ((op == "/" || op == "//" || op == "%") && b == 0) {
    e.error(range, "division by zero");
    return Value::error();
  }
  if (op == "+")
    return Value::floatOf(a + b);
  if (op == "-")
    return Value::floatOf(a - b);
  if (op == "*")
    return Value::floatOf(a * b);
  if (op == "/")
    return Value::floatOf(a / b);
  if (op == "//")
    return Value::floatOf(floorDivide(a, b));
  if (op == "%")
    return Value::floatOf(floorRemainder(a, b));
  if (op == "**")
    return Value::floatOf(std::pow(a, b));
  return std::nullopt;
}

/// Operators on compile-time values alone; nullopt where the operator does not apply, or a tensor is needed.
static std::optional<Value> compileTime(Elaborator &e, std::string_view op, const Value &a, const Value &b,
                                        Range range) {
  if (a.kind == Value::Kind::String && b.kind == Value::Kind::String && op == "+")
    return Value::stringOf(a.text + b.text);
  if (a.isList() && b.isList() && op == "+") {
    std::vector<Value> items = *a.items;
    items.insert(items.end(), b.items->begin(), b.items->end());
    return Value::listOf(std::move(items));
  }
  if (a.isList() && b.asInteger() && op == "*" && *b.asInteger() >= 0 &&
      a.items->size() * static_cast<double>(*b.asInteger()) < 1e6) {
    std::vector<Value> items;
    for (int64_t i = 0; i < *b.asInteger(); ++i)
      items.insert(items.end(), a.items->begin(), a.items->end());
    return Value::listOf(std::move(items));
  }
  if (a.kind == Value::Kind::Boolean && b.kind == Value::Kind::Boolean && (op == "&" || op == "|" || op == "^"))
    return Value::booleanOf(op == "&"   ? a.boolean && b.boolean
                            : op == "|" ? a.boolean || b.boolean
                                        : a.boolean != b.boolean);
  if (!a.isNumber() || !b.isNumber())
    return std::nullopt;
  std::optional<int64_t> ia = a.asInteger(), ib = b.asInteger();
  if (ia && ib && (op != "**" || *ib >= 0))
    return constantIntegers(e, op, *ia, *ib, range);
  bool wholeA = a.kind != Value::Kind::Float, wholeB = b.kind != Value::Kind::Float;
  if (wholeA && wholeB && (!ia || !ib))
    if (std::optional<Value> value =
            symbolicIntegers(e, op, ia ? Dim(*ia) : a.integer, ib ? Dim(*ib) : b.integer, range))
      return value;
  if (a.asDouble() && b.asDouble())
    return floats(e, op, *a.asDouble(), *b.asDouble(), range);
  return std::nullopt;
}

/// torch.floor_divide of floats, from C's remainder and whether that has the wrong sign: as floorDivide() above, and a
/// / 0 is infinite. It is flat, so there is no gradient.
static mlir::Value floorQuotient(Emit &emit, mlir::Value a, mlir::Value b, mlir::Value rest, mlir::Value wrongSign) {
  mlir::Value quotient = emit.div(emit.sub(a, rest), b), plain = emit.div(a, b), zero = emit.splatLike(a, 0);
  quotient = emit.select(wrongSign, emit.sub(quotient, 1.0), quotient);
  mlir::Value whole = emit.op<FloorOp>(quotient);
  mlir::Value above = emit.compare(Predicate::gt, emit.sub(quotient, whole), 0.5);
  mlir::Value result = emit.select(above, emit.add(whole, 1.0), whole);
  // A quotient of zero has a sign.
  result = emit.select(emit.compare(Predicate::eq, quotient, zero), emit.mul(plain, zero), result);
  return emit.stopGradient(emit.select(emit.compare(Predicate::eq, b, zero), plain, result));
}

/// Remainder with the divisor's sign, and quotient towards minus infinity, from C's.
static mlir::Value floorOps(Emit &emit, std::string_view op, mlir::Value a, mlir::Value b) {
  mlir::Type element = llvm::cast<mlir::RankedTensorType>(a.getType()).getElementType();
  mlir::Value rest = emit.op<RemOp>(a, b);
  if (element.isUnsignedInteger())
    return op == "%" ? rest : emit.div(a, b);
  mlir::Value zero = emit.splatLike(a, 0);
  mlir::Value wrongSign = emit.create<MulOp>(
      withElement(a.getType(), emit.b.getI1Type()), emit.compare(Predicate::ne, rest, zero),
      emit.compare(Predicate::ne, emit.compare(Predicate::lt, rest, zero), emit.compare(Predicate::lt, b, zero)));
  if (op == "%")
    return emit.select(wrongSign, emit.add(rest, b), rest);
  if (isFloat(element))
    return floorQuotient(emit, a, b, rest, wrongSign);
  mlir::Value quotient = emit.div(a, b);
  return emit.select(wrongSign, emit.sub(quotient, 1.0), quotient);
}

static mlir::Value power(Emit &emit, mlir::Value base, const Value &exponent, mlir::Value exponentTensor) {
  // The powers that models are full of, as PyTorch computes them.
  std::optional<double> constant = exponent.asDouble();
  if (constant && *constant == 2.0)
    return emit.mul(base, base);
  if (constant && *constant == 3.0)
    return emit.mul(emit.mul(base, base), base);
  if (constant && *constant == 1.0)
    return base;
  if (constant && *constant == 0.5)
    return emit.sqrt(base);
  if (constant && *constant == -0.5)
    return emit.rsqrt(base);
  return emit.op<PowOp>(base, exponentTensor);
}

static std::optional<mlir::Value> tensorOp(Elaborator &e, std::string_view op, Value &a, Value &b,
                                           const Value &exponent, Range range) {
  mlir::Type element = a.tensorType().getElementType();
  Emit emit = e.emit(range);
  bool isBool = element.isInteger(1);
  mlir::Value x = a.tensor, y = b.tensor;
  if (op == "+" && !isBool)
    return emit.add(x, y);
  if (op == "-" && !isBool)
    return emit.sub(x, y);
  if (op == "*")
    return emit.mul(x, y);
  if (op == "/") {
    mlir::Type to = isFloat(element) ? element : mlir::Type(emit.b.getF32Type());
    return emit.div(emit.convertTo(x, to), emit.convertTo(y, to));
  }
  if ((op == "//" || op == "%") && !isBool)
    return floorOps(emit, op, x, y);
  if (op == "**" && !isBool) {
    if (!isFloat(element) && !(exponent.asInteger() && *exponent.asInteger() >= 1 && *exponent.asInteger() <= 3)) {
      x = emit.convertTo(x, emit.b.getF32Type());
      y = emit.convertTo(y, emit.b.getF32Type());
    }
    return power(emit, x, exponent, y);
  }
  if (isFloat(element))
    return std::nullopt;
  if (op == "&")
    return emit.op<AndOp>(x, y);
  if (op == "|")
    return emit.op<OrOp>(x, y);
  if (op == "^")
    return emit.op<XorOp>(x, y);
  if (op == "<<" && !isBool)
    return emit.op<ShlOp>(x, y);
  if (op == ">>" && !isBool)
    return emit.op<ShrOp>(x, y);
  return std::nullopt;
}

Value Elaborator::binary(std::string_view op, const Value &left, const Value &right, Range range, Range leftRange,
                         Range rightRange) {
  if (left.isError() || right.isError())
    return Value::error();
  if (isOfParts(entry_, {left, right}))
    return partsBinary(*this, op, left, right, range, leftRange, rightRange);
  if (op == "@")
    return matmul(left, right, range, leftRange, rightRange);
  if (std::optional<Value> value = compileTime(*this, op, left, right, range))
    return *value;
  bool symbolic = left.isNumber() && right.isNumber() && op != "&" && op != "|" && op != "^";
  auto refuse = [&] {
    Diagnostic &diagnostic =
        error(range, "'" + std::string(op) + "' does not apply to " + describe(left) + " and " + describe(right));
    if ((op == "&" || op == "|") && (left.isTensor() || right.isTensor()))
      diagnostic.withHelp("comparisons need brackets: (a > 0) " + std::string(op) + " (b > 0)");
    return Value::error();
  };
  if (!left.isTensor() && !right.isTensor() && !symbolic)
    return refuse();
  Value a = left, b = right;
  if (symbolic) {
    // Arithmetic of a dimension with a fraction leaves the integers: scalars of f32.
    for (auto [value, at] : {std::pair(&a, leftRange), std::pair(&b, rightRange)}) {
      std::optional<Value> tensor = toTensor(*value, at, builder_.getF32Type());
      if (!tensor)
        return Value::error();
      *value = *tensor;
    }
  }
  if ((!a.isTensor() && !a.isNumber()) || (!b.isTensor() && !b.isNumber()))
    return refuse();
  if (!unify(a, b, range, leftRange, rightRange))
    return Value::error();
  std::optional<mlir::Value> result = tensorOp(*this, op, a, b, right, range);
  return result ? Value::tensorOf(*result, a.origins) : refuse();
}

static std::optional<bool> constantCompare(std::string_view op, double a, double b) {
  if (op == "==")
    return a == b;
  if (op == "!=")
    return a != b;
  if (op == "<")
    return a < b;
  if (op == "<=")
    return a <= b;
  if (op == ">")
    return a > b;
  if (op == ">=")
    return a >= b;
  return std::nullopt;
}

static bool sameValue(const Value &a, const Value &b) {
  if (a.isNumber() && b.isNumber()) {
    if (a.isInteger() && b.isInteger())
      return a.integer == b.integer;
    return a.asDouble() && a.asDouble() == b.asDouble();
  }
  if (a.kind != b.kind)
    return false;
  switch (a.kind) {
  case Value::Kind::String:
    return a.text == b.text;
  case Value::Kind::List:
    if (a.items->size() != b.items->size())
      return false;
    for (size_t i = 0; i < a.items->size(); ++i)
      if (!sameValue((*a.items)[i], (*b.items)[i]))
        return false;
    return true;
  case Value::Kind::Dtype:
    return a.dtype == b.dtype;
  case Value::Kind::Instance:
    return a.instance == b.instance;
  case Value::Kind::Builtin:
    return a.builtin == b.builtin;
  case Value::Kind::Function:
  case Value::Kind::Module:
    return a.declaration == b.declaration;
  case Value::Kind::Variable:
    return a.variable == b.variable;
  default:
    return true;
  }
}

/// The truth of a comparison of two dimensions, where it holds (or fails) for every value of the symbols.
static std::optional<bool> dimCompare(const Elaborator &e, std::string_view op, const Dim &a, const Dim &b) {
  Dim difference = b - a;
  bool below = e.provablyNonNegative(difference - Dim(1)), atMost = e.provablyNonNegative(difference);
  bool above = e.provablyNonNegative(Dim(-1) - difference), atLeast = e.provablyNonNegative(Dim(0) - difference);
  if (op == "==" || op == "!=") {
    if (a == b)
      return op == "==";
    if (below || above)
      return op == "!=";
    return std::nullopt;
  }
  if (op == "<")
    return below ? std::optional(true) : atLeast ? std::optional(false) : std::nullopt;
  if (op == "<=")
    return atMost ? std::optional(true) : above ? std::optional(false) : std::nullopt;
  if (op == ">")
    return above ? std::optional(true) : atMost ? std::optional(false) : std::nullopt;
  return atLeast ? std::optional(true) : below ? std::optional(false) : std::nullopt;
}

Value Elaborator::compare(std::string_view op, const Value &left, const Value &right, Range range, Range leftRange,
                          Range rightRange) {
  if (left.isError() || right.isError())
    return Value::error();
  if (op == "is" || op == "is not") {
    bool same = left.kind == right.kind && !left.isTensor() && sameValue(left, right);
    return Value::booleanOf(same == (op == "is"));
  }
  if (op == "in" || op == "not in") {
    if (right.kind == Value::Kind::Instance && left.kind == Value::Kind::String) // whether a part has such a part
      return Value::booleanOf((right.instance->find(left.text) != nullptr) == (op == "in"));
    if (!right.isList()) {
      error(rightRange, "'in' looks in a list; this is " + describe(right));
      return Value::error();
    }
    bool found = false;
    for (size_t i = 0; i < right.items->size(); ++i) // of dict(a=…) the names, as in Python
      found |= right.names ? left.kind == Value::Kind::String && left.text == (*right.names)[i]
                           : sameValue(left, (*right.items)[i]);
    return Value::booleanOf(found == (op == "in"));
  }
  if (!left.isTensor() && !right.isTensor()) {
    if (left.isNumber() && right.isNumber()) {
      if (left.asDouble() && right.asDouble())
        return Value::booleanOf(*constantCompare(op, *left.asDouble(), *right.asDouble()));
      if (left.isInteger() && right.isInteger())
        if (std::optional<bool> truth = dimCompare(*this, op, left.integer, right.integer))
          return Value::booleanOf(*truth);
      error(range, "whether " + std::string(range.text()) + " holds is not known at compile time: it compares " +
                       describe(left) + " with " + describe(right))
          .withHelp("a bound in the signature, as in T <= 64, may decide it");
      return Value::error();
    }
    if (op == "==" || op == "!=")
      return Value::booleanOf(sameValue(left, right) == (op == "=="));
    error(range, "'" + std::string(op) + "' does not compare " + describe(left) + " with " + describe(right));
    return Value::error();
  }
  Value a = left, b = right;
  if ((!a.isTensor() && !a.isNumber()) || (!b.isTensor() && !b.isNumber())) {
    Diagnostic &diagnostic =
        error(range, "'" + std::string(op) + "' does not compare " + describe(left) + " with " + describe(right));
    if (left.isNone() || right.isNone())
      diagnostic.withHelp("write `x is None`");
    return Value::error();
  }
  if (!unify(a, b, range, leftRange, rightRange))
    return Value::error();
  Predicate predicate = op == "=="   ? Predicate::eq
                        : op == "!=" ? Predicate::ne
                        : op == "<"  ? Predicate::lt
                        : op == "<=" ? Predicate::le
                        : op == ">"  ? Predicate::gt
                                     : Predicate::ge;
  return Value::tensorOf(emit(range).compare(predicate, a.tensor, b.tensor), a.origins);
}

} // namespace kiln::language
