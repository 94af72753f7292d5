// GLSL 4.60 for Vulkan, and what is known of its compilers.
#include "DoubleFunctions.h"
#include "Functions.h"
#include "Graph.h"
#include "Language.h"

namespace kiln::sdk {

static constexpr Language::Function functions[] = {
    {"bits_of", "uint kiln_bits_of(float x) { return floatBitsToUint(x); }"},
    {"float_of", "float kiln_float_of(uint u) { return uintBitsToFloat(u); }"},
    {"double_of", "double kiln_double_of(uint low, uint high) { return packDouble2x32(uvec2(low, high)); }"},
    {"i64_of_f64", "int64_t kiln_i64_of_f64(double x) { return doubleBitsToInt64(x); }"},
    {"f64_of_i64", "double kiln_f64_of_i64(int64_t i) { return int64BitsToDouble(i); }"},
    {"mul_hi", "uint kiln_mul_hi(uint a, uint b) { uint high, low; umulExtended(a, b, high, low); return high; }"},
    {"inf_f64", "double kiln_inf_f64() { return packDouble2x32(uvec2(0u, 0x7ff00000u)); }"},
    {"minus_inf_f64", "double kiln_minus_inf_f64() { return packDouble2x32(uvec2(0u, 0xfff00000u)); }"},
    {"nan_f64", "double kiln_nan_f64() { return packDouble2x32(uvec2(0u, 0x7ff80000u)); }"},
    {"plus_zero_f32",
     R"(float kiln_plus_zero_f32(float x) {
  uint u = floatBitsToUint(x);
  return uintBitsToFloat(u == 0x80000000u ? 0u : u);
})"},
    {"plus_zero_f64",
     R"(double kiln_plus_zero_f64(double x) {
  uvec2 u = unpackDouble2x32(x);
  return packDouble2x32(uvec2(u.x, u == uvec2(0u, 0x80000000u) ? 0u : u.y));
})"},
    {"zero_times_f32",
     R"(float kiln_zero_times_f32(float x) {
  uint u = floatBitsToUint(x);
  return uintBitsToFloat((u & 0x7fffffffu) >= 0x7f800000u ? 0x7fc00000u : u & 0x80000000u);
})"},
    {"zero_over_f32",
     R"(float kiln_zero_over_f32(float x) {
  uint u = floatBitsToUint(x), size = u & 0x7fffffffu;
  return uintBitsToFloat(size == 0u || size > 0x7f800000u ? 0x7fc00000u : u & 0x80000000u);
})"},
    {"zero_times_f64",
     R"(double kiln_zero_times_f64(double x) {
  uint u = unpackDouble2x32(x).y;
  return packDouble2x32(uvec2(0u, (u & 0x7ff00000u) == 0x7ff00000u ? 0x7ff80000u : u & 0x80000000u));
})"},
    {"zero_over_f64",
     R"(double kiln_zero_over_f64(double x) {
  uvec2 u = unpackDouble2x32(x);
  uint size = u.y & 0x7fffffffu;
  bool special = (size | u.x) == 0u || size > 0x7ff00000u || (size == 0x7ff00000u && u.x != 0u);
  return packDouble2x32(uvec2(0u, special ? 0x7ff80000u : u.y & 0x80000000u));
})"},
    {"abs_f32", "float kiln_abs_f32(float x) { return abs(x); }"},
    {"abs_f64", "double kiln_abs_f64(double x) { return abs(x); }"},
    {"sqrt_f32", "float kiln_sqrt_f32(float x) { return sqrt(x); }"},
    {"sqrt_f64", "double kiln_sqrt_f64(double x) { return sqrt(x); }"},
    {"floor_f32", "float kiln_floor_f32(float x) { return floor(x); }"},
    {"floor_f64", "double kiln_floor_f64(double x) { return floor(x); }"},
    {"ceil_f32", "float kiln_ceil_f32(float x) { return ceil(x); }"},
    {"ceil_f64", "double kiln_ceil_f64(double x) { return ceil(x); }"},
    {"round_f32", "float kiln_round_f32(float x) { return roundEven(x); }"},
    {"round_f64", "double kiln_round_f64(double x) { return roundEven(x); }"},
    {"exp_f32", "float kiln_exp_f32(float x) { return exp(x); }"},
    {"log_f32", "float kiln_log_f32(float x) { return log(x); }"},
    {"power2_f64", glslPower2Double},
    {"exp_rest_f64", glslExpRestDouble},
    {"two_over_pi_f64", glslTwoOverPi},
    {"trig_far_f64", glslTrigFarDouble},
    {"trig_f64", glslTrigDouble},
    {"exp_f64", glslExpDouble},
    {"expm1_f64", glslExpm1Double},
    {"log_f64", glslLogDouble},
    {"log1p_f64", glslLog1pDouble},
    {"sin_f64", glslSinDouble},
    {"cos_f64", glslCosDouble},
    {"tanh_f64", glslTanhDouble},
    {"erf_f64", glslErfDouble},
    {"product_low_f64", glslProductLowDouble},
    {"pow_positive_f64", glslPowPositiveDouble},
    {"pow_f64", glslPowDouble},
    {"fmod_f64", glslFmodDouble},
};

