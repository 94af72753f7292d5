// Ops on each element: arithmetic, comparisons, activations, conversions.
#include "frontend/onnx/Ops.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace kiln::onnx {

/// Is it a number (or True, or an expression of dimensions), no tensor's name?
static bool isNumberText(const std::string &text) {
  return text.empty() || text[0] == '(' || std::isdigit(static_cast<unsigned char>(text[0])) || text == "inf" ||
         text == "nan" || text == "True" || text == "False";
}

static bool isInteger(kiln_dtype dtype) { return !isFloat(dtype) && dtype != KILN_BOOL; }

static void division(Call &call) {
  std::vector<std::string> xs = call.operands();
  bool whole = isInteger(call.in(0).dtype);
  bool isUnsigned = call.in(0).dtype == KILN_U8 || call.in(0).dtype == KILN_U32;
  call.set(0, !whole       ? xs[0] + " / " + xs[1]
              : isUnsigned ? xs[0] + " // " + xs[1]
                           : "truncated_div(" + xs[0] + ", " + xs[1] + ")");
}

static void modulo(Call &call) {
  std::vector<std::string> xs = call.operands();
  bool truncated = call.integer("fmod", 0) != 0;
  call.set(0, truncated ? "truncated_mod(" + xs[0] + ", " + xs[1] + ")" : xs[0] + " % " + xs[1]);
}

static void power(Call &call) {
  Value base = call.in(0);
  const Value &exponent = call.in(1);
  bool isSetting = exponent.initial && exponent.isSingle(); // a power is no weight
  std::vector<std::string> xs;
  if (isSetting)
    xs = {call.tensor(0), call.setting(1, base.rank())};
  else
    xs = call.operands();
  std::string to = std::string(".to(") + dtypeName(base.dtype) + ")";
  bool isNumber = isSetting ? exponent.rank() <= base.rank() : exponent.text.empty() && xs[1] != call.tensor(1);
  if (isFloat(base.dtype))
    return call.set(0, xs[0] + " ** " + xs[1] + (isNumber || exponent.dtype == base.dtype ? "" : to));
  // Powers of integers are exact in f64 as far as most of them go.
  call.set(0, "(" + call.tensor(0) + ".to(f64) ** " + (isNumber ? xs[1] : xs[1] + ".to(f64)") + ")" + to);
}

/// Max, Min, Sum and Mean take any number of operands.
static std::function<void(Call &)> chain(const char *function, const char *op, bool mean) {
  return [=](Call &call) {
    if (call.inputs() == 0)
      refuse("it has no inputs");
    std::vector<std::string> xs = call.operands();
    if (xs.size() == 1)
      return call.alias(0, call.in(0));
    if (isNumberText(xs[0]) && isNumberText(xs[1])) // two numbers have no type between them: a tensor goes first
      std::iter_swap(xs.begin(), std::find_if_not(xs.begin(), xs.end(), isNumberText));
    std::string out = xs[0];
    for (size_t i = 1; i < xs.size(); ++i)
      out = *function ? std::string(function) + "(" + out + ", " + xs[i] + ")" : out + op + xs[i];
    call.set(0, mean ? "(" + out + ") / " + std::to_string(xs.size()) + ".0" : out);
  };
}

/// A number, which some files have with axes; these are none of the result's. Empty where it is not given.
static std::string limit(Call &call, size_t input) {
  if (!call.has(input))
    return "";
  int64_t rank = call.in(0).rank(), own = call.in(input).rank();
  if (own <= rank || (call.in(input).initial && call.in(input).isSingle()))
    return call.setting(input, std::max(own, rank));
  return "reshape(" + call.tensor(input) + ")";
}

