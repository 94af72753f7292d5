// Reading the form of a product: which axes are batch, rows, columns and depth, and how each operand lies.

#include "backends/cpu/compile/ContractShape.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

bool accumulatorOf(kiln_dtype operand, kiln_dtype &accumulator) {
  switch (operand) {
  case KILN_F32:
  case KILN_BF16:
  case KILN_F16:
    accumulator = KILN_F32;
    return true;
  case KILN_F64:
  case KILN_I64:
    accumulator = operand;
    return true;
  case KILN_I8:
  case KILN_U8:
  case KILN_I32:
  case KILN_U32: // the same bits as signed ones
    accumulator = KILN_I32;
    return true;
  default:
    return false;
  }
}

ContractTraits Contraction::traits() const {
  ContractTraits t;
  t.bytes = byteSize(accumulator);
  bool sameType = operandType == accumulator || (operandType == KILN_U32 && accumulator == KILN_I32);
  bool left1 = sameType && left.plainInput >= 0, right1 = sameType && right.plainInput >= 0;
  t.bothAlongK = left1 && right1 && left.kStride.isOne() && right.kStride.isOne();
  t.window = window.has_value();
  t.rightPlainAlongN = right1 && right.freeStride.isOne();
  t.rightShareable = n.size() <= 1;
  return t;
}

int contiguousAxis(const Graph &graph, uint32_t v) {
  const Op *op = graph.definingOp(v);
  const Shape &dims = graph.type(v).dims;
  auto lastWide = [](const Shape &shape) {
    for (int d = static_cast<int>(shape.size()) - 1; d >= 0; --d)
      if (!shape[d].isOne())
        return d;
    return static_cast<int>(shape.size()) - 1;
  };
  if (!op)
    return lastWide(dims);
  switch (op->code) {
  case OpCode::Transpose: {
    int source = contiguousAxis(graph, op->operands[0]);
    for (size_t d = 0; d < op->axes.size(); ++d)
      if (op->axes[d] == source)
        return static_cast<int>(d);
    return -1;
  }
  case OpCode::Broadcast: {
    int source = contiguousAxis(graph, op->operands[0]);
    if (source < 0 || graph.type(op->operands[0]).dims[source].isOne())
      return -1;
    return static_cast<int>(op->axes[source]);
  }
  case OpCode::Slice: {
    int source = contiguousAxis(graph, op->operands[0]);
    return source >= 0 && op->strides[source] == 1 ? source : -1;
  }
  case OpCode::Reshape: {
    const Shape &from = graph.type(op->operands[0]).dims;
    int source = contiguousAxis(graph, op->operands[0]);
    return source == lastWide(from) ? lastWide(dims) : -1;
  }
  case OpCode::Constant:
  case OpCode::Iota:
  case OpCode::Extent:
    return -1;
  case OpCode::Gather:
    return contiguousAxis(graph, op->operands[0]) == static_cast<int>(graph.type(op->operands[0]).rank()) - 1
               ? lastWide(dims)
               : -1;
  default:
    for (uint32_t operand : op->operands)
      if (graph.type(operand).rank() == dims.size())
        if (int axis = contiguousAxis(graph, operand); axis >= 0)
          return axis;
    return -1;
  }
}

/// The strides of value `v` where it is an input seen through transposes alone; -1 where it is not, else the input.
static int plainStrides(const Graph &graph, uint32_t v, SmallVectorImpl<Extent> &strides) {
  const Op *op = graph.definingOp(v);
  const Shape &dims = graph.type(v).dims;
  if (!op) {
    strides.assign(dims.size(), Extent(1));
    for (size_t d = dims.size(); d-- > 1;)
      strides[d - 1] = strides[d] * dims[d];
    return graph.inputNumber(v);
  }
  if (op->code != OpCode::Transpose)
    return -1;
  SmallVector<Extent> source;
  int input = plainStrides(graph, op->operands[0], source);
  for (int64_t axis : op->axes)
    if (input >= 0)
      strides.push_back(source[axis]);
  return input;
}

