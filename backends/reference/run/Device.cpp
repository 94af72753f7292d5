// The device: this process, on the calling thread.
#include "backends/api/kiln_text.h"
#include "backends/reference/run/Executable.h"
#include "backends/reference/run/Run.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <unistd.h>

namespace kiln::reference {

namespace {

std::atomic<uint64_t> allocatedBytes{0};

/// Nothing is thrown across the interface.
template <typename F> int32_t guarded(kiln_error *error, F f) {
  try {
    return f();
  } catch (const std::bad_alloc &) {
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "the reference backend ran out of memory");
  }
}

int32_t deviceCount(const kiln_host *, uint32_t *count, kiln_string *, kiln_error *) {
  *count = 1;
  return KILN_SUCCESS;
}

int32_t noDevice(kiln_error *error) {
  return fail(error, KILN_ERROR_INVALID, "the reference backend has one device, number 0");
}

int32_t deviceInfo(const kiln_host *, uint32_t number, kiln_device_info *info, kiln_error *error) {
  if (number != 0)
    return noDevice(error);
  info->usable = 1;
  info->name = text("reference evaluator");
  info->driver = text("float64, one thread");
  info->memory_bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  info->flags = KILN_BACKEND_HOST_MEMORY | KILN_BACKEND_DETERMINISTIC;
  return KILN_SUCCESS;
}

int32_t openDevice(const kiln_host *host, uint32_t number, kiln_device **device, kiln_error *error) {
  if (number != 0)
    return noDevice(error);
  return guarded(error, [&] {
    *device = reinterpret_cast<kiln_device *>(new Device{host});
    return static_cast<int32_t>(KILN_SUCCESS);
  });
}

void closeDevice(kiln_device *device) { delete of(device); }

int32_t allocate(kiln_device *, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  constexpr uint64_t alignment = 64;
  uint64_t rounded = (std::max<uint64_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  auto *memory = rounded < bytes ? nullptr : static_cast<uint8_t *>(std::aligned_alloc(alignment, rounded));
  auto *made = memory ? new (std::nothrow) Buffer{memory, bytes, true} : nullptr;
  if (!made) {
    std::free(memory);
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "no memory for a buffer of " + std::to_string(bytes) + " bytes");
  }
  allocatedBytes += bytes;
  *buffer = reinterpret_cast<kiln_buffer *>(made);
  return KILN_SUCCESS;
}

int32_t import(kiln_device *, void *memory, uint64_t bytes, kiln_buffer **buffer, kiln_error *error) {
  return guarded(error, [&] {
    *buffer = reinterpret_cast<kiln_buffer *>(new Buffer{static_cast<uint8_t *>(memory), bytes, false});
    return static_cast<int32_t>(KILN_SUCCESS);
  });
}

void release(kiln_buffer *handle) {
  Buffer *buffer = of(handle);
  if (buffer && buffer->owned) {
    allocatedBytes -= buffer->bytes;
    std::free(buffer->memory);
  }
  delete buffer;
}

int32_t map(kiln_buffer *buffer, void **memory, kiln_error *) {
  *memory = of(buffer)->memory;
  return KILN_SUCCESS;
}

void unmap(kiln_buffer *) {}

bool within(const Buffer &buffer, uint64_t offset, uint64_t bytes, kiln_error *error) {
  if (offset <= buffer.bytes && bytes <= buffer.bytes - offset)
    return true;
  fail(error, KILN_ERROR_INVALID,
       std::to_string(bytes) + " bytes at offset " + std::to_string(offset) + " reach beyond a buffer of " +
           std::to_string(buffer.bytes));
  return false;
}

int32_t write(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_error *error) {
  if (!within(*of(to), offset, bytes, error))
    return error->code;
  if (bytes)
    std::memcpy(of(to)->memory + offset, from, bytes);
  return KILN_SUCCESS;
}

int32_t read(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *error) {
  if (!within(*of(from), offset, bytes, error))
    return error->code;
  if (bytes)
    std::memcpy(to, of(from)->memory + offset, bytes);
  return KILN_SUCCESS;
}

int32_t copy(kiln_buffer *from, uint64_t fromOffset, kiln_buffer *to, uint64_t toOffset, uint64_t bytes,
             kiln_error *error) {
  if (!within(*of(from), fromOffset, bytes, error) || !within(*of(to), toOffset, bytes, error))
    return error->code;
  if (bytes)
    std::memmove(of(to)->memory + toOffset, of(from)->memory + fromOffset, bytes);
  return KILN_SUCCESS;
}

int32_t loadProgram(kiln_device *device, const kiln_program *program, const void *artifact, uint64_t bytes,
                    kiln_executable **executable, kiln_error *error) {
  return guarded(error, [&]() -> int32_t {
    auto result = std::make_unique<Executable>();
    std::string message;
    result->host = of(device)->host;
    if (!load(program, artifact, bytes, *result, message))
      return fail(error, KILN_ERROR_INVALID, message);
    *executable = reinterpret_cast<kiln_executable *>(result.release());
    return KILN_SUCCESS;
  });
}

void unload(kiln_executable *executable) { delete of(executable); }

int32_t executeEntry(kiln_executable *executable, const kiln_execution *execution, kiln_error *error) {
  if (KILN_HAS(execution, kiln_execution, event))
    *execution->event = nullptr; // all is done when this returns
  return guarded(error, [&]() -> int32_t {
    std::string message;
    uint32_t kernel;
    if (execute(*of(executable), *execution, kernel, message))
      return KILN_SUCCESS;
    error->kernel = kernel;
    return fail(error, KILN_ERROR_INVALID, message);
  });
}

int32_t wait(kiln_event *, kiln_error *) { return KILN_SUCCESS; }

int32_t profile(kiln_executable *executable, int32_t on, const kiln_profile_event **events, size_t *count,
                kiln_error *) {
  of(executable)->profiling = on != 0;
  *events = of(executable)->events.data();
  *count = of(executable)->events.size();
  return KILN_SUCCESS;
}

int32_t counters(kiln_executable *executable, kiln_counters *out, kiln_error *) {
  of(executable)->counters.device_bytes = allocatedBytes;
  uint32_t size = std::min<uint32_t>(out->size, sizeof(kiln_counters));
  of(executable)->counters.size = out->size;
  std::memcpy(out, &of(executable)->counters, size);
  return KILN_SUCCESS;
}

} // namespace
} // namespace kiln::reference

