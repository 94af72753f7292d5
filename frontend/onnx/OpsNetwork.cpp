// Products, convolutions, pooling, normalisation.
#include "frontend/onnx/Ops.h"

#include <algorithm>
#include <cmath>

namespace kiln::onnx {

static void matmul(Call &call) { call.set(0, call.tensor(0) + " @ " + call.tensor(1)); }

/// What com.microsoft's fused ops put behind their sums.
static std::string activated(Call &call, const std::string &x) {
  std::string kind = call.string("activation", "");
  std::vector<double> numbers = call.numbers("activation_params");
  for (const char *name : {"activation_alpha", "activation_beta"})
    if (call.hasAttribute(name))
      numbers.push_back(call.number(name, 0));
  call.number("activation_gamma", 0);
  auto number = [&](size_t i, double fallback) { return numberText(i < numbers.size() ? numbers[i] : fallback); };
  if (kind.empty())
    return x;
  if (kind == "Relu" || kind == "Tanh" || kind == "Sigmoid")
    return (kind == "Relu" ? "relu(" : kind == "Tanh" ? "tanh(" : "sigmoid(") + x + ")";
  if (kind == "LeakyRelu")
    return "leaky_relu(" + x + ", " + number(0, 0.01F) + ")";
  if (kind == "Clip" && numbers.size() == 2)
    return "clip(" + x + ", " + number(0, 0) + ", " + number(1, 0) + ")";
  if (kind == "HardSigmoid")
    return "clip(" + number(0, 0.2F) + " * (" + x + ") + " + number(1, 0.5) + ", 0.0, 1.0)";
  refuse("its activation is '" + kind + "'");
}

static void gemm(Call &call) {
  double alpha = call.number("alpha", 1), beta = call.number("beta", 1);
  std::string a = call.tensor(0) + (call.integer("transA", 0) ? ".T" : ""),
              b = call.tensor(1) + (call.integer("transB", 0) ? ".T" : "");
  std::string out = a + " @ " + b;
  if (alpha != 1)
    out = numberText(alpha) + " * (" + out + ")";
  if (call.has(2) && beta != 0)
    out += " + " + (beta != 1 ? numberText(beta) + " * " : "") + call.number(2, 2);
  call.set(0, call.node.domain.empty() ? out : activated(call, out));
}

static void einsum(Call &call) {
  std::string equation = call.string("equation", ""), out;
  equation.erase(std::remove(equation.begin(), equation.end(), ' '), equation.end());
  if (equation.find_first_of("\"\\\n") != std::string::npos)
    refuse("its equation is '" + equation + "'");
  for (size_t i = 0; i < call.inputs(); ++i)
    out += ", " + call.tensor(i);
  call.set(0, "einsum(\"" + equation + "\"" + out + ")");
}

//===-- Windows --------------------------------------------------------------------------------------------------===//

namespace {
/// How windows lie on the spatial axes: from the attributes, `auto_pad` and `ceil_mode` worked out.
struct Windows {
  std::vector<int64_t> size, stride, dilation;
  std::vector<Dim> low, high;
  std::vector<Dim> behind; ///< `high` without what ceil_mode adds

