// Tokens to the syntax tree.
#pragma once

#include "frontend/language/Ast.h"

namespace kiln::language {

/// Parses a file. After an error it goes on with the next statement, so that all of a file's errors are found; what
/// could not be parsed is left out.
std::unique_ptr<File> parse(std::unique_ptr<SourceFile> source, Diagnostics &diagnostics);

/// What an error says where something else stands at the top level.
inline constexpr const char *topLevelWords =
    "at the top level stand from, module, model, def, op, train, generate and NAME = value";

/// The standard modules' files.
std::vector<std::unique_ptr<File>> parseLibrary(Diagnostics &diagnostics);

} // namespace kiln::language
