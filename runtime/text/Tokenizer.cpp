// The file's parts put together: added tokens first, then normalizer, pre-tokenizer and model on what lies between
// them.
#include "runtime/text/Tokenizer.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <cstring>

namespace kiln {

void TokenTable::add(std::string token, int64_t id, const std::string &what) {
  size_t place = static_cast<size_t>(id);
  if (tokens_.size() <= place) {
    tokens_.resize(place + 1);
    known_.resize(place + 1);
  }
  if (known_[place])
    fail("%s: the tokens %s and %s have the same number, %lld", what.c_str(), jsonQuote(tokens_[place]).c_str(),
         jsonQuote(token).c_str(), static_cast<long long>(id));
  if (!numbers_.emplace(token, static_cast<int32_t>(id)).second)
    fail("%s: the token %s stands twice in the vocabulary", what.c_str(), jsonQuote(token).c_str());
  known_[place] = true;
  tokens_[place] = std::move(token);
}

const std::string &TokenTable::token(int32_t id) const {
  static const std::string none;
  return has(id) ? tokens_[static_cast<size_t>(id)] : none;
}

int32_t tokenNumber(const TokenTable &table, const std::string &token, const char *role, const std::string &what) {
  int32_t id = table.find(token);
  if (id < 0)
    fail("%s: the %s %s is not in the vocabulary", what.c_str(), role, jsonQuote(token).c_str());
  return id;
}

void unknownPart(const Json &json, const char *part, const char *known, const std::string &what) {
  fail("%s: the %s '%s' is not known; these are: %s", what.c_str(), part, json.at("type").string().c_str(), known);
}

std::unique_ptr<TokenModel> parseTokenModel(const Json &json, TokenTable &table, const std::string &what) {
  // Older files do not say which; their members do.
  std::string type = json.stringOr("type", json.find("merges")                     ? "BPE"
                                           : json.find("max_input_chars_per_word") ? "WordPiece"
                                                                                   : "Unigram");
  if (type == "WordPiece")
    return parseWordPiece(json, table, what);
  if (type == "BPE")
    return parseBpe(json, table, what);
  if (type == "Unigram")
    return parseUnigram(json, table, what);
  unknownPart(json, "model", "WordPiece, BPE, Unigram", what);
}

namespace {

/// A token that is found in the text before anything else is done to it (or, `normalized`, behind the normalizer).
struct AddedToken {
  int32_t id = 0;
  std::u32string text;
  bool special = false, singleWord = false, leftSpace = false, rightSpace = false;
};

std::u32string charactersOf(std::string_view text) {
  std::u32string characters;
  for (size_t at = 0; at < text.size();)
    characters += nextCharacter(text, at);
  return characters;
}

bool isWordCharacter(char32_t c) {
  UnicodeClass kind = unicodeClass(c);
  return c == '_' || kind == UnicodeClass::Letter || kind == UnicodeClass::Number ||
         kind == UnicodeClass::NonspacingMark || kind == UnicodeClass::Mark;
}

bool isBlank(std::u32string_view text) {
  return std::all_of(text.begin(), text.end(), [](char32_t c) { return isUnicodeSpace(c); });
}

} // namespace

/// Which parts of a text are somebody's words, and what the rest is written with.
struct SaidParts {
  const std::vector<TextRange> &said;
  std::u32string rest; ///< the parts between them, apart

  SaidParts(std::string_view text, const std::vector<TextRange> &said) : said(said) {
    size_t at = 0;
    for (const TextRange &range : said) {
      rest += charactersOf(text.substr(at, range.begin - at)) + U'\0';
      at = range.end;
    }
    rest += charactersOf(text.substr(at));
  }

  /// May the token stand over these characters?
  bool allows(const AddedToken &token, const Characters &text, size_t begin, size_t end) const {
    if (!token.special && (isBlank(token.text) || rest.find(token.text) == std::u32string::npos))
      return true;
    for (const TextRange &range : said)
      if (text.from[begin].begin < range.end && range.begin < text.from[end - 1].end)
        return false;
    return true;
  }
};

namespace {

/// Added tokens, to be found at their leftmost place, the longest first.
class Finder {
public:
  void add(AddedToken token) {
    if (token.text.empty())
      return;
    tokens_[token.text[0] & 0xff].push_back(std::move(token));
    empty_ = false;
  }
  /// Behind the last add().
  void sort() {
    for (std::vector<AddedToken> &tokens : tokens_)
      std::sort(tokens.begin(), tokens.end(),
                [](const AddedToken &a, const AddedToken &b) { return a.text.size() > b.text.size(); });
  }
  bool empty() const { return empty_; }

