#include "frontend/cli/Bench.h"

#include "frontend/cli/Commands.h"
#include "frontend/cli/Compile.h"
#include "frontend/cli/Peak.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
// MLIR is built without exceptions.
#define JSON_NOEXCEPTION
#include "nlohmann/json.hpp"

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace kiln {

namespace {

using json = nlohmann::ordered_json;

constexpr unsigned kReferenceSeconds = 120;
/// Of the first losses beside the reference's: single precision through a step and its update.
constexpr double kTolerance = 1e-4;

/// What a backend made of the model.
struct Row {
  std::string backend, error;
  double compileSeconds = 0;
  uint64_t programBytes = 0;
  json run; ///< the program's own report
  std::string agreement = "not checked";
};

class TemporaryFolder {
public:
  TemporaryFolder() {
    if (llvm::sys::fs::createUniqueDirectory("kiln-bench", path_))
      path_.clear();
  }
  ~TemporaryFolder() {
    if (!path_.empty())
      llvm::sys::fs::remove_directories(path_);
  }
  std::string file(llvm::StringRef name) const { return absl::StrCat(path_.str().str(), "/", name.str()); }
  bool valid() const { return !path_.empty(); }

private:
  llvm::SmallString<128> path_;
};

/// Runs a program without its standard output; its errors go where ours go. An error says how it ended.
absl::Status runQuietly(const std::string &program, const std::vector<std::string> &arguments, unsigned limitSeconds) {
  pid_t child = fork();
  if (child < 0)
    return absl::UnavailableError("the program cannot be started");
  if (child == 0) {
    if (int nowhere = open("/dev/null", O_WRONLY); nowhere >= 0)
      dup2(nowhere, STDOUT_FILENO);
    if (limitSeconds)
      alarm(limitSeconds);
    std::vector<char *> argv = {const_cast<char *>(program.c_str())};
    for (const std::string &argument : arguments)
      argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
    return absl::DeadlineExceededError(absl::StrFormat("it took more than %u s", limitSeconds));
  if (WIFSIGNALED(status))
    return absl::InternalError(absl::StrCat("the program was killed by signal ", WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return absl::InternalError(absl::StrCat("the program ended with exit code ", WEXITSTATUS(status)));
  return absl::OkStatus();
}

/// Builds the model for the backend and has the program measure itself.
absl::Status measure(ModelOptions options, const BenchOptions &bench, const TemporaryFolder &folder,
                     const std::string &minTime, unsigned limitSeconds, Row &row) {
  options.backend = row.backend;
  auto begin = std::chrono::steady_clock::now();
  Compilation compilation(options);
  std::string program = folder.file(absl::StrCat("program-", std::hash<std::string>()(row.backend)));
  absl::Status status = compilation.load();
  if (status.ok())
    status = compilation.runPasses();
  if (status.ok())
    status = compilation.plan();
  if (status.ok())
    status = compilation.generate();
  if (status.ok())
    status = compilation.linkProgram(program);
  if (!status.ok())
    return status;
  row.compileSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (std::error_code error = llvm::sys::fs::file_size(program, row.programBytes))
    return absl::UnavailableError(error.message());
  std::string result = folder.file("report.json");
  std::vector<std::string> arguments = {"bench", "--json", result, "--min-time", minTime};
  arguments.insert(arguments.end(), bench.arguments.begin(), bench.arguments.end());
  if (absl::Status ran = runQuietly(program, arguments, limitSeconds); !ran.ok())
    return ran;
  auto text = llvm::MemoryBuffer::getFile(result);
  json report = json::parse(text ? (*text)->getBuffer().str() : "", nullptr, /*allow_exceptions=*/false);
  if (!report.is_object() || !report.contains("benchmarks") || report["benchmarks"].empty())
    return absl::InternalError("the program gave no report");
  row.run = report["benchmarks"][0];
  return absl::OkStatus();
}

double number(const json &object, const char *key) {
  return object.contains(key) && object[key].is_number() ? object[key].get<double>() : NAN;
}

/// The largest relative distance of the first losses, against the tolerance.
std::string agreement(const json &run, const json &reference, bool &agrees) {
  if (!run.contains("losses") || !reference.contains("losses") || reference["losses"].empty() ||
      run["losses"].size() != reference["losses"].size())
    return "not checked: the function has no loss";
  double worst = 0;
  for (size_t i = 0; i < reference["losses"].size(); ++i) {
    double a = run["losses"][i].is_number() ? run["losses"][i].get<double>() : NAN;
    double b = reference["losses"][i].is_number() ? reference["losses"][i].get<double>() : NAN;
    double distance = std::abs(a - b) / std::max(std::abs(b), 1e-6);
    worst = std::isnan(distance) ? INFINITY : std::max(worst, distance);
  }
  agrees = worst <= kTolerance;
  return absl::StrFormat("%s (%.1e)", agrees ? "yes" : "NO", worst);
}

std::string text(double value, const char *unit, int digits = 1) {
  return std::isnan(value) ? std::string("-") : absl::StrFormat("%.*f%s", digits, value, unit);
}

std::string share(double value, double peak) {
  return std::isnan(value) || peak <= 0 ? "-" : absl::StrFormat("%.1f (%.0f%%)", value, 100 * value / peak);
}

struct Column {
  const char *title;
  std::string (*cell)(const Row &, const MachinePeak &);
};

const Column columns[] = {
    {"backend", [](const Row &r, const MachinePeak &) { return r.backend; }},
    {"compile", [](const Row &r, const MachinePeak &) { return text(r.compileSeconds, " s", 2); }},
    {"step", [](const Row &r, const MachinePeak &) { return text(number(r.run, "median_time") / 1e3, " ms", 3); }},
    {"± MAD", [](const Row &r, const MachinePeak &) { return text(number(r.run, "mad_time") / 1e3, "", 3); }},
    {"runs", [](const Row &r, const MachinePeak &) { return text(number(r.run, "iterations"), "", 0); }},
    {"samples/s", [](const Row &r, const MachinePeak &) { return text(number(r.run, "items_per_second"), "", 0); }},
    {"GFLOP/s", [](const Row &r, const MachinePeak &p) { return share(number(r.run, "gflops_per_second"), p.gflops); }},
    {"GB/s", [](const Row &r, const MachinePeak &p) { return share(number(r.run, "gb_per_second"), p.gbPerSecond); }},
    {"memory",
     [](const Row &r, const MachinePeak &) { return text(number(r.run, "peak_memory_bytes") / 1048576, " MiB", 0); }},
    {"kernels", [](const Row &r, const MachinePeak &) { return text(number(r.run, "launches"), "", 0); }},
    {"barriers", [](const Row &r, const MachinePeak &) { return text(number(r.run, "barriers"), "", 0); }},
    {"moved", [](const Row &r, const MachinePeak &) { return text(number(r.run, "bytes") / 1048576, " MiB"); }},
    {"program",
     [](const Row &r, const MachinePeak &) { return text(static_cast<double>(r.programBytes) / 1024, " KiB", 0); }},
    {"agrees", [](const Row &r, const MachinePeak &) { return r.agreement; }},
};

/// Characters, not bytes.
size_t width(const std::string &cell) {
  return static_cast<size_t>(std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void printTable(const std::vector<Row> &rows, const MachinePeak &peak, bool markdown) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column &column : columns)
    lines[0].push_back(column.title);
  for (const Row &row : rows)
    if (row.error.empty()) {
      std::vector<std::string> &line = lines.emplace_back();
      for (const Column &column : columns)
        line.push_back(column.cell(row, peak));
    }
  std::vector<size_t> widths(std::size(columns), 0);
  for (const auto &line : lines)
    for (size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], width(line[i]));
  for (size_t l = 0; l < lines.size(); ++l) {
    for (size_t i = 0; i < lines[l].size(); ++i)
      std::printf("%s%s%*s",
                  markdown ? "| "
                  : i      ? "  "
                           : "",
                  lines[l][i].c_str(), static_cast<int>(widths[i] - width(lines[l][i]) + (markdown ? 1 : 0)), "");
    std::printf(markdown ? "|\n" : "\n");
    for (size_t i = 0; markdown && l == 0 && i < widths.size(); ++i)
      std::printf("|%s", std::string(widths[i] + 2, '-').c_str());
    if (markdown && l == 0)
      std::printf("|\n");
  }
}

void printCsv(const std::vector<Row> &rows, const MachinePeak &peak) {
  static const char *keys[] = {
      "median_time", "mad_time", "iterations", "items_per_second", "gflops_per_second", "gb_per_second",
      "launches",    "barriers", "bytes",      "peak_memory_bytes"};
  std::printf("backend,compile_s,program_bytes");
  for (const char *key : keys)
    std::printf(",%s", key);
  std::printf(",peak_gflops,peak_gb_per_second,agrees\n");
  for (const Row &row : rows) {
    if (!row.error.empty())
      continue;
    std::printf("%s,%.3f,%llu", row.backend.c_str(), row.compileSeconds,
                static_cast<unsigned long long>(row.programBytes));
    for (const char *key : keys) {
      double value = number(row.run, key);
      std::printf(std::isnan(value) ? "," : ",%.9g", value);
    }
    std::printf(",%.4g,%.4g,\"%s\"\n", peak.gflops, peak.gbPerSecond, row.agreement.c_str());
  }
}

void printJson(const std::vector<Row> &rows, const MachinePeak &peak, const std::string &model) {
  json all = {{"context", {{"model", model}, {"peak_gflops", peak.gflops}, {"peak_gb_per_second", peak.gbPerSecond}}},
              {"benchmarks", json::array()}};
  for (const Row &row : rows) {
    json run = row.run.is_object() ? row.run : json::object();
    run["name"] = row.backend + "/" + (run.contains("run_name") ? run["run_name"].get<std::string>() : "");
    run["backend"] = row.backend;
    if (!row.error.empty()) {
      run["error_occurred"] = true;
      run["error_message"] = row.error;
    } else {
      run["compile_time_s"] = row.compileSeconds;
      run["program_bytes"] = row.programBytes;
      run["agrees"] = row.agreement;
    }
    all["benchmarks"].push_back(run);
  }
  std::printf("%s\n", all.dump(1).c_str());
}

} // namespace

int commandBench(const ModelOptions &options, const BenchOptions &bench) {
  TemporaryFolder folder;
  if (!folder.valid())
    return report(absl::UnavailableError("no folder for temporary files; set TMPDIR to one"));
  llvm::SmallString<256> model(options.file);
  if (std::error_code error = llvm::sys::fs::make_absolute(model))
    return report(absl::UnavailableError(absl::StrCat(options.file, ": ", error.message())));
  llvm::sys::path::remove_filename(model);
  setenv("KILN_MODEL_DIR", model.c_str(), 1); // the recipe's data lies beside the model
  unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  MachinePeak peak = measurePeak(threads);
  bool failed = false;
  std::vector<Row> rows;
  for (const std::string &name : bench.backends) {
    Row &row = rows.emplace_back();
    row.backend = name;
    if (absl::Status status = measure(options, bench, folder, bench.minTime.empty() ? "1" : bench.minTime, 0, row);
        !status.ok()) {
      // An empty message: the model's errors are printed already.
      if (status.message().empty())
        return 1;
      row.error = std::string(status.message());
      failed = true;
      std::fprintf(stderr, "kiln: error: %s: %s\n", name.c_str(), row.error.c_str());
    }
  }
  MachinePeak after = measurePeak(threads); // other work on the machine hides some of it, now or before
  peak = {std::max(peak.gflops, after.gflops), std::max(peak.gbPerSecond, after.gbPerSecond)};
  Row reference{"reference", "", 0, 0, {}, ""};
  absl::Status checked = measure(options, bench, folder, "0", kReferenceSeconds, reference);
  for (Row &row : rows) {
    bool agrees = true;
    row.agreement = checked.ok() ? agreement(row.run, reference.run, agrees)
                                 : absl::StrCat("not checked: reference: ", checked.message());
    failed |= !agrees;
  }
  if (bench.format == "json")
    printJson(rows, peak, options.file);
  else if (bench.format == "csv")
    printCsv(rows, peak);
  else {
    printTable(rows, peak, bench.format == "md");
    std::printf("\nthis machine: %.0f GFLOP/s (f32 multiply-adds), %.1f GB/s (copy), measured beside\n", peak.gflops,
                peak.gbPerSecond);
  }
  return failed;
}

} // namespace kiln
