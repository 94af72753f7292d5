// The steps from a text to tokens, each as a tokenizer.json names it: normalizer, pre-tokenizer, model, decoder.
#pragma once

#include "runtime/support/Json.h"
#include "runtime/text/Tokenizer.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kiln {

/// A text on its way: its characters, and from which bytes of the input each of them comes.
struct Characters {
  std::u32string text;
  std::vector<TextRange> from; // empty where nobody asks for it

  void add(char32_t c, TextRange range) {
    text += c;
    if (tracked)
      from.push_back(range);
  }
  TextRange range(size_t i) const { return tracked ? from[i] : TextRange(); }
  /// An empty one, tracked or not as this is.
  Characters like() const {
    Characters other;
    other.tracked = tracked;
    return other;
  }
  bool tracked = false;
};

using Normalizer = std::function<void(Characters &)>;
/// Null for none.
Normalizer parseNormalizer(const Json *json, const std::string &what);
Normalizer parseCharsmap(const Json &json, const std::string &what);

/// A text cut into words: what the model sees one by one.
struct WordSplit {
  struct Word {
    size_t begin, end;
  };
  Characters characters;
  std::vector<Word> words;
  bool first = true; // is it the beginning of the input?
};

using PreTokenizer = std::function<void(WordSplit &)>;
PreTokenizer parsePreTokenizer(const Json *json, const std::string &what);

/// Tokens by number and back.
class TokenTable {
public:
  /// Throws Error where the number or the token is taken.
  void add(std::string token, int64_t id, const std::string &what);
  int32_t find(std::string_view token) const {
    auto found = numbers_.find(token);
    return found == numbers_.end() ? -1 : found->second;
  }
  const std::string &token(int32_t id) const;
  size_t size() const { return tokens_.size(); }
  bool has(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < known_.size() && known_[static_cast<size_t>(id)];
  }

private:
  std::vector<std::string> tokens_;
  std::vector<bool> known_;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view token) const { return std::hash<std::string_view>()(token); }
  };
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> numbers_;
};

class TokenModel {
public:
  struct Token {
    int32_t id;
    size_t begin, end; // characters of the word
  };
  virtual ~TokenModel() = default;
  virtual void encode(std::u32string_view word, std::vector<Token> &tokens) const = 0;
};

/// Fills the table with the model's vocabulary.
std::unique_ptr<TokenModel> parseTokenModel(const Json &json, TokenTable &table, const std::string &what);
std::unique_ptr<TokenModel> parseWordPiece(const Json &json, TokenTable &table, const std::string &what);
std::unique_ptr<TokenModel> parseBpe(const Json &json, TokenTable &table, const std::string &what);
std::unique_ptr<TokenModel> parseUnigram(const Json &json, TokenTable &table, const std::string &what);

/// GPT-2's letters for bytes: what is printable stands for itself, the others are moved up.
char32_t letterOfByte(unsigned char byte);
/// -1 where it stands for none.
int byteOfLetter(char32_t letter);

/// The text of a token, as its decoder writes it: bytes, which may be a part of a character.
using TokenDecoder = std::function<std::string(const std::string &token, bool first)>;
TokenDecoder parseDecoder(const Json *json, const std::string &what);

/// The number of a token that the file names; throws Error where the vocabulary lacks it.
int32_t tokenNumber(const TokenTable &table, const std::string &token, const char *role, const std::string &what);
/// Throws Error: a part of a kind that is not known, and those that are.
[[noreturn]] void unknownPart(const Json &json, const char *part, const char *known, const std::string &what);

} // namespace kiln
