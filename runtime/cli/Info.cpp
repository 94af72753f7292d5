// PROGRAM info
#include "runtime/backend/Embedded.h"
#include "runtime/cli/Commands.h"
#include "runtime/cli/Output.h"
#include "runtime/support/Error.h"

namespace kiln {

static std::string bytesText(int64_t bytes) {
  double value = static_cast<double>(bytes);
  const char *unit = "B";
  for (const char *next : {"KiB", "MiB", "GiB"})
    if (value >= 1024) {
      value /= 1024;
      unit = next;
    }
  return format(unit[1] ? "%.1f %s" : "%.0f %s", value, unit);
}

static std::string signature(const EntrySpec &entry) {
  std::string inputs, outputs;
  for (const ArgumentSpec &argument : entry.arguments) {
    if (argument.role == Role::Input)
      inputs += (inputs.empty() ? "" : ", ") + argument.name + ": " + argument.type.str();
    if (argument.result &&
        (argument.role == Role::Output || argument.role == Role::Loss || argument.role == Role::Metric))
      outputs += (outputs.empty() ? "" : ", ") +
                 (argument.role == Role::Output ? "" : std::string(roleName(argument.role)) + " ") +
                 (argument.role == Role::Metric ? argument.name + " " : "") + argument.type.str();
  }
  return entry.name + "(" + inputs + ") -> " + (outputs.empty() ? "()" : outputs);
}

/// The backends inside, and the devices that they find here.
static std::vector<std::pair<std::string, std::vector<std::string>>> devicesOf(const kiln_program_image &image) {
  std::vector<std::pair<std::string, std::vector<std::string>>> all;
  for (uint64_t i = 0; i < image.backend_count; ++i) {
    BackendTables tables;
    std::string why;
    std::vector<std::string> lines;
    if (!openEmbedded(image.backends[i], plainHost(), tables, why))
      lines.push_back(why);
    else
      lines = Device::describe(tables, *plainHost());
    all.emplace_back(image.backends[i].name, std::move(lines));
  }
  return all;
}

int infoCommand(const Options &, Common &common) {
  // Read without running: a manifest and lists of devices.
  const kiln_program_image &image = common.image;
  Manifest manifest = Manifest::parse({image.manifest, image.manifest_size});
  JsonOutput json(common.json, common.jsonPath);
  int64_t elements = 0, bytes = 0, trainable = 0;
  for (const ParameterSpec &parameter : manifest.parameters) {
    int64_t count = 1;
    for (const Dim &dim : parameter.type.shape)
      count *= dim.constant().value_or(0);
    elements += count;
    trainable += parameter.trainable ? count : 0;
    bytes += count * static_cast<int64_t>(dtypeSize(parameter.type.dtype));
  }
  if (json) {
    std::string entries;
    for (const EntrySpec &entry : manifest.entries)
      entries += (entries.empty() ? "" : ",") + JsonLine()
                                                    .add("name", entry.name)
                                                    .add("arena_bytes", entry.arenaBytes)
                                                    .add("lower_bound_bytes", entry.lowerBound)
                                                    .str();
    std::string devices;
    for (const auto &[backend, lines] : devicesOf(image))
      for (const std::string &line : lines)
        devices += (devices.empty() ? "" : ",") + JsonLine().add("backend", backend).add("device", line).str();
    json.line(JsonLine()
                  .addRaw("devices", "[" + devices + "]")
                  .add("model", manifest.model)
                  .add("backend", image.backend_count ? image.backends[0].name : "")
                  .add("cpu", manifest.cpu)
                  .add("parameters", elements)
                  .add("trainable", trainable)
                  .add("parameter_bytes", bytes)
                  .add("kernels", static_cast<int64_t>(manifest.kernels.size()))
                  .add("constant_bytes", manifest.constantBytes)
                  .addRaw("entries", "[" + entries + "]")
                  .str());
  }
  if (json.ownsStandardOutput())
    return 0;
  std::printf("model %s, built for %s\n", manifest.model.c_str(),
              manifest.cpu.empty() ? "any processor" : manifest.cpu.c_str());
  for (const auto &[backend, lines] : devicesOf(image)) {
    std::printf("\nbackend %s, devices:\n", backend.c_str());
    for (const std::string &line : lines)
      std::printf("  %s\n", line.c_str());
  }
  std::printf("\nparameters: %lld (%s), trained: %lld\n", static_cast<long long>(elements), bytesText(bytes).c_str(),
              static_cast<long long>(trainable));
  for (const ParameterSpec &parameter : manifest.parameters)
    std::printf("  %-40s %s%s\n", parameter.name.c_str(), parameter.type.str().c_str(),
                parameter.trainable ? "" : "  (frozen)");
  const char *heading = "\nstates:\n";
  for (const StateSpec &state : manifest.states)
    if (state.kind != "optimizer") {
      std::fputs(heading, stdout);
      heading = "";
      std::printf("  %-40s %s  (%s)\n", state.name.c_str(), state.type.str().c_str(), state.kind.c_str());
    }
  std::printf("\nfunctions (%zu kernels, %s of constants):\n", manifest.kernels.size(),
              bytesText(manifest.constantBytes).c_str());
  for (const EntrySpec &entry : manifest.entries) {
    std::printf("  %s\n    temporaries: %s", signature(entry).c_str(), bytesText(entry.arenaBytes).c_str());
    if (entry.lowerBound > 0)
      std::printf(" (lower bound %s)", bytesText(entry.lowerBound).c_str());
    for (const SymbolSpec &symbol : entry.symbols)
      std::printf("; %s <= %lld", symbol.name.c_str(), static_cast<long long>(symbol.bound));
    std::printf("\n");
  }
  return 0;
}

} // namespace kiln
