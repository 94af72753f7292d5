// Parses a file with the library and what it takes from others, elaborates its model, and expands its derivatives.

#include "frontend/language/Load.h"

#include "frontend/language/Elaborate.h"
#include "frontend/language/Imports.h"
#include "frontend/language/Parser.h"
#include "ir/Places.h"
#include "passes/ExpandGradients/ExpandGradients.h"
#include "runtime/support/Utf8.h"

namespace kiln {

namespace language {
struct LibraryFile {
  const char *name, *text;
  size_t size;
};
extern const LibraryFile libraryFiles[];
extern const size_t libraryFileCount;
} // namespace language

std::vector<std::unique_ptr<language::File>> language::parseLibrary(Diagnostics &diagnostics) {
  std::vector<std::unique_ptr<File>> files;
  for (size_t i = 0; i < libraryFileCount; ++i) {
    const LibraryFile &file = libraryFiles[i];
    files.push_back(parse(std::make_unique<SourceFile>(std::string("nn/") + file.name,
                                                       std::string(file.text, file.size), SourceFile::Role::Library),
                          diagnostics));
  }
  return files;
}

using namespace language;

/// Where a place of an op is in these files; nowhere where it is in none of them.
static Range rangeOf(mlir::Location location, const std::vector<const File *> &files) {
  mlir::FileLineColLoc place = fileLocation(location);
  for (const File *file : files)
    if (place && place.getFilename() == file->source->name()) {
      uint32_t at = file->source->offset(place.getLine(), place.getColumn());
      return {file->source.get(), at, at};
    }
  return {};
}

/// Derivatives within functions, as the ops that compute them; what has none is an error of the text.
static void expandGradientsOf(mlir::ModuleOp module, const std::vector<const File *> &files, Diagnostics &diagnostics) {
  mlir::ScopedDiagnosticHandler handler(module.getContext(), [&](mlir::Diagnostic &found) {
    diagnostics.error(rangeOf(found.getLocation(), files), found.str());
    return mlir::success();
  });
  if (mlir::failed(expandGradients(module)) && !diagnostics.hasErrors())
    diagnostics.error({}, "a derivative that the model asks for cannot be computed");
}

mlir::OwningOpRef<mlir::ModuleOp> loadModelText(mlir::MLIRContext &context, const std::string &text,
                                                const std::string &name, const LoadOptions &options,
                                                Diagnostics &diagnostics) {
  context.loadDialect<KilnDialect, mlir::func::FuncDialect>();
  // The syntax trees outlive the diagnostics' rendering: ranges point into their texts.
  auto keep = [&](std::unique_ptr<File> file) -> const File & {
    diagnostics.keep(std::shared_ptr<const void>(std::move(file)));
    return *static_cast<const File *>(diagnostics.kept());
  };
  std::vector<const File *> files;
  for (std::unique_ptr<File> &file : parseLibrary(diagnostics))
    files.push_back(&keep(std::move(file)));
  std::string own = text.starts_with(byteOrderMark) ? text.substr(byteOrderMark.size()) : text;
  auto source = std::make_unique<SourceFile>(name, std::move(own));
  source->setOrigins(options.origins);
  size_t library = files.size();
  for (std::unique_ptr<File> &file : parseWithImports(std::move(source), diagnostics))
    files.push_back(&keep(std::move(file)));
  bool wellFormed = !diagnostics.hasErrors();
  auto declareAll = [&](Elaborator &elaborator) {
    for (const File *file : files)
      elaborator.declare(*file);
  };
  Elaborator elaborator(context, diagnostics, options);
  declareAll(elaborator);
  elaborator.checkFiles();
  mlir::OwningOpRef<mlir::ModuleOp> module;
  bool everyModel = options.everyModel && options.model.empty() && elaborator.models().size() > 1;
  if (!everyModel)
    module = elaborator.run();
  // The errors of everything else in the file, in the same run.
  for (const Stmt *model : elaborator.models()) {
    if (model == elaborator.chosen())
      continue;
    LoadOptions defaults;
    for (const auto &setting : options.set)
      if (setting.first.starts_with(model->name + "."))
        defaults.set.push_back(setting);
    Elaborator other(context, diagnostics, defaults);
    declareAll(other);
    other.check(*model);
  }
  if (wellFormed) // else a name may be unknown for its declaration's sake
    for (size_t i = library; i < files.size(); ++i)
      elaborator.checkNames(*files[i]);
  if (module && !diagnostics.hasErrors())
    expandGradientsOf(*module, files, diagnostics);
  if (diagnostics.hasErrors())
    return nullptr;
  return module;
}

mlir::OwningOpRef<mlir::ModuleOp> loadModel(mlir::MLIRContext &context, const std::string &path,
                                            const LoadOptions &options, Diagnostics &diagnostics) {
  std::string why;
  std::optional<std::string> text = readText(path, why);
  if (!text) {
    diagnostics.error({}, "cannot read the model '" + path + "': " + why);
    return nullptr;
  }
  return loadModelText(context, *text, path, options, diagnostics);
}

} // namespace kiln
