//===- Executor.cpp - walks a program's tree
//------------------------------------------------------------------------===//
//
// Nothing is allocated here but profile events, when they are on. A phase of one task runs on the calling thread;
// others are given to the host's threads. Each worker has a status record of its own; of those that reported, the one
// whose piece of tasks began first is kept, and since tasks of a piece run in order that is the first error of the
// launch.
//
//===------------------------------------------------------------------------------------------------------------===//
#include "backends/cpu/run/Executable.h"
#include "backends/cpu/run/Run.h"
#include <cstring>
#include <ctime>

namespace kiln::cpu {
namespace {

class Execution {
public:
  Execution(kiln_executable &executable, const Entry &entry, int64_t *extents, kiln_status *status)
      : self(executable), entry(entry), extents(extents), status(status) {}

  void run(const Node &node) {
    switch (node.kind) {
    case KILN_NODE_SEQUENCE:
      return children(node);
    case KILN_NODE_LAUNCH:
      return launch(node);
    case KILN_NODE_COPY: {
      const Place *places = &entry.places[node.placeBegin];
      std::memmove(at(places[1]), at(places[0]), size_t(value(node.count)));
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
  kiln_executable &self;
  const Entry &entry;
  int64_t *extents;
  kiln_status *status;
  int64_t iteration[KILN_MAX_LOOPS] = {};
  uint32_t depth = 0;
  uint64_t order = 0;

  // A launch in flight.
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
    kiln_status &own = e.self.workerStatus[worker].status;
    e.phase->run(e.self.args.data(), e.phaseExtents, e.scratch, e.self.workerScratch + worker * e.self.workerStride,
                 &own, begin, end);
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

  void launch(const Node &node) {
    const kiln_cpu_kernel &kernel = self.artifact->kernels[node.kernel];
    int64_t started = self.profiling ? now() : 0;
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
    for (int64_t i = 0; i < kernel.phase_count; ++i) {
      phase = &kernel.phases[i];
      int64_t tasks =
          node.constantExtents ? entry.taskCounts[node.taskBegin + uint32_t(i)] : phase->tasks(phaseExtents);
      if (tasks == 1 || (tasks > 1 && self.host->worker_count <= 1))
        piece(this, 0, tasks, 0);
      else if (tasks > 1)
        self.host->parallel_for(self.host->self, tasks, &Execution::piece, this);
    }
    // Launches run one after another: the first report is the earliest.
    if (bad.kind != KILN_OK && status->kind == KILN_OK) {
      *status = bad;
      status->kernel = node.kernel;
      status->order = order;
    }
    ++order;
    if (self.profiling)
      self.events.push_back({node.kernel, started, now()});
  }

  static int64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return int64_t(time.tv_sec) * 1000000000 + time.tv_nsec;
  }
};

int fail(kiln_error *error, const std::string &message) {
  error->code = 1;
  size_t size = std::min(message.size(), sizeof error->message - 1);
  std::memcpy(error->message, message.data(), size);
  error->message[size] = 0;
  return 1;
}

int loadProgram(const kiln_program *program, const void *artifact, size_t, const kiln_host *host,
                kiln_executable **executable, kiln_error *error) {
  auto result = std::make_unique<kiln_executable>();
  std::string message;
  if (!load(*program, *static_cast<const kiln_cpu_artifact *>(artifact), *host, *result, message))
    return fail(error, message);
  *executable = result.release();
  return 0;
}

int execute(kiln_executable *executable, uint32_t number, void *const *buffers, void *arena, int64_t *extents,
            kiln_status *status, kiln_error *error) {
  if (number >= executable->entries.size())
    return fail(error, "the program has no such entry");
  const Entry &entry = executable->entries[number];
  executable->bases[0] = arena;
  executable->bases[1] = const_cast<uint8_t *>(executable->constants);
  for (size_t i = 0; i < entry.argumentCount; ++i)
    executable->bases[2 + i] = buffers[i];
  for (WorkerStatus &worker : executable->workerStatus)
    worker.status.kind = KILN_OK;
  Execution execution(*executable, entry, extents, status);
  execution.run(entry.nodes[0]);
  return 0;
}

void unload(kiln_executable *executable) { delete executable; }

void profile(kiln_executable *executable, int on, const kiln_profile_event **events, size_t *count) {
  if (on && !executable->profiling)
    executable->events.clear();
  executable->profiling = on != 0;
  if (events)
    *events = executable->events.data();
  if (count)
    *count = executable->events.size();
}

} // namespace
} // namespace kiln::cpu

extern "C" const kiln_run_api *kiln_cpu_run_api(void) {
  static const kiln_run_api api = {sizeof(kiln_run_api), KILN_BACKEND_API_VERSION, kiln::cpu::loadProgram,
                                   kiln::cpu::execute,   kiln::cpu::unload,        kiln::cpu::profile};
  return &api;
}
