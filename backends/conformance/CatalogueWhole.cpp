// Ops whose elements take many of an operand's: gather, scatter, reductions, windows, products.
#include "backends/conformance/Shapes.h"

#include "backends/api/kiln_codes.h"
#include "backends/sdk/Graph.h"

#include <cmath>

namespace kiln::conformance {

namespace {

using Shape = std::vector<int64_t>;
using sdk::isFloat;

Case start(const char *op, std::string variant, kiln_dtype dtype, const char *kind) {
  return {op, std::move(variant), dtype, std::make_shared<Kernel>(kind), {}, {}, {}};
}

uint32_t operand(Case &made, kiln_dtype dtype, Dims dims, Operand fill = {}) {
  made.operands.push_back(fill);
  return made.kernel->input(dtype, std::move(dims));
}

void finish(std::vector<Case> &cases, Case &made, uint32_t result, int32_t alias = -1) {
  made.kernel->output(result, alias);
  cases.push_back(std::move(made));
}

/// table [rows, width], ids [count]: rows taken; with wrong indices they are clamped and reported.
void gather(std::vector<Case> &cases, kiln_dtype dtype, kiln_dtype index, bool dynamic, bool wrong) {
  Case made = start("gather",
                    std::string("by ") + sdk::dtypeName(index) + (wrong ? ", wrong indices" : "") +
                        (dynamic ? ", dynamic" : ", constant"),
                    dtype, "elementwise");
  Kernel &kernel = *made.kernel;
  Dims dims = {fixed(13), fixed(37), fixed(65)};
  if (dynamic)
    dims = {kernel.extent(13), kernel.extent(37), kernel.extent(65)};
  made.launches = dynamic ? std::vector<Launch>{{{13, 37, 65}}, {{13, 1, 1}}, {{13, 0, 5}}, {{13, 7, 1}}}
                          : std::vector<Launch>{{{}}};
  if (dynamic)
    addEdgeExtentsWith(made.launches, 3, 0, 13);
  uint32_t table = operand(made, dtype, {dims[0], dims[2]}, {Fill::Special});
  bool isUnsigned = index == KILN_U8 || index == KILN_U32;
  uint32_t ids = operand(made, index, {dims[1]}, {Fill::Index, wrong && !isUnsigned ? -3.0 : 0.0, wrong ? 20.0 : 12.0});
  uint32_t result = kernel.op("gather", {table, ids}, dtype, {dims[1], dims[2]},
                              {Attribute::number("axis", 0), Attribute::number("batch_dims", 0)});
  made.reports = true;
  finish(cases, made, result);
}

/// One of each row: operand [n, classes], ids [n].
void pick(std::vector<Case> &cases, kiln_dtype dtype) {
  Case made = start("gather", "one of each row", dtype, "elementwise");
  Kernel &kernel = *made.kernel;
  kiln_extent rows = kernel.extent(65);
  made.launches = {{{65}}, {{1}}, {{0}}};
  addEdgeExtents(made.launches, 1);
  uint32_t table = operand(made, dtype, {rows, fixed(11)}, {Fill::Special});
  uint32_t ids = operand(made, KILN_I32, {rows}, {Fill::Index, 0, 10});
  uint32_t result = kernel.op("gather", {table, ids}, dtype, {rows},
                              {Attribute::number("axis", 1), Attribute::number("batch_dims", 1)});
  made.reports = true;
  finish(cases, made, result);
}

/// Rows of three or of four blocks of 32, which a vector does not end with, or of one and of two of 7.
void dequantize(std::vector<Case> &cases, bool halves, bool lifted, kiln_dtype scales, int64_t size) {
  Case made = start("dequantize",
                    std::string(halves ? "halves" : "bytes") + (lifted ? " with minimums" : "") + ", " +
                        sdk::dtypeName(scales) + " for " + std::to_string(size),
                    KILN_F32, "elementwise");
  Kernel &kernel = *made.kernel;
  kiln_extent rows = kernel.extent(13);
  made.launches = {{{13}}, {{1}}, {{0}}};
  addEdgeExtents(made.launches, 1);
  int64_t perRow = halves ? 4 : 3;
  std::vector<uint32_t> of = {operand(made, halves ? KILN_U8 : KILN_I8,
                                      {rows, fixed(halves ? perRow / 2 : perRow), fixed(size)}, {Fill::Special}),
                              operand(made, scales, {rows, fixed(perRow)})};
  if (lifted)
    of.push_back(operand(made, scales, {rows, fixed(perRow)}));
  uint32_t result = kernel.op("dequantize", of, KILN_F32, {rows, fixed(perRow * size)}, {});
  made.accuracy = {0.5}; // one product; with a minimum, a sum of the rounded one
  if (lifted)
    made.accuracy = {1, true, 2};
  finish(cases, made, result);
}

/// Every code, more or less: a table of 256 in bytes has most of them in 13 rows of three blocks of 32.
void decode(std::vector<Case> &cases, Coding coding, kiln_dtype scales, int64_t size) {
  Case made =
      start("decode", std::string(codingName(coding)) + ", " + sdk::dtypeName(scales) + " for " + std::to_string(size),
            KILN_F32, "elementwise");
  Kernel &kernel = *made.kernel;
  kiln_extent rows = kernel.extent(13);
  made.launches = {{{13}}, {{1}}, {{0}}};
  addEdgeExtents(made.launches, 1);
  bool halves = bitsOf(coding) == 4;
  int64_t perRow = halves ? 4 : 3;
  uint32_t codes = operand(made, KILN_U8, {rows, fixed(halves ? perRow / 2 : perRow), fixed(size)}, {Fill::Special}),
           scale = operand(made, scales, {rows, fixed(perRow)});
  uint32_t result = kernel.op("decode", {codes, scale}, KILN_F32, {rows, fixed(perRow * size)},
                              {Attribute::text("coding", codingName(coding))});
  made.accuracy = {0.5}; // one product
  finish(cases, made, result);
}

void scatter(std::vector<Case> &cases, const char *kind, kiln_dtype dtype, bool wrong) {
  Case made = start("scatter", std::string(kind) + (wrong ? ", wrong indices" : ""), dtype, "scatter");
  Kernel &kernel = *made.kernel;
  kiln_extent rows = kernel.extent(13), count = kernel.extent(97), width = kernel.extent(33);
  made.launches = {{{13, 97, 33}}, {{13, 1, 1}}, {{13, 0, 3}}, {{1, 5, 1}}};
  if (!wrong)
    made.launches.pop_back(); // indices up to 12 need the rows
  addEdgeExtentsWith(made.launches, 3, 0, 13);
  uint32_t x = operand(made, dtype, {rows, width});
  uint32_t ids = operand(made, KILN_I32, {count}, {Fill::Index, wrong ? -3.0 : 0.0, wrong ? 20.0 : 12.0});
  // Few of them equal 0, all near 1: products stay in range.
  uint32_t updates = operand(made, dtype, {count, width}, {Fill::Range, 0.75, 1.25});
  uint32_t result =
      kernel.op("scatter", {x, ids, updates}, dtype, {rows, width},
                {Attribute::text("kind", kind), Attribute::number("axis", 0), Attribute::number("batch_dims", 0)});
  bool adds = std::string(kind) == "add", multiplies = std::string(kind) == "mul";
  made.accuracy = isFloat(dtype) ? Accuracy{multiplies ? 100.0
                                            : adds     ? 1.0
                                                       : 0.0,
                                            adds, adds ? 98.0 : 0, adds}
                                 : Accuracy{};
  made.reports = true;
  finish(cases, made, result, 0);
}

/// What fusion makes of a reduction by itself.
const char *shapeOfReduction(const std::vector<int64_t> &axes, size_t rank) {
  if (axes.empty())
    return "single";
  return axes.size() < rank && axes.front() == static_cast<int64_t>(rank - axes.size()) ? "rows" : "columns";
}

void reduce(std::vector<Case> &cases, const char *kind, kiln_dtype dtype, size_t rank, bool dynamic,
            std::vector<int64_t> axes, const char *which) {
  std::string name = kind;
  Case made =
      start("reduce", name + " of " + which + ", " + variantOf(rank, dynamic), dtype, shapeOfReduction(axes, rank));
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, rank, dynamic, made.launches), left;
  for (size_t d = 0; d < rank; ++d)
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) == axes.end())
      left.push_back(dims[d]);
  bool plain = name == "max" || name == "min" || !isFloat(dtype);
  double near = name == "prod" ? 0.02 : 2;
  uint32_t x =
      operand(made, dtype, dims,
              plain ? Operand{Fill::Special}
                    : Operand{Fill::Range, name == "prod" ? 1 - near : -near, name == "prod" ? 1 + near : near});
  uint32_t result = kernel.op("reduce", {x}, dtype, left, {Attribute::text("kind", kind), Attribute::axes(axes)});
  if (isFloat(dtype) && name == "sum")
    made.accuracy = {1, true, 5000};
  if (isFloat(dtype) && name == "prod")
    made.accuracy = {5000, false, 0};
  finish(cases, made, result);
}

