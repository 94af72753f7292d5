// Greedy, sampled and beam choices from logits.

#include "runtime/generate/Draw.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace kiln {

/// The linker leaves it out of programs without rules, where this is null (frontend/driver/ImageObject.cpp).
extern "C" const AnswerRules *kiln_answer_rules(const Json &draw) __attribute__((weak));

DrawSpec DrawSpec::parse(const Json *json) {
  DrawSpec spec;
  if (!json)
    return spec;
  std::string kind = json->stringOr("kind", "sample");
  if (kind == "greedy")
    spec.kind = Kind::Greedy;
  else if (kind == "beam")
    spec.kind = Kind::Beam;
  else if (kind != "sample")
    fail("generate: unknown way to draw '%s'", kind.c_str());
  spec.temperature = json->numberOr("temperature", 1.0);
  spec.topK = json->integerOr("top_k", 0);
  spec.topP = json->numberOr("top_p", 1.0);
  spec.beams = json->integerOr("width", 1);
  spec.lengthPenalty = json->numberOr("length_penalty", 0.0);
  for (auto [key, list] :
       {std::pair("from", &spec.from), {"suppress", &spec.suppress}, {"suppress_first", &spec.suppressFirst}})
    if (const Json *value = json->find(key); value && value->isArray())
      for (const Json &token : value->array()) {
        if (!token.isArray()) // a sequence of them is a rule
          list->push_back(static_cast<int32_t>(token.integer(0, INT32_MAX)));
      }
    else if (value)
      list->push_back(static_cast<int32_t>(value->integer(0, INT32_MAX)));
  spec.minP = json->numberOr("min_p", 0.0);
  spec.repetitionPenalty = json->numberOr("repetition_penalty", 1.0);
  auto end = [&](const Json &value) {
    if (value.isString())
      spec.stops.push_back(value.string());
    else
      spec.until.push_back(static_cast<int32_t>(value.integer(0, INT32_MAX)));
  };
  if (const Json *until = json->find("until"); until && until->isArray())
    for (const Json &value : until->array())
      end(value);
  else if (until && !until->isNull())
    end(*until);
  spec.tokens = json->integerOr("tokens", 0);
  spec.longest = json->integerOr("longest", 0);
  spec.times = static_cast<int32_t>(json->integerOr("times", 0));
  spec.timeStep = json->numberOr("time_step", spec.timeStep);
  spec.firstTime = json->integerOr("first_time", -1);
  spec.previous = static_cast<int32_t>(json->integerOr("previous", 0));
  if (spec.times < 0 || !(spec.timeStep > 0))
    fail("generate: times are tokens from 1 on, some seconds apart");
  if (kiln_answer_rules)
    spec.rules = kiln_answer_rules(*json);
  return spec;
}

void DrawSpec::check() const {
  if (!(temperature >= 0) || std::isinf(temperature))
    fail("the temperature %s is not a number from 0 up", shortest(temperature).c_str());
  if (topK < 0)
    fail("top-k %lld is below 0", static_cast<long long>(topK));
  if (!(topP > 0 && topP <= 1))
    fail("top-p %s is not a share above 0, up to 1", shortest(topP).c_str());
  if (!(minP >= 0 && minP <= 1))
    fail("min-p %s is not a share from 0 to 1", shortest(minP).c_str());
  if (!(repetitionPenalty > 0) || std::isinf(repetitionPenalty))
    fail("the repetition penalty %s is not a number above 0", shortest(repetitionPenalty).c_str());
  for (const std::string &stop : stops)
    if (stop.empty())
      fail("a text that ends a sequence is empty");
  if (beams < 1 || beams > 1024)
    fail("%lld beams: expected 1 to 1024", static_cast<long long>(beams));
}

int32_t argmax(std::span<const float> logits) {
  int32_t best = -1;
  for (size_t i = 0; i < logits.size(); ++i)
    if (!std::isnan(logits[i]) && (best < 0 || logits[i] > logits[static_cast<size_t>(best)]))
      best = static_cast<int32_t>(i);
  if (best < 0)
    fail("the model's logits are not numbers; were its weights trained, and loaded with --load?");
  return best;
}

bool DrawSpec::ends(int32_t token) const { return std::find(until.begin(), until.end(), token) != until.end(); }

