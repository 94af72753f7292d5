// dot_general and convolution.
#include "backends/reference/run/Evaluate.h"

namespace kiln::reference {

using sdk::OpCode;

namespace {

/// c += a b, row-major; integers wrap.
template <typename T> void multiply(int64_t m, int64_t n, int64_t k, const T *a, const T *b, T *c) {
  using W = std::conditional_t<std::is_same_v<T, double>, double, uint64_t>;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t p = 0; p < k; ++p) {
      W factor = W(a[i * k + p]);
      const T *row = b + p * n;
      T *to = c + i * n;
      for (int64_t j = 0; j < n; ++j)
        to[j] = T(W(to[j]) + factor * W(row[j]));
    }
}

/// The tensor's elements with its axes in this order; its own storage where that is its order already.
template <typename T> const T *packed(const Tensor &tensor, Ints order, std::vector<T> &storage) {
  if (std::is_sorted(order.begin(), order.end()))
    return tensor.data<T>().data();
  Shape strides = tensor.strides(), from, shape;
  for (int64_t axis : order) {
    from.push_back(strides[static_cast<size_t>(axis)]);
    shape.push_back(tensor.shape[static_cast<size_t>(axis)]);
  }
  storage.clear();
  storage.reserve(static_cast<size_t>(tensor.size()));
  const T *values = tensor.data<T>().data();
  walk<1>(shape, {Ints(from)}, {0}, [&](auto at, int64_t count, auto step) {
    for (int64_t i = 0; i < count; ++i)
      storage.push_back(values[at[0] + i * step[0]]);
  });
  return storage.data();
}

int64_t extentOf(const Tensor &tensor, Ints axes) {
  int64_t count = 1;
  for (int64_t axis : axes)
    count *= tensor.shape[static_cast<size_t>(axis)];
  return count;
}

bool contains(Ints axes, int64_t axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); }

/// Axes that are neither; false where those are out of range or named twice.
bool freeAxes(const Tensor &tensor, Ints batch, Ints contract, Shape &axes) {
  for (int64_t axis = 0; axis < static_cast<int64_t>(tensor.rank()); ++axis)
    if (!contains(batch, axis) && !contains(contract, axis))
      axes.push_back(axis);
  Shape all(batch.begin(), batch.end());
  all.insert(all.end(), contract.begin(), contract.end());
  all.insert(all.end(), axes.begin(), axes.end());
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i] != static_cast<int64_t>(i))
      return false;
  return all.size() == tensor.rank();
}

bool dotGeneral(Call &call) {
  const Tensor &lhs = *call.in[0], &rhs = *call.in[1];
  Tensor &out = *call.out[0];
  const Shape &lhsBatch = call.op.ints("lhs_batch"), &rhsBatch = call.op.ints("rhs_batch"),
              &lhsContract = call.op.ints("lhs_contract"), &rhsContract = call.op.ints("rhs_contract");
  Shape leftFree, rightFree, left(lhsBatch), right(rhsBatch);
  if (!freeAxes(lhs, lhsBatch, lhsContract, leftFree) || !freeAxes(rhs, rhsBatch, rhsContract, rightFree))
    return call.fail("an axis is out of range or named twice");
  // [batch, m, k] times [batch, k, n]
  left.insert(left.end(), leftFree.begin(), leftFree.end());
  left.insert(left.end(), lhsContract.begin(), lhsContract.end());
  right.insert(right.end(), rhsContract.begin(), rhsContract.end());
  right.insert(right.end(), rightFree.begin(), rightFree.end());
  int64_t batches = extentOf(lhs, lhsBatch), m = extentOf(lhs, leftFree), n = extentOf(rhs, rightFree);
  int64_t k = extentOf(lhs, lhsContract);
  if (k != extentOf(rhs, rhsContract) || batches != extentOf(rhs, rhsBatch) || out.size() != batches * m * n)
    return call.fail("paired axes have different extents, or the result's shape does not follow from the operands'");
  onStorage(out, [&](auto kind) {
    using T = decltype(kind);
    std::vector<T> leftStorage, rightStorage;
    const T *a = packed<T>(lhs, left, leftStorage), *b = packed<T>(rhs, right, rightStorage);
    T *c = out.data<T>().data();
    for (int64_t i = 0; i < batches; ++i)
      multiply(m, n, k, a + i * m * k, b + i * k * n, c + i * m * n);
  });
  out.wrap();
  return true;
}