static void clip(Call &call) {
  std::string x = call.tensor(0), low, high;
  if (call.opset < 11) {
    double least = call.number("min", -std::numeric_limits<float>::max());
    double most = call.number("max", std::numeric_limits<float>::max());
    bool isWide = call.in(0).dtype == KILN_F32 || call.in(0).dtype == KILN_F64; // an infinity becomes the largest f32
    low = isWide || call.hasAttribute("min") ? numberText(least) : "";
    high = isWide || call.hasAttribute("max") ? numberText(most) : "";
  } else {
    low = limit(call, 1);
    high = limit(call, 2);
  }
  if (low.empty() && high.empty())
    return call.alias(0, call.in(0));
  call.set(0, low.empty()    ? "minimum(" + x + ", " + high + ")"
              : high.empty() ? "maximum(" + x + ", " + low + ")"
                             : "minimum(maximum(" + x + ", " + low + "), " + high + ")");
}

static void cast(Call &call) {
  Value &x = call.in(0);
  int64_t to = call.integer("to", 0);
  call.integer("saturate", 1);
  std::optional<kiln_dtype> dtype = dtypeOf(to);
  if (!dtype)
    refuse("it converts to " + dataTypeName(to) + ", which Kiln does not have");
  if (*dtype == x.dtype)
    return call.alias(0, x);
  call.set(0, call.tensor(0) + ".to(" + dtypeName(*dtype) + ")");
}

static void bitCast(Call &call) {
  std::optional<kiln_dtype> dtype = dtypeOf(call.integer("to", 0));
  if (!dtype)
    refuse("it gives " + dataTypeName(call.integer("to", 0)) + ", which Kiln does not have");
  if (*dtype == call.in(0).dtype)
    return call.alias(0, call.in(0));
  call.set(0, "bitcast(" + call.tensor(0) + ", " + dtypeName(*dtype) + ")");
}

static void castLike(Call &call) {
  Value &x = call.in(0);
  call.integer("saturate", 1);
  kiln_dtype dtype = call.in(1).dtype;
  if (dtype == x.dtype)
    return call.alias(0, x);
  call.set(0, call.tensor(0) + ".to(" + dtypeName(dtype) + ")");
}

static void where(Call &call) {
  int64_t rank = std::max(call.in(1).rank(), call.in(2).rank());
  std::string a = call.number(1, call.in(0).rank()), b = call.number(2, call.in(0).rank());
  bool aIsTensor = a == call.tensor(1), bIsTensor = b == call.tensor(2);
  (void)rank;
  call.set(0, "where(" + call.tensor(0) + ", " + a + ", " + (aIsTensor || bIsTensor ? b : call.tensor(2)) + ")");
}

/// An activation with attributes: `before` and `after` stand around its operand and numbers.
static std::function<void(Call &)> activation(const char *function,
                                              std::vector<std::pair<const char *, double>> attributes) {
  return [=](Call &call) {
    std::string out = std::string(function) + "(" + call.tensor(0);
    for (const auto &[name, fallback] : attributes)
      out += ", " + numberText(call.number(name, fallback));
    call.set(0, out + ")");
  };
}

static void hardSigmoid(Call &call) {
  std::string alpha = numberText(call.number("alpha", 0.2F)), beta = numberText(call.number("beta", 0.5));
  call.set(0, "clip(" + alpha + " * " + call.tensor(0) + " + " + beta + ", 0.0, 1.0)");
}

static void selu(Call &call) {
  double alpha = call.number("alpha", 1.67326319217681884765625),
         gamma = call.number("gamma", 1.05070102214813232421875);
  call.set(0, numberText(gamma) + " * elu(" + call.tensor(0) + ", " + numberText(alpha) + ")");
}

static void gelu(Call &call) {
  bool tanh = call.string("approximate", "none") == "tanh";
  call.set(0, "gelu(" + call.tensor(0) + (tanh ? ", tanh=True)" : ")"));
}

static void prelu(Call &call) {
  std::string x = call.tensor(0), slope = call.number(1, call.in(0).rank());
  call.set(0, "where(" + x + " < 0, " + x + " * " + slope + ", " + x + ")");
}

