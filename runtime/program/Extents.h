// From the shapes of an entry's inputs to its table of extents.
#pragma once

#include "runtime/program/Manifest.h"

#include <span>

namespace kiln {

/// Finds the symbols' values in the inputs' shapes, checks every dimension, and evaluates the extents table; tables are
/// kept by the symbols' values, so that a tuple seen before costs a look-up and no allocation.
class Extents {
public:
  explicit Extents(const EntrySpec &entry);

  /// shapes[i] is the actual shape of argument i, for inputs and for states (of which empty ones say nothing; others
  /// are ignored). Throws Error where a dimension does not agree, or is outside its bounds.
  void bind(std::span<const std::vector<int64_t>> shapes);

  int64_t *table() { return current_->table.data(); }
  const int64_t *table() const { return current_->table.data(); }
  int64_t symbol(size_t index) const { return symbols_[index]; }
  /// The shape of an argument under the symbols bound last.
  const std::vector<int64_t> &shape(size_t argument) const { return current_->shapes[argument]; }

private:
  struct Entry {
    std::vector<int64_t> symbols, table;
    std::vector<std::vector<int64_t>> shapes;
  };
  struct Dimension {
    int symbol = -1;       // a plain symbol
    int64_t constant = -1; // a constant
  };

  bool speaks(size_t argument, std::span<const std::vector<int64_t>> shapes) const;
  void takeSymbols(std::span<const std::vector<int64_t>> shapes);
  void solve(std::span<const std::vector<int64_t>> shapes);
  void checkBounds(size_t argument);
  Entry &evaluate();

  const EntrySpec &entry_;
  std::vector<std::vector<Dimension>> dimensions_;
  std::vector<int64_t> symbols_;
  std::vector<Entry> cache_;
  Entry *current_ = nullptr;
};

} // namespace kiln
