// Expressions and types, by precedence.

#include "frontend/language/Limits.h"
#include "frontend/language/ParserImpl.h"

#include "llvm/ADT/STLExtras.h"

namespace kiln::language {

ExprPtr Parser::make(ExprKind kind, Range range) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->range = range;
  return expr;
}

bool Parser::tooManyExpressions() {
  if (expressions_ <= maxExpressions)
    return false;
  diagnostics_.error(peek().range, "more than " + std::to_string(maxExpressions) + " expressions are nested here")
      .withHelp("give parts of it names in statements of their own");
  return true;
}

ExprPtr Parser::expression() {
  Nesting nesting(expressions_);
  if (tooManyExpressions())
    return nullptr;
  const Token &first = peek();
  ExprPtr value = orExpr();
  if (!value || !takeKeyword("if"))
    return value;
  ExprPtr condition = orExpr();
  if (!condition)
    return nullptr;
  if (!takeKeyword("else")) {
    error(peek(), "expected 'else' in a conditional expression, found " + found(peek()))
        .withHelp("write `a if condition else b`");
    return nullptr;
  }
  ExprPtr otherwise = expression();
  if (!otherwise)
    return nullptr;
  ExprPtr expr = make(ExprKind::Conditional, since(first));
  expr->children.push_back(std::move(condition));
  expr->children.push_back(std::move(value));
  expr->children.push_back(std::move(otherwise));
  return expr;
}

ExprPtr Parser::expressionList() {
  const Token &first = peek();
  ExprPtr value = expression();
  if (!value || !peek().symbol(","))
    return value;
  std::vector<ExprPtr> items;
  items.push_back(std::move(value));
  while (takeSymbol(",")) {
    if (peek().kind == TokenKind::Newline || peek().symbol("="))
      break;
    ExprPtr item = expression();
    if (!item)
      return nullptr;
    items.push_back(std::move(item));
  }
  ExprPtr tuple = make(ExprKind::Tuple, since(first));
  tuple->children = std::move(items);
  return tuple;
}

static ExprPtr joinBinary(ExprPtr expr, ExprKind kind, const Token &op, ExprPtr left, ExprPtr right) {
  expr->kind = kind;
  expr->text = op.text;
  expr->nameRange = op.range;
  expr->range = left->range.to(right->range);
  expr->children.push_back(std::move(left));
  expr->children.push_back(std::move(right));
  return expr;
}

ExprPtr Parser::orExpr() {
  ExprPtr left = andExpr();
  while (left && peek().keyword("or")) {
    const Token &op = next();
    ExprPtr right = andExpr();
    if (!right)
      return nullptr;
    left = joinBinary(make(ExprKind::Binary, {}), ExprKind::Binary, op, std::move(left), std::move(right));
  }
  return left;
}

ExprPtr Parser::andExpr() {
  ExprPtr left = notExpr();
  while (left && peek().keyword("and")) {
    const Token &op = next();
    ExprPtr right = notExpr();
    if (!right)
      return nullptr;
    left = joinBinary(make(ExprKind::Binary, {}), ExprKind::Binary, op, std::move(left), std::move(right));
  }
  return left;
}

ExprPtr Parser::notExpr() {
  if (!peek().keyword("not"))
    return comparison();
  Nesting nesting(expressions_);
  if (tooManyExpressions())
    return nullptr;
  const Token &op = next();
  ExprPtr operand = notExpr();
  if (!operand)
    return nullptr;
  ExprPtr expr = make(ExprKind::Unary, since(op));
  expr->text = "not";
  expr->children.push_back(std::move(operand));
  return expr;
}

ExprPtr Parser::type() {
  inType_ = true;
  ExprPtr type = expression();
  inType_ = false;
  return type;
}

