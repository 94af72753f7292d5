#include "backends/vulkan/run/Failure.h"
#include "backends/api/kiln_text.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace kiln::vulkan {

int32_t Failure::report(kiln_error *error) const {
  if (code_ != KILN_SUCCESS && error)
    fail(error, code_, message_, kernel_);
  return code_;
}

std::string format(const char *text, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, text);
  int length = std::vsnprintf(buffer, sizeof buffer, text, arguments);
  va_end(arguments);
  return std::string(buffer, static_cast<size_t>(std::clamp<int>(length, 0, sizeof buffer - 1)));
}

std::string bytesText(uint64_t bytes) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  unsigned unit = 0;
  for (; value >= 1024 && unit < 4; ++unit)
    value /= 1024;
  return format(unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

} // namespace kiln::vulkan
