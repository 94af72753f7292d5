// A tokenizer as Hugging Face's `tokenizer.json` describes it: text to token numbers and back, with that library's
// numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// Bytes of a text.
struct TextRange {
  uint32_t begin = 0, end = 0;
};

class Tokenizer {
public:
  /// One place of the sequence that is made of one text or two: a special token, or a text.
  struct Part {
    enum class Kind : uint8_t { Token, First, Second } kind;
    int32_t token; // of a Token
    int32_t type;
  };

  /// Throws Error for what is damaged, and for parts that are not known, by their names; in a program without
  /// tokenizers, for that.
  static std::shared_ptr<const Tokenizer> parse(std::string json, const std::string &what);
  virtual ~Tokenizer();

  /// The numbers of a text, which is UTF-8, without the special tokens around it. `ranges`: where each stands in it.
  virtual void encode(std::string_view text, std::vector<int32_t> &ids, std::vector<TextRange> *ranges = nullptr) const;
  /// The numbers of a text of which the parts `said` are somebody's words: there, special tokens and those that the
  /// rest of the text is written with are words like any other, not control.
  virtual void encodeTurn(std::string_view text, const std::vector<TextRange> &said, std::vector<int32_t> &ids) const;
  /// The text of one more token in a running text; special tokens have none.
  virtual std::string piece(int32_t id, bool first) const;
  virtual std::string decode(const std::vector<int32_t> &ids) const;

  /// Tokens in all: one more than the highest number.
  virtual size_t size() const;
  /// -1 where there is none of that name.
  virtual int32_t find(std::string_view token) const;
  /// Empty for a number that has none.
  virtual const std::string &token(int32_t id) const;
  virtual bool isSpecial(int32_t id) const;
  /// What fills a batch ("[PAD]", "<pad>", …), what hides a word, what a sequence begins and ends with; -1 for none.
  int32_t pad() const { return pad_; }
  int32_t mask() const { return mask_; }
  int32_t start() const { return start_; }
  int32_t end() const { return end_; }
  const std::vector<Part> &sequence(bool pair) const { return pair ? pair_ : single_; }
  /// The file's text.
  const std::string &json() const { return json_; }

private:
  struct Parts;
  friend struct TokenizerReader;
  Tokenizer();
  static std::shared_ptr<const Tokenizer> read(std::string json, const std::string &what);
  void encodeParts(std::string_view text, std::vector<int32_t> &ids, std::vector<TextRange> *ranges,
                   const struct SaidParts *said) const;
  void parseSequences(const class Json *post, const std::string &what);
  void nameSpecials(const Json &json);

  std::string json_;
  std::unique_ptr<Parts> parts_;
  std::vector<Part> single_, pair_;
  int32_t pad_ = -1, mask_ = -1, start_ = -1, end_ = -1;
};

/// What makes a tokenizer. All that it needs hangs on this, its functions as they are virtual.
struct TokenizerReader {
  std::shared_ptr<const Tokenizer> (*parse)(std::string json, const std::string &what) = Tokenizer::read;
};

extern "C" {
/// Null in a program whose recipe's texts have words of their own: the driver writes it into the program's image
/// (elsewhere: runtime/data/AllReaders.cpp).
extern const TokenizerReader *const kiln_tokenizers;
extern const TokenizerReader kiln_tokenizer_reader;
}

} // namespace kiln
