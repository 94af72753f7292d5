// The state of one scan while its body is executed.
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
  mlir::Block *block = nullptr;
  mlir::BlockArgument index;
  mlir::OpBuilder::InsertPoint before;
  std::vector<Carry> names, outputs;
  std::vector<std::shared_ptr<Variable>> states;
  std::vector<mlir::Value> inits, next, yielded;
  std::vector<Sequence> sequences;
};

} // namespace kiln::language
