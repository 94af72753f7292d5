#include "frontend/driver/Diagnostic.h"

#include "ir/Places.h"

namespace kiln::driver {

static Range rangeOf(const language::Range &at) {
  if (!at)
    return {};
  const language::SourceFile &file = *at.file;
  return {file.place(file.line(at.begin)), file.line(at.begin), file.column(at.begin), file.line(at.end),
          file.column(at.end)};
}

std::vector<Diagnostic> diagnosticsOf(const language::Diagnostics &diagnostics) {
  std::vector<Diagnostic> result;
  for (const language::Diagnostic *one : diagnostics.ordered()) {
    Diagnostic &diagnostic = result.emplace_back();
    diagnostic.at = rangeOf(one->at);
    diagnostic.text = one->message;
    if (one->severity == language::Diagnostic::Severity::Warning)
      diagnostic.severity = Diagnostic::Severity::warning;
    for (const language::Note &note : one->notes)
      diagnostic.notes.push_back({rangeOf(note.at), note.message});
    diagnostic.help = one->help;
  }
  return result;
}

static Range rangeOf(mlir::Location location) {
  mlir::FileLineColLoc file = fileLocation(location);
  if (!file)
    return {};
  return {file.getFilename().str(), file.getLine(), file.getColumn(), file.getLine(), file.getColumn()};
}

Diagnostic diagnosticOf(const mlir::Diagnostic &diagnostic) {
  Diagnostic result;
  result.severity = diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error ? Diagnostic::Severity::error
                                                                                : Diagnostic::Severity::warning;
  result.at = rangeOf(diagnostic.getLocation());
  result.text = diagnostic.str();
  for (const mlir::Diagnostic &note : const_cast<mlir::Diagnostic &>(diagnostic).getNotes())
    result.notes.push_back({rangeOf(note.getLocation()), note.str()});
  return result;
}

} // namespace kiln::driver
