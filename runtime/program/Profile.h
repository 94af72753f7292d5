// What a program's backends measured and counted.
#pragma once

#include "runtime/backend/Negotiate.h"

#include <cstdint>
#include <vector>

namespace kiln {

/// While a program has one (Program::profile), each of its executions adds its launches.
struct Profile {
  struct Span {
    uint32_t backend;   ///< among the program's
    uint32_t kernel;    ///< in the manifest; KILN_NONE: a copy
    int64_t begin, end; ///< nanoseconds as profileClock() counts them; end >= begin
  };
  std::vector<Span> spans;
  /// In place of a kernel: all that a backend did in one go, where it measures no single ones.
  static constexpr uint32_t allKernels = KILN_NONE - 1;

  /// Adds what a backend measured in an execution that this process saw begin and end. A device counts from a moment
  /// of its own: where its times do not lie within the execution as they are, they are moved so that the last ends with
  /// it. `kernels` numbers the events' kernels as the manifest does.
  template <typename Kernels>
  void add(uint32_t backend, const kiln_profile_event *events, size_t count, int64_t began, int64_t ended,
           Kernels kernels) {
    int64_t shift = shiftOf(events, count, began, ended);
    for (size_t i = 0; i < count; ++i) {
      int64_t begin = events[i].begin_ns + shift;
      int64_t end = events[i].end_ns + shift;
      uint32_t kernel = events[i].kernel;
      spans.push_back({backend, kernel == KILN_NONE ? kernel : kernels(kernel), begin, end < begin ? begin : end});
    }
  }

private:
  static int64_t shiftOf(const kiln_profile_event *events, size_t count, int64_t began, int64_t ended);
};

/// What backends counted in executions, added up (device_bytes: the most that was held).
struct Counts {
  kiln_counters sum = {};
  bool known = true; ///< all of them count
  void add(const BackendTables &tables, kiln_executable *executable);
};

/// What one execution of an entry does, as the compiler counted its kernels.
struct Work {
  /// Of products, convolutions and attention, a multiply-add as two; other arithmetic is not counted.
  double flops = 0;
  /// The sum of what each launch's operands and results hold and what each copy moves.
  double bytes = 0;
  double launches = 0;
};

/// Nanoseconds since some moment before the process.
int64_t profileClock();

} // namespace kiln
