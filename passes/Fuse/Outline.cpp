// A cluster's ops moved into a kiln.group, with the cheap ones that it reads.

#include "passes/Fuse/Outline.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/ErrorHandling.h"

#include <queue>

namespace kiln::fuse {

llvm::SmallVector<mlir::Operation *> cheapOpsToKeep(mlir::Block &block) {
  llvm::SmallVector<mlir::Operation *> result;
  for (mlir::Operation &op : block) {
    if (roleOf(&op) != Role::cheap)
      continue;
    bool keep = llvm::any_of(op.getUsers(), [](mlir::Operation *user) {
      Role role = roleOf(user);
      return role == Role::free || role == Role::control || role == Role::other || isWhole(user);
    });
    if (keep)
      result.push_back(&op);
  }
  return result;
}

llvm::SmallVector<GroupOp> dissolve(GroupOp group) {
  mlir::Block &body = group.getBody().front();
  for (auto [argument, input] : llvm::zip(body.getArguments(), group.getInputs()))
    argument.replaceAllUsesWith(input);
  llvm::SmallVector<GroupOp> within;
  for (mlir::Operation &op : llvm::make_early_inc_range(body.without_terminator())) {
    op.moveBefore(group);
    if (auto inner = llvm::dyn_cast<GroupOp>(op))
      within.push_back(inner);
  }
  group->replaceAllUsesWith(body.getTerminator()->getOperands());
  group->erase();
  return within;
}

namespace {
/// One cluster's way into a group op.
class GroupMaker {
public:
  /// `ordered`: the members in the order of the block. `kept`: cheap ops that are read as values, not cloned.
  GroupMaker(mlir::OpBuilder &builder, const OpSet &members, llvm::ArrayRef<mlir::Operation *> ordered,
             const llvm::DenseSet<mlir::Operation *> &kept)
      : builder(builder), members(members), ordered(ordered), kept(kept), whole(isWhole(members.front())) {}

  GroupOp make() {
    llvm::SmallVector<mlir::Value> outputs;
    llvm::SmallVector<mlir::Location> locations;
    for (mlir::Operation *op : members) {
      locations.push_back(op->getLoc());
      for (mlir::Value result : op->getResults())
        if (isOutput(result))
          outputs.push_back(result);
    }
    mlir::OperationState state(builder.getFusedLoc(locations), GroupOp::getOperationName());
    mlir::Block *body = &state.addRegion()->emplaceBlock();
    mlir::OpBuilder inner(builder.getContext());
    inner.setInsertionPointToEnd(body);
    for (mlir::Operation *op : ordered)
      clone(op, *body, inner);
    llvm::SmallVector<mlir::Value> yielded;
    for (mlir::Value output : outputs)
      yielded.push_back(mapping.lookup(output));
    inner.create<YieldOp>(state.location, yielded);
    state.addOperands(inputs);
    state.addTypes(mlir::ValueRange(outputs).getTypes());
    state.addAttribute("shape", GroupShapeAttr::get(builder.getContext(), shapeOf(members).value_or(GroupShape::any)));
    auto group = llvm::cast<GroupOp>(builder.create(state));
    for (auto [output, result] : llvm::zip(outputs, group->getResults())) {
      // A cheap op that reads another one stays cheap: groups to come clone both.
      bool cloned = isCloned(output.getDefiningOp());
      output.replaceUsesWithIf(result, [&](mlir::OpOperand &use) {
        return !members.contains(use.getOwner()) && !(cloned && isCloned(use.getOwner()));
      });
    }
    return group;
  }

private:
  // A result that nothing reads still needs its memory where an op has several.
  bool isOutput(mlir::Value result) {
    return usedOutside(result, members) || (result.use_empty() && result.getDefiningOp()->getNumResults() > 1);
  }

  bool isCloned(mlir::Operation *op) const { return roleOf(op) == Role::cheap && !kept.contains(op); }
  bool computesHere(mlir::Operation *op) const { return members.contains(op) || (isCloned(op) && !whole); }

  mlir::Value materialize(mlir::Value value, mlir::Block &body, mlir::OpBuilder &inner) {
    if (mlir::Value mapped = mapping.lookupOrNull(value))
      return mapped;
    mlir::Operation *op = value.getDefiningOp();
    if (op && computesHere(op)) {
      clone(op, body, inner);
      return mapping.lookup(value);
    }
    inputs.push_back(value);
    mlir::Value argument = body.addArgument(value.getType(), value.getLoc());
    mapping.map(value, argument);
    return argument;
  }

  void clone(mlir::Operation *op, mlir::Block &body, mlir::OpBuilder &inner) {
    if (mapping.lookupOrNull(op->getResult(0)))
      return;
    for (mlir::Value operand : op->getOperands())
      materialize(operand, body, inner);
    inner.clone(*op, mapping);
  }

