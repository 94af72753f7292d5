// Gradients of reductions, running sums and windows.
#include "passes/Differentiate/Backward.h"

namespace kiln {

using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::LogicalResult;
using mlir::success;
using mlir::Value;

namespace {

// Each element gets the product of the others, without dividing by a zero: where exactly one element of a group is
// zero only that one has a gradient, where several are none has.
Value prodGradient(Emit &e, ReduceOp op, Value spreadGradient) {
  Value x = op.getOperand();
  SmallVector<Dim> dims = dimsOf(x);
  Value zero = e.splatLike(x, 0), one = e.splatLike(x, 1);
  Value isZero = e.compare(Predicate::eq, x, zero);
  Value product =
      e.broadcastBack(e.reduce(ReduceKind::prod, e.select(isZero, one, x), op.getAxes()), op.getAxes(), dims);
  Value zeros = e.broadcastBack(e.reduceSum(e.convertTo(isZero, elementOf(x)), op.getAxes()), op.getAxes(), dims);
  Value atZero = e.select(e.compare(Predicate::eq, zeros, one), product, zero);
  Value elsewhere = e.select(e.compare(Predicate::eq, zeros, zero), e.div(product, e.select(isZero, one, x)), zero);
  return e.mul(spreadGradient, e.select(isZero, atZero, elsewhere));
}

// torch.amax and torch.amin: equal extremes share the gradient in equal parts.
Value extremeGradient(Emit &e, ReduceOp op, Value g) {
  Value x = op.getOperand();
  SmallVector<Dim> dims = dimsOf(x);
  Value mask =
      e.convertTo(e.compare(Predicate::eq, x, e.broadcastBack(op.getResult(), op.getAxes(), dims)), elementOf(x));
  Value share = e.div(g, e.reduceSum(mask, op.getAxes()));
  return e.mul(mask, e.broadcastBack(share, op.getAxes(), dims));
}

LogicalResult reduceRule(ReduceOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  SmallVector<Dim> dims = dimsOf(op.getOperand());
  switch (op.getKind()) {
  case ReduceKind::sum:
    b.give(op.getOperand(), e.broadcastBack(g, op.getAxes(), dims));
    return success();
  case ReduceKind::prod:
    b.give(op.getOperand(), prodGradient(e, op, e.broadcastBack(g, op.getAxes(), dims)));
    return success();
  case ReduceKind::max:
  case ReduceKind::min:
    b.give(op.getOperand(), extremeGradient(e, op, g));
    return success();
  case ReduceKind::any:
  case ReduceKind::all:
    return op.emitOpError("of bool has no gradient");
  }
  llvm_unreachable("every kind is handled");
}

LogicalResult cumsumRule(CumSumOp op, Backward &b) {
  Value g = b.gradient(op);
  b.give(op.getOperand(),
         b.emit(op).create<CumSumOp>(g.getType(), g, op.getAxis(), !op.getReverse(), op.getExclusive()));
  return success();
}

/// Where windows tile the operand (stride = window, no padding, nothing left over), each element lies in one window.
bool tiles(ReduceWindowOp op) {
  SmallVector<Dim> from = dimsOf(op.getOperand()), to = dimsOf(op.getResult());
  for (size_t axis = 0; axis < from.size(); ++axis)
    if (op.getWindow()[axis] != op.getStrides()[axis] || op.getLow()[axis] != 0 || op.getHigh()[axis] != 0 ||
        to[axis] * op.getWindow()[axis] != from[axis])
      return false;
  return true;
}

Value tiledSumGradient(Emit &e, ReduceWindowOp op, Value g) {
  SmallVector<Dim> to = dimsOf(op.getResult()), wide;
  SmallVector<int64_t> axes;
  for (auto [axis, window] : llvm::enumerate(op.getWindow())) {
    axes.push_back(static_cast<int64_t>(wide.size()));
    wide.push_back(to[axis]);
    if (window != 1)
      wide.push_back(window);
  }
  return e.reshapeTo(e.broadcastTo(g, axes, wide), dimsOf(op.getOperand()));
}

// The transpose of a window sum: the gradient spread out by the strides, then summed over windows of stride 1.
LogicalResult windowSumRule(ReduceWindowOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  if (tiles(op)) {
    b.give(op.getOperand(), tiledSumGradient(e, op, g));
    return success();
  }
  SmallVector<Dim> from = dimsOf(op.getOperand()), to = dimsOf(op.getResult()), none(from.size(), Dim(0)), tail = none;
  SmallVector<int64_t> interior, low, high, ones(from.size(), 1);
  for (auto [axis, stride] : llvm::enumerate(op.getStrides())) {
    int64_t window = op.getWindow()[axis];
    interior.push_back(stride - 1);
    Dim covered = stride == 1 ? to[axis] : to[axis] + max(to[axis] - 1, 0) * (stride - 1);
    Dim after = from[axis] + op.getLow()[axis] - covered;
    low.push_back(window - 1 - op.getLow()[axis]);
    // What the last window leaves over may be symbolic; then it is padding of its own.
    high.push_back(after.constant().value_or(0));
    if (!after.isConstant())
      tail[axis] = after;
    if (low.back() < 0 || high.back() < 0)
      return op.emitOpError("gradient needs padding smaller than the window along axis ") << axis;
  }
  Value spread = e.pad(g, e.scalar(elementOf(g), 0), none, tail, interior);
  b.give(op.getOperand(),
         e.create<ReduceWindowOp>(op.getOperand().getType(), ReduceKind::sum, spread, op.getWindow(), ones, low, high));
  return success();
}

LogicalResult reduceWindowRule(ReduceWindowOp op, Backward &b) {
  if (op.getKind() == ReduceKind::sum)
    return windowSumRule(op, b);
  b.give(op.getOperand(),
         b.emit(op).create<ReduceWindowGradOp>(op.getOperand().getType(), op.getKind(), op.getOperand(), b.gradient(op),
                                               op.getWindow(), op.getStrides(), op.getLow(), op.getHigh()));
  return success();
}

/// The element at one place of every window, and of the gradient beside it; `inside` is 1 where it is no padding.
struct WindowPlace {
  Value element, gradient, inside;
};

WindowPlace placeOf(Emit &e, ReduceWindowGradOp op, const WindowPlace &padded, ArrayRef<int64_t> offset) {
  SmallVector<Dim> starts(offset.begin(), offset.end()), sizes = dimsOf(op.getGradient());
  auto taken = [&](Value x) { return e.slice(x, starts, sizes, op.getStrides()); };
  return {taken(padded.element), taken(padded.gradient), taken(padded.inside)};
}

/// The next place of a window, row by row; false behind the last one.
bool advance(SmallVector<int64_t> &offset, ArrayRef<int64_t> window) {
  for (size_t axis = offset.size(); axis-- > 0;) {
    if (++offset[axis] < window[axis])
      return true;
    offset[axis] = 0;
  }
  return false;
}

// Linear in the windows' gradients: each has gone to the window's first extreme element, and its own is what that
// element's gradient is. It is found as the windows' places are walked, all windows at once. How far an element would
// have to move to become the extreme is nowhere zero, so that the operand's gradient is.
LogicalResult reduceWindowGradRule(ReduceWindowGradOp op, Backward &b) {
  constexpr int64_t mostPlaces = 1024;
  int64_t places = 1;
  for (int64_t size : op.getWindow())
    if (places *= size; places > mostPlaces)
      return op.emitOpError("has no gradient for windows of more than ") << mostPlaces << " elements";
  if (!b.wants(op.getGradient()))
    return success();
  Emit e = b.emit(op);
  Value x = op.getOperand(), g = b.gradient(op);
  SmallVector<Dim> low(op.getLow().begin(), op.getLow().end()), high(op.getHigh().begin(), op.getHigh().end());
  auto padded = [&](Value value) { return e.pad(value, e.scalar(elementOf(value), 0), low, high); };
  WindowPlace all{padded(x), padded(g), padded(e.splatLike(x, 1))};
  SmallVector<int64_t> offset(low.size(), 0);
  WindowPlace best = placeOf(e, op, all, offset);
  auto isNumber = [&](Value value) { return e.compare(Predicate::eq, value, value); };
  while (advance(offset, op.getWindow())) {
    WindowPlace next = placeOf(e, op, all, offset);
    Value wins = e.compare(op.getKind() == ReduceKind::max ? Predicate::gt : Predicate::lt, next.element, best.element);
    Value noNumber = e.op<AndOp>(e.op<NotOp>(isNumber(next.element)), isNumber(best.element));
    Value first = e.compare(Predicate::eq, best.inside, 0.0);
    wins = e.op<AndOp>(e.compare(Predicate::ne, next.inside, 0.0), e.op<OrOp>(first, e.op<OrOp>(wins, noNumber)));
    best = {e.select(wins, next.element, best.element), e.select(wins, next.gradient, best.gradient),
            e.select(wins, next.inside, best.inside)};
  }
  b.give(op.getGradient(), best.gradient);
  return success();
}

} // namespace

void addReduceRules(RuleTable &rules) {
  rules.add<ReduceOp>(reduceRule);
  rules.add<CumSumOp>(cumsumRule);
  rules.add<ReduceWindowOp>(reduceWindowRule);
  rules.add<ReduceWindowGradOp>(reduceWindowGradRule);
}

} // namespace kiln
