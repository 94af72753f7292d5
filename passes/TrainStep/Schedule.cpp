#include "passes/TrainStep/Schedule.h"

#include <numbers>

namespace kiln {

using mlir::Value;

double numberOf(mlir::DictionaryAttr dictionary, llvm::StringRef key, double otherwise) {
  mlir::Attribute value = dictionary.get(key);
  if (auto number = llvm::dyn_cast_or_null<mlir::FloatAttr>(value))
    return number.getValueAsDouble();
  if (auto number = llvm::dyn_cast_or_null<mlir::IntegerAttr>(value))
    return static_cast<double>(number.getInt());
  return otherwise;
}

namespace {

Value noam(Emit &e, mlir::DictionaryAttr schedule, Value step) {
  double factor = numberOf(schedule, "factor", 1) / std::sqrt(numberOf(schedule, "width", 1));
  double warmup = std::max(numberOf(schedule, "warmup", 1), 1.0);
  Value n = e.add(step, 1);
  return e.mul(e.min(e.rsqrt(n), e.mul(n, std::pow(warmup, -1.5))), factor);
}

/// The schedule behind the warm-up, `t` steps after it; null for an unknown kind.
Value behindWarmup(Emit &e, mlir::DictionaryAttr schedule, llvm::StringRef kind, double warmup, Value t) {
  double base = numberOf(schedule, "base", 0), final = numberOf(schedule, "final", 0);
  double factor = numberOf(schedule, "factor", 1), every = numberOf(schedule, "every", 1);
  if (kind == "constant")
    return e.splatLike(t, base);
  if (kind == "linear" || kind == "cosine") {
    double length = std::max(numberOf(schedule, "steps", 1) - warmup, 1.0);
    Value p = e.min(e.div(t, length), e.splatLike(t, 1));
    if (kind == "linear")
      return e.add(e.mul(p, final - base), base);
    Value wave = e.op<CosOp>(e.mul(p, std::numbers::pi));
    return e.add(e.mul(e.add(wave, 1), (base - final) / 2), final);
  }
  if (kind == "exponential" || kind == "step") {
    Value exponent = e.div(t, every);
    if (kind == "step")
      exponent = e.op<FloorOp>(exponent);
    return e.mul(e.op<PowOp>(e.splatLike(t, factor), exponent), base);
  }
  return {};
}

} // namespace

Value learningRate(Emit &e, mlir::Attribute rate, Value step, mlir::Operation *at) {
  if (auto number = llvm::dyn_cast_or_null<mlir::FloatAttr>(rate))
    return e.splatLike(step, number.getValueAsDouble());
  if (auto number = llvm::dyn_cast_or_null<mlir::IntegerAttr>(rate))
    return e.splatLike(step, static_cast<double>(number.getInt()));
  auto schedule = llvm::dyn_cast_or_null<mlir::DictionaryAttr>(rate);
  auto kind = schedule ? schedule.getAs<mlir::StringAttr>("kind") : mlir::StringAttr();
  if (!kind) {
    at->emitError("optimizer has no learning rate: `lr` is a number or a schedule");
    return {};
  }
  if (kind == "noam")
    return noam(e, schedule, step);
  double warmup = numberOf(schedule, "warmup", 0);
  Value zero = e.splatLike(step, 0);
  Value t = warmup > 0 ? e.max(e.sub(step, warmup), zero) : step;
  Value later = behindWarmup(e, schedule, kind.getValue(), warmup, t);
  if (!later) {
    at->emitError("unknown schedule \"") << kind.getValue()
                                         << "\"; known: constant, linear, cosine, exponential, step, noam";
    return {};
  }
  if (warmup <= 0)
    return later;
  Value rising = e.mul(e.add(step, 1), numberOf(schedule, "base", 0) / (warmup + 1));
  return e.select(e.compare(Predicate::lt, step, warmup), rising, later);
}

} // namespace kiln
