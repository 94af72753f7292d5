// Paths that a user names, looked at before the work that needs them.
#pragma once

#include "absl/status/status.h"

#include <string>

namespace kiln {

/// Refuses a device or a pipe, which may never end or never begin. What is not there, or is a folder, is left to the
/// reader, whose error says what was wanted.
absl::Status checkInput(const std::string &path);

/// Refuses what the finished file could not take the place of: a device, a pipe, a folder; a folder above it that is
/// not there or not writable. An empty path (standard output) is right. `option`: what names the path.
absl::Status checkOutput(const std::string &path, const char *option = "-o");

/// Whole or not at all: what was there stays until all of `text` is written.
absl::Status writeFile(const std::string &path, const std::string &text);

} // namespace kiln
