// Subscripts: x[i], x[a:b], x[None], x[..., idx].
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

#include <limits>

namespace kiln::language {

/// dict(a=…)["a"]: the choice by a word that a command line sets.
static Value dictItem(Elaborator &e, const Expr &subscript, const Value &base, const std::string &key) {
  std::string have;
  for (size_t i = 0; i < base.names->size(); ++i) {
    if ((*base.names)[i] == key)
      return (*base.items)[i];
    have += (i > 0 ? ", " : "") + (*base.names)[i];
  }
  e.error(subscript.range, "the dict has no '" + key + "'").withHelp("it has " + (have.empty() ? "no names" : have));
  return Value::error();
}

static Value listIndex(Elaborator &e, const Expr &expr, const Value &base, Frame &frame) {
  const std::vector<Value> &items = base.isList() ? *base.items : base.instance->items;
  int64_t size = static_cast<int64_t>(items.size());
  if (expr.children.size() != 2) {
    e.error(expr.range, "a list has one axis");
    return Value::error();
  }
  const Expr &subscript = expr.child(1);
  auto constant = [&](const Expr *part, int64_t fallback) -> std::optional<int64_t> {
    if (!part)
      return fallback;
    Value value = e.eval(*part, frame);
    std::optional<int64_t> number = value.asInteger();
    if (!number && !value.isError())
      e.error(part->range, "a list's index is a number known at compile time; this is " + describe(value));
    return number;
  };
  if (subscript.kind == ExprKind::Slice) {
    std::optional<int64_t> begin = constant(subscript.children[0].get(), 0),
                           end = constant(subscript.children[1].get(), size),
                           step = constant(subscript.children[2].get(), 1);
    if (!begin || !end || !step)
      return Value::error();
    if (*step <= 0) {
      e.error(subscript.range, "the step of a range is positive; for the other order write reversed(list)");
      return Value::error();
    }
    auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size); };
    std::vector<Value> out;
    for (int64_t i = clamp(*begin); i < clamp(*end); i += *step)
      out.push_back(items[i]);
    return Value::listOf(std::move(out));
  }
  Value key = e.eval(subscript, frame);
  if (key.kind == Value::Kind::String && base.isList() && base.names)
    return dictItem(e, subscript, base, key.text);
  std::optional<int64_t> index = key.asInteger();
  if (!index) {
    if (!key.isError())
      e.error(subscript.range, "a list's index is a number known at compile time; this is " + describe(key));
    return Value::error();
  }
  int64_t at = *index < 0 ? *index + size : *index;
  if (at < 0 || at >= size) {
    e.error(subscript.range, "the index " + std::to_string(*index) + " is outside of the list, which has " +
                                 std::to_string(size) + " items");
    return Value::error();
  }
  return items[at];
}

namespace {
/// A range of one axis, resolved against its extent.
struct Span {
  Dim start, size;
  int64_t stride = 1;
};
} // namespace

static std::optional<Dim> dimOf(Elaborator &e, const Expr &part, Frame &frame) {
  Value value = e.eval(part, frame);
  if (value.isInteger())
    return value.integer;
  if (!value.isError())
    e.error(part.range, "the end of a range is a number or a dimension; this is " + describe(value))
        .withHelp(value.isTensor() ? "for a computed start write slice(x, start, size, axis)" : "");
  return std::nullopt;
}

/// Negative ends count from the end, as they do in Python; which ends are negative has to be provable.
static Dim fromEnd(Elaborator &e, const Dim &value, const Dim &extent) {
  return e.provablyNonNegative(Dim(-1) - value) ? extent + value : value;
}

