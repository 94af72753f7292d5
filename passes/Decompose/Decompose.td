include "mlir/Pass/PassBase.td"

def Decompose : Pass<"kiln-decompose", "mlir::ModuleOp"> {
  let summary = "Composites written out in primitives";
  let description = [{
    Also takes `stop_gradient` and `custom_grad` away, which have no meaning once everything is differentiated.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [ListOption<"keep", "keep", "std::string", "names of ops that stay whole, kiln.attention for one">];
}
