#include "runtime/support/Dim.h"

#include <gtest/gtest.h>

#include <random>

namespace kiln {
namespace {

Dim parsed(std::string_view text) {
  std::optional<Dim> dim = Dim::parse(text);
  EXPECT_TRUE(dim.has_value()) << text;
  return dim.value_or(Dim(-12345));
}

TEST(Dim, NormalFormOfSumsAndProducts) {
  EXPECT_EQ(parsed("T*4 + 1").str(), "4*T+1");
  EXPECT_EQ(parsed("1+4*T"), parsed("4*T+1"));
  EXPECT_EQ(parsed("B*T - T*B").str(), "0");
  EXPECT_EQ(parsed("(B+1)*(B-1)"), parsed("B*B-1"));
  EXPECT_EQ(parsed("-T").str(), "-T");
  EXPECT_EQ(parsed("3 - 2*T"), Dim(3) - Dim(2) * Dim::symbol("T"));
  EXPECT_EQ(parsed("heads*head_dim"), parsed("head_dim*heads"));
}

TEST(Dim, MalformedTextIsRefused) {
  for (const char *text : {"", "+", "T+", "4 T", "(T", "T)", "floordiv(T)", "floordiv(T, 0)", "floordiv(T, S)",
                           "min(T, 1)", "T**2", "99999999999999999999", "T,", "max(T)"})
    EXPECT_FALSE(Dim::parse(text).has_value()) << text;
}

TEST(Dim, CoefficientsThatDoNotFitAreRefused) {
  EXPECT_TRUE(Dim::parse("9223372036854775807").has_value());
  EXPECT_FALSE(Dim::parse("9223372036854775807 + 1").has_value());
  EXPECT_FALSE(Dim::parse("9223372036854775807*T + T").has_value());
  EXPECT_FALSE(Dim::parse("4294967296*4294967296*T").has_value());
  EXPECT_TRUE(Dim::parse("4*T").has_value()); // the mistake before leaves no trace
}

TEST(Dim, FloordivTakesMultiplesOut) {
  Dim t = Dim::symbol("T");
  EXPECT_EQ((Dim(4) * t + Dim(3)).floordiv(4), t);
  EXPECT_EQ((Dim(4) * t + Dim(9)).floordiv(4), t + Dim(2));
  EXPECT_EQ(Dim(-1).floordiv(2), Dim(-1));
  EXPECT_EQ(t.floordiv(1), t);
  EXPECT_EQ((t + Dim(1)).floordiv(2).str(), "floordiv(T+1, 2)");
  EXPECT_EQ(parsed("floordiv(T+1, 2)"), (t + Dim(1)).floordiv(2));
}

TEST(Dim, MaxOfComparableIsOneOfThem) {
  Dim t = Dim::symbol("T");
  EXPECT_EQ(max(t, t + Dim(2)), t + Dim(2));
  EXPECT_EQ(max(t, Dim(1)), max(Dim(1), t));
  EXPECT_EQ(parsed(max(t - Dim(1), Dim(0)).str()), max(t - Dim(1), Dim(0)));
}

TEST(Dim, ExactDivision) {
  EXPECT_EQ(parsed("6*B*T").exactDiv(parsed("2*T")), parsed("3*B"));
  EXPECT_EQ(parsed("B*B-1").exactDiv(parsed("B+1")), parsed("B-1"));
  EXPECT_EQ(Dim(0).exactDiv(parsed("T")), Dim(0));
  EXPECT_FALSE(parsed("T").exactDiv(Dim(2)).has_value());
  EXPECT_FALSE(parsed("T+1").exactDiv(parsed("T")).has_value());
  EXPECT_FALSE(parsed("T").exactDiv(Dim(0)).has_value());
}

TEST(Dim, EvaluationNeedsEverySymbolAndRefusesOverflow) {
  EXPECT_EQ(parsed("4*T+1").evaluate({{"T", 3}}), 13);
  EXPECT_FALSE(parsed("4*T+S").evaluate({{"T", 3}}).has_value());
  EXPECT_FALSE(parsed("T*T").evaluate({{"T", int64_t{1} << 40}}).has_value());
  EXPECT_EQ(parsed("floordiv(T-2, 3)+max(T, 7)").evaluate({{"T", 4}}), 7);
  EXPECT_EQ(parsed("max(S, floordiv(T, 2))").symbols(), (std::vector<std::string>{"S", "T"}));
}

/// A random expression as text, and its value computed beside it.
class Random {
public:
  explicit Random(unsigned seed) : engine_(seed) {}
  const std::map<std::string, int64_t> values = {{"B", 3}, {"T", 7}, {"W", 5}};

  std::pair<std::string, int64_t> make(int depth) {
    switch (depth == 0 ? pick(2) : pick(7)) {
    case 0: {
      int64_t number = pick(9);
      return {std::to_string(number), number};
    }
    case 1: {
      auto symbol = std::next(values.begin(), pick(3));
      return {symbol->first, symbol->second};
    }
    case 2: {
      auto [a, x] = make(depth - 1);
      int64_t divisor = 1 + pick(5), quotient = x / divisor - (x % divisor < 0 ? 1 : 0);
      return {"floordiv(" + a + ", " + std::to_string(divisor) + ")", quotient};
    }
    case 3: {
      auto [a, x] = make(depth - 1);
      auto [b, y] = make(depth - 1);
      return {"max(" + a + ", " + b + ")", std::max(x, y)};
    }
    case 4: {
      auto [a, x] = make(depth - 1);
      auto [b, y] = make(depth - 1);
      return {"(" + a + ")*(" + b + ")", x * y};
    }
    case 5: {
      auto [a, x] = make(depth - 1);
      auto [b, y] = make(depth - 1);
      return {"(" + a + ")-(" + b + ")", x - y};
    }
    default: {
      auto [a, x] = make(depth - 1);
      auto [b, y] = make(depth - 1);
      return {a + "+" + b, x + y};
    }
    }
  }

private:
  int64_t pick(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(engine_); }
  std::mt19937 engine_;
};

TEST(Dim, RandomExpressionsKeepTheirValueAndRoundTrip) {
  Random random(7);
  for (int i = 0; i < 2000; ++i) {
    auto [text, value] = random.make(3);
    Dim dim = parsed(text);
    EXPECT_EQ(dim.evaluate(random.values), value) << text << " = " << dim.str();
    std::string written = dim.str();
    EXPECT_EQ(parsed(written), dim) << text;
    EXPECT_EQ(parsed(written).str(), written) << text;
    Dim shifted = dim.substitute({{"B", Dim::symbol("T") - Dim(4)}});
    EXPECT_EQ(shifted.evaluate({{"T", 7}, {"W", 5}}), value) << text << " = " << shifted.str();
  }
}

TEST(Dim, RandomProductsDivideExactly) {
  Random random(11);
  for (int i = 0; i < 500; ++i) {
    Dim a = parsed(random.make(2).first), b = parsed(random.make(2).first);
    if (b == Dim(0))
      continue;
    std::optional<Dim> quotient = (a * b).exactDiv(b);
    ASSERT_TRUE(quotient.has_value()) << a.str() << " times and over " << b.str();
    EXPECT_EQ(*quotient, a) << b.str();
  }
}

} // namespace
} // namespace kiln
