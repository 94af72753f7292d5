// Opening a device, and buffers brought to it and back.

#include "runtime/backend/Device.h"

#include "backends/api/kiln_text.h"
#include "runtime/backend/Cancel.h"
#include "runtime/backend/Within.h"
#include "runtime/support/Error.h"

#include <utility>

namespace kiln {

std::atomic<int32_t> cancelWord = 0;
std::atomic<int64_t> cancelSeconds = 0;
std::atomic<bool> someoneCancels = false;

static uint32_t countDevices(const BackendTables &tables, const kiln_host &host, std::string &reason) {
  uint32_t count = 0;
  kiln_string why = {nullptr, 0};
  kiln_error error = emptyError();
  if (within(tables, "device_count", [&] { return tables.run.device_count(&host, &count, &why, &error); }) !=
      KILN_SUCCESS)
    fail("backend %s: %s", tables.name().c_str(), messageOf(error).c_str());
  constexpr uint32_t most = 4096;
  if (count > most)
    fail("backend %s says that there are %u devices: tell its author", tables.name().c_str(), count);
  reason = readable(why);
  return count;
}

static kiln_device_info infoOf(const BackendTables &tables, const kiln_host &host, uint32_t number) {
  kiln_device_info info = {};
  info.size = sizeof info;
  kiln_error error = emptyError();
  if (within(tables, "device_info", [&] { return tables.run.device_info(&host, number, &info, &error); }) !=
      KILN_SUCCESS)
    fail("backend %s: device %u: %s", tables.name().c_str(), number, messageOf(error).c_str());
  if (std::string flags = unknownFlags(info.flags, knownBackendFlags); !flags.empty())
    fail("backend %s: device %u%s", tables.name().c_str(), number, flags.c_str());
  for (const auto &[what, text] :
       {std::pair("name", &info.name), std::pair("driver", &info.driver), std::pair("reason", &info.reason)})
    if (std::string wrong = noString(*text); !wrong.empty())
      fail("backend %s: device %u has a %s %s: tell its author", tables.name().c_str(), number, what, wrong.c_str());
  for (size_t i = 0; i < info.memory_count; ++i)
    if (!info.memories || !info.memories[i])
      fail("backend %s: device %u says that it has %zu memories, and nothing of number %zu: tell its author",
           tables.name().c_str(), number, info.memory_count, i);
  return info;
}

static std::string sizeText(uint64_t bytes) {
  double value = static_cast<double>(bytes);
  if (bytes < (1u << 20))
    return format("%llu bytes", static_cast<unsigned long long>(bytes));
  return bytes < (1u << 30) ? format("%.1f MiB", value / (1 << 20)) : format("%.1f GiB", value / (1 << 30));
}

static std::string nameOfDevice(const kiln_device_info &info) {
  return info.name.size ? readable(info.name) : "a device without a name";
}

static std::string reasonOf(const kiln_device_info &info) {
  return info.reason.size ? readable(info.reason) : "the backend does not say why";
}

/// "; HBM: 79.1 GiB (arena, kept); …"; nothing where there is one memory.
static std::string memoriesOf(const kiln_device_info &info) {
  constexpr const char *uses[] = {"any", "arena", "kept", "input", "result"};
  std::string text;
  for (size_t i = 0; i < info.memory_count; ++i) {
    const kiln_memory &memory = *info.memories[i];
    text += "; " + readable(memory.name);
    if (memory.bytes)
      text += ": " + sizeText(memory.bytes);
    std::string list;
    for (size_t use = 0; use < std::size(uses); ++use)
      if (memory.uses >> use & 1)
        list += (list.empty() ? "" : ", ") + std::string(uses[use]);
    if (!list.empty())
      text += " (" + list + ")";
  }
  return text;
}

std::vector<std::string> Device::describe(const BackendTables &tables, const kiln_host &host) {
  std::string reason;
  uint32_t count = countDevices(tables, host, reason);
  std::vector<std::string> lines;
  for (uint32_t i = 0; i < count; ++i) {
    kiln_device_info info = infoOf(tables, host, i);
    std::string line = format("%u: %s", i, nameOfDevice(info).c_str());
    if (info.driver.size)
      line += ", " + readable(info.driver);
    if (info.memory_bytes)
      line += ", " + sizeText(info.memory_bytes);
    if (info.free_bytes)
      line += ", " + sizeText(info.free_bytes) + " free";
    line += memoriesOf(info);
    if (!info.usable)
      line += " (not usable: " + reasonOf(info) + ")";
    lines.push_back(std::move(line));
  }
  if (lines.empty())
    lines.push_back("no device" + (reason.empty() ? std::string() : ": " + reason));
  return lines;
}

Device::Device(const BackendTables &tables, const kiln_host &host, uint32_t number)
    : tables_(tables), host_(host), number_(number) {
  std::string reason;
  uint32_t count = countDevices(tables, host, reason);
  if (count == 0)
    fail("backend %s finds no device%s%s", tables.name().c_str(), reason.empty() ? "" : ": ", reason.c_str());
  if (number >= count) {
    std::string list;
    for (const std::string &line : describe(tables, host))
      list += "\n  " + line;
    if (count == 1)
      list += "\nwithout --device it does all, shards one after another";
    fail("--device %u: backend %s has %u device%s, numbered from 0:%s", number, tables.name().c_str(), count,
         count == 1 ? "" : "s", list.c_str());
  }
  kiln_device_info info = infoOf(tables, host, number);
  name_ = nameOfDevice(info);
  if (!info.usable)
    fail("backend %s: device %u (%s) cannot be used: %s", tables.name().c_str(), number, name_.c_str(),
         reasonOf(info).c_str());
  hostMemory_ = (info.flags & KILN_BACKEND_HOST_MEMORY) && tables.run.import;
  if (info.flags & KILN_BACKEND_CANCELS)
    someoneCancels = true;
  kiln_error error = emptyError();
  int32_t code = within(tables, "open", [&] { return tables.run.open(&host, number, &handle_, &error); });
  checkMade(code, handle_, error, "it cannot be opened");
}

Device::~Device() {
  if (handle_)
    givingBack(tables_, "close", [&] { tables_.run.close(handle_); });
}

std::string Device::freeMemory() const {
  kiln_device_info info = infoOf(tables_, host_, number_);
  if (!info.free_bytes)
    return "";
  return " (" + sizeText(info.free_bytes) + (info.memory_bytes ? " of " + sizeText(info.memory_bytes) : "") +
         " are free)";
}

void Device::checkMade(int32_t code, const void *made, const kiln_error &error, const char *what) const {
  check(code, error, what);
  if (!made)
    fail("backend %s: %s: it says that it succeeded and gives nothing", tables_.name().c_str(), what);
}

void Device::check(int32_t code, const kiln_error &error, const char *what) const {
  if (code != KILN_SUCCESS)
    throw BackendError(format("backend %s: %s: %s", tables_.name().c_str(), what, messageOf(error, code).c_str()));
}

void Device::write(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes) const {
  kiln_error error = emptyError();
  int32_t code = within(tables_, "write", [&] { return api().write(to, offset, from, bytes, &error); });
  check(code, error, "a copy to the device failed");
}

void Device::read(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes) const {
  kiln_error error = emptyError();
  int32_t code = within(tables_, "read", [&] { return api().read(from, offset, to, bytes, &error); });
  check(code, error, "a copy from the device failed");
}

kiln_executable *Device::load(const kiln_program &program, const void *artifact, uint64_t bytes,
                              const char *what) const {
  kiln_executable *made = nullptr;
  kiln_error error = emptyError();
  int32_t code = within(tables_, "load", [&] { return api().load(handle_, &program, artifact, bytes, &made, &error); });
  checkMade(code, made, error, what);
  return made;
}

void Device::unload(kiln_executable *executable) const {
  givingBack(tables_, "unload", [&] { api().unload(executable); });
}

int32_t Device::execute(kiln_executable *executable, const kiln_execution &execution, std::string_view entry,
                        kiln_error &error, std::string_view kernel) const {
  return within(tables_, "execute", [&] { return api().execute(executable, &execution, &error); }, entry, kernel);
}

int32_t Device::wait(kiln_event *event, std::string_view entry, kiln_error &error) const {
  return within(tables_, "wait", [&] { return api().wait(event, &error); }, entry);
}

/// A copy, by the backend's `function`: the event that tells of it, null where it is over.
template <typename Copy>
static kiln_event *begin(const Device &device, const char *function, const char *what, Copy copy) {
  kiln_event *event = nullptr;
  kiln_error error = emptyError();
  int32_t code = within(device.tables(), function, [&] { return copy(&event, &error); });
  device.check(code, error, what);
  return event;
}

kiln_event *Device::beginWrite(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes) const {
  if (!api().write_async)
    return write(to, offset, from, bytes), nullptr;
  return begin(*this, "write_async", "a copy to the device failed", [&](kiln_event **event, kiln_error *error) {
    return api().write_async(to, offset, from, bytes, event, error);
  });
}

kiln_event *Device::beginRead(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes) const {
  if (!api().read_async)
    return read(from, offset, to, bytes), nullptr;
  return begin(*this, "read_async", "a copy from the device failed", [&](kiln_event **event, kiln_error *error) {
    return api().read_async(from, offset, to, bytes, event, error);
  });
}

kiln_event *Device::beginCopy(kiln_buffer *from, kiln_buffer *to, uint64_t bytes) const {
  bool goesOn = api().copy_async;
  return begin(*this, goesOn ? "copy_async" : "copy", "a copy on the device failed",
               [&](kiln_event **event, kiln_error *error) {
                 return goesOn ? api().copy_async(from, 0, to, 0, bytes, event, error)
                               : api().copy(from, 0, to, 0, bytes, error);
               });
}

bool Device::notify(kiln_event *event, kiln_notice notice, void *context) const {
  kiln_error error = emptyError();
  return within(tables_, "notify", [&] { return api().notify(event, notice, context, &error); }) == KILN_SUCCESS;
}

void Device::after(const kiln_signal &signal) const {
  kiln_error error = emptyError();
  int32_t code = within(tables_, "after", [&] { return api().after(handle_, &signal, &error); });
  check(code, error, "it cannot wait for another device");
}

int32_t Device::allocate(uint64_t bytes, kiln_use use, kiln_buffer **buffer, kiln_error &error) const {
  if (api().allocate_for) {
    int32_t code =
        within(tables_, "allocate_for", [&] { return api().allocate_for(handle_, bytes, use, buffer, &error); });
    if (code != KILN_ERROR_OUT_OF_MEMORY)
      return code;
    *buffer = nullptr;
    error = emptyError();
  }
  return within(tables_, "allocate", [&] { return api().allocate(handle_, bytes, buffer, &error); });
}

DeviceBuffer::DeviceBuffer(const Device &device, void *host, size_t bytes, kiln_use use)
    : device_(&device), host_(host) {
  kiln_error error = emptyError();
  bool shared = host && device.hostMemory();
  int32_t code = shared ? within(device.tables(), "import",
                                 [&] { return device.api().import(device.handle(), host, bytes, &handle_, &error); })
                        : device.allocate(bytes, use, &handle_, error);
  std::string what = "no memory";
  if (code == KILN_ERROR_OUT_OF_MEMORY)
    what += " for " + sizeText(bytes) + device.freeMemory();
  device.checkMade(code, handle_, error, what.c_str());
  if (shared)
    host_ = nullptr;
}

DeviceBuffer::DeviceBuffer(DeviceBuffer &&other) noexcept { *this = std::move(other); }

DeviceBuffer &DeviceBuffer::operator=(DeviceBuffer &&other) noexcept {
  std::swap(device_, other.device_);
  std::swap(handle_, other.handle_);
  std::swap(host_, other.host_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (handle_)
    givingBack(device_->tables(), "release", [&] { device_->api().release(handle_); });
}

void DeviceBuffer::toDevice(size_t bytes) const {
  if (!host_ || !bytes)
    return;
  device_->write(handle_, 0, host_, bytes);
}

void DeviceBuffer::toHost(size_t bytes) const {
  if (!host_ || !bytes)
    return;
  device_->read(handle_, 0, host_, bytes);
}

} // namespace kiln
