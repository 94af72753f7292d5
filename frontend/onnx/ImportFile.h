// An ONNX file imported for a command line: whatever is wrong is a list of sentences.
#pragma once

#include "frontend/onnx/Import.h"
#include "runtime/files/Safetensors.h"

#include <string>
#include <vector>

namespace kiln::onnx {

/// The text of a file, its weights, and what else there is to say. `problems` is empty where all went well.
struct ImportedFile {
  std::string text;
  Safetensors weights; ///< mapped where they lie in the file as they are
  std::vector<std::string> problems;
  std::vector<std::string> origins;         ///< of its lines: the nodes
  std::vector<std::string> open;            ///< dimensions without a bound
  std::vector<OpenDim> dims;                ///< all that are open
  std::map<std::string, int64_t> bounds;    ///< what was given, and what it became, by the text's names
  std::map<std::string, std::string> sizes; ///< the same of dimensions that are numbers or expressions
  std::map<std::string, std::string> added; ///< of these what nobody has given: the graph is right for no others
  bool wouldFit = false;   ///< beside problems: with `sizes`, `bounds` and bounds for what is open all would go well
  bool lossIsOpen = false; ///< of a recipe: the loss is left to name
};

/// Reads and imports. Without a name, the model is called after the file. Does not throw.
ImportedFile importFile(const std::string &path, ImportOptions options);

/// "my-model.v2.onnx": "MyModelV2".
std::string modelName(const std::string &path);

} // namespace kiln::onnx
