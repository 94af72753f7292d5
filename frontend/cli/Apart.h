// Commands that have a foreign backend's compile side at work run in a process of their own: one that crashes, exits,
// hangs or prints there does no harm here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace kiln {

struct ApartOptions {
  bool trust = false;    ///< in this process all the same
  int64_t silence = 300; ///< seconds of a call without a sign of life that are a failure; 0: no limit
};

/// Runs the command and gives its exit code; its result (a path, say; 65535 bytes at most) goes to `result`. Where one
/// of `backends` (names or paths) did not come with Kiln it runs in a child process (so: before this one has threads).
/// What ends that process is told in a sentence, with exit code 1; what such a backend prints goes to standard error,
/// line by line under its name; temporary files are gone afterwards; Ctrl-C ends both.
int apart(const ApartOptions &options, const std::vector<std::string> &backends,
          const std::function<int(std::string &result)> &command, std::string *result = nullptr);

} // namespace kiln
