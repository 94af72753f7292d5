// From texts to padded batches.
#include "runtime/data/Sequences.h"

#include "runtime/data/Coding.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kiln {

Vocabulary openTokenizer(const SourceContext &context, const std::string &path, const std::string &field) {
  std::optional<Vocabulary> given = givenVocabulary(context, field, Vocabulary::Kind::Subwords, 0);
  std::string found;
  try {
    found = findData(path, "the tokenizer of data '" + context.spec->name + "'", context.folders);
  } catch (const Error &) {
    if (!given)
      throw;
    return *given;
  }
  Vocabulary vocabulary = Vocabulary::subwords(Tokenizer::parse(readText(found), "'" + found + "'"));
  checkVocabularySize(context, vocabulary, "'" + found + "'");
  if (given && given->serialise() != vocabulary.serialise())
    note(context, format("data '%s' is read by '%s'; the weights were trained with another tokenizer",
                         context.spec->name.c_str(), found.c_str()));
  return vocabulary;
}

void checkVocabularySize(const SourceContext &context, const Vocabulary &vocabulary, const std::string &what) {
  const Json *limit = context.spec->options.find("vocabulary");
  if (limit && vocabulary.size() > static_cast<size_t>(limit->integer(1, INT32_MAX)))
    fail("%s has %zu tokens, the recipe's vocabulary has %lld", what.c_str(), vocabulary.size(),
         static_cast<long long>(limit->integer()));
}

Vocabulary chooseVocabulary(const SourceContext &context, std::span<const std::string> texts,
                            const std::string &field) {
  const Json &options = context.spec->options;
  std::string kind = options.stringOr("tokens", "words");
  if (kind.ends_with(".json"))
    return openTokenizer(context, kind, field);
  Vocabulary::Kind wanted = kind == "characters" ? Vocabulary::Kind::Characters : Vocabulary::Kind::Words;
  size_t limit = static_cast<size_t>(options.integerOr("vocabulary", 0));
  if (std::optional<Vocabulary> given = givenVocabulary(context, field, wanted, limit))
    return *given;
  std::string all;
  for (const std::string &text : texts)
    all += text + '\n';
  std::string what = "data '" + context.spec->name + "'";
  if (kind == "words")
    return Vocabulary::words(all, limit, static_cast<size_t>(options.integerOr("min_count", 1)));
  if (kind != "characters")
    fail("%s: unknown tokens '%s' (characters, words, or a tokenizer's path, which ends in .json)", what.c_str(),
         kind.c_str());
  std::erase(all, '\n'); // a text's own line ends are spaces, as encodeTexts has them
  Vocabulary vocabulary = Vocabulary::characters(all, what, true);
  checkVocabularySize(context, vocabulary, what);
  return vocabulary;
}

TokenTexts encodeTexts(const Vocabulary &vocabulary, std::span<const std::string> texts) {
  TokenTexts out;
  out.ends.reserve(texts.size());
  for (const std::string &text : texts) {
    std::vector<int32_t> ids = vocabulary.encode(text, "a text");
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.ends.push_back(out.ids.size());
  }
  return out;
}

/// The parts of a line that `ending` ends, where there is one, and that hold something.
static void addSentences(std::string_view line, const std::string &ending, std::vector<std::string> &sentences) {
  for (size_t at = 0; at < line.size();) {
    size_t end = ending.empty() ? std::string::npos : line.find(ending, at);
    end = end == std::string::npos ? line.size() : end + ending.size();
    std::string_view part = line.substr(at, end - at);
    if (std::any_of(part.begin(), part.end(), [](char c) { return !isSpace(c); }))
      sentences.emplace_back(part);
    at = end;
  }
}

std::vector<std::string> readParagraphs(const std::string &path, const SourceContext &context) {
  std::string found = findData(path, "the text of data '" + context.spec->name + "'", context.folders);
  std::string text = readText(found);
  std::vector<std::string> lines;
  std::string ending = context.spec->options.stringOr("sentence_end", "");
  for (std::string_view line : linesOf(text))
    addSentences(line, ending, lines);
  if (lines.empty())
    fail("'%s' is empty; data '%s' needs text", found.c_str(), context.spec->name.c_str());
  return lines;
}

SequenceMaker::SequenceMaker(const Vocabulary &vocabulary, size_t maxLength, bool specials, bool pair,
                             const std::string &name)
    : maxLength_(maxLength) {
  using Part = Tokenizer::Part;
  constexpr Part first{Part::Kind::First, 0, 0}, second{Part::Kind::Second, 0, 1};
  if (const Tokenizer *tokenizer = vocabulary.tokenizer()) {
    single_ = specials ? tokenizer->sequence(false) : std::vector<Part>{first};
    pair_ = specials ? tokenizer->sequence(true) : std::vector<Part>{first, second};
  } else {
    constexpr Part start{Part::Kind::Token, StartToken, 0}, end{Part::Kind::Token, EndToken, 0},
        last{Part::Kind::Token, EndToken, 1};
    single_ = specials ? std::vector<Part>{start, first, end} : std::vector<Part>{first};
    pair_ = specials ? std::vector<Part>{start, first, end, second, last} : std::vector<Part>{first, end, second};
  }
  for (const std::vector<Part> *parts : {&single_, &pair_})
    for (const Part &part : *parts)
      if (part.type < 0 || part.type > INT8_MAX)
        fail("data '%s': the tokenizer's token type %d is not from 0 to 127", name.c_str(), part.type);
  if (maxLength_ < this->specials(pair) + (pair ? 2 : 1))
    fail("data '%s': max_length=%zu leaves no room for text beside %zu special tokens", name.c_str(), maxLength_,
         this->specials(pair));
}

