// A recipe's training step as a run sees it: one entry, or the shards of a batch, each on one of several devices.
#pragma once

#include "runtime/program/Program.h"

namespace kiln {

std::vector<BatchInput> batchInputs(Call &call);

class TrainStep {
public:
  virtual ~TrainStep() = default;

  /// What is told of it; its inputs are whole batches.
  virtual const EntrySpec &entry() const = 0;
  virtual std::vector<BatchInput> inputs() = 0;

  /// One step on the batch in the inputs. Throws Error as Call::run does. What the devices can do on their own may go
  /// on afterwards, and inputs may then be filled for the next step; take() waits for it.
  virtual void start(uint32_t seed, int64_t step) = 0;
  virtual bool goesOn() const = 0;
  /// As the same functions of Call. A step that never reads later is never asked later.
  virtual bool readsLater() const { return false; }
  virtual size_t askLater() { return 0; }
  virtual void take(size_t asked, Call::Numbers &numbers) = 0;
  virtual void take(Call::Numbers &numbers) = 0;
  /// Of the numbers that take() gives.
  virtual const std::vector<Call::Metric> &metrics() const = 0;

  /// Does what is left of a step that was started: what take() does first.
  virtual void finish() {}

  /// Call::findNotFinite of the step on this batch.
  virtual std::string findNotFinite(uint32_t seed, int64_t step) = 0;
};

/// Of the recipe that is chosen in the program, which outlives it. Throws Error where the program does not have it.
std::unique_ptr<TrainStep> makeTrainStep(Program &program);

} // namespace kiln
