// Ops that move elements: shapes, slices, constants.
#include "frontend/export/Ops.h"
#include "ir/Classes.h"

#include <limits>

namespace kiln::exported {

std::string spread(Graph &graph, std::string x, llvm::SmallVector<Dim> &dims, size_t axis, int64_t gap,
                   const std::string &value) {
  llvm::SmallVector<Dim> apart = dims;
  apart.insert(apart.begin() + static_cast<int64_t>(axis) + 1, Dim(1));
  x = graph.reshaped(x, dims, apart);
  std::vector<int64_t> pads(2 * apart.size(), 0);
  pads[apart.size() + axis + 1] = gap;
  x = graph.add("Pad", {x, graph.integers(pads), value});
  apart[axis + 1] = Dim(gap + 1);
  Dim wide = dims[axis] * Dim(gap + 1);
  llvm::SmallVector<Dim> joined = dims;
  joined[axis] = wide;
  x = graph.reshaped(x, apart, joined);
  dims[axis] = wide - Dim(gap);
  return graph.sliced(x, static_cast<int64_t>(axis), graph.integers({0}), graph.size(dims[axis]));
}

namespace {

using mlir::Operation;

void constant(Graph &graph, Operation *op) {
  mlir::Value result = op->getResult(0);
  auto elements = llvm::cast<ConstantOp>(op).getValue();
  mlir::FailureOr<std::string> bytes = elementData(elements);
  if (mlir::failed(bytes))
    return graph.fail(op, "holds its elements in a way that is not known here");
  bool splat = elements.isSplat() || rankOf(result) == 0;
  llvm::SmallVector<Dim> dims;
  std::vector<int64_t> shape;
  if (!splat)
    for (const Dim &dim : dims = dimsOf(result))
      shape.push_back(*dim.constant());
  graph.set(result, Held{graph.constant(dataTypeOf(elementOf(result)), shape, *bytes), dims});
}

void iota(Graph &graph, Operation *op) {
  mlir::Value result = op->getResult(0);
  auto axis = static_cast<size_t>(llvm::cast<IotaOp>(op).getAxis());
  llvm::SmallVector<Dim> dims = dimsOf(result), line(dims.size() - axis, Dim(1));
  line[0] = dims[axis];
  std::string range = graph.range(0, dims[axis]);
  if (dataTypeOf(elementOf(result)) != DataType::Int64)
    range = graph.cast(range, dataTypeOf(elementOf(result)));
  graph.set(result, Held{graph.reshaped(range, {dims[axis]}, line), line});
}

void extent(Graph &graph, Operation *op) {
  std::string size = graph.number(llvm::cast<ExtentOp>(op).getExpr().dims()[0]);
  graph.set(op->getResult(0), graph.cast(size, dataTypeOf(elementOf(op->getResult(0)))));
}

void reshape(Graph &graph, Operation *op) {
  mlir::Value operand = op->getOperand(0), result = op->getResult(0);
  if (graph.held(operand).dims.empty() && rankOf(operand) > 0) // the same number everywhere
    return graph.set(result, Held{graph.held(operand).name, {}});
  graph.set(result, graph.reshaped(graph.full(operand), dimsOf(operand), dimsOf(result)));
}

void transpose(Graph &graph, Operation *op) {
  graph.set(op->getResult(0),
            graph.transposed(graph.full(op->getOperand(0)), llvm::cast<TransposeOp>(op).getPermutation()));
}

/// Nothing is written but the axes where they stand: what reads the result broadcasts it.
void broadcast(Graph &graph, Operation *op) {
  mlir::Value operand = op->getOperand(0), result = op->getResult(0);
  const Held held = graph.held(operand);
  if (held.dims.empty())
    return graph.set(result, held);
  llvm::ArrayRef<int64_t> axes = llvm::cast<BroadcastOp>(op).getAxes();
  size_t missing = axes.size() - held.dims.size(); // leading axes that are 1 long and not written
  llvm::SmallVector<Dim> dims(static_cast<size_t>(rankOf(result) - axes[missing]), Dim(1));
  for (size_t i = missing; i < axes.size(); ++i)
    dims[static_cast<size_t>(axes[i] - axes[missing])] = held.dims[i - missing];
  graph.set(result, Held{graph.reshaped(held.name, held.dims, dims), dims});
}

void slice(Graph &graph, Operation *op) {
  auto slice = llvm::cast<SliceOp>(op);
  llvm::SmallVector<Dim> from = dimsOf(op->getOperand(0)), to = dimsOf(op->getResult(0)), starts, ends;
  std::vector<int64_t> axes, steps;
  for (size_t axis = 0; axis < from.size(); ++axis) {
    int64_t step = slice.getStrides()[axis];
    Dim start = slice.getStarts().dims()[axis];
    if (from[axis] == to[axis] && step == 1)
      continue;
    starts.push_back(start);
    ends.push_back(start + (to[axis] - Dim(1)) * Dim(step) + Dim(1));
    axes.push_back(static_cast<int64_t>(axis));
    steps.push_back(step);
  }
  std::string x = graph.full(op->getOperand(0));
  graph.set(op->getResult(0), axes.empty() ? x
                                           : graph.add("Slice", {x, graph.sizes(starts), graph.sizes(ends),
                                                                 graph.integers(axes), graph.integers(steps)}));
}

void pad(Graph &graph, Operation *op) {
  auto pad = llvm::cast<PadOp>(op);
  std::string x = graph.full(pad.getOperand()), value = graph.full(pad.getValue());
  llvm::SmallVector<Dim> dims = dimsOf(pad.getOperand()), all = pad.getLow().dims(), high = pad.getHigh().dims();
  for (size_t axis = 0; axis < dims.size(); ++axis)
    if (int64_t gap = pad.getInterior()[axis]; gap > 0)
      x = spread(graph, x, dims, axis, gap, value);
  all.append(high);
  bool any = llvm::any_of(all, [](const Dim &dim) { return dim != Dim(0); });
  graph.set(op->getResult(0), any ? graph.add("Pad", {x, graph.sizes(all), value}) : x);
}

void concat(Graph &graph, Operation *op) {
  std::vector<std::string> parts;
  for (mlir::Value operand : op->getOperands())
    parts.push_back(graph.full(operand));
  graph.set(op->getResult(0),
            graph.add("Concat", parts, {attribute("axis", static_cast<int64_t>(llvm::cast<ConcatOp>(op).getAxis()))}));
}

void reverse(Graph &graph, Operation *op) {
  llvm::ArrayRef<int64_t> axes = llvm::cast<ReverseOp>(op).getAxes();
  std::vector<int64_t> last(axes.size(), -1), before(axes.size(), std::numeric_limits<int64_t>::min());
  std::vector<std::string> inputs = {graph.full(op->getOperand(0)), graph.integers(last), graph.integers(before),
                                     graph.integers({axes.begin(), axes.end()}), graph.integers(last)};
  graph.set(op->getResult(0), graph.add("Slice", inputs));
}

/// A start that is computed, as i64[1] and no further than the block fits.
std::string clampedStart(Graph &graph, mlir::Value start, const Dim &room) {
  std::string whole = graph.add("Unsqueeze", {graph.cast(graph.full(start), DataType::Int64), graph.integers({0})});
  return graph.add("Max", {graph.add("Min", {whole, graph.size(room)}), graph.integers({0})});
}

void dynamicSlice(Graph &graph, Operation *op) {
  llvm::SmallVector<Dim> from = dimsOf(op->getOperand(0)), to = dimsOf(op->getResult(0));
  std::string x = graph.full(op->getOperand(0));
  for (size_t axis = 0; axis < from.size(); ++axis) {
    if (from[axis] == to[axis])
      continue;
    std::string start = clampedStart(graph, op->getOperand(static_cast<unsigned>(axis) + 1), from[axis] - to[axis]);
    x = graph.sliced(x, static_cast<int64_t>(axis), start, graph.add("Add", {start, graph.size(to[axis])}));
  }
  graph.set(op->getResult(0), x);
}

/// x with the block in its place: what lies before and behind it along the first axis that it does not fill, and
/// between these the same along the next one.
std::string updated(Graph &graph, DynamicUpdateSliceOp op, const std::string &x, size_t axis) {
  llvm::SmallVector<Dim> from = dimsOf(op.getOperand()), block = dimsOf(op.getUpdate());
  while (axis < from.size() && from[axis] == block[axis])
    ++axis;
  if (axis == from.size())
    return graph.full(op.getUpdate());
  auto at = static_cast<int64_t>(axis);
  std::string start = clampedStart(graph, op.getStarts()[axis], from[axis] - block[axis]);
  std::string end = graph.add("Add", {start, graph.size(block[axis])});
  std::string middle = updated(graph, op, graph.sliced(x, at, start, end), axis + 1);
  std::string before = graph.sliced(x, at, graph.integers({0}), start);
  std::string behind = graph.sliced(x, at, end, graph.size(from[axis]));
  return graph.add("Concat", {before, middle, behind}, {attribute("axis", at)});
}

void dynamicUpdateSlice(Graph &graph, Operation *op) {
  graph.set(op->getResult(0), updated(graph, llvm::cast<DynamicUpdateSliceOp>(op), graph.full(op->getOperand(0)), 0));
}

} // namespace

std::vector<Op> layoutOps() {
  return {
      {"constant", "an initializer", constant},
      {"iota", "Range", iota},
      {"extent", "Shape and arithmetic", extent},
      {"reshape", "Reshape", reshape},
      {"transpose", "Transpose", transpose},
      {"broadcast", "nothing beside elementwise ops, else Expand", broadcast},
      {"slice", "Slice", slice},
      {"pad", "Pad; between elements Reshape, Pad, Reshape", pad},
      {"concat", "Concat", concat},
      {"reverse", "Slice with steps of -1", reverse},
      {"dynamic_slice", "Slice", dynamicSlice},
      {"dynamic_update_slice", "Slice, Concat", dynamicUpdateSlice},
  };
}

} // namespace kiln::exported
