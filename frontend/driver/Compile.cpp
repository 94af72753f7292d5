// The stages of a compile, from the command line's options to objects.

#include "frontend/driver/Compile.h"

#include "backends/api/kiln_text.h"
#include "backends/host/Claimants.h"
#include "backends/host/Registry.h"
#include "frontend/driver/DataPaths.h"
#include "frontend/driver/Files.h"
#include "frontend/driver/ImageObject.h"
#include "frontend/driver/LibraryHeader.h"
#include "frontend/driver/StoredForms.h"
#include "frontend/language/Load.h"
#include "ir/Kiln.h"
#include "passes/Pipelines.h"
#include "runtime/program/StoredWeights.h"
#include "runtime/program/Weights.h"
#include "runtime/support/CacheFolder.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"

#include <cstdio>
#include <thread>
#include <unistd.h>

namespace kiln {

std::string headerPath(const std::string &library) {
  llvm::StringRef name = llvm::sys::path::stem(library);
  name.consume_front("lib");
  llvm::SmallString<256> path(library);
  llvm::sys::path::remove_filename(path);
  llvm::sys::path::append(path, name + ".h");
  return path.str().str();
}

std::vector<InputFile> inputsOf(const ModelOptions &options) {
  std::vector<InputFile> inputs = {{options.file, "the model that is compiled"},
                                   {options.weights, "the file of --weights"},
                                   {options.importance, "the file of --importance"}};
  for (const std::string &file : options.importedFiles)
    inputs.push_back({file, "part of the model"});
  const char *folder = std::getenv("KILN_DATA");
  for (const auto &[name, paths] : options.data)
    for (const std::string &path : std::vector<std::string>(absl::StrSplit(paths, ','))) {
      inputs.push_back({path, "what --data names"});
      if (folder && !path.starts_with("/"))
        inputs.push_back({absl::StrCat(folder, "/", path), "what --data names"});
    }
  return inputs;
}

Compilation::Compilation(Installation &installation, ModelOptions options)
    : installation_(installation), options_(std::move(options)) {
  if (options_.triple.empty())
    options_.triple = llvm::sys::getDefaultTargetTriple();
  if (options_.targetCpu.empty())
    options_.targetCpu = isThisMachine(options_.triple) ? "native" : "generic";
  if (options_.jobs == 0)
    options_.jobs = std::max(1u, std::thread::hardware_concurrency());
}

kiln_target Compilation::target() const {
  kiln_target target{};
  target.size = sizeof(target);
  target.triple = text(options_.triple);
  target.cpu = text(options_.targetCpu);
  target.device = text(options_.targetDevice);
  target.math = text(options_.math);
  target.jobs = options_.jobs;
  return target;
}

absl::Status Compilation::timed(const char *step, const std::function<absl::Status(PassTimes &times)> &work) {
  auto start = std::chrono::steady_clock::now();
  PassTimes times;
  absl::Status status = work(times);
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  steps_.push_back({step, seconds.count(), std::move(times)});
  return status;
}

absl::Status Compilation::writeStage(llvm::StringRef stage, mlir::ModuleOp module) {
  if (options_.saveStages.empty())
    return absl::OkStatus();
  if (std::error_code error = llvm::sys::fs::create_directories(options_.saveStages))
    return absl::UnavailableError(absl::StrCat("cannot create ", options_.saveStages, ": ", error.message()));
  std::string path = absl::StrFormat("%s/%02d-%s.mlir", options_.saveStages, stageCount_++, stage.str());
  if (absl::Status other = checkNotInput(path, inputsOf(options_), "--save-stages"); !other.ok())
    return other;
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (!error) {
    module->print(stream, mlir::OpPrintingFlags().elideLargeElementsAttrs(64));
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  if (error)
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", error.message()));
  return absl::OkStatus();
}

absl::Status Compilation::findBackends() {
  if (options_.backend.find(',') != std::string::npos && !llvm::sys::fs::exists(options_.backend))
    return absl::InvalidArgumentError(absl::StrCat("--backend ", options_.backend,
                                                   ": a program is built for one backend (the cpu takes what that one "
                                                   "refuses); `kiln bench` compares several"));
  std::vector<std::string> names = {options_.backend};
  if (options_.backend != "cpu")
    names.push_back("cpu");
  for (const std::string &name : names) {
    Part part;
    std::string why;
    part.target = target();
    if (!parts_.empty()) // the profile is the first one's
      part.target.device = {};
    part.backend = installation_.backends().find(name, why);
    if (!part.backend)
      return absl::InvalidArgumentError(why);
    if (!part.backend->canCompile())
      return absl::InvalidArgumentError(absl::StrCat("the backend ", part.backend->name(), " (", part.backend->origin(),
                                                     ") has no compile side: it only runs what others compiled"));
    if (parts_.empty() || parts_.front().backend != part.backend)
      parts_.push_back(std::move(part));
  }
  return absl::OkStatus();
}

absl::Status Compilation::readBackendOptions() {
  std::vector<const BackendTables *> tables;
  for (const Part &part : parts_)
    tables.push_back(&part.backend->tables());
  std::vector<std::vector<Setting>> settings;
  std::string why;
  if (!readSettings(options_.backendOptions, tables, settings, why))
    return absl::InvalidArgumentError(why);
  for (size_t i = 0; i < parts_.size(); ++i) {
    parts_[i].settings = SettingList(settings[i], KILN_OPTION_COMPILE);
    parts_[i].settings.giveTo(parts_[i].target);
    for (const Setting &setting : settings[i]) {
      std::string text = settingText(parts_[i].backend->name(), setting);
      if (setting.sides & KILN_OPTION_COMPILE)
        buildSettings_.push_back(text);
      if (setting.sides & KILN_OPTION_RUN)
        startOptions_.push_back(text);
      if (setting.sides == KILN_OPTION_RUN && !options_.startsProgram)
        return absl::InvalidArgumentError(absl::StrCat("--backend-option ", text,
                                                       ": this is set when a program starts, which nothing does here: "
                                                       "PROGRAM train --backend-option ",
                                                       text, ", say"));
    }
  }
  return absl::OkStatus();
}

absl::Status Compilation::openBackends() {
  if (!parts_.empty())
    return absl::OkStatus();
  absl::Status opened = findBackends();
  if (opened.ok())
    opened = readBackendOptions();
  for (Part &part : parts_)
    if (std::string why; opened.ok() && !part.backend->capabilities(part.target, part.capabilities, why))
      opened = absl::InvalidArgumentError(why);
  if (!opened.ok()) { // who asks again is told again
    parts_.clear();
    startOptions_.clear();
    buildSettings_.clear();
  }
  return opened;
}

/// A language's text; errors become diagnostics, and are rendered while what they point into is there.
absl::Status Compilation::loadText(bool openBatches) {
  LoadOptions load;
  load.symbolicBatch = options_.symbolicBatch || openBatches;
  load.shards = openBatches;
  load.everyModel = options_.everyModel;
  load.model = options_.model;
  load.set = options_.set;
  load.bounds = options_.bounds;
  load.entries = options_.entries;
  load.origins = options_.origins;
  Diagnostics found;
  module_ = options_.text ? loadModelText(*context_, *options_.text, options_.file, load, found)
                          : loadModel(*context_, options_.file, load, found);
  renderedText_ = found.render();
  diagnostics_ = driver::diagnosticsOf(found);
  if (found.hasErrors())
    return absl::InvalidArgumentError("");
  return module_ ? setDataPaths(*module_, options_.data) : absl::OkStatus();
}

absl::Status Compilation::load() {
  for (const std::string &path : {options_.text ? std::string() : options_.file, options_.weights})
    if (absl::Status input = checkInput(path); !input.ok())
      return input;
  if (absl::Status opened = openBackends(); !opened.ok())
    return opened;
  return timed("load", [&](PassTimes &) -> absl::Status {
    context_ = std::make_unique<mlir::MLIRContext>();
    context_->loadDialect<KilnDialect, mlir::func::FuncDialect>();
    context_->getDiagEngine().registerHandler([this](mlir::Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() != mlir::DiagnosticSeverity::Error)
        return;
      diagnostics_.push_back(driver::diagnosticOf(diagnostic));
      passErrors_ += (passErrors_.empty() ? "" : "\n") + host::errorText(diagnostic);
    });
    if (!llvm::StringRef(options_.file).ends_with(".mlir") || options_.shards)
      return options_.shards ? loadShards() : loadText();
    module_ = mlir::parseSourceFile<mlir::ModuleOp>(options_.file, context_.get());
    return module_ ? absl::OkStatus() : absl::InvalidArgumentError(passErrors_);
  });
}

absl::Status Compilation::runPasses(const std::string &until) {
  hadRecipe_ = (*module_)->hasAttr("kiln.train");
  if (options_.memoryBudget == 0 || !until.empty())
    return runStages("", until.empty() ? "fuse" : llvm::StringRef(until));
  if (absl::Status whole = runStages("", "narrow"); !whole.ok())
    return whole;
  wholeModule_ = mlir::OwningOpRef<mlir::ModuleOp>(module_->clone());
  return runStages("narrow", "fuse");
}

/// Those behind `after`, where it is not empty.
absl::Status Compilation::runStages(llvm::StringRef after, llvm::StringRef until) {
  return timed("passes", [&](PassTimes &times) -> absl::Status {
    absl::Status written;
    std::vector<host::Asked> asked;
    for (const Part &part : parts_)
      asked.push_back({part.backend.get(), part.target, part.capabilities});
    host::Answers answers(std::move(asked));
    host::GroupKernels kernels;
    host::BackendClaimants claimants(answers, kernels); // for composites that one of them takes whole
    PipelineOptions pipeline;
    if (options_.wholeComposites)
      pipeline.claimants = claimants.get();
    pipeline.after = after;
    pipeline.until = until;
    pipeline.compute = options_.compute;
    absl::StatusOr<StoredForms> forms = storedForms(options_);
    if (!forms.ok())
      return forms.status();
    pipeline.weightsAs = namesFile(options_.weightsAs) ? "" : options_.weightsAs;
    pipeline.observe = options_.observe;
    pipeline.blockRows = options_.blockRows;
    pipeline.storedForms = std::move(*forms);
    pipeline.verify = options_.verifyStages;
    pipeline.afterStage = [&](llvm::StringRef stage, mlir::ModuleOp module) {
      written.Update(writeStage(stage, module));
    };
    mlir::PassManager passes(context_.get());
    passes.enableVerifier(options_.verifyStages); // else once, of what all of them have made
    timePasses(passes, times);
    buildCompilePipeline(passes, pipeline);
    if (mlir::failed(passes.run(*module_)) || (!options_.verifyStages && mlir::failed(mlir::verify(*module_))))
      return absl::InvalidArgumentError(passErrors_);
    return written;
  });
}

/// Whether an entry is asked for that a recipe makes.
static bool namesTraining(const std::vector<std::string> &entries) {
  return llvm::any_of(entries, [](llvm::StringRef entry) {
    llvm::StringRef role = entry.split('.').first;
    return role == "train_step" || role == "eval" || role == "grad";
  });
}

bool Compilation::lostTraining() const { return hadRecipe_ && !(*module_)->hasAttr("kiln.train"); }

absl::Status Compilation::buildProgram(const host::BuildOptions &wanted) {
  return timed("plan", [&](PassTimes &times) -> absl::Status {
    host::BuildOptions build = wanted;
    build.redZones = options_.redZones;
    build.times = &times;
    build.verify = options_.verifyStages;
    build.diagnosed = [this](const mlir::Diagnostic &diagnostic) {
      diagnostics_.push_back(driver::diagnosticOf(diagnostic));
    };
    absl::Status written;
    if (!options_.saveStages.empty())
      build.afterStage = [&](llvm::StringRef stage, mlir::ModuleOp module) {
        written.Update(writeStage(stage, module));
      };
    std::vector<host::Target> targets;
    for (const Part &part : parts_)
      targets.push_back({part.backend.get(), part.target});
    absl::StatusOr<std::unique_ptr<host::OwnedProgram>> program = host::buildProgram(*module_, targets, build);
    if (program.status().code() == absl::StatusCode::kNotFound && lostTraining() && namesTraining(build.entries))
      return absl::NotFoundError(absl::StrCat(program.status().message(), " (--weights-as leaves out what trains it)"));
    if (!program.ok())
      return program.status();
    program_ = std::move(*program);
    if (llvm::StringRef(options_.file).ends_with(".mlir")) // what kiln itself writes of a text fits
      if (std::string why = manifestMisfit(program_->manifest()); !why.empty())
        return absl::InvalidArgumentError(absl::StrCat(options_.file, ": no program could start with this: ", why));
    if (absl::Status fit = checkWeights(); !fit.ok())
      return fit;
    return written;
  });
}

/// Whether the weights, stored as the program declares them, are its own.
absl::Status Compilation::checkWeights() {
  std::string why, given = options_.weights.empty() ? "" : "--weights: ";
  if (!options_.weightsAs.empty() && !options_.weights.empty() && !options_.weightSet)
    options_.weightSet = openWeights(options_.weights, why);
  if (options_.weightSet) {
    why = storedMisfit(Manifest::parse(program_->manifest()), *options_.weightSet);
  } else if (!options_.weights.empty() && why.empty()) {
    why = weightsMisfit(Manifest::parse(program_->manifest()), options_.weights);
  }
  return why.empty() ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrCat(given, why));
}

