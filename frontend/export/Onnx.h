// A function of a model as an ONNX file: `kiln export --onnx`.
#pragma once

#include "ir/Kiln.h"
#include "runtime/files/Safetensors.h"

#include "absl/status/statusor.h"

#include <string>
#include <vector>

namespace kiln::exported {

struct Options {
  std::string entry = "forward"; ///< which function
  int opset = 20;                ///< 17 to 22
  std::string externalFile;      ///< the weights lie in this file beside the model's; empty: within it
};

/// A finished file: the pieces of the model one after another, and those of the external file.
struct File {
  std::string model;
  std::vector<TensorView> external; ///< one after another, each at a multiple of 4096 bytes
};

/// Where a tensor lies in the external file.
constexpr uint64_t kExternalAlignment = 4096;

/// `module`: as imported (docs/architecture.md); it is changed. `weights`: values of the parameters and persistent
/// states that the function uses, by their names; those of another width than declared are converted where every value
/// fits (as loadTensors does), all else is refused. An error names the op that ONNX does not have, and its line.
absl::StatusOr<File> exportOnnx(mlir::ModuleOp module, const Safetensors &weights, const Options &options);

/// The table of the dialect's ops and what each becomes, as Markdown.
std::string opsTable();

} // namespace kiln::exported
