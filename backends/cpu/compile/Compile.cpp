// The compile side's table: a kernel read, merged, collapsed, built; batches compiled on the host's threads.

#include "backends/cpu/compile/Compile.h"
#include "backends/api/kiln_text.h"
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
  std::string form;
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
  const kiln_reader &reader;
  const kiln_program *program;
  const Machine &machine;
  Stage stage;
  std::vector<Compiled> compiled;
};

} // namespace

static std::string where(const Graph &graph, const std::string &error) { return "kernel " + graph.name + ": " + error; }

/// One kernel into a module.
static bool build(const kiln_reader &reader, const kiln_kernel *kernel, ModuleOp module, const Machine &machine,
                  Compiled &compiled, int64_t &scratch, std::string &error) {
  Graph graph;
  if (!Graph::read(reader, kernel, graph, error)) {
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
  compiled = {graph.name, builder.phaseCount, builder.workerScratchBytes, builder.form()};
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
    const kiln_kernel *kernel = job.reader.program_kernel(job.program, static_cast<uint32_t>(number));
    if (!build(job.reader, kernel, *module, job.machine, job.compiled[number], scratch, batch.error))
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
    kernels.push_back(llvm::ConstantStruct::get(
        kernelType, {string(compiled.name), table(phaseType, phases),
                     llvm::ConstantInt::get(i64, static_cast<uint64_t>(compiled.phases)),
                     llvm::ConstantInt::get(i64, static_cast<uint64_t>(compiled.workerScratch))}));
  }
  auto *artifact = llvm::ConstantStruct::getAnon(
      {llvm::ConstantInt::get(i32, KILN_CPU_ARTIFACT_VERSION), llvm::ConstantInt::get(i32, kernels.size()),
       table(kernelType, kernels), string(job.machine.triple), string(job.machine.cpu), string(job.machine.features)});
  new llvm::GlobalVariable(module, artifact->getType(), true, llvm::GlobalValue::ExternalLinkage, artifact,
                           "kiln_cpu_artifact");
  return generate(module, generator, /*assembly=*/false, out, error);
}

//===-- The ABI --------------------------------------------------------------------------------------------------===//

static bool readStage(const kiln_target &target, Stage &stage) {
  llvm::StringRef emit = view(target.emit);
  stage = emit == "mlir"   ? Stage::Mlir
          : emit == "llvm" ? Stage::Llvm
          : emit == "asm"  ? Stage::Assembly
                           : Stage::Artifact;
  return emit.empty() || emit == "object" || stage != Stage::Artifact;
}

static int32_t capabilities(const kiln_host *, const kiln_target *target, kiln_capabilities *out, kiln_error *error) {
  Machine machine;
  std::string message;
  if (!readTarget(*target, machine, message))
    return fail(error, KILN_ERROR_INVALID, message);
  llvm::StringRef device = view(target->device);
  if (!device.empty() && device != "portable" && device != "native")
    return fail(error, KILN_ERROR_INVALID,
                "the cpu backend has no device profile '" + device.str() + "'; --target-cpu names a processor");
  static constexpr llvm::StringLiteral symbol = "kiln_cpu_artifact";
  out->flags = KILN_BACKEND_HOST_MEMORY | KILN_BACKEND_DETERMINISTIC;
  out->alignment = 64;
  out->artifact_symbol = {symbol.data(), symbol.size()};
  return KILN_SUCCESS;
}

