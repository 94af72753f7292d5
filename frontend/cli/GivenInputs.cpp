// What a user gives `kiln check --gradients` to compute with.
#include "frontend/cli/GivenInputs.h"

#include "runtime/data/Feeder.h"
#include "runtime/files/InputTensor.h"
#include "runtime/support/Error.h"

#include <functional>

namespace kiln {

namespace {

GivenInput widened(const std::string &name, const std::string &from, const TensorView &tensor) {
  GivenInput input;
  input.name = name;
  input.from = from;
  input.shape = tensor.shape;
  input.isFloat = isFloat(tensor.dtype);
  int64_t count = countElements(tensor.shape).value_or(0);
  for (int64_t i = 0; i < count; ++i)
    if (input.isFloat)
      input.floats.push_back(loadNumber(tensor.dtype, tensor.data, i));
    else
      input.integers.push_back(loadInteger(tensor.dtype, tensor.data, i));
  return input;
}

std::pair<std::string, std::string> splitAt(const char *option, const std::string &text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    fail("--%s %s: expected NAME=%s", option, text.c_str(), option == std::string_view("data") ? "PATH" : "FILE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

GivenInputs guarded(const std::function<void(std::vector<GivenInput> &)> &read) {
  GivenInputs given;
  try {
    read(given.inputs);
  } catch (const std::exception &error) {
    given.error = error.what();
  }
  return given;
}

} // namespace

std::map<std::string, std::string> dataPaths(const std::vector<std::string> &assignments) {
  std::map<std::string, std::string> paths;
  for (const std::string &text : assignments)
    if (auto [name, path] = splitAt("data", text); !paths.emplace(name, path).second)
      fail("'--data %s=…' stands twice", name.c_str());
  return paths;
}

GivenInputs readInputFiles(const std::vector<std::string> &assignments) {
  return guarded([&](std::vector<GivenInput> &inputs) {
    for (const std::string &text : assignments) {
      auto [name, path] = splitAt("input", text);
      inputs.push_back(widened(name, "'" + path + "'", InputTensor(path, name, name).view()));
    }
  });
}

GivenInputs readFirstBatches(const std::string &manifestText, const std::vector<std::string> &assignments,
                             uint32_t seed) {
  return guarded([&](std::vector<GivenInput> &inputs) {
    Manifest manifest = Manifest::parse(manifestText);
    const EntrySpec *step = manifest.findEntry("train_step");
    if (!step)
      fail("the model has no training step, so no data to read");
    std::map<std::string, std::string> overrides = dataPaths(assignments);
    Sources sources(manifest, overrides, seed);
    for (const ArgumentSpec &argument : step->arguments)
      sources.haveRoom(argument.name, argument.below);
    for (const auto &[name, path] : overrides) {
      Source &source = sources.open(name);
      std::vector<FieldBuffer> buffers(source.spec().fields.size());
      std::vector<Memory> memories(buffers.size());
      std::vector<std::vector<int64_t>> shapes(buffers.size());
      std::vector<const ArgumentSpec *> arguments;
      for (size_t i = 0; i < buffers.size(); ++i) {
        const ArgumentSpec *argument = step->find(Role::Input, name + "." + source.spec().fields[i].name, false);
        arguments.push_back(argument);
        if (!argument) // the loss does not use it
          continue;
        memories[i] = Memory(static_cast<size_t>(argument->bytes));
        for (const Dim &dim : argument->type.shape)
          shapes[i].push_back(dim.constant().value_or(0));
        int64_t room = argument->bytes / static_cast<int64_t>(dtypeSize(argument->type.dtype));
        buffers[i] = {argument->type.dtype, memories[i].data(), room, &shapes[i]};
      }
      source.load(Split::Train, 0, buffers);
      for (size_t i = 0; i < buffers.size(); ++i)
        if (arguments[i]) {
          TensorView view{arguments[i]->name, arguments[i]->type.dtype, shapes[i], memories[i].data(), 0};
          inputs.push_back(widened(view.name, "data '" + name + "'", view));
          inputs.back().manyRows = true;
        }
    }
  });
}

} // namespace kiln
