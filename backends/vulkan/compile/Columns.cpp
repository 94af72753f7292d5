// Reductions that do not depend on one another.
//
// Bias gradients, batch statistics, losses, norms of parameters. What is reduced is cut into chunks of a length that
// depends on the bounds alone; each chunk of each result has a partial result in scratch, and a second dispatch
// combines these and does what follows. One chunk needs no second dispatch.
#include "backends/vulkan/compile/Reduction.h"
#include "backends/vulkan/compile/Strategy.h"
#include <algorithm>
#include <bit>

using namespace kiln::sdk;

namespace kiln::vulkan {

namespace {
/// How the work is divided.
struct Division {
  uint32_t lanes = 1;  // invocations that share a chunk, in the first dispatch
  uint32_t finish = 1; // and in the second one
  int64_t chunk = 1;   // elements
  bool single = false; // all in one chunk
};

class Columns {
public:
  Columns(const Graph &graph, const Settings &settings, const ReductionForm &form)
      : graph(graph), settings(settings), form(form), results(Number::of(form.left)), length(Number::of(form.reduced)) {
  }

  bool legal() const;
  Division divide(bool onProcessor) const;
  bool print(const Division &division, Variant &variant, int64_t &scratchBytes);

private:
  bool printChunks(Shader &shader, Emitter &emitter, const Division &division, const Number &chunks);
  bool printFinish(Shader &shader, Emitter &emitter, const Division &division, const Number &chunks);
  bool storeResults(Emitter &emitter, const Accumulators &accumulators, const Index &outer, const Expr &result);

  const Graph &graph;
  const Settings &settings;
  const ReductionForm &form;
  Number results, length;
  std::vector<ScratchArray> scratch; // of the variant that is printed
};
} // namespace

/// No reduction below another, no value of the full shape that leaves.
bool Columns::legal() const {
  std::vector<bool> below(graph.values.size(), false);
  for (const Op &op : graph.ops) {
    bool any = std::any_of(op.operands.begin(), op.operands.end(), [&](uint32_t v) { return below[v]; });
    if (op.code == OpCode::ArgReduce || (any && isWhole(op.code)))
      return false;
    for (uint32_t value : op.results)
      below[value] = any || isWhole(op.code);
  }
  return std::all_of(graph.outputs.begin(), graph.outputs.end(),
                     [&](uint32_t value) { return sameDims(graph.type(value).dims, form.left); });
}

Division Columns::divide(bool onProcessor) const {
  int64_t count = std::max<int64_t>(results.bound(graph.extentBounds), 1);
  int64_t inner = std::max<int64_t>(length.bound(graph.extentBounds), 1);
  // Neighbouring invocations should read neighbouring elements: they share a chunk where the last axis is reduced, and
  // have results of their own where it is not.
  bool shares = !form.full.empty() && form.reducedAxes.back() + 1 == form.full.size();
  Division division;
  // A processor runs eight or sixteen invocations at once, and waits dearly at a barrier: it shares long sums alone.
  int64_t most = onProcessor ? (inner >= 1024 && count < 64 ? 16 : 1) : 256;
  division.lanes = shares ? static_cast<uint32_t>(std::clamp<int64_t>(
                                static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(inner))) / 4, 1, most))
                          : 1;
  // One dispatch where a workgroup gets through in the time that a second dispatch would take.
  int64_t once = shares && division.lanes > 1 ? (onProcessor ? 8192 : 256) * division.lanes : 1024;
  int64_t wanted = onProcessor ? 256 : 16384;
  division.single = inner <= once && (shares || count >= wanted / 4 || inner <= 64);
  // Enough chunks to keep a device busy, long enough that partial results do not become the work.
  int64_t chunk = static_cast<int64_t>(
      std::bit_ceil(static_cast<uint64_t>(inner / std::max<int64_t>(wanted * division.lanes / count, 1) + 1)));
  division.chunk = std::clamp<int64_t>(chunk, 32 * division.lanes, 16384);
  // The second dispatch should not get a longer loop than the first.
  while (inner / division.chunk > 16 * division.chunk && division.chunk < 65536)
    division.chunk *= 2;
  division.single = division.single || inner <= division.chunk;
  int64_t chunks = (inner + division.chunk - 1) / division.chunk;
  int64_t together = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(chunks))) / 2;
  division.finish = onProcessor || chunks <= 32 ? 1 : static_cast<uint32_t>(std::min<int64_t>(together, 128));
  return division;
}

bool Columns::storeResults(Emitter &emitter, const Accumulators &accumulators, const Index &outer, const Expr &result) {
  bool mismatch = false;
  for (size_t i = 0; i < form.ops.size(); ++i)
    defineResult(emitter, graph, *form.ops[i], outer, accumulators.result(i), mismatch);
  std::vector<Expr> elements;
  for (uint32_t value : graph.outputs)
    elements.push_back(emitter.bind(emitter.registerType(graph.type(value).dtype), emitter.element(value, outer)));
  for (size_t i = 0; i < elements.size(); ++i)
    emitter.store(static_cast<uint32_t>(graph.inputs.size() + i), graph.type(graph.outputs[i]).dtype, result,
                  elements[i]);
  return !mismatch;
}

