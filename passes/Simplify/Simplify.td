include "mlir/Pass/PassBase.td"

def Simplify : Pass<"kiln-simplify", "mlir::ModuleOp"> {
  let summary = "Algebra, canonical forms, common subexpressions and dead code";
  let description = [{
    Folds and merges layout ops, takes transposes into products, computes elementwise ops before broadcasts, removes
    neutral elements, common subexpressions and dead code, until nothing changes.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
}
