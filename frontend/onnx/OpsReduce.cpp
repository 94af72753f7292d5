// Reductions, softmax, and what finds places.
#include "frontend/onnx/Ops.h"

#include <algorithm>

namespace kiln::onnx {

/// `written` has {x} for the operand and {axis} for ", axis=…, keepdims=…". `since`: the opset with axes as an input.
/// `each`: what is done to an element where nothing is reduced, the element itself where it is empty.
static std::function<void(Call &)> reduction(const char *written, int64_t since, const char *none = "",
                                             const char *each = "") {
  return [=](Call &call) {
    Value x = call.in(0);
    bool keep = call.integer("keepdims", 1) != 0;
    bool noop = call.integer("noop_with_empty_axes", 0) != 0;
    std::vector<int64_t> axes = call.axes("axes", 1, since, x.rank(), {});
    if (axes.empty() && noop) {
      if (!*each)
        return call.alias(0, x);
      std::string out = std::string(each) + "(" + call.tensor(0) + ")";
      return call.set(0, isFloat(x.dtype) ? out : out + ".to(" + dtypeName(x.dtype) + ")");
    }
    bool all = axes.empty(), nothing = false;
    std::vector<Dim> shape;
    for (int64_t i = 0; i < x.rank(); ++i) {
      bool gone = all || std::find(axes.begin(), axes.end(), i) != axes.end();
      nothing |= gone && x.shape[i] == Dim(0);
      if (!gone || keep)
        shape.push_back(gone ? Dim(1) : x.shape[i]);
    }
    std::string least =
        x.dtype == KILN_BOOL ? (std::string(none).find('-') == std::string::npos ? "True" : "False") : none;
    if (nothing && (isFloat(x.dtype) || x.dtype == KILN_BOOL) &&
        *none) // the language refuses a largest element of none
      return call.set(0, "full(" + dimsText(shape) + (shape.empty() ? "" : ", ") + least +
                             keyword("dtype", dtypeName(x.dtype)) + ")");
    std::string axis = (all ? "" : ", " + axisText(axes)) + (keep ? ", keepdims=True" : "");
    std::string out = written;
    for (auto [mark, text] : {std::pair<std::string, std::string>("{x}", call.tensor(0)), {"{axis}", axis}})
      for (size_t at; (at = out.find(mark)) != std::string::npos;)
        out.replace(at, mark.size(), text);
    call.setAs(x.dtype, out);
  };
}

static std::function<void(Call &)> softmax(const char *function) {
  return [=](Call &call) {
    Value x = call.in(0);
    int64_t axis = call.axis(call.integer("axis", call.opset < 13 ? 1 : -1), std::max<int64_t>(x.rank(), 1));
    // Before opset 13 all axes from this one on are taken together.
    if (call.opset >= 13 || axis + 1 == x.rank())
      return call.set(0, std::string(function) + "(" + call.tensor(0) + ", axis=" + std::to_string(axis) + ")");
    std::string flat = axis == 0 ? "reshape(" + call.tensor(0) + ", -1)"
                                 : "flatten(" + call.tensor(0) + ", " + std::to_string(axis) + ")";
    call.set(0, "reshape(" + std::string(function) + "(" + flat + ", axis=-1), " + dimsText(x.shape) + ")");
  };
}

static void hardmax(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.integer("axis", call.opset < 13 ? 1 : -1), x.rank());
  if (call.opset < 13 && axis + 1 != x.rank()) { // all axes from this one on are taken together
    std::string flat = axis == 0 ? "reshape(" + call.tensor(0) + ", -1)"
                                 : "flatten(" + call.tensor(0) + ", " + std::to_string(axis) + ")";
    return call.set(0, "reshape(one_hot(argmax(" + flat + "), " +
                           dimText(product({x.shape.begin() + axis, x.shape.end()})) +
                           keyword("dtype", dtypeName(x.dtype)) + "), " + dimsText(x.shape) + ")");
  }
  std::string last =
      axis + 1 == x.rank() ? call.tensor(0) : "transpose(" + call.tensor(0) + ", " + std::to_string(axis) + ", -1)";
  std::string hot = "one_hot(argmax(" + last + "), " + dimText(x.shape[axis]) + ", dtype=" + dtypeName(x.dtype) + ")";
  call.set(0, axis + 1 == x.rank() ? hot : "transpose(" + hot + ", " + std::to_string(axis) + ", -1)");
}

