#include "frontend/cli/InStep.h"

#include "runtime/data/Feeder.h"
#include "runtime/support/Error.h"

#include <dlfcn.h>

namespace kiln {

namespace {

/// A program in this process.
class Side {
public:
  /// `from` outlives the side.
  Side(const InStepProgram &from, unsigned threads) : constants_(from.constants.size()) {
    std::copy(from.constants.begin(), from.constants.end(), constants_.data());
    for (const InStepProgram::Backend &one : from.backends) {
      kiln_image_backend &backend = backends_.emplace_back();
      backend = {one.name.c_str(), one.function, nullptr, nullptr, one.artifact.data(), one.artifact.size(), 0};
      if (one.library.empty())
        continue;
      void *library = dlopen(one.library.c_str(), RTLD_NOW | RTLD_LOCAL);
      backend.artifact = library ? dlsym(library, one.symbol.c_str()) : nullptr;
      if (library)
        libraries_.push_back(library);
      if (!backend.artifact)
        fail("the code of backend %s cannot be loaded: %s", one.name.c_str(), dlerror());
    }
    image_.size = sizeof image_;
    image_.version = KILN_IMAGE_VERSION;
    image_.manifest = from.manifest.data();
    image_.manifest_size = from.manifest.size();
    image_.constants = constants_.data();
    image_.constant_bytes = constants_.size();
    image_.backends = backends_.data();
    image_.backend_count = static_cast<uint32_t>(backends_.size());
    program_ = std::make_unique<Program>(image_, threads, std::vector<uint32_t>{0}, from.startOptions);
  }
  ~Side() {
    program_.reset();
    for (void *library : libraries_)
      dlclose(library);
  }
  Side(const Side &) = delete;
  Program &program() { return *program_; }

private:
  Memory constants_;
  std::vector<kiln_image_backend> backends_;
  kiln_program_image image_ = {};
  std::vector<void *> libraries_;
  std::unique_ptr<Program> program_;
};

/// The recipe's first batch where its data is there, else made-up inputs.
bool feed(Program &program, Call &call, uint32_t seed) {
  try {
    Sources sources(program.manifest(), {}, seed);
    Feeder(call, sources).load(Split::Train, 0);
    return true;
  } catch (const Error &) {
    fillInputs(call);
    return false;
  }
}

} // namespace

InStepResult runInStep(const InStepProgram &a, const InStepProgram &b, unsigned threads, uint32_t seed) {
  InStepResult result;
  try {
    Side one(a, threads), other(b, threads);
    const Manifest &manifest = one.program().manifest();
    if (manifest.entries.empty())
      fail("the model has no functions");
    result.entry = manifest.findEntry("train_step") ? "train_step" : manifest.entries[0].name;
    Call &callA = one.program().call(result.entry), &callB = other.program().call(result.entry);
    for (Side *side : {&one, &other})
      side->program().initialise(seed);
    result.realData = feed(one.program(), callA, seed);
    feed(other.program(), callB, seed);
    SameMemory memory{a.scratch, b.scratch};
    bool same = !b.scratch.empty();
    result.parting = compareInStep(callA, callB, seed, 0, result.launches, same ? &memory : nullptr);
  } catch (const Error &error) {
    result.error = error.what();
  }
  return result;
}

} // namespace kiln
