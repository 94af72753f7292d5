// Constant folding: what the interpreter computes from constant operands.
#pragma once

namespace mlir {
class Dialect;
}

namespace kiln {
/// Gives the dialect its fold interface: primitives whose operands are all constant become constants where the result
/// is small, or a splat.
void addConstantFolding(mlir::Dialect &dialect);
} // namespace kiln
