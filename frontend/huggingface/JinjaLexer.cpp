// What stands between tags, tags, and what is within them; white space is cut as trim_blocks and lstrip_blocks say.
#include "frontend/huggingface/JinjaLexer.h"

#include "frontend/huggingface/JinjaTree.h"
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace kiln::jinja {

void failAt(int line, const std::string &why) { throw Error("line " + std::to_string(line) + ": " + why); }

namespace {

/// Cuts a template as Jinja's lexer does.
class Lexer {
public:
  explicit Lexer(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) // \r\n, and \r, are newlines
      if (text[i] != '\r')
        text_ += text[i];
      else if (text.substr(i + 1, 1) != "\n")
        text_ += '\n';
    if (text_.ends_with('\n'))
      text_.pop_back();
  }

  std::vector<Token> run() {
    while (at_ < text_.size())
      plain();
    add(Token::Kind::End, "");
    return std::move(tokens_);
  }

private:
  void add(Token::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  bool isNext(std::string_view what) const { return std::string_view(text_).substr(at_).starts_with(what); }
  void skip(size_t count) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<ptrdiff_t>(at_),
                                         text_.begin() + static_cast<ptrdiff_t>(at_ + count), '\n'));
    at_ += count;
  }
  void skipSpace() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])))
      skip(1);
  }

  /// The text up to the next tag, then the tag.
  void plain() {
    size_t begin = at_, open = at_;
    while ((open = text_.find('{', open)) != std::string::npos &&
           (open + 1 == text_.size() || std::string_view("{%#").find(text_[open + 1]) == std::string_view::npos))
      ++open;
    open = std::min(open, text_.size());
    std::string text = text_.substr(begin, open - begin);
    bool isOutput = text_.compare(open, 2, "{{") == 0;
    char sign = open + 2 < text_.size() ? text_[open + 2] : ' ';
    if (open < text_.size() && sign == '-') {
      text.resize(text.find_last_not_of(" \t\n\v\f") + 1);
    } else if (open < text_.size() && sign != '+' && !isOutput) { // lstrip_blocks
      size_t line = text.rfind('\n') + 1;
      if ((line > 0 || lineBegins_) && text.find_first_not_of(" \t\v\f", line) == std::string::npos)
        text.resize(line);
    }
    if (!text.empty())
      add(Token::Kind::Plain, std::move(text));
    skip(open - begin);
    if (open == text_.size())
      return;
    bool isComment = text_[open + 1] == '#';
    skip(sign == '-' || (sign == '+' && !isOutput) ? 3 : 2);
    if (isComment)
      return comment();
    if (!isOutput && isRaw())
      return raw();
    add(isOutput ? Token::Kind::OutputBegin : Token::Kind::BlockBegin, "");
    inside(isOutput);
  }

  /// The end of a tag at at_: how long it is with its sign; what is cut behind it is skipped too.
  bool takeEnd(std::string_view end, bool isOutput) {
    bool strip = isNext("-" + std::string(end)), keep = !isOutput && isNext("+" + std::string(end));
    if (!strip && !keep && !isNext(end))
      return false;
    size_t from = at_;
    skip(strip || keep ? 3 : 2);
    if (strip)
      skipSpace();
    else if (!keep && !isOutput && isNext("\n")) // trim_blocks
      skip(1);
    lineBegins_ = at_ > from && text_[at_ - 1] == '\n';
    return true;
  }

  void comment() {
    int begun = line_;
    for (; at_ < text_.size(); skip(1))
      if (takeEnd("#}", false))
        return;
    failAt(begun, "a comment has no end, '#}'");
  }

  bool isRaw() {
    size_t at = text_.find_first_not_of(" \t\n", at_);
    return at != std::string::npos && text_.compare(at, 3, "raw") == 0 &&
           std::string_view(text_).find_first_of("-+% \n", at + 3) == at + 3;
  }

  void raw() {
    int begun = line_;
    skip(text_.find("raw", at_) + 3 - at_);
    skipSpace();
    if (!takeEnd("%}", false))
      failAt(line_, "'%}' is expected behind raw");
    for (size_t end = at_; (end = text_.find("{%", end)) != std::string::npos; end += 2) {
      size_t word = text_.find_first_not_of("-+ \t\n", end + 2);
      if (word == std::string::npos || text_.compare(word, 6, "endraw") != 0)
        continue;
      std::string text = text_.substr(at_, end - at_);
      if (text_[end + 2] == '-')
        text.resize(text.find_last_not_of(" \t\n") + 1);
      add(Token::Kind::Plain, std::move(text));
      skip(word + 6 - at_);
      skipSpace();
      if (!takeEnd("%}", false))
        failAt(line_, "'%}' is expected behind endraw");
      return;
    }
    failAt(begun, "raw has no end, '{% endraw %}'");
  }

  /// The tokens within a tag.
  void inside(bool isOutput) {
    int begun = line_, brackets = 0;
    while (true) {
      skipSpace();
      if (at_ >= text_.size())
        failAt(begun, std::string("a tag has no end, '") + (isOutput ? "}}'" : "%}'"));
      if (brackets == 0 && takeEnd(isOutput ? "}}" : "%}", isOutput)) {
        add(isOutput ? Token::Kind::OutputEnd : Token::Kind::BlockEnd, "");
        return;
      }
      unsigned char c = static_cast<unsigned char>(text_[at_]);
      if (std::isalpha(c) || c == '_')
        word();
      else if (std::isdigit(c))
        number();
      else if (c == '\'' || c == '"')
        quoted(static_cast<char>(c));
      else
        symbol(brackets);
    }
  }

  void word() {
    size_t end = at_;
    while (end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) || text_[end] == '_'))
      ++end;
    add(Token::Kind::Name, text_.substr(at_, end - at_));
    skip(end - at_);
  }

  void number() {
    size_t end = at_;
    auto isDigit = [&](size_t i) { return i < text_.size() && std::isdigit(static_cast<unsigned char>(text_[i])); };
    while (isDigit(end))
      ++end;
    if (end < text_.size() && text_[end] == '.' && isDigit(end + 1))
      for (++end; isDigit(end);)
        ++end;
    add(Token::Kind::Number, text_.substr(at_, end - at_));
    skip(end - at_);
  }

  void quoted(char quote) {
    int begun = line_;
    std::string text;
    for (skip(1); at_ < text_.size() && text_[at_] != quote;) {
      if (text_[at_] != '\\' || at_ + 1 == text_.size()) {
        text += text_[at_];
        skip(1);
        continue;
      }
      constexpr std::string_view escapes = "n\nt\tr\r\\\\'\'\"\"";
      char c = text_[at_ + 1];
      size_t known = 0;
      while (known < escapes.size() && escapes[known] != c)
        known += 2;
      size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
      std::string code = text_.substr(std::min(text_.size(), at_ + 2), digits);
      bool isCode =
          digits > 0 && code.size() == digits && code.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
      if (known < escapes.size())
        text += escapes[known + 1];
      else if (isCode)
        appendUtf8(text, static_cast<char32_t>(std::strtoul(code.c_str(), nullptr, 16)));
      else
        text += text_.substr(at_, 2);
      skip(isCode ? 2 + digits : 2);
    }
    if (at_ >= text_.size())
      failAt(begun, "a text in quotes has no end");
    skip(1);
    add(Token::Kind::Text, std::move(text));
  }

  void symbol(int &brackets) {
    for (const char *two : {"==", "!=", "<=", ">=", "//", "**"})
      if (isNext(two)) {
        add(Token::Kind::Symbol, two);
        return skip(2);
      }
    char c = text_[at_];
    if (std::string_view("+-*/%~|.,:()[]{}<>=").find(c) == std::string_view::npos)
      failAt(line_, "the character " + std::string(1, c) + " is not expected");
    brackets += c == '(' || c == '[' || c == '{' ? 1 : c == ')' || c == ']' || c == '}' ? -1 : 0;
    if (brackets < 0)
      failAt(line_, std::string("'") + c + "' closes nothing");
    add(Token::Kind::Symbol, std::string(1, c));
    skip(1);
  }

  std::string text_;
  size_t at_ = 0;
  int line_ = 1;
  bool lineBegins_ = true;
  std::vector<Token> tokens_;
};

} // namespace

std::vector<Token> tokensOf(std::string_view text) { return Lexer(text).run(); }

} // namespace kiln::jinja
