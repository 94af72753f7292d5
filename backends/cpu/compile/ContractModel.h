// How a product is cut up, from the machine and the extents.
//
// One table with a stated model; no other file of the contraction holds a size.
//
// Registers. A tile of R rows by V vectors takes R*V accumulators, V vectors of the right operand and one broadcast.
// The largest tile with V = 2 that fits has R = (registers - 3) / 2, rounded down to a multiple of the row unit: 12 of
// 32 registers, 6 of 16. Remainders of rows use shorter tiles, in steps of the unit.
//
// Second level. A K block of the right operand's sliver (V vectors wide) takes at most a tenth of it and is read by
// every sliver of the left one: kc <= level / 10 / (V * vector bytes). The packed block of the left operand takes half
// of it, or four fifths where that holds all rows: mc <= level / 2 / (kc * bytes). A longer kc saves passes over the
// sums, and slivers stream from the second level fast enough: with 12 by 32 floats, 15 bytes a cycle.
//
// Where it lies. A right operand along N is not packed where rows are few (packing it takes as long as eleven of them)
// or all of it takes at most half of the first level, and its rows do not meet in a few sets of the cache. Nor is an
// image whose pixels are the columns, where one block holds all rows: each sliver of columns is fetched while the one
// before is summed, and read from the second level by however many rows.
//
// Few columns. Where the packed columns of a K block take at most half of the second level, the left operand is packed
// sliver by sliver, and each meets all columns before the next, which is fetched meanwhile: then nothing of the left
// operand has to stay, and it streams from memory while sums are made.
//
// Long K. Where all packed columns would go to memory and back, and K is far longer than there are rows, K is cut into
// sixteen parts: a task has all rows and columns of one, and packs columns as slivers that stay near. Sums of the parts
// are what goes to memory.
//
// Few rows. A matrix that lies along N is read once, so that memory is what counts, and memory is fast where it is read
// in long stretches of several rows: a task adds stretches to sums in the first level (*streamed*). Up to four rows:
// sums come and go once for so many rows of memory as there are registers for, fewer the more rows there are. Where the
// matrix stays in the second level nothing waits for memory, and sums in registers are faster.
//
// Convolutions. Their right operand is read in place from a copy of the image (columns are wasted between rows), or
// unfolded into packed columns, sliver by sliver or by a phase of its own: whatever takes the fewest cycles.
//
// Tasks. Of all cuts (multiples of the tile) that fit, the cheapest in cycles: arithmetic, packing and fetching,
// weighed by how evenly the tasks fall on 2, 4 and 8 threads. Only extents (at their bounds) enter, never the number of
// threads. Slivers are dealt out evenly: blocks differ by one tile at most, and so do the halves, quarters and eighths
// of all blocks, which threads begin with.
#pragma once

#include "backends/cpu/compile/Code.h"