static std::optional<Span> span(Elaborator &e, const Expr &slice, const Dim &extent, Range origin, Frame &frame) {
  Span out;
  Dim end = extent;
  for (int part = 0; part < 3; ++part) {
    if (!slice.children[part])
      continue;
    std::optional<Dim> value = dimOf(e, slice.child(part), frame);
    if (!value)
      return std::nullopt;
    if (part == 2) {
      std::optional<int64_t> step = value->constant();
      if (!step || *step <= 0) {
        e.error(slice.child(part).range, "the step of a range is a positive number")
            .withHelp("for the other order write reverse(x, axis)");
        return std::nullopt;
      }
      out.stride = *step;
    } else {
      (part == 0 ? out.start : end) = fromEnd(e, *value, extent);
    }
  }
  auto inside = [&](const Dim &from, const Dim &to, const std::string &what) {
    if (e.provablyNonNegative(to - from))
      return true;
    std::optional<int64_t> difference = (to - from).constant();
    Diagnostic &diagnostic =
        e.error(slice.range, (difference ? "" : "cannot show that ") + what + (difference ? " does not hold" : "") +
                                 " in this range of an axis of extent " + extent.str());
    e.noteDim(diagnostic, extent, origin);
    if (!difference)
      diagnostic.withHelp("state bounds for the dimensions in it, as in T <= 64; each is at least 1");
    return false;
  };
  if (!inside(Dim(0), out.start, "0 <= " + out.start.str()) ||
      !inside(out.start, end, out.start.str() + " <= " + end.str()) ||
      !inside(end, extent, end.str() + " <= " + extent.str()))
    return std::nullopt;
  out.size = out.stride == 1 ? end - out.start : (end - out.start + Dim(out.stride - 1)).floordiv(out.stride);
  return out;
}

Value Elaborator::gatherIndex(const Value &base, size_t axis, const Value &index, Range range) {
  mlir::Type element = index.tensorType().getElementType();
  if (isFloat(element) || element.isInteger(1)) {
    Diagnostic &diagnostic = error(range, "an index is an integer tensor; this is " + describe(index));
    if (element.isInteger(1))
      diagnostic.withHelp("to blank elements out write where(mask, x, 0)");
    return Value::error();
  }
  if (std::optional<Value> slice = index.rank() == 0 ? scanSlice(base, axis, index, range) : std::nullopt)
    return *slice;
  Origins origins;
  for (size_t i = 0; i < axis; ++i)
    origins.push_back({base.originOf(i)});
  for (int64_t i = 0; i < index.rank(); ++i)
    origins.push_back({index.originOf(i)});
  for (int64_t i = axis + 1; i < base.rank(); ++i)
    origins.push_back({base.originOf(i)});
  return Value::tensorOf(emit(range).gather(base.tensor, index.tensor, static_cast<int64_t>(axis)),
                         std::make_shared<Origins>(std::move(origins)));
}

namespace {
/// What a subscript asks for, axis by axis of the base.
struct IndexPlan {
  struct Pick {
    size_t axis;
    Value index;
    Range range;
  };
  std::vector<Dim> starts, sizes;
  std::vector<int64_t> strides;
  std::vector<bool> dropped;    // axes that a number takes away
  std::vector<Pick> picks;      // axes that a tensor picks along
  std::vector<int64_t> newAxes; // positions among the base's axes before which a new one comes
  Origins origins;

  IndexPlan(const Value &base, llvm::ArrayRef<Dim> dims)
      : starts(dims.size(), Dim(0)), sizes(dims.begin(), dims.end()), strides(dims.size(), 1),
        dropped(dims.size(), false) {
    for (size_t i = 0; i < dims.size(); ++i)
      origins.push_back({base.originOf(i)});
  }
};
} // namespace

/// How many axes the subscripts speak of; nullopt after an error.
static std::optional<size_t> countSubscripts(Elaborator &e, const Expr &expr, const Value &base, size_t rank) {
  size_t taken = 0;
  bool ellipsis = false;
  for (size_t i = 1; i < expr.children.size(); ++i) {
    bool isEllipsis = expr.child(i).kind == ExprKind::Ellipsis;
    taken += !isEllipsis && expr.child(i).kind != ExprKind::None;
    if (isEllipsis && ellipsis) {
      e.error(expr.child(i).range, "a subscript holds '...' once");
      return std::nullopt;
    }
    ellipsis |= isEllipsis;
  }
  if (taken <= rank)
    return taken;
  e.error(expr.range, std::to_string(taken) + " subscripts for " + describe(base) + ", which has " +
                          std::to_string(rank) + (rank == 1 ? " axis" : " axes"));
  return std::nullopt;
}

