/* Prepacked.h: weights packed once for all executions that find them unchanged (kiln_cpu_prepacking). */
#pragma once

#include "backends/cpu/artifact.h"
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kiln::cpu {

/// An input as kernels want it packed. Launches of all entries that read the same parameter in the same layout share
/// one.
struct Prepacked {
  struct Free {
    void operator()(void *memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory; // null until something is packed
  int64_t bytes = 0;
  uint64_t packed = 0; // the version of the input that it holds; 0: none
  uint64_t seen = 0;   // the one that a launch last found

  /// Where it is packed of that version, or may be now (then `pack` is set). Null: the launch does it for itself, as it
  /// does with a version that is new: what is used once is not worth the memory.
  void *of(uint64_t version, bool &pack);
};

/// Those of a loaded program.
class PrepackedTable {
public:
  /// The number of what launches of `entry` read at this place, in that layout; -1 where nobody vouches for what is
  /// there.
  int32_t find(const kiln_reader &reader, const kiln_program *program, uint32_t entry, const kiln_place &place,
               const kiln_cpu_prepacking &prepacking);
  Prepacked &operator[](int32_t number) { return all[static_cast<size_t>(number)]; }
  /// Held now.
  uint64_t bytes() const;

private:
  std::vector<Prepacked> all;
  std::map<std::string, int32_t> numbers;
};

} // namespace kiln::cpu
