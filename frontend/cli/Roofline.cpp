// The plan's launches, counted; the machine's limits; a trace's spans.
#include "frontend/cli/Roofline.h"

#include "backends/api/kiln_text.h"
#include "frontend/cli/Peak.h"
#include "runtime/backend/Tree.h"
#include "runtime/program/Walk.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "llvm/Support/MemoryBuffer.h"

#include <optional>
#include <thread>

namespace kiln {

namespace {

struct KernelWork {
  double flops = 0, bytes = 0;
  int64_t launches = 0;
};

/// Adds what the launches below `node` do, `times` over.
void count(const kiln_node &node, int64_t times, const Manifest &manifest, const int64_t *table,
           std::map<uint32_t, KernelWork> &work) {
  if (isLaunch(node)) {
    const KernelSpec &kernel = manifest.kernels[node.kernel];
    KernelWork &sum = work[node.kernel];
    sum.flops += costOf(kernel, kernel.flops, node, table) * static_cast<double>(times);
    sum.bytes += costOf(kernel, kernel.bytes, node, table) * static_cast<double>(times);
    sum.launches += times;
  }
  if (traitsOf(node).loops)
    times *= node.count.slot < 0 ? node.count.value : table[node.count.slot];
  for (size_t i = 0; i < node.child_count; ++i)
    count(node.children[i], times, manifest, table, work);
}

std::string amount(double value, const char *unit) {
  for (auto [scale, prefix] : {std::pair(1e9, "G"), {1e6, "M"}, {1e3, "k"}})
    if (value >= scale)
      return absl::StrFormat("%.3g %s%s", value / scale, prefix, unit);
  return absl::StrFormat("%.3g %s", value, unit);
}

std::string time(double seconds) {
  return seconds >= 1e-3 ? absl::StrFormat("%.3g ms", seconds * 1e3) : absl::StrFormat("%.3g us", seconds * 1e6);
}

/// "302 MFLOP, 14.2 MB", and what that takes.
std::string describe(const KernelWork &work, const MachinePeak *peak, size_t held, const MeasuredKernel *measured) {
  std::string text =
      absl::StrCat(work.launches, work.launches == 1 ? " launch" : " launches",
                   work.flops > 0 ? ", " + amount(work.flops, "FLOP") : std::string(), ", ", amount(work.bytes, "B"));
  double least = 0;
  if (peak && work.launches > 0) {
    double adding = work.flops * 1e-9 / peak->gflops(), moving = work.bytes * 1e-9 / peak->gbPerSecond(held);
    least = std::max(adding, moving);
    absl::StrAppend(&text, "; ", time(least), " at the least, by ", adding > moving ? "multiply-adds" : "memory");
  }
  if (measured && measured->seconds > 0 && work.launches > 0) {
    double took = measured->seconds / static_cast<double>(measured->launches) * static_cast<double>(work.launches);
    absl::StrAppend(&text, "; measured ", time(took));
    if (least > 0)
      absl::StrAppendFormat(&text, ", %.2f of the limit", least / took);
  }
  return text;
}

/// Adds an event of a trace to what its kernel took; events that are no spans are passed over.
absl::Status addSpan(const nlohmann::json &span, std::map<std::string, MeasuredKernel> &found) {
  auto name = span.find("name"), time = span.find("dur");
  if (name == span.end() || time == span.end() || !name->is_string() || !time->is_number())
    return absl::OkStatus();
  double microseconds = time->get<double>();
  if (microseconds < 0 || microseconds > 1e12) // eleven days
    return absl::InvalidArgumentError(absl::StrFormat("'%s' has a span of %g microseconds, which nothing takes",
                                                      name->get<std::string>().substr(0, 80), microseconds));
  MeasuredKernel &kernel = found[*name];
  kernel.seconds += microseconds * 1e-6;
  ++kernel.launches;
  auto told = span.find("args");
  if (told == span.end() || !told->is_object())
    return absl::OkStatus();
  if (auto ops = told->find("ops"); ops != told->end() && ops->is_string())
    kernel.ops = *ops;
  return absl::OkStatus();
}

} // namespace

absl::StatusOr<std::map<std::string, MeasuredKernel>> readTrace(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return absl::NotFoundError(absl::StrCat("--profile: cannot read ", path, ": ", buffer.getError().message()));
  std::map<std::string, MeasuredKernel> found;
  absl::Status wrong;
  bool inSpans = false, isTrace = false;
  // Each span is counted where it ends, and dropped: a trace may be larger than memory would hold as a tree.
  auto drop = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json &value) {
    if (event == nlohmann::json::parse_event_t::key && depth == 1)
      inSpans = value == "traceEvents";
    isTrace |= event == nlohmann::json::parse_event_t::array_start && depth == 1 && inSpans;
    if (event != nlohmann::json::parse_event_t::object_end || depth != 2 || !inSpans)
      return true;
    wrong.Update(addSpan(value, found));
    return false;
  };
  llvm::StringRef bytes = (*buffer)->getBuffer();
  bool isJson = !nlohmann::json::parse(bytes.begin(), bytes.end(), drop, /*allow_exceptions=*/false).is_discarded();
  if (!isJson || !isTrace)
    return absl::InvalidArgumentError(absl::StrCat("--profile: ", path,
                                                   " is no trace: expected what `PROGRAM bench --profile FILE`, or "
                                                   "`train` or `run`, has written"));
  if (!wrong.ok())
    return absl::InvalidArgumentError(absl::StrCat("--profile: ", path, ": ", wrong.message()));
  return found;
}

