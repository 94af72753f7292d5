// A model's matrices stored in a narrower type than they are computed in.
#pragma once

#include "ir/Kiln.h"
#include "runtime/program/BlockForm.h"

#include "mlir/Pass/Pass.h"

#include <map>

namespace kiln {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/StoreWeights/StoreWeights.h.inc"

/// By the parameter's name.
using StoredForms = std::map<std::string, BlockForm>;

/// The pass that leaves matrices in the forms that their weights are in already, whatever `as` is.
std::unique_ptr<mlir::Pass> createStoreWeights(StoreWeightsOptions options, StoredForms kept);
} // namespace kiln
