// Models from elsewhere: `kiln import PATH`, and PATH in the place of a .kiln file.
#pragma once

#include "frontend/driver/Options.h"

#include <string>

namespace CLI {
class App;
}

namespace kiln {

struct ImportOptions {
  std::string path;   ///< a folder with a config.json
  std::string model;  ///< which model of its family; empty: the one that it names
  std::string output; ///< the text; empty: standard output
};

CLI::App *addImport(CLI::App &app, ImportOptions &options);
/// Writes the model's text. The exit code; errors are told on stderr.
int commandImport(const ImportOptions &options);

/// Where the options' file is a model from elsewhere: its text, weights and tokenizer take the place of a .kiln file's.
/// The exit code, 0 where there is nothing to do; errors are told on stderr.
int importGiven(ModelOptions &options);

} // namespace kiln
