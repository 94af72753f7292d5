// A loaded program.
//
// The tree of a program is decoded once, at load, into arrays that execution walks without looking anything up.
#pragma once

#include "backends/cpu/artifact.h"
#include "backends/cpu/run/Prepacked.h"
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace kiln::cpu {

/// base pointer (by slot) + offset + sum of stride[level] * iteration[level].
struct Place {
  uint32_t base = 0; // 0: arena, 1: constants, 2 + i: argument i
  uint32_t strideCount = 0;
  int64_t offset = 0;
  kiln_extent strides[KILN_MAX_LOOPS] = {};
};

struct Node {
  kiln_node_kind kind = KILN_NODE_SEQUENCE;
  uint32_t childBegin = 0, childCount = 0; // in Entry::nodes: children stand side by side
  uint32_t kernel = 0;
  uint32_t placeBegin = 0, placeCount = 0;
  uint32_t extentBegin = 0, extentCount = 0;
  bool constantExtents = false, hasScratch = false;
  Place scratch, condition;
  kiln_extent count{0, -1};
  int32_t indexSlot = -1;
  bool reverse = false;
  int32_t prepacked = -1;         // in Executable::prepacked
  uint32_t prepackedArgument = 0; // whose version tells whether it has changed; noArgument: it never does
  static constexpr uint32_t noArgument = UINT32_MAX, ofLoop = UINT32_MAX - 1; // … until the loop runs again
  bool prepackedInLoop = false; // it does not change while the outermost loop around the launch runs
  uint32_t taskBegin = 0;       // constant extents: each phase's number of tasks, in Entry::taskCounts
};

struct Entry {
  std::vector<Node> nodes; // 0: the root
  std::vector<Place> places;
  std::vector<kiln_extent> extents;
  std::vector<int64_t> constantExtents; // the values, where all of a launch are constant; parallel to `extents`
  std::vector<int64_t> taskCounts;
  size_t argumentCount = 0;
  std::vector<int32_t> writes; // what is prepacked of parameters that it writes, in Executable::prepacked
};

struct alignas(64) WorkerStatus {
  kiln_status status;
  uint64_t phase = 0; // the last one that the worker had a task of: Executable::phaseRuns then
};

// What stands behind the ABI's kiln_device, kiln_buffer and kiln_executable. (Types of those names would be one with
// another backend's in the same program.)

/// This process's memory and the host's threads.
struct Device {
  const kiln_host *host = nullptr;
};

struct Buffer {
  uint8_t *memory = nullptr;
  uint64_t bytes = 0;
  bool owned = false;
};

struct Executable {
  const kiln_cpu_artifact *artifact = nullptr;
  const kiln_host *host = nullptr;
  const uint8_t *constants = nullptr;
  std::vector<Entry> entries;
  // Memory that execution works in; sized at load.
  std::vector<void *> bases, args;
  std::vector<int64_t> launchExtents;
  std::vector<WorkerStatus> workerStatus;
  std::unique_ptr<uint8_t[]> workerMemory;
  uint8_t *workerScratch = nullptr;
  size_t workerStride = 0;
  bool prepacks = true; // the option of that name
  PrepackedTable prepacked;
  uint64_t loopRuns = 0;  // of outermost loops, all that ever began
  uint64_t phaseRuns = 0; // of phases, all that ever began
  bool profiling = false;
  std::vector<kiln_profile_event> events;
  kiln_counters counters = {}; // of the last execution
};

/// Decodes; false with a sentence where the artifact and the program do not belong together or the processor is not up
/// to it.
bool load(const kiln_program *program, const kiln_cpu_artifact &artifact, const kiln_host &host, Executable &executable,
          std::string &error);

} // namespace kiln::cpu