  bool isSymmetric() const {
    return low == high && std::all_of(low.begin(), low.end(), [](const Dim &d) { return d.constant().has_value(); });
  }
  std::vector<int64_t> padding() const {
    std::vector<int64_t> out;
    for (const Dim &dim : low)
      out.push_back(*dim.constant());
    return out;
  }
};
} // namespace

std::vector<int64_t> perAxis(Call &call, const char *name, size_t axes, int64_t least, size_t each) {
  std::vector<int64_t> out = call.integers(name, std::vector<int64_t>(axes * each, least));
  if (out.size() != axes * each)
    refuse("its '" + std::string(name) + "' has " + std::to_string(out.size()) + " numbers for " +
           std::to_string(axes) + " spatial axes");
  for (int64_t number : out)
    if (number < least || number > (1 << 20))
      refuse("its '" + std::string(name) + "' holds " + std::to_string(number));
  return out;
}

/// ceil_mode: one more window where it begins inside of the input or the padding in front.
static void roundUp(Call &call, Windows &w, const std::vector<Dim> &extents) {
  for (size_t i = 0; i < w.size.size(); ++i) {
    Dim room = extents[i] + w.low[i] + w.high[i] - Dim(w.dilation[i] * (w.size[i] - 1) + 1);
    Dim more = (room + Dim(w.stride[i] - 1)).floordiv(w.stride[i]) * Dim(w.stride[i]) - room;
    // The last window has to begin before the padding behind.
    Dim begins = room + more;
    // (A window less: there is no need to cut the image for that, which places in it would not be of.)
    if (std::optional<bool> inside = call.importer.lessOrEqual(begins, extents[i] + w.low[i] - Dim(1));
        inside && !*inside)
      more = more.constant().value_or(0) > 0 ? Dim(0) : more - Dim(1);
    w.high[i] = w.high[i] + more;
  }
}

static Windows windows(Call &call, const Value &x, std::vector<int64_t> size) {
  size_t spatial = size.size();
  Windows w;
  w.size = std::move(size);
  w.stride = perAxis(call, "strides", spatial);
  w.dilation = perAxis(call, "dilations", spatial);
  std::vector<int64_t> pads = call.integers("pads", std::vector<int64_t>(2 * spatial, 0));
  std::string automatic = call.string("auto_pad", "NOTSET");
  if (pads.size() != 2 * spatial)
    refuse("it has " + std::to_string(pads.size()) + " pads for " + std::to_string(spatial) + " spatial axes");
  for (size_t i = 0; i < spatial; ++i) {
    Dim low(pads[i]), high(pads[spatial + i]);
    if (automatic == "VALID")
      low = high = Dim(0);
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      Dim extent = x.shape[2 + i];
      Dim count = (extent + Dim(w.stride[i] - 1)).floordiv(w.stride[i]);
      Dim total = max((count - Dim(1)) * Dim(w.stride[i]) + Dim(w.dilation[i] * (w.size[i] - 1) + 1) - extent, Dim(0));
      Dim half = total.floordiv(2);
      low = automatic == "SAME_UPPER" ? half : total - half;
      high = total - low;
    }
    w.low.push_back(low), w.high.push_back(high);
  }
  w.behind = w.high;
  return w;
}

static std::vector<Dim> around(const std::vector<Dim> &spatial) {
  std::vector<Dim> out = {Dim(0), Dim(0)};
  out.insert(out.end(), spatial.begin(), spatial.end());
  return out;
}

std::string option(const char *name, const std::vector<int64_t> &numbers, int64_t plain) {
  bool isPlain = std::all_of(numbers.begin(), numbers.end(), [&](int64_t n) { return n == plain; });
  return isPlain ? "" : keyword(name, tupleText(numbers, /*collapse=*/true));
}

static std::vector<int64_t> kernelOf(Call &call, const Value &w) {
  std::vector<int64_t> size;
  for (size_t i = 2; i < w.shape.size(); ++i) {
    if (!w.shape[i].constant())
      refuse("the size of its filter is not known");
    size.push_back(*w.shape[i].constant());
  }
  std::vector<int64_t> stated = call.integers("kernel_shape", size);
  if (stated != size)
    refuse("its kernel_shape is " + tupleText(stated) + ", and its filter " + tupleText(size));
  return size;
}

/// x and w of 3 to 5 axes, the same number.
static void checkFilter(const Value &x, const Value &w) {
  if (x.rank() < 3 || x.rank() > 5 || w.rank() != x.rank())
    refuse("it wants [N, C, spatial…] with 3 to 5 axes and a filter with as many; found " + typeText(x.dtype, x.shape) +
           " and " + typeText(w.dtype, w.shape));
}

