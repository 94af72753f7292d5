#include "frontend/cli/Cache.h"

#include "frontend/cli/Compile.h"
#include "frontend/cli/Files.h"

#include "absl/strings/str_cat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/TargetParser/Host.h"

#include <cstdlib>

namespace kiln {

namespace {

/// Each part is preceded by its length, so that no two lists of parts hash alike by running together.
void add(llvm::SHA256 &hash, llvm::StringRef part) {
  hash.update(absl::StrCat(part.size(), ":"));
  hash.update(part);
}

absl::Status addFile(llvm::SHA256 &hash, const std::string &path) {
  if (absl::Status input = checkInput(path); !input.ok())
    return input;
  llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", buffer.getError().message()));
  add(hash, (*buffer)->getBuffer());
  return absl::OkStatus();
}

absl::StatusOr<std::string> cacheFolder() {
  llvm::SmallString<256> folder;
  if (const char *xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg)
    folder = xdg;
  else if (const char *home = std::getenv("HOME"); home && *home)
    llvm::sys::path::append(folder, home, ".cache");
  else
    return absl::FailedPreconditionError("no folder for built programs: set XDG_CACHE_HOME or HOME, or use `kiln build "
                                         "-o PROGRAM`");
  llvm::sys::path::append(folder, "kiln");
  if (std::error_code error = llvm::sys::fs::create_directories(folder))
    return absl::UnavailableError(absl::StrCat("cannot create ", folder.str().str(), ": ", error.message(),
                                               "; set XDG_CACHE_HOME to a folder that can be written"));
  return folder.str().str();
}

} // namespace

absl::StatusOr<std::string> cachePath(const ModelOptions &options) {
  llvm::SHA256 hash;
  // The compiler itself, what it links, and the backend: their files' sizes and times change with every build.
  std::string why;
  std::shared_ptr<host::Backend> backend = backends().find(options.backend, why);
  if (!backend)
    return absl::InvalidArgumentError(why);
  for (const std::string &file : {llvm::sys::fs::getMainExecutable(nullptr, nullptr), backend->origin(),
                                  absl::StrCat(libraryFolder(), "/libkiln_program.a"),
                                  absl::StrCat(libraryFolder(), "/libkiln_", backend->name(), "_run.a")}) {
    llvm::sys::fs::file_status status;
    if (!llvm::sys::fs::status(file, status))
      add(hash, absl::StrCat(file, status.getSize(), status.getLastModificationTime().time_since_epoch().count()));
  }
  if (absl::Status read = addFile(hash, options.file); !read.ok())
    return read;
  if (!options.weights.empty())
    if (absl::Status read = addFile(hash, options.weights); !read.ok())
      return read;
  llvm::SmallString<256> full(options.file);
  if (std::error_code error = llvm::sys::fs::make_absolute(full))
    return absl::UnavailableError(absl::StrCat("cannot find the folder of ", options.file, ": ", error.message()));
  add(hash, full);
  for (const std::string &part :
       {options.model, options.backend, options.targetCpu, options.triple, options.targetDevice, options.math})
    add(hash, part);
  if (options.redZones)
    add(hash, "red zones");
  if (llvm::StringRef(options.targetCpu).split(':').first == "native")
    add(hash, llvm::sys::getHostCPUName());
  for (const auto &[name, value] : options.set)
    add(hash, absl::StrCat("set ", name, "=", value));
  for (const auto &[name, bound] : options.bounds)
    add(hash, absl::StrCat("bound ", name, "=", bound));
  for (const std::string &entry : options.entries)
    add(hash, absl::StrCat("entry ", entry));
  absl::StatusOr<std::string> folder = cacheFolder();
  if (!folder.ok())
    return folder;
  return absl::StrCat(*folder, "/", llvm::sys::path::stem(options.file).str(), "-",
                      llvm::toHex(hash.final(), true).substr(0, 24));
}

} // namespace kiln
