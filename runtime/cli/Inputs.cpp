// Where a command's program, weights and inputs come from.
#include "runtime/cli/Commands.h"
#include "runtime/cli/Recordings.h"
#include "runtime/data/Coding.h"
#include "runtime/files/File.h"
#include "runtime/files/InputTensor.h"
#include "runtime/files/Picture.h"
#include "runtime/files/Safetensors.h"
#include "runtime/files/Wav.h"
#include "runtime/program/Weights.h"
#include "runtime/support/Error.h"
#include "runtime/support/Rename.h"

#include <algorithm>
#include <cstdlib>

namespace kiln {

std::unique_ptr<Program> startProgram(const Options &options, Common &common) {
  auto program = std::make_unique<Program>(common.image, common.threads, common.devices, common.backendOptions);
  const Json &train = program->manifest().train;
  if (!common.seedGiven && train.isObject())
    common.seed = static_cast<uint32_t>(train.integerOr("seed", 0));
  startWeights(*program, options, common.seed);
  return program;
}

/// "encoder=W.safetensors", unless a file of just that name is there.
static WeightChoice::File weightFile(const std::string &text) {
  size_t equals = text.find('=');
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
  if (equals == std::string::npos || equals == 0 || text.find_first_not_of(letters) != equals || fileExists(text))
    return {text, ""};
  return {text.substr(equals + 1), text.substr(0, equals)};
}

/// What `weights` of the train block names.
WeightChoice recipeWeights(const Manifest &manifest) {
  WeightChoice choice;
  const Json *weights = manifest.train.isObject() ? manifest.train.find("weights") : nullptr;
  const char *folder = std::getenv("KILN_MODEL_DIR"); // as for data: the folder that the model stands in
  for (const Json &one : weights ? weights->array() : std::vector<Json>()) {
    choice.files.push_back(
        {findData(one.at("path").string(), "the recipe's weights", folder ? folder : ""), one.stringOr("prefix", "")});
    const Json *partial = one.find("partial");
    choice.partial |= partial && partial->kind() == Json::Kind::Bool && partial->boolean();
    for (auto [key, list] : {std::pair("strip", &choice.strip), std::pair("ignore", &choice.ignore)})
      if (const Json *rules = one.find(key))
        for (const Json &rule : rules->array())
          list->push_back(rule.string());
    if (const Json *rules = one.find("rename"))
      for (const Json &rule : rules->array())
        choice.renames.push_back(splitAssignment("rename", rule.string()));
  }
  return choice;
}

std::vector<WeightChoice::File> loadFiles(const Options &options) {
  std::vector<WeightChoice::File> files;
  for (const std::string &text : options.list("load"))
    files.push_back(weightFile(text));
  return files;
}

WeightChoice weightChoice(const Options &options, const Manifest *recipe) {
  WeightChoice choice;
  choice.files = loadFiles(options);
  if (recipe && choice.empty())
    choice = recipeWeights(*recipe);
  for (const char *option : {"partial", "strip", "rename", "ignore"})
    if (options.has(option) && choice.empty())
      throw UsageError(
          format("--%s is about the weights of --load%s; there are none", option, recipe ? ", or the recipe's" : ""));
  choice.partial |= options.has("partial");
  for (auto [option, list] : {std::pair("strip", &choice.strip), std::pair("ignore", &choice.ignore)})
    for (const std::string &text : options.list(option))
      list->push_back(text);
  for (const std::string &text : options.list("rename")) {
    auto [from, to] = splitAssignment("rename", text);
    if (!isRename(from, to))
      throw UsageError("--rename " + text + ": a name has at most one *, and the new one no more than the old");
    choice.renames.emplace_back(from, to);
  }
  return choice;
}

static void tellLeft(const std::vector<std::string> &left) {
  constexpr size_t most = 21; // with the note's first
  size_t told = left.size() > most ? most / 2 : left.size();
  for (size_t i = 0; i < told; ++i)
    std::fprintf(stderr, "%s\n", left[i].c_str());
  if (told < left.size())
    std::fprintf(stderr, "  and %zu more\n", left.size() - told);
}

void takeRecipeWeights(Program &program, bool partial) {
  WeightChoice choice = recipeWeights(program.manifest());
  choice.partial |= partial;
  if (!choice.empty())
    tellLeft(loadWeightFiles(choice, program.weightRequests()));
}

void startWeights(Program &program, const Options &options, uint32_t seed, bool trains) {
  WeightChoice choice = weightChoice(options, trains ? &program.manifest() : nullptr);
  tellLeft(program.start(seed, choice));
  for (const WeightChoice::File &file : choice.files)
    if (!trains) // which may write its weights where it read them
      protectFile(file.path, "what --load names");
}

Codings fileCodings(const WeightChoice &choice) {
  Codings all;
  for (const WeightChoice::File &loaded : choice.files)
    if (!loaded.path.ends_with(".json")) { // an index has no metadata
      Safetensors file = Safetensors::open(loaded.path);
      Codings more = codingsIn(file.metadata());
      all.merge(more);
      for (const auto &[key, text] : more) // what the first one has stays
        if (all.at(key) != text)
          std::fprintf(stderr, "note: '%s' has another %s than the files before it, whose is taken\n",
                       loaded.path.c_str(), key.c_str());
    }
  return all;
}

Codings weightCodings(const Options &options, const Common &common, const Manifest &manifest, bool trains) {
  WeightChoice choice = weightChoice(options, trains ? &manifest : nullptr);
  if (choice.empty() && common.image.weight_bytes)
    return codingsIn(OwnWeights(common.image).tensors().metadata());
  return fileCodings(choice);
}

std::map<std::string, std::string> dataOverrides(const Options &options) {
  std::map<std::string, std::string> overrides;
  for (const std::string &text : options.list("data")) {
    auto [name, path] = splitAssignment("data", text);
    if (!overrides.emplace(name, path).second)
      throw UsageError("'--data " + name + "=…' stands twice");
  }
  return overrides;
}

std::vector<std::string> readLines(const std::string &path) {
  std::string text = readText(path);
  protectFile(path, "what is read");
  std::vector<std::string_view> lines = linesOf(text);
  return {lines.begin(), lines.end()};
}

/// "data.ids" is also called "ids".
static bool answersTo(const std::string &input, const std::string &name) {
  if (input == name)
    return true;
  size_t dot = input.find('.');
  return dot != std::string::npos && input.substr(dot + 1) == name;
}

int inputNamed(const Call &call, const std::string &name) {
  NearestName nearest(name);
  int found = -1;
  std::string names;
  for (int input : call.inputs()) {
    const std::string &candidate = call.entry().arguments[static_cast<size_t>(input)].name;
    names += (names.empty() ? "" : ", ") + candidate;
    nearest.consider(candidate);
    if (answersTo(candidate, name))
      found = input;
  }
  if (found < 0)
    fail("--input %s: '%s' has no input of that name%s; it has: %s", name.c_str(), call.entry().name.c_str(),
         nearest.hint().c_str(), names.empty() ? "none" : names.c_str());
  return found;
}

std::pair<std::string, std::string> splitInput(const std::string &text, const Call &call) {
  std::vector<std::string> names;
  for (int input : call.inputs())
    if (const std::string &name = call.entry().arguments[static_cast<size_t>(input)].name; name != "prompt")
      names.push_back(name);
  std::string before = text.substr(0, text.find('='));
  bool named = std::find(names.begin(), names.end(), before) != names.end();
  if (before != text && (named || !fileExists(text))) // a file's name may have a "=", too
    return splitAssignment("input", text);
  if (names.size() == 1)
    return {names.front(), text};
  if (text.ends_with(".safetensors"))
    return {"", text};
  std::string all;
  for (const std::string &name : names)
    all += (all.empty() ? "" : ", ") + name;
  throw UsageError("'--input " + text + "': expected NAME=VALUE; '" + call.entry().name + "' has the inputs " + all);
}

/// What a file holds of the inputs that nothing else brings; one that is left may be called otherwise in it.
static void setFrom(const std::string &path, Call &call, std::vector<bool> &given,
                    const std::function<bool(int)> &filled) {
  const std::vector<ArgumentSpec> &arguments = call.entry().arguments;
  std::vector<size_t> left;
  for (int input : call.inputs())
    if (size_t i = static_cast<size_t>(input); !given[i] && !(filled && filled(input)))
      left.push_back(i);
  if (left.empty())
    throw UsageError("--input " + path + ": nothing is left for it to fill");
  Safetensors file = Safetensors::open(path);
  std::vector<size_t> held;
  std::string names;
  for (size_t i : left) {
    const std::string &name = arguments[i].name; // of a source's field ("data.ids") that alone will do
    names += (names.empty() ? "" : ", ") + name;
    if (left.size() == 1 || file.find(name) || file.find(name.substr(name.find('.') + 1)))
      held.push_back(i);
  }
  if (held.empty()) {
    std::string first = file.tensors().empty() ? "nothing" : "'" + file.tensors()[0].name + "'";
    fail("'%s' holds %s%s, and none of the inputs that are left: %s", path.c_str(), first.c_str(),
         file.tensors().size() > 1 ? format(" and %zu more", file.tensors().size() - 1).c_str() : "", names.c_str());
  }
  for (size_t i : held) {
    call.setInput(static_cast<int>(i), InputTensor(path, arguments[i].name, arguments[i].name).view(),
                  "'" + path + "'");
    given[i] = true;
  }
}

void setInputs(Call &call, const Options &options, const Manifest &manifest, const std::function<bool(int)> &filled,
               Pieces *pieces) {
  const std::vector<ArgumentSpec> &arguments = call.entry().arguments;
  std::vector<bool> given(arguments.size());
  std::vector<std::string> files;
  for (const std::string &text : options.list("input")) {
    auto [name, path] = splitInput(text, call);
    if (name.empty()) {
      protectFile(path, "what --input names");
      files.push_back(path);
      continue;
    }
    int found = inputNamed(call, name);
    if (given[static_cast<size_t>(found)])
      throw UsageError("'--input " + name + "=…' stands twice");
    given[static_cast<size_t>(found)] = true;
    if (filled && filled(found))
      continue;
    protectFile(path, "what --input names");
    if (isPicture(path))
      fail("'%s': this program reads no pictures, because its model says no picture; set one in its text "
           "(picture = dict(size=224); of an ONNX file: kiln import) and build it again",
           path.c_str());
    if (isWav(path))
      setRecording(call, found, path, manifest, pieces);
    else
      call.setInput(found, InputTensor(path, name, arguments[static_cast<size_t>(found)].name).view(),
                    "'" + path + "'");
  }
  for (const std::string &path : files)
    setFrom(path, call, given, filled);
  std::string missing;
  for (int input : call.inputs())
    if (!given[static_cast<size_t>(input)] && !(filled && filled(input)))
      missing += (missing.empty() ? "" : ", ") + arguments[static_cast<size_t>(input)].name + " " +
                 arguments[static_cast<size_t>(input)].type.str();
  if (!missing.empty())
    fail("'%s' needs more inputs: %s; give each with --input NAME=FILE", call.entry().name.c_str(), missing.c_str());
}

} // namespace kiln
