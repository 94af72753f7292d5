// The training step that is one entry, and which kind a program has.

#include "runtime/program/TrainStep.h"

#include "runtime/support/Error.h"

namespace kiln {

/// The linker leaves shards out of programs whose batches are not cut, where this is null
/// (frontend/driver/ImageObject.cpp).
extern "C" TrainStep *kiln_sharded_step(Program &program, const EntrySpec &whole) __attribute__((weak));

std::vector<BatchInput> batchInputs(Call &call) {
  std::vector<BatchInput> inputs;
  for (int input : call.inputs())
    inputs.push_back({&call.entry().arguments[static_cast<size_t>(input)], call.data(input), &call.shape(input)});
  return inputs;
}

namespace {

class WholeStep : public TrainStep {
public:
  explicit WholeStep(Call &call) : call_(call) {}

  const EntrySpec &entry() const override { return call_.entry(); }
  std::vector<BatchInput> inputs() override { return batchInputs(call_); }
  void start(uint32_t seed, int64_t step) override { call_.start(seed, step); }
  bool goesOn() const override { return call_.goesOn(); }
  bool readsLater() const override { return call_.readsLater(); }
  size_t askLater() override { return call_.askLater(); }
  void take(size_t asked, Call::Numbers &numbers) override { call_.take(asked, numbers); }
  void take(Call::Numbers &numbers) override { call_.take(numbers); }
  const std::vector<Call::Metric> &metrics() const override { return call_.metrics(); }
  std::string findNotFinite(uint32_t seed, int64_t step) override { return call_.findNotFinite(seed, step); }

private:
  Call &call_;
};

} // namespace

std::unique_ptr<TrainStep> makeTrainStep(Program &program) {
  const Manifest &manifest = program.manifest();
  const EntrySpec *entry = manifest.findEntry("train_step" + manifest.suffix);
  if (!entry)
    fail("this program has no function 'train_step%s'; it has: %s", manifest.suffix.c_str(),
         manifest.entryNames().c_str());
  if (manifest.shards() > 0) {
    if (!kiln_sharded_step)
      fail("the program cuts its batches and has nothing that runs shards: build it anew");
    return std::unique_ptr<TrainStep>(kiln_sharded_step(program, *entry));
  }
  return std::make_unique<WholeStep>(program.call(entry->name));
}

} // namespace kiln
