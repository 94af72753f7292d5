//===- Executable.h - a loaded program and its recordings ---------------------------------------------------------===//
#ifndef KILN_BACKENDS_VULKAN_RUN_EXECUTABLE_H
#define KILN_BACKENDS_VULKAN_RUN_EXECUTABLE_H

#include "backends/vulkan/run/Recording.h"
#include <deque>

/// An execution that the host has not waited for.
struct kiln_event {
  kiln_executable *executable = nullptr;
  kiln::vulkan::Recording *recording = nullptr; ///< null: it is over, and `failure` says how
  uint64_t number = 0;                          ///< on the time line
  kiln_status *status = nullptr;
  kiln::vulkan::Failure failure;
  bool used = false;
};

struct kiln_executable {
  using Failure = kiln::vulkan::Failure;
  using Recording = kiln::vulkan::Recording;

  kiln_executable(kiln_device &device, const kiln_program *program)
      : device(device), program(program), reader(device.host->reader) {}
  kiln_executable(const kiln_executable &) = delete;
  ~kiln_executable();

  kiln_device &device;
  const kiln_program *program;
  const kiln_reader *reader;
  kiln_program_info info = {};
  kiln::vulkan::Artifact artifact;
  bool profiling = false;
  std::vector<kiln_profile_event> events;
  kiln_counters counters = {};

  Failure load(const void *blob, uint64_t bytes);
  Failure execute(const kiln_execution &execution);
  Failure wait(kiln_event &event);
  /// Lets go of the recordings that use the buffer.
  void forget(uint64_t bufferId);

  /// Of the recording that ran last, for tests: the sum of operands, and the depth of the dependences.
  uint64_t lastOperandBytes = 0;
  uint32_t lastDepth = 0;

private:
  std::vector<std::vector<uint32_t>> variants; // of each kernel: those that the device runs
  std::unique_ptr<kiln::vulkan::Pipelines> pipelines;
  kiln::vulkan::RawBuffer constants;
  std::vector<std::unique_ptr<Recording>> recordings;
  std::deque<kiln_event> waiting; // never shrinks: events are used again
  uint64_t clock = 0;
  // Of the execution at hand.
  uint64_t order = 0;
  std::vector<std::pair<uint32_t, uint64_t>> uncollected; // segments that were submitted, and the orders they begin at

  Failure loadConstants();
  Failure chooseVariants(uint32_t kernel);
  std::string lacks(const kiln_vk_variant &variant) const;
  Recording *find(const kiln_execution &execution, const kiln_entry_info &entry);
  Failure record(const kiln_execution &execution, const kiln_entry_info &entry, Recording *&recording);
  Failure dropOldest();
  void drop(size_t number);
  Failure run(Recording &recording, const std::vector<kiln::vulkan::Step> &steps, kiln_status &status);
  Failure submit(Recording &recording, uint32_t segment);
  Failure catchUp(Recording &recording, kiln_status &status, bool within);
  /// Ends the events that wait for the recording.
  Failure settle(Recording &recording);
};

#endif // KILN_BACKENDS_VULKAN_RUN_EXECUTABLE_H
