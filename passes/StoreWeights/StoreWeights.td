include "mlir/Pass/PassBase.td"

def StoreWeights : Pass<"kiln-store-weights", "mlir::ModuleOp"> {
  let summary = "Parameters of two dimensions and more stored in bf16 or in blocks of bytes";
  let description = [{
    Parameters of f32 with at least two dimensions (matrices, embeddings, filters) become parameters of bf16, which functions widen where they
    read them: behind what merely picks or moves elements (gather, slices, transpose, reshape), so that a row of an embedding is widened and not the table.
    Vectors (norms, biases) stay f32, and so does all arithmetic.

    `q8`: a matrix [N, K] whose rows are of whole blocks of 32 becomes bytes i8[N, K / 32, 32], under its name, and a scale for each block, f32[N, K / 32],
    `NAME.scales`; an element is its byte times its block's scale. Rows that are picked are widened alone, products read the blocks as they
    lie: `x W^T` is summed over both axes that K was cut into.

    Such a model is not trained: its recipes, the functions that only they use, and stages go.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"as", "as", "std::string", "", "bf16 or q8; nothing is done where it is empty">];
}
