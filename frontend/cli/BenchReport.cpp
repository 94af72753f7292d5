// Numbers with units, rows, and the three forms of a report.

#include "frontend/cli/BenchReport.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

namespace kiln {

using json = nlohmann::ordered_json;

double BenchRow::number(const char *key) const {
  return run.is_object() && run.contains(key) && run[key].is_number() ? run[key].get<double>() : NAN;
}

size_t BenchRow::workingSet() const {
  double bytes = number("working_set_bytes");
  return std::isnan(bytes) ? 0 : static_cast<size_t>(bytes);
}

namespace {

std::string text(double value, const char *unit, int digits = 1) {
  return std::isnan(value) ? std::string("-") : absl::StrFormat("%.*f%s", digits, value, unit);
}

/// With more digits where it is small.
std::string time(double seconds) {
  if (std::isnan(seconds))
    return "-";
  return seconds < 1e-3 ? text(seconds * 1e6, " us") : text(seconds * 1e3, " ms", seconds < 0.1 ? 3 : 1);
}

std::string size(double bytes) {
  if (std::isnan(bytes))
    return "-";
  if (bytes < 1024)
    return text(bytes, " B", 0);
  return bytes < 1048576 ? text(bytes / 1024, " KiB", 0) : text(bytes / 1048576, " MiB");
}

std::string share(double value, double peak) {
  if (std::isnan(value) || peak <= 0)
    return "-";
  double percent = 100 * value / peak;
  return absl::StrFormat("%.*f (%.*f%%)", value < 1 ? 2 : 1, value, percent < 1 ? 1 : 0, percent);
}

/// What goes over the memory's wires where the backend counts it, else what the kernels' operands hold.
double moved(const BenchRow &row) {
  double counted = row.number("bytes_moved");
  return counted > 0 ? counted : row.number("bytes");
}

std::string memory(const BenchRow &row) {
  double device = row.number("device_bytes");
  return size(row.number("peak_memory_bytes")) + (device > 0 ? " + " + size(device) : std::string());
}

std::string rate(const BenchRow &row) {
  double tokens = row.number("tokens_per_second");
  return std::isnan(tokens) ? text(row.number("items_per_second"), " samples", 0) : text(tokens, " tokens", 0);
}

struct Column {
  const char *title;
  std::string (*cell)(const BenchRow &, const MachinePeak &);
};

const Column columns[] = {
    {"backend", [](const BenchRow &r, const MachinePeak &) { return r.backend; }},
    {"compile", [](const BenchRow &r, const MachinePeak &) { return text(r.compileSeconds, " s", 2); }},
    {"step", [](const BenchRow &r, const MachinePeak &) { return time(r.number("median_time") * 1e-6); }},
    {"± MAD", [](const BenchRow &r, const MachinePeak &) { return time(r.number("mad_time") * 1e-6); }},
    {"runs", [](const BenchRow &r, const MachinePeak &) { return text(r.number("iterations"), "", 0); }},
    {"a second", [](const BenchRow &r, const MachinePeak &) { return rate(r); }},
    {"GFLOP/s",
     [](const BenchRow &r, const MachinePeak &p) { return share(r.number("gflops_per_second"), p.gflops()); }},
    {"GB/s", [](const BenchRow &r,
                const MachinePeak &p) { return share(r.number("gb_per_second"), p.gbPerSecond(r.workingSet())); }},
    {"memory", [](const BenchRow &r, const MachinePeak &) { return memory(r); }},
    {"kernels", [](const BenchRow &r, const MachinePeak &) { return text(r.number("launches"), "", 0); }},
    {"barriers", [](const BenchRow &r, const MachinePeak &) { return text(r.number("barriers"), "", 0); }},
    {"moved", [](const BenchRow &r, const MachinePeak &) { return size(moved(r)); }},
    {"program", [](const BenchRow &r, const MachinePeak &) { return size(static_cast<double>(r.programBytes)); }},
    {"agrees", [](const BenchRow &r, const MachinePeak &) { return r.agreement; }},
};

/// Characters, not bytes.
size_t width(const std::string &cell) {
  return static_cast<size_t>(std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void printTable(const std::vector<BenchRow> &rows, const MachinePeak &peak, bool markdown) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column &column : columns)
    lines[0].push_back(column.title);
  for (const BenchRow &row : rows) {
    std::vector<std::string> &line = lines.emplace_back();
    for (const Column &column : columns)
      line.push_back(row.error.empty() ? column.cell(row, peak) : "-");
    if (!row.error.empty()) { // the reason is on standard error
      line.front() = row.backend;
      line.back() = "FAILED";
    }
  }
  std::vector<size_t> widths(std::size(columns), 0);
  for (const auto &line : lines)
    for (size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], width(line[i]));
  for (size_t l = 0; l < lines.size(); ++l) {
    std::string out;
    for (size_t i = 0; i < lines[l].size(); ++i) {
      bool last = i + 1 == lines[l].size() && !markdown;
      absl::StrAppend(&out,
                      markdown ? "| "
                      : i      ? "  "
                               : "",
                      lines[l][i], std::string(last ? 0 : widths[i] - width(lines[l][i]) + (markdown ? 1 : 0), ' '));
    }
    std::printf("%s%s\n", out.c_str(), markdown ? "|" : "");
    for (size_t i = 0; markdown && l == 0 && i < widths.size(); ++i)
      std::printf("|%s", std::string(widths[i] + 2, '-').c_str());
    if (markdown && l == 0)
      std::printf("|\n");
  }
}

/// A field as RFC 4180 wants it.
std::string quoted(const std::string &field) {
  if (field.find_first_of(",\"\n\r") == std::string::npos)
    return field;
  return absl::StrCat("\"", absl::StrReplaceAll(field, {{"\"", "\"\""}}), "\"");
}

void printCsv(const std::vector<BenchRow> &rows, const MachinePeak &peak) {
  static const char *keys[] = {
      "median_time",       "mad_time",          "iterations",  "items_per_second", "tokens_per_second",
      "gflops_per_second", "gb_per_second",     "launches",    "barriers",         "bytes",
      "bytes_moved",       "peak_memory_bytes", "device_bytes"};
  std::printf("backend,compile_s,program_bytes");
  for (const char *key : keys)
    std::printf(",%s", key);
  std::printf(",peak_gflops,peak_gb_per_second,agrees,error\n");
  for (const BenchRow &row : rows) {
    std::printf("%s,", quoted(row.backend).c_str());
    if (row.error.empty())
      std::printf("%.3f,%llu", row.compileSeconds, static_cast<unsigned long long>(row.programBytes));
    else
      std::printf(",");
    for (const char *key : keys) {
      double value = row.number(key);
      std::printf(std::isnan(value) ? "," : ",%.9g", value);
    }
    std::printf(",%.4g,%.4g,%s,%s\n", peak.gflops(), peak.gbPerSecond(row.workingSet()),
                row.error.empty() ? quoted(row.agreement).c_str() : "", quoted(row.error).c_str());
  }
}

void printJson(const std::vector<BenchRow> &rows, const MachinePeak &peak, const std::string &model) {
  json all = {{"context", json::object()}, {"benchmarks", json::array()}};
  for (const BenchRow &row : rows)
    if (row.context.is_object() && all["context"].empty())
      all["context"] = row.context;
  all["context"]["executable"] = "kiln bench " + model;
  all["context"]["model"] = model;
  all["context"]["peak_gflops"] = peak.gflops();
  for (const BenchRow &row : rows) {
    json run = row.run.is_object() ? row.run : json::object();
    std::string function =
        run.contains("run_name") && run["run_name"].is_string() ? run["run_name"].get<std::string>() : "";
    run["name"] = row.backend + (function.empty() ? "" : "/" + function);
    run["run_name"] = run["name"];
    run["run_type"] = "iteration";
    run["backend"] = row.backend;
    if (!row.error.empty()) {
      run["error_occurred"] = true;
      run["error_message"] = row.error;
    } else {
      run["compile_time_s"] = row.compileSeconds;
      run["program_bytes"] = row.programBytes;
      run["peak_gb_per_second"] = peak.gbPerSecond(row.workingSet());
      run["agrees"] = row.agreement;
    }
    all["benchmarks"].push_back(run);
  }
  std::printf("%s\n", all.dump(1, ' ', false, json::error_handler_t::replace).c_str());
}

} // namespace

void printBench(const std::vector<BenchRow> &rows, const MachinePeak &peak, const std::string &model,
                const std::string &format) {
  if (format == "json")
    return printJson(rows, peak, model);
  if (format == "csv")
    return printCsv(rows, peak);
  printTable(rows, peak, format == "md");
  if (peak.gflops() == 0) // nothing ran
    return;
  std::printf("\nthis machine's processor: %.0f GFLOP/s (f32 multiply-adds)", peak.gflops());
  std::set<size_t> classes;
  for (const BenchRow &row : rows)
    if (row.error.empty())
      classes.insert(MachinePeak::sizeClass(row.workingSet()));
  for (size_t bytes : classes)
    std::printf(", %.1f GB/s (over %s)", peak.gbPerSecond(bytes), size(static_cast<double>(bytes)).c_str());
  std::printf(", measured between the backends\n");
}

} // namespace kiln
