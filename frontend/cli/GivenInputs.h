// What a user gives `kiln check --gradients` to compute with. No MLIR here: the readers of the runtime throw.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kiln {

/// An input of the loss: widened, as the interpreter holds it.
struct GivenInput {
  std::string name; ///< "ids" or "data.ids"
  std::string from; ///< for messages: the file, or the source of data
  std::vector<int64_t> shape;
  bool isFloat = true;
  std::vector<double> floats;
  std::vector<int64_t> integers;
  bool manyRows = false; ///< a batch of a recipe's data: some rows of it are enough
};

struct GivenInputs {
  std::vector<GivenInput> inputs;
  std::string error; ///< empty where all could be read
};

/// Of NAME=PATH, as --data has them, the paths by name. Throws Error for another form, and for a name that stands
/// twice.
std::map<std::string, std::string> dataPaths(const std::vector<std::string> &assignments);

/// NAME=FILE.npy or NAME=FILE.safetensors, as `run` takes them.
GivenInputs readInputFiles(const std::vector<std::string> &assignments);

/// The first training batch of the sources named by NAME=PATH, read as the program of this manifest reads them.
GivenInputs readFirstBatches(const std::string &manifest, const std::vector<std::string> &assignments, uint32_t seed);

} // namespace kiln