void argReduce(std::vector<Case> &cases, const char *kind, kiln_dtype dtype, size_t rank, size_t axis) {
  Case made = start("arg_reduce", std::string(kind) + " of axis " + std::to_string(axis) + ", " + variantOf(rank, true),
                    dtype, axis + 1 == rank && axis > 0 ? "rows" : "single");
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, rank, true, made.launches), left = dims;
  left.erase(left.begin() + static_cast<int64_t>(axis));
  std::erase_if(made.launches, [&](const Launch &launch) { return launch.extents[axis] == 0; });
  uint32_t x = operand(made, dtype, dims, {Fill::Special});
  uint32_t result = kernel.op("arg_reduce", {x}, KILN_I32, left,
                              {Attribute::text("kind", kind), Attribute::number("axis", static_cast<int64_t>(axis))});
  finish(cases, made, result);
}

void cumsum(std::vector<Case> &cases, kiln_dtype dtype, size_t rank, size_t axis, int64_t reverse, int64_t exclusive) {
  Case made = start("cumsum",
                    std::string(reverse ? "reverse, " : "") + (exclusive ? "exclusive, " : "") + "axis " +
                        std::to_string(axis) + ", " + variantOf(rank, true),
                    dtype, "single");
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, rank, true, made.launches);
  uint32_t x = operand(made, dtype, dims);
  uint32_t result = kernel.op("cumsum", {x}, dtype, dims,
                              {Attribute::number("axis", static_cast<int64_t>(axis)),
                               Attribute::number("exclusive", exclusive), Attribute::number("reverse", reverse)});
  if (isFloat(dtype))
    made.accuracy = {1, true, 5000};
  finish(cases, made, result);
}

