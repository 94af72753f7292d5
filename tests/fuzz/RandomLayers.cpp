// Layers that a compile rewrites as a whole: scores of many classes with what a loss makes of them, matrices that a
// build may store in blocks, experts that some of the rows choose, and random draws.
#include "tests/fuzz/Generator.h"

#include <cmath>

namespace kiln::test {

/// A vector's neighbours, and what has whole blocks of numbers.
static constexpr int64_t blocked[] = {32, 64, 96, 128, 192, 256};

/// Numbers drawn for x, and what they leave of it.
void Generator::drawn(mlir::Value x) {
  mlir::Value seed = emit_.splatInt(tensorType({}, builder_.getIntegerType(32, false)), below(100));
  llvm::SmallVector<mlir::Value> counters;
  for (int64_t more = below(3); more > 0; --more)
    counters.push_back(label());
  auto stream = builder_.getI64IntegerAttr(below(9));
  bool wide = elementOf(x).isF32() || elementOf(x).isF64(); // which numbers are drawn in
  if (!wide || below(3))
    return keep(emit_.create<DropoutOp>(x.getType(), x, seed, counters, builder_.getF64FloatAttr(below(2) ? 0.25 : 0.6),
                                        stream));
  mlir::Value numbers = below(2) ? emit_.create<RandomUniformOp>(x.getType(), seed, counters, stream).getResult()
                                 : emit_.create<RandomNormalOp>(x.getType(), seed, counters, stream).getResult();
  keep(below(2) ? emit_.add(x, numbers) : emit_.mul(x, emit_.tanh(numbers)));
}

/// A mixture: of each expert the rows that have chosen it, added up. Large enough for passes/Skip, which leaves out
/// what no row asks for.
void Generator::expertsLayer(mlir::Type element) {
  int64_t width = oneOf({64, 65, 96}), hidden = oneOf({256, 272}), experts = 2 + below(2);
  bool symbol = options_.symbolic && below(2);
  llvm::SmallVector<Dim> rows = {symbol ? anyRows() : Dim(oneOf({1, 2, 5, 17, 32, 33, 40}))};
  if (below(4) == 0)
    rows.insert(rows.begin(), Dim(oneOf({1, 2})));
  llvm::SmallVector<Dim> of = rows, one = rows;
  of.push_back(Dim(width));
  one.push_back(Dim(1));
  int64_t last = static_cast<int64_t>(rows.size());
  llvm::SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, last + 1));
  DotAxes axes;
  axes.lhsContract = {last};
  axes.rhsContract = {0};
  mlir::Value x = argument(of, element, true), chosen = argument(one, builder_.getI32Type(), true);
  mlir::Value gate = emit_.sigmoid(argument(one, element, true)), sum = below(2) ? x : emit_.splatLike(x, 0);
  for (int64_t expert = 0; expert < experts; ++expert) {
    mlir::Value is = emit_.compare(Predicate::eq, chosen, emit_.splatInt(chosen.getType(), expert));
    mlir::Value y = below(3) ? x : emit_.tanh(x);
    y = emit_.dot(y, argument({Dim(width), Dim(hidden)}, element, false), axes);
    y = emit_.mul(y, 1 / std::sqrt(static_cast<double>(width)));
    if (below(2))
      y = emit_.add(y, emit_.broadcastTrailing(argument({Dim(hidden)}, element, false), dimsOf(y)));
    y = below(4) ? emit_.op<SiluOp>(y)
                 : emit_.create<SoftmaxOp>(y.getType(), y, builder_.getI64IntegerAttr(last)).getResult();
    y = emit_.dot(y, argument({Dim(hidden), Dim(width)}, element, false), axes);
    y = emit_.mul(y, 1 / std::sqrt(static_cast<double>(hidden)));
    bool before = below(2);
    mlir::Value weight = emit_.broadcastTo(gate, all, of);
    if (before)
      y = emit_.mul(y, weight);
    y = emit_.select(emit_.broadcastTo(is, all, of), y, emit_.splatLike(y, 0));
    if (!before && below(2))
      y = emit_.mul(y, weight);
    sum = below(2) ? emit_.add(sum, y) : emit_.add(y, sum);
  }
  keep(sum);
}

