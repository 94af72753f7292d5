// How many outputs a Winograd tile has, and which tasks there are, from the machine and the extents.

#include "backends/cpu/compile/Winograd.h"
#include <algorithm>
#include <cmath>

namespace kiln::cpu {

/// What the transformed filters of a launch may take: they lie in its scratch until they are packed once.
constexpr int64_t mostFilterBytes = 4 * nearBytes;

/// Toom and Cook's: interpolation at points and at infinity.
static WinogradMatrices matricesOf(int64_t outputs, llvm::ArrayRef<double> points) {
  size_t places = points.size() + 1;
  WinogradMatrices result;
  WinogradMatrices::Matrix &image = result.image, &filter = result.filter, &output = result.output;
  output.resize(static_cast<size_t>(outputs), llvm::SmallVector<double, 6>(places, 0.0));
  for (size_t j = 0; j < places; ++j) {
    bool infinity = j == points.size();
    double point = infinity ? 0 : points[j], scale = 1;
    auto &polynomial = image.emplace_back(places, 0.0); // ascending: that which is zero at all other points
    polynomial[0] = 1;
    for (size_t i = 0; i < points.size(); ++i) {
      if (i == j)
        continue;
      for (size_t k = places; k-- > 0;)
        polynomial[k] = (k ? polynomial[k - 1] : 0) - points[i] * polynomial[k];
      scale *= infinity ? 1 : point - points[i];
    }
    if (infinity)
      filter.push_back({0, 0, 1});
    else
      filter.push_back({1 / scale, point / scale, point * point / scale});
    for (size_t i = 0; i < output.size(); ++i)
      output[i][j] = infinity ? static_cast<double>(i + 1 == output.size()) : std::pow(point, i);
  }
  return result;
}

/// The usual points for four outputs, 1 and 2, are twice as far off: these keep powers and differences near to one
/// another, and are exact in binary.
const WinogradMatrices &winogradMatrices(int64_t outputs) {
  static const WinogradMatrices two = matricesOf(2, {0, 1, -1}), four = matricesOf(4, {0, 0.75, -0.75, 1.5, -1.5});
  return outputs == 2 ? two : four;
}

/// Instructions for a vector under a matrix: one for each number that is not zero.
static double terms(const WinogradMatrices::Matrix &matrix) {
  double count = 0;
  for (const auto &row : matrix)
    count += static_cast<double>(llvm::count_if(row, [](double value) { return value != 0; }));
  return count;
}

namespace {
/// Cycles, counted as ContractModel.cpp does: an instruction is half of one.
struct Cost {
  const Machine &machine;
  const WinogradExtents &e;
  RegisterTile registers = registerTile(machine, 4);

  /// A step along K of a register tile: its multiply-adds, or its loads where they are more.
  static double step(int64_t rows, int64_t vectors) {
    return 0.5 * static_cast<double>(std::max(rows * vectors, rows + vectors));
  }
  static double vectorsOf(int64_t elements, int64_t lanes) { return static_cast<double>(ceilDivide(elements, lanes)); }

  double direct() const {
    double products = 9.0 * e.channels * roundUp(e.outputs, registers.rowUnit) * vectorsOf(e.pixels, registers.lanes);
    double written = 6.0 * e.outputs * vectorsOf(e.pixels, registers.lanes);
    return e.batch * (0.55 * products + written) + 0.3 * 9 * e.outputs * e.channels;
  }

  /// Chooses the rows of a sliver.
  double products(WinogradCut &t, int64_t tiles) const {
    int64_t panels = tiles / (t.vectors * t.lanes), rest = ceilDivide(tiles % (t.vectors * t.lanes), t.lanes);
    int64_t most = registers.rows * registers.vectors / t.vectors;
    double best = INFINITY;
    for (int64_t rows = registers.rowUnit; rows <= most; rows += registers.rowUnit) {
      double sliver = panels * step(rows, t.vectors) + (rest ? step(rows, rest) : 0.0);
      double time = static_cast<double>(ceilDivide(e.outputs, rows)) * sliver;
      if (time <= best)
        best = time, t.rows = rows;
    }
    return best * static_cast<double>(t.places() * e.channels * e.batch);
  }

  double transforms(const WinogradCut &t, const WinogradTiles &tiles) const {
    const WinogradMatrices &matrices = winogradMatrices(t.outputs);
    double side = static_cast<double>(t.outputs) + 2, places = side * side, made = static_cast<double>(t.outputs);
    double vectors = vectorsOf(tiles.count, t.lanes);
    double copied = static_cast<double>(tiles.planes) * tiles.places * 12.0 / std::min(tiles.row, t.lanes);
    double image = places * (static_cast<double>(tiles.rowsOfVector) + 1) + 2 * side * terms(matrices.image);
    double output = places + (side + made) * terms(matrices.output) + made * made * 12;
    double filters = static_cast<double>(e.outputs) * e.channels; // from memory; where they change, made anew
    double filter = 0.3 * places + (e.filterLasts ? 0 : 25 + 0.5 * places);
    return e.batch * (e.channels * (copied + 0.5 * vectors * image) + 0.5 * e.outputs * vectors * output) +
           filters * filter;
  }
};
} // namespace

/// Panels as many as half of the second level holds at all places; slivers so that there are some tasks to share out.
static void chooseTasks(WinogradCut &t, const WinogradExtents &e, int64_t tiles, int64_t level2) {
  int64_t width = t.vectors * t.lanes, panels = ceilDivide(tiles, width), slivers = ceilDivide(e.outputs, t.rows);
  int64_t fits = level2 / 2 / (t.places() * e.channels * width * 4);
  t.panelsOfTask = std::clamp<int64_t>(fits, 1, panels);
  while (t.panelsOfTask > 1 && e.batch * ceilDivide(panels, t.panelsOfTask) < 16)
    --t.panelsOfTask;
  int64_t blocks = e.batch * ceilDivide(panels, t.panelsOfTask);
  t.sliversOfTask = ceilDivide(slivers, std::clamp<int64_t>(ceilDivide(32, blocks), 1, slivers));
}

WinogradCut chooseWinograd(const Machine &machine, const WinogradExtents &e,
                           llvm::function_ref<WinogradTiles(int64_t outputs)> tiles) {
  Cost cost{machine, e};
  WinogradCut best;
  double least = machine.weighed("definition", 0.9 * cost.direct());
  for (int64_t outputs : {2, 4}) {
    WinogradTiles cutUp = tiles(outputs);
    WinogradCut t;
    t.outputs = outputs;
    t.lanes = cost.registers.lanes;
    t.vectors = cutUp.count <= t.lanes ? 1 : cost.registers.vectors;
    double time = cost.products(t, cutUp.count) + cost.transforms(t, cutUp);
    int64_t panelBytes = spreadStride(e.channels * t.vectors * t.lanes, 4) * 4 * t.places();
    bool fits = e.batch * ceilDivide(cutUp.count, t.vectors * t.lanes) * panelBytes <= nearBytes &&
                t.places() * roundUp(e.outputs, t.rows) * roundUp(e.channels, t.lanes) * 4 <= mostFilterBytes;
    if (fits && time < least) {
      least = time;
      chooseTasks(t, e, cutUp.count, secondLevelOf(machine));
      best = t;
    }
  }
  return best;
}

} // namespace kiln::cpu
