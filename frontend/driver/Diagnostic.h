// What a compile has to say, as data: for a terminal, a language server or another language.
#pragma once

#include "frontend/language/Source.h"

#include "mlir/IR/Diagnostics.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::driver {

/// A piece of a file. Lines and columns count from 1, columns in characters; the end is behind the last one. A place
/// whose end is not known ends where it begins; one that is in no file has an empty name.
struct Range {
  std::string file;
  uint32_t line = 0, column = 0, endLine = 0, endColumn = 0;
};

struct Note {
  Range at;
  std::string text;
};

struct Diagnostic {
  enum class Severity { error, warning };
  Severity severity = Severity::error;
  Range at;
  std::string text;
  std::vector<Note> notes;
  std::string help; ///< what to do; may be empty
};

/// The errors of the model's text, in the order in which they are shown.
std::vector<Diagnostic> diagnosticsOf(const language::Diagnostics &diagnostics);
/// A pass's or verifier's error.
Diagnostic diagnosticOf(const mlir::Diagnostic &diagnostic);

} // namespace kiln::driver