/// The weights that go into the program, in the types that it stores.
absl::Status Compilation::storeWeights() {
  if (!options_.weightSet || options_.weightsAs.empty())
    return absl::OkStatus();
  std::string why =
      storeSet(Manifest::parse(program_->manifest()), *options_.weightSet, options_.importance, storedErrors_);
  return why.empty() ? absl::OkStatus()
                     : absl::InvalidArgumentError(absl::StrCat(why.starts_with("--") ? "" : "--weights-as: ", why));
}

absl::Status Compilation::generate(const std::string &emit) {
  return timed("code", [&](PassTimes &) -> absl::Status {
    blobs_.clear();
    absl::Status status;
    const std::vector<uint32_t> &used = program_->usedBackends();
    // A stage is the first backend's; the others may not have it.
    for (uint32_t i = 0; i < (emit.empty() ? used.size() : 1) && status.ok(); ++i) {
      Part &part = parts_[used[i]];
      std::vector<host::Blob> made;
      std::string why;
      kiln_target target = part.target;
      target.emit = text(emit);
      std::string kept = options_.cache && emit.empty() ? cacheFolder() : "";
      if (!part.backend->compile(program_->programOf(i), target, made, why, kept))
        status = absl::InternalError(why);
      part.blobBegin = blobs_.size();
      std::move(made.begin(), made.end(), std::back_inserter(blobs_));
      part.blobEnd = blobs_.size();
    }
    return status;
  });
}

