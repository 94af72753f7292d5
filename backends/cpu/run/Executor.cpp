// Walks a program's tree.
//
// Nothing is allocated here but profile events, when they are on. A phase of one task runs on the calling thread;
// others are given to the host's threads. Each worker has a status record of its own; of those that reported, the one
// whose piece of tasks began first is kept, and since tasks of a piece run in order that is the first error of the
// launch.
#include "backends/api/kiln_text.h"
#include "backends/cpu/run/Executable.h"
#include "backends/cpu/run/Processor.h"
#include "backends/cpu/run/Run.h"
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <unistd.h>

namespace kiln::cpu {
namespace {

class Execution {
public:
  Execution(Executable &executable, const Entry &entry, const kiln_execution &given)
      : self(executable), entry(entry), extents(given.extents), status(given.status),
        versions(KILN_HAS(&given, kiln_execution, versions) ? given.versions : nullptr) {}

  void run(const Node &node) {
    switch (node.kind) {
    case KILN_NODE_SEQUENCE:
      return children(node);
    case KILN_NODE_LAUNCH:
      return launch(node);
    case KILN_NODE_COPY: {
      const Place *places = &entry.places[node.placeBegin];
      std::memmove(at(places[1]), at(places[0]), static_cast<size_t>(value(node.count)));
      return;
    }
    case KILN_NODE_REPEAT:
      return repeat(node);
    case KILN_NODE_WHILE: {
      // Inside a while, strides of the loops around it still hold; it is no level of its own.
      for (run(child(node, 0)); *at(node.condition); run(child(node, 0)))
        run(child(node, 1));
      return;
    }
    case KILN_NODE_IF:
      return run(child(node, *at(node.condition) ? 0 : 1));
    default:
      return;
    }
  }

private:
  Executable &self;
  const Entry &entry;
  int64_t *extents;
  kiln_status *status;
  const uint64_t *versions; // of the arguments; may be null
  int64_t iteration[KILN_MAX_LOOPS] = {};
  uint32_t depth = 0;
  uint64_t order = 0;

  // A launch in flight.
  const kiln_cpu_kernel *kernel = nullptr;
  const kiln_cpu_phase *phase = nullptr;
  const int64_t *phaseExtents = nullptr;
  void *scratch = nullptr;
  std::atomic_flag lock = ATOMIC_FLAG_INIT;
  int64_t firstBad = 0;
  kiln_status bad;

  const Node &child(const Node &node, uint32_t i) const { return entry.nodes[node.childBegin + i]; }
  int64_t value(const kiln_extent &extent) const { return extent.slot < 0 ? extent.value : extents[extent.slot]; }

  uint8_t *at(const Place &place) const {
    int64_t offset = place.offset;
    for (uint32_t level = 0; level < place.strideCount; ++level)
      offset += value(place.strides[level]) * iteration[level];
    return static_cast<uint8_t *>(self.bases[place.base]) + offset;
  }

  void children(const Node &node) {
    for (uint32_t i = 0; i < node.childCount; ++i)
      run(child(node, i));
  }

  void repeat(const Node &node) {
    int64_t count = value(node.count);
    self.loopRuns += depth == 0;
    uint32_t level = depth++;
    for (int64_t i = 0; i < count; ++i) {
      iteration[level] = node.reverse ? count - 1 - i : i;
      if (node.indexSlot >= 0)
        extents[node.indexSlot] = iteration[level];
      children(node);
    }
    iteration[level] = 0;
    --depth;
  }

  /// On a worker: some tasks of the current phase.
  static void piece(void *context, int64_t begin, int64_t end, uint32_t worker) {
    auto &e = *static_cast<Execution *>(context);
    WorkerStatus &record = e.self.workerStatus[worker];
    kiln_status &own = record.status;
    uint8_t *workerScratch = e.self.workerScratch + worker * e.self.workerStride;
    if (record.phase != e.self.phaseRuns) {
      record.phase = e.self.phaseRuns;
      kiln_cpu_begin_phase(e.kernel, workerScratch);
    }
    e.phase->run(e.self.args.data(), e.phaseExtents, e.scratch, workerScratch, &own, begin, end);
    if (own.kind == KILN_OK)
      return;
    while (e.lock.test_and_set(std::memory_order_acquire)) {
    }
    if (e.bad.kind == KILN_OK || begin < e.firstBad) {
      e.bad = own;
      e.firstBad = begin;
    }
    e.lock.clear(std::memory_order_release);
    own.kind = KILN_OK;
  }

  /// All of the current phase's.
  void tasks(int64_t count) {
    ++self.phaseRuns;
    if (count == 1 || (count > 1 && self.host->worker_count <= 1))
      piece(this, 0, count, 0);
    else if (count > 1) {
      self.host->parallel_for(self.host->self, count, &Execution::piece, this);
      ++self.counters.barriers;
    }
  }

