// Times within an answer: which may be drawn, as transformers' WhisperTimeStampLogitsProcessor leaves them, and what
// they say of a recording.
#include "runtime/generate/Times.h"

#include <gmock/gmock.h>

#include <cmath>

namespace kiln {
namespace {

using ::testing::ElementsAre;

/// Six texts, an end (6), "no times" (7), and eight times.
DrawSpec spec() {
  DrawSpec draw;
  draw.times = 8;
  draw.timeStep = 0.5;
  draw.until = {6};
  return draw;
}

struct Rule {
  int64_t firstTime;
  std::vector<int32_t> drawn;
  float times;         // the logit of each
  const char *allowed; // x
};

TEST(Times, WhatMayBeDrawn) {
  const Rule rules[] = {
      {-1, {}, -3.0F, "--------xxxxxxxx"},
      {-1, {}, 1.5F, "--------xxxxxxxx"},
      {-1, {8}, -3.0F, "xxxxxxx---------"},
      {-1, {8}, 1.5F, "xxxxxxx---------"},
      {-1, {8, 1}, -3.0F, "xxxxxxx--xxxxxxx"},
      {-1, {8, 1}, 1.5F, "---------xxxxxxx"},
      {-1, {8, 1, 2, 10}, -3.0F, "------x---xxxxxx"},
      {-1, {8, 1, 2, 10}, 1.5F, "----------xxxxxx"},
      {-1, {8, 1, 10, 10}, -3.0F, "xxxxxxx---------"},
      {-1, {8, 1, 10, 10}, 1.5F, "xxxxxxx---------"},
      {-1, {8, 1, 10, 12}, -3.0F, "xxxxxxx---------"},
      {-1, {8, 1, 10, 12}, 1.5F, "xxxxxxx---------"},
      {-1, {8, 1, 10, 12, 3, 4}, -3.0F, "xxxxxxx------xxx"},
      {-1, {8, 1, 10, 12, 3, 4}, 1.5F, "-------------xxx"},
      {-1, {9, 2, 2}, -3.0F, "xxxxxxx---xxxxxx"},
      {-1, {9, 2, 2}, 1.5F, "----------xxxxxx"},
      {2, {}, -3.0F, "--------xxx-----"},
      {2, {}, 1.5F, "--------xxx-----"},
  };
  for (const Rule &rule : rules) {
    DrawSpec draw = spec();
    draw.firstTime = rule.firstTime;
    std::vector<float> logits(16, rule.times);
    for (size_t i = 0; i < 8; ++i)
      logits[i] = 0.1F * static_cast<float>(i);
    permitTimes(logits, rule.drawn, draw);
    std::string allowed;
    for (float logit : logits)
      allowed += logit == -HUGE_VALF ? '-' : 'x';
    EXPECT_EQ(allowed, rule.allowed) << ::testing::PrintToString(rule.drawn) << " " << rule.times;
  }
}

std::string told(const std::vector<int32_t> &drawn) {
  TimedAnswer answer = timedAnswer(drawn, spec(), 100, 30);
  std::string text;
  for (const Segment &segment : answer.segments) {
    text += timeText(segment.start) + "-" + timeText(segment.end);
    for (int32_t token : segment.tokens)
      text += " " + std::to_string(token);
    text += "; ";
  }
  return text + std::to_string(static_cast<int>(answer.seconds * 10));
}

TEST(Times, WhatTheySay) {
  EXPECT_EQ(told({8, 1, 2, 10, 11, 3, 13, 13}), "01:40.000-01:41.000 1 2; 01:41.500-01:42.500 3; 25");
  // What is behind the last pair is heard again.
  EXPECT_EQ(told({8, 1, 10, 10, 2, 3}), "01:40.000-01:41.000 1; 10");
  // A time alone at the end: nothing is said behind it.
  EXPECT_EQ(told({8, 1, 10, 10, 2, 14}), "01:40.000-01:41.000 1; 01:41.000-01:43.000 2; 300");
  EXPECT_EQ(told({8, 1, 12}), "01:40.000-01:42.000 1; 300");
  // Without a pair all of it is one.
  EXPECT_EQ(told({8, 1, 2}), "01:40.000-02:10.000 1 2; 300");
  EXPECT_EQ(told({1, 2}), "01:40.000-02:10.000 1 2; 300");
  EXPECT_EQ(told({}), "300");
  // A pair at the begin would be heard for ever.
  EXPECT_EQ(told({8, 1, 8, 8, 2}), "01:40.000-01:40.000 1; 300");
}

TEST(Times, AreWrittenWithHoursWhereThereAreSome) {
  EXPECT_EQ(timeText(0), "00:00.000");
  EXPECT_EQ(timeText(59.9996), "01:00.000");
  EXPECT_EQ(timeText(3661.25), "1:01:01.250");
}

} // namespace
} // namespace kiln
