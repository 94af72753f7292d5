// Where a command's program, weights and inputs come from.
#include "runtime/cli/Commands.h"
#include "runtime/files/File.h"
#include "runtime/files/InputTensor.h"
#include "runtime/support/Error.h"

namespace kiln {

std::unique_ptr<Program> startProgram(const Options &options, Common &common) {
  auto program = std::make_unique<Program>(common.image, common.threads, common.devices, common.backendOptions);
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
    protectFile(path, "what --input names");
    call.setInput(found, InputTensor(path, name, arguments[static_cast<size_t>(found)].name).view(), "'" + path + "'");
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
