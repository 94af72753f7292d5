include "mlir/Pass/PassBase.td"

def Rematerialize : Pass<"kiln-rematerialize", "mlir::ModuleOp"> {
  let summary = "Cheap values computed again where the backward pass reads them, in place of being kept";
  let description = [{
    A value that is read, not read for a long while (`gap` products and loops), and read again holds its memory all that
    time. Where it is elementwise, and what it is computed from is kept anyway, the late readers get a copy of their own.

    The cost model: an op costs 1 an element, a transcendental one 8 (exp and log 6, divisions and roots 3, random bits
    20). A copy may cost `budget` in all; what has to be kept longer for it may have a quarter of the value's bytes at
    most; values below `bytes` stay. Products and reductions are never repeated.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"gap", "gap", "int64_t", "6", "how many products, convolutions and loops lie between two uses far apart">,
    Option<"budget", "budget", "int64_t", "32", "the largest cost of a copy, for each element">,
    Option<"bytes", "bytes", "int64_t", "16384", "smaller values are kept">];
}
