// A text cut into words.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace kiln {

/// ASCII white space: what parts words.
inline bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The words of a text between white space, each different one stored once. The views are into the text.
struct WordList {
  std::vector<std::string_view> distinct; // in the order of their first appearance
  std::vector<size_t> counts;             // of each
  std::vector<int32_t> numbers;           // the text: each word's place in `distinct`
  std::vector<size_t> lineEnds;           // for each line, numbers up to its end; the last line needs no newline

  static WordList cut(std::string_view text);
};

} // namespace kiln
