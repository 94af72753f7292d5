// `run --text`: texts become the inputs of a function that are named as a table's fields (ids, mask, types, lengths).
#pragma once

#include "runtime/cli/InputRows.h"
#include "runtime/cli/Words.h"
#include "runtime/data/Sequences.h"

namespace kiln {

/// Throws Error: the function takes no texts; with its inputs.
[[noreturn]] void failTextless(const EntrySpec &entry);

class TextRows final : public InputRows {
public:
  /// --text, --texts, --pair and --pairs as sequences of tokens. Throws Error for texts that cannot be read.
  TextRows(const Options &options, const Common &common, const Manifest &manifest, const EntrySpec &entry);

  const char *what() const override { return "texts"; }
  size_t count() const override { return ends_.size(); }
  bool fills(int argument) const override;
  void fill(Call &call, size_t begin, size_t size) const override;

private:
  void readTexts(const Options &options);
  void chooseInputs(const Options &options, const EntrySpec &entry);
  void makeSequences(const Vocabulary &words, const EntrySpec &entry);
  SequenceBlock::Row row(size_t number) const;

  std::vector<std::string> texts_, pairs_;
  std::vector<std::pair<int, std::string>> inputs_; // arguments, and the fields that they are
  size_t longest_ = 0, length_ = 0;                 // length_: of all rows
  std::vector<int32_t> ids_;
  std::vector<int8_t> types_;
  std::vector<size_t> ends_;
  int32_t pad_ = 0;
};

} // namespace kiln
