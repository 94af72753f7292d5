// Which integers a function's argument may hold, from what the function does with it.
#include "frontend/cli/IntegerRange.h"

#include "ir/Classes.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace kiln {

namespace {

/// Numbers from `first` on, `extent` of them.
struct Counted {
  int64_t first, extent;
};

struct Span {
  int64_t least, most;
};

/// The one value of a constant, through what only moves or widens it; what no index or count comes near says nothing.
std::optional<int64_t> constantOf(mlir::Value value) {
  while (mlir::Operation *op = value.getDefiningOp()) {
    if (auto constant = llvm::dyn_cast<ConstantOp>(op)) {
      auto dense = llvm::dyn_cast<mlir::DenseElementsAttr>(constant.getValue());
      if (!dense || !dense.isSplat())
        return std::nullopt;
      bool isFloat = llvm::isa<mlir::FloatType>(dense.getElementType());
      double number = isFloat ? dense.getSplatValue<llvm::APFloat>().convertToDouble()
                              : dense.getSplatValue<llvm::APInt>().signedRoundToDouble();
      return std::abs(number) < 0x1p40 ? std::optional(static_cast<int64_t>(number)) : std::nullopt;
    }
    if (!llvm::isa<BroadcastOp, ReshapeOp, ConvertOp>(op))
      return std::nullopt;
    value = op->getOperand(0);
  }
  return std::nullopt;
}

class Follower {
public:
  explicit Follower(const std::map<std::string, int64_t> &symbols) : symbols_(symbols) {}

  /// `value` is the argument plus `shift`.
  void follow(mlir::Value value, int64_t shift) {
    if (!seen_.insert(value).second)
      return;
    for (mlir::OpOperand &use : value.getUses())
      visit(use, shift);
  }

  IntegerRange range() const;

private:
  void visit(mlir::OpOperand &use, int64_t shift);
  void intoRegions(mlir::OpOperand &use, int64_t shift);
  void compared(CompareOp compare, bool left, int64_t shift);
  std::optional<int64_t> extent(mlir::Value value, int64_t axis) const;
  std::optional<Counted> counted(mlir::Value value) const;

  /// The argument chooses among `count`.
  void chooses(std::optional<int64_t> count, int64_t shift, const char *what) {
    if (!count || *count < 1)
      return;
    // That it is compared too (with the number of an ignored target, say) is then not the reason.
    if (chosen_.least == INT64_MIN)
      why_.clear();
    chosen_ = {std::max(chosen_.least, -shift), std::min(chosen_.most, *count - 1 - shift)};
    note(what, *count);
  }
  /// Only where it chooses nothing do constants say something: a token compared with the padding's number is a token.
  void widen(std::optional<Span> &span, int64_t least, int64_t most, const char *what, int64_t number) {
    span = span ? Span{std::min(span->least, least), std::max(span->most, most)} : Span{least, most};
    note(what, number);
  }
  void note(const char *what, int64_t number) {
    if (why_.empty())
      why_ = what + std::to_string(number);
  }