extern "C" const kiln_run_api *kiln_reference_run_api(void) {
  using namespace kiln::reference;
  static const kiln_run_api api = {sizeof(kiln_run_api),
                                   deviceCount,
                                   deviceInfo,
                                   openDevice,
                                   closeDevice,
                                   allocate,
                                   import,
                                   release,
                                   map,
                                   unmap,
                                   write,
                                   read,
                                   copy,
                                   loadProgram,
                                   unload,
                                   executeEntry,
                                   wait,
                                   profile,
                                   counters,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr};
  return &api;
}

extern "C" const kiln_backend *kiln_backend_reference(const kiln_offer *offer, kiln_error *error) {
  static const kiln_backend backend = {sizeof(kiln_backend),
                                       KILN_ABI_VERSION,
                                       {"reference", 9},
                                       {"reference evaluator", 19},
                                       nullptr,
                                       kiln_reference_run_api(),
                                       nullptr,
                                       0,
                                       0,
                                       0};
  if (offer->oldest <= KILN_ABI_VERSION && KILN_ABI_VERSION <= offer->newest)
    return &backend;
  kiln::fail(error, KILN_ERROR_VERSION,
             "the reference backend speaks version " + std::to_string(KILN_ABI_VERSION) +
                 " of the backend interface, the host " + std::to_string(offer->oldest) + " to " +
                 std::to_string(offer->newest));
  return nullptr;
}