  /// The next token from `from` on: where it begins and ends, with the spaces that it takes. Null for none.
  const AddedToken *next(const Characters &whole, size_t from, const SaidParts *said, size_t &begin,
                         size_t &end) const {
    std::u32string_view text = whole.text;
    for (size_t at = from; at < text.size(); ++at) {
      const AddedToken *found = match(whole, at, said);
      if (!found)
        continue;
      begin = at;
      end = at + found->text.size();
      while (found->leftSpace && begin > from && isUnicodeSpace(text[begin - 1]))
        --begin;
      while (found->rightSpace && end < text.size() && isUnicodeSpace(text[end]))
        ++end;
      return found;
    }
    return nullptr;
  }

private:
  const AddedToken *match(const Characters &whole, size_t at, const SaidParts *said) const {
    std::u32string_view text = whole.text;
    for (const AddedToken &token : tokens_[text[at] & 0xff]) {
      if (!text.substr(at).starts_with(token.text))
        continue;
      size_t end = at + token.text.size();
      if (token.singleWord &&
          ((at > 0 && isWordCharacter(text[at - 1])) || (end < text.size() && isWordCharacter(text[end]))))
        return nullptr;
      if (!said || said->allows(token, whole, at, end))
        return &token;
    }
    return nullptr;
  }

  std::vector<AddedToken> tokens_[256]; // by how they begin, the longest first
  bool empty_ = true;
};

} // namespace

struct Tokenizer::Parts {
  TokenTable table;
  std::unique_ptr<TokenModel> model;
  Normalizer normalizer;
  PreTokenizer preTokenizer;
  TokenDecoder decoder;
  Finder plain, normalized;
  std::vector<int32_t> specials; // sorted

