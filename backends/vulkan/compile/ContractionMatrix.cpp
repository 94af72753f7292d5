// Products by cooperative matrices: of f16, bf16 and i8, and in the fast mode of f32 split in two bf16.
//
// A workgroup of 2 x 2 subgroups makes a tile of bm x bn, each subgroup a quarter of it, which it holds as matrices of
// the device's own shape: M x N sums of M x K by K x N factors. The factors come by way of workgroup memory, laid out
// as they lie in storage, since a matrix can be read by rows or by columns. While one step of the depth is multiplied
// the next one's vectors are on their way, in registers. Sums leave matrix by matrix through workgroup memory again,
// where what stands below the product finds them as elements.
//
// Split: x = high + low + rest, high and low bf16, |rest| <= 2^-18 |x|. high*high + high*low + low*high is a product
// but for 3 * 2^-18 of it (low*low, and both rests), 1.2e-5. Where a sum is not finite it is made anew from the
// elements themselves: an infinite factor's parts say nothing.
#include "backends/vulkan/compile/Matrices.h"
#include "backends/vulkan/compile/Strategy.h"
#include <algorithm>

using namespace kiln::sdk;

namespace kiln::vulkan {

namespace {
constexpr int subgroupsDown = 2, subgroupsAcross = 2, stepDepth = 32;

struct Kind {
  Factor factor = Factor::F16;
  bool splits = false;
  kiln_dtype operands() const {
    return splits ? KILN_F32 : factor == Factor::F16 ? KILN_F16 : factor == Factor::BF16 ? KILN_BF16 : KILN_I8;
  }
};

/// One operand's tile in workgroup memory: `side` rows or columns by stepDepth of the depth; of one that is split the
/// high parts, and then the low ones.
class Tile {
public:
  Tile(ContractionPrinter &printer, Matrices &matrices, Kind kind, bool isLeft, int side)
      : p(printer), matrices(matrices), operand(isLeft ? printer.form.lhs : printer.form.rhs), isLeft(isLeft),
        side(side), splits(kind.splits), depthInner(operand.contiguous == Operand::Depth),
        vectors(p.form.hasVectors(p.emitter, p.group, operand, kind.operands())),
        unit(vectors ? 16 / static_cast<int>(byteSize(kind.operands())) : 1), inner(depthInner ? stepDepth : side),
        outer(depthInner ? side : stepDepth), name(isLeft ? "left" : "right") {
    // Sixteen bytes more a row keep rows off each other's banks.
    int stride = inner + (kind.factor == Factor::I8 ? 16 : 8);
    for (int plane = 0; plane < (splits ? 2 : 1); ++plane)
      planes.push_back(matrices.memory(outer, stride, std::min(unit, 8))); // at an offset of 8 a matrix may begin
    if (vectors)
      p.emitter.line(vectorType() + " " + name + "Next[" + held() + "];");
  }

  /// Begins reading a step's elements. What comes in vectors is in registers then.
  void fetch(const Index &b, const Expr &first, const Expr &depth, const Expr &end) {
    if (!vectors)
      return;
    Emitter &emitter = p.emitter;
    emitter.openLoop("[[unroll]] for (int h = 0; h < " + held() + "; ++h)", mostHeld());
    Position at = position(b, emitter.name("min(thread + h * threads, " + str(count() - 1) + ")"), first, depth, end);
    emitter.line(name + "Next[h] = " + at.inside + " ? " +
                 p.form.vector(emitter, p.group, operand, b, at.place.free, at.place.depth) + " : " + vectorType() +
                 "(0);");
    emitter.close();
  }

  /// The step's elements into workgroup memory; all invocations take part. Neighbouring ones read what are neighbours
  /// in memory.
  void put(const Index &b, const Expr &first, const Expr &depth, const Expr &end) {
    Emitter &emitter = p.emitter;
    if (vectors) {
      emitter.openLoop("[[unroll]] for (int h = 0; h < " + held() + "; ++h)", mostHeld());
      emitter.line("const int e = thread + h * threads;");
      emitter.open("if (e < " + str(count()) + ")", /*guard=*/true);
      putVector("e / " + str(inner / unit) + " * " + str(planes[0].stride / unit) + " + e % " + str(inner / unit),
                name + "Next[h]");
      emitter.close();
      emitter.close();
      return;
    }
    Expr e = emitter.loop(Emitter::outer("thread"), emitter.index(count()), Emitter::outer("threads"), mostHeld());
    Position at = position(b, e, first, depth, end);
    std::string element = p.element(isLeft, b, at.place.free, at.place.depth).text,
                to = "[" + at.row.text + " * " + str(planes[0].stride) + " + " + at.along.text + "] = ";
    if (splits) {
      emitter.line("const uvec2 parts = " + at.inside + " ? " + matrices.split(element) + " : uvec2(0);");
      emitter.line(planes[0].name + to + "uint16_t(parts.x); " + planes[1].name + to + "uint16_t(parts.y);");
    } else {
      emitter.line(planes[0].name + to + at.inside + " ? " + matrices.stored(element) + " : " + matrices.stored("0") +
                   ";");
    }
    emitter.close();
  }

