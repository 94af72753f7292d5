// Functions that move elements around, and sources of tensors.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

namespace kiln::language {

static Origins originsOf(const Value &x) {
  Origins origins;
  for (int64_t i = 0; i < x.rank(); ++i)
    origins.push_back({x.originOf(i)});
  return origins;
}

static Value reshape(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<std::vector<Dim>> dims = call.shape();
  if (!x || !dims)
    return Value::error();
  Dim total = productOf(dimsOf(x->tensor)), known(1);
  int open = -1;
  for (size_t i = 0; i < dims->size(); ++i) {
    if ((*dims)[i] != Dim(-1)) {
      known = known * (*dims)[i];
    } else if (open >= 0) {
      call.e.error(call.range, "only one dimension of a reshape may be -1");
      return Value::error();
    } else {
      open = static_cast<int>(i);
    }
  }
  auto refuse = [&](const Dim &wanted) {
    std::string shape;
    for (const Dim &dim : *dims)
      shape += (shape.empty() ? "" : ", ") + dim.str();
    Diagnostic &diagnostic = call.e.error(call.range, describe(*x) + " cannot be reshaped to [" + shape + "]: it has " +
                                                          total.str() + " elements, and the new shape " +
                                                          (open >= 0 ? "a multiple of " + wanted.str() : wanted.str()));
    for (int64_t i = 0; i < x->rank(); ++i)
      call.e.noteDim(diagnostic, dimsOf(x->tensor)[i], x->originOf(i));
    return Value::error();
  };
  if (open >= 0) {
    std::optional<Dim> rest = total.exactDiv(known);
    if (!rest)
      return refuse(known);
    (*dims)[open] = *rest;
  } else if (known != total) {
    return refuse(known);
  }
  return Value::tensorOf(call.e.emit(call.range).reshapeTo(x->tensor, *dims), shared(call.restOrigins()));
}

static Value permuted(BoundCall &call, const Value &x, llvm::ArrayRef<int64_t> permutation) {
  Origins origins;
  for (int64_t axis : permutation)
    origins.push_back({x.originOf(axis)});
  return Value::tensorOf(call.e.emit(call.range).transposed(x.tensor, permutation), shared(std::move(origins)));
}

static Value transpose(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return Value::error();
  std::optional<int64_t> a = call.axis(1, x->rank()), b = call.axis(2, x->rank());
  if (!a || !b)
    return Value::error();
  std::vector<int64_t> permutation;
  for (int64_t i = 0; i < x->rank(); ++i)
    permutation.push_back(i == *a ? *b : i == *b ? *a : i);
  return permuted(call, *x, permutation);
}

static Value permute(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return Value::error();
  std::vector<Value> items = call.rest.size() == 1 && call.rest[0].isList() ? *call.rest[0].items : call.rest;
  std::vector<int64_t> permutation;
  std::vector<bool> seen(x->rank(), false);
  for (const Value &item : items) {
    std::optional<int64_t> number = item.asInteger();
    int64_t axis = number ? (*number < 0 ? *number + x->rank() : *number) : -1;
    if (axis < 0 || axis >= x->rank() || seen[axis])
      break;
    seen[axis] = true;
    permutation.push_back(axis);
  }
  if (permutation.size() != items.size() || static_cast<int64_t>(items.size()) != x->rank()) {
    call.e.error(call.range,
                 "permute wants each of the " + std::to_string(x->rank()) + " axes of " + describe(*x) + " once");
    return Value::error();
  }
  return permuted(call, *x, permutation);
}

static Value squeeze(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<int64_t> axis = x ? call.axis(1, x->rank()) : std::nullopt;
  if (!axis)
    return Value::error();
  llvm::SmallVector<Dim> dims = dimsOf(x->tensor);
  if (dims[*axis] != Dim(1)) {
    Diagnostic &diagnostic =
        call.e.error(call.range, "squeeze takes an axis of extent 1; axis " + std::to_string(*axis) + " of " +
                                     describe(*x) + " is " + dims[*axis].str());
    call.e.noteDim(diagnostic, dims[*axis], x->originOf(*axis));
    return Value::error();
  }
  Origins origins = originsOf(*x);
  dims.erase(dims.begin() + *axis);
  origins.erase(origins.begin() + *axis);
  return Value::tensorOf(call.e.emit(call.range).reshapeTo(x->tensor, dims), shared(std::move(origins)));
}

static Value unsqueeze(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<int64_t> axis = x ? call.axis(1, x->rank() + 1) : std::nullopt;
  if (!axis)
    return Value::error();
  llvm::SmallVector<Dim> dims = dimsOf(x->tensor);
  Origins origins = originsOf(*x);
  dims.insert(dims.begin() + *axis, Dim(1));
  origins.insert(origins.begin() + *axis, Origin{});
  return Value::tensorOf(call.e.emit(call.range).reshapeTo(x->tensor, dims), shared(std::move(origins)));
}

static Value flatten(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  if (!x || x->rank() == 0)
    return x ? *x : Value::error();
  std::optional<int64_t> start = call.axis(1, x->rank()), end = call.axis(2, x->rank());
  if (!start || !end)
    return Value::error();
  llvm::SmallVector<Dim> dims = dimsOf(x->tensor), out;
  Origins origins;
  for (int64_t i = 0; i < x->rank(); ++i) {
    if (i > *start && i <= *end) {
      out.back() = out.back() * dims[i];
      origins.back() = {call.range};
    } else {
      out.push_back(dims[i]);
      origins.push_back({x->originOf(i)});
    }
  }
  return Value::tensorOf(call.e.emit(call.range).reshapeTo(x->tensor, out), shared(std::move(origins)));
}

static Value broadcast(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<std::vector<Dim>> dims = call.shape();
  if (!x || !dims)
    return Value::error();
  llvm::SmallVector<Dim> from = dimsOf(x->tensor);
  bool fits = from.size() <= dims->size();
  for (size_t i = 0; fits && i < from.size(); ++i)
    fits = from[i] == Dim(1) || from[i] == (*dims)[dims->size() - from.size() + i];
  if (!fits) {
    call.e.error(call.range,
                 describe(*x) + " does not broadcast to " + typeText(dtypeOf(x->tensorType().getElementType()), *dims));
    return Value::error();
  }
  return Value::tensorOf(call.e.emit(call.range).broadcastTrailing(x->tensor, *dims), shared(call.restOrigins()));
}

static Value reverse(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<std::vector<int64_t>> axes = x ? call.axes(1, x->rank()) : std::nullopt;
  if (!axes)
    return Value::error();
  return Value::tensorOf(call.e.emit(call.range).create<ReverseOp>(x->tensor.getType(), x->tensor, *axes), x->origins);
}

/// What an axis is continued with: its own elements, mirrored about its ends (reflect), its ends (replicate), or its
/// other end (circular).
static std::optional<mlir::Value> continued(BoundCall &call, const Value &x, mlir::Value tensor, int64_t axis,
                                            const Dim &low, const Dim &high, const std::string &mode) {
  Emit emit = call.e.emit(call.range);
  Dim extent = dimsOf(tensor)[axis];
  for (const Dim &side : {low, high}) {
    Dim most = mode == "reflect" ? extent - Dim(1) : mode == "circular" ? extent : side;
    if (call.e.provablyNonNegative(most - side) && call.e.provablyNonNegative(extent - Dim(1)))
      continue;
    Diagnostic &diagnostic =
        call.e.error(call.range, "pad(mode=\"" + mode + "\"): " + side.str() +
                                     " elements are not shown to be there beside an axis of extent " + extent.str());
    call.e.noteDim(diagnostic, extent, x.originOf(axis));
    return std::nullopt;
  }
  auto part = [&](const Dim &start, const Dim &size) { return emit.sliceAxis(tensor, axis, start, size); };
  auto mirrored = [&](mlir::Value value) {
    return emit.create<ReverseOp>(value.getType(), value, llvm::ArrayRef<int64_t>(axis)).getResult();
  };
  auto repeated = [&](mlir::Value value, const Dim &count) {
    llvm::SmallVector<Dim> dims = dimsOf(value);
    dims[axis] = count;
    return emit.broadcastTrailing(value, dims);
  };
  std::vector<mlir::Value> parts;
  if (low != Dim(0))
    parts.push_back(mode == "reflect"     ? mirrored(part(Dim(1), low))
                    : mode == "replicate" ? repeated(part(Dim(0), Dim(1)), low)
                                          : part(extent - low, low));
  parts.push_back(tensor);
  if (high != Dim(0))
    parts.push_back(mode == "reflect"     ? mirrored(part(extent - Dim(1) - high, high))
                    : mode == "replicate" ? repeated(part(extent - Dim(1), Dim(1)), high)
                                          : part(Dim(0), high));
  return emit.concat(parts, axis);
}

static Value pad(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return Value::error();
  std::vector<Dim> amounts[2];
  for (size_t side = 0; side < 2; ++side) {
    const Value &value = call.values[1 + side];
    if (value.isInteger()) {
      amounts[side].assign(x->rank(), value.integer);
    } else if (value.isList()) {
      for (const Value &item : *value.items)
        if (item.isInteger())
          amounts[side].push_back(item.integer);
    }
    bool ok = static_cast<int64_t>(amounts[side].size()) == x->rank();
    for (const Dim &dim : amounts[side])
      ok &= call.e.provablyNonNegative(dim);
    if (!ok) {
      call.e.error(call.ranges[1 + side], "pad wants a number for each of the " + std::to_string(x->rank()) +
                                              " axes of " + describe(*x) + ", none negative");
      return Value::error();
    }
  }
  std::optional<std::string> mode = call.string(4);
  if (!mode)
    return Value::error();
  if (*mode != "constant" && *mode != "reflect" && *mode != "replicate" && *mode != "circular") {
    call.e.error(call.ranges[4], "pad's mode is \"constant\", \"reflect\", \"replicate\" or \"circular\"");
    return Value::error();
  }
  std::optional<Value> value = call.e.toTensor(call.values[3], call.ranges[3], x->tensorType().getElementType());
  if (!value)
    return Value::error();
  if (value->rank() != 0 || value->tensorType().getElementType() != x->tensorType().getElementType()) {
    call.e.error(call.ranges[3], "pad's value is one number of the tensor's dtype; this is " + describe(*value));
    return Value::error();
  }
  Origins origins = originsOf(*x);
  for (size_t i = 0; i < origins.size(); ++i)
    if (amounts[0][i] != Dim(0) || amounts[1][i] != Dim(0))
      origins[i] = {call.range};
  if (*mode == "constant")
    return Value::tensorOf(call.e.emit(call.range).pad(x->tensor, value->tensor, amounts[0], amounts[1]),
                           shared(std::move(origins)));
  mlir::Value tensor = x->tensor;
  for (int64_t axis = 0; axis < x->rank(); ++axis)
    if (amounts[0][axis] != Dim(0) || amounts[1][axis] != Dim(0)) {
      std::optional<mlir::Value> wider = continued(call, *x, tensor, axis, amounts[0][axis], amounts[1][axis], *mode);
      if (!wider)
        return Value::error();
      tensor = *wider;
    }
  return Value::tensorOf(tensor, shared(std::move(origins)));
}

/// The tensors of a *rest, or of its one list, with one dtype. Behind a list a number is the axis, as in PyTorch's
/// cat([a, b], 1).
static std::optional<std::vector<Value>> tensors(BoundCall &call) {
  if (call.rest.size() == 2 && call.rest[0].isList() && call.rest[1].isInteger()) {
    call.values[0] = call.rest.back();
    call.ranges[0] = call.restRanges.back();
    call.rest.pop_back();
    call.restRanges.pop_back();
  }
  std::vector<Value> items = call.rest.size() == 1 && call.rest[0].isList() ? *call.rest[0].items : call.rest;
  if (items.empty()) {
    call.e.error(call.range, std::string(call.builtin.name) + " wants at least one tensor");
    return std::nullopt;
  }
  for (size_t i = 0; i < items.size(); ++i) {
    Range at = items.size() == call.restRanges.size() ? call.restRanges[i] : call.range;
    std::optional<Value> tensor = call.e.toTensor(items[i], at);
    if (!tensor)
      return std::nullopt;
    items[i] = *tensor;
    if (items[i].tensorType().getElementType() != items[0].tensorType().getElementType()) {
      call.e.error(at, std::string(call.builtin.name) + " wants tensors of one dtype; this is " + describe(items[i]) +
                           " beside " + describe(items[0]));
      return std::nullopt;
    }
  }
  return items;
}

static Value concatenated(BoundCall &call, const std::vector<Value> &items, int64_t axis) {
  llvm::SmallVector<Dim> first = dimsOf(items[0].tensor);
  std::vector<mlir::Value> values;
  for (size_t i = 0; i < items.size(); ++i) {
    llvm::SmallVector<Dim> dims = dimsOf(items[i].tensor);
    Range at = items.size() == call.restRanges.size() ? call.restRanges[i] : call.range;
    for (size_t d = 0; d < std::max(first.size(), dims.size()); ++d) {
      if (dims.size() == first.size() && (static_cast<int64_t>(d) == axis || dims[d] == first[d]))
        continue;
      Diagnostic &diagnostic =
          call.e.error(at, std::string(call.builtin.name) + " along axis " + std::to_string(axis) +
                               " wants the other axes to agree: " + describe(items[0]) + " and " + describe(items[i]));
      if (dims.size() == first.size()) {
        call.e.noteDim(diagnostic, first[d], items[0].originOf(d));
        call.e.noteDim(diagnostic, dims[d], items[i].originOf(d));
      }
      return Value::error();
    }
    values.push_back(items[i].tensor);
  }
  Origins origins = originsOf(items[0]);
  if (items.size() > 1)
    origins[axis] = {call.range};
  return Value::tensorOf(call.e.emit(call.range).concat(values, axis), shared(std::move(origins)));
}

static Value concat(BoundCall &call) {
  std::optional<std::vector<Value>> items = tensors(call);
  std::optional<int64_t> axis = items ? call.axis(0, (*items)[0].rank()) : std::nullopt;
  return axis ? concatenated(call, *items, *axis) : Value::error();
}

static Value stack(BoundCall &call) {
  std::optional<std::vector<Value>> items = tensors(call);
  std::optional<int64_t> axis = items ? call.axis(0, (*items)[0].rank() + 1) : std::nullopt;
  if (!axis)
    return Value::error();
  for (Value &item : *items) {
    llvm::SmallVector<Dim> dims = dimsOf(item.tensor);
    Origins origins = originsOf(item);
    dims.insert(dims.begin() + *axis, Dim(1));
    origins.insert(origins.begin() + *axis, Origin{});
    item = Value::tensorOf(call.e.emit(call.range).reshapeTo(item.tensor, dims), shared(std::move(origins)));
  }
  return concatenated(call, *items, *axis);
}

static Value split(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<int64_t> axis = x ? call.axis(2, x->rank()) : std::nullopt;
  if (!axis)
    return Value::error();
  Dim extent = dimsOf(x->tensor)[*axis];
  std::vector<Dim> sizes;
  if (call.values[1].isList()) {
    Dim total;
    for (const Value &item : *call.values[1].items)
      if (item.isInteger()) {
        sizes.push_back(item.integer);
        total = total + item.integer;
      }
    if (total != extent || sizes.size() != call.values[1].items->size()) {
      call.e.error(call.ranges[1], "the sizes of a split add up to " + total.str() + "; the axis has " + extent.str());
      return Value::error();
    }
  } else {
    std::optional<int64_t> parts = call.integer(1);
    if (!parts)
      return Value::error();
    std::optional<Dim> size = *parts > 0 ? extent.exactDiv(Dim(*parts)) : std::nullopt;
    if (!size || *parts > 100000) {
      Diagnostic &diagnostic =
          call.e.error(call.ranges[1], "an axis of extent " + extent.str() + " is not split into " +
                                           std::to_string(*parts) + " equal parts");
      call.e.noteDim(diagnostic, extent, x->originOf(*axis));
      return Value::error();
    }
    sizes.assign(*parts, *size);
  }
  std::vector<Value> parts;
  Dim start;
  Origins origins = originsOf(*x);
  origins[*axis] = {call.ranges[1]};
  for (const Dim &size : sizes) {
    parts.push_back(Value::tensorOf(call.e.emit(call.range).sliceAxis(x->tensor, *axis, start, size), shared(origins)));
    start = start + size;
  }
  return Value::listOf(std::move(parts));
}

static Value rollAlong(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<int64_t> shift = call.integer(1), axis = x ? call.axis(2, x->rank()) : std::nullopt;
  if (!shift || !axis)
    return Value::error();
  Dim extent = dimsOf(x->tensor)[*axis];
  // The last `cut` elements come to the front.
  if (std::optional<int64_t> count = extent.constant()) // whole turns change nothing
    shift = *count > 0 ? *shift % *count : 0;
  int64_t magnitude = std::abs(*shift);
  if (magnitude == 0)
    return *x;
  if (!call.e.provablyNonNegative(extent - Dim(magnitude))) {
    call.e.error(call.ranges[1], "roll shifts by at most the axis' extent, where that is open: " + extent.str());
    return Value::error();
  }
  Dim cut = *shift > 0 ? Dim(*shift) : extent - Dim(magnitude);
  Emit emit = call.e.emit(call.range);
  mlir::Value back = emit.sliceAxis(x->tensor, *axis, extent - cut, cut);
  mlir::Value front = emit.sliceAxis(x->tensor, *axis, Dim(0), extent - cut);
  return Value::tensorOf(emit.concat({back, front}, *axis), x->origins);
}

static Value roll(BoundCall &call) {
  Value shifts = call.values[1], axes = call.values[2];
  if (!shifts.isList() && !axes.isList())
    return rollAlong(call);
  if (!shifts.isList() || !axes.isList() || shifts.items->size() != axes.items->size()) {
    call.e.error(call.range, "roll takes a shift for each axis: roll(x, (1, 2), (0, 1)); here are " + describe(shifts) +
                                 " and " + describe(axes));
    return Value::error();
  }
  BoundCall one = call;
  for (auto [shift, axis] : llvm::zip(*shifts.items, *axes.items)) {
    one.values = {one.values[0], shift, axis};
    one.values[0] = rollAlong(one);
    if (one.values[0].isError())
      break;
  }
  return one.values[0];
}

//===-- Blocks at computed places ---------------------------------------------------------------------------------===//

static std::optional<std::vector<mlir::Value>> starts(BoundCall &call, const Value &x, size_t startIndex,
                                                      int64_t axis) {
  std::optional<Value> start = call.tensor(startIndex);
  if (!start)
    return std::nullopt;
  if (start->rank() != 0 || isFloat(start->tensorType().getElementType())) {
    call.e.error(call.ranges[startIndex], "a start is one integer; this is " + describe(*start));
    return std::nullopt;
  }
  Emit emit = call.e.emit(call.range);
  std::vector<mlir::Value> out;
  for (int64_t i = 0; i < x.rank(); ++i)
    out.push_back(i == axis ? start->tensor : emit.splatInt(start->tensor.getType(), 0));
  return out;
}

/// Of an extent that is a dimension of the signature, and one that is a number: how the one is bounded by the other.
static void helpBound(Diagnostic &diagnostic, const Dim &small, const Dim &large) {
  if (small.symbols().size() == 1 && small == Dim::symbol(small.symbols().front()) && large.constant())
    diagnostic.withHelp("say in the signature that it does: " + small.str() + " <= " + large.str());
}

static Value slice(BoundCall &call) {
  std::optional<Value> x = call.tensor(0);
  std::optional<Dim> size = call.dim(2);
  std::optional<int64_t> axis = x ? call.axis(3, x->rank()) : std::nullopt;
  if (!size || !axis)
    return Value::error();
  llvm::SmallVector<Dim> dims = dimsOf(x->tensor);
  if (!call.e.provablyNonNegative(dims[*axis] - *size)) {
    Diagnostic &diagnostic = call.e.error(call.ranges[2], "a slice of " + size->str() +
                                                              " is not shown to fit an axis of " + dims[*axis].str());
    call.e.noteDim(diagnostic, dims[*axis], x->originOf(*axis));
    helpBound(diagnostic, *size, dims[*axis]);
    return Value::error();
  }
  std::optional<std::vector<mlir::Value>> at = starts(call, *x, 1, *axis);
  if (!at)
    return Value::error();
  dims[*axis] = *size;
  Origins origins = originsOf(*x);
  origins[*axis] = {call.ranges[2]};
  mlir::Type type = tensorType(dims, x->tensorType().getElementType());
  return Value::tensorOf(call.e.emit(call.range).create<DynamicSliceOp>(type, x->tensor, *at),
                         shared(std::move(origins)));
}

static Value update(BoundCall &call) {
  std::optional<Value> x = call.tensor(0), block = call.tensor(1);
  std::optional<int64_t> axis = x ? call.axis(3, x->rank()) : std::nullopt;
  if (!axis || !block)
    return Value::error();
  llvm::SmallVector<Dim> to = dimsOf(x->tensor), from = dimsOf(block->tensor);
  bool fits = to.size() == from.size() && x->tensorType().getElementType() == block->tensorType().getElementType();
  for (size_t i = 0; fits && i < to.size(); ++i)
    fits = static_cast<int64_t>(i) == *axis ? call.e.provablyNonNegative(to[i] - from[i]) : to[i] == from[i];
  if (!fits) {
    Diagnostic &diagnostic =
        call.e.error(call.ranges[1], "a block " + describe(*block).substr(9) + " is not shown to fit " + describe(*x) +
                                         " along axis " + std::to_string(*axis));
    for (size_t i = 0; i < std::min(to.size(), from.size()); ++i)
      if (to[i] != from[i]) {
        call.e.noteDim(diagnostic, to[i], x->originOf(i));
        call.e.noteDim(diagnostic, from[i], block->originOf(i));
        if (static_cast<int64_t>(i) == *axis)
          helpBound(diagnostic, from[i], to[i]);
      }
    return Value::error();
  }
  std::optional<std::vector<mlir::Value>> at = starts(call, *x, 2, *axis);
  if (!at)
    return Value::error();
  return Value::tensorOf(
      call.e.emit(call.range).create<DynamicUpdateSliceOp>(x->tensor.getType(), x->tensor, block->tensor, *at),
      x->origins);
}

llvm::ArrayRef<Builtin> shapeBuiltins() {
  static const Builtin builtins[] = {
      // Other dimensions, one of which may be -1. torch.reshape.
      {"reshape", "x, *dims", reshape},
      // Two axes swapped. torch.transpose.
      {"transpose", "x, a=-2, b=-1", transpose},
      // All axes in a new order. torch.permute.
      {"permute", "x, *axes", permute},
      // Without an axis of extent 1. torch.squeeze.
      {"squeeze", "x, axis", squeeze},
      // With one more. torch.unsqueeze.
      {"unsqueeze", "x, axis", unsqueeze},
      // The axes from start to end as one. torch.flatten.
      {"flatten", "x, start=0, end=-1", flatten},
      // Repeated to these dimensions. torch.broadcast_to.
      {"broadcast", "x, *dims", broadcast},
      // Backwards along axes. torch.flip.
      {"reverse", "x, axis", reverse},
      // With more on each side: a number for each axis; mode "constant", "reflect", "replicate" or "circular".
      // torch.nn.functional.pad.
      {"pad", "x, low, high, value=0, mode=\"constant\"", pad},
      // Moved round along an axis, or by a tuple of shifts along as many. torch.roll.
      {"roll", "x, shift, axis", roll},
      // One behind the other along an axis (the last; the first in PyTorch). torch.cat.
      {"concat", "*tensors, axis=-1", concat},
      // As a new axis. torch.stack.
      {"stack", "*tensors, axis=0", stack},
      // n equal parts along an axis, or a tuple of sizes. torch.chunk, torch.split.
      {"split", "x, n, axis=-1", split},
      // `size` entries from a computed start, which is clamped to fit. torch.narrow.
      {"slice", "x, start, size, axis", slice},
      // x with a block replaced at a computed start.
      {"update", "x, block, start, axis", update},
  };
  return builtins;
}

} // namespace kiln::language
