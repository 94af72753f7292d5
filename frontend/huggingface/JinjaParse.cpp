// Statements and the expressions within them.
#include "frontend/huggingface/JinjaLexer.h"
#include "frontend/huggingface/JinjaTree.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cstdlib>

namespace kiln::jinja {

namespace {

class Parser {
public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::unique_ptr<Node> run() { return block({}); }

private:
  using Made = std::unique_ptr<Node>;
  using NK = Node::Kind;

  const Token &peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token next() { return tokens_[std::min(at_++, tokens_.size() - 1)]; }
  bool isSymbol(std::string_view text) const { return peek().kind == Token::Kind::Symbol && peek().text == text; }
  bool isName(std::string_view text) const { return peek().kind == Token::Kind::Name && peek().text == text; }
  bool takeSymbol(std::string_view text) { return isSymbol(text) && (++at_, true); }
  bool takeName(std::string_view text) { return isName(text) && (++at_, true); }
  void expectSymbol(const char *text) {
    if (!takeSymbol(text))
      failAt(peek().line, std::string("'") + text + "' is expected");
  }
  std::string expectName() {
    if (peek().kind != Token::Kind::Name)
      failAt(peek().line, "a name is expected");
    return next().text;
  }
  void expectEnd() {
    if (next().kind != Token::Kind::BlockEnd)
      failAt(peek().line, "'%}' is expected");
  }

  /// A node over parts; how deep a tree is stays bounded, so that going through it is.
  template <typename... Parts> Made make(NK kind, std::string text, Parts... parts) {
    Made node = std::make_unique<Node>();
    node->kind = kind;
    node->line = peek().line;
    node->text = std::move(text);
    (adopt(*node, std::move(parts)), ...);
    return node;
  }
  void adopt(Node &node, Made part) {
    if (part)
      node.depth = std::max(node.depth, part->depth + 1);
    if (node.depth > maxDepth)
      failAt(peek().line, "parts of the template lie too deep in each other");
    node.parts.push_back(std::move(part));
  }
  struct Level {
    explicit Level(Parser &parser) : parser(parser) {
      if (++parser.level_ > maxDepth)
        failAt(parser.peek().line, "parts of the template lie too deep in each other");
    }
    ~Level() { --parser.level_; }
    Parser &parser;
  };

  // Statements.
  Made block(const std::vector<std::string> &ends);
  Made statement(const std::string &word);
  Made ifStatement();
  Made forStatement();
  Made setStatement();
  Made macroStatement();
  std::vector<std::string> targets();

