// The kit in a process of its own: a plugin that crashes, ends the process or hangs is a failure of what was under way,
// and everything else is tried all the same.
#pragma once

#include "backends/conformance/Report.h"

namespace kiln::conformance {

enum class Watched {
  All,         ///< everything was tried; the report has the rows
  Interrupted, ///< by a signal from outside (Ctrl-C); the report has what came before
  Refused,     ///< the work gave up before it tried anything: `error` says why
};

/// Forks (so: before this process has threads) and runs `work` there, which tries things and adds rows to the report
/// that it is given; what those processes find is added to `report`. After a crash, or `silence` seconds without a sign
/// of life, another process goes on with what is left, at most `crashes` times. False from `work`, with a sentence:
/// there is nothing to try.
Watched watch(const std::function<bool(Report &report, std::string &error)> &work, int silence, int crashes,
              Report &report, std::string &error);

} // namespace kiln::conformance
