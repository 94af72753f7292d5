// Gradients made shorter, as a recipe's `clip` says.
#pragma once

#include "ir/Build.h"

namespace kiln {

/// torch.nn.utils.clip_grad_norm_ and clip_grad_value_, by the `clip` of a recipe's attributes. `norm` is set to that
/// of all gradients, where it is asked for.
mlir::LogicalResult clipGradients(Emit &e, mlir::DictionaryAttr train, llvm::SmallVectorImpl<mlir::Value> &gradients,
                                  mlir::Value &norm);

} // namespace kiln
