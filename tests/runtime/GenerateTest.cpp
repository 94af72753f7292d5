#include "runtime/generate/Bleu.h"
#include "runtime/generate/Draw.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cmath>

namespace kiln {
namespace {

using ::testing::ElementsAre;
using testing::errorOf;
using ::testing::HasSubstr;

TEST(Draw, GreedyTakesTheFirstOfEquals) {
  std::vector<float> logits = {0, NAN, 3, 3, -1};
  EXPECT_EQ(argmax(logits), 2);
  std::vector<float> none = {NAN, NAN};
  EXPECT_THAT(errorOf([&] { argmax(none); }), HasSubstr("not numbers"));
}

TEST(Draw, FrequenciesFollowTheDistribution) {
  DrawSpec spec;
  Sampler sampler(spec);
  std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  int counts[3] = {};
  for (int i = 0; i < 1000; ++i)
    ++counts[sampler.draw(logits, (static_cast<float>(i) + 0.5f) / 1000)];
  EXPECT_THAT(counts, ElementsAre(500, 300, 200));
  spec.temperature = 0.5; // squares: 25, 9, 4 of 38
  std::fill(std::begin(counts), std::end(counts), 0);
  for (int i = 0; i < 3800; ++i)
    ++counts[sampler.draw(logits, (static_cast<float>(i) + 0.5f) / 3800)];
  EXPECT_NEAR(counts[0], 2500, 2);
  EXPECT_NEAR(counts[2], 400, 2);
}

TEST(Draw, TopKAndTopPCutTheTail) {
  std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  DrawSpec two;
  two.topK = 2;
  DrawSpec share;
  share.topP = 0.7;
  for (int i = 0; i < 100; ++i) {
    float uniform = (static_cast<float>(i) + 0.5f) / 100;
    EXPECT_NE(Sampler(two).draw(logits, uniform), 0);
    EXPECT_NE(Sampler(share).draw(logits, uniform), 0);
  }
  DrawSpec cold;
  cold.temperature = 0;
  EXPECT_EQ(Sampler(cold).draw(logits, 0.99f), 1);
  cold.topP = 0;
  EXPECT_THAT(errorOf([&] { cold.check(); }), HasSubstr("top-p 0"));
}

/// Logits of a chain: token after token with given probabilities.
std::vector<float> rows(const std::vector<int32_t> &last, const std::vector<std::vector<float>> &chain) {
  std::vector<float> logits;
  for (int32_t token : last)
    for (float p : chain[static_cast<size_t>(token)])
      logits.push_back(p > 0 ? std::log(p) : -INFINITY);
  return logits;
}

// Greedy goes 0 -> 1 (0.6) -> end (0.3); the likeliest whole sequence is 2, end: 0.4 * 0.9.
TEST(Beams, FindWhatGreedyMisses) {
  std::vector<std::vector<float>> chain = {
      {0, 0.6f, 0.4f, 0}, {0, 0.4f, 0.3f, 0.3f}, {0, 0.05f, 0.05f, 0.9f}, {1, 0, 0, 0}};
  DrawSpec spec;
  spec.kind = DrawSpec::Kind::Beam;
  spec.beams = 2;
  spec.until = 3;
  Beams beams(spec);
  std::vector<int32_t> last = {0, 0};
  for (int i = 0; i < 6 && !beams.done(); ++i) {
    beams.advance(rows(last, chain), 4);
    last = beams.tokens();
  }
  EXPECT_THAT(beams.best(), ElementsAre(2));
  EXPECT_TRUE(beams.done());
}

TEST(Beams, OneBeamIsGreedy) {
  std::vector<std::vector<float>> chain = {
      {0, 0.6f, 0.4f, 0}, {0, 0.1f, 0.2f, 0.7f}, {0, 0.05f, 0.05f, 0.9f}, {1, 0, 0, 0}};
  DrawSpec spec;
  spec.kind = DrawSpec::Kind::Beam;
  spec.beams = 1;
  spec.until = 3;
  Beams beams(spec);
  std::vector<int32_t> last = {0};
  for (int i = 0; i < 6 && !beams.done(); ++i) {
    beams.advance(rows(last, chain), 4);
    last = beams.tokens();
  }
  EXPECT_THAT(beams.best(), ElementsAre(1));
}

TEST(Bleu, KnownValues) {
  EXPECT_DOUBLE_EQ(bleu({"the cat sat on the mat"}, {"the cat sat on the mat"}), 100);
  EXPECT_EQ(bleu({"a b c"}, {"d e f"}), 0);
  // Matches 5/6, 3/5, 2/4, 1/3 (the cat sat on); lengths equal.
  double expected = 100 * std::pow(5.0 / 6 * 3 / 5 * 2 / 4 * 1 / 3, 0.25);
  EXPECT_NEAR(bleu({"the cat sat on a mat"}, {"the cat sat on the mat"}), expected, 1e-9);
  // Four of the reference's eight words: the brevity penalty alone.
  EXPECT_NEAR(bleu({"a b c d"}, {"a b c d e f g h"}), 100 * std::exp(1 - 2.0), 1e-9);
}

} // namespace
} // namespace kiln