void sort(std::vector<Case> &cases, kiln_dtype dtype, size_t rank, size_t axis, int64_t descending) {
  Case made = start("sort",
                    std::string(descending ? "descending, " : "") + "axis " + std::to_string(axis) + ", " +
                        variantOf(rank, true),
                    dtype, "single");
  Kernel &kernel = *made.kernel;
  Dims dims = dimsOf(kernel, rank, true, made.launches);
  uint32_t x = operand(made, dtype, dims, {Fill::Special});
  uint32_t values =
      kernel.op("sort", {x}, dtype, dims,
                {Attribute::number("axis", static_cast<int64_t>(axis)), Attribute::number("descending", descending)});
  uint32_t indices = kernel.another(KILN_I32, dims);
  kernel.output(values);
  finish(cases, made, indices);
}

void topK(std::vector<Case> &cases, kiln_dtype dtype, int64_t k) {
  Case made = start("top_k", "k = " + std::to_string(k), dtype, "single");
  Kernel &kernel = *made.kernel;
  kiln_extent rows = kernel.extent(17), width = kernel.extent(301);
  made.launches = {{{17, 301}}, {{1, k}}, {{0, k}}, {{3, k + 1}}};
  addEdgeExtents(made.launches, 2);
  std::erase_if(made.launches, [&](const Launch &launch) { return launch.extents[1] < k; });
  uint32_t x = operand(made, dtype, {rows, width}, {Fill::Special});
  uint32_t values = kernel.op("top_k", {x}, dtype, {rows, fixed(k)}, {Attribute::number("k", k)});
  uint32_t indices = kernel.another(KILN_I32, {rows, fixed(k)});
  kernel.output(values);
  finish(cases, made, indices);
}

