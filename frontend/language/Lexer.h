// Text to tokens, indentation included.
#pragma once

#include "frontend/language/Source.h"

#include <string>
#include <vector>

namespace kiln::language {

/// Error stands where something was reported already: the parser gives up there in silence.
enum class TokenKind { Name, Keyword, Integer, Float, String, Symbol, Newline, Indent, Dedent, Error, End };

struct Token {
  TokenKind kind = TokenKind::End;
  Range range;
  std::string text; // of a string: its value; of other kinds: as written
  int64_t integer = 0;
  double number = 0;

  bool is(TokenKind k, std::string_view t) const { return kind == k && text == t; }
  bool symbol(std::string_view t) const { return is(TokenKind::Symbol, t); }
  bool keyword(std::string_view t) const { return is(TokenKind::Keyword, t); }
};

/// The tokens of a file, ending with End; malformed ones are reported and left out.
std::vector<Token> lex(const SourceFile &file, Diagnostics &diagnostics);

} // namespace kiln::language
