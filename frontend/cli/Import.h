// Models from elsewhere: `kiln import PATH`, and PATH in the place of a .kiln file.
#pragma once

#include "frontend/driver/Options.h"

#include <map>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace kiln {

struct ImportOptions {
  std::string path;   ///< a folder with a config.json, or a file
  std::string model;  ///< which model of its family, or what an ONNX file's is called; empty: as it names itself
  std::string output; ///< the text; empty: standard output. An ONNX file's weights lie beside it
  std::map<std::string, int64_t> bounds;   ///< of an ONNX file: upper bounds of dimensions,
  std::map<std::string, std::string> dims; ///< and dimensions that are numbers, or expressions
  bool check = false;                      ///< of an ONNX file: only list what is missing
  bool train = false;                      ///< the text has a recipe, and what training wants
  int64_t lora = 0;                        ///< the rank of adapters, which alone are trained; 0: none
  bool widen = false;                      ///< with adapters: weights in f32, not in the blocks that they are in
  bool flat = false;                       ///< of an ONNX file: what repeats is written out
  bool ops = false;                        ///< only print the table of ONNX's ops
  std::vector<std::string> rawBounds, rawDims;
};

/// --bound DIM=N and --dim DIM=EXPRESSION by name; false, after an error, where one is something else.
bool readDims(const std::vector<std::string> &rawBounds, const std::vector<std::string> &rawDims,
              std::map<std::string, int64_t> &bounds, std::map<std::string, std::string> &dims);

CLI::App *addImport(CLI::App &app, ImportOptions &options);
/// Writes the model's text. The exit code; errors are told on stderr.
int commandImport(ImportOptions &options);

/// Where the options' file is a model from elsewhere: its text, weights and tokenizer take the place of a .kiln file's.
/// The exit code, 0 where there is nothing to do; errors are told on stderr.
int importGiven(ModelOptions &options);

} // namespace kiln
