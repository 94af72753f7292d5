// Where a command's program, weights and inputs come from.
#include "runtime/cli/Commands.h"
#include "runtime/files/File.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"

namespace kiln {

std::unique_ptr<Program> startProgram(const Options &options, Common &common) {
  auto program = std::make_unique<Program>(common.image, common.threads, common.device);
  const Json &train = program->manifest().train;
  if (!common.seedGiven && train.isObject())
    common.seed = static_cast<uint32_t>(train.integerOr("seed", 0));
  program->initialise(common.seed);
  if (options.has("load")) {
    program->loadWeights(options.text("load"));
    protectFile(options.text("load"), "what --load names");
  }
  return program;
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

/// "data.ids" is also called "ids".
static bool answersTo(const std::string &input, const std::string &name) {
  if (input == name)
    return true;
  size_t dot = input.find('.');
  return dot != std::string::npos && input.substr(dot + 1) == name;
}

static void setFromFile(Call &call, int input, const std::string &name, const std::string &path) {
  protectFile(path, "what --input names");
  if (!path.ends_with(".safetensors")) {
    call.setInput(input, readNpy(path).view(), "'" + path + "'");
    return;
  }
  Safetensors file = Safetensors::open(path);
  const TensorView *tensor = file.find(name);
  if (!tensor)
    tensor = file.find(call.entry().arguments[static_cast<size_t>(input)].name);
  if (!tensor && file.tensors().size() == 1)
    tensor = &file.tensors()[0];
  if (!tensor) {
    NearestName nearest(name);
    for (const TensorView &candidate : file.tensors())
      nearest.consider(candidate.name);
    fail("'%s' has no tensor '%s'%s", path.c_str(), name.c_str(), nearest.hint().c_str());
  }
  call.setInput(input, *tensor, "'" + path + "'");
}

void setInputs(Call &call, const Options &options) {
  const std::vector<ArgumentSpec> &arguments = call.entry().arguments;
  std::vector<bool> given(arguments.size());
  std::string names;
  for (int input : call.inputs())
    names += (names.empty() ? "" : ", ") + arguments[static_cast<size_t>(input)].name;
  for (const std::string &text : options.list("input")) {
    auto [name, path] = splitAssignment("input", text);
    int found = -1;
    NearestName nearest(name);
    for (int input : call.inputs()) {
      const std::string &candidate = arguments[static_cast<size_t>(input)].name;
      nearest.consider(candidate);
      if (answersTo(candidate, name))
        found = input;
    }
    if (found < 0)
      fail("--input %s: '%s' has no input of that name%s; it has: %s", name.c_str(), call.entry().name.c_str(),
           nearest.hint().c_str(), names.empty() ? "none" : names.c_str());
    setFromFile(call, found, name, path);
    given[static_cast<size_t>(found)] = true;
  }
  std::string missing;
  for (int input : call.inputs())
    if (!given[static_cast<size_t>(input)])
      missing += (missing.empty() ? "" : ", ") + arguments[static_cast<size_t>(input)].name + " " +
                 arguments[static_cast<size_t>(input)].type.str();
  if (!missing.empty())
    fail("'%s' needs more inputs: %s; give each with --input NAME=FILE", call.entry().name.c_str(), missing.c_str());
}

} // namespace kiln
