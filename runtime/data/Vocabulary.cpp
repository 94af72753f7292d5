// Characters, words or subwords to numbers and back, and the file that keeps them.

#include "runtime/data/Vocabulary.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/support/Utf8.h"

#include <algorithm>

namespace kiln {

namespace {
constexpr const char *specials[] = {"<pad>", "<unk>", "<start>", "<end>"};

size_t lineOf(std::string_view text, size_t at) {
  return 1 + static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n'));
}
} // namespace

void Vocabulary::add(std::string token) {
  index_.emplace(token, static_cast<int32_t>(tokens_.size()));
  tokens_.push_back(std::move(token));
}

Vocabulary Vocabulary::subwords(std::shared_ptr<const Tokenizer> tokenizer) {
  Vocabulary vocabulary;
  vocabulary.kind_ = Kind::Subwords;
  vocabulary.tokenizer_ = std::move(tokenizer);
  return vocabulary;
}

Vocabulary Vocabulary::characters(std::string_view text, const std::string &what, bool withSpecials) {
  requireUtf8(text, what);
  std::vector<bool> ascii(128);
  std::unordered_map<std::string, bool> others;
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text, at);
    if (length == 1)
      ascii[static_cast<unsigned char>(text[at])] = true;
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
  if (withSpecials)
    for (const char *special : specials)
      vocabulary.add(special);
  for (std::string &token : tokens)
    vocabulary.add(std::move(token));
  return vocabulary;
}

Vocabulary Vocabulary::words(const WordList &words, size_t limit, size_t least) {
  std::vector<size_t> order;
  for (size_t i = 0; i < words.distinct.size(); ++i)
    if (words.counts[i] >= least)
      order.push_back(i);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return words.counts[a] != words.counts[b] ? words.counts[a] > words.counts[b]
                                              : words.distinct[a] < words.distinct[b];
  });
  Vocabulary vocabulary;
  vocabulary.kind_ = Kind::Words;
  for (const char *special : specials)
    vocabulary.add(special);
  for (size_t i : order)
    if ((limit == 0 || vocabulary.size() < limit) && vocabulary.find(words.distinct[i]) < 0)
      vocabulary.add(std::string(words.distinct[i]));
  return vocabulary;
}

const char *nameOf(Vocabulary::Kind kind) {
  constexpr const char *names[] = {"characters", "words", "subwords"};
  return names[static_cast<size_t>(kind)];
}

std::string Vocabulary::serialise() const {
  if (tokenizer_)
    return tokenizer_->json();
  std::string text =
      kind_ == Kind::Words ? "{\"kind\":\"words\",\"tokens\":[" : "{\"kind\":\"characters\",\"tokens\":[";
  for (size_t i = 0; i < tokens_.size(); ++i)
    text += (i ? "," : "") + jsonQuote(tokens_[i]);
  return text + "]}";
}

Vocabulary Vocabulary::deserialise(std::string_view text, const std::string &what) {
  Json json = Json::parse(text, what);
  if (json.isObject() && json.find("model"))
    return subwords(Tokenizer::parse(std::string(text), what));
  const Json *named = json.isObject() ? json.find("kind") : nullptr;
  const Json *tokens = json.isObject() ? json.find("tokens") : nullptr;
  if (!named || !named->isString() || !tokens || !tokens->isArray() || tokens->array().empty())
    fail("%s: the kind of a vocabulary and a list of its tokens are expected", what.c_str());
  Vocabulary vocabulary;
  const std::string &kind = named->string();
  if (kind != "words" && kind != "characters")
    fail("%s: unknown kind of vocabulary '%s'", what.c_str(), kind.c_str());
  vocabulary.read_ = true;
  vocabulary.kind_ = kind == "words" ? Kind::Words : Kind::Characters;
  for (const Json &token : tokens->array()) {
    if (!token.isString())
      fail("%s: %s is no token", what.c_str(), token.str().c_str());
    if (vocabulary.index_.contains(token.string()))
      fail("%s: the token '%s' stands twice in the vocabulary", what.c_str(), token.string().c_str());
    vocabulary.add(token.string());
  }
  if (vocabulary.kind_ == Kind::Words && vocabulary.size() < SpecialTokenCount)
    fail("%s: the vocabulary lacks its special tokens", what.c_str());
  return vocabulary;
}

