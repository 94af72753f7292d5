// Loops over tasks, rows and vectors.
#pragma once

#include "backends/cpu/compile/Phases.h"

namespace kiln::cpu {

/// What a task should cost, in elements that one simple op touches: some microseconds. A multiple of any width.
int64_t taskGrainOf(const Machine &machine);

/// Roughly what one element of `v` costs to compute, in simple ops; values for which `stop` holds are free.
int64_t costOf(const Graph &graph, llvm::ArrayRef<uint32_t> values, llvm::function_ref<bool(uint32_t)> stop);
/// Whether an element is worth keeping rather than computing twice.
bool isExpensive(OpCode code);

/// Outputs larger than caches, which a pass writes past them: their lines are not read before they are overwritten.
/// Where one lies in the memory of an input, as only the running kernel knows, its lines are read anyway, and it is
/// written as any other.
class Streams {
public:
  /// For a pass that writes `outputs` in vectors that begin at multiples of their width within rows of `row`.
  Streams(KernelBuilder &builder, llvm::ArrayRef<size_t> outputs, bool oneRow, const Extent &row);
  /// Emits `pass` once, or once for each way.
  void emit(Emitter &e, llvm::function_ref<void()> pass) const;
  /// After a task's last pass: what was written so is seen by whoever sees that the task is done.
  void finish(Emitter &e) const;

private:
  const Graph &graph;
  int64_t least;                     // bytes of an output
  llvm::SmallVector<size_t> outputs; // empty: none are so large
};

/// A running combination: one reduction's, over elements that come in vectors or singly.
struct Accumulator {
  const Op *op;
  kiln_dtype dtype;      // of the elements
  int64_t position = -1; // arg_reduce: which of the domain's dimensions its index counts
  /// The largest or smallest f32 along vectors: beside the number itself, which NaN and the signs of zeros do not
  /// reach, the elements' bits' largest, signed and unsigned, which tell these. Three short chains of one instruction
  /// each, in place of one of six.
  bool apart = false;

  static Accumulator of(const Emitter &e, const Op &op, bool alongVectors);
  size_t size() const { return apart ? 3 : op->code == OpCode::ArgReduce ? 2 : 1; } // values carried
  /// Neutral values, vectors of the emitter's width where `vectors`.
  void start(Emitter &e, bool vectors, llvm::SmallVectorImpl<Value> &state) const;
  /// One more element, at `at` in the domain; lanes that are off leave the state alone.
  void step(Emitter &e, llvm::MutableArrayRef<Value> state, Value element, llvm::ArrayRef<Index> at,
            const Mask &mask) const;
  /// Two states into the first; on equal keys arg_reduce keeps the lower index.
  void merge(Emitter &e, llvm::MutableArrayRef<Value> into, llvm::ArrayRef<Value> from) const;
  /// A vector state's lanes into a scalar state, in a fixed tree.
  void horizontal(Emitter &e, llvm::MutableArrayRef<Value> state) const;
  /// The reduction's result from a state.
  Value result(Emitter &e, llvm::ArrayRef<Value> state) const;
};

using States = llvm::SmallVector<Value>;

/// Runs over [begin, end) of a dimension in vectors, `unroll` at a time, the last one masked. `begin` is a multiple of
/// the width. `states` holds `unroll` copies of what is carried; each vector is given its own copy. Returns them.
/// `count`: end - begin, where that is known and not to be seen.
States vectorLoop(Emitter &e, Value begin, Value end, int64_t unroll, States states,
                  llvm::function_ref<void(const Index &at, const Mask &mask, llvm::MutableArrayRef<Value> state)> body,
                  std::optional<int64_t> count = std::nullopt);

/// All places of `shape`, the last dimension in vectors. With rank 0 the body runs once, on a scalar.
void nest(Emitter &e, llvm::ArrayRef<Extent> shape, Indices prefix,
          llvm::function_ref<void(llvm::ArrayRef<Index> at, const Mask &mask)> body);

/// How a long sum is made of short ones, so that its error grows with the number of levels and not with its length: at
/// most 64 elements, or sums of such, are added up one behind the other (as in PyTorch's cascade_sum).
class Cascade {
public:
  /// `copies` of what the accumulators carry, one behind the other; vectors where `vectors`. The accumulators outlive
  /// it.
  Cascade(Emitter &e, llvm::ArrayRef<Accumulator> accumulators, int64_t copies, bool vectors);

  /// What a sum begins with.
  States fresh() const;
  /// All places of `shape`, whose first dimension is [begin, end), the last dimension in vectors, `copies` at a time.
  States nest(llvm::ArrayRef<Extent> shape, Value begin, Value end, Indices prefix, States states,
              llvm::function_ref<void(llvm::ArrayRef<Index> at, const Mask &mask, llvm::MutableArrayRef<Value> state)>
                  body) const;
  /// The places of one dimension singly, [begin, end) of at most `bound`, at each of which `additions` are made.
  States places(Value begin, Value end, int64_t bound, int64_t additions, States states,
                llvm::function_ref<States(Value at, States states)> body) const;
  /// All copies and their lanes in the first one, as scalars.
  void finish(llvm::MutableArrayRef<Value> states) const;

private:
  using Run = llvm::function_ref<States(Value begin, Value end, std::optional<int64_t> count, States states)>;
  States over(Value begin, Value end, std::optional<int64_t> count, int64_t bound, int64_t step, int64_t chain,
              States states, Run run) const;
  void merge(llvm::MutableArrayRef<Value> into, llvm::ArrayRef<Value> from) const;

  Emitter &e;
  llvm::ArrayRef<Accumulator> accumulators;
  int64_t copies;
  bool vectors;
  bool rounds; // one of them adds or multiplies floats
};

} // namespace kiln::cpu
