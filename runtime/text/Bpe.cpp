// Byte pair encoding: the neighbours of the lowest rank are merged, until no two are left that have one.
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <queue>

namespace kiln {

namespace {

class Bpe final : public TokenModel {
public:
  Bpe(const Json &json, const TokenTable &table, const std::string &what)
      : table_(table), prefix_(json.stringOr("continuing_subword_prefix", "")),
        suffix_(json.stringOr("end_of_word_suffix", "")), fuse_(json.booleanOr("fuse_unk", false)),
        bytes_(json.booleanOr("byte_fallback", false)), whole_(json.booleanOr("ignore_merges", false)) {
    if (std::string unknown = json.stringOr("unk_token", ""); !unknown.empty())
      unknown_ = tokenNumber(table, unknown, "unk_token", what);
    for (const Json &merge : json.at("merges").array())
      addMerge(merge, what);
  }

  void encode(std::u32string_view word, std::vector<Token> &tokens) const override;

private:
  struct Merge {
    int32_t rank, token;
  };
  /// A token on its way, in a list: its neighbours by their place, -1 for none.
  struct Symbol {
    Token token;
    int before, after;
  };
  struct Candidate {
    int32_t rank;
    int at; // the left one
    int32_t token;
    bool operator<(const Candidate &other) const { // the top of the queue: the lowest rank, then the leftmost
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };

  void addMerge(const Json &merge, const std::string &what);
  void begin(std::u32string_view word, std::vector<Symbol> &symbols) const;
  const Merge *find(int32_t left, int32_t right) const {
    auto found = merges_.find(static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right));
    return found == merges_.end() ? nullptr : &found->second;
  }

  const TokenTable &table_;
  std::string prefix_, suffix_;
  bool fuse_, bytes_, whole_;
  int32_t unknown_ = -1;
  std::unordered_map<uint64_t, Merge> merges_;
};

void Bpe::addMerge(const Json &merge, const std::string &what) {
  std::string left, right;
  if (merge.isArray() && merge.array().size() == 2) {
    left = merge.array()[0].string();
    right = merge.array()[1].string();
  } else {
    const std::string &text = merge.string();
    size_t space = text.find(' ');
    left = text.substr(0, space);
    right = space == std::string::npos ? "" : text.substr(space + 1);
  }
  int32_t rank = static_cast<int32_t>(merges_.size());
  if (left.empty() || right.empty())
    fail("%s: merge %d is not two tokens", what.c_str(), rank);
  int32_t first = tokenNumber(table_, left, "merge's token", what);
  int32_t second = tokenNumber(table_, right, "merge's token", what);
  std::string joined = left + (right.starts_with(prefix_) ? right.substr(prefix_.size()) : right);
  Merge made{rank, tokenNumber(table_, joined, "merge's result", what)};
  merges_.insert_or_assign(static_cast<uint64_t>(first) << 32 | static_cast<uint32_t>(second), made);
}

/// A token for each character; for one that has none those of its bytes, or the unknown one.
void Bpe::begin(std::u32string_view word, std::vector<Symbol> &symbols) const {
  auto add = [&](int32_t id, size_t from, size_t to) {
    int at = static_cast<int>(symbols.size());
    symbols.push_back({{id, from, to}, at - 1, at + 1});
  };
  bool fusing = false;
  for (size_t i = 0; i < word.size(); ++i) {
    std::string text = i ? prefix_ : "", plain;
    appendUtf8(plain, word[i]);
    text += plain;
    if (i + 1 == word.size())
      text += suffix_;
    int32_t id = table_.find(text);
    std::vector<int32_t> bytes;
    if (id < 0 && bytes_)
      for (char byte : plain)
        bytes.push_back(table_.find(format("<0x%02X>", static_cast<unsigned char>(byte))));
    if (id >= 0) {
      add(id, i, i + 1);
    } else if (!bytes.empty() && std::find(bytes.begin(), bytes.end(), -1) == bytes.end()) {
      for (int32_t byte : bytes)
        add(byte, i, i + 1);
    } else if (unknown_ >= 0) {
      if (fusing && fuse_)
        symbols.back().token.end = i + 1;
      else
        add(unknown_, i, i + 1);
      fusing = true;
      continue;
    }
    fusing = false;
  }
  if (!symbols.empty())
    symbols.back().after = -1;
}

void Bpe::encode(std::u32string_view word, std::vector<Token> &tokens) const {
  if (whole_) {
    std::string text;
    for (char32_t c : word)
      appendUtf8(text, c);
    if (int32_t id = table_.find(text); id >= 0) {
      tokens.push_back({id, 0, word.size()});
      return;
    }
  }
  std::vector<Symbol> symbols;
  begin(word, symbols);
  std::priority_queue<Candidate> queue;
  auto consider = [&](int left) {
    int right = left < 0 ? -1 : symbols[static_cast<size_t>(left)].after;
    if (right < 0)
      return;
    if (const Merge *merge =
            find(symbols[static_cast<size_t>(left)].token.id, symbols[static_cast<size_t>(right)].token.id))
      queue.push({merge->rank, left, merge->token});
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i)
    consider(static_cast<int>(i));
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Symbol &left = symbols[static_cast<size_t>(best.at)];
    if (left.token.id < 0 || left.after < 0)
      continue; // merged since
    Symbol &right = symbols[static_cast<size_t>(left.after)];
    const Merge *merge = find(left.token.id, right.token.id);
    if (!merge || merge->token != best.token || merge->rank != best.rank)
      continue;
    left.token = {best.token, left.token.begin, right.token.end};
    left.after = right.after;
    right.token.id = -1;
    if (left.after >= 0)
      symbols[static_cast<size_t>(left.after)].before = best.at;
    consider(left.before);
    consider(best.at);
  }
  for (const Symbol &symbol : symbols)
    if (symbol.token.id >= 0)
      tokens.push_back(symbol.token);
}

} // namespace

std::unique_ptr<TokenModel> parseBpe(const Json &json, TokenTable &table, const std::string &what) {
  for (const Json &entry : json.at("vocab").object())
    table.add(entry.key(), entry.integer(0, 1 << 24), what);
  return std::make_unique<Bpe>(json, table, what);
}

} // namespace kiln
