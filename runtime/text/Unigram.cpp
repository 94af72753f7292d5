// A unigram model: the tokens that make a word with the highest sum of log probabilities (Viterbi).
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

#include <algorithm>

namespace kiln {

namespace {

class Unigram final : public TokenModel {
public:
  Unigram(const Json &json, TokenTable &table, const std::string &what);
  void encode(std::u32string_view word, std::vector<Token> &tokens) const override;

private:
  struct Piece {
    std::string text;
    int32_t id;
    double score;
  };
  /// Calls found(piece) for each token that the text begins with.
  template <typename Found> void prefixes(std::string_view text, Found found) const;
  void addUnknown(std::string_view text, size_t begin, size_t end, std::vector<Token> &tokens) const;

  const TokenTable &table_;
  std::vector<Piece> pieces_; // by their bytes
  double unknownScore_ = 0;
  int32_t unknown_ = -1;
  bool bytes_;
};

Unigram::Unigram(const Json &json, TokenTable &table, const std::string &what)
    : table_(table), bytes_(json.booleanOr("byte_fallback", false)) {
  for (const Json &entry : json.at("vocab").array()) {
    if (entry.array().size() != 2)
      fail("%s: entry %zu of the vocabulary is not a token and its score", what.c_str(), pieces_.size());
    int32_t id = static_cast<int32_t>(pieces_.size());
    table.add(entry.array()[0].string(), id, what);
    pieces_.push_back({entry.array()[0].string(), id, entry.array()[1].number()});
  }
  if (pieces_.empty())
    fail("%s: the vocabulary is empty", what.c_str());
  unknownScore_ = pieces_[0].score;
  for (const Piece &piece : pieces_)
    unknownScore_ = std::min(unknownScore_, piece.score);
  unknownScore_ -= 10;
  if (const Json *unknown = json.find("unk_id"))
    unknown_ = static_cast<int32_t>(unknown->integer(0, static_cast<int64_t>(pieces_.size()) - 1));
  std::sort(pieces_.begin(), pieces_.end(), [](const Piece &a, const Piece &b) {
    return a.text < b.text; // as unsigned bytes
  });
}

template <typename Found> void Unigram::prefixes(std::string_view text, Found found) const {
  auto low = pieces_.begin(), high = pieces_.end();
  for (size_t depth = 0; depth < text.size() && low != high; ++depth) {
    // All in [low, high) begin with the text's first `depth` bytes; the one that is these comes first.
    unsigned char byte = static_cast<unsigned char>(text[depth]);
    auto at = [depth](const Piece &piece) {
      return depth < piece.text.size() ? static_cast<int>(static_cast<unsigned char>(piece.text[depth])) : -1;
    };
    low = std::partition_point(low, high, [&](const Piece &piece) { return at(piece) < byte; });
    high = std::partition_point(low, high, [&](const Piece &piece) { return at(piece) == byte; });
    if (low != high && low->text.size() == depth + 1)
      found(*low);
  }
}

/// What no token is: those of its bytes, or the unknown one.
void Unigram::addUnknown(std::string_view text, size_t begin, size_t end, std::vector<Token> &tokens) const {
  std::vector<int32_t> ids;
  if (bytes_)
    for (char byte : text)
      ids.push_back(table_.find(format("<0x%02X>", static_cast<unsigned char>(byte))));
  if (ids.empty() || std::find(ids.begin(), ids.end(), -1) != ids.end())
    ids = {unknown_};
  for (int32_t id : ids)
    if (id >= 0)
      tokens.push_back({id, begin, end});
    else
      fail("the vocabulary of the tokenizer has no token for %s, and no unk_id", jsonQuote(text).c_str());
}

void Unigram::encode(std::u32string_view word, std::vector<Token> &tokens) const {
  std::string text;
  std::vector<size_t> starts; // of each character
  for (char32_t c : word) {
    starts.push_back(text.size());
    appendUtf8(text, c);
  }
  starts.push_back(text.size());
  struct Node {
    double score = 0;
    ptrdiff_t from = -1; // a byte
    int32_t id = -1;
  };
  std::vector<Node> ends(text.size() + 1);
  auto offer = [&](size_t end, size_t from, double score, int32_t id) {
    if (ends[end].from < 0 || score > ends[end].score)
      ends[end] = {score, static_cast<ptrdiff_t>(from), id};
  };
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    size_t from = starts[i], length = starts[i + 1] - from;
    double sofar = ends[from].score;
    bool alone = false;
    prefixes(std::string_view(text).substr(from), [&](const Piece &piece) {
      offer(from + piece.text.size(), from, piece.score + sofar, piece.id);
      alone |= piece.text.size() == length;
    });
    if (!alone)
      offer(from + length, from, unknownScore_ + sofar, unknown_);
  }
  // From the end back; unknown ones beside each other are one.
  struct Span {
    size_t begin, end;
    bool unknown;
  };
  std::vector<Span> spans;
  for (size_t end = text.size(); end > 0;) {
    size_t begin = static_cast<size_t>(ends[end].from);
    bool unknown = ends[end].id == unknown_;
    if (unknown && unknown_ >= 0 && !spans.empty() && spans.back().unknown)
      spans.back().begin = begin;
    else
      spans.push_back({begin, end, unknown});
    end = begin;
  }
  auto character = [&](size_t byte) {
    return static_cast<size_t>(std::lower_bound(starts.begin(), starts.end(), byte) - starts.begin());
  };
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    std::string_view part = std::string_view(text).substr(span->begin, span->end - span->begin);
    size_t begin = character(span->begin), end = character(span->end);
    int32_t id = table_.find(part);
    if (id >= 0 && static_cast<size_t>(id) < pieces_.size()) // added tokens come behind
      tokens.push_back({id, begin, end});
    else
      addUnknown(part, begin, end, tokens);
  }
}

} // namespace

std::unique_ptr<TokenModel> parseUnigram(const Json &json, TokenTable &table, const std::string &what) {
  return std::make_unique<Unigram>(json, table, what);
}

} // namespace kiln
