// From the position to what is read and written there.
#include "frontend/language/StepPlaces.h"
#include "ir/Values.h"

#include <optional>

namespace kiln::language {

namespace {

/// Elements are from `least` to `most`; of places, these are counted from the position.
struct Reach {
  int64_t least = 0, most = 0;
};

class Places {
public:
  explicit Places(mlir::Value position) : position_(position) {}

  void visit(mlir::Operation *op) {
    if (auto update = llvm::dyn_cast<DynamicUpdateSliceOp>(op))
      blocks(op, update.getOperand(), update.getUpdate(), update.getStarts());
    else if (auto slice = llvm::dyn_cast<DynamicSliceOp>(op))
      blocks(op, slice.getOperand(), slice.getResult(), slice.getStarts());
    else if (auto gather = llvm::dyn_cast<GatherOp>(op))
      if (std::optional<Reach> at = place(gather.getIndices()))
        end(op, dimsOf(gather.getOperand())[gather.getAxis()], Dim(1), *at);
  }

  const StepPlaces &found() const { return found_; }

private:
  void blocks(mlir::Operation *op, mlir::Value whole, mlir::Value block, mlir::ValueRange starts) {
    for (auto [axis, start] : llvm::enumerate(starts))
      if (std::optional<Reach> at = place(start))
        end(op, dimsOf(whole)[axis], dimsOf(block)[axis], *at);
  }

  /// `size` elements are at the position and `at` more, of `extent`.
  void end(mlir::Operation *op, const Dim &extent, const Dim &size, Reach at) {
    std::optional<int64_t> left = (extent - size).constant();
    if (!left)
      return;
    int64_t count = std::max<int64_t>(*left - at.most + 1, 0);
    if (!found_.op || count < found_.count)
      found_ = {count, op};
  }

  static std::optional<Reach> number(mlir::Value value) {
    if (std::optional<double> splat = splatValue(value))
      return Reach{static_cast<int64_t>(*splat), static_cast<int64_t>(*splat)};
    mlir::Operation *op = value.getDefiningOp();
    if (auto iota = llvm::dyn_cast_or_null<IotaOp>(op)) {
      std::optional<int64_t> extent = dimsOf(value)[iota.getAxis()].constant();
      return extent && *extent > 0 ? std::optional(Reach{0, *extent - 1}) : std::nullopt;
    }
    return llvm::isa_and_nonnull<ConvertOp, ReshapeOp, BroadcastOp>(op) ? number(op->getOperand(0)) : std::nullopt;
  }

  std::optional<Reach> place(mlir::Value value) const {
    if (value == position_)
      return Reach{};
    mlir::Operation *op = value.getDefiningOp();
    if (llvm::isa_and_nonnull<ConvertOp, ReshapeOp, BroadcastOp>(op))
      return place(op->getOperand(0));
    if (!llvm::isa_and_nonnull<AddOp, SubOp>(op))
      return std::nullopt;
    std::optional<Reach> left = place(op->getOperand(0)), right = number(op->getOperand(1));
    if (left && right)
      return llvm::isa<AddOp>(op) ? Reach{left->least + right->least, left->most + right->most}
                                  : Reach{left->least - right->most, left->most - right->least};
    left = number(op->getOperand(0)), right = place(op->getOperand(1));
    return llvm::isa<AddOp>(op) && left && right
               ? std::optional(Reach{left->least + right->least, left->most + right->most})
               : std::nullopt;
  }

  mlir::Value position_;
  StepPlaces found_;
};

} // namespace

StepPlaces stepPlaces(mlir::Block &block, mlir::Value position) {
  Places places(position);
  block.walk([&](mlir::Operation *op) { places.visit(op); });
  return places.found();
}

} // namespace kiln::language
