// Names in code that no model of the file reaches: a module that is never made, a function that is never called. It has
// no shapes to check, but its names have to be known. Nothing is evaluated, so a name counts as known wherever a
// statement of the same function or module may give it a value.
#include "frontend/language/Elaborate.h"

namespace kiln::language {

class NameCheck {
public:
  explicit NameCheck(Elaborator &elaborator) : e_(elaborator) {}

  void file(const File &file) {
    file_ = file.source.get();
    for (const StmtPtr &statement : file.statements) {
      Scope top;
      if (statement->broken)
        continue;
      if (statement->kind == StmtKind::Def || statement->kind == StmtKind::Module)
        declaration(*statement, top);
    }
  }

private:
  using Scope = std::set<std::string, std::less<>>;

  /// A function or a module: its parameters and what its body sets are known throughout it.
  void declaration(const Stmt &statement, const Scope &outer) {
    Scope scope = outer;
    for (const Parameter &parameter : statement.parameters) {
      scope.insert(parameter.name);
      if (parameter.type)
        dimensions(*parameter.type, scope);
    }
    if (statement.result)
      dimensions(*statement.result, scope);
    collect(statement.body, scope);
    for (const Parameter &parameter : statement.parameters)
      if (parameter.initial)
        expression(*parameter.initial, scope);
    statements(statement.body, scope);
  }

  /// In a signature a name that is not known yet is a dimension.
  void dimensions(const Expr &type, Scope &scope) {
    if (type.kind == ExprKind::Name)
      scope.insert(type.text);
    for (const ExprPtr &child : type.children)
      if (child)
        dimensions(*child, scope);
  }

  static void targets(const Expr &target, Scope &scope) {
    if (target.kind == ExprKind::Name)
      scope.insert(target.text);
    if (target.kind == ExprKind::Tuple || target.kind == ExprKind::List)
      for (const ExprPtr &child : target.children)
        if (child) // a yield without a name has none
          targets(*child, scope);
  }

  static void collect(const std::vector<StmtPtr> &body, Scope &scope) {
    for (const StmtPtr &statement : body) {
      if (!statement->name.empty())
        scope.insert(statement->name); // of a def or a scan's step
      if (statement->target && statement->kind != StmtKind::Assert)
        targets(*statement->target, scope);
      if (statement->kind == StmtKind::Def)
        continue; // what it sets is its own
      collect(statement->body, scope);
      collect(statement->otherwise, scope);
    }
  }

  void statements(const std::vector<StmtPtr> &body, Scope &scope) {
    for (const StmtPtr &statement : body) {
      if (statement->broken)
        continue;
      if (statement->kind == StmtKind::Def) {
        declaration(*statement, scope);
        continue;
      }
      for (const ExprPtr *part : {&statement->target, &statement->value, &statement->axis, &statement->bound})
        if (*part)
          expression(**part, scope);
      statements(statement->body, scope);
      statements(statement->otherwise, scope);
    }
  }

  void expression(const Expr &expr, Scope &scope, Wanted wanted = Wanted::Anything) {
    switch (expr.kind) {
    case ExprKind::Name:
      if (!known(expr.text, scope)) {
        std::vector<std::string> candidates = e_.visibleNames(Frame(), wanted, expr.range.file);
        candidates.insert(candidates.end(), scope.begin(), scope.end());
        e_.unknownName(expr, candidates, wanted);
        scope.insert(expr.text); // once is enough
      }
      return;
    case ExprKind::Comprehension: {
      Scope inner = scope;
      targets(expr.child(1), inner);
      for (const ExprPtr &child : expr.children)
        if (child)
          expression(*child, inner);
      return;
    }
    case ExprKind::Attribute: {
      Frame frame; // a scope's names stand in it, so that they are known
      for (const std::string &name : scope)
        frame.locals[name] = {Value::none(), {}};
      if (!e_.reportForeignPrefix(expr, frame))
        expression(expr.child(0), scope, Wanted::Part);
      return;
    }
    case ExprKind::Call: {
      expression(expr.child(0), scope, Wanted::Callable);
      bool isState = expr.child(0).kind == ExprKind::Name && expr.child(0).text == "state";
      for (size_t i = 0; i < expr.arguments.size(); ++i)
        if (!(isState && i == 0)) // in a state's type, a new name is a dimension
          expression(*expr.arguments[i].value, scope);
      return;
    }
    default:
      for (const ExprPtr &child : expr.children)
        if (child)
          expression(*child, scope);
      return;
    }
  }

  bool known(const std::string &name, const Scope &scope) {
    if (scope.contains(name) || e_.declarations_.namesIn(file_).contains(name) || e_.library_[0].contains(name) ||
        e_.library_[1].contains(name) || dtypeByName(name) || e_.isWellKnown(name))
      return true;
    for (Space space : {Space::General, Space::Init, Space::Recipe, Space::Reader, Space::Draw})
      if (findBuiltin(name, space))
        return true;
    return false;
  }

  Elaborator &e_;
  const SourceFile *file_ = nullptr;
};

void Elaborator::checkNames(const File &file) { NameCheck(*this).file(file); }

} // namespace kiln::language