  mlir::OpBuilder &builder;
  const OpSet &members;
  llvm::ArrayRef<mlir::Operation *> ordered;
  const llvm::DenseSet<mlir::Operation *> &kept;
  bool whole; // what it reads is stored
  mlir::IRMapping mapping;
  llvm::SmallVector<mlir::Value> inputs;
};

/// A cluster, or an op that stays as it is, in the block's new order.
struct Unit {
  llvm::SmallVector<mlir::Operation *> ops;
  const OpSet *cluster = nullptr;
  unsigned position = 0; // of its last op: what a unit is sorted by where dependences leave a choice
  unsigned waitsFor = 0;
  llvm::SmallVector<unsigned> users;
};
} // namespace

// Values that an op and the regions in it read, cheap ops looked through.
static void forEachDeepSource(mlir::Operation *op, llvm::function_ref<void(mlir::Value)> visit) {
  forEachSource(op, visit);
  for (mlir::Region &region : op->getRegions())
    region.walk([&](mlir::Operation *nested) { forEachSource(nested, visit); });
}

static llvm::SmallVector<Unit> unitsOf(mlir::Block &block, llvm::ArrayRef<OpSet> clusters,
                                       const llvm::DenseSet<mlir::Operation *> &kept) {
  llvm::DenseMap<mlir::Operation *, unsigned> unitOf;
  llvm::SmallVector<Unit> units(clusters.size());
  for (auto [index, cluster] : llvm::enumerate(clusters)) {
    units[index].cluster = &clusters[index];
    for (mlir::Operation *op : cluster)
      unitOf[op] = index;
  }
  unsigned position = 0;
  for (mlir::Operation &op : block.without_terminator()) {
    auto found = unitOf.find(&op);
    if (found == unitOf.end()) {
      if (roleOf(&op) == Role::cheap)
        continue;
      found = unitOf.insert({&op, static_cast<unsigned>(units.size())}).first;
      units.emplace_back();
    }
    units[found->second].ops.push_back(&op);
    units[found->second].position = position++;
  }
  for (auto [index, unit] : llvm::enumerate(units)) {
    llvm::SmallSetVector<unsigned, 8> sources;
    auto waitFor = [&](mlir::Value source) {
      mlir::Operation *definition = source.getDefiningOp();
      auto found = definition ? unitOf.find(definition) : unitOf.end();
      if (found != unitOf.end() && found->second != index)
        sources.insert(found->second);
    };
    for (mlir::Operation *op : unit.ops) {
      forEachDeepSource(op, waitFor);
      op->walk([&](mlir::Operation *nested) {
        for (mlir::Value operand : nested->getOperands())
          if (!unit.cluster || isWhole(op) || kept.contains(operand.getDefiningOp()))
            waitFor(operand);
      });
    }
    unit.waitsFor = sources.size();
    for (unsigned source : sources)
      units[source].users.push_back(index);
  }
  return units;
}

void outlineBlock(mlir::Block &block, llvm::ArrayRef<OpSet> clusters, bool cloneKept) {
  llvm::DenseSet<mlir::Operation *> kept;
  for (const OpSet &cluster : clusters)
    if (!cloneKept && roleOf(cluster.front()) == Role::cheap)
      kept.insert(cluster.front());
  llvm::SmallVector<Unit> units = unitsOf(block, clusters, kept);
  using Entry = std::pair<unsigned, unsigned>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> ready;
  for (auto [index, unit] : llvm::enumerate(units))
    if (unit.waitsFor == 0)
      ready.push({unit.position, index});
  mlir::OpBuilder builder(block.getTerminator());
  llvm::SmallVector<mlir::Operation *> old;
  for (mlir::Operation &op : block.without_terminator())
    old.push_back(&op);
  llvm::DenseSet<mlir::Operation *> staying;
  while (!ready.empty()) {
    Unit &unit = units[ready.top().second];
    ready.pop();
    if (unit.cluster) {
      GroupMaker(builder, *unit.cluster, unit.ops, kept).make();
    } else {
      for (mlir::Operation *op : unit.ops) {
        op->moveBefore(block.getTerminator());
        staying.insert(op);
      }
    }
    for (unsigned user : unit.users)
      if (--units[user].waitsFor == 0)
        ready.push({units[user].position, user});
  }
  for (mlir::Operation *op : llvm::reverse(old))
    if (!staying.contains(op)) {
      if (!op->use_empty()) // a wrong compiler, not a wrong program; going on would read what is freed here
        llvm::report_fatal_error("internal error: a value of a group is read past it");
      op->erase();
    }
}

} // namespace kiln::fuse
