// Attention by cooperative matrices: its forward half, of f16 and bf16, and in the fast mode of f32 split in two bf16.
//
// A workgroup has 32 or 64 queries of a head, and goes through the keys by 32. Queries, keys and values come by way of
// workgroup memory; scores go there from matrices, become shares there, which are factors of the second product. The
// result stays in matrices, whose rows are scaled when a larger score has come: by a matrix that has the row's factor
// in all of its columns. Shares are rounded to the factors' type in two parts in strict mode (2^-22 of f16, 2^-18 of
// bf16), in one in the fast mode, as elsewhere.
#include "backends/sdk/forms/AttentionPrinter.h"
#include "backends/vulkan/compile/Matrices.h"
#include "backends/vulkan/compile/Strategy.h"
#include <algorithm>

using namespace kiln::sdk;

namespace kiln::vulkan {

namespace {
constexpr int tileKeys = 32, mostSide = 32, partsOfRow = 4;
static_assert(mostSide <= tileKeys); // a row's factors lie where its scores were

struct Plan {
  Factor factor = Factor::F16;
  bool splits = false; // queries, keys and values
  int shareParts = 1, rows = 64;
};

class MatrixAttention : AttentionPrinter {
public:
  MatrixAttention(const Graph &graph, const AttentionKernel &form, Shader &shader, Emitter &emitter, const Plan &plan,
                  bool plain)
      : AttentionPrinter(graph, form, shader, emitter), plan(plan), matrices(shader, emitter, plan.factor, plain),
        width(static_cast<int>(form.width.value)), valueWidth(static_cast<int>(form.valueWidth.value)) {}

  bool forward();

private:
  /// Rows of queries, keys or values, `stride` apart; where they are split the high parts, then the low ones.
  struct Rows {
    std::vector<Matrices::Memory> planes;
    uint32_t value;
    int width;
    bool ofKeys;
    int unit = 1; // elements that are read and written at once
  };
  /// Of the input that is the value, transposed at most, its number; -1: rows do not lie in 16 bytes there.
  int placeOf(uint32_t value) const;
  void copyVectors(const Rows &rows, int count, const std::string &first, const kiln_extent &all);
  Rows rowsOf(uint32_t value, int count, int width, bool ofKeys);
  void copy(const Rows &rows, int count, const std::string &first, const kiln_extent &all);
  void declare();
  void openParts();
  void scores();
  void highest();
  void shares();
  void turn();
  void addValues();
  bool store();
  void highestOfRow();
  /// A loop over the matrices of a subgroup, of `down` rows by `across` columns in all: declares rowAt and columnAt.
  void openOwn(int down, int across);
  std::string own(int down, int across) const {
    return "((" + str(down) + " / " + matrices.M + ") * (" + str(across) + " / " + matrices.N + ") / " +
           str(Matrices::subgroups) + ")";
  }
  int sharesStride() const { return tileKeys + 8; }

