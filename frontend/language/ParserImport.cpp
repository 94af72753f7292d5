// from "FILE.kiln" import NAME, NAME as ANOTHER: declarations that another file has.
#include "frontend/language/ParserImpl.h"

namespace kiln::language {

/// from "…: else it is a name like any other.
bool Parser::isImport() const { return peek().is(TokenKind::Name, "from") && peek(1).kind == TokenKind::String; }

/// NAME or NAME as ANOTHER.
bool Parser::importedName(Expr &list) {
  if (peek().kind != TokenKind::Name) {
    Diagnostic &diagnostic = error(peek(), "expected the name of a declaration, found " + found(peek()));
    if (peek().symbol("*"))
      diagnostic.withHelp("name what is wanted, so that a reader sees where each name comes from");
    return false;
  }
  Argument &one = list.arguments.emplace_back();
  one.value = atom();
  one.name = one.value->text;
  one.nameRange = one.value->range;
  if (!peek().is(TokenKind::Name, "as"))
    return true;
  next();
  if (peek().kind != TokenKind::Name) {
    error(peek(), "expected the name that it has in this file, found " + found(peek()));
    return false;
  }
  one.nameRange = peek().range;
  one.name = next().text;
  return true;
}

StmtPtr Parser::importStatement() {
  const Token &first = next();
  auto statement = std::make_unique<Stmt>();
  statement->kind = StmtKind::Import;
  statement->value = atom();
  if (!peek().is(TokenKind::Name, "import")) {
    error(peek(), "expected 'import', found " + found(peek()));
    return nullptr;
  }
  next();
  statement->target = make(ExprKind::Call, first.range);
  bool bracketed = takeSymbol("("); // then the list may go over several lines
  do {
    if (bracketed && peek().symbol(")") && !statement->target->arguments.empty())
      break;
    if (!importedName(*statement->target))
      return nullptr;
  } while (takeSymbol(","));
  if (bracketed && !expectSymbol(")", "behind the names"))
    return nullptr;
  statement->range = since(first);
  if (peek().kind != TokenKind::Newline && peek().kind != TokenKind::End) {
    error(peek(), "expected the end of the line, found " + found(peek()));
    return nullptr;
  }
  return statement;
}

} // namespace kiln::language