void window(std::vector<Case> &cases, const char *kind, kiln_dtype dtype, bool gradient, int64_t size, int64_t stride,
            int64_t padding, int64_t height = 13, int64_t width = 11) {
  Case made = start(gradient ? "reduce_window_grad" : "reduce_window",
                    std::string(kind) + " " + std::to_string(size) + " by " + std::to_string(stride) + ", padded " +
                        std::to_string(padding) + ", of " + std::to_string(height) + " x " + std::to_string(width),
                    dtype, "window");
  Kernel &kernel = *made.kernel;
  kiln_extent batch = kernel.extent(3);
  made.launches = {{{3}}, {{1}}, {{0}}};
  auto out = [&](int64_t n) { return (n + 2 * padding - size) / stride + 1; };
  Dims dims = {batch, fixed(5), fixed(height), fixed(width)},
       windows = {batch, fixed(5), fixed(out(height)), fixed(out(width))};
  std::vector<Attribute> attributes = {Attribute::text("kind", kind), Attribute::list("window", {1, 1, size, size}),
                                       Attribute::list("strides", {1, 1, stride, stride}),
                                       Attribute::list("low", {0, 0, padding, padding}),
                                       Attribute::list("high", {0, 0, padding, padding})};
  bool sums = gradient || std::string(kind) == "sum";
  uint32_t x = operand(made, dtype, dims, sums ? Operand{} : Operand{Fill::Special});
  std::vector<uint32_t> operands = {x};
  if (gradient)
    operands.push_back(operand(made, dtype, windows, {Fill::Range, 0, 2})); // of one sign: nothing cancels
  uint32_t result = kernel.op(made.op, operands, dtype, gradient ? dims : windows, attributes);
  // A gradient adds up at most size^2 terms; the same kernel over magnitudes would pick other elements.
  if (sums && isFloat(dtype))
    made.accuracy = gradient ? Accuracy{static_cast<double>(size * size), false, 0}
                             : Accuracy{1, true, static_cast<double>(size * size)};
  finish(cases, made, result);
}

kiln_dtype resultOf(kiln_dtype dtype, bool wide) {
  return !wide                                     ? dtype
         : dtype == KILN_BF16 || dtype == KILN_F16 ? KILN_F32
         : dtype == KILN_I8 || dtype == KILN_U8    ? KILN_I32
                                                   : dtype;
}

struct Product {
  bool leftTransposed, rightTransposed, batched, wide, dynamic;
};

