// DeepSeek's attention, whose keys and values are made of one narrow row a token, as llama.cpp has it: its settings,
// and the matrix that makes them, which newer files have in two.
#pragma once

#include "frontend/gguf/Reader.h"
#include "runtime/files/Safetensors.h"

#include <functional>

namespace kiln::gguf {

/// Tells each setting of a folder's config.json, as JSON, and the file's key of it. `architecture`: what the keys begin
/// with. Throws Error.
void latentSettings(const File &file, const std::string &architecture,
                    const std::function<void(const char *ours, const std::string &json, const std::string &key)> &tell);

/// Whether the scores of experts are sigmoids (version 3), not a softmax (version 2). Throws Error.
bool choosesBySigmoid(const File &file, const std::string &architecture);

/// A head's rows for keys, which stand transposed in their file's tensor, and behind them those for values: what
/// `kv_b_proj` is made of. Made when it is read.
class JoinedHeads final : public TensorSource {
public:
  /// Throws Error where the two do not fit together. `what`: the file.
  JoinedHeads(const TensorInfo &keys, const TensorInfo &values, const std::string &what);

  std::vector<int64_t> shape() const { return {heads_ * (keyRows_ + valueRows_), width_}; }
  void make(const TensorView &view, uint8_t *to) const override;

private:
  const TensorInfo &keys_, &values_;
  int64_t heads_ = 0, keyRows_ = 0, valueRows_ = 0, width_ = 0;
};

} // namespace kiln::gguf
