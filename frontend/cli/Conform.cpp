// kiln conform: the kit of backends/conformance, with what only the compiler can give it: objects linked into this
// process, and programs of whole models.
#include "backends/api/kiln_text.h"
#include "backends/conformance/Conformance.h"
#include "backends/conformance/Watch.h"
#include "frontend/cli/Against.h"
#include "frontend/cli/Commands.h"
#include "frontend/cli/ConformSamples.h"
#include "frontend/cli/ConformWhole.h"
#include "frontend/cli/Installed.h"

#include "absl/strings/str_cat.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <mutex>
#include <unistd.h>

namespace kiln {

namespace {

/// A temporary folder that goes with all that is in it, whatever becomes of the processes that use it.
class Folder {
public:
  Folder() { error_ = llvm::sys::fs::createUniqueDirectory("kiln-conform", path_); }
  ~Folder() {
    if (!error_)
      (void)llvm::sys::fs::remove_directories(path_);
  }
  Folder(const Folder &) = delete;
  std::error_code error() const { return error_; }
  std::string file(const std::string &name) const { return absl::StrCat(path_.str().str(), "/", name); }

private:
  llvm::SmallString<128> path_;
  std::error_code error_;
};

absl::Status writeText(const std::string &path, const std::string &text) {
  std::error_code code;
  llvm::raw_fd_ostream stream(path, code);
  if (!code) {
    stream << text;
    stream.close();
    code = stream.error();
    stream.clear_error();
  }
  return code ? absl::InternalError(absl::StrCat("cannot write ", path, ": ", code.message())) : absl::OkStatus();
}

/// Objects become a shared library that is loaded and forgotten. The kit compiles on several threads; the linker keeps
/// its state in global variables.
std::shared_ptr<const void> linkObjects(const Folder &folder, const std::vector<host::Blob> &blobs,
                                        const std::string &symbol, std::string &error) {
  static std::mutex mutex;
  static int number = 0;
  std::lock_guard lock(mutex);
  LinkJob job;
  for (const host::Blob &blob : blobs)
    if (blob.kind == KILN_BLOB_OBJECT)
      job.objects.push_back({blob.bytes.data(), blob.bytes.size()});
  job.output = folder.file(absl::StrCat("kernels", number++, ".so")); // the loader knows libraries by their names
  job.shared = true;
  absl::Status linked = link(job);
  void *library = linked.ok() ? dlopen(job.output.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (!linked.ok())
    error = std::string(linked.message());
  else if (!library)
    error = dlerror();
  unlink(job.output.c_str());
  void *address = library ? dlsym(library, symbol.c_str()) : nullptr;
  if (library && !address) {
    error = "the backend's objects do not define " + symbol;
    dlclose(library);
  }
  if (!address)
    return nullptr;
  return std::shared_ptr<const void>(address, [library](const void *) { dlclose(library); });
}

/// --model FILE, or FILE:NAME of a file with several.
void nameModel(const std::string &written, ModelOptions &options) {
  size_t colon = llvm::sys::fs::exists(written) ? std::string::npos : written.rfind(':');
  options.file = written.substr(0, colon);
  options.model = colon == std::string::npos ? "" : written.substr(colon + 1);
}

/// The samples' programs for the backend, and for the judge; and a user's model.
class Models {
public:
  explicit Models(std::string path) : path_(std::move(path)) {}

  std::vector<conformance::Model> list(const ConformOptions &under) const {
    std::vector<conformance::Model> models;
    for (const char *name : {"Dense", "Attend", "Recurrent", "Convolve", "Activations", "Distributions", "Norms",
                             "Masked", "Biased", "Random"})
      models.push_back({absl::StrCat(name, ", train_step"), 3, [=, this] { return build(name, under); }});
    if (!under.model.empty())
      models.push_back({llvm::sys::path::filename(under.model).str(), 1, [=] {
                          conformance::Model::Built built;
                          ModelOptions options = testedOptions(under);
                          nameModel(under.model, options);
                          built.kernelByKernel = inStep(options, under.seed);
                          return built;
                        }});
    return models;
  }

  /// Of what the backend is to be offered whole; what it fails at is left to the kit.
  absl::StatusOr<std::vector<conformance::Case>> whole(const host::Backend &backend, const ConformOptions &under,
                                                       const SettingList &settings,
                                                       const std::string &composites) const {
    ModelOptions options = testedOptions(under);
    kiln_target target{};
    target.size = sizeof target;
    target.device = text(options.targetDevice);
    settings.giveTo(target);
    host::Capabilities capabilities;
    std::string why;
    std::vector<conformance::Case> cases;
    if (!backend.capabilities(target, capabilities, why) || capabilities.composites.empty())
      return cases;
    for (const std::string &file : {composites, under.model}) {
      nameModel(file, options);
      if (file.empty())
        continue;
      absl::StatusOr<std::vector<conformance::Case>> made = wholeCases(options, capabilities.composites, under.seed);
      if (!made.ok())
        return made;
      std::move(made->begin(), made->end(), std::back_inserter(cases));
    }
    return cases;
  }

private:
  using Compilations = std::vector<std::unique_ptr<Compilation>>;

  static ModelOptions optionsFor(const std::string &backend, const std::string &cpu, const std::string &device) {
    ModelOptions options;
    options.backend = backend;
    options.targetCpu = cpu;
    options.targetDevice = device;
    options.jobs = 1;
    return options;
  }

  static ModelOptions testedOptions(const ConformOptions &under) {
    ModelOptions options = optionsFor(under.backend, under.targetCpu, under.targetDevice);
    options.backendOptions = under.backendOptions;
    options.startsProgram = true;
    return options;
  }

  /// Each kernel of a model that is placed on the backend, beside the reference.
  static std::function<void(conformance::Row &)> inStep(const ModelOptions &options, uint32_t seed) {
    return [=](conformance::Row &row) {
      absl::StatusOr<Comparison> found = compareBackends(options, "reference", seed);
      const LaunchCounts none, &launches = found.ok() ? found->steps.launches : none;
      auto own = found.ok() ? launches.on.find(found->a) : launches.on.end();
      row.checks = own == launches.on.end() ? 0 : own->second;
      row.outcome = conformance::Outcome::Failure;
      if (!found.ok()) {
        row.reason = std::string(found.status().message());
      } else if (!found->steps.parting.empty() && launches.partedOn == found->a) {
        row.reason = "the results part at " + found->steps.parting;
      } else if (!found->steps.parting.empty() || row.checks == 0) {
        row.outcome = conformance::Outcome::Refused;
        row.reason =
            row.checks == 0 ? "it takes none of its kernels" : "what is not its own parts: " + found->steps.parting;
      } else {
        row.outcome = conformance::Outcome::Pass;
      }
    };
  }

  conformance::Model::Built build(const char *name, const ConformOptions &under) const {
    conformance::Model::Built built;
    auto compilations = std::make_shared<Compilations>();
    absl::Status status;
    ModelOptions options = sample(name, testedOptions(under));
    const host::OwnedProgram *tested = plan(options, *compilations, status), *judge = nullptr;
    if (tested && !tested->onFirstAlone()) {
      built.kernelByKernel = inStep(options, under.seed);
      return built;
    }
    if (tested)
      judge = plan(sample(name, optionsFor("reference", "native", "")), *compilations, status);
    if (judge) {
      built.program = &tested->programOf(0);
      built.judge = &judge->programOf(0);
    }
    built.keeps = compilations;
    built.otherwise = conformance::Outcome::Failure;
    built.why = std::string(status.message());
    return built;
  }

  ModelOptions sample(const char *name, ModelOptions options) const {
    options.file = path_;
    options.model = name;
    options.entries = {"train_step"};
    return options;
  }

  static const host::OwnedProgram *plan(const ModelOptions &options, Compilations &compilations, absl::Status &status) {
    auto &compilation = *compilations.emplace_back(std::make_unique<Compilation>(installed(), options));
    status = compileToPlan(compilation);
    return status.ok() ? &compilation.program() : nullptr;
  }

  std::string path_; // holds the samples
};

bool readExpected(const std::string &path, std::vector<std::string> &patterns) {
  if (path.empty())
    return true;
  std::ifstream file(path);
  if (!file)
    return false;
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line[0] != '#')
      patterns.push_back(line);
  return true;
}

bool setOptions(const host::Backend &backend, const ConformOptions &options, conformance::Options &kit,
                std::string &error) {
  std::vector<std::vector<Setting>> settings;
  if (!readSettings(options.backendOptions, {&backend.tables()}, settings, error))
    return false;
  kit.compileSettings = SettingList(settings.front(), KILN_OPTION_COMPILE);
  kit.runSettings = SettingList(settings.front(), KILN_OPTION_RUN);
  return true;
}

int fail(const std::string &message) {
  std::fprintf(stderr, "kiln: error: %s\n", message.c_str());
  return 1;
}

} // namespace

int commandConform(const ConformOptions &options) {
  conformance::Report report;
  if (!readExpected(options.expected, report.expected))
    return fail("cannot read " + options.expected);
  if (!options.json.empty()) { // better now than after minutes
    absl::Status status = checkNotInput(options.json, {{options.expected, "the file of --expected"}}, "--json");
    if (status.ok() && !isDevice(options.json))
      status = checkOutput(options.json, "--json");
    if (!status.ok())
      return fail(std::string(status.message()));
  }
  const Folder folder;
  if (folder.error())
    return fail("cannot make a temporary folder: " + folder.error().message());
  const Models models(folder.file("samples.kiln"));
  const std::string composites = folder.file("composites.kiln");
  for (const auto &[path, text] :
       {std::pair(folder.file("samples.kiln"), conformSamples), std::pair(composites, conformComposites)})
    if (absl::Status status = writeText(path, text); !status.ok())
      return fail(std::string(status.message()));
  std::string error;
  conformance::Options kit;
  kit.full = options.full;
  kit.seed = options.seed;
  kit.device = options.device;
  kit.only = options.only;
  kit.targetCpu = options.targetCpu;
  kit.targetDevice = options.targetDevice;
  kit.models = models.list(options);
  auto work = [&](conformance::Report &own, std::string &why) {
    if (!own.begins({"interface", "load", {}, {}, conformance::Outcome::Pass, {}, 0, 0, 1}, /*needed=*/true))
      return true; // it crashed
    std::shared_ptr<host::Backend> backend = installed().backends().find(options.backend, why);
    if (!backend || !setOptions(*backend, options, kit, why))
      return false;
    absl::StatusOr<std::vector<conformance::Case>> whole =
        models.whole(*backend, options, kit.compileSettings, composites);
    if (!whole.ok())
      return why = std::string(whole.status().message()), false;
    kit.whole = std::move(*whole);
    conformance::run(
        backend,
        [&](const std::vector<host::Blob> &blobs, const std::string &symbol, std::string &wrong) {
          return linkObjects(folder, blobs, symbol, wrong);
        },
        kit, own);
    return true;
  };
  report.watcher.added = [](const conformance::Row &row) { // the table comes at the end; this is worth knowing now
    if (row.outcome == conformance::Outcome::Failure)
      std::fprintf(stderr, "failure: %s: %s\n", row.id().c_str(), row.reason.c_str());
  };
  if (!options.model.empty()) { // what is wrong with the text is no row
    ModelOptions model;
    nameModel(options.model, model);
    Compilation compilation(installed(), model);
    if (absl::Status loaded = loadPrinting(compilation); !loaded.ok())
      return kiln::report(loaded);
  }
  conformance::Watched how = conformance::watch(work, options.silence, 100, report, error);
  if (how == conformance::Watched::Refused)
    return fail(error);
  if (how == conformance::Watched::All && report.rows().empty())
    return fail("--only " + options.only +
                ": no row has such a name (they are as in --json's section/name/dtype/variant)");
  std::fputs(report.table().c_str(), stdout);
  if (how == conformance::Watched::Interrupted)
    std::fputs("interrupted: this is what was found until then\n", stdout);
  if (!options.json.empty()) {
    std::string text = report.json(options.backend, options.full ? "full" : "pairwise", options.seed);
    absl::Status status = isDevice(options.json) ? writeText(options.json, text) : writeFile(options.json, text);
    if (!status.ok())
      return fail(std::string(status.message()));
  }
  return how == conformance::Watched::Interrupted ? 130 : report.failed() ? 1 : 0;
}

} // namespace kiln
