// Reductions, windows, norms.
#include "frontend/export/Ops.h"

namespace kiln::exported {

namespace {

using mlir::Operation;

/// From opset 18 on the axes are an input; of sums always.
std::string reduced(Graph &graph, const std::string &type, const std::string &x, llvm::ArrayRef<int64_t> axes) {
  std::vector<int64_t> list(axes.begin(), axes.end());
  Message keeps = attribute("keepdims", int64_t{0});
  if (graph.opset >= 18 || type == "ReduceSum")
    return graph.add(type, {x, graph.integers(list)}, {keeps});
  return graph.add(type, {x}, {attribute("axes", list), keeps});
}

void reduce(Graph &graph, Operation *op) {
  auto reduce = llvm::cast<ReduceOp>(op);
  mlir::Value result = op->getResult(0);
  std::string x = graph.full(reduce.getOperand());
  if (reduce.getAxes().empty())
    return graph.set(result, x);
  DataType type = dataTypeOf(elementOf(result));
  bool small = type == DataType::Bool || type == DataType::Int8 || type == DataType::Uint8;
  if (small)
    x = graph.cast(x, DataType::Int32);
  ReduceKind kind = reduce.getKind();
  const char *named = kind == ReduceKind::sum                              ? "ReduceSum"
                      : kind == ReduceKind::prod                           ? "ReduceProd"
                      : kind == ReduceKind::max || kind == ReduceKind::any ? "ReduceMax"
                                                                           : "ReduceMin";
  std::string out = reduced(graph, named, x, reduce.getAxes());
  graph.set(result, small ? graph.cast(out, type) : out);
}

void argReduce(Graph &graph, Operation *op) {
  auto reduce = llvm::cast<ArgReduceOp>(op);
  std::string out =
      graph.add(reduce.getKind() == ArgKind::max ? "ArgMax" : "ArgMin", {graph.full(op->getOperand(0))},
                {attribute("axis", static_cast<int64_t>(reduce.getAxis())), attribute("keepdims", int64_t{0})});
  DataType type = dataTypeOf(elementOf(op->getResult(0)));
  graph.set(op->getResult(0), type == DataType::Int64 ? out : graph.cast(out, type));
}

void cumsum(Graph &graph, Operation *op) {
  auto sum = llvm::cast<CumSumOp>(op);
  std::string axis = graph.scalar(mlir::IntegerType::get(op->getContext(), 64), static_cast<double>(sum.getAxis()));
  graph.set(op->getResult(0), graph.add("CumSum", {graph.full(op->getOperand(0)), axis},
                                        {attribute("exclusive", int64_t{sum.getExclusive()}),
                                         attribute("reverse", int64_t{sum.getReverse()})}));
}

/// Pooling, over up to three of the last axes.
void window(Graph &graph, Operation *op) {
  auto window = llvm::cast<ReduceWindowOp>(op);
  mlir::Type element = elementOf(op->getResult(0));
  if (!isFloating(element))
    return graph.fail(op, "of integers is not there in ONNX");
  llvm::SmallVector<Dim> from = dimsOf(op->getOperand(0)), to = dimsOf(op->getResult(0));
  size_t first = 0, rank = from.size();
  auto plain = [&](size_t axis) {
    return window.getWindow()[axis] == 1 && window.getStrides()[axis] == 1 && window.getLow()[axis] == 0 &&
           window.getHigh()[axis] == 0;
  };
  while (first < rank && plain(first))
    ++first;
  if (first == rank)
    return graph.set(op->getResult(0), graph.full(op->getOperand(0)));
  if (rank - first > 3)
    return graph.fail(op, "has windows over " + std::to_string(rank - first) + " axes; ONNX's go over three at most");
  llvm::SmallVector<Dim> image = {Dim(1), Dim(1)}, pooled;
  for (size_t axis = 0; axis < first; ++axis)
    image[axis == 0 ? 0 : 1] = image[axis == 0 ? 0 : 1] * from[axis];
  pooled = image;
  image.append(from.begin() + static_cast<int64_t>(first), from.end());
  pooled.append(to.begin() + static_cast<int64_t>(first), to.end());
  auto tail = [&](llvm::ArrayRef<int64_t> list) { return list.drop_front(first).vec(); };
  std::vector<int64_t> pads = tail(window.getLow()), high = tail(window.getHigh());
  pads.insert(pads.end(), high.begin(), high.end());
  std::vector<Message> attributes = {attribute("kernel_shape", tail(window.getWindow())),
                                     attribute("strides", tail(window.getStrides())), attribute("pads", pads)};
  std::string x = graph.reshaped(graph.full(op->getOperand(0)), from, image);
  ReduceKind kind = window.getKind();
  if (kind == ReduceKind::sum) {
    double count = 1;
    for (int64_t size : window.getWindow())
      count *= static_cast<double>(size);
    attributes.push_back(attribute("count_include_pad", int64_t{1}));
    x = graph.add("Mul", {graph.add("AveragePool", {x}, attributes), graph.scalar(element, count)});
  } else if (kind == ReduceKind::max) {
    x = graph.add("MaxPool", {x}, attributes);
  } else {
    x = graph.add("Neg", {graph.add("MaxPool", {graph.add("Neg", {x})}, attributes)});
  }
  graph.set(op->getResult(0), graph.reshaped(x, pooled, to));
}

template <bool logarithm> void softmax(Graph &graph, Operation *op) {
  int64_t axis = op->getAttrOfType<mlir::IntegerAttr>("axis").getInt();
  graph.set(op->getResult(0), graph.add(logarithm ? "LogSoftmax" : "Softmax", {graph.full(op->getOperand(0))},
                                        {attribute("axis", axis)}));
}

void layerNorm(Graph &graph, Operation *op) {
  auto norm = llvm::cast<LayerNormOp>(op);
  mlir::Type element = elementOf(norm.getOperand());
  std::vector<std::string> inputs = {graph.full(norm.getOperand())};
  if (norm.getScale())
    inputs.insert(inputs.end(), {graph.full(norm.getScale()), graph.full(norm.getBias())});
  else // ONNX asks for a scale
    inputs.push_back(graph.add("Expand", {graph.scalar(element, 1), graph.size(dimsOf(norm.getOperand()).back())}));
  graph.set(op->getResult(0),
            graph.add("LayerNormalization", inputs,
                      {attribute("axis", int64_t{-1}),
                       attribute("epsilon", static_cast<float>(norm.getEpsilon().convertToDouble()))}));
}

void training(Graph &graph, Operation *op) { graph.fail(op, "is of a training step, which an ONNX file has none of"); }

} // namespace

std::vector<Op> reductionOps() {
  return {
      {"reduce", "ReduceSum, ReduceProd, ReduceMax, ReduceMin; of bool between two Casts", reduce},
      {"arg_reduce", "ArgMax, ArgMin", argReduce},
      {"cumsum", "CumSum", cumsum},
      {"reduce_window", "MaxPool, AveragePool", window},
      {"reduce_window_grad", "", training},
      {"attention_grad", "", training},
      {"biased_attention_grad", "", training},
      {"dropout_attention_grad", "", training},
      {"capped_attention_grad", "", training},
      {"softmax", "Softmax", softmax<false>},
      {"log_softmax", "LogSoftmax", softmax<true>},
      {"layer_norm", "LayerNormalization", layerNorm},
  };
}

} // namespace kiln::exported
