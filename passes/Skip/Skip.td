include "mlir/Pass/PassBase.td"

def Skip : Pass<"kiln-skip", "mlir::ModuleOp"> {
  let summary = "What a select takes of no row is not computed";
  let description = [{
    A mixture of experts takes of each expert the rows that have chosen it: `select(mask, expert(x), 0)`, where the mask
    is the same along a row. The select, and all that nothing but it reads, becomes

    - among up to `rows` rows an `if` over `reduce any` of the mask: where no row has chosen, the expert's matrices are not
      read. A step of decoding reads the matrices of the chosen experts alone;
    - among more rows, or where their number is open and may be above that, a `while` over blocks of `rows` rows that have
      chosen: they are gathered, computed, and added to the sum where they belong (`Rows.cpp`). A prefill computes of each
      expert what its rows ask for. Only where each op goes along rows (elementwise, reductions of the other axes,
      products with what is the same for all); else it is the `if`, where the number of rows is open, or nothing.

    Values are those of the select, but for the sign of a zero and the order in which a product of fewer rows sums up.

    Only where what is taken holds products with parameters of `bytes` in all: for less, a branch costs more than it
    saves. What a backward half reads again is not the select's alone, so that training steps stay as they are.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"bytes", "bytes", "int64_t", "65536", "how large the matrices are at least">,
    Option<"rows", "rows", "int64_t", "32", "how many rows are a block, and at most worth asking">];
}
