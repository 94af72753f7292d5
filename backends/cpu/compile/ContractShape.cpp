// Reading the form of a product: which axes are batch, rows, columns and depth, and how each operand lies.

#include "backends/cpu/compile/ContractShape.h"
#include "backends/sdk/forms/Operands.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

bool accumulatorOf(kiln_dtype operand, kiln_dtype &accumulator) {
  accumulator = operand == KILN_U32 ? KILN_I32 : sdk::accumulatorOf(operand); // the same bits as signed ones
  return operand != KILN_BOOL;
}

bool Contraction::plainFor(const Operand &operand, bool pairs) const {
  if (operand.plainInput < 0)
    return false;
  if (pairs) // rounded to bf16 while packed, or there already
    return operand.memory == KILN_F32 || operand.memory == KILN_BF16;
  bool exact = operand.memory == operandType || operandType == accumulator; // widened at most
  bool narrow = accumulator == KILN_F32 && (operand.memory == KILN_BF16 || operand.memory == KILN_F16);
  return exact && (operand.memory == accumulator || narrow);
}

ContractTraits Contraction::traits(const Graph &graph, const Machine &machine) const {
  ContractTraits t;
  t.bytes = byteSize(accumulator);
  bool left1 = plainFor(left, false) && left.kStride.isOne();
  bool wholeVectors = right.blocks.existFor(registerTile(machine, t.bytes).lanes);
  t.bothAlongK = left1 && ((plainFor(right, false) && right.kStride.isOne()) || wholeVectors);
  t.lines = left1 && left.alongK;
  t.columns = plainFor(left, false) && left.freeStride.isOne() && !left.alongK && isConstant(m);
  t.fixedColumns = isConstant(n);
  bool asItIs = byteSize(right.memory) == t.bytes && plainFor(right, false);
  t.rightPlainAlongN = asItIs && right.freeStride.isOne();
  if (t.rightPlainAlongN)
    t.rightRowBytes = graph.bound(right.kStride) * t.bytes;
  t.streamable = t.rightPlainAlongN && left1 && !window && !turned;
  t.rightShareable = n.size() <= 1;
  t.sameLeft = batch.empty() || leftForAllBatches;
  if (window)
    t.image = {graph.bound(window->channels),
               graph.bound(window->channels) * window->planes,
               window->columns,
               window->reach,
               graph.bound(window->plane.back()),
               window->rowsOfVector(registerTile(machine, t.bytes).lanes)};
  return t;
}

