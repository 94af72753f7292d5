// Hugging Face's settings of answers (no_repeat_ngram_size, bad_words_ids, min_length, forced_eos_token_id,
// early_stopping and their kin): each takes tokens away before one is drawn, and the search keeps and ends as
// transformers' does.
#include "runtime/generate/Rules.h"

#include "runtime/generate/Generator.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace kiln {

namespace {

using Tokens = std::span<const int32_t>;

constexpr float kNever = -HUGE_VALF;

/// `early_stopping`: a search ends when as many answers have ended as there are beams; or when the best that goes on
/// scores below them, as it is (Usual), or as it would if it became as long as may be (Never).
enum class Stopping : uint8_t { None, Usual, Early, Never };

/// transformers' search (generation/utils.py, _beam_search), of one prompt, in its numbers of 32 bits.
class RankedBeams {
public:
  /// `begun`: how many tokens behind the first an answer begins with, `most`: how many are drawn at most.
  RankedBeams(const DrawSpec &spec, Stopping stopping, size_t begun, int64_t most)
      : spec_(spec), stopping_(stopping), begun_(begun), most_(begun + static_cast<size_t>(most)) {
    live_.push_back({{}, 0}); // all rows begin alike
  }

  /// As Beams has them.
  void advance(std::span<const float> scores, size_t vocabulary, bool last);
  bool done() const { return done_; }
  Tokens drawn(size_t row) const { return row < live_.size() ? Tokens(live_[row].tokens) : Tokens(); }
  const std::vector<int32_t> &parents() const { return parents_; }
  const std::vector<int32_t> &tokens() const { return next_; }
  std::vector<int32_t> best() const {
    return !finished_.empty() ? finished_[0].tokens : live_.empty() ? std::vector<int32_t>() : live_[0].tokens;
  }

private:
  struct Beam {
    std::vector<int32_t> tokens;
    float score;
  };
  struct Candidate {
    float score;
    size_t row;
    int32_t token;
  };
  size_t width() const { return static_cast<size_t>(spec_.beams); }
  float normalised(float score, size_t length) const {
    return score / static_cast<float>(std::pow(static_cast<double>(length), spec_.lengthPenalty));
  }
  std::vector<Candidate> best(std::span<const float> scores, size_t vocabulary) const;
  void finish(Beam beam, size_t length);

  const DrawSpec &spec_;
  Stopping stopping_;
  size_t begun_, most_;
  std::vector<Beam> live_, finished_;
  std::vector<int32_t> parents_, next_;
  bool done_ = false;
};

/// Among those that have ended the best are kept, as many as there are beams; the first of equals.
void RankedBeams::finish(Beam beam, size_t length) {
  beam.score = normalised(beam.score, length);
  auto place = std::upper_bound(finished_.begin(), finished_.end(), beam.score,
                                [](float score, const Beam &other) { return score > other.score; });
  finished_.insert(place, std::move(beam));
  if (finished_.size() > width())
    finished_.pop_back();
}

/// So many that enough go on where all the best of them end.
std::vector<RankedBeams::Candidate> RankedBeams::best(std::span<const float> scores, size_t vocabulary) const {
  std::vector<Candidate> candidates;
  candidates.reserve(live_.size() * vocabulary);
  for (size_t row = 0; row < live_.size(); ++row)
    for (size_t token = 0; token < vocabulary; ++token)
      candidates.push_back({live_[row].score + scores[row * vocabulary + token], row, static_cast<int32_t>(token)});
  size_t wanted = std::min(candidates.size(), std::max<size_t>(2, 1 + spec_.until.size()) * width());
  std::partial_sort(
      candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(wanted), candidates.end(),
      [](const Candidate &a, const Candidate &b) {
        return a.score != b.score ? a.score > b.score : a.row != b.row ? a.row < b.row : a.token < b.token;
      });
  candidates.resize(wanted);
  return candidates;
}

void RankedBeams::advance(std::span<const float> scores, size_t vocabulary, bool last) {
  std::vector<Candidate> candidates = best(scores, vocabulary);
  size_t length = begun_ + live_[0].tokens.size() + 1;
  std::vector<Beam> next;
  parents_.clear();
  next_.clear();
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate &candidate = candidates[i];
    Beam beam = live_[candidate.row];
    beam.score = candidate.score;
    bool ends = spec_.ends(candidate.token);
    if (!ends)
      beam.tokens.push_back(candidate.token);
    if (ends || last) {
      if (i < width())
        finish(std::move(beam), length);
    } else if (next.size() < width()) {
      next.push_back(std::move(beam));
      parents_.push_back(static_cast<int32_t>(candidate.row));
      next_.push_back(candidate.token);
    }
  }
  live_ = std::move(next);
  while (!live_.empty() && parents_.size() < width()) { // what is left over repeats the first
    parents_.push_back(parents_[0]);
    next_.push_back(next_[0]);
  }
  done_ = live_.empty();
  if (finished_.size() == width() && !done_) {
    size_t reached = stopping_ == Stopping::Never && spec_.lengthPenalty > 0 ? most_ : length;
    done_ = stopping_ == Stopping::Early || normalised(live_[0].score, reached) <= finished_.back().score;
  }
}

