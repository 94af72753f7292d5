// What known values of single ops do not show: symbols, loops, randomness, rounding, mistakes in the data.
#include "runtime/support/Philox.h"
#include "tests/ir/Run.h"

#include <cmath>

namespace kiln {
namespace {

using testing::elementNamed;
using testing::f32;
using testing::i32;
using testing::run;
using testing::tryRun;

std::string messageOf(const absl::StatusOr<Interpreted> &outcome) { return std::string(outcome.status().message()); }

constexpr const char *kTwice = R"(
  func.func @twice(%x: tensor<?x?xf32, #kiln.dims<"B", "2*T">>, %y: tensor<?xf32, #kiln.dims<"T">>)
      -> tensor<?xf32, #kiln.dims<"B">> attributes {kiln.bounds = {T = 4 : i64}} {
    %r = kiln.reduce sum %x, [1] : tensor<?x?xf32, #kiln.dims<"B", "2*T">> -> tensor<?xf32, #kiln.dims<"B">>
    return %r : tensor<?xf32, #kiln.dims<"B">>
  })";

TEST(Interpreter, BindsSymbolsFromShapes) {
  auto results = run(kTwice, {f32({3, 2}, {1, 2, 3, 4, 5, 6}), f32({1}, {0})});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].shape, std::vector<int64_t>{3});
  EXPECT_EQ(results[0].floats, (std::vector<double>{3, 7, 11}));
}

TEST(Interpreter, RefusesArgumentsThatDoNotFit) {
  EXPECT_EQ(messageOf(tryRun(kTwice, {f32({3, 2}, {1, 2, 3, 4, 5, 6}), f32({2}, {0, 0})})),
            "argument 1 of @twice is f32[T], found a tensor of shape [2]: dimension 0 must be T = 1");
  EXPECT_EQ(messageOf(tryRun(kTwice, {f32({1, 3}, {1, 2, 3}), f32({1}, {0})})),
            "argument 0 of @twice is f32[B, 2*T], found a tensor of shape [1, 3]: dimension 1 must be 2*T = 2");
  EXPECT_EQ(messageOf(tryRun(kTwice, {f32({2}, {1, 2}), f32({1}, {0})})),
            "argument 0 of @twice is f32[B, 2*T], found a tensor of shape [2]: another rank");
  EXPECT_EQ(messageOf(tryRun(kTwice, {i32({1, 2}, {1, 2}), f32({1}, {0})})),
            "argument 0 of @twice is f32[B, 2*T], found a tensor of shape [1, 2]: another element type");
  EXPECT_EQ(messageOf(tryRun(kTwice, {f32({1, 2}, {1, 2})})), "@twice takes 2 arguments, found 1");
  EXPECT_EQ(messageOf(tryRun(kTwice, {HostTensor::zeros(elementNamed("f32"), {1, 10}),
                                      HostTensor::zeros(elementNamed("f32"), {5})})),
            "@twice: T = 5 is above its bound 4");
}

TEST(Interpreter, ExtentIsTheValueOfAnExpression) {
  auto results = run(R"(
    func.func @f(%x: tensor<?xf32, #kiln.dims<"T">>) -> tensor<i32> {
      %r = kiln.extent <"3*T-1"> : tensor<i32>
      return %r : tensor<i32>
    })",
                     {f32({4}, {0, 0, 0, 0})});
  EXPECT_EQ(results[0].integers, std::vector<int64_t>{11});
}

constexpr const char *kScan = R"(
  func.func @f(%h0: tensor<f32>, %xs: tensor<?xf32, #kiln.dims<"T">>, %w: tensor<f32>)
      -> (tensor<f32>, tensor<?xf32, #kiln.dims<"T">>, tensor<?xi32, #kiln.dims<"T">>) {
    %last, %all, %steps = kiln.scan "T" DIRECTION step(%t) carry(%h = %h0 : tensor<f32>)
        over(%x = %xs : tensor<?xf32, #kiln.dims<"T">>) -> (tensor<?xf32, #kiln.dims<"T">>, tensor<?xi32, #kiln.dims<"T">>) {
      %a = kiln.mul %h, %w : tensor<f32>
      %b = kiln.add %a, %x : tensor<f32>
      kiln.yield %b, %b, %t : tensor<f32>, tensor<f32>, tensor<i32>
    }
    return %last, %all, %steps : tensor<f32>, tensor<?xf32, #kiln.dims<"T">>, tensor<?xi32, #kiln.dims<"T">>
  })";

