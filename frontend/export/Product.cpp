// Products and convolutions.
#include "frontend/export/Ops.h"

#include <limits>

namespace kiln::exported {

namespace {

using mlir::Operation;

/// One side of a product: its axes in order, and its name.
struct Side {
  std::string name;
  llvm::SmallVector<Dim> dims;
};

std::vector<int64_t> freeAxes(int64_t rank, llvm::ArrayRef<int64_t> batch, llvm::ArrayRef<int64_t> contract) {
  std::vector<int64_t> out;
  for (int64_t axis = 0; axis < rank; ++axis)
    if (!llvm::is_contained(batch, axis) && !llvm::is_contained(contract, axis))
      out.push_back(axis);
  return out;
}

Dim productOf(llvm::ArrayRef<Dim> dims) {
  Dim out(1);
  for (const Dim &dim : dims)
    out = out * dim;
  return out;
}

/// The operand with its axes in the order of `groups`, those of a group as one axis; of the first group they stay.
Side arranged(Graph &graph, mlir::Value operand, DataType as, llvm::ArrayRef<std::vector<int64_t>> groups) {
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
  std::vector<int64_t> lhsBatch = dot.getLhsBatch().vec(), rhsBatch = dot.getRhsBatch().vec();
  std::vector<int64_t> lhsContract = dot.getLhsContract().vec(), rhsContract = dot.getRhsContract().vec();
  std::vector<int64_t> lhsFree = freeAxes(rankOf(lhs), lhsBatch, lhsContract);
  std::vector<int64_t> rhsFree = freeAxes(rankOf(rhs), rhsBatch, rhsContract);
  llvm::SmallVector<Dim> dims;
  std::string name;
  bool plain = lhsBatch.empty() && !lhsFree.empty() && lhsContract.size() == 1;
  if (plain) { // all free axes of the left side stay: a matrix beside it is taken for each of them
    Side a = arranged(graph, lhs, type, {[&] {
                        std::vector<int64_t> all = lhsFree;
                        all.push_back(lhsContract[0]);
                        return all;
                      }()});
    Side b = arranged(graph, rhs, type, {{}, rhsContract, rhsFree});
    name = graph.add("MatMul", {a.name, b.name});
    dims.append(a.dims.begin(), a.dims.end() - 1);
    dims.push_back(b.dims.back());
  } else {
    Side a = arranged(graph, lhs, type, {lhsBatch, lhsFree, lhsContract});
    Side b = arranged(graph, rhs, type, {rhsBatch, rhsContract, rhsFree});
    name = graph.add("MatMul", {a.name, b.name});
    dims.append(a.dims.begin(), a.dims.end() - 1);
    dims.push_back(b.dims.back());
  }
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

/// The image with zeros between its elements; its spatial dimensions are then `dims`.
std::string dilated(Graph &graph, std::string x, llvm::SmallVector<Dim> &dims, llvm::ArrayRef<int64_t> dilation,
                    mlir::Type element) {
  for (size_t i = 0; i < dilation.size(); ++i) {
    if (dilation[i] == 1)
      continue;
    size_t axis = i + 2;
    llvm::SmallVector<Dim> apart = dims, joined = dims;
    apart.insert(apart.begin() + static_cast<int64_t>(axis) + 1, Dim(1));
    std::vector<int64_t> pads(2 * apart.size(), 0);
    pads[apart.size() + axis + 1] = dilation[i] - 1;
    x = graph.add("Pad", {graph.reshaped(x, dims, apart), graph.integers(pads), graph.scalar(element, 0)});
    apart[axis + 1] = Dim(dilation[i]);
    joined[axis] = dims[axis] * Dim(dilation[i]);
    x = graph.reshaped(x, apart, joined);
    dims[axis] = joined[axis] - Dim(dilation[i] - 1);
    x = graph.sliced(x, static_cast<int64_t>(axis), graph.integers({0}), graph.size(dims[axis]));
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
  x = dilated(graph, x, dims, conv.getInputDilation(), element);
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

/// i64, 0 … n - 1, beside one axis: [n, 1] or [n].
std::string places(Graph &graph, Operation *op, const Dim &from, const Dim &to, bool rows) {
  auto scalar = [&](const Dim &dim) { return graph.add("Squeeze", {graph.size(dim), graph.integers({0})}); };
  mlir::Type whole = mlir::IntegerType::get(op->getContext(), 64);
  std::string range = graph.add("Range", {scalar(from), scalar(to), graph.scalar(whole, 1)});
  Dim count = to - from;
  return rows ? graph.reshaped(range, {count}, {count, Dim(1)}) : range;
}

/// Two products and a softmax, where every query sees a key; else what the op is made of, which gives 0 where none is
/// seen.
void attention(Graph &graph, Operation *op) {
  auto attention = llvm::cast<AttentionOp>(op);
  llvm::SmallVector<Dim> q = dimsOf(attention.getQuery()), k = dimsOf(attention.getKey());
  std::optional<int64_t> more = (k[2] - q[2]).constant(); // of keys than of queries
  bool seesAny = !attention.getCausal() || (more && *more >= 0);
  if (attention.getMask() || attention.getStart() || attention.getLse() || attention.getGroups() != 1 ||
      attention.getSlidingWindow() || !seesAny || !elementOf(attention.getQuery()).isF32())
    return writeParts(graph, op);
  mlir::Type element = elementOf(attention.getQuery());
  std::string scores = graph.add(
      "MatMul", {graph.full(attention.getQuery()), graph.transposed(graph.full(attention.getKey()), {0, 1, 3, 2})});
  scores = graph.add("Mul", {scores, graph.scalar(element, attention.getScale().convertToDouble())});
  if (attention.getCausal()) {
    std::string seen =
        graph.add("LessOrEqual", {places(graph, op, Dim(0), k[2], false), places(graph, op, k[2] - q[2], k[2], true)});
    scores = graph.add("Where", {seen, scores, graph.scalar(element, -std::numeric_limits<double>::infinity())});
  }
  std::string shares = graph.add("Softmax", {scores}, {attribute("axis", int64_t{-1})});
  graph.set(op->getResult(0), graph.add("MatMul", {shares, graph.full(attention.getValue())}));
}

} // namespace

std::vector<Op> productOps() {
  return {
      {"attention", "MatMul, Softmax, MatMul; where a query may see no key its parts", attention},
      {"dot_general", "MatMul, with Transpose and Reshape around it", dot},
      {"convolution", "Conv; of an image with zeros in it Reshape, Pad", convolution},
  };
}

} // namespace kiln::exported
