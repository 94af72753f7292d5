// OpenCL C 1.2 with f64.
#include "Functions.h"
#include "Graph.h"
#include "Language.h"

namespace kiln::sdk {

static constexpr Language::Function functions[] = {
    {"bits_of", "static inline uint kiln_bits_of(float x) { return as_uint(x); }"},
    {"float_of", "static inline float kiln_float_of(uint u) { return as_float(u); }"},
    {"double_of",
     "static inline double kiln_double_of(uint low, uint high) { return as_double((ulong)high << 32 | low); }"},
    {"mul_hi", "static inline uint kiln_mul_hi(uint a, uint b) { return mul_hi(a, b); }"},
    {"inf_f64", "static inline double kiln_inf_f64(void) { return INFINITY; }"},
    {"minus_inf_f64", "static inline double kiln_minus_inf_f64(void) { return -INFINITY; }"},
    {"nan_f64", "static inline double kiln_nan_f64(void) { return NAN; }"},
    {"max_f32", "static inline float kiln_max_f32(float a, float b) { return a != a || a > b ? a : b; }"},
    {"min_f32", "static inline float kiln_min_f32(float a, float b) { return a != a || a < b ? a : b; }"},
    {"abs_f32", "static inline float kiln_abs_f32(float x) { return fabs(x); }"},
    {"abs_f64", "static inline double kiln_abs_f64(double x) { return fabs(x); }"},
    {"sqrt_f32", "static inline float kiln_sqrt_f32(float x) { return sqrt(x); }"},
    {"sqrt_f64", "static inline double kiln_sqrt_f64(double x) { return sqrt(x); }"},
    {"floor_f32", "static inline float kiln_floor_f32(float x) { return floor(x); }"},
    {"floor_f64", "static inline double kiln_floor_f64(double x) { return floor(x); }"},
    {"ceil_f32", "static inline float kiln_ceil_f32(float x) { return ceil(x); }"},
    {"ceil_f64", "static inline double kiln_ceil_f64(double x) { return ceil(x); }"},
    {"round_f32", "static inline float kiln_round_f32(float x) { return rint(x); }"},
    {"round_f64", "static inline double kiln_round_f64(double x) { return rint(x); }"},
    {"exp_f32", "static inline float kiln_exp_f32(float x) { return exp(x); }"},
    {"expm1_f32", "static inline float kiln_expm1_f32(float x) { return expm1(x); }"},
    {"log_f32", "static inline float kiln_log_f32(float x) { return log(x); }"},
    {"log1p_f32", "static inline float kiln_log1p_f32(float x) { return log1p(x); }"},
    {"tanh_f32", "static inline float kiln_tanh_f32(float x) { return tanh(x); }"},
    {"erf_f32", "static inline float kiln_erf_f32(float x) { return erf(x); }"},
    {"sin_f32", "static inline float kiln_sin_f32(float x) { return sin(x); }"},
    {"cos_f32", "static inline float kiln_cos_f32(float x) { return cos(x); }"},
    {"product_low", "static inline float kiln_product_low(float a, float b) { return fma(a, b, -(a * b)); }"},
    {"pow_f32", "static inline float kiln_pow_f32(float x, float y) { return pow(x, y); }"},
    {"fmod_f32", "static inline float kiln_fmod_f32(float x, float y) { return fmod(x, y); }"},
    {"exp_f64", "static inline double kiln_exp_f64(double x) { return exp(x); }"},
    {"expm1_f64", "static inline double kiln_expm1_f64(double x) { return expm1(x); }"},
    {"log_f64", "static inline double kiln_log_f64(double x) { return log(x); }"},
    {"log1p_f64", "static inline double kiln_log1p_f64(double x) { return log1p(x); }"},
    {"sin_f64", "static inline double kiln_sin_f64(double x) { return sin(x); }"},
    {"cos_f64", "static inline double kiln_cos_f64(double x) { return cos(x); }"},
    {"tanh_f64", "static inline double kiln_tanh_f64(double x) { return tanh(x); }"},
    {"erf_f64", "static inline double kiln_erf_f64(double x) { return erf(x); }"},
    {"pow_f64", "static inline double kiln_pow_f64(double x, double y) { return pow(x, y); }"},
    {"fmod_f64", "static inline double kiln_fmod_f64(double x, double y) { return fmod(x, y); }"},
};

/// An array.
static std::string printTable(const std::string &name, const std::vector<std::string> &words) {
  return "__constant uint " + name + "[" + std::to_string(words.size()) + "] = {" + joined(words) + "};\n";
}

static std::string vectorType(const Language &language, kiln_dtype element, int count) {
  std::string kind = element == KILN_F32   ? language.float32
                     : element == KILN_F64 ? language.float64
                     : element == KILN_I64 ? language.int64
                     : isSigned(element)   ? language.int32
                                           : language.uint32;
  return kind + std::to_string(count);
}

static std::string elementOf(const std::string &vectors, const std::string &type, const std::string &at) {
  return "((" + type + " *)" + vectors + ")[" + at + "]";
}

constinit const Language Language::OpenCL = {.name = "OpenCL C",
                                             .int32 = "int",
                                             .uint32 = "uint",
                                             .int64 = "long",
                                             .uint64 = "ulong",
                                             .int8 = "char",
                                             .uint8 = "uchar",
                                             .uint16 = "ushort",
                                             .largestConstant = largestTable,
                                             .table = printTable,
                                             .function = "static inline",
                                             .bitsOf = "as_uint",
                                             .floatOf = "as_float",
                                             .fma = "fma",
                                             .rint = "rint",
                                             .abs = "fabs",
                                             .mulHigh = "mul_hi",
                                             .functions = ::kiln::sdk::functions,
                                             .localX = "get_local_id(0)",
                                             .localY = "get_local_id(1)",
                                             .localIndex = "(get_local_id(1) * get_local_size(0) + get_local_id(0))",
                                             .barrier = "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);",
                                             .shared = "local ",
                                             .dontUnroll = "__attribute__((opencl_unroll_hint(1))) ",
                                             .lanes = 16,
                                             .vector = vectorType,
                                             .element = elementOf};

} // namespace kiln::sdk