  // Expressions, by how tightly they bind.
  Made expression() {
    Level level(*this);
    Made value = either();
    while (takeName("if")) {
      Made condition = either();
      Made other = takeName("else") ? expression() : nullptr;
      value = make(NK::Choice, "", std::move(condition), std::move(value), std::move(other));
    }
    return value;
  }
  Made either() {
    Made value = both();
    while (takeName("or"))
      value = make(NK::Binary, "or", std::move(value), both());
    return value;
  }
  Made both() {
    Made value = negation();
    while (takeName("and"))
      value = make(NK::Binary, "and", std::move(value), negation());
    return value;
  }
  Made negation() {
    Level level(*this);
    return takeName("not") ? make(NK::Not, "", negation()) : comparison();
  }
  Made comparison();
  Made sum() {
    Made value = joined();
    while (isSymbol("+") || isSymbol("-")) {
      std::string symbol = next().text;
      value = make(NK::Binary, symbol, std::move(value), joined());
    }
    return value;
  }
  Made joined() {
    Made value = product();
    while (takeSymbol("~"))
      value = make(NK::Binary, "~", std::move(value), product());
    return value;
  }
  Made product() {
    Made value = signedValue();
    while (isSymbol("*") || isSymbol("/") || isSymbol("//") || isSymbol("%")) {
      std::string symbol = next().text;
      value = make(NK::Binary, symbol, std::move(value), signedValue());
    }
    return value;
  }
  Made signedValue(bool filtered = true) {
    Level level(*this);
    Made value = takeSymbol("-")   ? make(NK::Negate, "", signedValue(false))
                 : takeSymbol("+") ? signedValue(false)
                                   : behind(primary());
    return filtered ? filters(std::move(value)) : std::move(value);
  }
  Made primary();
  Made behind(Made value);
  Made indexed(Made value);
  Made filters(Made value);
  void arguments(Node &call);
  Made listed(const char *end);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int level_ = 0;
};

Parser::Made Parser::comparison() {
  Made value = sum();
  Made compare;
  while (true) {
    std::string symbol;
    for (const char *known : {"==", "!=", "<", "<=", ">", ">="})
      if (isSymbol(known))
        symbol = known;
    if (isName("in"))
      symbol = "in";
    if (isName("not") && peek(1).kind == Token::Kind::Name && peek(1).text == "in") {
      symbol = "not in";
      ++at_;
    }
    if (symbol.empty())
      return compare ? std::move(compare) : std::move(value);
    ++at_;
    if (!compare)
      compare = make(NK::Compare, "", std::move(value));
    compare->operators.push_back(symbol);
    adopt(*compare, sum());
  }
}

Parser::Made Parser::listed(const char *end) {
  Made list = make(NK::List, "");
  while (!takeSymbol(end)) {
    adopt(*list, expression());
    if (!isSymbol(end))
      expectSymbol(",");
  }
  return list;
}

Parser::Made Parser::primary() {
  Token token = next();
  Made node = make(NK::Literal, "");
  switch (token.kind) {
  case Token::Kind::Name:
    for (auto [word, value] : {std::pair("true", Value::of(true)),
                               {"True", Value::of(true)},
                               {"false", Value::of(false)},
                               {"False", Value::of(false)},
                               {"none", Value()},
                               {"None", Value()}})
      if (token.text == word) {
        node->value = std::move(value);
        return node;
      }
    return make(NK::Name, token.text);
  case Token::Kind::Number:
    if (token.text.size() > 18)
      failAt(token.line, "the number " + token.text.substr(0, 20) + "… is too long");
    node->value = token.text.find('.') == std::string::npos
                      ? Value::of(static_cast<int64_t>(std::strtoll(token.text.c_str(), nullptr, 10)))
                      : Value::ofNumber(std::strtod(token.text.c_str(), nullptr));
    return node;
  case Token::Kind::Text:
    while (peek().kind == Token::Kind::Text) // texts beside each other are one
      token.text += next().text;
    node->value = Value::of(std::move(token.text));
    return node;
  case Token::Kind::Symbol:
    break;
  default:
    failAt(token.line, "an expression is expected");
  }
  if (token.text == "[")
    return listed("]");
  if (token.text == "(") {
    if (takeSymbol(")"))
      return make(NK::List, "");
    Made value = expression();
    if (!isSymbol(",")) {
      expectSymbol(")");
      return value;
    }
    ++at_;
    Made list = make(NK::List, "", std::move(value)), rest = listed(")");
    for (Made &part : rest->parts)
      adopt(*list, std::move(part));
    return list;
  }
  if (token.text != "{")
    failAt(token.line, "an expression is expected, not '" + token.text + "'");
  Made map = make(NK::Map, "");
  while (!takeSymbol("}")) {
    adopt(*map, expression());
    expectSymbol(":");
    adopt(*map, expression());
    if (!isSymbol("}"))
      expectSymbol(",");
  }
  return map;
}

void Parser::arguments(Node &call) {
  while (!takeSymbol(")")) {
    if (peek().kind == Token::Kind::Name && peek(1).kind == Token::Kind::Symbol && peek(1).text == "=") {
      std::string name = next().text;
      ++at_;
      Made value = expression();
      call.depth = std::max(call.depth, value->depth + 1);
      call.named.emplace_back(std::move(name), std::move(value));
    } else {
      adopt(call, expression());
    }
    if (!isSymbol(")"))
      expectSymbol(",");
  }
}

/// [index] or [begin:end:step]
Parser::Made Parser::indexed(Made value) {
  Made bounds[3];
  size_t colons = 0;
  while (!isSymbol("]")) {
    if (takeSymbol(":")) {
      if (++colons > 2)
        failAt(peek().line, "a slice has at most two ':'");
    } else if (bounds[colons]) {
      failAt(peek().line, "']' is expected");
    } else {
      bounds[colons] = expression();
    }
  }
  ++at_;
  if (colons > 0)
    return make(NK::Slice, "", std::move(value), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2]));
  if (!bounds[0])
    failAt(peek().line, "an index is expected");
  return make(NK::Item, "", std::move(value), std::move(bounds[0]));
}

/// What stands behind a value: .attribute, [index], (arguments).
Parser::Made Parser::behind(Made value) {
  while (true) {
    if (takeSymbol(".")) {
      if (peek().kind == Token::Kind::Number) {
        Made index = primary();
        value = make(NK::Item, "", std::move(value), std::move(index));
      } else {
        value = make(NK::Attribute, expectName(), std::move(value));
      }
    } else if (takeSymbol("[")) {
      value = indexed(std::move(value));
    } else if (takeSymbol("(")) {
      value = make(NK::Call, "", std::move(value));
      arguments(*value);
    } else {
      return value;
    }
  }
}

/// | filter, is test
Parser::Made Parser::filters(Made value) {
  while (true) {
    if (takeSymbol("|")) {
      value = make(NK::Filter, expectName(), std::move(value));
      if (takeSymbol("("))
        arguments(*value);
    } else if (takeName("is")) {
      bool isNot = takeName("not");
      value = make(NK::Test, expectName(), std::move(value));
      bool isValue = peek().kind == Token::Kind::Text || peek().kind == Token::Kind::Number ||
                     (peek().kind == Token::Kind::Name && !isName("and") && !isName("or") && !isName("else") &&
                      !isName("if") && !isName("in") && !isName("is") && !isName("not"));
      if (takeSymbol("("))
        arguments(*value);
      else if (isValue)
        adopt(*value, behind(primary()));
      if (isNot)
        value = make(NK::Not, "", std::move(value));
    } else if (isSymbol("(") || isSymbol("[") || isSymbol(".")) {
      Made called = behind(std::move(value));
      value = std::move(called);
    } else {
      return value;
    }
  }
}

