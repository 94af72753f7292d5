// What a file of weights has to hold for a program.
#pragma once

#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/program/Image.h"
#include "runtime/program/Manifest.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// What a session state's name begins with in a checkpoint.
inline constexpr std::string_view sessionPrefix = "session.";

/// The weights that a program carries, as they lie in its file: mapped while this lives.
class OwnWeights {
public:
  /// For an image that has some. Throws Error where the file has them no longer.
  explicit OwnWeights(const kiln_program_image &image);
  const Safetensors &tensors() const { return tensors_; }

private:
  MappedFile file_;
  Safetensors tensors_;
};

/// Weights that a program is to carry, which are in no file of their own yet.
struct WeightSet {
  Safetensors tensors;
  std::map<std::string, std::string> metadata;
};

/// A checkpoint holds the optimizer's and the session's states beside the weights; only those are passed over.
std::span<const std::string_view> tensorsOfTraining();

/// Why no program starts with this manifest; empty where one does.
std::string manifestMisfit(const std::string &text);

/// Why the file's tensors are not the weights of the program: names, shapes, dtypes, or the file is none. Empty where
/// they are.
std::string weightsMisfit(const Manifest &manifest, const std::string &path);
/// What a file of weights has to hold for a program.
std::vector<TensorRequest> requestsOf(const Manifest &manifest);
/// The same of a set, which is left without what the program does not need.
std::string weightsMisfit(const Manifest &manifest, WeightSet &weights);

} // namespace kiln
