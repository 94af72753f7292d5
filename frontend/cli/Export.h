// `kiln export`: a model's function as an ONNX file.
#pragma once

#include "frontend/driver/Options.h"

#include <string>

namespace CLI {
class App;
}

namespace kiln {

struct ExportCommand {
  std::string onnx;              ///< the file to write
  std::string entry = "forward"; ///< which function
  int opset = 20;
  bool external = false; ///< the weights in a file beside it
};

/// The command; what describes the model is to be added by the caller.
CLI::App *addExport(CLI::App &app, ExportCommand &command);
/// The exit code; errors are told on stderr.
int commandExport(const ModelOptions &options, const ExportCommand &command);

} // namespace kiln
