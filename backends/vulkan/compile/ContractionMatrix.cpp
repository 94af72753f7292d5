// Products of f16 by cooperative matrices.
//
// A workgroup of 2 x 2 subgroups makes a tile of bm x bn, each subgroup a quarter of it, which it holds as matrices of
// the device's own shape: M x N sums in f32 of M x K by K x N factors in f16. The factors come by way of workgroup
// memory, laid out as they lie in storage, since a matrix can be read by rows or by columns. Sums leave matrix by
// matrix through workgroup memory again, where what stands below the product finds them as elements.
#include "backends/vulkan/compile/MatrixWords.h"
#include "backends/vulkan/compile/Strategy.h"

using namespace kiln::sdk;

namespace kiln::vulkan {

namespace {
constexpr int subgroupsDown = 2, subgroupsAcross = 2, stepDepth = 32;
constexpr int mostSums = 256; // M * N; the run side chooses no larger shape
constexpr int leastSide = 8;  // nor one of smaller sides
constexpr int leastLanes = 4; // of a subgroup
constexpr int eight = 8;      // f16 to a uvec4

std::string str(int64_t number) { return std::to_string(number); }

/// One operand's tile in workgroup memory: `side` rows or columns by stepDepth of the depth.
class Tile {
public:
  Tile(ContractionPrinter &printer, bool isLeft, int side)
      : p(printer), operand(isLeft ? printer.form.lhs : printer.form.rhs), isLeft(isLeft), side(side),
        depthInner(operand.contiguous == Operand::Depth),
        unit(p.form.hasEights(p.emitter, p.group, operand) ? eight : 1), inner(depthInner ? stepDepth : side),
        outer(depthInner ? side : stepDepth), stride(inner + eight) {
    memory = p.group.shared(unit == eight ? "uvec4" : "float16_t", static_cast<int64_t>(outer) * stride / unit,
                            static_cast<uint32_t>(2 * unit));
  }

  /// Prints the copying; all invocations take part. Neighbouring ones read what are neighbours in memory.
  void copy(const Index &b, const Expr &first, const Expr &depth, const Expr &end) {
    Emitter &emitter = p.emitter;
    auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
    int perRow = inner / unit;
    Expr e =
        emitter.loop(Emitter::outer("thread"), emitter.index(static_cast<int64_t>(outer) * perRow),
                     Emitter::outer("threads"), outer * perRow / (leastLanes * subgroupsDown * subgroupsAcross) + 1);
    Expr row = named(emitter.div(e, emitter.index(perRow)));
    Expr along = named(emitter.mul(emitter.mod(e, emitter.index(perRow)), emitter.index(unit)));
    // Where eight are read at once, an edge lies at a multiple of eight.
    auto place = p.tilePlace(isLeft, side, emitter.add(first, depthInner ? row : along), depthInner ? 1 : unit,
                             emitter.add(depth, depthInner ? along : row), depthInner ? unit : 1, end);
    std::string element, zero;
    if (unit == eight) {
      element = p.form.vector(emitter, p.group, operand, b, place.free, place.depth);
      zero = "uvec4(0)";
    } else {
      element = "float16_t(" + p.element(isLeft, b, place.free, place.depth).text + ")";
      zero = "float16_t(0)";
    }
    emitter.line(memory + "[(" + row.text + " * " + str(stride) + " + " + along.text + ") / " + str(unit) +
                 "] = " + place.at.text + " < " + end.text + " ? " + element + " : " + zero + ";");
    emitter.close();
  }

