// How many words, characters or classes the data or the weights have that a program is given, for the model's arguments
// that say so. No MLIR here: the readers of the runtime throw.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kiln {

/// An input of a recipe whose numbers choose among so many rows or classes.
struct SizedInput {
  std::string name;   ///< "data.ids"
  std::string suffix; ///< of its recipe's entries
  int64_t below = 0;
  std::string by; ///< the model's argument that is `below`
};

struct NeededSize {
  int64_t count = 0;
  std::string why; ///< for people
};

struct DataSizes {
  std::map<std::string, NeededSize> arguments; ///< those that are too small, and what they have to be
  std::string error;                           ///< empty where all could be read
};

/// Whether one of these files says what it was trained on. False for what cannot be read.
bool sayWhatTheyKnow(const std::vector<std::string> &weights);

/// `manifest`: the model's recipes (host::writeRecipes). `data`: NAME=PATH, of which those are read that fill one of
/// `inputs`; `weights`: safetensors files, by which data are read, and which say what they were trained on; where they
/// are `fixed`, data that have more change nothing.
DataSizes sizesForData(const std::string &manifest, const std::vector<SizedInput> &inputs,
                       const std::vector<std::string> &data, const std::vector<std::string> &weights, bool fixed);

} // namespace kiln
