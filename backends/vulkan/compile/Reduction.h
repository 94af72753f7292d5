// Accumulators, and trees of them over a workgroup.
#pragma once

#include "backends/vulkan/compile/Shader.h"

namespace kiln::vulkan {

/// The reduce or arg_reduce ops of a kernel, all over the same dims and axes.
struct ReductionForm {
  std::vector<const sdk::Op *> ops;
  std::vector<kiln_extent> full, left, reduced; // dims of the operands, of the results, and what is between
  std::vector<size_t> leftAxes, reducedAxes;    // of `full`
  bool trailing = false;                        // the reduced axes are the last ones

  /// False where the kernel has none, or other ops whose element takes many, or reductions that differ.
  static bool find(const sdk::Graph &graph, ReductionForm &form);
  /// The index in `full` out of one in `left` and one in `reduced`.
  sdk::Index merge(const sdk::Index &outer, const sdk::Index &inner) const;
};

/// Reductions that run in one loop. Printing goes: start, loop { step }, tree, and then `result`.
class Accumulators {
public:
  Accumulators(Shader &shader, sdk::Emitter &emitter, const sdk::Graph &graph, std::vector<const sdk::Op *> ops);

  /// Declares the accumulators in the present scope.
  void start();
  /// Prints `for (i = begin; i < end; i += step)` around body(i), which is to call take(). Where more than a few
  /// hundred numbers meet in one accumulator they are added in blocks, so that rounding errors grow with the blocks.
  void loop(const sdk::Expr &begin, const sdk::Expr &end, int64_t step, int64_t boundOfSteps,
            const std::function<void(const sdk::Expr &)> &body);
  /// One more element for reduction number `which`; position: where along the reduced axes it stands (for arg_reduce).
  void take(size_t which, const sdk::Expr &element, const sdk::Expr &position);
  /// Combines over the `lanes` invocations of a row (a power of two; consecutive ones of the workgroup's
  /// `invocations`), in a tree that is the same for every device. Control flow has to be uniform.
  void tree(uint32_t lanes, uint32_t invocations);
  /// The accumulator's name: of what arg_reduce gives, the position.
  std::string result(size_t which) const {
    return states[which].position.empty() ? states[which].value : states[which].position;
  }

  const std::vector<const sdk::Op *> ops;

private:
  struct State {
    std::string value, position; // names; position only of arg_reduce
    std::string total;           // of the blocks
    std::string kind;
    kiln_dtype dtype;
    bool sums = false; // of floats
  };
  void better(const State &state, const sdk::Expr &element, const sdk::Expr &position);

  Shader &shader;
  sdk::Emitter &emitter;
  std::vector<State> states;
};

/// Elements of a reduction's result are what `name` holds, as long as they are asked for at `index`; else `mismatch` is
/// set: the kernel is then not of the form that the strategy took it for.
void defineResult(sdk::Emitter &emitter, const sdk::Graph &graph, const sdk::Op &op, const sdk::Index &index,
                  const std::string &name, bool &mismatch);

} // namespace kiln::vulkan
