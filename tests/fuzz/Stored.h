// Matrices of a random graph stored as `--weights-as` would: which forms, their numbers, and what they stand for.
#pragma once

#include "tests/support/Compiled.h"

namespace kiln::test {

/// Draws how the matrices of a module are stored.
void chooseForms(mlir::ModuleOp module, uint64_t seed, CompileOptions &options);

/// Stores them, as the pipeline does.
bool storeWeights(mlir::ModuleOp module, const CompileOptions &options);

/// Random arguments of a module whose weights are stored, made into numbers of their forms.
void drawStored(mlir::ModuleOp stored, std::map<std::string, HostTensor> &arguments);

/// The arguments of the module as it was, by those of it as its weights are stored.
absl::StatusOr<std::map<std::string, HostTensor>> widenStored(mlir::ModuleOp module, mlir::ModuleOp stored,
                                                              const std::map<std::string, HostTensor> &arguments);

} // namespace kiln::test