absl::Status Compilation::linkProgram(const std::string &output, bool ownPlugins) {
  ownPlugins_ = ownPlugins;
  return linkWith(LinkJob(), output);
}

absl::Status Compilation::linkLibrary(const std::string &output) {
  Manifest manifest = Manifest::parse(program_->manifest());
  std::string file = llvm::sys::path::filename(output).str();
  absl::StatusOr<std::string> header = libraryHeader(manifest, file);
  if (!header.ok())
    return header.status();
  LinkJob job;
  job.shared = true;
  job.exports = libraryExports(manifest.model);
  if (absl::Status linked = linkWith(std::move(job), output); !linked.ok())
    return linked;
  return writeFile(headerPath(output), *header);
}

/// What the program carries of each backend: its run side's archive, or, where it has none, a copy of its plugin beside
/// the program.
absl::Status Compilation::describeBackends(ImageParts &parts, LinkJob &job, const std::string &output) {
  for (uint32_t number : program_->usedBackends()) {
    const Part &part = parts_[number];
    ImageBackend &backend = parts.backends.emplace_back();
    backend.name = part.backend->name();
    for (size_t i = part.blobBegin; i < part.blobEnd; ++i) {
      const host::Blob &blob = blobs_[i];
      if (blob.kind == KILN_BLOB_BYTES)
        backend.artifact = llvm::StringRef(reinterpret_cast<const char *>(blob.bytes.data()), blob.bytes.size());
      else if (blob.kind == KILN_BLOB_OBJECT)
        backend.artifactSymbol = part.capabilities.artifactSymbol;
    }
    std::string archive =
        absl::StrCat(installation_.librariesFor(options_.triple), "/libkiln_", backend.name, "_run.a");
    if (llvm::sys::fs::exists(archive)) {
      job.archives.push_back(archive);
      continue;
    }
    if (!isThisMachine(options_.triple))
      return absl::InvalidArgumentError(
          absl::StrCat("the backend ", backend.name, " has no run side for ", job.target->triple, " (", archive,
                       " is not there): programs for other machines run on the cpu backend, whose run side "
                       "`./dev cross` makes in Kiln's source tree"));
    if (!part.backend->canRun())
      return absl::InvalidArgumentError(absl::StrCat("the backend ", backend.name, " (", part.backend->origin(),
                                                     ") has no run side: what it compiles can be looked at (--emit), "
                                                     "not run"));
    llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> plugin = llvm::MemoryBuffer::getFile(part.backend->origin());
    if (!plugin)
      return absl::NotFoundError(
          absl::StrCat("cannot read ", part.backend->origin(), ": ", plugin.getError().message()));
    llvm::StringRef bytes = (*plugin)->getBuffer();
    backend.plugin = llvm::sys::path::filename(part.backend->origin()).str();
    if (ownPlugins_)
      backend.plugin = absl::StrCat(llvm::sys::path::filename(output).str(), "-", backend.plugin);
    backend.artifactVersion = part.backend->tables().backend.artifact_version;
    backend.pluginDigest = llvm::SHA256::hash(llvm::ArrayRef(bytes.bytes_begin(), bytes.size()));
    llvm::SmallString<256> beside(output);
    llvm::sys::path::remove_filename(beside);
    llvm::sys::path::append(beside, backend.plugin);
    if (llvm::sys::fs::equivalent(llvm::Twine(part.backend->origin()), llvm::Twine(beside)))
      continue;
    if (absl::Status other = checkNotInput(beside.str().str(), inputsOf(options_)); !other.ok())
      return other;
    if (absl::Status own = checkOwn(beside.str().str(), KILN_BACKEND_SYMBOL, "plugin"); !own.ok())
      return own;
    if (!llvm::sys::fs::exists(beside))
      newFiles_.push_back(beside.str().str());
    if (absl::Status copied = writeFile(beside.str().str(), bytes.str()); !copied.ok())
      return copied;
  }
  return absl::OkStatus();
}

