// A recipe's training step as a run sees it: one entry, or the shards of a batch, each on one of several devices.
#pragma once

#include "runtime/program/Program.h"

namespace kiln {

/// An input that batches are loaded into.
struct BatchInput {
  const ArgumentSpec *argument;
  void *data;
  std::vector<int64_t> *shape; ///< of the batch that is there
};
std::vector<BatchInput> batchInputs(Call &call);

/// Where the program was built with shards (`kiln build --shards N`), a batch's rows are cut into N equal blocks. Of
/// each, `shard.gradients` gives its part of the loss and of the gradients, which add up; `shard.update` takes their
/// sums. Shards go to the program's devices in turn; the sums are taken in the shards' order, so that the bits are the
/// same on any number of devices.
class TrainStep {
public:
  /// Of the recipe that is chosen in the program, which outlives it. Throws Error where the program does not have it.
  explicit TrainStep(Program &program);
  ~TrainStep();
  TrainStep(const TrainStep &) = delete;

  /// What is told of it; its inputs are whole batches.
  const EntrySpec &entry() const { return entry_; }
  std::vector<BatchInput> inputs();

  /// One step on the batch in the inputs. Throws Error as Call::run does. What the devices can do on their own may go
  /// on afterwards, and inputs may then be filled for the next step; take() waits for it.
  void start(uint32_t seed, int64_t step);
  bool goesOn() const { return cut_ ? pending_ : whole_->goesOn(); }
  bool readsLater() const { return whole_ && whole_->readsLater(); }
  size_t askLater() { return whole_->askLater(); }
  void take(size_t asked, Call::Numbers &numbers) { whole_->take(asked, numbers); }
  void take(Call::Numbers &numbers);
  /// Of the numbers that take() gives.
  const std::vector<Call::Metric> &metrics() const;

  /// Does what is left of a step that was started: what take() does first.
  void finish();

  /// Call::findNotFinite of the step on this batch.
  std::string findNotFinite(uint32_t seed, int64_t step);

private:
  /// What a shard gives, added up over them.
  struct Sum {
    size_t from = 0; ///< a result of the shard's entry
    int to = -1;     ///< the argument that takes it: of `shard.gradients` for totals, of `shard.update` for gradients
    std::vector<float> wide; ///< of a narrow float, until all are there
  };
  struct Cut;
  void beginSome(const std::vector<Call *> &calls);
  void addSome(const std::vector<Call *> &calls, std::vector<Sum> &sums, Call &to);
  void runTotals();
  void fill(Call &call, int64_t shard);
  void add(Call &from, std::vector<Sum> &sums, Call &to, bool first, bool last);

  Program &program_;
  const EntrySpec &entry_;
  Call *whole_ = nullptr;
  std::unique_ptr<Cut> cut_;
  bool pending_ = false; // the gradients of a step that was started
};

} // namespace kiln