/// As many as a symbol says, or one less, which may be none.
Dim Generator::anyRows() {
  Dim rows = Dim::symbol(anySymbol());
  return options_.gradients || below(3) ? rows : rows - Dim(1);
}

/// What a loss asks of its logits first: a bias, a cap, a temperature.
mlir::Value Generator::logitsOf(mlir::Value y) {
  llvm::SmallVector<Dim> dims = dimsOf(y), classes = {dims.back()};
  if (below(3) == 0)
    y = emit_.add(y, emit_.broadcastTrailing(argument(classes, elementOf(y), false), dims));
  if (below(4) == 0)
    y = emit_.mul(emit_.tanh(emit_.mul(y, 0.5)), 2.0);
  if (below(4) == 0)
    y = emit_.mul(y, 1.5);
  if (below(6) == 0) // some of the classes are not asked for
    y = emit_.add(y, emit_.broadcastTrailing(argument(classes, elementOf(y), true), dims));
  return y;
}

/// Of each row of logits a number, or a few; `targets` are classes.
mlir::Value Generator::rowsLoss(mlir::Value logits, mlir::Value targets, int64_t ignored) {
  llvm::SmallVector<Dim> dims = dimsOf(logits);
  int64_t last = rank(logits) - 1;
  mlir::Type type = tensorType(llvm::ArrayRef<Dim>(dims).drop_back(), elementOf(logits));
  switch (below(6)) {
  case 0: { // z: the log of the sum, which is to be near 0
    mlir::Value most = emit_.stopGradient(emit_.reduceMax(logits, {last}));
    mlir::Value sum = emit_.reduceSum(emit_.exp(emit_.sub(logits, emit_.broadcastBack(most, {last}, dims))), {last});
    mlir::Value z = emit_.add(emit_.log(sum), most);
    return emit_.mul(emit_.mul(z, z), 0.01);
  }
  case 1: { // shares of what classes stand for
    auto axis = builder_.getI64IntegerAttr(last);
    mlir::Value shares = emit_.create<SoftmaxOp>(logits.getType(), logits, axis).getResult();
    DotAxes axes;
    axes.lhsContract = {last};
    axes.rhsContract = {0};
    return emit_.dot(shares, argument({dims.back(), Dim(oneOf({1, 3, 8}))}, elementOf(logits), below(2)), axes);
  }
  case 2: { // the loss of a class that is told by its number, by hand
    auto axis = builder_.getI64IntegerAttr(last);
    mlir::Value logs = emit_.create<LogSoftmaxOp>(logits.getType(), logits, axis).getResult();
    mlir::Value is = emit_.compare(Predicate::eq, emit_.iota(dims, last, builder_.getI32Type()),
                                   emit_.broadcastBack(targets, {last}, dims));
    return emit_.neg(emit_.reduceSum(emit_.select(is, logs, emit_.splatLike(logs, 0)), {last}));
  }
  default:
    return emit_
        .create<CrossEntropyOp>(type, logits, targets, builder_.getF64FloatAttr(below(2) ? 0 : 0.1),
                                builder_.getI64IntegerAttr(ignored))
        .getResult();
  }
}

