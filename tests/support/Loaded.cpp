#include "tests/support/Loaded.h"

#include "backends/cpu/run/Run.h"
#include "runtime/program/Compare.h"
#include "runtime/program/Program.h"
#include "runtime/support/Error.h"

#include <dlfcn.h>

namespace kiln::test {

struct Loaded::State {
  void *library = nullptr;
  std::vector<uint8_t> artifact;
  std::string manifest;
  Memory constants;
  kiln_image_backend backend{};
  kiln_program_image image{};
  std::unique_ptr<Program> program;
};

Loaded::Loaded(std::unique_ptr<State> state) : state_(std::move(state)) {}

Loaded::~Loaded() {
  state_->program.reset();
  if (state_->library)
    dlclose(state_->library);
}

namespace {

Tensor toTensor(const PlainTensor &plain) {
  Tensor tensor(plain.name, plain.dtype, plain.shape);
  for (int64_t i = 0; i < tensor.count(); ++i) {
    if (isFloat(plain.dtype))
      storeNumber(plain.dtype, tensor.memory.data(), i, plain.floats[static_cast<size_t>(i)]);
    else
      storeInteger(plain.dtype, tensor.memory.data(), i, plain.integers[static_cast<size_t>(i)]);
  }
  return tensor;
}

PlainTensor toPlain(const TensorView &view) {
  PlainTensor plain{view.name, view.dtype, view.shape, {}, {}};
  for (int64_t i = 0; i < countElements(view.shape).value_or(0); ++i) {
    if (isFloat(view.dtype))
      plain.floats.push_back(loadNumber(view.dtype, view.data, i));
    else
      plain.integers.push_back(loadInteger(view.dtype, view.data, i));
  }
  return plain;
}

} // namespace

std::unique_ptr<Loaded> Loaded::open(const std::string &library, std::string manifest,
                                     const std::vector<uint8_t> &constants, unsigned threads, std::string &error) {
  auto state = std::make_unique<State>();
  state->library = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  const void *artifact = state->library ? dlsym(state->library, "kiln_cpu_artifact") : nullptr;
  if (!artifact) {
    error = dlerror();
    return nullptr;
  }
  state->backend = {"cpu", kiln_backend_cpu, nullptr, nullptr, artifact, 0, 0};
  return start(std::move(state), std::move(manifest), constants, threads, error);
}

std::unique_ptr<Loaded> Loaded::openBytes(const char *backend, kiln_backend_fn function, std::vector<uint8_t> artifact,
                                          std::string manifest, const std::vector<uint8_t> &constants, unsigned threads,
                                          std::string &error) {
  auto state = std::make_unique<State>();
  state->artifact = std::move(artifact);
  state->backend = {backend, function, nullptr, nullptr, state->artifact.data(), state->artifact.size(), 0};
  return start(std::move(state), std::move(manifest), constants, threads, error);
}

std::unique_ptr<Loaded> Loaded::start(std::unique_ptr<State> state, std::string manifest,
                                      const std::vector<uint8_t> &constants, unsigned threads, std::string &error) {
  state->manifest = std::move(manifest);
  state->constants = Memory(constants.size());
  std::copy(constants.begin(), constants.end(), state->constants.data());
  state->image.size = sizeof(kiln_program_image);
  state->image.version = KILN_IMAGE_VERSION;
  state->image.manifest = state->manifest.data();
  state->image.manifest_size = state->manifest.size();
  state->image.constants = state->constants.data();
  state->image.constant_bytes = constants.size();
  state->image.backends = &state->backend;
  state->image.backend_count = 1;
  try {
    state->program = std::make_unique<Program>(state->image, threads);
  } catch (const Error &caught) {
    error = caught.what();
    return nullptr;
  }
  return std::unique_ptr<Loaded>(new Loaded(std::move(state)));
}

std::vector<std::pair<std::string, std::string>> Loaded::runAll() {
  std::vector<std::pair<std::string, std::string>> outcomes;
  state_->program->initialise(0);
  for (const EntrySpec &entry : state_->program->manifest().entries) {
    outcomes.emplace_back(entry.name, "");
    try {
      Call &call = state_->program->call(entry.name);
      fillInputs(call);
      call.run(0, 0);
    } catch (const Error &caught) {
      outcomes.back().second = caught.what();
    }
  }
  return outcomes;
}

std::vector<PlainTensor> Loaded::memory() {
  std::vector<PlainTensor> result;
  for (const std::vector<Tensor> *tensors : {&state_->program->parameters(), &state_->program->states()})
    for (const Tensor &tensor : *tensors)
      result.push_back(toPlain(tensor.view()));
  return result;
}

bool Loaded::run(const std::string &entry, const std::vector<PlainTensor> &arguments, uint32_t seed, int64_t step,
                 std::vector<PlainTensor> &results, std::string &error) {
  try {
    Call &call = state_->program->call(entry);
    for (const PlainTensor &plain : arguments) {
      Tensor tensor = toTensor(plain);
      Tensor *home = state_->program->parameter(plain.name);
      if (!home)
        home = state_->program->state(plain.name, sessionOf(entry));
      if (!home) // no session's
        home = state_->program->state(plain.name);
      if (home)
        std::copy(tensor.memory.data(), tensor.memory.data() + tensor.bytes(), home->memory.data());
      else if (int input = call.input(plain.name); input >= 0)
        call.setInput(input, tensor.view(), plain.name);
    }
    call.run(seed, step);
    results.clear();
    if (call.hasLoss())
      results.push_back({"loss", KILN_F64, {}, {call.loss()}, {}});
    for (Role role : {Role::Output, Role::Gradient})
      for (const TensorView &view : call.results(role))
        results.push_back(toPlain(view));
    return true;
  } catch (const Error &caught) {
    error = caught.what();
    return false;
  }
}

} // namespace kiln::test
