#include "tests/backends/cpu/EvaluateScalar.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace kiln::test {

void unknown(const std::string &what) {
  std::fprintf(stderr, "evaluate: %s\n", what.c_str());
  std::abort();
}

bool isReal(kiln_dtype dtype) { return dtype <= KILN_F16; }
static bool isSigned(kiln_dtype dtype) { return dtype == KILN_I8 || dtype == KILN_I32 || dtype == KILN_I64; }

int64_t wrap(int64_t v, kiln_dtype dtype) {
  switch (dtype) {
  case KILN_I8:
    return static_cast<int8_t>(v);
  case KILN_U8:
    return static_cast<uint8_t>(v);
  case KILN_I32:
    return static_cast<int32_t>(v);
  case KILN_U32:
    return static_cast<uint32_t>(v);
  case KILN_BOOL:
    return v & 1;
  default:
    return v;
  }
}

double unaryReal(const std::string &op, double x) {
  if (op == "neg")
    return -x;
  if (op == "abs")
    return std::abs(x);
  if (op == "sign")
    return static_cast<double>((x > 0) - (x < 0)); // 0 for NaN, as torch.sign
  if (op == "exp")
    return std::exp(x);
  if (op == "expm1")
    return std::expm1(x);
  if (op == "log")
    return std::log(x);
  if (op == "log1p")
    return std::log1p(x);
  if (op == "sqrt")
    return std::sqrt(x);
  if (op == "rsqrt")
    return 1 / std::sqrt(x);
  if (op == "sin")
    return std::sin(x);
  if (op == "cos")
    return std::cos(x);
  if (op == "tanh")
    return std::tanh(x);
  if (op == "sigmoid")
    return 1 / (1 + std::exp(-x));
  if (op == "erf")
    return std::erf(x);
  if (op == "floor")
    return std::floor(x);
  if (op == "ceil")
    return std::ceil(x);
  if (op == "round")
    return std::nearbyint(x);
  unknown("no float op " + op);
}

double pick(double a, double b, bool larger) {
  if (std::isnan(a) || std::isnan(b))
    return std::numeric_limits<double>::quiet_NaN();
  return larger ? std::max(a, b) : std::min(a, b);
}

double binaryReal(const std::string &op, double a, double b) {
  if (op == "add")
    return a + b;
  if (op == "sub")
    return a - b;
  if (op == "mul")
    return a * b;
  if (op == "div")
    return a / b;
  if (op == "rem")
    return std::fmod(a, b);
  if (op == "pow")
    return std::pow(a, b);
  if (op == "max")
    return pick(a, b, true);
  if (op == "min")
    return pick(a, b, false);
  unknown("no float op " + op);
}

int64_t binaryWhole(const std::string &op, int64_t a, int64_t b, kiln_dtype dtype) {
  int bits = dtype == KILN_BOOL ? 1 : dtype == KILN_I64 ? 64 : dtype == KILN_I32 || dtype == KILN_U32 ? 32 : 8;
  bool boolean = dtype == KILN_BOOL;
  auto u = [](int64_t v) { return static_cast<uint64_t>(v); };
  if (op == "add")
    return boolean ? a | b : static_cast<int64_t>(u(a) + u(b));
  if (op == "sub")
    return static_cast<int64_t>(u(a) - u(b));
  if (op == "mul")
    return boolean ? a & b : static_cast<int64_t>(u(a) * u(b));
  if (op == "div")
    return b == 0 ? 0 : b == -1 ? static_cast<int64_t>(0 - u(a)) : a / b;
  if (op == "rem")
    return b == 0 || b == -1 ? 0 : a % b;
  if (op == "max")
    return std::max(a, b);
  if (op == "min")
    return std::min(a, b);
  if (op == "and")
    return a & b;
  if (op == "or")
    return a | b;
  if (op == "xor")
    return a ^ b;
  if (op == "shl")
    return u(b) >= u(bits) ? 0 : static_cast<int64_t>(u(a) << b);
  if (op == "shr")
    return u(b) >= u(bits) ? (isSigned(dtype) && a < 0 ? -1 : 0) : a >> b;
  if (op == "pow") {
    int64_t result = 1;
    for (int64_t i = 0; i < b; ++i)
      result = static_cast<int64_t>(u(result) * u(a));
    return result;
  }
  unknown("no integer op " + op);
}

Number binary(const std::string &op, Number a, Number b, kiln_dtype dtype) {
  if (isReal(dtype))
    return {binaryReal(op, a.real, b.real), 0};
  return {0, wrap(binaryWhole(op, a.whole, b.whole, dtype), dtype)};
}

bool compare(const std::string &p, Number a, Number b, bool real) {
  auto test = [&](auto x, auto y) {
    return p == "eq"   ? x == y
           : p == "ne" ? x != y
           : p == "lt" ? x < y
           : p == "le" ? x <= y
           : p == "gt" ? x > y
                       : x >= y;
  };
  return real ? test(a.real, b.real) : test(a.whole, b.whole);
}

Number convert(Number a, kiln_dtype from, kiln_dtype to) {
  if (isReal(to)) {
    double v = isReal(from) ? a.real : static_cast<double>(a.whole);
    Tensor t = Tensor::make(to, {});
    t.set(0, {v, 0});
    return {to == KILN_F32 && from == KILN_F64 ? static_cast<double>(static_cast<float>(v)) : t.get(0).real, 0};
  }
  if (to == KILN_BOOL)
    return {0, isReal(from) ? a.real != 0 : a.whole != 0};
  if (!isReal(from))
    return {0, wrap(a.whole, to)};
  if (std::isnan(a.real))
    return {0, 0};
  int bits = to == KILN_I64 ? 64 : to == KILN_I32 || to == KILN_U32 ? 32 : 8;
  double low = isSigned(to) ? -std::ldexp(1, bits - 1) : 0, high = std::ldexp(1, bits - isSigned(to)) - 1;
  double v = std::trunc(a.real);
  if (v >= high)
    return {0, bits == 64 ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(high)};
  return {0, static_cast<int64_t>(std::max(v, low))};
}

Number neutral(const std::string &kind, kiln_dtype dtype) {
  double infinity = std::numeric_limits<double>::infinity();
  int bits = dtype == KILN_I64 ? 64 : dtype == KILN_I32 || dtype == KILN_U32 ? 32 : 8;
  int64_t low = isSigned(dtype) ? static_cast<int64_t>(static_cast<uint64_t>(-1) << (bits - 1)) : 0;
  int64_t high = isSigned(dtype) ? ~low : static_cast<int64_t>((static_cast<uint64_t>(1) << bits) - 1);
  if (kind == "prod" || kind == "all")
    return {1, 1};
  if (kind == "max")
    return {-infinity, low};
  if (kind == "min")
    return {infinity, high};
  return {0, 0};
}

Number combine(const std::string &kind, Number a, Number b, kiln_dtype dtype) {
  if (kind == "set")
    return b;
  std::string op = kind == "sum" ? "add" : kind == "prod" ? "mul" : kind == "any" ? "or" : kind == "all" ? "and" : kind;
  return binary(op, a, b, dtype);
}

/// NaN is above all numbers.
bool less(Number a, Number b, bool real) {
  if (!real)
    return a.whole < b.whole;
  return std::isnan(b.real) ? !std::isnan(a.real) : a.real < b.real;
}

} // namespace kiln::test