void penalise(std::span<float> logits, std::span<const int32_t> history, double penalty) {
  if (penalty == 1)
    return;
  std::vector<int32_t> seen(history.begin(), history.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (int32_t token : seen)
    if (token >= 0 && static_cast<size_t>(token) < logits.size()) {
      float &logit = logits[static_cast<size_t>(token)];
      logit = static_cast<float>(logit > 0 ? logit / penalty : logit * penalty);
    }
}

void suppress(std::span<float> logits, std::span<const int32_t> tokens) {
  for (int32_t token : tokens)
    if (token >= 0 && static_cast<size_t>(token) < logits.size())
      logits[static_cast<size_t>(token)] = -HUGE_VALF;
}

size_t Sampler::cut(std::span<const float> logits, double highest, double &sum) {
  order_.resize(logits.size());
  std::iota(order_.begin(), order_.end(), 0);
  // Equal logits keep their order, so that the draw does not depend on how they are sorted.
  auto likelier = [&](int32_t a, int32_t b) {
    float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y || std::isnan(y) : a < b;
  };
  auto weight = [&](int32_t token) {
    double logit = logits[static_cast<size_t>(token)];
    return std::isnan(logit) ? 0 : std::exp((logit - highest) / spec_.temperature);
  };
  size_t kept = spec_.topK > 0 ? std::min(logits.size(), static_cast<size_t>(spec_.topK)) : logits.size();
  if (kept < logits.size())
    std::nth_element(order_.begin(), order_.begin() + static_cast<ptrdiff_t>(kept), order_.end(), likelier);
  sum = 0;
  for (size_t i = 0; i < kept; ++i)
    sum += weight(order_[i]);
  // Sorted in front, twice as many each time, until they hold the share that is wanted.
  const bool whole = spec_.topP >= 1 && spec_.topK == 0;
  size_t sorted = 0, wanted = whole ? 0 : spec_.topP >= 1 ? kept : std::min<size_t>(kept, 64);
  double share = 0;
  weights_.clear();
  for (; sorted < kept && !whole; wanted = std::min(kept, 2 * wanted)) {
    auto begin = order_.begin() + static_cast<ptrdiff_t>(sorted), end = order_.begin() + static_cast<ptrdiff_t>(kept);
    std::partial_sort(begin, order_.begin() + static_cast<ptrdiff_t>(wanted), end, likelier);
    for (; sorted < wanted; ++sorted) {
      if (spec_.topP < 1 && share >= spec_.topP * sum) {
        sum = share;
        return sorted;
      }
      weights_.push_back(weight(order_[sorted]));
      share += weights_.back();
    }
  }
  for (size_t i = sorted; i < kept; ++i)
    weights_.push_back(weight(order_[i]));
  return kept;
}

int32_t Sampler::draw(std::span<const float> logits, float uniform) {
  int32_t top = argmax(logits);
  if (spec_.temperature == 0)
    return top;
  double sum = 0;
  size_t kept = cut(logits, logits[static_cast<size_t>(top)], sum);
  if (spec_.minP > 0) // the likeliest weighs 1
    for (size_t i = 0; i < kept; ++i)
      if (weights_[i] < spec_.minP) {
        sum -= weights_[i];
        weights_[i] = 0;
      }
  double at = static_cast<double>(uniform) * sum;
  for (size_t i = 0; i < kept; ++i) {
    at -= weights_[i];
    if (at < 0)
      return order_[i];
  }
  return top;
}

void logSoftmax(std::span<const float> logits, std::vector<double> &out) {
  double highest = logits[static_cast<size_t>(argmax(logits))], sum = 0;
  for (float logit : logits)
    sum += std::isnan(logit) ? 0 : std::exp(logit - highest);
  double shift = highest + std::log(sum);
  out.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    out[i] = std::isnan(logits[i]) ? -HUGE_VAL : logits[i] - shift;
}

Beams::Beams(const DrawSpec &spec) : spec_(spec) {
  // All rows begin alike: only the first counts, else every beam would be the same.
  live_.push_back({{}, 0.0});
}

double Beams::normalised(double score, size_t length) const {
  return spec_.lengthPenalty == 0 ? score : score / std::pow(static_cast<double>(length), spec_.lengthPenalty);
}

void Beams::advance(std::span<const float> logits, size_t vocabulary) {
  struct Candidate {
    double score;
    size_t row;
    int32_t token;
  };
  std::vector<Candidate> candidates;
  std::vector<double> scores;
  size_t wanted = 2 * width();
  auto better = [](const Candidate &a, const Candidate &b) {
    return a.score != b.score ? a.score > b.score : a.row != b.row ? a.row < b.row : a.token < b.token;
  };
  for (size_t row = 0; row < live_.size(); ++row) {
    logSoftmax(logits.subspan(row * vocabulary, vocabulary), scores);
    for (size_t token = 0; token < vocabulary; ++token)
      candidates.push_back({live_[row].score + scores[token], row, static_cast<int32_t>(token)});
  }
  wanted = std::min(wanted, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(wanted), candidates.end(), better);
  std::vector<Beam> next;
  parents_.clear();
  next_.clear();
  for (size_t i = 0; i < wanted && next.size() < width(); ++i) {
    const Candidate &candidate = candidates[i];
    Beam beam = live_[candidate.row];
    beam.score = candidate.score;
    if (spec_.ends(candidate.token)) {
      beam.score = normalised(candidate.score, beam.tokens.size() + 1);
      finished_.push_back(std::move(beam));
      continue;
    }
    beam.tokens.push_back(candidate.token);
    next.push_back(std::move(beam));
    parents_.push_back(static_cast<int32_t>(candidate.row));
    next_.push_back(candidate.token);
  }
  live_ = std::move(next);
  // The rows stay as many as they are: what is left over repeats the first.
  while (parents_.size() < width()) {
    parents_.push_back(parents_.empty() ? 0 : parents_[0]);
    next_.push_back(next_.empty() ? 0 : next_[0]);
  }
}

bool Beams::done() const {
  if (live_.empty())
    return true;
  if (finished_.size() < width())
    return false;
  // Scores only fall: once the best finished one beats what the best live one can still reach, it stays the best.
  double best = -HUGE_VAL;
  for (const Beam &beam : finished_)
    best = std::max(best, beam.score);
  return best >= normalised(live_[0].score, live_[0].tokens.size() + 1);
}

std::vector<int32_t> Beams::best() const {
  const Beam *best = nullptr;
  double score = 0;
  for (const Beam &beam : finished_)
    if (!best || beam.score > score) {
      best = &beam;
      score = beam.score;
    }
  if (!best && !live_.empty())
    best = &live_[0];
  return best ? best->tokens : std::vector<int32_t>();
}

} // namespace kiln
