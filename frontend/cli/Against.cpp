// kiln check --against: the model on two backends, kernel by kernel or op by op.
#include "frontend/cli/Against.h"
#include "backends/api/kiln_text.h"
#include "frontend/cli/Commands.h"
#include "frontend/cli/Installed.h"
#include "frontend/driver/Link.h"
#include "passes/Claim/Loops.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Fuse/Fuse.h"
#include "runtime/backend/Tree.h"

#include "absl/strings/str_cat.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/TargetParser/Host.h"

#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>
#include <thread>

namespace kiln {

namespace {

/// Primitives, every op its own kernel, so that what differs has a name and both backends launch the same.
absl::Status singleOps(mlir::ModuleOp module) {
  mlir::PassManager passes(module.getContext());
  passes.addPass(createDecompose()); // attention too
  if (mlir::failed(passes.run(module)))
    return absl::InternalError("the model's composites cannot be decomposed");
  for (auto function : module.getOps<mlir::func::FuncOp>())
    if (function.walk(claim::keepApart);
        !function.isPrivate() && mlir::failed(fuseFunction(function, FuseLevel::single)))
      return absl::InternalError("the model's ops cannot be taken one by one");
  return absl::OkStatus();
}

/// Objects linked to a library that is gone when this is.
class TemporaryLibrary {
public:
  ~TemporaryLibrary() {
    if (!path_.empty())
      (void)llvm::sys::fs::remove(path_);
  }
  absl::Status make(const std::vector<host::Blob> &blobs) {
    llvm::SmallString<128> path;
    if (std::error_code error = llvm::sys::fs::createTemporaryFile("kiln-check", "so", path))
      return absl::UnavailableError(absl::StrCat("no temporary file: ", error.message()));
    path_ = path.str().str();
    LinkJob job;
    job.shared = true;
    job.output = path_;
    for (const host::Blob &blob : blobs)
      job.objects.push_back({blob.bytes.data(), blob.bytes.size()});
    return link(job);
  }
  const std::string &path() const { return path_; }

private:
  std::string path_;
};

/// The manifest of the same program, all of whose kernels are one backend's.
std::string onOneBackend(const std::string &manifest, const std::string &backend) {
  nlohmann::json program = nlohmann::json::parse(manifest);
  program["backends"] = {backend};
  program.erase("backend_options"); // the other one's
  for (nlohmann::json &kernel : program["kernels"])
    kernel.erase("backend");
  return program.dump();
}

/// One of the two: the backend that was named and, for what it refuses, the cpu, as `kiln build` has them.
class Side {
public:
  absl::Status open(const std::string &name, const ModelOptions &options) {
    cpu_ = options.targetCpu;
    math_ = options.math;
    for (const std::string &one :
         name == "cpu" ? std::vector<std::string>{name} : std::vector<std::string>{name, "cpu"}) {
      std::string why;
      Open &opened = backends_.emplace_back();
      opened.backend = installed().backends().find(one, why);
      if (!opened.backend)
        return absl::InvalidArgumentError(why);
      if (!opened.backend->canCompile() || !opened.backend->canRun())
        return absl::InvalidArgumentError(absl::StrCat("the backend ", one, " does not both compile and run"));
      opened.profile = installed().profileOf(one, options);
    }
    return absl::OkStatus();
  }
  void addTables(std::vector<const BackendTables *> &tables) const {
    for (const Open &opened : backends_)
      if (!llvm::is_contained(tables, &opened.backend->tables()))
        tables.push_back(&opened.backend->tables());
  }
  /// Of each of these backends what was set of its options.
  absl::Status set(const std::vector<const BackendTables *> &tables,
                   const std::vector<std::vector<Setting>> &settings) {
    for (Open &opened : backends_) {
      size_t number = static_cast<size_t>(llvm::find(tables, &opened.backend->tables()) - tables.begin());
      opened.settings = SettingList(settings[number], KILN_OPTION_COMPILE);
      for (const Setting &setting : settings[number]) {
        options_.push_back(settingText(opened.backend->name(), setting));
        if (setting.sides & KILN_OPTION_RUN)
          opened.startOptions.push_back(options_.back());
      }
      if (std::string why; !opened.backend->capabilities(target(opened), opened.capabilities, why))
        return absl::InvalidArgumentError(why);
    }
    return absl::OkStatus();
  }
  /// What a compile for this side is given.
  const std::vector<std::string> &options() const { return options_; }
  const std::string &name() const { return backends_.front().backend->name(); }
  bool hasProfile() const { return !backends_.front().profile.empty(); }

  bool namesComposites() const {
    return llvm::any_of(backends_, [](const Open &opened) { return !opened.capabilities.composites.empty(); });
  }

  std::vector<host::Target> targets() const {
    std::vector<host::Target> list;
    for (const Open &opened : backends_)
      list.push_back({opened.backend.get(), target(opened)});
    return list;
  }