/// conv(…) of two tensors, whose windows the node's attributes say.
static std::string convolved(Call &call, const Value &x, const Value &w) {
  checkFilter(x, w);
  Windows windows = onnx::windows(call, x, kernelOf(call, w));
  int64_t groups = call.integer("group", 1);
  std::string input = x.text, padding;
  if (windows.isSymmetric() &&
      std::all_of(windows.low.begin(), windows.low.end(), [](const Dim &d) { return *d.constant() >= 0; }))
    padding = option("padding", windows.padding(), 0);
  else
    input = padded(call, input, x.shape, around(windows.low), around(windows.high), "0.0");
  return "conv(" + input + ", " + w.text + option("stride", windows.stride, 1) + padding +
         option("dilation", windows.dilation, 1) + (groups != 1 ? keyword("groups", std::to_string(groups)) : "") + ")";
}

static Value written(Call &call, size_t input) {
  std::string text = call.tensor(input);
  Value value = call.in(input);
  value.text = text;
  return value;
}

static void conv(Call &call) {
  Value x = written(call, 0), w = written(call, 1);
  std::string out = convolved(call, x, w);
  if (call.has(2))
    out += " + " + alongAxis(call.tensor(2), 1, x.rank());
  bool fused = !call.node.domain.empty();
  if (fused && call.has(3))
    out += " + " + call.tensor(3);
  call.set(0, fused ? activated(call, out) : out);
}

/// Integers less their zero point, in f64, where their sums are exact.
static Value centred(Call &call, size_t input, size_t zero, const char *name) {
  Value x = call.in(input);
  std::string out = call.tensor(input) + ".to(f64)";
  if (call.has(zero)) {
    Value point = call.in(zero);
    out += " - " +
           (point.isSingle() ? "reshape(" + call.tensor(zero) + ")" : alongAxis(call.tensor(zero), 0, x.rank())) +
           ".to(f64)";
  }
  return call.typed(call.let(name, out));
}

static void convInteger(Call &call) {
  Value x = centred(call, 0, 2, "centred"), w = centred(call, 1, 3, "filter");
  call.set(0, convolved(call, x, w) + ".to(i32)");
}

static void qlinearConv(Call &call) {
  if (!call.node.domain.empty() && call.integer("channels_last", 0) != 0)
    refuse("its channels stand last");
  Value y = call.in(7);
  if (y.dtype != KILN_U8 && y.dtype != KILN_I8)
    refuse(std::string("it quantises to ") + dtypeName(y.dtype) + "; u8 and i8 are there");
  Value x = centred(call, 0, 2, "centred"), w = centred(call, 3, 5, "filter");
  Value scale = call.in(4);
  std::string sums = convolved(call, x, w);
  if (call.has(8))
    sums += " + " + alongAxis(call.tensor(8), 1, x.rank()) + ".to(f64)";
  std::string product = call.let("sums", sums);
  std::string factor = "reshape(" + call.tensor(1) + ").to(f64) * " +
                       (scale.isSingle() ? "reshape(" + call.tensor(4) + ")" : alongAxis(call.tensor(4), 1, x.rank())) +
                       ".to(f64) / reshape(" + call.tensor(6) + ").to(f64)";
  call.set(0, "clip(round(" + product + " * (" + factor + ")) + reshape(" + call.tensor(7) + ").to(f64), " +
                  (y.dtype == KILN_U8 ? "0, 255" : "(-128), 127") + ").to(" + dtypeName(y.dtype) + ")");
}

