// Reductions of windows.
#include "ir/interpreter/Kernels.h"
#include "ir/interpreter/Walk.h"

#include <cmath>
#include <limits>

namespace kiln::interpreter {

namespace {

using absl::OkStatus;
using absl::Status;

struct Window {
  llvm::ArrayRef<int64_t> size, strides, low;
};

/// Calls f(windowIndex, offsetInOperand) for each element inside the operand, of each window, row-major.
template <typename F>
void eachElement(const Window &window, const HostTensor &operand, const HostTensor &windows, F f) {
  size_t rank = operand.shape.size();
  std::vector<int64_t> strides = operand.strides(), at(rank, 0), in(rank, 0);
  for (int64_t w = 0; w < windows.size(); ++w) {
    std::fill(in.begin(), in.end(), 0);
    while (true) {
      int64_t offset = 0;
      bool inside = true;
      for (size_t d = 0; d < rank && inside; ++d) {
        int64_t place = at[d] * window.strides[d] + in[d] - window.low[d];
        inside = place >= 0 && place < operand.shape[d];
        offset += place * strides[d];
      }
      if (inside)
        f(w, offset);
      size_t d = rank;
      for (; d > 0 && ++in[d - 1] == window.size[d - 1]; --d)
        in[d - 1] = 0;
      if (d == 0)
        break;
    }
    for (size_t d = rank; d > 0 && ++at[d - 1] == windows.shape[d - 1]; --d)
      at[d - 1] = 0;
  }
}

template <typename T> T neutralOf(ReduceKind kind, mlir::Type element) {
  if (kind == ReduceKind::sum)
    return 0;
  if constexpr (std::is_same_v<T, double>)
    return (kind == ReduceKind::max ? -1 : 1) * std::numeric_limits<double>::infinity();
  else
    return kind == ReduceKind::max ? lowestOf(element) : highestOf(element);
}

Status reduceWindow(Call &call) {
  auto op = llvm::cast<ReduceWindowOp>(call.op);
  Window window{op.getWindow(), op.getStrides(), op.getLow()};
  const HostTensor &in = *call.in[0];
  HostTensor &out = call.out[0];
  ReduceKind reduction = op.getKind();
  onStorage(out, [&](auto kind) {
    using T = decltype(kind);
    const std::vector<T> &values = in.data<T>();
    std::vector<T> &totals = out.data<T>();
    totals.assign(out.size(), neutralOf<T>(reduction, out.element));
    eachElement(window, in, out, [&](int64_t w, int64_t offset) {
      T &total = totals[w], value = values[offset];
      if (reduction == ReduceKind::sum)
        total = static_cast<T>(total + value);
      else if (!isNan(total) && (isNan(value) || (reduction == ReduceKind::max ? value > total : value < total)))
        total = value;
    });
  });
  for (int64_t &value : out.integers)
    value = wrapTo(out.element, value);
  return OkStatus();
}

Status reduceWindowGrad(Call &call) {
  auto op = llvm::cast<ReduceWindowGradOp>(call.op);
  Window window{op.getWindow(), op.getStrides(), op.getLow()};
  const HostTensor &in = *call.in[0], &gradient = *call.in[1];
  bool largest = op.getKind() == ReduceKind::max;
  onStorage(in, [&](auto kind) {
    using T = decltype(kind);
    const std::vector<T> &values = in.data<T>();
    std::vector<int64_t> best(gradient.size(), -1);
    eachElement(window, in, gradient, [&](int64_t w, int64_t offset) {
      if (best[w] < 0) {
        best[w] = offset;
        return;
      }
      T champion = values[best[w]], value = values[offset];
      if (!isNan(champion) && (isNan(value) || (largest ? value > champion : value < champion)))
        best[w] = offset;
    });
    for (size_t w = 0; w < best.size(); ++w)
      if (best[w] >= 0)
        call.out[0].data<T>()[best[w]] += gradient.data<T>()[w];
  });
  for (int64_t &value : call.out[0].integers)
    value = wrapTo(call.out[0].element, value);
  return OkStatus();
}

} // namespace

void addWindowKernels(KernelTable &table) {
  add<ReduceWindowOp>(table, reduceWindow);
  add<ReduceWindowGradOp>(table, reduceWindowGrad);
}

} // namespace kiln::interpreter
