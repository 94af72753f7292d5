// The classes of ops, and whether a set of them is a kernel.

#include "passes/Fuse/Cluster.h"

namespace kiln::fuse {

bool isPlainSource(mlir::Operation *op) { return isSource(op) && roleOf(op) == Role::cheap; }

// How many elementwise ops a cheap expression may hold: above this, storing it is no dearer than computing it again.
static constexpr int cheapLimit = 8;

// The classes of which a cheap expression is made. No backend takes an op of theirs whole.
static bool mayBeCheap(kiln::OpClass opClass) {
  return opClass == kiln::OpClass::Elementwise || opClass == kiln::OpClass::Layout || opClass == kiln::OpClass::Source;
}

// The number of ops in a cheap expression, or more than `budget` where it is not cheap. Asked more often than all else
// of fusion: most are told by their class, or by that of what they read.
static int cheapCost(mlir::Operation *op, int budget) {
  kiln::OpClass opClass = op ? opClassOf(op) : kiln::OpClass::Structure;
  if (budget < 0 || !mayBeCheap(opClass))
    return budget + 1;
  if (auto constant = llvm::dyn_cast<ConstantOp>(op)) {
    auto dense = llvm::dyn_cast<mlir::DenseElementsAttr>(constant.getValue());
    return dense && dense.isSplat() ? 0 : budget + 1;
  }
  if (llvm::isa<IotaOp, ExtentOp, BroadcastOp>(op))
    return 0;
  if (!(opClass == kiln::OpClass::Elementwise && !isDear(op)) && !isReindexing(op))
    return budget + 1;
  for (mlir::Value operand : op->getOperands())
    if (mlir::Operation *source = operand.getDefiningOp(); !source || !mayBeCheap(opClassOf(source)))
      return budget + 1;
  int cost = 1;
  for (mlir::Value operand : op->getOperands()) {
    cost += cheapCost(operand.getDefiningOp(), budget - cost);
    if (cost > budget)
      break;
  }
  return cost;
}

static bool isTrailing(mlir::Operation *op) {
  auto rankOf = [](mlir::Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()).getRank(); };
  if (auto arg = llvm::dyn_cast<ArgReduceOp>(op))
    return static_cast<int64_t>(arg.getAxis()) == rankOf(arg.getOperand()) - 1;
  auto reduce = llvm::cast<ReduceOp>(op);
  int64_t first = rankOf(reduce.getOperand()) - static_cast<int64_t>(reduce.getAxes().size());
  for (auto [index, axis] : llvm::enumerate(reduce.getAxes()))
    if (axis != first + static_cast<int64_t>(index))
      return false;
  return first > 0;
}

bool keepsRows(mlir::Operation *op) {
  auto transpose = llvm::dyn_cast<TransposeOp>(op);
  return transpose && transpose.getPermutation().size() == 4 && transpose.getPermutation().back() == 3;
}

Role roleOf(mlir::Operation *op) {
  kiln::OpClass opClass = opClassOf(op);
  if (opClass == kiln::OpClass::Control)
    return Role::control;
  if (opClass == kiln::OpClass::Structure) // terminators, and ops of other dialects
    return llvm::isa<GroupOp>(op) ? Role::free : isWhole(op) ? Role::single : Role::other;
  if (cheapCost(op, cheapLimit) <= cheapLimit)
    return Role::cheap;
  if (llvm::isa<ReshapeOp, ConstantOp>(op))
    return Role::free;
  if (mayBeCheap(opClass) && !llvm::isa<DecomposableOpInterface>(op))
    return Role::index;
  if (isWhole(op))
    return Role::single;
  if (opClass == kiln::OpClass::Contraction)
    return Role::contract;
  if (auto reduce = llvm::dyn_cast<ReduceOp>(op))
    return reduce.getAxes().empty() ? Role::single : Role::reduce;
  if (llvm::isa<ArgReduceOp>(op)) // along an axis other than the last one it shares its loop with nobody
    return isTrailing(op) && op->getOperand(0).getType() != op->getResult(0).getType() ? Role::reduce : Role::single;
  if (isAttention(op))
    return Role::attention;
  if (llvm::isa<DecomposableOpInterface>(op))
    return Role::other;
  if (opClass == kiln::OpClass::Whole || opClass == kiln::OpClass::Update)
    return Role::single;
  return Role::other;
}