  /// Whether the launch finds its input packed: packs it where it has lasted, as a copy of its own in a profile.
  bool prepack(const Node &node, const kiln_cpu_prepacking &prepacking) {
    void *&place = self.args[node.placeCount];
    place = nullptr;
    if (node.prepacked < 0)
      return false;
    uint64_t always = 1, version = 0; // constants do not change
    if (node.prepackedArgument == Node::noArgument)
      version = always;
    else if (node.prepackedArgument != Node::ofLoop && versions)
      version = versions[node.prepackedArgument];
    if (version == 0 && node.prepackedInLoop)
      version = self.loopRuns | uint64_t{1} << 63; // no version of the host's
    bool pack = false;
    Prepacked &prepacked = self.prepacked[node.prepacked];
    place = node.prepackedInLoop ? prepacked.repeated(version, pack) : prepacked.of(version, pack);
    if (!pack)
      return place != nullptr;
    int64_t started = self.profiling ? now() : 0;
    phase = &prepacking.phase;
    tasks(phase->tasks(phaseExtents));
    if (self.profiling)
      self.events.push_back({KILN_NONE, 0, started, now()});
    return true;
  }

  void launch(const Node &node) {
    kernel = &self.artifact->kernels[node.kernel];
    for (uint32_t i = 0; i < node.placeCount; ++i)
      self.args[i] = at(entry.places[node.placeBegin + i]);
    scratch = node.hasScratch ? at(node.scratch) : nullptr;
    phaseExtents = entry.constantExtents.data() + node.extentBegin;
    if (!node.constantExtents) {
      for (uint32_t i = 0; i < node.extentCount; ++i)
        self.launchExtents[i] = value(entry.extents[node.extentBegin + i]);
      phaseExtents = self.launchExtents.data();
    }
    bad.kind = KILN_OK;
    bool prepacked = kernel->prepacking && prepack(node, *kernel->prepacking);
    int64_t started = self.profiling ? now() : 0;
    for (int64_t i = 0; i < kernel->phase_count; ++i) {
      if (prepacked && i == kernel->prepacking->replaces)
        continue;
      phase = &kernel->phases[i];
      tasks(node.constantExtents ? entry.taskCounts[node.taskBegin + static_cast<uint32_t>(i)]
                                 : phase->tasks(phaseExtents));
    }
    ++self.counters.launches;
    // Launches run one after another: the first report is the earliest.
    if (bad.kind != KILN_OK && status->kind == KILN_OK) {
      *status = bad;
      status->kernel = node.kernel;
      status->order = order;
    }
    ++order;
    if (self.profiling)
      self.events.push_back({node.kernel, 0, started, now()});
  }

