// What a path is, and who reads it.
#include "frontend/cli/Import.h"

#include "frontend/cli/CommandLine.h"
#include "frontend/cli/Commands.h"
#include "frontend/driver/Files.h"
#include "frontend/gguf/Model.h"
#include "frontend/huggingface/Adapters.h"
#include "frontend/huggingface/Folder.h"
#include "frontend/huggingface/Recipe.h"
#include "frontend/language/Imports.h"
#include "frontend/onnx/ImportFile.h"
#include "runtime/files/File.h"
#include "runtime/program/Weights.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/text/Tokenizer.h"

#include "CLI/CLI.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace kiln {

namespace {

int failed(const std::exception &error) {
  std::fprintf(stderr, "kiln: error: %s\n", error.what());
  return 1;
}

bool isOnnx(const std::string &path) { return path.ends_with(".onnx"); }

int64_t boundOf(const onnx::ImportedFile &imported, const onnx::OpenDim &dim) {
  auto given = imported.bounds.find(dim.name);
  return given == imported.bounds.end() ? dim.likely : given->second;
}

/// Has it neither been given a bound nor does the graph have one?
bool isOpen(const onnx::ImportedFile &imported, const onnx::OpenDim &dim) {
  return std::find(imported.open.begin(), imported.open.end(), dim.name) != imported.open.end();
}

/// The options that say all sizes, with bounds that are likely where nobody has said one.
std::vector<std::string> sizeOptions(const onnx::ImportedFile &imported) {
  std::vector<std::string> out;
  for (const auto &[dim, size] : imported.sizes)
    out.insert(out.end(), {"--dim", dim + "=" + size});
  for (const onnx::OpenDim &dim : imported.dims)
    if (isOpen(imported, dim) || imported.bounds.contains(dim.name))
      out.insert(out.end(), {"--bound", dim.name + "=" + std::to_string(boundOf(imported, dim))});
  return out;
}

/// Of the text that import has written, which has what was given.
std::string boundOptions(const onnx::ImportedFile &imported) {
  std::string out;
  for (const onnx::OpenDim &dim : imported.dims)
    if (isOpen(imported, dim))
      out += " --bound " + dim.name + "=" + std::to_string(dim.likely);
  return out;
}

std::string joined(const std::vector<std::string> &options) {
  std::string out;
  for (const std::string &option : options)
    out += (out.empty() ? "" : " ") + shellQuoted(option);
  return out;
}

/// What was taken for the sizes that nobody has said, in one line: "B <= 8 (axis 0 of x)". `bounds`: those too.
std::string assumed(const onnx::ImportedFile &imported, bool bounds) {
  std::string out;
  auto add = [&](const std::string &text) { out += (out.empty() ? "" : ", ") + text; };
  for (const auto &[dim, size] : imported.added) {
    const onnx::OpenDim *its = nullptr;
    for (const onnx::OpenDim &one : imported.dims)
      its = one.name == dim ? &one : its;
    add((its ? its->where : dim) + " = " + size);
  }
  for (const onnx::OpenDim &dim : imported.dims)
    if (bounds && (isOpen(imported, dim) || imported.added.contains(dim.name))) // a multiple's bound counts multiples
      add(dim.name + " <= " + std::to_string(boundOf(imported, dim)) +
          (imported.added.contains(dim.name) ? "" : " (" + dim.where + ")"));
  return out;
}

onnx::ImportedFile readOnnx(const std::string &path, const onnx::ImportOptions &options) {
  onnx::ImportedFile imported = onnx::importFile(path, options);
  for (const std::string &problem : imported.problems)
    std::fprintf(stderr, "kiln: error: %s: %s\n", path.c_str(), problem.c_str());
  if (imported.wouldFit)
    std::fprintf(stderr, "  help: with all sizes said: %s\n", commandWith(sizeOptions(imported)).c_str());
  return imported;
}

/// What comes next of a text with a recipe.
/// `blocks`: the file of weights in blocks, where there is one.
void tellTraining(const std::string &text, bool lossIsOpen, bool adapted = false, const std::string &blocks = "") {
  if (lossIsOpen)
    std::printf("its loss is left to name: name_a_loss in %s\n", text.c_str());
  if (adapted) // by PEFT's names, without the base
    std::printf("kiln train %s%s --save adapter.safetensors --save-only '*lora*' --save-prefix base_model.model.\n",
                text.c_str(), blocks.empty() ? "" : (" --weights-as " + blocks).c_str());
  else
    std::printf("kiln train %s --save tuned.safetensors\n", text.c_str());
}

/// An ONNX file as a text and, beside it, its weights.
int importOnnx(const ImportOptions &options) {
  const std::string &output = options.output;
  std::string weights =
      output.empty() ? "model.safetensors"
                     : (output.ends_with(".kiln") ? output.substr(0, output.size() - 5) : output) + ".safetensors";
  if (absl::Status input = checkInput(options.path); !input.ok())
    return report(input);
  for (const std::string &path : {output, weights})
    for (const absl::Status &status :
         {checkOutput(path), checkNotInput(path, {{options.path, "the model that is imported"}})})
      if (!output.empty() && !options.check && !status.ok())
        return report(status);
  std::string weightsName = std::filesystem::path(weights).filename().string();
  onnx::ImportedFile imported =
      readOnnx(options.path, {options.model, options.bounds, options.dims, options.train, weightsName, options.flat});
  if (!imported.problems.empty())
    return 1;
  std::string open = joined(sizeOptions(imported)), taken = assumed(imported, options.check);
  if (options.check) {
    std::printf("%s can be imported%s%s\n", options.path.c_str(), taken.empty() ? "" : "; a build takes ",
                taken.c_str());
    if (!taken.empty())
      std::printf("with all sizes said: kiln build %s %s\n", shellQuoted(options.path).c_str(), open.c_str());
    return 0;
  }
  if (!taken.empty())
    std::fprintf(stderr, "kiln: note: the graph is right for some sizes alone: %s is taken\n", taken.c_str());
  if (output.empty()) {
    std::fputs(imported.text.c_str(), stdout);
    return 0;
  }
  writeSafetensors(weights, imported.weights.tensors());
  if (absl::Status written = writeFile(output, imported.text); !written.ok())
    return report(written);
  std::printf("%s and %s are written\n", output.c_str(), weights.c_str());
  if (options.train)
    tellTraining(output, imported.lossIsOpen);
  else
    std::printf("kiln build %s --weights %s%s\n", shellQuoted(output).c_str(), shellQuoted(weights).c_str(),
                boundOptions(imported).c_str());
  return 0;
}

bool isModel(const std::string &path) { return huggingface::isFolder(path) || gguf::isGguf(path); }

huggingface::Imported readModel(const std::string &path, const std::string &model, bool keepBlocks) {
  huggingface::Imported read =
      gguf::isGguf(path) ? gguf::readModel(path, model, keepBlocks) : huggingface::readFolder(path, model, keepBlocks);
  for (const std::string &note : read.notes)
    std::fprintf(stderr, "kiln: note: %s\n", note.c_str());
  return read;
}

/// Whether Kiln has written it: a text, or a program, which may be written anew.
bool isMade(const std::filesystem::path &path) {
  constexpr std::string_view magic = "\x7f"
                                     "ELF";
  std::string begin(magic.size(), '\0');
  return path.extension() == ".kiln" || (std::ifstream(path, std::ios::binary).read(begin.data(), 4) && begin == magic);
}

/// What belongs to the model: the files of its folder but for what was made of it, or itself.
std::vector<std::string> filesOf(const std::string &path) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    if (!isMade(it->path()))
      files.push_back(it->path().string());
  return files.empty() ? std::vector<std::string>{path} : files;
}

