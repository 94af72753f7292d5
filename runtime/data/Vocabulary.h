// Tokens and their numbers.
#pragma once

#include "runtime/data/WordList.h"
#include "runtime/text/Tokenizer.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kiln {

/// The special tokens of word vocabularies, as the language names them.
enum SpecialToken : int32_t { PadToken = 0, UnknownToken = 1, StartToken = 2, EndToken = 3, SpecialTokenCount = 4 };

class Vocabulary {
public:
  enum class Kind : uint8_t { Characters, Words, Subwords };

  Vocabulary() = default;
  /// The characters (UTF-8 code points) of a text, in their order, `specials`: behind the special tokens; throws Error
  /// for invalid UTF-8, with the byte.
  static Vocabulary characters(std::string_view text, const std::string &what, bool specials = false);
  /// Words between white space: the special tokens, then by falling frequency, then by their bytes; at most `limit`
  /// tokens in all (0: no limit), each seen at least `least` times.
  static Vocabulary words(const WordList &words, size_t limit, size_t least = 1);
  static Vocabulary words(std::string_view text, size_t limit, size_t least = 1) {
    return words(WordList::cut(text), limit, least);
  }

  /// What a tokenizer.json describes.
  static Vocabulary subwords(std::shared_ptr<const Tokenizer> tokenizer);

  /// The JSON that checkpoints carry (a tokenizer's is its file), and back; throws Error.
  std::string serialise() const;
  static Vocabulary deserialise(std::string_view text, const std::string &what);

  Kind kind() const { return kind_; }
  /// "characters", "words", "subwords"
  friend const char *nameOf(Kind kind);
  size_t size() const { return tokenizer_ ? tokenizer_->size() : tokens_.size(); }
  /// Null but for subwords.
  const Tokenizer *tokenizer() const { return tokenizer_.get(); }
  /// Are PAD, UNK, START and END its first four? (Of subwords their file says which those are.)
  bool hasSpecials() const { return !tokenizer_ && tokens_.size() >= SpecialTokenCount && tokens_[0] == "<pad>"; }
  /// What fills a batch; 0 where there is none.
  int32_t pad() const { return tokenizer_ && tokenizer_->pad() >= 0 ? tokenizer_->pad() : 0; }
  /// -1 where unknown.
  int32_t find(std::string_view token) const;

  /// Characters: every one must be known, else Error with the byte and line (UNK, where there are special tokens).
  /// Words: unknown ones become UNK, and a newline END where `lineEnds` is set. Subwords: without special tokens around
  /// them.
  std::vector<int32_t> encode(std::string_view text, const std::string &what, bool lineEnds = false) const;
  /// The same of a text of which the parts `said` are somebody's words, which are never special tokens of a tokenizer.
  std::vector<int32_t> encodeTurn(std::string_view text, const std::vector<TextRange> &said,
                                  const std::string &what) const;
  /// The words of a text that has been cut already, line ends left out.
  std::vector<int32_t> encode(const WordList &words) const;
  /// Those that encode() makes UNK of, each once, in the order of the text; none of subwords.
  std::vector<std::string> unknownIn(std::string_view text) const;
  /// What a reader sees of it: words joined by spaces, special tokens left out.
  std::string decode(const std::vector<int32_t> &ids) const;
  /// The text of one more token in a running text.
  std::string piece(int32_t id, bool first) const;

private:
  void add(std::string token);

  Kind kind_ = Kind::Characters;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> tokens_;
  bool read_ = false; // from weights
  // Looked up by views: no token is copied to find it.
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view token) const { return std::hash<std::string_view>()(token); }
  };
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> index_;
};

} // namespace kiln