/// The bytes of the weights that go into the program; `file` and `header` hold what of them is nowhere else.
absl::Status Compilation::findWeights(LinkJob &job, std::unique_ptr<llvm::MemoryBuffer> &file, std::string &header) {
  auto add = [&](const TensorView &piece) {
    job.weights.push_back(piece);
    job.weightBytes += piece.bytes;
  };
  if (options_.weightSet) {
    header = safetensorsHeader(options_.weightSet->tensors.tensors(), options_.weightSet->metadata);
    add({"", KILN_U8, {}, reinterpret_cast<const uint8_t *>(header.data()), header.size()});
    llvm::for_each(options_.weightSet->tensors.tensors(), add);
  } else if (!options_.weights.empty()) {
    auto opened = llvm::MemoryBuffer::getFile(options_.weights, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!opened)
      return absl::NotFoundError(absl::StrCat("cannot read ", options_.weights, ": ", opened.getError().message()));
    file = std::move(*opened);
    const auto *bytes = reinterpret_cast<const uint8_t *>(file->getBufferStart());
    add({"", KILN_U8, {}, bytes, file->getBufferSize()});
  }
  return absl::OkStatus();
}

absl::Status Compilation::linkWith(LinkJob job, const std::string &output) {
  return timed("link", [&](PassTimes &) -> absl::Status {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    std::unique_ptr<llvm::MemoryBuffer> file;
    std::string header;
    if (absl::Status stored = storeWeights(); !stored.ok())
      return stored;
    if (absl::Status found = findWeights(job, file, header); !found.ok())
      return found;
    const kiln_program &program = program_->program();
    ImageParts parts;
    parts.manifest = program_->manifest();
    parts.constants = llvm::StringRef(reinterpret_cast<const char *>(program.constants), program.constant_bytes);
    parts.weightBytes = job.weightBytes;
    parts.triple = options_.triple;
    parts.tokenizer = options_.tokenizer;
    chooseParts(Manifest::parse(program_->manifest()), job.shared, parts);
    job.target = linkTargetOf(options_.triple);
    if (!job.target)
      return absl::InvalidArgumentError(
          absl::StrCat("programs are linked for Linux on x86-64 and 64-bit ARM (aarch64-linux-gnu), not for ",
                       options_.triple, "; the model's code alone comes with --emit object"));
    std::string libraries = installation_.librariesFor(options_.triple);
    if (!isThisMachine(options_.triple))
      job.sysroot = absl::StrCat(libraries, "/sysroot");
    job.archives = {absl::StrCat(libraries, "/libkiln_program.a")};
    if (absl::Status described = describeBackends(parts, job, output); !described.ok())
      return described;
    absl::StatusOr<llvm::SmallVector<char, 0>> image = imageObject(parts);
    if (!image.ok())
      return image.status();
    job.objects.push_back({reinterpret_cast<const uint8_t *>(image->data()), image->size()});
    for (const host::Blob &blob : blobs_)
      if (blob.kind == KILN_BLOB_OBJECT)
        job.objects.push_back({blob.bytes.data(), blob.bytes.size()});
    job.output = output;
    absl::Status linked = link(job);
    for (const std::string &file : newFiles_)
      if (!linked.ok())
        (void)llvm::sys::fs::remove(file); // the error to tell is the first one
    newFiles_.clear();
    return linked;
  });
}

