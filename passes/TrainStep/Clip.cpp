// The norm of all gradients, and clipping by it or by each value.
#include "passes/TrainStep/Clip.h"

#include "passes/support/Values.h"

#include <limits>

namespace kiln {

using llvm::SmallVectorImpl;
using mlir::Value;

// The root of the sum of all gradients' squares. Squares leave a float's range long before the norm does: so they are
// summed three times, of the gradients as they are, made smaller and made larger by powers of two, and one of the sums
// is good. (Blue's algorithm, of LAPACK.) Those of one gradient stand together: one kernel reads it once for the three.
static Value normOf(Emit &e, llvm::ArrayRef<Value> gradients) {
  bool wide = llvm::any_of(gradients, [](Value one) { return elementOf(one).isF64(); });
  mlir::Type element = wide ? e.b.getF64Type() : e.b.getF32Type();
  const double down = wide ? 0x1p-600 : 0x1p-80, up = 1 / down, tiny = wide ? 0x1p-700 : 0x1p-80;
  Value plain, small, large;
  auto addTo = [&](Value &total, Value gradient) {
    Value squares = e.reduceSum(e.mul(gradient, gradient), axesUpTo(rankOf(gradient)));
    total = total ? e.add(total, squares) : squares;
  };
  for (Value one : gradients) {
    Value gradient = e.convertTo(one, element);
    addTo(plain, gradient);
    addTo(small, e.mul(gradient, up));
    addTo(large, e.mul(gradient, down));
  }
  Value isLarge = e.compare(Predicate::eq, plain, std::numeric_limits<double>::infinity());
  Value isSmall = e.compare(Predicate::lt, plain, tiny);
  Value ofSmall = e.mul(e.sqrt(small), down), ofLarge = e.mul(e.sqrt(large), up);
  Value norm = e.select(isLarge, ofLarge, e.select(isSmall, ofSmall, e.sqrt(plain)));
  return e.convertTo(norm, elementOf(gradients.front()));
}

mlir::LogicalResult clipGradients(Emit &e, mlir::DictionaryAttr train, SmallVectorImpl<Value> &gradients, Value &norm) {
  auto clipping = train.getAs<mlir::DictionaryAttr>("clip");
  if (!clipping || gradients.empty())
    return mlir::success();
  auto kind = clipping.getAs<mlir::StringAttr>("kind");
  auto value = clipping.getAs<mlir::FloatAttr>("value");
  double limit = value ? value.getValueAsDouble() : 0;
  if (kind && kind == "value") {
    for (Value &one : gradients)
      one = e.min(e.max(one, e.splatLike(one, -limit)), e.splatLike(one, limit));
    return mlir::success();
  }
  if (!kind || kind != "norm")
    return mlir::emitError(e.loc, "kiln.train clips by neither norm nor value");
  norm = normOf(e, gradients);
  Value factor = e.div(e.splatLike(norm, limit), e.add(norm, 1e-6));
  factor = e.min(factor, e.splatLike(factor, 1));
  for (Value &one : gradients) {
    Value own = e.convertTo(factor, elementOf(one));
    one = e.mul(one, e.broadcastScalar(own, dimsOf(one)));
  }
  return mlir::success();
}

} // namespace kiln
