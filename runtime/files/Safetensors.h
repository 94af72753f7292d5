// safetensors: named tensors in one file. https://github.com/huggingface/safetensors
#pragma once

#include "runtime/files/File.h"
#include "runtime/support/Tensor.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// The tensors of a safetensors file. All of the header is checked (its size, every offset, dtype and shape; no holes,
/// no overlaps) before a tensor is touched. Tensors are views into the mapped file, or into `bytes`.
class Safetensors {
public:
  /// `eightBits`: floats of eight bits (KILN_F8E4M3, KILN_F8E5M2), which have no host form, are taken too: whoever asks
  /// for them reads their bytes.
  static Safetensors open(const std::string &path, bool eightBits = false);
  /// `bytes` must outlive the result.
  static Safetensors parse(std::string_view bytes, const std::string &what, bool eightBits = false);
  /// Tensors from elsewhere; `owner` keeps their bytes. No name stands twice.
  static Safetensors of(std::vector<TensorView> tensors, const std::string &what, std::shared_ptr<const void> owner);
  /// The tensors of several files in one, each under the name that `rename` gives it (of which file, by what name); an
  /// empty one leaves it out. Throws Error where two come by one name. There is no metadata.
  static Safetensors join(std::vector<Safetensors> files,
                          const std::function<std::string(size_t, const std::string &)> &rename);

  const TensorView *find(const std::string &name) const;
  /// In the order of their place in the file.
  const std::vector<TensorView> &tensors() const { return tensors_; }
  const std::map<std::string, std::string> &metadata() const { return metadata_; }
  const std::string &what() const { return what_; }

private:
  std::vector<MappedFile> files_; // none where the bytes are somebody else's
  std::vector<std::shared_ptr<const void>> owners_;
  std::string what_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t> byName_;
  std::map<std::string, std::string> metadata_;
};

/// What stands before the tensors' bytes in a file of them: the header's length, and the header.
std::string safetensorsHeader(const std::vector<TensorView> &tensors,
                              const std::map<std::string, std::string> &metadata = {});

/// Writes atomically. Tensors are written in the order given, which must not repeat a name.
void writeSafetensors(const std::string &path, const std::vector<TensorView> &tensors,
                      const std::map<std::string, std::string> &metadata = {});

/// One tensor that somebody wants out of a file.
struct TensorRequest {
  std::string name;
  kiln_dtype dtype = KILN_F32;
  std::vector<int64_t> shape;
  void *data = nullptr;
  std::string original = {}; ///< of a copy: where the file has none of its name, the one that it is like
};

/// What is said of a request that the file has no tensor for; a hint is none of the names that are `wanted` themselves.
std::string missingTensor(const Safetensors &file, const TensorRequest &request, const std::set<std::string> &wanted);

/// Fills every request from the file, converting widths where every value fits. All that does not match (missing names,
/// shapes, dtypes, and, with `exact`, names that nobody asked for) is listed in one Error, and then nothing was filled.
void loadTensors(const Safetensors &file, const std::vector<TensorRequest> &requests, bool exact);
/// The same without filling them.
void checkTensors(const Safetensors &file, const std::vector<TensorRequest> &requests, bool exact);
/// What that Error would list.
std::vector<std::string> tensorMisfits(const Safetensors &file, const std::vector<TensorRequest> &requests, bool exact);

} // namespace kiln
