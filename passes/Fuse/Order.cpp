// An order under merging, as Pearce and Kelly keep one under new edges: what has to move changes places among itself.

#include "passes/Fuse/Order.h"

#include <queue>

namespace kiln::fuse {

llvm::SmallSetVector<unsigned, 8> ClusterGraph::neighbours(unsigned cluster, bool before) const {
  llvm::SmallSetVector<unsigned, 8> result;
  for (mlir::Operation *op : clusters[cluster])
    for (mlir::Operation *next : before ? sourcesOf(op) : readersOf(op))
      if (unsigned other = owner.lookup(next); other != cluster)
        result.insert(other);
  return result;
}

void ClusterOrder::sort() {
  if (sorted)
    return;
  sorted = true;
  size_t count = graph.clusters.size();
  rank.assign(count, 0);
  ahead.seen.assign(count, 0);
  behind.seen.assign(count, 0);
  search = 0;
  using Ready = std::pair<unsigned, unsigned>; // where its first op stands, the cluster
  std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
  auto isReady = [&](unsigned cluster) {
    ready.push({graph.position.lookup(graph.clusters[cluster].front()), cluster});
  };
  std::vector<size_t> waiting(count, 0);
  for (unsigned c = 0; c < count; ++c)
    if (!graph.clusters[c].empty() && (waiting[c] = graph.neighbours(c, /*before=*/true).size()) == 0)
      isReady(c);
  for (unsigned place = 0; !ready.empty(); ++place) {
    unsigned next = ready.top().second;
    ready.pop();
    rank[next] = place;
    for (unsigned reader : graph.neighbours(next, /*before=*/false))
      if (--waiting[reader] == 0)
        isReady(reader);
  }
}

/// What the next expansion of this end looks at.
uint64_t ClusterOrder::workOf(const End &end) const {
  uint64_t work = 1;
  if (!end.todo.empty())
    for (mlir::Operation *op : graph.clusters[end.todo.back()])
      work += nextOf(op, end).size();
  return work;
}

// Meets what stands between `begin`, where the end started, and the rank `limit`. True where that closes a way to the
// goal, or to what the other end has met.
bool ClusterOrder::expand(End &end, const End *other, unsigned begin, unsigned goal, unsigned limit) {
  unsigned current = end.todo.pop_back_val();
  for (mlir::Operation *op : graph.clusters[current])
    for (mlir::Operation *nextOp : nextOf(op, end)) {
      unsigned next = graph.owner.lookup(nextOp);
      if (other && next == goal && current != begin)
        return true;
      bool between = end.forward ? rank[next] < limit : rank[next] > limit;
      if (next == current || next == goal || !between || end.seen[next] == search)
        continue;
      if (other && other->seen[next] == search)
        return true;
      end.seen[next] = search;
      end.met.push_back(next);
      end.todo.push_back(next);
    }
  return false;
}

// From both ends, always on the one that has less to do: a value that thousands read is not gone through for each of
// its readers.
bool ClusterOrder::waysBetween(unsigned from, unsigned to) {
  ++search;
  ahead.start(from);
  behind.start(to);
  ahead.work = workOf(ahead);
  behind.work = workOf(behind);
  while (!ahead.todo.empty() && !behind.todo.empty()) {
    bool forward = ahead.work <= behind.work;
    End &end = forward ? ahead : behind;
    if (forward ? expand(ahead, &behind, from, to, rank[to]) : expand(behind, &ahead, to, from, rank[from]))
      return true;
    end.work += workOf(end);
  }
  return false;
}

// The two go in front of what the earlier one leads to, and behind what the later one reads. One of these is known
// whole; of the other, only what stands on the wrong side of it has to move. All of them change places among
// themselves, and nothing else does.
void ClusterOrder::join(unsigned from, unsigned to, unsigned joined) {
  bool knowsReaders = ahead.todo.empty();
  End &known = knowsReaders ? ahead : behind, &rest = knowsReaders ? behind : ahead;
  unsigned begin = knowsReaders ? to : from;
  ++search;
  rest.start(joined);
  auto byRank = [&](unsigned a, unsigned b) { return rank[a] < rank[b]; };
  llvm::sort(known.met, byRank);
  if (known.met.empty()) {
    rank[joined] = rank[begin];
    return;
  }
  unsigned limit = rank[knowsReaders ? known.met.front() : known.met.back()];
  while (!rest.todo.empty())
    expand(rest, nullptr, joined, joined, limit);
  llvm::sort(rest.met, byRank);
  llvm::SmallVector<unsigned> moved, places = {rank[begin]};
  llvm::append_range(moved, behind.met);
  moved.push_back(joined);
  llvm::append_range(moved, ahead.met);
  for (End *end : {&ahead, &behind})
    for (unsigned cluster : end->met)
      places.push_back(rank[cluster]);
  llvm::sort(places);
  for (auto [cluster, place] : llvm::zip_equal(moved, places))
    rank[cluster] = place;
}

} // namespace kiln::fuse
