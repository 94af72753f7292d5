include "mlir/Pass/PassBase.td"

def Decompose : Pass<"kiln-decompose", "mlir::ModuleOp"> {
  let summary = "Composites written out in primitives";
  let description = [{
    Also takes `stop_gradient` and `custom` away, which have no meaning once everything is differentiated. What a backend
    takes whole (it names the op among its composites, and takes this one) stays, and is marked `kiln.whole`; ops of its
    own definition are decomposed all the same.

    `derived` stands before differentiation: custom ops whose gradient is that of their definition, and which no backend
    names, become what they are made of, and nothing else changes.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    ListOption<"keep", "keep", "std::string", "names of ops that stay whole, kiln.softmax for one">,
    Option<"attention", "attention", "bool", "false", "attention of any kind stays whole, and its gradients">,
    ListOption<"whole", "whole", "std::string", "names of ops that a backend would take whole, as kernels have them">,
    Option<"derived", "derived", "bool", "false", "only custom ops without a gradient of their own">];
}
