// The run side's table.
#include "backends/vulkan/run/Run.h"

#include "backends/api/kiln_text.h"
#include "backends/vulkan/run/Executable.h"
#include "backends/vulkan/run/Physical.h"
#include "backends/vulkan/run/Testing.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <span>

namespace kiln::vulkan {
namespace {

/// Calls what does the work; an error that the validation layer reports meanwhile is its failure.
template <typename Work> int32_t guarded(Device &device, kiln_error *error, Work work) {
  if (device.lost)
    return Failure(KILN_ERROR_DEVICE_LOST,
                   device.physical.name + " was lost before; nothing more can be done with it but closing it")
        .report(error);
  uint32_t before = device.instance.validates ? device.instance.validationErrors() : 0;
  Failure failure = work();
  if (!failure && device.instance.validates && device.instance.validationErrors() != before)
    failure = Failure(KILN_ERROR_INTERNAL, device.instance.lastValidationError());
  return failure.report(error);
}

// The host's names for this backend's things.
Device &of(kiln_device *handle) { return *reinterpret_cast<Device *>(handle); }
Buffer &of(kiln_buffer *handle) { return *reinterpret_cast<Buffer *>(handle); }
Executable &of(kiln_executable *handle) { return *reinterpret_cast<Executable *>(handle); }
Event &of(kiln_event *handle) { return *reinterpret_cast<Event *>(handle); }

//===-- Devices --------------------------------------------------------------------------------------------------===//

int32_t deviceCount(const kiln_host *host, uint32_t *count, kiln_string *reason, kiln_error *) {
  Instance &instance = theInstance(host);
  *count = static_cast<uint32_t>(instance.devices.size());
  if (reason)
    *reason = text(instance.reason);
  return KILN_SUCCESS;
}

Failure noDevice(const Instance &instance, uint32_t number) {
  if (instance.devices.empty())
    return {KILN_ERROR_INVALID, instance.reason};
  return {KILN_ERROR_INVALID, format("Vulkan has no device %u; the last is %zu", number, instance.devices.size() - 1)};
}

/// Where a device has several heaps: what they are called, how large they are. Valid until the thread's next call.
struct Heaps {
  std::vector<kiln_memory> memories;
  std::vector<const kiln_memory *> list;
};
void listHeaps(const Instance &instance, const PhysicalDevice &device, kiln_device_info &info) {
  static thread_local Heaps heaps;
  uint32_t count = device.memory.memoryHeapCount;
  if (count < 2)
    return;
  heaps = {std::vector<kiln_memory>(count), std::vector<const kiln_memory *>(count)};
  for (uint32_t i = 0; i < count; ++i) {
    const VkMemoryHeap &heap = device.memory.memoryHeaps[i];
    bool local = heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
    constexpr uint32_t kept = 1u << KILN_USE_ARENA | 1u << KILN_USE_KEPT | 1u << KILN_USE_RESULT;
    heaps.memories[i] = {sizeof(kiln_memory), 0, local ? kiln_string{"device", 6} : kiln_string{"host", 4}, heap.size,
                         freeBytes(instance.vk, device, i).value_or(0)};
    heaps.memories[i].uses |= i == memoryHeap(device, Home::device) ? kept : 0;
    heaps.memories[i].uses |= i == memoryHeap(device, Home::input) ? 1u << KILN_USE_INPUT : 0;
    heaps.list[i] = &heaps.memories[i];
  }
  info.memories = heaps.list.data();
  info.memory_count = count;
}

int32_t deviceInfo(const kiln_host *host, uint32_t number, kiln_device_info *info, kiln_error *error) {
  Instance &instance = theInstance(host);
  if (number >= instance.devices.size())
    return noDevice(instance, number).report(error);
  const PhysicalDevice &device = instance.devices[number];
  kiln_device_info full = {};
  full.usable = device.reason.empty();
  full.name = text(device.name);
  full.driver = text(device.driver);
  full.reason = text(device.reason);
  full.memory_bytes = device.memoryBytes;
  full.free_bytes = freeBytes(instance.vk, device, device.memoryHeap).value_or(0);
  full.max_allocation_bytes = device.maxAllocationBytes;
  full.flags = KILN_BACKEND_DETERMINISTIC;
  if (device.flushesDenormals)
    full.flags |= KILN_BACKEND_FLUSHES_DENORMALS;
  listHeaps(instance, device, full);
  full.size = info->size;
  std::memcpy(info, &full, std::min<size_t>(info->size, sizeof full));
  return KILN_SUCCESS;
}

int32_t openDevice(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error) {
  Instance &instance = theInstance(host);
  if (number >= instance.devices.size())
    return noDevice(instance, number).report(error);
  const PhysicalDevice &physical = instance.devices[number];
  if (!physical.reason.empty())
    return Failure(KILN_ERROR_UNSUPPORTED, physical.name + " cannot be used: " + physical.reason).report(error);
  auto opened = std::make_unique<Device>(host, instance, physical);
  int32_t code = guarded(*opened, error, [&] { return opened->open(); });
  if (code == KILN_SUCCESS)
    *device = reinterpret_cast<kiln_device *>(opened.release());
  return code;
}

void closeDevice(kiln_device *device) { delete &of(device); }

//===-- Buffers --------------------------------------------------------------------------------------------------===//

int32_t allocateFor(kiln_device *handle, uint64_t bytes, uint32_t use, kiln_buffer **buffer, kiln_error *error) {
  Device *device = &of(handle);
  Home home = use == KILN_USE_INPUT ? Home::input : Home::device;
  return guarded(*device, error, [&]() -> Failure {
    auto made = std::make_unique<Buffer>();
    if (Failure failure = device->create(bytes, home, "a buffer", made->raw))
      return failure;
    made->device = device;
    made->bytes = bytes;
    made->id = ++device->lastBufferId;
    made->staged = !made->raw.memory.mapped || hooks().staged;
    *buffer = reinterpret_cast<kiln_buffer *>(made.release());
    return {};
  });
}

int32_t allocate(kiln_device *handle, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  return allocateFor(handle, bytes, KILN_USE_ANY, buffer, error);
}

void releaseBuffer(kiln_buffer *handle) {
  if (!handle)
    return;
  Buffer *buffer = &of(handle);
  Device &device = *buffer->device;
  if (!device.lost) {
    (void)device.upload->flush();
    (void)device.await(device.uploadLine, buffer->lastUpload);
    (void)device.await(device.line, buffer->lastUse);
  }
  for (Executable *executable : device.executables)
    executable->forget(buffer->id);
  device.destroy(buffer->raw);
  delete buffer;
}

bool within(const Buffer &buffer, uint64_t offset, uint64_t bytes) {
  return offset <= buffer.bytes && bytes <= buffer.bytes - offset;
}

Failure outside(const Buffer &buffer, uint64_t offset, uint64_t bytes) {
  return {KILN_ERROR_INVALID, format("a copy of %llu bytes at %llu reaches beyond its buffer of %llu",
                                     static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(offset),
                                     static_cast<unsigned long long>(buffer.bytes))};
}

/// Whether nothing uses the buffer now, nor will of what was given so far.
bool idle(Buffer &buffer) {
  Device &device = *buffer.device;
  return device.isAt(device.line, buffer.lastUse) && device.isAt(device.uploadLine, buffer.lastUpload);
}

Failure waitFor(Buffer &buffer) {
  Device &device = *buffer.device;
  if (Failure failure = device.upload->flush())
    return failure;
  if (Failure failure = device.await(device.uploadLine, buffer.lastUpload))
    return failure;
  return device.await(device.line, buffer.lastUse);
}

int32_t write(kiln_buffer *handle, uint64_t offset, const void *from, uint64_t bytes, kiln_error *error) {
  Buffer *to = &of(handle);
  return guarded(*to->device, error, [&]() -> Failure {
    if (!within(*to, offset, bytes))
      return outside(*to, offset, bytes);
    if (!bytes)
      return {};
    if (!to->staged && idle(*to)) {
      std::memcpy(to->raw.memory.mapped + offset, from, bytes);
      return {};
    }
    return to->device->upload->write(*to, offset, from, bytes);
  });
}

Failure readStaged(Buffer &from, uint64_t offset, void *to, uint64_t bytes) {
  constexpr uint64_t largest = 32 << 20;
  Device &device = *from.device;
  RawBuffer stage;
  if (Failure failure = device.create(std::min(bytes, largest), Home::readback, "reading a buffer", stage))
    return failure;
  Failure failure;
  for (uint64_t done = 0; done < bytes && !failure; done += largest) {
    const VkBufferCopy region = {offset + done, 0, std::min(bytes - done, largest)};
    failure = device.copyNow(from.raw.handle, stage.handle, region);
    if (!failure)
      std::memcpy(static_cast<uint8_t *>(to) + done, stage.memory.mapped, region.size);
  }
  device.destroy(stage);
  return failure;
}

int32_t read(kiln_buffer *handle, uint64_t offset, void *to, uint64_t bytes, kiln_error *error) {
  Buffer *from = &of(handle);
  return guarded(*from->device, error, [&]() -> Failure {
    if (!within(*from, offset, bytes))
      return outside(*from, offset, bytes);
    if (!bytes)
      return {};
    if (from->staged)
      return readStaged(*from, offset, to, bytes);
    if (Failure failure = waitFor(*from))
      return failure;
    std::memcpy(to, from->raw.memory.mapped + offset, bytes);
    return {};
  });
}

int32_t copy(kiln_buffer *source, uint64_t fromOffset, kiln_buffer *destination, uint64_t toOffset, uint64_t bytes,
             kiln_error *error) {
  Buffer *from = &of(source), *to = &of(destination);
  return guarded(*from->device, error, [&]() -> Failure {
    if (!within(*from, fromOffset, bytes))
      return outside(*from, fromOffset, bytes);
    if (!within(*to, toOffset, bytes))
      return outside(*to, toOffset, bytes);
    if (!bytes || (from == to && fromOffset == toOffset))
      return {};
    if (from == to && fromOffset < toOffset + bytes && toOffset < fromOffset + bytes)
      return {KILN_ERROR_INVALID, "a copy within a buffer overlaps itself"};
    const VkBufferCopy region = {fromOffset, toOffset, bytes};
    Failure failure = from->device->copyNow(from->raw.handle, to->raw.handle, region);
    from->lastUse = to->lastUse = from->device->line.given;
    return failure;
  });
}

//===-- Programs -------------------------------------------------------------------------------------------------===//

int32_t load(kiln_device *device, const kiln_program *program, const void *artifact, uint64_t bytes,
             kiln_executable **executable, kiln_error *error) {
  return guarded(of(device), error, [&]() -> Failure {
    auto loaded = std::make_unique<Executable>(of(device), program);
    if (Failure failure = loaded->load(artifact, bytes))
      return failure;
    *executable = reinterpret_cast<kiln_executable *>(loaded.release());
    return {};
  });
}

void unload(kiln_executable *executable) { delete &of(executable); }

int32_t execute(kiln_executable *executable, const kiln_execution *execution, kiln_error *error) {
  return guarded(of(executable).device, error, [&] { return of(executable).execute(*execution); });
}

int32_t wait(kiln_event *event, kiln_error *error) {
  if (!event)
    return KILN_SUCCESS;
  Executable &executable = *of(event).executable;
  bool lost = executable.device.lost;
  if (lost) // the event is let go all the same
    return executable.wait(of(event)).report(error);
  return guarded(executable.device, error, [&] { return executable.wait(of(event)); });
}

int32_t profile(kiln_executable *handle, int32_t on, const kiln_profile_event **events, size_t *count,
                kiln_error *error) {
  Executable *executable = &of(handle);
  if (on && !executable->device.physical.timestampBits)
    return Failure(KILN_ERROR_UNSUPPORTED, executable->device.physical.name + " measures no times of kernels")
        .report(error);
  executable->profiling = on != 0;
  if (events)
    *events = executable->events.data();
  if (count)
    *count = executable->events.size();
  return KILN_SUCCESS;
}

int32_t counters(kiln_executable *handle, kiln_counters *out, kiln_error *) {
  Executable *executable = &of(handle);
  kiln_counters full = executable->counters;
  full.size = out->size;
  full.device_bytes = executable->device.allocator->bytes();
  std::memcpy(out, &full, std::min<size_t>(out->size, sizeof full));
  return KILN_SUCCESS;
}

} // namespace
} // namespace kiln::vulkan

