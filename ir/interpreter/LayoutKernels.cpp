// Sources and layout: constants, iota, random bits, and ops that move elements.
#include "ir/interpreter/Kernels.h"
#include "ir/interpreter/Walk.h"
#include "runtime/support/Philox.h"

namespace kiln::interpreter {

namespace {

using absl::OkStatus;
using absl::Status;
using Shape = std::vector<int64_t>;

/// Copies an index space between two tensors of one element type.
void copy(Ints shape, const HostTensor &from, int64_t fromBase, Ints fromStrides, HostTensor &to, int64_t toBase,
          Ints toStrides) {
  onStorage(to, [&](auto kind) {
    using T = decltype(kind);
    stridedCopy<T>(shape, from.data<T>().data(), fromBase, fromStrides, to.data<T>().data(), toBase, toStrides);
  });
}

int64_t offsetOf(Ints index, Ints strides) {
  int64_t offset = 0;
  for (auto [i, stride] : llvm::zip_equal(index, strides))
    offset += i * stride;
  return offset;
}

Status constant(Call &call) {
  call.out[0] = HostTensor::fromAttribute(llvm::cast<ConstantOp>(call.op).getValue(), call.out[0].shape);
  return OkStatus();
}

Status iota(Call &call) {
  HostTensor &out = call.out[0];
  int64_t axis = llvm::cast<IotaOp>(call.op).getAxis();
  int64_t inner = out.strides()[axis], extent = out.shape[axis];
  onStorage(out, [&](auto kind) {
    std::vector<decltype(kind)> &data = out.data<decltype(kind)>();
    for (size_t i = 0; i < data.size(); ++i)
      data[i] = static_cast<decltype(kind)>(static_cast<int64_t>(i) / inner % extent);
  });
  for (int64_t &value : out.integers)
    value = wrapTo(out.element, value);
  return OkStatus();
}

Status extent(Call &call) {
  absl::StatusOr<Shape> value = call.values(llvm::cast<ExtentOp>(call.op).getExpr());
  if (!value.ok())
    return value.status();
  if (call.out[0].isFloat())
    call.out[0].floats[0] = static_cast<double>(value->front());
  else
    call.out[0].integers[0] = wrapTo(call.out[0].element, value->front());
  return OkStatus();
}

Status randomBits(Call &call) {
  std::array<uint32_t, 2> key = {static_cast<uint32_t>(call.in[0]->integers[0]),
                                 static_cast<uint32_t>(llvm::cast<RandomBitsOp>(call.op).getStream())};
  std::array<uint32_t, 4> counter = {};
  for (size_t i = 1; i < call.in.size(); ++i)
    counter[i] = static_cast<uint32_t>(call.in[i]->integers[0]);
  std::vector<int64_t> &out = call.out[0].integers;
  for (size_t e = 0; e < out.size(); e += 4) {
    counter[0] = static_cast<uint32_t>(e / 4);
    std::array<uint32_t, 4> words = philox(counter, key);
    for (size_t w = 0; w < 4 && e + w < out.size(); ++w)
      out[e + w] = words[w];
  }
  return OkStatus();
}

Status reshape(Call &call) {
  if (call.in[0]->size() != call.out[0].size())
    return failure(call.op, "the operand has " + std::to_string(call.in[0]->size()) + " elements, the result " +
                                std::to_string(call.out[0].size()));
  call.out[0].floats = call.in[0]->floats;
  call.out[0].integers = call.in[0]->integers;
  return OkStatus();
}

Status transpose(Call &call) {
  Shape strides = call.in[0]->strides(), permuted;
  for (int64_t axis : llvm::cast<TransposeOp>(call.op).getPermutation())
    permuted.push_back(strides[axis]);
  copy(call.out[0].shape, *call.in[0], 0, permuted, call.out[0], 0, call.out[0].strides());
  return OkStatus();
}

Status broadcast(Call &call) {
  const HostTensor &in = *call.in[0];
  HostTensor &out = call.out[0];
  Shape strides = in.strides(), spread(out.shape.size(), 0);
  for (auto [axis, to] : llvm::enumerate(llvm::cast<BroadcastOp>(call.op).getAxes())) {
    if (in.shape[axis] != 1 && in.shape[axis] != out.shape[to])
      return failure(call.op, "an axis of extent " + std::to_string(in.shape[axis]) + " cannot be repeated to " +
                                  std::to_string(out.shape[to]));
    spread[to] = in.shape[axis] == 1 ? 0 : strides[axis];
  }
  copy(out.shape, in, 0, spread, out, 0, out.strides());
  return OkStatus();
}

Status slice(Call &call) {
  auto op = llvm::cast<SliceOp>(call.op);
  const HostTensor &in = *call.in[0];
  HostTensor &out = call.out[0];
  absl::StatusOr<Shape> starts = call.values(op.getStarts());
  if (!starts.ok())
    return starts.status();
  Shape strides = in.strides(), steps = strides;
  for (int64_t axis = 0; axis < in.rank(); ++axis) {
    int64_t start = (*starts)[axis], step = op.getStrides()[axis];
    if (out.shape[axis] > 0 && (start < 0 || start + (out.shape[axis] - 1) * step >= in.shape[axis]))
      return failure(call.op, "axis " + std::to_string(axis) + " has extent " + std::to_string(in.shape[axis]) +
                                  ", the slice reads from " + std::to_string(start) + " to " +
                                  std::to_string(start + (out.shape[axis] - 1) * step));
    steps[axis] *= step;
  }
  copy(out.shape, in, offsetOf(*starts, strides), steps, out, 0, out.strides());
  return OkStatus();
}

Status pad(Call &call) {
  auto op = llvm::cast<PadOp>(call.op);
  const HostTensor &in = *call.in[0], &value = *call.in[1];
  HostTensor &out = call.out[0];
  absl::StatusOr<Shape> low = call.values(op.getLow());
  if (!low.ok())
    return low.status();
  if (out.isFloat())
    out.floats.assign(out.size(), value.floats[0]);
  else
    out.integers.assign(out.size(), value.integers[0]);
  Shape strides = out.strides(), steps = strides;
  for (int64_t axis = 0; axis < in.rank(); ++axis) {
    int64_t step = op.getInterior()[axis] + 1;
    int64_t last = (*low)[axis] + (in.shape[axis] - 1) * step;
    if ((*low)[axis] < 0 || (in.shape[axis] > 0 && last >= out.shape[axis]))
      return failure(call.op, "padding " + std::to_string((*low)[axis]) + " below axis " + std::to_string(axis) +
                                  " does not fit the result's extent " + std::to_string(out.shape[axis]));
    steps[axis] *= step;
  }
  copy(in.shape, in, 0, in.strides(), out, offsetOf(*low, strides), steps);
  return OkStatus();
}

Status concat(Call &call) {
  int64_t axis = llvm::cast<ConcatOp>(call.op).getAxis(), at = 0;
  HostTensor &out = call.out[0];
  Shape strides = out.strides();
  for (const HostTensor *in : call.in) {
    copy(in->shape, *in, 0, in->strides(), out, at * strides[axis], strides);
    at += in->shape[axis];
  }
  return OkStatus();
}

Status reverse(Call &call) {
  const HostTensor &in = *call.in[0];
  if (in.size() == 0)
    return OkStatus();
  Shape steps = in.strides();
  int64_t base = 0;
  for (int64_t axis : llvm::cast<ReverseOp>(call.op).getAxes()) {
    base += steps[axis] * (in.shape[axis] - 1);
    steps[axis] = -steps[axis];
  }
  copy(in.shape, in, base, steps, call.out[0], 0, call.out[0].strides());
  return OkStatus();
}

/// Clamped starts of a block in a tensor, as an offset.
absl::StatusOr<int64_t> blockOffset(Call &call, llvm::ArrayRef<const HostTensor *> starts, const HostTensor &whole,
                                    const HostTensor &block) {
  Shape strides = whole.strides();
  int64_t offset = 0;
  for (int64_t axis = 0; axis < whole.rank(); ++axis) {
    int64_t room = whole.shape[axis] - block.shape[axis];
    if (room < 0)
      return failure(call.op, "a block of extent " + std::to_string(block.shape[axis]) + " does not fit axis " +
                                  std::to_string(axis) + " of extent " + std::to_string(whole.shape[axis]));
    offset += std::clamp<int64_t>(starts[axis]->integers[0], 0, room) * strides[axis];
  }
  return offset;
}

Status dynamicSlice(Call &call) {
  const HostTensor &in = *call.in[0];
  absl::StatusOr<int64_t> offset = blockOffset(call, call.in.drop_front(1), in, call.out[0]);
  if (!offset.ok())
    return offset.status();
  copy(call.out[0].shape, in, *offset, in.strides(), call.out[0], 0, call.out[0].strides());
  return OkStatus();
}

Status dynamicUpdateSlice(Call &call) {
  const HostTensor &update = *call.in[1];
  call.out[0] = *call.in[0];
  absl::StatusOr<int64_t> offset = blockOffset(call, call.in.drop_front(2), call.out[0], update);
  if (!offset.ok())
    return offset.status();
  copy(update.shape, update, 0, update.strides(), call.out[0], *offset, call.out[0].strides());
  return OkStatus();
}

} // namespace

void addLayoutKernels(KernelTable &table) {
  add<ConstantOp>(table, constant);
  add<IotaOp>(table, iota);
  add<ExtentOp>(table, extent);
  add<RandomBitsOp>(table, randomBits);
  add<ReshapeOp>(table, reshape);
  add<TransposeOp>(table, transpose);
  add<BroadcastOp>(table, broadcast);
  add<SliceOp>(table, slice);
  add<PadOp>(table, pad);
  add<ConcatOp>(table, concat);
  add<ReverseOp>(table, reverse);
  add<DynamicSliceOp>(table, dynamicSlice);
  add<DynamicUpdateSliceOp>(table, dynamicUpdateSlice);
}

} // namespace kiln::interpreter
