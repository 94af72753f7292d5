// From the product with the values back to the queries.
#include "ir/Recover.h"
#include "ir/Build.h"
#include "ir/Values.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

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
  bool isLess = llvm::isa_and_nonnull<SubOp>(op);
  if (!isLess && !llvm::isa_and_nonnull<BroadcastOp, ReshapeOp, AddOp>(op))
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
  if (!more)
    return std::nullopt;
  return Place{below->axis, below->offset + static_cast<int64_t>(isLess ? -*more : *more)};
}

/// What a condition says of a key's place: that it is at most, or at least, the query's and so many more.
struct KeyBound {
  bool atMost;
  int64_t more;
};

std::optional<KeyBound> keyBoundOf(Value mask) {
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
    return KeyBound{keyFirst, more};
  case Predicate::lt:
    return KeyBound{keyFirst, keyFirst ? more - 1 : more + 1};
  case Predicate::ge:
    return KeyBound{!keyFirst, more};
  case Predicate::gt:
    return KeyBound{!keyFirst, keyFirst ? more + 1 : more - 1};
  default:
    return std::nullopt;
  }
}

} // namespace

std::optional<bool> causalCondition(Value mask) {
  std::optional<KeyBound> bound = keyBoundOf(mask);
  if (!bound || bound->more != (bound->atMost ? 0 : 1))
    return std::nullopt;
  return !bound->atMost;
}

std::optional<Window> windowCondition(Value mask) {
  std::optional<KeyBound> bound = keyBoundOf(mask);
  int64_t length = !bound ? 0 : bound->atMost ? -bound->more : 1 - bound->more;
  return length > 0 ? std::optional(Window{length, bound->atMost}) : std::nullopt;
}

ReduceOp emptyRows(Value condition, Value scores) {
  auto spread = [](Value value) {
    while (llvm::isa_and_nonnull<BroadcastOp, ReshapeOp>(value.getDefiningOp()))
      value = value.getDefiningOp()->getOperand(0);
    return value;
  };
  auto compare = spread(condition).getDefiningOp<CompareOp>();
  if (!compare || compare.getPredicate() != Predicate::eq ||
      splatValue(spread(compare.getRhs())) != -std::numeric_limits<double>::infinity())
    return {};
  auto most = spread(compare.getLhs()).getDefiningOp<ReduceOp>();
  bool ofScores = most && most.getKind() == ReduceKind::max && most.getOperand() == scores &&
                  most.getAxes() == llvm::ArrayRef<int64_t>{rankOf(scores) - 1};
  return ofScores ? most : ReduceOp();
}