  /// Prints what reads the matrix at (place, depth) of the tile.
  void read(size_t plane, const std::string &matrix, const std::string &at, const std::string &depth) const {
    std::string stride = str(planes[plane].stride),
                offset = "(" + (depthInner ? at : depth) + ") * " + stride + " + " + (depthInner ? depth : at);
    // The left factor's rows and the right one's columns are the tile's places.
    matrices.load(isLeft ? Matrices::Left : Matrices::Right, matrix, planes[plane], offset, isLeft != depthInner);
  }

private:
  struct Position {
    Expr row, along; // in the tile
    ContractionPrinter::TilePlace place;
    std::string inside; // whether it is before the depth's end
  };

  Position position(const Index &, const Expr &e, const Expr &first, const Expr &depth, const Expr &end) {
    Emitter &emitter = p.emitter;
    auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
    Position at;
    Expr item = named(e);
    at.row = named(emitter.div(item, emitter.index(inner / unit)));
    at.along = named(emitter.mul(emitter.mod(item, emitter.index(inner / unit)), emitter.index(unit)));
    // Where several are read at once, an edge lies at a multiple of as many.
    at.place = p.tilePlace(isLeft, side, emitter.add(first, depthInner ? at.row : at.along), depthInner ? 1 : unit,
                           emitter.add(depth, depthInner ? at.along : at.row), depthInner ? unit : 1, end);
    at.inside = at.place.at.text + " < " + end.text;
    return at;
  }

  void putVector(const std::string &at, const std::string &vector) {
    Emitter &emitter = p.emitter;
    auto put = [&](size_t plane, const std::string &index, const std::string &value) {
      emitter.line(planes[plane].name + "[" + index + "] = " + value + ";");
    };
    if (!splits && unit == planes[0].unit)
      return put(0, at, vector);
    if (!splits) { // of bytes: twice eight
      put(0, "(" + at + ") * 2", vector + ".xy");
      return put(0, "(" + at + ") * 2 + 1", vector + ".zw");
    }
    for (const char *axis : {"x", "y", "z", "w"})
      emitter.line("const uvec2 " + std::string(axis) + " = " + matrices.split(vector + "." + axis) + ";");
    put(0, at, "uvec2(x.x | y.x << 16, z.x | w.x << 16)");
    put(1, at, "uvec2(x.y | y.y << 16, z.y | w.y << 16)");
  }

  std::string vectorType() const { return splits ? "vec4" : "uvec4"; }
  int count() const { return outer * inner / unit; }
  /// How many of them an invocation has, as a constant of the shader.
  std::string held() const {
    std::string threads = "(" + matrices.lanes + " * " + str(Matrices::subgroups) + ")";
    return "(" + str(count() - 1) + " / " + threads + " + 1)";
  }
  int mostHeld() const { return count() / (Matrices::leastLanes * Matrices::subgroups) + 1; }

  ContractionPrinter &p;
  Matrices &matrices;
  const Operand &operand;
  bool isLeft;
  int side;
  bool splits, depthInner, vectors;
  int unit, inner, outer; // elements
  std::string name;
  std::vector<Matrices::Memory> planes;
};

/// One tile of a product, while it is printed.
class TilePrinter {
public:
  TilePrinter(ContractionPrinter &printer, Shader &shader, Kind kind, bool plain, int bm, int bn)
      : p(printer), emitter(printer.emitter), kind(kind), matrices(shader, emitter, kind.factor, plain), bm(bm), bn(bn),
        wm(bm / subgroupsDown), wn(bn / subgroupsAcross) {}

  /// The depth cut into `splits` parts.
  bool print(int64_t splits, uint32_t partial);

private:
  void multiply(const Tile &left, const Tile &right);
  void openDown() { emitter.openLoop("[[unroll]] for (int i = 0; i < matricesDown; ++i)", wm / Matrices::leastSide); }
  bool storeSums(const ContractionPrinter::TileItem &item, int64_t splits, uint32_t partial);
  void remake(const ContractionPrinter::TileItem &item, const Expr &row, const Expr &column);