size_t SequenceMaker::specials(bool pair) const {
  const std::vector<Tokenizer::Part> &parts = pair ? pair_ : single_;
  return static_cast<size_t>(std::count_if(parts.begin(), parts.end(), [](const Tokenizer::Part &part) {
    return part.kind == Tokenizer::Part::Kind::Token;
  }));
}

size_t SequenceMaker::lead(bool pair, size_t first) const {
  size_t count = 0;
  for (const Tokenizer::Part &part : pair ? pair_ : single_) {
    if (part.kind == (pair ? Tokenizer::Part::Kind::Second : Tokenizer::Part::Kind::First))
      break;
    count += part.kind == Tokenizer::Part::Kind::Token ? 1 : first;
  }
  return count;
}

void SequenceMaker::make(std::span<const int32_t> first, const std::span<const int32_t> *second,
                         std::vector<int32_t> &ids, std::vector<int8_t> &types) const {
  size_t room = maxLength_ - specials(second != nullptr), a = first.size(), b = second ? second->size() : 0;
  if (!second) {
    a = std::min(a, room);
  } else if (a + b > room) {
    // The longer one gives way first; where both are long, each has half.
    size_t &shorter = a <= b ? a : b, &longer = a <= b ? b : a;
    longer = shorter > room ? shorter : std::max(shorter, room - shorter);
    if (shorter + longer > room) {
      shorter = room / 2;
      longer = shorter + room % 2;
    }
  }
  auto add = [&](std::span<const int32_t> tokens, int32_t type) {
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    types.insert(types.end(), tokens.size(), static_cast<int8_t>(type));
  };
  for (const Tokenizer::Part &part : second ? pair_ : single_)
    add(part.kind == Tokenizer::Part::Kind::Token   ? std::span(&part.token, 1)
        : part.kind == Tokenizer::Part::Kind::First ? first.first(a)
                                                    : second->first(b),
        part.type);
}

SequenceBlock::SequenceBlock(size_t rows, size_t maxLength, int32_t pad, bool whole)
    : maxLength_(maxLength), pad_(pad), whole_(whole), block_(rows * maxLength), mask_(rows * maxLength) {
  rows_.reserve(rows);
}

/// Rows of `length`, in block_.
void SequenceBlock::fill(const std::string &name, size_t length) {
  bool next = name == "next", types = name == "types";
  std::fill_n(block_.begin(), rows_.size() * length, next ? -100 : types ? 0 : pad_);
  for (size_t i = 0; i < rows_.size(); ++i) {
    auto to = block_.begin() + static_cast<ptrdiff_t>(i * length);
    if (types)
      std::copy(rows_[i].types.begin(), rows_[i].types.end(), to);
    else
      std::copy(rows_[i].ids.begin() + (next ? 1 : 0), rows_[i].ids.end(), to);
  }
}

bool SequenceBlock::store(const Source &source, size_t field, std::span<FieldBuffer> fields,
                          std::span<const int64_t> lead) {
  const std::string &name = source.spec().fields[field].name;
  int64_t shape[4];
  size_t rank = lead.size();
  std::copy(lead.begin(), lead.end(), shape);
  if (name == "lengths") {
    for (size_t i = 0; i < rows_.size(); ++i)
      block_[i] = static_cast<int32_t>(rows_[i].ids.size());
    storeField(source, field, fields, KILN_I32, block_.data(), std::span(shape, rank));
    return true;
  }
  if (name != "ids" && name != "mask" && name != "types" && name != "next")
    return false;
  size_t length = whole_ ? maxLength_ : 1;
  for (const Row &row : rows_)
    length = std::max(length, row.ids.size());
  shape[rank++] = static_cast<int64_t>(length);
  if (name == "mask") {
    std::fill_n(mask_.begin(), rows_.size() * length, static_cast<uint8_t>(0));
    for (size_t i = 0; i < rows_.size(); ++i)
      std::fill_n(mask_.begin() + static_cast<ptrdiff_t>(i * length), rows_[i].ids.size(), static_cast<uint8_t>(1));
    storeField(source, field, fields, KILN_BOOL, mask_.data(), std::span(shape, rank));
    return true;
  }
  fill(name, length);
  storeField(source, field, fields, KILN_I32, block_.data(), std::span(shape, rank));
  return true;
}

} // namespace kiln
