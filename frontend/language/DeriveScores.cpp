// Attention whose scores are written out, with a number added for each query and key (T5's relative positions) or bent
// each by itself (Gemma 2's soft caps): keys
// and values go into caches, and tables of queries by keys become rows of the new queries by all places of a cache.
#include "frontend/language/DeriveStep.h"
#include "ir/Classes.h"
#include "ir/Recover.h"
#include "ir/Values.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/STLExtras.h"

#include <map>

namespace kiln::language {

using llvm::SmallVector;
using mlir::Value;
using Axis = int64_t;

namespace {

/// shares v, shares = softmax(chain(q k^T)), where `chain` hides what is behind a query.
struct WrittenScores {
  DotGeneralOp product, shares;
  SoftmaxOp softmax;
  int64_t window = 0;                   // how many keys back a query sees; 0: all
  bool masked = false;                  // shares are 0 where a query sees nothing
  SmallVector<mlir::Operation *> chain; // from the product's reader to what the softmax is of
};

/// A table of queries by keys, made again for as many keys as a cache has places. What a query sees stays as it is.
class Widening {
public:
  Widening(const Dim &time, int64_t places, const llvm::DenseSet<Value> &own)
      : time_(time), places_(places), own_(own) {}

  /// `value` with `places` along the axis `key`; null where it is no such table. `none` is an axis that it has not.
  Value widen(Emit &e, Value value, Axis query, Axis key);

  static constexpr Axis none = -1;

private:
  Value make(Emit &e, Value value, Axis query, Axis key, llvm::ArrayRef<Dim> dims);
  Value reshape(Emit &e, ReshapeOp op, Axis query, Axis key, llvm::ArrayRef<Dim> dims);
  static Axis axisBefore(llvm::ArrayRef<Dim> from, llvm::ArrayRef<Dim> to, Axis axis);