void dot(std::vector<Case> &cases, kiln_dtype dtype, const Product &p) {
  std::string variant = std::string(p.leftTransposed ? "T" : "N") + (p.rightTransposed ? "T" : "N") +
                        (p.batched ? ", batched" : "") + (p.wide ? ", wide result" : "") +
                        (p.dynamic ? ", dynamic" : ", constant");
  Case made = start("dot_general", variant, dtype, "contract");
  Kernel &kernel = *made.kernel;
  std::vector<Shape> shapes = {{3, 65, 67, 131}, {1, 1, 1, 1},   {2, 7, 0, 5},
                               {1, 0, 3, 4},     {2, 1, 257, 3}, {1, 129, 5, 33}};
  Dims e;
  for (size_t i = 0; i < 4; ++i)
    e.push_back(p.dynamic ? kernel.extent(i == 0 ? 3 : i == 1 ? 129 : i == 2 ? 257 : 131) : fixed(shapes[0][i]));
  for (const Shape &shape : shapes)
    if (p.dynamic || &shape == &shapes[0])
      made.launches.push_back({p.dynamic ? shape : Shape(), false, true});
  if (p.dynamic)
    addEdgeExtentsWith(made.launches, 4, 0, 2);
  Dims left = p.leftTransposed ? Dims{e[2], e[1]} : Dims{e[1], e[2]};
  Dims right = p.rightTransposed ? Dims{e[3], e[2]} : Dims{e[2], e[3]}, out = {e[1], e[3]};
  int64_t shift = p.batched;
  if (p.batched)
    for (Dims *dims : {&left, &right, &out})
      dims->insert(dims->begin(), e[0]);
  std::vector<int64_t> batch;
  if (p.batched)
    batch = {0};
  kiln_dtype result = resultOf(dtype, p.wide);
  uint32_t a = operand(made, dtype, left), b = operand(made, dtype, right);
  uint32_t c = kernel.op("dot_general", {a, b}, result, out,
                         {Attribute::list("lhs_batch", batch), Attribute::list("rhs_batch", batch),
                          Attribute::list("lhs_contract", {shift + (p.leftTransposed ? 0 : 1)}),
                          Attribute::list("rhs_contract", {shift + (p.rightTransposed ? 1 : 0)})});
  if (isFloat(dtype))
    made.accuracy = {1, true, 257};
  finish(cases, made, c);
}

/// Products whose axes are no matrix's: batches that lie innermost, nothing to sum, several axes to sum or to keep.
struct ProductAxes {
  const char *name;
  std::vector<int64_t> left, right, result, leftBatch, rightBatch, leftSummed, rightSummed;
};
const ProductAxes productAxes[] = {
    {"an outer product", {5}, {37}, {5, 37}, {}, {}, {}, {}},
    {"outer products, their batch innermost", {2, 3, 9}, {7, 9}, {9, 2, 3, 7}, {2}, {1}, {}, {}},
    {"the batch innermost", {19, 33, 3}, {33, 21, 3}, {3, 19, 21}, {2}, {2}, {1}, {0}},
    {"one product each, rows apart", {5, 1, 9}, {7, 1, 9}, {9, 5, 7}, {2}, {2}, {1}, {1}},
    {"two axes summed, in another order", {6, 7, 40}, {7, 50, 6}, {40, 50}, {}, {}, {1, 0}, {0, 2}},
    {"two axes kept", {4, 5, 24}, {3, 24, 11}, {4, 5, 3, 11}, {}, {}, {2}, {1}},
    {"rows of heads beside each other", {2, 17, 3, 9}, {2, 21, 3, 9}, {2, 3, 17, 21}, {0, 2}, {0, 2}, {3}, {3}},
};

void dotOfAxes(std::vector<Case> &cases, kiln_dtype dtype, const ProductAxes &axes) {
  Case made = start("dot_general", axes.name, dtype, "contract");
  made.launches = {{{}}};
  auto dims = [](const std::vector<int64_t> &extents) {
    Dims all;
    for (int64_t extent : extents)
      all.push_back(fixed(extent));
    return all;
  };
  uint32_t a = operand(made, dtype, dims(axes.left)), b = operand(made, dtype, dims(axes.right));
  uint32_t c = made.kernel->op(
      "dot_general", {a, b}, dtype, dims(axes.result),
      {Attribute::list("lhs_batch", axes.leftBatch), Attribute::list("rhs_batch", axes.rightBatch),
       Attribute::list("lhs_contract", axes.leftSummed), Attribute::list("rhs_contract", axes.rightSummed)});
  if (isFloat(dtype))
    made.accuracy = {1, true, 64};
  finish(cases, made, c);
}

