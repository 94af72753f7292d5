// Texts as sequences of tokens: the vocabulary, special tokens around one text or two, cut to length, in padded
// batches.
#pragma once

#include "runtime/data/Source.h"

namespace kiln {

/// Texts one after the other, as numbers.
struct TokenTexts {
  std::vector<int32_t> ids;
  std::vector<size_t> ends; // of each text

  std::span<const int32_t> operator[](size_t text) const {
    size_t begin = text ? ends[text - 1] : 0;
    return std::span(ids).subspan(begin, ends[text] - begin);
  }
};

/// The vocabulary that the reader's options ask for: `tokens` is "characters" or "words", those of these texts, with
/// the special tokens in front, or the path of a tokenizer.json; `vocabulary` bounds it. Throws Error.
/// What the weights bring for `field` goes before the texts' own.
Vocabulary chooseVocabulary(const SourceContext &context, std::span<const std::string> texts,
                            const std::string &field = "ids");
/// Opens a tokenizer.json, beside the data. Throws Error.
/// The tokenizer of that file; where it is not there, the one that the weights bring for `field`. Where the two differ,
/// it is told on stderr. Throws Error.
Vocabulary openTokenizer(const SourceContext &context, const std::string &path, const std::string &field);
/// Checks `vocabulary` of the options against it; throws Error where it has more tokens.
void checkVocabularySize(const SourceContext &context, const Vocabulary &vocabulary, const std::string &what);

/// The lines of a text that hold something; with `sentence_end` among the reader's options they end behind each of
/// those too. Throws Error.
std::vector<std::string> readParagraphs(const std::string &path, const SourceContext &context);

TokenTexts encodeTexts(const Vocabulary &vocabulary, std::span<const std::string> texts);

/// A sequence made of one text or two.
class SequenceMaker {
public:
  /// `specials`: does anything stand around the texts (BERT's [CLS] A [SEP] B [SEP]; START A END B END)? Words and
  /// characters without them have END between two texts all the same. Throws Error where max_length leaves no room.
  SequenceMaker(const Vocabulary &vocabulary, size_t maxLength, bool specials, bool pair, const std::string &name);

  /// Appends the sequence's tokens and their types, cut to length: the longer text first, from its end.
  void make(std::span<const int32_t> first, const std::span<const int32_t> *second, std::vector<int32_t> &ids,
            std::vector<int8_t> &types) const;
  /// How many tokens stand around and between.
  size_t specials(bool pair) const;
  /// How many stand before the last of the texts, the first one being so long.
  size_t lead(bool pair, size_t first) const;

private:
  size_t maxLength_;
  std::vector<Tokenizer::Part> single_, pair_;
};

/// Sequences of a batch side by side, padded to the longest (or to max_length): what the fields ids, mask, lengths,
/// types and next are.
class SequenceBlock {
public:
  struct Row {
    std::span<const int32_t> ids;
    std::span<const int8_t> types;
  };
  SequenceBlock(size_t rows, size_t maxLength, int32_t pad, bool whole);

  void clear() { rows_.clear(); }
  void add(Row row) { rows_.push_back(row); }
  /// Stores the field if it is one of them, its shape beginning with `lead`.
  bool store(const Source &source, size_t field, std::span<FieldBuffer> fields, std::span<const int64_t> lead);

private:
  void fill(const std::string &name, size_t length);

  size_t maxLength_;
  int32_t pad_;
  bool whole_;
  std::vector<Row> rows_;
  std::vector<int32_t> block_;
  std::vector<uint8_t> mask_;
};

} // namespace kiln
