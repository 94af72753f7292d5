// dot_general and convolution.
#include "ir/interpreter/Kernels.h"
#include "ir/interpreter/Walk.h"

#include <numeric>

namespace kiln::interpreter {

namespace {

using absl::OkStatus;
using absl::Status;

// The judge of every test is used on whole models: let its one hot loop use the vectors that the machine has.
#if defined(__x86_64__) && defined(__linux__)
#define KILN_HOT __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define KILN_HOT
#endif

/// c[m, n] += a[m, k] b[k, n], all row-major. Four rows share each row of b; columns go in blocks that stay in cache.
KILN_HOT void multiply(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c) {
  constexpr int64_t block = 512;
  for (int64_t j0 = 0; j0 < n; j0 += block) {
    int64_t width = std::min(block, n - j0), i = 0;
    for (; i + 4 <= m; i += 4) {
      double *c0 = c + i * n + j0, *c1 = c0 + n, *c2 = c1 + n, *c3 = c2 + n;
      for (int64_t p = 0; p < k; ++p) {
        const double *row = b + p * n + j0;
        double a0 = a[i * k + p], a1 = a[(i + 1) * k + p], a2 = a[(i + 2) * k + p], a3 = a[(i + 3) * k + p];
        for (int64_t j = 0; j < width; ++j) {
          c0[j] += a0 * row[j];
          c1[j] += a1 * row[j];
          c2[j] += a2 * row[j];
          c3[j] += a3 * row[j];
        }
      }
    }
    for (; i < m; ++i)
      for (int64_t p = 0; p < k; ++p) {
        const double *row = b + p * n + j0;
        double *to = c + i * n + j0, factor = a[i * k + p];
        for (int64_t j = 0; j < width; ++j)
          to[j] += factor * row[j];
      }
  }
}

void multiply(int64_t m, int64_t n, int64_t k, const int64_t *a, const int64_t *b, int64_t *c) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t p = 0; p < k; ++p)
      for (int64_t j = 0; j < n; ++j)
        c[i * n + j] = static_cast<int64_t>(static_cast<uint64_t>(c[i * n + j]) +
                                            static_cast<uint64_t>(a[i * k + p]) * static_cast<uint64_t>(b[p * n + j]));
}

/// The tensor's elements with its axes in this order; the tensor's own storage where that is its order already.
template <typename T> const T *packed(const HostTensor &tensor, Ints order, std::vector<T> &storage) {
  if (llvm::is_sorted(order))
    return tensor.data<T>().data();
  std::vector<int64_t> strides = tensor.strides(), from, shape;
  for (int64_t axis : order) {
    from.push_back(strides[axis]);
    shape.push_back(tensor.shape[axis]);
  }
  storage.resize(tensor.size());
  std::vector<int64_t> to(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;)
    to[axis - 1] = to[axis] * shape[axis];
  stridedCopy<T>(shape, tensor.data<T>().data(), 0, from, storage.data(), 0, to);
  return storage.data();
}

int64_t extentOf(const HostTensor &tensor, Ints axes) {
  int64_t count = 1;
  for (int64_t axis : axes)
    count *= tensor.shape[axis];
  return count;
}

llvm::SmallVector<int64_t> freeAxes(const HostTensor &tensor, Ints batch, Ints contract) {
  llvm::SmallVector<int64_t> axes;
  for (int64_t axis = 0; axis < tensor.rank(); ++axis)
    if (!llvm::is_contained(batch, axis) && !llvm::is_contained(contract, axis))
      axes.push_back(axis);
  return axes;
}

void wrapResult(HostTensor &out) {
  for (int64_t &value : out.integers)
    value = wrapTo(out.element, value);
}

