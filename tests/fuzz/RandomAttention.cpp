// Attention in all its variants: as the op, and as a model may write it out.
#include "tests/fuzz/Generator.h"

#include <cmath>

namespace kiln::test {

/// Of the dimensions some, drawn, are 1: what is broadcast to them.
llvm::SmallVector<Dim> Generator::someOf(llvm::ArrayRef<Dim> dims) {
  llvm::SmallVector<Dim> some(dims);
  for (Dim &dim : some)
    if (below(2))
      dim = Dim(1);
  return some;
}

/// [B, H, T, D], itself or as a layer has it: of [B, T, H * D].
mlir::Value Generator::headsOf(llvm::ArrayRef<Dim> dims, mlir::Type element, bool apart) {
  if (apart)
    return argument(dims, element, true);
  mlir::Value rows = argument({dims[0], dims[2], dims[1] * dims[3]}, element, true);
  return emit_.transposed(emit_.reshapeTo(rows, {dims[0], dims[2], dims[1], dims[3]}), {0, 2, 1, 3});
}

/// Which keys may be seen: by each row's length, or by numbers for some of the axes.
mlir::Value Generator::maskOf(llvm::ArrayRef<Dim> scores) {
  mlir::Type i32 = builder_.getI32Type();
  if (below(2)) { // 0, 1 or 2 of three parts of the keys
    llvm::SmallVector<Dim> dims = {scores[0], Dim(1), Dim(1), scores[3]};
    mlir::Value third = emit_.create<DivOp>(tensorType({}, i32), emit_.extent(scores[3] + Dim(2), i32),
                                            emit_.splatInt(tensorType({}, i32), 3));
    mlir::Value lengths = argument({scores[0]}, i32, true);
    lengths = emit_.mul(lengths, emit_.broadcastScalar(third, {scores[0]}));
    return emit_.compare(Predicate::lt, emit_.iota(dims, 3, i32), emit_.broadcastTo(lengths, {0}, dims));
  }
  mlir::Value numbers = argument(someOf(scores), i32, true);
  return emit_.compare(Predicate::gt, numbers, emit_.splatInt(numbers.getType(), 0));
}

/// Which keys a query sees by their places: those up to its own, or nearly so, or some before.
mlir::Value Generator::placesOf(llvm::ArrayRef<Dim> scores) {
  mlir::Type i32 = builder_.getI32Type();
  llvm::SmallVector<Dim> dims = {scores[2], scores[3]};
  bool spread = below(2); // on one axis each, or on both
  mlir::Value key = spread ? emit_.broadcastTo(emit_.iota({dims[1]}, 0, i32), {1}, dims) : emit_.iota(dims, 1, i32);
  mlir::Value query = spread ? emit_.broadcastTo(emit_.iota({dims[0]}, 0, i32), {0}, dims) : emit_.iota(dims, 0, i32);
  if (below(3) == 0)
    query = emit_.add(query, emit_.splatInt(query.getType(), oneOf({-1, 0, 1, 2})));
  static constexpr Predicate predicates[] = {Predicate::le, Predicate::lt, Predicate::ge, Predicate::gt};
  Predicate predicate = predicates[below(3) ? 0 : below(4)];
  mlir::Value sees = below(2) ? emit_.compare(predicate, key, query) : emit_.compare(predicate, query, key);
  return emit_.broadcastTo(sees, {2, 3}, scores);
}

/// Scores below which a key is hidden, as models write it: before the softmax, by a choice or a sum.
mlir::Value Generator::hideKeys(mlir::Value scores, mlir::Value seen) {
  static constexpr double fills[] = {-INFINITY, -1e30, -3.4e38, -1e4};
  double fill = fills[below(4)];
  seen = emit_.broadcastTo(seen, {0, 1, 2, 3}, dimsOf(scores));
  mlir::Value low = emit_.splatLike(scores, fill), zero = emit_.splatLike(scores, 0);
  switch (below(4)) {
  case 0:
    return emit_.select(emit_.op<NotOp>(seen), low, scores);
  case 1:
    return emit_.add(scores, emit_.select(seen, zero, low));
  case 2:
    if (std::isfinite(fill))
      return emit_.add(scores,
                       emit_.mul(emit_.sub(emit_.splatLike(scores, 1), emit_.convertTo(seen, elementOf(scores))), low));
    [[fallthrough]];
  default:
    return emit_.select(seen, scores, low);
  }
}

/// Shares of scores [B, H, T, S], of which a query that sees no key has none, or what comes of it.
mlir::Value Generator::sharesOf(mlir::Value scores) {
  auto axis = builder_.getI64IntegerAttr(3);
  auto softmax = [&](mlir::Value of) { return emit_.create<SoftmaxOp>(of.getType(), of, axis).getResult(); };
  mlir::Value zero = emit_.splatLike(scores, 0);
  switch (below(3)) {
  case 0: {
    mlir::Value most = emit_.reduceMax(scores, {3});
    mlir::Value none = emit_.compare(Predicate::eq, most, emit_.splatLike(most, -INFINITY));
    none = emit_.broadcastBack(none, {3}, dimsOf(scores));
    return emit_.select(none, zero, softmax(emit_.select(none, zero, scores)));
  }
  case 1: {
    mlir::Value shares = softmax(scores);
    return emit_.select(emit_.compare(Predicate::ne, shares, shares), zero, shares);
  }
  default:
    return softmax(scores);
  }
}

/// Attention as a model may write it out: what of it is recovered is the compiler's affair.
mlir::Value Generator::spelledAttention(mlir::Value q, mlir::Value k, mlir::Value v, double scale) {
  DotAxes of, with;
  of.lhsBatch = of.rhsBatch = with.lhsBatch = with.rhsBatch = {0, 1};
  of.lhsContract = of.rhsContract = with.lhsContract = {3};
  with.rhsContract = {2};
  if (below(2)) {
    k = emit_.transposed(k, {0, 1, 3, 2});
    of.rhsContract = {2};
  }
  int64_t where = below(5);
  mlir::Value scores = emit_.dot(where == 0 ? emit_.mul(q, scale) : q, where == 1 ? emit_.mul(k, scale) : k, of);
  if (where == 2)
    scores = emit_.mul(scores, scale);
  else if (where == 3)
    scores = emit_.div(scores, 1 / scale);
  llvm::SmallVector<Dim> dims = dimsOf(scores);
  auto bias = [&] {
    llvm::SmallVector<Dim> its = someOf(dims);
    return emit_.broadcastTo(argument(its, elementOf(q), below(2)), {0, 1, 2, 3}, dims);
  };
  if (below(3) == 0)
    scores = emit_.add(scores, bias());
  for (int64_t masks = below(3); masks > 0; --masks)
    scores = hideKeys(scores, below(2) ? placesOf(dims) : maskOf(dims));
  if (below(6) == 0)
    scores = emit_.add(scores, bias());
  if (where == 4)
    scores = emit_.mul(scores, scale);
  mlir::Value shares = sharesOf(scores);
  if (below(5) == 0) {
    mlir::Value seed = emit_.splatInt(tensorType({}, builder_.getIntegerType(32, false)), below(100));
    shares = emit_.create<DropoutOp>(shares.getType(), shares, seed, mlir::ValueRange(), builder_.getF64FloatAttr(0.25),
                                     builder_.getI64IntegerAttr(below(9)));
  }
  return emit_.dot(shares, v, with);
}

void Generator::attentionLayer(mlir::Type element) {
  int64_t groups = oneOf({1, 1, 2, 3}), heads = oneOf({1, 2, 3}), width = oneOf({1, 4, 8, 16, 17, 32});
  bool symbol = options_.symbolic && below(2);
  Dim batch(oneOf({1, 1, 2, 3})), queries(oneOf({1, 1, 2, 3, 5, 7, 8, 9, 16, 17, 33})), keys = queries;
  if (below(2))
    keys = Dim(oneOf({1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 40}));
  if (symbol)
    (below(3) == 0 ? batch : below(2) ? keys : queries) = anyRows();
  Dim of(width), result(below(3) ? width : oneOf({1, 3, 8, 16, 20}));
  bool apart = below(2);
  mlir::Value q = headsOf({batch, Dim(heads * groups), queries, of}, element, apart);
  mlir::Value k = headsOf({batch, Dim(heads), keys, of}, element, apart);
  mlir::Value v = headsOf({batch, Dim(heads), keys, result}, element, apart);
  auto together = [&](mlir::Value y) { // heads beside each other again
    return apart ? y
                 : emit_.reshapeTo(emit_.transposed(y, {0, 2, 1, 3}), {batch, queries, Dim(heads * groups) * result});
  };
  double scale = 1 / std::sqrt(static_cast<double>(width));
  if (groups == 1 && below(3))
    return keep(together(spelledAttention(q, k, v, scale)));
  keep(together(wholeAttention(q, k, v, groups, scale)));
}

mlir::Value Generator::wholeAttention(mlir::Value q, mlir::Value k, mlir::Value v, int64_t groups, double factor) {
  llvm::SmallVector<Dim> scores(llvm::ArrayRef<Dim>(dimsOf(q)).drop_back()), dims = scores;
  scores.push_back(dimsOf(k)[2]);
  dims.push_back(dimsOf(v)[3]);
  mlir::Type element = elementOf(q), type = tensorType(dims, element);
  bool causal = below(2);
  mlir::Value start =
      causal && below(2)
          ? emit_.add(label(), emit_.splatInt(tensorType({}, builder_.getI32Type()), oneOf({-2, 0, 0, 3, 20})))
          : mlir::Value();
  mlir::Value mask = below(3) == 0 ? maskOf(scores) : mlir::Value();
  mlir::Value bias = below(3) == 0 ? argument(someOf(scores), element, below(2)) : mlir::Value();
  auto window = causal && below(3) == 0 ? builder_.getI64IntegerAttr(oneOf({1, 2, 5, 8, 17})) : mlir::IntegerAttr();
  auto shared = groups == 1 ? mlir::IntegerAttr() : builder_.getI64IntegerAttr(groups);
  auto scale = builder_.getF64FloatAttr(factor);
  mlir::BoolAttr hides = builder_.getBoolAttr(causal);
  if (below(4) == 0) {
    mlir::Value seed = emit_.splatInt(tensorType({}, builder_.getIntegerType(32, false)), below(100));
    llvm::SmallVector<mlir::Value> counters;
    if (below(2))
      counters.push_back(label());
    return emit_
        .create<DropoutAttentionOp>(type, mlir::Type(), q, k, v, bias, mask, start, seed, counters, scale,
                                    builder_.getF64FloatAttr(0.25), builder_.getI64IntegerAttr(below(9)), hides, shared,
                                    window)
        .getResult();
  }
  if (bias)
    return emit_.create<BiasedAttentionOp>(type, mlir::Type(), q, k, v, bias, mask, start, scale, hides, shared, window)
        .getResult();
  return emit_.create<AttentionOp>(type, mlir::Type(), q, k, v, mask, start, scale, hides, shared, window).getResult();
}

} // namespace kiln::test
