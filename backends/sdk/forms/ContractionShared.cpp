// Products on GPUs: tiles in workgroup memory.
#include "backends/sdk/forms/Contraction.h"
#include <algorithm>
#include <bit>

namespace kiln::sdk {

namespace {
/// Prints the copying of one operand's tile, `side` rows or columns by `bk` of the depth, into workgroup memory
/// [bk][side]. Neighbouring invocations read what are neighbours in memory.
void copyTile(ContractionPrinter &p, bool isLeft, const std::string &memory, int side, int stride, int bk, int threads,
              const Index &b, const Expr &first, const Expr &depth, const Expr &end) {
  Emitter &emitter = p.emitter;
  const Operand &operand = isLeft ? p.form.lhs : p.form.rhs;
  auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
  Expr e = emitter.loop(Emitter::outer("thread"), emitter.index(side * bk), emitter.index(threads));
  bool depthFirst = operand.contiguous == Operand::Depth;
  Expr inDepth = named(depthFirst ? emitter.mod(e, emitter.index(bk)) : emitter.div(e, emitter.index(side)));
  Expr inSide = named(depthFirst ? emitter.div(e, emitter.index(bk)) : emitter.mod(e, emitter.index(side)));
  auto place = p.tilePlace(isLeft, side, emitter.add(first, inSide), 1, emitter.add(depth, inDepth), 1, end);
  Expr element = p.element(isLeft, b, place.free, place.depth);
  emitter.line(memory + "[" + inDepth.text + " * " + std::to_string(stride) + " + " + inSide.text +
               "] = " + place.at.text + " < " + end.text + " ? " + element.text + " : " +
               emitter.literal(p.form.dtype, 0, 0).text + ";");
  emitter.close();
}

/// One step of the depth: a column of the left tile times a row of the right one.
void multiplyStep(ContractionPrinter &p, const std::string &left, const std::string &right, int leftStride,
                  int rightStride, int tm, int tn, int threadsAcross, int threadsDown) {
  Emitter &emitter = p.emitter;
  Expr step = emitter.name("step");
  std::string scalar = p.scalar();
  // Rows and columns of an invocation lie `threads` apart, in fours: neighbours read neighbouring banks.
  for (int i = 0; i < tm; ++i)
    emitter.line("const " + scalar + " a" + std::to_string(i) + " = " + left + "[step * " + std::to_string(leftStride) +
                 " + " + std::to_string((i / 4) * 4 * threadsDown + i % 4) + " + down * 4];");
  for (int q = 0; q < tn / 4; ++q) {
    std::string base = right + "[step * " + std::to_string(rightStride) + " + " + std::to_string(q * 4 * threadsAcross);
    std::string text;
    for (int j = 0; j < 4; ++j)
      text += (j ? ", " : "") + base + " + across * 4 + " + std::to_string(j) + "]";
    emitter.line("const " + p.vector() + " c" + std::to_string(q) + " = " + p.vector(text) + ";");
    for (int i = 0; i < tm; ++i)
      emitter.line(p.multiplyAdd("acc" + std::to_string(i) + "_" + std::to_string(q), p.vector("a" + std::to_string(i)),
                                 "c" + std::to_string(q)));
  }
}
} // namespace

ContractionPrinter::TileItem ContractionPrinter::openTiles(int bm, int bn, int bk, int64_t splits) {
  Number tilesDown = ceilDiv(m, bm), tilesAcross = ceilDiv(n, bn), tiles = tilesDown * tilesAcross;
  group.grid(b * tiles * Number(splits));
  auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
  // Workgroups beyond the last one (the grid is folded) repeat it, so that all meet at the barriers.
  Expr item = least(Emitter::outer("group"), emitter.sub(number(b * tiles * Number(splits)), emitter.index(1)));
  TileItem its;
  its.part = named(emitter.mod(item, emitter.index(splits)));
  Expr tile = named(emitter.div(item, emitter.index(splits)));
  // Tiles of a few rows and many columns follow each other down, then across: what runs at the same time reads fewer
  // rows and columns, and finds them in the cache.
  constexpr int64_t band = 8;
  bool inBands = tilesDown.at(graph.extentBounds) > band && tilesAcross.at(graph.extentBounds) > band;
  if (inBands) {
    Expr within = named(emitter.mod(tile, number(tiles))), wide = number(Number(band) * tilesAcross);
    Expr first = named(emitter.mul(emitter.div(within, wide), emitter.index(band)));
    Expr inBand = named(emitter.mod(within, wide));
    Expr height = least(emitter.sub(number(tilesDown), first), emitter.index(band));
    its.row = named(emitter.mul(emitter.add(first, emitter.mod(inBand, height)), emitter.index(bm)));
    its.column = named(emitter.mul(emitter.div(inBand, height), emitter.index(bn)));
    its.batch = named(emitter.div(tile, number(tiles)));
  } else {
    its.column = named(emitter.mul(emitter.mod(tile, number(tilesAcross)), emitter.index(bn)));
    Expr above = named(emitter.div(tile, number(tilesAcross)));
    its.row = named(emitter.mul(emitter.mod(above, number(tilesDown)), emitter.index(bm)));
    its.batch = named(emitter.div(above, number(tilesDown)));
  }
  its.batchIndex = emitter.unlinear(form.batch, its.batch);
  its.begin = emitter.index(0);
  its.end = number(k);
  its.length = k.at(graph.extentBounds);
  if (splits > 1) {
    its.length = (its.length + splits - 1) / splits + bk;
    Expr length = number(ceilDiv(ceilDiv(k, splits), bk) * Number(bk));
    its.begin = named(emitter.mul(its.part, length));
    its.end = least(emitter.add(its.begin, length), number(k));
  }
  return its;
}

ContractionPrinter::TilePlace ContractionPrinter::tilePlace(bool isLeft, int side, const Expr &free, int freePerRead,
                                                            const Expr &depth, int depthPerRead, const Expr &end) {
  auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
  const Number &count = isLeft ? m : n;
  Expr there =
      isMultiple(count, side) ? named(free) : least(free, emitter.sub(number(count), emitter.index(freePerRead)));
  TilePlace place;
  place.at = named(depth);
  Expr inside = least(place.at, emitter.sub(end, emitter.index(depthPerRead)));
  place.free = emitter.unlinear(isLeft ? form.rows : form.columns, there);
  place.depth = emitter.unlinear(form.depth, inside);
  return place;
}

Expr ContractionPrinter::element(bool isLeft, const Index &b, const Index &free, const Index &k) {
  return emitter.bind(scalar(), isLeft ? form.left(emitter, b, free, k) : form.right(emitter, b, free, k));
}

bool ContractionPrinter::storeElement(const TileItem &item, int64_t splits, uint32_t partial, const Expr &row,
                                      const Expr &column, const Expr &sum) {
  Expr rows = number(m), columns = number(n);
  emitter.open("if (" + row.text + " < " + rows.text + " && " + column.text + " < " + columns.text + ")",
               /*guard=*/true);
  bool good = true;
  if (splits == 1) {
    good = form.store(emitter, item.batchIndex, emitter.unlinear(form.rows, row),
                      emitter.unlinear(form.columns, column), sum);
  } else {
    auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
    Expr at = emitter.add(emitter.mul(emitter.add(emitter.mul(item.part, number(b)), item.batch), rows), row);
    emitter.store(partial, form.dtype, named(emitter.add(emitter.mul(named(at), columns), column)), sum);
  }
  emitter.close();
  return good;
}

bool ContractionPrinter::sharedTiles(int bm, int bn, int bk, int tm, int tn, int64_t splits, uint32_t partial) {
  int threadsDown = bm / tm, threadsAcross = bn / tn, threads = threadsDown * threadsAcross;
  group.local(static_cast<uint32_t>(threads));
  uint32_t bytes = static_cast<uint32_t>(byteSize(form.dtype));
  // One more element a row keeps copies along the depth off each other's banks.
  int leftStride = bm + 1, rightStride = bn + 1;
  std::string left = group.shared(scalar(), static_cast<int64_t>(bk) * leftStride, bytes),
              right = group.shared(scalar(), static_cast<int64_t>(bk) * rightStride, bytes);

  emitter.line("const " + emitter.indexType() + " thread = " + localX(emitter) + ";");
  emitter.line("const " + emitter.indexType() + " across = thread % " + std::to_string(threadsAcross) +
               ", down = thread / " + std::to_string(threadsAcross) + ";");
  TileItem item = openTiles(bm, bn, bk, splits);
  startTile(tm, tn);
  Expr depth = openDepth(item.begin, item.end, bk, item.length);
  copyTile(*this, true, left, bm, leftStride, bk, threads, item.batchIndex, item.row, depth, item.end);
  copyTile(*this, false, right, bn, rightStride, bk, threads, item.batchIndex, item.column, depth, item.end);
  barrier(emitter);
  emitter.loopNamed("step", emitter.index(0), emitter.index(bk), emitter.index(1));
  multiplyStep(*this, left, right, leftStride, rightStride, tm, tn, threadsAcross, threadsDown);
  emitter.close();
  barrier(emitter);
  closeDepth();
  return storeShared(tm, tn, threadsDown, threadsAcross, splits, partial, item);
}

/// Element (i, j) of an invocation's tile is at row 4 * (threadsDown * (i / 4) + down) + i % 4 of the workgroup's.
bool ContractionPrinter::storeShared(int tm, int tn, int threadsDown, int threadsAcross, int64_t splits,
                                     uint32_t partial, const TileItem &item) {
  std::string tile = tileArray(tm, tn);
  Expr e = emitter.loop(emitter.index(tm * tn));
  emitter.line("const " + emitter.indexType() + " i = " + e.text + " / " + std::to_string(tn) + ", j = " + e.text +
               " % " + std::to_string(tn) + ";");
  auto position = [&](const Expr &first, const char *name, const char *thread, int threads) {
    std::string n = name;
    Expr offset =
        emitter.name("(4 * (" + std::to_string(threads) + " * (" + n + " / 4) + " + thread + ") + " + n + " % 4)");
    return emitter.bind(emitter.indexType(), emitter.add(first, offset));
  };
  Expr r = position(item.row, "i", "down", threadsDown), c = position(item.column, "j", "across", threadsAcross);
  bool good = storeElement(item, splits, partial, r, c, emitter.name(tileElement(tile, e)));
  emitter.close();
  return good;
}

ContractionPrinter::Position ContractionPrinter::position(const Expr &item) {
  auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
  Position its;
  its.column = named(emitter.mod(item, number(n)));
  Expr above = named(emitter.div(item, number(n)));
  its.row = named(emitter.mod(above, number(m)));
  its.batch = named(emitter.div(above, number(m)));
  return its;
}

bool ContractionPrinter::joinParts(int64_t splits, uint32_t partial) {
  Number items = b * m * n;
  openItems(group, emitter, items, usualLocal);
  emitter.line(scalar() + " acc = " + emitter.literal(form.dtype, 0, 0).text + ";");
  Expr part = emitter.loop(emitter.index(splits));
  emitter.line("acc += " +
               emitter.fromStorage(
                   form.dtype, group.load(partial, form.dtype, part.text + " * " + number(items).text + " + item")) +
               ";");
  emitter.close();
  Position at = position(Emitter::outer("item"));
  bool good = form.store(emitter, emitter.unlinear(form.batch, at.batch), emitter.unlinear(form.rows, at.row),
                         emitter.unlinear(form.columns, at.column), emitter.name("acc"));
  emitter.close();
  return good;
}

bool ContractionPrinter::elements(uint32_t lanes) {
  uint32_t rows = std::max(1u, 64u / lanes);
  Number items = b * m * n;
  declareRows(group, emitter, items, lanes, rows, "item");
  Position its = position(Emitter::outer("item"));
  Index bs = emitter.unlinear(form.batch, its.batch), rs = emitter.unlinear(form.rows, its.row),
        cs = emitter.unlinear(form.columns, its.column);
  std::string zero = emitter.literal(form.dtype, 0, 0).text;
  emitter.line(scalar() + " acc = " + zero + ", block = " + zero + ";");
  Expr at = emitter.loop(lanes == 1 ? emitter.index(0) : Emitter::outer("lane"), number(k), emitter.index(lanes));
  Index depth = emitter.unlinear(form.depth, at);
  std::string left = emitter.bind(scalar(), form.left(emitter, bs, rs, depth)).text;
  std::string right = emitter.bind(scalar(), form.right(emitter, bs, cs, depth)).text;
  emitter.line(multiplyAdd("block", left, right));
  if (inBlocks()) // see openDepth
    emitter.line("if ((" + at.text + " & 511) < " + std::to_string(lanes) + ") { acc += block; block = " + zero +
                 "; }");
  emitter.close();
  emitter.line("acc += block;");
  if (lanes > 1) {
    std::string memory =
        group.shared(scalar(), static_cast<int64_t>(lanes) * rows, static_cast<uint32_t>(byteSize(form.dtype)));
    const Language &language = emitter.language();
    std::string index = language.localIndex, x = language.localX;
    emitter.line(memory + "[" + index + "] = acc;");
    barrier(emitter);
    emitter.openLoop(std::string("for (") + language.uint32 + " d = " + std::to_string(lanes / 2) +
                         "u; d > 0u; d >>= 1)",
                     std::bit_width(lanes / 2));
    emitter.line("if (" + x + " < d) " + memory + "[" + index + "] += " + memory + "[" + index + " + d];");
    barrier(emitter);
    emitter.close();
    emitter.line("acc = " + memory + "[" + index + " - " + x + "];");
  }
  openFirst(emitter, lanes);
  bool good = form.store(emitter, bs, rs, cs, emitter.name("acc"));
  emitter.close();
  return good;
}

} // namespace kiln::sdk
