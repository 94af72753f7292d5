// Words of a column to numbers.
#include "runtime/data/Categories.h"

#include "runtime/data/Coding.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace kiln {

static std::optional<double> numberOf(const std::string &text) {
  double value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = code == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt; // nan and inf are words
}

/// A value as it is compared: 10.0 is 10, as a column has it whose gaps made its whole numbers others.
static std::string_view plain(std::string_view name) {
  size_t dot = name.find('.'), first = name.starts_with('-') ? 1 : 0;
  std::string_view digits = "0123456789";
  if (dot == std::string_view::npos || dot == first || name.find_first_not_of(digits, first) != dot ||
      name.find_first_not_of(digits, dot + 1) != std::string_view::npos)
    return name;
  size_t last = name.find_last_not_of('0');
  return name.substr(0, last == dot ? dot : last + 1);
}

/// Numbers, where all are, by what they are worth: 2 before 10.
static void sortNames(std::vector<std::string> &names) {
  bool numbers = std::all_of(names.begin(), names.end(), [](const std::string &name) { return numberOf(name); });
  std::sort(names.begin(), names.end(), [&](const std::string &a, const std::string &b) {
    double x = numbers ? *numberOf(a) : 0, y = numbers ? *numberOf(b) : 0;
    return x != y ? x < y : a < b;
  });
}

Categories::Categories(const TableFile &file, const Json &column, const std::vector<int32_t> &train,
                       const SourceContext &context, const std::string &field)
    : column_(file.column(column.isArray() ? column.array().at(0) : column)), names_(givenNames(context, field)) {
  bool given = !names_.empty();
  if (!given) {
    std::set<std::string, std::less<>> found;
    for (int32_t row : train)
      if (std::string_view name = plain(file.known(static_cast<size_t>(row), column_));
          !name.empty() && !found.contains(name))
        found.emplace(name);
    names_.assign(found.begin(), found.end());
    sortNames(names_);
  }
  int64_t most = column.isArray() ? column.array().at(1).integer(1, INT32_MAX) : INT32_MAX;
  if (names_.size() >= static_cast<size_t>(most))
    fail(
        "data '%s': column %zu of %s has %zu different values%s, which with 0 for none are %zu numbers; the recipe has "
        "%lld",
        context.spec->name.c_str(), column_ + 1, file.what.c_str(), names_.size(),
        given ? " in what the weights were trained on" : "", names_.size() + 1, static_cast<long long>(most));
  for (size_t i = 0; i < names_.size(); ++i)
    numbers_.emplace(plain(names_[i]), static_cast<int32_t>(i + 1));
}

int32_t Categories::of(const TableFile &file, size_t row) const {
  auto found = numbers_.find(plain(file.known(row, column_)));
  return found == numbers_.end() ? 0 : found->second;
}

} // namespace kiln
