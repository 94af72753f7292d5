// A kernel as C++ values.
//
// What a kiln_reader says about a kernel, read once and checked: ops by a number in place of a name, attributes by
// name. Owns all that it holds; the kernel may go.
#pragma once

#include "Ops.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::sdk {

struct Type {
  kiln_dtype dtype = KILN_F32;
  std::vector<kiln_extent> dims;
  size_t rank() const { return dims.size(); }
};

struct Attr {
  std::string name;
  int32_t kind = KILN_ATTR_INT;
  int64_t integer = 0;
  double number = 0;
  std::string string; // STRING, BYTES
  std::vector<int64_t> ints;
  std::vector<kiln_extent> extents;
};

struct Graph;

struct Op {
  OpCode code = OpCode::Other;
  uint32_t number = 0; // in the kernel, as status records and errors want it
  std::string name;
  std::string location; // "gpt.kiln:3:4", empty when unknown
  std::vector<uint32_t> operands, results;
  std::vector<Attr> attrs;
  std::vector<Graph> region; // of a loop ("scan", OpCode::Other): what a step does; of a composite: what it is made of

  const Attr *find(std::string_view attr) const;
  int64_t integer(std::string_view attr, int64_t otherwise = 0) const;
  double real(std::string_view attr, double otherwise = 0) const;
  /// Empty where there is none of it.
  std::string_view text(std::string_view attr) const;
  const std::vector<int64_t> &ints(std::string_view attr) const;
  /// An INTS attribute gives constant extents.
  std::vector<kiln_extent> extents(std::string_view attr) const;
  bool has(std::string_view attr, int64_t value) const; // among its ints
};

struct Graph {
  std::string name;
  int32_t shape = KILN_SHAPE_ANY; // what the host promises; a number that is not known here is none
  std::vector<Type> values;
  std::vector<uint32_t> inputs, outputs; // value numbers
  std::vector<int32_t> alias;            // one for each output
  std::vector<Op> ops;
  std::vector<int64_t> extentBounds;
  std::vector<int32_t> producer; // of each value: index into ops, -1 for an input

  /// Reads and checks a kernel: numbers in range, operands before their use, and known ops by the op table: operands,
  /// their dtypes, attributes, of the right kinds and lengths, and whether the ops are what `shape` says. A loop's
  /// region likewise, and that it fits the loop. False with a sentence where something is wrong.
  static bool read(const kiln_reader &reader, const kiln_kernel *kernel, Graph &graph, std::string &error);

  const Type &type(uint32_t value) const { return values[value]; }
  const Op *definingOp(uint32_t value) const {
    return producer[value] < 0 ? nullptr : &ops[static_cast<size_t>(producer[value])];
  }
  int inputNumber(uint32_t value) const; // -1 where it is none
  int outputNumber(uint32_t value) const;
  int64_t bound(const kiln_extent &extent) const;
  /// Of the number of elements; saturates.
  int64_t bound(const std::vector<kiln_extent> &dims) const;
  int64_t byteBound(uint32_t value) const;
  /// No value has more than 2^31 - 1 elements: indices may be 32 bits wide.
  bool fits32() const;
  /// How many ops and outputs read it.
  size_t uses(uint32_t value) const;
};

/// Of each value whether it is a bf16 or f16 that the kernel stores and reads itself. In registers it is a f32: to be
/// rounded where it is computed, so that the kernel's own ops and whoever reads its memory see one number.
template <typename AnyGraph> std::vector<bool> storedAndRead(const AnyGraph &graph) {
  std::vector<bool> read(graph.values.size()), result(graph.values.size());
  for (const auto &op : graph.ops)
    for (uint32_t operand : op.operands)
      read[operand] = true;
  for (uint32_t output : graph.outputs) {
    kiln_dtype dtype = graph.values[output].dtype;
    result[output] = read[output] && (dtype == KILN_BF16 || dtype == KILN_F16);
  }
  return result;
}

inline bool isOne(const kiln_extent &extent) { return extent.slot < 0 && extent.value == 1; }
/// Axes of a reduce, or the axis of an arg_reduce.
std::vector<int64_t> reducedAxes(const Op &op);
/// Whether the ops are what a shape promises. What only the printing of a kernel shows (that values meet at the same
/// row) is not looked at.
bool isOfShape(const Graph &graph, int32_t shape);
const char *shapeName(int32_t shape);

bool sameExtent(const kiln_extent &a, const kiln_extent &b);
bool sameDims(const std::vector<kiln_extent> &a, const std::vector<kiln_extent> &b);

} // namespace kiln::sdk
