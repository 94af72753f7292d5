// From the command line to a file, and another one where the weights lie beside it.
#include "frontend/cli/Export.h"

#include "frontend/cli/Commands.h"
#include "frontend/cli/Installed.h"
#include "frontend/driver/Compile.h"
#include "frontend/driver/Files.h"
#include "frontend/export/Onnx.h"
#include "runtime/program/Weights.h"

#include "CLI/CLI.hpp"

#include <cstdio>
#include <filesystem>

namespace kiln {

namespace {

/// A message of protocol buffers is at most 2 GiB long.
constexpr uint64_t kMostInside = uint64_t{1900} << 20;

/// The external file's bytes, each tensor at its place.
std::string laidOut(const std::vector<TensorView> &tensors) {
  std::string out;
  for (const TensorView &tensor : tensors) {
    out.append(reinterpret_cast<const char *>(MadeBytes(tensor).view.data), tensor.bytes);
    out.resize((out.size() + exported::kExternalAlignment - 1) / exported::kExternalAlignment *
               exported::kExternalAlignment);
  }
  return out;
}

/// What is said of a program, and would be left out of an ONNX file without a word.
absl::Status checkOptions(const ModelOptions &options) {
  if (!options.entries.empty())
    return absl::InvalidArgumentError(
        "--entry chooses what a program holds; an ONNX file is of one function: --function " + options.entries.front());
  if (!options.weightsAs.empty() && options.weightsAs != "f32") // that widens the blocks of a GGUF file
    return absl::InvalidArgumentError(
        "--weights-as is how a program stores matrices; an ONNX file holds them as they are");
  if (!options.compute.empty())
    return absl::InvalidArgumentError("--compute is how a program multiplies; an ONNX file's types say it there");
  return absl::OkStatus();
}

} // namespace

CLI::App *addExport(CLI::App &app, ExportCommand &command) {
  CLI::App *sub = app.add_subcommand("export", "a function of a model, with its weights, as an ONNX file");
  sub->add_flag_callback(
         "--ops",
         [] {
           std::fputs(exported::opsTable().c_str(), stdout);
           throw CLI::Success();
         },
         "only print the table of the dialect's ops, and what each becomes")
      ->trigger_on_parse();
  sub->add_option("--onnx", command.onnx, "the file to write")->required();
  sub->add_option("--function", command.entry, "which function (default: forward)");
  sub->add_option("--opset", command.opset, "which operator set (default: 20)")->check(CLI::Range(17, 22));
  sub->add_flag("--external-data", command.external,
                "the weights lie in FILE.data beside it (by itself where they are above 1.9 GiB)");
  return sub;
}

int commandExport(const ModelOptions &options, const ExportCommand &command) {
  if (absl::Status status = checkOptions(options); !status.ok())
    return report(status);
  std::string data = command.onnx + ".data";
  std::vector<InputFile> inputs = inputsOf(options);
  for (const std::string &path : {command.onnx, data})
    for (const absl::Status &status : {checkOutput(path), checkNotInput(path, inputs)})
      if (!status.ok())
        return report(status);
  try {
    Safetensors opened =
        options.weights.empty() ? Safetensors::of({}, "no weights", nullptr) : Safetensors::open(options.weights);
    const Safetensors &weights = options.weightSet ? options.weightSet->tensors : opened;
    Compilation compilation(installed(), options);
    if (absl::Status status = compilation.load(); !status.ok()) {
      std::fputs(compilation.renderedText().c_str(), stderr);
      return report(status);
    }
    uint64_t total = 0;
    for (const TensorView &tensor : weights.tensors())
      total += tensor.bytes;
    exported::Options how;
    how.entry = command.entry;
    how.opset = command.opset;
    bool external = command.external || total > kMostInside;
    how.externalFile = external ? std::filesystem::path(data).filename().string() : "";
    absl::StatusOr<exported::File> file = exported::exportOnnx(compilation.module(), weights, how);
    if (!file.ok())
      return report(file.status());
    if (external)
      if (absl::Status status = writeFile(data, laidOut(file->external)); !status.ok())
        return report(status);
    return report(writeFile(command.onnx, file->model));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "kiln: error: %s\n", error.what());
    return 1;
  }
}

} // namespace kiln
