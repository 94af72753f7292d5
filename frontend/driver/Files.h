// Paths that a user names, looked at before the work that needs them.
#pragma once

#include "absl/status/status.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace kiln {

/// Is something there that is neither a file nor a folder?
bool isDevice(const std::string &path);

/// Refuses a device or a pipe, which may never end or never begin. What is not there, or is a folder, is left to the
/// reader, whose error says what was wanted.
absl::Status checkInput(const std::string &path);

/// Refuses what the finished file could not take the place of: a device, a pipe, a folder; a folder above it that is
/// not there or not writable. An empty path (standard output) is right. `option`: what names the path.
absl::Status checkOutput(const std::string &path, const char *option = "-o");

/// A file that a command reads, and how a sentence calls it.
struct InputFile {
  std::string path;
  const char *what; ///< "the model"
};

/// Refuses an output that is one of the inputs, by whatever name: another spelling, a link.
absl::Status checkNotInput(const std::string &path, const std::vector<InputFile> &inputs, const char *option = "-o");

/// Refuses to replace a file that nobody named, unless it holds `mark`: then it is of our own making.
absl::Status checkOwn(const std::string &path, llvm::StringRef mark, const char *what, const char *option = "-o");

/// Whole or not at all: what was there stays until all of `text` is written. `mode`: of the file, 0777 for a program.
absl::Status writeFile(const std::string &path, llvm::StringRef text, unsigned mode = 0666);

} // namespace kiln