static void convTranspose(Call &call) {
  Value x = call.in(0), w = call.in(1);
  checkFilter(x, w);
  size_t spatial = w.shape.size() - 2;
  std::vector<int64_t> size = kernelOf(call, w), stride = perAxis(call, "strides", spatial),
                       dilation = perAxis(call, "dilations", spatial);
  std::vector<int64_t> pads = call.integers("pads", std::vector<int64_t>(2 * spatial, 0)),
                       extra = call.integers("output_padding", std::vector<int64_t>(spatial, 0));
  std::vector<int64_t> wanted = call.integers("output_shape");
  std::string automatic = call.string("auto_pad", "NOTSET");
  int64_t groups = call.integer("group", 1);
  if (pads.size() != 2 * spatial || extra.size() != spatial || (!wanted.empty() && wanted.size() != spatial))
    refuse("its pads, output_padding or output_shape do not have a number for each spatial axis");
  // All of it, and then the part that is wanted.
  std::string out = "conv_transpose(" + call.tensor(0) + ", " + call.tensor(1) + option("stride", stride, 1);
  std::vector<Dim> low(spatial), high(spatial);
  for (size_t i = 0; i < spatial; ++i) {
    Dim full = (x.shape[2 + i] - Dim(1)) * Dim(stride[i]) + Dim(extra[i] + dilation[i] * (size[i] - 1) + 1);
    low[i] = Dim(pads[i]), high[i] = Dim(pads[spatial + i]);
    bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
    if (same || !wanted.empty()) {
      Dim total = full - (wanted.empty() ? x.shape[2 + i] * Dim(stride[i]) : Dim(wanted[i]));
      Dim half = total.floordiv(2);
      low[i] = automatic == "SAME_UPPER" ? half : total - half;
      high[i] = total - low[i];
    }
  }
  std::vector<int64_t> padding(spatial, 0);
  bool symmetric = true;
  for (size_t i = 0; i < spatial; ++i)
    symmetric &= low[i] == high[i] && low[i].constant() && *low[i].constant() >= 0;
  for (size_t i = 0; i < spatial && symmetric; ++i)
    padding[i] = *low[i].constant();
  out += option("padding", padding, 0) + option("output_padding", extra, 0) + option("dilation", dilation, 1) +
         (groups != 1 ? keyword("groups", std::to_string(groups)) : "") + ")";
  if (!symmetric) {
    std::string name = call.let("full_size", out);
    std::vector<Dim> cutLow, cutHigh;
    for (size_t i = 0; i < spatial; ++i)
      cutLow.push_back(Dim(0) - low[i]), cutHigh.push_back(Dim(0) - high[i]);
    out = padded(call, name, call.typed(name).shape, around(cutLow), around(cutHigh), "0.0");
  }
  if (call.has(2))
    out += " + " + alongAxis(call.tensor(2), 1, x.rank());
  call.set(0, out);
}

/// A pool's windows; the filter's size is an attribute.
static Windows poolWindows(Call &call, const Value &x) {
  if (x.rank() < 3 || x.rank() > 5)
    refuse("it wants [N, C, spatial…] with 3 to 5 axes; found " + typeText(x.dtype, x.shape));
  size_t spatial = x.shape.size() - 2;
  if (!call.hasAttribute("kernel_shape"))
    refuse("it has no kernel_shape");
  Windows w = windows(call, x, perAxis(call, "kernel_shape", spatial));
  bool isPlain = isFloat(x.dtype) && !call.wants(1) && call.node.type != "LpPool" &&
                 std::all_of(w.dilation.begin(), w.dilation.end(), [](int64_t d) { return d == 1; });
  for (size_t i = 0; i < spatial && !isPlain; ++i) // written as sums of slices, each of which has to be there
    call.importer.needNonNegative(x.shape[2 + i] + w.low[i] + w.high[i] - Dim(w.dilation[i] * (w.size[i] - 1) + 1));
  if (call.integer("ceil_mode", 0) != 0)
    roundUp(call, w, {x.shape.begin() + 2, x.shape.end()});
  return w;
}

/// Padding that the language's pools take: equal at both ends, at most half a window.
static bool fitsPool(const Windows &w) {
  if (!w.isSymmetric())
    return false;
  std::vector<int64_t> padding = w.padding();
  for (size_t i = 0; i < padding.size(); ++i)
    if (padding[i] < 0 || 2 * padding[i] > w.size[i])
      return false;
  return true;
}

static bool isDilated(const Windows &w) {
  return std::any_of(w.dilation.begin(), w.dilation.end(), [](int64_t d) { return d != 1; });
}