static void shrink(Call &call) {
  std::string lambda = numberText(call.number("lambd", 0.5)), bias = numberText(call.number("bias", 0)),
              x = call.tensor(0);
  std::string to = isFloat(call.in(0).dtype) ? "" : std::string(".to(") + dtypeName(call.in(0).dtype) + ")";
  call.set(0, "where(" + x + " < -" + lambda + ", " + x + " + " + bias + ", where(" + x + " > " + lambda + ", " + x +
                  " - " + bias + ", 0.0))" + to);
}

static void isInf(Call &call) {
  bool negative = call.integer("detect_negative", 1), positive = call.integer("detect_positive", 1);
  std::string x = call.tensor(0);
  if (negative && positive)
    return call.set(0, "abs(" + x + ") == inf");
  call.set(0, positive ? x + " == inf" : negative ? x + " == -inf" : "(" + x + " == inf) & (" + x + " == -inf)");
}

static void bitShift(Call &call) {
  std::string direction = call.string("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    refuse("its direction is '" + direction + "'; LEFT or RIGHT is expected");
  std::vector<std::string> xs = call.operands();
  call.set(0, xs[0] + (direction == "LEFT" ? " << " : " >> ") + xs[1]);
}

static void identity(Call &call) { call.alias(0, call.in(0)); }

static void dropout(Call &call) {
  double ratio = call.number("ratio", 0.5);
  call.integer("seed", 0);
  if (call.importer.forTraining()) {
    if (call.wants(1) && call.importer.isRead(call.node.outputs[1]))
      refuse("the graph uses which elements it drops; a recipe of Kiln's drops others");
    if (call.has(1))
      ratio = call.floats(1, "its ratio").at(0);
    if (!(ratio >= 0 && ratio < 1))
      refuse("its ratio is " + numberText(ratio) + "; a number from 0 to below 1 is expected");
    return ratio == 0 ? call.alias(0, call.in(0))
                      : call.set(0, "dropout(" + call.tensor(0) + ", " + numberText(ratio) + ")");
  }
  bool drops = !call.has(1) || !call.in(1).known || call.in(1).known->front().constant() != 0.0;
  if (drops && call.has(2) && (!call.in(2).known || call.in(2).known->front().dim != Dim(0)))
    refuse("it is in training mode, which a recipe of Kiln's decides: --train");
  call.alias(0, call.in(0));
  if (call.wants(1))
    call.set(1, "full(" + dimsText(call.in(0).shape) + (call.in(0).rank() ? ", " : "") + "True, dtype=bool)");
}

static void negation(Call &call) { call.set(0, "-" + call.tensor(0)); }

static void ifInteger(Call &call, const std::string &floats) {
  if (isFloat(call.in(0).dtype))
    return call.set(0, floats);
  call.alias(0, call.in(0));
}

static std::vector<Op> arithmeticOps() {
  return {
#define KILN_ONNX(name, onnx, opset) {onnx, opset, name "({0})", nullptr},
#include "ir/Ops.inc"
      {"Add", 7, "{0} + {1}", nullptr},
      {"Sub", 7, "{0} - {1}", nullptr},
      {"Mul", 7, "{0} * {1}", nullptr},
      {"Div", 7, "a / b, of integers truncated_div(a, b)", division},
      {"Mod", 10, "a % b, with fmod truncated_mod(a, b)", modulo},
      {"Pow", 7, "a ** b", power},
      {"Max", 7, "maximum(a, maximum(b, c))", chain("maximum", "", false)},
      {"Min", 7, "minimum(a, minimum(b, c))", chain("minimum", "", false)},
      {"Sum", 7, "a + b + c", chain("", " + ", false)},
      {"Mean", 7, "(a + b + c) / 3.0", chain("", " + ", true)},
      {"Neg", 7, "-x", negation},
      {"Floor", 7, "floor(x)", [](Call &c) { ifInteger(c, "floor(" + c.tensor(0) + ")"); }},
      {"Ceil", 7, "ceil(x)", [](Call &c) { ifInteger(c, "ceil(" + c.tensor(0) + ")"); }},
      {"Round", 11, "round(x)", [](Call &c) { ifInteger(c, "round(" + c.tensor(0) + ")"); }},
      {"Reciprocal", 7, "1.0 / {0}", nullptr},
      {"Tan", 7, "tan({0})", nullptr},
      {"Asin", 7, "asin({0})", nullptr},
      {"Acos", 7, "acos({0})", nullptr},
      {"Atan", 7, "atan({0})", nullptr},
      {"Sinh", 9, "sinh({0})", nullptr},
      {"Cosh", 9, "cosh({0})", nullptr},
      {"Asinh", 9, "asinh({0})", nullptr},
      {"Acosh", 9, "acosh({0})", nullptr},
      {"Atanh", 9, "atanh({0})", nullptr},
      {"Equal", 7, "{0} == {1}", nullptr},
      {"Less", 7, "{0} < {1}", nullptr},
      {"LessOrEqual", 12, "{0} <= {1}", nullptr},
      {"Greater", 7, "{0} > {1}", nullptr},
      {"GreaterOrEqual", 12, "{0} >= {1}", nullptr},
      {"And", 7, "{0} & {1}", nullptr},
      {"Or", 7, "{0} | {1}", nullptr},
      {"Xor", 7, "{0} ^ {1}", nullptr},
      {"Not", 7, "~{0}", nullptr},
      {"BitwiseAnd", 18, "{0} & {1}", nullptr},
      {"BitwiseOr", 18, "{0} | {1}", nullptr},
      {"BitwiseXor", 18, "{0} ^ {1}", nullptr},
      {"BitwiseNot", 18, "~{0}", nullptr},
      {"BitShift", 11, "a << b, a >> b", bitShift},
      {"IsNaN", 9, "isnan({0})", nullptr},
      {"IsInf", 10, "abs(x) == inf", isInf},
      {"Where", 9, "where(c, a, b)", where},
      {"Clip", 7, "minimum(maximum(x, low), high)", clip},
      {"BitCast", 26, "bitcast(a, i32)", bitCast, "floats of 16 bits"},
      {"Cast", 7, "x.to(f32)", cast, "to types that Kiln does not have"},
      {"CastLike", 15, "x.to(f32)", castLike},
  };
}

static std::vector<Op> activationOps() {
  return {
      {"Identity", 7, "x", identity},
      {"Dropout", 7, "x, with --train dropout(x, p)", dropout, "training mode without --train"},
      {"Softsign", 7, "softsign({0})", nullptr},
      {"HardSwish", 14, "hardswish({0})", nullptr},
      {"Mish", 18, "mish({0})", nullptr},
      {"LeakyRelu", 7, "leaky_relu(x, alpha)", activation("leaky_relu", {{"alpha", 0.01F}})},
      {"Elu", 7, "elu(x, alpha)", activation("elu", {{"alpha", 1.0}})},
      {"Celu", 12, "celu(x, alpha)", activation("celu", {{"alpha", 1.0}})},
      {"Selu", 7, "gamma * elu(x, alpha)", selu},
      {"ThresholdedRelu", 10, "where(x > alpha, x, 0.0)",
       [](Call &c) {
         c.set(0, "where(" + c.tensor(0) + " > " + numberText(c.number("alpha", 1.0)) + ", " + c.tensor(0) + ", 0.0)");
       }},
      {"HardSigmoid", 7, "clip(alpha * x + beta, 0.0, 1.0)", hardSigmoid},
      {"Gelu", 20, "gelu(x)", gelu},
      {"Swish", 24, "x * sigmoid(alpha * x)",
       [](Call &c) {
         double alpha = c.number("alpha", 1.0);
         c.set(0, alpha == 1.0 ? "silu(" + c.tensor(0) + ")"
                               : c.tensor(0) + " * sigmoid(" + numberText(alpha) + " * " + c.tensor(0) + ")");
       }},
      {"PRelu", 7, "where(x < 0, x * slope, x)", prelu},
      {"Shrink", 9, "where(x < -lambd, x + bias, where(x > lambd, x - bias, 0.0))", shrink},
  };
}

std::vector<Op> elementwiseOps() {
  std::vector<Op> out = arithmeticOps(), more = activationOps();
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

} // namespace kiln::onnx
