// A loaded program and its recordings.
#pragma once

#include "backends/vulkan/run/Recording.h"
#include <deque>

namespace kiln::vulkan {

/// What the host's kiln_event is: an execution that it has not waited for.
struct Event {
  Executable *executable = nullptr;
  Recording *recording = nullptr; ///< null: it is over, and `failure` says how
  uint64_t number = 0;            ///< on the time line
  kiln_status *status = nullptr;
  Failure failure;
  bool used = false;
};

/// What the host's kiln_executable is.
struct Executable {
  Executable(Device &device, const kiln_program *program)
      : device(device), program(program), reader(device.host->reader) {}
  Executable(const Executable &) = delete;
  ~Executable();

  Device &device;
  const kiln_program *program;
  const kiln_reader *reader;
  kiln_program_info info = {};
  Artifact artifact;
  bool profiling = false;
  std::vector<kiln_profile_event> events;
  kiln_counters counters = {};

  Failure load(const void *blob, uint64_t bytes);
  Failure execute(const kiln_execution &execution);
  Failure wait(Event &event);
  /// Lets go of the recordings that use the buffer.
  void forget(uint64_t bufferId);

  /// What ran last, for tests; null where it is forgotten.
  const Recording *last = nullptr;

private:
  std::vector<std::vector<uint32_t>> variants; // of each kernel: those that the device runs
  std::unique_ptr<Pipelines> pipelines;
  RawBuffer constants;
  std::vector<std::unique_ptr<Recording>> recordings;
  std::deque<Event> waiting; // never shrinks: events are used again
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
  Failure run(Recording &recording, const std::vector<Step> &steps, kiln_status &status);
  Failure submit(Recording &recording, uint32_t segment);
  Failure catchUp(Recording &recording, kiln_status &status, bool within);
  /// Ends the events that wait for the recording.
  Failure settle(Recording &recording);
};

} // namespace kiln::vulkan
