// PROGRAM bench: Google Benchmark's JSON schema.
#include "runtime/cli/Commands.h"
#include "runtime/cli/Output.h"
#include "runtime/cli/Stages.h"
#include "runtime/cli/Trace.h"
#include "runtime/files/File.h"
#include "runtime/program/Compare.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <optional>
#include <unistd.h>

namespace kiln {

namespace {

double seconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::string timestamp() {
  std::time_t now = std::time(nullptr);
  std::tm local;
  char text[64];
  localtime_r(&now, &local);
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &local);
  return text;
}

std::string benchName(const Options &options, const Manifest &manifest) {
  if (!options.positional().empty())
    return options.positional()[0];
  for (const char *name : {"train_step", "forward"})
    if (manifest.findEntry(name))
      return name;
  if (manifest.entries.empty())
    fail("this program has no functions");
  return manifest.entries[0].name;
}

struct Times {
  std::vector<double> real; // seconds, one for each run
  std::string losses;       // of the first steps, for comparing backends
  std::string results;      // where there is no loss: the first run's fingerprints
  double cpu = 0;           // mean seconds
  Counts counts;            // of one run
  Work sum;                 // of all runs
  // Of each run, by the second: batches differ in length.
  std::vector<double> flopRates, byteRates, itemRates, tokenRates;
};

/// Two numbers of each result, by which backends are compared: its norm, and the sum of its elements with signs drawn
/// at random.
std::string fingerprints(Call &call) {
  std::string text;
  for (Role role : {Role::Loss, Role::Metric, Role::Output, Role::Gradient})
    for (const TensorView &view : call.results(role)) {
      int64_t count = countElements(view.shape).value_or(0);
      double squares = 0, drawn = 0;
      uint32_t signs = 0x2545f491;
      for (int64_t i = 0; i < count; ++i) {
        double value = isFloat(view.dtype) ? loadNumber(view.dtype, view.data, i)
                                           : static_cast<double>(loadInteger(view.dtype, view.data, i));
        value = std::isfinite(value) ? value : 1; // a mask holds infinities
        signs ^= signs << 13;
        signs ^= signs >> 17;
        signs ^= signs << 5;
        squares += value * value;
        drawn += signs & 1 ? value : -value;
      }
      text += (text.empty() ? "" : ",") + shortest(std::sqrt(squares)) + "," + shortest(drawn);
    }
  return text;
}

double medianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Of what runs did by the second: where all do the same, the rate of the run that medianOf their times gives.
double medianRate(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 2];
}

/// Where the function reads rows of whole numbers, they are tokens; 0 elsewhere.
int64_t tokensOf(Call &call) {
  std::vector<int> inputs = call.inputs();
  if (inputs.empty() || isFloat(call.entry().arguments[static_cast<size_t>(inputs[0])].type.dtype) ||
      call.shape(inputs[0]).size() != 2)
    return 0;
  return countElements(call.shape(inputs[0])).value_or(0);
}

/// What each run did; counted again only where its inputs have other shapes than the one before.
class Counter {
public:
  explicit Counter(Call &call) : call_(call), shapes_(call.inputs().size()) {}

  void run(double seconds, Times &times) {
    bool same = counted_;
    std::vector<int> inputs = call_.inputs();
    for (size_t i = 0; i < inputs.size(); ++i)
      if (shapes_[i] != call_.shape(inputs[i])) {
        shapes_[i] = call_.shape(inputs[i]);
        same = false;
      }
    if (!same)
      work_ = call_.work();
    counted_ = true;
    times.sum.flops += work_.flops;
    times.sum.bytes += work_.bytes;
    times.sum.launches += work_.launches;
    times.flopRates.push_back(work_.flops / seconds);
    times.byteRates.push_back(work_.bytes / seconds);
    times.itemRates.push_back(static_cast<double>(call_.examples()) / seconds);
    times.tokenRates.push_back(static_cast<double>(tokensOf(call_)) / seconds);
  }

private:
  Call &call_;
  std::vector<std::vector<int64_t>> shapes_;
  Work work_;
  bool counted_ = false;
};

Times measure(Program &program, Call &call, std::optional<Feeder> &feeder, uint32_t seed, double atLeast) {
  int64_t step = 0;
  auto once = [&] {
    if (feeder)
      feeder->load(Split::Train, step);
    call.run(seed, step++);
  };
  Times times;
  for (int i = 0; i < 2; ++i) { // the first one touches fresh memory
    program.count(i == 1 ? &times.counts : nullptr);
    once();
    program.count(nullptr);
    if (call.hasLoss())
      times.losses += (i ? "," : "") + jsonNumber(call.loss());
    else if (i == 0)
      times.results = fingerprints(call);
  }
  Counter counter(call);
  double first = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  for (double now = first; times.real.empty() || (now - first < atLeast && times.real.size() < 1000000);) {
    double begin = seconds(CLOCK_MONOTONIC);
    once();
    now = seconds(CLOCK_MONOTONIC);
    times.real.push_back(now - begin);
    counter.run(std::max(now - begin, 1e-9), times);
  }
  times.cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / static_cast<double>(times.real.size());
  return times;
}

/// The most that this process has held. Not getrusage: that counts what the process was before it became this program.
int64_t peakMemory() {
  std::FILE *file = std::fopen("/proc/self/status", "re");
  long long kibibytes = 0;
  for (char line[256]; file && std::fgets(line, sizeof line, file);)
    if (std::sscanf(line, "VmHWM: %lld", &kibibytes) == 1)
      break;
  if (file)
    std::fclose(file);
  return kibibytes * 1024;
}

