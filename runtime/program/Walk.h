// Runs an entry one launch after another, to look between them: for finding out what went wrong.
#pragma once

#include "runtime/program/Program.h"

#include <deque>

namespace kiln {

/// A sum of products of a launch's extents, which are numbers or slots of the entry's table. Throws Error where the
/// manifest names an extent that the launch lacks.
double costOf(const KernelSpec &kernel, const std::vector<KernelSpec::Term> &terms, const kiln_node &launch,
              const int64_t *table);

/// An entry's plan as a flat list of launches and copies, its loops unrolled, under the extents of one run.
class Walk {
public:
  /// `table` is the entry's extents, with its loop slots; it is written while walking. `scratch`: for each kernel, how
  /// many bytes it gets behind the arena in place of those that the plan has for it.
  Walk(const kiln_program &program, const EntryRow &entry, int64_t *table,
       const std::vector<int64_t> *scratch = nullptr);

  struct Leaf {
    kiln_node node;
    std::vector<std::pair<int32_t, int64_t>> loops; // slot and index
  };
  const std::vector<Leaf> &leaves() const { return leaves_; }
  /// The program whose entry i is leaf i.
  const kiln_program &program() const { return program_; }
  /// Writes a leaf's loop indices into the table.
  void prepare(const Leaf &leaf);
  /// Of the arena, with what `scratch` asks for.
  int64_t arenaBytes() const { return arenaBytes_; }
  int64_t value(const kiln_extent &extent) const { return extent.slot < 0 ? extent.value : table_[extent.slot]; }

private:
  void flatten(const kiln_node &node, std::vector<std::pair<int32_t, int64_t>> &loops, std::vector<int64_t> &indices);
  /// The node, and all below it, where the loops around it stand at `indices`: with the loops that are left.
  kiln_node settled(kiln_node node, const std::vector<int64_t> &indices);

  int64_t *table_;
  int64_t arenaBytes_;
  std::vector<Leaf> leaves_;
  std::deque<std::vector<kiln_place>> places_;
  std::deque<std::vector<kiln_node>> children_;
  std::vector<EntryRow> entries_;
  kiln_program program_;
};

} // namespace kiln
