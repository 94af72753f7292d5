// A model's file, and the files that it takes declarations from.
#pragma once

#include "frontend/language/Ast.h"

#include <optional>

namespace kiln::language {

/// The file and all that it imports, directly or not, each once; the model's own last. Import statements point to what
/// they name. A path is relative to the folder of the file that it stands in.
std::vector<std::unique_ptr<File>> parseWithImports(std::unique_ptr<SourceFile> own, Diagnostics &diagnostics);

/// The paths of the files that one imports, directly or not; what is wrong with them is found when the model is loaded.
std::vector<std::string> importedFiles(const std::string &path);

/// The tokenizer.json that a file names by its constant `tokenizer = "NAME.json"`, else that of a file that it takes a
/// model from; seen from the file that names it. Empty where none does.
std::string tokenizerFile(const std::string &path);

/// The text of a model's file. Nullopt where it cannot be read; `why` is what the system says.
std::optional<std::string> readText(const std::string &path, std::string &why);

} // namespace kiln::language
