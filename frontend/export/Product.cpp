// Products and convolutions.
#include "frontend/export/Ops.h"

#include "passes/support/Values.h"

#include <limits>

namespace kiln::exported {

namespace {

using mlir::Operation;

/// One side of a product: its axes in order, and its name.
struct Side {
  std::string name;
  llvm::SmallVector<Dim> dims;
};

/// The operand with its axes in the order of `groups`, those of a group as one axis; of the first group they stay.
Side arranged(Graph &graph, mlir::Value operand, DataType as, llvm::ArrayRef<llvm::ArrayRef<int64_t>> groups) {
  std::vector<int64_t> order;
  llvm::SmallVector<Dim> own = dimsOf(operand), moved, joined;
  for (size_t group = 0; group < groups.size(); ++group) {
    llvm::SmallVector<Dim> dims;
    for (int64_t axis : groups[group]) {
      order.push_back(axis);
      dims.push_back(own[static_cast<size_t>(axis)]);
    }
    moved.append(dims);
    if (group == 0)
      joined.append(dims);
    else
      joined.push_back(productOf(dims));
  }
  std::string name = graph.transposed(graph.full(operand), order);
  if (dataTypeOf(elementOf(operand)) != as)
    name = graph.cast(name, as);
  return {graph.reshaped(name, moved, joined), joined};
}

/// The type that a product is computed in: ONNX's MatMul has none of bytes.
DataType productType(mlir::Value operand, mlir::Value result) {
  DataType type = dataTypeOf(elementOf(operand)), wanted = dataTypeOf(elementOf(result));
  if (type != wanted)
    return wanted;
  return type == DataType::Int8 || type == DataType::Uint8 ? DataType::Int32 : type;
}

void dot(Graph &graph, Operation *op) {
  auto dot = llvm::cast<DotGeneralOp>(op);
  mlir::Value lhs = dot.getLhs(), rhs = dot.getRhs(), result = dot.getResult();
  if (isBool(elementOf(lhs)))
    return graph.fail(op, "multiplies bool, which ONNX's MatMul does not");
  DataType type = productType(lhs, result);
  llvm::ArrayRef<int64_t> lhsBatch = dot.getLhsBatch(), rhsBatch = dot.getRhsBatch();
  llvm::ArrayRef<int64_t> lhsContract = dot.getLhsContract(), rhsContract = dot.getRhsContract();
  auto freeAxes = [](mlir::Value side, llvm::ArrayRef<int64_t> batch, llvm::ArrayRef<int64_t> contract) {
    return otherAxes(rankOf(side), llvm::to_vector(llvm::concat<const int64_t>(batch, contract)));
  };
  llvm::SmallVector<int64_t> lhsFree = freeAxes(lhs, lhsBatch, lhsContract);
  llvm::SmallVector<int64_t> rhsFree = freeAxes(rhs, rhsBatch, rhsContract);
  llvm::SmallVector<llvm::ArrayRef<int64_t>> groups = {lhsBatch, lhsFree, lhsContract};
  if (lhsBatch.empty() && !lhsFree.empty() && lhsContract.size() == 1)
    groups.erase(groups.begin()); // all free axes stay: a matrix beside it is taken for each of them
  Side a = arranged(graph, lhs, type, groups), b = arranged(graph, rhs, type, {rhsBatch, rhsContract, rhsFree});
  std::string name = graph.add("MatMul", {a.name, b.name});
  llvm::SmallVector<Dim> dims(a.dims.begin(), a.dims.end() - 1);
  dims.push_back(b.dims.back());
  name = graph.reshaped(name, dims, dimsOf(result));
  graph.set(result, type == dataTypeOf(elementOf(result)) ? name : graph.cast(name, dataTypeOf(elementOf(result))));
}

/// What is cut off the image where padding is negative; `low` and `high` are 0 there afterwards.
std::string cropped(Graph &graph, std::string x, llvm::ArrayRef<Dim> dims, std::vector<int64_t> &low,
                    std::vector<int64_t> &high) {
  for (size_t i = 0; i < low.size(); ++i) {
    if (low[i] >= 0 && high[i] >= 0)
      continue;
    Dim end = dims[i + 2] + Dim(std::min<int64_t>(high[i], 0));
    x = graph.sliced(x, static_cast<int64_t>(i) + 2, graph.integers({std::max<int64_t>(-low[i], 0)}), graph.size(end));
    low[i] = std::max<int64_t>(low[i], 0);
    high[i] = std::max<int64_t>(high[i], 0);
  }
  return x;
}

void convolution(Graph &graph, Operation *op) {
  auto conv = llvm::cast<ConvolutionOp>(op);
  mlir::Type element = elementOf(conv.getResult());
  if (!isFloating(element))
    return graph.fail(op, "of integers is not there in ONNX with Kiln's types");
  std::string x = graph.full(conv.getInput()), filter = graph.full(conv.getFilter());
  if (elementOf(conv.getInput()) != element) {
    x = graph.cast(x, dataTypeOf(element));
    filter = graph.cast(filter, dataTypeOf(element));
  }
  llvm::SmallVector<Dim> dims = dimsOf(conv.getInput());
  for (auto [i, dilation] : llvm::enumerate(conv.getInputDilation()))
    if (dilation > 1)
      x = spread(graph, x, dims, i + 2, dilation - 1, graph.scalar(element, 0));
  std::vector<int64_t> low = conv.getLow().vec(), high = conv.getHigh().vec();
  x = cropped(graph, x, dims, low, high);
  std::vector<int64_t> pads = low, kernel;
  pads.insert(pads.end(), high.begin(), high.end());
  for (const Dim &dim : llvm::ArrayRef(dimsOf(conv.getFilter())).drop_front(2))
    kernel.push_back(dim.constant().value_or(-1));
  std::vector<Message> attributes = {attribute("strides", conv.getStrides().vec()), attribute("pads", pads),
                                     attribute("dilations", conv.getFilterDilation().vec()),
                                     attribute("group", static_cast<int64_t>(conv.getGroups()))};
  if (!llvm::is_contained(kernel, -1))
    attributes.push_back(attribute("kernel_shape", kernel));
  graph.set(conv.getResult(), graph.add("Conv", {x, filter}, attributes));
}

/// Two products and a softmax, where every query sees a key; else what the op is made of, which gives 0 where none is
/// seen.
template <class Op> void attention(Graph &graph, Operation *op) {
  auto attention = llvm::cast<Op>(op);
  llvm::SmallVector<Dim> q = dimsOf(attention.getQuery()), k = dimsOf(attention.getKey());
  std::optional<int64_t> more = (k[2] - q[2]).constant(); // of keys than of queries
  bool seesAny = !attention.getCausal() || (more && *more >= 0);
  if (attention.getMask() || attention.getStart() || attention.getLse() || attention.getGroups() != 1 ||
      attention.getSlidingWindow() || !seesAny || !elementOf(attention.getQuery()).isF32())
    return writeParts(graph, op);
  mlir::Type element = elementOf(attention.getQuery());
  std::string scores = graph.add(
      "MatMul", {graph.full(attention.getQuery()), graph.transposed(graph.full(attention.getKey()), {0, 1, 3, 2})});
  double scale = attention.getScale().convertToDouble(), cap = 1;
  if constexpr (requires { attention.getSoftcap(); })
    cap = attention.getSoftcap().convertToDouble();
  scores = graph.add("Mul", {scores, graph.scalar(element, scale / cap)});
  if constexpr (requires { attention.getSoftcap(); })
    scores = graph.add("Mul", {graph.add("Tanh", {scores}), graph.scalar(element, cap)});
  if (attention.getCausal()) {
    std::string keys = graph.range(0, k[2]), queries = graph.range(k[2] - q[2], k[2]);
    std::string seen = graph.add("LessOrEqual", {keys, graph.reshaped(queries, {q[2]}, {q[2], Dim(1)})});
    scores = graph.add("Where", {seen, scores, graph.scalar(element, -std::numeric_limits<double>::infinity())});
  }
  std::string shares = graph.add("Softmax", {scores}, {attribute("axis", int64_t{-1})});
  graph.set(op->getResult(0), graph.add("MatMul", {shares, graph.full(attention.getValue())}));
}

} // namespace

std::vector<Op> productOps() {
  return {
      {"attention", "MatMul, Softmax, MatMul; where a query may see no key its parts", attention<AttentionOp>},
      {"capped_attention", "the same, with Tanh before Softmax", attention<CappedAttentionOp>},
      {"dot_general", "MatMul, with Transpose and Reshape around it", dot},
      {"convolution", "Conv; of an image with zeros in it Reshape, Pad", convolution},
  };
}

} // namespace kiln::exported
