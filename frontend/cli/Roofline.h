// What a program's kernels have to do, how long this machine takes for it at the least, and how long they took.
#pragma once

#include "runtime/backend/Tables.h"
#include "runtime/program/Manifest.h"

#include "absl/status/statusor.h"

#include <map>
#include <string>
#include <vector>

namespace kiln {

/// Seconds of a kernel's launches, and how many there were.
struct MeasuredKernel {
  double seconds = 0;
  int64_t launches = 0;
  std::string ops; ///< what the trace says that it is made of: "dot_general add"
};

/// The kernels' times in a trace that a program's `--profile FILE` has written, by name. An error where the file is no
/// trace, or has times that nothing takes.
absl::StatusOr<std::map<std::string, MeasuredKernel>> readTrace(const std::string &path);
/// An error, to stand behind the trace's name, where it has no kernel of the program's, or one of its names that is
/// made of other ops.
absl::Status checkMeasured(const std::map<std::string, MeasuredKernel> &measured, const Manifest &manifest);

/// For each kernel its lines, one an entry that launches it: "train_step: 12 launches, 302 MFLOP, 14.2 MB". Lengths are
/// at their bounds, branches both taken, `while` loops run once. With `limits`, the time at the least on this machine,
/// by its multiply-adds and its memory as they are measured now (docs/performance.md), and which of the two bounds it.
std::vector<std::string> describeWork(const kiln_program &program, const Manifest &manifest, bool limits,
                                      const std::map<std::string, MeasuredKernel> &measured);

} // namespace kiln