  /// A statement that reads the matrix at (place, depth) of the tile.
  std::string read(const std::string &matrix, const std::string &place, const std::string &depth) const {
    std::string offset =
        depthInner ? place + ") * " + str(stride) + " + " + depth : depth + ") * " + str(stride) + " + " + place;
    // The left factor's rows and the right one's columns are the tile's places.
    bool byColumns = isLeft != depthInner;
    return "coopMatLoadNV(" + matrix + ", " + memory + ", uint((" + offset + ") / " + str(unit) + ", " +
           str(stride / unit) + "u, " + (byColumns ? "true" : "false") + ");";
  }

private:
  ContractionPrinter &p;
  const Operand &operand;
  bool isLeft;
  int side;
  bool depthInner;
  int unit, inner, outer, stride; // elements; eight more a row keep rows off each other's banks
  std::string memory;
};
} // namespace

/// A tile of bm x bn for each workgroup; the depth cut into `splits` parts.
static bool matrixTiles(ContractionPrinter &printer, Shader &shader, int bm, int bn, int64_t splits, uint32_t partial) {
  Emitter &emitter = printer.emitter;
  int wm = bm / subgroupsDown, wn = bn / subgroupsAcross;
  shader.subgroups(subgroupsDown * subgroupsAcross);
  shader.useMatrices();
  const std::string M = shader.specialize(KILN_VK_SPECIALIZE_MATRIX_ROWS, 16),
                    N = shader.specialize(KILN_VK_SPECIALIZE_MATRIX_COLUMNS, 16),
                    K = shader.specialize(KILN_VK_SPECIALIZE_MATRIX_DEPTH, 16);
  ContractionPrinter::TileItem item = printer.openTiles(bm, bn, stepDepth, splits);
  Tile left(printer, true, bm), right(printer, false, bn);
  std::string stage = shader.shared("float", static_cast<int64_t>(mostSums) * subgroupsDown * subgroupsAcross,
                                    static_cast<uint32_t>(sizeof(float)));
  emitter.line("const int thread = int(gl_LocalInvocationIndex), threads = int(gl_WorkGroupSize.x) * " +
               str(subgroupsDown * subgroupsAcross) + ";");
  emitter.line("const int mine = int(gl_SubgroupID), across = mine % " + str(subgroupsAcross) + " * " + str(wn) +
               ", down = mine / " + str(subgroupsAcross) + " * " + str(wm) + ";");
  emitter.line("const int matricesDown = " + str(wm) + " / " + M + ", matricesAcross = " + str(wn) + " / " + N + ";");
  std::string sum = "fcoopmatNV<32, " + str(MatrixSum) + ", " + M + ", " + N + ">",
              leftType = "fcoopmatNV<16, " + str(MatrixLeft) + ", " + M + ", " + K + ">",
              rightType = "fcoopmatNV<16, " + str(MatrixRight) + ", " + K + ", " + N + ">",
              count = "(" + str(wm) + " / " + M + ") * (" + str(wn) + " / " + N + ")";
  emitter.line(sum + " sums[" + count + "];");
  emitter.line("[[unroll]] for (int i = 0; i < matricesDown * matricesAcross; ++i) sums[i] = " + sum + "(0.0);");

  Expr depth = emitter.loop(item.begin, item.end, emitter.index(stepDepth), (item.length + stepDepth - 1) / stepDepth);
  left.copy(item.batchIndex, item.row, depth, item.end);
  right.copy(item.batchIndex, item.column, depth, item.end);
  emitter.line("barrier();");
  emitter.openLoop("for (int step = 0; step < " + str(stepDepth) + "; step += " + K + ")", stepDepth / leastSide);
  emitter.line(leftType + " lefts[" + str(wm) + " / " + M + "];");
  emitter.line("[[unroll]] for (int i = 0; i < matricesDown; ++i) " + left.read("lefts[i]", "down + i * " + M, "step"));
  emitter.open("[[unroll]] for (int j = 0; j < matricesAcross; ++j)");
  emitter.line(rightType + " factor;");
  emitter.line(right.read("factor", "across + j * " + N, "step"));
  emitter.line(
      "[[unroll]] for (int i = 0; i < matricesDown; ++i) sums[i * matricesAcross + j] = coopMatMulAddNV(lefts[i], "
      "factor, sums[i * matricesAcross + j]);");
  emitter.close();
  emitter.close();
  emitter.line("barrier();");
  emitter.close();

  // All subgroups hold equally many matrices, so that all meet at the barriers.
  emitter.openLoop("[[unroll]] for (int matrix = 0; matrix < matricesDown * matricesAcross; ++matrix)",
                   wm / leastSide * (wn / leastSide));
  emitter.line("coopMatStoreNV(sums[matrix], " + stage + ", uint(mine * " + str(mostSums) + "), uint(" + N +
               "), false);");
  emitter.line("barrier();");
  emitter.openLoop("for (int e = int(gl_SubgroupInvocationID); e < " + M + " * " + N +
                       "; e += int(gl_WorkGroupSize.x))",
                   mostSums / leastLanes);
  auto position = [&](const Expr &first, const std::string &offset) {
    return emitter.bind(emitter.indexType(), emitter.add(first, emitter.name("(" + offset + ")")));
  };
  Expr r = position(item.row, "down + matrix / matricesAcross * " + M + " + e / " + N),
       c = position(item.column, "across + matrix % matricesAcross * " + N + " + e % " + N);
  bool good =
      printer.storeElement(item, splits, partial, r, c, emitter.name(stage + "[mine * " + str(mostSums) + " + e]"));
  emitter.close();
  emitter.line("barrier();");
  emitter.close();
  return good;
}

/// For devices that multiply matrices, where both operands are f16 and there is enough to fill some.
void addMatrices(PlanBuilder &builder, ContractionBuilder &product) {
  const Contraction &form = product.form;
  auto isHalf = [&](const Operand &operand) { return product.graph.type(operand.value).dtype == KILN_F16; };
  if (form.op->code != OpCode::DotGeneral || form.dtype != KILN_F32 || !isHalf(form.lhs) || !isHalf(form.rhs) ||
      product.m < 16 || product.n < 16 || product.k < 16)
    return;
  int side = product.tilesOf(128, 128) >= 96 ? 128 : 64;
  int64_t splits = product.splitDepth(product.tilesOf(side, side));
  builder.variant(Builder::Device::Any);
  builder.variants.back().features = KILN_VK_COOPERATIVE_MATRIX;
  builder.variants.back().subgroupMost = Shader::mostLanes;
  // The builder's launches are shaders.
  bool good = product.add([&](ContractionPrinter &printer) {
    return matrixTiles(printer, static_cast<Shader &>(printer.group), side, side, splits, product.partial());
  });
  if (!good || !product.addJoin(splits))
    builder.variants.pop_back();
}

} // namespace kiln::vulkan
