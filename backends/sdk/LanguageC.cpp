// C, as compilers of C99 with GNU's builtins take it.
#include "Functions.h"
#include "Language.h"

namespace kiln::sdk {

static constexpr Language::Function functions[] = {
    {"bits_of", "static inline uint32_t kiln_bits_of(float x) { uint32_t u; __builtin_memcpy(&u, &x, 4); return u; }"},
    {"float_of", "static inline float kiln_float_of(uint32_t u) { float x; __builtin_memcpy(&x, &u, 4); return x; }"},
    {"double_of", "static inline double kiln_double_of(uint32_t low, uint32_t high) {\n"
                  "  uint64_t u = (uint64_t)high << 32 | low; double x; __builtin_memcpy(&x, &u, 8); return x;\n}"},
    {"i64_of_f64",
     "static inline int64_t kiln_i64_of_f64(double x) { int64_t i; __builtin_memcpy(&i, &x, 8); return i; }"},
    {"f64_of_i64",
     "static inline double kiln_f64_of_i64(int64_t i) { double x; __builtin_memcpy(&x, &i, 8); return x; }"},
    {"mul_hi",
     "static inline uint32_t kiln_mul_hi(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }"},
    {"inf_f64", "static inline double kiln_inf_f64(void) { return __builtin_inf(); }"},
    {"minus_inf_f64", "static inline double kiln_minus_inf_f64(void) { return -__builtin_inf(); }"},
    {"nan_f64", "static inline double kiln_nan_f64(void) { return __builtin_nan(\"\"); }"},
    {"max_f32", "static inline float kiln_max_f32(float a, float b) { return a != a || a > b ? a : b; }"},
    {"min_f32", "static inline float kiln_min_f32(float a, float b) { return a != a || a < b ? a : b; }"},
    {"product_low", "static inline float kiln_product_low(float a, float b) { return fmaf(a, b, -(a * b)); }"},
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
                                        .functions = ::kiln::sdk::functions,
                                        .librarySuffix = "f"};

} // namespace kiln::sdk
