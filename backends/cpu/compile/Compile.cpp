// The compile side's table: a kernel read, merged, collapsed, built; each different one compiled, on the host's
// threads.

#include "backends/cpu/compile/Compile.h"
#include "backends/api/kiln_text.h"
#include "backends/api/kiln_tree.h"
#include "backends/cpu/artifact.h"
#include "backends/cpu/compile/Kept.h"
#include "backends/cpu/compile/Lower.h"
#include "backends/cpu/compile/MicroKernel.h"
#include "backends/cpu/compile/Phases.h"
#include "backends/cpu/compile/Target.h"
#include "backends/sdk/Key.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include <atomic>
#include <thread>

using namespace mlir;

namespace kiln::cpu {
namespace {

enum class Stage { Artifact, Mlir, Llvm, Assembly };

/// What becomes one module: a kernel, however many of the program's are equal to it.
struct Unit {
  const kiln_kernel *kernel = nullptr;
  size_t size = 0; // its ops
  std::string digest;
  std::string symbol; // its functions are called after it; a hash of what the kernel is, so that equal ones are one
  Compiled compiled;
  bool found = false;                 // as it was kept
  llvm::SmallVector<uint8_t> lasting; // of its inputs (KernelBuilder)
  std::string error;
};

struct Job {
  const kiln_reader &reader;
  const Machine &machine;
  Stage stage;
  Kept kept;
  std::vector<Unit> units;
  std::vector<std::pair<std::string, size_t>> kernels; // the program's names, and their units
};

/// What is made once for a thread's modules.
class Worker {
public:
  explicit Worker(const Machine &machine) {
    std::string none; // the target has been looked at
    generator = createTargetMachine(machine, none);
  }

  std::unique_ptr<llvm::TargetMachine> generator;

  // On first use: where all is kept, nothing is lowered.
  MLIRContext &context() { return lowering().context; }
  const LoweringPatterns &patterns() { return *lowering().patterns; }

private:
  struct Lowering {
    MLIRContext context{MLIRContext::Threading::DISABLED};
    std::unique_ptr<LoweringPatterns> patterns;

    Lowering() {
      loadDialects(context);
      patterns = std::make_unique<LoweringPatterns>(context);
    }
  };
  Lowering &lowering() {
    if (!lowering_)
      lowering_ = std::make_unique<Lowering>();
    return *lowering_;
  }

  std::unique_ptr<Lowering> lowering_;
};

} // namespace

static std::string where(const Graph &graph, const std::string &error) { return "kernel " + graph.name + ": " + error; }

/// One kernel into a module. `symbol`: what its functions are called after; empty: its name.
static std::unique_ptr<KernelBuilder> build(Graph &graph, ModuleOp module, const Machine &machine,
                                            const std::string &symbol, llvm::ArrayRef<uint8_t> lasting,
                                            std::string &error) {
  mergeEqualOps(graph);
  collapseDimensions(graph);
  std::string name = graph.name;
  if (!symbol.empty())
    graph.name = symbol;
  auto builder = std::make_unique<KernelBuilder>(module, graph, machine, lasting);
  bool built = buildKernel(*builder);
  graph.name = name;
  if (!built) {
    error = where(graph, builder->error);
    return nullptr;
  }
  return builder;
}

/// A module of kernels to machine code or text, appended to `out`.
static bool finish(ModuleOp module, const Machine &machine, Worker &worker, Stage stage,
                   llvm::SmallVectorImpl<char> &out, std::string &error) {
  llvm::raw_svector_ostream text(out);
  if (stage == Stage::Mlir) {
    module.print(text);
    return true;
  }
  if (!lowerToLLVMDialect(module, worker.patterns(), error))
    return false;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> lowered = lowerToLLVM(module, context, machine, *worker.generator, error);
  if (!lowered)
    return false;
  if (stage == Stage::Llvm) {
    lowered->print(text, nullptr);
    return true;
  }
  return generate(*lowered, *worker.generator, stage == Stage::Assembly, out, error);
}

static void compileUnit(const Job &job, Unit &unit, Worker &worker) {
  Graph graph;
  if (!Graph::read(job.reader, unit.kernel, graph, unit.error)) {
    unit.error = where(graph, unit.error);
    return;
  }
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&worker.context()));
  std::unique_ptr<KernelBuilder> builder = build(graph, *module, job.machine, unit.symbol, unit.lasting, unit.error);
  if (!builder)
    return;
  Compiled &compiled = unit.compiled;
  compiled.phases = builder->phaseCount;
  compiled.workerScratch = builder->workerScratchBytes;
  compiled.prepacking = builder->prepacking.value_or(Prepacking());
  collectMicroKernels(*module, compiled.microKernels);
  if (finish(*module, job.machine, worker, job.stage, compiled.code, unit.error) && job.stage == Stage::Artifact)
    job.kept.keep(unit.digest, compiled);
}