/// One spatial axis of a convolution: for filter tap k and output place o, where the input is read (-1: in the
/// padding, or between dilated elements).
struct SpatialAxis {
  int64_t in = 1, out = 1, taps = 1;
  std::vector<int64_t> reads = {0}; // [taps, out]

  int64_t read(int64_t tap, int64_t place) const { return reads[static_cast<size_t>(tap * out + place)]; }
};

/// Adds one filter row (all taps of the last axis) times one input row to one output row.
template <typename T> void addRow(const SpatialAxis &axis, const T *in, const T *filter, T *out) {
  using W = std::conditional_t<std::is_same_v<T, double>, double, uint64_t>;
  for (int64_t tap = 0; tap < axis.taps; ++tap)
    for (int64_t place = 0; place < axis.out; ++place)
      if (int64_t from = axis.read(tap, place); from >= 0)
        out[place] = T(W(out[place]) + W(filter[tap]) * W(in[from]));
}

template <typename T>
void convolveAs(const Tensor &in, const Tensor &filter, Tensor &out, int64_t groups,
                const std::array<SpatialAxis, 3> &axes) {
  const auto &[z, y, x] = axes;
  int64_t inPlane = z.in * y.in * x.in, outPlane = z.out * y.out * x.out, taps = z.taps * y.taps * x.taps;
  int64_t channels = in.shape[1], filters = out.shape[1], perGroup = channels / groups;
  for (int64_t n = 0; n < in.shape[0]; ++n)
    for (int64_t o = 0; o < filters; ++o)
      for (int64_t c = 0; c < perGroup; ++c) {
        int64_t channel = o / (filters / groups) * perGroup + c;
        const T *image = in.data<T>().data() + (n * channels + channel) * inPlane;
        const T *kernel = filter.data<T>().data() + (o * perGroup + c) * taps;
        T *result = out.data<T>().data() + (n * filters + o) * outPlane;
        for (int64_t kz = 0; kz < z.taps; ++kz)
          for (int64_t oz = 0; oz < z.out; ++oz) {
            if (z.read(kz, oz) < 0)
              continue;
            for (int64_t ky = 0; ky < y.taps; ++ky)
              for (int64_t oy = 0; oy < y.out; ++oy)
                if (y.read(ky, oy) >= 0)
                  addRow(x, image + (z.read(kz, oz) * y.in + y.read(ky, oy)) * x.in,
                         kernel + (kz * y.taps + ky) * x.taps, result + (oz * y.out + oy) * x.out);
          }
      }
}

bool convolution(Call &call) {
  const Tensor &in = *call.in[0], &filter = *call.in[1];
  Tensor &out = *call.out[0];
  int64_t groups = call.integer("groups");
  size_t spatial = in.rank() - 2;
  bool fits = in.rank() >= 3 && in.rank() <= 5 && groups >= 1 && in.shape[1] == filter.shape[1] * groups &&
              filter.shape[0] % groups == 0 && out.shape[0] == in.shape[0] && out.shape[1] == filter.shape[0];
  if (!fits)
    return call.fail("operands, groups and result do not fit together");
  std::array<SpatialAxis, 3> axes;
  for (size_t d = 0; d < spatial; ++d) {
    SpatialAxis &axis = axes[3 - spatial + d];
    int64_t stride = call.op.ints("strides")[d], low = call.op.ints("low")[d],
            dilation = call.op.ints("input_dilation")[d], spread = call.op.ints("filter_dilation")[d];
    if (stride < 1 || dilation < 1 || spread < 1)
      return call.fail("strides and dilations have to be positive");
    axis = {in.shape[d + 2], out.shape[d + 2], filter.shape[d + 2], {}};
    for (int64_t tap = 0; tap < axis.taps; ++tap)
      for (int64_t place = 0; place < axis.out; ++place) {
        int64_t at = place * stride + tap * spread - low;
        axis.reads.push_back(at >= 0 && at % dilation == 0 && at / dilation < axis.in ? at / dilation : -1);
      }
  }
  onStorage(out, [&](auto kind) { convolveAs<decltype(kind)>(in, filter, out, groups, axes); });
  out.wrap();
  return true;
}

} // namespace

bool product(Call &call) { return call.op.code == OpCode::DotGeneral ? dotGeneral(call) : convolution(call); }

} // namespace kiln::reference
