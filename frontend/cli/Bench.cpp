// Builds, runs in turns, and the agreement of results.

#include "frontend/cli/Bench.h"

#include "frontend/cli/BenchReport.h"
#include "frontend/cli/Commands.h"
#include "frontend/cli/Installed.h"
#include "frontend/driver/Files.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace kiln {

namespace {

using json = nlohmann::ordered_json;

constexpr unsigned kReferenceSeconds = 120;
/// Of the first losses beside the reference's: single precision through a step and its update.
constexpr double kAgreement = 1e-4;

/// As TemporaryFolder of runtime/files, which throws, and nothing here may.
class BenchFolder {
public:
  BenchFolder() {
    if (llvm::sys::fs::createUniqueDirectory("kiln-bench", path_))
      path_.clear();
  }
  ~BenchFolder() {
    if (!path_.empty())
      (void)llvm::sys::fs::remove_directories(path_);
  }
  std::string file(llvm::StringRef name) const { return absl::StrCat(path_.str().str(), "/", name.str()); }
  bool valid() const { return !path_.empty(); }

private:
  llvm::SmallString<128> path_;
};

/// Set by Ctrl-C: what runs is ended by it too, and the folder of temporary files is to go.
volatile std::sig_atomic_t stopped = 0;
void onInterrupt(int) { stopped = 1; }

/// Runs `work` in a process of its own and says how that ended. What it printed on standard error goes to `errors`,
/// whatever the backend does there: crash, say. `limitSeconds` 0: no limit.
absl::Status separately(const char *what, const std::string &errors, unsigned limitSeconds,
                        const std::function<int()> &work) {
  std::fflush(stdout);
  std::fflush(stderr);
  pid_t child = fork();
  if (child < 0)
    return absl::UnavailableError(absl::StrCat("no process for ", what, ": ", std::strerror(errno)));
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    int nowhere = open("/dev/null", O_WRONLY), file = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (nowhere >= 0)
      dup2(nowhere, STDOUT_FILENO);
    if (file >= 0)
      dup2(file, STDERR_FILENO);
    if (limitSeconds)
      alarm(limitSeconds);
    int code = work();
    std::fflush(stderr);
    _exit(code);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    if (stopped)
      kill(child, SIGTERM);
  if (stopped)
    return absl::CancelledError("stopped");
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
    return absl::DeadlineExceededError(absl::StrFormat("it took more than %u s", limitSeconds));
  if (WIFSIGNALED(status))
    return absl::InternalError(
        absl::StrFormat("%s crashed: %s (signal %d)", what, strsignal(WTERMSIG(status)), WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return absl::InternalError(absl::StrFormat("%s ended with exit code %d", what, WEXITSTATUS(status)));
  return absl::OkStatus();
}

std::string fileText(const std::string &path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  return file ? (*file)->getBuffer().str() : std::string();
}

/// The status with the error that the process left as the last of its text, where it left one.
absl::Status withReason(const absl::Status &status, const std::string &errors) {
  size_t at = errors.rfind("error: ");
  if (at == std::string::npos || absl::IsDeadlineExceeded(status) || absl::IsCancelled(status))
    return status;
  return absl::Status(status.code(), llvm::StringRef(errors).substr(at + 7).trim().str());
}

/// `starting`: a file for what the program is to be started with.
absl::Status build(ModelOptions options, const std::string &program, const std::string &starting) {
  options.startsProgram = true;
  options.cache = false; // what a compile takes is what is measured
  Compilation compilation(installed(), options);
  absl::Status status = compileAll(compilation);
  if (status.ok() && !compilation.startOptions().empty())
    status = writeFile(starting, absl::StrJoin(compilation.startOptions(), std::string(1, '\0')));
  return status.ok() ? compilation.linkProgram(program) : status;
}

/// A backend's device profile as installed().profileOf() has it.
std::string profileOf(const std::string &backend, const ModelOptions &options, const ApartOptions &apartness) {
  std::string profile;
  auto ask = [&](std::string &its) {
    its = installed().profileOf(backend, options);
    return 0;
  };
  (void)apart(apartness, {backend}, ask, &profile);
  return profile;
}

/// An error where none of the backends has an option that was given.
absl::Status checkBackendOptions(const std::vector<std::string> &backends, const ModelOptions &options,
                                 const ApartOptions &apartness) {
  std::set<std::string> known;
  for (const std::string &backend : backends) {
    std::string texts;
    auto ask = [&](std::string &its) {
      its = absl::StrJoin(installed().backendOptionsOf(backend, options), std::string(1, '\0'));
      return 0;
    };
    if (!options.backendOptions.empty())
      (void)apart(apartness, {backend}, ask, &texts);
    for (absl::string_view text : absl::StrSplit(texts, '\0'))
      known.insert(std::string(text));
  }
  for (const std::string &text : options.backendOptions)
    if (!known.contains(text))
      return absl::InvalidArgumentError(absl::StrCat("--backend-option ", text, ": none of the backends ",
                                                     absl::StrJoin(backends, ", "),
                                                     " has such an option; `kiln backends` lists them"));
  return absl::OkStatus();
}

/// What a program is asked for.
struct Measuring {
  std::string folder; ///< of the backend's own
  std::string minTime;
  unsigned limitSeconds = 0;
  bool profile = false;
  std::string trace() const { return folder + "/trace.json"; }
};

/// Builds the model for the backend and has the program measure itself. An empty message: the model has errors, which
/// are printed.
absl::Status measure(ModelOptions options, const BenchOptions &bench, const Measuring &how,
                     const ApartOptions &apartness, BenchRow &row) {
  options.backend = row.backend;
  if (std::error_code error = llvm::sys::fs::create_directories(how.folder))
    return absl::UnavailableError(absl::StrCat("cannot create ", how.folder, ": ", error.message()));
  std::string program = how.folder + "/program", errors = how.folder + "/errors.txt",
              starting = how.folder + "/start-options";
  constexpr int modelIsWrong = 3;
  auto begin = std::chrono::steady_clock::now();
  auto compile = [&](std::string &) {
    options.targetDevice = installed().profileOf(options.backend, options);
    options.backendOptions = installed().backendOptionsOf(options.backend, options);
    absl::Status status = build(options, program, starting);
    return status.ok() || !status.message().empty() ? report(status) : modelIsWrong;
  };
  absl::Status built =
      separately("the compile", errors, 0, [&] { return apart(apartness, {options.backend}, compile); });
  row.compileSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::string text = fileText(errors);
  if (absl::IsInternal(built) && absl::EndsWith(built.message(), absl::StrCat("exit code ", modelIsWrong))) {
    std::fputs(text.c_str(), stderr);
    return absl::InvalidArgumentError("");
  }
  if (!built.ok())
    return withReason(built, text);
  std::fputs(text.c_str(), stderr); // warnings
  if (std::error_code error = llvm::sys::fs::file_size(program, row.programBytes))
    return absl::UnavailableError(error.message());

  std::string result = how.folder + "/report.json";
  std::vector<std::string> arguments = {program, "bench", "--json", result, "--min-time", how.minTime};
  if (how.profile)
    arguments.insert(arguments.end(), {"--profile", how.trace()});
  arguments.insert(arguments.end(), bench.arguments.begin(), bench.arguments.end());
  std::string startOptions = fileText(starting);
  for (absl::string_view option : absl::StrSplit(startOptions, '\0', absl::SkipEmpty()))
    arguments.insert(arguments.end(), {"--backend-option", std::string(option)});
  absl::Status ran = separately("the program", errors, how.limitSeconds, [&] {
    std::vector<char *> argv;
    for (std::string &argument : arguments)
      argv.push_back(argument.data());
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    return 127;
  });
  text = fileText(errors);
  if (!ran.ok())
    return withReason(ran, text);
  std::fputs(text.c_str(), stderr);
  json all = json::parse(fileText(result), nullptr, /*allow_exceptions=*/false);
  if (!all.is_object() || !all.contains("benchmarks") || all["benchmarks"].empty())
    return absl::InternalError("the program gave no report");
  row.context = all["context"];
  row.run = all["benchmarks"][0];
  return absl::OkStatus();
}

double element(const json &array, size_t i) { return array[i].is_number() ? array[i].get<double>() : NAN; }

/// How far a run is from the reference's: the first losses, or, of a function that has none, its results.
std::string agreement(const json &run, const json &reference, bool &agrees) {
  auto both = [&](const char *key) {
    return run.contains(key) && reference.contains(key) && run[key].size() == reference[key].size();
  };
  double worst = 0;
  auto compare = [&](double a, double b, double scale) {
    double distance = a == b ? 0 : std::abs(a - b) / std::max(scale, 1e-6);
    worst = std::isnan(distance) ? INFINITY : std::max(worst, distance);
  };
  if (both("losses")) {
    for (size_t i = 0; i < reference["losses"].size(); ++i)
      compare(element(run["losses"], i), element(reference["losses"], i), std::abs(element(reference["losses"], i)));
  } else if (both("results")) {
    const json &mine = run["results"], &its = reference["results"]; // norm and signed sum of each
    for (size_t i = 0; i + 1 < its.size(); i += 2) {
      compare(element(mine, i), element(its, i), element(its, i));
      compare(element(mine, i + 1), element(its, i + 1), element(its, i));
    }
  } else {
    return "not checked: the function has no results";
  }
  agrees = worst <= kAgreement;
  return absl::StrFormat("%s (%.1e)", agrees ? "yes" : "NO", worst);
}

/// --threads among the program's arguments; all processors where it does not stand there.
unsigned threadsOf(const std::vector<std::string> &arguments) {
  unsigned threads = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    llvm::StringRef argument = arguments[i];
    if (argument == "--threads" && i + 1 < arguments.size())
      (void)llvm::to_integer(arguments[i + 1], threads);
    else if (argument.consume_front("--threads="))
      (void)llvm::to_integer(argument, threads);
  }
  return threads ? threads : std::max(1u, std::thread::hardware_concurrency());
}

/// All backends' traces in one file, a process for each.
absl::Status writeTrace(const std::string &path, const std::vector<std::pair<std::string, std::string>> &traces) {
  json all = {{"displayTimeUnit", "ns"}, {"traceEvents", json::array()}};
  int64_t process = 0;
  for (const auto &[backend, file] : traces) {
    ++process;
    json one = json::parse(fileText(file), nullptr, /*allow_exceptions=*/false);
    if (!one.is_object() || !one.contains("traceEvents"))
      continue; // that backend failed, and is reported
    for (json &event : one["traceEvents"]) {
      event["pid"] = process;
      if (event["name"] == "process_name")
        event["args"]["name"] = backend;
      all["traceEvents"].push_back(std::move(event));
    }
  }
  return writeFile(path, all.dump() + "\n");
}

} // namespace

int commandBench(const ModelOptions &options, const BenchOptions &bench, const ApartOptions &apartness) {
  struct sigaction stop = {}; // without SA_RESTART: the wait for a child ends
  stop.sa_handler = onInterrupt;
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  BenchFolder folder;
  if (!folder.valid())
    return report(absl::UnavailableError("no folder for temporary files; set TMPDIR to one"));
  absl::Status writable = checkOutput(bench.profile, "--profile");
  writable.Update(checkNotInput(bench.profile, inputsOf(options), "--profile"));
  if (!writable.ok())
    return report(writable);
  if (absl::Status told = tellFolders(options); !told.ok())
    return report(told);
  if (!options.targetDevice.empty() && llvm::none_of(bench.backends, [&](const std::string &name) {
        return !profileOf(name, options, apartness).empty();
      }))
    return report(
        absl::InvalidArgumentError(absl::StrCat("--target-device ", options.targetDevice, ": none of the backends ",
                                                absl::StrJoin(bench.backends, ", "), " has such a profile")));
  if (absl::Status known = checkBackendOptions(bench.backends, options, apartness); !known.ok())
    return report(known);
  MachinePeak peak(threadsOf(bench.arguments));
  bool failed = false;
  std::vector<BenchRow> rows;
  std::vector<std::pair<std::string, std::string>> traces;
  const BenchRow *reference = nullptr;
  rows.reserve(bench.backends.size() + 1);
  for (const std::string &name : bench.backends) {
    BenchRow &row = rows.emplace_back();
    row.backend = name;
    Measuring how{folder.file(std::to_string(rows.size())), bench.minTime.empty() ? "1" : bench.minTime, 0,
                  !bench.profile.empty()};
    absl::Status status = measure(options, bench, how, apartness, row);
    if (stopped)
      return 130;
    if (status.ok()) {
      peak.sample(row.workingSet());
      traces.emplace_back(name, how.trace());
      reference = name == "reference" ? &row : reference;
      continue;
    }
    if (status.message().empty())
      return 1;
    row.error = std::string(status.message());
    failed = true;
    std::fprintf(stderr, "kiln: error: %s: %s\n", name.c_str(), row.error.c_str());
  }
  BenchRow judge;
  absl::Status checked;
  if (!reference && !traces.empty()) { // traces: of those that ran
    judge.backend = "reference";
    checked = measure(options, bench, {folder.file("reference"), "0", kReferenceSeconds, false}, apartness, judge);
    reference = &judge;
  }
  if (stopped)
    return 130;
  for (BenchRow &row : rows) {
    if (!row.error.empty())
      continue;
    peak.sample(row.workingSet());
    bool agrees = true;
    row.agreement = checked.ok() ? agreement(row.run, reference->run, agrees)
                                 : absl::StrCat("not checked: reference: ", checked.message());
    failed |= !agrees;
  }
  printBench(rows, peak, options.file, bench.format);
  if (!bench.profile.empty())
    if (absl::Status written = writeTrace(bench.profile, traces); !written.ok())
      return report(written);
  return failed;
}

} // namespace kiln
