// A source whose rows are sequences of tokens with numbers beside them: a number for each token, or for each row.
#pragma once

#include "runtime/data/Buckets.h"
#include "runtime/data/Rows.h"
#include "runtime/data/Sequences.h"

#include <optional>

namespace kiln {

/// The rows: those of the main file, then those of validation and test.
struct SequenceRows {
  std::vector<int32_t> ids;
  std::vector<int8_t> types;
  std::vector<size_t> ends; // of each row, in ids
  struct Field {
    std::string name;
    bool perToken; // as long as ids; a batch is filled with -100
    std::vector<int32_t> values;
  };
  std::vector<Field> fields;

  size_t size() const { return ends.size(); }
  size_t begin(size_t row) const { return row ? ends[row - 1] : 0; }
  size_t length(size_t row) const { return ends[row] - begin(row); }
};

class SequenceSource final : public Source {
public:
  /// `options` says how many of the rows are of validation and test, `tags` how the field `tags` is numbered.
  SequenceSource(const SourceContext &context, Vocabulary vocabulary, SequenceRows rows, Rows::Options options,
                 const std::vector<std::string> &tags = {});

  /// From now on a share of the tokens is hidden, others in each batch: of ten, eight become the mask (words: UNK), one
  /// any token, one stays; the field `labels` holds what they were, and -100 at all others.
  void hideWords(double share, uint32_t seed);

  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;
  const Vocabulary *vocabulary(const std::string &) const override { return &vocabulary_; }
  std::map<std::string, const Vocabulary *> vocabularies() const override { return {{"ids", &vocabulary_}}; }

private:
  void storeNumbers(size_t field, std::span<FieldBuffer> fields);
  void storePadded(size_t field, std::span<FieldBuffer> fields, const int32_t *values);
  void hide(Split split, int64_t number);

  Vocabulary vocabulary_;
  SequenceRows data_;
  size_t batch_, longest_;
  bool whole_;
  std::optional<RowsByLength> rows_;
  std::span<const int32_t> batchRows_;
  std::vector<int32_t> numbers_;
  std::optional<SequenceBlock> block_;
  double share_ = 0; // of the tokens that are hidden
  uint32_t seed_ = 0, stream_ = 0;
  std::vector<int32_t> hidden_, labels_; // the batch's rows, one behind the other
};

} // namespace kiln