  Dim time_;
  int64_t places_;
  const llvm::DenseSet<Value> &own_; // of the sequence's tokens
  std::map<std::tuple<void *, Axis, Axis>, Value> made_;
};

Value Widening::widen(Emit &e, Value value, Axis query, Axis key) {
  SmallVector<Dim> dims = dimsOf(value);
  for (auto [i, dim] : llvm::enumerate(dims))
    if (dim != time_ ? llvm::is_contained(dim.symbols(), time_.symbols().front())
                     : static_cast<Axis>(i) != query && static_cast<Axis>(i) != key)
      return {};
  if (own_.contains(value))
    return {};
  if (key == none || dims[static_cast<size_t>(key)] != time_)
    return value;
  auto [place, isNew] = made_.try_emplace({value.getAsOpaquePointer(), query, key});
  if (isNew && value.getDefiningOp()) {
    dims[static_cast<size_t>(key)] = Dim(places_);
    Value made = make(e, value, query, key, dims);
    made_[{value.getAsOpaquePointer(), query, key}] = made;
    return made;
  }
  return place->second;
}

/// The axis of a reshape's operand that has become `axis` of its result.
Axis Widening::axisBefore(llvm::ArrayRef<Dim> from, llvm::ArrayRef<Dim> to, Axis axis) {
  if (axis == none)
    return none;
  Dim before(1), here(1);
  for (const Dim &dim : to.take_front(static_cast<size_t>(axis)))
    before = before * dim;
  for (auto [i, dim] : llvm::enumerate(from)) {
    if (dim == to[static_cast<size_t>(axis)] && here == before)
      return static_cast<Axis>(i);
    here = here * dim;
  }
  return none;
}

Value Widening::reshape(Emit &e, ReshapeOp op, Axis query, Axis key, llvm::ArrayRef<Dim> dims) {
  SmallVector<Dim> from = dimsOf(op.getOperand()), to = dimsOf(op.getResult());
  if (query != none && to[static_cast<size_t>(query)] != time_)
    query = none;
  Axis innerKey = axisBefore(from, to, key);
  if (innerKey == none)
    return {};
  Value inner = widen(e, op.getOperand(), axisBefore(from, to, query), innerKey);
  return inner ? e.reshapeTo(inner, dims) : Value();
}

Value Widening::make(Emit &e, Value value, Axis query, Axis key, llvm::ArrayRef<Dim> dims) {
  mlir::Operation *op = value.getDefiningOp();
  if (auto iota = llvm::dyn_cast<IotaOp>(op))
    return e.iota(dims, static_cast<int64_t>(iota.getAxis()), elementOf(value));
  if (auto reshaped = llvm::dyn_cast<ReshapeOp>(op))
    return reshape(e, reshaped, query, key, dims);
  if (auto broadcast = llvm::dyn_cast<BroadcastOp>(op)) {
    Axis q = none, k = none;
    for (auto [i, axis] : llvm::enumerate(broadcast.getAxes())) {
      q = axis == query ? static_cast<Axis>(i) : q;
      k = axis == key ? static_cast<Axis>(i) : k;
    }
    Value inner = widen(e, broadcast.getOperand(), q, k);
    return inner ? e.broadcastTo(inner, broadcast.getAxes(), dims) : Value();
  }
  if (auto transpose = llvm::dyn_cast<TransposeOp>(op)) {
    llvm::ArrayRef<int64_t> from = transpose.getPermutation();
    Value inner = widen(e, transpose.getOperand(), query == none ? none : from[static_cast<size_t>(query)],
                        from[static_cast<size_t>(key)]);
    return inner ? e.transposed(inner, from) : Value();
  }
  if (auto gather = llvm::dyn_cast<GatherOp>(op)) {
    auto along = static_cast<Axis>(gather.getAxis());
    if (gather.getBatchDims() != 0 || key < along || (query != none && query < along))
      return {};
    Value table = widen(e, gather.getOperand(), none, none),
          inner = widen(e, gather.getIndices(), query == none ? none : query - along, key - along);
    return table && inner ? e.gather(table, inner, along) : Value();
  }
  if (!isElementwise(op))
    return {};
  mlir::IRMapping map;
  for (Value operand : op->getOperands()) {
    Value inner = widen(e, operand, query, key);
    if (!inner)
      return {};
    map.map(operand, inner);
  }
  mlir::Operation *copy = e.b.clone(*op, map);
  copy->getResult(0).setType(tensorType(dims, elementOf(value)));
  return copy->getResult(0);
}

/// What is only repeated, or has other axes of extent 1.
Value spread(Value value) {
  while (llvm::isa_and_nonnull<BroadcastOp, ReshapeOp>(value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

/// What the shares are of, where they are a softmax, or one that is 0 where a query sees nothing (masked_softmax).
Value scoresOf(Value shares, SoftmaxOp &softmax) {
  if ((softmax = shares.getDefiningOp<SoftmaxOp>()))
    return softmax.getOperand();
  auto select = shares.getDefiningOp<SelectOp>();
  softmax = select ? select.getOnFalse().getDefiningOp<SoftmaxOp>() : SoftmaxOp();
  auto inner = softmax ? softmax.getOperand().getDefiningOp<SelectOp>() : SelectOp();
  if (!inner || !emptyRows(select.getCondition(), inner.getOnFalse()) ||
      !emptyRows(inner.getCondition(), inner.getOnFalse()))
    return {};
  return inner.getOnFalse();
}

std::optional<WrittenScores> match(DotGeneralOp shares, const Dim &time, const llvm::DenseSet<Value> &own) {
  WrittenScores found;
  found.shares = shares;
  Value value = scoresOf(shares.getLhs(), found.softmax);
  found.masked = found.softmax && found.softmax != shares.getLhs().getDefiningOp();
  int64_t rank = value ? rankOf(value) : 0;
  SmallVector<Dim> dims = value ? dimsOf(value) : SmallVector<Dim>();
  if (rank != 4 || dims[2] != time || dims[3] != time || static_cast<int64_t>(found.softmax.getAxis()) != 3 ||
      !isAttentionProduct(shares))
    return std::nullopt;
  bool causal = false;
  while (mlir::Operation *op = value.getDefiningOp()) {
    if ((found.product = llvm::dyn_cast<DotGeneralOp>(op)))
      break;
    auto select = llvm::dyn_cast<SelectOp>(op);
    std::optional<bool> causes = select ? causalCondition(select.getCondition()) : std::nullopt;
    std::optional<Window> window = select ? windowCondition(select.getCondition()) : std::nullopt;
    if (causes || window) {
      bool inverted = causes ? *causes : window->inverted;
      std::optional<double> hidden = splatValue(spread(inverted ? select.getOnTrue() : select.getOnFalse()));
      if (!hidden || *hidden > kBelowScores)
        return std::nullopt;
      causal |= causes.has_value();
      if (window)
        found.window = window->length;
      value = inverted ? select.getOnFalse() : select.getOnTrue();
    } else if (isElementwise(op) && llvm::count_if(op->getOperands(), [&](Value v) { return own.contains(v); }) == 1) {
      if (!causal) // a hidden score stays one only if nothing is done to it
        return std::nullopt;
      value = *llvm::find_if(op->getOperands(), [&](Value v) { return own.contains(v); });
    } else {
      return std::nullopt;
    }
    found.chain.push_back(op);
  }
  std::reverse(found.chain.begin(), found.chain.end());
  return causal && found.product && isAttentionProduct(found.product) ? std::optional(found) : std::nullopt;
}

/// Rows [B, H, S, D], where they are given as [B, H, D, S].
Value asRows(Emit &e, Value value, bool turned) { return turned ? e.transposed(value, {0, 1, 3, 2}) : value; }

} // namespace

static Value sharesOf(Emit &e, Value scores, WrittenScores &found) {
  auto softmax = [&](Value of) { return e.create<SoftmaxOp>(of.getType(), of, found.softmax.getAxisAttr()); };
  if (!found.masked)
    return softmax(scores);
  Value zero = e.splatLike(scores, 0);
  Value most = e.reduceMax(scores, {3});
  Value empty = e.compare(Predicate::eq, most, -std::numeric_limits<double>::infinity());
  empty = e.broadcastBack(empty, {3}, dimsOf(scores));
  return e.select(empty, zero, softmax(e.select(empty, zero, scores)));
}

/// The value that all elements of what stands beside the scores have; nullopt where they differ.
static std::optional<double> besideScores(mlir::Operation *op, Value scores) {
  for (Value operand : op->getOperands())
    if (operand != scores)
      return splatValue(spread(operand));
  return 0;
}

/// Whether what is done to the scores is the same wherever a key stands, but for what a query sees: then keys may stand
/// in a ring.
static bool goesInRing(WrittenScores &found) {
  Value old = found.product.getResult();
  for (mlir::Operation *op : found.chain) {
    if (!llvm::isa<SelectOp>(op) && (op->getNumOperands() > 2 || !besideScores(op, old)))
      return false;
    old = op->getResult(0);
  }
  return found.window > 0;
}

/// The scores' ops once more, of keys that are of these positions.
static Value ofPlaces(Emit &e, WrittenScores &found, Value scores, Value places, const Dim &time) {
  SmallVector<Dim> dims = dimsOf(scores);
  mlir::Type index = elementOf(places);
  Value query = e.broadcastTo(e.iota({time}, 0, index), {2}, dims), key = e.broadcastTo(places, {3}, dims);
  Value old = found.product.getResult();
  for (mlir::Operation *op : found.chain) {
    if (auto select = llvm::dyn_cast<SelectOp>(op)) {
      Value hidden = select.getOnTrue() == old ? select.getOnFalse() : select.getOnTrue();
      Value seen = windowCondition(select.getCondition())
                       ? e.compare(Predicate::gt, key, e.sub(query, e.splatInt(query.getType(), found.window)))
                       : e.op<AndOp>(e.compare(Predicate::le, key, query), e.compare(Predicate::ge, key, 0));
      scores = e.select(seen, scores, e.splatLike(scores, *splatValue(spread(hidden))));
    } else {
      mlir::IRMapping map;
      for (Value operand : op->getOperands())
        map.map(operand, operand == old ? scores : e.splatLike(scores, *besideScores(op, old)));
      mlir::Operation *copy = e.b.clone(*op, map);
      copy->getResult(0).setType(tensorType(dims, elementOf(op->getResult(0))));
      scores = copy->getResult(0);
    }
    old = op->getResult(0);
  }
  return scores;
}

bool StepDeriver::cacheScores(Value tokens) {
  llvm::DenseSet<Value> own = {tokens};
  for (mlir::Operation &op : block_)
    if (llvm::any_of(op.getOperands(), [&](Value operand) { return own.contains(operand); }))
      own.insert(op.result_begin(), op.result_end());
  std::optional<Widening> widening;
  for (auto shares : llvm::make_early_inc_range(block_.getOps<DotGeneralOp>())) {
    std::optional<WrittenScores> found = match(shares, time_, own);
    if (!found)
      continue;
    if (!capacity_)
      return unbounded(shares);
    if (!widening)
      widening.emplace(time_, *capacity_, own);
    mlir::OpBuilder b(shares);
    Emit e(b, shares.getLoc());
    DotGeneralOp product = found->product;
    DotAxes axes;
    axes.lhsBatch = axes.rhsBatch = {0, 1};
    axes.lhsContract = axes.rhsContract = {3};
    auto give = [&](Value scores, Value values) {
      axes.rhsContract = {2};
      shares.getResult().replaceAllUsesWith(e.dot(sharesOf(e, scores, *found), values, axes));
      eraseUnread(shares.getOperation()); // scores of all positions by all, and their tables, too
    };
    if (found->window < *capacity_ && goesInRing(*found)) {
      std::string name = std::to_string(number_++);
      Value keys =
          ringRows(e, found->window, "keys." + name, asRows(e, product.getRhs(), product.getRhsContract()[0] == 2));
      Value values =
          ringRows(e, found->window, "values." + name, asRows(e, shares.getRhs(), shares.getRhsContract()[0] == 3));
      Value places = ringPlaces(e, found->window, dimsOf(keys)[2]);
      give(ofPlaces(e, *found, e.dot(product.getLhs(), keys, axes), places, time_), values);
      continue;
    }
    SmallVector<mlir::IRMapping> tables(found->chain.size());
    bool all = true;
    for (auto [op, table] : llvm::zip(found->chain, tables))
      for (Value operand : op->getOperands())
        if (!own.contains(operand)) {
          Value wide = widening->widen(e, operand, 2, 3);
          all &= static_cast<bool>(wide);
          table.map(operand, wide);
        }
    if (!all)
      continue; // visiting it says what is in the way
    std::string name = std::to_string(number_++);
    Value keys = cached(e, "keys." + name, asRows(e, product.getRhs(), product.getRhsContract()[0] == 2));
    Value values = cached(e, "values." + name, asRows(e, shares.getRhs(), shares.getRhsContract()[0] == 3));
    Value old = product.getResult(), scores = e.dot(product.getLhs(), keys, axes);
    for (auto [op, table] : llvm::zip(found->chain, tables)) {
      table.map(old, scores);
      mlir::Operation *copy = b.clone(*op, table);
      copy->getResult(0).setType(tensorType(dimsOf(scores), elementOf(op->getResult(0))));
      old = op->getResult(0), scores = copy->getResult(0);
    }
    give(scores, values);
  }
  return true;
}

} // namespace kiln::language
