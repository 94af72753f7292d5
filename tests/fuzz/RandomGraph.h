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
  /// Of the symbols, in this run.
  std::map<std::string, int64_t> symbols;
  /// What the arguments' values follow from.
  uint64_t argumentSeed = 0;
};

struct RandomGraphOptions {
  int ops = 12;
  /// A dimension of the arguments may be a symbol.
  bool symbolic = false;
  /// A loss and its gradients (entries "grad" and "train_step"), else outputs (entry "f").
  bool gradients = false;
  /// Loops, branches, states, integers and other float types too.
  bool everything = false;
  /// Layers whose operands are arguments of their own.
  bool layers = false;
};

/// The same module for the same seed. The functions are smooth and bounded where gradients are asked for, so that a
/// comparison in f32 is fair.
RandomGraph randomGraph(mlir::MLIRContext &context, uint64_t seed, const RandomGraphOptions &options = {});

/// The name that an argument has as an input, a parameter or a state.
std::string argumentName(mlir::func::FuncOp function, unsigned index);
/// Values for a function's arguments: each follows from the seed and its name. Integers are 0, 1 or 2.
std::map<std::string, HostTensor> randomArguments(mlir::func::FuncOp function,
                                                  const std::map<std::string, int64_t> &symbols, uint64_t seed);

} // namespace kiln::test