/// May `output` be written, beside the model at `path`?
absl::Status checkWritable(const std::string &path, const std::string &output) {
  std::vector<InputFile> inputs;
  std::vector<std::string> files = filesOf(path);
  for (const std::string &file : files)
    inputs.push_back({file, "part of the model"});
  absl::Status status = checkOutput(output);
  status.Update(checkNotInput(output, inputs));
  return status;
}

/// Behind the text's first words: how its weights at `path` are loaded.
std::string withUse(const huggingface::Imported &imported, const std::string &path, bool inBlocks = false) {
  std::string prefix = imported.prefix.empty() ? "" : imported.prefix + "=";
  size_t end = imported.text.find("\n\n") + 1;
  return imported.text.substr(0, end) + "# Its weights: --load " + prefix + path + imported.rules() +
         (inBlocks ? "\n# They are in blocks: it is built and trained with --weights-as " + path : "") + "\n" +
         imported.text.substr(end);
}

/// A path as a text in the folder of `output` calls it.
std::string seenFrom(const std::string &output, const std::string &path) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(output, error).parent_path();
  std::filesystem::path near = std::filesystem::proximate(path, folder, error);
  return error ? path : near.string();
}

/// Behind the text's first words: the tokenizer that its programs read and write with.
std::string withTokenizer(const std::string &text, const std::string &tokenizer) {
  size_t end = tokenizer.empty() ? 0 : text.find("\n\n") + 1;
  return tokenizer.empty() ? text
                           : text.substr(0, end) + "\ntokenizer = " + jsonQuote(tokenizer) + "\n" + text.substr(end);
}

