// A template's text in tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::jinja {

struct Token {
  enum class Kind : uint8_t { Plain, BlockBegin, BlockEnd, OutputBegin, OutputEnd, Name, Number, Text, Symbol, End };
  Kind kind;
  std::string text;
  int line;
};

/// Throws Error for what has no end, and for characters that nothing begins with.
std::vector<Token> tokensOf(std::string_view text);

} // namespace kiln::jinja