std::string scanText(const std::string &direction) {
  std::string text = kScan;
  return text.replace(text.find("DIRECTION"), 9, direction);
}

TEST(Interpreter, ScanCarriesAndStacks) {
  auto results = run(scanText(""), {f32({}, {1}), f32({3}, {10, 20, 30}), f32({}, {2})});
  EXPECT_EQ(results[0].floats, std::vector<double>{(12 * 2 + 20) * 2 + 30});
  EXPECT_EQ(results[1].floats, (std::vector<double>{12, 44, 118}));
  EXPECT_EQ(results[2].integers, (std::vector<int64_t>{0, 1, 2}));
}

TEST(Interpreter, ScanRunsBackwards) {
  auto results = run(scanText("reverse"), {f32({}, {1}), f32({3}, {10, 20, 30}), f32({}, {2})});
  EXPECT_EQ(results[0].floats, std::vector<double>{(32 * 2 + 20) * 2 + 10});
  EXPECT_EQ(results[1].floats, (std::vector<double>{178, 84, 32}));
  EXPECT_EQ(results[2].integers, (std::vector<int64_t>{0, 1, 2}));
}

TEST(Interpreter, ScanOfNoStepsGivesTheInitialCarries) {
  auto results = run(scanText(""), {f32({}, {7}), f32({0}, {}), f32({}, {2})});
  EXPECT_EQ(results[0].floats, std::vector<double>{7});
  EXPECT_EQ(results[1].shape, std::vector<int64_t>{0});
}

TEST(Interpreter, IfWhileCustomAndGroup) {
  auto results = run(R"(
    func.func @f(%c: tensor<i1>, %x: tensor<f32>, %limit: tensor<f32>) -> (tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>) {
      %a = kiln.if %c : (tensor<i1>) -> tensor<f32> {
        kiln.yield %x : tensor<f32>
      } else {
        %n = kiln.neg %x : tensor<f32>
        kiln.yield %n : tensor<f32>
      }
      %b = kiln.while %x : (tensor<f32>) -> tensor<f32> {
      ^condition(%v: tensor<f32>):
        %t = kiln.compare lt %v, %limit : tensor<f32> -> tensor<i1>
        kiln.yield %t : tensor<i1>
      } do {
      ^body(%v: tensor<f32>):
        %d = kiln.add %v, %v : tensor<f32>
        kiln.yield %d : tensor<f32>
      }
      %g = kiln.custom %x : (tensor<f32>) -> tensor<f32> forward {
      ^forward(%v: tensor<f32>):
        %r = kiln.floor %v : tensor<f32>
        kiln.yield %r : tensor<f32>
      } backward {
      ^backward(%v: tensor<f32>, %gr: tensor<f32>):
        kiln.yield %gr : tensor<f32>
      }
      %k = kiln.group elementwise %x, %limit : (tensor<f32>, tensor<f32>) -> tensor<f32> {
      ^body(%v: tensor<f32>, %w: tensor<f32>):
        %s = kiln.sub %w, %v : tensor<f32>
        kiln.yield %s : tensor<f32>
      }
      return %a, %b, %g, %k : tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>
    })",
                     {HostTensor::ofIntegers(elementNamed("i1"), {}, {0}), f32({}, {1.5}), f32({}, {20})});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].floats[0], -1.5);
  EXPECT_EQ(results[1].floats[0], 24);
  EXPECT_EQ(results[2].floats[0], 1);
  EXPECT_EQ(results[3].floats[0], 18.5);
}

HostTensor seed(int64_t value) { return HostTensor::ofIntegers(elementNamed("ui32"), {}, {value}); }

