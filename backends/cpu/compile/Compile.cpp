#include "backends/cpu/compile/Compile.h"
#include "backends/cpu/artifact.h"
#include "backends/cpu/compile/Lower.h"
#include "backends/cpu/compile/MicroKernel.h"
#include "backends/cpu/compile/Phases.h"
#include "backends/cpu/compile/Target.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include <atomic>
#include <set>
#include <thread>

using namespace mlir;

namespace kiln::cpu {
namespace {

/// What the table says of a compiled kernel.
struct Compiled {
  std::string name;
  int64_t phases = 0, workerScratch = 0;
};

enum class Stage { Artifact, Mlir, Llvm, Assembly };

/// Kernels that become one object.
struct Batch {
  std::vector<size_t> kernels;
  llvm::SmallVector<char, 0> out;
  std::set<std::string> microKernels;
  std::string error;
};

struct Job {
  const kiln_program &program;
  const Machine &machine;
  Stage stage;
  std::vector<Compiled> compiled;
};

} // namespace

static std::string where(const Graph &graph, const std::string &error) { return "kernel " + graph.name + ": " + error; }

/// One kernel into a module.
static bool build(const kiln_kernel &kernel, ModuleOp module, const Machine &machine, Compiled &compiled,
                  int64_t &scratch, std::string &error) {
  Graph graph;
  if (!Graph::read(kernel, graph, error)) {
    error = where(graph, error);
    return false;
  }
  mergeEqualOps(graph);
  collapseDimensions(graph);
  KernelBuilder builder(module, graph, machine);
  if (!buildKernel(builder)) {
    error = where(graph, builder.error);
    return false;
  }
  compiled = {graph.name, builder.phaseCount, builder.workerScratchBytes};
  scratch = builder.scratchBytes;
  return true;
}

/// A module of kernels to machine code or text, appended to `out`.
static bool finish(ModuleOp module, const Machine &machine, llvm::TargetMachine &generator, Stage stage,
                   llvm::SmallVectorImpl<char> &out, std::string &error) {
  llvm::raw_svector_ostream text(out);
  if (stage == Stage::Mlir) {
    module.print(text);
    return true;
  }
  if (!lowerToLLVMDialect(module, error))
    return false;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> lowered = lowerToLLVM(module, context, machine, generator, error);
  if (!lowered)
    return false;
  if (stage == Stage::Llvm) {
    lowered->print(text, nullptr);
    return true;
  }
  return generate(*lowered, generator, stage == Stage::Assembly, out, error);
}

static void compileBatch(Job &job, Batch &batch, MLIRContext &context, llvm::TargetMachine &generator) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  for (size_t number : batch.kernels) {
    int64_t scratch = 0;
    if (!build(job.program.kernels[number], *module, job.machine, job.compiled[number], scratch, batch.error))
      return;
  }
  collectMicroKernels(*module, batch.microKernels);
  finish(*module, job.machine, generator, job.stage, batch.out, batch.error);
}

/// Runs `work` on the given number of threads, each with a context and a code generator of its own.
static void onThreads(unsigned threads, const Machine &machine,
                      llvm::function_ref<void(MLIRContext &, llvm::TargetMachine &)> work) {
  auto run = [&] {
    std::string local;
    std::unique_ptr<llvm::TargetMachine> generator = createTargetMachine(machine, local);
    MLIRContext context(MLIRContext::Threading::DISABLED);
    loadDialects(context);
    work(context, *generator);
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i)
    others.emplace_back(run);
  run();
  for (std::thread &thread : others)
    thread.join();
}

//===-- The table ------------------------------------------------------------------------------------------------===//

