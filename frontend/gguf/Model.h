// A GGUF file as a Kiln text and its weights: the families of frontend/huggingface by llama.cpp's names.
#pragma once

#include "frontend/gguf/Reader.h"
#include "frontend/huggingface/Folder.h"

#include <string>

namespace kiln::gguf {

/// Is it a file whose name ends so?
bool isGguf(const std::string &path);

/// The model of a file. Blocks of quantised numbers are widened to f32, or, with `keepBlocks`, those of matrices stay
/// what they are: NAME of bytes or halves of them, NAME.scales, and NAME.minimums where there are some, as a program
/// stores them. Tensors that are plain stay as they are, mapped. `architecture`: the model, where it is not the one
/// that goes on with a text. Throws Error: what is damaged, missing or not known.
huggingface::Imported modelOf(File file, const std::string &architecture = "", bool keepBlocks = false);
huggingface::Imported readModel(const std::string &path, const std::string &architecture = "", bool keepBlocks = false);

} // namespace kiln::gguf
