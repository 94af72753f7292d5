// Which clusters read which, in an order that is kept while they are put together.
#pragma once

#include "passes/Fuse/Cluster.h"

#include "llvm/ADT/DenseMap.h"

#include <vector>

namespace kiln::fuse {

/// The clusters of a block, and what their ops read.
struct ClusterGraph {
  using Ops = llvm::SmallVector<mlir::Operation *, 4>;
  std::vector<OpSet> clusters; ///< empty once put into another
  llvm::DenseMap<mlir::Operation *, unsigned> owner, position;
  llvm::DenseMap<mlir::Operation *, Ops> sources, readers; ///< cheap ops looked through

  llvm::ArrayRef<mlir::Operation *> readersOf(mlir::Operation *op) const { return of(readers, op); }
  llvm::ArrayRef<mlir::Operation *> sourcesOf(mlir::Operation *op) const { return of(sources, op); }
  /// The clusters that this one reads, or those that read it.
  llvm::SmallSetVector<unsigned, 8> neighbours(unsigned cluster, bool before) const;

private:
  static llvm::ArrayRef<mlir::Operation *> of(const llvm::DenseMap<mlir::Operation *, Ops> &map, mlir::Operation *op) {
    auto found = map.find(op);
    return found == map.end() ? llvm::ArrayRef<mlir::Operation *>() : llvm::ArrayRef(found->second);
  }
};

/// Clusters before their readers, as near to the order of the program as there is: what is asked about stands near each
/// other there, and so little stands between.
class ClusterOrder {
public:
  explicit ClusterOrder(const ClusterGraph &graph) : graph(graph) {}

  /// Clusters were added or taken apart: the next question makes the order anew.
  void invalidate() { sorted = false; }
  /// Which of two stands first.
  bool before(unsigned a, unsigned b) {
    sort();
    return rank[a] < rank[b];
  }
  /// Whether a way from one cluster to a later one leads through a third: then the two cannot be one.
  bool waysBetween(unsigned from, unsigned to);
  /// Behind waysBetween(from, to), which found none: the two are `joined` (one of them) from now on.
  void join(unsigned from, unsigned to, unsigned joined);

private:
  /// What a search has met from one of its ends.
  struct End {
    bool forward;
    llvm::SmallVector<unsigned> todo, met;
    std::vector<unsigned> seen; ///< the search in which a cluster was last met
    uint64_t work = 0;

    void start(unsigned cluster) {
      todo.assign(1, cluster);
      met.clear();
    }
  };
  void sort();
  bool expand(End &end, const End *other, unsigned begin, unsigned goal, unsigned limit);
  llvm::ArrayRef<mlir::Operation *> nextOf(mlir::Operation *op, const End &end) const {
    return end.forward ? graph.readersOf(op) : graph.sourcesOf(op);
  }
  uint64_t workOf(const End &end) const;

  const ClusterGraph &graph;
  bool sorted = false;
  std::vector<unsigned> rank;
  End ahead{true, {}, {}, {}}, behind{false, {}, {}, {}};
  unsigned search = 0;
};

} // namespace kiln::fuse