TEST(Interpreter, RandomBitsAreWordsOfPhilox) {
  auto results = run(R"(
    func.func @f(%s: tensor<ui32>, %step: tensor<i32>, %t: tensor<i32>) -> (tensor<2x3xui32>, tensor<5xui32>) {
      %a = kiln.random_bits 0, %s : tensor<ui32> -> tensor<2x3xui32>
      %b = kiln.random_bits 9, %s, %step, %t : tensor<ui32>, tensor<i32>, tensor<i32> -> tensor<5xui32>
      return %a, %b : tensor<2x3xui32>, tensor<5xui32>
    })",
                     {seed(0), i32({}, {3}), i32({}, {4})});
  auto first = philox({0, 0, 0, 0}, {0, 0}), second = philox({1, 0, 0, 0}, {0, 0});
  EXPECT_EQ(results[0].integers, (std::vector<int64_t>{first[0], first[1], first[2], first[3], second[0], second[1]}));
  EXPECT_EQ(results[1].integers[4], philox({1, 3, 4, 0}, {0, 9})[0]);
}

TEST(Interpreter, NormalsAreBoxMullerOfTheUniforms) {
  auto results = run(R"(
    func.func @f(%s: tensor<ui32>) -> (tensor<1000xf64>, tensor<1000x2xf64>) {
      %n = kiln.random_normal 5, %s : tensor<ui32> -> tensor<1000xf64>
      %u = kiln.random_uniform 5, %s : tensor<ui32> -> tensor<1000x2xf64>
      return %n, %u : tensor<1000xf64>, tensor<1000x2xf64>
    })",
                     {seed(42)});
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    double u1 = results[1].floats[2 * i], u2 = results[1].floats[2 * i + 1], n = results[0].floats[i];
    EXPECT_TRUE(u1 >= 0 && u1 < 1 && u2 >= 0 && u2 < 1);
    EXPECT_NEAR(n, std::sqrt(-2 * std::log(1 - u1)) * std::cos(2 * M_PI * u2), 1e-12);
    sum += n;
    squares += n * n;
  }
  EXPECT_NEAR(sum / 1000, 0, 0.1);
  EXPECT_NEAR(squares / 1000, 1, 0.15);
}

TEST(Interpreter, DropoutKeepsWhereTheUniformIsAtLeastP) {
  for (double p : {0.0, 0.1, 0.5, 0.99999997, 1.0}) {
    std::string number = p == 0.99999997 ? "0.99999997" : std::to_string(p);
    auto results = run(R"(
      func.func @f(%x: tensor<500xf32>, %s: tensor<ui32>, %step: tensor<i32>) -> (tensor<500xf32>, tensor<500xf32>) {
        %d = kiln.dropout %x, %s, %step p )" +
                           number + R"( stream 7 : tensor<500xf32>, tensor<ui32>, tensor<i32>
        %u = kiln.random_uniform 7, %s, %step : tensor<ui32>, tensor<i32> -> tensor<500xf32>
        return %d, %u : tensor<500xf32>, tensor<500xf32>
      })",
                       {f32({500}, std::vector<double>(500, 3.0)), seed(1), i32({}, {12})});
    for (int64_t i = 0; i < 500; ++i)
      EXPECT_FLOAT_EQ(results[0].floats[i], results[1].floats[i] >= p ? 3.0 * (1.0 / (1.0 - p)) : 0.0)
          << p; // the factor is a constant of type f32
  }
}

TEST(Interpreter, IndexOutOfRangeIsClampedAndRecorded) {
  const char *text = R"(
    func.func @f(%t: tensor<3xf32>, %i: tensor<4xi32>) -> (tensor<4xf32>, tensor<3xf32>) {
      %g = kiln.gather %t, %i, 0 : tensor<3xf32>, tensor<4xi32> -> tensor<4xf32> loc("model.kiln":3:7)
      %s = kiln.scatter add %t, %i, %g, 0 : tensor<3xf32>, tensor<4xi32>, tensor<4xf32>
      return %g, %s : tensor<4xf32>, tensor<3xf32>
    })";
  auto outcome = tryRun(text, {f32({3}, {1, 2, 3}), i32({4}, {2, -5, 0, 3})});
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->results[0].floats, (std::vector<double>{3, 1, 1, 3}));
  EXPECT_EQ(outcome->results[1].floats, (std::vector<double>{2, 2, 6}));
  ASSERT_TRUE(outcome->error.has_value());
  EXPECT_EQ(outcome->error->str(), "gather at \"model.kiln\":3:7: index -5 is outside [0, 3)");
  auto fine = tryRun(text, {f32({3}, {1, 2, 3}), i32({4}, {2, 1, 0, 2})});
  EXPECT_FALSE(fine->error.has_value());
}