  static int64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
  }
};

Device *device(kiln_device *handle) { return reinterpret_cast<Device *>(handle); }
Buffer *buffer(kiln_buffer *handle) { return reinterpret_cast<Buffer *>(handle); }
Executable *executable(kiln_executable *handle) { return reinterpret_cast<Executable *>(handle); }

//===-- The device: this process ---------------------------------------------------------------------------------===//

int32_t deviceCount(const kiln_host *, uint32_t *count, kiln_string *, kiln_error *) {
  *count = 1;
  return KILN_SUCCESS;
}

int32_t deviceInfo(const kiln_host *, uint32_t number, kiln_device_info *info, kiln_error *error) {
  if (number != 0)
    return fail(error, KILN_ERROR_INVALID, "the cpu backend has one device, number 0");
  static const std::string name = processorName();
  info->usable = 1;
  info->name = {name.data(), name.size()};
  info->driver = text("native code");
  info->memory_bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  info->flags = KILN_BACKEND_HOST_MEMORY | KILN_BACKEND_DETERMINISTIC;
  if (info->size >= offsetof(kiln_device_info, free_bytes) + sizeof info->free_bytes)
    info->free_bytes = availableMemory();
  return KILN_SUCCESS;
}

int32_t openDevice(const kiln_host *host, uint32_t number, kiln_device **opened, kiln_error *error) {
  if (number != 0)
    return fail(error, KILN_ERROR_INVALID, "the cpu backend has one device, number 0");
  *opened = reinterpret_cast<kiln_device *>(new Device{host});
  return KILN_SUCCESS;
}

void closeDevice(kiln_device *closed) { delete device(closed); }

//===-- Buffers --------------------------------------------------------------------------------------------------===//

constexpr size_t alignment = 64;

int32_t allocate(kiln_device *, uint64_t bytes, kiln_buffer **made, kiln_error *error) {
  size_t rounded = (std::max<uint64_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  auto *memory = rounded < bytes ? nullptr : static_cast<uint8_t *>(std::aligned_alloc(alignment, rounded));
  if (!memory)
    return fail(error, KILN_ERROR_OUT_OF_MEMORY, "no memory for a buffer of " + std::to_string(bytes) + " bytes");
  *made = reinterpret_cast<kiln_buffer *>(new Buffer{memory, bytes, true});
  return KILN_SUCCESS;
}

int32_t import(kiln_device *, void *memory, uint64_t bytes, kiln_buffer **made, kiln_error *) {
  *made = reinterpret_cast<kiln_buffer *>(new Buffer{static_cast<uint8_t *>(memory), bytes, false});
  return KILN_SUCCESS;
}

void releaseBuffer(kiln_buffer *handle) {
  Buffer *released = buffer(handle);
  if (released && released->owned)
    std::free(released->memory);
  delete released;
}

int32_t map(kiln_buffer *mapped, void **memory, kiln_error *) {
  *memory = buffer(mapped)->memory;
  return KILN_SUCCESS;
}

void unmap(kiln_buffer *) {}

bool within(kiln_buffer *handle, uint64_t offset, uint64_t bytes) {
  uint64_t size = buffer(handle)->bytes;
  return offset <= size && bytes <= size - offset;
}

int32_t outside(kiln_error *error) { return fail(error, KILN_ERROR_INVALID, "a copy reaches beyond its buffer"); }

int32_t write(kiln_buffer *to, uint64_t offset, const void *from, uint64_t bytes, kiln_error *error) {
  if (!within(to, offset, bytes))
    return outside(error);
  if (bytes)
    std::memcpy(buffer(to)->memory + offset, from, bytes);
  return KILN_SUCCESS;
}

int32_t read(kiln_buffer *from, uint64_t offset, void *to, uint64_t bytes, kiln_error *error) {
  if (!within(from, offset, bytes))
    return outside(error);
  if (bytes)
    std::memcpy(to, buffer(from)->memory + offset, bytes);
  return KILN_SUCCESS;
}

int32_t copy(kiln_buffer *from, uint64_t fromOffset, kiln_buffer *to, uint64_t toOffset, uint64_t bytes,
             kiln_error *error) {
  if (!within(from, fromOffset, bytes) || !within(to, toOffset, bytes))
    return outside(error);
  std::memmove(buffer(to)->memory + toOffset, buffer(from)->memory + fromOffset, bytes);
  return KILN_SUCCESS;
}

//===-- Programs -------------------------------------------------------------------------------------------------===//

int32_t loadProgram(kiln_device *on, const kiln_program *program, const void *artifact, uint64_t,
                    kiln_executable **loaded, kiln_error *error) {
  auto result = std::make_unique<Executable>();
  std::string message;
  if (!load(program, *static_cast<const kiln_cpu_artifact *>(artifact), *device(on)->host, *result, message))
    return fail(error, KILN_ERROR_INVALID, message);
  *loaded = reinterpret_cast<kiln_executable *>(result.release());
  return KILN_SUCCESS;
}

int32_t execute(kiln_executable *handle, const kiln_execution *execution, kiln_error *error) {
  Executable &self = *executable(handle);
  if (execution->entry >= self.entries.size())
    return fail(error, KILN_ERROR_INVALID, "the program has no such entry");
  const Entry &entry = self.entries[execution->entry];
  self.bases[0] = execution->arena ? buffer(execution->arena)->memory : nullptr;
  self.bases[1] = const_cast<uint8_t *>(self.constants);
  for (size_t i = 0; i < entry.argumentCount; ++i)
    self.bases[2 + i] = buffer(execution->buffers[i])->memory;
  for (int32_t number : entry.writes)
    self.prepacked[number].written();
  for (WorkerStatus &worker : self.workerStatus)
    worker.status.kind = KILN_OK;
  if (self.profiling)
    self.events.clear();
  self.counters = {};
  self.counters.submits = 1;
  Execution run(self, entry, *execution);
  run.run(entry.nodes[0]);
  // All is done: the event is null, which wait takes.
  if (execution->event)
    *execution->event = nullptr;
  return KILN_SUCCESS;
}

int32_t wait(kiln_event *, kiln_error *) { return KILN_SUCCESS; }

void unload(kiln_executable *unloaded) { delete executable(unloaded); }

int32_t profile(kiln_executable *handle, int32_t on, const kiln_profile_event **events, size_t *count, kiln_error *) {
  Executable &self = *executable(handle);
  self.profiling = on != 0;
  *events = self.events.data();
  *count = self.events.size();
  return KILN_SUCCESS;
}

/// Barriers are where all threads wait for each other; memory is what weights are packed once into. What kernels read
/// and write is not known on this side: 0.
int32_t counters(kiln_executable *handle, kiln_counters *out, kiln_error *) {
  uint32_t size = out->size;
  kiln_counters full = executable(handle)->counters;
  full.size = size;
  full.device_bytes = executable(handle)->prepacked.bytes();
  std::memcpy(out, &full, std::min<size_t>(size, sizeof full));
  return KILN_SUCCESS;
}

} // namespace
} // namespace kiln::cpu

extern "C" const kiln_run_api *kiln_cpu_run_api(void) {
  using namespace kiln::cpu;
  static const kiln_run_api api = {sizeof(kiln_run_api),
                                   deviceCount,
                                   deviceInfo,
                                   openDevice,
                                   closeDevice,
                                   allocate,
                                   import,
                                   releaseBuffer,
                                   map,
                                   unmap,
                                   write,
                                   read,
                                   copy,
                                   loadProgram,
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
                                   nullptr};
  return &api;
}
