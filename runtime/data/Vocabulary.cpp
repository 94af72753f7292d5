#include "runtime/data/Vocabulary.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>

namespace kiln {

namespace {
constexpr const char *specials[] = {"<pad>", "<unk>", "<start>", "<end>"};

bool isSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'; }

size_t lineOf(std::string_view text, size_t at) {
  return 1 + static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n'));
}

/// Calls word(text) for each word, and newline() at each line's end.
template <typename Word, typename Newline> void forWords(std::string_view text, Word word, Newline newline) {
  for (size_t at = 0; at < text.size();) {
    if (isSpace(text[at])) {
      if (text[at] == '\n')
        newline();
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text.size() && !isSpace(text[end]))
      ++end;
    word(text.substr(at, end - at));
    at = end;
  }
}
} // namespace

size_t utf8Length(std::string_view text, size_t at) {
  unsigned char lead = static_cast<unsigned char>(text[at]);
  size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || length > text.size() - at)
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80)
      return 0;
  return length;
}

void Vocabulary::add(std::string token) {
  index_.emplace(token, static_cast<int32_t>(tokens_.size()));
  tokens_.push_back(std::move(token));
}

Vocabulary Vocabulary::characters(std::string_view text, const std::string &what) {
  std::vector<bool> ascii(128);
  std::unordered_map<std::string, bool> others;
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text, at);
    if (length == 0)
      fail("%s is not UTF-8 text: byte %zu, line %zu", what.c_str(), at, lineOf(text, at));
    if (length == 1)
      ascii[static_cast<size_t>(text[at])] = true;
    else
      others.emplace(text.substr(at, length), true);
    at += length;
  }
  std::vector<std::string> tokens;
  for (size_t c = 0; c < 128; ++c)
    if (ascii[c])
      tokens.emplace_back(1, static_cast<char>(c));
  for (const auto &[token, seen] : others)
    tokens.push_back(token);
  // UTF-8's byte order is the code points' order.
  std::sort(tokens.begin(), tokens.end(), [](const std::string &a, const std::string &b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
      return static_cast<unsigned char>(x) < static_cast<unsigned char>(y);
    });
  });
  Vocabulary vocabulary;
  for (std::string &token : tokens)
    vocabulary.add(std::move(token));
  return vocabulary;
}

Vocabulary Vocabulary::words(std::string_view text, size_t limit, size_t least) {
  std::unordered_map<std::string, size_t> counts;
  forWords(text, [&](std::string_view word) { ++counts[std::string(word)]; }, [] {});
  std::vector<std::pair<std::string, size_t>> sorted(counts.begin(), counts.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto &a, const auto &b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  Vocabulary vocabulary;
  vocabulary.kind_ = Kind::Words;
  for (const char *special : specials)
    vocabulary.add(special);
  for (auto &[word, count] : sorted)
    if (count >= least && (limit == 0 || vocabulary.size() < limit) && !vocabulary.index_.count(word))
      vocabulary.add(word);
  return vocabulary;
}

std::string Vocabulary::serialise() const {
  std::string text =
      kind_ == Kind::Words ? "{\"kind\":\"words\",\"tokens\":[" : "{\"kind\":\"characters\",\"tokens\":[";
  for (size_t i = 0; i < tokens_.size(); ++i)
    text += (i ? "," : "") + jsonQuote(tokens_[i]);
  return text + "]}";
}

Vocabulary Vocabulary::deserialise(std::string_view text, const std::string &what) {
  Json json = Json::parse(text, what, 4);
  Vocabulary vocabulary;
  const std::string &kind = json.at("kind").string();
  if (kind != "words" && kind != "characters")
    fail("%s: unknown kind of vocabulary '%s'", what.c_str(), kind.c_str());
  vocabulary.kind_ = kind == "words" ? Kind::Words : Kind::Characters;
  for (const Json &token : json.at("tokens").array()) {
    if (vocabulary.index_.count(token.string()))
      fail("%s: the token '%s' stands twice in the vocabulary", what.c_str(), token.string().c_str());
    vocabulary.add(token.string());
  }
  if (vocabulary.kind_ == Kind::Words && vocabulary.size() < SpecialTokenCount)
    fail("%s: the vocabulary lacks its special tokens", what.c_str());
  return vocabulary;
}

int32_t Vocabulary::find(std::string_view token) const {
  auto found = index_.find(std::string(token));
  return found == index_.end() ? -1 : found->second;
}

std::vector<int32_t> Vocabulary::encode(std::string_view text, const std::string &what, bool lineEnds) const {
  std::vector<int32_t> ids;
  if (kind_ == Kind::Words) {
    forWords(
        text,
        [&](std::string_view word) {
          int32_t id = find(word);
          ids.push_back(id < 0 ? UnknownToken : id);
        },
        [&] {
          if (lineEnds)
            ids.push_back(EndToken);
        });
    return ids;
  }
  int32_t ascii[128];
  for (size_t c = 0; c < 128; ++c) {
    char character = static_cast<char>(c);
    ascii[c] = find(std::string_view(&character, 1));
  }
  ids.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text, at);
    if (length == 0)
      fail("%s is not UTF-8 text: byte %zu, line %zu", what.c_str(), at, lineOf(text, at));
    int32_t id = length == 1 ? ascii[static_cast<size_t>(text[at])] : find(text.substr(at, length));
    if (id < 0)
      fail("%s: the character %s (byte %zu, line %zu) is not in the vocabulary of %zu characters", what.c_str(),
           jsonQuote(text.substr(at, length)).c_str(), at, lineOf(text, at), size());
    ids.push_back(id);
    at += length;
  }
  return ids;
}

std::string Vocabulary::piece(int32_t id, bool first) const {
  if (id < 0 || static_cast<size_t>(id) >= tokens_.size())
    return "";
  if (kind_ == Kind::Characters)
    return tokens_[static_cast<size_t>(id)];
  if (id == PadToken || id == StartToken || id == EndToken)
    return "";
  return (first ? "" : " ") + tokens_[static_cast<size_t>(id)];
}

std::string Vocabulary::decode(const std::vector<int32_t> &ids) const {
  std::string text;
  for (int32_t id : ids)
    text += piece(id, text.empty());
  return text;
}

} // namespace kiln
