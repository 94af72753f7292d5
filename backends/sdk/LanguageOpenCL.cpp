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
    {"i64_of_f64", "static inline long kiln_i64_of_f64(double x) { return as_long(x); }"},
    {"f64_of_i64", "static inline double kiln_f64_of_i64(long i) { return as_double(i); }"},
    {"mul_hi", "static inline uint kiln_mul_hi(uint a, uint b) { return mul_hi(a, b); }"},
    {"inf_f64", "static inline double kiln_inf_f64(void) { return INFINITY; }"},
    {"minus_inf_f64", "static inline double kiln_minus_inf_f64(void) { return -INFINITY; }"},
    {"nan_f64", "static inline double kiln_nan_f64(void) { return NAN; }"},
    {"max_f32", "static inline float kiln_max_f32(float a, float b) { return a != a || a > b ? a : b; }"},
    {"min_f32", "static inline float kiln_min_f32(float a, float b) { return a != a || a < b ? a : b; }"},
    {"product_low", "static inline float kiln_product_low(float a, float b) { return fma(a, b, -(a * b)); }"},
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
                                             .librarySuffix = "",
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
