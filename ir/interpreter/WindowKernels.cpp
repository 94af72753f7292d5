// Reductions of windows.
#include "ir/interpreter/Kernels.h"
#include "ir/interpreter/Walk.h"

#include <cmath>
#include <limits>

namespace kiln::interpreter {

namespace {

using absl::OkStatus;
using absl::Status;

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
  WindowSteps window{op.getWindow(), op.getStrides(), op.getLow()};
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
  WindowSteps window{op.getWindow(), op.getStrides(), op.getLow()};
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