extern "C" const kiln_run_api *kiln_vulkan_run_api(void) {
  using namespace kiln::vulkan;
  static const kiln_run_api api = {sizeof(kiln_run_api),
                                   deviceCount,
                                   deviceInfo,
                                   openDevice,
                                   closeDevice,
                                   allocate,
                                   nullptr, // import
                                   releaseBuffer,
                                   nullptr, // map
                                   nullptr,
                                   write,
                                   read,
                                   copy,
                                   load,
                                   unload,
                                   execute,
                                   wait,
                                   profile,
                                   counters,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   allocateFor};
  return &api;
}

/// Of which the first choice is what counts where nobody asks.
template <size_t count>
static kiln_option choice(std::string_view name, std::string_view help, const kiln_string (&choices)[count]) {
  kiln_option option = {};
  option.size = sizeof option;
  option.sides = KILN_OPTION_RUN;
  option.name = kiln::text(name);
  option.value = choices[0];
  option.help = kiln::text(help);
  option.choices = choices;
  option.choice_count = count;
  option.type = KILN_OPTION_CHOICE;
  return option;
}

static std::span<const kiln_option *const> options() {
  static const kiln_string wishes[] = {{"once", 4}, {"again", 5}, {"skip", 4}}, uses[] = {{"take", 4}, {"leave", 5}};
  static const kiln_option selfTest =
      choice("self-test", "kernels whose results are known, before a device runs others of their kind", wishes);
  static const kiln_option matrices =
      choice("matrices", "variants by cooperative matrices, where the device has them", uses);
  static const kiln_option *const all[] = {&selfTest, &matrices};
  return all;
}

extern "C" const kiln_backend *kiln_vulkan_run_backend(void) {
  static const kiln_backend backend = {sizeof(kiln_backend),
                                       KILN_ABI_VERSION,
                                       {"vulkan", 6},
                                       {"Vulkan compute", 14},
                                       nullptr,
                                       kiln_vulkan_run_api(),
                                       options().data(),
                                       options().size(),
                                       0,
                                       0};
  return &backend;
}

extern "C" const kiln_backend *kiln_backend_vulkan(const kiln_offer *offer, kiln_error *error) {
  if (offer->oldest <= KILN_ABI_VERSION && KILN_ABI_VERSION <= offer->newest)
    return kiln_vulkan_run_backend();
  error->code = KILN_ERROR_VERSION;
  std::snprintf(error->message, sizeof error->message,
                "the vulkan backend speaks version %d of the backend interface, the host %u to %u", KILN_ABI_VERSION,
                offer->oldest, offer->newest);
  return nullptr;
}
