// Tokens and their numbers.
#pragma once

#include "runtime/data/WordList.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kiln {

/// The special tokens of word vocabularies, as the language names them.
enum SpecialToken : int32_t { PadToken = 0, UnknownToken = 1, StartToken = 2, EndToken = 3, SpecialTokenCount = 4 };

class Vocabulary {
public:
  enum class Kind : uint8_t { Characters, Words };

  Vocabulary() = default;
  /// The characters (UTF-8 code points) of a text, in their order; throws Error for invalid UTF-8, with the byte.
  static Vocabulary characters(std::string_view text, const std::string &what);
  /// Words between white space: the special tokens, then by falling frequency, then by their bytes; at most `limit`
  /// tokens in all (0: no limit), each seen at least `least` times.
  static Vocabulary words(const WordList &words, size_t limit, size_t least = 1);
  static Vocabulary words(std::string_view text, size_t limit, size_t least = 1) {
    return words(WordList::cut(text), limit, least);
  }

  /// The JSON list that checkpoints carry, and back; throws Error.
  std::string serialise() const;
  static Vocabulary deserialise(std::string_view text, const std::string &what);

  Kind kind() const { return kind_; }
  size_t size() const { return tokens_.size(); }
  const std::string &token(int32_t id) const { return tokens_.at(static_cast<size_t>(id)); }
  /// -1 where unknown.
  int32_t find(std::string_view token) const;

  /// Characters: every one must be known, else Error with the byte and line. Words: unknown ones become UNK, and a
  /// newline END where `lineEnds` is set.
  std::vector<int32_t> encode(std::string_view text, const std::string &what, bool lineEnds = false) const;
  /// The words of a text that has been cut already, line ends left out.
  std::vector<int32_t> encode(const WordList &words) const;
  /// What a reader sees of it: words joined by spaces, special tokens left out.
  std::string decode(const std::vector<int32_t> &ids) const;
  /// The text of one more token in a running text.
  std::string piece(int32_t id, bool first) const;

private:
  void add(std::string token);

  Kind kind_ = Kind::Characters;
  std::vector<std::string> tokens_;
  // Looked up by views: no token is copied to find it.
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view token) const { return std::hash<std::string_view>()(token); }
  };
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> index_;
};

} // namespace kiln