  const std::map<std::string, int64_t> &symbols_;
  llvm::DenseSet<mlir::Value> seen_;
  Span chosen_ = {INT64_MIN, INT64_MAX};     // what each choice allows
  std::optional<Span> numbered_, constants_; // what comparisons with numbers and with constants tell apart
  std::string why_;
};

std::optional<int64_t> Follower::extent(mlir::Value value, int64_t axis) const {
  llvm::SmallVector<Dim> dims = dimsOf(value);
  return axis < 0 || axis >= static_cast<int64_t>(dims.size()) ? std::nullopt
                                                               : dims[static_cast<size_t>(axis)].evaluate(symbols_);
}

/// Is this an iota or the number of a loop's step, perhaps moved or shifted?
std::optional<Counted> Follower::counted(mlir::Value value) const {
  int64_t shift = 0;
  while (mlir::Operation *op = value.getDefiningOp()) {
    if (auto iota = llvm::dyn_cast<IotaOp>(op)) {
      std::optional<int64_t> count = extent(iota.getResult(), static_cast<int64_t>(iota.getAxis()));
      return count ? std::optional(Counted{shift, *count}) : std::nullopt;
    }
    if (llvm::isa<AddOp, SubOp>(op)) {
      std::optional<int64_t> by = constantOf(op->getOperand(1));
      if (!by)
        return std::nullopt;
      shift += llvm::isa<AddOp>(op) ? *by : -*by;
    } else if (!llvm::isa<ConvertOp>(op) && (!isReindexing(op) || llvm::isa<SliceOp>(op))) {
      return std::nullopt;
    }
    value = op->getOperand(0);
  }
  auto argument = llvm::cast<mlir::BlockArgument>(value);
  auto scan = llvm::dyn_cast_or_null<ScanOp>(argument.getOwner()->getParentOp());
  if (!scan || argument != scan.step())
    return std::nullopt;
  std::optional<int64_t> count = scan.getCount().dims().front().evaluate(symbols_);
  return count ? std::optional(Counted{shift, *count}) : std::nullopt;
}

void Follower::compared(CompareOp compare, bool left, int64_t shift) {
  mlir::Value other = compare->getOperand(left ? 1 : 0);
  if (std::optional<int64_t> constant = constantOf(other)) {
    widen(constants_, std::max<int64_t>(*constant - shift - 1, 0), *constant - shift + 1, "it is compared with ",
          *constant);
    return;
  }
  std::optional<Counted> numbers = counted(other);
  if (!numbers || numbers->extent < 1)
    return;
  // `t < length`: from 1 to all; elsewhere it is one of the numbers.
  Predicate predicate = compare.getPredicate();
  bool length = predicate == (left ? Predicate::gt : Predicate::lt);
  int64_t first = numbers->first - shift + (length ? 1 : 0);
  widen(numbered_, first, first + numbers->extent - 1, "it is compared with numbers up to ",
        numbers->first + numbers->extent - 1);
}

/// Operands that become block arguments: of loops and of functions with a gradient of their own.
void Follower::intoRegions(mlir::OpOperand &use, int64_t shift) {
  mlir::Operation *op = use.getOwner();
  unsigned number = use.getOperandNumber();
  if (auto scan = llvm::dyn_cast<ScanOp>(op)) {
    follow(scan.getBody().getArgument(number + 1), shift);
    return;
  }
  for (mlir::Region &region : op->getRegions())
    if (number < region.getNumArguments())
      follow(region.getArgument(number), shift);
}

void Follower::visit(mlir::OpOperand &use, int64_t shift) {
  mlir::Operation *op = use.getOwner();
  unsigned number = use.getOperandNumber();
  llvm::TypeSwitch<mlir::Operation *>(op)
      .Case<GatherOp, ScatterOp>([&](auto choice) {
        if (number == 1)
          chooses(extent(choice.getOperand(), static_cast<int64_t>(choice.getAxis())), shift, "it indexes an axis of ");
        else if (number == 0)
          follow(op->getResult(0), shift);
      })
      .Case<CrossEntropyOp>([&](CrossEntropyOp loss) {
        auto logits = llvm::cast<mlir::RankedTensorType>(loss.getLogits().getType());
        chooses(extent(loss.getLogits(), logits.getRank() - 1), shift, "it is one of the classes, of which there are ");
      })
      .Case<DynamicSliceOp, DynamicUpdateSliceOp>([&](auto slice) {
        unsigned others = llvm::isa<DynamicUpdateSliceOp>(op) ? 2 : 1;
        if (number == 0)
          follow(op->getResult(0), shift);
        else if (std::optional<int64_t> count;
                 number >= others && (count = extent(slice.getOperand(), number - others)))
          widen(numbered_, -shift, *count - 1 - shift, "it starts a block on an axis of ", *count);
      })
      .Case<CompareOp>([&](CompareOp compare) { compared(compare, number == 0, shift); })
      .Case<AddOp, SubOp>([&](mlir::Operation *) {
        std::optional<int64_t> by = constantOf(op->getOperand(1 - number));
        if (by && (number == 0 || llvm::isa<AddOp>(op)))
          follow(op->getResult(0), llvm::isa<AddOp>(op) ? shift + *by : shift - *by);
      })
      .Case<ConvertOp>([&](ConvertOp convert) {
        if (!llvm::cast<mlir::RankedTensorType>(convert.getType()).getElementType().isInteger(1))
          follow(op->getResult(0), shift);
      })
      .Case<SelectOp>([&](SelectOp) {
        if (number > 0)
          follow(op->getResult(0), shift);
      })
      .Case<ReduceOp>([&](ReduceOp reduce) {
        if (reduce.getKind() == ReduceKind::max || reduce.getKind() == ReduceKind::min)
          follow(op->getResult(0), shift);
      })
      .Case<YieldOp>([&](mlir::Operation *) { // out of a branch, or to a loop's end
        if (mlir::Operation *parent = op->getParentOp();
            parent && llvm::isa<IfOp, ScanOp, WhileOp>(parent) && number < parent->getNumResults())
          follow(parent->getResult(number), shift);
      })
      .Case<ScanOp, WhileOp, CustomOp>([&](mlir::Operation *) { intoRegions(use, shift); })
      .Default([&](mlir::Operation *) {
        if (isReindexing(op) || llvm::isa<PadOp, ConcatOp, StopGradientOp>(op))
          follow(op->getResult(0), shift);
      });
}

IntegerRange Follower::range() const {
  bool chooses = chosen_.least != INT64_MIN && chosen_.least <= chosen_.most;
  if (!chooses && !numbered_ && !constants_)
    return {};
  Span span = chooses ? chosen_ : numbered_ ? *numbered_ : *constants_;
  if (chooses && numbered_) // a length that indexes too, say
    if (Span both{std::max(span.least, numbered_->least), std::min(span.most, numbered_->most)}; both.least < both.most)
      span = both;
  return {span.least, span.most, why_};
}

} // namespace

IntegerRange integerRange(mlir::Value argument, const std::map<std::string, int64_t> &symbols) {
  Follower follower(symbols);
  follower.follow(argument, 0);
  return follower.range();
}

} // namespace kiln
