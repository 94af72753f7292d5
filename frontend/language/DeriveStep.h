// The next step of a function over a sequence, derived from the function.
//
// A decoder's forward takes a whole sequence, [B, T]. What it computes of the next T tokens behind `position` others is
// the same, where along the time axis each op is
//   pointwise   element t of the result depends on element t of the operands;
//   a place     iota, or a table's first T rows: these begin at `position`;
//   causal      attention(causal=True), and attention that is written out with numbers added to its scores: keys and
//               values go into a cache of session state (those of a window into a ring of its length), queries begin at
//               `position`;
//   carried     a loop over the sequence, a running sum: its carries are session state;
//   a window    a convolution, a pad or a concat before the first position: the newest earlier positions are session
//               state. Such an axis is T + n long: n earlier positions, then the T new ones. Where the sequence begins
//               they are what was put there.
//   the last    the element T - 1, which then stands for the newest token, and goes with no earlier one;
//   shared      an axis that has the positions among others, [B * T, n]: what is done to each of its elements, or to
//               what lies beside them, is done to each position.
// Any other op mixes positions, and is named.
#pragma once

#include "ir/Build.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

#include <functional>
#include <optional>
#include <string>

namespace kiln::language {

/// Session state of a derived step, as it is declared in the order in which it is asked for.
struct StepStates {
  /// The state that `name` is before the step; its type is `type`.
  std::function<mlir::Value(const std::string &name, mlir::RankedTensorType type)> read;
  /// What it is afterwards.
  std::function<void(const std::string &name, mlir::Value value)> write;
};

class StepDeriver {
public:
  enum class Part : uint8_t {
    Opens,  ///< nothing of the sequence is there: what is kept is set to what it is in front of the first position
    Begins, ///< the first positions: what is carried begins anew
    GoesOn  ///< those behind `position` others
  };
  /// Of the ops of `block` so far, which is an entry's. `time` is the extent of the sequence's axis, a symbol;
  /// `position` an i32 scalar, 0 where the part does not go on; `capacity` the longest sequence, where it is known.
  /// `several`: a part that goes on does so with any number of positions, not with one.
  StepDeriver(mlir::Block &block, const Dim &time, mlir::Value position, std::optional<int64_t> capacity, Part part,
              bool several, const StepStates &states)
      : block_(block), time_(time), position_(position), capacity_(capacity), part_(part), several_(several),
        states_(states) {}

  /// Rewrites the ops, tokens [B, T] being the sequence. False where one mixes positions: failure() says how.
  bool derive(mlir::Value tokens);
  /// Of a result the element of the newest token, without the time axis; the result itself where it has none.
  mlir::Value last(mlir::Value result);

  struct Failure {
    mlir::Operation *op = nullptr;
    std::string what;
    bool unbounded = false; ///< it wants a cache, and how long the sequence may be is not known
  };
  const Failure &failure() const { return failure_; }

private:
  using Axis = int64_t;
  static constexpr Axis none = -1;

  Axis axisOf(mlir::Value value) const;
  bool isShared(mlir::Value value) const;
  bool keepOrder(mlir::Operation &op);
  bool set(mlir::Value value, Axis axis);
  bool setRows(mlir::Operation &op, Axis axis);
  bool mixes(mlir::Operation *op, const std::string &how);
  bool visit(mlir::Operation &op);
  bool source(mlir::Operation &op);
  bool visitIota(IotaOp op);
  bool visitElementwise(mlir::Operation &op);
  bool visitOverOthers(mlir::Operation &op, llvm::ArrayRef<int64_t> axes, bool vanish);
  bool visitReshape(ReshapeOp op);
  bool visitShared(ReshapeOp op, Axis axis, const Dim &before, const Dim &here);
  bool visitTranspose(TransposeOp op);
  bool visitBroadcast(BroadcastOp op);
  bool visitSlice(SliceOp op);
  bool visitConcat(ConcatOp op);
  bool visitGather(GatherOp op);
  bool visitDot(DotGeneralOp op);
  template <class Op> bool visitAttention(Op op);
  bool visitScan(ScanOp op);
  bool visitRunningSum(mlir::Operation &op);
  bool visitPad(PadOp op);
  bool visitConvolution(ConvolutionOp op);
  bool isBefore(ConcatOp op) const;
  bool putBefore(ConcatOp op);
  Dim newestOf(mlir::Value value) const;
  std::optional<int64_t> earlier(mlir::Value value) const;
  mlir::Value withEarlier(Emit &e, mlir::Value rows, Axis axis, int64_t count, mlir::Value whole);
  bool unbounded(mlir::Operation *op);
  bool cacheScores(mlir::Value tokens);
  mlir::Value ringRows(Emit &e, int64_t window, const std::string &state, mlir::Value rows);
  mlir::Value ringPlaces(Emit &e, int64_t window, const Dim &count);
  template <class Op> void keepWindow(Emit &e, Op op, const std::string &name, int64_t window);
  mlir::Value cached(Emit &e, const std::string &name, mlir::Value rows);
  mlir::Value lastOf(Emit &e, mlir::Value value, const Dim &row);

  mlir::Block &block_;
  Dim time_;
  mlir::Value position_;
  std::optional<int64_t> capacity_;
  Part part_;
  bool several_;
  const StepStates &states_;
  llvm::DenseMap<mlir::Value, Axis> axes_; // of those that depend on the sequence
  llvm::DenseMap<mlir::Value, Dim> ahead_; // of an axis that is shared, b * T + t: what goes round slower than t (B)
  llvm::DenseSet<mlir::Value> newest_;     // those that are of its last position: with earlier ones they would be later
  llvm::DenseSet<mlir::Value> cut_;        // slices without the newest positions: only something put before mends them
  llvm::DenseMap<mlir::Value, int64_t> late_; // how many rows behind the newest are there, to be cut off
  llvm::DenseSet<mlir::Operation *> done_;    // writes into caches, which are made already
  int number_ = 0;                            // of caches and carries
  Failure failure_;
};

/// Whether the op, or one within it, has a result or does something by how long the sequence is.
bool mentionsWithin(mlir::Operation &op, const Dim &time);

} // namespace kiln::language
