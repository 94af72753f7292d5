#include "runtime/program/Profile.h"

#include "runtime/backend/Within.h"

#include <algorithm>
#include <ctime>

namespace kiln {

int64_t profileClock() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

int64_t Profile::shiftOf(const kiln_profile_event *events, size_t count, int64_t began, int64_t ended) {
  if (!count)
    return 0;
  int64_t first = events[0].begin_ns, last = events[0].end_ns;
  for (size_t i = 1; i < count; ++i) {
    first = std::min(first, events[i].begin_ns);
    last = std::max(last, events[i].end_ns);
  }
  return first >= began && last <= ended ? 0 : ended - last;
}

void Counts::add(const BackendTables &tables, kiln_executable *executable) {
  kiln_counters one = {};
  one.size = sizeof one;
  kiln_error error = emptyError();
  const kiln_run_api &api = tables.run;
  if (!api.counters ||
      within(tables, "counters", [&] { return api.counters(executable, &one, &error); }) != KILN_SUCCESS) {
    known = false;
    return;
  }
  sum.launches += one.launches;
  sum.barriers += one.barriers;
  sum.submits += one.submits;
  sum.host_round_trips += one.host_round_trips;
  sum.bytes_read += one.bytes_read;
  sum.bytes_written += one.bytes_written;
  sum.device_bytes = std::max(sum.device_bytes, one.device_bytes);
}

} // namespace kiln
