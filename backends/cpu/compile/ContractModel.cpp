// The caches of the machine, and the blocking that moves the fewest bytes through them.

#include "backends/cpu/compile/ContractModel.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace kiln::cpu {

/// LLVM names processors, not caches; these are the makers' figures for a core. Unknown ones get the smallest in use.
int64_t secondLevelOf(const Machine &machine) {
  static constexpr std::pair<const char *, int64_t> rows[] = {
      {"znver5", 1 << 20},        {"znver4", 1 << 20},        {"znver", 512 << 10},   {"sapphirerapids", 2 << 20},
      {"emeraldrapids", 2 << 20}, {"graniterapids", 2 << 20}, {"icelake", 1 << 20},   {"skylake-avx512", 1 << 20},
      {"cascadelake", 1 << 20},   {"skylake", 256 << 10},     {"haswell", 256 << 10}, {"broadwell", 256 << 10}};
  if (machine.level2)
    return machine.level2;
  for (auto [prefix, size] : rows)
    if (llvm::StringRef(machine.cpu).starts_with(prefix))
      return size;
  return machine.vectorBytes >= 64 ? 1 << 20 : 512 << 10;
}

namespace {
/// Cycles, for comparing cuts with each other. One multiply-add instruction is half a cycle, what is packed about a
/// third of a cycle an element of a 64-byte vector's sixteenth, a tenth where it is only copied; three tenths more
/// where a left operand larger than the second level comes from further off and nothing has fetched it.
struct Cost {
  const ContractExtents &e;
  const ContractTraits &traits;
  const Blocking &t;
  int64_t level2;
  double packElement = (traits.slowElements ? 1.0 : 0.35) * 16.0 / t.lanes, epilogueElement = 0.15;
  bool far = traits.lines && !t.rowsFirst && e.m * e.k * traits.bytes > level2;
  double leftElement = (traits.lines ? 0.1 * 16.0 / t.lanes : packElement) + (far ? 0.3 : 0.0);

  double rowsCost(int64_t rows) const {
    int64_t whole = rows / t.tileRows, rest = rows % t.tileRows;
    double cost = static_cast<double>(whole) * t.tileRows;
    if (rest) // short tiles do not hide the latency of their sums
      cost += std::max<double>(roundUp(rest, t.rowUnit), t.tileRows * 0.5);
    return cost;
  }
  /// Vectors of columns; of an edge, what its sums along K are worth.
  double slivers(int64_t columns) const {
    bool edge = t.edge && columns % t.lanes == t.edge;
    return edge ? static_cast<double>(columns / t.lanes) + 0.1 * t.edge
                : static_cast<double>(ceilDivide(columns, t.lanes));
  }
  bool packsRight() const {
    return t.right == RightMode::Task || t.right == RightMode::Sliver || t.right == RightMode::Window;
  }
  /// What stands before the products with so many columns.
  double rightCost(int64_t columns, int64_t k) const {
    const ContractTraits::Image &image = traits.image;
    bool inPlace = t.right == RightMode::Window;
    if (!inPlace && !t.unfold)
      return static_cast<double>(columns) * k * packElement;
    // A vector of a row of the image takes a dozen cycles with its masks, one of pixels a load for each row and a
    // store, which goes beyond the second level.
    double places = inPlace ? columns : static_cast<double>(columns) * image.places / static_cast<double>(e.n);
    double copied = static_cast<double>(image.planes) * (places + image.reach) * 12.0 / std::min(image.row, t.lanes);
    double unfolded = inPlace ? 0 : static_cast<double>(columns) * k * (image.rowsOfVector + 4.0) / t.lanes;
    return copied * static_cast<double>(k) / e.k + unfolded;
  }
  /// What stands behind an element's sums. In place a row of pixels that is shorter than a vector is one by itself,
  /// with masks as above.
  double epilogue() const {
    bool narrow = t.right == RightMode::Window && traits.image.row < t.lanes;
    return narrow ? 12.0 / static_cast<double>(traits.image.row) : epilogueElement;
  }
  double task(int64_t rows, int64_t columns, int64_t k, bool withRight) const {
    double arithmetic = rowsCost(rows) * slivers(columns) * k * 0.5;
    double packing = static_cast<double>(rows) * k * leftElement + (withRight ? rightCost(columns, k) : 0.0);
    // What packing does not bring near is fetched: slivers of the right operand once a task, sums once a K block.
    double fetching =
        static_cast<double>(columns) * k * 0.075 * traits.bytes +
        static_cast<double>(rows) * columns * 0.05 * traits.bytes * static_cast<double>(ceilDivide(k, t.kc) - 1);
    return arithmetic + packing + fetching + static_cast<double>(rows) * columns * epilogue() + 400;
  }
};
} // namespace

