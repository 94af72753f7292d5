// The commands that build, explain and list.

#include "frontend/cli/Commands.h"

#include "backends/sdk/Store.h"
#include "frontend/cli/Cache.h"
#include "frontend/cli/Claims.h"
#include "frontend/cli/FitSizes.h"
#include "frontend/cli/Installed.h"
#include "frontend/cli/Roofline.h"
#include "frontend/driver/Files.h"
#include "frontend/driver/LibraryHeader.h"
#include "runtime/files/File.h"
#include "runtime/program/Image.h"
#include "runtime/support/CacheFolder.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <unistd.h>

namespace kiln {

int report(const absl::Status &status) {
  if (status.ok())
    return 0;
  if (!status.message().empty())
    std::fprintf(stderr, "kiln: error: %s\n", std::string(status.message()).c_str());
  return 1;
}

namespace {

/// Writes what the backend left at a stage: to a file where one is named, else to standard output.
absl::Status writeBlobs(const Compilation &compilation, const std::string &output) {
  std::string bytes;
  for (const host::Blob &blob : compilation.blobs())
    bytes.append(blob.bytes.begin(), blob.bytes.end());
  if (!output.empty())
    return writeFile(output, bytes);
  llvm::raw_fd_ostream stream(STDOUT_FILENO, /*shouldClose=*/false);
  stream << bytes;
  stream.flush();
  std::error_code error = stream.error();
  stream.clear_error();
  return error ? absl::UnavailableError(absl::StrCat("cannot write standard output: ", error.message()))
               : absl::OkStatus();
}

/// Before the work whose result it is to hold. What nobody named is replaced only where kiln wrote it.
absl::Status checkBuildOutput(const ModelOptions &options, const EmitOptions &emit, const std::string &output) {
  absl::Status status = checkOutput(output);
  if (status.ok())
    status = checkNotInput(output, inputsOf(options));
  if (status.ok() && emit.output.empty() && !output.empty())
    status = checkOwn(output, KILN_PROGRAM_MARK, emit.kind == "shared" ? "library" : "program");
  if (!status.ok() || emit.kind != "shared")
    return status;
  std::string header = headerPath(output);
  if (header == output)
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot write ", output, ": its header would have the same name; name the library otherwise with -o"));
  for (const auto &check :
       {checkOutput(header), checkNotInput(header, inputsOf(options)), checkOwn(header, kLibraryHeaderMark, "header")})
    status.Update(check);
  return status;
}

/// The programs that builds have made, for those that want the same again: whoever has one file, without weights.
class BuiltPrograms {
public:
  BuiltPrograms(const ModelOptions &options, const EmitOptions &emit, Compilation &compilation) {
    bool wanted = options.cache && emit.kind == "exe" && options.weights.empty() && !options.weightSet &&
                  options.saveStages.empty() && !options.verifyStages && !linkMap();
    if (!wanted || (!options.backendOptions.empty() && !compilation.openBackends().ok()))
      return; // the build tells what is wrong
    if (absl::StatusOr<std::string> found = programKey(options, compilation.buildSettings()); found.ok())
      key = *found;
  }

  /// Writes the one that was kept, if there is one. Where that fails, building it anew tells what is wrong.
  bool take(const std::string &output) const {
    std::string bytes;
    return !key.empty() && store.find(key, bytes) && writeFile(output, bytes, 0777).ok();
  }

  void keep(const std::string &output) const {
    auto file = llvm::MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!key.empty() && file)
      store.keep(key, (*file)->getBuffer());
  }

private:
  std::string key; // empty: there is nothing to take or to keep
  sdk::Store store = sdk::Store(cacheFolder().empty() ? "" : cacheFolder() + "/programs");
};

/// How far the matrices are that were put into blocks: each with its own line where there are few, else the farthest.
void reportStored(std::vector<StoredError> stored) {
  if (stored.empty())
    return;
  llvm::sort(stored, [](const StoredError &a, const StoredError &b) {
    return std::tie(b.relative, a.name) < std::tie(a.relative, b.name);
  });
  double sum = 0;
  for (const StoredError &each : stored)
    sum += each.relative;
  std::string weighed;
  if (auto by = llvm::count_if(stored, [](const StoredError &each) { return each.byImportance; }))
    weighed = absl::StrCat(", ", by, " of them by importance");
  std::printf(
      "%zu %s stored in blocks%s; root of the mean squared error, over that of the elements: %.3g%% on average\n",
      stored.size(), stored.size() == 1 ? "matrix is" : "matrices are", weighed.c_str(),
      100 * sum / static_cast<double>(stored.size()));
  constexpr size_t most = 8;
  for (size_t i = 0; i < std::min(stored.size(), most); ++i)
    std::printf("  %.3g%%  %s\n", 100 * stored[i].relative, stored[i].name.c_str());
  if (stored.size() > most)
    std::printf("  %.3g%% and less: %zu others\n", 100 * stored[most].relative, stored.size() - most);
}

} // namespace