void forEachSource(mlir::Operation *op, llvm::function_ref<void(mlir::Value)> visit, RoleOf role) {
  for (mlir::Value operand : op->getOperands()) {
    mlir::Operation *definition = operand.getDefiningOp();
    if (definition && role(definition) == Role::cheap)
      forEachSource(definition, visit, role);
    else
      visit(operand);
  }
}

// Whether a group other than that of `ops` clones the cheap member, below another cheap op that it reads.
static bool clonedOutside(mlir::Operation *member, const OpSet &ops, RoleOf role) {
  return llvm::any_of(member->getUsers(), [&](mlir::Operation *user) {
    if (role(user) != Role::cheap)
      return false;
    return ops.contains(user) ? clonedOutside(user, ops, role) : usedOutside(user->getResult(0), ops, role);
  });
}

bool usedOutside(mlir::Value value, const OpSet &ops, RoleOf role) {
  for (mlir::Operation *user : value.getUsers()) {
    bool cheap = role(user) == Role::cheap;
    if (!ops.contains(user)) {
      if (!cheap || usedOutside(user->getResult(0), ops, role))
        return true;
      continue;
    }
    // A cheap member that cheap ops outside read is cloned with them, and the clone reads the value again.
    if (cheap && clonedOutside(user, ops, role))
      return true;
  }
  return false;
}

//===-- The predicate ------------------------------------------------------------------------------------------===//

using Dims = std::pair<llvm::ArrayRef<int64_t>, mlir::Attribute>;
static Dims dimsKey(mlir::Value value) {
  auto type = llvm::cast<mlir::RankedTensorType>(value.getType());
  return {type.getShape(), type.getEncoding()};
}
static bool sameDims(mlir::Value a, mlir::Value b) { return dimsKey(a) == dimsKey(b); }

namespace {
/// The members of a candidate, and how one of them may read another.
class Candidate {
public:
  Candidate(const OpSet &ops, RoleOf role) : ops(ops), role(role) {}

  bool isMember(mlir::Value value) const {
    mlir::Operation *op = value.getDefiningOp();
    return op && ops.contains(op);
  }

  /// True where a member's result lies below the value, cheap ops looked through.
  bool reachesMember(mlir::Value value) const {
    if (isMember(value))
      return true;
    mlir::Operation *op = value.getDefiningOp();
    return op && role(op) == Role::cheap &&
           llvm::any_of(op->getOperands(), [&](mlir::Value operand) { return reachesMember(operand); });
  }

  /// Members are reached through elementwise cheap ops, and through broadcasts of `rows` leading axes (none for 0).
  bool readsInPlace(mlir::Value value, size_t rows) const {
    if (isMember(value) || !reachesMember(value))
      return true;
    mlir::Operation *op = value.getDefiningOp();
    if (auto broadcast = llvm::dyn_cast<BroadcastOp>(op)) {
      if (broadcast.getAxes().size() != rows || rows == 0)
        return false;
      for (auto [index, axis] : llvm::enumerate(broadcast.getAxes()))
        if (axis != static_cast<int64_t>(index) ||
            dimsOf(broadcast.getOperand())[index] != dimsOf(broadcast.getResult())[index])
          return false;
    } else if (!isElementwise(op)) {
      return false;
    }
    return llvm::all_of(op->getOperands(), [&](mlir::Value operand) { return readsInPlace(operand, rows); });
  }

  /// Nothing computed lies below a layout op: it reads inputs, other layout ops or what is cheap. Of draws a part may
  /// be read, whose elements are then the only ones that are drawn.
  bool layoutReadsInputs(mlir::Operation *op) const {
    for (mlir::Value operand : op->getOperands()) {
      if (mlir::Operation *definition = operand.getDefiningOp();
          definition && ops.contains(definition) && (isLayout(definition) || isDrawnInPart(definition, op)))
        continue;
      if (reachesMember(operand))
        return false;
    }
    return true;
  }

  /// A layout op that only layout ops of this group read may have dimensions of its own, and so may draws.
  bool feedsLayoutOnly(mlir::Operation *op) const {
    return (isLayout(op) || llvm::isa<RandomBitsOp>(op)) && !usedOutside(op->getResult(0), ops, role) &&
           llvm::all_of(op->getUsers(), [&](mlir::Operation *user) { return ops.contains(user) && isLayout(user); });
  }