  /// Each kernel's scratch on the backend that was named; false with a sentence where it does not take one of them as
  /// it is.
  bool scratchOf(const kiln_program &program, std::vector<int64_t> &scratch, std::string &why) const {
    for (size_t k = 0; k < program.kernel_count; ++k) {
      const kiln_kernel &kernel = program.kernels[k];
      host::Answer answer;
      if (!backends_.front().backend->claim(kernel, target(backends_.front()), answer, why))
        return false;
      if (!answer.whole(kernel.op_count)) {
        why = absl::StrCat(name(), " does not take kernel ", toString(kernel.name), " as it is");
        return false;
      }
      scratch.push_back(answer.parts.front().scratchBytes);
    }
    return true;
  }

  /// The program's kernels compiled, each for its backend, with its manifest and its plan.
  absl::Status compile(const host::OwnedProgram &program, InStepProgram &out) {
    describe(program, out);
    const std::vector<uint32_t> &used = program.usedBackends();
    for (uint32_t i = 0; i < used.size(); ++i)
      if (absl::Status status = compileFor(backends_[used[i]], program.programOf(i), out); !status.ok())
        return status;
    return absl::OkStatus();
  }
  /// All of them for the backend that was named, whoever the program has them on.
  absl::Status compileAlone(const host::OwnedProgram &program, InStepProgram &out) {
    describe(program, out);
    out.manifest = onOneBackend(out.manifest, name());
    return compileFor(backends_.front(), program.program(), out);
  }

private:
  struct Open {
    std::shared_ptr<host::Backend> backend;
    std::string profile;
    SettingList settings;
    std::vector<std::string> startOptions;
    host::Capabilities capabilities;
  };

  kiln_target target(const Open &opened) const {
    kiln_target target{};
    target.size = sizeof target;
    target.triple = text(triple_);
    target.cpu = text(cpu_);
    target.device = text(opened.profile);
    target.math = text(math_);
    target.jobs = std::max(1u, std::thread::hardware_concurrency());
    opened.settings.giveTo(target);
    return target;
  }

  static void describe(const host::OwnedProgram &program, InStepProgram &out) {
    const kiln_program &plan = program.program();
    out.manifest = program.manifest();
    out.constants.assign(plan.constants, plan.constants + plan.constant_bytes);
  }

  absl::Status compileFor(const Open &opened, const kiln_program &program, InStepProgram &out) {
    std::string why;
    std::vector<host::Blob> blobs;
    if (!opened.backend->compile(program, target(opened), blobs, why))
      return absl::InternalError(why);
    InStepProgram::Backend &made = out.backends.emplace_back();
    made.name = opened.backend->name();
    out.startOptions.insert(out.startOptions.end(), opened.startOptions.begin(), opened.startOptions.end());
    made.function = opened.backend->function();
    for (host::Blob &blob : blobs)
      if (blob.kind == KILN_BLOB_BYTES)
        made.artifact = std::move(blob.bytes);
    if (!made.artifact.empty())
      return absl::OkStatus();
    made.symbol = opened.capabilities.artifactSymbol;
    TemporaryLibrary &library = libraries_.emplace_back();
    if (absl::Status linked = library.make(blobs); !linked.ok())
      return linked;
    made.library = library.path();
    return absl::OkStatus();
  }