/// x[:, [0, -1]]: numbers as an i32 tensor; nullopt after an error.
static std::optional<Value> listedIndex(Elaborator &e, const Value &base, const Value &list, Range range,
                                        const Dim &extent, size_t axis) {
  llvm::SmallVector<int32_t> numbers, turns; // from the beginning, or so many extents further
  for (const Value &item : *list.items) {
    std::optional<int64_t> number = item.isInteger() ? item.integer.constant() : std::optional<int64_t>();
    if (!number) {
      e.error(range, "a list of indices holds whole numbers known at compile time; there is " + describe(item))
          .withHelp("as a tensor they may be computed: x[:, stack(i, j)]");
      return std::nullopt;
    }
    Dim at = fromEnd(e, item.integer, extent);
    if (!e.provablyNonNegative(at) || !e.provablyNonNegative(extent - Dim(1) - at)) {
      Diagnostic &diagnostic = e.error(range, "the index " + std::to_string(*number) +
                                                  " is not shown to be inside of an axis of extent " + extent.str());
      e.noteDim(diagnostic, extent, base.originOf(axis));
      return std::nullopt;
    }
    numbers.push_back(static_cast<int32_t>(at.constant().value_or(*number)));
    turns.push_back(!at.isConstant());
  }
  Emit emit = e.emit(range);
  mlir::Type element = emit.b.getI32Type(), type = tensorType({Dim(static_cast<int64_t>(numbers.size()))}, element);
  auto constant = [&](llvm::ArrayRef<int32_t> of) -> mlir::Value {
    return emit.create<ConstantOp>(type, mlir::DenseElementsAttr::get(llvm::cast<mlir::ShapedType>(type), of));
  };
  mlir::Value index = constant(numbers);
  if (llvm::is_contained(turns, 1))
    index =
        emit.add(index, emit.mul(constant(turns), emit.broadcastScalar(emit.extent(extent, element), dimsOf(index))));
  return Value::tensorOf(index);
}

/// One subscript that takes an axis: a number, several in a list, or a tensor.
static bool planIndex(Elaborator &e, const Value &base, const Value &value, Range range, const Dim &extent, size_t axis,
                      IndexPlan &plan) {
  if (value.isTensor()) {
    plan.picks.push_back({axis, value, range});
    return true;
  }
  if (value.isList()) {
    std::optional<Value> listed = listedIndex(e, base, value, range, extent, axis);
    if (listed)
      plan.picks.push_back({axis, *listed, range});
    return listed.has_value();
  }
  if (!value.isInteger()) {
    e.error(range,
            "an index is a number, a list of numbers, a range, None or an integer tensor; this is " + describe(value));
    return false;
  }
  Dim start = fromEnd(e, value.integer, extent);
  if (!e.provablyNonNegative(start) || !e.provablyNonNegative(extent - Dim(1) - start)) {
    Diagnostic &diagnostic = e.error(range, "the index " + value.integer.str() +
                                                " is not shown to be inside of an axis of extent " + extent.str());
    e.noteDim(diagnostic, extent, base.originOf(axis));
    return false;
  }
  plan.starts[axis] = start;
  plan.sizes[axis] = Dim(1);
  plan.dropped[axis] = true;
  return true;
}

