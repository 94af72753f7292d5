// Accumulators, and trees of them over a workgroup.
#pragma once

#include "Workgroup.h"

namespace kiln::sdk {

/// The reduce or arg_reduce ops of a kernel, all over the same dims and axes.
struct ReductionForm {
  std::vector<const Op *> ops;
  std::vector<kiln_extent> full, left, reduced; // dims of the operands, of the results, and what is between
  std::vector<size_t> leftAxes, reducedAxes;    // of `full`

  /// Of a kernel of shape rows or columns.
  explicit ReductionForm(const Graph &graph);
  /// The index in `full` out of one in `left` and one in `reduced`.
  Index merge(const Index &outer, const Index &inner) const;
};

/// Reductions that run in one loop. Printing goes: start, loop { step }, tree, and then `result`.
class Accumulators {
public:
  Accumulators(Workgroup &group, Emitter &emitter, const Graph &graph, std::vector<const Op *> ops);

  /// Declares the accumulators in the present scope.
  void start();
  /// Prints `for (i = begin; i < end; i += step)` around body(i), which is to call take(). Where more than a few
  /// hundred numbers meet in one accumulator they are added in blocks, so that rounding errors grow with the blocks.
  /// boundOfSteps: how often at most.
  void loop(const Expr &begin, const Expr &end, int64_t step, int64_t boundOfSteps,
            const std::function<void(const Expr &)> &body);
  /// One more element for reduction number `which`; position: where along the reduced axes it stands (for arg_reduce).
  void take(size_t which, const Expr &element, const Expr &position);
  /// Combines over the `lanes` invocations of a row (a power of two; consecutive ones of the workgroup's
  /// `invocations`), in a tree that is the same for every device. Control flow has to be uniform.
  void tree(uint32_t lanes, uint32_t invocations);
  /// The accumulator's name: of what arg_reduce gives, the position.
  std::string result(size_t which) const {
    return states[which].position.empty() ? states[which].value : states[which].position;
  }

  const std::vector<const Op *> ops;

private:
  struct State {
    std::string value, position; // names; position only of arg_reduce
    std::string total;           // of the blocks
    std::string kind;
    kiln_dtype dtype;
    bool sums = false; // of floats
  };
  void better(const State &state, const Expr &element, const Expr &position);

  Workgroup &group;
  Emitter &emitter;
  std::vector<State> states;
};

/// Elements of a reduction's result are what `name` holds: see defineAt.
void defineResult(Emitter &emitter, const Op &op, const Index &index, const std::string &name, bool &mismatch);

} // namespace kiln::sdk
