#include "runtime/generate/Generator.h"
#include "tests/runtime/FakeBackend.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cmath>

namespace kiln {
namespace {

using testing::chainTable;
using ::testing::ElementsAre;
using testing::errorOf;
using ::testing::HasSubstr;

int32_t after(int32_t h, int32_t token) { return (3 * h + token + 1) % 7; }

int32_t stateOf(const std::vector<int32_t> &tokens) {
  int32_t h = 0;
  for (int32_t token : tokens)
    h = after(h, token);
  return h;
}

double logProbability(int32_t h, int32_t token) {
  double sum = 0;
  for (int32_t v = 0; v < 5; ++v)
    sum += std::exp(static_cast<double>(chainTable(h, v)));
  return static_cast<double>(chainTable(h, token)) - std::log(sum);
}

class Chain : public ::testing::Test {
protected:
  Chain() : manifest_(testing::chainManifest()), image_(testing::fakeImage(manifest_)), program_(image_, 1) {}

  std::vector<int32_t> draw(DrawSpec spec, const std::vector<int32_t> &prompt, int64_t limit, uint32_t seed = 0) {
    Generator generator(program_, spec, seed);
    return generator.generate(prompt, limit, 0, [](int32_t, double) { return true; });
  }

  std::string manifest_;
  kiln_program_image image_;
  Program program_;
};

TEST_F(Chain, GreedyCarriesItsState) {
  DrawSpec spec;
  spec.kind = DrawSpec::Kind::Greedy;
  std::vector<int32_t> expected;
  int32_t h = stateOf({1, 2});
  for (int i = 0; i < 4; ++i) {
    int32_t best = 0;
    for (int32_t v = 1; v < 5; ++v)
      if (chainTable(h, v) > chainTable(h, best))
        best = v;
    expected.push_back(best);
    h = after(h, best);
  }
  EXPECT_EQ(draw(spec, {1, 2}, 4), expected);
}

// 50 tokens through a cache of 6: the step fails where it is asked to go beyond.
TEST_F(Chain, AFullCacheKeepsItsLastHalf) {
  DrawSpec spec;
  std::vector<int32_t> tokens = draw(spec, {1}, 50, 7);
  EXPECT_EQ(tokens.size(), 50u);
  EXPECT_EQ(draw(spec, {1}, 50, 7), tokens);
  EXPECT_NE(draw(spec, {1}, 50, 8), tokens);
  // A prompt beyond the capacity: its last six tokens count.
  spec.kind = DrawSpec::Kind::Greedy;
  EXPECT_EQ(draw(spec, {4, 4, 1, 2, 3, 1, 2, 3}, 1), draw(spec, {1, 2, 3, 1, 2, 3}, 1));
}

// Prompts of other lengths, one longer than the cache, sequences that end early, and a cache that fills: in the rows of
// one batch each goes on as alone.
TEST_F(Chain, SeveralAtOnceAreAsEachAlone) {
  const std::vector<std::vector<int32_t>> prompts = {{1, 2}, {4}, {3, 1, 2, 0, 1}, {4, 4, 1, 2, 3, 1, 2, 3}, {2, 2}};
  for (int64_t limit : {1, 3, 40})
    for (bool greedy : {false, true})
      for (uint32_t seed = 0; seed < 10; ++seed) {
        DrawSpec spec;
        spec.kind = greedy ? DrawSpec::Kind::Greedy : DrawSpec::Kind::Sample;
        spec.repetitionPenalty = seed % 2 ? 1.0 : 1.5;
        if (seed > 4)
          spec.until = {0};
        Generator generator(program_, spec, seed);
        auto one = [&](size_t row) {
          return generator.generate(prompts[row], limit, static_cast<uint32_t>(row + 3),
                                    [&](int32_t token, double) { return row != 1 || token != 3; });
        };
        std::vector<std::vector<int32_t>> together = generator.generateSeveral(
            prompts, limit, {3, 4, 5, 6, 7}, [&](size_t row, int32_t token, double) { return row != 1 || token != 3; });
        ASSERT_EQ(together.size(), prompts.size());
        for (size_t row = 0; row < prompts.size(); ++row)
          EXPECT_EQ(together[row], one(row)) << row << " of seed " << seed << ", limit " << limit;
      }
}

TEST_F(Chain, SeveralSearchesAreAsEachAlone) {
  DrawSpec spec;
  spec.kind = DrawSpec::Kind::Beam;
  spec.beams = 64;
  spec.until = {0};
  Generator generator(program_, spec, 0);
  auto all = [](size_t, int32_t, double) { return true; };
  EXPECT_THAT(generator.generateSeveral({{1, 2}, {4}, {3}}, 4, {0, 1, 2}, all),
              ElementsAre(draw(spec, {1, 2}, 4), draw(spec, {4}, 4), draw(spec, {3}, 4)));
}

TEST_F(Chain, TheEndTokenEnds) {
  DrawSpec spec;
  spec.until = {0};
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::vector<int32_t> tokens = draw(spec, {1}, 500, seed);
    EXPECT_LT(tokens.size(), 500u);
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 0), 0);
  }
}

/// The likeliest sequence that ends within `left` more tokens, by trying all.
void exhaustive(int32_t h, double score, int left, std::vector<int32_t> &now, double &best,
                std::vector<int32_t> &answer) {
  if (double ended = score + logProbability(h, 0); ended > best) {
    best = ended;
    answer = now;
  }
  for (int32_t v = 1; left > 1 && v < 5; ++v) {
    now.push_back(v);
    exhaustive(after(h, v), score + logProbability(h, v), left - 1, now, best, answer);
    now.pop_back();
  }
}

// As wide as there are sequences, the search is exact; it is so only if states follow their beams.
TEST_F(Chain, AWideBeamIsExact) {
  for (int32_t first = 0; first < 5; ++first)
    for (int32_t second = 0; second < 5; ++second) {
      std::vector<int32_t> prompt = {first, second}, now, expected;
      double best = -HUGE_VAL;
      exhaustive(stateOf(prompt), 0, 4, now, best, expected);
      DrawSpec spec;
      spec.kind = DrawSpec::Kind::Beam;
      spec.beams = 64;
      spec.until = {0};
      EXPECT_EQ(draw(spec, prompt, 4), expected) << first << second;
    }
}

TEST_F(Chain, TokensWithoutTextAreNotDrawn) {
  DrawSpec spec;
  Generator generator(program_, spec, 3, 4);
  std::vector<int32_t> tokens = generator.generate({1}, 200, 0, [](int32_t, double) { return true; });
  EXPECT_EQ(tokens.size(), 200u);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 4), 0);
  EXPECT_GT(std::count(tokens.begin(), tokens.end(), 3), 0);
}

TEST_F(Chain, TooManyBeams) {
  DrawSpec spec;
  spec.kind = DrawSpec::Kind::Beam;
  spec.beams = 65;
  EXPECT_THAT(errorOf([&] { draw(spec, {1, 2, 3, 4, 1, 2}, 4); }),
              HasSubstr("a prompt of 6 tokens in 65 rows does not fit"));
  EXPECT_THAT(errorOf([&] { draw(spec, {1}, 4); }), HasSubstr("B is 65; "));
}

TEST(Generate, NeedsARecipe) {
  std::string manifest = testing::lineManifest("x.csv");
  kiln_program_image image = testing::fakeImage(manifest);
  Program program(image, 1);
  DrawSpec spec;
  EXPECT_THAT(errorOf([&] { Generator(program, spec, 0); }), HasSubstr("has no `generate` recipe"));
}

} // namespace
} // namespace kiln
