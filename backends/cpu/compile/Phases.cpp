#include "backends/cpu/compile/Phases.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace kiln::cpu {

/// One width for a kernel: the native vector of its four-byte values; of eight-byte ones where there are no others.
static int64_t lanesFor(const Graph &graph, const Machine &machine) {
  for (const TensorType &type : graph.values)
    if (byteSize(type.dtype) <= 4 && type.dtype != KILN_BOOL)
      return machine.vectorBytes / 4;
  return machine.vectorBytes / 8;
}

KernelBuilder::KernelBuilder(ModuleOp module, const Graph &graph, const Machine &machine,
                             llvm::ArrayRef<uint8_t> lasting)
    : code(module, machine), graph(graph), machine(machine), lanes(lanesFor(graph, machine)), lasting(lasting) {}

/// "0", "1", …; "once" for the one that packs.
static std::string numberOf(int64_t phase) {
  return phase == KernelBuilder::prepackingPhase ? "once" : std::to_string(phase);
}

std::string KernelBuilder::phaseName(llvm::StringRef kernel, int64_t phase) {
  return (kernel + "_p" + numberOf(phase)).str();
}
std::string KernelBuilder::tasksName(llvm::StringRef kernel, int64_t phase) {
  return (kernel + "_t" + numberOf(phase)).str();
}

void KernelBuilder::addPhase(llvm::function_ref<Value(Emitter &)> tasks, llvm::function_ref<void(Emitter &)> body,
                             int64_t width) {
  addFunctions(phaseCount++, tasks, body, width);
}

void KernelBuilder::addPrepacking(llvm::function_ref<Value(Emitter &)> tasks, llvm::function_ref<void(Emitter &)> body,
                                  int64_t width) {
  addFunctions(prepackingPhase, tasks, body, width);
}

void KernelBuilder::addFunctions(int64_t phase, llvm::function_ref<Value(Emitter &)> tasks,
                                 llvm::function_ref<void(Emitter &)> body, int64_t width) {
  {
    ValueRange arguments = code.beginFunction(tasksName(graph.name, phase), {code.ptr}, {code.i64});
    PhaseArguments given;
    given.extents = arguments[0];
    Emitter emitter(code, graph, given, lanes);
    Value count = tasks(emitter);
    code.endFunction({count});
  }
  Type p = code.ptr;
  ValueRange arguments = code.beginFunction(phaseName(graph.name, phase), {p, p, p, p, p, code.i64, code.i64}, {});
  PhaseArguments given{arguments[0], arguments[1], arguments[2], arguments[3],
                       arguments[4], arguments[5], arguments[6]};
  Emitter emitter(code, graph, given, width ? width : lanes);
  for (uint32_t v : inMemory)
    emitter.bindMemory(v, home(emitter, v));
  body(emitter);
  code.endFunction();
  code.onScopeEnd.clear();
}

static int64_t reserve(int64_t &total, int64_t bytes) {
  int64_t offset = total;
  total += (bytes + 63) / 64 * 64;
  return offset;
}

int64_t KernelBuilder::reserveScratch(int64_t bytes) { return reserve(scratchBytes, bytes); }
int64_t KernelBuilder::reserveWorkerScratch(int64_t bytes) { return reserve(workerScratchBytes, bytes); }

int64_t KernelBuilder::scratchOf(llvm::function_ref<void()> other) {
  int64_t launch = scratchBytes, worker = workerScratchBytes;
  auto noted = forms;
  auto packing = prepacking;
  other();
  forms = noted, prepacking = packing, workerScratchBytes = worker;
  return std::exchange(scratchBytes, launch) - launch;
}

Value KernelBuilder::home(Emitter &emitter, uint32_t v) {
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    if (graph.outputs[i] == v)
      return emitter.output(i);
  auto [position, isNew] = scratchHomes.try_emplace(v, 0);
  if (isNew)
    position->second = reserveScratch(graph.bound(graph.type(v).dims) * byteSize(graph.type(v).dtype));
  return emitter.scratch(position->second);
}

std::string KernelBuilder::form() const { return llvm::join(forms, ", "); }

void KernelBuilder::computed(uint32_t v) { inMemory.insert(v); }

} // namespace kiln::cpu
