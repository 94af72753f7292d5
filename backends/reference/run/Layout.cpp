// Sources and layout: constants, iota, random bits, and ops that move elements.
#include "backends/reference/run/Evaluate.h"

#include "runtime/support/Philox.h"

namespace kiln::reference {

using sdk::OpCode;

namespace {

int64_t offsetOf(Ints index, Ints strides) {
  int64_t offset = 0;
  for (size_t d = 0; d < index.size(); ++d)
    offset += index[d] * strides[d];
  return offset;
}

bool constant(Call &call) {
  Tensor &out = *call.out[0];
  const std::string &bytes = call.op.find("value")->string;
  auto size = static_cast<size_t>(sdk::byteSize(out.dtype)), count = static_cast<size_t>(out.size());
  if (bytes.size() == size) { // a splat
    Tensor one{out.dtype, {}, {}, {}};
    one.load(reinterpret_cast<const uint8_t *>(bytes.data()));
    if (out.isFloat())
      out.floats.assign(count, one.floats[0]);
    else
      out.integers.assign(count, one.integers[0]);
    return true;
  }
  if (bytes.size() != size * count)
    return call.fail("the constant has " + std::to_string(bytes.size()) + " bytes for " + std::to_string(count) +
                     " elements");
  out.load(reinterpret_cast<const uint8_t *>(bytes.data()));
  return true;
}

bool iota(Call &call) {
  Tensor &out = *call.out[0];
  auto axis = static_cast<size_t>(call.integer("axis"));
  if (axis >= out.rank())
    return call.fail("the axis is not below the rank");
  int64_t inner = out.strides()[axis], extent = out.shape[axis];
  onStorage(out, [&](auto kind) {
    auto &data = out.data<decltype(kind)>();
    for (size_t i = 0; i < data.size(); ++i)
      data[i] = static_cast<decltype(kind)>(static_cast<int64_t>(i) / inner % extent);
  });
  out.wrap();
  return true;
}

bool extent(Call &call) {
  int64_t value = call.values("expr")[0];
  Tensor &out = *call.out[0];
  if (out.isFloat())
    out.floats[0] = static_cast<double>(value);
  else
    out.integers[0] = wrapTo(out.dtype, value);
  return true;
}

bool randomBits(Call &call) {
  std::array<uint32_t, 2> key = {static_cast<uint32_t>(call.in[0]->integers[0]),
                                 static_cast<uint32_t>(call.integer("stream"))};
  std::array<uint32_t, 4> counter = {};
  for (size_t i = 1; i < call.in.size(); ++i)
    counter[i] = static_cast<uint32_t>(call.in[i]->integers[0]);
  std::vector<int64_t> &out = call.out[0]->integers;
  for (size_t e = 0; e < out.size(); e += 4) {
    counter[0] = static_cast<uint32_t>(e / 4);
    std::array<uint32_t, 4> words = philox(counter, key);
    for (size_t w = 0; w < 4 && e + w < out.size(); ++w)
      out[e + w] = words[w];
  }
  return true;
}

bool reshape(Call &call) {
  if (call.in[0]->size() != call.out[0]->size())
    return call.fail("the operand has " + std::to_string(call.in[0]->size()) + " elements, the result " +
                     std::to_string(call.out[0]->size()));
  call.out[0]->floats = call.in[0]->floats;
  call.out[0]->integers = call.in[0]->integers;
  return true;
}

bool copied(Call &call, bool good) { return good || call.fail("it would read or write outside of a tensor"); }

bool transpose(Call &call) {
  Shape strides = call.in[0]->strides(), permuted;
  Tensor &out = *call.out[0];
  for (int64_t axis : call.op.ints("permutation"))
    permuted.push_back(strides[static_cast<size_t>(axis)]);
  return copied(call, copyStrided(out.shape, *call.in[0], 0, permuted, out, 0, out.strides()));
}

bool broadcast(Call &call) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  Shape strides = in.strides(), spread(out.rank(), 0);
  const Shape &axes = call.op.ints("axes");
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    auto to = static_cast<size_t>(axes[axis]);
    if (to >= out.rank() || (in.shape[axis] != 1 && in.shape[axis] != out.shape[to]))
      return call.fail("axis " + std::to_string(axis) + " of extent " + std::to_string(in.shape[axis]) +
                       " cannot be repeated to the result's");
    spread[to] = in.shape[axis] == 1 ? 0 : strides[axis];
  }
  return copied(call, copyStrided(out.shape, in, 0, spread, out, 0, out.strides()));
}

bool slice(Call &call) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  Shape starts = call.values("starts"), strides = in.strides(), steps = strides;
  const Shape &by = call.op.ints("strides");
  for (size_t axis = 0; axis < in.rank(); ++axis) {
    int64_t last = starts[axis] + (out.shape[axis] - 1) * by[axis];
    if (out.shape[axis] > 0 && (starts[axis] < 0 || last >= in.shape[axis]))
      return call.fail("axis " + std::to_string(axis) + " has extent " + std::to_string(in.shape[axis]) +
                       ", the slice reads from " + std::to_string(starts[axis]) + " to " + std::to_string(last));
    steps[axis] *= by[axis];
  }
  return copied(call, copyStrided(out.shape, in, offsetOf(starts, strides), steps, out, 0, out.strides()));
}