  static bool isDrawnInPart(mlir::Operation *draws, mlir::Operation *reader) {
    return llvm::isa<RandomBitsOp>(draws) && llvm::isa<DynamicSliceOp>(reader);
  }

  bool elementwiseLegal() const;
  bool rowsLegal() const;
  bool columnsLegal() const;
  bool contractLegal(mlir::Operation *anchor) const;
  bool attentionLegal(mlir::Operation *anchor) const;

private:
  bool readsInPlace(mlir::Operation *op, size_t rows) const {
    return llvm::all_of(op->getOperands(), [&](mlir::Value operand) { return readsInPlace(operand, rows); });
  }
  bool pickLegal(mlir::Operation *op, mlir::Value full, size_t rows) const;
  bool lookupLegal(mlir::Operation *op, mlir::Value row, size_t rows) const;
  /// One member that is neither a reduction nor, for a layout op, more than a read of inputs.
  bool indexOpLegal(mlir::Operation *op, size_t rows) const {
    return isLayout(op) ? layoutReadsInputs(op) : readsInPlace(op, rows);
  }

  const OpSet &ops;
  RoleOf role;
};
} // namespace

bool Candidate::elementwiseLegal() const {
  mlir::Value first;
  for (mlir::Operation *op : ops) {
    if (!indexOpLegal(op, 0))
      return false;
    if (feedsLayoutOnly(op))
      continue;
    if (first && !sameDims(first, op->getResult(0)))
      return false;
    first = op->getResult(0);
  }
  return true;
}

// gather(full value of the group, row's index): one element of each row.
bool Candidate::pickLegal(mlir::Operation *op, mlir::Value full, size_t rows) const {
  auto gather = llvm::dyn_cast<GatherOp>(op);
  return gather && gather.getBatchDims() == rows && gather.getAxis() == rows && sameDims(gather.getOperand(), full) &&
         dimsOf(full).size() == rows + 1 && dimsOf(gather.getResult()).size() == rows &&
         readsInPlace(gather.getOperand(), rows) && readsInPlace(gather.getIndices(), rows);
}

// gather(a list that is no value of the group, row's index): a number for each row.
bool Candidate::lookupLegal(mlir::Operation *op, mlir::Value row, size_t rows) const {
  auto gather = llvm::dyn_cast<GatherOp>(op);
  return gather && dimsOf(gather.getOperand()).size() == 1 && !reachesMember(gather.getOperand()) &&
         sameDims(gather.getIndices(), row) && readsInPlace(gather.getIndices(), rows);
}

bool Candidate::rowsLegal() const {
  mlir::Value full, row;
  for (mlir::Operation *op : ops) {
    if (role(op) != Role::reduce)
      continue;
    if (!isTrailing(op))
      return false;
    if (full && (!sameDims(full, op->getOperand(0)) || !sameDims(row, op->getResult(0))))
      return false;
    full = op->getOperand(0);
    row = op->getResult(0);
  }
  size_t rows = dimsOf(row).size();
  for (mlir::Operation *op : ops) {
    if (role(op) == Role::reduce) {
      if (!readsInPlace(op, rows))
        return false;
      continue;
    }
    if (!indexOpLegal(op, rows) && !pickLegal(op, full, rows) && !lookupLegal(op, row, rows))
      return false;
    if (!sameDims(op->getResult(0), full) && !sameDims(op->getResult(0), row) && !feedsLayoutOnly(op))
      return false;
  }
  return true;
}

bool Candidate::columnsLegal() const {
  mlir::Value full, left;
  llvm::ArrayRef<int64_t> axes;
  for (mlir::Operation *op : ops) {
    if (role(op) != Role::reduce)
      continue;
    auto reduce = llvm::dyn_cast<ReduceOp>(op);
    if (!reduce)
      return false;
    if (full && (!sameDims(full, reduce.getOperand()) || reduce.getAxes() != axes))
      return false;
    full = reduce.getOperand();
    left = reduce.getResult();
    axes = reduce.getAxes();
  }
  size_t rank = dimsOf(full).size();
  for (mlir::Operation *op : ops) {
    if (role(op) == Role::reduce) {
      // A reduction of a value that another reduction decides would need a second pass.
      if (!readsInPlace(op, 0))
        return false;
      continue;
    }
    if (!indexOpLegal(op, 0))
      return false;
    if (feedsLayoutOnly(op))
      continue;
    bool before = sameDims(op->getResult(0), full);
    if (!before && !sameDims(op->getResult(0), left))
      return false;
    // Layout ops of the smaller shape are fine too; full values never leave the group.
    if (before && dimsOf(op->getResult(0)).size() == rank && usedOutside(op->getResult(0), ops, role))
      return false;
  }
  return true;
}

