include "mlir/Pass/PassBase.td"

def Simplify : Pass<"kiln-simplify", "mlir::ModuleOp"> {
  let summary = "Algebra, canonical forms, common subexpressions and dead code";
  let description = [{
    Folds and merges layout ops, takes transposes into products, computes elementwise ops before broadcasts, removes
    neutral elements, common subexpressions and dead code, until nothing changes.

    Elementwise results are IEEE 754's as the ops are written, zeros' signs, overflow and infinities included; but for the
    last digit of a denormal number (two factors that are powers of two become one). Sums are not: a factor may come out of
    one, and zeros that were padded are not added.
  }];
  let options = [Option<"endEarly", "end-early", "bool", "false",
                        "Scans whose steps do nothing from some step on become whiles, which have no gradient">];
  let dependentDialects = ["kiln::KilnDialect"];
}
