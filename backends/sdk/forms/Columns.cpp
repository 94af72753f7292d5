// Reductions that do not depend on one another.
//
// Bias gradients, batch statistics, losses, norms of parameters. What is reduced is cut into chunks of a length that
// depends on the bounds alone; each chunk of each result has a partial result in scratch, and a second dispatch
// combines these and does what follows. One chunk needs no second dispatch.
#include "backends/sdk/forms/Forms.h"
#include "backends/sdk/forms/Reduction.h"
#include <algorithm>
#include <bit>
#include <numeric>

namespace kiln::sdk {

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
  Columns(Builder &builder, const ReductionForm &form)
      : builder(builder), graph(builder.graph), form(form), results(Number::of(form.left)),
        length(Number::of(form.reduced)) {}

  Division divide(bool onProcessor) const;
  /// Adds the launches of one variant.
  bool build(const Division &division);

private:
  bool printChunks(Workgroup &group, Emitter &emitter, const Division &division, const Number &chunks) const;
  bool printFinish(Workgroup &group, Emitter &emitter, const Division &division, const Number &chunks) const;
  bool storeResults(Emitter &emitter, const Accumulators &accumulators, const Index &outer, const Expr &result) const;

  Builder &builder;
  const Graph &graph;
  const ReductionForm &form;
  Number results, length;
  std::vector<ScratchArray> scratch; // of the variant that is printed
};
} // namespace

Division Columns::divide(bool onProcessor) const {
  int64_t count = std::max<int64_t>(results.at(graph.extentBounds), 1);
  int64_t inner = std::max<int64_t>(length.at(graph.extentBounds), 1);
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

bool Columns::storeResults(Emitter &emitter, const Accumulators &accumulators, const Index &outer,
                           const Expr &result) const {
  bool mismatch = false;
  for (size_t i = 0; i < form.ops.size(); ++i)
    defineResult(emitter, *form.ops[i], outer, accumulators.result(i), mismatch);
  std::vector<uint32_t> all(graph.outputs.size());
  std::iota(all.begin(), all.end(), 0u);
  emitter.storeOutputs(all, outer, result);
  return !mismatch;
}

bool Columns::printChunks(Workgroup &group, Emitter &emitter, const Division &division, const Number &chunks) const {
  uint32_t rows = std::max(1u, (division.lanes == 1 ? 64u : usualLocal) / division.lanes);
  Number items = division.single ? results : results * chunks;
  declareRows(group, emitter, items, division.lanes, rows, "item");
  Expr item = Emitter::outer("item"), count = Emitter::outer(group.word(results)),
       size = Emitter::outer(group.word(length));
  Expr result = item, first = emitter.index(0), last = size;
  if (!division.single) {
    result = emitter.bind(emitter.indexType(), emitter.mod(item, count));
    declare(emitter, "chunk", "item / " + count.text);
    declare(emitter, "first", "chunk * " + std::to_string(division.chunk));
    declare(emitter, "last", "min(first + " + std::to_string(division.chunk) + ", " + size.text + ")");
    first = Emitter::outer("first"), last = Emitter::outer("last");
  }
  Index outer = emitter.unlinear(form.left, result);
  Accumulators accumulators(group, emitter, graph, form.ops);
  accumulators.start();
  if (division.lanes > 1) {
    declare(emitter, "begin", first.text + " + lane");
    first = Emitter::outer("begin");
  }
  int64_t elements = division.single ? length.at(graph.extentBounds) : division.chunk;
  accumulators.loop(first, last, division.lanes, (elements + division.lanes - 1) / division.lanes, [&](const Expr &n) {
    Index full = form.merge(outer, emitter.unlinear(form.reduced, n));
    for (size_t i = 0; i < form.ops.size(); ++i)
      accumulators.take(i, emitter.element(form.ops[i]->operands[0], full), n);
  });
  accumulators.tree(division.lanes, division.lanes * rows);
  openFirst(emitter, division.lanes);
  bool good = true;
  if (division.single)
    good = storeResults(emitter, accumulators, outer, result);
  else
    for (size_t i = 0; i < form.ops.size(); ++i)
      emitter.store(builder.scratchPlace(i), scratch[i].dtype, item, emitter.name(accumulators.result(i)));
  emitter.close();
  return good;
}

bool Columns::printFinish(Workgroup &group, Emitter &emitter, const Division &division, const Number &chunks) const {
  uint32_t rows = std::max(1u, 64u / division.finish);
  declareRows(group, emitter, results, division.finish, rows, "result");
  Expr result = Emitter::outer("result"), count = Emitter::outer(group.word(results));
  Accumulators accumulators(group, emitter, graph, form.ops);
  accumulators.start();
  int64_t steps = chunks.at(graph.extentBounds) / division.finish + 1;
  Expr lane = division.finish == 1 ? emitter.index(0) : Emitter::outer("lane");
  accumulators.loop(lane, Emitter::outer(group.word(chunks)), division.finish, steps, [&](const Expr &c) {
    for (size_t i = 0; i < form.ops.size(); ++i) {
      uint32_t place = builder.scratchPlace(i);
      std::string index = c.text + " * " + count.text + " + " + result.text;
      std::string element = emitter.fromStorage(scratch[i].dtype, group.load(place, scratch[i].dtype, index));
      accumulators.take(i, emitter.bind(emitter.registerType(scratch[i].dtype), emitter.name(element)), c);
    }
  });
  accumulators.tree(division.finish, division.finish * rows);
  openFirst(emitter, division.finish);
  bool good = storeResults(emitter, accumulators, emitter.unlinear(form.left, result), result);
  emitter.close();
  return good;
}

bool Columns::build(const Division &division) {
  Number chunks = ceilDiv(length, division.chunk);
  scratch.clear();
  int64_t bytes = 0;
  if (!division.single)
    for (const Op *op : form.ops) {
      kiln_dtype dtype = Emitter::accumulator(graph.type(op->operands[0]).dtype);
      Number elements = max(results * chunks, Number(1));
      scratch.push_back({bytes, dtype, elements});
      bytes += alignScratch(elements.at(graph.extentBounds) * byteSize(dtype));
    }
  builder.needScratch(bytes);
  bool good = builder.launch(
      scratch, [&](Workgroup &group, Emitter &emitter) { return printChunks(group, emitter, division, chunks); });
  return good && (division.single || builder.launch(scratch, [&](Workgroup &group, Emitter &emitter) {
           return printFinish(group, emitter, division, chunks);
         }));
}

bool buildColumns(Builder &builder) {
  if (!builder.canPrint(builder.graph.outputs))
    return false;
  ReductionForm form(builder.graph);
  Columns columns(builder, form);
  builder.variant(Builder::Device::Processor);
  if (!columns.build(columns.divide(/*onProcessor=*/true)))
    return false;
  builder.variant(Builder::Device::Any);
  return columns.build(columns.divide(/*onProcessor=*/false));
}

} // namespace kiln::sdk