static bool planSubscripts(Elaborator &e, const Expr &expr, const Value &base, llvm::ArrayRef<Dim> dims, Frame &frame,
                           IndexPlan &plan) {
  std::optional<size_t> taken = countSubscripts(e, expr, base, dims.size());
  if (!taken)
    return false;
  size_t axis = 0;
  for (size_t i = 1; i < expr.children.size(); ++i) {
    const Expr &subscript = expr.child(i);
    if (subscript.kind == ExprKind::Ellipsis) {
      axis += dims.size() - *taken;
      continue;
    }
    if (subscript.kind == ExprKind::Slice) {
      std::optional<Span> range = span(e, subscript, dims[axis], base.originOf(axis), frame);
      if (!range)
        return false;
      if (range->size != dims[axis])
        plan.origins[axis] = {subscript.range};
      plan.starts[axis] = range->start;
      plan.sizes[axis] = range->size;
      plan.strides[axis] = range->stride;
      ++axis;
      continue;
    }
    Value value = e.eval(subscript, frame);
    if (value.isError())
      return false;
    if (value.isNone()) {
      plan.newAxes.push_back(static_cast<int64_t>(axis));
      continue;
    }
    // A name that is None was counted as taking an axis; then there may be none left.
    if (axis >= dims.size() || !planIndex(e, base, value, subscript.range, dims[axis], axis, plan))
      return false;
    ++axis;
  }
  return true;
}

/// Whether tensors with axes are among the subscripts, several of them, or one before a new axis.
static bool isJoint(const IndexPlan &plan) {
  int tensors = 0;
  bool behind = false;
  for (const IndexPlan::Pick &pick : plan.picks) {
    tensors += pick.index.rank() > 0;
    behind |= pick.index.rank() > 0 && !plan.newAxes.empty() && plan.newAxes.back() > static_cast<int64_t>(pick.axis);
  }
  return tensors > 1 || (tensors == 1 && behind);
}

namespace {
/// x[rows, columns]: indices that are broadcast together and walk along several axes at once, as in PyTorch and numpy.
/// Their axes stand where the first of them does, or in front where others come between (a number does not).
class JointIndex {
public:
  JointIndex(Elaborator &e, const Expr &expr, IndexPlan &plan) : e_(e), range_(expr.range), plan_(plan) {}

  Value run(Value value) {
    for (size_t p = plan_.picks.size(); p-- > 0;) { // a scalar takes its axis away, as a number does
      const IndexPlan::Pick &pick = plan_.picks[p];
      value = pick.index.rank() == 0 ? e_.gatherIndex(value, pick.axis, pick.index, pick.range) : value;
      if (value.isError() || !isInteger(pick))
        return Value::error();
    }
    sort(value);
    return broadcastIndices() ? finish(e_.emit(range_).reshapeTo(value.tensor, dims_)) : Value::error();
  }

private:
  bool isInteger(const IndexPlan::Pick &pick) {
    mlir::Type element = pick.index.tensorType().getElementType();
    if (!isFloat(element) && !element.isInteger(1))
      return true;
    e_.error(pick.range, "an index is an integer tensor; this is " + describe(pick.index));
    return false;
  }

  /// Which axes are left after numbers and scalars, and which of those are walked along.
  void sort(const Value &value) {
    llvm::SmallVector<Dim> now = dimsOf(value.tensor);
    size_t at = 0;
    for (size_t axis = 0; axis < plan_.starts.size(); ++axis) {
      auto pick = std::find_if(plan_.picks.begin(), plan_.picks.end(), [&](const auto &p) { return p.axis == axis; });
      if (pick != plan_.picks.end() && pick->index.rank() == 0)
        continue;
      if (plan_.dropped[axis]) {
        ++at;
        continue;
      }
      bool walked = pick != plan_.picks.end();
      if (walked) {
        together_ &= indices_.empty() ||
                     (walks_.back() + 1 == static_cast<int64_t>(dims_.size()) && !newAxisBetween(lastWalk_, axis));
        lastWalk_ = axis;
        indices_.push_back(pick->index);
        ranges_.push_back(pick->range);
        walks_.push_back(static_cast<int64_t>(dims_.size()));
      } else {
        rests_.push_back(static_cast<int64_t>(dims_.size()));
        restAxes_.push_back(axis);
      }
      dims_.push_back(now[at++]);
    }
  }

  bool newAxisBetween(size_t first, size_t last) const {
    return std::any_of(plan_.newAxes.begin(), plan_.newAxes.end(), [&](int64_t position) {
      return position > static_cast<int64_t>(first) && position <= static_cast<int64_t>(last);
    });
  }