static std::string poolArguments(const Windows &w, bool withPadding) {
  std::string stride = w.stride == w.size ? "" : keyword("stride", tupleText(w.stride, true));
  return ", " + tupleText(w.size, true) + stride + (withPadding ? option("padding", w.padding(), 0) : "") + ")";
}

static void maxPool(Call &call) {
  Value x = call.in(0);
  Windows w = poolWindows(call, x);
  bool columnsFirst = call.integer("storage_order", 0) != 0;
  bool isWhole = !isFloat(x.dtype);
  if (isWhole) // f64 has all of them but the largest i64
    x = call.typed(call.let("wide", call.tensor(0) + ".to(f64)"));
  std::string source = isWhole ? x.text : call.tensor(0);
  if (call.wants(1))
    call.set(1, "max_pool_places(" + source + ", " + tupleText(w.size) + ", " + tupleText(w.stride) + ", " + "[" +
                    dimsText(w.low) + "], [" + dimsText(w.high) + "], " + tupleText(w.dilation) +
                    (columnsFirst ? ", along=True)" : ")") + ".to(i64)");
  if (isWhole) {
    std::string wide = padded(call, x.text, x.shape, around(w.low), around(w.high), "(-inf)");
    return call.set(0, "max_pool_dilated(" + wide + ", " + tupleText(w.size) + ", " + tupleText(w.stride) + ", " +
                           tupleText(w.dilation) + ").to(" + dtypeName(call.in(0).dtype) + ")");
  }
  bool fits = fitsPool(w);
  std::string input =
      fits ? call.tensor(0) : padded(call, call.tensor(0), x.shape, around(w.low), around(w.high), "(-inf)");
  if (isDilated(w))
    return call.set(
        0, "max_pool_dilated(" +
               (fits ? padded(call, call.tensor(0), x.shape, around(w.low), around(w.high), "(-inf)") : input) + ", " +
               tupleText(w.size) + ", " + tupleText(w.stride) + ", " + tupleText(w.dilation) + ")");
  call.set(0, "max_pool(" + input + poolArguments(w, fits));
}

static void averagePool(Call &call) {
  Value x = call.in(0);
  bool counts = call.integer("count_include_pad", 0) != 0, ceil = call.integer("ceil_mode", 0) != 0;
  Windows w = poolWindows(call, x);
  bool dilated = isDilated(w);
  if (fitsPool(w) && !ceil && !dilated)
    return call.set(0, "avg_pool(" + call.tensor(0) +
                           poolArguments(w, true).substr(0, poolArguments(w, true).size() - 1) +
                           (counts || option("padding", w.padding(), 0).empty() ? ")" : ", count_padding=False)"));
  // Sums over what is there, by how much of each window is.
  auto pooled = [&](const std::string &y) {
    return dilated ? "sum_pool_dilated(" + y + ", " + tupleText(w.size) + ", " + tupleText(w.stride) + ", " +
                         tupleText(w.dilation) + ")"
                   : "avg_pool(" + y + poolArguments(w, false);
  };
  std::string wide = padded(call, call.tensor(0), x.shape, around(w.low), around(w.high), "0.0");
  std::vector<Dim> ones = x.shape, low = w.low, high = w.high;
  ones[0] = ones[1] = Dim(1);
  if (counts) { // the padding that was asked for counts, what ceil_mode adds behind does not
    for (size_t i = 0; i < w.size.size(); ++i) {
      ones[2 + i] = ones[2 + i] + low[i] + w.behind[i];
      high[i] = high[i] - w.behind[i];
      low[i] = Dim(0);
    }
  }
  std::string one = "ones(" + dimsText(ones) + keyword("dtype", dtypeName(x.dtype)) + ")";
  call.set(0, pooled(wide) + " / " + pooled(padded(call, one, ones, around(low), around(high), "0.0")));
}