int32_t Vocabulary::find(std::string_view token) const {
  if (tokenizer_)
    return tokenizer_->find(token);
  auto found = index_.find(token);
  return found == index_.end() ? -1 : found->second;
}

std::vector<int32_t> Vocabulary::encode(const WordList &words) const {
  std::vector<int32_t> table(words.distinct.size());
  for (size_t i = 0; i < table.size(); ++i) {
    int32_t id = find(words.distinct[i]);
    table[i] = id < 0 ? UnknownToken : id;
  }
  std::vector<int32_t> ids(words.numbers.size());
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = table[static_cast<size_t>(words.numbers[i])];
  return ids;
}

std::vector<std::string> Vocabulary::unknownIn(std::string_view text) const {
  std::vector<std::string> unknown;
  auto look = [&](std::string_view token) {
    if (find(token) < 0 && std::find(unknown.begin(), unknown.end(), token) == unknown.end())
      unknown.emplace_back(token);
  };
  if (tokenizer_)
    return unknown;
  if (kind_ == Kind::Words) {
    for (const auto &word : WordList::cut(text).distinct)
      look(word);
    return unknown;
  }
  for (size_t at = 0, length; at < text.size(); at += length) {
    length = utf8Length(text, at);
    look(text.substr(at, length));
  }
  return unknown;
}

std::vector<int32_t> Vocabulary::encode(std::string_view text, const std::string &what, bool lineEnds) const {
  requireUtf8(text, what);
  std::vector<int32_t> ids;
  if (tokenizer_) {
    tokenizer_->encode(text, ids);
    return ids;
  }
  if (kind_ == Kind::Words) {
    WordList words = WordList::cut(text);
    ids = encode(words);
    if (!lineEnds)
      return ids;
    // The last line's end is one only where a newline stands.
    size_t lines = words.lineEnds.size() - (!text.empty() && text.back() != '\n' ? 1 : 0), from = 0;
    std::vector<int32_t> withEnds;
    withEnds.reserve(ids.size() + lines);
    auto copy = [&](size_t to) {
      withEnds.insert(withEnds.end(), ids.begin() + static_cast<ptrdiff_t>(from),
                      ids.begin() + static_cast<ptrdiff_t>(to));
      from = to;
    };
    for (size_t i = 0; i < lines; ++i) {
      copy(words.lineEnds[i]);
      withEnds.push_back(EndToken);
    }
    copy(ids.size());
    return withEnds;
  }
  int32_t ascii[128];
  for (size_t c = 0; c < 128; ++c) {
    char character = static_cast<char>(c);
    ascii[c] = find(std::string_view(&character, 1));
  }
  ids.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text, at);
    int32_t id = length == 1 ? ascii[static_cast<unsigned char>(text[at])] : find(text.substr(at, length));
    if (id < 0 && hasSpecials())
      id = UnknownToken;
    if (id < 0)
      fail("%s: the character %s (byte %zu, line %zu) is not in the vocabulary of %zu characters%s", what.c_str(),
           jsonQuote(text.substr(at, length)).c_str(), at, lineOf(text, at), size(),
           read_ ? " that the weights were trained with" : "");
    ids.push_back(id);
    at += length;
  }
  return ids;
}

std::vector<int32_t> Vocabulary::encodeTurn(std::string_view text, const std::vector<TextRange> &said,
                                            const std::string &what) const {
  if (!tokenizer_)
    return encode(text, what);
  requireUtf8(text, what);
  std::vector<int32_t> ids;
  tokenizer_->encodeTurn(text, said, ids);
  return ids;
}

std::string Vocabulary::piece(int32_t id, bool first) const {
  if (tokenizer_)
    return tokenizer_->piece(id, first);
  if (id < 0 || static_cast<size_t>(id) >= tokens_.size())
    return "";
  if ((kind_ == Kind::Words || hasSpecials()) && (id == PadToken || id == StartToken || id == EndToken))
    return "";
  if (kind_ == Kind::Characters)
    return tokens_[static_cast<size_t>(id)];
  return (first ? "" : " ") + tokens_[static_cast<size_t>(id)];
}

std::string Vocabulary::decode(const std::vector<int32_t> &ids) const {
  if (tokenizer_)
    return tokenizer_->decode(ids);
  std::string text;
  for (int32_t id : ids)
    text += piece(id, text.empty());
  return text;
}

} // namespace kiln
