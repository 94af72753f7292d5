// TensorBoard's event files: scalars only.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace kiln {

uint32_t crc32c(std::string_view data);

class EventLog {
public:
  /// Makes FOLDER/events.out.tfevents.TIME.HOST. Throws Error.
  explicit EventLog(const std::string &folder);
  ~EventLog();
  EventLog(const EventLog &) = delete;

  void scalar(const std::string &tag, int64_t step, double value);
  void flush();

private:
  void record(const std::string &event);
  std::string path_;
  std::FILE *file_;
};

} // namespace kiln
