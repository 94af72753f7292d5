// A loaded program: the kernels' graphs, and a tree that has been checked once and is then walked as it is.
#pragma once

#include "backends/reference/run/Evaluate.h"

#include <memory>

namespace kiln::reference {

// Behind the interface's opaque types, which are cast: were these types themselves called kiln_executable and so on, as
// another backend may do in its own files, a program that links both would have two meanings of one name.

struct Device {
  const kiln_host *host;
};

struct Buffer {
  uint8_t *memory;
  uint64_t bytes;
  bool owned;
};

struct Executable {
  const kiln_host *host;
  std::vector<sdk::Graph> kernels;
  std::vector<kiln_entry_info> entries;
  const uint8_t *constants;
  uint64_t constantBytes;
  Evaluator evaluator{Rounding::EachOp};
  // What a launch works with; memory is kept from launch to launch.
  std::vector<int64_t> extents;
  std::vector<uint8_t *> places;
  bool profiling = false;
  std::vector<kiln_profile_event> events;
  kiln_counters counters{};
};

inline Device *of(kiln_device *device) { return reinterpret_cast<Device *>(device); }
inline Buffer *of(kiln_buffer *buffer) { return reinterpret_cast<Buffer *>(buffer); }
inline Executable *of(kiln_executable *executable) { return reinterpret_cast<Executable *>(executable); }

/// Decodes the artifact and checks that the program's tree fits it. False with a sentence.
bool load(const kiln_program *program, const void *artifact, uint64_t bytes, Executable &executable,
          std::string &error);

/// Walks an entry's tree. False with a sentence; `kernel` is then the launch's, KILN_NONE outside of one.
bool execute(Executable &executable, const kiln_execution &execution, uint32_t &kernel, std::string &error);

} // namespace kiln::reference
