// Convolution and pooling over one to three spatial axes, in PyTorch's layouts.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

namespace kiln::language {

Value convolve(BoundCall &call);
Value convolveTransposed(BoundCall &call);
Value maxPool(BoundCall &call);
Value averagePool(BoundCall &call);

namespace {
struct Spatial {
  std::vector<int64_t> stride, padding, dilation;
};
} // namespace

static bool positive(BoundCall &call, size_t index, const std::vector<int64_t> &values, int64_t least) {
  for (int64_t value : values)
    if (value < least || value > (1 << 20)) {
      call.e.error(call.ranges[index], std::string(call.builtin.name) + ": " + std::to_string(value) +
                                           " is not possible here; at least " + std::to_string(least) + " is expected");
      return false;
    }
  return true;
}

/// The input and filter, of one float type and 3 to 5 axes.
static bool operands(BoundCall &call, Value &x, Value &w) {
  std::optional<Value> first = call.tensor(0), second = call.tensor(1);
  if (!first || !second)
    return false;
  x = *first;
  w = *second;
  if (x.rank() < 3 || x.rank() > 5 || w.rank() != x.rank()) {
    call.e.error(call.range, std::string(call.builtin.name) +
                                 " wants x [N, C, spatial…] and w with as many axes, 3 to 5; found " + describe(x) +
                                 " and " + describe(w));
    return false;
  }
  if (x.tensorType().getElementType() != w.tensorType().getElementType() || !isFloat(x.tensorType().getElementType())) {
    call.e.error(call.range, std::string(call.builtin.name) + " wants two float tensors of one dtype; found " +
                                 describe(x) + " and " + describe(w));
    return false;
  }
  return true;
}

static Origins convolutionOrigins(BoundCall &call, const Value &x, const Value &w, int64_t outputAxis) {
  Origins origins = {{x.originOf(0)}, {w.originOf(outputAxis)}};
  for (int64_t i = 2; i < x.rank(); ++i)
    origins.push_back({call.range});
  return origins;
}

/// A filter or window that is larger than its input leaves no place.
static bool placesLeft(BoundCall &call, mlir::RankedTensorType result) {
  for (const auto &[axis, dim] : llvm::enumerate(dimsOf(result)))
    if (axis >= 2 && !call.e.needElement(
                         dim, call.range,
                         "axis " + std::to_string(axis) + " of " + std::string(call.builtin.name) + "'s result,", {}))
      return false;
  return true;
}

static Value emitConvolution(BoundCall &call, const Value &x, mlir::Value input, mlir::Value filter,
                             const std::vector<int64_t> &strides, const std::vector<int64_t> &low,
                             const std::vector<int64_t> &high, const std::vector<int64_t> &inputDilation,
                             const std::vector<int64_t> &filterDilation, int64_t groups, const Value &w,
                             Origins origins) {
  auto type = [](mlir::Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()); };
  Inferred inferred =
      inferConvolution(type(input), type(filter), strides, low, high, inputDilation, filterDilation, groups);
  if (!inferred) {
    Diagnostic &diagnostic = call.e.error(call.range, std::string(call.builtin.name) + " of " + describe(x) + " and " +
                                                          describe(w) + ": " + inferred.error);
    call.e.noteDim(diagnostic, dimsOf(x.tensor)[1], x.originOf(1));
    call.e.noteDim(diagnostic, dimsOf(w.tensor)[1], w.originOf(1));
    return Value::error();
  }
  if (!placesLeft(call, inferred.type))
    return Value::error();
  return Value::tensorOf(call.e.emit(call.range)
                             .create<ConvolutionOp>(inferred.type, input, filter, strides, low, high, inputDilation,
                                                    filterDilation, groups),
                         std::make_shared<Origins>(std::move(origins)));
}