/// The object that defines kiln_cpu_artifact and names the functions of the others.
static bool buildTable(const Job &job, llvm::TargetMachine &generator, llvm::SmallVectorImpl<char> &out,
                       std::string &error) {
  llvm::LLVMContext context;
  llvm::Module module("kiln_cpu_artifact", context);
  module.setTargetTriple(generator.getTargetTriple().str());
  module.setDataLayout(generator.createDataLayout());
  auto *pointer = llvm::PointerType::get(context, 0);
  auto *i64 = llvm::Type::getInt64Ty(context), *i32 = llvm::Type::getInt32Ty(context);
  auto string = [&](llvm::StringRef value) -> llvm::Constant * {
    auto *data = llvm::ConstantDataArray::getString(context, value);
    return new llvm::GlobalVariable(module, data->getType(), true, llvm::GlobalValue::PrivateLinkage, data);
  };
  auto table = [&](llvm::StructType *type, llvm::ArrayRef<llvm::Constant *> rows) -> llvm::Constant * {
    auto *data = llvm::ConstantArray::get(llvm::ArrayType::get(type, rows.size()), rows);
    return new llvm::GlobalVariable(module, data->getType(), true, llvm::GlobalValue::PrivateLinkage, data);
  };
  auto *functionType = llvm::FunctionType::get(llvm::Type::getVoidTy(context), false);
  auto function = [&](const std::string &name) -> llvm::Constant * {
    auto *declared = llvm::cast<llvm::Function>(module.getOrInsertFunction(name, functionType).getCallee());
    declared->setVisibility(llvm::GlobalValue::HiddenVisibility);
    return declared;
  };
  auto *phaseType = llvm::StructType::get(pointer, pointer);
  auto *kernelType = llvm::StructType::get(pointer, pointer, i64, i64);
  llvm::SmallVector<llvm::Constant *> kernels;
  for (const Compiled &compiled : job.compiled) {
    llvm::SmallVector<llvm::Constant *> phases;
    for (int64_t i = 0; i < compiled.phases; ++i)
      phases.push_back(llvm::ConstantStruct::get(phaseType, {function(KernelBuilder::phaseName(compiled.name, i)),
                                                             function(KernelBuilder::tasksName(compiled.name, i))}));
    kernels.push_back(
        llvm::ConstantStruct::get(kernelType, {string(compiled.name), table(phaseType, phases),
                                               llvm::ConstantInt::get(i64, uint64_t(compiled.phases)),
                                               llvm::ConstantInt::get(i64, uint64_t(compiled.workerScratch))}));
  }
  auto *artifact = llvm::ConstantStruct::getAnon(
      {llvm::ConstantInt::get(i32, KILN_CPU_ARTIFACT_VERSION), llvm::ConstantInt::get(i32, kernels.size()),
       table(kernelType, kernels), string(job.machine.triple), string(job.machine.cpu), string(job.machine.features)});
  new llvm::GlobalVariable(module, artifact->getType(), true, llvm::GlobalValue::ExternalLinkage, artifact,
                           "kiln_cpu_artifact");
  return generate(module, generator, /*assembly=*/false, out, error);
}

//===-- The ABI --------------------------------------------------------------------------------------------------===//

static int fail(kiln_error *error, const std::string &message) {
  error->code = 1;
  size_t size = std::min(message.size(), sizeof error->message - 1);
  message.copy(error->message, size);
  error->message[size] = 0;
  return 1;
}

static bool readStage(const kiln_target &target, Stage &stage) {
  llvm::StringRef emit(target.emit.data, target.emit.size);
  stage = emit == "mlir"   ? Stage::Mlir
          : emit == "llvm" ? Stage::Llvm
          : emit == "asm"  ? Stage::Assembly
                           : Stage::Artifact;
  return emit.empty() || emit == "object" || stage != Stage::Artifact;
}

static void appendBlob(kiln_blob *blobs, size_t &count, llvm::SmallVectorImpl<char> &bytes) {
  auto *owned = new std::vector<char>(bytes.begin(), bytes.end());
  blobs[count++] = {reinterpret_cast<const uint8_t *>(owned->data()), owned->size(), owned,
                    [](void *owner) { delete static_cast<std::vector<char> *>(owner); }};
}

