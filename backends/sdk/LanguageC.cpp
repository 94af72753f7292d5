// C, as compilers of C99 with GNU's builtins take it.
#include "Functions.h"
#include "Language.h"

namespace kiln::sdk {

static constexpr Language::Function functions[] = {
    {"bits_of", "static inline uint32_t kiln_bits_of(float x) { uint32_t u; __builtin_memcpy(&u, &x, 4); return u; }"},
    {"float_of", "static inline float kiln_float_of(uint32_t u) { float x; __builtin_memcpy(&x, &u, 4); return x; }"},
    {"double_of", "static inline double kiln_double_of(uint32_t low, uint32_t high) {\n"
                  "  uint64_t u = (uint64_t)high << 32 | low; double x; __builtin_memcpy(&x, &u, 8); return x;\n}"},
    {"mul_hi",
     "static inline uint32_t kiln_mul_hi(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }"},
    {"inf_f64", "static inline double kiln_inf_f64(void) { return __builtin_inf(); }"},
    {"minus_inf_f64", "static inline double kiln_minus_inf_f64(void) { return -__builtin_inf(); }"},
    {"nan_f64", "static inline double kiln_nan_f64(void) { return __builtin_nan(\"\"); }"},
    {"max_f32", "static inline float kiln_max_f32(float a, float b) { return a != a || a > b ? a : b; }"},
    {"min_f32", "static inline float kiln_min_f32(float a, float b) { return a != a || a < b ? a : b; }"},
    {"abs_f32", "static inline float kiln_abs_f32(float x) { return fabsf(x); }"},
    {"abs_f64", "static inline double kiln_abs_f64(double x) { return fabs(x); }"},
    {"sqrt_f32", "static inline float kiln_sqrt_f32(float x) { return sqrtf(x); }"},
    {"sqrt_f64", "static inline double kiln_sqrt_f64(double x) { return sqrt(x); }"},
    {"floor_f32", "static inline float kiln_floor_f32(float x) { return floorf(x); }"},
    {"floor_f64", "static inline double kiln_floor_f64(double x) { return floor(x); }"},
    {"ceil_f32", "static inline float kiln_ceil_f32(float x) { return ceilf(x); }"},
    {"ceil_f64", "static inline double kiln_ceil_f64(double x) { return ceil(x); }"},
    {"round_f32", "static inline float kiln_round_f32(float x) { return rintf(x); }"},
    {"round_f64", "static inline double kiln_round_f64(double x) { return rint(x); }"},
    {"exp_f32", "static inline float kiln_exp_f32(float x) { return expf(x); }"},
    {"expm1_f32", "static inline float kiln_expm1_f32(float x) { return expm1f(x); }"},
    {"log_f32", "static inline float kiln_log_f32(float x) { return logf(x); }"},
    {"log1p_f32", "static inline float kiln_log1p_f32(float x) { return log1pf(x); }"},
    {"tanh_f32", "static inline float kiln_tanh_f32(float x) { return tanhf(x); }"},
    {"erf_f32", "static inline float kiln_erf_f32(float x) { return erff(x); }"},
    {"sin_f32", "static inline float kiln_sin_f32(float x) { return sinf(x); }"},
    {"cos_f32", "static inline float kiln_cos_f32(float x) { return cosf(x); }"},
    {"product_low", "static inline float kiln_product_low(float a, float b) { return fmaf(a, b, -(a * b)); }"},
    {"pow_f32", "static inline float kiln_pow_f32(float x, float y) { return powf(x, y); }"},
    {"fmod_f32", "static inline float kiln_fmod_f32(float x, float y) { return fmodf(x, y); }"},
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
  return "static const uint32_t " + name + "[" + std::to_string(words.size()) + "] = {" + joined(words) + "};\n";
}

constinit const Language Language::C = {.name = "C",
                                        .int32 = "int32_t",
                                        .uint32 = "uint32_t",
                                        .int64 = "int64_t",
                                        .uint64 = "uint64_t",
                                        .int8 = "int8_t",
                                        .uint8 = "uint8_t",
                                        .uint16 = "uint16_t",
                                        .longSuffix = "LL",
                                        .table = printTable,
                                        .function = "static inline",
                                        .bitsOf = "kiln_bits_of",
                                        .floatOf = "kiln_float_of",
                                        .fma = "fmaf",
                                        .rint = "rintf",
                                        .abs = "fabsf",
                                        .mulHigh = "kiln_mul_hi",
                                        .functions = ::kiln::sdk::functions};

} // namespace kiln::sdk