bool Candidate::contractLegal(mlir::Operation *anchor) const {
  // Members above the anchor are its prologue.
  OpSet prologue;
  auto collect = [&](auto &&self, mlir::Operation *op) -> void {
    forEachSource(
        op,
        [&](mlir::Value source) {
          if (isMember(source) && prologue.insert(source.getDefiningOp()))
            self(self, source.getDefiningOp());
        },
        role);
  };
  collect(collect, anchor);
  if (prologue.contains(anchor))
    return false;
  for (mlir::Operation *op : ops) {
    if (op == anchor)
      continue;
    if (prologue.contains(op)) {
      if (isDear(op) || llvm::isa<GatherOp, ConcatOp, DynamicSliceOp>(op) || usedOutside(op->getResult(0), ops, role) ||
          llvm::any_of(op->getUsers(), [&](mlir::Operation *user) {
            return ops.contains(user) && user != anchor && !prologue.contains(user);
          }))
        return false;
      continue;
    }
    if (!isElementwise(op) || !sameDims(op->getResult(0), anchor->getResult(0)) || !readsInPlace(op, 0))
      return false;
  }
  return true;
}

// Beside the op itself only transposes: of inputs above it, read by nobody else, and of its results below it, which
// nobody reads as they are.
bool Candidate::attentionLegal(mlir::Operation *anchor) const {
  return llvm::all_of(ops, [&](mlir::Operation *op) {
    if (op == anchor)
      return true;
    if (!keepsRows(op))
      return false;
    if (op->getOperand(0).getDefiningOp() == anchor)
      return op->getOperand(0).hasOneUse();
    return !reachesMember(op->getOperand(0)) &&
           llvm::all_of(op->getUsers(), [&](mlir::Operation *user) { return user == anchor; });
  });
}

static GroupShape shapeOfSingle(mlir::Operation *op) {
  if (llvm::isa<ScatterOp>(op))
    return GroupShape::scatter;
  return llvm::isa<ReduceWindowOp, ReduceWindowGradOp>(op) ? GroupShape::window : GroupShape::single;
}

std::optional<GroupShape> shapeOf(const OpSet &ops, RoleOf role) {
  mlir::Operation *anchor = nullptr, *attention = nullptr;
  bool reductions = false, trailing = true;
  for (mlir::Operation *op : ops) {
    Role its = role(op);
    if (its == Role::single)
      return ops.size() == 1 ? std::optional(shapeOfSingle(op)) : std::nullopt;
    if (its == Role::contract) {
      if (anchor)
        return std::nullopt;
      anchor = op;
    } else if (its == Role::attention) {
      if (attention)
        return std::nullopt;
      attention = op;
    } else if (its == Role::reduce) {
      reductions = true;
      trailing &= isTrailing(op);
    } else if (its != Role::index && its != Role::cheap) {
      return std::nullopt;
    }
  }
  Candidate candidate(ops, role);
  auto when = [](bool legal, GroupShape shape) { return legal ? std::optional(shape) : std::nullopt; };
  if (attention)
    return when(candidate.attentionLegal(attention), GroupShape::attention);
  if (anchor)
    return when(!reductions && candidate.contractLegal(anchor), GroupShape::contract);
  if (!reductions)
    return when(candidate.elementwiseLegal(), GroupShape::elementwise);
  if (trailing)
    return when(candidate.rowsLegal(), GroupShape::rows);
  return when(candidate.columnsLegal(), GroupShape::columns);
}

std::optional<GroupShape> shapeOf(GroupOp group) {
  OpSet ops;
  for (mlir::Operation &op : group.getBody().front().without_terminator())
    if (roleOf(&op) != Role::cheap)
      ops.insert(&op);
  return ops.empty() ? GroupShape::elementwise : shapeOf(ops);
}

} // namespace kiln::fuse
