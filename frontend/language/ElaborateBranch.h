// The state of an `if` that data decide, while its sides are executed and until its function ends.
#pragma once

#include "frontend/language/Elaborate.h"

namespace kiln::language {

/// One side of the `if`, as its statements left it.
struct Side {
  std::unique_ptr<mlir::Block> block;
  std::map<std::string, Binding, std::less<>> locals;
  std::map<std::string, Lost> lost;
  std::map<Variable *, Value> states;
  bool returned = false;
  std::optional<Value> mayReturn; // a bool, where data decide whether it has returned
  Value result;                   // in both cases
  const Expr *returnExpr = nullptr;

  bool fallsThrough() const { return !returned && !mayReturn; }
};

/// An `if` of which one side has returned. The rest of the function is the other side: it is executed into `rest`.
struct OpenIf {
  Range range;
  mlir::Value condition;
  bool returnsWhen = true;
  Side returned;
  std::unique_ptr<mlir::Block> rest = nullptr;
  mlir::OpBuilder::InsertPoint outside = {};
};

} // namespace kiln::language
