// Draws sequences with a model's `generate` recipe: prefill reads the prompt, step one more token.
#pragma once

#include "runtime/generate/Draw.h"
#include "runtime/program/Program.h"

#include <functional>

namespace kiln {

class Generator {
public:
  /// `draw` must outlive it. `known`: how many tokens have a text; where the model has room for more, those are never
  /// drawn (0: all have). Throws Error where the program has no `generate` recipe.
  Generator(Program &program, const DrawSpec &draw, uint32_t seed, size_t known = 0);

  /// The tokens after the prompt, at most `limit`, without the end token. `each` sees every token as it is drawn (beam
  /// search: all of them at the end) and the log of its probability among all (0 in a search); where it gives false,
  /// the sequence ends behind this one. `sequence` numbers the sequences of a run, so that each draws anew.
  std::vector<int32_t> generate(const std::vector<int32_t> &prompt, int64_t limit, uint32_t sequence,
                                const std::function<bool(int32_t, double)> &each);

  /// Whether the probabilities are wanted, which cost a pass over the vocabulary for each token.
  void score(bool wanted) { scored_ = wanted; }

private:
  /// Reads a prompt into fresh session states, the same in every row; are there logits afterwards?
  bool prefill(std::span<const int32_t> prompt);
  void step(std::span<const int32_t> tokens, int64_t position);
  void takeLogits(Call &call);
  double scoreOf(int32_t token);
  void reorder(const std::vector<int32_t> &parents);
  std::vector<int32_t> search(const std::vector<int32_t> &prompt, int64_t limit);

  Program &program_;
  const DrawSpec &draw_;
  uint32_t seed_;
  size_t known_;
  Call *prefill_, *step_;
  int64_t capacity_ = 0; // 0: none
  bool scored_ = false;
  size_t rows_;
  std::vector<float> logits_;
  std::vector<double> scores_;
  size_t vocabulary_ = 0;
  std::vector<uint8_t> moved_;
};

} // namespace kiln
