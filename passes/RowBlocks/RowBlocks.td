include "mlir/Pass/PassBase.td"

def RowBlocks : Pass<"kiln-row-blocks", "mlir::ModuleOp"> {
  let summary = "Logits, and all that is made of them row by row, in blocks of rows";
  let description = [{
    A language model's logits [rows, classes] are far larger than what they are made of and than what becomes of them: a
    loss for each row, and in training the gradients of the rows and of the matrix. Where a product of rows with a matrix
    is followed along its rows alone (elementwise ops, reductions over the other axes, products with what is the same for
    all rows) up to values that are small, or are sums over all rows, the whole of it becomes a `scan` over blocks of
    rows: rows are its sequences and its outputs, sums over rows are carried. Nothing is computed twice. A value of the
    whole size that something else reads, and a way from the rows' sums back into the rows (a gradient that depends on
    the loss itself), leave it as it is.

    The cost: the matrix is read and packed once a block, and a carried sum (its gradient) is read and written. Blocks of
    `rows` rows keep that small, and only values of `bytes` at least are cut, which have several of them. A block may
    have more rows where that many have less than `block` bytes. Rows that cannot be shared out evenly stay whole: blocks
    divide the rows, or the extents behind the first one where that is symbolic.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"bytes", "bytes", "int64_t", "536870912", "smaller values stay whole">,
    Option<"block", "block", "int64_t", "67108864", "how large a block may be">,
    Option<"rows", "rows", "int64_t", "1024", "how many rows a block has at least">];
}
