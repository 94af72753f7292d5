// Symbols solved from shapes, bounds checked, expressions evaluated.

#include "runtime/program/Extents.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <map>

namespace kiln {

Extents::Extents(const EntrySpec &entry) : entry_(entry), symbols_(entry.symbols.size(), -1) {
  // More tuples than this are possible only where two bounded symbols vary freely; the oldest then make room.
  cache_.reserve(1024);
  for (const ArgumentSpec &argument : entry.arguments) {
    std::vector<Dimension> &list = dimensions_.emplace_back();
    for (const Dim &dim : argument.type.shape) {
      Dimension dimension;
      if (std::optional<int64_t> constant = dim.constant())
        dimension.constant = *constant;
      for (size_t i = 0; i < entry.symbols.size(); ++i)
        if (dim == Dim::symbol(entry.symbols[i].name))
          dimension.symbol = static_cast<int>(i);
      list.push_back(dimension);
    }
  }
}

static std::string argumentName(const ArgumentSpec &argument) {
  return std::string(roleName(argument.role)) + " '" + argument.name + "'";
}

bool Extents::speaks(size_t argument, std::span<const std::vector<int64_t>> shapes) const {
  const ArgumentSpec &spec = entry_.arguments[argument];
  return spec.role == Role::Input || (spec.role == Role::State && !spec.result && !shapes[argument].empty());
}

void Extents::takeSymbols(std::span<const std::vector<int64_t>> shapes) {
  std::fill(symbols_.begin(), symbols_.end(), -1);
  for (size_t i = 0; i < entry_.arguments.size(); ++i) {
    const ArgumentSpec &argument = entry_.arguments[i];
    if (!speaks(i, shapes))
      continue;
    const std::vector<int64_t> &shape = shapes[i];
    bool agrees = shape.size() == dimensions_[i].size();
    for (size_t d = 0; agrees && d < shape.size(); ++d) {
      const Dimension &dimension = dimensions_[i][d];
      if (dimension.constant >= 0) {
        agrees = shape[d] == dimension.constant;
      } else if (dimension.symbol >= 0) {
        int64_t &value = symbols_[static_cast<size_t>(dimension.symbol)];
        if (value >= 0 && value != shape[d])
          fail("%s has the shape %s, expected %s: the dimension %s was %lld before", argumentName(argument).c_str(),
               describeShape(shape).c_str(), argument.type.str().c_str(),
               entry_.symbols[static_cast<size_t>(dimension.symbol)].name.c_str(), static_cast<long long>(value));
        value = shape[d];
        checkBounds(static_cast<size_t>(dimension.symbol));
      }
    }
    if (!agrees)
      fail("%s has the shape %s, expected %s", argumentName(argument).c_str(), describeShape(shape).c_str(),
           argument.type.str().c_str());
  }
}

void Extents::checkBounds(size_t index) {
  const SymbolSpec &symbol = entry_.symbols[index];
  if (symbols_[index] > symbol.bound)
    throw Error(aboveBound(symbol, symbols_[index], entry_.name));
  if (symbols_[index] < symbol.least)
    fail("the dimension %s is %lld; '%s' needs at least %lld", symbol.name.c_str(),
         static_cast<long long>(symbols_[index]), entry_.name.c_str(), static_cast<long long>(symbol.least));
}

/// Symbols that stand only within expressions ("2*T"): those that are linear in one unknown symbol are solved.
void Extents::solve(std::span<const std::vector<int64_t>> shapes) {
  std::map<std::string, int64_t> values;
  for (size_t s = 0; s < symbols_.size(); ++s)
    if (symbols_[s] >= 0)
      values[entry_.symbols[s].name] = symbols_[s];
  for (size_t s = 0; s < symbols_.size(); ++s) {
    const std::string &name = entry_.symbols[s].name;
    for (size_t i = 0; i < entry_.arguments.size() && symbols_[s] < 0; ++i) {
      if (!speaks(i, shapes))
        continue;
      for (size_t d = 0; d < shapes[i].size() && symbols_[s] < 0; ++d) {
        const Dim &dim = entry_.arguments[i].type.shape[d];
        values[name] = 0;
        std::optional<int64_t> base = dim.evaluate(values);
        values[name] = 1;
        std::optional<int64_t> next = dim.evaluate(values);
        if (base && next && *next != *base && (shapes[i][d] - *base) % (*next - *base) == 0)
          symbols_[s] = (shapes[i][d] - *base) / (*next - *base);
      }
    }
    if (symbols_[s] < 0) {
      // No input says it: a batch that only states have, say. Then all of it is meant.
      symbols_[s] = entry_.symbols[s].bound;
    }
    values[name] = symbols_[s];
    checkBounds(s);
  }
}

Extents::Entry &Extents::evaluate() {
  std::map<std::string, int64_t> values;
  for (size_t s = 0; s < symbols_.size(); ++s)
    values[entry_.symbols[s].name] = symbols_[s];
  auto evaluate = [&](const Dim &dim) {
    std::optional<int64_t> value = dim.evaluate(values);
    if (!value)
      fail("the dimension %s of '%s' is too large", dim.str().c_str(), entry_.name.c_str());
    return *value;
  };
  for (const Dim &dim : entry_.nonEmpty)
    if (int64_t extent = evaluate(dim); extent < 1) {
      std::string given;
      for (const std::string &name : dim.symbols())
        given += (given.empty() ? "" : ", ") + name + " = " + std::to_string(values[name]);
      fail("'%s' needs %s to be at least 1, and with %s it is %lld: the input is too small", entry_.name.c_str(),
           dim.str().c_str(), given.c_str(), static_cast<long long>(extent));
    }
  Entry made;
  made.symbols = symbols_;
  for (const Dim &extent : entry_.extents)
    made.table.push_back(evaluate(extent));
  made.table.resize(entry_.extentCount(), 0);
  for (const ArgumentSpec &argument : entry_.arguments) {
    std::vector<int64_t> &shape = made.shapes.emplace_back();
    for (const Dim &dim : argument.type.shape)
      shape.push_back(evaluate(dim));
    std::optional<int64_t> count = countElements(shape);
    int64_t bytes = 0;
    if (!count || __builtin_mul_overflow(*count, static_cast<int64_t>(dtypeSize(argument.type.dtype)), &bytes) ||
        bytes > argument.bytes)
      fail("%s would be %s, more than the %lld bytes planned for it", argumentName(argument).c_str(),
           describeShape(shape).c_str(), static_cast<long long>(argument.bytes));
  }
  if (cache_.size() == cache_.capacity())
    cache_.clear();
  return cache_.emplace_back(std::move(made));
}

void Extents::bind(std::span<const std::vector<int64_t>> shapes) {
  takeSymbols(shapes);
  bool complete = std::find(symbols_.begin(), symbols_.end(), -1) == symbols_.end();
  if (!complete)
    solve(shapes);
  if (!current_ || current_->symbols != symbols_) {
    auto found =
        std::find_if(cache_.begin(), cache_.end(), [&](const Entry &entry) { return entry.symbols == symbols_; });
    current_ = nullptr;
    current_ = found != cache_.end() ? &*found : &evaluate();
  }
  for (size_t i = 0; i < entry_.arguments.size(); ++i)
    if (speaks(i, shapes) && shapes[i] != current_->shapes[i])
      fail("%s has the shape %s, expected %s = %s", argumentName(entry_.arguments[i]).c_str(),
           describeShape(shapes[i]).c_str(), entry_.arguments[i].type.str().c_str(),
           describeShape(current_->shapes[i]).c_str());
}

} // namespace kiln