std::string fileName(const std::string &path) { return std::filesystem::path(path).filename().string(); }

/// The text, with a recipe where one is wanted. Weights and a tokenizer that lie where they can be read from stay
/// there; others (a GGUF file's, weights by old names) are written beside the text.
int importModel(const ImportOptions &options, huggingface::Imported &imported) {
  const std::string &output = options.output;
  std::string stem = output.empty()              ? "model"
                     : output.ends_with(".kiln") ? output.substr(0, output.size() - 5)
                                                 : output;
  std::string weights = stem + ".safetensors", tokenizer = stem + ".tokenizer.json";
  bool ownWeights = imported.weights.empty() || imported.renamed || imported.gathered;
  bool ownTokenizer = imported.ownTokenizer || (imported.weights.empty() && !imported.tokenizer.empty());
  std::string words = imported.tokenizer.empty() ? ""
                      : ownTokenizer             ? fileName(tokenizer)
                                                 : seenFrom(output, options.path + "/tokenizer.json");
  bool adapted = options.lora > 0, trains = options.train || adapted, lossIsOpen = false;
  if (adapted)
    huggingface::addAdapters(imported, options.lora);
  bool inBlocks = adapted && ownWeights && huggingface::nameInBlocks(imported);
  huggingface::Imported plain; // what is written beside the text has the names that the text had
  plain.text = imported.text;
  plain.renames = imported.renames;
  std::string text = ownWeights && (adapted || imported.gathered) ? withUse(plain, weights, inBlocks)
                     : imported.weights.empty()                   ? imported.text
                                                                  : withUse(imported, imported.weights);
  if (trains) {
    std::string load = huggingface::loadText(ownWeights ? plain : imported,
                                             ownWeights ? fileName(weights) : seenFrom(output, imported.weights),
                                             adapted || (!ownWeights && !options.model.empty()));
    huggingface::Recipe recipe = huggingface::recipeOf(imported, load, words, adapted);
    text += recipe.text;
    lossIsOpen = recipe.lossIsOpen;
  }
  if (output.empty()) {
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  std::vector<std::pair<bool, std::string>> files = {{true, output}, {ownWeights, weights}, {ownTokenizer, tokenizer}};
  for (const auto &[written, path] : files)
    if (absl::Status status = written ? checkWritable(options.path, path) : absl::OkStatus(); !status.ok())
      return report(status);
  if (ownWeights)
    writeSafetensors(weights, imported.tensors.tensors());
  absl::Status status = ownTokenizer ? writeFile(tokenizer, imported.tokenizer) : absl::OkStatus();
  status.Update(writeFile(output, withTokenizer(text, words)));
  if (!status.ok())
    return report(status);
  for (const auto &[written, path] : files)
    if (written)
      std::printf("%s is written\n", path.c_str());
  bool fits =
      ownWeights || (imported.prefix.empty() && imported.rules().empty() && imported.weights.ends_with(".safetensors"));
  if (trains)
    tellTraining(output, lossIsOpen, adapted, inBlocks ? weights : "");
  else if (fits)
    std::printf("kiln build %s --weights %s\n", output.c_str(), (ownWeights ? weights : imported.weights).c_str());
  return 0;
}

} // namespace

