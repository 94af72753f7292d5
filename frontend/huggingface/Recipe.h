// `kiln import --train`: the recipe behind the text of a model of Hugging Face.
#pragma once

#include "frontend/huggingface/Folder.h"

#include <string>
#include <vector>

namespace kiln::huggingface {

struct Recipe {
  std::string text;        ///< the `train` block
  bool lossIsOpen = false; ///< what it minimises is left to name
};

/// How a recipe loads the folder's weights: load("PATH", prefix="bert", …). `path`: as the recipe calls the file;
/// `partial`: the model may have parts that they lack.
std::string loadText(const Imported &imported, const std::string &path, bool partial);

/// The recipe of a model: its data by what the model's class says it is for, and their obvious loss. `weights`: an
/// expression; `tokenizer`: the path of the tokenizer.json, empty where there is none (the data are then numbers).
/// `adapted`: only adapters are trained (Adapters.h).
Recipe recipeOf(const Imported &imported, const std::string &weights, const std::string &tokenizer,
                bool adapted = false);

} // namespace kiln::huggingface
