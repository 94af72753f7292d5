// Quantised ops, in the arithmetic that they stand for: integers are widened, scaled, rounded and clipped.
#include "frontend/onnx/Ops.h"

#include <cctype>

namespace kiln::onnx {

/// A scale or zero point as it stands beside x: along its axis where it has one; where it has all of x's axes, for each
/// block of that one.
static std::string beside(Call &call, size_t input, const Value &x, int64_t axis, int64_t block = 0) {
  Value &value = call.in(input);
  if (value.isSingle())
    return value.known && value.rank() == 0 ? call.number(input, x.rank())
           : value.rank() == 0              ? call.tensor(input)
                                            : "reshape(" + call.tensor(input) + ")";
  if (block > 0 && value.rank() == x.rank()) {
    int64_t along = call.axis(axis, x.rank());
    Dim all = value.shape[along] * Dim(block);
    if ((x.shape[along] + Dim(block - 1)).floordiv(block) != value.shape[along])
      refuse("its blocks of " + std::to_string(block) + " do not fit " + typeText(x.dtype, x.shape));
    return "repeat_interleave(" + call.tensor(input) + ", " + std::to_string(block) + ", " + std::to_string(along) +
           ")" +
           (all == x.shape[along]
                ? ""
                : "[" + colons(along) + ":" + dimText(x.shape[along]) + "]"); // the last one is shorter
  }
  if (value.rank() != 1 || block > 0)
    refuse("it is quantised by blocks of " + std::to_string(block) + ", and a scale of it is " +
           typeText(value.dtype, value.shape));
  return alongAxis(call.tensor(input), call.axis(axis, x.rank()), x.rank());
}

/// A tensor converted; a number fits any dtype.
static std::string widened(const std::string &text, const char *dtype) {
  bool isNumber = text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '(';
  return isNumber ? text : text + ".to(" + dtype + ")";
}

static std::pair<const char *, const char *> limits(kiln_dtype dtype) {
  if (dtype == KILN_U8)
    return {"0", "255"};
  if (dtype == KILN_I8)
    return {"(-128)", "127"};
  refuse(std::string("it quantises to ") + dtypeName(dtype) + "; u8 and i8 are there");
}

static void quantize(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.integer("axis", 1);
  call.integer("saturate", 1);
  int64_t block = call.integer("block_size", 0);
  int64_t asked = call.integer("output_dtype", 0);
  call.integer("precision", 0);
  kiln_dtype to = call.has(2) ? call.in(2).dtype : KILN_U8;
  if (!call.has(2) && asked != 0) {
    std::optional<kiln_dtype> dtype = dtypeOf(asked);
    if (!dtype)
      refuse("it quantises to " + dataTypeName(asked) + ", which Kiln does not have");
    to = *dtype;
  }
  auto [low, high] = limits(to);
  std::string scaled = call.tensor(0) + " / " + beside(call, 1, x, axis, block);
  std::string zero = call.has(2) ? " + " + widened(beside(call, 2, x, axis, block), dtypeName(x.dtype)) : "";
  call.set(0, "clip(round(" + scaled + ")" + zero + ", " + low + ", " + high + ").to(" + dtypeName(to) + ")");
}

static void dequantize(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.integer("axis", 1);
  int64_t block = call.integer("block_size", 0);
  int64_t asked = call.integer("output_dtype", 0);
  std::optional<kiln_dtype> to = asked ? dtypeOf(asked) : call.in(1).dtype;
  if (!to)
    refuse("its result is of a type that Kiln does not have");
  std::string whole = x.dtype == KILN_I32 ? call.tensor(0) : call.tensor(0) + ".to(i32)";
  if (call.has(2))
    whole = "(" + whole + " - " + widened(beside(call, 2, x, axis, block), "i32") + ")";
  std::string scale = beside(call, 1, x, axis, block);
  call.set(0, whole + ".to(" + dtypeName(*to) + ") * " + scale);
}

static void dynamicQuantize(Call &call) { call.setAll("dynamic_quantize(" + call.tensor(0) + ")", 3); }

/// An operand of an integer product as i32, its zero point taken off.
static std::string centred(Call &call, size_t input, size_t zero, int64_t axis) {
  Value x = call.in(input);
  std::string out = call.tensor(input) + ".to(i32)";
  return call.has(zero) ? "(" + out + " - " + widened(beside(call, zero, x, axis), "i32") + ")" : out;
}

static void matmulInteger(Call &call) {
  Value a = call.in(0), b = call.in(1);
  // A zero point for each row of a, or for each column of b.
  call.set(0, centred(call, 0, 2, a.rank() > 1 ? -2 : 0) + " @ " + centred(call, 1, 3, -1));
}

/// An operand with its scale and zero point behind it, as the number that it stands for.
static std::string dequantised(Call &call, size_t input, int64_t axis) {
  Value x = call.in(input);
  return "(" + centred(call, input, input + 2, axis) + ".to(f32) * " + beside(call, input + 1, x, axis) + ")";
}

/// The result quantised again, by the scale and zero point of these inputs.
static void requantise(Call &call, const std::string &result, size_t scale, kiln_dtype dtype) {
  auto [low, high] = limits(dtype);
  std::string name = call.let("result", result);
  Value value = call.typed(name);
  std::string zero = call.has(scale + 1) ? " + " + widened(beside(call, scale + 1, value, -1), "f32") : "";
  call.set(0, "clip(round(" + name + " / " + beside(call, scale, value, -1) + ")" + zero + ", " + low + ", " + high +
                  ").to(" + dtypeName(dtype) + ")");
}

static void qlinearMatmul(Call &call) {
  std::string product = dequantised(call, 0, call.in(0).rank() > 1 ? -2 : 0) + " @ " + dequantised(call, 3, -1);
  requantise(call, product, 6, call.in(7).dtype);
}

//===-- Of com.microsoft -----------------------------------------------------------------------------------------===//

static std::function<void(Call &)> qlinearBinary(const char *op) {
  return [=](Call &call) {
    requantise(call, dequantised(call, 0, -1) + op + dequantised(call, 3, -1), 6, call.in(0).dtype);
  };
}

static void qlinearSigmoid(Call &call) {
  requantise(call, "sigmoid(" + dequantised(call, 0, -1) + ")", 3, call.in(0).dtype);
}

static void qlinearLeaky(Call &call) {
  std::string alpha = numberText(call.number("alpha", 0.01F));
  requantise(call, "leaky_relu(" + dequantised(call, 0, -1) + ", " + alpha + ")", 3, call.in(0).dtype);
}

/// ONNX's own op behind Flatten and the like, in whole numbers; a float where there is no scale of the result.
static void qgemm(Call &call) {
  bool turnedA = call.integer("transA", 0) != 0, turnedB = call.integer("transB", 0) != 0;
  double alpha = call.number("alpha", 1);
  if (call.in(0).rank() != 2 || call.in(3).rank() != 2)
    refuse("its operands are no matrices");
  std::string sums = centred(call, 0, 2, -1) + (turnedA ? ".T" : "") + " @ " + centred(call, 3, 5, turnedB ? 0 : -1) +
                     (turnedB ? ".T" : "");
  std::string name = call.let("sums", plus(call, sums, 6));
  std::string scale = call.tensor(1) + " * " + beside(call, 4, call.typed(name), -1);
  std::string out = name + ".to(f32) * (" + scale + (alpha == 1 ? ")" : " * " + numberText(alpha) + ")");
  call.has(7) ? requantise(call, out, 7, call.in(8).dtype) : call.set(0, out);
}

static void qlinearPool(Call &call) {
  if (call.integer("channels_last", 0) != 0)
    refuse("its channels stand last");
  int64_t rank = call.in(0).rank();
  if (rank < 3)
    refuse("it wants [B, C, …]");
  std::string axes;
  for (int64_t axis = 2; axis < rank; ++axis)
    axes += (axes.empty() ? "" : ", ") + std::to_string(axis);
  requantise(call,
             "mean(" + dequantised(call, 0, -1) + ", axis=(" + axes + (rank == 3 ? ",)" : ")") + ", keepdims=True)", 3,
             call.in(0).dtype);
}

/// The result's scale stands first, then each input with its own.
static void qlinearConcat(Call &call) {
  size_t count = call.node.inputs.size();
  if (count < 5 || count % 3 != 2)
    refuse("it has " + std::to_string(count) +
           " inputs; a scale and a zero point, and three for each part are expected");
  std::string parts;
  for (size_t i = 2; i < count; i += 3)
    parts += dequantised(call, i, -1) + ", ";
  std::string axis = std::to_string(call.axis(call.integer("axis", 0), call.in(2).rank()));
  requantise(call, "concat(" + parts + "axis=" + axis + ")", 0, call.in(1).dtype);
}

static void integerToFloat(Call &call) {
  std::string product = "(" + centred(call, 0, 4, -1) + " @ " + centred(call, 1, 5, -1) + ").to(f32)";
  call.set(0, plus(call, product + " * (" + call.tensor(2) + " * " + call.tensor(3) + ")", 6));
}

/// The left side is quantised as DynamicQuantizeLinear does it.
static void dynamicMatmul(Call &call) {
  std::string zero = call.has(3) ? ", " + call.tensor(3) : "";
  call.set(0, plus(call,
                   "dynamic_quantized_product(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2) +
                       zero + ")",
                   4));
}

std::vector<Op> quantisedOps() {
  return {
      {"QuantizeLinear", 10, "clip(round(x / scale) + zero, 0, 255).to(u8)", quantize,
       "16, 4 and 8-bit floating types"},
      {"DequantizeLinear", 10, "(x.to(i32) - zero).to(f32) * scale", dequantize, "16, 4 and 8-bit floating types"},
      {"QuantizeLinear", 1, "clip(round(x / scale) + zero, 0, 255).to(u8)", quantize, "16, 4 and 8-bit floating types",
       "com.microsoft"},
      {"DequantizeLinear", 1, "(x.to(i32) - zero).to(f32) * scale", dequantize, "16, 4 and 8-bit floating types",
       "com.microsoft"},
      {"DynamicQuantizeLinear", 11, "dynamic_quantize(x)", dynamicQuantize},
      {"MatMulInteger", 10, "(a.to(i32) - zero) @ (b.to(i32) - zero)", matmulInteger},
      {"QLinearMatMul", 10, "dequantised, multiplied, quantised", qlinearMatmul},
      {"QLinearAdd", 1, "dequantised, added, quantised", qlinearBinary(" + "), "", "com.microsoft"},
      {"QLinearMul", 1, "dequantised, multiplied, quantised", qlinearBinary(" * "), "", "com.microsoft"},
      {"QGemm", 1, "((a - zero) @ (b - zero) + c).to(f32) * scale, quantised", qgemm, "", "com.microsoft"},
      {"QLinearConcat", 1, "dequantised, put together, quantised", qlinearConcat, "", "com.microsoft"},
      {"QLinearGlobalAveragePool", 1, "dequantised, averaged, quantised", qlinearPool, "channels that stand last",
       "com.microsoft"},
      {"QLinearSigmoid", 1, "dequantised, sigmoid, quantised", qlinearSigmoid, "", "com.microsoft"},
      {"QLinearLeakyRelu", 1, "dequantised, leaky_relu, quantised", qlinearLeaky, "", "com.microsoft"},
      {"MatMulIntegerToFloat", 1, "((a - zero) @ (b - zero)).to(f32) * scale", integerToFloat, "", "com.microsoft"},
      {"DynamicQuantizeMatMul", 1, "dynamic_quantized_product(x, w, scale, zero)", dynamicMatmul, "", "com.microsoft"},
  };
}

} // namespace kiln::onnx
