// A model's matrices stored in a narrower type than they are computed in.
#pragma once

#include "ir/Kiln.h"

#include "mlir/Pass/Pass.h"

#include <map>

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/StoreWeights/StoreWeights.h.inc"

/// How a matrix [N, K] is stored in blocks of `size` neighbours along K (kiln.dequantize): bytes, or halves of them,
/// each block with a scale (f16, or f32 where they are wide) and, where it has one, a minimum. Of columns: a matrix
/// [K, N], its blocks along K all the same.
struct BlockForm {
  int64_t size = 32;
  bool halves = false, wideScales = false, minimums = false, columns = false;

  const char *scales() const { return columns ? ".column_scales" : ".scales"; }
};
/// By the parameter's name.
using StoredForms = std::map<std::string, BlockForm>;

/// The pass that leaves matrices in the forms that their weights are in already, whatever `as` is.
std::unique_ptr<mlir::Pass> createStoreWeights(StoreWeightsOptions options, StoredForms kept);
} // namespace kiln