static void lpPool(Call &call) {
  Value x = call.in(0);
  int64_t p = call.integer("p", 2);
  Windows w = poolWindows(call, x);
  if (p < 1)
    refuse("its p is below 1");
  std::string power = numberText(static_cast<double>(p)),
              wide = padded(call, call.tensor(0), x.shape, around(w.low), around(w.high), "0.0");
  call.set(0, "sum_pool_dilated(abs(" + wide + ") ** " + power + ", " + tupleText(w.size) + ", " + tupleText(w.stride) +
                  ", " + tupleText(w.dilation) + ") ** (1.0 / " + power + ")");
}

static std::vector<int64_t> spatialAxes(const Value &x) {
  std::vector<int64_t> axes;
  for (int64_t i = 2; i < x.rank(); ++i)
    axes.push_back(i);
  if (axes.empty())
    refuse("it wants [N, C, spatial…]; found " + typeText(x.dtype, x.shape));
  return axes;
}

static std::function<void(Call &)> globalPool(const char *function) {
  return [=](Call &call) {
    std::vector<int64_t> axes = spatialAxes(call.in(0));
    call.set(0, std::string(function) + "(" + call.tensor(0) + ", " + axisText(axes) + ", keepdims=True)");
  };
}

static void globalLpPool(Call &call) {
  std::vector<int64_t> axes = spatialAxes(call.in(0));
  call.set(0, "vector_norm(" + call.tensor(0) + ", " + axisText(axes) +
                  ", keepdims=True, order=" + std::to_string(call.integer("p", 2)) + ")");
}

//===-- Normalisation --------------------------------------------------------------------------------------------===//

/// The state that a running statistic is. What others read as a number stays one to them.
static Value statistic(Call &call, size_t index) {
  Value &bound = call.in(index);
  Value number = bound;
  Value &state = bound.constant ? bound : number;
  if (!bound.constant) {
    state.constant = bound.counted;
    state.known = nullptr;
  }
  state.statistic = true;
  call.importer.tensor(state);
  return state;
}

/// By the batch's statistics in training, which the running ones, states of the model, follow.
static void trainedBatchNorm(Call &call, double epsilon, double momentum) {
  std::string out = "trained_batch_norm(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2);
  std::vector<std::string> results = {call.resultName(0)};
  std::vector<Value> states = {statistic(call, 3), statistic(call, 4)};
  for (const Value &state : states) {
    results.push_back(state.text);
    out += ", " + state.text;
  }
  out += (epsilon == 1e-5F ? "" : keyword("epsilon", numberText(epsilon)));
  out += (momentum == 0.9F ? "" : keyword("momentum", numberText(momentum)));
  call.importer.write(results, out + ")");
  call.alias(0, call.typed(results[0]));
  for (size_t i = 1; i < 3; ++i)
    call.alias(i, states[i - 1]);
}

static void batchNorm(Call &call) {
  double epsilon = call.number("epsilon", 1e-5F);
  double momentum = call.number("momentum", 0.9F);
  call.integer("spatial", 1);
  bool inTraining = call.integer("training_mode", 0) != 0;
  auto isCounted = [&](size_t i) { return call.in(i).constant || call.in(i).counted; };
  bool counted = isCounted(3) && isCounted(4);
  if (inTraining && !call.importer.forTraining() && counted)
    refuse("it is in training mode, which a recipe of Kiln's decides: --train");
  if (inTraining && !call.importer.forTraining()) { // its statistics are inputs, which come out again
    std::string out = "trained_batch_norm(";
    for (size_t i = 0; i < 5; ++i)
      out += (i ? ", " : "") + call.tensor(i);
    return call.setAll(out + keyword("epsilon", numberText(epsilon)) + keyword("momentum", numberText(momentum)) +
                           ", always=True)",
                       3);
  }
  if (call.importer.forTraining() && counted)
    return trainedBatchNorm(call, epsilon, momentum);
  if (inTraining)
    refuse("it is in training mode, and its running mean and variance, '" + call.node.inputs[3] + "' and '" +
           call.node.inputs[4] + "', are no initializers, which a state of the model could begin with");
  std::string out = "batch_norm(" + call.tensor(0);
  call.in(3).trained = call.in(4).trained = false; // statistics that were measured
  for (size_t i = 1; i < 5; ++i)
    out += ", " + call.tensor(i);
  call.set(0, out + (epsilon == 1e-5F ? "" : keyword("epsilon", numberText(epsilon))) + ")");
}

