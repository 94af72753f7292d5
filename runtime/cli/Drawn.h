// How a program's sequences are drawn and written: what `generate` and `chat` share.
#pragma once

#include "runtime/cli/Words.h"
#include "runtime/generate/Draw.h"

#include <string>
#include <vector>

namespace kiln {

/// The recipe's way to draw, with what the options put in its place. Throws Error and UsageError.
DrawSpec drawSpec(const Options &options, const Json &recipe);

/// The data whose words a program draws: the recipe's, else the first; empty for none.
std::string sourceOf(const Manifest &manifest);

/// Tokens as text; without words, as numbers.
std::string decode(const Vocabulary *words, const std::vector<int32_t> &ids);

/// Says what of a prompt the vocabulary lacks: the model reads UNK in its place.
void noteUnknown(const Vocabulary *words, const std::string &text);

/// A JSON list.
std::string listOf(const std::vector<int32_t> &ids);

/// A sequence as text, which ends where one of `stops` begins. What may be the beginning of one waits.
class Written {
public:
  Written(const Vocabulary *words, const std::vector<std::string> &stops, bool first)
      : words_(words), stops_(stops), first_(first) {}

  /// False where the sequence ends.
  bool add(int32_t token);
  /// What has not been taken and is no beginning of a stop; `all`: the rest, at the end.
  std::string take(bool all = false);
  const std::string &text() const { return text_; }
  /// Whether one of `stops` has come.
  bool ended() const { return ended_; }

private:
  const Vocabulary *words_;
  const std::vector<std::string> &stops_;
  bool first_, ended_ = false;
  std::string text_;
  size_t taken_ = 0;
};

} // namespace kiln