/// Kiln's own search, to which room makes no difference.
class PlainBeams : public Beams {
public:
  using Beams::Beams;
  void advance(std::span<const float> scores, size_t vocabulary, bool /*last*/) { Beams::advance(scores, vocabulary); }
};

class Rules : public AnswerRules {
public:
  Rules(const Json &draw, int64_t noRepeat, int64_t minTokens);

  /// Whether there is any.
  bool isAny() const {
    return noRepeat_ || noCopy_ || shortest_ || minTokens_ || !last_.empty() || !words_.empty() ||
           stopping_ != Stopping::None || renormalises_;
  }

  void apply(std::span<float> scores, const Place &place, const DrawSpec &draw) const override;
  std::vector<int32_t> search(Generator &generator, const std::vector<int32_t> &prompt, int64_t limit) const override;

private:
  size_t noRepeat_, noCopy_, shortest_, minTokens_; // 0: not said
  std::vector<int32_t> last_;
  std::vector<std::vector<int32_t>> words_; // sequences that are never completed
  Stopping stopping_ = Stopping::None;
  bool renormalises_; // the probabilities of what is left add up to 1
};

int32_t tokenOf(const Json &json) { return static_cast<int32_t>(json.integer(0, INT32_MAX)); }

Rules::Rules(const Json &draw, int64_t noRepeat, int64_t minTokens) {
  auto number = [&](const char *key, int64_t given) {
    return static_cast<size_t>(std::max<int64_t>(0, given >= 0 ? given : draw.integerOr(key, 0)));
  };
  noRepeat_ = number("no_repeat_ngram", noRepeat);
  noCopy_ = number("no_copy_ngram", -1);
  shortest_ = number("shortest", -1);
  minTokens_ = number("min_tokens", minTokens);
  renormalises_ = draw.booleanOr("renormalise", false);
  if (const Json *last = draw.find("last"); last && last->isArray())
    for (const Json &token : last->array())
      last_.push_back(tokenOf(token));
  else if (last && !last->isNull())
    last_.push_back(tokenOf(*last));
  if (const Json *never = draw.find("suppress"); never && never->isArray())
    for (const Json &word : never->array())
      if (word.isArray()) {
        words_.emplace_back();
        for (const Json &token : word.array())
          words_.back().push_back(tokenOf(token));
      }
  if (const Json *stopping = draw.find("early_stopping"); stopping && !stopping->isNull())
    stopping_ = stopping->kind() != Json::Kind::Bool ? Stopping::Never
                : stopping->boolean()                ? Stopping::Early
                                                     : Stopping::Usual;
}

/// Takes away what would complete a sequence of `size` tokens that stands in `text` already.
void avoid(std::span<float> scores, Tokens history, Tokens text, size_t size) {
  if (size == 0 || history.size() + 1 < size)
    return;
  Tokens end = history.last(size - 1);
  for (size_t at = 0; at + size <= text.size(); ++at)
    if (std::equal(end.begin(), end.end(), text.begin() + static_cast<ptrdiff_t>(at)))
      suppress(scores, text.subspan(at + size - 1, 1));
}

