// Dimensions that nothing tells apart become one.
//
// Between each two neighbouring dimensions of a value stands a boundary. An op ties boundaries of its operands to those
// of its results (an elementwise op all of them, a transpose those that stay neighbours) or keeps one standing (a
// reduction that takes one side and leaves the other). Tied boundaries fall together, those that nothing keeps. So [B,
// T, N] + [N] becomes [B*T, N] + [N], and an elementwise kernel a single row.
#include "backends/cpu/compile/Phases.h"
#include "llvm/ADT/EquivalenceClasses.h"

using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {
namespace {

class Boundaries {
public:
  explicit Boundaries(Graph &graph) : graph(graph) {
    size_t next = 0;
    for (const TensorType &type : graph.values) {
      first.push_back(next);
      next += type.rank();
    }
    parent.resize(next);
    for (size_t i = 0; i < next; ++i)
      parent[i] = i;
    kept.assign(next, false);
    for (const Op &op : graph.ops)
      constrain(op);
    // Outputs of one shape stay of one shape: one phase computes them together.
    for (uint32_t a : graph.outputs)
      for (uint32_t b : graph.outputs)
        if (a < b && graph.type(a).dims == graph.type(b).dims)
          for (size_t d = 0; d + 1 < rank(a); ++d)
            tie(a, d, b, d);
    // So do the values that a kernel of rows or columns reduces: one loop walks over all of them.
    if (graph.shape == KILN_SHAPE_ROWS || graph.shape == KILN_SHAPE_COLUMNS) {
      const Op *first = nullptr;
      for (const Op &op : graph.ops)
        if (isWhole(op.code) && std::exchange(first, first ? first : &op))
          for (size_t d = 0; d + 1 < rank(op.operands[0]); ++d)
            tie(first->operands[0], d, op.operands[0], d);
    }
  }

  /// Whether dimensions d and d+1 of v become one.
  bool falls(uint32_t v, size_t d) { return !kept[find(first[v] + d)]; }

private:
  Graph &graph;
  std::vector<size_t> first, parent;
  std::vector<bool> kept;

  size_t find(size_t i) {
    while (parent[i] != i)
      i = parent[i] = parent[parent[i]];
    return i;
  }
  void tie(uint32_t a, size_t da, uint32_t b, size_t db) {
    size_t x = find(first[a] + da), y = find(first[b] + db);
    kept[x] = kept[x] || kept[y];
    parent[y] = x;
  }
  void keep(uint32_t v, size_t d) { kept[find(first[v] + d)] = true; }
  size_t rank(uint32_t v) const { return graph.type(v).rank(); }
  const Extent &dim(uint32_t v, size_t d) const { return graph.type(v).dims[d]; }

  void keepAll(uint32_t v) {
    for (size_t d = 0; d + 1 < rank(v); ++d)
      keep(v, d);
  }

  /// For an op whose result's dimension d comes from the operand's dimension `from[d]` unchanged (-1: changed, or from
  /// elsewhere): boundaries between neighbours on both sides are tied, others stand.
  void map(uint32_t result, uint32_t operand, ArrayRef<int> from) {
    SmallVector<int> to(rank(operand), -1);
    for (size_t d = 0; d < from.size(); ++d)
      if (from[d] >= 0)
        to[static_cast<size_t>(from[d])] = static_cast<int>(d);
    for (size_t d = 0; d + 1 < from.size(); ++d) {
      if (from[d] >= 0 && from[d + 1] == from[d] + 1)
        tie(result, d, operand, static_cast<size_t>(from[d]));
      else
        keep(result, d);
    }
    for (size_t d = 0; d + 1 < to.size(); ++d)
      if (!(to[d] >= 0 && to[d + 1] == to[d] + 1))
        keep(operand, d);
  }

  void mapWhere(uint32_t result, uint32_t operand, llvm::function_ref<bool(size_t)> unchanged) {
    SmallVector<int> from;
    for (size_t d = 0; d < rank(result); ++d)
      from.push_back(unchanged(d) ? static_cast<int>(d) : -1);
    map(result, operand, from);
  }

  void broadcast(const Op &op) {
    uint32_t operand = op.operands[0], result = op.results[0];
    // The operand's dimension behind each of the result's: -1 for a new one, -2 for one that is stretched.
    SmallVector<int> from(rank(result), -1);
    for (size_t d = 0; d < op.axes.size(); ++d)
      from[op.axes[d]] = dim(operand, d).isOne() && !dim(result, op.axes[d]).isOne() ? -2 : static_cast<int>(d);
    for (size_t d = 0; d + 1 < from.size(); ++d) {
      if (from[d] >= 0 && from[d + 1] >= 0)
        tie(result, d, operand, static_cast<size_t>(from[d]));
      else if (from[d] != -1 || from[d + 1] != -1)
        keep(result, d);
    }
    // A stretched dimension is not joined with its neighbours.
    for (size_t d = 0; d + 1 < op.axes.size(); ++d)
      if (from[op.axes[d]] == -2 || from[op.axes[d + 1]] == -2 || op.axes[d + 1] != op.axes[d] + 1)
        keep(operand, d);
  }

  void reduce(const Op &op, ArrayRef<int64_t> axes) {
    uint32_t operand = op.operands[0], result = op.results[0];
    SmallVector<int> from;
    for (size_t d = 0; d < rank(operand); ++d)
      if (!llvm::is_contained(axes, static_cast<int64_t>(d)))
        from.push_back(static_cast<int>(d));
    for (size_t d = 0; d + 1 < from.size(); ++d)
      if (from[d + 1] == from[d] + 1)
        tie(result, d, operand, static_cast<size_t>(from[d]));
      else
        keep(result, d);
    for (size_t d = 0; d + 1 < rank(operand); ++d)
      if (llvm::is_contained(axes, static_cast<int64_t>(d)) != llvm::is_contained(axes, static_cast<int64_t>(d + 1)))
        keep(operand, d);
  }

  /// gather's result, or scatter's updates: [operand before axis] + [indices after batch] + [operand after axis].
  void indexed(const Op &op, uint32_t table, uint32_t indices, uint32_t picked) {
    size_t axis = static_cast<size_t>(op.axis), batch = static_cast<size_t>(op.batchDims),
           count = rank(indices) - batch;
    SmallVector<int> fromTable, fromIndices;
    for (size_t d = 0; d < rank(picked); ++d) {
      bool middle = d >= axis && d < axis + count;
      fromTable.push_back(middle ? -1 : d < axis ? static_cast<int>(d) : static_cast<int>(d - count + 1));
      fromIndices.push_back(d < batch ? static_cast<int>(d) : middle ? static_cast<int>(d - axis + batch) : -1);
    }
    for (size_t d = 0; d + 1 < rank(picked); ++d) {
      bool inTable = fromTable[d] >= 0 && fromTable[d + 1] == fromTable[d] + 1;
      bool inIndices = fromIndices[d] >= 0 && fromIndices[d + 1] == fromIndices[d] + 1;
      bool split = (fromIndices[d] >= 0) != (fromIndices[d + 1] >= 0);
      if (inTable)
        tie(picked, d, table, static_cast<size_t>(fromTable[d]));
      if (inIndices)
        tie(picked, d, indices, static_cast<size_t>(fromIndices[d]));
      if (split || (!inTable && !inIndices))
        keep(picked, d);
    }
    if (axis > 0)
      keep(table, axis - 1);
    if (axis + 1 < rank(table))
      keep(table, axis);
    if (batch > 0 && batch < rank(indices))
      keep(indices, batch - 1);
    // With no dimension of the indices between them, the table's neighbours of the axis meet in the result.
    if (batch > 0 && batch < axis)
      keep(table, batch - 1);
  }

  /// Free dimensions go with the result's, batch and contracted ones with the other operand's that they are paired
  /// with.
  void dot(const Op &op) {
    uint32_t lhs = op.operands[0], rhs = op.operands[1], result = op.results[0];
    std::vector<bool> tied(rank(result), false);
    size_t position = op.lhsBatch.size();
    auto freeOnes = [&](uint32_t v, ArrayRef<int64_t> batches, ArrayRef<int64_t> contracts) {
      auto isFree = [&](size_t d) {
        return !llvm::is_contained(batches, static_cast<int64_t>(d)) &&
               !llvm::is_contained(contracts, static_cast<int64_t>(d));
      };
      for (size_t d = 0; d < rank(v); ++d) {
        if (isFree(d) && d + 1 < rank(v) && isFree(d + 1)) {
          tie(result, position, v, d);
          tied[position] = true;
        } else if (d + 1 < rank(v) && !samePair(batches, d) && !samePair(contracts, d)) {
          keep(v, d);
        }
        position += isFree(d);
      }
    };
    freeOnes(lhs, op.lhsBatch, op.lhsContract);
    freeOnes(rhs, op.rhsBatch, op.rhsContract);
    auto pairs = [&](ArrayRef<int64_t> left, ArrayRef<int64_t> right, bool inResult) {
      for (size_t p = 0; p + 1 < left.size(); ++p) {
        bool bothNext = left[p + 1] == left[p] + 1 && right[p + 1] == right[p] + 1;
        if (bothNext) {
          tie(lhs, static_cast<size_t>(left[p]), rhs, static_cast<size_t>(right[p]));
          if (inResult)
            tie(result, p, lhs, static_cast<size_t>(left[p])), tied[p] = true;
          continue;
        }
        if (left[p + 1] == left[p] + 1)
          keep(lhs, static_cast<size_t>(left[p]));
        if (right[p + 1] == right[p] + 1)
          keep(rhs, static_cast<size_t>(right[p]));
      }
    };
    pairs(op.lhsBatch, op.rhsBatch, true);
    pairs(op.lhsContract, op.rhsContract, false);
    for (size_t d = 0; d + 1 < rank(result); ++d)
      if (!tied[d])
        keep(result, d);
  }

  /// Whether d and d + 1 stand one after the other in a list of axes.
  static bool samePair(ArrayRef<int64_t> axes, size_t d) {
    for (size_t i = 0; i + 1 < axes.size(); ++i)
      if (axes[i] == static_cast<int64_t>(d) && axes[i + 1] == static_cast<int64_t>(d) + 1)
        return true;
    return false;
  }

  void window(const Op &op, uint32_t operand, uint32_t windows) {
    mapWhere(windows, operand,
             [&](size_t d) { return op.window[d] == 1 && op.strides[d] == 1 && op.low[d] == 0 && op.high[d] == 0; });
  }

  /// Along neighbouring axes where a window is one pixel, and windows are pixels, images are rows. In the result pixels
  /// are only numbered: the op has their extents.
  void convolution(const Op &op) {
    uint32_t input = op.operands[0], filter = op.operands[1], result = op.results[0];
    auto plain = [&](size_t d) {
      return dim(filter, 2 + d).isOne() && op.strides[d] == 1 && op.low[d] == 0 && op.high[d] == 0 &&
             op.inputDilation[d] == 1;
    };
    for (uint32_t v : {input, filter, result})
      keep(v, 0), keep(v, 1);
    for (size_t d = 0; d + 1 < op.strides.size(); ++d) {
      if (plain(d) && plain(d + 1)) {
        tie(result, 2 + d, input, 2 + d);
        tie(filter, 2 + d, input, 2 + d);
      } else {
        keep(input, 2 + d);
        keep(filter, 2 + d);
      }
    }
  }

  void layout(const Op &op) {
    uint32_t operand = op.operands.empty() ? 0 : op.operands[0], result = op.results[0];
    switch (op.code) {
    case OpCode::Iota:
      if (op.axis > 0)
        keep(result, static_cast<size_t>(op.axis) - 1);
      if (static_cast<size_t>(op.axis) + 1 < rank(result))
        keep(result, static_cast<size_t>(op.axis));
      return;
    case OpCode::Transpose: {
      SmallVector<int> from;
      for (int64_t axis : op.axes)
        from.push_back(static_cast<int>(axis));
      return map(result, operand, from);
    }
    case OpCode::Broadcast:
      return broadcast(op);
    case OpCode::Slice:
      return mapWhere(result, operand, [&](size_t d) {
        return dim(operand, d) == dim(result, d) && op.starts[d] == Extent(0) && op.strides[d] == 1;
      });
    case OpCode::Pad:
      return mapWhere(result, operand, [&](size_t d) {
        return op.lowExtents[d] == Extent(0) && op.highExtents[d] == Extent(0) && op.interior[d] == 0;
      });
    case OpCode::Concat:
      for (uint32_t each : op.operands)
        mapWhere(result, each, [&](size_t d) { return static_cast<int64_t>(d) != op.axis; });
      return;
    case OpCode::Reverse:
      return mapWhere(result, operand, [&](size_t d) { return !llvm::is_contained(op.axes, static_cast<int64_t>(d)); });
    case OpCode::DynamicSlice:
    case OpCode::DynamicUpdateSlice:
      // Each dimension has a start of its own.
      keepAll(result);
      keepAll(operand);
      if (op.code == OpCode::DynamicUpdateSlice)
        keepAll(op.operands[1]);
      return;
    case OpCode::Gather:
      return indexed(op, operand, op.operands[1], result);
    case OpCode::Dequantize: // rows are cut up anew
    case OpCode::Decode:
      for (uint32_t each : op.operands)
        keepAll(each);
      return keepAll(result);
    default:
      return; // constant, random_bits, extent, reshape: only the row-major order counts
    }
  }

  void reshape(const Op &op) {
    // Nothing has to be kept, but boundaries that stand on both sides at the same position stay together, so that the
    // reshape stays one of single dimensions.
    uint32_t operand = op.operands[0], result = op.results[0];
    Extent a(1);
    for (size_t i = 0; i + 1 < rank(operand); ++i) {
      a = a * dim(operand, i);
      Extent c(1);
      for (size_t j = 0; j + 1 < rank(result); ++j) {
        c = c * dim(result, j);
        if (a == c && !dim(operand, i + 1).isOne() && !dim(result, j + 1).isOne()) {
          tie(result, j, operand, i);
          break;
        }
      }
    }
  }

  void constrain(const Op &op) {
    uint32_t result = op.results[0];
    if (isElementwise(op.code)) {
      for (uint32_t operand : op.operands)
        for (size_t d = 0; d + 1 < rank(result); ++d)
          tie(result, d, operand, d);
      return;
    }
    switch (op.code) {
    case OpCode::Reshape:
      return reshape(op);
    case OpCode::Reduce:
      return reduce(op, op.axes);
    case OpCode::ArgReduce:
      return reduce(op, {op.axis});
    case OpCode::ReduceWindow:
      return window(op, op.operands[0], result);
    case OpCode::ReduceWindowGrad:
      window(op, op.operands[0], op.operands[1]);
      return mapWhere(result, op.operands[0], [&](size_t) { return true; });
    case OpCode::Attention:
    case OpCode::AttentionGrad:
    case OpCode::BiasedAttention:
    case OpCode::BiasedAttentionGrad:
    case OpCode::DropoutAttention:
    case OpCode::DropoutAttentionGrad:
    case OpCode::CappedAttention:
    case OpCode::CappedAttentionGrad:
      for (uint32_t v : op.operands)
        keepAll(v);
      for (uint32_t v : op.results)
        keepAll(v);
      return;
    case OpCode::Scatter:
      indexed(op, op.operands[0], op.operands[1], op.operands[2]);
      return mapWhere(result, op.operands[0], [&](size_t) { return true; });
    case OpCode::DotGeneral:
      return dot(op);
    case OpCode::Convolution:
      return convolution(op);
    default:
      if (infoOf(op.code).opClass != sdk::OpClass::Whole)
        return layout(op);
      // Along an axis: sort, running sums, and top_k, whose axis is the last.
      int64_t axis = op.code == OpCode::TopK ? static_cast<int64_t>(rank(result)) - 1 : op.axis;
      for (uint32_t each : op.results)
        mapWhere(each, op.operands[0], [&](size_t d) { return static_cast<int64_t>(d) != axis; });
    }
  }
};

/// Where each old dimension of a value went.
using Moves = std::vector<SmallVector<int64_t, 4>>;

template <class List> void renumber(List &axes, ArrayRef<int64_t> moves) {
  List result;
  for (int64_t axis : axes)
    if (result.empty() || result.back() != moves[axis])
      result.push_back(moves[axis]);
  axes = result;
}

/// Of lists with an entry a dimension: that of the first of those that became one (they are all of no effect there).
template <class List> void compress(List &list, ArrayRef<int64_t> moves) {
  List result;
  for (size_t d = 0; d < list.size(); ++d)
    if (d == 0 || moves[d] != moves[d - 1])
      result.push_back(list[d]);
  list = result;
}

void rewrite(const Graph &graph, Op &op, const Moves &moves) {
  if (op.operands.empty()) {
    if (op.code == OpCode::Iota)
      op.axis = moves[op.results[0]][op.axis];
    return;
  }
  ArrayRef<int64_t> from = moves[op.operands[0]], to = moves[op.results[0]];
  switch (op.code) {
  case OpCode::Broadcast:
    return renumber(op.axes, to);
  case OpCode::Transpose:
  case OpCode::Reduce:
  case OpCode::Reverse:
    return renumber(op.axes, from);
  case OpCode::Gather:
  case OpCode::Scatter:
    // Batch dimensions are the first of the indices: as many are left as stand before the first other one.
    if (op.batchDims)
      op.batchDims = moves[op.operands[1]][op.batchDims - 1] + 1;
    op.axis = from[op.axis];
    return;
  case OpCode::DotGeneral: {
    ArrayRef<int64_t> right = moves[op.operands[1]];
    renumber(op.lhsBatch, from);
    renumber(op.lhsContract, from);
    renumber(op.rhsBatch, right);
    return renumber(op.rhsContract, right);
  }
  case OpCode::Slice:
    compress(op.starts, from);
    return compress(op.strides, from);
  case OpCode::Pad:
    compress(op.lowExtents, from);
    compress(op.highExtents, from);
    return compress(op.interior, from);
  case OpCode::ReduceWindow:
  case OpCode::ReduceWindowGrad:
    compress(op.window, from);
    compress(op.strides, from);
    compress(op.low, from);
    return compress(op.high, from);
  case OpCode::Convolution: {
    Shape pixels; // joined where the input's axes are
    for (size_t d = 0; d < op.pixels.size(); ++d)
      if (from[2 + d] != from[1 + d])
        pixels.push_back(op.pixels[d]);
      else
        pixels.back() = pixels.back() * op.pixels[d];
    op.pixels = pixels;
    for (auto *list : {&op.strides, &op.low, &op.high, &op.inputDilation, &op.filterDilation})
      compress(*list, from.drop_front(2));
    return;
  }
  default:
    if (!from.empty())
      op.axis = from[op.axis]; // of those without one it is and stays 0
  }
}

} // namespace

void collapseDimensions(Graph &graph) {
  Boundaries boundaries(graph);
  Moves moves(graph.values.size());
  std::vector<Shape> shapes(graph.values.size());
  for (uint32_t v = 0; v < graph.values.size(); ++v) {
    ArrayRef<Extent> dims = graph.type(v).dims;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (d > 0 && boundaries.falls(v, d - 1))
        shapes[v].back() = shapes[v].back() * dims[d];
      else
        shapes[v].push_back(dims[d]);
      moves[v].push_back(static_cast<int64_t>(shapes[v].size()) - 1);
    }
  }
  for (Op &op : graph.ops)
    rewrite(graph, op, moves);
  for (uint32_t v = 0; v < graph.values.size(); ++v)
    graph.values[v].dims = shapes[v];
}

} // namespace kiln::cpu