static void instanceNorm(Call &call) {
  double epsilon = call.number("epsilon", 1e-5F);
  call.set(0, "instance_norm(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2) +
                  keyword("epsilon", numberText(epsilon)) + ")");
}

/// An axis and those behind it: what a norm goes over.
static std::vector<int64_t> axesFrom(int64_t axis, int64_t rank) {
  std::vector<int64_t> axes;
  for (; axis < rank; ++axis)
    axes.push_back(axis);
  return axes;
}

static void layerNorm(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.integer("axis", -1), x.rank());
  double epsilon = call.number("epsilon", 1e-5F);
  call.integer("stash_type", 1);
  std::vector<int64_t> axes = axesFrom(axis, x.rank());
  std::string over = axisText(axes), at = axes.size() == 1 && axes[0] + 1 == x.rank() ? "" : ", " + over;
  std::vector<Dim> tail(x.shape.begin() + axis, x.shape.end());
  bool plain = call.in(1).shape == tail && (!call.has(2) || call.in(2).shape == tail);
  if (plain && !call.wants(1) && !call.wants(2))
    return call.set(0, "layer_norm(" + call.tensor(0) + ", " + call.tensor(1) +
                           (call.has(2) ? ", " + call.tensor(2) : "") + keyword("epsilon", numberText(epsilon)) + at +
                           ")");
  std::string mean = call.let("mean", "mean(" + call.tensor(0) + ", " + over + ", keepdims=True)");
  std::string scale = call.let("inverse_deviation", "rsqrt(var(" + call.tensor(0) + ", " + over +
                                                        ", keepdims=True) + " + numberText(epsilon) + ")");
  call.set(0, "(" + call.tensor(0) + " - " + mean + ") * " + scale + " * " + call.tensor(1) +
                  (call.has(2) ? " + " + call.tensor(2) : ""));
  call.set(1, mean);
  call.set(2, scale);
}

/// ONNX's own, and by the name that ONNX Runtime had for it before.
static void rmsNorm(Call &call) {
  Value x = call.in(0), scale = call.in(1);
  int64_t axis = call.axis(call.integer("axis", -1), x.rank());
  double epsilon = call.number("epsilon", 1e-5F);
  call.integer("stash_type", 1);
  if (call.wants(1))
    refuse("it is asked for its deviation");
  if (scale.shape == std::vector<Dim>(x.shape.begin() + axis, x.shape.end()))
    return call.set(0, "rms_norm(" + call.tensor(0) + ", " + call.tensor(1) + keyword("epsilon", numberText(epsilon)) +
                           (axis + 1 == x.rank() ? ")" : ", " + axisText(axesFrom(axis, x.rank())) + ")"));
  call.set(0, call.tensor(0) + " * rsqrt(mean(square(" + call.tensor(0) + "), " + axisText(axesFrom(axis, x.rank())) +
                  ", keepdims=True) + " + numberText(epsilon) + ") * " + call.tensor(1));
}

static void groupNorm(Call &call) {
  int64_t groups = call.integer("num_groups", 0);
  double epsilon = call.number("epsilon", 1e-5F);
  call.integer("stash_type", 1);
  if (groups < 1)
    refuse("its num_groups is " + std::to_string(groups));
  std::string perGroup = call.opset < 21 ? ", per_group=True" : "";
  call.set(0, "group_norm(" + call.tensor(0) + ", " + call.tensor(1) + ", " + call.tensor(2) + ", " +
                  std::to_string(groups) + keyword("epsilon", numberText(epsilon)) + perGroup + ")");
}

static void meanVariance(Call &call) {
  std::vector<int64_t> axes = call.integers("axes", {0, 2, 3});
  for (int64_t &axis : axes)
    axis = call.axis(axis, call.in(0).rank());
  std::string x = call.tensor(0), over = axisText(axes) + ", keepdims=True";
  call.set(0, "(" + x + " - mean(" + x + ", " + over + ")) / (std(" + x + ", " + over + ") + 1e-9)");
}