static int32_t claim(const kiln_host *host, const kiln_kernel *kernel, const kiln_target *target,
                     const kiln_answer *answer, kiln_error *error) {
  // Reading the target takes longer than most claims; hosts ask for many kernels in a row.
  thread_local std::string key, message;
  thread_local Machine machine;
  std::string wanted = toString(target->triple);
  wanted += '\n' + toString(target->cpu);
  if (key != wanted) {
    if (!readTarget(*target, machine, message))
      return fail(error, KILN_ERROR_INVALID, message);
    key = wanted;
  }
  // What is claimed is what is built: the same code, up to lowering.
  thread_local MLIRContext context(MLIRContext::Threading::DISABLED);
  loadDialects(context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  Compiled compiled;
  std::string reason;
  kiln_terms terms{};
  terms.size = sizeof terms;
  if (build(*host->reader, kernel, *module, machine, compiled, terms.scratch_bytes, reason)) {
    terms.form = text(compiled.form);
    answer->take(answer->self, nullptr, 0, &terms);
  } else {
    answer->refuse(answer->self, KILN_NONE, {reason.data(), reason.size()});
  }
  return KILN_SUCCESS;
}

/// The kernels' code, batch by batch, on as many threads as asked.
static bool compileKernels(Job &job, unsigned threads, std::vector<Batch> &batches, std::string &error) {
  for (size_t i = 0; i < job.compiled.size(); ++i)
    batches[i % batches.size()].kernels.push_back(i);
  std::atomic<size_t> next = 0;
  onThreads(std::min<unsigned>(threads, batches.size()), job.machine,
            [&](MLIRContext &context, llvm::TargetMachine &generator) {
              for (size_t i = next++; i < batches.size(); i = next++)
                compileBatch(job, batches[i], context, generator);
            });
  for (Batch &batch : batches)
    if (!batch.error.empty())
      return error = batch.error, false;
  return true;
}

/// What the kernels share: their micro-kernels, and the table of all of them.
static bool compileShared(Job &job, const std::vector<Batch> &batches, llvm::SmallVectorImpl<char> &shared,
                          llvm::SmallVectorImpl<char> &table, std::string &error) {
  std::set<std::string> microKernels;
  for (const Batch &batch : batches)
    microKernels.insert(batch.microKernels.begin(), batch.microKernels.end());
  onThreads(1, job.machine, [&](MLIRContext &context, llvm::TargetMachine &generator) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
    Code code(*module, job.machine);
    for (const std::string &name : microKernels)
      defineMicroKernel(code, name);
    if (finish(*module, job.machine, generator, job.stage, shared, error) && job.stage == Stage::Artifact)
      buildTable(job, generator, table, error);
  });
  return error.empty();
}

static int32_t compile(const kiln_host *host, const kiln_program *program, const kiln_target *target,
                       const kiln_sink *sink, kiln_error *error) {
  Machine machine;
  std::string message;
  Stage stage;
  if (!readStage(*target, stage))
    return fail(error, KILN_ERROR_INVALID,
                "the cpu backend has no stage '" + toString(target->emit) + "': mlir, llvm, asm or object");
  if (!readTarget(*target, machine, message))
    return fail(error, KILN_ERROR_INVALID, message);
  kiln_program_info info{};
  info.size = sizeof info;
  host->reader->program(program, &info);
  Job job{*host->reader, program, machine, stage, std::vector<Compiled>(info.kernel_count)};
  unsigned threads = std::max(1u, std::min(target->jobs, 64u));
  std::vector<Batch> batches(std::min<size_t>(std::max(info.kernel_count, 1u), threads * 4));
  llvm::SmallVector<char, 0> shared, table;
  if (!compileKernels(job, threads, batches, message) || !compileShared(job, batches, shared, table, message))
    return fail(error, KILN_ERROR_INTERNAL, message);
  auto give = [&](kiln_blob_kind kind, const llvm::SmallVectorImpl<char> &bytes) {
    sink->add(sink->self, kind, {nullptr, 0}, bytes.data(), bytes.size());
  };
  if (stage == Stage::Artifact) {
    for (Batch &batch : batches)
      give(KILN_BLOB_OBJECT, batch.out);
    give(KILN_BLOB_OBJECT, shared);
    give(KILN_BLOB_OBJECT, table);
    return KILN_SUCCESS;
  }
  llvm::SmallVector<char, 0> all;
  for (Batch &batch : batches)
    all.append(batch.out.begin(), batch.out.end());
  all.append(shared.begin(), shared.end());
  give(KILN_BLOB_TEXT, all);
  return KILN_SUCCESS;
}

} // namespace kiln::cpu

extern "C" const kiln_compile_api *kiln_cpu_compile_api(void) {
  static const kiln_compile_api api = {sizeof(kiln_compile_api), kiln::cpu::capabilities, kiln::cpu::claim,
                                       kiln::cpu::compile};
  return &api;
}
