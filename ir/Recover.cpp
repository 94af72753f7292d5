// From the product with the values back to the queries.
#include "ir/Recover.h"
#include "ir/Build.h"
#include "ir/Values.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"

#include <limits>
#include <optional>

namespace kiln {

using llvm::SmallVector;
using mlir::Value;

namespace {

/// An element is its index along `axis`, plus `offset`.
struct Place {
  int64_t axis = 0, offset = 0;
};

/// The number that all elements are, also where it is spread.
std::optional<double> numberOf(Value value) {
  while (auto broadcast = value.getDefiningOp<BroadcastOp>())
    value = broadcast.getOperand();
  return splatValue(value);
}

/// The axis of the result that axis `axis` of a reshape's operand has become: only axes of extent 1 come and go.
std::optional<int64_t> throughUnits(ReshapeOp op, int64_t axis) {
  SmallVector<int64_t> from, to;
  SmallVector<Dim> operand = dimsOf(op.getOperand()), result = dimsOf(op.getResult());
  for (auto [list, dims] : {std::pair(&from, &operand), {&to, &result}})
    for (auto [i, dim] : llvm::enumerate(*dims))
      if (dim != Dim(1))
        list->push_back(static_cast<int64_t>(i));
  if (from.size() != to.size())
    return std::nullopt;
  for (auto [a, b] : llvm::zip(from, to))
    if (operand[static_cast<size_t>(a)] != result[static_cast<size_t>(b)])
      return std::nullopt;
    else if (a == axis)
      return b;
  return std::nullopt;
}

std::optional<Place> placeOf(Value value) {
  mlir::Operation *op = value.getDefiningOp();
  if (auto iota = llvm::dyn_cast_or_null<IotaOp>(op))
    return Place{static_cast<int64_t>(iota.getAxis()), 0};
  if (!llvm::isa_and_nonnull<BroadcastOp, ReshapeOp, AddOp>(op))
    return std::nullopt;
  std::optional<Place> below = placeOf(op->getOperand(0));
  if (!below)
    return std::nullopt;
  if (auto broadcast = llvm::dyn_cast<BroadcastOp>(op))
    return Place{broadcast.getAxes()[static_cast<size_t>(below->axis)], below->offset};
  if (auto reshape = llvm::dyn_cast<ReshapeOp>(op)) {
    std::optional<int64_t> axis = throughUnits(reshape, below->axis);
    return axis ? std::optional(Place{*axis, below->offset}) : std::nullopt;
  }
  std::optional<double> more = numberOf(op->getOperand(1));
  return more ? std::optional(Place{below->axis, below->offset + static_cast<int64_t>(*more)}) : std::nullopt;
}

/// Whether an element of bool [..., T, T] says that its last index is at most the one before it; `true`: that it is
/// not.
std::optional<bool> causalOf(Value mask) {
  while (auto broadcast = mask.getDefiningOp<BroadcastOp>()) {
    int64_t rank = rankOf(broadcast.getResult()), own = rankOf(broadcast.getOperand());
    if (own < 2 || broadcast.getAxes()[static_cast<size_t>(own - 1)] != rank - 1 ||
        broadcast.getAxes()[static_cast<size_t>(own - 2)] != rank - 2)
      return std::nullopt;
    mask = broadcast.getOperand();
  }
  auto compare = mask.getDefiningOp<CompareOp>();
  SmallVector<Dim> dims = compare ? dimsOf(compare.getResult()) : SmallVector<Dim>();
  if (dims.size() < 2 || dims[dims.size() - 1] != dims[dims.size() - 2])
    return std::nullopt;
  std::optional<Place> left = placeOf(compare.getLhs()), right = placeOf(compare.getRhs());
  auto key = static_cast<int64_t>(dims.size()) - 1, query = key - 1;
  if (!left || !right || left->axis == right->axis || std::min(left->axis, right->axis) != query ||
      std::max(left->axis, right->axis) != key)
    return std::nullopt;
  bool keyFirst = left->axis == key;
  // As key REL query + more.
  int64_t more = keyFirst ? right->offset - left->offset : left->offset - right->offset;
  switch (compare.getPredicate()) {
  case Predicate::le:
    return keyFirst && more == 0 ? std::optional(false) : !keyFirst && more == 1 ? std::optional(true) : std::nullopt;
  case Predicate::lt:
    return keyFirst && more == 1 ? std::optional(false) : !keyFirst && more == 0 ? std::optional(true) : std::nullopt;
  case Predicate::ge:
    return !keyFirst && more == 0 ? std::optional(false) : keyFirst && more == 1 ? std::optional(true) : std::nullopt;
  case Predicate::gt:
    return !keyFirst && more == 1 ? std::optional(false) : keyFirst && more == 0 ? std::optional(true) : std::nullopt;
  default:
    return std::nullopt;
  }
}

/// What stands between the softmax and the product of queries and keys.
struct Scores {
  DotGeneralOp product;
  double scale = 1;
  bool causal = false;
  bool guarded = false;                 // where a query sees no key the shares are 0, as attention's are
  Value mask;                           // bool, of the scores' rank
  SmallVector<mlir::Operation *> chain; // from the softmax's reader to the product, each the only reader of the next
};

/// Of a bias that is 0 where a key is seen and -inf where not: whether it is seen.
Value maskOf(Emit &e, Value bias) {
  if (auto broadcast = bias.getDefiningOp<BroadcastOp>()) {
    Value inner = maskOf(e, broadcast.getOperand());
    if (inner && rankOf(inner) == rankOf(broadcast.getResult()))
      return inner; // attention's mask is as wide as it is
    return inner ? e.broadcastTo(inner, broadcast.getAxes(), dimsOf(broadcast.getResult())) : Value();
  }
  auto select = bias.getDefiningOp<SelectOp>();
  if (!select || numberOf(select.getOnTrue()) != 0.0 ||
      numberOf(select.getOnFalse()) != -std::numeric_limits<double>::infinity())
    return {};
  return select.getCondition();
}

/// One op off the scores: gives what it works on.
Value peel(Value value, Scores &scores) {
  mlir::Operation *op = value.getDefiningOp();
  if (llvm::isa<AddOp>(op) && scores.guarded && !scores.mask) {
    mlir::OpBuilder b(op);
    Emit e(b, op->getLoc());
    for (unsigned i : {1, 0})
      if ((scores.mask = maskOf(e, op->getOperand(i))))
        return op->getOperand(1 - i);
    return {};
  }
  if (auto select = llvm::dyn_cast<SelectOp>(op)) {
    std::optional<bool> inverted = causalOf(select.getCondition());
    if (!inverted) {
      if (!scores.guarded || scores.mask || numberOf(select.getOnFalse()) != -std::numeric_limits<double>::infinity())
        return {};
      scores.mask = select.getCondition();
      return select.getOnTrue();
    }
    Value kept = *inverted ? select.getOnFalse() : select.getOnTrue();
    std::optional<double> fill = numberOf(*inverted ? select.getOnTrue() : select.getOnFalse());
    if (!fill || *fill > -1e9)
      return {};
    scores.causal = true;
    return kept;
  }
  bool divides = llvm::isa<DivOp>(op);
  if (!divides && !llvm::isa<MulOp>(op))
    return {};
  for (unsigned i : {1, 0})
    if (std::optional<double> factor = numberOf(op->getOperand(i)); factor && (i == 1 || !divides)) {
      if (!(*factor > 0)) // else a mask's value, which is below, would not stay one
        return {};
      scores.scale = divides ? scores.scale / *factor : scores.scale * *factor;
      return op->getOperand(1 - i);
    }
  return {};
}

/// Whether the product sums over the last axis of its first operand, and over `axis` of its second one, of rank `rank`,
/// beside its batch axes in front.
bool isProduct(DotGeneralOp op, int64_t rank, std::initializer_list<int64_t> axes) {
  if (rankOf(op.getLhs()) != rank || rankOf(op.getRhs()) != rank || op.getLhsContract().size() != 1 ||
      op.getLhsContract()[0] != rank - 1 || !llvm::is_contained(axes, op.getRhsContract()[0]))
    return false;
  auto inFront = [&](llvm::ArrayRef<int64_t> batch) {
    return static_cast<int64_t>(batch.size()) == rank - 2 &&
           llvm::all_of(llvm::enumerate(batch), [](auto it) { return it.value() == static_cast<int64_t>(it.index()); });
  };
  return inFront(op.getLhsBatch()) && inFront(op.getRhsBatch());
}

/// The softmax that shares are, or are where it is a number: where(isnan(w), 0, w), as exporters guard it.
SoftmaxOp softmaxOf(Value shares, bool &guarded) {
  if (auto softmax = shares.getDefiningOp<SoftmaxOp>())
    return shares.hasOneUse() ? softmax : SoftmaxOp();
  auto select = shares.getDefiningOp<SelectOp>();
  auto compare = select ? select.getCondition().getDefiningOp<CompareOp>() : CompareOp();
  auto softmax = select ? select.getOnFalse().getDefiningOp<SoftmaxOp>() : SoftmaxOp();
  guarded = compare && softmax && compare.getPredicate() == Predicate::ne && compare.getLhs() == softmax &&
            compare.getRhs() == softmax && numberOf(select.getOnTrue()) == 0.0 && select->hasOneUse() &&
            compare->hasOneUse() &&
            llvm::all_of(softmax->getUsers(), [&](mlir::Operation *user) { return user == compare || user == select; });
  return guarded ? softmax : SoftmaxOp();
}

/// The value without a factor above 0 that it alone is multiplied by, which goes to the scale.
Value unscaled(Value value, double &scale) {
  auto product = value.getDefiningOp<MulOp>();
  std::optional<double> factor = product && value.hasOneUse() ? numberOf(product.getRhs()) : std::nullopt;
  if (!factor || !(*factor > 0))
    return value;
  scale *= *factor;
  return product.getLhs();
}

std::optional<Scores> scoresOf(DotGeneralOp shares, SoftmaxOp softmax, int64_t rank, bool guarded) {
  Scores scores;
  scores.chain = {shares, softmax};
  scores.guarded = guarded;
  for (Value value = softmax.getOperand(); value && value.getDefiningOp() && value.hasOneUse();
       value = peel(value, scores)) {
    scores.chain.push_back(value.getDefiningOp());
    if (auto product = value.getDefiningOp<DotGeneralOp>()) {
      if (!isProduct(product, rank, {rank - 1, rank - 2}) || product.getType() != softmax.getType())
        return std::nullopt;
      scores.product = product;
      return scores;
    }
  }
  return std::nullopt;
}

/// [B, T, D] as [B, 1, T, D].
Value asHeads(Emit &e, Value value) {
  SmallVector<Dim> dims = dimsOf(value);
  if (dims.size() == 3)
    dims.insert(dims.begin() + 1, Dim(1));
  return e.reshapeTo(value, dims);
}

/// Rows [.., S, D], where they are given as [.., D, S].
Value asRows(Emit &e, Value value, bool turned) {
  if (!turned)
    return value;
  SmallVector<int64_t> permutation = llvm::to_vector(llvm::seq<int64_t>(0, rankOf(value)));
  std::swap(permutation[permutation.size() - 1], permutation[permutation.size() - 2]);
  return e.transposed(value, permutation);
}

void recover(DotGeneralOp shares) {
  bool guarded = false;
  SoftmaxOp softmax = softmaxOf(shares.getLhs(), guarded);
  if (!softmax)
    return;
  int64_t rank = rankOf(softmax);
  mlir::Type element = elementOf(softmax);
  if ((rank != 3 && rank != 4) || static_cast<int64_t>(softmax.getAxis()) != rank - 1 ||
      !(element.isF32() || element.isF64()) || !isProduct(shares, rank, {rank - 1, rank - 2}) ||
      elementOf(shares) != element)
    return;
  std::optional<Scores> scores = scoresOf(shares, softmax, rank, guarded);
  if (!scores)
    return;
  mlir::OpBuilder b(shares);
  Emit e(b, shares.getLoc());
  DotGeneralOp product = scores->product;
  Value query = asHeads(e, unscaled(product.getLhs(), scores->scale));
  Value key = asHeads(e, asRows(e, unscaled(product.getRhs(), scores->scale), product.getRhsContract()[0] == rank - 2));
  Value value = asHeads(e, asRows(e, shares.getRhs(), shares.getRhsContract()[0] == rank - 1));
  AttentionOptions options;
  options.causal = scores->causal;
  Inferred inferred = inferAttention(tensorOf(query), tensorOf(key), tensorOf(value), options);
  if (!inferred)
    return;
  auto attention = e.create<AttentionOp>(
      inferred.type, mlir::Type(), query, key, value, scores->mask ? asHeads(e, scores->mask) : Value(), Value(),
      b.getF64FloatAttr(scores->scale), b.getBoolAttr(scores->causal), mlir::IntegerAttr(), mlir::IntegerAttr());
  shares.getResult().replaceAllUsesWith(e.reshapeTo(attention.getResult(), dimsOf(shares.getResult())));
  // Nobody else reads these, nor a mask of theirs.
  llvm::SetVector<mlir::Operation *> dead(scores->chain.rbegin(), scores->chain.rend());
  while (!dead.empty()) {
    mlir::Operation *op = dead.pop_back_val();
    if (!mlir::isOpTriviallyDead(op))
      continue;
    for (Value operand : op->getOperands())
      if (mlir::Operation *source = operand.getDefiningOp())
        dead.insert(source);
    op->erase();
  }
}

} // namespace

std::optional<bool> causalCondition(Value condition) { return causalOf(condition); }

bool isAttentionProduct(DotGeneralOp op) { return isProduct(op, 4, {3, 2}); }

void recoverAttention(mlir::Block &block) {
  for (auto product : llvm::make_early_inc_range(block.getOps<DotGeneralOp>()))
    recover(product);
}

} // namespace kiln