double spreadOverThreads(double total, double largest, int64_t tasks) {
  double sum = 0, mean = total / static_cast<double>(tasks);
  for (int64_t threads : {2, 4, 8}) {
    double ideal = total / threads;
    double rounds = static_cast<double>(ceilDivide(tasks, threads) - 1) * mean + std::max(largest, mean);
    sum += std::max(ideal, std::min(rounds, ideal + largest)) * threads;
  }
  return sum / 3;
}

/// Rows of the left operand's block: half of the second level, or four fifths where that is all of them. Rows first, as
/// many as an eighth of it has sums for, where there is more than one K block.
static int64_t mostRows(const Blocking &t, const ContractTraits &traits, int64_t level2, int64_t m) {
  if (t.rowsFirst)
    return std::max<int64_t>(1, level2 / 8 / (t.nc * traits.bytes) / t.tileRows) * t.tileRows;
  int64_t rows = level2 / (t.kc * traits.bytes);
  int64_t most = roundUp(m, t.tileRows) <= rows * 4 / 5 ? rows * 4 / 5 : rows / 2;
  return std::max(t.tileRows, most / t.tileRows * t.tileRows);
}

/// Whether a task may take all columns, rows first; then with K blocks that let them stay in the second level.
static void tryRowsFirst(Blocking &t, const ContractExtents &e, const ContractTraits &traits, int64_t level2) {
  int64_t columns = roundUp(e.n, t.tileColumns()), fits = level2 / 2 / (columns * traits.bytes) / t.lanes * t.lanes;
  t.rowsFirst = traits.lines && t.right == RightMode::Shared && t.chunks == 1 && fits * 2 >= t.kc;
  if (!t.rowsFirst)
    return;
  t.nc = columns;
  t.kc = roundUp(ceilDivide(e.k, ceilDivide(e.k, std::min(fits, t.kc))), t.lanes);
}

namespace {
/// An extent in so many pieces that differ by a unit at most, of `size` at most.
struct Pieces {
  int64_t size, count;
};
} // namespace

/// What an extent may be cut into: each size that some number of pieces has, in multiples of the unit, from the largest
/// that is allowed down, with as few pieces as have it, and with as many as fall evenly on eight threads. Other numbers
/// of pieces are no better than these.
static llvm::SmallVector<Pieces> piecesOf(int64_t extent, int64_t unit, int64_t most) {
  llvm::SmallVector<Pieces> cuts;
  int64_t last = 0, fewest = std::max<int64_t>(1, ceilDivide(extent, most));
  auto sizeOf = [&](int64_t pieces) { return roundUp(ceilDivide(extent, pieces), unit); };
  for (int64_t pieces = fewest; pieces <= fewest + 4096 && last != unit; ++pieces) {
    int64_t size = sizeOf(pieces), even = roundUp(pieces, 8);
    if (size == last || size > most)
      continue;
    last = size;
    cuts.push_back({size, pieces});
    if (even != pieces && even <= std::min<int64_t>(64, ceilDivide(extent, unit)) && sizeOf(even) == size)
      cuts.push_back({size, even});
  }
  return cuts;
}

