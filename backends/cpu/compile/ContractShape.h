// A dot_general or convolution as a batched matrix product.
//
//   result[b, m, n] = sum over k of left[b, m, k] * right[b, k, n]
//
// where b, m, n and k each stand for a list of dimensions. Whatever is particular to the op (which axes, windows,
// padding, dilation, groups) is in the functions that give an operand's elements and a result's position.
#pragma once

#include "backends/cpu/compile/ContractModel.h"
#include "backends/cpu/compile/Emitter.h"
#include "backends/cpu/compile/MicroKernel.h"

namespace kiln::cpu {

/// A position within a list of dimensions: its row-major number and, once asked for, an index for each dimension.
class Position {
public:
  Position(const Shape &shape, Index linear) : shape(&shape), linear(std::move(linear)) {}
  Position(const Shape &shape, Index linear, Indices known)
      : shape(&shape), linear(std::move(linear)), known(std::move(known)) {}
  Indices dims(Emitter &e) const { return known ? *known : e.indicesOf(*shape, linear); }
  const Shape *shape;
  Index linear;

private:
  std::optional<Indices> known;
};

struct Contraction {
  using Element = std::function<Value(Emitter &e, llvm::ArrayRef<Index> batch, const Position &free, const Position &k,
                                      const Mask &mask)>;
  struct Operand {
    uint32_t value = 0;
    Element element;
    bool alongK = false; // neighbours in memory are neighbours in k's last dimension, else in the free ones' last
    bool freeInRows = false,
         kInRows = false; // vectors that cross from one row of these dimensions to the next are slow
    /// A kernel input read as it lies: element (b, f, k) at offset f * freeStride + k * kStride from its batch's start.
    int plainInput = -1;
    kiln_dtype memory =
        KILN_F32; // of that input: the operand's, or what a conversion that can be packed with makes it of
    Shape batchStrides;
    Extent freeStride, kStride;
    /// Rows that are stored in blocks, kernel inputs all of them.
    struct Blocks {
      int bytes = -1, scales = -1, minimums = -1;
      BlockLayout layout;
      /// Whether vectors of so many lanes lie within one block each.
      bool existFor(int64_t lanes) const { return bytes >= 0 && layout.size % lanes == 0; }
    } blocks;
  };
  uint32_t op = 0; // index into the graph's ops
  uint32_t result = 0;
  Shape batch, m, n, k;
  Shape columns; // n as the right operand counts it: before neighbouring dimensions of the result became one
  Operand left, right;
  kiln_dtype accumulator = KILN_F32;
  bool resultAlongN = false; // the result is batches of a matrix of m rows and n columns
  bool resultInRows = false; // as freeInRows, of n in the result
  std::function<Indices(Emitter &e, llvm::ArrayRef<Index> batch, llvm::ArrayRef<Index> m, llvm::ArrayRef<Index> n)>
      resultPosition;

  /// A convolution of constant sizes: its padded, dilated image, cut into planes. Where windows move by s along an
  /// axis, a plane holds every s-th position: what windows see at (n, k) lies in a plane that k chooses, at the place
  /// of pixel n plus an offset that depends on k alone. Planes that no window reads are left out.
  struct Window {
    struct Axis {
      int64_t pixels, stride, dilation;
      llvm::SmallVector<int64_t> residues; // positions modulo the stride that there are planes for
      int64_t pitch;                       // in a plane, from one position to the next
      int64_t step = 1;                    // positions of a plane from one pixel to the next
    };
    llvm::SmallVector<Axis> axes;
    Shape plane; // its dimensions
    Extent channels;
    int64_t planes = 1;          // of a channel
    int64_t columns = 0;         // places of a plane from the first to the last pixel's
    int64_t reach = 0, taps = 1; // largest offset in a plane; positions of a window
    /// The image's element at a place of a plane (an index for each axis), zero where there is none.
    std::function<Value(Emitter &e, llvm::ArrayRef<Index> batch, Value channel, Value plane,
                        llvm::ArrayRef<Index> place, const Mask &mask)>
        element;
    /// Of an image that is a kernel input whose rows lie side by side in it: a row of a plane there. Its places are at
    /// `first`, `first` + step, … of it: zeros below 0, from `size` on, and where it is not `inside`.
    struct Row {
      Value from, first, inside;
    };
    std::function<Row(Emitter &e, llvm::ArrayRef<Index> batch, Value channel, Value plane, llvm::ArrayRef<Index> outer)>
        row; // null where it is not such a one
    int64_t step = 1, size = 0;
    kiln_dtype dtype = KILN_F32;

    int64_t pixels() const;
    int64_t placeOf(int64_t pixel) const;
    Value placeOf(Emitter &e, Value pixel) const;
    /// Plane and offset for a position of the window (an index for each axis).
    std::pair<Value, Value> lookup(Code &code, llvm::ArrayRef<Index> tap) const;
    /// How many rows of pixels a vector of neighbours may touch.
    int64_t rowsOfVector(int64_t lanes) const;
  };
  std::optional<Window> window;
  /// Of a 3 by 3 convolution of stride 1: its image cut into overlapping tiles, each of which has so many outputs along
  /// either axis. Null for others.
  std::function<Window(int64_t outputs)> tiles;
  /// A filter whose axes of channels are exchanged, whose window is reversed or taken in part: element (m, channel,
  /// tap) of the input lies at m * rows + channel * depth + tap. A phase turns it into a matrix of its own, which
  /// `left` describes.
  struct Turned {
    int input = -1;
    Extent rows, depth;
    int64_t taps = 1;
    llvm::SmallVector<int64_t> taken; // which taps the rows have, in their order
  };
  std::optional<Turned> turned;
  /// With pixels as rows (PixelRows.h), where that is another one: of a large window over few pixels (a filter's
  /// gradient) the product as of images side by side, with a filter that is turned, if it lies so; where windows move
  /// by several positions, that of an image that is copied as it lies.
  std::shared_ptr<const Contraction> byPixels;
  bool leftForAllBatches = false; // the left operand does not depend on the batch

  kiln_dtype operandType = KILN_F32;
  /// Whether the operand's elements become the accumulator's, or pairs, by widening or narrowing what is in memory.
  bool plainFor(const Operand &operand, bool pairs) const;
  ContractTraits traits(const Graph &graph, const Machine &machine) const;
};

/// False, with a sentence in `error`, for element types that no micro-kernel takes.
bool shapeOfDot(const Graph &graph, uint32_t op, Contraction &result, std::string &error);
/// Several where its input is dilated: each has pixels of the result to itself, and together they have all.
bool shapesOfConvolution(const Graph &graph, uint32_t op, std::vector<Contraction> &results, std::string &error);

/// The type that products of this operand type are summed in.
bool accumulatorOf(kiln_dtype operand, kiln_dtype &accumulator);

/// An operand that is a kernel input: vectors straight from memory where it is evenly spaced along the lanes.
Value plainElement(Emitter &e, const Graph &graph, const Contraction::Operand &operand, llvm::ArrayRef<Index> batch,
                   const Index &free, const Index &k, const Mask &mask);

/// Code for vectors of neighbours from `begin` to `end` (numbers within the shape), `body` once for each: with the
/// number of its first lane, its position, and where its lanes end. With `inRows`, no vector crosses from a row (the
/// last dimension) to the next.
void forEachRun(Emitter &e, const Shape &shape, bool inRows, Value begin, Value end,
                llvm::function_ref<void(Value first, const Position &position, Value limit)> body);

} // namespace kiln::cpu