ExprPtr Parser::comparison() {
  ExprPtr left = binary(0);
  if (!left)
    return nullptr;
  static constexpr std::string_view operators[] = {"<", "<=", ">", ">=", "==", "!="};
  auto isComparison = [&](const Token &token) {
    for (std::string_view op : operators)
      if (token.symbol(op))
        return true;
    return token.keyword("in") || token.keyword("is") || (token.keyword("not") && peek(1).keyword("in"));
  };
  if (!isComparison(peek()))
    return left;
  Token op = next();
  if ((op.text == "is" && takeKeyword("not")) || (op.text == "not" && takeKeyword("in")))
    op.text = op.text == "is" ? "is not" : "not in";
  ExprPtr right = binary(0);
  if (!right)
    return nullptr;
  if (inType_ && op.symbol("<=") && takeSymbol("<=")) {
    ExprPtr bound = binary(0);
    if (!bound)
      return nullptr;
    Range whole = left->range.to(bound->range);
    ExprPtr both = joinBinary(make(ExprKind::Compare, {}), ExprKind::Compare, op, std::move(left), std::move(right));
    both->text = "<=<=";
    both->range = whole;
    both->children.push_back(std::move(bound));
    return both;
  }
  if (isComparison(peek())) {
    error(peek(), "comparisons are not chained").withHelp("write `a < b and b < c`; for tensors `(a < b) & (b < c)`");
    return nullptr;
  }
  return joinBinary(make(ExprKind::Compare, {}), ExprKind::Compare, op, std::move(left), std::move(right));
}

ExprPtr Parser::binary(int level) {
  static constexpr std::string_view levels[][6] = {{"|"},        {"^"},      {"&"},
                                                   {"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%", "@"}};
  if (level == 6)
    return unary();
  ExprPtr left = binary(level + 1);
  for (int length = 0; left; ++length) {
    bool matches = false;
    for (std::string_view op : levels[level])
      matches |= !op.empty() && peek().symbol(op);
    if (!matches)
      break;
    // The tree of a long sum is as deep as the sum is long.
    if (length > 1000) {
      error(peek(), "more than 1000 operators stand in a row here");
      return nullptr;
    }
    const Token &op = next();
    ExprPtr right = binary(level + 1);
    if (!right)
      return nullptr;
    left = joinBinary(make(ExprKind::Binary, {}), ExprKind::Binary, op, std::move(left), std::move(right));
  }
  return left;
}

ExprPtr Parser::unary() {
  if (!peek().symbol("-") && !peek().symbol("+") && !peek().symbol("~"))
    return power();
  Nesting nesting(expressions_);
  if (tooManyExpressions())
    return nullptr;
  const Token &op = next();
  ExprPtr operand = unary();
  if (!operand)
    return nullptr;
  ExprPtr expr = make(ExprKind::Unary, since(op));
  expr->text = op.text;
  expr->children.push_back(std::move(operand));
  return expr;
}

ExprPtr Parser::power() {
  ExprPtr base = postfix();
  if (!base || !peek().symbol("**"))
    return base;
  const Token &op = next();
  ExprPtr exponent = unary();
  if (!exponent)
    return nullptr;
  return joinBinary(make(ExprKind::Binary, {}), ExprKind::Binary, op, std::move(base), std::move(exponent));
}

static bool isDtype(const Expr &expr) {
  static constexpr const char *names[] = {"f32", "f64", "bf16", "f16", "i8", "u8", "i32", "u32", "i64", "bool", "any"};
  return expr.kind == ExprKind::Name && llvm::is_contained(names, expr.text);
}

/// floordiv(a, n), as programs write the dimension a // n.
static bool isQuotient(const Expr &function, const Expr &call) {
  return function.kind == ExprKind::Name && function.text == "floordiv" && call.arguments.size() == 2 &&
         llvm::none_of(call.arguments, [](const Argument &one) { return one.star || !one.name.empty(); });
}