/// A fork and the wait behind it take a thousand cycles where the other threads are awake, their share of the operands
/// comes from another core, and they may have to be woken: what takes less than this altogether stays on one thread.
constexpr double worthAFork = 16000;

/// Chooses mc and nc; returns the time.
static double chooseCut(const Machine &machine, Blocking &t, const ContractExtents &e, const ContractTraits &traits) {
  int64_t level2 = secondLevelOf(machine);
  if (machine.takes("rows first", true))
    tryRowsFirst(t, e, traits, level2);
  Cost cost{e, traits, t, level2};
  int64_t columnsUnit = t.rowsFirst ? t.nc : t.tileColumns();
  int64_t maxRows = mostRows(t, traits, level2, e.m);
  int64_t maxColumns = std::max(columnsUnit, 768 / columnsUnit * columnsUnit);
  if (t.right == RightMode::Task) // the block of the right operand lives in the second level too
    maxColumns =
        std::max(columnsUnit, std::min(maxColumns, level2 / 2 / (t.kc * traits.bytes) / columnsUnit * columnsUnit));
  double best = INFINITY;
  int64_t k = std::max<int64_t>(1, ceilDivide(e.k, t.chunks));
  // A phase of its own shares what it does out evenly.
  double before = t.right == RightMode::Shared ? cost.rightCost(e.n, e.k) * e.batch + 2000 : 0;
  double once = cost.task(e.m, e.n, k, false) * e.batch * t.chunks; // however it is cut
  llvm::SmallVector<Pieces> columns = piecesOf(e.n, columnsUnit, maxColumns);
  for (auto [mc, mBlocks] : piecesOf(e.m, t.tileRows, maxRows))
    for (auto [nc, nBlocks] : columns) {
      int64_t tasks = e.batch * mBlocks * nBlocks * t.chunks;
      double largest = cost.task(std::min(mc, e.m), std::min(nc, e.n), k, cost.packsRight());
      double total = once;
      // The left operand, again: for each block of columns, for each range of tasks (ContractLowering's leftOnce), of
      // which there are a few for each thread, or never (leftShared).
      bool same = traits.sameLeft && t.chunks == 1 && !t.rowsFirst, leftOnce = same && e.k <= t.kc && e.m <= mc;
      bool leftShared = same && (traits.lines || traits.columns) && e.k > t.kc && e.m * e.k * traits.bytes <= nearBytes;
      int64_t again = leftShared ? 0 : leftOnce ? std::min<int64_t>(e.batch * nBlocks, 8) - 1 : e.batch * (nBlocks - 1);
      total += again * static_cast<double>(e.m) * e.k * cost.leftElement;
      if (cost.packsRight())
        total += mBlocks * nBlocks * cost.rightCost(std::min(nc, e.n), e.k) * e.batch;
      total += (mBlocks - 1) * static_cast<double>(e.n) * e.k * 0.075 * traits.bytes * e.batch; // slivers, again
      total += 400.0 * tasks;
      double time = machine.weighed("cut", before + spreadOverThreads(total, largest, tasks), mc * nc + mBlocks);
      if (time < best * 0.999) {
        best = time;
        t.mc = mc, t.mBlocks = mBlocks;
        t.nc = nc, t.nBlocks = nBlocks;
      }
    }
  t.cycles = best;
  bool fits = e.m <= maxRows && e.n <= maxColumns && t.chunks == 1;
  if (fits && before + cost.task(e.m, e.n, k, cost.packsRight()) * e.batch < worthAFork) {
    t.mc = roundUp(e.m, t.tileRows), t.mBlocks = 1;
    t.nc = roundUp(e.n, columnsUnit), t.nBlocks = 1;
  }
  return best;
}

/// Whether all packed columns may be kept for a phase of its own to read.
static bool staysNear(const ContractExtents &e, const ContractTraits &traits) {
  return e.batch * e.n * e.k * traits.bytes <= nearBytes;
}

