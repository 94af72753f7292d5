// --profile FILE: a Chrome trace (chrome://tracing, ui.perfetto.dev) of what ran when.
#pragma once

#include "runtime/program/Program.h"

#include <string>

namespace kiln {

/// Watches a program: its kernels on a track for each backend, what the process did on one of its own.
class Trace {
public:
  /// Throws Error where `path` cannot be written, or a device cannot measure.
  Trace(Program &program, std::string path);
  ~Trace();
  Trace(const Trace &) = delete;

  /// What the process did since `began` (profileClock()); `step` is shown where it is not negative.
  void did(const char *what, int64_t began, int64_t step = -1);
  /// Stops watching and writes the file. Throws Error.
  void write();

private:
  struct Work {
    const char *what;
    int64_t begin, end, step;
  };
  Program &program_;
  std::string path_;
  Profile profile_;
  std::vector<Work> work_;
};

} // namespace kiln
