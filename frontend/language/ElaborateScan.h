// The state of one scan or while, while its body is executed.
#pragma once

#include "frontend/language/Elaborate.h"

namespace kiln::language {

struct Elaborator::ScanBody {
  struct Carry {
    std::string name;
    Range range;
    Value value; // its structure
    size_t parts = 1;
  };
  struct Sequence {
    mlir::Value base;
    size_t axis = 0;
    mlir::Value source; // the base with the axis in front, made before the loop
    mlir::BlockArgument argument;
  };

  Range range; // of the statement
  Dim count;
  mlir::Block *block = nullptr; // of the scan; of a while without a bound, its condition's
  mlir::Block *inner = nullptr; // of a while: its statements
  mlir::Value condition;        // of a while, in `block`
  bool decided = false;         // does it read what the loop carries?
  mlir::BlockArgument index;
  mlir::OpBuilder::InsertPoint before;
  std::vector<Carry> names, outputs;
  std::vector<std::shared_ptr<Variable>> states;
  std::vector<mlir::Value> inits, next, yielded;
  std::vector<Sequence> sequences;
};

/// What a parameter or state is when the function begins.
inline mlir::Value argumentOf(const Entry &entry, const Variable &variable) {
  const auto &table = variable.kind == Variable::Kind::Parameter ? entry.parameters : entry.states;
  return table.at(variable.index).second;
}

using Mark = std::function<void(const std::string &name, Range range)>;
/// The names in a target: one, or those of a tuple or list.
void markTarget(const Expr &target, const Mark &mark);
/// Names that the statements set, those of loops and branches among them too.
void markNames(const std::vector<StmtPtr> &body, const Mark &mark);

} // namespace kiln::language