  const Plan plan;
  Matrices matrices;
  const int width, valueWidth;
  std::vector<Matrices::Memory> shareMemory;
  std::string score, most, total, fade, partMost, partSum;
  Rows queries, keys, values;
};
} // namespace

MatrixAttention::Rows MatrixAttention::rowsOf(uint32_t value, int count, int width, bool ofKeys) {
  Rows rows{{}, value, width, ofKeys, placeOf(value) < 0 ? 1 : plan.splits ? 4 : 8};
  for (int plane = 0; plane < (plan.splits ? 2 : 1); ++plane)
    rows.planes.push_back(matrices.memory(count, width + 8, rows.unit));
  return rows;
}

int MatrixAttention::placeOf(uint32_t value) const {
  Transposed below = throughTransposes(graph, value);
  auto found = std::find(graph.inputs.begin(), graph.inputs.end(), below.value);
  auto place = static_cast<uint32_t>(found - graph.inputs.begin());
  // The width is a multiple of 32.
  bool reads = found != graph.inputs.end() && below.axes.back() == 3 &&
               group.canLoadVectors(place, graph.type(below.value).dtype);
  return reads ? static_cast<int>(place) : -1;
}

void MatrixAttention::copyVectors(const Rows &rows, int count, const std::string &first, const kiln_extent &all) {
  std::string perRow = str(rows.width / rows.unit), stride = str((rows.width + 8) / rows.unit);
  int vectors = count * rows.width / rows.unit;
  Expr e = emitter.loop(Emitter::outer("thread"), emitter.index(vectors), Emitter::outer("threads"),
                        vectors / (Matrices::leastLanes * Matrices::subgroups) + 1);
  emitter.line("const int r = " + e.text + " / " + perRow + ", d = " + e.text + " % " + perRow + ", from = min(" +
               first + " + r, " + number(all) + " - 1);");
  const Index at = {Emitter::outer("b"), headOf(rows.ofKeys), here("from"), here("d")};
  Transposed below = throughTransposes(graph, rows.value);
  std::vector<kiln_extent> dims = graph.type(below.value).dims;
  dims.back().value /= rows.unit;
  Index index;
  for (size_t axis : below.axes)
    index.push_back(at[axis]);
  std::string vector = group.loadVector(static_cast<uint32_t>(placeOf(rows.value)), emitter.linear(dims, index).text),
              to = "[r * " + stride + " + d] = ";
  if (plan.splits) {
    emitter.line("const vec4 four = " + vector + ";");
    for (const char *axis : {"x", "y", "z", "w"})
      emitter.line("const uvec2 " + std::string(axis) + " = " + matrices.split(std::string("four.") + axis) + ";");
    emitter.line(rows.planes[0].name + to + "uvec2(x.x | y.x << 16, z.x | w.x << 16);");
    emitter.line(rows.planes[1].name + to + "uvec2(x.y | y.y << 16, z.y | w.y << 16);");
  } else {
    emitter.line(rows.planes[0].name + to + vector + ";");
  }
  emitter.close();
}

/// Rows beyond the last one are the last one again: what is computed of them is hidden, or not stored.
void MatrixAttention::copy(const Rows &rows, int count, const std::string &first, const kiln_extent &all) {
  if (rows.unit > 1)
    return copyVectors(rows, count, first, all);
  Expr e = emitter.loop(Emitter::outer("thread"), emitter.index(count * rows.width), Emitter::outer("threads"),
                        count * rows.width / (Matrices::leastLanes * Matrices::subgroups) + 1);
  emitter.line("const int r = " + e.text + " / " + str(rows.width) + ", d = " + e.text + " % " + str(rows.width) +
               ", from = min(" + first + " + r, " + number(all) + " - 1);");
  Index at = {Emitter::outer("b"), headOf(rows.ofKeys), here("from"), here("d")};
  Expr element = emitter.convert(emitter.element(rows.value, at), graph.type(rows.value).dtype, KILN_F32);
  std::string to = "[r * " + str(rows.width + 8) + " + d] = ";
  if (plan.splits) {
    emitter.line("const uvec2 parts = " + matrices.split(element.text) + ";");
    emitter.line(rows.planes[0].name + to + "uint16_t(parts.x); " + rows.planes[1].name + to + "uint16_t(parts.y);");
  } else {
    emitter.line(rows.planes[0].name + to + matrices.stored(element.text) + ";");
  }
  emitter.close();
}

void MatrixAttention::declare() {
  queries = rowsOf(form.q, plan.rows, width, false);
  keys = rowsOf(form.k, tileKeys, width, true);
  values = rowsOf(form.v, tileKeys, valueWidth, true);
  for (int part = 0; part < plan.shareParts; ++part)
    shareMemory.push_back(matrices.memory(plan.rows, sharesStride(), 1));
  // Also the rows' factors, once shares are made, and what the result leaves by: a matrix of each subgroup.
  score = fade = matrices.staged(std::max(plan.rows * tileKeys, Matrices::mostSums * Matrices::subgroups));
  most = matrices.staged(plan.rows), total = matrices.staged(plan.rows);
  partMost = matrices.staged(static_cast<int64_t>(plan.rows) * partsOfRow);
  partSum = matrices.staged(static_cast<int64_t>(plan.rows) * partsOfRow);
}

void MatrixAttention::openOwn(int down, int across) {
  std::string columns = "(" + str(across) + " / " + matrices.N + ")";
  emitter.openLoop("[[unroll]] for (int m = 0; m < " + own(down, across) + "; ++m)",
                   down / Matrices::leastSide * (across / Matrices::leastSide) / Matrices::subgroups);
  emitter.line("const int rowAt = (m * " + str(Matrices::subgroups) + " + mine) / " + columns + " * " + matrices.M +
               ", columnAt = (m * " + str(Matrices::subgroups) + " + mine) % " + columns + " * " + matrices.N + ";");
}

/// A loop over pieces of rows of scores: an eighth of a row of them each.
void MatrixAttention::openParts() {
  Expr e = emitter.loop(Emitter::outer("thread"), emitter.index(plan.rows * partsOfRow), Emitter::outer("threads"),
                        plan.rows * partsOfRow / (Matrices::leastLanes * Matrices::subgroups) + 1);
  emitter.line("const int it = " + e.text + ", r = it / " + str(partsOfRow) + ", c = it % " + str(partsOfRow) + " * " +
               str(tileKeys / partsOfRow) + ";");
}

void MatrixAttention::scores() {
  openOwn(plan.rows, tileKeys);
  emitter.line(matrices.type(Matrices::Sums) + " sums = " + matrices.zero() + ";");
  emitter.openLoop("for (int d = 0; d < " + str(width) + "; d += " + matrices.K + ")", width / Matrices::leastSide);
  auto load = [&](const Rows &rows, size_t plane, bool left) {
    std::string name = (left ? "left" : "right") + str(static_cast<int64_t>(plane));
    Matrices::Part part = left ? Matrices::Left : Matrices::Right;
    emitter.line(matrices.type(part) + " " + name + ";");
    matrices.load(part, name, rows.planes[plane],
                  "(" + std::string(left ? "rowAt" : "columnAt") + ") * " + str(width + 8) + " + d", !left);
  };
  for (size_t plane = 0; plane < queries.planes.size(); ++plane) {
    load(queries, plane, true);
    load(keys, plane, false);
  }
  if (plan.splits) {
    matrices.multiplyAdd("sums", "left1", "right0");
    matrices.multiplyAdd("sums", "left0", "right1");
  }
  matrices.multiplyAdd("sums", "left0", "right0");
  emitter.close();
  matrices.store("sums", score, "rowAt * " + str(tileKeys) + " + columnAt", str(tileKeys));
  emitter.close();
}

/// Scores scaled and hidden, and the highest of each part of a row.
void MatrixAttention::highest() {
  openParts();
  emitter.line("const int query = min(begin + r, end - 1);");
  emitter.line("float highest = " + minusInfinity() + ";");
  emitter.loopNamed("j", emitter.index(0), emitter.index(tileKeys / partsOfRow), emitter.index(1),
                    tileKeys / partsOfRow, emitter.language().dontUnroll);
  std::string at = score + "[r * " + str(tileKeys) + " + c + j]", away = hidden(here("query"), here("(first + c + j)"));
  emitter.line("const float s = " + away + " ? " + minusInfinity() + " : " + scoreOf(at) + ";");
  emitter.line(at + " = s;");
  // A NaN is the highest of all, and stays.
  emitter.line("if (highest == highest && !(s <= highest)) highest = s;");
  emitter.close();
  emitter.line(partMost + "[it] = highest;");
  emitter.close();
}

/// Prints `highest`, that of all keys so far, and `base`, which scores are taken from.
void MatrixAttention::highestOfRow() {
  emitter.line("float highest = " + most + "[r];");
  emitter.openLoop("for (int part = 0; part < " + str(partsOfRow) + "; ++part)", partsOfRow);
  emitter.line("const float other = " + partMost + "[r * " + str(partsOfRow) + " + part];");
  emitter.line("if (highest == highest && !(other <= highest)) highest = other;");
  emitter.close();
  emitter.line("const float base = highest == " + minusInfinity() + " ? " + zero + " : highest;");
}

void MatrixAttention::shares() {
  openParts();
  highestOfRow();
  emitter.line("float sum = 0.0;");
  emitter.loopNamed("j", emitter.index(0), emitter.index(tileKeys / partsOfRow), emitter.index(1),
                    tileKeys / partsOfRow, emitter.language().dontUnroll);
  emitter.line("const float weight = " + exponential(score + "[r * " + str(tileKeys) + " + c + j] - base") + ";");
  emitter.line("sum += weight;");
  std::string to = "[r * " + str(sharesStride()) + " + c + j] = ";
  if (plan.factor == Factor::F16) {
    emitter.line("const float16_t high = float16_t(weight);");
    emitter.line(shareMemory[0].name + to + "high;");
    if (plan.shareParts > 1)
      emitter.line(shareMemory[1].name + to + "float16_t(weight - float(high));");
  } else {
    emitter.line("const uvec2 parts = " + matrices.split("weight") + ";");
    emitter.line(shareMemory[0].name + to + "uint16_t(parts.x);");
    if (plan.shareParts > 1)
      emitter.line(shareMemory[1].name + to + "uint16_t(parts.y);");
  }
  emitter.close();
  emitter.line(partSum + "[it] = sum;");
  emitter.close();
}

/// What the rows of before are to be scaled by.
void MatrixAttention::turn() {
  Expr row = emitter.loop(Emitter::outer("thread"), emitter.index(plan.rows), Emitter::outer("threads"),
                          plan.rows / (Matrices::leastLanes * Matrices::subgroups) + 1);
  emitter.line("const int r = " + row.text + ";");
  highestOfRow();
  emitter.line("const float factor = " + exponential(most + "[r] - base") + ";");
  emitter.line("float sum = " + total + "[r] * factor;");
  emitter.openLoop("for (int part = 0; part < " + str(partsOfRow) + "; ++part)", partsOfRow);
  emitter.line("sum += " + partSum + "[r * " + str(partsOfRow) + " + part];");
  emitter.close();
  emitter.line(total + "[r] = sum; " + most + "[r] = highest;");
  emitter.openLoop("for (int n = 0; n < " + matrices.N + "; ++n)", mostSide);
  emitter.line(fade + "[r * " + matrices.N + " + n] = factor;");
  emitter.close();
  emitter.close();
}

void MatrixAttention::addValues() {
  openOwn(plan.rows, valueWidth);
  emitter.open("if (first > start_)", /*guard=*/true);
  matrices.scale("results[m]", fade, "rowAt * " + matrices.N, matrices.N);
  emitter.close();
  emitter.openLoop("for (int k = 0; k < " + str(tileKeys) + "; k += " + matrices.K + ")",
                   tileKeys / Matrices::leastSide);
  for (size_t part = 0; part < shareMemory.size(); ++part) {
    std::string name = "left" + str(static_cast<int64_t>(part));
    emitter.line(matrices.type(Matrices::Left) + " " + name + ";");
    matrices.load(Matrices::Left, name, shareMemory[part], "rowAt * " + str(sharesStride()) + " + k", false);
  }
  for (size_t plane = values.planes.size(); plane-- > 0;) {
    std::string name = "right" + str(static_cast<int64_t>(plane));
    emitter.line(matrices.type(Matrices::Right) + " " + name + ";");
    matrices.load(Matrices::Right, name, values.planes[plane], "k * " + str(valueWidth + 8) + " + columnAt", false);
    // The low part of both counts for nothing.
    for (size_t part = plane ? 1 : shareMemory.size(); part-- > 0;)
      matrices.multiplyAdd("results[m]", "left" + str(static_cast<int64_t>(part)), name);
  }
  emitter.close();
  emitter.close();
}

bool MatrixAttention::store() {
  openOwn(plan.rows, valueWidth);
  std::string stage = "mine * " + str(Matrices::mostSums);
  matrices.store("results[m]", score, stage, matrices.N);
  emitter.line("barrier();");
  emitter.openLoop("for (int e = lane; e < " + matrices.M + " * " + matrices.N + "; e += lanes)",
                   Matrices::mostSums / Matrices::leastLanes);
  emitter.line("const int r = rowAt + e / " + matrices.N + ", row = begin + r, d = columnAt + e % " + matrices.N + ";");
  emitter.open("if (group == own && row < end)", /*guard=*/true);
  // A query that sees no key gives 0.
  emitter.line("const float divisor = " + total + "[r] == 0.0 ? 1.0 : " + total + "[r];");
  Index at = {Emitter::outer("b"), headOf(false), here("row"), here("d")};
  bool good = storeOne(0, at, "(" + score + "[" + stage + " + e] / divisor)");
  emitter.close();
  emitter.close();
  emitter.line("barrier();");
  emitter.close();
  if (form.op->results.size() < 2)
    return good;
  Expr e = emitter.loop(Emitter::outer("thread"), emitter.index(plan.rows), Emitter::outer("threads"),
                        plan.rows / (Matrices::leastLanes * Matrices::subgroups) + 1);
  emitter.line("const int r = " + e.text + ", row = begin + r;");
  emitter.open("if (group == own && row < end)", /*guard=*/true);
  emitter.line("const float all = " + total + "[r], divisor = all == 0.0 ? 1.0 : all, highest = " + most + "[r];");
  good &= storeOne(1, {Emitter::outer("b"), headOf(false), here("row")}, logOfSum("all", "divisor", "highest"));
  emitter.close();
  emitter.close();
  return good;
}

bool MatrixAttention::forward() {
  begin(form.queries, false, plan.rows);
  declare();
  emitter.line(matrices.type(Matrices::Sums) + " results[" + own(plan.rows, valueWidth) + "];");
  emitter.line("[[unroll]] for (int m = 0; m < " + own(plan.rows, valueWidth) +
               "; ++m) results[m] = " + matrices.zero() + ";");
  Expr e = emitter.loop(Emitter::outer("thread"), emitter.index(plan.rows), Emitter::outer("threads"),
                        plan.rows / (Matrices::leastLanes * Matrices::subgroups) + 1);
  emitter.line(most + "[" + e.text + "] = " + minusInfinity() + "; " + total + "[" + e.text + "] = 0.0;");
  emitter.close();
  copy(queries, plan.rows, "begin", form.queries);
  emitter.line("const int start_ = " + firstKey() + ";");
  emitter.loopNamed("first", Emitter::outer("start_"), Emitter::outer(lastKey()), emitter.index(tileKeys),
                    (graph.bound(form.keys) + tileKeys - 1) / tileKeys);
  copy(keys, tileKeys, "first", form.keys);
  copy(values, tileKeys, "first", form.keys);
  // Each step reads what another subgroup wrote.
  const auto steps = {&MatrixAttention::scores, &MatrixAttention::highest, &MatrixAttention::shares,
                      &MatrixAttention::turn, &MatrixAttention::addValues};
  for (auto step : steps) {
    emitter.line("barrier();");
    (this->*step)();
  }
  emitter.line("barrier();");
  emitter.close();
  emitter.line("barrier();");
  return store();
}

/// What the operands are in matrices, and whether there are enough of them.
static bool planOf(const Graph &graph, const AttentionKernel &form, bool fast, Plan &plan) {
  kiln_dtype dtype = graph.type(form.q).dtype;
  auto fits = [](const kiln_extent &width) { return width.slot < 0 && width.value % mostSide == 0 && width.value > 0; };
  if (form.backward || form.biased || form.drops || graph.type(form.k).dtype != dtype ||
      graph.type(form.v).dtype != dtype || !fits(form.width) || !fits(form.valueWidth) ||
      graph.bound(form.queries) < 16 || graph.bound(form.keys) < 16)
    return false;
  plan.splits = fast && dtype == KILN_F32;
  if (!plan.splits && dtype != KILN_F16 && dtype != KILN_BF16)
    return false;
  plan.factor = dtype == KILN_F16 ? Factor::F16 : Factor::BF16;
  plan.shareParts = plan.splits || !fast ? 2 : 1;
  int64_t widest = std::max(form.width.value, form.valueWidth.value);
  plan.rows = widest <= 64 && !plan.splits ? 64 : 32;
  return widest <= (plan.splits ? 64 : 128); // what fits into 48 KiB
}

void addMatrixAttention(PlanBuilder &builder, const Settings &settings) {
  const Graph &graph = builder.graph;
  const Op *odd = nullptr, *op = onlyWhole(graph, {OpCode::Attention, OpCode::CappedAttention}, odd);
  if (!op || builder.variants.empty())
    return;
  const AttentionKernel form(graph, *op);
  Plan plan;
  if (!planOf(graph, form, settings.fast, plan))
    return;
  builder.variant(Builder::Device::Any);
  builder.variants.back().matrices = true;
  builder.variants.back().kind = KILN_VK_KIND_ATTENTION_MATRIX;
  builder.needMatrices(plan.factor);
  // The builder's launches are shaders.
  if (!builder.launch({}, [&](Workgroup &group, Emitter &emitter) {
        return MatrixAttention(graph, form, static_cast<Shader &>(group), emitter, plan, settings.plainMatrices)
            .forward();
      }))
    return builder.variants.pop_back();
  // Before the one that any device runs.
  std::swap(builder.variants.back(), builder.variants[builder.variants.size() - 2]);
}

} // namespace kiln::vulkan
