// `run --text`: texts become the inputs of a function that are named as a table's fields (ids, mask, types, lengths).
#pragma once

#include "runtime/cli/Words.h"
#include "runtime/data/Sequences.h"

namespace kiln {

class TextRows {
public:
  /// --text, --texts, --pair and --pairs as sequences of tokens. Throws Error for texts that cannot be read.
  TextRows(const Options &options, const Common &common, const Manifest &manifest, const EntrySpec &entry);

  static bool asked(const Options &options);
  size_t count() const { return ends_.size(); }
  /// Does it fill this input?
  bool fills(int argument) const;
  /// Rows that go into one run.
  size_t most() const { return most_; }
  /// The symbol that counts rows; empty where their number is fixed.
  const std::string &rowSymbol() const { return rowSymbol_; }
  /// Sets the inputs to rows [begin, begin + size).
  void fill(Call &call, size_t begin, size_t size) const;

private:
  void readTexts(const Options &options);
  void chooseInputs(const Options &options, const EntrySpec &entry);
  void makeSequences(const Vocabulary &words, const EntrySpec &entry);
  SequenceBlock::Row row(size_t number) const;

  std::vector<std::string> texts_, pairs_;
  std::vector<std::pair<int, std::string>> inputs_; // arguments, and the fields that they are
  size_t most_ = 0, longest_ = 0, length_ = 0;      // length_: of all rows
  std::string rowSymbol_;
  std::vector<int32_t> ids_;
  std::vector<int8_t> types_;
  std::vector<size_t> ends_;
  int32_t pad_ = 0;
};

} // namespace kiln
