// What a path is, and who reads it.
#include "frontend/cli/Import.h"

#include "frontend/cli/Commands.h"
#include "frontend/driver/Files.h"
#include "frontend/gguf/Model.h"
#include "frontend/huggingface/Folder.h"
#include "runtime/program/Weights.h"
#include "runtime/support/Error.h"

#include "CLI/CLI.hpp"

#include <cstdio>
#include <filesystem>

namespace kiln {

namespace {

int failed(const std::exception &error) {
  std::fprintf(stderr, "kiln: error: %s\n", error.what());
  return 1;
}

bool isModel(const std::string &path) { return huggingface::isFolder(path) || gguf::isGguf(path); }

huggingface::Imported readModel(const std::string &path, const std::string &model) {
  return gguf::isGguf(path) ? gguf::readModel(path, model) : huggingface::readFolder(path, model);
}

/// What belongs to the model: the files of its folder, or itself.
std::vector<std::string> filesOf(const std::string &path) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    files.push_back(it->path().string());
  return files.empty() ? std::vector<std::string>{path} : files;
}

/// Behind the text's first words: how the folder's weights are loaded.
std::string withUse(const huggingface::Imported &imported, const std::string &path) {
  std::string use =
      "# Its weights: --load " + (imported.prefix.empty() ? "" : imported.prefix + "=") + path + "/model.safetensors\n";
  size_t end = imported.text.find('\n') + 1;
  return imported.text.substr(0, end) + use + imported.text.substr(end);
}

} // namespace

CLI::App *addImport(CLI::App &app, ImportOptions &options) {
  CLI::App *command = app.add_subcommand("import", "the .kiln text of a model from elsewhere");
  command->add_option("MODEL", options.path, "a Hugging Face folder (config.json, model.safetensors), or a GGUF file")
      ->required();
  command->add_option("--model", options.model, "which model, where it is not the one that the folder names");
  command->add_option("-o,--output", options.output, "the text to write (default: standard output)");
  return command;
}

int commandImport(const ImportOptions &options) {
  try {
    if (!isModel(options.path))
      fail("'%s' is no model that can be imported: a folder with a config.json, or a .gguf file, is expected",
           options.path.c_str());
    huggingface::Imported imported = readModel(options.path, options.model);
    std::string text = gguf::isGguf(options.path) ? imported.text : withUse(imported, options.path);
    if (options.output.empty()) {
      std::fputs(text.c_str(), stdout);
      return 0;
    }
    std::vector<InputFile> inputs;
    std::vector<std::string> files = filesOf(options.path);
    for (const std::string &file : files)
      inputs.push_back({file, "part of the model that is imported"});
    absl::Status status = checkOutput(options.output);
    status.Update(checkNotInput(options.output, inputs));
    if (!status.ok())
      return report(status);
    return report(writeFile(options.output, text));
  } catch (const std::exception &error) {
    return failed(error);
  }
}

int importGiven(ModelOptions &options) {
  try {
    if (!isModel(options.file))
      return 0;
    if (!options.weights.empty())
      fail("--weights %s: the weights are those of %s", options.weights.c_str(), options.file.c_str());
    huggingface::Imported imported = readModel(options.file, options.model);
    options.text = std::move(imported.text);
    options.importedFiles = filesOf(options.file);
    options.weightSet = std::make_shared<WeightSet>();
    options.weightSet->tensors = std::move(imported.tensors);
    if (!imported.tokenizer.empty())
      options.weightSet->metadata[std::string(ownTokenizer)] = std::move(imported.tokenizer);
    options.file = std::filesystem::path(options.file).lexically_normal().string();
    while (options.file.size() > 1 && options.file.ends_with('/'))
      options.file.pop_back();
    return 0;
  } catch (const std::exception &error) {
    return failed(error);
  }
}

} // namespace kiln
