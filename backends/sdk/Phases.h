// A form for any kernel: one item an element.
//
// Splits a kernel into phases that run one after another, each over a number of items that do not depend on one
// another. An op whose element takes many elements (a reduction, a product, a scatter) and which is read otherwise than
// element by element has a phase of its own, which writes its result to memory: an output's, or scratch. Right for
// every kernel of known ops, whatever stands in it; a backend makes fast what is worth it.
#pragma once

#include "Emitter.h"

namespace kiln::sdk {

/// A value in scratch memory.
struct Stored {
  uint32_t value;
  int64_t offset; // bytes, a multiple of 64
  int64_t bytes;  // at the bounds
};

struct Phase {
  enum Kind {
    Elements, // an item computes an element of each of its values and stores it
    Line,     // a running sum: an item runs along the axis
    Update,   // scatter, after its operand was copied: an item goes through all indices
    Rank      // sort, top_k: an item finds the place of one element
  } kind = Elements;
  std::vector<kiln_extent> items;     // their number is the product
  std::vector<uint32_t> values;       // results of whole ops that it stores
  const Op *op = nullptr;             // of the graph; for Elements null but where an op's operand is copied
  std::vector<uint32_t> outputs = {}; // Elements: numbers of outputs that it stores
};

struct Phases {
  std::vector<Phase> phases;
  std::vector<Stored> scratch;
  int64_t scratchBytes = 0;

  /// False with a reason for the user, and the op's number or KILN_NONE, where the kernel holds what is not known.
  static bool plan(const Graph &graph, Phases &out, std::string &reason, uint32_t &op);
  /// Where a value is stored: the launch's inputs, then outputs, then those of `scratch`; -1: nowhere.
  int place(uint32_t value) const;
  /// Prints the body of one phase for the item of that number, which is below the product. The emitter is new.
  void print(Emitter &emitter, const Phase &phase, const Expr &item) const;

private:
  std::vector<std::pair<uint32_t, int>> places; // of whole values
  int addScratch(const Graph &graph, uint32_t value);
  int homeOf(const Graph &graph, const Op &op, uint32_t value);
  void printLine(Emitter &emitter, const Phase &phase, const Expr &item) const;
  void printUpdate(Emitter &emitter, const Phase &phase, const Expr &item) const;
  void printRank(Emitter &emitter, const Phase &phase, const Expr &item) const;
};

} // namespace kiln::sdk
