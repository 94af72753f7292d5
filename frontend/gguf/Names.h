// Architectures and tensors by llama.cpp's names, and by Hugging Face's.
#pragma once

#include <string>

namespace kiln::gguf {

struct Architecture {
  const char *theirs, *modelType, *model;
  const char *layers = "model.layers."; ///< what the names of a layer's tensors begin with
};

/// Null where it is not known; `known` is then a list of those that are.
const Architecture *architectureCalled(const std::string &name, std::string &known);
/// What `llama` is where it has experts, and where it has a window; what `olmo2` is where it has one; what
/// `deepseek2` is where experts are chosen by a sigmoid.
extern const Architecture mixtral, mistral, olmo3, deepseek3;

/// A layer's part, one of a stack of experts ("*" stands for its number), a tensor of the whole model; empty where that
/// is not known.
std::string partCalled(const std::string &name, const std::string &architecture);
std::string stackCalled(const std::string &name, const std::string &architecture);
std::string wholeCalled(const std::string &name, const std::string &architecture);

} // namespace kiln::gguf