struct ImageSizes {
  int64_t size = 0, taps = 3, channels = 6, outputs = 4; // 0: by the number of dimensions
};

void convolution(std::vector<Case> &cases, kiln_dtype dtype, size_t spatial, int64_t groups, int64_t stride,
                 int64_t inputDilation, int64_t filterDilation, int64_t padding, const ImageSizes &sizes = {}) {
  auto [size, taps, channels, outputs] = sizes;
  int64_t n = size ? size : spatial == 3 ? 5 : 11;
  Case made =
      start("convolution",
            std::to_string(spatial) + "d, groups " + std::to_string(groups) + ", stride " + std::to_string(stride) +
                ", dilations " + std::to_string(inputDilation) + " and " + std::to_string(filterDilation) +
                ", padding " + std::to_string(padding) + ", " + std::to_string(channels) + " and " +
                std::to_string(outputs) + " channels of " + std::to_string(n) + " under " + std::to_string(taps),
            dtype, "contract");
  Kernel &kernel = *made.kernel;
  kiln_extent batch = kernel.extent(3);
  made.launches = {{{3}}, {{1}}, {{0}}};
  int64_t out = ((n - 1) * inputDilation + 1 + 2 * padding - ((taps - 1) * filterDilation + 1)) / stride + 1;
  Dims in = {batch, fixed(channels)}, filter = {fixed(outputs), fixed(channels / groups)},
       result = {batch, fixed(outputs)};
  for (size_t d = 0; d < spatial; ++d) {
    in.push_back(fixed(n));
    filter.push_back(fixed(taps));
    result.push_back(fixed(out));
  }
  auto each = [&](const char *name, int64_t value) {
    return Attribute::list(name, std::vector<int64_t>(spatial, value));
  };
  uint32_t x = operand(made, dtype, in), f = operand(made, dtype, filter);
  uint32_t c = kernel.op("convolution", {x, f}, dtype, result,
                         {each("strides", stride), each("low", padding), each("high", padding),
                          each("input_dilation", inputDilation), each("filter_dilation", filterDilation),
                          Attribute::number("groups", groups)});
  if (isFloat(dtype))
    made.accuracy = {1, true, static_cast<double>(channels) * std::pow(taps, spatial)};
  finish(cases, made, c);
}

} // namespace

void indexCases(std::vector<Case> &cases) {
  for (bool halves : {false, true})
    for (bool lifted : {false, true})
      for (kiln_dtype scales : {KILN_F16, KILN_F32})
        dequantize(cases, halves, lifted, scales, scales == KILN_F16 ? 32 : 7);
  for (Coding coding : {Coding::E4M3, Coding::E5M2, Coding::E2M1, Coding::NF4, Coding::FP4, Coding::IQ4})
    for (kiln_dtype scales : {KILN_F16, KILN_F32})
      decode(cases, coding, scales, scales == KILN_F16 ? 32 : 7);
  for (kiln_dtype dtype : allDtypes) {
    for (kiln_dtype index : integerDtypes)
      for (bool wrong : {false, true})
        gather(cases, dtype, index, index != KILN_I64, wrong);
    pick(cases, dtype);
    for (const char *kind : {"set", "add", "mul", "max", "min"})
      for (bool wrong : {false, true})
        scatter(cases, kind, dtype, wrong);
  }
}

