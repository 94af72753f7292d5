// `kiln tokenizer train`: byte pairs learnt from texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// A byte-level BPE tokenizer of `size` tokens in all (fewer where the texts have no more pairs): the special tokens,
/// the 256 bytes, and then what the most frequent pairs make, one by one; of pairs that are as frequent the first by
/// its numbers. The text of a tokenizer.json. A pair that stands fewer than `least` times is not merged; `lowercase`:
/// capitals count as small letters; `prefixSpace`: a space goes before each text that begins with none, so that a word
/// alone is the word that it is within a text. Where [CLS] and [SEP] are among the special tokens they stand around
/// texts.
std::string trainTokenizer(const std::vector<std::string_view> &texts, size_t size, size_t least,
                           const std::vector<std::string> &specials, bool lowercase = false, bool prefixSpace = false);

struct TokenizerOptions {
  std::vector<std::string> files;
  int64_t vocabulary = 0, least = 2;
  std::vector<std::string> specials;
  bool lowercase = false, prefixSpace = false;
  std::string output = "tokenizer.json";
};

/// The exit code; errors are told on stderr.
int commandTokenizerTrain(const TokenizerOptions &options);

} // namespace kiln
