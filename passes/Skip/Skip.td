include "mlir/Pass/PassBase.td"

def Skip : Pass<"kiln-skip", "mlir::ModuleOp"> {
  let summary = "What a select takes for no row is not computed";
  let description = [{
    A mixture of experts takes of each expert the rows that have chosen it: `select(mask, expert(x), 0)`, where the mask
    is the same along a row. Where no row has, the expert's matrices need not be read: the select, and all that nothing
    but it reads, becomes an `if` over `reduce any` of the mask. A step of decoding then reads the matrices of the chosen
    experts alone. Values are those of the select, to the bit.

    Only where what becomes a branch holds products with parameters of `bytes` in all: for less, a branch costs more than
    it saves. And only up to `rows` rows where their number is known: among more there is one that has chosen, almost
    always. What a backward half reads again is not the select's alone, so that training steps stay as they are.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"bytes", "bytes", "int64_t", "65536", "how large the matrices are at least">,
    Option<"rows", "rows", "int64_t", "64", "how many rows are at most worth asking">];
}
