// A column of words that says which of a few kinds a row is of.
#pragma once

#include "runtime/data/Columns.h"

namespace kiln {

/// Its values have the numbers from 1 on, in their sorted order (numbers by what they are worth); 0 is what is empty or
/// unknown.
class Categories {
public:
  /// `column`: its number or name, or a list of that and of how many numbers it may take, 0 among them. The values are
  /// those that the weights bring for `field`; else those of the rows `train` of the first file. Throws Error where
  /// there are more than it may take.
  Categories(const TableFile &file, const Json &column, const std::vector<int32_t> &train, const SourceContext &context,
             const std::string &field);
  int32_t of(const TableFile &file, size_t row) const;
  /// In the order of their numbers.
  const std::vector<std::string> &names() const { return names_; }

private:
  size_t column_;
  std::vector<std::string> names_;
  std::map<std::string, int32_t, std::less<>> numbers_; // of these
};

} // namespace kiln