/// Whether a K block's rows of the right operand, read where they lie, stay in the second level (of sixteen ways) while
/// one sliver after the other reads a panel of them: rows that a power of two lies between share a few of its sets.
static bool rowsStay(const Blocking &t, const ContractTraits &traits, int64_t level2) {
  int64_t way = level2 / 16;
  return t.kc <= 16 * (way / std::gcd(std::max<int64_t>(traits.rightRowBytes, 1), way));
}

/// Columns that are so many and so long that all of them packed would be written to memory, and read from there by each
/// block of rows, stay near as slivers of tasks that take a part of K each, with all rows: where these fit beside one
/// another in a K block of half the length at least, and the parts' sums, which take memory's way instead, are few.
static void takeAlongK(Blocking &t, const ContractExtents &e, const ContractTraits &traits, int64_t level2) {
  constexpr int64_t parts = 16;
  int64_t rows = roundUp(e.m, t.tileRows), length = roundUp(ceilDivide(e.k, parts), t.lanes);
  int64_t fits = level2 * 4 / 5 / (rows * traits.bytes) / t.lanes * t.lanes;
  if (!traits.lines && fits / t.lanes % 2 == 0) // ContractModel.h, spreadDepth
    fits -= t.lanes;
  bool asked = t.right == RightMode::Shared && t.chunks == 1 && (!traits.image.planes || traits.rightPlainAlongN);
  if (!asked || staysNear(e, traits) || fits * 2 < t.kc || length < t.kc || 4 * parts * e.batch * e.m > e.k)
    return;
  t.chunks = parts;
  t.right = RightMode::Sliver;
  int64_t depth = ceilDivide(length, ceilDivide(length, fits));
  t.kc = std::min(fits, traits.lines ? roundUp(depth, t.lanes) : spreadDepth(depth, t.lanes));
}

/// A convolution's columns in place, or unfolded in one way or the other.
static void chooseImage(const Machine &machine, Blocking &t, const ContractExtents &e, const ContractTraits &traits) {
  Blocking best = t;
  double least = INFINITY;
  auto consider = [&](RightMode right, bool unfold) {
    Blocking tried = t;
    ContractExtents extents = e;
    tried.right = right, tried.unfold = unfold;
    tried.imageChannels = traits.image.channels;
    if (!unfold)
      extents.n = traits.image.places, tried.edge = 0;
    if (right == RightMode::Shared) { // all columns of a few channels: each place is copied once
      tried.imageChannels = ceilDivide(traits.image.channels, 16);
      tried.sharedPanels = ceilDivide(e.n, t.tileColumns());
    }
    double cycles = chooseCut(machine, tried, extents, traits);
    double time = machine.weighed("image", cycles, static_cast<int64_t>(right));
    if (time < least)
      least = time, best = tried;
  };
  consider(RightMode::Window, false);
  consider(RightMode::Sliver, true);
  if (staysNear(e, traits))
    consider(RightMode::Shared, true);
  t = best;
}

RegisterTile registerTile(const Machine &machine, int64_t bytes) {
  int64_t unit = machine.vectorRegisters >= 32 ? 4 : 2;
  return {std::max<int64_t>(1, machine.vectorBytes / bytes), 2, (machine.vectorRegisters - 3) / 2 / unit * unit, unit};
}

/// The register tile; with fewer rows than it has, as many columns as there are registers for, up to eight vectors.
static void chooseTile(Blocking &t, const Machine &machine, const ContractExtents &e, int64_t bytes) {
  RegisterTile registers = registerTile(machine, bytes);
  t.lanes = registers.lanes, t.tileVectors = registers.vectors;
  t.rowUnit = registers.rowUnit, t.tileRows = registers.rows;
  if (e.n <= t.lanes) {
    t.tileVectors = 1;
  } else if (e.m <= 2 * t.rowUnit) {
    t.rowUnit = std::min(t.rowUnit, e.m);
    t.tileRows = roundUp(e.m, t.rowUnit);
    t.tileVectors = std::min<int64_t>({8, (machine.vectorRegisters - 2) / (t.tileRows + 1), ceilDivide(e.n, t.lanes)});
  }
}

