#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace kiln {

static std::string formatList(const char *pattern, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int size = std::vsnprintf(nullptr, 0, pattern, again);
  va_end(again);
  std::string text(size < 0 ? 0 : static_cast<size_t>(size), '\0');
  std::vsnprintf(text.data(), text.size() + 1, pattern, arguments);
  return text;
}

std::string format(const char *pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  std::string text = formatList(pattern, arguments);
  va_end(arguments);
  return text;
}

void fail(const char *pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  std::string text = formatList(pattern, arguments);
  va_end(arguments);
  throw Error(text);
}

template <typename T> static std::string shortestOf(T value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value > 0 ? "inf" : "-inf";
  char text[64];
  auto [end, code] = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, end);
}

std::string shortest(double value) { return shortestOf(value); }
std::string shortest(float value) { return shortestOf(value); }

void NearestName::consider(const std::string &candidate) {
  std::vector<size_t> row(candidate.size() + 1);
  for (size_t j = 0; j < row.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= name_.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j < row.size(); ++j) {
      size_t change = diagonal + (name_[i - 1] != candidate[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  if (row.back() < distance_) {
    distance_ = row.back();
    best_ = candidate;
  }
}

std::string NearestName::hint() const {
  if (best_.empty() || distance_ > std::max<size_t>(2, name_.size() / 3))
    return "";
  return " (did you mean '" + best_ + "'?)";
}

} // namespace kiln
