// How many words, characters or classes the data or the weights have that a program is given, for what the model's
// text has room for. No MLIR here: the readers of the runtime throw.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kiln {

/// An input of a recipe whose numbers choose among so many rows or classes.
struct SizedInput {
  std::string name;   ///< "data.ids"
  std::string suffix; ///< of its recipe's entries
  int64_t below = 0;
  std::vector<std::string> by; ///< the model's arguments, and its file's constants, that are `below` and may grow
  bool alone = false;          ///< nothing else is `below`
};

/// What an input has to have room for, and has not.
struct NeededSize {
  const SizedInput *input = nullptr;
  int64_t count = 0;
  std::string why; ///< for people
};

struct DataSizes {
  std::vector<NeededSize> needed;
  std::string error; ///< empty where all could be read
};

/// Whether one of these files says what it was trained on. False for what cannot be read.
bool sayWhatTheyKnow(const std::vector<std::string> &weights);

/// `manifest`: the model's recipes (host::writeRecipes). `inputs` outlive what comes back. `data`: NAME=PATH, of which
/// those are read that fill one of `inputs`; `weights`: safetensors files, by which data are read, and which say what
/// they were trained on; where they are `fixed`, data that have more change nothing.
DataSizes sizesForData(const std::string &manifest, const std::vector<SizedInput> &inputs,
                       const std::vector<std::string> &data, const std::vector<std::string> &weights, bool fixed);

} // namespace kiln