TEST(Interpreter, CrossEntropyRecordsABadTargetButNotTheIgnoredOne) {
  const char *text = R"(
    func.func @f(%x: tensor<2x3xf32>, %t: tensor<2xi32>) -> tensor<2xf32> {
      %r = kiln.cross_entropy %x, %t {ignore_index = -1 : i64} : tensor<2x3xf32>, tensor<2xi32> -> tensor<2xf32>
      return %r : tensor<2xf32>
    })";
  HostTensor logits = f32({2, 3}, {0, 0, 0, 0, 0, 0});
  auto ignored = tryRun(text, {logits, i32({2}, {-1, 2})});
  EXPECT_FALSE(ignored->error.has_value());
  EXPECT_EQ(ignored->results[0].floats[0], 0.0);
  EXPECT_NEAR(ignored->results[0].floats[1], std::log(3.0), 1e-15);
  auto bad = tryRun(text, {logits, i32({2}, {0, 3})});
  ASSERT_TRUE(bad->error.has_value());
  EXPECT_EQ(bad->error->value, 3);
  EXPECT_EQ(bad->error->limit, 3);
}

TEST(Interpreter, IntegerDivisionByZeroIsRecordedAndGivesZero) {
  auto outcome = tryRun(R"(
    func.func @f(%x: tensor<3xi32>, %y: tensor<3xi32>) -> tensor<3xi32> {
      %r = kiln.div %x, %y : tensor<3xi32>
      return %r : tensor<3xi32>
    })",
                        {i32({3}, {7, -2147483648, 9}), i32({3}, {0, -1, 2})});
  EXPECT_EQ(outcome->results[0].integers, (std::vector<int64_t>{0, -2147483648, 4}));
  ASSERT_TRUE(outcome->error.has_value());
  EXPECT_EQ(outcome->error->kind, DataError::divisionByZero);
}

TEST(Interpreter, RoundsToTheElementTypeOnRequest) {
  const char *text = R"(
    func.func @f(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xbf16>, tensor<2xf16>) {
      %a = kiln.exp %x : tensor<2xf32>
      %b = kiln.convert %x : tensor<2xf32> -> tensor<2xbf16>
      %c = kiln.convert %x : tensor<2xf32> -> tensor<2xf16>
      return %a, %b, %c : tensor<2xf32>, tensor<2xbf16>, tensor<2xf16>
    })";
  HostTensor x = f32({2}, {0.1, 1.00390625 + 0x1p-20}); // the second lies just above half-way between two bf16
  InterpreterOptions rounded;
  rounded.roundToDtype = true;
  auto wide = run(text, {x}), narrow = run(text, {x}, rounded);
  EXPECT_EQ(wide[0].floats[0], std::exp(0.1));
  EXPECT_EQ(narrow[0].floats[0], static_cast<float>(std::exp(static_cast<double>(0.1f))));
  EXPECT_EQ(wide[1].floats[1], x.floats[1]);
  EXPECT_EQ(narrow[1].floats[1], 1.0078125);
  EXPECT_EQ(narrow[2].floats[0], 0.0999755859375);
}

TEST(Interpreter, FloatsSaturateAsIntegers) {
  auto results = run(R"(
    func.func @f(%x: tensor<5xf32>) -> (tensor<5xi8>, tensor<5xui8>, tensor<5xi64>) {
      %a = kiln.convert %x : tensor<5xf32> -> tensor<5xi8>
      %b = kiln.convert %x : tensor<5xf32> -> tensor<5xui8>
      %c = kiln.convert %x : tensor<5xf32> -> tensor<5xi64>
      return %a, %b, %c : tensor<5xi8>, tensor<5xui8>, tensor<5xi64>
    })",
                     {f32({5}, {300, -300, NAN, 1e30, -1.5})});
  EXPECT_EQ(results[0].integers, (std::vector<int64_t>{127, -128, 0, 127, -1}));
  EXPECT_EQ(results[1].integers, (std::vector<int64_t>{255, 0, 0, 255, 0}));
  EXPECT_EQ(results[2].integers, (std::vector<int64_t>{300, -300, 0, INT64_MAX, -1}));
}

