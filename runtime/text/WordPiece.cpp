// WordPiece: the longest token that the rest of a word begins with, again and again.
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

namespace kiln {

namespace {

class WordPiece final : public TokenModel {
public:
  WordPiece(const Json &json, const TokenTable &table, const std::string &what)
      : table_(table), prefix_(json.stringOr("continuing_subword_prefix", "##")),
        most_(static_cast<size_t>(json.at("max_input_chars_per_word").integer(1, INT32_MAX))),
        unknown_(tokenNumber(table, json.at("unk_token").string(), "unk_token", what)) {}

  void encode(std::u32string_view word, std::vector<Token> &tokens) const override {
    size_t before = tokens.size();
    bool known = word.size() <= most_;
    std::vector<size_t> ends;
    for (size_t begin = 0; known && begin < word.size();) {
      // The candidate's text, and where each of its characters ends in it.
      std::string text = begin ? prefix_ : "";
      ends.clear();
      for (size_t i = begin; i < word.size(); ++i) {
        appendUtf8(text, word[i]);
        ends.push_back(text.size());
      }
      size_t count = ends.size();
      int32_t id = -1;
      while (count > 0 && (id = table_.find(std::string_view(text).substr(0, ends[count - 1]))) < 0)
        --count;
      known = count > 0;
      tokens.push_back({id, begin, begin + count});
      begin += count;
    }
    if (known)
      return;
    tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(before), tokens.end());
    tokens.push_back({unknown_, 0, word.size()});
  }

private:
  const TokenTable &table_;
  std::string prefix_;
  size_t most_;
  int32_t unknown_;
};

} // namespace

std::unique_ptr<TokenModel> parseWordPiece(const Json &json, TokenTable &table, const std::string &what) {
  for (const Json &entry : json.at("vocab").object())
    table.add(entry.key(), entry.integer(0, 1 << 24), what);
  return std::make_unique<WordPiece>(json, table, what);
}

} // namespace kiln