/// Runs `work` on the given number of threads.
static void onThreads(size_t threads, const Machine &machine, llvm::function_ref<void(Worker &)> work) {
  auto run = [&] {
    Worker worker(machine);
    work(worker);
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i)
    others.emplace_back(run);
  run();
  for (std::thread &thread : others)
    thread.join();
}

//===-- The table ------------------------------------------------------------------------------------------------===//

/// A field of artifact.h: a number, or the target of a Distance, which is a pointer here.
using Row = llvm::SmallVector<llvm::Constant *>;

/// Constants laid out as artifact.h has its structs.
class Tables {
public:
  explicit Tables(llvm::Module &module) : module_(module), context_(module.getContext()) {}

  llvm::Constant *number(int64_t value) {
    return llvm::ConstantInt::get(llvm::Type::getInt64Ty(context_), value, true);
  }
  llvm::Constant *count(size_t value) { return llvm::ConstantInt::get(llvm::Type::getInt32Ty(context_), value); }
  llvm::Constant *null() { return llvm::ConstantPointerNull::get(llvm::PointerType::get(context_, 0)); }

  llvm::Constant *string(llvm::StringRef value) {
    auto *data = llvm::ConstantDataArray::getString(context_, value);
    return new llvm::GlobalVariable(module_, data->getType(), true, llvm::GlobalValue::PrivateLinkage, data);
  }

  /// Of another object.
  llvm::Constant *function(const std::string &name) {
    auto *type = llvm::FunctionType::get(llvm::Type::getVoidTy(context_), false);
    auto *declared = llvm::cast<llvm::Function>(module_.getOrInsertFunction(name, type).getCallee());
    declared->setVisibility(llvm::GlobalValue::HiddenVisibility);
    return declared;
  }

  /// Structs of the same fields one behind the other; null where there are none. Without a name they are private.
  llvm::Constant *rows(llvm::ArrayRef<Row> rows, const char *name = "") {
    if (rows.empty())
      return null();
    llvm::SmallVector<llvm::Type *> fields;
    for (llvm::Constant *field : rows.front())
      fields.push_back(field->getType()->isPointerTy() ? llvm::Type::getInt32Ty(context_) : field->getType());
    auto *type = llvm::StructType::get(context_, fields);
    auto *array = llvm::ArrayType::get(type, rows.size());
    auto *global = new llvm::GlobalVariable(
        module_, array, true, *name ? llvm::GlobalValue::ExternalLinkage : llvm::GlobalValue::PrivateLinkage,
        /*Initializer=*/nullptr, name);
    global->setDSOLocal(true); // no other takes its place
    llvm::SmallVector<llvm::Constant *> structs;
    for (size_t r = 0; r < rows.size(); ++r) {
      Row placed;
      for (size_t f = 0; f < rows[r].size(); ++f)
        placed.push_back(distance(rows[r][f], array, global, r, f));
      structs.push_back(llvm::ConstantStruct::get(type, placed));
    }
    global->setInitializer(llvm::ConstantArray::get(array, structs));
    return global;
  }

private:
  /// A pointer as a Distance in this field; what is none stays.
  llvm::Constant *distance(llvm::Constant *value, llvm::Type *array, llvm::Constant *global, size_t row, size_t field) {
    if (!value->getType()->isPointerTy())
      return value;
    if (value->isNullValue())
      return count(0);
    auto *i64 = llvm::Type::getInt64Ty(context_);
    auto *here = llvm::ConstantExpr::getInBoundsGetElementPtr(
        array, global, llvm::ArrayRef<llvm::Constant *>{count(0), count(row), count(field)});
    auto *bytes = llvm::ConstantExpr::getSub(llvm::ConstantExpr::getPtrToInt(value, i64),
                                             llvm::ConstantExpr::getPtrToInt(here, i64));
    return llvm::ConstantExpr::getTrunc(bytes, llvm::Type::getInt32Ty(context_));
  }

