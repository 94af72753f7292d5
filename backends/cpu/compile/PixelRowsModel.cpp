// How a convolution with pixels as rows is cut, and whether it pays (PixelRows.h).

#include "backends/cpu/compile/PixelRows.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace kiln::cpu {

/// Pieces of at most so many pixels, as equal as can be.
static void choosePieces(PixelCut &t, const PixelExtents &e, int64_t most) {
  auto cut = [&](int64_t lines, int64_t length, int64_t unit) {
    t.lines = lines, t.length = length, t.unit = unit;
    t.step = ceilDivide(length, ceilDivide(length, std::max<int64_t>(1, most / unit)));
    t.rows = t.step * unit;
  };
  bool partsOfRows = e.inOneRow || e.width > most;
  if (partsOfRows)
    cut(e.inOneRow ? 1 : e.images * e.height, e.inOneRow ? e.pixels() : e.width, 1);
  else
    cut(e.images, e.height, e.width);
  t.inRow = partsOfRows ? t.rows : e.width;
  t.pitch = partsOfRows ? 0 : e.pitch;
}

namespace {
/// Cycles, counted as ContractModel.cpp does.
struct PixelCost {
  const PixelExtents &e;
  const PixelCut &t;

  /// A step along K: multiply-adds, or loads where these are more, or what eight sums wait for each other; or lines
  /// from the second level: the filter's, which follow each other, take some two cycles each, the image's, one or two
  /// for each row of the window and of pixels, six.
  double step(int64_t rows, int64_t vectors) const {
    double registers = 0.5 * static_cast<double>(std::max<int64_t>({rows * vectors, rows + vectors + 1, 8}));
    double bytes = static_cast<double>(std::min(rows, t.inRow) * e.step) * 4 + 60, line = 64;
    double image = static_cast<double>(ceilDivide(rows, t.inRow)) * bytes / line / static_cast<double>(e.tapsOfRow);
    if (e.matrix)
      image = 1.0 / 3; // of pieces that follow each other as the filter's panels do
    bool near = e.channels * e.taps * t.columns() * 4 <= firstLevel / 2;
    double filter = near ? 0.0 : static_cast<double>(vectors * t.lanes) * 4 / line;
    return std::max(registers, 6 * image + 2 * filter);
  }
  double pieces(int64_t count, int64_t vectors) const {
    double whole = step(t.rows, vectors), last = step(t.rest(), vectors);
    double lasts = static_cast<double>(count) / static_cast<double>(t.piecesOfLine());
    return (static_cast<double>(count) - lasts) * whole + lasts * last;
  }
  double packElement() const { return (e.turned ? 0.6 : 0.35) * 16.0 / static_cast<double>(t.lanes); }
  double task(int64_t count, int64_t vectors) const {
    double k = static_cast<double>(e.channels * e.taps), columns = static_cast<double>(vectors * t.lanes);
    double sums = static_cast<double>(count * t.rows) * columns;
    double blocks = static_cast<double>(ceilDivide(e.channels, t.channelsOfBlock));
    double finished = 0.15 + 0.35 * 16.0 / static_cast<double>(t.lanes); // and turned
    double seen = static_cast<double>(count * t.rows * e.channels * e.planes * e.seen);
    double packed = t.packsBlocks ? columns * k * packElement() : 0.0;
    // Panels that are packed once are fetched, and pieces of a matrix that stay in the second level read again.
    double filter = e.filterLasts ? 0.1 : 0.3;
    double image = e.matrix ? 0.1 : 0.3;
    return packed + k * pieces(count, vectors) + columns * k * filter + seen * image +
           sums * (finished + 0.2 * (blocks - 1)) + 400;
  }
  double before() const {
    double places = static_cast<double>(e.batch * e.channels * e.planes * e.places);
    double vectors = e.matrix ? static_cast<double>(e.batch * e.channels * t.pieces()) * 4
                              : places * 12.0 / static_cast<double>(std::min(e.row, t.lanes));
    double copied = vectors + 2000;
    double filter = static_cast<double>(e.outputs * e.channels * e.taps), far = filter * 4 > nearBytes ? 0.6 : 0.0;
    return copied + (e.filterLasts || t.packsBlocks ? 0.0 : filter * (packElement() + far) + 2000);
  }
};
} // namespace

static double timeOf(const PixelExtents &e, const PixelCut &t) {
  int64_t panels = ceilDivide(e.outputs, t.columns()), blocks = ceilDivide(t.pieces(), t.piecesOfTask);
  int64_t narrow = ceilDivide(e.outputs - (panels - 1) * t.columns(), t.lanes);
  PixelCost cost{e, t};
  double whole = cost.task(t.piecesOfTask, t.vectors), last = cost.task(t.piecesOfTask, narrow);
  double line = static_cast<double>(t.pieces()) / static_cast<double>(t.piecesOfTask);
  double total = static_cast<double>(e.batch) * line * (static_cast<double>(panels - 1) * whole + last);
  return cost.before() + spreadOverThreads(total, whole, e.batch * blocks * panels);
}

PixelCut choosePixelRows(const Machine &machine, const PixelExtents &e, double cycles) {
  PixelCut t;
  RegisterTile registers = registerTile(machine, 4);
  int64_t most = (machine.vectorRegisters - 3) / registers.vectors;
  t.lanes = registers.lanes, t.vectors = registers.vectors;
  if (machine.takes("no panel is full", false) ? e.outputs < 1 : e.outputs < t.columns())
    return {};
  if (e.pixels() < 1)
    return {};
  choosePieces(t, e, e.matrix ? std::min(most, t.lanes) : most); // a matrix's piece is copied as one vector
  int64_t level2 = secondLevelOf(machine);
  int64_t copied = e.batch * e.channels * (e.matrix ? t.pieces() * t.lanes : e.planes * e.places) * 4;
  if (copied > (e.matrix ? level2 / 2 : nearBytes)) // pieces are written far apart
    return {};
  while (t.vectors < 4 && (t.rows + 1) * 2 * t.vectors < machine.vectorRegisters && e.outputs % (2 * t.columns()) == 0)
    t.vectors *= 2;
  int64_t block = level2 / 10 / (t.columns() * 4); // K's, as a product's
  t.channelsOfBlock = ceilDivide(e.channels, ceilDivide(e.channels * e.taps, std::max(block, e.taps)));

  int64_t fits = firstLevel / (t.columns() * 4 * t.rows), even = t.lanes / std::gcd(t.rows, t.lanes);
  double least = machine.weighed("otherwise", cycles);
  PixelCut best;
  for (int64_t pieces = std::clamp<int64_t>(fits, 1, t.pieces()), last = 0; pieces > 0; pieces /= 2) {
    t.unitOfTasks = pieces >= even && t.pieces() % even == 0 ? even : 1; // whole vectors of pixels
    t.piecesOfTask = pieces / t.unitOfTasks * t.unitOfTasks;
    t.packsBlocks = !e.filterLasts && e.batch == 1 && t.piecesOfTask == t.pieces();
    double time = t.piecesOfTask == last ? least : machine.weighed("pieces", timeOf(e, t), t.piecesOfTask);
    last = t.piecesOfTask;
    if (time < least)
      least = time, best = t;
  }
  return best;
}

} // namespace kiln::cpu
