include "mlir/Pass/PassBase.td"

def ExpandGradients : Pass<"kiln-expand-gradients", "mlir::ModuleOp"> {
  let summary = "Derivatives that a model asks for become the ops that compute them";
  let description = [{
    Each `kiln.gradient` becomes the backward half of what lies between its operands, by the rules of
    `kiln-differentiate`: inner ones and those that come first before those that are made of them, so that a derivative
    of a derivative is one of ordinary ops. Functions without one are left as they are.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
}
