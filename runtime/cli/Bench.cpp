// PROGRAM bench: Google Benchmark's JSON schema.
#include "runtime/cli/Commands.h"
#include "runtime/cli/Output.h"
#include "runtime/files/File.h"
#include "runtime/program/Compare.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <optional>
#include <sys/resource.h>
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
  double cpu = 0;           // mean seconds
};

Times measure(Call &call, std::optional<Feeder> &feeder, uint32_t seed, double atLeast) {
  int64_t step = 0;
  auto once = [&] {
    if (feeder)
      feeder->load(Split::Train, step);
    call.run(seed, step++);
  };
  Times times;
  for (int i = 0; i < 2; ++i) { // the first one touches fresh memory
    once();
    if (call.hasLoss())
      times.losses += (i ? "," : "") + shortest(call.loss());
  }
  double begin = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), last = begin;
  do {
    once();
    double now = seconds(CLOCK_MONOTONIC);
    times.real.push_back(now - last);
    last = now;
  } while (last - begin < atLeast && times.real.size() < 1000000);
  times.cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / static_cast<double>(times.real.size());
  return times;
}

double medianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// What a step does, as the compiler counted it, and as the backend did where it counts.
void addCounts(JsonLine &run, const Program &program, const EntrySpec &entry, double median) {
  run.add("flops", entry.flops).add("bytes", entry.bytes).add("launches", entry.launches);
  run.add("gflops_per_second", entry.flops / median * 1e-9).add("gb_per_second", entry.bytes / median * 1e-9);
  kiln_counters counters;
  if (program.counters(counters)) {
    run.add("dispatches", static_cast<int64_t>(counters.launches));
    run.add("barriers", static_cast<int64_t>(counters.barriers));
    run.add("submits", static_cast<int64_t>(counters.submits));
    run.add("bytes_moved", static_cast<int64_t>(counters.bytes_read + counters.bytes_written));
    run.add("device_bytes", static_cast<int64_t>(counters.device_bytes));
  }
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  run.add("peak_memory_bytes", static_cast<int64_t>(usage.ru_maxrss) * 1024);
}

std::string report(const Program &program, const EntrySpec &entry, const Times &times, const Common &common,
                   int64_t examples) {
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
  context.addRaw("cpu_scaling_enabled", "false").addRaw("caches", "[]").addRaw("load_avg", "[]");
  context.add("library_build_type", "release");
  run.add("name", name).add("family_index", int64_t(0)).add("per_family_instance_index", int64_t(0));
  run.add("run_name", name).add("run_type", "iteration").add("repetitions", int64_t(1));
  run.add("repetition_index", int64_t(0)).add("threads", static_cast<int64_t>(common.threads));
  run.add("iterations", static_cast<int64_t>(times.real.size()));
  run.add("real_time", mean * 1e6).add("cpu_time", times.cpu * 1e6).add("time_unit", "us");
  run.add("median_time", median * 1e6).add("mad_time", medianOf(deviations) * 1e6);
  run.add("min_time", *std::min_element(times.real.begin(), times.real.end()) * 1e6);
  run.add("stddev_time", std::sqrt(squares / count) * 1e6);
  run.add("items_per_second", static_cast<double>(examples) / mean);
  addCounts(run, program, entry, median);
  if (!times.losses.empty())
    run.addRaw("losses", "[" + times.losses + "]");
  return "{\"context\":" + context.str() + ",\"benchmarks\":[" + run.str() + "]}";
}

/// Runs once more under the backend's profile and writes the kernels' times in Chrome's trace format.
void profile(Program &program, Call &call, const std::string &path, uint32_t seed) {
  std::vector<kiln_profile_event> events = program.profileRun(call, seed);
  std::string text = "{\"traceEvents\":[";
  for (const kiln_profile_event &event : events) {
    const KernelSpec &kernel = program.manifest().kernels.at(event.kernel);
    std::string ops, location;
    for (const KernelSpec::Op &op : kernel.ops) {
      ops += (ops.empty() ? "" : " ") + op.name;
      if (location.empty())
        location = op.location;
    }
    double begin = static_cast<double>(event.begin_ns - events[0].begin_ns);
    text += (text.back() == '[' ? "" : ",\n");
    text += JsonLine()
                .add("name", kernel.name)
                .add("ph", "X")
                .add("pid", int64_t(0))
                .add("tid", int64_t(0))
                .add("ts", begin * 1e-3)
                .add("dur", static_cast<double>(event.end_ns - event.begin_ns) * 1e-3)
                .addRaw("args", JsonLine().add("ops", ops).add("at", location).str())
                .str();
  }
  AtomicFile file(path);
  file.write(text + "]}\n");
  file.commit();
}

} // namespace

int benchCommand(const Options &options, Common &common) {
  std::unique_ptr<Program> program = startProgram(options, common);
  const Manifest &manifest = program->manifest();
  std::string name = benchName(options, manifest);
  Call &call = program->call(name);
  std::optional<Sources> sources;
  std::optional<Feeder> feeder;
  bool fromData = !call.inputs().empty();
  for (int input : call.inputs())
    fromData &= call.entry().arguments[static_cast<size_t>(input)].name.find('.') != std::string::npos;
  if (fromData) {
    sources.emplace(manifest, dataOverrides(options), common.seed);
    feeder.emplace(call, *sources);
  } else {
    fillInputs(call);
  }
  JsonOutput json(common.json, common.jsonPath);
  Times times = measure(call, feeder, common.seed, options.number("min-time", 1.0));
  json.line(report(*program, call.entry(), times, common, call.examples()));
  std::sort(times.real.begin(), times.real.end());
  std::fprintf(textOutput(json), "%s: median %.1f us, fastest %.1f us, %zu runs, %u threads\n", name.c_str(),
               times.real[times.real.size() / 2] * 1e6, times.real[0] * 1e6, times.real.size(), common.threads);
  if (options.has("profile"))
    profile(*program, call, options.text("profile"), common.seed);
  return 0;
}

} // namespace kiln
