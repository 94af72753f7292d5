// Which products, and how their rows are cut.

#include "passes/RowBlocks/RowBlocks.h"

#include "passes/RowBlocks/Block.h"

namespace kiln {

#define GEN_PASS_DEF_ROWBLOCKS
#include "passes/RowBlocks/RowBlocks.h.inc"

using llvm::ArrayRef;
using llvm::SmallVector;

namespace {

/// The largest divisor of `number` up to `limit`.
int64_t divisorOf(int64_t number, int64_t limit) {
  for (int64_t divisor = std::min(number, limit); divisor > 1; --divisor)
    if (number % divisor == 0)
      return divisor;
  return 1;
}

struct RowBlocks : impl::RowBlocksBase<RowBlocks> {
  using RowBlocksBase::RowBlocksBase;

  /// Blocks of equal size; nullopt where there are none of enough rows, or one alone.
  std::optional<RowCut> cutOf(ArrayRef<Dim> dims, int64_t limit, const Bounds &bounds) {
    int64_t least = (rows + 1) / 2;
    if (std::optional<int64_t> all = productOf(dims).constant()) {
      int64_t each = divisorOf(*all, limit);
      return each >= least && each < *all ? std::optional(RowCut{Dim(*all / each), Dim(each)}) : std::nullopt;
    }
    Dim inner = productOf(dims.drop_front());
    std::optional<int64_t> number = inner.constant();
    if (!number)
      return upperBound(inner, bounds).value_or(0) >= least ? std::optional(RowCut{dims.front(), inner}) : std::nullopt;
    int64_t each = divisorOf(*number, limit);
    return each >= least ? std::optional(RowCut{dims.front() * Dim(*number / each), Dim(each)}) : std::nullopt;
  }

  /// Rows by a matrix with far more columns than the rows have elements, of a size that is worth a loop.
  std::optional<RowCut> worthCutting(DotGeneralOp product, const Bounds &bounds) {
    int64_t rank = rankOf(product.getLhs());
    if (!product.getLhsBatch().empty() || product.getLhsContract() != ArrayRef<int64_t>{rank - 1} || rank < 2 ||
        rankOf(product.getRhs()) != 2 || estimatedBytes(product.getType(), bounds) < bytes)
      return std::nullopt;
    SmallVector<Dim> dims = dimsOf(product);
    std::optional<int64_t> classes = dims.back().constant(), width = dimsOf(product.getLhs()).back().constant();
    if (!classes || !width || *classes < 4 * *width)
      return std::nullopt;
    int64_t row = estimatedBytes(tensorType({Dim(*classes)}, elementOf(product)));
    return cutOf(ArrayRef<Dim>(dims).drop_back(), std::max<int64_t>(rows, block / row), bounds);
  }

  /// Cuts one product that has not been tried; false where there is none. A loop may take others into itself.
  bool cutNext(mlir::Block &block, const Bounds &bounds, llvm::DenseSet<mlir::Operation *> &tried) {
    for (auto product : block.getOps<DotGeneralOp>()) {
      std::optional<RowCut> cut = worthCutting(product, bounds);
      if (!cut || !tried.insert(product).second)
        continue;
      if (RowBlock loop(product, *cut); loop.write())
        return loop.replace(), true;
    }
    return false;
  }

  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>()) {
      if (function.isExternal())
        continue;
      Bounds bounds = boundsOf(function);
      llvm::DenseSet<mlir::Operation *> tried;
      while (cutNext(function.getBody().front(), bounds, tried))
        continue;
    }
  }
};

} // namespace
} // namespace kiln