absl::Status checkMeasured(const std::map<std::string, MeasuredKernel> &measured, const Manifest &manifest) {
  bool any = false;
  for (const KernelSpec &kernel : manifest.kernels) {
    auto found = measured.find(kernel.name);
    if (found == measured.end())
      continue;
    any = true;
    std::string ops;
    for (const KernelSpec::Op &op : kernel.ops)
      absl::StrAppend(&ops, ops.empty() ? "" : " ", op.name);
    if (!found->second.ops.empty() && found->second.ops != ops)
      return absl::InvalidArgumentError(absl::StrCat("is of another program: its '", kernel.name, "' is made of ",
                                                     found->second.ops.substr(0, 200), ", and this one's of ",
                                                     ops.substr(0, 200)));
  }
  return any ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   "has no kernel of this program's: it is another model's, or of a program that "
                   "was built with other options (kernels are numbered through all entries: the "
                   "same --entry)");
}

std::vector<std::string> describeWork(const kiln_program &program, const Manifest &manifest, bool limits,
                                      const std::map<std::string, MeasuredKernel> &measured) {
  std::vector<std::string> lines(manifest.kernels.size());
  std::optional<MachinePeak> peak;
  if (limits)
    peak.emplace(std::thread::hardware_concurrency());
  for (size_t e = 0; e < program.entry_count; ++e) {
    const EntryRow &entry = program.entries[e];
    std::map<uint32_t, KernelWork> work;
    count(entry.root, 1, manifest, entry.extent_bounds, work);
    size_t held = static_cast<size_t>(entry.arena_bytes);
    for (size_t i = 0; i < entry.argument_count; ++i)
      held += static_cast<size_t>(entry.argument_bytes[i]);
    held = std::max<size_t>(held, 1 << 16);
    if (peak && peak->gbPerSecond(held) == 0) // not yet, for another entry that holds about as much
      peak->sample(held);
    for (const auto &[number, sum] : work) {
      auto timed = measured.find(manifest.kernels[number].name);
      absl::StrAppend(&lines[number], "    ", toString(entry.name), ": ",
                      describe(sum, peak ? &*peak : nullptr, held, timed == measured.end() ? nullptr : &timed->second),
                      "\n");
    }
  }
  return lines;
}

} // namespace kiln
