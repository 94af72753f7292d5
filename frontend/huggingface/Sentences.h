// What sentence-transformers keeps beside a model: how a text's embedding comes of its tokens.
#pragma once

#include "frontend/huggingface/Folder.h"

#include <optional>
#include <string>

namespace kiln::huggingface {

/// A layer behind the pooling (2_Dense).
struct SentenceDense {
  std::string place, activation; ///< the folder; Kiln's function, empty for none
  int64_t inputs = 0, outputs = 0;
  bool bias = true;
};

/// modules.json and the folders that it names: `pooling`, `normalized` and `longest` become settings. Throws Error for
/// a module that is not known.
std::optional<SentenceDense> readSentenceModules(const std::string &folder, Settings &settings);

/// The model with this layer between the pooling and the norm of its `embed`. Its weights are joined to the model's.
/// Throws Error where they are not there; a model without `embed` stays as it is.
void addDense(Imported &imported, const std::string &folder, const SentenceDense &dense);

} // namespace kiln::huggingface
