// A model's file, and the files that it takes declarations from.
#pragma once

#include "frontend/language/Ast.h"

#include <optional>

namespace kiln::language {

/// The file and all that it imports, directly or not, each once; the model's own last. Import statements point to what
/// they name. A path is relative to the folder of the file that it stands in.
std::vector<std::unique_ptr<File>> parseWithImports(std::unique_ptr<SourceFile> own, Diagnostics &diagnostics);

/// What a model's file takes from others. What is wrong with them is found when the model is loaded.
struct FilesBeside {
  std::vector<std::string> imported; ///< directly or not
  /// The tokenizer.json that the constant `tokenizer = "NAME.json"` names, else that of a file that a model is taken
  /// from; seen from the file that names it. Empty where none does.
  std::string tokenizer;
};

FilesBeside filesBeside(const std::string &path);

/// The text of a model's file. Nullopt where it cannot be read; `why` is what the system says.
std::optional<std::string> readText(const std::string &path, std::string &why);

} // namespace kiln::language
