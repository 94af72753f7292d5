include "mlir/Pass/PassBase.td"

def StoreWeights : Pass<"kiln-store-weights", "mlir::ModuleOp"> {
  let summary = "Parameters of two dimensions and more stored in bf16";
  let description = [{
    Parameters of f32 with at least two dimensions (matrices, embeddings, filters) become parameters of bf16, which functions widen where they
    read them: behind what merely picks or moves elements (gather, slices, transpose, reshape), so that a row of an embedding is widened and not the table.
    Vectors (norms, biases) stay f32, and so does all arithmetic.

    Such a model is not trained: its recipes, the functions that only they use, and stages go.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"as", "as", "std::string", "", "bf16; nothing is done where it is empty">];
}
