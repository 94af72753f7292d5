// Rows of cells with columns of different meaning: what the readers of tables share.
#pragma once

#include "runtime/data/Coding.h"
#include "runtime/data/Source.h"
#include "runtime/files/Csv.h"

#include <map>
#include <optional>

namespace kiln {

/// One file of a source.
struct TableFile {
  std::string what;
  CsvTable table;

  /// Opens a file by the reader's options (separator, skip, header). Throws Error.
  static TableFile read(const std::string &path, const SourceContext &context, bool header);
  /// A column by its number (negative ones count from the end) or its name. Throws Error.
  size_t column(const Json &json) const;
  /// A number n (the first n), one name, or a list of numbers and names.
  std::vector<size_t> columns(const Json &json) const;
  /// The number in a cell; throws Error with its line, and `hint` behind what it says.
  float number(size_t row, size_t column, const char *hint = "") const;
  /// The number in a cell that may be a gap (known()): then `missing` where that is a number, NaN where it is a word
  /// (how gaps are filled later), and an Error where it is null.
  float numberOrGap(size_t row, size_t column, const Json *missing, const char *words = "") const;
  /// A cell's text without the spaces around it; an empty one where it says that there is none: NA, N/A, NaN, null,
  /// None, ? and other spellings of these.
  std::string_view known(size_t row, size_t column) const;
  [[noreturn]] void refuse(size_t row, size_t column, const std::string &why) const;
};

/// The file that the recipe (or --data) names, then those of validation and test, whose rows it counts; their columns
/// in the order of the first's, where they have names.
std::vector<TableFile> readTables(const SourceContext &context, bool header, int64_t &validation, int64_t &test);

/// A column of classes: all whole numbers, or all words, which are numbered in their sorted order; or by `classes`:
/// their names in the order of their numbers, or how many there are. Throws Error with the line of a label that is
/// none.
class Labels {
public:
  /// Where the recipe has no `classes`, words have the numbers that the weights bring.
  Labels(const std::vector<TableFile> &files, size_t column, const SourceContext &context);
  int32_t of(const TableFile &file, size_t row) const;
  /// In the order of their numbers; none where the column has numbers.
  const std::vector<std::string> &names() const { return classes_.names; }

private:
  void nameClasses(const std::vector<TableFile> &files, const SourceContext &context);

  size_t column_;
  int64_t count_ = -1;                                  // of numbered classes, where it is known
  ClassOrder classes_;                                  // where labels are words, or named
  std::map<std::string, int32_t, std::less<>> numbers_; // of these
};

} // namespace kiln
