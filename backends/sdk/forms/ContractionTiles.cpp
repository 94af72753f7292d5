// Products on processors: a register tile for each invocation.
//
// A processor that runs shaders has caches and no use for workgroup memory, and barriers cost it dear. Each invocation
// reads what its tile needs, in fours where memory allows, and rows or columns beyond the edge are read again at it.
#include "backends/sdk/forms/Contraction.h"
#include <algorithm>

namespace kiln::sdk {

//===-- Pieces ----------------------------------------------------------------------------------------------------===//

std::string ContractionPrinter::multiplyAdd(const std::string &acc, const std::string &a, const std::string &b) const {
  return isFloat(form.dtype) ? acc + " = " + emitter.language().fma + "(" + a + ", " + b + ", " + acc + ");"
                             : acc + " += " + a + " * " + b + ";";
}

bool ContractionPrinter::isMultiple(const Number &number, int64_t of) {
  std::optional<int64_t> constant = number.constant();
  return constant && *constant % of == 0;
}

void ContractionPrinter::startTile(int tm, int tn) {
  for (int i = 0; i < tm; ++i)
    for (int q = 0; q < tn / width; ++q) {
      accumulators.push_back("acc" + std::to_string(i) + "_" + std::to_string(q));
      emitter.line(vector() + " " + accumulators.back() + " = " + vector("0") + ";");
    }
}

Expr ContractionPrinter::openDepth(const Expr &begin, const Expr &end, int64_t step, int64_t length) {
  constexpr int64_t block = 512;
  auto most = [&](int64_t of, int64_t by) { return (of + by - 1) / by; };
  if (!inBlocks())
    return emitter.loop(begin, end, emitter.index(step), most(length, step));
  for (const std::string &name : accumulators)
    emitter.line(vector() + " total_" + name + " = " + vector("0") + ";");
  Expr first = emitter.loop(begin, end, emitter.index(block), most(length, block));
  return emitter.loop(first, least(emitter.add(first, emitter.index(block)), end), emitter.index(step),
                      most(block, step));
}

void ContractionPrinter::closeDepth() {
  emitter.close();
  if (!inBlocks())
    return;
  for (const std::string &name : accumulators)
    emitter.line("total_" + name + " += " + name + "; " + name + " = " + vector("0") + ";");
  emitter.close();
  for (const std::string &name : accumulators)
    emitter.line(name + " = total_" + name + ";");
}

std::string ContractionPrinter::tileArray(int tm, int tn) {
  std::string tile = emitter.fresh("tile");
  int across = tn / width;
  emitter.line(vector() + " " + tile + "[" + std::to_string(tm * across) + "];");
  for (int i = 0; i < tm; ++i)
    for (int q = 0; q < across; ++q)
      emitter.line(tile + "[" + std::to_string(i * across + q) + "] = acc" + std::to_string(i) + "_" +
                   std::to_string(q) + ";");
  return tile;
}

bool ContractionPrinter::storeTile(int tm, int tn, const Expr &batch, const Expr &row, const Expr &column) {
  Index b = emitter.unlinear(form.batch, batch);
  Expr rows = number(m), columns = number(n);
  bool always = isMultiple(m, tm) && isMultiple(n, tn);
  auto storeAt = [&](const Expr &r, const Expr &c, const Expr &sum) {
    if (!always)
      emitter.open("if (" + r.text + " < " + rows.text + " && " + c.text + " < " + columns.text + ")", /*guard=*/true);
    bool good = form.store(emitter, b, emitter.unlinear(form.rows, r), emitter.unlinear(form.columns, c), sum);
    if (!always)
      emitter.close();
    return good;
  };
  auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
  // What follows the product is printed once, in a loop over the tile; where nothing follows, straight.
  bool plain = graph.outputs.size() == 1 && graph.outputs[0] == form.op->results[0] && tm * tn <= 16;
  bool good = true;
  if (plain) {
    for (int i = 0; i < tm; ++i)
      for (int j = 0; j < tn; ++j)
        good &= storeAt(named(emitter.add(row, emitter.index(i))), named(emitter.add(column, emitter.index(j))),
                        emitter.name("acc" + std::to_string(i) + "_" + std::to_string(j / 4) + "." + "xyzw"[j % 4]));
    return good;
  }
  std::string tile = tileArray(tm, tn);
  Expr e = emitter.loop(emitter.index(tm * tn));
  Expr r = named(emitter.add(row, emitter.div(e, emitter.index(tn))));
  Expr c = named(emitter.add(column, emitter.mod(e, emitter.index(tn))));
  good = storeAt(r, c, emitter.name(tileElement(tile, e)));
  emitter.close();
  return good;
}

//===-- Register tiles --------------------------------------------------------------------------------------------===//

namespace {
/// How one operand's part of a tile gets into names, for each of `unroll` steps of the depth.
class Strip {
public:
  Strip(ContractionPrinter &printer, const Operand &operand, bool isLeft, int size, int unroll)
      : printer(printer), operand(operand), isLeft(isLeft), size(size), unroll(unroll),
        count(isLeft ? printer.m : printer.n), dims(isLeft ? printer.form.rows : printer.form.columns) {
    bool vectors =
        printer.form.dtype == KILN_F32 && printer.form.hasVectors(printer.emitter, printer.group, operand, KILN_F32);
    alongDepth = vectors && operand.contiguous == Operand::Depth && unroll == 4;
    alongFree = vectors && operand.contiguous == Operand::Free && size % 4 == 0;
  }

