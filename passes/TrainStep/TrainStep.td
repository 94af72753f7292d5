include "mlir/Pass/PassBase.td"

def TrainStep : Pass<"kiln-train-step", "mlir::ModuleOp"> {
  let summary = "Builds @train_step: loss, gradients, clipping, schedule and optimizer in one function";
  let description = [{
    From `kiln.train` and the functions that it names: the loss, the rates (of the step, one result each), and an update
    for each parameter, (p, gradient, lr, states…, step) to (p, states…), whose attribute `kiln.states` describes its
    states. They are written into the step, and erased. The function takes the loss function's arguments, the
    optimizer's states behind the other states, and the step; it returns the loss, the metrics (with `grad_norm` where
    the norm is clipped, and the rate as `lr`), the new parameters and the new states.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
}
