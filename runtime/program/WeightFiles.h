// Weights as people have them: several files, shards with an index, a part of a model, names by another scheme.
#pragma once

#include "runtime/files/Safetensors.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln {

/// Which files, and how their tensors are called in the model.
struct WeightChoice {
  struct File {
    std::string path;   ///< safetensors, or the JSON index of several beside it
    std::string prefix; ///< "encoder": its tensors are the model's `encoder.…`
  };
  std::vector<File> files;
  std::vector<std::string> strip;                           ///< beginnings of names that the model does not have
  std::vector<std::pair<std::string, std::string>> renames; ///< patterns with at most one `*` each
  std::vector<std::string> ignore;                          ///< patterns of names that are not looked at
  bool partial = false;                                     ///< what fits is taken, the rest is told
  bool eightBits = false;                                   ///< floats of eight bits are taken too (Safetensors::open)

  bool empty() const { return files.empty(); }
  static WeightChoice of(const std::string &path) {
    WeightChoice choice;
    choice.files.push_back({path, ""});
    return choice;
  }
};

/// Whether a name is of the pattern, in which each `*` stands for any characters.
bool matchesPattern(std::string_view pattern, std::string_view name);

/// The files' tensors by the model's names, none of them looked at. Throws Error.
Safetensors openWeightFiles(const WeightChoice &choice);

/// Without what the model does not want and need not: buffers that it computes, second names of what it takes.
Safetensors withoutSpare(Safetensors file, const std::vector<TensorRequest> &requests);

/// Fills the requests from the files: all of them, and nothing else may be there but what a checkpoint of training
/// holds beside weights, buffers that a model computes (`num_batches_tracked`, `position_ids`, …), and a second name of
/// the same bytes (a tied weight). Throws one Error that lists all that does not fit; nothing was filled then. With
/// `partial` what fits is filled, and the lines of the note that comes back (none where all fits) say what does not;
/// none fits at all: an Error.
std::vector<std::string> loadWeightFiles(const WeightChoice &choice, const std::vector<TensorRequest> &requests);

/// As above, without filling anything: throws, or gives the lines.
std::vector<std::string> checkWeightFiles(const WeightChoice &choice, const std::vector<TensorRequest> &requests);

} // namespace kiln
