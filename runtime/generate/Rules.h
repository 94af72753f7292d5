// What an answer may not say, how long it is at least, and a search by transformers' rules. Programs have it where
// their recipe names such a rule, or where a tokenizer says that their model came from elsewhere.
#pragma once

#include "runtime/generate/Draw.h"

namespace kiln {

class Generator;

class AnswerRules {
public:
  /// Where a token is about to be drawn.
  struct Place {
    std::span<const int32_t> history; // the prompt, or what an answer begins with, and what was drawn
    std::span<const int32_t> prompt;
    size_t drawn = 0;
    bool last = false; // whether the answer has room for this token alone
  };

  virtual ~AnswerRules() = default;
  /// Takes away what may not be drawn, from logits or their log softmax.
  virtual void apply(std::span<float> scores, const Place &place, const DrawSpec &draw) const = 0;
  /// The generator's search under these rules, which see log probabilities, as transformers' do.
  virtual std::vector<int32_t> search(Generator &generator, const std::vector<int32_t> &prompt,
                                      int64_t limit) const = 0;
};

/// Rules of a recipe's "draw", null where it has none; they live as long as the program. Throws Error.
extern "C" const AnswerRules *kiln_answer_rules(const Json &draw);

/// The same, with other numbers in place of the recipe's where they are not negative: for its no_repeat_ngram, and its
/// min_tokens.
const AnswerRules *changedRules(const Json &draw, int64_t noRepeat, int64_t minTokens);

} // namespace kiln