Status dotGeneral(Call &call) {
  auto op = llvm::cast<DotGeneralOp>(call.op);
  const HostTensor &lhs = *call.in[0], &rhs = *call.in[1];
  llvm::SmallVector<int64_t> left(op.getLhsBatch()), right(op.getRhsBatch());
  auto leftFree = freeAxes(lhs, op.getLhsBatch(), op.getLhsContract());
  auto rightFree = freeAxes(rhs, op.getRhsBatch(), op.getRhsContract());
  // [batch, m, k] times [batch, k, n]
  left.append(leftFree);
  llvm::append_range(left, op.getLhsContract());
  llvm::append_range(right, op.getRhsContract());
  right.append(rightFree);
  int64_t batches = extentOf(lhs, op.getLhsBatch()), m = extentOf(lhs, leftFree), n = extentOf(rhs, rightFree);
  int64_t k = extentOf(lhs, op.getLhsContract());
  if (k != extentOf(rhs, op.getRhsContract()) || batches != extentOf(rhs, op.getRhsBatch()))
    return failure(call.op, "paired axes have different extents");
  onStorage(call.out[0], [&](auto kind) {
    using T = decltype(kind);
    std::vector<T> leftStorage, rightStorage;
    const T *a = packed<T>(lhs, left, leftStorage), *b = packed<T>(rhs, right, rightStorage);
    T *c = call.out[0].data<T>().data();
    for (int64_t i = 0; i < batches; ++i)
      multiply(m, n, k, a + i * m * k, b + i * k * n, c + i * m * n);
  });
  wrapResult(call.out[0]);
  return OkStatus();
}

/// One spatial axis of a convolution: for filter tap k and output place o, where the input is read (-1: in the
/// padding, or between dilated elements).
struct SpatialAxis {
  int64_t in = 1, out = 1, taps = 1;
  std::vector<int64_t> reads; // [taps, out]

  int64_t read(int64_t tap, int64_t place) const { return reads[tap * out + place]; }
};

SpatialAxis spatialAxis(ConvolutionOp op, int64_t axis, int64_t in, int64_t taps, int64_t out) {
  SpatialAxis result{in, out, taps, std::vector<int64_t>(taps * out, -1)};
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t place = 0; place < out; ++place) {
      int64_t at = place * op.getStrides()[axis] + tap * op.getFilterDilation()[axis] - op.getLow()[axis];
      int64_t dilation = op.getInputDilation()[axis];
      if (at >= 0 && at % dilation == 0 && at / dilation < in)
        result.reads[tap * out + place] = at / dilation;
    }
  return result;
}

/// Adds one filter row (all taps of the last axis) times one input row to one output row.
template <typename T> void addRow(const SpatialAxis &axis, const T *in, const T *filter, T *out) {
  for (int64_t tap = 0; tap < axis.taps; ++tap) {
    const int64_t *reads = axis.reads.data() + tap * axis.out;
    T factor = filter[tap];
    for (int64_t place = 0; place < axis.out; ++place)
      if (reads[place] >= 0) {
        if constexpr (std::is_same_v<T, double>)
          out[place] += factor * in[reads[place]];
        else
          out[place] = static_cast<T>(static_cast<uint64_t>(out[place]) +
                                      static_cast<uint64_t>(factor) * static_cast<uint64_t>(in[reads[place]]));
      }
  }
}

template <typename T>
void convolveAs(const HostTensor &in, const HostTensor &filter, HostTensor &out, int64_t groups,
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

Status convolution(Call &call) {
  auto op = llvm::cast<ConvolutionOp>(call.op);
  const HostTensor &in = *call.in[0], &filter = *call.in[1];
  HostTensor &out = call.out[0];
  std::array<SpatialAxis, 3> axes;
  for (SpatialAxis &axis : axes)
    axis.reads = {0};
  int64_t spatial = in.rank() - 2;
  for (int64_t d = 0; d < spatial; ++d)
    axes[3 - spatial + d] = spatialAxis(op, d, in.shape[d + 2], filter.shape[d + 2], out.shape[d + 2]);
  onStorage(out, [&](auto kind) { convolveAs<decltype(kind)>(in, filter, out, op.getGroups(), axes); });
  wrapResult(out);
  return OkStatus();
}

} // namespace

void addProductKernels(KernelTable &table) {
  add<DotGeneralOp>(table, dotGeneral);
  add<ConvolutionOp>(table, convolution);
}

} // namespace kiln::interpreter
