// Declarations and statements. An error skips to the next line or block: one run reports them all.

#include "frontend/language/Parser.h"
#include "frontend/language/Limits.h"

#include "frontend/language/ParserImpl.h"

namespace kiln::language {

Parser::Parser(const SourceFile &source, Diagnostics &diagnostics)
    : diagnostics_(diagnostics), tokens_(lex(source, diagnostics)) {}

const Token &Parser::next() {
  const Token &token = peek();
  if (at_ < tokens_.size() - 1)
    ++at_;
  return token;
}

bool Parser::takeSymbol(std::string_view text) {
  if (!peek().symbol(text))
    return false;
  next();
  return true;
}

bool Parser::takeKeyword(std::string_view text) {
  if (!peek().keyword(text))
    return false;
  next();
  return true;
}

std::string Parser::found(const Token &token) const {
  switch (token.kind) {
  case TokenKind::Newline:
  case TokenKind::Error:
    return "the end of the line";
  case TokenKind::Indent:
    return "an indented block";
  case TokenKind::Dedent:
    return "the end of the block";
  case TokenKind::End:
    return "the end of the file";
  case TokenKind::String:
    return "a string";
  default:
    return "'" + token.text + "'";
  }
}

Diagnostic &Parser::error(const Token &token, std::string message) {
  return token.kind == TokenKind::Error ? diagnostics_.silent() : diagnostics_.error(token.range, std::move(message));
}

bool Parser::expectSymbol(std::string_view text, std::string_view where) {
  if (takeSymbol(text))
    return true;
  error(peek(), "expected '" + std::string(text) + "' " + std::string(where) + ", found " + found(peek()));
  return false;
}

/// To the start of the next line, past a block that hangs below this one.
void Parser::skipLine() {
  while (peek().kind != TokenKind::Newline && peek().kind != TokenKind::End && peek().kind != TokenKind::Dedent &&
         peek().kind != TokenKind::Indent)
    next();
  if (peek().kind == TokenKind::Newline)
    next();
  if (peek().kind == TokenKind::Indent)
    skipBlock();
}

void Parser::skipBlock() {
  int depth = 0;
  do {
    TokenKind kind = next().kind;
    depth += kind == TokenKind::Indent ? 1 : kind == TokenKind::Dedent ? -1 : 0;
  } while (depth > 0 && peek().kind != TokenKind::End);
}

std::vector<StmtPtr> Parser::file() {
  std::vector<StmtPtr> statements;
  while (peek().kind != TokenKind::End) {
    size_t before = at_;
    if (!topLevel(statements))
      skipLine();
    if (at_ == before)
      next();
  }
  return statements;
}

bool Parser::topLevel(std::vector<StmtPtr> &out) {
  const Token &token = peek();
  if (token.kind == TokenKind::Newline || token.kind == TokenKind::Dedent) {
    next();
    return true;
  }
  if (token.kind == TokenKind::Indent) {
    error(peek(1), "this line is indented, but belongs to no block").withHelp("move it to the left margin");
    skipBlock();
    return true;
  }
  StmtPtr statement;
  bool isHeader = token.kind == TokenKind::Name && peek(1).kind == TokenKind::Name;
  if (isModule()) {
    statement = moduleDeclaration();
  } else if (isImport()) {
    statement = importStatement();
  } else if (token.keyword("def") || isOp()) {
    statement = definition(Context::File);
  } else if (isHeader && token.text == "train") {
    statement = recipe(StmtKind::Train);
  } else if (isHeader && token.text == "generate") {
    statement = recipe(StmtKind::Generate);
  } else if (token.kind == TokenKind::Name && !isHeader) {
    return statementLine(out, Context::File);
  } else if (foreignStatement(token)) {
    return false;
  } else {
    Diagnostic &diagnostic = error(token, "expected a declaration, found " + found(token));
    std::string near = nearest(token.text, {"module", "model", "def", "op", "train", "generate"});
    diagnostic.withHelp(!near.empty() ? "did you mean '" + near + "'?" : topLevelWords);
    return false;
  }
  if (!statement)
    return false;
  out.push_back(std::move(statement));
  return true;
}

bool Parser::tooManyBlocks() {
  // Of an `if` itself and the line that it stands in, only one counts.
  if (blocks_ <= maxBlocks)
    return false;
  diagnostics_.error(peek().range, "more than " + std::to_string(maxBlocks) + " blocks are nested here")
      .withHelp("make functions of the inner ones");
  return true;
}

/// ":" and an indented block, or simple statements on the same line.
bool Parser::suite(std::vector<StmtPtr> &out, Context context) {
  if (!takeSymbol(":")) {
    error(peek(), "expected ':', found " + found(peek()));
    return false;
  }
  if (peek().kind != TokenKind::Newline)
    return statementLine(out, context);
  next();
  if (peek().kind != TokenKind::Indent) {
    error(peek(), "expected an indented block").withHelp("an empty block holds 'pass'");
    ++failures_;
    suiteFailed_ = true;
    return true; // what follows is a statement of the block outside
  }
  next();
  bool failed = false;
  while (peek().kind != TokenKind::Dedent && peek().kind != TokenKind::End) {
    size_t before = at_;
    if (!statementLine(out, context)) {
      ++failures_;
      failed = true;
      skipLine();
    }
    if (at_ == before)
      next();
  }
  if (peek().kind == TokenKind::Dedent)
    next();
  suiteFailed_ = failed;
  return true;
}

bool Parser::statementLine(std::vector<StmtPtr> &out, Context context) {
  Nesting nesting(blocks_);
  if (tooManyBlocks())
    return false;
  if (peek().kind == TokenKind::Newline) {
    next();
    return true;
  }
  if (peek().kind == TokenKind::Indent) {
    error(peek(1), "this line is indented more than the block that it stands in");
    skipBlock();
    ++failures_;
    return true;
  }
  if (StmtPtr statement = compound(context)) {
    out.push_back(std::move(statement));
    return true;
  }
  const Token &first = peek();
  if (first.keyword("if") || first.keyword("for") || first.keyword("while") || first.keyword("def") || isModule() ||
      isScan() || isOp())
    return false;
  do {
    if (peek().kind == TokenKind::Newline)
      break;
    StmtPtr statement = simple(context);
    if (!statement) {
      chained_.clear();
      return false;
    }
    out.push_back(std::move(statement));
    std::move(chained_.begin(), chained_.end(), std::back_inserter(out));
    chained_.clear();
  } while (takeSymbol(";"));
  if (peek().kind == TokenKind::Newline) {
    next();
    return true;
  }
  if (foreignStatement(first))
    return false;
  Diagnostic &diagnostic = error(peek(), "expected the end of the line, found " + found(peek()));
  if (peek().symbol("="))
    diagnostic.withHelp("one '=' a statement; to compare, write ==");
  else
    diagnostic.withHelp(foreignExpression(at_ > 0 ? tokens_[at_ - 1] : peek()));
  return false;
}

/// Of an expression of Python's that this language has not, by the token that it was taken to end with.
std::string Parser::foreignExpression(const Token &last) const {
  if (last.is(TokenKind::Name, "lambda"))
    return "there is no lambda; write a function, def NAME(arguments):, and give its name";
  if (peek().kind == TokenKind::String && last.kind == TokenKind::String)
    return "a text about what follows stands behind #";
  if (peek().kind == TokenKind::String && last.kind == TokenKind::Name)
    return "a string has no letter before it";
  if (peek().symbol(":") && last.kind == TokenKind::Name)
    return "arguments of functions have types; a variable has its value's";
  return "";
}

// Statements that Python has and this language has not, with what does their work here.
bool Parser::foreignStatement(const Token &first) {
  static constexpr const char *importHelp =
      "what docs/nn.md lists is there without; what another file of yours declares comes by a line "
      "from \"FILE.kiln\" import NAME, at the top level";
  static constexpr std::pair<std::string_view, const char *> instead[] = {
      {"class", "module NAME(arguments): declares a module, model NAME(arguments): one that is trained"},
      {"import", importHelp},
      {"from", importHelp},
      {"assert", "what has to hold of dimensions stands in types, as in T <= context"},
      {"try", "what has to hold is said by assert, and an error ends the build or the run"},
      {"except", "an error ends the build or the run"},
      {"raise", "what has to hold is said by assert CONDITION, \"TEXT\""},
      {"del", "a value that is not used any more takes no memory"},
      {"global", "a function has its arguments; what is kept is a state of a module"},
      {"with", "run --training and `training` choose the mode; stop_gradient(x) keeps gradients out"},
  };
  for (auto [word, help] : instead)
    if (first.is(TokenKind::Name, word)) {
      error(first, "there is no '" + first.text + "' statement").withHelp(help);
      return true;
    }
  return false;
}

/// module NAME, model NAME: else they are names like any other.
bool Parser::isModule() const {
  return (peek().is(TokenKind::Name, "module") || peek().is(TokenKind::Name, "model")) &&
         peek(1).kind == TokenKind::Name;
}

/// op NAME(…
bool Parser::isOp() const { return peek().is(TokenKind::Name, "op") && peek(1).kind == TokenKind::Name; }

bool Parser::isScan() const {
  return peek().is(TokenKind::Name, "scan") && peek(1).kind == TokenKind::Name && peek(2).keyword("in");
}

/// A statement with a block of its own; null where none begins here, or where it failed (at_ tells).
StmtPtr Parser::compound(Context context) {
  const Token &token = peek();
  size_t before = at_;
  StmtPtr statement;
  if (token.keyword("if"))
    statement = ifStatement(context);
  else if (token.keyword("for"))
    statement = forStatement(context);
  else if (token.keyword("while"))
    statement = whileStatement();
  else if (isScan())
    statement = scanStatement();
  else if (token.keyword("def"))
    statement = definition(context);
  else if (isModule() || isOp()) {
    error(token, (isOp() ? "an " : "a ") + token.text + " stands at the top level of the file")
        .withHelp("move it to the left margin");
    return nullptr;
  } else if ((context == Context::Generate || context == Context::Train) && token.kind == TokenKind::Name &&
             (peek(1).symbol(":") ||
              (context == Context::Generate && token.text == "prefill" && peek(1).symbol("(")))) {
    statement = std::make_unique<Stmt>();
    statement->kind = StmtKind::Section;
    statement->range = statement->nameRange = token.range;
    statement->name = next().text;
    if (peek().symbol("(") && !parameterList(statement->parameters, /*typed=*/true))
      return nullptr;
    if (!suite(statement->body, Context::Function))
      return nullptr;
  } else
    return nullptr;
  if (!statement && at_ > before)
    at_ = before; // the caller skips the line and its block
  return statement;
}

StmtPtr Parser::simple(Context context) {
  const Token &first = peek();
  auto statement = std::make_unique<Stmt>();
  if (takeKeyword("pass")) {
    statement->kind = StmtKind::Pass;
  } else if (takeKeyword("return")) {
    statement->kind = StmtKind::Return;
    if (peek().kind != TokenKind::Newline && !peek().symbol(";")) {
      statement->value = expressionList();
      if (!statement->value)
        return nullptr;
    }
    if (context != Context::Function) {
      error(first, "'return' stands outside of a function");
      return nullptr;
    }
  } else if (takeKeyword("yield")) {
    statement->kind = StmtKind::Yield;
    if (context != Context::Function) {
      error(first, "'yield' stands outside of a scan");
      return nullptr;
    }
    // yield NAME = expression, ... | yield expression, ...
    auto tuple = make(ExprKind::Tuple, first.range);
    auto names = make(ExprKind::Tuple, first.range);
    do {
      ExprPtr name;
      if (peek().kind == TokenKind::Name && peek(1).symbol("=")) {
        name = atom();
        next();
      }
      ExprPtr value = expression();
      if (!value)
        return nullptr;
      names->children.push_back(std::move(name));
      tuple->children.push_back(std::move(value));
    } while (takeSymbol(","));
    statement->target = std::move(names);
    statement->value = std::move(tuple);
  } else if (takeKeyword("assert")) {
    statement->kind = StmtKind::Assert;
    statement->value = expression();
    if (!statement->value)
      return nullptr;
    if (takeSymbol(",")) {
      statement->target = expression();
      if (!statement->target)
        return nullptr;
    }
  } else {
    return assignment(context);
  }
  statement->range = since(first);
  return statement;
}

bool Parser::parameterList(std::vector<Parameter> &out, bool typed) {
  if (!expectSymbol("(", "before the arguments"))
    return false;
  while (!peek().symbol(")")) {
    Parameter parameter;
    parameter.rest = takeSymbol("*");
    if (peek().kind != TokenKind::Name) {
      error(peek(), "expected an argument's name, found " + found(peek()));
      return false;
    }
    parameter.range = peek().range;
    parameter.name = next().text;
    for (const Parameter &other : out)
      if (other.name == parameter.name) {
        diagnostics_.error(parameter.range, "two arguments are called '" + parameter.name + "'")
            .note(other.range, "the first one");
        return false;
      }
    if (takeSymbol(":")) {
      parameter.type = type();
      if (!parameter.type)
        return false;
      if (!typed) {
        diagnostics_.error(parameter.type->range, "a module's arguments have no types; they are compile-time values");
        return false;
      }
    }
    if (takeSymbol("=")) {
      parameter.initial = expression();
      if (!parameter.initial)
        return false;
    } else if (!out.empty() && out.back().initial && !parameter.rest) {
      diagnostics_.error(parameter.range, "'" + parameter.name + "' has no default, but stands behind one that has")
          .withHelp("give it a default, or move it to the front");
      return false;
    }
    if (!out.empty() && out.back().rest) {
      diagnostics_.error(parameter.range, "'*" + out.back().name + "' has to be the last argument");
      return false;
    }
    out.push_back(std::move(parameter));
    if (!takeSymbol(","))
      break;
  }
  return expectSymbol(")", "after the arguments");
}

StmtPtr Parser::moduleDeclaration() {
  const Token &first = next();
  auto statement = std::make_unique<Stmt>();
  statement->kind = StmtKind::Module;
  statement->isModel = first.text == "model";
  statement->nameRange = peek().range;
  statement->name = next().text;
  if (peek().symbol("(") && !parameterList(statement->parameters, /*typed=*/false))
    return nullptr;
  statement->range = since(first);
  if (!suite(statement->body, Context::Module))
    return nullptr;
  statement->broken = suiteFailed_;
  return statement;
}

StmtPtr Parser::definition(Context context) {
  const Token &first = next();
  auto statement = std::make_unique<Stmt>();
  statement->kind = StmtKind::Def;
  statement->isOp = first.text == "op";
  if (peek().kind != TokenKind::Name) {
    error(peek(), "expected the function's name, found " + found(peek()));
    return nullptr;
  }
  statement->nameRange = peek().range;
  statement->name = next().text;
  if (!parameterList(statement->parameters, /*typed=*/true))
    return nullptr;
  if (context == Context::Module && !statement->parameters.empty() && statement->parameters[0].name == "self") {
    diagnostics_.error(statement->parameters[0].range, "a module's function has no argument 'self'")
        .withHelp("leave it out; attributes are used by their names: write x, not self.x");
    statement->parameters.erase(statement->parameters.begin());
  }
  if (takeSymbol("->")) {
    statement->result = type();
    if (!statement->result)
      return nullptr;
  }
  statement->range = since(first);
  int failuresBefore = failures_;
  if (!suite(statement->body, Context::Function))
    return nullptr;
  statement->broken = failures_ != failuresBefore;
  return statement;
}

/// train NAME(arguments) as NAME: …, generate NAME: …
StmtPtr Parser::recipe(StmtKind kind) {
  const Token &first = next();
  auto statement = std::make_unique<Stmt>();
  statement->kind = kind;
  statement->nameRange = peek().range;
  statement->name = next().text;
  if (peek().symbol("(")) {
    ExprPtr call = make(ExprKind::Call, since(first));
    if (!callArguments(call->arguments))
      return nullptr;
    call->range = since(first);
    statement->value = std::move(call);
  }
  if (kind == StmtKind::Train && peek().is(TokenKind::Name, "as")) {
    next();
    if (peek().kind != TokenKind::Name) {
      error(peek(), "expected the recipe's own name, found " + found(peek()));
      return nullptr;
    }
    statement->target = make(ExprKind::Name, peek().range);
    statement->target->text = next().text;
  }
  statement->range = since(first);
  return suite(statement->body, kind == StmtKind::Train ? Context::Train : Context::Generate) ? std::move(statement)
                                                                                              : nullptr;
}

StmtPtr Parser::ifStatement(Context context) {
  const Token &first = next();
  auto statement = std::make_unique<Stmt>();
  statement->kind = StmtKind::If;
  statement->value = expression();
  statement->range = since(first);
  if (!statement->value || !suite(statement->body, context))
    return nullptr;
  if (peek().keyword("elif")) {
    Nesting nesting(blocks_); // it stands in the else of the one before
    if (tooManyBlocks())
      return nullptr;
    StmtPtr otherwise = ifStatement(context);
    if (!otherwise)
      return nullptr;
    statement->otherwise.push_back(std::move(otherwise));
  } else if (takeKeyword("else")) {
    if (!suite(statement->otherwise, context))
      return nullptr;
  }
  return statement;
}

StmtPtr Parser::forStatement(Context context) {
  const Token &first = next();
  auto statement = std::make_unique<Stmt>();
  statement->kind = StmtKind::For;
  statement->target = target();
  if (!statement->target)
    return nullptr;
  if (!takeKeyword("in")) {
    error(peek(), "expected 'in', found " + found(peek()));
    return nullptr;
  }
  statement->value = expressionList();
  statement->range = since(first);
  return statement->value && suite(statement->body, context) ? std::move(statement) : nullptr;
}

StmtPtr Parser::scanStatement() {
  const Token &first = next();
  auto statement = std::make_unique<Stmt>();
  statement->kind = StmtKind::Scan;
  statement->nameRange = peek().range;
  statement->name = next().text;
  next(); // in
  statement->value = expression();
  if (!statement->value)
    return nullptr;
  if (peek().is(TokenKind::Name, "reversed")) {
    next();
    statement->reversed = true;
  }
  return loopClauses(*statement) && loopBody(*statement, first, "'reversed', 'carrying', 'along' or ':'")
             ? std::move(statement)
             : nullptr;
}

StmtPtr Parser::whileStatement() {
  const Token &first = next();
  auto statement = std::make_unique<Stmt>();
  statement->kind = StmtKind::While;
  statement->value = expression();
  return statement->value && loopClauses(*statement) &&
                 loopBody(*statement, first, "'carrying', 'at most', 'along' or ':'")
             ? std::move(statement)
             : nullptr;
}

/// carrying NAMES at most N along AXIS
bool Parser::loopClauses(Stmt &loop) {
  auto clause = [&](std::string_view word) { return peek().is(TokenKind::Name, word) && (next(), true); };
  if (clause("carrying") && !(loop.target = target()))
    return false;
  if (loop.kind == StmtKind::While && peek(1).is(TokenKind::Name, "most") && clause("at")) {
    next();
    if (!(loop.bound = expression()))
      return false;
  }
  return !clause("along") || (loop.axis = expression());
}

bool Parser::loopBody(Stmt &loop, const Token &first, const char *expected) {
  loop.range = since(first);
  if (!peek().symbol(":") && peek().kind == TokenKind::Name) {
    error(peek(), "expected " + std::string(expected) + ", found " + found(peek()));
    return false;
  }
  return suite(loop.body, Context::Function);
}

std::unique_ptr<File> parse(std::unique_ptr<SourceFile> source, Diagnostics &diagnostics) {
  auto file = std::make_unique<File>();
  file->source = std::move(source);
  file->statements = Parser(*file->source, diagnostics).file();
  return file;
}

} // namespace kiln::language
