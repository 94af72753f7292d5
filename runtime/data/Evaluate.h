// Loss and metrics over a whole split.
#pragma once

#include "runtime/data/Feeder.h"

namespace kiln {

struct Evaluation {
  double loss = 0;
  std::vector<std::pair<std::string, double>> metrics;
  int64_t examples = 0, batches = 0;
};

/// Measures by a program's entry `eval`, as if the split were one batch: the parts that the entry gives beside its loss
/// are averaged by their weights, and `eval.pool` makes loss and metrics of them. Where the program has no
/// `eval.pool`, means over the examples are meant.
class Evaluator {
public:
  /// The program has an entry `eval`; it and the sources outlive this. Throws Error for data that the recipe lacks.
  Evaluator(Program &program, Sources &sources);

  Feeder &feeder() { return feeder_; }
  /// At most `most` batches (0: all); ends early when *stop becomes true. Throws Error where the split is empty.
  /// Session states begin with their initial values and are carried from batch to batch.
  Evaluation measure(Split split, uint32_t seed, int64_t most, const volatile bool *stop = nullptr);

private:
  /// A mean to take over the batches: an argument of `eval`, the argument that is its weight (-1: the number of
  /// examples), and the input of `eval.pool` that it becomes.
  struct Part {
    int value, weight = -1, input = -1;
    double sum = 0, total = 0;
  };
  void bindPool(Call &pool);
  void read(Evaluation &result);

  Program &program_;
  Call &call_;
  Call *pool_ = nullptr;
  Feeder feeder_;
  std::vector<Part> parts_;
};

} // namespace kiln