  void addTokens(const Json &json, const std::string &what);
  void words(Characters characters, bool first, std::vector<int32_t> &ids, std::vector<TextRange> *ranges) const;
};

Tokenizer::Tokenizer() : parts_(std::make_unique<Parts>()) {}
Tokenizer::~Tokenizer() = default;

void Tokenizer::Parts::addTokens(const Json &json, const std::string &what) {
  for (const Json &entry : json.array()) {
    const std::string &content = entry.at("content").string();
    AddedToken token;
    token.id = static_cast<int32_t>(entry.at("id").integer(0, 1 << 24));
    token.special = entry.booleanOr("special", false);
    token.singleWord = entry.booleanOr("single_word", false);
    token.leftSpace = entry.booleanOr("lstrip", false);
    token.rightSpace = entry.booleanOr("rstrip", false);
    if (table.find(content) < 0)
      table.add(content, token.id, what);
    else if (table.find(content) != token.id)
      fail("%s: the added token %s has the number %d, and %d in the vocabulary", what.c_str(),
           jsonQuote(content).c_str(), token.id, table.find(content));
    if (token.special)
      specials.push_back(token.id);
    bool behind = entry.booleanOr("normalized", !token.special);
    Characters characters;
    characters.text = charactersOf(content);
    if (behind && normalizer)
      normalizer(characters);
    token.text = std::move(characters.text);
    (behind ? normalized : plain).add(std::move(token));
  }
  plain.sort();
  normalized.sort();
  std::sort(specials.begin(), specials.end());
}

const TokenizerReader kiln_tokenizer_reader;

std::shared_ptr<const Tokenizer> Tokenizer::parse(std::string text, const std::string &what) {
  if (!kiln_tokenizers)
    fail("%s: this program reads no tokenizers, because its recipe's texts have words of their own; name one in the "
         "recipe (tokens = \"tokenizer.json\") and build it again",
         what.c_str());
  return kiln_tokenizers->parse(std::move(text), what);
}

std::shared_ptr<const Tokenizer> Tokenizer::read(std::string text, const std::string &what) {
  Json json = Json::parse(text, what);
  std::shared_ptr<Tokenizer> tokenizer(new Tokenizer);
  tokenizer->json_ = std::move(text);
  Parts &parts = *tokenizer->parts_;
  try {
    parts.model = parseTokenModel(json.at("model"), parts.table, what);
    parts.normalizer = parseNormalizer(json.find("normalizer"), what);
    parts.preTokenizer = parsePreTokenizer(json.find("pre_tokenizer"), what);
    parts.decoder = parseDecoder(json.find("decoder"), what);
    if (const Json *added = json.find("added_tokens"))
      parts.addTokens(*added, what);
    tokenizer->parseSequences(json.find("post_processor"), what);
    tokenizer->nameSpecials(json);
  } catch (const Error &error) {
    std::string sentence = error.what();
    if (sentence.starts_with(what))
      throw;
    fail("%s is not a tokenizer.json that is understood: %s", what.c_str(), sentence.c_str());
  }
  return tokenizer;
}

/// What stands before, between and behind the texts.
void Tokenizer::parseSequences(const Json *post, const std::string &what) {
  using Kind = Part::Kind;
  std::vector<Part> single = {{Kind::First, 0, 0}}, pair = {{Kind::First, 0, 0}, {Kind::Second, 0, 1}};
  std::vector<const Json *> steps;
  if (post && post->at("type").string() == "Sequence")
    for (const Json &step : post->at("processors").array())
      steps.push_back(&step);
  else if (post)
    steps.push_back(post);
  for (const Json *step : steps) {
    const std::string &type = step->at("type").string();
    if (type == "ByteLevel")
      continue; // moves offsets alone
    auto special = [&](const char *key) {
      const Json &named = step->at(key);
      return static_cast<int32_t>(named.array().at(1).integer(0, 1 << 24));
    };
    if (type == "TemplateProcessing") {
      auto parts = [&](const char *key) {
        std::vector<Part> list;
        for (const Json &item : step->at(key).array()) {
          const Json *token = item.find("SpecialToken");
          const Json &part = token ? *token : item.at("Sequence");
          int32_t number = static_cast<int32_t>(part.integerOr("type_id", 0));
          const std::string &id = part.at("id").string();
          if (!token)
            list.push_back({id == "B" ? Kind::Second : Kind::First, 0, number});
          else
            for (const Json &one : step->at("special_tokens").at(id).at("ids").array())
              list.push_back({Kind::Token, static_cast<int32_t>(one.integer(0, 1 << 24)), number});
        }
        return list;
      };
      single = parts("single");
      pair = parts("pair");
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      int32_t sep = special("sep"), cls = special("cls");
      bool bert = type == "BertProcessing";
      single = {{Kind::Token, cls, 0}, {Kind::First, 0, 0}, {Kind::Token, sep, 0}};
      pair = single;
      if (!bert)
        pair.push_back({Kind::Token, sep, 0});
      pair.push_back({Kind::Second, 0, bert});
      pair.push_back({Kind::Token, sep, bert});
    } else {
      unknownPart(*step, "post_processor", "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence",
                  what);
    }
  }
  for (const std::vector<Part> *list : {&single, &pair})
    for (Kind kind : {Kind::First, Kind::Second})
      if (std::count_if(list->begin(), list->end(), [kind](const Part &part) { return part.kind == kind; }) !=
          (kind == Kind::First || list == &pair))
        fail("%s: the post_processor's %s names a text twice, or lacks one", what.c_str(),
             list == &pair ? "pair" : "single");
  single_ = std::move(single);
  pair_ = std::move(pair);
}

/// By the names that the models in use give them: the file itself says only which token fills.
void Tokenizer::nameSpecials(const Json &json) {
  auto first = [&](std::initializer_list<const char *> names) {
    for (const char *name : names)
      if (int32_t id = find(name); id >= 0)
        return id;
    return -1;
  };
  pad_ = first({"[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>"});
  if (const Json *padding = json.find("padding"))
    pad_ = static_cast<int32_t>(padding->integerOr("pad_id", pad_));
  mask_ = first({"[MASK]", "<mask>"});
  start_ = first({"[CLS]", "<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>"});
  end_ = first({"[SEP]", "</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>"});
}

size_t Tokenizer::size() const { return parts_->table.size(); }
int32_t Tokenizer::find(std::string_view token) const { return parts_->table.find(token); }
const std::string &Tokenizer::token(int32_t id) const { return parts_->table.token(id); }
bool Tokenizer::isSpecial(int32_t id) const {
  return std::binary_search(parts_->specials.begin(), parts_->specials.end(), id);
}

/// What lies between added tokens, through the model.
void Tokenizer::Parts::words(Characters characters, bool first, std::vector<int32_t> &ids,
                             std::vector<TextRange> *ranges) const {
  if (characters.text.empty())
    return;
  WordSplit split;
  split.first = first;
  split.words = {{0, characters.text.size()}};
  split.characters = std::move(characters);
  if (preTokenizer)
    preTokenizer(split);
  std::vector<TokenModel::Token> tokens;
  for (const WordSplit::Word &word : split.words) {
    tokens.clear();
    model->encode(std::u32string_view(split.characters.text).substr(word.begin, word.end - word.begin), tokens);
    for (const TokenModel::Token &token : tokens) {
      ids.push_back(token.id);
      if (ranges)
        ranges->push_back({split.characters.from[word.begin + token.begin].begin,
                           split.characters.from[word.begin + token.end - 1].end});
    }
  }
}

void Tokenizer::encode(std::string_view text, std::vector<int32_t> &ids, std::vector<TextRange> *ranges) const {
  encodeParts(text, ids, ranges, nullptr);
}

void Tokenizer::encodeTurn(std::string_view text, const std::vector<TextRange> &said, std::vector<int32_t> &ids) const {
  SaidParts parts(text, said);
  encodeParts(text, ids, nullptr, &parts);
}

void Tokenizer::encodeParts(std::string_view text, std::vector<int32_t> &ids, std::vector<TextRange> *ranges,
                            const SaidParts *said) const {
  Characters all;
  all.tracked = ranges || said;
  for (size_t at = 0; at < text.size();) {
    uint32_t begin = static_cast<uint32_t>(at);
    char32_t c = nextCharacter(text, at);
    all.add(c, {begin, static_cast<uint32_t>(at)});
  }
  auto part = [](const Characters &whole, size_t begin, size_t end) {
    Characters some = whole.like();
    some.text = whole.text.substr(begin, end - begin);
    if (whole.tracked)
      some.from.assign(whole.from.begin() + static_cast<ptrdiff_t>(begin),
                       whole.from.begin() + static_cast<ptrdiff_t>(end));
    return some;
  };
  // Calls between(part, is it the beginning) for what lies between the finder's tokens, which are written down.
  auto apart = [&](const Finder &finder, Characters whole, bool first, auto between) {
    size_t at = 0, begin = 0, end = 0;
    while (!finder.empty()) {
      const AddedToken *token = finder.next(whole, at, said, begin, end);
      if (!token)
        break;
      if (begin > at)
        between(part(whole, at, begin), first && at == 0);
      ids.push_back(token->id);
      if (ranges)
        ranges->push_back({whole.from[begin].begin, whole.from[end - 1].end});
      at = end;
    }
    if (at == 0)
      between(std::move(whole), first);
    else if (at < whole.text.size())
      between(part(whole, at, whole.text.size()), false);
  };
  apart(parts_->plain, std::move(all), true, [&](Characters some, bool first) {
    if (parts_->normalizer)
      parts_->normalizer(some);
    apart(parts_->normalized, std::move(some), first,
          [&](Characters rest, bool start) { parts_->words(std::move(rest), start, ids, ranges); });
  });
}

std::string Tokenizer::piece(int32_t id, bool first) const {
  return isSpecial(id) || !parts_->table.has(id) ? "" : parts_->decoder(parts_->table.token(id), first);
}

/// What is no UTF-8 becomes U+FFFD, one for each part that could have begun a character.
static std::string readable(const std::string &text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (size_t length = utf8Length(text, at)) {
      out.append(text, at, length);
      at += length;
      continue;
    }
    out += "\xef\xbf\xbd";
    // The longest beginning of a character: filled up with what may follow, it is one.
    size_t length = 1;
    for (size_t part = 2; part < 4 && at + part <= text.size(); ++part)
      for (const char *rest : {"\x80", "\x80\x80", "\x90", "\x90\x80"})
        if (std::string whole = text.substr(at, part) + rest; utf8Length(whole, 0) == whole.size())
          length = part;
    at += length;
  }
  return out;
}

std::string Tokenizer::decode(const std::vector<int32_t> &ids) const {
  std::string text;
  bool first = true;
  for (int32_t id : ids) {
    if (isSpecial(id) || !parts_->table.has(id))
      continue;
    text += piece(id, first);
    first = false;
  }
  return utf8Prefix(text) == text.size() ? text : readable(text);
}

} // namespace kiln