static void printChoice(const std::vector<std::string> &words, size_t begin, size_t end, std::string &text) {
  if (end - begin == 1) {
    text += words[begin];
    return;
  }
  size_t middle = (begin + end) / 2;
  text += "(i < " + std::to_string(middle) + " ? ";
  printChoice(words, begin, middle, text);
  text += " : ";
  printChoice(words, middle, end, text);
  text += ")";
}

/// An array takes drivers on processors minutes (lavapipe: quadratic in its length). So: a tree of choices.
static std::string printTable(const std::string &name, const std::vector<std::string> &words) {
  std::string text = "uint " + name + "(int i) {\n  return ";
  printChoice(words, 0, words.size(), text);
  return text + ";\n}\n";
}

static std::string vectorType(const Language &, kiln_dtype element, int count) {
  std::string kind = element == KILN_F32   ? "vec"
                     : element == KILN_F64 ? "dvec"
                     : element == KILN_I64 ? "i64vec"
                     : isSigned(element)   ? "ivec"
                                           : "uvec";
  return kind + std::to_string(count);
}

static std::string elementOf(const std::string &vectors, const std::string &, const std::string &at) {
  return vectors + "[" + at + " / 4][" + at + " % 4]";
}

// Without arithmetic on 8 and 16 bits, which few devices have; a compiler may take it that there are no NaNs, and
// Mesa's takes x * 0, 0 / x and x - x for 0 where it sees that.
constinit const Language Language::GLSL = {.name = "the shading language",
                                           .int32 = "int",
                                           .uint32 = "uint",
                                           .int64 = "int64_t",
                                           .uint64 = "uint64_t",
                                           .int8 = "int8_t",
                                           .uint8 = "uint8_t",
                                           .uint16 = "uint16_t",
                                           .doubleSuffix = "lf",
                                           .constructs = true,
                                           .narrowArithmetic = false,
                                           .signedWraps = true,
                                           .cRemainder = false,
                                           .convertsWidths = false,
                                           .comparesNaN = false,
                                           .foldsZeros = true,
                                           .signExtend = "bitfieldExtract($, 0, 8)",
                                           .largestConstant = largestTable,
                                           .tablesAreCalled = true,
                                           .table = printTable,
                                           .function = "",
                                           .bitsOf = "floatBitsToUint",
                                           .floatOf = "uintBitsToFloat",
                                           .fma = "fma",
                                           .rint = "roundEven",
                                           .abs = "abs",
                                           .mulHigh = "kiln_mul_hi",
                                           .functions = ::kiln::sdk::functions,
                                           .localX = "gl_LocalInvocationID.x",
                                           .localY = "gl_LocalInvocationID.y",
                                           .localIndex = "gl_LocalInvocationIndex",
                                           .barrier = "barrier();",
                                           .shared = "shared ",
                                           .dontUnroll = "[[dont_unroll]] ",
                                           .unroll = "[[unroll]] ",
                                           .strip = "strip",
                                           .vector = vectorType,
                                           .element = elementOf};

} // namespace kiln::sdk