static int claim(const kiln_kernel *kernel, const kiln_target *target, kiln_claim *claim, kiln_error *error) {
  // Reading the target takes longer than most claims; hosts ask for many kernels in a row.
  thread_local std::string key, message;
  thread_local Machine machine;
  std::string wanted(target->triple.data, target->triple.size);
  wanted += '\n' + std::string(target->cpu.data, target->cpu.size);
  if (key != wanted) {
    if (!readTarget(*target, machine, message))
      return fail(error, message);
    key = wanted;
  }
  // What is claimed is what is built: the same code, up to lowering.
  thread_local MLIRContext context(MLIRContext::Threading::DISABLED);
  loadDialects(context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  Compiled compiled;
  std::string reason;
  *claim = {};
  claim->accepted = build(*kernel, *module, machine, compiled, claim->scratch_bytes, reason);
  size_t size = std::min(reason.size(), sizeof claim->reason - 1);
  reason.copy(claim->reason, size);
  claim->reason[size] = 0;
  return 0;
}

static int compile(const kiln_program *program, const kiln_target *target, kiln_blob *blobs, size_t maxBlobs,
                   size_t *blobCount, kiln_error *error) {
  Machine machine;
  std::string message;
  Stage stage;
  if (!readStage(*target, stage))
    return fail(error, "the cpu backend has no stage '" + std::string(target->emit.data, target->emit.size) +
                           "': mlir, llvm, asm or object");
  if (!readTarget(*target, machine, message))
    return fail(error, message);
  bool text = stage != Stage::Artifact;
  if (maxBlobs < 3 && !text)
    return fail(error, "the cpu backend needs room for three blobs at least");
  Job job{*program, machine, stage, std::vector<Compiled>(program->kernel_count)};
  unsigned threads = std::max(1u, std::min(target->jobs, 64u));
  size_t batchCount =
      std::min<size_t>({std::max<size_t>(program->kernel_count, 1), threads * 4, text ? 64 : maxBlobs - 2});
  std::vector<Batch> batches(batchCount);
  for (size_t i = 0; i < program->kernel_count; ++i)
    batches[i % batchCount].kernels.push_back(i);
  std::atomic<size_t> next = 0;
  onThreads(std::min<unsigned>(threads, batchCount), machine,
            [&](MLIRContext &context, llvm::TargetMachine &generator) {
              for (size_t i = next++; i < batchCount; i = next++)
                compileBatch(job, batches[i], context, generator);
            });
  std::set<std::string> microKernels;
  for (Batch &batch : batches) {
    if (!batch.error.empty())
      return fail(error, batch.error);
    microKernels.insert(batch.microKernels.begin(), batch.microKernels.end());
  }
  llvm::SmallVector<char, 0> last, table;
  onThreads(1, machine, [&](MLIRContext &context, llvm::TargetMachine &generator) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
    Code code(*module, machine);
    for (const std::string &name : microKernels)
      defineMicroKernel(code, name);
    if (finish(*module, machine, generator, stage, last, message) && !text)
      buildTable(job, generator, table, message);
  });
  if (!message.empty())
    return fail(error, message);
  *blobCount = 0;
  if (text) {
    llvm::SmallVector<char, 0> all;
    for (Batch &batch : batches)
      all.append(batch.out.begin(), batch.out.end());
    all.append(last.begin(), last.end());
    appendBlob(blobs, *blobCount, all);
    return 0;
  }
  for (Batch &batch : batches)
    appendBlob(blobs, *blobCount, batch.out);
  appendBlob(blobs, *blobCount, last);
  appendBlob(blobs, *blobCount, table);
  return 0;
}

} // namespace kiln::cpu

extern "C" const kiln_compile_api *kiln_cpu_compile_api(void) {
  static const kiln_compile_api api = {sizeof(kiln_compile_api), KILN_BACKEND_API_VERSION, kiln::cpu::claim,
                                       kiln::cpu::compile};
  return &api;
}
