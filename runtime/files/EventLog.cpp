#include "runtime/files/EventLog.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <unistd.h>

namespace kiln {

uint32_t crc32c(std::string_view data) {
  uint32_t crc = ~0u;
  for (char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

namespace {
// Protocol buffers, as far as tensorflow.Event needs them.
void putVarint(std::string &out, uint64_t value) {
  for (; value >= 128; value >>= 7)
    out += static_cast<char>(value | 128);
  out += static_cast<char>(value);
}
void putFixed(std::string &out, const void *data, size_t size) { out.append(static_cast<const char *>(data), size); }
void putBytes(std::string &out, int field, std::string_view bytes) {
  putVarint(out, static_cast<uint64_t>(field) << 3 | 2);
  putVarint(out, bytes.size());
  out += bytes;
}

std::string eventAt(int64_t step) {
  double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string event = "\x09"; // wall_time: field 1, 64 bits
  putFixed(event, &now, 8);
  putVarint(event, 2 << 3); // step: field 2, varint
  putVarint(event, static_cast<uint64_t>(step));
  return event;
}

uint32_t masked(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8u; }
} // namespace

EventLog::EventLog(const std::string &folder) {
  makeFolder(folder);
  char host[64] = "host";
  gethostname(host, sizeof(host) - 1);
  long long now = std::chrono::system_clock::now().time_since_epoch() / std::chrono::seconds(1);
  path_ = folder + format("/events.out.tfevents.%010lld.%s.%ld", now, host, static_cast<long>(getpid()));
  file_ = std::fopen(path_.c_str(), "wbe");
  if (!file_)
    fail("cannot write '%s': %s", path_.c_str(), describeErrno(errno).c_str());
  std::string event = eventAt(0);
  putBytes(event, 3, "brain.Event:2");
  record(event);
  flush();
}

EventLog::~EventLog() { std::fclose(file_); }

void EventLog::scalar(const std::string &tag, int64_t step, double value) {
  float narrow = static_cast<float>(value);
  std::string inner, summary, event = eventAt(step);
  putBytes(inner, 1, tag);
  putVarint(inner, 2 << 3 | 5); // simple_value: field 2, 32 bits
  putFixed(inner, &narrow, 4);
  putBytes(summary, 1, inner);
  putBytes(event, 5, summary);
  record(event);
}

/// TFRecord: length, its checksum, the data, its checksum.
void EventLog::record(const std::string &event) {
  uint64_t length = event.size();
  std::string head(reinterpret_cast<const char *>(&length), 8), out = head;
  uint32_t crc = masked(crc32c(head));
  putFixed(out, &crc, 4);
  out += event;
  crc = masked(crc32c(event));
  putFixed(out, &crc, 4);
  if (std::fwrite(out.data(), 1, out.size(), file_) != out.size())
    fail("cannot write '%s': %s", path_.c_str(), describeErrno(errno).c_str());
}

void EventLog::flush() {
  if (std::fflush(file_) != 0)
    fail("cannot write '%s': %s", path_.c_str(), describeErrno(errno).c_str());
}

} // namespace kiln
