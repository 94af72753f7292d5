#include "frontend/language/Load.h"

#include "frontend/language/Elaborate.h"
#include "frontend/language/Parser.h"
#include "runtime/support/Utf8.h"

#include <fstream>
#include <sstream>

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
                                                       std::string(file.text, file.size), /*isLibrary=*/true),
                          diagnostics));
  }
  return files;
}

using namespace language;

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
  files.push_back(&keep(parse(std::move(source), diagnostics)));
  bool wellFormed = !diagnostics.hasErrors();
  auto declareAll = [&](Elaborator &elaborator) {
    for (const File *file : files)
      elaborator.declare(*file);
  };
  Elaborator elaborator(context, diagnostics, options);
  declareAll(elaborator);
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
    elaborator.checkNames(*files.back());
  if (diagnostics.hasErrors())
    return nullptr;
  return module;
}

mlir::OwningOpRef<mlir::ModuleOp> loadModel(mlir::MLIRContext &context, const std::string &path,
                                            const LoadOptions &options, Diagnostics &diagnostics) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  if (!stream || !(text << stream.rdbuf() || stream.eof())) {
    diagnostics.error({}, "cannot read the model '" + path + "'").withHelp("is the path right, and the file readable?");
    return nullptr;
  }
  return loadModelText(context, text.str(), path, options, diagnostics);
}

} // namespace kiln
