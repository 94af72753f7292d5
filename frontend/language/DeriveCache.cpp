// Keys and values of earlier positions: all of them, or those of a window, each in the place of the one that it
// replaces.
#include "frontend/language/DeriveStep.h"
#include "ir/Values.h"

using llvm::SmallVector;

namespace kiln::language {

/// Rows [B, K, T, D] into their cache, which is given.
mlir::Value StepDeriver::cached(Emit &e, const std::string &name, mlir::Value rows) {
  SmallVector<Dim> dims = dimsOf(rows);
  dims[2] = Dim(*capacity_);
  mlir::Value cache = states_.read(name, tensorType(dims, elementOf(rows)));
  if (part_ == Part::Opens) // it is empty, as it is by itself
    return cache;
  mlir::Value zero = e.splatInt(position_.getType(), 0);
  auto next =
      e.create<DynamicUpdateSliceOp>(cache.getType(), cache, rows, mlir::ValueRange{zero, zero, position_, zero});
  done_.insert(next);
  states_.write(name, next);
  return next;
}

/// Numbers i32[count] of the rows that places 0, 1, … of a ring hold, where `end` positions are behind it: the newest
/// position that leaves the place as a remainder, less `begin`. Of a place that has none yet, any row.
static mlir::Value newestRows(Emit &e, int64_t count, mlir::Value end, mlir::Value begin) {
  mlir::Type element = elementOf(end);
  Dim all(count);
  auto each = [&](mlir::Value scalar) { return e.broadcastScalar(scalar, {all}); };
  mlir::Value last = e.sub(end, e.splatInt(end.getType(), 1));
  mlir::Value back = e.max(e.sub(each(last), e.iota({all}, 0, element)), e.splatInt(tensorType({all}, element), 0));
  back = e.op<RemOp>(back, e.splatInt(back.getType(), count));
  return e.sub(each(e.sub(last, begin)), back);
}

/// Attention that looks back over a window alone keeps the window's keys and values: position p in place p modulo its
/// length. One new position takes the place of the one that it no longer sees, and all places are seen; several see the
/// earlier ones, in their order, in front of their own.
template <class Op> void StepDeriver::keepWindow(Emit &e, Op op, const std::string &name, int64_t window) {
  mlir::Type index = position_.getType(), element = elementOf(position_);
  mlir::Value zero = e.splatInt(index, 0), length = e.splatInt(index, window), time = e.extent(time_, element);
  auto keep = [&](const std::string &kind, mlir::Value rows) -> mlir::Value {
    SmallVector<Dim> dims = dimsOf(rows);
    dims[2] = Dim(window);
    std::string state = kind + name;
    mlir::Value ring = states_.read(state, tensorType(dims, elementOf(rows)));
    if (part_ == Part::Begins) {
      states_.write(state, e.gather(rows, newestRows(e, window, time, zero), 2));
      return rows;
    }
    if (!several_) {
      mlir::Value place = e.op<RemOp>(position_, length);
      auto next = e.create<DynamicUpdateSliceOp>(ring.getType(), ring, rows, mlir::ValueRange{zero, zero, place, zero});
      done_.insert(next);
      states_.write(state, next);
      return next;
    }
    mlir::Value order = e.add(e.iota({Dim(window)}, 0, element), e.broadcastScalar(position_, {Dim(window)}));
    mlir::Value earlier = e.gather(ring, e.op<RemOp>(order, e.splatInt(order.getType(), window)), 2);
    mlir::Value all = e.concat({earlier, rows}, 2);
    mlir::Value newest = newestRows(e, window, e.add(position_, time), e.sub(position_, length));
    states_.write(state, e.gather(all, newest, 2));
    return all;
  };
  mlir::Value keys = keep("keys.", op.getKey()), values = keep("values.", op.getValue());
  if (part_ == Part::Begins)
    return;
  op.getKeyMutable().assign(keys);
  op.getValueMutable().assign(values);
  if (!several_) {
    op.getStartMutable().assign(e.min(position_, e.splatInt(index, window - 1)));
    op.removeSlidingWindowAttr();
    return;
  }
  op.getStartMutable().assign(length);
  Dim count = dimsOf(keys)[2];
  mlir::Value there = e.add(e.iota({count}, 0, element), e.broadcastScalar(e.sub(position_, length), {count}));
  there = e.compare(Predicate::ge, there, e.broadcastScalar(zero, {count})); // before the first position is none
  op.getMaskMutable().assign(e.reshapeTo(there, {Dim(1), Dim(1), Dim(1), count}));
}

/// Rows of a window's keys or values as scores that are written out read them: of a step the ring; else the earlier
/// ones in their order, where there are such, the new ones behind them, and zeros up to as many as there may be.
mlir::Value StepDeriver::ringRows(Emit &e, int64_t window, const std::string &state, mlir::Value rows) {
  mlir::Type index = position_.getType(), element = elementOf(position_);
  mlir::Value zero = e.splatInt(index, 0), length = e.splatInt(index, window);
  SmallVector<Dim> dims = dimsOf(rows);
  dims[2] = Dim(window);
  mlir::Value ring = states_.read(state, tensorType(dims, elementOf(rows)));
  if (part_ == Part::Opens) // it is empty, as it is by itself
    return ring;
  auto put = [&](mlir::Value into, mlir::Value at) {
    auto all = e.create<DynamicUpdateSliceOp>(into.getType(), into, rows, mlir::ValueRange{zero, zero, at, zero});
    done_.insert(all);
    return all.getResult();
  };
  if (part_ == Part::GoesOn && !several_) {
    mlir::Value next = put(ring, e.op<RemOp>(position_, length));
    states_.write(state, next);
    return next;
  }
  mlir::Value time = e.extent(time_, element);
  done_.insert(time.getDefiningOp());
  bool begins = part_ == Part::Begins;
  dims[2] = Dim(*capacity_);
  mlir::Value room = e.splat(tensorType(dims, elementOf(rows)), 0);
  if (!begins) {
    mlir::Value order = e.add(e.iota({Dim(window)}, 0, element), e.broadcastScalar(position_, {Dim(window)}));
    room = e.concat({e.gather(ring, e.op<RemOp>(order, e.splatInt(order.getType(), window)), 2), room}, 2);
  }
  mlir::Value all = put(room, begins ? zero : length);
  mlir::Value newest = newestRows(e, window, e.add(position_, time), begins ? zero : e.sub(position_, length));
  states_.write(state, e.gather(all, newest, 2));
  return all;
}

/// The positions i32[count] that ringRows' rows are of; below 0 where there is none yet.
mlir::Value StepDeriver::ringPlaces(Emit &e, int64_t window, const Dim &count) {
  mlir::Value numbers = e.iota({count}, 0, elementOf(position_)), length = e.splatInt(numbers.getType(), window);
  mlir::Value position = e.broadcastScalar(position_, {count});
  if (part_ == Part::Begins)
    return numbers;
  if (part_ == Part::GoesOn && several_)
    return e.add(numbers, e.sub(position, length));
  return e.sub(position, e.op<RemOp>(e.add(e.sub(position, numbers), length), length));
}

template <class Op> bool StepDeriver::visitAttention(Op op) {
  auto done = [&] { return (!op.getLse() || set(op.getLse(), 2)) && set(op.getResult(), 2); };
  Axis query = axisOf(op.getQuery()), key = axisOf(op.getKey()), value = axisOf(op.getValue());
  Axis mask = op.getMask() ? axisOf(op.getMask()) : none;
  if (query == 2 && key == none && value == none && !op.getCausal() && (mask == none || mask == 2))
    return done(); // over a memory
  if (query != 2 || key != 2 || value != 2 || dimsOf(op.getQuery())[2] != time_ || dimsOf(op.getKey())[2] != time_)
    return mixes(op, "positions with each other");
  if (!op.getCausal())
    return mixes(op, "later positions with earlier ones (it is not causal)");
  if (op.getMask() || op.getStart())
    return mixes(op, "positions by a mask of its own");
  if (!capacity_)
    return unbounded(op);
  if (part_ == Part::Opens) // caches are empty, which they are by themselves
    return done();
  mlir::OpBuilder b(op);
  Emit e(b, op.getLoc());
  std::string name = std::to_string(number_++);
  if (std::optional<uint64_t> window = op.getSlidingWindow(); window && static_cast<int64_t>(*window) < *capacity_) {
    keepWindow(e, op, name, static_cast<int64_t>(*window));
    return done();
  }
  op.getKeyMutable().assign(cached(e, "keys." + name, op.getKey()));
  op.getValueMutable().assign(cached(e, "values." + name, op.getValue()));
  op.getStartMutable().assign(position_);
  return done();
}

template bool StepDeriver::visitAttention(AttentionOp op);
template bool StepDeriver::visitAttention(CappedAttentionOp op);

} // namespace kiln::language
