include "mlir/Pass/PassBase.td"

def Recover : Pass<"kiln-recover", "mlir::func::FuncOp"> {
  let summary = "Finds composites again that a model writes out";
  let description = [{
    softmax(scale q k^T) v, over all keys or under a causal mask, with dropout on the shares or without, becomes `kiln.attention` or its like, where nothing else reads the scores and the shares
    (ir/Recover.h): one kernel in each half, without a matrix of scores. Whoever returns the shares keeps them.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
}