/// Rows by a matrix of many classes, as a language model ends: large enough for `--block-rows`.
void Generator::scoresLayer(mlir::Type element) {
  int64_t width = oneOf({2, 4, 8}), inner = oneOf({8, 12, 16}), outer = oneOf({1, 2, 3}), classes;
  bool symbol = options_.symbolic && below(2), flat = !symbol && below(2);
  Dim first = symbol ? Dim::symbol("N") : Dim(outer);
  // A symbol counts as its bound. At least 64 KiB, where the elements are floats.
  classes = symbol ? 64 : 1 + (16384 + 512 * below(3)) / (inner * outer);
  llvm::SmallVector<Dim> rows = {first, Dim(inner)};
  if (flat)
    rows = {Dim(inner * outer)};
  llvm::SmallVector<Dim> of = rows;
  of.push_back(Dim(width));
  bool turned = below(2);
  mlir::Value x = emit_.tanh(argument(of, element, true));
  mlir::Value matrix =
      argument(turned ? llvm::ArrayRef<Dim>{Dim(classes), Dim(width)} : llvm::ArrayRef<Dim>{Dim(width), Dim(classes)},
               element, false);
  DotAxes axes;
  axes.lhsContract = {static_cast<int64_t>(rows.size())};
  axes.rhsContract = {turned ? 1 : 0};
  mlir::Value logits = logitsOf(emit_.dot(x, matrix, axes));
  mlir::Value targets = argument(rows, builder_.getI32Type(), true);
  targets = emit_.mul(targets, emit_.splatInt(targets.getType(), classes / 3));
  int64_t ignored = below(2) ? -100 : classes / 3;
  mlir::Value loss = rowsLoss(logits, targets, ignored);
  if (below(2) && rank(loss) == static_cast<int64_t>(rows.size())) {
    mlir::Value other = rowsLoss(logits, targets, -100);
    loss = other.getType() == loss.getType() ? emit_.add(loss, other) : loss;
  }
  if (below(3) == 0 && rank(loss) == static_cast<int64_t>(rows.size())) { // each class has a weight
    mlir::Value weights = argument({Dim(classes)}, element, true);
    loss = emit_.mul(loss, emit_.gather(weights, targets, 0));
  }
  keep(loss);
  llvm::SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, rank(loss)));
  if (below(2)) { // the mean of those that count
    mlir::Value counts =
        emit_.convertTo(emit_.compare(Predicate::ne, targets, emit_.splatInt(targets.getType(), ignored)), element);
    mlir::Value count = emit_.reduceSum(counts, llvm::to_vector(llvm::seq<int64_t>(0, rank(counts))));
    keep(emit_.div(emit_.reduceSum(loss, all), emit_.max(count, emit_.splatLike(count, 1))));
  }
  if (below(3) == 0 && !options_.gradients)
    keep(emit_.reduceMax(logits, {rank(logits) - 1}));
}

/// A matrix whose rows, and columns, are of whole blocks, for `--weights-as`: multiplied with few or many rows, either
/// way, and picked from.
void Generator::storedLayer(mlir::Type element) {
  int64_t inner = oneOf(blocked), outer = below(2) ? oneOf({1, 3, 16, 17, 33}) : oneOf(blocked);
  bool turned = below(2);
  llvm::SmallVector<Dim> dims = {Dim(inner), Dim(outer)};
  if (turned)
    std::swap(dims[0], dims[1]);
  frozen_ = options_.gradients;
  mlir::Value matrix = argument(dims, element, false);
  frozen_ = false;
  double scale = 0.05 / std::sqrt(static_cast<double>(inner));
  for (int64_t times = 1 + below(2); times > 0; --times) {
    if (below(4) == 0 && *dims[0].constant() >= 3) { // rows of an embedding
      keep(emit_.mul(emit_.gather(matrix, labels_, 0), 0.05));
      continue;
    }
    bool symbol = options_.symbolic && below(2), back = below(4) == 0;
    llvm::SmallVector<Dim> rows = {symbol ? anyRows() : Dim(oneOf({1, 1, 1, 2, 2, 3, 4, 5, 8, 17, 40}))};
    if (below(4) == 0)
      rows.insert(rows.begin(), Dim(oneOf({1, 2, 3})));
    llvm::SmallVector<Dim> of = rows;
    of.push_back(dims[turned != back ? 1 : 0]);
    mlir::Value x = argument(of, element, true), m = matrix;
    if (options_.gradients && below(2)) // a gradient goes through the blocks
      x = emit_.add(x, emit_.broadcastTrailing(argument({of.back()}, element, false), of));
    DotAxes axes;
    axes.lhsContract = {static_cast<int64_t>(rows.size())};
    axes.rhsContract = {turned != back ? 1 : 0};
    if (below(4) == 0) {
      m = emit_.transposed(m, {1, 0});
      axes.rhsContract[0] = 1 - axes.rhsContract[0];
    }
    mlir::Value y = emit_.dot(x, m, axes);
    epilogue(emit_.mul(y, scale), rank(y) - 1);
  }
}

} // namespace kiln::test
