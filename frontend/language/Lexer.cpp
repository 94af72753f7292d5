// Characters to tokens, and the stack of indentations.

#include "frontend/language/Lexer.h"

#include "frontend/language/Limits.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace kiln::language {

namespace {

constexpr std::array keywords = {"def",    "return", "for", "in", "while", "if", "elif", "else",  "yield",
                                 "assert", "pass",   "and", "or", "not",   "is", "True", "False", "None"};
// Longest first.
constexpr std::array symbols = {"...", "**=", "//=", "->", "**", "//", "<=", ">=", "==", "!=", "<<", ">>", "+=", "-=",
                                "*=",  "/=",  "%=",  "@=", "+",  "-",  "*",  "/",  "%",  "@",  "<",  ">",  "=",  "(",
                                ")",   "[",   "]",   "{",  "}",  ",",  ":",  ".",  "|",  "&",  "^",  "~",  ";"};

bool isNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool isNamePart(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool isDigit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
public:
  Lexer(const SourceFile &file, Diagnostics &diagnostics)
      : file_(file), text_(file.text()), diagnostics_(diagnostics) {}

  std::vector<Token> run() {
    if (text_.size() > (64u << 20)) {
      diagnostics_.error({&file_, 0, 0}, "the file is larger than 64 MiB");
      text_ = {};
    }
    if (text_.substr(0, 3) == "\xEF\xBB\xBF")
      at_ = 3;
    while (at_ < text_.size()) {
      if (lineStart_ && brackets_.empty())
        indentation();
      else
        token();
    }
    if (!brackets_.empty())
      diagnostics_.error(range(brackets_.back(), brackets_.back() + 1),
                         std::string("'") + text_[brackets_.back()] + "' is never closed");
    if (!brackets_.empty())
      push(TokenKind::Error, at_, at_);
    if (!tokens_.empty() && tokens_.back().kind != TokenKind::Newline)
      push(TokenKind::Newline, at_, at_);
    for (; indents_.size() > 1; indents_.pop_back())
      push(TokenKind::Dedent, at_, at_);
    push(TokenKind::End, at_, at_);
    return std::move(tokens_);
  }

private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  Range range(size_t begin, size_t end) const {
    return {&file_, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
  }
  Token &push(TokenKind kind, size_t begin, size_t end) {
    Token &token = tokens_.emplace_back();
    token.kind = kind;
    token.range = range(begin, end);
    token.text = std::string(text_.substr(begin, end - begin));
    return token;
  }

  void skipComment() {
    while (at_ < text_.size() && text_[at_] != '\n')
      ++at_;
  }

  /// Measures the white space that a line begins with, and turns a change of it into Indent and Dedent.
  void indentation() {
    size_t begin = at_, width = 0;
    for (; peek() == ' ' || peek() == '\t'; ++at_) {
      // A tab goes on to the next multiple of eight; tabs and spaces mixed so that it matters is an error.
      width = peek() == '\t' ? (width / 8 + 1) * 8 : width + 1;
      if (peek() != indentCharacter_ && indentCharacter_ != '\0') {
        if (!mixedReported_)
          diagnostics_.error(range(begin, at_ + 1), "tabs and spaces are mixed in the indentation")
              .withHelp("indent the whole file with spaces");
        mixedReported_ = true;
      }
      if (indentCharacter_ == '\0')
        indentCharacter_ = peek();
    }
    if (peek() == '#')
      skipComment();
    if (peek() == '\r' && peek(1) == '\n')
      ++at_;
    if (peek() == '\n') {
      ++at_;
      return;
    }
    if (at_ >= text_.size())
      return;
    lineStart_ = false;
    if (width > indents_.back()) {
      if (indents_.size() > maxBlocks) { // the first one is the margin
        if (!deepReported_)
          diagnostics_.error(range(at_, at_ + 1), "more than " + std::to_string(maxBlocks) + " blocks are nested here")
              .withHelp("make functions of the inner ones");
        deepReported_ = true;
        return;
      }
      indents_.push_back(width);
      push(TokenKind::Indent, at_, at_);
      return;
    }
    while (width < indents_.back()) {
      indents_.pop_back();
      push(TokenKind::Dedent, at_, at_);
    }
    if (width > indents_.back()) {
      diagnostics_.error(range(begin, at_), "this line's indentation matches no block around it")
          .withHelp("align it with the line that begins the block");
      // It goes on with the block that it came out of.
      if (!tokens_.empty() && tokens_.back().kind == TokenKind::Dedent)
        tokens_.pop_back();
      indents_.push_back(width);
    }
  }

  void token() {
    char c = peek();
    if (c == '\n') {
      if (brackets_.empty()) {
        push(TokenKind::Newline, at_, at_);
        lineStart_ = true;
      }
      ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '#') {
      skipComment();
    } else if (c == '\\' && (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n'))) {
      at_ += peek(1) == '\n' ? 2 : 3;
    } else if (isNameStart(c)) {
      name();
    } else if (isDigit(c) || (c == '.' && isDigit(peek(1)))) {
      number();
    } else if (c == '"' || c == '\'') {
      string();
    } else {
      symbol();
    }
  }

  /// A statement's keyword that begins a line inside an open bracket: the bracket was never closed. Reports it and
  /// goes back to the line's start, outside of brackets.
  bool recoverBracket(size_t begin, std::string_view text) {
    static constexpr std::array starts = {"module", "model", "def",   "return",   "yield",
                                          "assert", "pass",  "train", "generate", "while"};
    if (brackets_.empty() || std::find(starts.begin(), starts.end(), text) == starts.end())
      return false;
    size_t line = begin;
    while (line > 0 && (text_[line - 1] == ' ' || text_[line - 1] == '\t'))
      --line;
    if (line == 0 || text_[line - 1] != '\n' || (text_[at_] != ' ' && text != "return" && text != "pass"))
      return false;
    // Those that are names as well declare something only before another name.
    bool isWord = text == "module" || text == "model" || text == "train" || text == "generate";
    size_t after = std::min(text_.find_first_not_of(' ', at_), text_.size());
    if (isWord && (after == text_.size() || !isNameStart(text_[after])))
      return false;
    diagnostics_.error(range(brackets_.back(), brackets_.back() + 1),
                       std::string("'") + text_[brackets_.back()] + "' is never closed");
    brackets_.clear();
    push(TokenKind::Error, line - 1, line - 1);
    push(TokenKind::Newline, line - 1, line - 1);
    at_ = line;
    lineStart_ = true;
    return true;
  }

  void name() {
    size_t begin = at_;
    while (isNamePart(peek()))
      ++at_;
    if (recoverBracket(begin, text_.substr(begin, at_ - begin)))
      return;
    Token &token = push(TokenKind::Name, begin, at_);
    for (const char *keyword : keywords)
      if (token.text == keyword)
        token.kind = TokenKind::Keyword;
  }

  void number() {
    size_t begin = at_;
    bool isFloat = false;
    while (isDigit(peek()) || (peek() == '_' && isDigit(peek(1))))
      ++at_;
    if (peek() == '.' && peek(1) != '.') {
      isFloat = true;
      ++at_;
      while (isDigit(peek()))
        ++at_;
    }
    if ((peek() == 'e' || peek() == 'E') &&
        (isDigit(peek(1)) || ((peek(1) == '-' || peek(1) == '+') && isDigit(peek(2))))) {
      isFloat = true;
      at_ += 2;
      while (isDigit(peek()))
        ++at_;
    }
    bool malformed = isNameStart(peek());
    while (isNamePart(peek()))
      ++at_;
    Token &token = push(isFloat ? TokenKind::Float : TokenKind::Integer, begin, at_);
    std::erase(token.text, '_');
    if (malformed) {
      diagnostics_.error(token.range, "malformed number '" + token.text + "'")
          .withHelp("a name begins with a letter; between a number and a name there is an operator, as in 4*width");
      token.kind = TokenKind::Integer;
      return;
    }
    const char *first = token.text.data(), *last = first + token.text.size();
    bool tooLarge = isFloat ? std::from_chars(first, last, token.number).ec != std::errc()
                            : std::from_chars(first, last, token.integer).ec != std::errc();
    if (tooLarge)
      diagnostics_.error(token.range, "the number " + token.text + " is too large");
  }

  void string() {
    size_t begin = at_;
    char quote = text_[at_++];
    std::string value;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
      char c = text_[at_++];
      if (c == '\\' && at_ < text_.size() && text_[at_] != '\n') {
        char escape = text_[at_++];
        c = escape == 'n' ? '\n' : escape == 't' ? '\t' : escape;
        if (std::string_view("nt\\'\"").find(escape) == std::string_view::npos)
          diagnostics_.error(range(at_ - 2, at_), std::string("unknown escape '\\") + escape + "' in a string")
              .withHelp("the escapes are \\n, \\t, \\\\, \\' and \\\"; for a backslash write \\\\");
      }
      value += c;
    }
    if (peek() != quote) {
      diagnostics_.error(range(begin, at_), "the string does not end on its line")
          .withHelp(std::string("close it with ") + quote);
      // Whatever closed the brackets around it is inside of the string now.
      brackets_.clear();
      push(TokenKind::Error, begin, at_);
      return;
    }
    ++at_;
    push(TokenKind::String, begin, at_).text = std::move(value);
  }

  void symbol() {
    for (std::string_view candidate : symbols) {
      if (text_.substr(at_, candidate.size()) != candidate)
        continue;
      Token &token = push(TokenKind::Symbol, at_, at_ + candidate.size());
      bracket(token);
      at_ += candidate.size();
      return;
    }
    size_t begin = at_++;
    while (at_ < text_.size() && (text_[at_] & 0xC0) == 0x80)
      ++at_;
    unsigned char c = static_cast<unsigned char>(text_[begin]);
    std::string shown(text_.substr(begin, at_ - begin));
    if (c < 0x20 || c == 0x7F || (c >= 0x80 && at_ - begin == 1))
      shown = "byte " + std::to_string(c);
    else
      shown = "'" + shown + "'";
    Diagnostic &diagnostic = diagnostics_.error(range(begin, at_), "unexpected character " + shown);
    if (c >= 0x80)
      diagnostic.withHelp(
          "names are written in ASCII letters, digits and _; text in strings and comments may hold anything");
    push(TokenKind::Error, begin, at_);
  }

  void bracket(const Token &token) {
    char c = token.text.size() == 1 ? token.text[0] : '\0';
    if (c == '(' || c == '[' || c == '{')
      brackets_.push_back(token.range.begin);
    if (c != ')' && c != ']' && c != '}')
      return;
    // A closing one of another kind is the parser's to report; it closes what it can.
    char open = c == ')' ? '(' : c == ']' ? '[' : '{';
    auto match = std::find_if(brackets_.rbegin(), brackets_.rend(), [&](uint32_t at) { return text_[at] == open; });
    if (match != brackets_.rend())
      brackets_.erase(match.base() - 1, brackets_.end());
  }

  const SourceFile &file_;
  std::string_view text_;
  Diagnostics &diagnostics_;
  size_t at_ = 0;
  bool lineStart_ = true, mixedReported_ = false, deepReported_ = false;
  char indentCharacter_ = '\0';
  std::vector<size_t> indents_ = {0};
  std::vector<uint32_t> brackets_; // where each open one stands
  std::vector<Token> tokens_;
};

} // namespace

std::vector<Token> lex(const SourceFile &file, Diagnostics &diagnostics) {
  if (size_t at = utf8Prefix(file.text()); at != file.text().size()) {
    uint32_t begin = static_cast<uint32_t>(at);
    diagnostics.error({&file, begin, begin + 1}, "this is no character of UTF-8").withHelp("save the file as UTF-8");
  }
  return Lexer(file, diagnostics).run();
}

} // namespace kiln::language
