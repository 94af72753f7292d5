// Assignments: one, several in a chain, and a module's buffers.
#include "frontend/language/ParserImpl.h"

namespace kiln::language {

StmtPtr Parser::assignment(Context context) {
  const Token &first = peek();
  auto statement = std::make_unique<Stmt>();
  ExprPtr value = expressionList();
  if (!value)
    return nullptr;
  statement->kind = StmtKind::Expression;
  static constexpr std::string_view augmented[] = {"+=", "-=", "*=", "/=", "//=", "%=", "**=", "@="};
  for (std::string_view op : augmented)
    if (peek().symbol(op))
      statement->name = std::string(op.substr(0, op.size() - 1));
  if (peek().symbol("=") || !statement->name.empty()) {
    if (!checkTarget(*value))
      return nullptr;
    statement->nameRange = next().range;
    statement->kind = StmtKind::Assign;
    statement->target = std::move(value);
    value = expressionList();
    if (!value || !chain(*statement, value))
      return nullptr;
  }
  statement->value = std::move(value);
  statement->range = since(first);
  return context == Context::Module ? bufferOr(std::move(statement)) : std::move(statement);
}

/// NAME = buffer(value), in a module: a function without arguments that is called wherever its name stands.
StmtPtr Parser::bufferOr(StmtPtr statement) {
  Expr *call = statement->kind == StmtKind::Assign && statement->name.empty() ? statement->value.get() : nullptr;
  if (!call || call->kind != ExprKind::Call || call->child(0).kind != ExprKind::Name ||
      call->child(0).text != "buffer" || call->arguments.size() != 1 || !call->arguments[0].name.empty() ||
      call->arguments[0].star || statement->target->kind != ExprKind::Name)
    return statement;
  auto buffer = std::make_unique<Stmt>();
  buffer->kind = StmtKind::Def;
  buffer->isBuffer = true;
  buffer->name = statement->target->text;
  buffer->range = statement->range;
  buffer->nameRange = statement->target->range;
  auto result = std::make_unique<Stmt>();
  result->kind = StmtKind::Return;
  result->range = call->range;
  result->value = std::move(call->arguments[0].value);
  buffer->body.push_back(std::move(result));
  return buffer;
}

static ExprPtr copyOf(const Expr &expr) {
  auto copy = std::make_unique<Expr>();
  copy->kind = expr.kind;
  copy->range = expr.range;
  copy->nameRange = expr.nameRange;
  copy->text = expr.text;
  for (const ExprPtr &child : expr.children)
    copy->children.push_back(copyOf(*child));
  return copy;
}

/// a = b = value is b = value, and then a = b. `value` is what stands behind the first '='.
bool Parser::chain(Stmt &statement, ExprPtr &value) {
  std::vector<ExprPtr> targets;
  while (peek().symbol("=") && statement.name.empty() && value->kind != ExprKind::Call) {
    if (!checkTarget(*value))
      return false;
    next();
    targets.push_back(std::move(statement.target));
    statement.target = std::move(value);
    value = expressionList();
    if (!value)
      return false;
  }
  const Expr *from = statement.target.get();
  for (auto target = targets.rbegin(); target != targets.rend(); ++target) {
    auto copy = std::make_unique<Stmt>();
    copy->kind = StmtKind::Assign;
    copy->nameRange = statement.nameRange;
    copy->range = (*target)->range.to(from->range);
    copy->value = copyOf(*from);
    copy->target = std::move(*target);
    from = copy->target.get();
    chained_.push_back(std::move(copy));
  }
  return true;
}

} // namespace kiln::language
