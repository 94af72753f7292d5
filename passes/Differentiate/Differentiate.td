include "mlir/Pass/PassBase.td"

def Differentiate : Pass<"kiln-differentiate", "mlir::ModuleOp"> {
  let summary = "Builds the backward pass of a function: @grad, the loss and its gradients";
  let description = [{
    Reverse mode over SSA. From the function that `kiln.train` names as its loss comes `@grad`: the same arguments, and
    as results the loss and the gradient of every trainable parameter that the function uses.

    With `function`, that function instead, whatever the module's attributes: `@NAME.grad` takes its arguments and one
    cotangent for each float result; it returns the function's results, then the gradients of its float arguments
    (`wrt`: of these arguments only).
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"function", "function", "std::string", "", "the function to differentiate; the training loss where empty">,
    ListOption<"wrt", "wrt", "unsigned", "indices of the arguments to differentiate with respect to">];
}