namespace {

/// What stands between the softmax and the product of queries and keys.
struct Scores {
  DotGeneralOp product;
  double scale = 1;
  double softcap = 0; // 0: none
  bool causal = false;
  bool guarded = false;                 // where a query sees no key the shares are 0, as attention's are
  bool equal = false;                   // where a query sees no key the shares of all are the same: a finite mask
  Value mask;                           // bool, of the scores' rank
  Value bias;                           // added to the scores, of their rank
  bool biases = false;                  // whether one is looked for
  SmallVector<mlir::Operation *> chain; // from the softmax's reader to the product, each the only reader of the next
};

/// At most this is one that is still the same when a score is added to it.
constexpr double kAbsorbs = -1e30;

/// The condition that a bool as a number, or a number's difference from 0, tells.
Value conditionOf(Value condition, Value number) {
  if (auto convert = condition.getDefiningOp<ConvertOp>())
    return elementOf(convert).isInteger(1) && convert.getOperand() == number ? condition : Value();
  auto compare = condition.getDefiningOp<CompareOp>();
  return compare && compare.getPredicate() == Predicate::ne && compare.getLhs() == number &&
                 numberOf(compare.getRhs()) == 0.0
             ? condition
             : Value();
}

/// Of a bias that is 0 where a key is seen, and `fill` where not: whether it is seen.
Value maskOf(Emit &e, Value bias, double &fill) {
  if (auto broadcast = bias.getDefiningOp<BroadcastOp>()) {
    Value inner = maskOf(e, broadcast.getOperand(), fill);
    if (inner && rankOf(inner) == rankOf(broadcast.getResult()))
      return inner; // attention's mask is as wide as it is
    return inner ? e.broadcastTo(inner, broadcast.getAxes(), dimsOf(broadcast.getResult())) : Value();
  }
  // (1 - seen) * fill
  if (auto product = bias.getDefiningOp<MulOp>()) {
    auto rest = product.getLhs().getDefiningOp<SubOp>();
    auto seen = rest ? rest.getRhs().getDefiningOp<ConvertOp>() : ConvertOp();
    std::optional<double> factor = numberOf(product.getRhs());
    if (!factor || !seen || numberOf(rest.getLhs()) != 1.0 || !elementOf(seen.getOperand()).isInteger(1))
      return {};
    return fill = *factor, seen.getOperand();
  }
  auto select = bias.getDefiningOp<SelectOp>();
  if (!select)
    return {};
  std::optional<double> yes = numberOf(select.getOnTrue()), no = numberOf(select.getOnFalse());
  if (yes == 0.0 && no)
    return fill = *no, select.getCondition();
  if (!yes || (no != 0.0 && !conditionOf(select.getCondition(), select.getOnFalse())))
    return {};
  return fill = *yes, e.op<NotOp>(select.getCondition());
}

/// Whether a mask of this value hides keys as attention's does; what becomes of a query that sees none is noted.
bool hides(double fill, double most, Scores &scores) {
  bool infinite = fill == -std::numeric_limits<double>::infinity();
  scores.equal = !infinite;
  return infinite ? scores.guarded : fill <= most && !scores.causal;
}

/// A mask before it was spread, of the same rank: attention's is as wide as it is.
Value narrowed(Emit &e, Value mask) {
  while (auto broadcast = mask.getDefiningOp<BroadcastOp>()) {
    SmallVector<Dim> dims(static_cast<size_t>(rankOf(broadcast.getResult())), Dim(1));
    for (auto [axis, dim] : llvm::zip(broadcast.getAxes(), dimsOf(broadcast.getOperand())))
      dims[static_cast<size_t>(axis)] = dim;
    if (rankOf(broadcast.getOperand()) != rankOf(broadcast.getResult()))
      return e.reshapeTo(broadcast.getOperand(), dims);
    mask = broadcast.getOperand();
  }
  return mask;
}

/// A product, times numbers at most.
bool isScaledProduct(Value value) {
  while (value.getDefiningOp<MulOp>() || value.getDefiningOp<DivOp>())
    value = value.getDefiningOp()->getOperand(0);
  return value.getDefiningOp<DotGeneralOp>() != nullptr;
}

/// What is added to scores [.., T, S], before it was spread over them; null where it is not one row of keys at least.
Value biasOf(Emit &e, Value added) {
  Value bias = added;
  if (auto broadcast = added.getDefiningOp<BroadcastOp>()) {
    SmallVector<Dim> dims(static_cast<size_t>(rankOf(added)), Dim(1));
    for (auto [axis, dim] : llvm::zip(broadcast.getAxes(), dimsOf(broadcast.getOperand())))
      dims[static_cast<size_t>(axis)] = dim;
    if (dims.back() == dimsOf(added).back())
      bias = e.reshapeTo(broadcast.getOperand(), dims);
    else
      return {};
  }
  return bias;
}

/// A factor times tanh of what comes next, in which nothing is hidden: a soft cap.
Value peelCap(TanhOp op, Scores &scores) {
  if (scores.softcap > 0 || scores.bias || !(scores.scale > 0) || !std::isfinite(scores.scale))
    return {};
  scores.softcap = std::exchange(scores.scale, 1);
  return op.getOperand();
}

/// One addition off the scores: of 0 and what hides a key, which is a mask, or of numbers.
Value peelAdded(AddOp op, Scores &scores) {
  mlir::OpBuilder b(op);
  Emit e(b, op.getLoc());
  double fill = 0;
  for (unsigned i : {1, 0})
    if (!scores.mask && (scores.mask = maskOf(e, op->getOperand(i), fill)))
      return hides(fill, kAbsorbs, scores) ? op->getOperand(1 - i) : Value();
  if (!scores.guarded || scores.equal || !scores.biases || scores.bias || scores.scale != 1)
    return {};
  for (unsigned i : {1, 0})
    if (isScaledProduct(op->getOperand(1 - i)))
      return (scores.bias = biasOf(e, op->getOperand(i))) ? op->getOperand(1 - i) : Value();
  return {};
}

/// One op off the scores: gives what it works on.
Value peel(Value value, Scores &scores) {
  mlir::Operation *op = value.getDefiningOp();
  if (auto bent = llvm::dyn_cast<TanhOp>(op))
    return peelCap(bent, scores);
  if (scores.softcap > 0 && llvm::isa<AddOp, SelectOp>(op)) // a key that is hidden before it is bent is seen
    return {};
  if (auto added = llvm::dyn_cast<AddOp>(op))
    return peelAdded(added, scores);
  if (auto select = llvm::dyn_cast<SelectOp>(op)) {
    std::optional<double> yes = numberOf(select.getOnTrue()), no = numberOf(select.getOnFalse());
    if (yes.has_value() == no.has_value())
      return {};
    Value kept = yes ? select.getOnFalse() : select.getOnTrue();
    double fill = yes ? *yes : *no;
    if (std::optional<bool> inverted = causalCondition(select.getCondition()); inverted == yes.has_value()) {
      scores.causal = fill <= kBelowScores && !scores.equal; // which keys a query sees is then told by both
      return scores.causal ? kept : Value();
    }
    if (scores.mask || !hides(fill, kBelowScores, scores))
      return {};
    mlir::OpBuilder b(op);
    Emit e(b, op->getLoc());
    scores.mask = narrowed(e, select.getCondition());
    if (yes)
      scores.mask = e.op<NotOp>(scores.mask);
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

/// Of masked_softmax, where(empty, 0, softmax(where(empty, 0, scores))) with empty = max(scores) == -inf: the scores,
/// where these are all that reads them.
Value scoresOfMasked(SelectOp outer, SoftmaxOp softmax) {
  auto inner = softmax.getOperand().getDefiningOp<SelectOp>();
  if (!inner || numberOf(inner.getOnTrue()) != 0.0 || numberOf(outer.getOnTrue()) != 0.0 || !outer->hasOneUse() ||
      !inner->hasOneUse() || !softmax->hasOneUse())
    return {};
  Value scores = inner.getOnFalse();
  ReduceOp most = emptyRows(outer.getCondition(), scores), same = emptyRows(inner.getCondition(), scores);
  if (!most || !same || llvm::any_of(scores.getUsers(), [&](mlir::Operation *user) {
        return user != inner && user != most && user != same;
      }))
    return {};
  return scores;
}

/// The dropout that shares went through, in training; null for none, or where something else reads what it gives.
DropoutOp dropoutOf(Value shares) {
  auto dropout = shares.getDefiningOp<DropoutOp>();
  return dropout && dropout->hasOneUse() ? dropout : DropoutOp();
}

/// The softmax that shares are, or are where it is a number: where(isnan(w), 0, w), as exporters guard it, or
/// masked_softmax: `from`, its scores.
SoftmaxOp softmaxOf(Value shares, bool &guarded, Value &from) {
  if (auto softmax = shares.getDefiningOp<SoftmaxOp>()) {
    from = softmax.getOperand();
    return shares.hasOneUse() ? softmax : SoftmaxOp();
  }
  auto select = shares.getDefiningOp<SelectOp>();
  if (auto softmax = select ? select.getOnFalse().getDefiningOp<SoftmaxOp>() : SoftmaxOp())
    if ((from = scoresOfMasked(select, softmax))) {
      guarded = true;
      return softmax;
    }
  auto compare = select ? select.getCondition().getDefiningOp<CompareOp>() : CompareOp();
  auto softmax = select ? select.getOnFalse().getDefiningOp<SoftmaxOp>() : SoftmaxOp();
  guarded = compare && softmax && compare.getPredicate() == Predicate::ne && compare.getLhs() == softmax &&
            compare.getRhs() == softmax && numberOf(select.getOnTrue()) == 0.0 && select->hasOneUse() &&
            compare->hasOneUse() &&
            llvm::all_of(softmax->getUsers(), [&](mlir::Operation *user) { return user == compare || user == select; });
  if (guarded)
    from = softmax.getOperand();
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

std::optional<Scores> scoresOf(DotGeneralOp shares, SoftmaxOp softmax, Value from, Scores scores) {
  int64_t rank = rankOf(softmax);
  scores.chain.append({shares, softmax});
  for (Value value = from;
       value && value.getDefiningOp() && (value.hasOneUse() || (value == from && from != softmax.getOperand()));
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

/// The result where a query sees a key by the mask, else the mean of all values.
Value orMean(Emit &e, Value result, Value value, Value mask) {
  SmallVector<Dim> dims = dimsOf(result);
  Value sees = e.reduce(ReduceKind::any, mask, {3}), mean = e.meanOver(value, {2});
  return e.select(e.broadcastTo(sees, {0, 1, 2}, dims), result, e.broadcastTo(mean, {0, 1, 3}, dims));
}

/// A mask before it was spread over all batches, heads and queries.
Value unspread(Value mask) {
  auto broadcast = mask.getDefiningOp<BroadcastOp>();
  return broadcast && rankOf(broadcast.getOperand()) == 4 && rankOf(mask) == 4 ? broadcast.getOperand() : mask;
}

void recover(DotGeneralOp shares, bool training) {
  Scores begun;
  begun.biases = training;
  Value from;
  DropoutOp dropout = training ? dropoutOf(shares.getLhs()) : DropoutOp();
  SoftmaxOp softmax = softmaxOf(dropout ? dropout.getOperand() : shares.getLhs(), begun.guarded, from);
  if (!softmax)
    return;
  int64_t rank = rankOf(softmax);
  mlir::Type element = elementOf(softmax);
  if ((rank != 3 && rank != 4) || static_cast<int64_t>(softmax.getAxis()) != rank - 1 ||
      !(element.isF32() || element.isF64()) || !isProduct(shares, rank, {rank - 1, rank - 2}) ||
      elementOf(shares) != element)
    return;
  std::optional<Scores> scores = scoresOf(shares, softmax, from, begun);
  if (!scores || (dropout && (scores->equal || scores->softcap > 0)))
    return; // the mean of all values is of shares that are not dropped; no op bends scores and drops shares
  mlir::OpBuilder b(shares);
  Emit e(b, shares.getLoc());
  DotGeneralOp product = scores->product;
  Value query = asHeads(e, unscaled(product.getLhs(), scores->scale));
  Value key = asHeads(e, asRows(e, unscaled(product.getRhs(), scores->scale), product.getRhsContract()[0] == rank - 2));
  Value value = asHeads(e, asRows(e, shares.getRhs(), shares.getRhsContract()[0] == rank - 1));
  Value mask = scores->mask ? unspread(asHeads(e, scores->mask)) : Value();
  Value bias = scores->bias ? asHeads(e, scores->bias) : Value();
  AttentionOptions options;
  options.causal = scores->causal;
  if (mask)
    options.mask = tensorOf(mask);
  if (bias)
    options.bias = tensorOf(bias);
  Inferred inferred = inferAttention(tensorOf(query), tensorOf(key), tensorOf(value), options);
  if (!inferred)
    return;
  auto scale = b.getF64FloatAttr(scores->scale);
  auto causal = b.getBoolAttr(scores->causal);
  mlir::IntegerAttr none;
  Value result, start;
  if (dropout)
    result = e.create<DropoutAttentionOp>(inferred.type, mlir::Type(), query, key, value, bias, mask, start,
                                          dropout.getSeed(), dropout.getCounters(), scale, dropout.getPAttr(),
                                          dropout.getStreamAttr(), causal, none, none)
                 .getResult();
  else if (scores->softcap > 0)
    result = e.create<CappedAttentionOp>(inferred.type, mlir::Type(), query, key, value, mask, start,
                                         b.getF64FloatAttr(scores->scale * scores->softcap),
                                         b.getF64FloatAttr(scores->softcap), causal, none, none)
                 .getResult();
  else if (bias)
    result = e.create<BiasedAttentionOp>(inferred.type, mlir::Type(), query, key, value, bias, mask, start, scale,
                                         causal, none, none)
                 .getResult();
  else
    result =
        e.create<AttentionOp>(inferred.type, mlir::Type(), query, key, value, mask, start, scale, causal, none, none)
            .getResult();
  if (scores->equal)
    result = orMean(e, result, value, mask);
  shares.getResult().replaceAllUsesWith(e.reshapeTo(result, dimsOf(shares.getResult())));
  // Nobody else reads these, nor a mask of theirs.
  eraseUnread(SmallVector<mlir::Operation *>(llvm::reverse(scores->chain)));
}

} // namespace

bool isAttentionProduct(DotGeneralOp op) { return isProduct(op, 4, {3, 2}); }

void recoverAttention(mlir::Block &block, bool training) {
  for (auto product : llvm::make_early_inc_range(block.getOps<DotGeneralOp>()))
    recover(product, training);
}

} // namespace kiln