/// The stride between neighbours of dimensions `axes` seen as one; false where they are not evenly spaced.
static bool jointStride(ArrayRef<int64_t> axes, const Shape &dims, ArrayRef<Extent> strides, Extent &stride) {
  stride = Extent(1);
  Extent expected;
  bool first = true;
  for (size_t i = axes.size(); i-- > 0;) {
    int64_t axis = axes[i];
    if (dims[axis].isOne())
      continue;
    if (first)
      stride = strides[axis];
    else if (!(strides[axis] == expected))
      return false;
    expected = strides[axis] * dims[axis];
    first = false;
  }
  return true;
}

Value plainElement(Emitter &e, const Graph &graph, const Contraction::Operand &operand, ArrayRef<Index> batch,
                   const Index &free, const Index &k, const Mask &mask) {
  Index offset = e.add(e.scale(free, e.extent(operand.freeStride)), e.scale(k, e.extent(operand.kStride)));
  for (size_t d = 0; d < batch.size(); ++d)
    offset = e.add(offset, e.scale(batch[d], e.extent(operand.batchStrides[d])));
  // The input's own position, as a tensor of one dimension.
  return e.loadOffset(graph.type(graph.inputs[operand.plainInput]).dtype, e.input(operand.plainInput), offset, mask);
}

void forEachRun(Emitter &e, const Shape &shape, bool inRows, Value begin, Value end,
                llvm::function_ref<void(Value first, const Position &position, Value limit)> body) {
  Code &code = e.code;
  size_t wide = llvm::count_if(shape, [](const Extent &extent) { return !extent.isOne(); });
  if (!inRows || wide < 2) {
    code.loop(begin, end, e.width, [&](Value first) { body(first, Position(shape, e.at(first, 1)), end); });
    return;
  }
  size_t last = shape.size() - 1; // a row's dimension: the last that is wider than one
  while (shape[last].isOne())
    --last;
  Value length = e.extent(shape[last]);
  Value divisor = code.max(length, code.integer(1));
  Shape outer(shape.begin(), shape.begin() + last);
  code.loop(code.div(begin, divisor), code.ceilDiv(end, divisor), 1, [&](Value row) {
    Value rowBegin = code.mul(row, length);
    Value limit = code.min(code.add(rowBegin, length), end);
    Indices rowPlace = e.indicesOfRow(outer, row);
    code.loop(code.max(begin, rowBegin), limit, e.width, [&](Value first) {
      Indices dims = rowPlace;
      dims.push_back(e.at(code.sub(first, rowBegin), 1));
      dims.resize(shape.size(), e.zero());
      body(first, Position(shape, e.at(first, 1), dims), limit);
    });
  });
}

static void fillOperand(const Graph &graph, uint32_t value, ArrayRef<int64_t> batch, ArrayRef<int64_t> free,
                        ArrayRef<int64_t> contract, kiln_dtype accumulator, Contraction::Operand &operand) {
  operand.value = value;
  const Shape &dims = graph.type(value).dims;
  SmallVector<Extent> strides;
  int input = plainStrides(graph, value, strides);
  if (input >= 0 && jointStride(free, dims, strides, operand.freeStride) &&
      jointStride(contract, dims, strides, operand.kStride)) {
    operand.plainInput = input;
    for (int64_t axis : batch)
      operand.batchStrides.push_back(strides[axis]);
  }
  int contiguous = contiguousAxis(graph, value);
  Shape freeDims, contractDims;
  for (int64_t axis : free)
    freeDims.push_back(dims[axis]);
  for (int64_t axis : contract)
    contractDims.push_back(dims[axis]);
  operand.alongK = !contract.empty() && contract.back() == contiguous;
  operand.freeInRows = operand.plainInput < 0 && free.size() > 1;
  operand.kInRows = operand.plainInput < 0 && contract.size() > 1;
  kiln_dtype dtype = graph.type(value).dtype;
  SmallVector<int64_t> b(batch), f(free), c(contract);
  Contraction::Operand plain = operand;
  operand.element = [=, &graph](Emitter &e, ArrayRef<Index> batchPlace, const Position &freePlace,
                                const Position &kPlace, const Mask &mask) {
    Value element;
    if (plain.plainInput >= 0) {
      element = plainElement(e, graph, plain, batchPlace, freePlace.linear, kPlace.linear, mask);
    } else {
      Indices at(b.size() + f.size() + c.size()), jf = freePlace.dims(e), ik = kPlace.dims(e);
      for (size_t i = 0; i < b.size(); ++i)
        at[b[i]] = batchPlace[i];
      for (size_t i = 0; i < f.size(); ++i)
        at[f[i]] = jf[i];
      for (size_t i = 0; i < c.size(); ++i)
        at[c[i]] = ik[i];
      element = e.value(value, at, mask);
    }
    return isFloat(dtype) ? element : e.convert(element, dtype, accumulator);
  };
}