bool readDims(const std::vector<std::string> &rawBounds, const std::vector<std::string> &rawDims,
              std::map<std::string, int64_t> &bounds, std::map<std::string, std::string> &dims) {
  for (const std::string &text : rawBounds) {
    size_t equals = text.find('=');
    std::string value = equals == std::string::npos || equals == 0 ? "" : text.substr(equals + 1);
    char *end = nullptr;
    errno = 0;
    long long bound = std::strtoll(value.c_str(), &end, 10);
    if (*end || bound < 1 || errno == ERANGE) {
      std::fprintf(stderr, "kiln: --bound %s: expected DIM=N with a positive N\n", text.c_str());
      return false;
    }
    bounds[text.substr(0, equals)] = bound;
  }
  for (const std::string &text : rawDims) {
    size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      std::fprintf(stderr, "kiln: --dim %s: expected DIM=N, or an expression as DIM=32*DIM\n", text.c_str());
      return false;
    }
    dims[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return true;
}

CLI::App *addImport(CLI::App &app, ImportOptions &options) {
  CLI::App *command = app.add_subcommand("import", "the .kiln text of a model from elsewhere");
  command->add_option("MODEL", options.path,
                      "a Hugging Face folder (config.json, model.safetensors), a GGUF file, or an ONNX file");
  command->add_option("--model", options.model, "which model, where it is not the one that the folder names");
  command->add_option("-o,--output", options.output,
                      "the text to write (default: standard output); an ONNX file's weights are written beside it");
  command->add_option("--bound", options.rawBounds, "DIM=N: the largest value of a dimension of an ONNX file")
      ->allow_extra_args(false);
  command
      ->add_option("--dim", options.rawDims,
                   "DIM=N: a dimension of an ONNX file that is this number, or an expression (H=32*H)")
      ->allow_extra_args(false);
  command->add_flag("--check", options.check, "only list what keeps an ONNX file from being imported");
  command->add_flag("--train", options.train,
                    "with a recipe that trains it further; batch norms and dropout as in training");
  command
      ->add_option("--lora", options.lora,
                   "RANK: adapters of this rank on the projections of queries and values, and a recipe that trains "
                   "them alone (a folder or a GGUF file)")
      ->check(CLI::Range(1, 4096));
  command->add_flag("--widen", options.widen,
                    "with --lora: quantised weights in f32, in place of the blocks that they are in");
  command->add_flag("--flat", options.flat, "of an ONNX file: every layer is written out, none is a module");
  command->add_flag("--ops", options.ops, "only print the table of ONNX's ops, and what each becomes");
  return command;
}

int commandImport(ImportOptions &options) {
  if (!readDims(options.rawBounds, options.rawDims, options.bounds, options.dims))
    return 2;
  try {
    if (options.ops) {
      std::fputs(onnx::opsTable().c_str(), stdout);
      return 0;
    }
    if (isOnnx(options.path) && options.lora > 0)
      fail("--lora: an ONNX file does not say which of its products are projections; write LoRA(Linear(…), rank) into "
           "the imported text (docs/quantisation.md)");
    if (isOnnx(options.path))
      return importOnnx(options);
    if (!isModel(options.path))
      fail("'%s' is no model that can be imported: a folder with a config.json, a .gguf or an .onnx file is expected",
           options.path.c_str());
    // What adapters train beside stays as it is; what is trained itself is f32.
    huggingface::Imported imported = readModel(options.path, options.model, options.lora > 0 && !options.widen);
    return importModel(options, imported);
  } catch (const std::exception &error) {
    return failed(error);
  }
}

int importGiven(ModelOptions &options) {
  try {
    if (isOnnx(options.file)) {
      if (absl::Status input = checkInput(options.file); !input.ok())
        return report(input);
      onnx::ImportedFile imported = readOnnx(options.file, {options.model, options.bounds, options.dims});
      if (!imported.problems.empty())
        return 1;
      if (std::string taken = assumed(imported, true); !taken.empty())
        std::fprintf(stderr, "kiln: note: %s; for other sizes: %s\n", taken.c_str(),
                     joined(sizeOptions(imported)).c_str());
      for (const onnx::OpenDim &dim : imported.dims)
        if (isOpen(imported, dim))
          imported.bounds.emplace(dim.name, dim.likely);
      options.bounds = imported.bounds;
      options.text = std::move(imported.text);
      options.origins = std::move(imported.origins);
      if (!options.weights.empty())
        return 0;
      options.weightSet = std::make_shared<WeightSet>();
      options.weightSet->tensors = std::move(imported.weights);
      return 0;
    }
    std::error_code error;
    if (!isModel(options.file) && std::filesystem::is_directory(options.file, error))
      fail(
          "'%s' is a folder without a config.json; a .kiln file, a folder of Hugging Face, a .gguf or an .onnx file is "
          "expected",
          options.file.c_str());
    if (!isModel(options.file)) {
      auto [files, words] = language::filesBeside(options.file);
      options.importedFiles = std::move(files);
      if (!words.empty()) {
        options.tokenizer = readText(words);
        Tokenizer::parse(options.tokenizer, "'" + words + "'");
        options.importedFiles.push_back(words);
      }
      return 0;
    }
    if (!options.weights.empty())
      fail("--weights %s: the weights are those of %s", options.weights.c_str(), options.file.c_str());
    if (namesFile(options.weightsAs))
      fail("--weights-as %s: a file of blocks is for a text that was imported with it; %s keeps its own without the "
           "option",
           options.weightsAs.c_str(), options.file.c_str());
    huggingface::Imported imported = readModel(options.file, options.model, options.weightsAs.empty());
    options.text = std::move(imported.text);
    options.importedFiles = filesOf(options.file);
    options.weightSet = std::make_shared<WeightSet>();
    options.weightSet->tensors = std::move(imported.tensors);
    options.tokenizer = std::move(imported.tokenizer);
    options.file = std::filesystem::path(options.file).lexically_normal().string();
    while (options.file.size() > 1 && options.file.ends_with('/'))
      options.file.pop_back();
    return 0;
  } catch (const std::exception &error) {
    return failed(error);
  }
}

} // namespace kiln
