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

/// What makes a text's embedding of its tokens.
struct Sentences {
  std::string pooling; ///< "mean", "cls", "max", "lasttoken", or what the file calls it; empty: there is none
  bool normalized = false;
  std::optional<SentenceDense> dense;
};

/// modules.json and the folders that it names: `pooling`, `normalized` and `longest` become settings. None where there
/// is no such file. Throws Error for a module that is not known.
std::optional<Sentences> readSentenceModules(const std::string &folder, Settings &settings);

/// The model that the folder is for where nobody asked for one: of a language model the one without a head. Else empty.
std::string modelFor(const Sentences &sentences, const Settings &settings);

/// The model with `embed` as these modules have it, where its family's text has none of its own (a language model), and
/// with the layer behind the pooling, whose weights are joined to the model's. Throws Error for a way of pooling that
/// is not known, and where the layer's weights are not there. A model that gives no states stays as it is.
void addSentences(Imported &imported, const std::string &folder, const Sentences &sentences);

} // namespace kiln::huggingface