/// As many words, characters or classes as the data have that are built for, or the weights.
static absl::Status fitToBuild(ModelOptions &options) {
  std::vector<std::string> data, weights;
  for (const auto &[name, path] : options.data)
    data.push_back(absl::StrCat(name, "=", path));
  if (!options.weights.empty())
    weights.push_back(options.weights);
  return data.empty() && weights.empty() ? absl::OkStatus() : fitSizes(options, data, weights, /*fixed=*/true);
}

int commandBuild(const ModelOptions &asked, const EmitOptions &emit) {
  std::string output = emit.output;
  bool library = emit.kind == "shared", program = emit.kind == "exe";
  if (output.empty() && (program || library))
    output = llvm::sys::path::stem(asked.file).str();
  if (emit.output.empty() && library)
    output = absl::StrCat("lib", output, ".so");
  if (absl::Status writable = checkBuildOutput(asked, emit, output); !writable.ok())
    return report(writable);
  ModelOptions options = asked;
  if (absl::Status fitted = fitToBuild(options); !fitted.ok())
    return report(fitted);
  Compilation compilation(installed(), options);
  BuiltPrograms built(options, emit, compilation);
  if (built.take(output)) {
    if (options.timePasses)
      std::fputs("the program is as it was built before, from the cache (--no-cache builds it anew)\n", stderr);
    return 0;
  }
  absl::Status status = compileAll(compilation, program || library ? "" : emit.kind);
  if (status.ok())
    status = program   ? compilation.linkProgram(output)
             : library ? compilation.linkLibrary(output)
                       : writeBlobs(compilation, output);
  bool unused = status.ok() && compilation.program().usedBackends().front() != 0;
  if (unused)
    std::fprintf(stderr,
                 "kiln: note: the backend %s takes none of the model's kernels, and the program does without it; `kiln "
                 "explain --placement` says why\n",
                 compilation.backend().c_str());
  // What is said of a build is said of each.
  if (status.ok() && program && !unused && compilation.renderedText().empty() && compilation.repeats())
    built.keep(output);
  if (status.ok())
    reportStored(compilation.storedErrors());
  if (options.timePasses)
    std::fputs(compilation.timings().c_str(), stderr);
  return report(status);
}

/// The program in the cache, built where it is not there. `result`: its path, and what it is to be started with, each
/// behind the one before and a zero.
static int buildIntoCache(const ModelOptions &options, std::string &result) {
  Compilation compilation(installed(), options);
  if (!options.backendOptions.empty()) // of which some make another program
    if (absl::Status opened = compilation.openBackends(); !opened.ok())
      return report(opened);
  absl::StatusOr<std::string> path = cachePath(options, compilation.buildSettings());
  if (!path.ok())
    return report(path.status());
  CacheEntry entry(*path);
  if (!options.cache || !entry.intact()) {
    entry.open();
    absl::Status status = compileAll(compilation);
    if (status.ok())
      status = compilation.linkProgram(*path, /*ownPlugins=*/true);
    if (status.ok())
      status = entry.seal();
    if (options.timePasses)
      std::fputs(compilation.timings().c_str(), stderr);
    if (!status.ok())
      return report(status);
  }
  result = *path;
  for (const std::string &option : compilation.startOptions())
    result += '\0' + option;
  return 0;
}

absl::Status tellFolders(const ModelOptions &options) {
  std::vector<std::string> files = {options.file}, folders;
  files.insert(files.end(), options.importedFiles.begin(), options.importedFiles.end());
  for (const std::string &file : files) {
    llvm::SmallString<256> folder(file);
    if (std::error_code error = llvm::sys::fs::make_absolute(folder))
      return absl::UnavailableError(absl::StrCat("cannot find the folder of ", file, ": ", error.message()));
    llvm::sys::path::remove_filename(folder);
    if (!llvm::is_contained(folders, folder.str()))
      folders.push_back(folder.str().str());
  }
  setenv("KILN_MODEL_DIR", absl::StrJoin(folders, ":").c_str(), 1);
  setenv("KILN_MODEL_FILE", options.file.c_str(), 1); // which the program does not write over
  return absl::OkStatus();
}