/// Half of the registers hold what rows of the left operand are multiplied with; no more than eight rows of memory.
int64_t streamedDepth(const Machine &machine, int64_t rows) {
  int64_t depth = 8;
  while (depth > 2 && depth * rows * 2 > machine.vectorRegisters)
    depth /= 2;
  return depth;
}

/// Few rows, and a matrix that comes from memory.
static bool streams(const Machine &machine, const ContractExtents &e, const ContractTraits &traits, const Blocking &t) {
  bool far = machine.takes("streams", e.n * e.k * traits.bytes > secondLevelOf(machine));
  return traits.streamable && e.m <= 4 && e.n > t.tileColumns() && far;
}

/// Tasks in multiples of eight, whose sums take at most half of a first level; as few as four where a stretch
/// would be shorter than a kilobyte.
static void chooseStretches(Blocking &t, const ContractExtents &e, const ContractTraits &traits) {
  t.method = Method::Stream;
  t.right = RightMode::Direct;
  t.mc = e.m;
  int64_t most = firstLevel / 2 / (e.m * traits.bytes), tasks = roundUp(ceilDivide(e.n, most), 8);
  if (e.batch > 1 || e.n * traits.bytes < 8 << 10)
    tasks = std::max<int64_t>(ceilDivide(e.n, most), e.batch > 1 ? 1 : 4);
  t.nc = roundUp(ceilDivide(e.n, tasks), t.lanes);
}

/// Sixteen tasks at least, or one; as many as fall evenly on eight threads, where the columns are enough for that.
static void chooseDots(Blocking &t, const ContractExtents &e) {
  t.method = Method::Dot;
  t.right = RightMode::Direct;
  t.mc = e.m;
  int64_t columns = 6 * std::max<int64_t>(1, 96 / 6);
  // A vector of K for each row and column takes half a cycle.
  double cycles = static_cast<double>(e.batch) * e.m * e.n * ceilDivide(e.k, t.lanes) * 0.5;
  bool together = cycles < worthAFork && e.n <= 768;
  if (together)
    columns = roundUp(e.n, 6);
  while (!together && columns > 12 && e.batch * ceilDivide(e.n, columns) < 16)
    columns -= 6;
  t.nc = columns;
  int64_t blocks = ceilDivide(e.n, columns), even = roundUp(blocks, 8);
  t.nBlocks = !together && even * 6 <= e.n ? even : blocks;
}

/// An image's columns as they lie, which would be fetched before they are packed, too.
static void chooseFetched(Blocking &t, const ContractTraits &traits, int64_t level2) {
  bool plainImage = traits.image.planes > 0 && traits.rightPlainAlongN && rowsStay(t, traits, level2);
  t.fetched = plainImage && t.right == RightMode::Sliver && t.chunks == 1 && !t.edge;
  if (t.fetched)
    t.right = RightMode::Direct;
}

/// Of K, where it is cut into parts.
static int64_t leastPart(const Machine &machine) { return machine.forms ? 8 : 1024; }