bool Columns::printChunks(Shader &shader, Emitter &emitter, const Division &division, const Number &chunks) {
  uint32_t rows = std::max(1u, (division.lanes == 1 ? 64u : usualLocal) / division.lanes);
  shader.local(division.lanes, rows);
  Number items = division.single ? results : results * chunks;
  shader.grid(ceilDiv(items, rows));
  emitter.line("const int mine = group * " + std::to_string(rows) + " + int(gl_LocalInvocationID.y);");
  emitter.line("const int lane = int(gl_LocalInvocationID.x);");
  emitter.line("const bool valid = mine < " + shader.word(items) + ";");
  emitter.line("const int item = min(mine, " + shader.word(items) + " - 1);");
  Expr item = Emitter::outer("item"), count = Emitter::outer(shader.word(results)),
       size = Emitter::outer(shader.word(length));
  Expr result = item, first = emitter.index(0), last = size;
  if (!division.single) {
    result = emitter.bind(emitter.indexType(), emitter.mod(item, count));
    emitter.line("const int chunk = item / " + count.text + ";");
    emitter.line("const int first = chunk * " + std::to_string(division.chunk) + ";");
    emitter.line("const int last = min(first + " + std::to_string(division.chunk) + ", " + size.text + ");");
    first = Emitter::outer("first"), last = Emitter::outer("last");
  }
  Index outer = emitter.unlinear(form.left, result);
  Accumulators accumulators(shader, emitter, graph, form.ops);
  accumulators.start();
  if (division.lanes > 1) {
    emitter.line("const int begin = " + first.text + " + lane;");
    first = Emitter::outer("begin");
  }
  int64_t elements = division.single ? length.bound(graph.extentBounds) : division.chunk;
  accumulators.loop(first, last, division.lanes, elements / division.lanes, [&](const Expr &n) {
    Index full = form.merge(outer, emitter.unlinear(form.reduced, n));
    for (size_t i = 0; i < form.ops.size(); ++i)
      accumulators.take(i, emitter.element(form.ops[i]->operands[0], full), n);
  });
  accumulators.tree(division.lanes, division.lanes * rows);
  emitter.open(division.lanes > 1 ? "if (valid && lane == 0)" : "if (valid)", /*guard=*/true);
  bool good = true;
  if (division.single)
    good = storeResults(emitter, accumulators, outer, result);
  else
    for (size_t i = 0; i < form.ops.size(); ++i)
      emitter.store(static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size() + i), scratch[i].dtype, item,
                    emitter.name(accumulators.result(i)));
  emitter.close();
  return good;
}

bool Columns::printFinish(Shader &shader, Emitter &emitter, const Division &division, const Number &chunks) {
  uint32_t rows = std::max(1u, 64u / division.finish);
  shader.local(division.finish, rows);
  shader.grid(ceilDiv(results, rows));
  emitter.line("const int mine = group * " + std::to_string(rows) + " + int(gl_LocalInvocationID.y);");
  emitter.line("const int lane = int(gl_LocalInvocationID.x);");
  emitter.line("const bool valid = mine < " + shader.word(results) + ";");
  emitter.line("const int result = min(mine, " + shader.word(results) + " - 1);");
  Expr result = Emitter::outer("result"), count = Emitter::outer(shader.word(results));
  Accumulators accumulators(shader, emitter, graph, form.ops);
  accumulators.start();
  int64_t steps = chunks.bound(graph.extentBounds) / division.finish + 1;
  Expr lane = division.finish == 1 ? emitter.index(0) : Emitter::outer("lane");
  accumulators.loop(lane, Emitter::outer(shader.word(chunks)), division.finish, steps, [&](const Expr &c) {
    for (size_t i = 0; i < form.ops.size(); ++i) {
      uint32_t place = static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size() + i);
      std::string index = c.text + " * " + count.text + " + " + result.text;
      std::string element = emitter.fromStorage(scratch[i].dtype, shader.load(place, scratch[i].dtype, index));
      accumulators.take(i, emitter.bind(emitter.registerType(scratch[i].dtype), emitter.name(element)), c);
    }
  });
  accumulators.tree(division.finish, division.finish * rows);
  emitter.open(division.finish > 1 ? "if (valid && lane == 0)" : "if (valid)", /*guard=*/true);
  bool good = storeResults(emitter, accumulators, emitter.unlinear(form.left, result), result);
  emitter.close();
  return good;
}

bool Columns::print(const Division &division, Variant &variant, int64_t &scratchBytes) {
  const EmitterOptions options = emitterOptions(settings);
  Number chunks = ceilDiv(length, division.chunk);
  scratch.clear();
  int64_t bytes = 0;
  if (!division.single)
    for (const Op *op : form.ops) {
      kiln_dtype dtype = Emitter::accumulator(graph.type(op->operands[0]).dtype);
      Number elements = max(results * chunks, Number(1));
      scratch.push_back({bytes, dtype, elements});
      bytes += (elements.bound(graph.extentBounds) * byteSize(dtype) + 255) / 256 * 256;
    }
  scratchBytes = std::max(scratchBytes, bytes);
  for (int part = 0; part < (division.single ? 1 : 2); ++part) {
    Shader shader(graph, settings, scratch);
    Emitter emitter(graph, shader, options);
    std::string reason;
    uint32_t op;
    for (uint32_t value : graph.outputs)
      if (!emitter.canPrint(value, reason, op))
        return false;
    if (!(part == 0 ? printChunks(shader, emitter, division, chunks) : printFinish(shader, emitter, division, chunks)))
      return false;
    variant.dispatches.push_back(shader.finish(emitter));
  }
  return true;
}

bool planColumns(const Graph &graph, const Settings &settings, KernelPlan &plan) {
  ReductionForm form;
  if (!ReductionForm::find(graph, form))
    return false;
  Columns columns(graph, settings, form);
  if (!columns.legal())
    return false;
  KernelPlan result;
  Variant serial, shared;
  if (!columns.print(columns.divide(/*onProcessor=*/true), serial, result.scratchBytes) ||
      !columns.print(columns.divide(/*onProcessor=*/false), shared, result.scratchBytes))
    return false;
  serial.features = KILN_VK_ON_CPU;
  result.variants.push_back(std::move(serial));
  result.variants.push_back(std::move(shared));
  plan = std::move(result);
  return true;
}

} // namespace kiln::vulkan
