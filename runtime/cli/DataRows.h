// `run --input NAME=DATA.FIELD`: rows of a data source of the recipe's become the inputs of a function.
#pragma once

#include "runtime/cli/Commands.h"
#include "runtime/cli/InputRows.h"

namespace kiln {

class DataRows final : public InputRows {
public:
  /// Reads the fields that --input names, all rows of them in their files' order, as the weights were trained on theirs
  /// (--data may name other files, which need nothing but those fields). Throws Error for what cannot be read, and
  /// where sources have different numbers of rows.
  DataRows(const Options &options, const Common &common, const Manifest &manifest, const Call &call);

  /// Whether an --input names a field.
  static bool asked(const Options &options, const Manifest &manifest, const Call &call);
  const char *what() const override { return "rows"; }
  size_t count() const override { return count_; }
  bool fills(int argument) const override;
  void fill(Call &call, size_t begin, size_t size) const override;

private:
  /// A field, and the input that it goes into.
  struct Column {
    std::string source, field;
    int input = 0;
    kiln_dtype dtype = KILN_F32;
    std::vector<int64_t> shape; ///< of all rows
    std::vector<uint8_t> bytes;
  };
  void read(Source &source);

  std::vector<Column> columns_;
  size_t count_ = 0;
};

} // namespace kiln
