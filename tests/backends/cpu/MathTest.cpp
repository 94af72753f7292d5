// Elementwise ops over all dtypes, and how exact the elementary functions are.
#include "tests/backends/cpu/TestKernel.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

using namespace kiln::test;

namespace {
/// Arguments that matter: spread over the function's range, and the special ones.
Tensor arguments(kiln_dtype dtype, double low, double high, bool logarithmic) {
  std::vector<double> values{0.0, -0.0, 1.0, -1.0, 0.5, 1e-8, -1e-8, INFINITY, -INFINITY, NAN};
  constexpr int count = 20000;
  for (int i = 0; i <= count; ++i) {
    double t = static_cast<double>(i) / count;
    values.push_back(logarithmic ? low * std::pow(high / low, t) : low + (high - low) * t);
  }
  Tensor t = Tensor::make(dtype, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i)
    t.set(static_cast<int64_t>(i), {values[i], 0});
  return t;
}

struct Exactness {
  const char *op;
  double low, high;
  bool logarithmic;
  double ulps; // allowed
};

void measure(kiln_dtype dtype, const Exactness &c, const char *cpu = "native") {
  TestKernel k;
  Tensor x = arguments(dtype, c.low, c.high, c.logarithmic);
  uint32_t in = k.input(dtype, {x.count()});
  k.output(k.op(c.op, {in}));
  RunOptions options;
  options.cpu = cpu;
  RunResult result = run(k, {x}, options);
  ASSERT_EQ(result.error, "");
  TestKernel wide;
  wide.output(wide.op(c.op, {wide.input(KILN_F64, {x.count()})}));
  Tensor arguments = x;
  arguments.dtype = KILN_F64;
  std::vector<Tensor> expected = evaluate(wide, {arguments});
  double worst = 0, at = 0;
  for (int64_t i = 0; i < x.count(); ++i) {
    double got = result.outputs[0].get(i).real, argument = x.get(i).real;
    // In long double where the result's own precision is double.
    long double exact = dtype == KILN_F64 ? [&]() -> long double {
      std::string op = c.op;
      long double a = argument;
      if (op == "exp")
        return expl(a);
      if (op == "expm1")
        return expm1l(a);
      if (op == "log")
        return logl(a);
      if (op == "log1p")
        return log1pl(a);
      if (op == "tanh")
        return tanhl(a);
      if (op == "sigmoid")
        return 1 / (1 + expl(-a));
      if (op == "erf")
        return erfl(a);
      if (op == "sin")
        return sinl(a);
      if (op == "cos")
        return cosl(a);
      return 1 / sqrtl(a);
    }()
        : expected[0].get(i).real;
    if (std::isnan(exact)) {
      EXPECT_TRUE(std::isnan(got)) << c.op << "(" << argument << ") is " << got;
      continue;
    }
    double rounded = dtype == KILN_F64 ? static_cast<double>(exact) : static_cast<double>(static_cast<float>(exact));
    if (std::isinf(rounded) || rounded == 0) {
      EXPECT_EQ(got, rounded) << c.op << "(" << argument << ")";
      continue;
    }
    double unit =
        dtype == KILN_F64
            ? std::nextafter(std::abs(rounded), INFINITY) - std::abs(rounded)
            : static_cast<double>(std::nextafterf(static_cast<float>(std::abs(rounded)), INFINITY)) - std::abs(rounded);
    double error = static_cast<double>(std::abs((long double)(got)-exact)) / unit;
    if (!(error <= worst))
      worst = error, at = argument;
  }
  ::testing::Test::RecordProperty(c.op, std::to_string(worst));
  EXPECT_LE(worst, c.ulps) << c.op << " is worst at " << at;
}
} // namespace

TEST(Exactness, F32) {
  for (const Exactness &c : {Exactness{"exp", -104, 89, false, 2},
                             {"exp", -1, 1, false, 2},
                             {"expm1", -20, 88, false, 4},
                             {"expm1", 1e-6, 1, true, 4},
                             {"log", 1e-44, 3e38, true, 2},
                             {"log", 0.5, 2, false, 2},
                             {"log1p", -0.9999, 10, false, 4},
                             {"log1p", 1e-7, 1e30, true, 4},
                             {"tanh", -10, 10, false, 4},
                             {"tanh", 1e-6, 1, true, 4},
                             {"sigmoid", -80, 30, false, 4},
                             {"erf", -5, 5, false, 4},
                             {"erf", 1e-6, 1, true, 4},
                             {"sin", -100, 100, false, 4},
                             {"sin", -1e9, 1e9, false, 4},
                             {"cos", -100, 100, false, 4},
                             {"rsqrt", 1e-30, 1e30, true, 2}})
    for (const char *cpu : {"native", "x86-64-v3"}) // by tables, where the processor has AVX-512, and without
      measure(KILN_F32, c, cpu);
}

