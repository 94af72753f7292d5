// PROGRAM info
#include "runtime/backend/Embedded.h"
#include "runtime/cli/Commands.h"
#include "runtime/cli/Output.h"
#include "runtime/support/Error.h"

#include <deque>

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
  std::string inputs, outputs; // as a text has them
  size_t results = 0;
  for (const ArgumentSpec &argument : entry.arguments) {
    if (argument.role == Role::Input)
      inputs += (inputs.empty() ? "" : ", ") + argument.name + ": " + argument.type.str();
    if (argument.result &&
        (argument.role == Role::Output || argument.role == Role::Loss || argument.role == Role::Metric)) {
      ++results;
      outputs += (outputs.empty() ? "" : ", ") +
                 (argument.role == Role::Output ? "" : std::string(roleName(argument.role)) + " ") +
                 (argument.role == Role::Metric ? argument.name + " " : "") + argument.type.str();
    }
  }
  return entry.name + "(" + inputs + ") -> " + (results == 1 ? outputs : "(" + outputs + ")");
}

namespace {
/// A backend inside, and what it finds here.
struct BackendInside {
  std::string name, plugin;
  std::vector<std::string> devices, options; ///< lines for people
  std::vector<std::pair<std::string, std::string>> built;
};
} // namespace

static std::vector<BackendInside> backendsOf(const kiln_program_image &image, const Manifest &manifest,
                                             const std::vector<std::string> &options) {
  std::vector<BackendInside> all;
  std::deque<BackendTables> opened;
  std::vector<const BackendTables *> tables;
  for (uint64_t i = 0; i < image.backend_count; ++i) {
    BackendInside &one = all.emplace_back();
    one.name = image.backends[i].name;
    if (const char *plugin = image.backends[i].plugin)
      one.plugin =
          std::string(plugin) + (image.backends[i].artifact_version
                                     ? format(", or another that reads its artifacts, version %llu",
                                              static_cast<unsigned long long>(image.backends[i].artifact_version))
                                     : std::string(", that very file"));
    if (auto built = manifest.backendOptions.find(one.name); built != manifest.backendOptions.end())
      one.built = built->second;
    std::string why;
    if (!openEmbedded(image.backends[i], plainHost(), opened.emplace_back(), why)) {
      one.devices.push_back(why);
      continue;
    }
    tables.push_back(&opened.back());
    one.devices = Device::describe(opened.back(), *plainHost());
    one.options = describeOptions(opened.back(), KILN_OPTION_RUN);
  }
  (void)manifest.readSettings(options, tables); // what is wrong with them
  return all;
}

static void printBackends(const std::vector<BackendInside> &backends) {
  for (const BackendInside &backend : backends) {
    std::printf("\nbackend %s, devices:\n", backend.name.c_str());
    for (const std::string &line : backend.devices)
      std::printf("  %s\n", line.c_str());
    if (!backend.plugin.empty())
      std::printf("  plugin %s\n", backend.plugin.c_str());
    for (const auto &[name, value] : backend.built)
      std::printf("  built with %s=%s\n", name.c_str(), value.c_str());
    for (const std::string &line : backend.options)
      std::printf("  option %s\n", line.c_str());
  }
}

static std::string backendsJson(const std::vector<BackendInside> &backends) {
  std::string all;
  for (const BackendInside &backend : backends)
    if (!backend.built.empty()) {
      JsonLine options;
      for (const auto &[name, value] : backend.built)
        options.add(name.c_str(), value);
      all += (all.empty() ? "" : ",") + jsonQuote(backend.name) + ":" + options.str();
    }
  return "{" + all + "}";
}

/// "on device 1": where a function of several devices' program runs; the shards of a batch are on many.
static std::string placeOf(const Manifest &manifest, const std::string &entry, const std::vector<uint32_t> &devices) {
  if (!entry.starts_with("shard.gradients") && !entry.starts_with("shard.totals"))
    return format("on device %u", devices[Program::deviceOf(manifest, entry, devices.size())]);
  std::string list;
  for (size_t i = 0; i < std::min(devices.size(), static_cast<size_t>(manifest.mostShards())); ++i)
    list += (i ? ", " : "") + std::to_string(devices[i]);
  return "on devices " + list;
}

int infoCommand(const Options &, Common &common) {
  // Read without running: a manifest and lists of devices.
  const kiln_program_image &image = common.image;
  Manifest manifest = Manifest::parse({image.manifest, image.manifest_size});
  std::vector<BackendInside> backends = backendsOf(image, manifest, common.backendOptions);
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
    for (const BackendInside &backend : backends)
      for (const std::string &line : backend.devices)
        devices += (devices.empty() ? "" : ",") + JsonLine().add("backend", backend.name).add("device", line).str();
    json.line(JsonLine()
                  .addRaw("devices", "[" + devices + "]")
                  .addRaw("backend_options", backendsJson(backends))
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
  printBackends(backends);
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
    if (common.devices.size() > 1)
      std::printf("; %s", placeOf(manifest, entry.name, common.devices).c_str());
    std::printf("\n");
  }
  return 0;
}

} // namespace kiln
