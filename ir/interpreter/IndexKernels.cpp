// gather, scatter, and numbers in blocks.
#include "ir/interpreter/Kernels.h"

#include "backends/api/kiln_codes.h"

#include <cmath>

namespace kiln::interpreter {

namespace {

using absl::OkStatus;
using absl::Status;

/// operand [batch, outer, extent, inner], indices [batch, count], slices [batch, outer, count, inner].
struct Places {
  int64_t batch = 1, outer = 1, extent = 1, inner = 1, count = 1;
};

Places placesOf(const HostTensor &operand, const HostTensor &indices, int64_t axis, int64_t batchDims) {
  Places places;
  for (int64_t d = 0; d < operand.rank(); ++d)
    (d < batchDims ? places.batch
     : d < axis    ? places.outer
     : d == axis   ? places.extent
                   : places.inner) *= operand.shape[d];
  for (int64_t d = batchDims; d < indices.rank(); ++d)
    places.count *= indices.shape[d];
  return places;
}

Status gather(Call &call) {
  auto op = llvm::cast<GatherOp>(call.op);
  const HostTensor &operand = *call.in[0], &indices = *call.in[1];
  Places p = placesOf(operand, indices, op.getAxis(), op.getBatchDims());
  if (p.extent == 0 && call.out[0].size() > 0)
    return failure(call.op, "nothing to gather from: the operand's axis is empty");
  onStorage(operand, [&](auto kind) {
    using T = decltype(kind);
    const T *from = operand.data<T>().data();
    T *to = call.out[0].data<T>().data();
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t o = 0; o < p.outer; ++o)
        for (int64_t i = 0; i < p.count; ++i, to += p.inner) {
          int64_t index = indices.integers[b * p.count + i];
          if (index < 0 || index >= p.extent) {
            call.record(DataError::indexOutOfRange, index, p.extent);
            index = std::clamp<int64_t>(index, 0, p.extent - 1);
          }
          const T *slice = from + ((b * p.outer + o) * p.extent + index) * p.inner;
          std::copy(slice, slice + p.inner, to);
        }
  });
  return OkStatus();
}

Status dequantize(Call &call) {
  const HostTensor &blocks = *call.in[0], &scales = *call.in[1];
  bool halves = llvm::cast<DequantizeOp>(call.op).getBlocks().getType().getElementType().isUnsignedInteger(8);
  bool lifted = call.in.size() > 2;
  int64_t size = blocks.shape.back();
  for (int64_t block = 0; block < scales.size(); ++block)
    for (int64_t i = 0; i < size; ++i) {
      int64_t q = blocks.integers[(halves ? block / 2 : block) * size + i];
      if (halves)
        q = (block % 2 ? q >> 4 : q & 15) - (lifted ? 0 : 8);
      double element = static_cast<double>(q) * scales.floats[block];
      call.out[0].floats[block * size + i] = lifted ? element + call.in[2]->floats[block] : element;
    }
  return OkStatus();
}

Status decode(Call &call) {
  const HostTensor &codes = *call.in[0], &scales = *call.in[1];
  Coding coding = codingCalled(llvm::cast<DecodeOp>(call.op).getCoding());
  bool halves = bitsOf(coding) == 4;
  int64_t size = codes.shape.back();
  for (int64_t block = 0; block < scales.size(); ++block)
    for (int64_t i = 0; i < size; ++i) {
      auto code = static_cast<uint8_t>(codes.integers[(halves ? block / 2 : block) * size + i]);
      if (halves)
        code = block % 2 ? code >> 4 : code & 15;
      call.out[0].floats[block * size + i] = static_cast<double>(codedNumber(coding, code)) * scales.floats[block];
    }
  return OkStatus();
}

template <typename T> T combine(ScatterKind kind, T old, T update) {
  switch (kind) {
  case ScatterKind::set:
    return update;
  case ScatterKind::add:
    if constexpr (std::is_same_v<T, int64_t>)
      return static_cast<T>(static_cast<uint64_t>(old) + static_cast<uint64_t>(update));
    else
      return old + update;
  case ScatterKind::mul:
    if constexpr (std::is_same_v<T, int64_t>)
      return static_cast<T>(static_cast<uint64_t>(old) * static_cast<uint64_t>(update));
    else
      return old * update;
  case ScatterKind::max:
    return isNan(old) || update < old ? old : update;
  case ScatterKind::min:
    return isNan(old) || update > old ? old : update;
  }
  return update;
}

Status scatter(Call &call) {
  auto op = llvm::cast<ScatterOp>(call.op);
  const HostTensor &indices = *call.in[1], &updates = *call.in[2];
  call.out[0] = *call.in[0];
  HostTensor &out = call.out[0];
  Places p = placesOf(out, indices, op.getAxis(), op.getBatchDims());
  onStorage(out, [&](auto kind) {
    using T = decltype(kind);
    const T *from = updates.data<T>().data();
    T *to = out.data<T>().data();
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t o = 0; o < p.outer; ++o)
        for (int64_t i = 0; i < p.count; ++i, from += p.inner) {
          int64_t index = indices.integers[b * p.count + i];
          if (index < 0 || index >= p.extent) {
            if (p.inner) // else it names no element, and nobody looks at it
              call.record(DataError::indexOutOfRange, index, p.extent);
            continue;
          }
          T *slice = to + ((b * p.outer + o) * p.extent + index) * p.inner;
          for (int64_t s = 0; s < p.inner; ++s)
            slice[s] = combine(op.getKind(), slice[s], from[s]);
        }
  });
  for (int64_t &value : out.integers)
    value = wrapTo(out.element, value);
  return OkStatus();
}

} // namespace

void addIndexKernels(KernelTable &table) {
  add<GatherOp>(table, gather);
  add<DequantizeOp>(table, dequantize);
  add<DecodeOp>(table, decode);
  add<ScatterOp>(table, scatter);
}

} // namespace kiln::interpreter
