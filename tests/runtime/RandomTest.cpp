#include "runtime/random/Initialise.h"
#include "runtime/random/Normals.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/threads/ThreadPool.h"

#include <gmock/gmock.h>

namespace kiln {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Random123's kat_vectors, philox4x32 with 10 rounds.
TEST(Philox, KnownAnswers) {
  EXPECT_THAT(philox({0, 0, 0, 0}, {0, 0}), ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  EXPECT_THAT(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
              ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

TEST(Philox, BelowCoversItsRange) {
  RandomStream random(1, 2);
  int counts[7] = {};
  for (uint64_t i = 0; i < 7000; ++i)
    ++counts[random.below(i, 7)];
  for (int count : counts)
    EXPECT_NEAR(count, 1000, 150);
}

std::vector<float> init(const char *json, std::vector<int64_t> shape, unsigned threads = 1, uint32_t seed = 3) {
  ThreadPool pool(threads);
  Json parsed = Json::parse(json, "init");
  int64_t count = 1;
  for (int64_t dim : shape)
    count *= dim;
  std::vector<float> values(static_cast<size_t>(count), -7.0f);
  initialise("w", &parsed, seed, KILN_F32, shape, values.data(), pool);
  return values;
}

/// Vectors of them beside one by one, bit for bit, by all that this processor has: lengths that are no multiple of a
/// batch, numbers of blocks above 32 bits, means that almost all is cancelled with.
TEST(Normals, AreThoseOfTheStream) {
  struct Case {
    double mean, deviation;
    uint64_t first;
    int64_t count;
  };
  std::vector<float> values, expected;
  for (Case c : {Case{0, 0.02, 0, 3'000'001}, Case{0, 1, 1u << 20, 1'000'000}, Case{1.5, 2, 4096, 300'000},
                 Case{1e6, 1e-3, 0, 50'000}, Case{-3, 0, 0, 1000}, Case{0, -1, (uint64_t{1} << 33) - 100, 1001},
                 Case{0, 1e-39, 0, 20'000}, Case{0, 1e30, 2, 1}, Case{INFINITY, 1, 0, 200}}) {
    RandomStream random(7, namedStream("w", 1));
    expected.clear();
    for (int64_t i = 0; i < c.count; ++i)
      expected.push_back(static_cast<float>(c.mean + c.deviation * random.normal(c.first + static_cast<uint64_t>(i))));
    for (NormalsBy most : {NormalsBy::Plain, NormalsBy::AVX2, NormalsBy::AVX512}) {
      values.assign(expected.size(), -7.0F);
      fillNormals(random, c.mean, c.deviation, c.first, c.count, values.data(), most);
      int64_t wrong = 0;
      for (size_t i = 0; i < values.size(); ++i)
        wrong += std::bit_cast<uint32_t>(expected[i]) != std::bit_cast<uint32_t>(values[i]);
      EXPECT_EQ(wrong, 0) << c.mean << " + " << c.deviation << " n, from " << c.first << ", way "
                          << static_cast<int>(most);
    }
  }
}

#if defined(__x86_64__)
/// What the compiler's library finds of the processor.
TEST(Normals, AreMadeByTheWidestVectors) {
  bool narrow = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool wide =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  EXPECT_EQ(widestNormals(), !narrow ? NormalsBy::Plain : wide ? NormalsBy::AVX512 : NormalsBy::AVX2);
}
#endif

struct Moments {
  double mean = 0, deviation = 0, least = 1e30, most = -1e30;
};
Moments moments(const std::vector<float> &values) {
  Moments m;
  for (float v : values) {
    m.mean += v / static_cast<double>(values.size());
    m.least = std::min<double>(m.least, v);
    m.most = std::max<double>(m.most, v);
  }
  for (float v : values)
    m.deviation += (v - m.mean) * (v - m.mean) / static_cast<double>(values.size());
  m.deviation = std::sqrt(m.deviation);
  return m;
}

TEST(Initialise, DoesNotDependOnThreads) {
  EXPECT_EQ(init(R"({"kind":"normal"})", {100, 257}, 1), init(R"({"kind":"normal"})", {100, 257}, 3));
  EXPECT_NE(init(R"({"kind":"normal"})", {10}, 1, 1), init(R"({"kind":"normal"})", {10}, 1, 2));
}

TEST(Initialise, Distributions) {
  Moments normal = moments(init(R"({"kind":"normal","mean":1.0,"std":2.0})", {200, 300}));
  EXPECT_NEAR(normal.mean, 1, 0.05);
  EXPECT_NEAR(normal.deviation, 2, 0.05);
  Moments uniform = moments(init(R"({"kind":"uniform","low":-0.5,"high":0.25})", {200, 300}));
  EXPECT_GE(uniform.least, -0.5);
  EXPECT_LT(uniform.most, 0.25);
  EXPECT_NEAR(uniform.mean, -0.125, 0.01);
  // torch: bound = gain * sqrt(3 / fan_in), gain = sqrt(2 / (1 + a^2)); with a = sqrt(5) that is 1 / sqrt(fan_in).
  Moments kaiming = moments(init(R"({"kind":"kaiming_uniform","a":2.23606797749979})", {300, 100}));
  EXPECT_NEAR(kaiming.most, 0.1, 1e-3);
  EXPECT_NEAR(kaiming.least, -0.1, 1e-3);
  // A convolution's fans count the window: fan_in = 4*3*3, fan_out = 8*3*3.
  Moments xavier = moments(init(R"({"kind":"xavier_normal"})", {800, 4, 3, 3}));
  EXPECT_NEAR(xavier.deviation, std::sqrt(2.0 / (4 * 9 + 800 * 9)), 1e-3);
  Moments cut = moments(init(R"({"kind":"truncated_normal","std":1.0,"low":-0.5,"high":1.0})", {100, 100}));
  EXPECT_GE(cut.least, -0.5);
  EXPECT_LE(cut.most, 1.0);
  EXPECT_EQ(init(R"({"kind":"zeros"})", {2}), (std::vector<float>{0, 0}));
  EXPECT_EQ(init(R"({"kind":"constant","value":1.5})", {2}), (std::vector<float>{1.5, 1.5}));
  EXPECT_EQ(init(R"({"kind":"eye"})", {2, 2}), (std::vector<float>{1, 0, 0, 1}));
}

TEST(Initialise, OrthogonalRowsOrColumns) {
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>(6, 20), {20, 6}, {8, 8}}) {
    std::vector<float> w = init(R"({"kind":"orthogonal","gain":2.0})", {rows, columns});
    bool wide = rows < columns;
    int64_t n = std::min(rows, columns), length = std::max(rows, columns);
    auto at = [&](int64_t vector, int64_t i) {
      return static_cast<double>(wide ? w[static_cast<size_t>(vector * columns + i)]
                                      : w[static_cast<size_t>(i * columns + vector)]);
    };
    for (int64_t a = 0; a < n; ++a)
      for (int64_t b = 0; b < n; ++b) {
        double dot = 0;
        for (int64_t i = 0; i < length; ++i)
          dot += at(a, i) * at(b, i);
        EXPECT_NEAR(dot, a == b ? 4.0 : 0.0, 1e-5);
      }
  }
}

TEST(Initialise, OneRowOfZeros) {
  std::vector<float> whole = init(R"({"kind":"normal"})", {3, 2}),
                     values = init(R"({"kind":"normal","zero_row":1.0})", {3, 2});
  whole[2] = whole[3] = 0;
  EXPECT_EQ(values, whole);
  EXPECT_THROW(init(R"({"kind":"normal","zero_row":3.0})", {3, 2}), Error);
  EXPECT_THROW(init(R"({"kind":"normal","zero_row":-1.0})", {3, 2}), Error);
}

TEST(Initialise, UnknownKind) {
  try {
    init(R"({"kind":"magic"})", {2});
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("'w' has an unknown initialiser 'magic'"));
  }
}

} // namespace
} // namespace kiln
