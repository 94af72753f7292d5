// The one tensor that a user means by NAME=FILE: a .npy file's, or one of a .safetensors file's.
#pragma once

#include "runtime/files/Safetensors.h"
#include "runtime/support/Tensor.h"

#include <optional>
#include <string>

namespace kiln {

class InputTensor {
public:
  /// Among several, the one with the user's name, or the input's own; "data.ids" is also called "ids".
  InputTensor(const std::string &path, const std::string &name, const std::string &input);
  const TensorView &view() const { return view_; }

private:
  Tensor array_;
  std::optional<Safetensors> file_;
  TensorView view_; // into one of them
};

} // namespace kiln