static void lpNorm(Call &call) {
  int64_t p = call.integer("p", 2), axis = call.axis(call.integer("axis", -1), call.in(0).rank());
  std::string norm = "vector_norm(" + call.tensor(0) + ", axis=" + std::to_string(axis) + ", keepdims=True" +
                     (p == 2 ? ")" : ", order=" + std::to_string(p) + ")");
  std::string name = call.let("norm", norm);
  call.set(0, call.tensor(0) + " / where(" + name + " == 0, 1.0, " + name + ")");
}

static void localResponse(Call &call) {
  int64_t size = call.integer("size", 1);
  if (call.in(0).rank() < 3 || size < 1)
    refuse("it wants [N, C, spatial…] and a size");
  call.set(0, "local_response_norm(" + call.tensor(0) + ", " + std::to_string(size) + ", " +
                  numberText(call.number("alpha", 1e-4F)) + ", " + numberText(call.number("beta", 0.75)) + ", " +
                  numberText(call.number("bias", 1)) + ")");
}

std::vector<Op> networkOps() {
  return {
      {"MatMul", 7, "a @ b", matmul},
      {"Gemm", 7, "a @ b.T + c", gemm},
      {"FusedGemm", 1, "relu(a @ b.T + c)", gemm, "other activations than the common ones", "com.microsoft"},
      {"FusedConv", 1, "relu(conv(x, w) + b[:, None, None] + z)", conv, "other activations than the common ones",
       "com.microsoft"},
      {"Einsum", 12, "einsum(\"ij,jk->ik\", a, b)", einsum},
      {"Conv", 7, "conv(x, w, stride=2, padding=1) + b[:, None, None]", conv},
      {"ConvInteger", 10, "conv(x.to(f64) - zero, w.to(f64) - zero).to(i32)", convInteger},
      {"QLinearConv", 10, "the same, scaled, rounded and clipped", qlinearConv},
      {"QLinearConv", 1, "the same, scaled, rounded and clipped", qlinearConv, "channels that stand last",
       "com.microsoft"},
      {"ConvTranspose", 7, "conv_transpose(x, w, stride=2) + b[:, None, None]", convTranspose},
      {"MaxPool", 7, "max_pool(x, 3, stride=2)", maxPool},
      {"AveragePool", 7, "avg_pool(x, 3, stride=2)", averagePool},
      {"LpPool", 7, "sum_pool_dilated(abs(x) ** p, 3) ** (1.0 / p)", lpPool},
      {"GlobalAveragePool", 7, "mean(x, axis=(2, 3), keepdims=True)", globalPool("mean")},
      {"GlobalMaxPool", 7, "max(x, axis=(2, 3), keepdims=True)", globalPool("max")},
      {"GlobalLpPool", 7, "vector_norm(x, axis=(2, 3), keepdims=True)", globalLpPool},
      {"BatchNormalization", 7, "batch_norm(x, scale, bias, mean, variance)", batchNorm,
       "training mode without --train"},
      {"InstanceNormalization", 7, "instance_norm(x, scale, bias)", instanceNorm},
      {"LayerNormalization", 17, "layer_norm(x, scale, bias)", layerNorm},
      {"RMSNormalization", 23, "rms_norm(x, scale)", rmsNorm},
      {"SimplifiedLayerNormalization", 1, "rms_norm(x, scale)", rmsNorm, "its deviation"},
      {"GroupNormalization", 18, "group_norm(x, scale, bias, groups)", groupNorm},
      {"MeanVarianceNormalization", 9, "(x - mean(x)) / (std(x) + 1e-9)", meanVariance},
      {"LpNormalization", 7, "x / vector_norm(x)", lpNorm},
      {"LRN", 7, "local_response_norm(x, size)", localResponse},
  };
}

} // namespace kiln::onnx