/// The order of the contracted pairs is free: the one that neighbours in memory follow comes last.
static void orderPairs(const Graph &graph, const Op &op, SmallVectorImpl<int64_t> &lhs, SmallVectorImpl<int64_t> &rhs) {
  SmallVector<size_t> order;
  for (size_t i = 0; i < op.lhsContract.size(); ++i)
    order.push_back(i);
  llvm::sort(order, [&](size_t x, size_t y) { return op.rhsContract[x] < op.rhsContract[y]; });
  int left = contiguousAxis(graph, op.operands[0]), right = contiguousAxis(graph, op.operands[1]);
  auto last = llvm::find_if(order, [&](size_t i) { return op.rhsContract[i] == right; });
  if (last == order.end())
    last = llvm::find_if(order, [&](size_t i) { return op.lhsContract[i] == left; });
  if (last != order.end())
    std::rotate(last, last + 1, order.end());
  for (size_t i : order) {
    lhs.push_back(op.lhsContract[i]);
    rhs.push_back(op.rhsContract[i]);
  }
}

static SmallVector<int64_t> freeAxes(size_t rank, ArrayRef<int64_t> batch, ArrayRef<int64_t> contract) {
  SmallVector<int64_t> axes;
  for (int64_t d = 0; d < static_cast<int64_t>(rank); ++d)
    if (!llvm::is_contained(batch, d) && !llvm::is_contained(contract, d))
      axes.push_back(d);
  return axes;
}

bool shapeOfDot(const Graph &graph, uint32_t number, Contraction &c, std::string &error) {
  const Op &op = graph.ops[number];
  const TensorType &lhs = graph.type(op.operands[0]), &rhs = graph.type(op.operands[1]);
  c.op = number;
  c.result = op.results[0];
  c.operandType = lhs.dtype;
  if (!accumulatorOf(lhs.dtype, c.accumulator)) {
    error = ("dot_general of " + dtypeName(lhs.dtype) + " is not supported").str();
    return false;
  }
  SmallVector<int64_t> lhsContract, rhsContract;
  orderPairs(graph, op, lhsContract, rhsContract);
  SmallVector<int64_t> lhsFree = freeAxes(lhs.rank(), op.lhsBatch, lhsContract),
                       rhsFree = freeAxes(rhs.rank(), op.rhsBatch, rhsContract);
  for (int64_t axis : op.lhsBatch)
    c.batch.push_back(lhs.dims[axis]);
  Shape lhsDims, rhsDims;
  for (int64_t axis : lhsFree)
    lhsDims.push_back(lhs.dims[axis]);
  for (int64_t axis : rhsFree)
    rhsDims.push_back(rhs.dims[axis]);
  for (int64_t axis : lhsContract)
    c.k.push_back(lhs.dims[axis]);
  // A matrix times a vector: its rows become the columns, which vectors run along.
  bool swap = graph.bound(rhsDims) == 1 && graph.bound(lhsDims) != 1;
  c.m = swap ? rhsDims : lhsDims;
  c.n = swap ? lhsDims : rhsDims;
  fillOperand(graph, op.operands[0], op.lhsBatch, lhsFree, lhsContract, c.accumulator, swap ? c.right : c.left);
  fillOperand(graph, op.operands[1], op.rhsBatch, rhsFree, rhsContract, c.accumulator, swap ? c.left : c.right);
  c.resultInRows = c.n.size() > 1;
  c.resultPosition = [swap](Emitter &, ArrayRef<Index> batch, ArrayRef<Index> m, ArrayRef<Index> n) {
    Indices at(batch.begin(), batch.end());
    at.append(swap ? n.begin() : m.begin(), swap ? n.end() : m.end());
    at.append(swap ? m.begin() : n.begin(), swap ? m.end() : n.end());
    return at;
  };
  return true;
}

} // namespace kiln::cpu