int commandProgram(const ModelOptions &options, const std::string &command, const std::vector<std::string> &arguments,
                   const ApartOptions &apartness) {
  if (!options.triple.empty() && !isThisMachine(options.triple))
    return report(absl::InvalidArgumentError(
        absl::StrCat("--target ", options.triple,
                     ": such a program does not run here; `kiln build` writes it, for a machine on which it does")));
  std::string built;
  auto build = [&](std::string &result) {
    ModelOptions starting = options;
    starting.startsProgram = true;
    fitSizesTo(command, arguments, starting);
    return buildIntoCache(starting, result);
  };
  if (int code = apart(apartness, {options.backend}, build, &built))
    return code;
  std::vector<std::string> results = absl::StrSplit(built, '\0');
  const std::string &path = results.front();
  std::vector<char *> argv = {const_cast<char *>(path.c_str()), const_cast<char *>(command.c_str())};
  for (size_t i = 1; i < results.size(); ++i)
    argv.insert(argv.end(), {const_cast<char *>("--backend-option"), results[i].data()});
  for (const std::string &argument : arguments)
    argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  if (absl::Status told = tellFolders(options); !told.ok())
    return report(told);
  execv(path.c_str(), argv.data());
  return report(absl::UnavailableError(absl::StrCat("cannot start ", path, ": ", std::strerror(errno))));
}

/// Whether it is this machine's processor that the program is for, whose limits can be measured.
static bool runsHere(const ModelOptions &options) {
  return options.backend == "cpu" && options.triple.empty() &&
         (options.targetCpu.empty() || options.targetCpu == "native");
}

int commandExplain(const ModelOptions &options, const ExplainOptions &explain) {
  Compilation compilation(installed(), options);
  bool all = !explain.memory && !explain.fusion && !explain.placement;
  if (explain.profile && !explain.fusion && !all)
    return report(absl::InvalidArgumentError(
        "--profile has times of kernels, which stand in what --fusion tells: give that, too"));
  if (absl::Status status = compileToPlan(compilation); !status.ok()) {
    if (explain.memory || all)
      std::fputs(compilation.explainBudget().c_str(), stdout); // what was tried for a budget that cannot be kept
    return report(status);
  }
  const kiln_program &program = compilation.program().program();
  if (explain.fusion || all) {
    std::map<std::string, MeasuredKernel> measured;
    if (explain.profile) {
      absl::StatusOr<std::map<std::string, MeasuredKernel>> read = readTrace(*explain.profile);
      if (!read.ok())
        return report(read.status());
      measured = std::move(*read);
    }
    Manifest manifest = Manifest::parse(compilation.program().manifest());
    absl::Status same = explain.profile ? checkMeasured(measured, manifest) : absl::OkStatus();
    if (!same.ok())
      return report(absl::InvalidArgumentError(absl::StrCat("--profile: ", *explain.profile, " ", same.message())));
    std::vector<std::string> work = describeWork(program, manifest, runsHere(options), measured);
    std::fputs(compilation.program().explainFusion(work).c_str(), stdout);
  }
  if (explain.placement || all)
    std::fputs(compilation.program().explainPlacement().c_str(), stdout);
  if (explain.memory || all) {
    std::fputs(compilation.explainBudget().c_str(), stdout);
    for (size_t i = 0; i < program.entry_count; ++i)
      std::fputs(compilation.program()
                     .explainMemory(llvm::StringRef(program.entries[i].name.data, program.entries[i].name.size))
                     .c_str(),
                 stdout);
  }
  return 0;
}

/// One backend, and its name; a sentence and 1 where it cannot be used.
static int listBackend(const std::string &path, const std::map<std::string, std::string> &others, std::string &name) {
  std::string error;
  std::shared_ptr<host::Backend> found = installed().backends().find(path, error);
  if (auto other = found ? others.find(found->name()) : others.end(); other != others.end())
    error = host::Registry::twoOfAName(found->name(), other->second, path);
  if (!error.empty())
    return report(absl::InvalidArgumentError(error));
  const host::Backend &backend = *found;
  name = backend.name();
  std::printf("%s: %s, interface version %u, %s\n  %s\n", backend.name().c_str(), backend.title().c_str(),
              backend.version(),
              !backend.canRun()       ? "compiles only"
              : !backend.canCompile() ? "runs only"
                                      : "compiles and runs",
              path.c_str());
  for (const std::string &line : describeOptions(backend.tables(), KILN_OPTION_COMPILE | KILN_OPTION_RUN))
    std::printf("  option %s\n", line.c_str());
  if (backend.canRun())
    for (const std::string &line : host::devicesOf(backend))
      std::printf("  device %s\n", line.c_str());
  if (backend.canCompile())
    for (const std::string &line : claimLines(backend))
      std::printf("  %s\n", line.c_str());
  return 0;
}

int commandBackends(const ApartOptions &apartness) {
  bool broken = false;
  for (const std::string &folder : installed().backends().missing()) {
    std::fprintf(stderr, "kiln: error: KILN_BACKEND_PATH names %s, which is no folder\n", folder.c_str());
    broken = true;
  }
  std::map<std::string, std::string> paths; // by name
  for (const std::string &path : installed().backends().all()) {
    std::string name;
    auto list = [&](std::string &its) { return listBackend(path, paths, its); };
    broken |= apart(apartness, {path}, list, &name) != 0;
    if (!name.empty())
      paths.emplace(name, path);
  }
  return broken;
}

} // namespace kiln
