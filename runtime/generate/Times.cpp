// The rules by which times are drawn, and what they say.
#include "runtime/generate/Times.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace kiln {

void permitTimes(std::span<float> logits, std::span<const int32_t> drawn, const DrawSpec &spec) {
  auto never = [&](size_t from, size_t to) {
    for (size_t token = from; token < std::min(to, logits.size()); ++token)
      logits[token] = -HUGE_VALF;
  };
  auto first = static_cast<size_t>(spec.times);
  never(first - 1, first); // "there are no times"
  auto isTime = [&](size_t back) { return drawn[drawn.size() - back] >= spec.times; };
  bool last = !drawn.empty() && isTime(1), before = drawn.size() < 2 || isTime(2);
  if (last && before) // of two only the text follows
    never(first, logits.size());
  else if (last) // what was said has ended: the time of what comes next, or the end
    never(0, spec.until.empty() ? first : static_cast<size_t>(*std::min_element(spec.until.begin(), spec.until.end())));
  for (size_t i = drawn.size(); i-- > 0;)
    if (drawn[i] >= spec.times) {
      never(first, static_cast<size_t>(drawn[i]) + (last && !before ? 0 : 1));
      break;
    }
  if (drawn.empty()) {
    never(0, first);
    if (spec.firstTime >= 0)
      never(first + static_cast<size_t>(spec.firstTime) + 1, logits.size());
  }
  std::vector<double> scores;
  logSoftmax(logits, scores);
  double most = -HUGE_VAL, times = 0;
  for (size_t token = 0; token < scores.size(); ++token)
    if (token < first)
      most = std::max(most, scores[token]);
    else
      times += std::exp(scores[token]);
  if (std::log(times) > most)
    never(0, first);
}

TimedAnswer timedAnswer(std::span<const int32_t> drawn, const DrawSpec &spec, double begin, double length) {
  TimedAnswer answer;
  auto isTime = [&](size_t i) { return drawn[i] >= spec.times; };
  auto seconds = [&](size_t i) { return static_cast<double>(drawn[i] - spec.times) * spec.timeStep; };
  auto add = [&](size_t from, size_t to, double start, double end) {
    Segment segment = {
        begin + start,
        begin + end,
        {},
        {drawn.begin() + static_cast<std::ptrdiff_t>(from), drawn.begin() + static_cast<std::ptrdiff_t>(to)}};
    for (size_t i = from; i < to; ++i)
      if (!isTime(i))
        segment.tokens.push_back(drawn[i]);
    if (!segment.tokens.empty())
      answer.segments.push_back(std::move(segment));
  };
  size_t count = drawn.size(), at = 0;
  bool endsOnce = count >= 2 && isTime(count - 1) && !isTime(count - 2);
  for (size_t i = 1; i < count; ++i)
    if (isTime(i - 1) && isTime(i)) {
      if (i - 1 > at)
        add(at, i, seconds(at), seconds(i - 1));
      at = i;
    }
  answer.seconds = length;
  if (at == 0) { // no pair: all of it is one, up to its last time if it has one
    size_t end = count;
    while (end > 0 && !isTime(end - 1))
      --end;
    add(0, count, 0, end > 0 && drawn[end - 1] != spec.times ? seconds(end - 1) : length);
  } else if (endsOnce) { // nothing is said behind it
    add(at, count, seconds(at), seconds(count - 1));
  } else if (seconds(at - 1) > 0) {
    answer.seconds = std::min(length, seconds(at - 1));
  }
  return answer;
}

std::string timeText(double seconds) {
  auto all = static_cast<int64_t>(std::llround(seconds * 1000));
  int64_t hours = all / 3600000, minutes = all / 60000 % 60, rest = all % 60000;
  std::string text = hours > 0 ? format("%lld:", static_cast<long long>(hours)) : "";
  return text + format("%02lld:%02lld.%03lld", static_cast<long long>(minutes), static_cast<long long>(rest / 1000),
                       static_cast<long long>(rest % 1000));
}

} // namespace kiln