/// What a step does, as the compiler counted it, and as the backend did where it counts.
void addCounts(JsonLine &run, const Program &program, const Times &times, const EntrySpec &entry) {
  double runs = static_cast<double>(times.real.size());
  run.add("flops", times.sum.flops / runs).add("bytes", times.sum.bytes / runs);
  run.add("launches", times.sum.launches / runs);
  run.add("gflops_per_second", medianRate(times.flopRates) * 1e-9);
  run.add("gb_per_second", medianRate(times.byteRates) * 1e-9);
  if (times.counts.known) {
    const kiln_counters &counters = times.counts.sum;
    run.add("dispatches", static_cast<int64_t>(counters.launches));
    run.add("barriers", static_cast<int64_t>(counters.barriers));
    run.add("submits", static_cast<int64_t>(counters.submits));
    run.add("bytes_moved", static_cast<int64_t>(counters.bytes_read + counters.bytes_written));
    run.add("device_bytes", static_cast<int64_t>(counters.device_bytes));
  }
  run.add("peak_memory_bytes", peakMemory());
  int64_t touched = entry.arenaBytes + program.manifest().constantBytes;
  for (const ArgumentSpec &argument : entry.arguments)
    touched += argument.bytes;
  run.add("working_set_bytes", touched);
}

std::string report(const Program &program, const EntrySpec &entry, const Times &times, const Common &common) {
  const std::string &name = entry.name;
  double sum = 0, squares = 0, count = static_cast<double>(times.real.size());
  for (double time : times.real)
    sum += time;
  double mean = sum / count, median = medianOf(times.real);
  std::vector<double> deviations;
  for (double time : times.real) {
    squares += (time - mean) * (time - mean);
    deviations.push_back(std::abs(time - median));
  }
  char host[64] = "";
  gethostname(host, sizeof(host) - 1);
  JsonLine context, run;
  context.add("date", timestamp()).add("host_name", host).add("executable", "/proc/self/exe");
  context.add("num_cpus", static_cast<int64_t>(availableProcessors())).add("mhz_per_cpu", int64_t(0));
  double loads[3] = {};
  int known = getloadavg(loads, 3);
  std::string load;
  for (int i = 0; i < known; ++i)
    load += (i ? "," : "") + jsonNumber(loads[i]);
  context.addRaw("cpu_scaling_enabled", "false").addRaw("caches", "[]").addRaw("load_avg", "[" + load + "]");
  context.add("library_build_type", "release").add("json_schema_version", int64_t(1));
  run.add("name", name).add("family_index", int64_t(0)).add("per_family_instance_index", int64_t(0));
  run.add("run_name", name).add("run_type", "iteration").add("repetitions", int64_t(1));
  run.add("repetition_index", int64_t(0)).add("threads", static_cast<int64_t>(common.threads));
  run.add("iterations", static_cast<int64_t>(times.real.size()));
  run.add("real_time", mean * 1e6).add("cpu_time", times.cpu * 1e6).add("time_unit", "us");
  run.add("median_time", median * 1e6).add("mad_time", medianOf(deviations) * 1e6);
  run.add("min_time", *std::min_element(times.real.begin(), times.real.end()) * 1e6);
  run.add("stddev_time", std::sqrt(squares / count) * 1e6);
  run.add("items_per_second", medianRate(times.itemRates));
  if (medianRate(times.tokenRates) > 0)
    run.add("tokens_per_second", medianRate(times.tokenRates));
  addCounts(run, program, times, entry);
  if (!times.losses.empty())
    run.addRaw("losses", "[" + times.losses + "]");
  if (!times.results.empty())
    run.addRaw("results", "[" + times.results + "]");
  return "{\"context\":" + context.str() + ",\"benchmarks\":[" + run.str() + "]}";
}

} // namespace

int benchCommand(const Options &options, Common &common) {
  if (options.has("profile"))
    checkWritable(options.text("profile"));
  std::unique_ptr<Program> program = startProgram(options, common);
  const Manifest &manifest = program->manifest();
  std::string name = benchName(options, manifest);
  Call &call = program->call(name);
  std::optional<Sources> sources;
  std::optional<Feeder> feeder;
  bool fromData = !call.inputs().empty() && !name.starts_with("shard."); // which has a part of a batch, and sums
  for (int input : call.inputs())
    fromData &= call.entry().arguments[static_cast<size_t>(input)].name.find('.') != std::string::npos;
  if (fromData) {
    // By the recipe that the function is of: train_step.finetune.
    if (size_t dot = name.find('.'); dot != std::string::npos && manifest.findStage(name.substr(dot + 1)))
      program->chooseStage(name.substr(dot + 1));
    sources.emplace(manifest, overridesFor(manifest, options), common.seed);
    feeder.emplace(call, *sources);
  } else {
    fillInputs(call);
  }
  JsonOutput json(common.json, common.jsonPath);
  Times times = measure(*program, call, feeder, common.seed, options.number("min-time", 1.0));
  json.line(report(*program, call.entry(), times, common));
  std::sort(times.real.begin(), times.real.end());
  std::fprintf(textOutput(json), "%s: median %.1f us, fastest %.1f us, %zu runs, %u threads\n", name.c_str(),
               times.real[times.real.size() / 2] * 1e6, times.real[0] * 1e6, times.real.size(), common.threads);
  if (options.has("profile")) {
    Trace trace(*program, options.text("profile"));
    int64_t began = profileClock();
    call.run(common.seed, 0);
    trace.did(name.c_str(), began);
    trace.write();
  }
  return 0;
}

} // namespace kiln