ExprPtr Parser::postfix() {
  const Token &first = peek();
  ExprPtr base = atom();
  for (int length = 0; base; ++length) {
    if (length > 200) {
      error(peek(), "more than 200 calls and subscripts stand in a row here");
      return nullptr;
    }
    if (peek().symbol("(")) {
      ExprPtr call = make(ExprKind::Call, {});
      if (!callArguments(call->arguments))
        return nullptr;
      call->range = since(first);
      if (inType_ && isQuotient(*base, *call)) {
        Token op{TokenKind::Symbol, base->range, "//"};
        base = joinBinary(make(ExprKind::Binary, {}), ExprKind::Binary, op, std::move(call->arguments[0].value),
                          std::move(call->arguments[1].value));
        base->range = since(first);
        continue;
      }
      call->children.push_back(std::move(base));
      base = std::move(call);
    } else if (peek().symbol("[")) {
      next();
      ExprPtr index = make(ExprKind::Index, {});
      index->children.push_back(std::move(base));
      do {
        if (peek().symbol("]"))
          break;
        ExprPtr item = subscript();
        if (!item)
          return nullptr;
        index->children.push_back(std::move(item));
      } while (takeSymbol(","));
      if (!expectSymbol("]", "after the subscript"))
        return nullptr;
      index->range = since(first);
      if (index->children.size() == 1 && isDtype(*index->children[0])) { // f32[], as programs write a number's type
        base = std::move(index->children[0]);
        continue;
      }
      if (index->children.size() == 1) {
        diagnostics_.error(index->range, "the subscript is empty")
            .withHelp("the type of a single number is its dtype alone: f32");
        return nullptr;
      }
      base = std::move(index);
    } else if (takeSymbol(".")) {
      if (peek().kind != TokenKind::Name && !(peek().kind == TokenKind::Integer && base)) {
        error(peek(), "expected a name after '.', found " + found(peek()));
        return nullptr;
      }
      const Token &name = next();
      ExprPtr attribute = make(ExprKind::Attribute, since(first));
      attribute->text = name.text;
      attribute->nameRange = name.range;
      attribute->children.push_back(std::move(base));
      base = std::move(attribute);
    } else {
      break;
    }
  }
  return base;
}

ExprPtr Parser::subscript() {
  const Token &first = peek();
  auto slice = make(ExprKind::Slice, first.range);
  slice->children.resize(3);
  bool isSlice = false;
  for (int part = 0; part < 3; ++part) {
    if (!peek().symbol(":") && !peek().symbol(",") && !peek().symbol("]")) {
      slice->children[part] = expression();
      if (!slice->children[part])
        return nullptr;
    }
    if (part == 2 || !takeSymbol(":"))
      break;
    isSlice = true;
  }
  if (!isSlice) {
    if (!slice->children[0])
      error(peek(), "expected a subscript, found " + found(peek()));
    return std::move(slice->children[0]);
  }
  slice->range = since(first);
  return slice;
}

bool Parser::callArguments(std::vector<Argument> &out) {
  next();
  while (!peek().symbol(")")) {
    Argument argument;
    if (peek().kind == TokenKind::Name && peek(1).symbol("=")) {
      const Token &name = next();
      argument.name = name.text;
      argument.nameRange = name.range;
      next();
    } else if (takeSymbol("*")) {
      argument.star = true;
    }
    argument.value = expression();
    if (!argument.value)
      return false;
    if (argument.name.empty() && !out.empty() && !out.back().name.empty()) {
      diagnostics_.error(argument.value->range, "a positional argument stands behind a keyword argument")
          .withHelp("give it a name, or move it to the front");
      return false;
    }
    if (peek().keyword("for")) {
      error(peek(), "a comprehension stands in [brackets]");
      return false;
    }
    out.push_back(std::move(argument));
    if (!takeSymbol(","))
      break;
  }
  return expectSymbol(")", "after the arguments");
}

ExprPtr Parser::atom() {
  const Token &token = peek();
  switch (token.kind) {
  case TokenKind::Name: {
    ExprPtr expr = make(ExprKind::Name, next().range);
    expr->text = token.text;
    expr->nameRange = token.range;
    return expr;
  }
  case TokenKind::Integer: {
    ExprPtr expr = make(ExprKind::Integer, next().range);
    expr->integer = token.integer;
    return expr;
  }
  case TokenKind::Float: {
    ExprPtr expr = make(ExprKind::Float, next().range);
    expr->number = token.number;
    return expr;
  }
  case TokenKind::String: {
    ExprPtr expr = make(ExprKind::String, next().range);
    expr->text = token.text;
    return expr;
  }
  case TokenKind::Keyword:
    for (auto [text, kind] : {std::pair{"True", ExprKind::True}, {"False", ExprKind::False}, {"None", ExprKind::None}})
      if (token.text == text)
        return make(kind, next().range);
    break;
  default:
    break;
  }
  if (token.symbol("..."))
    return make(ExprKind::Ellipsis, next().range);
  if (token.symbol("("))
    return bracketed();
  if (token.symbol("["))
    return listDisplay();
  Diagnostic &diagnostic = error(token, "expected an expression, found " + found(token));
  if (token.symbol("{"))
    diagnostic.withHelp("Kiln has no {…}; for named values write dict(name=value, …)");
  else if (token.symbol("="))
    diagnostic.withHelp("to compare, write ==");
  return nullptr;
}

