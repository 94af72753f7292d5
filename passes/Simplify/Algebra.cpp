// Elementwise identities that hold for every value of a dtype, NaN and signed zeros too.

#include "passes/Simplify/Patterns.h"

#include "ir/Classes.h"
#include <cmath>
#include <limits>

namespace kiln {

using mlir::failure;
using mlir::LogicalResult;
using mlir::PatternRewriter;
using mlir::success;
using mlir::Value;

namespace {

/// A splat of zero whose sum with x is x: of either sign among integers; x + 0 is 0 where x is -0.
bool isNothingToAdd(Value value) {
  std::optional<double> number = splatValue(value);
  return number == 0.0 && (!isFloatTensor(value.getType()) || std::signbit(*number));
}

bool isPowerOfTwo(double number) {
  int exponent = 0;
  return std::abs(std::frexp(number, &exponent)) == 0.5;
}

/// Whether the type holds the number, and not as a denormal.
bool isNormalOf(mlir::Type element, double number) {
  llvm::APFloat value(number);
  bool isRounded = false;
  value.convert(llvm::cast<mlir::FloatType>(element).getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven,
                &isRounded);
  return !isRounded && value.isNormal();
}

/// Whether x * first * second is x * (first * second) for every x (but for the last digit of a denormal result): a
/// power of two scales without rounding. Neither may overflow, or lose digits below the range, where the other does
/// not.
bool mayMergeFactors(mlir::Type element, double first, double second) {
  if (!isNormalOf(element, first * second))
    return false;
  double smaller = std::min(std::abs(first), std::abs(second)), larger = std::max(std::abs(first), std::abs(second));
  return larger <= 1 ? isPowerOfTwo(first) || isPowerOfTwo(second) : smaller >= 1 && isPowerOfTwo(first);
}

LogicalResult simplifyAdd(AddOp op, PatternRewriter &rewriter) {
  if (auto negated = op.getRhs().getDefiningOp<NegOp>())
    return rewriter.replaceOpWithNewOp<SubOp>(op, op.getType(), op.getLhs(), negated.getOperand()), success();
  if (auto negated = op.getLhs().getDefiningOp<NegOp>())
    return rewriter.replaceOpWithNewOp<SubOp>(op, op.getType(), op.getRhs(), negated.getOperand()), success();
  if (isNothingToAdd(op.getLhs()))
    return rewriter.replaceOp(op, op.getRhs()), success();
  // add(scatter add(0, i, u), y) is scatter add(y, i, u).
  for (auto [side, other] : {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
    auto scatter = side.getDefiningOp<ScatterOp>();
    if (!scatter || scatter.getKind() != ScatterKind::add || !scatter->hasOneUse() ||
        splatValue(scatter.getOperand()) != 0.0)
      continue;
    rewriter.replaceOpWithNewOp<ScatterOp>(op, op.getType(), ScatterKind::add, other, scatter.getIndices(),
                                           scatter.getUpdates(), scatter.getAxis(), scatter.getBatchDims());
    return success();
  }
  return failure();
}

LogicalResult simplifySub(SubOp op, PatternRewriter &rewriter) {
  if (isNothingToAdd(op.getLhs()))
    return rewriter.replaceOpWithNewOp<NegOp>(op, op.getType(), op.getRhs()), success();
  if (auto negated = op.getRhs().getDefiningOp<NegOp>())
    return rewriter.replaceOpWithNewOp<AddOp>(op, op.getType(), op.getLhs(), negated.getOperand()), success();
  return failure();
}

LogicalResult simplifyMul(MulOp op, PatternRewriter &rewriter) {
  if (splatValue(op.getLhs()) && !splatValue(op.getRhs())) // constants stand on the right
    return rewriter.replaceOpWithNewOp<MulOp>(op, op.getType(), op.getRhs(), op.getLhs()), success();
  std::optional<double> factor = splatValue(op.getRhs());
  if (!factor || !isFloatTensor(op.getType()))
    return failure();
  Emit e(rewriter, op.getLoc());
  if (*factor == -1)
    return rewriter.replaceOpWithNewOp<NegOp>(op, op.getType(), op.getLhs()), success();
  if (auto negated = op.getLhs().getDefiningOp<NegOp>())
    return rewriter.replaceOp(op, e.mul(negated.getOperand(), -*factor)), success();
  auto inner = op.getLhs().getDefiningOp<MulOp>();
  std::optional<double> innerFactor = inner ? splatValue(inner.getRhs()) : std::nullopt;
  if (innerFactor && mayMergeFactors(elementOf(op.getResult()), *innerFactor, *factor))
    return rewriter.replaceOp(op, e.mul(inner.getLhs(), *factor * *innerFactor)), success();
  return failure();
}

LogicalResult simplifyNeg(NegOp op, PatternRewriter &rewriter) {
  // (Not of floats: -(x - x) is -0.)
  if (auto difference = op.getOperand().getDefiningOp<SubOp>();
      difference && difference->hasOneUse() && !isFloatTensor(op.getType()))
    return rewriter.replaceOpWithNewOp<SubOp>(op, op.getType(), difference.getRhs(), difference.getLhs()), success();
  auto product = op.getOperand().getDefiningOp<MulOp>();
  std::optional<double> factor = product ? splatValue(product.getRhs()) : std::nullopt;
  if (!factor)
    return failure();
  Emit e(rewriter, op.getLoc());
  return rewriter.replaceOp(op, e.mul(product.getLhs(), -*factor)), success();
}

LogicalResult simplifyDiv(DivOp op, PatternRewriter &rewriter) {
  std::optional<double> divisor = splatValue(op.getRhs());
  if (!divisor || !isFloatTensor(op.getType()) || !isPowerOfTwo(*divisor) ||
      !isNormalOf(elementOf(op.getResult()), 1 / *divisor))
    return failure();
  Emit e(rewriter, op.getLoc());
  return rewriter.replaceOp(op, e.mul(op.getLhs(), 1 / *divisor)), success();
}

LogicalResult simplifyPow(PowOp op, PatternRewriter &rewriter) {
  std::optional<double> exponent = splatValue(op.getRhs());
  if (!exponent)
    return failure();
  Emit e(rewriter, op.getLoc());
  Value x = op.getLhs();
  if (*exponent == 1)
    return rewriter.replaceOp(op, x), success();
  if (*exponent == 2)
    return rewriter.replaceOp(op, e.mul(x, x)), success();
  if (*exponent == 3)
    return rewriter.replaceOp(op, e.mul(e.mul(x, x), x)), success();
  if (*exponent == -1)
    return rewriter.replaceOp(op, e.div(e.splatLike(x, 1), x)), success();
  if (*exponent != 0.5)
    return failure();
  // sqrt(x) but where it differs: inf at -inf, and 0 at -0.
  double infinity = std::numeric_limits<double>::infinity();
  Value isLowest = e.compare(Predicate::eq, x, -infinity), root = e.sqrt(e.add(x, 0));
  return rewriter.replaceOp(op, e.select(isLowest, e.splatLike(x, infinity), root)), success();
}

LogicalResult simplifySelect(SelectOp op, PatternRewriter &rewriter) {
  if (op.getOnTrue() == op.getOnFalse())
    return rewriter.replaceOp(op, op.getOnTrue()), success();
  if (auto inverted = op.getCondition().getDefiningOp<NotOp>())
    return rewriter.replaceOpWithNewOp<SelectOp>(op, op.getType(), inverted.getOperand(), op.getOnFalse(),
                                                 op.getOnTrue()),
           success();
  auto same = [&](Value value) {
    auto inner = value.getDefiningOp<SelectOp>();
    return inner && inner.getCondition() == op.getCondition() ? inner : SelectOp();
  };
  SelectOp whenTrue = same(op.getOnTrue()), whenFalse = same(op.getOnFalse());
  if (!whenTrue && !whenFalse)
    return failure();
  rewriter.replaceOpWithNewOp<SelectOp>(op, op.getType(), op.getCondition(),
                                        whenTrue ? whenTrue.getOnTrue() : op.getOnTrue(),
                                        whenFalse ? whenFalse.getOnFalse() : op.getOnFalse());
  return success();
}

/// Whether every value of `from` is one of `to`.
bool isLossless(mlir::Type from, mlir::Type to) {
  if (from == to || from.isInteger(1))
    return true;
  auto source = llvm::dyn_cast<mlir::FloatType>(from), target = llvm::dyn_cast<mlir::FloatType>(to);
  if (source && target)
    return !(source.isBF16() && target.isF16()) && source.getWidth() < target.getWidth();
  auto small = llvm::dyn_cast<mlir::IntegerType>(from), large = llvm::dyn_cast<mlir::IntegerType>(to);
  return small && large && small.getWidth() < large.getWidth() && (small.isUnsigned() || !large.isUnsigned());
}

LogicalResult simplifyConvert(ConvertOp op, PatternRewriter &rewriter) {
  auto inner = op.getOperand().getDefiningOp<ConvertOp>();
  if (!inner)
    return failure();
  mlir::Type from = elementOf(inner.getOperand()), middle = elementOf(inner.getResult()),
             to = elementOf(op.getResult());
  // To bool tests for nonzero; through a lossless middle that is the same too.
  if (!isLossless(from, middle))
    return failure();
  if (from == to)
    return rewriter.replaceOp(op, inner.getOperand()), success();
  return rewriter.replaceOpWithNewOp<ConvertOp>(op, op.getType(), inner.getOperand()), success();
}

//===-- Constants ------------------------------------------------------------------------------------------------===//

std::optional<double> evaluate(mlir::Operation *op, double x, double y) {
  if (llvm::isa<AddOp>(op))
    return x + y;
  if (llvm::isa<SubOp>(op))
    return x - y;
  if (llvm::isa<MulOp>(op))
    return x * y;
  if (llvm::isa<DivOp>(op))
    return x / y;
  if (llvm::isa<MaxOp>(op))
    return std::isnan(x) || std::isnan(y) ? std::nan("") : std::max(x, y);
  if (llvm::isa<MinOp>(op))
    return std::isnan(x) || std::isnan(y) ? std::nan("") : std::min(x, y);
  if (llvm::isa<PowOp>(op))
    return std::pow(x, y);
  return std::nullopt;
}

std::optional<double> evaluate(mlir::Operation *op, double x) {
  if (llvm::isa<NegOp>(op))
    return -x;
  if (llvm::isa<AbsOp>(op))
    return std::abs(x);
  if (llvm::isa<SqrtOp>(op))
    return std::sqrt(x);
  if (llvm::isa<RsqrtOp>(op))
    return 1 / std::sqrt(x);
  if (llvm::isa<ExpOp>(op))
    return std::exp(x);
  if (llvm::isa<LogOp>(op))
    return std::log(x);
  if (llvm::isa<FloorOp>(op))
    return std::floor(x);
  return std::nullopt;
}

/// Elementwise ops on splats of f32 or f64 are computed here, in f64 and rounded once.
struct FoldSplats : mlir::RewritePattern {
  explicit FoldSplats(mlir::MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(mlir::Operation *op, PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 1 || op->getNumOperands() == 0 || op->getNumOperands() > 2 || !isElementwise(op))
      return failure();
    mlir::Type element = elementOf(op->getResult(0));
    if (!element.isF32() && !element.isF64())
      return failure();
    std::optional<double> first = splatValue(op->getOperand(0)), result;
    std::optional<double> second = op->getNumOperands() == 2 ? splatValue(op->getOperand(1)) : first;
    if (!first || !second || elementOf(op->getOperand(0)) != element)
      return failure();
    result = op->getNumOperands() == 2 ? evaluate(op, *first, *second) : evaluate(op, *first);
    if (!result)
      return failure();
    Emit e(rewriter, op->getLoc());
    return rewriter.replaceOp(op, e.splat(op->getResult(0).getType(), *result)), success();
  }
};

/// Layout ops of a splat are a splat; so is a conversion between floats.
struct MoveSplats : mlir::RewritePattern {
  explicit MoveSplats(mlir::MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(mlir::Operation *op, PatternRewriter &rewriter) const override {
    if (!isReindexing(op) && !llvm::isa<DynamicSliceOp, ConvertOp>(op))
      return failure();
    std::optional<double> value = splatValue(op->getOperand(0));
    if (!value)
      return failure();
    Emit e(rewriter, op->getLoc());
    mlir::Type from = elementOf(op->getOperand(0)), to = elementOf(op->getResult(0));
    if (from != to && !(isFloatTensor(op->getOperand(0).getType()) && isFloatTensor(op->getResult(0).getType())))
      return failure();
    // A 64-bit integer does not pass through a double unharmed.
    if (!isFloatTensor(op->getResult(0).getType()) && std::abs(*value) > 0x1p52)
      return failure();
    return rewriter.replaceOp(op, isFloatTensor(op->getResult(0).getType())
                                      ? e.splat(op->getResult(0).getType(), *value)
                                      : e.splatInt(op->getResult(0).getType(), static_cast<int64_t>(*value))),
           success();
  }
};

} // namespace

void addAlgebraPatterns(mlir::RewritePatternSet &patterns) {
  addPattern<AddOp>(patterns, simplifyAdd);
  addPattern<SubOp>(patterns, simplifySub);
  addPattern<MulOp>(patterns, simplifyMul);
  addPattern<NegOp>(patterns, simplifyNeg);
  addPattern<DivOp>(patterns, simplifyDiv);
  addPattern<PowOp>(patterns, simplifyPow);
  addPattern<SelectOp>(patterns, simplifySelect);
  addPattern<ConvertOp>(patterns, simplifyConvert);
  patterns.add<FoldSplats, MoveSplats>(patterns.getContext());
}

} // namespace kiln
