// The syntax tree of a .kiln file. One node type for expressions and one for statements: the kind says which fields
// are in use.
#pragma once

#include "frontend/language/Source.h"

#include <memory>
#include <string>
#include <vector>

namespace kiln::language {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;

enum class ExprKind {
  Name,    // text
  Integer, // integer
  Float,   // number
  String,  // text
  True,
  False,
  None,
  Ellipsis,
  Tuple,         // children
  List,          // children
  Comprehension, // children: element, target, iterable, [condition]; text "flat": the element is a list of items
  Unary,         // text: "-" "+" "~" "not"; children: operand
  Binary,        // text: the operator, "and" and "or" included; children: left, right
  Compare,       // text: the operator; children: left, right; in a type also "<=<=": least, dimension, bound
  Conditional,   // children: condition, if true, if false
  Call,          // children: callee; arguments
  Index,         // children: base, then the indices
  Slice,         // children: begin, end, step; each may be null
  Attribute,     // text; children: base
};

struct Argument {
  std::string name; // empty when positional
  Range nameRange;
  bool star = false; // *list
  ExprPtr value;
};

struct Expr {
  ExprKind kind = ExprKind::None;
  Range range;
  Range nameRange; // of an attribute's name, an operator
  std::string text;
  int64_t integer = 0;
  double number = 0;
  std::vector<ExprPtr> children;
  std::vector<Argument> arguments;

  const Expr &child(size_t index) const { return *children[index]; }
};

/// A dimension in a type: `T`, `T <= 64`, `T >= 3` (or `3 <= T`) or `3 <= T <= 64`.
struct DimensionParts {
  const Expr *dim = nullptr, *least = nullptr, *bound = nullptr;

  explicit DimensionParts(const Expr &written) : dim(&written) {
    if (written.kind != ExprKind::Compare)
      return;
    if (written.text == "<=<=")
      *this = {written.child(1), &written.child(0), &written.child(2)};
    else if (written.text == "<=" && written.child(0).kind == ExprKind::Integer)
      *this = {written.child(1), &written.child(0), nullptr};
    else if (written.text == "<=")
      *this = {written.child(0), nullptr, &written.child(1)};
    else if (written.text == ">=")
      *this = {written.child(0), &written.child(1), nullptr};
  }

private:
  DimensionParts(const Expr &dim, const Expr *least, const Expr *bound) : dim(&dim), least(least), bound(bound) {}
};

struct Parameter {
  std::string name;
  Range range;
  bool rest = false; // *name
  ExprPtr type;      // null when absent
  ExprPtr initial;   // null when absent
};

enum class StmtKind {
  Assign, // target, value; text: "" or the operator of an augmented assignment
  Return, // value, null when absent
  If,     // value, body, otherwise
  For,    // target, value, body
  Scan,   // name: the step's; value: the count; target: a tuple of the carried names, or null; body; reversed; axis
  While,  // value: the condition; target, body, axis: as a scan's; bound: of its steps, or null
  Yield,  // value
  Assert, // value, target: the message or null
  Pass,
  Expression, // value
  Def,        // name, parameters, result, body; isOp
  Module,     // name, parameters, body; isModel
  Train,      // name, arguments in value (a Call, or null), body; target: its own name, or null
  Generate,   // the same
  Import,     // value: the path; target: a Call whose arguments are the names there, each by its name here
  Section,    // name ("prefill", "step", "after"), parameters (of a prefill), body: inside Generate and Train
};

struct Stmt {
  StmtKind kind = StmtKind::Pass;
  Range range;     // of the whole statement, or of its header
  Range nameRange; // of its name
  std::string name;
  ExprPtr target, value, axis, bound, result;
  std::vector<Parameter> parameters;
  std::vector<StmtPtr> body, otherwise;
  bool isModel = false, isOp = false, reversed = false;
  bool isBuffer = false;            // a Def without parameters: NAME = buffer(value)
  bool broken = false;              // part of it could not be parsed: it is not elaborated
  const SourceFile *file = nullptr; // of an Import: the one that its path names, once it is read
};

/// A parsed file. Owns its text.
struct File {
  std::unique_ptr<SourceFile> source;
  std::vector<StmtPtr> statements;
};

} // namespace kiln::language
