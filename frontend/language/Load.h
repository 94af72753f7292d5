// From a .kiln file to the module that docs/architecture.md describes under "Modules".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "frontend/language/Source.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace kiln {

using Diagnostics = language::Diagnostics;

struct LoadOptions {
  /// Which model, where the file has several.
  std::string model;
  /// Arguments of the model: ("width", "128") or ("GPT.width", "128").
  std::vector<std::pair<std::string, std::string>> set;
  /// Upper bounds of dimensions by name.
  std::map<std::string, int64_t> bounds;
  /// The functions that are asked for by name; none for all.
  std::vector<std::string> entries;
  /// Keeps the batch of loss.train symbolic ("N"), as it is in loss.eval.
  bool symbolicBatch = false;
  /// The batch is to be cut: symbolic are those of files too (`safetensors`), where all fields of one begin with the
  /// same number, and what each shard computes by itself is marked.
  bool shards = false;
  /// Where the file has several models and none is named: all of them are checked, and there is no module.
  bool everyModel = false;
  /// Of an imported text: what its lines come from, as messages and profiles say it.
  std::vector<std::string> origins;
};

/// Loads the kiln and func dialects into the context, and the model from the file. Null after errors, which
/// `diagnostics` then holds: those of the whole file, of models that were not chosen too (with their defaults).
mlir::OwningOpRef<mlir::ModuleOp> loadModel(mlir::MLIRContext &context, const std::string &path,
                                            const LoadOptions &options, Diagnostics &diagnostics);
/// The same from text; `name` stands in locations and messages.
mlir::OwningOpRef<mlir::ModuleOp> loadModelText(mlir::MLIRContext &context, const std::string &text,
                                                const std::string &name, const LoadOptions &options,
                                                Diagnostics &diagnostics);

} // namespace kiln