/// The stride between neighbours of dimensions `axes` seen as one; false where they are not evenly spaced.
static bool jointStride(ArrayRef<size_t> axes, const Shape &dims, const Shape &strides, Extent &stride) {
  stride = Extent(1);
  Extent expected;
  bool first = true;
  for (size_t i = axes.size(); i-- > 0;) {
    size_t axis = axes[i];
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
  Value element = e.loadOffset(operand.memory, e.input(operand.plainInput), offset, mask);
  return e.convert(element, operand.memory, graph.type(operand.value).dtype);
}

/// A conversion that packing can do on its way: one float to another, neither wider than f32.
static bool canPackThrough(const Graph &graph, const Op &op) {
  auto small = [&](uint32_t value) {
    kiln_dtype dtype = graph.type(value).dtype;
    return dtype == KILN_F32 || dtype == KILN_BF16 || dtype == KILN_F16;
  };
  return op.code == OpCode::Convert && small(op.operands[0]) && small(op.results[0]);
}

/// As Graph::inputStrides, through one such conversion too.
static int plainStrides(const Graph &graph, uint32_t value, Shape &strides, kiln_dtype &memory) {
  sdk::Transposed above = sdk::throughTransposes(graph, value);
  const Op *op = graph.definingOp(above.value);
  bool through = op && canPackThrough(graph, *op);
  Shape below;
  uint32_t source = through ? op->operands[0] : above.value;
  int input = graph.inputStrides(source, below);
  memory = graph.type(source).dtype;
  if (memory == KILN_U32)
    memory = KILN_I32; // the same bits
  strides.resize(below.size());
  for (auto [axis, stride] : llvm::zip(above.axes, below))
    strides[axis] = stride;
  return input;
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

/// Whether the operand is rows that are stored in blocks, summed along K.
static void readBlocks(const Graph &graph, const sdk::Operand &form, Contraction::Operand &operand) {
  const Op *op = graph.definingOp(form.value);
  bool summed = form.batchAxes.empty() && form.depthAxes == std::vector<size_t>{1};
  if (!op || (op->code != OpCode::Dequantize && op->code != OpCode::Decode) || graph.type(form.value).rank() != 2 ||
      !summed)
    return;
  SmallVector<int> numbers;
  for (uint32_t value : op->operands)
    numbers.push_back(graph.inputNumber(value));
  const TensorType &blocks = graph.type(op->operands[0]);
  if (llvm::is_contained(numbers, -1) || !blocks.dims[2].isConstant())
    return;
  bool lifted = numbers.size() > 2;
  bool halves = op->coding == Coding::None ? blocks.dtype == KILN_U8 : bitsOf(op->coding) == 4;
  operand.blocks = {numbers[0],
                    numbers[1],
                    lifted ? numbers[2] : numbers[1],
                    {graph.type(op->operands[1]).dtype, blocks.dims[2].factor, halves, lifted, op->coding}};
}

static void fillOperand(const Graph &graph, const sdk::Operand &form, kiln_dtype accumulator,
                        Contraction::Operand &operand) {
  uint32_t value = operand.value = form.value;
  const std::vector<size_t> &b = form.batchAxes, &f = form.freeAxes, &c = form.depthAxes;
  const Shape &dims = graph.type(value).dims;
  Shape strides;
  int input = plainStrides(graph, value, strides, operand.memory);
  if (input >= 0 && jointStride(f, dims, strides, operand.freeStride) &&
      jointStride(c, dims, strides, operand.kStride)) {
    operand.plainInput = input;
    operand.batchStrides = sdk::dimsAt(strides, b);
  }
  readBlocks(graph, form, operand);
  operand.alongK = !c.empty() && static_cast<int>(c.back()) == form.innermost;
  operand.freeInRows = operand.plainInput < 0 && f.size() > 1;
  operand.kInRows = operand.plainInput < 0 && c.size() > 1;
  kiln_dtype dtype = graph.type(value).dtype;
  Contraction::Operand plain = operand;
  operand.element = [=, b = b, f = f, c = c, &graph](Emitter &e, ArrayRef<Index> batchPlace, const Position &freePlace,
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
static void orderPairs(sdk::Operand &lhs, sdk::Operand &rhs) {
  SmallVector<std::pair<int, int>> pairs; // of the right, and of the left
  for (auto [left, right] : llvm::zip(lhs.depthAxes, rhs.depthAxes))
    pairs.push_back({static_cast<int>(right), static_cast<int>(left)});
  llvm::sort(pairs);
  auto *last = llvm::find_if(pairs, [&](auto &pair) { return pair.first == rhs.innermost; });
  if (last == pairs.end())
    last = llvm::find_if(pairs, [&](auto &pair) { return pair.second == lhs.innermost; });
  if (last != pairs.end())
    std::rotate(last, last + 1, pairs.end());
  for (auto [i, pair] : llvm::enumerate(pairs)) {
    rhs.depthAxes[i] = static_cast<size_t>(pair.first);
    lhs.depthAxes[i] = static_cast<size_t>(pair.second);
  }
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
  sdk::Operand left = sdk::readOperand(graph, op, true), right = sdk::readOperand(graph, op, false);
  orderPairs(left, right);
  c.batch = sdk::dimsAt(lhs.dims, left.batchAxes);
  c.k = sdk::dimsAt(lhs.dims, left.depthAxes);
  Shape lhsDims = sdk::dimsAt(lhs.dims, left.freeAxes), rhsDims = sdk::dimsAt(rhs.dims, right.freeAxes);
  // A matrix times a vector: its rows become the columns, which vectors run along.
  bool swap = graph.bound(rhsDims) == 1 && graph.bound(lhsDims) != 1;
  c.m = swap ? rhsDims : lhsDims;
  c.n = swap ? lhsDims : rhsDims;
  fillOperand(graph, left, c.accumulator, swap ? c.right : c.left);
  fillOperand(graph, right, c.accumulator, swap ? c.left : c.right);
  c.columns = c.n;
  c.resultAlongN = !swap && c.m.size() == 1 && c.n.size() == 1;
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