/// Signs of zero, ends of the range, and that one element alone has the bits that it has in a vector.
TEST(Exactness, F32Corners) {
  struct Corner {
    const char *op;
    std::vector<std::pair<float, float>> values;
  };
  const float tiny = 0x1p-149f, inf = INFINITY;
  for (const Corner &c :
       {Corner{"exp", {{0, 1}, {-0.0f, 1}, {88.73f, inf}, {-104.1f, 0}, {-103.28f, tiny}, {1e30f, inf}, {-1e30f, 0}}},
        {"erf", {{-0.0f, -0.0f}, {tiny, tiny}, {-4.1f, -1}, {4, 1}, {1e30f, 1}, {-3e38f, -1}, {inf, 1}}},
        {"tanh", {{-0.0f, -0.0f}, {tiny, tiny}, {-tiny, -tiny}, {10, 1}, {-10, -1}, {1e30f, 1}, {-inf, -1}}},
        {"sigmoid", {{0, 0.5f}, {-0.0f, 0.5f}, {-inf, 0}, {inf, 1}, {30, 1}, {-1e30f, 0}}}}) {
    auto count = static_cast<int64_t>(c.values.size());
    Tensor x = Tensor::make(KILN_F32, {count});
    for (int64_t i = 0; i < count; ++i)
      x.set(i, {c.values[static_cast<size_t>(i)].first, 0});
    for (const char *cpu : {"native", "x86-64-v3"}) {
      RunOptions options;
      options.cpu = cpu;
      TestKernel k, one;
      k.output(k.op(c.op, {k.input(KILN_F32, {count})}));
      one.output(one.op(c.op, {one.input(KILN_F32, {})}));
      RunResult all = run(k, {x}, options);
      ASSERT_EQ(all.error, "");
      for (int64_t i = 0; i < count; ++i) {
        auto [argument, expected] = c.values[static_cast<size_t>(i)];
        double got = all.outputs[0].get(i).real;
        EXPECT_TRUE(got == expected && std::signbit(got) == std::signbit(expected))
            << c.op << "(" << argument << ") is " << got << " on " << cpu;
        Tensor alone = Tensor::make(KILN_F32, {});
        alone.set(0, {argument, 0});
        EXPECT_EQ(run(one, {alone}, options).outputs[0].get(0).real, got) << c.op << "(" << argument << ") on " << cpu;
      }
    }
  }
}

TEST(Exactness, F64) {
  for (const Exactness &c : {Exactness{"exp", -745, 710, false, 2},
                             {"expm1", -40, 700, false, 4},
                             {"expm1", 1e-12, 1, true, 4},
                             {"log", 1e-310, 1e300, true, 2},
                             {"log1p", -0.9999, 10, false, 4},
                             {"log1p", 1e-12, 1e30, true, 4},
                             {"tanh", -20, 20, false, 4},
                             {"sigmoid", -700, 40, false, 4},
                             {"erf", -6, 6, false, 4},
                             {"sin", -1000, 1000, false, 4},
                             {"cos", -1000, 1000, false, 4},
                             {"sin", 1e5, 1.7e308, true, 4},
                             {"cos", 1e5, 1.7e308, true, 4},
                             {"rsqrt", 1e-30, 1e30, true, 2}})
    measure(KILN_F64, c);
}

/// Powers with results over the whole range, and remainders of numbers up to 2^2000 apart, which are exact.
TEST(Exactness, PowAndRem) {
  for (kiln_dtype dtype : {KILN_F32, KILN_F64}) {
    bool wide = dtype == KILN_F64;
    double span = wide ? 700 : 80, largest = wide ? 1.7976931348623157e308 : 3.4028234e38;
    constexpr int64_t count = 5000;
    Tensor x = Tensor::make(dtype, {count}), y = Tensor::make(dtype, {count}), far = Tensor::make(dtype, {count});
    for (int64_t i = 0; i < count; ++i) {
      double base = std::exp(span * std::sin(static_cast<double>(i) * 0.37)),
             exponent = span * std::sin(static_cast<double>(i) * 1.7);
      x.set(i, {base, 0});
      y.set(i, {i % 7 == 0 ? static_cast<double>(i % 5) : exponent / std::log(base), 0});
      far.set(i, {i % 2 ? largest / static_cast<double>(i) : base * 3, 0});
    }
    TestKernel k;
    uint32_t a = k.input(dtype, {count}), b = k.input(dtype, {count}), c = k.input(dtype, {count});
    k.output(k.op("pow", {a, b}));
    k.output(k.op("rem", {c, a}));
    RunResult result = run(k, {x, y, far});
    ASSERT_EQ(result.error, "");
    for (int64_t i = 0; i < count; ++i) {
      double base = x.get(i).real, exponent = y.get(i).real, got = result.outputs[0].get(i).real;
      double exact = static_cast<double>(powl(base, exponent));
      if (exact > largest) {
        EXPECT_EQ(got, INFINITY) << base << " to the " << exponent;
        continue;
      }
      double next = std::nextafter(exact, INFINITY);
      double unit = wide ? next - exact
                         : static_cast<double>(std::nextafterf(static_cast<float>(exact), INFINITY)) -
                               static_cast<double>(static_cast<float>(exact));
      EXPECT_LE(std::abs(got - exact), 4 * unit) << base << " to the " << exponent;
      double number = far.get(i).real;
      EXPECT_EQ(result.outputs[1].get(i).real, std::fmod(number, base)) << number << " by " << base;
    }
  }
}