  std::string triple_ = llvm::sys::getDefaultTargetTriple(), cpu_, math_;
  std::vector<Open> backends_;
  std::vector<std::string> options_;
  std::deque<TemporaryLibrary> libraries_;
};

/// The two programs.
struct Pair {
  Side one, other;
  InStepProgram a, b;
  std::string notAsBuilt; ///< why the program is taken apart; empty where it runs as it is built
};

host::BuildOptions trainingStep(mlir::ModuleOp module, const ModelOptions &options) {
  host::BuildOptions build;
  build.describeInputs = true;
  build.verify = options.verifyStages;
  if (module.lookupSymbol("train_step"))
    build.entries = {"train_step"};
  return build;
}

/// Whether a branch or a `while` stands in the tree: it runs as a whole, with the scratch that the plan has for it.
bool holdsControl(const kiln_node &node) {
  return !forEachNode(node, [](const kiln_node &one) { return !traitsOf(one).tests; });
}

/// The program as `kiln build` makes it, every kernel and its places in memory; the same on the other backend.
absl::Status pairAsBuilt(ModelOptions options, Pair &pair) {
  options.backendOptions = pair.one.options();
  options.startsProgram = true;
  Compilation compilation(installed(), options);
  absl::Status status = loadPrinting(compilation);
  if (status.ok())
    status = compilation.runPasses();
  if (status.ok())
    status = compilation.plan(trainingStep(compilation.module(), options));
  if (!status.ok())
    return status;
  const host::OwnedProgram &program = compilation.program();
  const kiln_program &plan = program.program();
  // Those of a program on several backends have the scratch that they were planned with.
  bool single = program.onFirstAlone();
  bool fits = (!single || pair.one.scratchOf(plan, pair.a.scratch, pair.notAsBuilt)) &&
              pair.other.scratchOf(plan, pair.b.scratch, pair.notAsBuilt);
  for (size_t k = 0; fits && k < plan.kernel_count; ++k)
    for (size_t e = 0; e < plan.entry_count && (!single || pair.b.scratch[k] > pair.a.scratch[k]); ++e)
      if (pair.b.scratch[k] && holdsControl(plan.entries[e].root)) {
        pair.notAsBuilt = absl::StrCat(pair.other.name(), " needs more scratch within a branch");
        fits = false;
        break;
      }
  if (!fits)
    return absl::OkStatus();
  status = pair.one.compile(program, pair.a);
  return status.ok() ? pair.other.compileAlone(program, pair.b) : status;
}

/// Every op its own kernel, each side with a plan of its own; what a backend refuses is the cpu's.
absl::Status pairOfSingleOps(const ModelOptions &options, Pair &pair) {
  ModelOptions plain = options; // the module is the same for every device
  plain.backendOptions.clear();
  plain.targetDevice = pair.other.hasProfile() ? options.targetDevice : "";
  plain.wholeComposites = false; // nor for every backend: what one takes whole has no single launch on the other
  for (const Side *side : {&pair.one, &pair.other})
    if (side->namesComposites())
      absl::StrAppend(&pair.notAsBuilt, "; ", side->name(),
                      "'s whole composites are decomposed here, and judged by `kiln conform --model`");
  Compilation compilation(installed(), plain);
  absl::Status status = loadPrinting(compilation);
  if (status.ok())
    status = compilation.runPasses("rematerialize");
  if (status.ok())
    status = singleOps(compilation.module());
  auto compile = [&](Side &side, InStepProgram &out) -> absl::Status {
    out = {};
    mlir::OwningOpRef<mlir::ModuleOp> copy = compilation.module().clone();
    absl::StatusOr<std::unique_ptr<host::OwnedProgram>> program =
        host::buildProgram(*copy, side.targets(), trainingStep(compilation.module(), options));
    return program.ok() ? side.compile(**program, out) : program.status();
  };
  if (status.ok())
    status = compile(pair.one, pair.a);
  return status.ok() ? compile(pair.other, pair.b) : status;
}

/// " (412 of them on cpu, 11 on minimal)", where launches are on more than one backend.
std::string sharesOf(const std::map<std::string, int64_t> &launches, const char *preposition) {
  if (launches.size() < 2)
    return "";
  std::string text;
  for (const auto &[backend, count] : launches)
    absl::StrAppend(&text, text.empty() ? " (" : ", ", count, text.empty() ? " of them " : " ", preposition, " ",
                    backend);
  return text + ")";
}

} // namespace

/// Of all backends that are at work on either side.
static absl::Status setOptions(const ModelOptions &options, Pair &pair) {
  std::vector<const BackendTables *> tables;
  pair.one.addTables(tables);
  pair.other.addTables(tables);
  std::vector<std::vector<Setting>> settings;
  std::string why;
  if (!readSettings(options.backendOptions, tables, settings, why))
    return absl::InvalidArgumentError(why);
  absl::Status set = pair.one.set(tables, settings);
  return set.ok() ? pair.other.set(tables, settings) : set;
}

absl::StatusOr<Comparison> compareBackends(const ModelOptions &options, const std::string &against, uint32_t seed) {
  Pair pair;
  absl::Status status = pair.one.open(options.backend, options);
  if (status.ok())
    status = pair.other.open(against, options);
  if (status.ok())
    status = setOptions(options, pair);
  if (status.ok())
    status = pairAsBuilt(options, pair);
  if (status.ok() && !pair.notAsBuilt.empty())
    status = pairOfSingleOps(options, pair);
  if (!status.ok())
    return status;
  Comparison found{
      pair.one.name(), pair.other.name(), {}, pair.notAsBuilt, pair.notAsBuilt.empty() && pair.a.backends.size() == 1};
  found.steps = runInStep(pair.a, pair.b, std::max(1u, std::thread::hardware_concurrency()), seed);
  if (!found.steps.error.empty())
    return absl::InternalError(found.steps.error);
  return found;
}

int commandAgainst(const ModelOptions &options, const CheckOptions &check) {
  absl::StatusOr<Comparison> found = compareBackends(options, check.against, check.seed);
  if (!found.ok())
    return report(found.status());
  const InStepResult &steps = found->steps;
  std::printf("%s: '%s' on %s and %s, %s, with %s\n", options.file.c_str(), steps.entry.c_str(), found->a.c_str(),
              found->b.c_str(),
              found->watched              ? "kernel by kernel in the program's own memory"
              : found->notAsBuilt.empty() ? "kernel by kernel"
                                          : absl::StrCat("op by op (", found->notAsBuilt, ")").c_str(),
              steps.realData ? "the recipe's first batch" : "made-up inputs (the recipe's data is not there)");
  std::fflush(stdout);
  if (!steps.parting.empty())
    return report(absl::InternalError(absl::StrCat("the results part at ", steps.parting)));
  std::printf("all %lld launches%s agree%s%s\n", static_cast<long long>(steps.launches.all),
              sharesOf(steps.launches.on, "on").c_str(), sharesOf(steps.launches.against, "judged by").c_str(),
              found->watched ? ", and none wrote beside its results" : "");
  return 0;
}

} // namespace kiln
