#include "tests/backends/sdk/CForm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace kiln::test;

namespace {

const kiln_dtype floats[] = {KILN_F32, KILN_F64, KILN_BF16, KILN_F16};
const kiln_dtype integers[] = {KILN_I8, KILN_U8, KILN_I32, KILN_U32, KILN_I64};

double epsilon(kiln_dtype dtype) {
  return dtype == KILN_F64 ? 1e-13 : dtype == KILN_F32 ? 3e-6 : dtype == KILN_F16 ? 2e-3 : 1.6e-2;
}

/// Infinities, NaN, zeros, the largest and smallest, and numbers in between.
Tensor special(kiln_dtype dtype, int64_t count, double low, double high, uint32_t seed = 1) {
  Tensor t = randomTensor(dtype, {count}, low, high, seed);
  double inf = std::numeric_limits<double>::infinity();
  const double values[] = {0.0, -0.0, inf, -inf, std::nan(""), 1.0, -1.0, 1e-40, 65504, 0.5, -2.5, 3.5, 1e-7};
  const int64_t wholes[] = {0,   1,    -1,  std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(),
                            127, -128, 255, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  bool real = dtype <= KILN_F16;
  size_t n = real ? std::size(values) : std::size(wholes);
  for (size_t i = 0; i < n; ++i)
    t.set(static_cast<int64_t>((i * (seed * 2 + 1)) % n), {real ? values[i] : 0, real ? 0 : wholes[i]});
  return t;
}

std::string named(const std::string &op, kiln_dtype dtype) { return op + " " + kiln::sdk::dtypeName(dtype); }

TEST(CForm, UnaryFloat) {
  std::vector<Case> cases;
  for (kiln_dtype dtype : floats)
    for (const char *op : {"neg", "abs", "sign", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tanh",
                           "sigmoid", "erf", "floor", "ceil", "round", "stop_gradient"}) {
      TestKernel kernel;
      uint32_t x = kernel.input(dtype, {200});
      kernel.output(kernel.op(op, {x}));
      cases.push_back({named(op, dtype), std::move(kernel), {special(dtype, 200, -20, 20)}, epsilon(dtype)});
    }
  checkC(cases);
}

TEST(CForm, BinaryFloat) {
  std::vector<Case> cases;
  for (kiln_dtype dtype : floats)
    for (const char *op : {"add", "sub", "mul", "div", "rem", "pow", "max", "min"}) {
      TestKernel kernel;
      uint32_t x = kernel.input(dtype, {400}), y = kernel.input(dtype, {400});
      kernel.output(kernel.op(op, {x, y}));
      bool large = dtype != KILN_F32 && dtype != KILN_F64; // what overflows when rounded
      (void)large;
      cases.push_back({named(op, dtype),
                       std::move(kernel),
                       {special(dtype, 400, -3, 3), special(dtype, 400, -3, 3, 2)},
                       epsilon(dtype)});
    }
  checkC(cases);
}

TEST(CForm, Integers) {
  std::vector<Case> cases;
  for (kiln_dtype dtype : integers) {
    for (const char *op : {"add", "sub", "mul", "div", "rem", "max", "min", "and", "or", "xor", "shl", "shr"}) {
      TestKernel kernel;
      uint32_t x = kernel.input(dtype, {300}), y = kernel.input(dtype, {300});
      kernel.output(kernel.op(op, {x, y}));
      bool shift = std::string(op).starts_with("sh");
      cases.push_back(
          {named(op, dtype),
           std::move(kernel),
           {special(dtype, 300, 0, 200), shift ? randomTensor(dtype, {300}, 0, 70, 3) : special(dtype, 300, -9, 9, 2)},
           0});
    }
    for (const char *op : {"neg", "abs", "sign", "not"}) {
      TestKernel kernel;
      uint32_t x = kernel.input(dtype, {300});
      kernel.output(kernel.op(op, {x}));
      cases.push_back({named(op, dtype), std::move(kernel), {special(dtype, 300, -100, 100)}, 0});
    }
  }
  for (const char *op : {"add", "mul", "and", "or", "xor", "max", "min"}) {
    TestKernel kernel;
    uint32_t x = kernel.input(KILN_BOOL, {64}), y = kernel.input(KILN_BOOL, {64});
    kernel.output(kernel.op(op, {x, kernel.op("not", {y})}));
    cases.push_back({named(op, KILN_BOOL),
                     std::move(kernel),
                     {randomTensor(KILN_BOOL, {64}, 0, 2), randomTensor(KILN_BOOL, {64}, 0, 2, 5)},
                     0});
  }
  checkC(cases);
}

TEST(CForm, CompareSelectConvert) {
  const kiln_dtype all[] = {KILN_F32, KILN_F64, KILN_BF16, KILN_F16, KILN_I8,
                            KILN_U8,  KILN_I32, KILN_U32,  KILN_I64, KILN_BOOL};
  std::vector<Case> cases;
  for (kiln_dtype dtype : all) {
    for (const char *predicate : {"eq", "ne", "lt", "le", "gt", "ge"}) {
      TestKernel kernel;
      uint32_t x = kernel.input(dtype, {100}), y = kernel.input(dtype, {100});
      uint32_t c = kernel.op("compare", {x, y}, KILN_BOOL, {100}, {string("predicate", predicate)});
      kernel.output(c);
      kernel.output(kernel.op("select", {c, x, y}, dtype, {100}));
      cases.push_back(
          {named(predicate, dtype), std::move(kernel), {special(dtype, 100, -3, 3), special(dtype, 100, -3, 3, 2)}, 0});
    }
    for (kiln_dtype to : all) {
      TestKernel kernel;
      uint32_t x = kernel.input(dtype, {200});
      kernel.output(kernel.op("convert", {x}, to, {200}));
      cases.push_back({named(named("convert", dtype) + " to", to),
                       std::move(kernel),
                       {special(dtype, 200, -300, 300)},
                       to == KILN_F16 || to == KILN_BF16 ? 1e-12 : 1e-7});
    }
  }
  checkC(cases);
}

TEST(CForm, LargeAngles) {
  std::vector<Case> cases;
  for (const char *op : {"sin", "cos"}) {
    TestKernel kernel;
    uint32_t x = kernel.input(KILN_F32, {1000});
    kernel.output(kernel.op(op, {x}));
    Tensor angles = randomTensor(KILN_F32, {1000}, -1e6, 1e6);
    for (int64_t i = 0; i < 200; ++i)
      angles.set(i, {std::ldexp(angles.get(i).real, static_cast<int>(i % 100)), 0});
    cases.push_back({op, std::move(kernel), {angles}, 2e-7});
  }
  checkC(cases);
}

} // namespace
