// The plan's launches, counted; the machine's limits; a trace's spans.
#include "frontend/cli/Roofline.h"

#include "backends/api/kiln_text.h"
#include "frontend/cli/Peak.h"
#include "runtime/backend/Tree.h"

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

double costAt(const std::vector<KernelSpec::Term> &terms, const kiln_node &launch, const int64_t *table) {
  double sum = 0;
  for (const KernelSpec::Term &term : terms) {
    double product = term.factor;
    for (size_t slot : term.slots) {
      const kiln_extent &extent = launch.extents[slot];
      product *= static_cast<double>(extent.slot < 0 ? extent.value : table[extent.slot]);
    }
    sum += product;
  }
  return sum;
}

/// Adds what the launches below `node` do, `times` over.
void count(const kiln_node &node, int64_t times, const Manifest &manifest, const int64_t *table,
           std::map<uint32_t, KernelWork> &work) {
  if (isLaunch(node)) {
    const KernelSpec &kernel = manifest.kernels[node.kernel];
    KernelWork &sum = work[node.kernel];
    sum.flops += costAt(kernel.flops, node, table) * static_cast<double>(times);
    sum.bytes += costAt(kernel.bytes, node, table) * static_cast<double>(times);
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
  if (measured && measured->launches > 0 && work.launches > 0) {
    double took = measured->seconds / static_cast<double>(measured->launches) * static_cast<double>(work.launches);
    absl::StrAppend(&text, "; measured ", time(took));
    if (least > 0)
      absl::StrAppendFormat(&text, ", %.2f of the limit", least / took);
  }
  return text;
}

} // namespace

absl::StatusOr<std::map<std::string, MeasuredKernel>> readTrace(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return absl::NotFoundError(absl::StrCat("--profile: cannot read ", path, ": ", buffer.getError().message()));
  llvm::StringRef bytes = (*buffer)->getBuffer();
  nlohmann::json trace = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, /*allow_exceptions=*/false);
  auto spans = trace.is_object() ? trace.find("traceEvents") : trace.end();
  if (!trace.is_object() || spans == trace.end() || !spans->is_array())
    return absl::InvalidArgumentError(absl::StrCat("--profile: ", path,
                                                   " is no trace: expected what `PROGRAM bench --profile FILE`, or "
                                                   "`train` or `run`, has written"));
  std::map<std::string, MeasuredKernel> found;
  for (const nlohmann::json &span : *spans) {
    if (!span.is_object() || !span.contains("name") || !span["name"].is_string() || !span.contains("dur") ||
        !span["dur"].is_number())
      continue;
    MeasuredKernel &kernel = found[span["name"]];
    kernel.seconds += span["dur"].get<double>() * 1e-6;
    ++kernel.launches;
  }
  return found;
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
    for (int burst = 0; peak && burst < 8; ++burst)
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
