// When each buffer is alive, and an offset for it.

#include "passes/PlanMemory/PlanMemory.h"

#include "ir/Classes.h"
#include "ir/Infer.h"

#include <algorithm>
#include <numeric>
#include <random>

namespace kiln::plan {

Dim bytesOf(mlir::Type type) { return productOf(dimsOf(type)) * Dim(elementBytes(type)); }

static int64_t aligned(int64_t bytes, int64_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

//===-- When a buffer is live ----------------------------------------------------------------------------------===//

static void number(Step &step, int64_t &time) {
  step.begin = time;
  if (step.children.empty())
    ++time;
  for (Step &child : step.children)
    number(child, time);
  step.end = std::max(step.begin, time - 1);
}

static void touch(FunctionPlan &plan, const Place &place, const Step &step, llvm::ArrayRef<const Step *> loops) {
  if (place.space != Place::Space::arena)
    return;
  Buffer &buffer = plan.buffers[place.index];
  // A buffer from outside of a loop stays for the whole of it: the next iteration wants it too.
  const Step &life = loops.size() > buffer.home ? *loops[buffer.home] : step;
  buffer.begin = buffer.begin < 0 ? life.begin : std::min(buffer.begin, life.begin);
  buffer.end = std::max(buffer.end, life.end);
}

static void touchAll(FunctionPlan &plan, const Step &step, llvm::SmallVector<const Step *> &loops) {
  bool isLoop = step.kind == Step::Kind::repeat || step.kind == Step::Kind::loop;
  for (const Place &place : step.places)
    touch(plan, place, step, loops);
  if (step.scratch)
    touch(plan, *step.scratch, step, loops);
  if (isLoop)
    loops.push_back(&step);
  if (step.kind == Step::Kind::loop || step.kind == Step::Kind::branch)
    touch(plan, step.condition, step, loops);
  for (const Step &child : step.children)
    touchAll(plan, child, loops);
  if (isLoop)
    loops.pop_back();
}

std::vector<int64_t> liveBytes(const FunctionPlan &plan, int64_t alignment) {
  std::vector<int64_t> live(static_cast<size_t>(plan.root.end + 2)); // first by how much it changes; none at the end
  for (const Buffer &buffer : plan.buffers)
    if (buffer.begin >= 0) {
      live[static_cast<size_t>(buffer.begin)] += aligned(buffer.bytes, alignment);
      live[static_cast<size_t>(buffer.end + 1)] -= aligned(buffer.bytes, alignment);
    }
  std::partial_sum(live.begin(), live.end(), live.begin());
  return live;
}

// The most that is live at once: memory that no schedule of these steps can do without.
static int64_t mostLive(const FunctionPlan &plan) {
  std::vector<int64_t> live = liveBytes(plan, plan.alignment);
  return *std::max_element(live.begin(), live.end());
}

// Memory that is used again makes its writer wait for its last reader, on devices that run several kernels at once.
// Numbers and the like have theirs to themselves: it costs nothing, and all the norms of a step are measured together.
static void keepSmallApart(FunctionPlan &plan) {
  constexpr int64_t small = 64, worth = 100;
  llvm::SmallVector<Buffer *> apart;
  for (Buffer &buffer : plan.buffers)
    if (buffer.begin >= 0 && buffer.bytes <= small)
      apart.push_back(&buffer);
  if (static_cast<int64_t>(apart.size()) * plan.alignment > mostLive(plan) / worth)
    return;
  for (Buffer *buffer : apart) {
    buffer->begin = 0;
    buffer->end = plan.root.end;
  }
}

void computeLifetimes(FunctionPlan &plan) {
  int64_t time = 0;
  number(plan.root, time);
  llvm::SmallVector<const Step *> loops;
  touchAll(plan, plan.root, loops);
  keepSmallApart(plan);
  plan.lowerBound = mostLive(plan);
}

//===-- Where it lies ------------------------------------------------------------------------------------------===//

// First fit at the lowest offset, in the order given: `offsets` by buffer. Returns the arena's size; as soon as it is
// known to be above `most`, that, and the rest is not placed.
static int64_t place(llvm::ArrayRef<Buffer> buffers, llvm::ArrayRef<unsigned> order, int64_t alignment,
                     std::vector<int64_t> &offsets, int64_t most = INT64_MAX) {
  struct Placed { // what a search reads of a buffer, beside each other by their offsets: all are looked through each
                  // time
    int64_t begin, end, offset, top;
  };
  std::vector<Placed> placed;
  placed.reserve(order.size());
  int64_t arena = 0;
  for (unsigned index : order) {
    const Buffer &buffer = buffers[index];
    int64_t offset = 0, size = aligned(buffer.bytes, alignment), begin = buffer.begin, end = buffer.end;
    for (const Placed &other : placed) {
      if (other.end < begin || other.begin > end)
        continue;
      if (offset + size <= other.offset)
        break;
      offset = std::max(offset, other.top);
    }
    offsets[index] = offset;
    arena = std::max(arena, offset + size);
    if (arena > most)
      return arena;
    auto behind = std::upper_bound(placed.begin(), placed.end(), offset,
                                   [](int64_t at, const Placed &other) { return at < other.offset; });
    placed.insert(behind, {begin, end, offset, offset + size});
  }
  return arena;
}

// Where no simple order reaches the bound, small random changes of one often do. The same every time.
static void improve(FunctionPlan &plan, std::vector<unsigned> order, std::vector<int64_t> &best) {
  if (order.empty() || plan.arenaBytes == plan.lowerBound)
    return;
  llvm::sort(order, [&](unsigned a, unsigned b) { return std::make_pair(best[a], a) < std::make_pair(best[b], b); });
  std::minstd_rand random(1);
  size_t attempts = std::min<size_t>(4000, 20000000 / (order.size() * order.size() + 1));
  std::vector<int64_t> offsets = best;
  std::vector<unsigned> changed;
  for (size_t i = 0; i < attempts && plan.arenaBytes > plan.lowerBound; ++i) {
    changed = order;
    unsigned from = random() % changed.size(), to = random() % changed.size();
    unsigned moved = changed[from];
    changed.erase(changed.begin() + from);
    changed.insert(changed.begin() + to, moved);
    int64_t arena = place(plan.buffers, changed, plan.alignment, offsets, plan.arenaBytes);
    if (arena > plan.arenaBytes)
      continue;
    plan.arenaBytes = arena;
    best = offsets;
    order.swap(changed);
  }
}

// One behind the other, each with memory of its own, so that what lies between them is nobody's for the whole run.
static void layApart(FunctionPlan &plan, llvm::ArrayRef<unsigned> order) {
  int64_t at = 0;
  for (unsigned index : order) {
    Buffer &buffer = plan.buffers[index];
    buffer.offset = aligned(at + plan.redZone, plan.alignment);
    at = buffer.offset + buffer.bytes;
  }
  plan.arenaBytes = aligned(at + plan.redZone, plan.alignment);
}

void assignOffsets(FunctionPlan &plan) {
  std::vector<unsigned> order;
  for (unsigned i = 0; i < plan.buffers.size(); ++i)
    if (plan.buffers[i].begin >= 0 && plan.buffers[i].bytes > 0)
      order.push_back(i);
  if (plan.redZone > 0)
    return layApart(plan, order);
  auto size = [&](unsigned i) { return plan.buffers[i].bytes; };
  auto life = [&](unsigned i) { return plan.buffers[i].end - plan.buffers[i].begin; };
  auto begin = [&](unsigned i) { return plan.buffers[i].begin; };
  using Key = std::array<int64_t, 3>;
  std::function<Key(unsigned)> keys[] = {
      [&](unsigned i) { return Key{-size(i), -life(i), begin(i)}; },
      [&](unsigned i) { return Key{-size(i), begin(i), 0}; },
      [&](unsigned i) { return Key{begin(i), -size(i), 0}; },
      [&](unsigned i) { return Key{-life(i), -size(i), begin(i)}; },
      [&](unsigned i) { return Key{-(size(i) / 4096 + 1) * (life(i) + 1), -size(i), begin(i)}; },
      [&](unsigned i) { return Key{-plan.buffers[i].end, -size(i), 0}; },
  };
  std::vector<int64_t> best, offsets(plan.buffers.size());
  for (auto &key : keys) {
    llvm::sort(order, [&](unsigned a, unsigned b) { return std::make_pair(key(a), a) < std::make_pair(key(b), b); });
    int64_t most = best.empty() ? INT64_MAX : plan.arenaBytes,
            arena = place(plan.buffers, order, plan.alignment, offsets, most);
    if (best.empty() || arena < plan.arenaBytes) {
      best = offsets;
      plan.arenaBytes = arena;
    }
    if (plan.arenaBytes == plan.lowerBound)
      break;
  }
  improve(plan, order, best);
  for (unsigned index : order)
    plan.buffers[index].offset = best[index];
}

} // namespace kiln::plan