static std::function<void(Call &)> argOf(const char *function) {
  return [=](Call &call) {
    Value x = call.in(0);
    int64_t axis = call.axis(call.integer("axis", 0), x.rank());
    bool keep = call.integer("keepdims", 1) != 0, last = call.integer("select_last_index", 0) != 0;
    std::string at = std::to_string(axis),
                out = std::string(function) + "(" +
                      (last ? "reverse(" + call.tensor(0) + ", " + at + ")" : call.tensor(0)) + ", axis=" + at + ")";
    if (last)
      out = "(" + dimText(x.shape[axis] - Dim(1), true) + " - " + out + ")";
    out += ".to(i64)";
    call.set(0, keep ? "unsqueeze(" + out + ", " + at + ")" : out);
  };
}

static void cumulative(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.constants(1, "its axis").at(0), x.rank());
  bool exclusive = call.integer("exclusive", 0) != 0, reverse = call.integer("reverse", 0) != 0;
  call.set(0, "cumsum(" + call.tensor(0) + ", " + std::to_string(axis) + (reverse ? ", reverse=True" : "") +
                  (exclusive ? ", exclusive=True" : "") + ")");
}

static void topK(Call &call) {
  Value x = call.in(0);
  int64_t axis = call.axis(call.integer("axis", -1), x.rank());
  bool largest = call.integer("largest", 1) != 0;
  call.integer("sorted", 1);
  int64_t k = call.opset < 10 ? call.integer("k", -1) : call.constants(1, "the number of elements").at(0);
  bool isLast = axis + 1 == x.rank();
  call.importer.needNonNegative(x.shape[axis] - Dim(k));
  if (k == 0) {
    std::string none = call.tensor(0) + "[" + colons(axis) + "0:0]";
    call.set(0, none);
    return call.set(1, none + ".to(i64)");
  }
  std::string at = std::to_string(axis),
              t = isLast ? call.tensor(0) : "transpose(" + call.tensor(0) + ", " + at + ", -1)";
  std::string values = call.importer.fresh("values", "v"), indices = call.importer.fresh("indices", "v");
  if (largest)
    call.importer.write({values, indices}, "top_k(" + t + ", " + std::to_string(k) + ")");
  else
    call.importer.write({values, indices}, "sort(" + t + ")");
  std::string head = largest ? "" : "[..., :" + std::to_string(k) + "]";
  auto back = [&](const std::string &y) { return isLast ? y : "transpose(" + y + ", " + at + ", -1)"; };
  call.set(0, back(values + head));
  call.set(1, back(indices + head) + ".to(i64)");
}

std::vector<Op> reductionOps() {
  return {
      {"ReduceSum", 7, "sum(x, axis=1, keepdims=True)", reduction("sum({x}{axis})", 13)},
      {"ReduceMean", 7, "mean(x, axis=1, keepdims=True)", reduction("mean({x}{axis})", 18)},
      {"ReduceMax", 7, "max(x, axis=1, keepdims=True)", reduction("max({x}{axis})", 18, "(-inf)"), "over no integers"},
      {"ReduceMin", 7, "min(x, axis=1, keepdims=True)", reduction("min({x}{axis})", 18, "inf"), "over no integers"},
      {"ReduceProd", 7, "prod(x, axis=1, keepdims=True)", reduction("prod({x}{axis})", 18)},
      {"ReduceL1", 7, "sum(abs(x), axis=1, keepdims=True)", reduction("sum(abs({x}){axis})", 18, "", "abs")},
      {"ReduceL2", 7, "vector_norm(x, axis=1, keepdims=True)", reduction("vector_norm({x}{axis})", 18, "", "abs")},
      {"ReduceSumSquare", 7, "sum(square(x), axis=1, keepdims=True)",
       reduction("sum(square({x}){axis})", 18, "", "square")},
      {"ReduceLogSum", 7, "log(sum(x, axis=1, keepdims=True))", reduction("log(sum({x}{axis}))", 18, "", "log")},
      {"ReduceLogSumExp", 7, "logsumexp(x, axis=1, keepdims=True)", reduction("logsumexp({x}{axis})", 18)},
      {"Softmax", 7, "softmax(x, axis=-1)", softmax("softmax")},
      {"LogSoftmax", 7, "log_softmax(x, axis=-1)", softmax("log_softmax")},
      {"Hardmax", 7, "one_hot(argmax(x), n)", hardmax},
      {"ArgMax", 7, "argmax(x, axis=1).to(i64)", argOf("argmax")},
      {"ArgMin", 7, "argmin(x, axis=1).to(i64)", argOf("argmin")},
      {"CumSum", 11, "cumsum(x, 1)", cumulative},
      {"TopK", 7, "top_k(x, k)", topK, "a number of elements that depends on data"},
  };
}

} // namespace kiln::onnx
