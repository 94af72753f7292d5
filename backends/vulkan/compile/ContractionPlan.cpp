// Which forms of a product a kernel gets.
#include "backends/vulkan/compile/Contraction.h"
#include "backends/vulkan/compile/Strategy.h"
#include <algorithm>
#include <bit>

using namespace kiln::sdk;

namespace kiln::vulkan {

namespace {
class Planner {
public:
  Planner(const Graph &graph, const Settings &settings, const Contraction &form)
      : graph(graph), settings(settings), form(form), b(Number::of(form.batch).bound(graph.extentBounds)),
        m(Number::of(form.rows).bound(graph.extentBounds)), n(Number::of(form.columns).bound(graph.extentBounds)),
        k(Number::of(form.depth).bound(graph.extentBounds)) {}

  bool plan(KernelPlan &plan);

private:
  template <class Print> bool add(Variant &variant, Print print);
  bool addProcessor(KernelPlan &plan);
  bool addShared(KernelPlan &plan);
  void addMatrix(KernelPlan &plan);
  int64_t tilesOf(int64_t bm, int64_t bn) const { return b * ((m + bm - 1) / bm) * ((n + bn - 1) / bn); }
  int64_t splitDepth(int64_t tiles, KernelPlan &plan);
  bool canPrint() const;

  const Graph &graph;
  const Settings &settings;
  const Contraction &form;
  const int64_t b, m, n, k;
  std::vector<ScratchArray> scratch;
};
} // namespace

template <class Print> bool Planner::add(Variant &variant, Print print) {
  Shader shader(graph, settings, scratch);
  Emitter emitter(graph, shader, emitterOptions(settings));
  ContractionPrinter printer{graph, form, shader, emitter};
  if (!print(printer))
    return false;
  variant.dispatches.push_back(shader.finish(emitter));
  return true;
}

/// Tiles for a processor: as large as sixteen vector registers feed, and small enough that every lane has one.
bool Planner::addProcessor(KernelPlan &plan) {
  int tm = m >= 8 ? 8 : m >= 4 ? 4 : static_cast<int>(std::max<int64_t>(m, 1)), tn = n >= 8 ? 8 : 4;
  while (b * ((m + tm - 1) / tm) * ((n + tn - 1) / tn) < 64 && tm * tn > 16)
    (tm >= tn ? tm : tn) /= 2;
  Variant variant;
  variant.features = KILN_VK_ON_CPU;
  if (!add(variant, [&](ContractionPrinter &printer) { return printer.registerTiles(tm, tn); }))
    return false;
  plan.variants.push_back(std::move(variant));
  return true;
}

/// Into how many parts the depth is cut where there are so many tiles; their sums are scratch.
int64_t Planner::splitDepth(int64_t tiles, KernelPlan &plan) {
  int64_t splits = 1;
  while (splits < 16 && tiles * splits < 64 && k / (splits * 2) >= 128)
    splits *= 2;
  scratch.clear();
  if (splits > 1) {
    Number elements = Number(splits) * Number::of(form.batch) * Number::of(form.rows) * Number::of(form.columns);
    scratch = {{0, form.dtype, max(elements, Number(1))}};
    plan.scratchBytes =
        std::max(plan.scratchBytes, scratch[0].elements.bound(graph.extentBounds) * byteSize(form.dtype));
  }
  return splits;
}

/// For devices that multiply matrices, where both operands are f16 and there is enough to fill some.
void Planner::addMatrix(KernelPlan &plan) {
  auto isHalf = [&](const Operand &operand) { return graph.type(operand.value).dtype == KILN_F16; };
  if (form.op->code != OpCode::DotGeneral || form.dtype != KILN_F32 || !isHalf(form.lhs) || !isHalf(form.rhs) ||
      m < 16 || n < 16 || k < 16)
    return;
  int side = tilesOf(128, 128) >= 96 ? 128 : 64;
  int64_t splits = splitDepth(tilesOf(side, side), plan);
  uint32_t partial = static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size());
  Variant variant;
  variant.features = KILN_VK_COOPERATIVE_MATRIX;
  variant.subgroupMost = Shader::mostLanes;
  if (!add(variant, [&](ContractionPrinter &printer) { return printer.matrixTiles(side, side, splits, partial); }) ||
      (splits > 1 && !add(variant, [&](ContractionPrinter &printer) { return printer.joinParts(splits, partial); })))
    return;
  plan.variants.push_back(std::move(variant));
}

bool Planner::addShared(KernelPlan &plan) {
  Variant variant;
  if (m <= 4 || n <= 4) {
    // Tiles would be mostly edge: as a loop over the depth for each element, shared where the depth is in one piece.
    bool shares = (m <= n ? form.rhs : form.lhs).contiguous != Operand::Free && k >= 64;
    uint32_t lanes = shares ? static_cast<uint32_t>(std::min<int64_t>(
                                  static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(k))) / 4, 64))
                            : 1;
    if (!add(variant, [&](ContractionPrinter &printer) { return printer.elements(lanes); }))
      return false;
    plan.variants.push_back(std::move(variant));
    return true;
  }
  bool wide = byteSize(form.dtype) == 8;
  // Larger tiles read less, and leave parts of a device idle where there are few of them.
  int bm = 64, bn = 64, bk = wide ? 8 : 16, tm = 4, tn = 4;
  if (!wide && tilesOf(128, 128) >= 96)
    bm = bn = 128, bk = 8, tm = tn = 8;
  else if (m <= 32 || n <= 32 || tilesOf(64, 64) < 16)
    bm = bn = 32, bk = wide ? 8 : 16;
  int64_t splits = splitDepth(tilesOf(bm, bn), plan);
  uint32_t partial = static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size());
  if (!add(variant,
           [&](ContractionPrinter &printer) { return printer.sharedTiles(bm, bn, bk, tm, tn, splits, partial); }))
    return false;
  if (splits > 1 && !add(variant, [&](ContractionPrinter &printer) { return printer.joinParts(splits, partial); }))
    return false;
  plan.variants.push_back(std::move(variant));
  return true;
}

bool Planner::canPrint() const {
  std::vector<ScratchArray> none;
  Shader shader(graph, settings, none);
  Emitter emitter(graph, shader, emitterOptions(settings));
  std::string reason;
  uint32_t op;
  return std::all_of(graph.outputs.begin(), graph.outputs.end(),
                     [&](uint32_t value) { return emitter.canPrint(value, reason, op); });
}

bool Planner::plan(KernelPlan &plan) {
  KernelPlan result;
  if (!canPrint() || !addProcessor(result))
    return false;
  addMatrix(result);
  if (!addShared(result))
    return false;
  plan = std::move(result);
  return true;
}

bool planContraction(const Graph &graph, const Settings &settings, KernelPlan &plan) {
  Contraction form;
  return Contraction::find(graph, form) && Planner(graph, settings, form).plan(plan);
}

} // namespace kiln::vulkan
