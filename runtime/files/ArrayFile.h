// Named arrays: NumPy's .npz and .npy, a folder of .npy files, safetensors.
#pragma once

#include "runtime/files/Safetensors.h"
#include "runtime/support/Tensor.h"

#include <memory>
#include <string>
#include <vector>

namespace kiln {

class ArrayFile {
public:
  /// Of what is there by these names, arrays alone; those of a .npz are read whole, others are mapped. A .npy file has
  /// no name for its array: where one is asked for it is that. Throws Error.
  ArrayFile(const std::string &path, const std::vector<std::string> &names);

  const TensorView *find(const std::string &name) const;
  /// The file, for messages.
  const std::string &what() const { return what_; }
  /// "'x', 'y'": all that the file has.
  std::string has() const;

private:
  void readArchive(const std::string &path, const std::vector<std::string> &names);
  void readTensors(const std::string &path);
  void readOne(const std::string &path, const std::vector<std::string> &names);
  void readFolder(const std::string &path, const std::vector<std::string> &names);
  void addNpy(const std::string &name, std::string_view bytes, const std::string &what,
              std::shared_ptr<const void> owner);

  std::string what_;
  std::vector<std::string> all_;
  std::vector<TensorView> arrays_;
  std::vector<std::shared_ptr<const void>> owners_;
};

} // namespace kiln