ExprPtr Parser::bracketed() {
  const Token &first = next();
  if (takeSymbol(")"))
    return make(ExprKind::Tuple, since(first));
  ExprPtr value = expression();
  if (!value)
    return nullptr;
  if (!peek().symbol(",")) {
    if (!expectSymbol(")", "after the expression"))
      return nullptr;
    value->range = since(first);
    return value;
  }
  ExprPtr tuple = make(ExprKind::Tuple, {});
  tuple->children.push_back(std::move(value));
  while (takeSymbol(",") && !peek().symbol(")")) {
    ExprPtr item = expression();
    if (!item)
      return nullptr;
    tuple->children.push_back(std::move(item));
  }
  if (!expectSymbol(")", "after the tuple"))
    return nullptr;
  tuple->range = since(first);
  return tuple;
}

/// What follows the element: `for a in A if p for b in B`, a loop within a loop. Each but the innermost has the next
/// one as its element, and gives that one's items ("flat").
ExprPtr Parser::comprehension(ExprPtr element) {
  std::vector<ExprPtr> loops;
  while (takeKeyword("for")) {
    ExprPtr loop = make(ExprKind::Comprehension, {});
    loop->children.resize(3);
    loop->children[1] = target();
    if (!loop->children[1])
      return nullptr;
    if (!takeKeyword("in")) {
      error(peek(), "expected 'in' in the comprehension, found " + found(peek()));
      return nullptr;
    }
    loop->children[2] = orExpr();
    if (!loop->children[2])
      return nullptr;
    if (takeKeyword("if")) {
      loop->children.push_back(orExpr());
      if (!loop->children.back())
        return nullptr;
    }
    loop->range = loop->children[1]->range;
    if (loops.size() == maxLoops) {
      diagnostics_.error(loop->range,
                         "loops of a comprehension are nested more than " + std::to_string(maxLoops) + " deep here");
      return nullptr;
    }
    loops.push_back(std::move(loop));
  }
  for (size_t i = loops.size(); i-- > 0;) {
    loops[i]->text = i + 1 < loops.size() ? "flat" : "";
    loops[i]->children[0] = std::move(element);
    element = std::move(loops[i]);
  }
  return element;
}

ExprPtr Parser::listDisplay() {
  const Token &first = next();
  ExprPtr list = make(ExprKind::List, {});
  while (!peek().symbol("]")) {
    ExprPtr item = expression();
    if (!item)
      return nullptr;
    if (list->children.empty() && peek().keyword("for")) {
      list = comprehension(std::move(item));
      if (!list)
        return nullptr;
      break;
    }
    list->children.push_back(std::move(item));
    if (!takeSymbol(","))
      break;
  }
  if (!expectSymbol("]", "after the list"))
    return nullptr;
  list->range = since(first);
  return list;
}

bool Parser::checkTarget(const Expr &expr) {
  switch (expr.kind) {
  case ExprKind::Name:
  case ExprKind::Attribute:
    return true;
  case ExprKind::Tuple:
  case ExprKind::List:
    for (const ExprPtr &child : expr.children)
      if (!checkTarget(*child))
        return false;
    return true;
  case ExprKind::Index:
    diagnostics_.error(expr.range, "an element cannot be assigned to")
        .withHelp("tensors are values: write x = update(x, block, start, axis)");
    return false;
  default:
    diagnostics_.error(expr.range, "this cannot be assigned to")
        .withHelp("the left side is a name, or several in a tuple");
    return false;
  }
}

ExprPtr Parser::target() {
  // Names, with commas and brackets, up to 'in'.
  const Token &first = peek();
  auto item = [&]() -> ExprPtr {
    if (peek().symbol("("))
      return bracketed();
    if (peek().kind == TokenKind::Name)
      return atom();
    error(peek(), "expected a name, found " + found(peek()));
    return nullptr;
  };
  ExprPtr value = item();
  if (!value || !peek().symbol(","))
    return value && checkTarget(*value) ? std::move(value) : nullptr;
  ExprPtr tuple = make(ExprKind::Tuple, {});
  tuple->children.push_back(std::move(value));
  while (takeSymbol(",")) {
    ExprPtr child = item();
    if (!child)
      return nullptr;
    tuple->children.push_back(std::move(child));
  }
  tuple->range = since(first);
  return checkTarget(*tuple) ? std::move(tuple) : nullptr;
}

} // namespace kiln::language
