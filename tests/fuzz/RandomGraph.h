// Random models: small functions over the primitives and composites, for comparing the compiler with the interpreter.
#pragma once

#include "ir/Kiln.h"
#include "ir/interpreter/HostTensor.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kiln::test {

struct RandomGraph {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// Values for every argument, by name.
  std::map<std::string, HostTensor> arguments;
  /// Of the symbols, in this run.
  std::map<std::string, int64_t> symbols;
  /// And in further runs.
  std::vector<std::map<std::string, int64_t>> further;
  /// What the arguments' values follow from.
  uint64_t argumentSeed = 0;
};

/// Of the layers with operands of their own.
enum class LayerKind { any, attention, scores, stored };

struct RandomGraphOptions {
  int ops = 12;
  /// A dimension of the arguments may be a symbol, N.
  bool symbolic = false;
  /// Another one, M, too; the graph is to be run at several extents.
  bool twoSymbols = false;
  /// A loss and its gradients (entries "grad" and "train_step"), else outputs (entry "f").
  bool gradients = false;
  /// Loops, branches, states, integers and other float types too.
  bool everything = false;
  /// Layers whose operands are arguments of their own.
  bool layers = false;
  LayerKind kind = LayerKind::any;
};

/// The same module for the same seed. The functions are smooth and bounded where gradients are asked for, so that a
/// comparison in f32 is fair.
RandomGraph randomGraph(mlir::MLIRContext &context, uint64_t seed, const RandomGraphOptions &options = {});

/// The name that an argument has as an input, a parameter or a state.
std::string argumentName(mlir::func::FuncOp function, unsigned index);
/// Values for a function's arguments: each follows from the seed and its name. Integers are 0, 1 or 2; of parameters,
/// which are blocks of numbers, all that their type has, of their orders each place once.
std::map<std::string, HostTensor> randomArguments(mlir::func::FuncOp function,
                                                  const std::map<std::string, int64_t> &symbols, uint64_t seed);

} // namespace kiln::test