  /// x[iota(B)[:, None], columns]: the first index says of each row where it is.
  bool isEachRow() {
    mlir::Value value = indices_[0].tensor;
    llvm::SmallVector<Dim> own = dimsOf(value);
    bool isColumn = own.size() == shape_.size() && own[0] == dims_[walks_[0]] && shape_[0] == own[0];
    for (size_t i = 1; i < own.size(); ++i)
      isColumn &= own[i] == Dim(1);
    while (auto reshape = value.getDefiningOp<ReshapeOp>())
      value = reshape.getOperand();
    auto iota = value.getDefiningOp<IotaOp>();
    return isColumn && iota && llvm::cast<mlir::RankedTensorType>(value.getType()).getRank() == 1;
  }

  bool broadcastIndices() {
    std::vector<Value> same = indices_;
    if (same.size() > 1 && !e_.broadcastAll(same, ranges_, range_))
      return false;
    shape_ = dimsOf(same[0].tensor);
    rows_ = indices_.size() > 1 && isEachRow() ? 1 : 0;
    indices_ = std::move(same);
    return true;
  }

  /// One index over the axes that are walked along.
  mlir::Value linear(Emit &emit) {
    if (indices_.size() == rows_ + 1)
      return indices_.back().tensor;
    Dim total(1);
    for (size_t i = rows_; i < indices_.size(); ++i)
      total = total * dims_[walks_[i]];
    bool narrow = e_.provablyNonNegative(Dim(std::numeric_limits<int32_t>::max()) - total);
    mlir::Type type = narrow ? e_.builder().getI32Type() : e_.builder().getI64Type();
    mlir::Value at;
    for (size_t i = rows_; i < indices_.size(); ++i) {
      // Picking from 0, 1, … is the index itself, or, where it is outside, the error that says so.
      Dim extent = dims_[walks_[i]];
      mlir::Value index = emit.gather(emit.iota({extent}, 0, type), indices_[i].tensor, 0);
      at = at ? emit.add(emit.mul(at, emit.broadcastScalar(emit.extent(extent, type), shape_)), index) : index;
    }
    return at;
  }

  Value finish(mlir::Value value) {
    Emit emit = e_.emit(range_);
    // The walked axes first, as one (behind that of the rows); then the others.
    std::vector<int64_t> order = walks_;
    order.insert(order.end(), rests_.begin(), rests_.end());
    std::vector<Dim> flat;
    Dim total(1);
    for (size_t i = 0; i < walks_.size(); ++i)
      i < rows_ ? flat.push_back(dims_[walks_[i]]) : void(total = total * dims_[walks_[i]]);
    flat.push_back(total);
    for (int64_t axis : rests_)
      flat.push_back(dims_[axis]);
    value = emit.reshapeTo(emit.transposed(value, order), flat);
    value = emit.gather(value, linear(emit), static_cast<int64_t>(rows_), static_cast<int64_t>(rows_));
    return placed(emit, value);
  }

  /// [indices…, rest…] with the indices' axes where they belong, and new axes put in.
  Value placed(Emit &emit, mlir::Value value) {
    size_t firstWalk = plan_.starts.size(), before = 0;
    for (const IndexPlan::Pick &pick : plan_.picks)
      if (pick.index.rank() > 0)
        firstWalk = std::min(firstWalk, pick.axis);
    while (together_ && before < restAxes_.size() && restAxes_[before] < firstWalk)
      ++before;
    std::vector<int64_t> order;
    for (size_t i = 0; i < before; ++i)
      order.push_back(static_cast<int64_t>(shape_.size() + i));
    for (size_t i = 0; i < shape_.size(); ++i)
      order.push_back(static_cast<int64_t>(i));
    for (size_t i = before; i < rests_.size(); ++i)
      order.push_back(static_cast<int64_t>(shape_.size() + i));
    value = emit.transposed(value, order);
    std::vector<Dim> shape;
    Origins origins;
    auto indexAxes = [&] {
      for (size_t i = 0; i < shape_.size(); ++i) {
        shape.push_back(shape_[i]);
        origins.push_back({indices_[0].originOf(i)});
      }
    };
    if (!together_)
      indexAxes();
    for (size_t axis = 0; axis <= plan_.starts.size(); ++axis) {
      for (int64_t position : plan_.newAxes)
        if (position == static_cast<int64_t>(axis)) {
          shape.push_back(Dim(1));
          origins.push_back({});
        }
      if (together_ && axis == firstWalk)
        indexAxes();
      if (auto rest = std::find(restAxes_.begin(), restAxes_.end(), axis); rest != restAxes_.end()) {
        shape.push_back(dims_[rests_[rest - restAxes_.begin()]]);
        origins.push_back(plan_.origins[axis]);
      }
    }
    return Value::tensorOf(emit.reshapeTo(value, shape), std::make_shared<Origins>(std::move(origins)));
  }

