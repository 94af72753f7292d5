// The order in which ops are put together, and its limits.

#include "passes/Fuse/Merge.h"

#include "ir/Bounds.h"
#include "ir/Infer.h"
#include "passes/Fuse/Donation.h"
#include "passes/Fuse/Order.h"
#include "passes/Fuse/Outline.h"
#include "passes/support/Values.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"

namespace kiln::fuse {

// Above these a kernel runs out of registers, or takes long to compile, for little gain.
static constexpr size_t maxOps = 48, maxInputs = 24, maxOutputs = 8;
// An epilogue runs on a tile's accumulators: a few ops cost nothing there, a long chain spills them.
static constexpr size_t maxEpilogue = 16;
// How many ops a value's readers compute again rather than have it stored by an epilogue.
static constexpr size_t maxPeeled = 4;
// A prologue may be computed more than once for an element, when a block is packed again.
static constexpr size_t maxPrologue = 3;
// A parameter's update joins the product that makes its gradient only where it is short (plain SGD).
static constexpr size_t maxFusedUpdate = 4;
// Ops further apart than this, in the order of the program, do not go together: one would run long before its time (an
// op of the backward half in the forward half), and what it makes would wait in memory.
static constexpr unsigned maxDistance = 24;

namespace {
class Merger : private ClusterGraph {
public:
  Merger(mlir::Block &block, FuseLevel level) : block(block), level(level) {
    auto function = llvm::dyn_cast<mlir::func::FuncOp>(block.getParentOp());
    if (!function)
      function = block.getParentOp()->getParentOfType<mlir::func::FuncOp>();
    if (function)
      bounds = boundsOf(function);
    collect();
    findUpdates();
  }

  llvm::SmallVector<OpSet> run() {
    if (level == FuseLevel::full) {
      growAttention();
      growContracts();
      peel(GroupShape::contract);
    }
    if (level != FuseLevel::single) {
      growReductions(GroupShape::rows);
      peel(GroupShape::rows);
      mergeColumns();
      growReductions(GroupShape::columns);
      mergeColumns();
      mergeElementwise();
      mergeSiblings();
    }
    if (level == FuseLevel::full)
      addPrologues();
    llvm::SmallVector<OpSet> result;
    for (unsigned i = 0; i < clusters.size(); ++i)
      if (shapes[i] && !clusters[i].empty())
        result.push_back(clusters[i]);
    return result;
  }

private:
  void collect();
  void findUpdates();
  bool tooBig(const OpSet &ops) const;
  bool tryMerge(unsigned into, unsigned other, bool anywhere = false);
  bool isUpdate(unsigned cluster) const {
    return llvm::any_of(clusters[cluster], [&](mlir::Operation *op) { return updates.contains(op); });
  }
  bool longUpdate(unsigned cluster) const {
    return llvm::any_of(clusters[cluster], [&](mlir::Operation *op) { return longUpdates.contains(op); });
  }

  void growAttention();
  void growContracts();
  void peel(GroupShape shape);
  bool near(unsigned a, unsigned b) const {
    if (isUpdate(a) && isUpdate(b))
      return true;
    auto span = [&](unsigned cluster) {
      unsigned low = ~0u, high = 0;
      for (mlir::Operation *op : clusters[cluster]) {
        low = std::min(low, position.lookup(op));
        high = std::max(high, position.lookup(op));
      }
      return std::make_pair(low, high);
    };
    auto [lowA, highA] = span(a);
    auto [lowB, highB] = span(b);
    return lowB <= highA + maxDistance && lowA <= highB + maxDistance;
  }
  bool feedsAnchor(unsigned cluster) const {
    return llvm::any_of(clusters[cluster], [&](mlir::Operation *op) {
      return llvm::any_of(readersOf(op), [&](mlir::Operation *reader) { return role(reader) == Role::contract; });
    });
  }
  OpSet betterOutside(mlir::Operation *op, const OpSet &ops, bool elementwiseReaders) const;
  void growReductions(GroupShape shape);
  void mergeColumns();
  void collectColumnSums();
  void mergeElementwise();
  void mergeSiblings();
  void addPrologues();
  bool turnsArgument(unsigned cluster) const;
  bool makesFewRows(unsigned cluster, unsigned product) const;