std::string Compilation::timings() const {
  std::string text;
  double total = 0;
  for (const Step &step : steps_) {
    absl::StrAppendFormat(&text, "%8.1f ms  %s\n", step.seconds * 1e3, step.name);
    double rest = step.seconds;
    for (const auto &[pass, seconds] : step.passes) {
      absl::StrAppendFormat(&text, "    %8.1f ms  %s\n", seconds * 1e3, pass);
      rest -= seconds;
    }
    if (!step.passes.empty())
      absl::StrAppendFormat(&text, "    %8.1f ms  the rest: verifiers, tables\n", rest * 1e3);
    total += step.seconds;
  }
  absl::StrAppendFormat(&text, "%8.1f ms  in all\n", total * 1e3);
  return text;
}

bool Compilation::repeats() const {
  bool archives = true, deterministic = true;
  for (uint32_t number : program_->usedBackends()) {
    const Part &part = parts_[number];
    deterministic &= (part.capabilities.flags & KILN_BACKEND_DETERMINISTIC) != 0;
    archives &= llvm::sys::fs::exists(
        absl::StrCat(installation_.librariesFor(options_.triple), "/libkiln_", part.backend->name(), "_run.a"));
  }
  return archives && deterministic;
}

CompileResult compileModel(Installation &installation, const ModelOptions &options, const std::string &output) {
  Compilation compilation(installation, options);
  bool library = llvm::StringRef(output).ends_with(".so");
  absl::Status status = checkOutput(output);
  status.Update(checkNotInput(output, inputsOf(options)));
  if (std::string header = headerPath(output); library) {
    status.Update(checkOutput(header));
    status.Update(checkNotInput(header, inputsOf(options)));
    status.Update(checkOwn(header, kLibraryHeaderMark, "header"));
  }
  if (status.ok())
    status = compilation.load();
  if (status.ok())
    status = compilation.runPasses();
  if (status.ok())
    status = compilation.plan();
  if (status.ok())
    status = compilation.generate();
  if (status.ok())
    status = library ? compilation.linkLibrary(output) : compilation.linkProgram(output);
  CompileResult result{status.ok(), compilation.diagnostics()};
  if (!status.ok() && result.diagnostics.empty()) // what is not the model's: a backend, a path, the linker
    result.diagnostics.emplace_back().text = std::string(status.message());
  return result;
}

} // namespace kiln
