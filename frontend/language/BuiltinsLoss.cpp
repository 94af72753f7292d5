// Cross entropy: of class numbers or shares, with class weights, smoothing and each reduction.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

namespace kiln::language {

Value crossEntropy(BoundCall &call);

namespace {
struct Losses {
  mlir::Value rows, counts; // a loss for each row, and how much each counts in the mean (null: all the same)
};

class CrossEntropy {
public:
  explicit CrossEntropy(BoundCall &call) : call_(call), emit_(call.e.emit(call.range)) {}

  Value run() {
    std::optional<Value> logits = call_.tensor(0), targets = call_.tensor(1);
    std::optional<int64_t> ignore = call_.integer(2);
    std::optional<double> smoothing = call_.number(3);
    std::optional<std::string> how = call_.string(4);
    if (!logits || !targets || !ignore || !smoothing || !how || !readLogits(*logits))
      return Value::error();
    if (*how != "mean" && *how != "sum" && *how != "none") {
      call_.e.error(call_.ranges[4], "cross_entropy's reduction is \"mean\", \"sum\" or \"none\"");
      return Value::error();
    }
    smoothing_ = *smoothing;
    ignore_ = *ignore;
    if (call_.given(5) && !readWeight())
      return Value::error();
    std::optional<Losses> losses =
        isFloat(targets->tensorType().getElementType()) ? ofShares(*targets) : ofClasses(*targets);
    return losses ? reduced(*losses, *how, targets->origins) : Value::error();
  }

private:
  bool readLogits(const Value &logits) {
    logits_ = logits;
    if (isFloat(logits.tensorType().getElementType()))
      return true;
    call_.e.error(call_.ranges[0], "cross_entropy works on floats; this is " + describe(logits))
        .withHelp("convert it: x.to(f32)");
    return false;
  }

  bool readWeight() {
    std::optional<Value> weight = call_.tensor(5);
    if (!weight)
      return false;
    llvm::SmallVector<Dim> own = dimsOf(weight->tensor);
    if (!isFloat(weight->tensorType().getElementType()) || own.size() != 1 || logits_.rank() == 0 ||
        own[0] != dimsOf(logits_.tensor).back()) {
      call_.e.error(call_.ranges[5], "cross_entropy's weight is a float for each class, the last axis of " +
                                         describe(logits_) + "; this is " + describe(*weight));
      return false;
    }
    weight_ = emit_.convertTo(weight->tensor, element());
    return true;
  }

  mlir::Type element() const { return logits_.tensorType().getElementType(); }

  mlir::Value logShares() {
    return emit_.create<LogSoftmaxOp>(logits_.tensor.getType(), logits_.tensor, logits_.rank() - 1);
  }

  /// The sum over the classes of -log p, each times its weight and what `shares` says.
  mlir::Value overClasses(mlir::Value shares) {
    mlir::Value terms = logShares();
    if (shares)
      terms = emit_.mul(terms, shares);
    if (weight_)
      terms = emit_.mul(terms, emit_.broadcastTrailing(weight_, dimsOf(logits_.tensor)));
    return emit_.neg(emit_.reduceSum(terms, {logits_.rank() - 1}));
  }

  std::optional<Losses> refused(const Value &targets) {
    bool shares = isFloat(targets.tensorType().getElementType());
    Diagnostic &diagnostic =
        call_.e.error(call_.range, std::string("cross_entropy wants ") +
                                       (shares ? "shares of the logits' shape"
                                               : "targets with the logits' shape without its last axis") +
                                       ": the logits are " + describe(logits_) + ", the targets " + describe(targets));
    for (int64_t i = 0; i + (shares ? 0 : 1) < logits_.rank() && i < targets.rank(); ++i)
      if (dimsOf(logits_.tensor)[i] != dimsOf(targets.tensor)[i]) {
        call_.e.noteDim(diagnostic, dimsOf(logits_.tensor)[i], logits_.originOf(i));
        call_.e.noteDim(diagnostic, dimsOf(targets.tensor)[i], targets.originOf(i));
      }
    return std::nullopt;
  }