/// Statements up to a tag of one of `ends`, of which the word has been read; none: up to the end.
Parser::Made Parser::block(const std::vector<std::string> &ends) {
  Level level(*this);
  Made result = make(NK::Block, "");
  while (true) {
    Token token = next();
    switch (token.kind) {
    case Token::Kind::Plain:
      adopt(*result, make(NK::Plain, token.text));
      break;
    case Token::Kind::OutputBegin: {
      Made value = expression();
      if (next().kind != Token::Kind::OutputEnd)
        failAt(token.line, "'}}' is expected");
      adopt(*result, make(NK::Output, "", std::move(value)));
      break;
    }
    case Token::Kind::BlockBegin: {
      std::string word = expectName();
      if (std::find(ends.begin(), ends.end(), word) != ends.end()) {
        result->text = word;
        return result;
      }
      if (Made made = statement(word))
        adopt(*result, std::move(made));
      break;
    }
    default:
      if (!ends.empty())
        failAt(token.line, "'{% " + ends.back() + " %}' is expected");
      return result;
    }
  }
}

Parser::Made Parser::statement(const std::string &word) {
  if (word == "if")
    return ifStatement();
  if (word == "for")
    return forStatement();
  if (word == "set")
    return setStatement();
  if (word == "macro")
    return macroStatement();
  if (word == "break" || word == "continue") {
    expectEnd();
    return make(word == "break" ? NK::Break : NK::Continue, "");
  }
  if (word == "generation") { // marks the model's own words, which training asks for
    expectEnd();
    Made body = block({"endgeneration"});
    expectEnd();
    return body;
  }
  if (word == "filter") {
    Made node = make(NK::Through, expectName(), Made());
    if (takeSymbol("("))
      arguments(*node);
    expectEnd();
    node->parts[0] = block({"endfilter"});
    node->depth = std::max(node->depth, node->parts[0]->depth + 1);
    expectEnd();
    return node;
  }
  failAt(peek().line, "the statement '" + word +
                          "' is not known; those that are: if, for, set, macro, filter, "
                          "generation, raw, break, continue");
}

Parser::Made Parser::ifStatement() {
  Made node = make(NK::If, "");
  while (true) {
    adopt(*node, expression());
    expectEnd();
    Made body = block({"elif", "else", "endif"});
    std::string end = body->text;
    adopt(*node, std::move(body));
    if (end == "elif")
      continue;
    expectEnd();
    if (end == "else") {
      adopt(*node, block({"endif"}));
      expectEnd();
    }
    return node;
  }
}

std::vector<std::string> Parser::targets() {
  std::vector<std::string> names;
  bool inBrackets = takeSymbol("(");
  do
    names.push_back(expectName());
  while (takeSymbol(","));
  if (inBrackets)
    expectSymbol(")");
  return names;
}

Parser::Made Parser::forStatement() {
  Made node = make(NK::For, "");
  node->targets = targets();
  if (!takeName("in"))
    failAt(peek().line, "'in' is expected");
  adopt(*node, either());
  adopt(*node, takeName("if") ? expression() : nullptr);
  expectEnd();
  Made body = block({"else", "endfor"});
  bool hasElse = body->text == "else";
  adopt(*node, std::move(body));
  expectEnd();
  adopt(*node, hasElse ? block({"endfor"}) : nullptr);
  if (hasElse)
    expectEnd();
  return node;
}

Parser::Made Parser::setStatement() {
  Made node = make(NK::Set, "");
  node->targets = targets();
  if (takeSymbol(".")) {
    node->text = node->targets[0];
    node->targets = {expectName()};
  }
  if (takeSymbol("=")) {
    Made value = expression();
    if (isSymbol(",")) {
      Made list = make(NK::List, "", std::move(value));
      while (takeSymbol(","))
        adopt(*list, expression());
      value = std::move(list);
    }
    adopt(*node, std::move(value));
    expectEnd();
    return node;
  }
  expectEnd();
  adopt(*node, block({"endset"}));
  expectEnd();
  return node;
}

Parser::Made Parser::macroStatement() {
  Made node = make(NK::Macro, expectName());
  expectSymbol("(");
  while (!takeSymbol(")")) {
    std::string name = expectName();
    Made fallback = takeSymbol("=") ? expression() : nullptr;
    if (fallback)
      node->depth = std::max(node->depth, fallback->depth + 1);
    node->named.emplace_back(std::move(name), std::move(fallback));
    if (!isSymbol(")"))
      expectSymbol(",");
  }
  expectEnd();
  adopt(*node, block({"endmacro"}));
  expectEnd();
  return node;
}

} // namespace

std::unique_ptr<Node> parseTemplate(std::string_view text) {
  if (text.size() > maxText)
    throw Error("it is longer than 256 KiB");
  if (size_t at = utf8Prefix(text); at < text.size())
    throw Error("byte " + std::to_string(at) + " is no UTF-8");
  return Parser(tokensOf(text)).run();
}

Template Template::parse(std::string_view text) {
  Template result;
  result.body_ = parseTemplate(text);
  return result;
}

} // namespace kiln::jinja
