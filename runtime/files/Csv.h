// Comma or tab separated values (RFC 4180: quotes, doubled quotes, line breaks within quotes).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct CsvTable {
  std::vector<std::string> header; // empty without one
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> lines; // where each row begins, from 1
  size_t width = 0;
};

/// `skip` lines are passed over first. Every row must be as wide as the first one; throws Error with the line. Without
/// `quotes` a quote is a character as any other.
CsvTable parseCsv(std::string_view text, const std::string &what, char separator, size_t skip, bool header,
                  bool quotes = true);

} // namespace kiln
