#include "runtime/generate/Bleu.h"
#include "runtime/generate/Draw.h"
#include "runtime/generate/Rules.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>

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

/// What is cut away is not sorted; the choice is that of a whole sort.
TEST(Draw, SelectionIsThatOfASort) {
  std::mt19937 generator(5);
  std::normal_distribution<float> normal(0, 3);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> logits(1 + generator() % 700);
    for (float &logit : logits)
      logit = generator() % 9 == 0 ? 1.5f : normal(generator); // with equals
    DrawSpec spec;
    spec.topK = trial % 3 == 0 ? 0 : static_cast<int64_t>(1 + generator() % 200);
    spec.topP = trial % 2 == 0 ? 1.0 : 0.05 + 0.9 * static_cast<double>(generator() % 1000) / 1000;
    if (spec.topK == 0 && spec.topP == 1)
      continue;
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
    size_t kept = spec.topK ? std::min(order.size(), static_cast<size_t>(spec.topK)) : order.size();
    double sum = 0, share = 0;
    for (size_t i = 0; i < kept; ++i)
      sum += std::exp(static_cast<double>(logits[order[i]]) - logits[order[0]]);
    size_t nucleus = 0;
    while (spec.topP < 1 && nucleus < kept && share < spec.topP * sum * (1 - 1e-12))
      share += std::exp(static_cast<double>(logits[order[nucleus++]]) - logits[order[0]]);
    if (spec.topP < 1) {
      kept = nucleus;
      sum = share;
    }
    for (double uniform : {0.0, 0.11, 0.5, 0.83, 0.999}) {
      double at = static_cast<double>(static_cast<float>(uniform)) * sum;
      size_t i = 0;
      while (i + 1 < kept && (at -= std::exp(static_cast<double>(logits[order[i]]) - logits[order[0]])) >= 0)
        ++i;
      EXPECT_EQ(Sampler(spec).draw(logits, static_cast<float>(uniform)), order[i]) << trial << " at " << uniform;
    }
  }
}

TEST(Draw, MinPIsAShareOfTheLikeliest) {
  std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.3f), std::log(0.1f)};
  DrawSpec spec;
  spec.minP = 0.5;
  int counts[4] = {};
  for (int i = 0; i < 800; ++i)
    ++counts[Sampler(spec).draw(logits, (static_cast<float>(i) + 0.5f) / 800)];
  EXPECT_THAT(counts, ElementsAre(0, 500, 300, 0));
  spec.minP = 1.5;
  EXPECT_THAT(errorOf([&] { spec.check(); }), HasSubstr("min-p 1.5"));
}

/// transformers.RepetitionPenaltyLogitsProcessor.
TEST(Draw, WhatIsThereAlreadyIsLessLikely) {
  std::vector<float> logits = {2, -3, 4, 0};
  penalise(logits, std::vector<int32_t>{0, 1, 0, 9, -1}, 2);
  EXPECT_THAT(logits, ElementsAre(1, -6, 4, 0));
}

TEST(Draw, SeveralEnds) {
  DrawSpec spec = DrawSpec::parse(std::make_unique<Json>(Json::parse(R"({"until": [3, "\n\n", 5]})", "test")).get());
  EXPECT_TRUE(spec.ends(3) && spec.ends(5) && !spec.ends(4));
  EXPECT_THAT(spec.stops, ElementsAre("\n\n"));
}

/// transformers.SuppressTokensLogitsProcessor.
TEST(Draw, TokensThatAreNeverDrawn) {
  auto json = std::make_unique<Json>(
      Json::parse(R"({"from": [7, 8], "suppress": [1, 9], "suppress_first": [2], "longest": 5})", "test"));
  DrawSpec spec = DrawSpec::parse(json.get());
  EXPECT_THAT(spec.from, ElementsAre(7, 8));
  EXPECT_THAT(spec.suppressFirst, ElementsAre(2));
  EXPECT_EQ(spec.longest, 5);
  std::vector<float> logits = {2, 3, 4};
  suppress(logits, spec.suppress);
  EXPECT_THAT(logits, ElementsAre(2, -INFINITY, 4));
  json = std::make_unique<Json>(Json::parse(R"({"from": 3})", "test"));
  EXPECT_THAT(DrawSpec::parse(json.get()).from, ElementsAre(3));
}

