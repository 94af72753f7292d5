// A loaded program: the kernels' graphs, and a tree that has been checked once and is then walked as it is.
#pragma once

#include "backends/reference/run/Evaluate.h"

#include <memory>

struct kiln_device {
  const kiln_host *host;
};

struct kiln_buffer {
  uint8_t *memory;
  uint64_t bytes;
  bool owned;
};

struct kiln_executable {
  const kiln_host *host;
  std::vector<kiln::sdk::Graph> kernels;
  std::vector<kiln_entry_info> entries;
  const uint8_t *constants;
  uint64_t constantBytes;
  kiln::reference::Evaluator evaluator{kiln::reference::Rounding::EachOp};
  // What a launch works with; memory is kept from launch to launch.
  std::vector<int64_t> extents;
  std::vector<uint8_t *> places;
  bool profiling = false;
  std::vector<kiln_profile_event> events;
  kiln_counters counters{};
};

namespace kiln::reference {

/// Decodes the artifact and checks that the program's tree fits it. False with a sentence.
bool load(const kiln_program *program, const void *artifact, uint64_t bytes, kiln_executable &executable,
          std::string &error);

/// Walks an entry's tree. False with a sentence; `kernel` is then the launch's, KILN_NONE outside of one.
bool execute(kiln_executable &executable, const kiln_execution &execution, uint32_t &kernel, std::string &error);

} // namespace kiln::reference
