include "mlir/Pass/PassBase.td"

def TrainStep : Pass<"kiln-train-step", "mlir::ModuleOp"> {
  let summary = "Builds @train_step: loss, gradients, clipping, schedule and optimizer in one function";
  let description = [{
    From `kiln.train` and the loss function that it names. The function takes the loss function's arguments, the
    optimizer's states behind the other states, and the step; it returns the loss, the metrics (with `grad_norm` where
    the norm is clipped), the new parameters and the new states. Whatever depends on the step (learning rate, bias
    corrections) is computed from it in the function.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
}
