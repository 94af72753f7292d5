include "mlir/Pass/PassBase.td"

def StoreWeights : Pass<"kiln-store-weights", "mlir::ModuleOp"> {
  let summary = "Parameters of two dimensions and more stored in bf16 or in blocks";
  let description = [{
    Parameters of f32 with at least two dimensions (matrices, embeddings, filters) become parameters of bf16, which functions widen where they
    read them: behind what merely picks or moves elements (gather, slices, transpose, reshape), so that a row of an embedding is widened and not the table.
    Vectors (norms, biases) stay f32, and so does all arithmetic.

    `q8`: a matrix [N, K] whose rows are of whole blocks of 32 becomes bytes i8[N, K / 32, 32], under its name, and a scale for each block, f16[N, K / 32],
    `NAME.scales`; functions read it through `kiln.dequantize`. `q4`: halves of bytes, ui8[N, K / 64, 32], where rows are of whole pairs of blocks, with a scale and a minimum,
    `NAME.minimums`, for each block. As q8 are stored other matrices, tables that rows are picked from (embeddings, which are the scores' matrix where they are tied) and small matrices,
    of a quarter at most of the mean of those in halves: they bear it less, or save little.
    A matrix [K, N] that is read by nothing but products over K is stored so by its columns, its scales as `NAME.column_scales`.
    Rows that are picked are widened alone; a product takes the op into its kernel.

    Where a recipe freezes matrices, these alone are stored so, and what trains the others stays. Else such a model is not trained: its recipes,
    the functions that only they use, and stages go.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"as", "as", "std::string", "", "f32, bf16, q8 or q4; nothing is done where it is empty or f32">];
}

def ObserveInputs : Pass<"kiln-observe-inputs", "mlir::ModuleOp"> {
  let summary = "`forward` tells what is multiplied with its matrices";
  let description = [{
    In place of its results `forward` has one for each matrix parameter of f32 that products read, `NAME.importance`: of each of the numbers that the products sum over
    the sum of the squares of what is multiplied with it, over all rows. By so much an error of a weight is felt; q4 rounds by it. A product in a loop is not observed.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
}
