// How the next token is chosen.
#pragma once

#include "runtime/support/Json.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kiln {

class AnswerRules;

struct DrawSpec {
  enum class Kind : uint8_t { Greedy, Sample, Beam };
  Kind kind = Kind::Sample;
  double temperature = 1.0;
  int64_t topK = 0; // 0: all
  double topP = 1.0;
  int64_t beams = 1;
  double lengthPenalty = 0.0;
  double minP = 0.0;              // 0: all
  double repetitionPenalty = 1.0; // of tokens that are there already: logits divided by it where positive, else times
  std::vector<int32_t> from;      // tokens that are fed first
  std::vector<int32_t> until;     // tokens that end
  std::vector<std::string> stops; // texts that end, which only a reader of tokens knows
  int64_t tokens = 0;             // 0: not said
  int64_t longest = 0;            // with `from`, where that is fed; 0: not said
  std::vector<int32_t> suppress, suppressFirst; // tokens that are never drawn, and not as the first one

  int32_t times = 0;      // the first token that is a time, the one before it says that there are none; 0: no token is
  double timeStep = 0.02; // seconds from one to the next
  int64_t firstTime = -1; // how many steps from the begin the first may be; -1: any
  bool timed = false;     // whether times are drawn
  int32_t previous = 0;   // the token behind which stands what was said before; 0: none does
  const AnswerRules *rules = nullptr; // runtime/generate/Rules.h; null: none
  std::vector<int32_t> before; // tokens that are fed in front of `from`, or of what the prefill gives in its place

  /// From a `generate` recipe's "draw". Throws Error.
  static DrawSpec parse(const Json *json);
  /// Throws Error for a temperature below 0, a share outside (0, 1], ...
  void check() const;
  bool ends(int32_t token) const;
};

/// Index of the largest; the first of equals. Throws Error where all are NaN.
int32_t argmax(std::span<const float> logits);

/// Hugging Face's repetition penalty: once for each token that is there, however often.
void penalise(std::span<float> logits, std::span<const int32_t> history, double penalty);

/// Tokens that are not to be drawn; those that the model does not have are none.
void suppress(std::span<float> logits, std::span<const int32_t> tokens);
inline bool endsWith(std::span<const int32_t> tokens, std::span<const int32_t> end) {
  return tokens.size() >= end.size() && std::equal(end.rbegin(), end.rend(), tokens.rbegin());
}

/// Draws from softmax(logits / temperature), cut to the topK likeliest, then to the likeliest that hold topP together,
/// then to those of at least minP of the likeliest's share. A pure function of the uniform number in [0, 1). What is
/// cut away is never sorted.
class Sampler {
public:
  explicit Sampler(const DrawSpec &spec) : spec_(spec) {}
  int32_t draw(std::span<const float> logits, float uniform);

private:
  /// How many of the likeliest stand, sorted, in front of `order_`, with their weights: those that topK and topP leave.
  size_t cut(std::span<const float> logits, double highest, double &sum);

  const DrawSpec &spec_;
  std::vector<int32_t> order_;
  std::vector<double> weights_;
};

/// log softmax, in place of a copy; widened to double.
void logSoftmax(std::span<const float> logits, std::vector<double> &out);

/// Beam search over scores; knows nothing of how logits come about.
class Beams {
public:
  explicit Beams(const DrawSpec &spec);

  /// logits: width() rows. Afterwards parents() and tokens() say from which row each live beam goes on, and with what.
  void advance(std::span<const float> logits, size_t vocabulary);
  const std::vector<int32_t> &parents() const { return parents_; }
  const std::vector<int32_t> &tokens() const { return next_; }
  size_t width() const { return static_cast<size_t>(spec_.beams); }
  bool done() const;
  /// What a row has drawn; none where no live beam is.
  std::span<const int32_t> drawn(size_t row) const {
    return row < live_.size() ? std::span<const int32_t>(live_[row].tokens) : std::span<const int32_t>();
  }
  /// The best sequence so far, without the end token.
  std::vector<int32_t> best() const;

private:
  struct Beam {
    std::vector<int32_t> tokens;
    double score;
  };
  double normalised(double score, size_t length) const;

  const DrawSpec &spec_;
  std::vector<Beam> live_, finished_;
  std::vector<int32_t> parents_, next_;
};

} // namespace kiln