  /// Targets that are probabilities of the classes.
  std::optional<Losses> ofShares(const Value &targets) {
    if (logits_.rank() == 0 || dimsOf(targets.tensor) != dimsOf(logits_.tensor))
      return refused(targets);
    mlir::Value shares = emit_.convertTo(targets.tensor, element());
    if (smoothing_ != 0) {
      mlir::Value classes = emit_.extent(dimsOf(logits_.tensor).back(), element());
      mlir::Value even = emit_.div(emit_.scalar(element(), smoothing_), classes);
      shares = emit_.add(emit_.mul(shares, 1 - smoothing_), emit_.broadcastScalar(even, dimsOf(shares)));
    }
    return Losses{overClasses(shares), nullptr};
  }

  std::optional<Losses> ofClasses(const Value &targets) {
    mlir::Type type = targets.tensorType().getElementType();
    if (type.isInteger(1)) {
      call_.e.error(call_.ranges[1],
                    "cross_entropy's targets are class numbers, of an integer type, or shares; this is " +
                        describe(targets));
      return std::nullopt;
    }
    Inferred inferred = inferCrossEntropy(logits_.tensorType(), targets.tensorType());
    if (!inferred)
      return refused(targets);
    mlir::OpBuilder &b = call_.e.builder();
    Losses losses;
    losses.rows =
        emit_.create<CrossEntropyOp>(inferred.type, logits_.tensor, targets.tensor,
                                     b.getF64FloatAttr(weight_ ? 0 : smoothing_), b.getI64IntegerAttr(ignore_));
    mlir::Value kept;
    if (holdsInteger(type, ignore_))
      kept = emit_.compare(Predicate::ne, targets.tensor, emit_.splatInt(targets.tensor.getType(), ignore_));
    if (!weight_) {
      losses.counts = kept ? emit_.convertTo(kept, element()) : kept;
      return losses;
    }
    mlir::Value classes = targets.tensor;
    if (kept)
      classes = emit_.select(kept, classes, emit_.splatInt(classes.getType(), 0));
    losses.counts = emit_.gather(weight_, classes, 0);
    if (kept)
      losses.counts = emit_.select(kept, losses.counts, emit_.splatLike(losses.counts, 0));
    losses.rows = emit_.mul(losses.rows, losses.counts);
    if (smoothing_ != 0) {
      mlir::Value count = emit_.extent(dimsOf(logits_.tensor).back(), element());
      mlir::Value share = emit_.div(emit_.scalar(element(), smoothing_), count), even = overClasses(nullptr);
      if (kept)
        even = emit_.select(kept, even, emit_.splatLike(even, 0));
      even = emit_.mul(even, emit_.broadcastScalar(share, dimsOf(even)));
      losses.rows = emit_.add(emit_.mul(losses.rows, 1 - smoothing_), even);
    }
    return losses;
  }

  Value reduced(const Losses &losses, const std::string &how, const std::shared_ptr<const Origins> &origins) {
    std::vector<int64_t> axes;
    for (size_t i = 0; i < dimsOf(losses.rows).size(); ++i)
      axes.push_back(static_cast<int64_t>(i));
    if (how == "none")
      return Value::tensorOf(losses.rows, axes.size() == (origins ? origins->size() : 0) ? origins : nullptr);
    if (how == "sum")
      return Value::tensorOf(emit_.reduceSum(losses.rows, axes));
    if (!losses.counts)
      return Value::tensorOf(emit_.meanOver(losses.rows, axes));
    // The mean is over what counts: NaN where nothing does.
    mlir::Type wide = isNarrowFloat(element()) ? call_.e.builder().getF32Type() : element();
    mlir::Value count = emit_.reduceSum(emit_.convertTo(losses.counts, wide), axes);
    mlir::Value total = emit_.reduceSum(emit_.convertTo(losses.rows, wide), axes);
    return Value::tensorOf(emit_.convertTo(emit_.div(total, count), element()));
  }

  BoundCall &call_;
  Emit emit_;
  Value logits_;
  mlir::Value weight_;
  double smoothing_ = 0;
  int64_t ignore_ = 0;
};
} // namespace

Value crossEntropy(BoundCall &call) { return CrossEntropy(call).run(); }

} // namespace kiln::language
