// A device of a backend, and memory that a program shares with it.
#pragma once

#include "runtime/backend/Negotiate.h"

#include <cstddef>
#include <string>
#include <vector>

namespace kiln {

class Device {
public:
  /// Opens device `number`. Throws Error: there is none (with the backend's reason), it is not usable (what it lacks),
  /// there are fewer (with their names). `tables` and `host` outlive the device.
  Device(const BackendTables &tables, const kiln_host &host, uint32_t number);
  ~Device();
  Device(const Device &) = delete;

  /// What a user sees of each device: "0: NVIDIA H100 PCIe, driver ..., 79.1 GiB"; one line that says why where there
  /// is none.
  static std::vector<std::string> describe(const BackendTables &tables, const kiln_host &host);

  const BackendTables &tables() const { return tables_; }
  const kiln_run_api &api() const { return tables_.run; }
  kiln_device *handle() const { return handle_; }
  const std::string &name() const { return name_; }
  /// Buffers may be memory of this process.
  bool hostMemory() const { return hostMemory_; }
  /// Throws Error where the code is not success: "backend cpu: <what>: <message>".
  void check(int32_t code, const kiln_error &error, const char *what) const;
  /// " (2.1 GiB of 79.1 GiB are free)"; empty where the backend does not say.
  std::string freeMemory() const;
  /// The same for what makes something: that there is none after a success is an error too.
  void checkMade(int32_t code, const void *made, const kiln_error &error, const char *what) const;

  /// The functions of the interface, their calls recorded (Inside.h). They throw Error.
  void write(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes) const;
  void read(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes) const;
  kiln_executable *load(const kiln_program &program, const void *artifact, uint64_t bytes, const char *what) const;
  void unload(kiln_executable *executable) const;
  /// The backend's code: its error is the caller's to tell.
  int32_t execute(kiln_executable *executable, const kiln_execution &execution, std::string_view entry,
                  kiln_error &error, std::string_view kernel = {}) const;
  /// Likewise; the event is gone afterwards.
  int32_t wait(kiln_event *event, std::string_view entry, kiln_error &error) const;
  /// They go on where the backend can: with an event to wait for, null where all is done.
  kiln_event *beginWrite(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes) const;
  kiln_event *beginRead(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes) const;
  kiln_event *beginCopy(kiln_buffer *from, kiln_buffer *to, uint64_t bytes) const;
  /// False where this event tells nobody.
  bool notify(kiln_event *event, kiln_notice notice, void *context) const;
  void after(const kiln_signal &signal) const;

  /// A buffer in memory of the device's. The backend's code.
  int32_t allocate(uint64_t bytes, kiln_use use, kiln_buffer **buffer, kiln_error &error) const;

private:
  const BackendTables &tables_;
  const kiln_host &host_;
  uint32_t number_;
  kiln_device *handle_ = nullptr;
  std::string name_;
  bool hostMemory_ = false;
};

/// A buffer of a device, and, where there is one, its twin in this process's memory (the same bytes on a device that
/// works in host memory: nothing is copied then).
class DeviceBuffer {
public:
  DeviceBuffer() = default;
  /// `host` (64-byte aligned, or null for a buffer that only the device sees) outlives the buffer. Throws Error.
  DeviceBuffer(const Device &device, void *host, size_t bytes, kiln_use use);
  DeviceBuffer(DeviceBuffer &&other) noexcept;
  DeviceBuffer &operator=(DeviceBuffer &&other) noexcept;
  ~DeviceBuffer();

  kiln_buffer *handle() const { return handle_; }
  /// The first `bytes`, from the host's twin to the device and back. Throws Error.
  void toDevice(size_t bytes) const;
  void toHost(size_t bytes) const;

private:
  const Device *device_ = nullptr;
  kiln_buffer *handle_ = nullptr;
  void *host_ = nullptr;
};

} // namespace kiln
