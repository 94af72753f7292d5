// Rows of a function's inputs that come in any number: run after run, as many as one takes.
#pragma once

#include "runtime/program/Program.h"

#include <string>

namespace kiln {

class InputRows {
public:
  virtual ~InputRows() = default;

  /// What they are called: "texts".
  virtual const char *what() const = 0;
  virtual size_t count() const = 0;
  /// Do they fill this input?
  virtual bool fills(int argument) const = 0;
  /// Sets the inputs to rows [begin, begin + size).
  virtual void fill(Call &call, size_t begin, size_t size) const = 0;

  /// Rows that go into one run.
  size_t most() const { return most_; }
  /// The symbol that counts rows; empty where their number is fixed.
  const std::string &rowSymbol() const { return rowSymbol_; }

protected:
  /// Rows are what this input's first axis counts.
  void countBy(const ArgumentSpec &argument, const EntrySpec &entry);
  /// The highest value of a dimension.
  static int64_t atBounds(const Dim &dim, const EntrySpec &entry);

private:
  size_t most_ = 0;
  std::string rowSymbol_;
};

} // namespace kiln
