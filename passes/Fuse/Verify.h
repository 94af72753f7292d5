// What holds before and after fusing.
#pragma once

#include "ir/Kiln.h"

namespace kiln {

/// Every op is a primitive, or a composite that a kernel may be whole: what fusing asks for. Otherwise an error at each
/// that is not.
mlir::LogicalResult verifyPrimitives(mlir::func::FuncOp function);

/// The first op that computes outside of a group, loops' and branches' regions included; null where there is none.
mlir::Operation *findUnfused(mlir::func::FuncOp function);
/// Every op that computes is in a group. Otherwise an error at the first that is not.
mlir::LogicalResult verifyFused(mlir::func::FuncOp function);

} // namespace kiln