  /// Indices of the tile's rows or columns, from `first` on; beyond the edge the last one again.
  void place(const Expr &first) {
    Emitter &emitter = printer.emitter;
    bool whole = ContractionPrinter::isMultiple(count, size);
    int64_t step = alongFree ? 4 : 1;
    Expr last = emitter.sub(printer.number(count), emitter.index(step));
    for (int i = 0; i < size; i += static_cast<int>(step)) {
      Expr at = emitter.add(first, emitter.index(i));
      at = whole ? emitter.bind(emitter.indexType(), at) : printer.least(at, last);
      free.push_back(emitter.unlinear(dims, at));
    }
  }

  void read(const Index &b, const Expr &k) {
    Emitter &emitter = printer.emitter;
    names.assign(static_cast<size_t>(size * unroll), "");
    vectors.assign(static_cast<size_t>(size * unroll / 4 + 1), "");
    for (int step = 0; step < (alongDepth ? 1 : unroll); ++step) {
      Expr at = step == 0 ? k : emitter.bind(emitter.indexType(), emitter.add(k, emitter.index(step)));
      Index depth = emitter.unlinear(printer.form.depth, at);
      for (size_t i = 0; i < free.size(); ++i)
        readOne(b, depth, static_cast<int>(i), step);
    }
  }

  std::string scalar(int i, int step) const { return names[static_cast<size_t>(step * size + i)]; }
  /// Columns 4 q to 4 q + 3.
  std::string four(int q, int step) const {
    if (alongFree)
      return vectors[static_cast<size_t>(step * (size / 4) + q)];
    std::string text;
    for (int j = 0; j < 4; ++j)
      text += (j ? ", " : "") + scalar(4 * q + j, step);
    return printer.vector(text);
  }

private:
  void readOne(const Index &b, const Index &depth, int i, int step) {
    Emitter &emitter = printer.emitter;
    if (!alongDepth && !alongFree) {
      names[static_cast<size_t>(step * size + i)] =
          printer.element(isLeft, b, free[static_cast<size_t>(i)], depth).text;
      return;
    }
    std::string name = emitter.fresh(isLeft ? "left" : "right");
    emitter.line(printer.vector() + " " + name + " = " +
                 printer.form.vector(emitter, printer.group, operand, b, free[static_cast<size_t>(i)], depth) + ";");
    for (int part = 0; part < 4; ++part)
      names[static_cast<size_t>(alongDepth ? part * size + i : step * size + 4 * i + part)] = name + "." + "xyzw"[part];
    if (alongFree)
      vectors[static_cast<size_t>(step * (size / 4) + i)] = name;
  }

  ContractionPrinter &printer;
  const Operand &operand;
  bool isLeft, alongDepth, alongFree;
  int size, unroll;
  Number count;
  const std::vector<kiln_extent> &dims;
  std::vector<Index> free;
  std::vector<std::string> names, vectors;
};
} // namespace

bool ContractionPrinter::registerTiles(int tm, int tn) {
  constexpr int local = 16;
  Number tilesDown = ceilDiv(m, tm), tilesAcross = ceilDiv(n, tn), items = b * tilesDown * tilesAcross;
  openItems(group, emitter, items, local);
  auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
  // Neighbours take neighbouring columns: of the same rows, they read the same memory.
  Expr item = Emitter::outer("item"), across = number(tilesAcross), down = number(tilesDown);
  Expr column = named(emitter.mul(emitter.mod(item, across), emitter.index(tn)));
  Expr above = named(emitter.div(item, across));
  Expr row = named(emitter.mul(emitter.mod(above, down), emitter.index(tm)));
  Expr batch = named(emitter.div(above, down));
  Index bs = emitter.unlinear(form.batch, batch);

  // A convolution reads element by element, and four steps of it would be a long text.
  int unroll = isMultiple(k, 4) && form.op->code == OpCode::DotGeneral ? 4 : 1;
  Strip left(*this, form.lhs, true, tm, unroll), right(*this, form.rhs, false, tn, unroll);
  left.place(row);
  right.place(column);
  startTile(tm, tn);
  Expr at = openDepth(emitter.index(0), number(k), unroll, k.at(graph.extentBounds));
  left.read(bs, at);
  right.read(bs, at);
  for (int step = 0; step < unroll; ++step)
    for (int q = 0; q < tn / 4; ++q) {
      std::string four = emitter.fresh("c");
      emitter.line("const " + vector() + " " + four + " = " + right.four(q, step) + ";");
      for (int i = 0; i < tm; ++i)
        emitter.line(
            multiplyAdd("acc" + std::to_string(i) + "_" + std::to_string(q), vector(left.scalar(i, step)), four));
    }
  closeDepth();
  bool good = storeTile(tm, tn, batch, row, column);
  emitter.close();
  return good;
}

} // namespace kiln::sdk
