/* Prepacked.h: weights packed once for all executions that find them unchanged (kiln_cpu_prepacking). */
#pragma once

#include "backends/cpu/artifact.h"
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::cpu {

/// An input as kernels want it packed. Launches of all entries that read the same parameter in the same layout share
/// one.
///
/// It is packed by the launch that finds the input as launches before have found it: what is used once is not worth the
/// memory. What an entry of the program writes is being trained: then the memory is given back, and it takes many
/// launches until it is packed again, more than most validations have.
class Prepacked {
public:
  /// What launches share: an input, as it lies, in one layout.
  struct Key {
    std::string parameter;           ///< empty: a constant, or what a loop reads
    std::vector<int64_t> dims;       ///< it may have been brought into another order, under its name
    const kiln_node *loop = nullptr; ///< which reads it
    int32_t space = 0;
    uint32_t argument = 0; ///< what a loop reads, else 0
    int64_t offset = 0;
    std::string_view layout;
    bool operator==(const Key &) const = default;
  };
  Prepacked(Key key, int64_t bytes) : key_(std::move(key)), bytes_(bytes) {}

  /// Where it is packed of that version (0: not known), or may be now (then `pack` is set). Null: the launch has to do
  /// it for itself.
  void *of(uint64_t version, bool &pack);
  /// The same for launches that a loop repeats: packed at once.
  void *repeated(uint64_t version, bool &pack);
  /// An execution that writes the parameter begins.
  void written();

  const Key &key() const { return key_; }
  /// Held now.
  uint64_t bytes() const { return memory_ ? static_cast<uint64_t>(bytes_) : 0; }

  /// Launches that find the input unchanged before it is packed, where it is trained.
  static constexpr int untilAfterTraining = 32;

private:
  struct Free {
    void operator()(void *memory) const { std::free(memory); }
  };
  Key key_;
  int64_t bytes_;
  std::unique_ptr<void, Free> memory_; // null until something is packed
  uint64_t packed_ = 0;                // the version of the input that it holds; 0: none
  uint64_t seen_ = 0;                  // the one that a launch last found
  int found_ = 0, until_ = 1;          // by how many launches after the first, and how many it takes
  bool refused_ = false;               // memory was short
};

/// What the system could give, caches of files included; 0 where it does not say.
uint64_t availableMemory();

/// Those of a loaded program.
class PrepackedTable {
public:
  /// The number of what launches of `entry` read at this place, in that layout; -1 where nobody vouches for what is
  /// there.
  int32_t find(const kiln_reader &reader, const kiln_program *program, uint32_t entry, const kiln_place &place,
               const kiln_cpu_prepacking &prepacking);
  /// The same of what lasts as long as this loop runs.
  int32_t findInLoop(const kiln_node *loop, const kiln_place &place, const kiln_cpu_prepacking &prepacking);
  Prepacked &operator[](int32_t number) { return all[static_cast<size_t>(number)]; }
  /// The numbers of what is packed of the parameter.
  std::vector<int32_t> of(std::string_view parameter) const;
  /// Held now.
  uint64_t bytes() const;

private:
  int32_t numberOf(Prepacked::Key key, const kiln_place &place, const kiln_cpu_prepacking &prepacking);

  std::vector<Prepacked> all; // some hundreds
};

} // namespace kiln::cpu
