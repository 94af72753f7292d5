// A kernel as C++ values that can be rewritten.
//
// What sdk::Graph reads, with attributes turned into fields and extents into products, so that passes over a kernel
// (collapsing of dimensions, planning of phases) can rewrite them. Knows nothing of MLIR.
#pragma once

#include "backends/api/kiln_codes.h"
#include "backends/sdk/Graph.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <string>
#include <vector>

namespace kiln::cpu {

/// A product: a constant times entries of the kernel's extents argument.
struct Extent {
  int64_t factor = 1;
  llvm::SmallVector<int32_t, 2> slots; // ascending, repeated for powers

  Extent() = default;
  Extent(int64_t constant) : factor(constant) {}
  explicit Extent(const kiln_extent &extent);
  bool isConstant() const { return slots.empty(); }
  bool isOne() const { return slots.empty() && factor == 1; }
  friend bool isOne(const Extent &extent) { return extent.isOne(); }
  friend bool operator==(const Extent &a, const Extent &b) { return a.factor == b.factor && a.slots == b.slots; }
  friend Extent operator*(const Extent &a, const Extent &b);
};

using Shape = llvm::SmallVector<Extent, 4>;

inline bool isConstant(const Shape &shape) {
  return llvm::all_of(shape, [](const Extent &extent) { return extent.isConstant(); });
}
/// Strides of contiguous memory, in elements.
Shape rowMajor(const Shape &dims);

struct TensorType {
  kiln_dtype dtype = KILN_F32;
  Shape dims;
  size_t rank() const { return dims.size(); }
};

using sdk::bitWidth;
using sdk::byteSize;
using sdk::infoOf;
using sdk::isElementwise;
using sdk::isFloat;
using sdk::isSigned;
using sdk::isWhole;
using sdk::OpCode;

enum class Predicate { Eq, Ne, Lt, Le, Gt, Ge };
enum class Combine { Sum, Prod, Max, Min, Any, All, Set }; // of reductions, windows and scatters

inline llvm::StringRef opName(OpCode code) { return infoOf(code).name; }
inline llvm::StringRef dtypeName(kiln_dtype dtype) { return sdk::dtypeName(dtype); }

struct Op {
  OpCode code;
  uint32_t number = 0; // in the kernel, for the status record
  llvm::SmallVector<uint32_t, 3> operands;
  llvm::SmallVector<uint32_t, 2> results;

  // Attributes, under the names that the dialect gives them. Empty or zero where an op has none.
  llvm::SmallVector<int64_t, 4> axes; // broadcast, reduce, reverse; transpose's permutation
  int64_t axis = 0, batchDims = 0, stream = 0, k = 0, groups = 1, slidingWindow = 0;
  bool reverse = false, exclusive = false, descending = false, causal = false;
  double scale = 1, p = 0, softcap = 0;
  Predicate predicate = Predicate::Eq;
  Combine combine = Combine::Sum;
  llvm::SmallVector<Extent, 4> starts, lowExtents, highExtents; // slice; pad
  Extent extent;                                                // extent
  llvm::SmallVector<int64_t, 4> strides, interior, window, low, high, inputDilation, filterDilation;
  llvm::SmallVector<int64_t, 2> lhsBatch, rhsBatch, lhsContract, rhsContract;
  Shape pixels;      // convolution: its result's spatial extents, whatever the result's own dimensions have become
  std::string bytes; // constant
  Coding coding = Coding::None;

  /// A list of ints under its name; null where ops have none of it.
  llvm::SmallVectorImpl<int64_t> *list(llvm::StringRef name);
  llvm::ArrayRef<int64_t> ints(llvm::StringRef name) const { return *const_cast<Op *>(this)->list(name); }
};

/// Attention or its gradients, of any kind.
bool isAttention(OpCode code);
inline bool isReduction(const Op &op) { return infoOf(op.code).opClass == sdk::OpClass::Reduction; }

struct Graph {
  std::string name;
  int32_t shape = KILN_SHAPE_ANY; // as sdk::Graph has it
  std::vector<TensorType> values;
  llvm::SmallVector<uint32_t> inputs, outputs; // value numbers
  llvm::SmallVector<int32_t> alias;            // one for each output
  std::vector<Op> ops;
  llvm::SmallVector<int64_t> extentBounds;
  std::vector<int32_t> producer; // of each value: index into ops, -1 for an input

  /// Reads a kernel as sdk::Graph does, which checks it; false, with a sentence in `error`, where it is not well formed
  /// or has an op that there is no code for.
  static bool read(const kiln_reader &reader, const kiln_kernel *kernel, Graph &graph, std::string &error);

  const TensorType &type(uint32_t value) const { return values[value]; }
  const Op *definingOp(uint32_t value) const { return producer[value] < 0 ? nullptr : &ops[producer[value]]; }
  int inputNumber(uint32_t value) const; // -1 where it is none
  /// The input that the value is, transposed at most, and its strides in elements; -1 where it is none.
  int inputStrides(uint32_t value, Shape &strides) const;
  int64_t bound(const Extent &extent) const;
  int64_t bound(llvm::ArrayRef<Extent> shape) const; // of the number of elements
};

} // namespace kiln::cpu
