// Elements by their indices, and orders of elements.
#include "frontend/export/Ops.h"

#include "passes/support/Values.h"

namespace kiln::exported {

namespace {

using mlir::Operation;

using Axes = std::vector<int64_t>;

/// Several lists one after another.
Axes chained(std::initializer_list<Axes> lists) {
  Axes out;
  for (const Axes &list : lists)
    out.insert(out.end(), list.begin(), list.end());
  return out;
}

llvm::SmallVector<Dim> at(llvm::ArrayRef<Dim> dims, const Axes &axes) {
  llvm::SmallVector<Dim> out;
  for (int64_t axis : axes)
    out.push_back(dims[static_cast<size_t>(axis)]);
  return out;
}

/// The axes of an indexed tensor [batch, before, axis, behind], and of what is taken from it or put into it
/// [batch, before, indices, behind].
struct Places {
  Axes batch, before, axis, behind;      // of the tensor
  Axes ownBefore, ownIndices, ownBehind; // of the slices; the batch is the same
  llvm::SmallVector<Dim> dims, indices;  // of the tensor, of the indices
};

Places placesOf(mlir::Value tensor, mlir::Value indices, int64_t axis, int64_t batch) {
  Places out;
  int64_t rank = rankOf(tensor), count = rankOf(indices) - batch;
  out.batch = counted(batch);
  out.before = counted(axis, batch);
  out.axis = {axis};
  out.behind = counted(rank, axis + 1);
  out.ownBefore = counted(axis, batch);
  out.ownIndices = counted(axis + count, axis);
  out.ownBehind = counted(rank - 1 + count, axis + count);
  out.dims = dimsOf(tensor);
  out.indices = dimsOf(indices);
  return out;
}

/// Indices along [batch * axis] as one axis, i64, [batch…, indices…]: each batch's own part of it.
std::string flatIndices(Graph &graph, const Places &places, mlir::Value indices) {
  std::string out = graph.full(indices);
  if (dataTypeOf(elementOf(indices)) != DataType::Int64)
    out = graph.cast(out, DataType::Int64);
  if (places.batch.empty())
    return out;
  llvm::SmallVector<Dim> batch = at(places.dims, places.batch), beside = batch;
  Dim count = productOf(batch);
  beside.resize(places.indices.size(), Dim(1));
  std::string from = graph.add("Mul", {graph.range(0, count), graph.size(at(places.dims, places.axis)[0])});
  return graph.add("Add", {out, graph.reshaped(from, {count}, beside)});
}

/// The tensor as [batch * axis, before…, behind…].
std::string flatTensor(Graph &graph, const Places &places, const std::string &name, llvm::SmallVector<Dim> &flat) {
  Axes order = chained({places.batch, places.axis, places.before, places.behind});
  llvm::SmallVector<Dim> rest = at(places.dims, chained({places.before, places.behind}));
  flat = {productOf(at(places.dims, chained({places.batch, places.axis})))};
  flat.append(rest);
  return graph.reshaped(graph.transposed(name, order), at(places.dims, order), flat);
}

void gather(Graph &graph, Operation *op) {
  auto gather = llvm::cast<GatherOp>(op);
  auto axis = static_cast<int64_t>(gather.getAxis());
  if (gather.getBatchDims() == 0)
    return graph.set(op->getResult(0),
                     graph.add("Gather", {graph.full(gather.getOperand()), graph.full(gather.getIndices())},
                               {attribute("axis", axis)}));
  Places places = placesOf(gather.getOperand(), gather.getIndices(), axis, static_cast<int64_t>(gather.getBatchDims()));
  llvm::SmallVector<Dim> flat;
  std::string tensor = flatTensor(graph, places, graph.full(gather.getOperand()), flat);
  std::string taken =
      graph.add("Gather", {tensor, flatIndices(graph, places, gather.getIndices())}, {attribute("axis", int64_t{0})});
  // [batch, indices, before, behind] as the result has them.
  auto b = static_cast<int64_t>(places.batch.size()), n = static_cast<int64_t>(places.indices.size());
  auto m = static_cast<int64_t>(places.before.size()), all = rankOf(op->getResult(0));
  graph.set(op->getResult(0),
            graph.transposed(taken, chained({counted(b), counted(n + m, n), counted(n, b), counted(all, n + m)})));
}

void scatter(Graph &graph, Operation *op) {
  auto scatter = llvm::cast<ScatterOp>(op);
  ScatterKind kind = scatter.getKind();
  if (graph.opset < 18 && (kind == ScatterKind::max || kind == ScatterKind::min))
    return graph.fail(op, "by the larger or smaller one needs ONNX's opset 18: --opset 18");
  if (isBool(elementOf(op->getResult(0))) && kind != ScatterKind::set)
    return graph.fail(op, "combines bool, which ONNX's ScatterND does not");
  Places places = placesOf(scatter.getOperand(), scatter.getIndices(), static_cast<int64_t>(scatter.getAxis()),
                           static_cast<int64_t>(scatter.getBatchDims()));
  llvm::SmallVector<Dim> flat, rows = places.indices;
  std::string tensor = flatTensor(graph, places, graph.full(scatter.getOperand()), flat);
  rows.push_back(Dim(1));
  std::string indices = graph.reshaped(flatIndices(graph, places, scatter.getIndices()), places.indices, rows);
  std::string updates = graph.transposed(
      graph.full(scatter.getUpdates()), chained({places.batch, places.ownIndices, places.ownBefore, places.ownBehind}));
  const char *how = kind == ScatterKind::add   ? "add"
                    : kind == ScatterKind::mul ? "mul"
                    : kind == ScatterKind::max ? "max"
                    : kind == ScatterKind::min ? "min"
                                               : "none";
  std::string out = graph.add("ScatterND", {tensor, indices, updates}, {attribute("reduction", std::string_view(how))});
  // Back to the operand's own axes.
  Axes order = chained({places.batch, places.axis, places.before, places.behind});
  graph.set(op->getResult(0), graph.transposed(graph.reshaped(out, flat, at(places.dims, order)), inverted(order)));
}

void ordered(Graph &graph, Operation *op, int64_t axis, const std::string &count, bool descending) {
  std::vector<std::string> both = graph.addSeveral(
      "TopK", {graph.full(op->getOperand(0)), count}, 2,
      {attribute("axis", axis), attribute("largest", int64_t{descending}), attribute("sorted", int64_t{1})});
  DataType type = dataTypeOf(elementOf(op->getResult(1)));
  graph.set(op->getResult(0), both[0]);
  graph.set(op->getResult(1), type == DataType::Int64 ? both[1] : graph.cast(both[1], type));
}

void sort(Graph &graph, Operation *op) {
  auto sort = llvm::cast<SortOp>(op);
  auto axis = static_cast<int64_t>(sort.getAxis());
  ordered(graph, op, axis, graph.size(dimsOf(op->getOperand(0))[static_cast<size_t>(axis)]), sort.getDescending());
}

void topK(Graph &graph, Operation *op) {
  ordered(graph, op, rankOf(op->getOperand(0)) - 1,
          graph.integers({static_cast<int64_t>(llvm::cast<TopKOp>(op).getK())}), true);
}

} // namespace

std::vector<Op> indexOps() {
  return {
      {"gather", "Gather", gather},
      {"scatter", "ScatterND", scatter},
      {"sort", "TopK", sort},
      {"top_k", "TopK", topK},
  };
}

} // namespace kiln::exported
