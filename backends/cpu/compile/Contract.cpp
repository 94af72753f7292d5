#include "backends/cpu/compile/Contract.h"
#include "backends/cpu/artifact.h"
#include "backends/cpu/compile/ContractLowering.h"
#include "backends/sdk/forms/Operands.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

/// Of each value: whether some op that is not elementwise lies between it and `result`, from which it is computed.
static std::vector<bool> notElementwiseIn(const Graph &graph, uint32_t result) {
  std::vector<bool> depends(graph.values.size()), spoilt(graph.values.size());
  depends[result] = true;
  for (const Op &op : graph.ops)
    for (uint32_t operand : op.operands)
      if (depends[operand])
        for (uint32_t made : op.results) {
          depends[made] = true;
          spoilt[made] = spoilt[made] || spoilt[operand] || !isElementwise(op.code);
        }
  return spoilt;
}

static bool checkOutputs(const Graph &graph, const Op &product, std::string &error) {
  uint32_t result = product.results[0];
  std::vector<bool> spoilt = notElementwiseIn(graph, result);
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    uint32_t v = graph.outputs[i];
    if (spoilt[v] || graph.type(v).dims != graph.type(result).dims) {
      error = ("output " + llvm::Twine(i) + " is not elementwise in the result of " + opName(product.code)).str();
      return false;
    }
  }
  return true;
}

bool buildContract(KernelBuilder &builder) {
  builder.note("product");
  const Graph &graph = builder.graph;
  const Op *odd = nullptr, *product = sdk::onlyWhole(graph, {OpCode::DotGeneral, OpCode::Convolution}, odd);
  if (!product) {
    builder.error = odd ? (opName(odd->code) + " cannot stand in one kernel with another product").str()
                        : "no product in the kernel";
    return false;
  }
  std::vector<Contraction> parts;
  uint32_t number = static_cast<uint32_t>(product - graph.ops.data());
  bool shaped = product->code == OpCode::DotGeneral ? shapeOfDot(graph, number, parts.emplace_back(), builder.error)
                                                    : shapesOfConvolution(graph, number, parts, builder.error);
  if (!shaped || !checkOutputs(graph, *product, builder.error))
    return false;

  // All outputs are computed before the first is written: one may share the memory of an operand.
  auto sink = [&graph](Emitter &e, ArrayRef<Index> at, const Mask &mask) {
    SmallVector<Value> elements;
    for (uint32_t v : graph.outputs)
      elements.push_back(e.value(v, at, mask));
    for (auto [i, element] : llvm::enumerate(elements))
      e.storeOutput(i, at, element, mask);
  };
  if (parts.size() > 1)
    builder.note("by residues");
  builder.reserveWorkerScratch(KILN_CPU_WORKER_NOTE_BYTES);
  // One part after the other, each in the scratch of the one before.
  int64_t scratch = builder.scratchBytes, worker = builder.workerScratchBytes, mostScratch = 0, mostWorker = 0;
  for (const Contraction &part : parts) {
    builder.scratchBytes = scratch, builder.workerScratchBytes = worker;
    if (!buildDepthwise(builder, part, sink) && !buildWinograd(builder, part, sink) &&
        !buildPixelRows(builder, part, sink))
      ContractLowering(builder, part, sink).build();
    mostScratch = std::max(mostScratch, builder.scratchBytes);
    mostWorker = std::max(mostWorker, builder.workerScratchBytes);
  }
  builder.scratchBytes = mostScratch, builder.workerScratchBytes = mostWorker;
  return true;
}

} // namespace kiln::cpu
