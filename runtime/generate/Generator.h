// Draws sequences with a model's `generate` recipe: prefill reads the prompt, step one more token.
#pragma once

#include "runtime/generate/Draw.h"
#include "runtime/program/Program.h"
#include "runtime/random/Philox.h"

#include <functional>
#include <optional>

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

  /// Several sequences in the rows of one batch: each as generate() draws it alone, `each` told the row. The shortest
  /// prompt is read as a whole; of a longer one the rest is fed token by token, while others are drawn already. Prompts
  /// of a model that answers them (answersPrompt) must be of one length. A search, whose rows are its beams, is of one
  /// after the other.
  std::vector<std::vector<int32_t>> generateSeveral(const std::vector<std::vector<int32_t>> &prompts, int64_t limit,
                                                    const std::vector<uint32_t> &sequences,
                                                    const std::function<bool(size_t, int32_t, double)> &each);

  /// How many tokens may be drawn of `limit`: an answer has so many places, those of what it begins with among them.
  /// Throws Error where it begins with more.
  int64_t most(int64_t limit) const;
  /// One more turn of a conversation: its tokens are read behind all that was read and drawn before, none of which is
  /// read again, and the answer is drawn as generate() does. `full`: it ended because the context has no more room.
  /// Throws Error where the turn itself has none, and of a model that answers its prompt (answersPrompt). Not for a
  /// search.
  std::vector<int32_t> answer(const std::vector<int32_t> &turn, int64_t limit, uint32_t sequence,
                              const std::function<bool(int32_t, double)> &each, bool &full);

  /// The next turn is the first of a conversation.
  void beginAnew() {
    history_.clear();
    position_ = 0;
  }

  /// How many sequences the program has rows for.
  int64_t room() const;
  /// Whether the prompt is read as a whole first, and what is drawn does not go on with it.
  bool answersPrompt() const { return answers_; }
  /// How many tokens of a prompt are read; 0: any number.
  int64_t capacity() const { return capacity_; }

  /// What reads the prompt. Its other inputs are to be set before anything is drawn, of one row, or one for each
  /// sequence that is drawn together.
  Call &prefillCall() { return *prefill_; }
  bool readsPrompt() const { return prefill_->input("prompt") >= 0; }

  /// Whether the probabilities are wanted, which cost a pass over the vocabulary for each token.
  void score(bool wanted) { scored_ = wanted; }

  /// The token that ended the sequence of the first row drawn last, and its score; none where it ended otherwise.
  struct End {
    int32_t token;
    double score;
  };
  const std::optional<End> &end() const { return end_; }
  /// Of an answer with times whose probabilities are wanted: how likely it was, behind the first token that it begins
  /// with, that nobody speaks (Whisper's token in front of the one that says there are no times).
  double noSpeech() const { return noSpeech_; }
  /// How many tokens the model knows; 0 before the first logits.
  size_t vocabulary() const { return vocabulary_; }

private:
  friend class RuledSearch; // runtime/generate/Rules.cpp
  /// One of the sequences that are drawn together.
  struct Row {
    std::vector<int32_t> history; ///< the prompt, or what an answer begins with, and what was drawn
    std::span<const int32_t> prompt;
    RandomStream random;
    std::vector<int32_t> tokens = {};
    size_t from = 0;  ///< where in its history the session begins
    int32_t last = 0; ///< what is fed next
    bool ended = false;
  };
  /// Reads a prompt for each row, all of one length, into fresh session states.
  void prefill(std::span<const std::span<const int32_t>> prompts);
  void repeatInputs();
  int64_t firstCount() const;
  int64_t feedFirst(size_t rows, Row *told = nullptr);
  void feed(Call &call, std::span<const int32_t> tokens, const std::vector<int64_t> &shape, int64_t position);
  void step(std::span<const int32_t> tokens, int64_t position);
  void takeLogits(Call &call);
  std::span<float> logitsOf(size_t row) { return {logits_.data() + row * vocabulary_, vocabulary_}; }
  double scoreOf(size_t row, int32_t token);
  void silence(size_t row, bool isFirst);
  int32_t choose(size_t row, const std::vector<int32_t> &history, std::span<const int32_t> prompt,
                 const RandomStream &random, size_t number, bool last);
  void readTurn(const std::vector<int32_t> &turn);
  int64_t read(std::vector<Row> &rows, size_t most);
  void draw(std::vector<Row> &rows, int64_t position, int64_t limit,
            const std::function<bool(size_t, int32_t, double)> &each);
  void checkBeams() const;
  void reorder(const std::vector<int32_t> &parents);
  std::vector<int32_t> search(const std::vector<int32_t> &prompt, int64_t limit);

  Program &program_;
  const DrawSpec &draw_;
  uint32_t seed_;
  size_t known_;
  Call *prefill_, *step_;
  Call *extend_ = nullptr; // the step over several tokens; null where there is none
  int64_t capacity_ = 0;   // 0: none
  bool answers_ = false, scored_ = false;
  Sampler sampler_;
  size_t rows_ = 1;
  std::vector<float> logits_;
  std::vector<double> scores_;
  size_t vocabulary_ = 0;
  std::vector<uint8_t> moved_;
  std::optional<End> end_;
  double noSpeech_ = 0;
  std::vector<int32_t> history_; // of a conversation
  int64_t position_ = 0;         // how much of it has been read
};

} // namespace kiln
