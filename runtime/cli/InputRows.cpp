// How many rows a run takes.
#include "runtime/cli/InputRows.h"

#include <algorithm>

namespace kiln {

void InputRows::countBy(const ArgumentSpec &argument, const EntrySpec &entry) {
  const Dim &rows = argument.type.shape[0];
  most_ = static_cast<size_t>(std::max<int64_t>(1, atBounds(rows, entry)));
  rowSymbol_ = rows.isConstant() ? "" : rows.str();
}

int64_t InputRows::atBounds(const Dim &dim, const EntrySpec &entry) {
  std::map<std::string, int64_t> bounds;
  for (const SymbolSpec &symbol : entry.symbols)
    bounds[symbol.name] = symbol.bound;
  return dim.evaluate(bounds).value_or(0);
}

} // namespace kiln
