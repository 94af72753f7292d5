// Products on processors whose vectors the language has: a panel of columns for each invocation.
//
// The left operand lies as [b, m, k], the right one as [b, k, n], both in f32: as they are, or copied there by a launch
// before, which is also where what stands above the product is computed. An invocation then reads a vector of the right
// operand and one number of each of its rows for every step of the depth.
#include "backends/sdk/forms/Contraction.h"

namespace kiln::sdk {

namespace {
constexpr int tileRows = 12;            // accumulators, beside which a vector and a number fit into 16 registers
constexpr int64_t mostCopied = 1 << 25; // elements of an operand
constexpr int64_t fewRows = 4;          // below that, copying is as much work as multiplying

std::vector<size_t> joined(std::initializer_list<std::vector<size_t>> parts) {
  std::vector<size_t> all;
  for (const std::vector<size_t> &part : parts)
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// The input that holds the operand in rows; -1: it has to be copied.
int inRows(const Graph &graph, const Contraction &form, bool isLeft) {
  const Operand &operand = isLeft ? form.lhs : form.rhs;
  int input = operand.place;
  if (form.op->code == OpCode::Convolution)
    input = isLeft ? graph.inputNumber(operand.value) : -1;
  else if (operand.permutation != (isLeft ? joined({operand.batchAxes, operand.freeAxes, operand.depthAxes})
                                          : joined({operand.batchAxes, operand.depthAxes, operand.freeAxes})))
    return -1;
  return input >= 0 && graph.type(operand.value).dtype == KILN_F32 ? input : -1;
}
} // namespace

bool ContractionBuilder::wantsPanels() const {
  int64_t lanes = builder.options.language.lanes;
  if (lanes <= 4 || form.dtype != KILN_F32)
    return false;
  bool copiesLeft = inRows(graph, form, true) < 0, copiesRight = inRows(graph, form, false) < 0;
  return (!copiesLeft || (n > fewRows && b * m * k <= mostCopied)) &&
         (!copiesRight || (m > fewRows && b * k * ((n + lanes - 1) / lanes * lanes) <= mostCopied));
}

bool ContractionBuilder::addPanels() {
  int64_t lanes = builder.options.language.lanes;
  builder.variant(Builder::Device::Processor);
  scratch.clear();
  Number bs = Number::of(form.batch), ms = Number::of(form.rows), ns = Number::of(form.columns),
         ks = Number::of(form.depth);
  int64_t bytes = 0;
  ContractionPrinter::Panels panels[2]; // left, right
  for (bool isLeft : {true, false}) {
    ContractionPrinter::Panels &its = panels[isLeft ? 0 : 1];
    int input = inRows(graph, form, isLeft);
    // The last panel reaches back where n is no multiple of a panel: for that, there has to be a whole one.
    bool whole = isLeft || (ns.constant() && *ns.constant() >= lanes);
    its = {input < 0 ? 0 : static_cast<uint32_t>(input), input < 0 || !whole};
    if (!its.copied)
      continue;
    its.place = builder.scratchPlace(scratch.size());
    Number elements = max(bs * ks * (isLeft ? ms : ceilDiv(ns, lanes) * Number(lanes)), Number(1));
    scratch.push_back({bytes, KILN_F32, elements});
    bytes += alignScratch(elements.at(graph.extentBounds) * 4);
  }
  builder.needScratch(bytes);
  for (bool isLeft : {true, false}) {
    const ContractionPrinter::Panels &its = panels[isLeft ? 0 : 1];
    if (its.copied && !add([&](ContractionPrinter &printer) { return printer.copyPanels(isLeft, its.place); }))
      return false;
  }
  int rows = static_cast<int>(std::clamp<int64_t>(m, 1, tileRows));
  return add([&](ContractionPrinter &printer) { return printer.panelTiles(rows, panels[0], panels[1]); });
}

bool ContractionPrinter::copyPanels(bool isLeft, uint32_t place) {
  int64_t lanes = emitter.language().lanes;
  Number inner = isLeft ? k : ceilDiv(n, lanes) * Number(lanes), outer = isLeft ? m : k;
  openItems(group, emitter, b * outer * inner, 64);
  auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
  Expr item = Emitter::outer("item"), along = named(emitter.mod(item, number(inner))),
       above = named(emitter.div(item, number(inner)));
  Expr row = named(emitter.mod(above, number(outer)));
  Index batch = emitter.unlinear(form.batch, named(emitter.div(above, number(outer))));
  Expr result;
  if (isLeft) {
    result = element(true, batch, emitter.unlinear(form.rows, row), emitter.unlinear(form.depth, along));
  } else {
    bool padded = !isMultiple(n, lanes);
    Expr column = padded ? least(along, emitter.sub(number(n), emitter.index(1))) : along;
    result = element(false, batch, emitter.unlinear(form.columns, column), emitter.unlinear(form.depth, row));
    if (padded)
      result.text = "(" + along.text + " < " + number(n).text + " ? " + result.text + " : " +
                    emitter.literal(KILN_F32, 0, 0).text + ")";
  }
  emitter.store(place, KILN_F32, item, result);
  emitter.close();
  return true;
}

bool ContractionPrinter::panelTiles(int tm, const Panels &left, const Panels &right) {
  width = emitter.language().lanes;
  Number across = ceilDiv(n, width), down = ceilDiv(m, tm), stride = right.copied ? across * Number(width) : n;
  openItems(group, emitter, b * down * across, 1);
  auto named = [&](const Expr &expr) { return emitter.bind(emitter.indexType(), expr); };
  Expr item = Emitter::outer("item"), own = named(emitter.mul(emitter.mod(item, number(across)), emitter.index(width)));
  Expr above = named(emitter.div(item, number(across)));
  Expr row = named(emitter.mul(emitter.mod(above, number(down)), emitter.index(tm)));
  Expr batch = named(emitter.div(above, number(down)));
  // What the last panel has of the one before is computed again, and not stored.
  bool reaches = !right.copied && !isMultiple(n, width);
  Expr first = reaches ? least(own, emitter.sub(number(n), emitter.index(width))) : own;
  std::vector<Expr> lefts;
  for (int i = 0; i < tm; ++i) {
    Expr at = emitter.add(row, emitter.index(i));
    at = isMultiple(m, tm) ? named(at) : least(at, emitter.sub(number(m), emitter.index(1)));
    lefts.push_back(named(emitter.mul(emitter.add(emitter.mul(batch, number(m)), at), number(k))));
  }
  Expr base = named(emitter.add(emitter.mul(emitter.mul(batch, number(k)), number(stride)), first));
  startTile(tm, width);
  Expr at = openDepth(emitter.index(0), number(k), 1, k.at(graph.extentBounds));
  std::string from = emitter.add(base, emitter.mul(at, number(stride))).text;
  emitter.line("const " + vector() + " panel = " + group.loadLanes(right.place, from) + ";");
  for (int i = 0; i < tm; ++i)
    emitter.line(multiplyAdd(
        accumulators[static_cast<size_t>(i)],
        vector(group.load(left.place, KILN_F32, emitter.add(lefts[static_cast<size_t>(i)], at).text)), "panel"));
  closeDepth();
  std::string tile = tileArray(tm, width);
  // Loops to the edge, in place of conditions: a compiler makes vectors of what follows the product.
  Expr lastRow = isMultiple(m, tm) ? emitter.index(tm) : least(emitter.index(tm), emitter.sub(number(m), row));
  bool wholePanel = reaches || isMultiple(n, width);
  Expr lastColumn = wholePanel ? emitter.index(width) : least(emitter.index(width), emitter.sub(number(n), first));
  Expr r = emitter.loop(lastRow), c = emitter.loop(emitter.sub(own, first), lastColumn, emitter.index(1));
  Expr atRow = named(emitter.add(row, r)), atColumn = named(emitter.add(first, c));
  bool good = form.store(emitter, emitter.unlinear(form.batch, batch), emitter.unlinear(form.rows, atRow),
                         emitter.unlinear(form.columns, atColumn),
                         emitter.name(tileElement(tile, emitter.add(emitter.mul(r, emitter.index(width)), c))));
  for (int scopes = 0; scopes < 3; ++scopes)
    emitter.close();
  return good;
}

} // namespace kiln::sdk
