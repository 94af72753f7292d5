// Every block of a function, those of loops and branches too.

#include "passes/Recover/Recover.h"

#include "ir/Recover.h"

namespace kiln {
#define GEN_PASS_DEF_RECOVER
#include "passes/Recover/Recover.h.inc"

namespace {

struct RecoverPass : impl::RecoverBase<RecoverPass> {
  void runOnOperation() override {
    getOperation().walk([](mlir::Block *block) { recoverAttention(*block, /*training=*/true); });
  }
};

} // namespace
} // namespace kiln