/// What rules leave of five equal logits.
std::vector<int32_t> leftBy(const char *draw, std::vector<int32_t> history, std::vector<int32_t> prompt = {},
                            size_t drawn = 0, bool last = false) {
  Json json = Json::parse(draw, "test");
  DrawSpec spec = DrawSpec::parse(&json);
  const AnswerRules *rules = kiln_answer_rules(json);
  std::vector<float> logits(5, 1);
  rules->apply(logits, {history, prompt, drawn, last}, spec);
  std::vector<int32_t> left;
  for (int32_t token = 0; token < 5; ++token)
    if (!std::isinf(logits[static_cast<size_t>(token)]))
      left.push_back(token);
  return left;
}

TEST(Rules, TakeAwayWhatAnAnswerMayNotHave) {
  EXPECT_THAT(leftBy(R"({"no_repeat_ngram": 2})", {1, 2, 3, 1, 4, 1}), ElementsAre(0, 1, 3));
  EXPECT_THAT(leftBy(R"({"no_repeat_ngram": 3})", {1, 2, 3, 1, 2}), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(leftBy(R"({"no_repeat_ngram": 3})", {1}), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(leftBy(R"({"no_repeat_ngram": 1})", {1, 3}), ElementsAre(0, 2, 4));
  EXPECT_THAT(leftBy(R"({"no_copy_ngram": 2})", {0, 2}, {2, 3, 4, 2, 0}), ElementsAre(1, 2, 4));
  EXPECT_THAT(leftBy(R"({"suppress": [4, [1, 2], [0, 1, 3]]})", {0, 1}),
              ElementsAre(0, 1, 4)); // (4 by itself is no rule)
  EXPECT_THAT(leftBy(R"({"suppress": [[1, 2]]})", {}), ElementsAre(0, 1, 2, 3, 4));
}

TEST(Rules, SayHowLongAnAnswerIs) {
  const char *draw = R"({"until": [0, 3], "shortest": 3, "min_tokens": 2})";
  EXPECT_THAT(leftBy(draw, {1, 1}, {}, 2), ElementsAre(1, 2, 4));
  EXPECT_THAT(leftBy(draw, {1, 1, 1}, {}, 1), ElementsAre(1, 2, 4));
  EXPECT_THAT(leftBy(draw, {1, 1, 1}, {}, 2), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(leftBy(R"({"last": 3})", {1}, {}, 0, true), ElementsAre(3));
  EXPECT_THAT(leftBy(R"({"last": [3, 4]})", {1}, {}, 0, true), ElementsAre(3, 4));
  EXPECT_THAT(errorOf([] { leftBy(R"({"last": [3, 9]})", {1}, {}, 0, true); }),
              HasSubstr("the last token is to be 9, and the model has 5"));
  EXPECT_THAT(leftBy(R"({"last": 3})", {1}), ElementsAre(0, 1, 2, 3, 4));
}

TEST(Rules, AreThereWhereTheyAreSaid) {
  Json none = Json::parse(R"({"suppress": [3], "until": 2, "width": 4})", "test");
  EXPECT_EQ(kiln_answer_rules(none), nullptr);
  EXPECT_NE(changedRules(none, 3, -1), nullptr);
  Json two = Json::parse(R"({"no_repeat_ngram": 2})", "test");
  EXPECT_EQ(changedRules(two, 0, -1), nullptr);
  EXPECT_NE(changedRules(two, -1, 1), nullptr);
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
  spec.until = {3};
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
  spec.until = {3};
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