TEST(Interpreter, ShiftsByTheWidthOrMore) {
  auto results = run(R"(
    func.func @f(%x: tensor<4xi8>, %n: tensor<4xi8>) -> (tensor<4xi8>, tensor<4xi8>) {
      %a = kiln.shl %x, %n : tensor<4xi8>
      %b = kiln.shr %x, %n : tensor<4xi8>
      return %a, %b : tensor<4xi8>, tensor<4xi8>
    })",
                     {HostTensor::ofIntegers(elementNamed("i8"), {4}, {-1, 3, -128, 64}),
                      HostTensor::ofIntegers(elementNamed("i8"), {4}, {8, 1, -1, 1})});
  EXPECT_EQ(results[0].integers, (std::vector<int64_t>{0, 6, 0, -128}));
  EXPECT_EQ(results[1].integers, (std::vector<int64_t>{-1, 1, -1, 32}));
}

TEST(Interpreter, DynamicSlicesClampTheirStarts) {
  auto results = run(R"(
    func.func @f(%x: tensor<4xf32>, %u: tensor<2xf32>, %i: tensor<i32>) -> (tensor<2xf32>, tensor<4xf32>) {
      %a = kiln.dynamic_slice %x[%i] : (tensor<4xf32>, tensor<i32>) -> tensor<2xf32>
      %b = kiln.dynamic_update_slice %x, %u[%i] : (tensor<4xf32>, tensor<2xf32>, tensor<i32>) -> tensor<4xf32>
      return %a, %b : tensor<2xf32>, tensor<4xf32>
    })",
                     {f32({4}, {1, 2, 3, 4}), f32({2}, {8, 9}), i32({}, {7})});
  EXPECT_EQ(results[0].floats, (std::vector<double>{3, 4}));
  EXPECT_EQ(results[1].floats, (std::vector<double>{1, 2, 8, 9}));
}

TEST(Interpreter, ReductionsOfNothingGiveTheNeutralElement) {
  auto results = run(R"(
    func.func @f(%x: tensor<2x0xf32>, %y: tensor<0xi8>) -> (tensor<2xf32>, tensor<2xf32>, tensor<i8>) {
      %a = kiln.reduce sum %x, [1] : tensor<2x0xf32> -> tensor<2xf32>
      %b = kiln.reduce max %x, [1] : tensor<2x0xf32> -> tensor<2xf32>
      %c = kiln.reduce min %y, [0] : tensor<0xi8> -> tensor<i8>
      return %a, %b, %c : tensor<2xf32>, tensor<2xf32>, tensor<i8>
    })",
                     {f32({2, 0}, {}), HostTensor::ofIntegers(elementNamed("i8"), {0}, {})});
  EXPECT_EQ(results[0].floats, (std::vector<double>{0, 0}));
  EXPECT_EQ(results[1].floats, (std::vector<double>{-INFINITY, -INFINITY}));
  EXPECT_EQ(results[2].integers, std::vector<int64_t>{127});
}

TEST(Interpreter, ObserverSeesEachOpOnceAndNotInsideComposites) {
  std::vector<std::string> seen;
  InterpreterOptions options;
  options.observer = [&](mlir::Operation *op, llvm::ArrayRef<const HostTensor *> results) {
    seen.push_back(op->getName().stripDialect().str() + ":" + std::to_string(results.size()));
  };
  run(R"(
    func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
      %a = kiln.softmax %x, 0 : tensor<2xf32>
      %b = kiln.neg %a : tensor<2xf32>
      return %b : tensor<2xf32>
    })",
      {f32({2}, {1, 2})}, options);
  EXPECT_EQ(seen, (std::vector<std::string>{"softmax:1", "neg:1"}));
}

TEST(Interpreter, NamesTheSliceThatDoesNotFit) {
  auto outcome = tryRun(R"(
    func.func @f(%x: tensor<?xf32, #kiln.dims<"T">>) -> tensor<2xf32> {
      %r = kiln.slice %x, <"0">, [1] : tensor<?xf32, #kiln.dims<"T">> -> tensor<2xf32> loc("m.kiln":5:1)
      return %r : tensor<2xf32>
    })",
                        {f32({1}, {1})});
  EXPECT_EQ(messageOf(outcome), "kiln.slice at \"m.kiln\":5:1: axis 0 has extent 1, the slice reads from 0 to 1");
}

} // namespace
} // namespace kiln