  Elaborator &e_;
  Range range_;
  IndexPlan &plan_;
  std::vector<Value> indices_;
  std::vector<Range> ranges_;
  llvm::SmallVector<Dim> dims_, shape_; // of what is left; of the indices together
  std::vector<int64_t> walks_, rests_;  // axes of what is left
  std::vector<size_t> restAxes_;        // axes of the base
  bool together_ = true;
  size_t rows_ = 0, lastWalk_ = 0;
};
} // namespace

/// The shape that is left: the base's axes without dropped and picked ones, a picking tensor's own, new ones.
static Value finishIndex(Elaborator &e, const Expr &expr, const Value &value, const IndexPlan &plan) {
  std::vector<Dim> shape;
  Origins origins;
  llvm::SmallVector<Dim> now = dimsOf(value.tensor);
  size_t rank = plan.starts.size(), at = 0;
  for (size_t i = 0; i <= rank; ++i) {
    for (int64_t position : plan.newAxes)
      if (position == static_cast<int64_t>(i)) {
        shape.push_back(Dim(1));
        origins.push_back({});
      }
    if (i == rank)
      break;
    auto pick = std::find_if(plan.picks.begin(), plan.picks.end(), [&](const auto &p) { return p.axis == i; });
    size_t width = pick == plan.picks.end() ? 1 : static_cast<size_t>(pick->index.rank());
    for (size_t k = 0; k < width; ++k, ++at)
      if (!plan.dropped[i] || pick != plan.picks.end()) {
        shape.push_back(now[at]);
        origins.push_back({value.originOf(at)});
      }
  }
  return Value::tensorOf(e.emit(expr.range).reshapeTo(value.tensor, shape),
                         std::make_shared<Origins>(std::move(origins)));
}

Value Elaborator::index(const Expr &expr, const Value &base, Frame &frame) {
  if (base.isList() || (base.kind == Value::Kind::Instance && base.instance->sequential))
    return listIndex(*this, expr, base, frame);
  if (!base.isTensor()) {
    error(expr.range, describe(base) + " has no subscripts");
    return Value::error();
  }
  // Ranges are sliced first, in one op; then indices are applied from the last axis to the first; then axes are dropped
  // and put in.
  llvm::SmallVector<Dim> dims = dimsOf(base.tensor);
  IndexPlan plan(base, dims);
  if (!planSubscripts(*this, expr, base, dims, frame, plan))
    return Value::error();
  bool sliced = false;
  for (size_t i = 0; i < dims.size(); ++i)
    sliced |= plan.sizes[i] != dims[i] || plan.strides[i] != 1;
  mlir::Value tensor =
      sliced ? emit(expr.range).slice(base.tensor, plan.starts, plan.sizes, plan.strides) : base.tensor;
  Value value = Value::tensorOf(tensor, std::make_shared<Origins>(plan.origins));
  if (isJoint(plan))
    return JointIndex(*this, expr, plan).run(value);
  for (size_t p = plan.picks.size(); p-- > 0;) {
    value = gatherIndex(value, plan.picks[p].axis, plan.picks[p].index, plan.picks[p].range);
    if (value.isError())
      return value;
  }
  return finishIndex(*this, expr, value, plan);
}

} // namespace kiln::language