namespace kiln::cpu {

/// The register tile of the model above for elements of so many bytes.
struct RegisterTile {
  int64_t lanes, vectors, rows, rowUnit;
};
RegisterTile registerTile(const Machine &machine, int64_t bytes);

/// Bytes of a core's second-level cache.
int64_t secondLevelOf(const Machine &machine);

/// Where the right operand's block comes from.
enum class RightMode {
  Shared, // packed by a phase of its own into the launch's scratch, in panels of a tile's width
  Task,   // packed by each task into the worker's scratch, a K block of all its columns at a time
  Sliver, // the same, a tile's width at a time
  Window, // the part of a padded image under the task's windows, which every window reads in place
  Direct  // read where it lies
};

enum class Method {
  Tile,  // packed slivers and the tile micro-kernel
  Dot,   // both operands contiguous along K: no packing
  Stream // few rows, the right operand contiguous along N: no packing
};

struct Blocking {
  Method method = Method::Tile;
  RightMode right = RightMode::Task;
  int64_t lanes = 1; // W
  int64_t tileRows = 1, rowUnit = 1, tileVectors = 1;
  int64_t mc = 1, nc = 1, kc = 1;   // a task's rows and columns at most, a K block
  int64_t mBlocks = 0, nBlocks = 0; // of rows and columns, where they are constant; 0: as few as that allows
  int64_t sharedPanels = 1;         // that one task packs
  int64_t chunks = 1;               // parts of K that are summed apart, then in order
  bool rowsFirst = false;    // a sliver of the left operand meets all of a task's columns before the next one is packed
  int64_t edge = 0;          // last columns that are summed along K, since a vector of them would be wasted
  bool noScratch = false;    // of a launch: none was claimed
  bool fetched = false;      // the right operand is read where it lies, and the next columns are fetched meanwhile
  bool unfold = false;       // the right operand is packed from a copy of the padded image,
  int64_t imageChannels = 1; // of so many channels at a time
  double cycles = 0;         // of all threads together, by the model; not of dots and streams
  int64_t tileColumns() const { return lanes * tileVectors; }
  /// What a task's columns are cut in multiples of.
  int64_t columnsUnit() const { return method == Method::Dot ? 6 : method == Method::Stream ? lanes : tileColumns(); }
};

/// What packed operands that several phases share may take: they stay in a third level, and rule no program's memory.
constexpr int64_t nearBytes = 6 << 20;

/// A core's first level, the smallest in use.
constexpr int64_t firstLevel = 32 << 10;

/// K so short that what follows a tile's sums is done in registers. Through memory it takes some five cycles a vector,
/// which is summed in half of K: a tenth of that at 96. Nor is a left operand packed then: its rows are a few lines
/// each.
constexpr int64_t shortDepth = 96;

/// Packed operands up to this size are made again by each launch that no loop repeats, in microseconds: they are not
/// worth the code that finds them packed, nor, where few rows make them small and many columns meet them, would much be
/// saved.
constexpr int64_t leastPrepacked = 256 << 10;

struct ContractExtents {
  int64_t batch = 1, m = 1, n = 1, k = 1; // at their bounds
};

struct ContractTraits {
  int64_t bytes = 4;             // of an element in registers
  bool bothAlongK = false;       // plain operands, contiguous along K
  bool rightPlainAlongN = false; // plain right operand, contiguous along N,
  int64_t rightRowBytes = 0;     // and what lies between its rows, at the bounds
  bool streamable = false;       // the same, and a left operand contiguous along K
  bool rightPrepacked = false;   // the right operand is packed before a loop, and read packed in it
  bool rightShareable = true;    // N is one dimension: panels can be cut
  bool lines = false;            // rows of the left operand are packed as they lie,
  bool columns = false;          // or its columns are, read from end to end
  bool fixedColumns = false;     // their number is constant
  bool slowElements = false;     // the right operand's elements cost more than a load each
  bool sameLeft = false;         // the left operand is the same for all batches
  bool shortSums = false;        // what follows a tile's sums may be done in registers
  /// A convolution's image (Contraction::Window): planes of all channels, places of a plane under all windows, what
  /// windows reach beyond, its rows' length, rows that a vector of pixels touches. No planes: none.
  struct Image {
    int64_t channels = 0, planes = 0, places = 0, reach = 0, row = 1, rowsOfVector = 1;
  } image;
};

/// Rows of the right operand that a stream adds up at once.
int64_t streamedDepth(const Machine &machine, int64_t rows);

/// The wall time of `tasks` pieces of nearly one size on several numbers of threads, as a mean of cycles a thread.
double spreadOverThreads(double total, double largest, int64_t tasks);

Blocking chooseBlocking(const Machine &machine, const ContractExtents &extents, const ContractTraits &traits);

inline int64_t roundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
inline int64_t ceilDivide(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }
/// Rows of 48 bytes more than a power of two apart would fall into the same few cache sets: an odd number of lines.
inline int64_t spreadStride(int64_t elements, int64_t bytes) {
  int64_t line = 64 / bytes, lines = ceilDivide(elements, line);
  return (lines | 1) * line;
}

/// Slivers whose vectors come one from each row of memory are all written at the same time: as many rows of K to each
/// as an odd number of vectors has, or they would fall into the same few cache sets, too.
inline int64_t spreadDepth(int64_t k, int64_t lanes) { return (ceilDivide(k, lanes) | 1) * lanes; }

} // namespace kiln::cpu