TEST(Dtypes, BinaryOps) {
  for (kiln_dtype dtype : {KILN_F32, KILN_F64, KILN_BF16, KILN_F16, KILN_I8, KILN_U8, KILN_I32, KILN_U32, KILN_I64}) {
    bool real = dtype <= KILN_F16;
    std::vector<const char *> names{"add", "sub", "mul", "div", "max", "min", "rem"};
    for (const char *extra : {"and", "or", "xor", "shl", "shr"})
      if (!real)
        names.push_back(extra);
    TestKernel k;
    uint32_t a = k.input(dtype, {100}), b = k.input(dtype, {100});
    for (const char *name : names)
      k.output(k.op(name, {a, b}));
    bool sign = real || dtype == KILN_I8 || dtype == KILN_I32 || dtype == KILN_I64;
    double tolerance = dtype == KILN_BF16 ? 1e-2 : dtype == KILN_F16 ? 1e-3 : 1e-6;
    Tensor left = randomTensor(dtype, {100}, sign ? -100 : 0, 100),
           right = randomTensor(dtype, {100}, sign ? -9 : 0, 9, 5);
    check(k, {left, right}, tolerance);
  }
}

TEST(Dtypes, ConvertBetweenAll) {
  std::vector<kiln_dtype> all{KILN_F32, KILN_F64, KILN_BF16, KILN_F16, KILN_I8,
                              KILN_U8,  KILN_I32, KILN_U32,  KILN_I64, KILN_BOOL};
  for (kiln_dtype from : all) {
    TestKernel k;
    uint32_t x = k.input(from, {50});
    for (kiln_dtype to : all)
      k.output(k.op("convert", {x}, to, {50}));
    Tensor data = randomTensor(from, {50}, from == KILN_U8 || from == KILN_U32 ? 0 : -120, 120);
    if (from == KILN_F32 || from == KILN_F64) {
      double extremes[] = {NAN, INFINITY, -INFINITY, 1e10, -1e10, 255.5, 256, -128.9, 2147483648.0, -0.5, 0};
      for (int i = 0; i < 11; ++i)
        data.set(i, {extremes[i], 0});
    }
    check(k, {data}, 1e-6);
  }
}

TEST(Dtypes, DivisionByZeroIsRecorded) {
  TestKernel k;
  uint32_t a = k.input(KILN_I32, {40}), b = k.input(KILN_I32, {40});
  k.op("add", {a, b});
  k.output(k.op("div", {a, b}));
  Tensor divisor = randomTensor(KILN_I32, {40}, 1, 9);
  RunResult fine = run(k, {randomTensor(KILN_I32, {40}, -9, 9), divisor});
  EXPECT_EQ(fine.error, "");
  EXPECT_EQ(fine.status.kind, KILN_OK);
  divisor.set(33, {0, 0});
  Tensor dividend = randomTensor(KILN_I32, {40}, -9, 9);
  dividend.set(5, {0, std::numeric_limits<int32_t>::min()});
  divisor.set(5, {0, -1});
  RunResult result = run(k, {dividend, divisor});
  EXPECT_EQ(result.status.kind, KILN_DIVISION_BY_ZERO);
  EXPECT_EQ(result.status.op, 1u);
  EXPECT_EQ(result.status.value, dividend.get(33).whole + divisor.get(33).whole);
  EXPECT_EQ(result.outputs[0].get(33).whole, 0);
}

TEST(Dtypes, WhatIsDividedByZeroIsToldWhole) {
  TestKernel k;
  uint32_t a = k.input(KILN_I64, {40}), b = k.input(KILN_I64, {40});
  k.output(k.op("div", {a, b}));
  Tensor dividend = randomTensor(KILN_I64, {40}, -9, 9), divisor = randomTensor(KILN_I64, {40}, 1, 9);
  dividend.set(33, {0, -(int64_t{1} << 40) - 3});
  divisor.set(33, {0, 0});
  RunResult result = run(k, {dividend, divisor});
  EXPECT_EQ(result.status.kind, KILN_DIVISION_BY_ZERO);
  EXPECT_EQ(result.status.value, -(int64_t{1} << 40) - 3);
}

