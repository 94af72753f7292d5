// Random models: small functions over the primitives and composites, for comparing the compiler with the interpreter.
#pragma once

#include "ir/Kiln.h"
#include "ir/interpreter/HostTensor.h"

#include <cstdint>
#include <map>
#include <string>

namespace kiln::test {

struct RandomGraph {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// Values for every argument, by name.
  std::map<std::string, HostTensor> arguments;
};

struct RandomGraphOptions {
  int ops = 12;
  /// A dimension of the arguments may be a symbol.
  bool symbolic = false;
  /// A loss and its gradients (entries "grad" and "train_step"), else outputs (entry "f").
  bool gradients = false;
};

/// The same module for the same seed. The functions are smooth and bounded where gradients are asked for, so that a
/// comparison in f32 is fair.
RandomGraph randomGraph(mlir::MLIRContext &context, uint64_t seed, const RandomGraphOptions &options = {});

} // namespace kiln::test
