// A program whose kernels are placed on several backends, as one program for each of them and the order in which an
// entry goes from one to the next.
//
// The first backend is the home: parameters, states, inputs, results and the arena live there. Another one works on a
// mirror of the same buffers, at the same offsets: before its part of an entry what that part reads is brought over,
// and after it what it wrote is brought back. A loop or a branch is on one backend as a whole.
#pragma once

#include "runtime/backend/Tables.h"

#include <deque>
#include <vector>

namespace kiln {

class Placement {
public:
  /// `whole` outlives this. backendOf: by kernel. Kernels that are not on the first backend have their values.
  Placement(const kiln_program &whole, std::vector<uint32_t> backendOf, uint32_t backends);
  Placement(const Placement &) = delete;

  /// What one backend compiles and loads: its kernels, and an entry for each of its parts.
  const kiln_program &program(uint32_t backend) const { return backends_[backend].program; }
  /// The number that a kernel of that program has in the whole; KILN_NONE where there is no such kernel.
  uint32_t wholeKernel(uint32_t backend, uint32_t kernel) const {
    const std::vector<uint32_t> &numbers = backends_[backend].kernelNumbers;
    return kernel < numbers.size() ? numbers[kernel] : KILN_NONE;
  }

  /// Bytes that a part reads or writes: a place, its tensor's extents, and the loops around it within the part.
  struct Access {
    kiln_place place;
    int64_t elementBytes;
    std::vector<kiln_extent> dims;  ///< slots are the entry's
    std::vector<kiln_extent> loops; ///< iterations, level 0 first
  };
  struct Span {
    int64_t offset, bytes;
  };
  /// Where the bytes are, under an entry's extents.
  static Span spanOf(const Access &access, const int64_t *extents);

  struct Part {
    uint32_t backend;
    uint32_t entry;                    ///< of that backend's program
    std::vector<Access> reads, writes; ///< where there are several backends
    bool known = true;                 ///< those are all; else a kernel at home does not say what it has
  };
  const std::vector<Part> &parts(size_t entry) const { return parts_[entry]; }

private:
  struct OneBackend {
    kiln_program program = {};
    std::vector<kiln_kernel> kernels;
    std::vector<uint32_t> kernelNumbers; // in the whole
    std::vector<EntryRow> entries;
  };
  int64_t homeOf(const kiln_node &node) const;
  void placeEntry(const EntryRow &entry);
  void flatten(const kiln_node &node, std::vector<const kiln_node *> &leaves) const;
  kiln_node renumbered(const kiln_node &node);
  void collect(const kiln_node &node, std::vector<kiln_extent> &loops, Part &part) const;

  const kiln_program &whole_;
  std::vector<uint32_t> backendOf_, localNumber_;
  std::vector<OneBackend> backends_;
  std::vector<std::vector<Part>> parts_;
  std::deque<std::vector<kiln_node>> nodes_;
};

} // namespace kiln