/// Argument 3 of conv: numbers, or "same" (the result is as large as the input; an odd one more stands behind) or
/// "valid".
static bool edges(BoundCall &call, const Value &w, const std::vector<int64_t> &stride,
                  const std::vector<int64_t> &dilation, std::vector<int64_t> &low, std::vector<int64_t> &high) {
  size_t spatial = stride.size();
  const Value &padding = call.values[3];
  if (padding.kind != Value::Kind::String) {
    std::optional<std::vector<int64_t>> numbers = call.perAxis(3, spatial);
    if (!numbers || !positive(call, 3, *numbers, 0))
      return false;
    low = high = *numbers;
    return true;
  }
  if (padding.text != "same" && padding.text != "valid") {
    call.e.error(call.ranges[3], "conv's padding is numbers, \"same\" or \"valid\"; this is \"" + padding.text + "\"");
    return false;
  }
  low.assign(spatial, 0);
  high = low;
  for (size_t i = 0; i < spatial && padding.text == "same"; ++i) {
    std::optional<int64_t> size = dimsOf(w.tensor)[2 + i].constant();
    if (!size || stride[i] != 1) {
      call.e.error(call.ranges[3],
                   size ? "padding=\"same\" goes with stride 1" : "padding=\"same\" wants a filter of known size");
      return false;
    }
    int64_t total = dilation[i] * (*size - 1);
    low[i] = total / 2;
    high[i] = total - low[i];
  }
  return true;
}

Value convolve(BoundCall &call) {
  Value x, w;
  if (!operands(call, x, w))
    return Value::error();
  size_t spatial = x.rank() - 2;
  auto stride = call.perAxis(2, spatial), dilation = call.perAxis(4, spatial);
  std::optional<int64_t> groups = call.integer(5);
  if (!groups && call.values[5].isInteger())
    call.e.diagnostics().last()->withHelp(
        "filters of each row's own: give the batch a number in the signature, x: f32[8, 3, H, W], or write the "
        "products, einsum(\"bkl,bok->bol\", unfold(x, size), w)");
  if (!stride || !dilation || !groups || !positive(call, 2, *stride, 1) || !positive(call, 4, *dilation, 1) ||
      !positive(call, 5, {*groups}, 1))
    return Value::error();
  std::vector<int64_t> low, high;
  if (!edges(call, w, *stride, *dilation, low, high))
    return Value::error();
  return emitConvolution(call, x, x.tensor, w.tensor, *stride, low, high, std::vector<int64_t>(spatial, 1), *dilation,
                         *groups, w, convolutionOrigins(call, x, w, 0));
}

/// The gradient of convolution with respect to its input: the input dilated by the stride, the filter turned round.
Value convolveTransposed(BoundCall &call) {
  Value x, w;
  if (!operands(call, x, w))
    return Value::error();
  size_t spatial = x.rank() - 2;
  auto stride = call.perAxis(2, spatial), padding = call.perAxis(3, spatial), extra = call.perAxis(4, spatial),
       dilation = call.perAxis(5, spatial);
  std::optional<int64_t> groups = call.integer(6);
  if (!stride || !padding || !extra || !dilation || !groups || !positive(call, 2, *stride, 1) ||
      !positive(call, 3, *padding, 0) || !positive(call, 4, *extra, 0) || !positive(call, 5, *dilation, 1) ||
      !positive(call, 6, {*groups}, 1))
    return Value::error();
  // w is [C, O/groups, k…]: to [groups, C/groups, O/groups, k…], the middle ones swapped, to [O, C/groups, k…].
  Emit emit = call.e.emit(call.range);
  llvm::SmallVector<Dim> dims = dimsOf(w.tensor);
  std::optional<Dim> inGroup = dims[0].exactDiv(Dim(*groups));
  if (!inGroup) {
    call.e.error(call.ranges[1], "conv_transpose: the filter's axis 0, " + dims[0].str() +
                                     ", is not a multiple of the groups, " + std::to_string(*groups));
    return Value::error();
  }
  llvm::SmallVector<Dim> split = {Dim(*groups), *inGroup, dims[1]}, joined = {dims[1] * Dim(*groups), *inGroup};
  std::vector<int64_t> permutation = {0, 2, 1}, spatialAxes, low, high;
  for (size_t i = 0; i < spatial; ++i) {
    split.push_back(dims[2 + i]);
    joined.push_back(dims[2 + i]);
    permutation.push_back(static_cast<int64_t>(3 + i));
    spatialAxes.push_back(static_cast<int64_t>(2 + i));
    std::optional<int64_t> kernel = dims[2 + i].constant();
    if (!kernel) {
      call.e.error(call.ranges[1], "conv_transpose: the filter's extent " + dims[2 + i].str() + " has to be a number");
      return Value::error();
    }
    int64_t edge = (*dilation)[i] * (*kernel - 1) - (*padding)[i];
    low.push_back(edge);
    high.push_back(edge + (*extra)[i]);
  }
  mlir::Value filter = emit.reshapeTo(emit.transposed(emit.reshapeTo(w.tensor, split), permutation), joined);
  filter = emit.create<ReverseOp>(filter.getType(), filter, spatialAxes);
  return emitConvolution(call, x, x.tensor, filter, std::vector<int64_t>(spatial, 1), low, high, *stride, *dilation,
                         *groups, w, convolutionOrigins(call, x, w, 1));
}