bool pad(Call &call) {
  const Tensor &in = *call.in[0], &value = *call.in[1];
  Tensor &out = *call.out[0];
  Shape low = call.values("low"), interior = call.values("interior");
  onStorage(out, [&](auto kind) {
    using T = decltype(kind);
    std::fill(out.data<T>().begin(), out.data<T>().end(), value.data<T>()[0]);
  });
  Shape strides = out.strides(), steps = strides;
  for (size_t axis = 0; axis < in.rank(); ++axis) {
    int64_t step = interior[axis] + 1, last = low[axis] + (in.shape[axis] - 1) * step;
    if (low[axis] < 0 || step < 1 || (in.shape[axis] > 0 && last >= out.shape[axis]))
      return call.fail("padding of axis " + std::to_string(axis) + " does not fit the result's extent " +
                       std::to_string(out.shape[axis]));
    steps[axis] *= step;
  }
  return copied(call, copyStrided(in.shape, in, 0, in.strides(), out, offsetOf(low, strides), steps));
}

bool concat(Call &call) {
  auto axis = static_cast<size_t>(call.integer("axis"));
  Tensor &out = *call.out[0];
  Shape strides = out.strides();
  int64_t at = 0;
  for (const Tensor *in : call.in) {
    if (in->rank() != out.rank() || at + in->shape[axis] > out.shape[axis] ||
        !copyStrided(in->shape, *in, 0, in->strides(), out, at * strides[axis], strides))
      return call.fail("an operand does not fit the result");
    at += in->shape[axis];
  }
  return at == out.shape[axis] || call.fail("the operands do not fill the result");
}

bool reverse(Call &call) {
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  if (in.shape != out.shape)
    return call.fail("operand and result have different shapes");
  if (in.size() == 0)
    return true;
  Shape steps = in.strides();
  int64_t base = 0;
  for (int64_t axis : call.op.ints("axes")) {
    base += steps[static_cast<size_t>(axis)] * (in.shape[static_cast<size_t>(axis)] - 1);
    steps[static_cast<size_t>(axis)] = -steps[static_cast<size_t>(axis)];
  }
  return copied(call, copyStrided(in.shape, in, base, steps, out, 0, out.strides()));
}

/// Clamped starts (operands from `first` on) of a block in a tensor, as an offset.
bool blockOffset(Call &call, size_t first, const Tensor &whole, const Tensor &block, int64_t &offset) {
  Shape strides = whole.strides();
  offset = 0;
  if (whole.rank() != block.rank())
    return call.fail("operand and block have different ranks");
  for (size_t axis = 0; axis < whole.rank(); ++axis) {
    int64_t room = whole.shape[axis] - block.shape[axis];
    if (room < 0)
      return call.fail("a block of extent " + std::to_string(block.shape[axis]) + " does not fit axis " +
                       std::to_string(axis) + " of extent " + std::to_string(whole.shape[axis]));
    offset += std::clamp<int64_t>(call.in[first + axis]->integers[0], 0, room) * strides[axis];
  }
  return true;
}

bool dynamicSlice(Call &call) {
  int64_t offset;
  const Tensor &in = *call.in[0];
  Tensor &out = *call.out[0];
  return blockOffset(call, 1, in, out, offset) &&
         copied(call, copyStrided(out.shape, in, offset, in.strides(), out, 0, out.strides()));
}

bool dynamicUpdateSlice(Call &call) {
  int64_t offset;
  const Tensor &update = *call.in[1];
  Tensor &out = *call.out[0];
  if (call.in[0]->shape != out.shape)
    return call.fail("operand and result have different shapes");
  out.floats = call.in[0]->floats;
  out.integers = call.in[0]->integers;
  return blockOffset(call, 2, out, update, offset) &&
         copied(call, copyStrided(update.shape, update, 0, update.strides(), out, offset, out.strides()));
}

} // namespace

bool layout(Call &call) {
  switch (call.op.code) {
  case OpCode::Constant:
    return constant(call);
  case OpCode::Iota:
    return iota(call);
  case OpCode::Extent:
    return extent(call);
  case OpCode::RandomBits:
    return randomBits(call);
  case OpCode::Reshape:
    return reshape(call);
  case OpCode::Transpose:
    return transpose(call);
  case OpCode::Broadcast:
    return broadcast(call);
  case OpCode::Slice:
    return slice(call);
  case OpCode::Pad:
    return pad(call);
  case OpCode::Concat:
    return concat(call);
  case OpCode::Reverse:
    return reverse(call);
  case OpCode::DynamicSlice:
    return dynamicSlice(call);
  case OpCode::DynamicUpdateSlice:
    return dynamicUpdateSlice(call);
  default:
    return call.fail("not an op that the reference knows");
  }
}

} // namespace kiln::reference
