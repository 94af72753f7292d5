// Spans gathered and written as Chrome's JSON.

#include "runtime/cli/Trace.h"

#include "runtime/cli/Output.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <tuple>

namespace kiln {

namespace {

constexpr int64_t processTrack = 0;
/// Numbers of tracks: a backend's are side by side.
constexpr int64_t tracksOfBackend = 1000;

std::string named(const char *what, int64_t track, const std::string &name) {
  return JsonLine()
      .add("name", what)
      .add("ph", "M")
      .add("pid", int64_t(1))
      .add("tid", track)
      .addRaw("args", JsonLine().add("name", name).str())
      .str();
}

/// Microseconds, to the nanosecond.
std::string micros(int64_t nanoseconds) { return format("%.3f", static_cast<double>(nanoseconds) * 1e-3); }

/// `origin`: the trace's zero.
std::string span(const std::string &name, const char *category, int64_t track, int64_t origin, int64_t begin,
                 int64_t end, const std::string &args) {
  return JsonLine()
      .add("name", name)
      .add("cat", category)
      .add("ph", "X")
      .add("pid", int64_t(1))
      .add("tid", track)
      .addRaw("ts", micros(begin - origin))
      .addRaw("dur", micros(end - begin))
      .addRaw("args", args)
      .str();
}

/// The op that a kernel is about: a product, a convolution or attention where it has one, else its first with a place.
std::string placeOf(const KernelSpec &kernel) {
  std::string place;
  for (const KernelSpec::Op &op : kernel.ops) {
    bool heavy = op.name == "dot_general" || op.name == "convolution" || op.name.find("attention") != std::string::npos;
    if (!op.location.empty() && (place.empty() || heavy))
      place = op.location;
    if (heavy)
      break;
  }
  return place;
}

std::string argumentsOf(const KernelSpec &kernel) {
  std::string ops, lines;
  for (const KernelSpec::Op &op : kernel.ops) {
    ops += (ops.empty() ? "" : " ") + op.name;
    if (!op.location.empty() && (" " + lines + " ").find(" " + op.location + " ") == std::string::npos)
      lines += (lines.empty() ? "" : " ") + op.location;
  }
  return JsonLine().add("line", placeOf(kernel)).add("ops", ops).add("lines", lines).str();
}

} // namespace

Trace::Trace(Program &program, std::string path) : program_(program), path_(std::move(path)) {
  checkWritable(path_);
  program_.profile(&profile_);
}

Trace::~Trace() { program_.profile(nullptr); }

void Trace::did(const char *what, int64_t began, int64_t step) { work_.push_back({what, began, profileClock(), step}); }

void Trace::write() {
  program_.profile(nullptr);
  std::vector<Profile::Span> &spans = profile_.spans;
  std::sort(spans.begin(), spans.end(), [](const auto &a, const auto &b) {
    return std::tie(a.begin, a.end, a.kernel) < std::tie(b.begin, b.end, b.kernel);
  });
  int64_t origin = INT64_MAX;
  for (const Work &work : work_)
    origin = std::min(origin, work.begin);
  for (const Profile::Span &span : spans)
    origin = std::min(origin, span.begin);

  const Manifest &manifest = program_.manifest();
  AtomicFile file(path_);
  file.write("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" + named("process_name", processTrack, manifest.model) +
             ",\n" + named("thread_name", processTrack, "program"));
  for (const Work &work : work_) {
    JsonLine args;
    if (work.step >= 0)
      args.add("step", work.step);
    file.write(",\n" + span(work.what, "program", processTrack, origin, work.begin, work.end, args.str()));
  }
  // Kernels that run at the same time stand on tracks of their own, for a viewer nests what overlaps on one.
  std::vector<std::vector<int64_t>> busyUntil(program_.image().backend_count);
  for (const Profile::Span &one : spans) {
    std::vector<int64_t> &tracks = busyUntil[one.backend];
    size_t track = 0;
    while (track < tracks.size() && tracks[track] > one.begin)
      ++track;
    int64_t number = (one.backend + 1) * tracksOfBackend + static_cast<int64_t>(track);
    if (track == tracks.size()) {
      tracks.push_back(0);
      file.write(",\n" + named("thread_name", number, program_.image().backends[one.backend].name));
    }
    tracks[track] = one.end;
    bool kernel = one.kernel < manifest.kernels.size();
    const char *other = one.kernel == Profile::allKernels ? "all kernels" : "copy";
    file.write(",\n" + span(kernel ? manifest.kernels[one.kernel].name : other, kernel ? "kernel" : "other", number,
                            origin, one.begin, one.end,
                            kernel ? argumentsOf(manifest.kernels[one.kernel]) : JsonLine().str()));
  }
  file.write("\n]}\n");
  file.commit();
}

} // namespace kiln