static Value pool(BoundCall &call, ReduceKind kind) {
  std::optional<Value> x = call.tensor(0);
  if (!x)
    return Value::error();
  if (x->rank() < 3 || x->rank() > 5) {
    call.e.error(call.ranges[0],
                 std::string(call.builtin.name) + " wants [N, C, spatial…] with 3 to 5 axes; this is " + describe(*x));
    return Value::error();
  }
  size_t spatial = x->rank() - 2;
  auto size = call.perAxis(1, spatial), stride = call.given(2) ? call.perAxis(2, spatial) : size,
       padding = call.perAxis(3, spatial);
  std::optional<bool> countPadding = kind == ReduceKind::sum ? call.boolean(4) : true;
  if (!size || !stride || !padding || !countPadding || !positive(call, 1, *size, 1) || !positive(call, 2, *stride, 1) ||
      !positive(call, 3, *padding, 0))
    return Value::error();
  std::vector<int64_t> window = {1, 1}, strides = {1, 1}, edge = {0, 0};
  int64_t count = 1;
  Origins origins = {{x->originOf(0)}, {x->originOf(1)}};
  for (size_t i = 0; i < spatial; ++i) {
    window.push_back((*size)[i]);
    strides.push_back((*stride)[i]);
    edge.push_back((*padding)[i]);
    count *= (*size)[i];
    origins.push_back({call.range});
    if ((*padding)[i] * 2 > (*size)[i]) {
      call.e.error(call.ranges[3], std::string(call.builtin.name) + ": the padding is at most half the window");
      return Value::error();
    }
  }
  Inferred inferred = inferReduceWindow(kind, x->tensorType(), window, strides, edge, edge);
  if (!inferred) {
    call.e.error(call.range, std::string(call.builtin.name) + " of " + describe(*x) + ": " + inferred.error);
    return Value::error();
  }
  if (!placesLeft(call, inferred.type))
    return Value::error();
  Emit emit = call.e.emit(call.range);
  mlir::Value result = emit.create<ReduceWindowOp>(inferred.type, kind, x->tensor, window, strides, edge, edge);
  if (kind == ReduceKind::sum && !*countPadding) {
    // How much of each window is the input's.
    llvm::SmallVector<Dim> dims = dimsOf(x->tensor), counted = dimsOf(inferred.type);
    dims[0] = dims[1] = counted[0] = counted[1] = Dim(1);
    mlir::Type element = x->tensorType().getElementType();
    mlir::Value ones = emit.splat(tensorType(dims, element), 1);
    mlir::Value inside =
        emit.create<ReduceWindowOp>(tensorType(counted, element), kind, ones, window, strides, edge, edge);
    result = emit.div(result, emit.broadcastTrailing(inside, dimsOf(result)));
  } else if (kind == ReduceKind::sum) {
    result = emit.div(result, static_cast<double>(count));
  }
  return Value::tensorOf(result, std::make_shared<Origins>(std::move(origins)));
}

Value maxPool(BoundCall &call) { return pool(call, ReduceKind::max); }
Value averagePool(BoundCall &call) { return pool(call, ReduceKind::sum); }

} // namespace kiln::language