  mlir::Block &block;
  FuseLevel level;
  Bounds bounds;
  llvm::DenseMap<mlir::Operation *, Role> roles;
  /// roleOf, found once of each op: none changes while clusters grow.
  std::function<Role(mlir::Operation *)> role = [this](mlir::Operation *op) {
    auto [entry, isNew] = roles.try_emplace(op);
    return isNew ? entry->second = roleOf(op) : entry->second;
  };
  std::vector<std::optional<GroupShape>> shapes; // nullopt: an op that no group holds (control, reshape, constant)
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<mlir::Value, 4>> reads; // forEachSource of a cluster's ops
  llvm::DenseSet<mlir::Operation *> updates, longUpdates;
  ClusterOrder order = ClusterOrder(*this);
};
} // namespace

void Merger::collect() {
  llvm::SmallVector<mlir::Operation *> kept = cheapOpsToKeep(block);
  llvm::DenseSet<mlir::Operation *> keep(kept.begin(), kept.end());
  if (level == FuseLevel::single)
    for (mlir::Operation &op : block.without_terminator())
      if (role(&op) == Role::cheap && !isPlainSource(&op) && !op.use_empty())
        keep.insert(&op);
  for (mlir::Operation &op : block.without_terminator()) {
    if (role(&op) == Role::cheap && !keep.contains(&op))
      continue;
    position[&op] = position.size();
    owner[&op] = clusters.size();
    clusters.emplace_back();
    clusters.back().insert(&op);
    Role its = role(&op);
    bool groupable = its != Role::free && its != Role::control && its != Role::other;
    shapes.push_back(groupable ? shapeOf(clusters.back(), role) : std::nullopt);
    llvm::SmallVector<mlir::Value, 4> &values = reads[&op];
    forEachSource(&op, [&](mlir::Value source) { values.push_back(source); }, role);
  }
  for (mlir::Operation &op : block.without_terminator()) {
    if (!owner.count(&op))
      continue;
    llvm::SmallSetVector<mlir::Operation *, 4> from;
    op.walk([&](mlir::Operation *nested) {
      auto add = [&](mlir::Value source) {
        if (mlir::Operation *definition = source.getDefiningOp(); definition && owner.count(definition))
          from.insert(definition);
      };
      forEachSource(nested, add, role);
      // A cheap op with a kernel of its own is read as a value where no group reads it.
      for (mlir::Value operand : nested->getOperands())
        if (mlir::Operation *definition = operand.getDefiningOp();
            definition && keep.contains(definition) && !shapes[owner.lookup(&op)])
          from.insert(definition);
    });
    from.remove(&op);
    sources[&op] = Ops(from.begin(), from.end());
    for (mlir::Operation *definition : from)
      readers[definition].push_back(&op);
  }
}

// Ops that serve nothing but the new value of a donated argument: an optimizer's sweep over one parameter.
void Merger::findUpdates() {
  if (!llvm::isa<mlir::func::FuncOp>(block.getParentOp()))
    return;
  llvm::DenseSet<mlir::Value> donated, results;
  for (auto [argument, value] : overwrites(block))
    donated.insert(value);
  for (mlir::Value value : block.getTerminator()->getOperands())
    results.insert(value);
  llvm::EquivalenceClasses<mlir::Operation *> sweeps;
  for (mlir::Operation &op : llvm::reverse(block)) {
    if (!owner.count(&op) || role(&op) != Role::index || !isElementwise(&op))
      continue;
    mlir::Value result = op.getResult(0);
    bool returned = results.contains(result);
    if (returned ? !donated.contains(result) : dimsOf(result).empty())
      continue;
    llvm::ArrayRef<mlir::Operation *> users = readersOf(&op);
    if ((users.empty() && !returned) ||
        !llvm::all_of(users, [&](mlir::Operation *user) { return updates.contains(user); }))
      continue;
    updates.insert(&op);
    sweeps.insert(&op);
    for (mlir::Operation *user : users)
      if (user->getResult(0).getType() == result.getType())
        sweeps.unionSets(&op, user);
  }
  for (auto it = sweeps.begin(); it != sweeps.end(); ++it)
    if (it->isLeader()) {
      auto members = llvm::make_range(sweeps.member_begin(it), sweeps.member_end());
      if (std::distance(members.begin(), members.end()) > static_cast<ptrdiff_t>(maxFusedUpdate))
        longUpdates.insert(members.begin(), members.end());
    }
}

bool Merger::tooBig(const OpSet &ops) const {
  if (ops.size() > maxOps)
    return true;
  llvm::SmallDenseSet<mlir::Value> inputs;
  size_t outputs = 0;
  for (mlir::Operation *op : ops) {
    for (mlir::Value source : reads.find(op)->second)
      if (!source.getDefiningOp() || !ops.contains(source.getDefiningOp()))
        inputs.insert(source);
    outputs += usedOutside(op->getResult(0), ops, role);
  }
  return inputs.size() > maxInputs || outputs > maxOutputs;
}

bool Merger::tryMerge(unsigned into, unsigned other, bool anywhere) {
  if (into == other || !shapes[into] || !shapes[other] || (!anywhere && !near(into, other)))
    return false;
  OpSet both = clusters[into];
  both.insert(clusters[other].begin(), clusters[other].end());
  if (tooBig(both))
    return false;
  std::optional<GroupShape> shape = shapeOf(both, role);
  if (!shape)
    return false;
  auto [from, to] = order.before(into, other) ? std::make_pair(into, other) : std::make_pair(other, into);
  if (order.waysBetween(from, to))
    return false;
  for (mlir::Operation *op : clusters[other])
    owner[op] = into;
  clusters[into] = std::move(both);
  clusters[other].clear();
  shapes[into] = shape;
  shapes[other] = std::nullopt;
  order.join(from, to, into);
  return true;
}

// Heads are split and joined by transposes, which rows read and written apart make superfluous.
void Merger::growAttention() {
  for (unsigned c = 0; c < clusters.size(); ++c)
    if (shapes[c] == GroupShape::attention)
      for (bool before : {true, false})
        for (unsigned next : neighbours(c, before))
          if (clusters[next].size() == 1 && keepsRows(clusters[next].front()))
            tryMerge(c, next);
}

// What follows a product elementwise runs on its tiles.
void Merger::growContracts() {
  for (unsigned c = 0; c < clusters.size(); ++c) {
    if (shapes[c] != GroupShape::contract)
      continue;
    for (bool again = true; again && clusters[c].size() < maxEpilogue;) {
      again = false;
      for (unsigned next : neighbours(c, false))
        if (shapes[next] == GroupShape::elementwise && !longUpdate(next))
          again |= tryMerge(c, next);
      // What only the epilogue reads: a saved value that is cheap to make again.
      for (unsigned next : neighbours(c, true))
        if (shapes[next] == GroupShape::elementwise && !longUpdate(next) && neighbours(next, false).size() == 1 &&
            !feedsAnchor(next))
          again |= tryMerge(c, next);
    }
  }
}

// What a group computes only to store it for readers that could as well compute it for themselves, from values that are
// in memory anyway: the product dy * x below sum(dy * x), with the difference x - mean that it takes. Empty where `op`
// is no such value. Readers of a row group are reductions; those of a product's epilogue may be elementwise too.
OpSet Merger::betterOutside(mlir::Operation *op, const OpSet &ops, bool elementwiseReaders) const {
  if (role(op) != Role::index || isDear(op) || dimsOf(op->getResult(0)).empty() || op->use_empty())
    return {};
  for (mlir::Operation *user : op->getUsers()) {
    bool reads = role(user) == Role::reduce || (elementwiseReaders && isElementwise(user) && !updates.contains(user));
    if (ops.contains(user) || user->getBlock() != &block || !reads ||
        shapes[owner.lookup(user)] == GroupShape::contract)
      return {};
  }
  OpSet cone;
  cone.insert(op);
  for (unsigned i = 0; i < cone.size(); ++i) {
    bool stored = true;
    forEachSource(cone[i], [&](mlir::Value source) {
      mlir::Operation *definition = source.getDefiningOp();
      if (!definition || !ops.contains(definition) || cone.contains(definition))
        return;
      bool elsewhere = false, within = false;
      for (mlir::Operation *user : source.getUsers()) {
        elsewhere |= !cone.contains(user) && !ops.contains(user) && role(user) != Role::cheap;
        within |= !cone.contains(user) && (ops.contains(user) || role(user) == Role::cheap);
      }
      if (elsewhere)
        return;
      // Nobody else wants it: it goes along.
      bool goes = elementwiseReaders && !within && isElementwise(definition) && !isDear(definition) &&
                  role(definition) == Role::index && cone.size() < maxPeeled;
      if (goes)
        cone.insert(definition);
      stored &= goes;
    });
    if (!stored)
      return {};
  }
  return cone;
}

void Merger::peel(GroupShape shape) {
  for (unsigned c = 0, end = clusters.size(); c < end; ++c) {
    if (shapes[c] != shape)
      continue;
    for (bool again = true; again;) {
      again = false;
      for (mlir::Operation *op : clusters[c]) {
        OpSet cone = betterOutside(op, clusters[c], shape == GroupShape::contract);
        OpSet rest;
        for (mlir::Operation *member : clusters[c])
          if (!cone.contains(member))
            rest.insert(member);
        if (cone.empty() || rest.empty() || shapeOf(rest, role) != shape)
          continue;
        for (mlir::Operation *member : cone) {
          owner[member] = clusters.size();
          OpSet alone;
          alone.insert(member);
          shapes.push_back(shapeOf(alone, role));
          clusters.push_back(std::move(alone));
          order.invalidate();
        }
        clusters[c] = std::move(rest);
        again = true;
        break;
      }
    }
  }
}

void Merger::growReductions(GroupShape shape) {
  for (unsigned c = 0; c < clusters.size(); ++c) {
    if (shapes[c] != shape)
      continue;
    for (bool again = true; again;) {
      again = false;
      for (bool before : {true, false})
        for (unsigned next : neighbours(c, before)) {
          if (shapes[next] != GroupShape::elementwise && shapes[next] != GroupShape::rows)
            continue;
          if (!isUpdate(next))
            again |= tryMerge(c, next);
        }
    }
  }
}

// Column reductions of one shape along the same axes that read the same memory read it once.
void Merger::mergeColumns() {
  llvm::MapVector<mlir::Value, llvm::SmallSetVector<unsigned, 4>> readersOf;
  for (unsigned c = 0; c < clusters.size(); ++c)
    if (shapes[c] == GroupShape::columns)
      for (mlir::Operation *op : clusters[c])
        forEachSource(op, [&](mlir::Value source) {
          if (!dimsOf(source).empty() && (!source.getDefiningOp() || !clusters[c].contains(source.getDefiningOp())))
            readersOf[source].insert(c);
          // Or what is one op away from it: sum(dy) and sum(dy * x).
          if (mlir::Operation *definition = source.getDefiningOp(); definition && role(definition) == Role::index)
            forEachSource(definition, [&](mlir::Value above) {
              if (!dimsOf(above).empty())
                readersOf[above].insert(c);
            });
          // Or beside it: the gradients of query, key and value, each for its bias.
          mlir::Operation *origin = source.getDefiningOp();
          while (origin && llvm::isa<ReshapeOp, TransposeOp>(origin))
            origin = origin->getOperand(0).getDefiningOp();
          if (origin && isAttentionGrad(origin))
            readersOf[origin->getResult(0)].insert(c);
        });
  for (auto &[value, users] : readersOf)
    for (unsigned i = 0; i + 1 < users.size(); ++i)
      for (unsigned j = i + 1; j < users.size(); ++j)
        if (shapes[users[i]] == GroupShape::columns && shapes[users[j]] == GroupShape::columns)
          tryMerge(users[i], users[j]);
  collectColumnSums();
}

// Bias gradients and the like are short kernels, one behind the other: those of one shape that are near each other go
// together whatever they read. Not sums to a single number: where there are many, all wait for the last.
void Merger::collectColumnSums() {
  auto leavesRows = [&](unsigned c) {
    return shapes[c] == GroupShape::columns && llvm::all_of(clusters[c], [&](mlir::Operation *op) {
             return role(op) != Role::reduce || !dimsOf(op->getResult(0)).empty();
           });
  };
  llvm::SmallVector<unsigned> members;
  for (unsigned c = 0; c < clusters.size(); ++c)
    if (leavesRows(c))
      members.push_back(c);
  for (unsigned i = 0; i < members.size(); ++i)
    for (unsigned j = i + 1; j < members.size(); ++j)
      if (shapes[members[i]] == GroupShape::columns && shapes[members[j]] == GroupShape::columns)
        tryMerge(members[i], members[j]);
}

void Merger::mergeElementwise() {
  for (unsigned c = 0; c < clusters.size(); ++c) {
    if (shapes[c] != GroupShape::elementwise)
      continue;
    for (bool again = true; again;) {
      again = false;
      for (bool before : {false, true})
        for (unsigned next : neighbours(c, before))
          if (shapes[next] == GroupShape::elementwise)
            again |= tryMerge(c, next);
    }
  }
}

// Elementwise groups that read the same memory read it once.
void Merger::mergeSiblings() {
  llvm::MapVector<mlir::Value, llvm::SmallSetVector<unsigned, 4>> readersOf;
  for (mlir::Operation &op : block.without_terminator())
    if (auto found = owner.find(&op); found != owner.end())
      for (mlir::Value operand : op.getOperands()) {
        mlir::Operation *definition = operand.getDefiningOp();
        bool cheap = definition && role(definition) == Role::cheap;
        // A parameter's update stays one kernel, which all parameters share.
        if (!dimsOf(operand).empty() && !cheap && shapes[found->second] == GroupShape::elementwise &&
            !isUpdate(found->second))
          readersOf[operand].insert(found->second);
      }
  for (auto &[value, users] : readersOf)
    for (unsigned i = 0; i + 1 < users.size(); ++i)
      for (unsigned j = i + 1; j < users.size(); ++j)
        if (shapes[users[i]] == GroupShape::elementwise && shapes[users[j]] == GroupShape::elementwise)
          tryMerge(users[i], users[j]);
}

// A parameter's matrix that is read turned: it is in memory anyway, however far from the product this is said. (As it
// lies, and stored narrow, it is better widened by itself: GPT-2's columns, a token 13.5 ms, within the products 20.)
bool Merger::turnsArgument(unsigned cluster) const {
  bool turns = false, others = false;
  for (mlir::Operation *op : clusters[cluster]) {
    turns |= llvm::isa<TransposeOp>(op);
    forEachSource(op, [&](mlir::Value source) {
      mlir::Operation *definition = source.getDefiningOp();
      others |= definition && !clusters[cluster].contains(definition);
    });
  }
  return turns && !others;
}

// What is computed of the few rows of a product: that has a kernel which reads rows as they lie, against a matrix that
// is much larger, and packs nothing. (Gemma's last norm within its head: a token 36 ms, apart 12.)
bool Merger::makesFewRows(unsigned cluster, unsigned product) const {
  constexpr int64_t fewRows = 3;
  DotGeneralOp dot;
  for (mlir::Operation *op : clusters[product])
    if (auto found = llvm::dyn_cast<DotGeneralOp>(op))
      dot = found;
  if (!dot || llvm::none_of(clusters[cluster], [](mlir::Operation *op) { return isElementwise(op); }))
    return false;
  auto size = [&](llvm::ArrayRef<Dim> dims) { return upperBound(productOf(dims), bounds).value_or(0); };
  llvm::SmallVector<Dim> summed;
  for (int64_t axis : dot.getLhsContract())
    summed.push_back(dimsOf(dot.getLhs())[static_cast<size_t>(axis)]);
  int64_t length = size(summed), matrix = std::max(size(dimsOf(dot.getLhs())), size(dimsOf(dot.getRhs())));
  return llvm::any_of(clusters[cluster], [&](mlir::Operation *op) {
    int64_t made = size(dimsOf(op->getResult(0)));
    bool read =
        llvm::any_of(readersOf(op), [&](mlir::Operation *reader) { return clusters[product].contains(reader); });
    return read && made > 0 && made <= fewRows * length && made < matrix;
  });
}

// Layout ops and a few cheap ones that only a product reads happen while it packs its operands.
void Merger::addPrologues() {
  for (unsigned c = 0; c < clusters.size(); ++c) {
    if (shapes[c] != GroupShape::contract)
      continue;
    for (unsigned next : neighbours(c, true))
      if (shapes[next] == GroupShape::elementwise && clusters[next].size() <= maxPrologue && !makesFewRows(next, c))
        tryMerge(c, next, /*anywhere=*/turnsArgument(next));
  }
}

llvm::SmallVector<OpSet> clustersOf(mlir::Block &block, FuseLevel level) { return Merger(block, level).run(); }

} // namespace kiln::fuse
