#include "frontend/cli/Installed.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstdio>

namespace kiln {

Installation &installed() {
  static Installation installation = [] {
    llvm::SmallString<256> path(llvm::sys::fs::getMainExecutable(nullptr, nullptr));
    llvm::sys::path::remove_filename(path);
    llvm::sys::path::append(path, "..", "lib");
    llvm::sys::path::remove_dots(path, /*remove_dot_dot=*/true);
    return Installation(path.str().str());
  }();
  return installation;
}

absl::Status loadPrinting(Compilation &compilation) {
  absl::Status status = compilation.load();
  const std::string &text = compilation.renderedText();
  std::fwrite(text.data(), 1, text.size(), stderr);
  return status;
}

absl::Status compileToPlan(Compilation &compilation) {
  absl::Status status = loadPrinting(compilation);
  if (status.ok())
    status = compilation.runPasses();
  if (status.ok())
    status = compilation.plan();
  return status;
}

absl::Status compileAll(Compilation &compilation, const std::string &emit) {
  absl::Status status = compileToPlan(compilation);
  if (status.ok())
    status = compilation.generate(emit);
  return status;
}

} // namespace kiln
