// Which forms of a product a kernel gets.
#include "backends/sdk/forms/Contraction.h"
#include "backends/sdk/forms/Forms.h"
#include <algorithm>
#include <bit>

namespace kiln::sdk {

bool ContractionBuilder::add(const std::function<bool(ContractionPrinter &printer)> &print) {
  return builder.launch(scratch, [&](Workgroup &group, Emitter &emitter) {
    ContractionPrinter printer{graph, form, group, emitter};
    return print(printer);
  });
}

bool ContractionBuilder::addProcessor() {
  if (wantsPanels())
    return addPanels();
  int tm = m >= 8 ? 8 : m >= 4 ? 4 : static_cast<int>(std::max<int64_t>(m, 1)), tn = n >= 8 ? 8 : 4;
  while (b * ((m + tm - 1) / tm) * ((n + tn - 1) / tn) < 64 && tm * tn > 16)
    (tm >= tn ? tm : tn) /= 2;
  builder.variant(Builder::Device::Processor);
  return add([&](ContractionPrinter &printer) { return printer.registerTiles(tm, tn); });
}

int64_t ContractionBuilder::splitDepth(int64_t tiles) {
  int64_t splits = 1;
  while (splits < 16 && tiles * splits < 64 && k / (splits * 2) >= 128)
    splits *= 2;
  scratch.clear();
  if (splits > 1) {
    Number elements = Number(splits) * Number::of(form.batch) * Number::of(form.rows) * Number::of(form.columns);
    scratch = {{0, form.dtype, max(elements, Number(1))}};
    builder.needScratch(scratch[0].elements.at(graph.extentBounds) * byteSize(form.dtype));
  }
  return splits;
}

bool ContractionBuilder::addJoin(int64_t splits) {
  return splits == 1 || add([&](ContractionPrinter &printer) { return printer.joinParts(splits, partial()); });
}

bool ContractionBuilder::addShared() {
  scratch.clear();
  builder.variant(Builder::Device::Any);
  if (m <= 4 || n <= 4) {
    // Tiles would be mostly edge: as a loop over the depth for each element, shared where the depth is in one piece.
    bool shares = (m <= n ? form.rhs : form.lhs).contiguous != Operand::Free && k >= 64;
    uint32_t lanes = shares ? static_cast<uint32_t>(std::min<int64_t>(
                                  static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(k))) / 4, 64))
                            : 1;
    return add([&](ContractionPrinter &printer) { return printer.elements(lanes); });
  }
  bool wide = byteSize(form.dtype) == 8;
  // Larger tiles read less, and leave parts of a device idle where there are few of them.
  int bm = 64, bn = 64, bk = wide ? 8 : 16, tm = 4, tn = 4;
  if (!wide && tilesOf(128, 128) >= 96)
    bm = bn = 128, bk = 8, tm = tn = 8;
  else if (m <= 32 || n <= 32 || tilesOf(64, 64) < 16)
    bm = bn = 32, bk = wide ? 8 : 16;
  int64_t splits = splitDepth(tilesOf(bm, bn));
  return add([&](ContractionPrinter &printer) { return printer.sharedTiles(bm, bn, bk, tm, tn, splits, partial()); }) &&
         addJoin(splits);
}

bool buildContraction(Builder &builder, const std::function<void(ContractionBuilder &product)> &others) {
  Contraction form;
  if (!Contraction::find(builder.graph, form) || !builder.canPrint(builder.graph.outputs))
    return false;
  ContractionBuilder product(builder, form);
  if (!product.addProcessor())
    return false;
  if (others)
    others(product);
  return product.addShared();
}

} // namespace kiln::sdk