void Rules::apply(std::span<float> scores, const Place &place, const DrawSpec &draw) const {
  if (place.last && !last_.empty()) {
    std::fill(scores.begin(), scores.end(), kNever);
    for (int32_t token : last_) {
      if (static_cast<size_t>(token) >= scores.size())
        fail("the last token is to be %d, and the model has %zu, from 0 on", token, scores.size());
      scores[static_cast<size_t>(token)] = 0;
    }
    return;
  }
  avoid(scores, place.history, place.history, noRepeat_);
  avoid(scores, place.history, place.prompt, noCopy_);
  for (const std::vector<int32_t> &word : words_)
    if (!word.empty() && endsWith(place.history, Tokens(word).first(word.size() - 1)))
      suppress(scores, Tokens(word).last(1));
  if (place.history.size() < shortest_ || place.drawn < minTokens_)
    suppress(scores, draw.until);
  if (renormalises_) {
    std::vector<double> all;
    logSoftmax(scores, all);
    std::copy(all.begin(), all.end(), scores.begin());
  }
}

} // namespace

/// A generator's parts, to search by.
class RuledSearch {
public:
  RuledSearch(Generator &generator, const std::vector<int32_t> &prompt)
      : g_(generator), prompt_(prompt), begin_(prompt) {
    auto width = static_cast<size_t>(g_.draw_.beams);
    g_.prefill(std::vector<Tokens>(width, prompt));
    position_ = static_cast<int64_t>(prompt.size());
    if (!g_.answers_)
      return;
    std::vector<Generator::Row> rows(width, {{}, prompt, RandomStream(0, 0, 0)});
    position_ = g_.feedFirst(width, rows.data());
    begin_ = rows[0].history;
  }

  /// How many tokens behind the first an answer begins with.
  size_t begun() const { return g_.answers_ ? begin_.size() - 1 : 0; }
  const DrawSpec &draw() const { return g_.draw_; }

  template <typename Search> std::vector<int32_t> run(const AnswerRules &rules, Search search, int64_t limit) {
    std::vector<double> scores;
    std::vector<int32_t> history;
    for (int64_t i = 0; i < limit; ++i) {
      bool last = i + 1 == limit;
      for (size_t row = 0; row < static_cast<size_t>(g_.draw_.beams); ++row) {
        std::span<float> logits = g_.logitsOf(row);
        logSoftmax(logits, scores);
        std::copy(scores.begin(), scores.end(), logits.begin());
        history = begin_;
        history.insert(history.end(), search.drawn(row).begin(), search.drawn(row).end());
        g_.silence(row, i == 0);
        penalise(logits, history, g_.draw_.repetitionPenalty);
        rules.apply(logits, {history, prompt_, static_cast<size_t>(i), last}, g_.draw_);
      }
      search.advance(g_.logits_, g_.vocabulary_, last);
      if (search.done() || last || (g_.capacity_ > 0 && position_ >= g_.capacity_ && !g_.answers_))
        break;
      g_.reorder(search.parents());
      g_.step(search.tokens(), position_++);
    }
    return search.best();
  }

private:
  Generator &g_;
  const std::vector<int32_t> &prompt_;
  std::vector<int32_t> begin_;
  int64_t position_;
};

std::vector<int32_t> Rules::search(Generator &generator, const std::vector<int32_t> &prompt, int64_t limit) const {
  RuledSearch search(generator, prompt);
  if (stopping_ == Stopping::None)
    return search.run(*this, PlainBeams(search.draw()), limit);
  return search.run(*this, RankedBeams(search.draw(), stopping_, search.begun(), limit), limit);
}

const AnswerRules *changedRules(const Json &draw, int64_t noRepeat, int64_t minTokens) {
  static std::vector<std::unique_ptr<const Rules>> all;
  auto rules = std::make_unique<const Rules>(draw, noRepeat, minTokens);
  return rules->isAny() ? all.emplace_back(std::move(rules)).get() : nullptr;
}

extern "C" const AnswerRules *kiln_answer_rules(const Json &draw) { return changedRules(draw, -1, -1); }

} // namespace kiln