Blocking chooseBlocking(const Machine &machine, const ContractExtents &given, const ContractTraits &traits) {
  ContractExtents e = given;
  for (int64_t *extent : {&e.batch, &e.m, &e.n, &e.k})
    *extent = std::max<int64_t>(*extent, 1);
  int64_t level2 = secondLevelOf(machine);
  Blocking t;
  chooseTile(t, machine, e, traits.bytes);

  int64_t kBlock = std::max(t.lanes, level2 / 10 / (t.tileColumns() * traits.bytes) / t.lanes * t.lanes);
  // A single block up to half again as long saves the second pass over the accumulators.
  int64_t blocks = e.k <= kBlock * 3 / 2 ? 1 : ceilDivide(e.k, kBlock);
  auto depth = [&](int64_t k) { return traits.lines ? roundUp(k, t.lanes) : spreadDepth(k, t.lanes); };
  t.kc = depth(ceilDivide(e.k, blocks));

  bool image = traits.image.planes > 0 && !traits.rightPlainAlongN;
  // Packing the right operand costs about eleven multiply-adds an element; the dot kernel a quarter of the arithmetic.
  bool fewRows = e.m <= 4 * t.tileRows;
  bool near = e.n * e.k * traits.bytes <= firstLevel / 2; // read where it lies by however many rows
  bool stays = traits.rightPlainAlongN && (fewRows || near) && rowsStay(t, traits, level2);
  bool direct = traits.rightPlainAlongN && machine.takes("direct", stays || e.m <= 2 * t.tileRows);
  if (traits.rightPrepacked && !stays && (direct || (traits.bothAlongK && fewRows))) {
    t.right = RightMode::Sliver;
    t.noScratch = true; // as the form that it stands for, which was claimed
    chooseCut(machine, t, e, traits);
    return t;
  }
  if (streams(machine, e, traits, t)) {
    chooseStretches(t, e, traits);
    return t;
  }
  if (traits.bothAlongK && machine.takes("dots", fewRows)) {
    chooseDots(t, e);
    return t;
  }
  if (direct)
    t.right = RightMode::Direct;
  else if (!traits.rightShareable)
    t.right = RightMode::Task;
  else // where one block holds all rows, no column is packed twice
    t.right = machine.takes("slivers",
                            e.m <= mostRows(t, traits, level2, e.m) || (traits.image.planes && !staysNear(e, traits)))
                  ? RightMode::Sliver
                  : RightMode::Shared;

  // A kilobyte of each row of memory, as long as that leaves some tasks to share out.
  t.sharedPanels = std::max<int64_t>(
      1, std::min<int64_t>(1024 / (t.tileColumns() * traits.bytes), ceilDivide(e.n, t.tileColumns()) / 8));

  // Too few tiles for the threads and much to sum: split K.
  int64_t tiles = e.batch * ceilDivide(e.m, t.tileRows) * ceilDivide(e.n, t.tileColumns());
  if (!image && e.k >= 4 * leastPart(machine) && machine.takes("K in parts", tiles < 128 && e.k >= 4096)) {
    t.chunks = std::min<int64_t>(16, e.k / leastPart(machine));
    t.kc = depth(std::min(kBlock, ceilDivide(e.k, t.chunks)));
    t.right = RightMode::Task;
  }
  takeAlongK(t, e, traits, level2);
  // The last few columns, where they are that few: with all rows and no part of K.
  int64_t rest = e.n % t.lanes;
  if (traits.lines && traits.fixedColumns && t.chunks == 1 && e.m >= t.tileRows && rest <= t.lanes / 4)
    t.edge = rest;
  if (image) {
    chooseImage(machine, t, e, traits);
    return t;
  }
  // Along a short K a sliver of rows meets columns as they lie: what it writes is as many streams as it has rows.
  bool inStreams = traits.shortSums && !t.edge && traits.rightPlainAlongN && rowsStay(t, traits, level2);
  if (inStreams && t.right == RightMode::Sliver)
    t.right = RightMode::Direct;
  Blocking shared = t;
  double time = chooseCut(machine, t, e, traits);
  // Few tasks, since columns alone are cut: where all of them are packed once, rows are cut as well, and come first.
  int64_t tasks = e.batch * ceilDivide(e.m, t.mc) * ceilDivide(e.n, t.nc);
  if (t.right == RightMode::Sliver && traits.rightShareable && t.chunks == 1 && tasks < 16 && staysNear(e, traits)) {
    shared.right = RightMode::Shared;
    if (machine.weighed("shared", chooseCut(machine, shared, e, traits)) < time && shared.rowsFirst)
      t = shared;
  }
  chooseFetched(t, traits, level2);
  return t;
}

} // namespace kiln::cpu
