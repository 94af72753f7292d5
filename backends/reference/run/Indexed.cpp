// gather, scatter, and numbers in blocks.
#include "backends/reference/run/Evaluate.h"

#include "backends/api/kiln_codes.h"

#include <cmath>

namespace kiln::reference {

using sdk::OpCode;

namespace {

/// operand [batch, outer, extent, inner], indices [batch, count], slices [batch, outer, count, inner].
struct Places {
  int64_t batch = 1, outer = 1, extent = 1, inner = 1, count = 1;

  Places(const Tensor &operand, const Tensor &indices, size_t axis, size_t batchDims) {
    for (size_t d = 0; d < operand.rank(); ++d)
      (d < batchDims ? batch : d < axis ? outer : d == axis ? extent : inner) *= operand.shape[d];
    for (size_t d = batchDims; d < indices.rank(); ++d)
      count *= indices.shape[d];
  }
  int64_t slices() const { return batch * outer * count * inner; }
};

bool gather(Call &call, const Places &p) {
  const Tensor &operand = *call.in[0], &indices = *call.in[1];
  if (p.extent == 0 && call.out[0]->size() > 0)
    return call.fail("nothing to gather from: the operand's axis is empty");
  if (p.slices() != call.out[0]->size())
    return call.fail("the result's shape does not follow from the operands'");
  onStorage(operand, [&](auto kind) {
    using T = decltype(kind);
    const T *from = operand.data<T>().data();
    T *to = call.out[0]->data<T>().data();
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t o = 0; o < p.outer; ++o)
        for (int64_t i = 0; i < p.count; ++i, to += p.inner) {
          int64_t index = indices.integers[static_cast<size_t>(b * p.count + i)];
          if (index < 0 || index >= p.extent) {
            call.record(KILN_INDEX_OUT_OF_RANGE, index, p.extent);
            index = std::clamp<int64_t>(index, 0, p.extent - 1);
          }
          const T *slice = from + ((b * p.outer + o) * p.extent + index) * p.inner;
          std::copy(slice, slice + p.inner, to);
        }
  });
  return true;
}

/// In unsigned arithmetic for integers: it wraps.
template <typename T> using Wrapping = std::conditional_t<std::is_same_v<T, double>, double, uint64_t>;

template <typename T> T combine(std::string_view kind, T old, T update) {
  using W = Wrapping<T>;
  if (kind == "add")
    return T(W(old) + W(update));
  if (kind == "mul")
    return T(W(old) * W(update));
  if (kind == "max")
    return std::isnan(old) || update < old ? old : update;
  if (kind == "min")
    return std::isnan(old) || update > old ? old : update;
  return update; // set
}

bool scatter(Call &call, const Places &p) {
  const Tensor &indices = *call.in[1], &updates = *call.in[2];
  Tensor &out = *call.out[0];
  std::string_view how = call.op.text("kind");
  if (call.in[0]->shape != out.shape || p.slices() != updates.size())
    return call.fail("the updates' shape does not follow from the operand's and the indices'");
  out.floats = call.in[0]->floats;
  out.integers = call.in[0]->integers;
  onStorage(out, [&](auto kind) {
    using T = decltype(kind);
    const T *from = updates.data<T>().data();
    T *to = out.data<T>().data();
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t o = 0; o < p.outer; ++o)
        for (int64_t i = 0; i < p.count; ++i, from += p.inner) {
          int64_t index = indices.integers[static_cast<size_t>(b * p.count + i)];
          if (index < 0 || index >= p.extent) {
            if (p.inner) // else it names no element, and nobody looks at it
              call.record(KILN_INDEX_OUT_OF_RANGE, index, p.extent);
            continue;
          }
          T *slice = to + ((b * p.outer + o) * p.extent + index) * p.inner;
          for (int64_t s = 0; s < p.inner; ++s)
            slice[s] = combine(how, slice[s], from[s]);
        }
  });
  out.wrap();
  return true;
}

/// Blocks of bytes, or of halves of bytes, two of which share their bytes.
bool dequantize(Call &call) {
  const Tensor &blocks = *call.in[0], &scales = *call.in[1];
  Tensor &out = *call.out[0];
  bool halves = blocks.dtype == KILN_U8, lifted = call.in.size() > 2;
  int64_t size = blocks.rank() ? blocks.shape.back() : 0, perByte = halves ? 2 : 1;
  if (blocks.size() * perByte != scales.size() * size || out.size() != scales.size() * size ||
      (lifted && call.in[2]->size() != scales.size()))
    return call.fail("blocks, scales and result do not fit each other");
  for (int64_t block = 0; block < scales.size(); ++block)
    for (int64_t i = 0; i < size; ++i) {
      int64_t q = blocks.integers[static_cast<size_t>(block / perByte * size + i)];
      if (halves)
        q = (block % 2 ? q >> 4 : q & 15) - (lifted ? 0 : 8);
      double element = static_cast<double>(q) * scales.floats[static_cast<size_t>(block)];
      if (lifted)
        element += call.in[2]->floats[static_cast<size_t>(block)];
      out.floats[static_cast<size_t>(block * size + i)] = element;
    }
  return true;
}

/// The same of codes that stand for numbers.
bool decode(Call &call) {
  const Tensor &codes = *call.in[0], &scales = *call.in[1];
  Tensor &out = *call.out[0];
  Coding coding = codingCalled(call.op.text("coding"));
  if (coding == Coding::None)
    return call.fail("the coding is not known");
  int64_t size = codes.rank() ? codes.shape.back() : 0, perByte = bitsOf(coding) == 4 ? 2 : 1;
  if (codes.size() * perByte != scales.size() * size || out.size() != scales.size() * size)
    return call.fail("codes, scales and result do not fit each other");
  for (int64_t block = 0; block < scales.size(); ++block)
    for (int64_t i = 0; i < size; ++i) {
      auto code = static_cast<uint8_t>(codes.integers[static_cast<size_t>(block / perByte * size + i)]);
      if (perByte == 2)
        code = block % 2 ? code >> 4 : code & 15;
      out.floats[static_cast<size_t>(block * size + i)] =
          static_cast<double>(codedNumber(coding, code)) * scales.floats[static_cast<size_t>(block)];
    }
  return true;
}

} // namespace

bool indexed(Call &call) {
  if (call.op.code == OpCode::Dequantize)
    return dequantize(call);
  if (call.op.code == OpCode::Decode)
    return decode(call);
  const Tensor &operand = *call.in[0], &indices = *call.in[1];
  auto axis = static_cast<size_t>(call.integer("axis")), batch = static_cast<size_t>(call.integer("batch_dims"));
  if (axis >= operand.rank() || batch > axis || batch > indices.rank() ||
      !std::equal(operand.shape.begin(), operand.shape.begin() + static_cast<int64_t>(batch), indices.shape.begin()))
    return call.fail("axis or batch_dims do not fit the operands");
  Places places(operand, indices, axis, batch);
  return call.op.code == OpCode::Gather ? gather(call, places) : scatter(call, places);
}

} // namespace kiln::reference