void reductionCases(std::vector<Case> &cases) {
  for (kiln_dtype dtype : numberDtypes) {
    for (const char *kind : {"sum", "prod", "max", "min"})
      for (size_t rank = 1; rank <= 6; ++rank)
        for (bool dynamic : {true, false}) {
          int64_t last = static_cast<int64_t>(rank) - 1;
          reduce(cases, kind, dtype, rank, dynamic, {last}, "the last axis");
          if (rank > 1)
            reduce(cases, kind, dtype, rank, dynamic, {0}, "the first axis");
          if (rank > 2)
            reduce(cases, kind, dtype, rank, dynamic, {0, last}, "the outer axes");
        }
    for (const char *kind : {"max", "min"})
      for (size_t rank = 1; rank <= 4; ++rank) {
        argReduce(cases, kind, dtype, rank, rank - 1);
        if (rank > 1)
          argReduce(cases, kind, dtype, rank, 0);
      }
    for (size_t rank = 1; rank <= 3; ++rank) {
      cumsum(cases, dtype, rank, rank - 1, 0, 0);
      cumsum(cases, dtype, rank, 0, 1, 0);
      cumsum(cases, dtype, rank, rank - 1, 0, 1);
      cumsum(cases, dtype, rank, 0, 1, 1);
      sort(cases, dtype, rank, rank - 1, 0);
      sort(cases, dtype, rank, 0, 1);
    }
    for (int64_t k : {1, 5, 64})
      topK(cases, dtype, k);
    for (const char *kind : {"sum", "max", "min"}) {
      window(cases, kind, dtype, false, 2, 2, 0);
      window(cases, kind, dtype, false, 3, 1, 1);
      window(cases, kind, dtype, false, 3, 2, 1);
    }
    for (const char *kind : {"max", "min"}) {
      window(cases, kind, dtype, true, 2, 2, 0);
      window(cases, kind, dtype, true, 3, 1, 1);
    }
    // Beside and at the widths of vectors, and where there is one place for all lanes.
    for (bool gradient : {false, true})
      for (auto [height, width] : {std::pair{17, 1}, {1, 1}, {1, 16}, {5, 4}, {2, 8}, {3, 9}}) {
        window(cases, "max", dtype, gradient, 3, 1, 1, height, width);
        window(cases, "max", dtype, gradient, 1, 1, 0, height, width);
        window(cases, "max", dtype, gradient, 2, 2, 1, height, width);
      }
  }
  for (const char *kind : {"any", "all"})
    for (size_t rank = 1; rank <= 6; ++rank)
      for (bool dynamic : {true, false})
        reduce(cases, kind, KILN_BOOL, rank, dynamic, {static_cast<int64_t>(rank) - 1}, "the last axis");
}

void productCases(std::vector<Case> &cases) {
  for (kiln_dtype dtype : numberDtypes) {
    for (int bits = 0; bits < 32; ++bits) {
      Product p{bool(bits & 1), bool(bits & 2), bool(bits & 4), bool(bits & 8), bool(bits & 16)};
      if (!p.wide || resultOf(dtype, true) != dtype)
        dot(cases, dtype, p);
    }
    for (const ProductAxes &axes : productAxes)
      dotOfAxes(cases, dtype, axes);
    for (size_t spatial : {1u, 2u, 3u}) {
      convolution(cases, dtype, spatial, 1, 1, 1, 1, 1);
      convolution(cases, dtype, spatial, 2, 2, 1, 1, 0);
      convolution(cases, dtype, spatial, 1, 1, 2, 1, 2);
      convolution(cases, dtype, spatial, 2, 1, 1, 2, 1);
      // At and beside the widths of vectors, single pixels, windows larger than what they go over.
      if (spatial < 3)
        for (const ImageSizes &sizes : {ImageSizes{1, 1, 1, 1},
                                        {1, 3, 17, 1},
                                        {4, 1, 1, 17},
                                        {5, 5, 3, 4},
                                        {16, 3, 4, 5},
                                        {17, 1, 5, 16},
                                        {3, 9, 1, 8}})
          for (int64_t stride : {1, 2})
            convolution(cases, dtype, spatial, 1, stride, 1, 1, sizes.taps / 2, sizes);
    }
  }
}

} // namespace kiln::conformance