  ContractionPrinter &p;
  Emitter &emitter;
  const Kind kind;
  Matrices matrices;
  const int bm, bn, wm, wn;
};
} // namespace

bool TilePrinter::print(int64_t splits, uint32_t partial) {
  const std::string &M = matrices.M, &N = matrices.N;
  ContractionPrinter::TileItem item = p.openTiles(bm, bn, stepDepth, splits);
  Tile left(p, matrices, kind, true, bm), right(p, matrices, kind, false, bn);
  emitter.line("const int across = mine % " + str(subgroupsAcross) + " * " + str(wn) + ", down = mine / " +
               str(subgroupsAcross) + " * " + str(wm) + ";");
  emitter.line("const int matricesDown = " + str(wm) + " / " + M + ", matricesAcross = " + str(wn) + " / " + N + ";");
  emitter.line(matrices.type(Matrices::Sums) + " sums[(" + str(wm) + " / " + M + ") * (" + str(wn) + " / " + N + ")];");
  emitter.line("[[unroll]] for (int i = 0; i < matricesDown * matricesAcross; ++i) sums[i] = " + matrices.zero() + ";");

  // The first time round fetches alone.
  Expr before = emitter.bind(emitter.indexType(), emitter.sub(item.begin, emitter.index(stepDepth)));
  Expr depth = emitter.loop(before, item.end, emitter.index(stepDepth), (item.length + stepDepth - 1) / stepDepth + 1);
  emitter.open("if (" + depth.text + " >= " + item.begin.text + ")", /*guard=*/true);
  left.put(item.batchIndex, item.row, depth, item.end);
  right.put(item.batchIndex, item.column, depth, item.end);
  emitter.line("barrier();");
  emitter.close();
  // Beyond the end nothing is read.
  Expr next = emitter.bind(emitter.indexType(), emitter.add(depth, emitter.index(stepDepth)));
  left.fetch(item.batchIndex, item.row, next, item.end);
  right.fetch(item.batchIndex, item.column, next, item.end);
  emitter.open("if (" + depth.text + " >= " + item.begin.text + ")", /*guard=*/true);
  multiply(left, right);
  emitter.line("barrier();");
  emitter.close();
  emitter.close();
  return storeSums(item, splits, partial);
}

/// A step of the depth. Of parts the products with low ones come first: they are the small ones.
void TilePrinter::multiply(const Tile &left, const Tile &right) {
  const std::string &M = matrices.M, &N = matrices.N, &K = matrices.K;
  size_t planes = kind.splits ? 2 : 1;
  auto each = [](const char *name, size_t plane) { return std::string(name) + (plane ? "Low" : ""); };
  emitter.openLoop("for (int step = 0; step < " + str(stepDepth) + "; step += " + K + ")",
                   stepDepth / Matrices::leastSide);
  for (size_t plane = 0; plane < planes; ++plane) {
    std::string lefts = each("lefts", plane);
    emitter.line(matrices.type(Matrices::Left) + " " + lefts + "[" + str(wm) + " / " + M + "];");
    openDown();
    left.read(plane, lefts + "[i]", "down + i * " + M, "step");
    emitter.close();
  }
  emitter.openLoop("[[unroll]] for (int j = 0; j < matricesAcross; ++j)", wn / Matrices::leastSide);
  for (size_t plane = 0; plane < planes; ++plane) {
    std::string factor = each("factor", plane);
    emitter.line(matrices.type(Matrices::Right) + " " + factor + ";");
    right.read(plane, factor, "across + j * " + N, "step");
  }
  auto multiplyAll = [&](size_t a, size_t b) {
    openDown();
    matrices.multiplyAdd("sums[i * matricesAcross + j]", each("lefts", a) + "[i]", each("factor", b));
    emitter.close();
  };
  if (kind.splits) {
    multiplyAll(1, 0);
    multiplyAll(0, 1);
  }
  multiplyAll(0, 0);
  emitter.close();
  emitter.close();
}

/// All subgroups hold equally many matrices, so that all meet at the barriers.
bool TilePrinter::storeSums(const ContractionPrinter::TileItem &item, int64_t splits, uint32_t partial) {
  const std::string &M = matrices.M, &N = matrices.N;
  std::string stage = matrices.staged(static_cast<int64_t>(Matrices::mostSums) * Matrices::subgroups),
              own = "mine * " + str(Matrices::mostSums);
  emitter.openLoop("[[unroll]] for (int matrix = 0; matrix < matricesDown * matricesAcross; ++matrix)",
                   wm / Matrices::leastSide * (wn / Matrices::leastSide));
  matrices.store("sums[matrix]", stage, own, N);
  emitter.line("barrier();");
  emitter.openLoop("for (int e = lane; e < " + M + " * " + N + "; e += lanes)",
                   Matrices::mostSums / Matrices::leastLanes);
  auto position = [&](const Expr &first, const std::string &offset) {
    return emitter.bind(emitter.indexType(), emitter.add(first, emitter.name("(" + offset + ")")));
  };
  Expr r = position(item.row, "down + matrix / matricesAcross * " + M + " + e / " + N),
       c = position(item.column, "across + matrix % matricesAcross * " + N + " + e % " + N);
  std::string sum = stage + "[" + own + " + e]";
  if (kind.splits) {
    emitter.line("float sum = " + sum + ";");
    remake(item, r, c);
    sum = "sum";
  }
  bool good = p.storeElement(item, splits, partial, r, c, emitter.name(sum));
  emitter.close();
  emitter.line("barrier();");
  emitter.close();
  return good;
}

void TilePrinter::remake(const ContractionPrinter::TileItem &item, const Expr &row, const Expr &column) {
  emitter.open("if ((floatBitsToUint(sum) & 0x7f800000u) == 0x7f800000u)", /*guard=*/true);
  Expr r = p.least(row, emitter.sub(p.number(p.m), emitter.index(1))),
       c = p.least(column, emitter.sub(p.number(p.n), emitter.index(1)));
  emitter.line("sum = 0.0;");
  Expr k = emitter.loop(item.begin, item.end, emitter.index(1), item.length);
  Index depth = emitter.unlinear(p.form.depth, k);
  std::string left = p.element(true, item.batchIndex, emitter.unlinear(p.form.rows, r), depth).text,
              right = p.element(false, item.batchIndex, emitter.unlinear(p.form.columns, c), depth).text;
  emitter.line("sum = fma(" + left + ", " + right + ", sum);");
  emitter.close();
  emitter.close();
}

/// Whether all elements are bytes, if need be converted to i32 in the kernel.
static bool isOfBytes(const Graph &graph, uint32_t value) {
  value = throughTransposes(graph, value).value;
  const Op *op = graph.definingOp(value);
  bool converted = graph.type(value).dtype == KILN_I32 && op && op->code == OpCode::Convert;
  return graph.type(converted ? op->operands[0] : value).dtype == KILN_I8;
}

/// What a product's operands are in matrices; false where they have none.
static bool kindOf(const ContractionBuilder &product, bool fast, Kind &kind) {
  const Contraction &form = product.form;
  auto both = [&](kiln_dtype dtype) {
    return product.graph.type(form.lhs.value).dtype == dtype && product.graph.type(form.rhs.value).dtype == dtype;
  };
  if (product.m < 16 || product.n < 16 || product.k < 16)
    return false;
  kind.splits = fast && form.dtype == KILN_F32 && both(KILN_F32);
  if (form.dtype == KILN_F32 && both(KILN_F16))
    kind.factor = Factor::F16;
  else if (kind.splits || (form.dtype == KILN_F32 && both(KILN_BF16)))
    kind.factor = Factor::BF16;
  else if (form.dtype == KILN_I32 && isOfBytes(product.graph, form.lhs.value) &&
           isOfBytes(product.graph, form.rhs.value))
    kind.factor = Factor::I8;
  else
    return false;
  return true;
}

/// For devices that multiply matrices, where there is enough to fill some.
void addMatrices(PlanBuilder &builder, ContractionBuilder &product, const Settings &settings) {
  Kind kind;
  if (!kindOf(product, settings.fast, kind))
    return;
  int side = product.tilesOf(128, 128) >= 96 ? 128 : 64;
  int64_t splits = product.splitDepth(product.tilesOf(side, side));
  builder.variant(Builder::Device::Any);
  builder.variants.back().matrices = true;
  builder.variants.back().kind = kind.splits                   ? KILN_VK_KIND_PRODUCT_SPLIT
                                 : kind.factor == Factor::F16  ? KILN_VK_KIND_PRODUCT_MATRIX
                                 : kind.factor == Factor::BF16 ? KILN_VK_KIND_PRODUCT_BF16
                                                               : KILN_VK_KIND_PRODUCT_I8;
  builder.needMatrices(kind.factor);
  // The builder's launches are shaders.
  bool good = product.add([&](ContractionPrinter &printer) {
    return TilePrinter(printer, static_cast<Shader &>(printer.group), kind, settings.plainMatrices, side, side)
        .print(splits, product.partial());
  });
  if (!good || !product.addJoin(splits))
    builder.variants.pop_back();
}

} // namespace kiln::vulkan
