// The caches of the machine, and the blocking that moves the fewest bytes through them.

#include "backends/cpu/compile/ContractModel.h"
#include <algorithm>
#include <cmath>

namespace kiln::cpu {

/// LLVM names processors, not caches; these are the makers' figures for a core. Unknown ones get the smallest in use.
static int64_t secondLevelOf(const Machine &machine) {
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
/// third of a cycle an element of a 64-byte vector's sixteenth.
struct Cost {
  const ContractExtents &e;
  const Blocking &t;
  int64_t bytes;
  double packElement, epilogueElement = 0.15;

  double rowsCost(int64_t rows) const {
    int64_t whole = rows / t.tileRows, rest = rows % t.tileRows;
    double cost = static_cast<double>(whole) * t.tileRows;
    if (rest) // short tiles do not hide the latency of their sums
      cost += std::max<double>(roundUp(rest, t.rowUnit), t.tileRows * 0.5);
    return cost;
  }
  double task(int64_t rows, int64_t columns, int64_t k, bool packRight) const {
    int64_t slivers = ceilDivide(columns, t.lanes);
    double arithmetic = rowsCost(rows) * static_cast<double>(slivers) * k * 0.5;
    double packing = static_cast<double>(rows) * k * packElement +
                     (packRight ? static_cast<double>(columns) * k * packElement : 0.0);
    // What packing does not bring near is fetched: slivers of the right operand once a task, sums once a K block.
    double fetching = static_cast<double>(columns) * k * 0.075 * bytes +
                      static_cast<double>(rows) * columns * 0.05 * bytes * static_cast<double>(ceilDivide(k, t.kc) - 1);
    return arithmetic + packing + fetching + static_cast<double>(rows) * columns * epilogueElement + 400;
  }
};
} // namespace

/// The wall time of `tasks` pieces of two sizes on several numbers of threads, as a mean of cycles a thread.
static double spread(double total, double largest, int64_t tasks) {
  double sum = 0;
  for (int64_t threads : {2, 4, 8}) {
    double ideal = total / threads;
    double rounds = static_cast<double>(ceilDivide(tasks, threads)) * largest;
    sum += std::max(ideal, std::min(rounds, ideal + largest)) * threads;
  }
  return sum / 3;
}

/// Rows of the left operand's block: half of the second level, or four fifths where that is all of them.
static int64_t mostRows(const Blocking &t, const ContractTraits &traits, int64_t level2, int64_t m) {
  int64_t rows = level2 / (t.kc * traits.bytes);
  int64_t most = roundUp(m, t.tileRows) <= rows * 4 / 5 ? rows * 4 / 5 : rows / 2;
  return std::max(t.tileRows, most / t.tileRows * t.tileRows);
}

static void chooseCut(Blocking &t, const ContractExtents &e, const ContractTraits &traits, int64_t level2) {
  double packElement = (traits.slowElements ? 1.0 : 0.35) * 16.0 / t.lanes;
  Cost cost{e, t, traits.bytes, packElement};
  int64_t columnsUnit = t.tileColumns();
  int64_t maxRows = mostRows(t, traits, level2, e.m);
  int64_t maxColumns = std::max(columnsUnit, 768 / columnsUnit * columnsUnit);
  bool packRight = t.right == RightMode::Task || t.right == RightMode::Sliver;
  if (t.right == RightMode::Task) // the block of the right operand lives in the second level too
    maxColumns =
        std::max(columnsUnit, std::min(maxColumns, level2 / 2 / (t.kc * traits.bytes) / columnsUnit * columnsUnit));
  double best = INFINITY;
  int64_t k = std::max<int64_t>(1, ceilDivide(e.k, t.chunks));
  for (int64_t mb = 1; mb <= 4096; ++mb) {
    int64_t mc = roundUp(ceilDivide(e.m, mb), t.tileRows);
    for (int64_t nb = 1; mc <= maxRows && nb <= 4096; ++nb) {
      int64_t nc = roundUp(ceilDivide(e.n, nb), columnsUnit);
      if (nc <= maxColumns) {
        int64_t tasks = e.batch * ceilDivide(e.m, mc) * ceilDivide(e.n, nc) * t.chunks;
        double largest = cost.task(std::min(mc, e.m), std::min(nc, e.n), k, packRight);
        double total = cost.task(e.m, e.n, k, false) * e.batch * t.chunks;
        total += (ceilDivide(e.n, nc) - 1) * static_cast<double>(e.m) * e.k * packElement *
                 e.batch; // the left operand, again
        if (packRight)
          total += ceilDivide(e.m, mc) * static_cast<double>(e.n) * e.k * packElement * e.batch;
        total += (ceilDivide(e.m, mc) - 1) * static_cast<double>(e.n) * e.k * 0.075 * traits.bytes *
                 e.batch; // slivers, again
        total += 400.0 * tasks;
        double time = spread(total, largest, tasks);
        if (time < best * 0.999) {
          best = time;
          t.mc = mc;
          t.nc = nc;
        }
      }
      if (nc == columnsUnit)
        break;
    }
    if (mc == t.tileRows)
      break;
  }
}

RegisterTile registerTile(const Machine &machine, int64_t bytes) {
  int64_t unit = machine.vectorRegisters >= 32 ? 4 : 2;
  return {std::max<int64_t>(1, machine.vectorBytes / bytes), 2, (machine.vectorRegisters - 3) / 2 / unit * unit, unit};
}

Blocking chooseBlocking(const Machine &machine, const ContractExtents &given, const ContractTraits &traits) {
  ContractExtents e = given;
  for (int64_t *extent : {&e.batch, &e.m, &e.n, &e.k})
    *extent = std::max<int64_t>(*extent, 1);
  int64_t level2 = secondLevelOf(machine);
  Blocking t;
  RegisterTile registers = registerTile(machine, traits.bytes);
  t.lanes = registers.lanes, t.tileVectors = registers.vectors;
  t.rowUnit = registers.rowUnit, t.tileRows = registers.rows;
  if (e.n <= t.lanes)
    t.tileVectors = 1;

  int64_t kBlock = level2 / 10 / (t.tileColumns() * traits.bytes) / t.lanes * t.lanes;
  kBlock = std::max(kBlock, t.lanes);
  // A single block up to half again as long saves the second pass over the accumulators.
  int64_t blocks = e.k <= kBlock * 3 / 2 ? 1 : ceilDivide(e.k, kBlock);
  t.kc = roundUp(ceilDivide(e.k, blocks), t.lanes);

  // Packing the right operand costs about eleven multiply-adds an element; the dot kernel a quarter of the arithmetic.
  bool fewRows = e.m <= 4 * t.tileRows;
  if (traits.bothAlongK && fewRows) {
    t.method = Method::Dot;
    t.right = RightMode::Direct;
    t.mc = e.m;
    int64_t columns = 6 * std::max<int64_t>(1, 96 / 6);
    while (columns > 12 && e.batch * ceilDivide(e.n, columns) < 16)
      columns -= 6;
    t.nc = columns;
    return t;
  }
  if (traits.rightPlainAlongN && e.m <= 2 * t.tileRows)
    t.right = RightMode::Direct;
  else if (traits.window)
    t.right = RightMode::Window;
  else if (!traits.rightShareable)
    t.right = RightMode::Task;
  else // where one block holds all rows, no column is packed twice
    t.right = e.m <= mostRows(t, traits, level2, e.m) ? RightMode::Sliver : RightMode::Shared;

  // A kilobyte of each row of memory, as long as that leaves some tasks to share out.
  t.sharedPanels = std::max<int64_t>(
      1, std::min<int64_t>(1024 / (t.tileColumns() * traits.bytes), ceilDivide(e.n, t.tileColumns()) / 8));

  // Too few tiles for the threads and much to sum: split K.
  int64_t tiles = e.batch * ceilDivide(e.m, t.tileRows) * ceilDivide(e.n, t.tileColumns());
  if (tiles < 128 && e.k >= 4096 && !traits.window) {
    t.chunks = std::min<int64_t>(16, e.k / 1024);
    t.kc = roundUp(std::min(kBlock, ceilDivide(e.k, t.chunks)), t.lanes);
    t.right = RightMode::Task;
  }
  chooseCut(t, e, traits, level2);
  return t;
}

} // namespace kiln::cpu