  llvm::Module &module_;
  llvm::LLVMContext &context_;
};

/// The object that defines kiln_cpu_artifact and names the functions of the others.
static bool buildTable(const Job &job, llvm::TargetMachine &generator, llvm::SmallVectorImpl<char> &out,
                       std::string &error) {
  llvm::LLVMContext context;
  llvm::Module module("kiln_cpu_artifact", context);
  module.setTargetTriple(generator.getTargetTriple().str());
  module.setDataLayout(generator.createDataLayout());
  Tables tables(module);
  auto phaseOf = [&](const std::string &symbol, int64_t i) -> Row {
    return {tables.function(KernelBuilder::phaseName(symbol, i)), tables.function(KernelBuilder::tasksName(symbol, i))};
  };
  auto packingOf = [&](const std::string &symbol, const Prepacking &packing) -> llvm::Constant * {
    if (packing.input < 0)
      return tables.null();
    Row row = phaseOf(symbol, packing.replaces < 0 ? KernelBuilder::prepackingPhase : packing.replaces);
    row.append({tables.number(packing.input), tables.number(packing.bytes), tables.number(packing.replaces),
                tables.string(packing.layout)});
    return tables.rows(row);
  };
  llvm::SmallVector<Row> kernels;
  for (const auto &[name, number] : job.kernels) {
    const std::string &symbol = job.units[number].symbol;
    const Compiled &compiled = job.units[number].compiled;
    llvm::SmallVector<Row> phases;
    for (int64_t i = 0; i < compiled.phases; ++i)
      phases.push_back(phaseOf(symbol, i));
    kernels.push_back({tables.string(name), tables.rows(phases), packingOf(symbol, compiled.prepacking),
                       tables.count(phases.size()), tables.number(compiled.workerScratch),
                       tables.number(static_cast<int64_t>(job.units[number].lasting.size()))});
  }
  Row artifact = {
      tables.count(KILN_CPU_ARTIFACT_VERSION), tables.count(kernels.size()),   tables.rows(kernels),
      tables.string(job.machine.triple),       tables.string(job.machine.cpu), tables.string(job.machine.features)};
  tables.rows(artifact, "kiln_cpu_artifact");
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
  wanted += '\n' + toString(target->cpu) + '\n' + toString(target->math);
  if (key != wanted) {
    if (!readTarget(*target, machine, message))
      return fail(error, KILN_ERROR_INVALID, message);
    key = wanted;
  }
  // What is claimed is what is built: the same code, up to lowering.
  thread_local MLIRContext context(MLIRContext::Threading::DISABLED);
  loadDialects(context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  std::string reason;
  Graph graph;
  kiln_terms terms{};
  terms.size = sizeof terms;
  std::unique_ptr<KernelBuilder> builder;
  if (Graph::read(*host->reader, kernel, graph, reason))
    builder = build(graph, *module, machine, "", {}, reason);
  else
    reason = where(graph, reason);
  if (builder) {
    std::string form = builder->form();
    terms.scratch_bytes = builder->scratchBytes;
    terms.form = text(form);
    answer->take(answer->self, nullptr, 0, &terms);
  } else {
    answer->refuse(answer->self, KILN_NONE, {reason.data(), reason.size()});
  }
  return KILN_SUCCESS;
}

/// What a kernel's functions are called after: the op that it is for, and the digest.
static std::string symbolOf(const kiln_reader &reader, const kiln_kernel *kernel, uint32_t ops,
                            const std::string &digest) {
  std::string title = "kernel";
  for (uint32_t i = 0; i < ops; ++i) {
    kiln_op op{};
    op.size = sizeof op;
    reader.op(kernel, i, &op);
    title = toString(op.name);
    if (sdk::OpClass kind = infoOf(sdk::opCode(title)).opClass;
        kind == sdk::OpClass::Contraction || kind == sdk::OpClass::Whole)
      break;
  }
  return title + "_" + digest.substr(0, 32);
}

/// Of a launch's place, in the outermost loop around it (null: none).
static uint8_t lastingOf(const kiln_reader &reader, const kiln_program *program, uint32_t entry,
                         llvm::ArrayRef<int64_t> inputCounts, const kiln_node *loop, const kiln_place &place) {
  uint8_t lasting = kiln_cpu_lasts(&reader, program, entry, &place) ? static_cast<uint8_t>(Lasting::Always) : 0;
  if (!loop || !kiln_cpu_lasts_in_loop(&reader, inputCounts.data(), loop, &place))
    return lasting;
  kiln_node_info info{};
  info.size = sizeof info;
  reader.node(loop, &info);
  if (info.count.value >= 8)
    lasting |= static_cast<uint8_t>(Lasting::InLoop);
  if (info.count.value >= 64)
    lasting |= static_cast<uint8_t>(Lasting::InLongLoop);
  return lasting;
}

/// Of each of the program's kernels the inputs that some launch reads from what stays as it is.
static std::vector<llvm::SmallVector<uint8_t>> lastingInputs(const kiln_reader &reader, const kiln_program *program,
                                                             const kiln_program_info &info) {
  struct Walk {
    const kiln_reader &reader;
    const kiln_program *program;
    uint32_t entry;
    const kiln_node *loop;            // the outermost one that was met
    std::vector<int64_t> inputCounts; // of the kernels
    std::vector<llvm::SmallVector<uint8_t>> lasting;
  } walk{reader, program, 0, nullptr, {}, std::vector<llvm::SmallVector<uint8_t>>(info.kernel_count)};
  for (uint32_t i = 0; i < info.kernel_count; ++i) {
    kiln_kernel_info kernel{};
    kernel.size = sizeof kernel;
    reader.kernel(reader.program_kernel(program, i), &kernel);
    walk.inputCounts.push_back(kernel.input_count);
    walk.lasting[i].resize(kernel.input_count);
  }
  auto visit = [](void *self, const kiln_node *at, const kiln_node_info *node, uint32_t loops) {
    auto &walk = *static_cast<Walk *>(self);
    if (node->kind == KILN_NODE_REPEAT && loops == 0)
      walk.loop = at;
    if (node->kind != KILN_NODE_LAUNCH)
      return;
    for (auto [i, lasting] : llvm::enumerate(walk.lasting[node->kernel]))
      lasting |= lastingOf(walk.reader, walk.program, walk.entry, walk.inputCounts, loops ? walk.loop : nullptr,
                           node->places[i]);
  };
  for (; walk.entry < info.entry_count; ++walk.entry) {
    kiln_entry_info entry{};
    entry.size = sizeof entry;
    reader.entry(program, walk.entry, &entry);
    kiln_walk_nodes(&reader, entry.root, 0, visit, &walk);
  }
  return walk.lasting;
}

/// The units of a program. Of an artifact each different kernel is one, with what lasts of any that are equal; what is
/// looked at (--emit) has all of them, by their names.
static void collectUnits(Job &job, const kiln_program *program, const kiln_program_info &info) {
  llvm::StringMap<size_t> known;
  std::vector<llvm::SmallVector<uint8_t>> lasting = lastingInputs(job.reader, program, info);
  bool artifact = job.stage == Stage::Artifact;
  for (uint32_t number = 0; number < info.kernel_count; ++number) {
    const kiln_kernel *kernel = job.reader.program_kernel(program, number);
    kiln_kernel_info about{};
    about.size = sizeof about;
    job.reader.kernel(kernel, &about);
    std::string key = artifact ? sdk::keyOf(job.reader, kernel) : std::to_string(number);
    auto [found, isNew] = known.try_emplace(key, job.units.size());
    job.kernels.emplace_back(toString(about.name), found->second);
    if (isNew) {
      Unit &unit = job.units.emplace_back();
      unit.kernel = kernel;
      unit.size = about.op_count;
      unit.digest = key;
    }
    llvm::SmallVector<uint8_t> &all = job.units[found->second].lasting;
    all.resize(std::max(all.size(), lasting[number].size()));
    for (size_t i = 0; i < lasting[number].size(); ++i)
      all[i] |= lasting[number][i];
  }
  for (Unit &unit : job.units) {
    if (!artifact)
      continue;
    for (uint8_t lasts : unit.lasting)
      unit.digest += static_cast<char>('0' + lasts);
    unit.digest = job.kept.digest(unit.digest);
    unit.symbol = symbolOf(job.reader, unit.kernel, static_cast<uint32_t>(unit.size), unit.digest);
    unit.found = job.kept.find(unit.digest, unit.compiled);
  }
}

/// The code of those that were not kept, on as many threads as asked, the largest first: no thread has one left when
/// the others are done.
static bool compileUnits(Job &job, unsigned threads, std::string &error) {
  std::vector<Unit *> todo;
  for (Unit &unit : job.units)
    if (!unit.found)
      todo.push_back(&unit);
  llvm::sort(todo, [](const Unit *a, const Unit *b) { return std::pair(b->size, a) < std::pair(a->size, b); });
  std::atomic<size_t> next = 0;
  if (!todo.empty())
    onThreads(std::min<size_t>(threads, todo.size()), job.machine, [&](Worker &worker) {
      for (size_t i = next++; i < todo.size(); i = next++)
        compileUnit(job, *todo[i], worker);
    });
  for (const Unit &unit : job.units)
    if (!unit.error.empty())
      return error = unit.error, false;
  return true;
}

/// What the kernels share: their micro-kernels, and the table of all of them.
static bool compileShared(const Job &job, llvm::SmallVector<char, 0> &shared, llvm::SmallVector<char, 0> &table,
                          std::string &error) {
  std::string content = "micro-kernels";
  std::set<std::string> names;
  for (const Unit &unit : job.units)
    names.insert(unit.compiled.microKernels.begin(), unit.compiled.microKernels.end());
  for (const std::string &name : names)
    content += " " + name;
  bool artifact = job.stage == Stage::Artifact;
  Compiled micro;
  std::string digest = job.kept.digest(content);
  bool found = artifact && job.kept.find(digest, micro);
  onThreads(1, job.machine, [&](Worker &worker) {
    if (!found) {
      OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&worker.context()));
      Code code(*module, job.machine);
      for (const std::string &name : names)
        defineMicroKernel(code, name);
      if (!finish(*module, job.machine, worker, job.stage, micro.code, error))
        return;
      if (artifact)
        job.kept.keep(digest, micro);
    }
    if (artifact)
      buildTable(job, *worker.generator, table, error);
  });
  shared = std::move(micro.code);
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
  Job job{*host->reader, machine, stage, Kept(*host, machine), {}, {}};
  collectUnits(job, program, info);
  llvm::SmallVector<char, 0> shared, table;
  if (!compileUnits(job, std::clamp(target->jobs, 1u, 64u), message) || !compileShared(job, shared, table, message))
    return fail(error, KILN_ERROR_INTERNAL, message);
  auto give = [&](kiln_blob_kind kind, const llvm::SmallVectorImpl<char> &bytes) {
    sink->add(sink->self, kind, {nullptr, 0}, bytes.data(), bytes.size());
  };
  if (stage == Stage::Artifact) {
    for (const Unit &unit : job.units)
      give(KILN_BLOB_OBJECT, unit.compiled.code);
    give(KILN_BLOB_OBJECT, shared);
    give(KILN_BLOB_OBJECT, table);
    return KILN_SUCCESS;
  }
  llvm::SmallVector<char, 0> all;
  for (const Unit &unit : job.units)
    all.append(unit.compiled.code.begin(), unit.compiled.code.end());
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