TEST(Dtypes, CompareSelectAndBool) {
  for (kiln_dtype dtype : {KILN_F32, KILN_F64, KILN_I8, KILN_U32, KILN_BOOL}) {
    TestKernel k;
    uint32_t a = k.input(dtype, {70}), b = k.input(dtype, {70});
    for (const char *p : {"eq", "ne", "lt", "le", "gt", "ge"}) {
      uint32_t c = k.op("compare", {a, b}, KILN_BOOL, {70}, {string("predicate", p)});
      k.output(c);
      k.output(k.op("select", {c, a, b}, dtype, {70}));
      k.output(k.op("not", {c}));
    }
    Tensor x = randomTensor(dtype, {70}, 0, 2);
    if (dtype == KILN_F32)
      x.set(3, {NAN, 0});
    check(k, {x, randomTensor(dtype, {70}, 0, 2, 9)}, 0);
  }
}

TEST(Dtypes, MaxPropagatesNaNAndUnaries) {
  TestKernel k;
  uint32_t a = k.input(KILN_F32, {64}), b = k.input(KILN_F32, {64});
  k.output(k.op("max", {a, b}));
  k.output(k.op("min", {a, b}));
  for (const char *op : {"neg", "abs", "sign", "floor", "ceil", "round", "sqrt"})
    k.output(k.op(op, {a}));
  k.output(k.op("pow", {k.op("abs", {a}), b}));
  Tensor x = randomTensor(KILN_F32, {64}, -9, 9), y = randomTensor(KILN_F32, {64}, -3, 3, 4);
  x.set(3, {NAN, 0}), y.set(4, {NAN, 0}), x.set(6, {2.5, 0}), x.set(7, {-0.0, 0});
  check(k, {x, y}, 1e-6);
}

/// A product with 0 is not 0 where the other one is infinite or NaN, whatever stands around it.
TEST(Dtypes, ZeroTimesInfinity) {
  for (kiln_dtype dtype : {KILN_F32, KILN_F64}) {
    TestKernel k;
    uint32_t x = k.input(dtype, {9}), zero = k.constant(dtype, 0, {9});
    uint32_t infinite = k.op("log", {k.op("sub", {x, x})});
    k.output(k.op("add", {k.op("mul", {infinite, zero}), k.op("max", {x, zero})}));
    uint32_t large = k.op("exp", {k.op("mul", {x, k.constant(dtype, 1000, {9})})});
    k.output(k.op("mul", {zero, large}));
    k.output(k.op("sub", {large, large}));
    k.output(k.op("div", {zero, k.op("sub", {x, x})}));
    k.output(k.op("neg", {k.op("div", {x, k.constant(dtype, -0.0, {9})})}));
    Tensor in = Tensor::make(dtype, {9});
    for (int64_t i = 0; i < 9; ++i)
      in.set(i, {static_cast<double>(i + 1), 0});
    RunResult result = run(k, {in});
    ASSERT_EQ(result.error, "");
    for (int64_t i = 0; i < 9; ++i) {
      for (int output = 0; output < 4; ++output)
        EXPECT_TRUE(std::isnan(result.outputs[output].get(i).real))
            << output << ": " << result.outputs[output].get(i).real;
      EXPECT_EQ(result.outputs[4].get(i).real, INFINITY);
    }
  }
}

TEST(Refusal, UnknownOpByName) {
  TestKernel k;
  uint32_t a = k.input(KILN_F32, {4});
  k.output(k.op("frobnicate", {a}));
  EXPECT_NE(run(k, {randomTensor(KILN_F32, {4}, 0, 1)}).error.find("frobnicate"), std::string::npos);
}

TEST(Refusal, DtypesThatAnOpDoesNotTake) {
  TestKernel k;
  k.output(k.op("exp", {k.input(KILN_I32, {4})}));
  EXPECT_NE(run(k, {randomTensor(KILN_I32, {4}, 0, 9)}).error.find("'exp' (conformance:1:1) takes floats, not i32"),
            std::string::npos);
  TestKernel bits;
  uint32_t a = bits.input(KILN_F32, {4});
  bits.output(bits.op("xor", {a, a}));
  EXPECT_NE(
      run(bits, {randomTensor(KILN_F32, {4}, 0, 9)}).error.find("'xor' (conformance:1:1) takes integers, not f32"),
      std::string::npos);
}
