// Each update repeats PyTorch's single-tensor implementation operation by operation, so that float32 results agree to
// rounding. What depends on the step alone is computed in f64 and rounded once.
#include "passes/TrainStep/Optimizer.h"

#include "passes/TrainStep/Schedule.h"
#include "passes/support/Values.h"

#include <cmath>

namespace kiln {

using llvm::SmallVector;
using mlir::Value;

namespace {

/// A tensor<f64> as a scalar of the tensor's element type, everywhere.
Value everywhere(Emit &e, Value scalar, Value like) {
  return e.broadcastScalar(e.convertTo(scalar, elementOf(like)), dimsOf(like));
}

/// x + alpha y.
Value addScaled(Emit &e, Value x, Value y, double alpha) { return e.add(x, alpha == 1 ? y : e.mul(y, alpha)); }

/// torch.lerp: from + weight (to - from), counted from the nearer end.
Value lerp(Emit &e, Value from, Value to, double weight) {
  Value gap = e.sub(to, from);
  return weight < 0.5 ? e.add(from, e.mul(gap, weight)) : e.sub(to, e.mul(gap, 1 - weight));
}

/// beta v + (1 - beta) g g.
Value decayedSquares(Emit &e, Value v, Value g, double beta) {
  return e.add(e.mul(v, beta), e.mul(e.mul(g, 1 - beta), g));
}

/// p - rate * direction / denominator; no denominator where that is null.
Value stepped(Emit &e, Value p, Value rate, Value direction, Value denominator) {
  Value move = e.mul(everywhere(e, e.neg(rate), p), direction);
  return e.add(p, denominator ? e.div(move, denominator) : move);
}

/// The decay that is part of the gradient (L2).
Value withDecay(Emit &e, const UpdateInputs &in) {
  return in.weightDecay == 0 ? in.gradient : addScaled(e, in.gradient, in.parameter, in.weightDecay);
}

class Sgd : public Optimizer {
public:
  explicit Sgd(mlir::DictionaryAttr recipe)
      : momentum(numberOf(recipe, "momentum", 0)), dampening(numberOf(recipe, "dampening", 0)) {
    if (auto flag = recipe.getAs<mlir::BoolAttr>("nesterov"))
      nesterov = flag.getValue();
  }
  SmallVector<OptimizerState> states() const override {
    return momentum == 0 ? SmallVector<OptimizerState>() : SmallVector<OptimizerState>{{"momentum_buffer"}};
  }
  UpdateResult update(Emit &e, const UpdateInputs &in) const override {
    Value g = withDecay(e, in);
    if (momentum == 0)
      return {stepped(e, in.parameter, in.rate, g, {}), {}};
    Value kept = e.mul(in.states[0], momentum), buffer;
    if (dampening == 0) {
      buffer = e.add(kept, g);
    } else {
      // The first gradient enters whole.
      Value share = e.select(e.compare(Predicate::eq, in.step, 0.0), e.splatLike(in.step, 1),
                             e.splatLike(in.step, 1 - dampening));
      buffer = e.add(kept, e.mul(g, everywhere(e, share, g)));
    }
    g = nesterov ? addScaled(e, g, buffer, momentum) : buffer;
    return {stepped(e, in.parameter, in.rate, g, {}), {buffer}};
  }

private:
  double momentum, dampening;
  bool nesterov = false;
};

class Adagrad : public Optimizer {
public:
  explicit Adagrad(mlir::DictionaryAttr recipe)
      : rateDecay(numberOf(recipe, "lr_decay", 0)), epsilon(numberOf(recipe, "epsilon", 1e-10)),
        initial(numberOf(recipe, "initial_accumulator", 0)) {}
  SmallVector<OptimizerState> states() const override { return {{"sum", initial}}; }
  UpdateResult update(Emit &e, const UpdateInputs &in) const override {
    Value g = withDecay(e, in);
    Value rate = rateDecay == 0 ? in.rate : e.div(in.rate, e.add(e.mul(in.step, rateDecay), 1));
    Value sum = e.add(in.states[0], e.mul(g, g));
    return {stepped(e, in.parameter, rate, g, e.add(e.sqrt(sum), epsilon)), {sum}};
  }

private:
  double rateDecay, epsilon, initial;
};

class RmsProp : public Optimizer {
public:
  explicit RmsProp(mlir::DictionaryAttr recipe)
      : alpha(numberOf(recipe, "alpha", 0.99)), epsilon(numberOf(recipe, "epsilon", 1e-8)),
        momentum(numberOf(recipe, "momentum", 0)) {
    if (auto flag = recipe.getAs<mlir::BoolAttr>("centered"))
      centered = flag.getValue();
  }
  SmallVector<OptimizerState> states() const override {
    SmallVector<OptimizerState> result = {{"square_avg"}};
    if (centered)
      result.push_back({"grad_avg"});
    if (momentum > 0)
      result.push_back({"momentum_buffer"});
    return result;
  }
  UpdateResult update(Emit &e, const UpdateInputs &in) const override {
    Value g = withDecay(e, in);
    UpdateResult result;
    Value squares = decayedSquares(e, in.states[0], g, alpha), average = squares;
    result.states.push_back(squares);
    if (centered) {
      Value mean = lerp(e, in.states[1], g, 1 - alpha);
      result.states.push_back(mean);
      average = e.sub(squares, e.mul(mean, mean));
    }
    Value denominator = e.add(e.sqrt(average), epsilon);
    if (momentum > 0) {
      Value buffer = e.add(e.mul(in.states.back(), momentum), e.div(g, denominator));
      result.states.push_back(buffer);
      result.parameter = stepped(e, in.parameter, in.rate, buffer, {});
    } else {
      result.parameter = stepped(e, in.parameter, in.rate, g, denominator);
    }
    return result;
  }

private:
  double alpha, epsilon, momentum;
  bool centered = false;
};

class Adam : public Optimizer {
public:
  Adam(mlir::DictionaryAttr recipe, bool decoupled)
      : decoupled(decoupled), beta1(numberOf(recipe, "beta1", 0.9)), beta2(numberOf(recipe, "beta2", 0.999)),
        epsilon(numberOf(recipe, "epsilon", 1e-8)) {
    if (auto flag = recipe.getAs<mlir::BoolAttr>("amsgrad"))
      amsgrad = flag.getValue();
  }
  SmallVector<OptimizerState> states() const override {
    SmallVector<OptimizerState> result = {{"exp_avg"}, {"exp_avg_sq"}};
    if (amsgrad)
      result.push_back({"max_exp_avg_sq"});
    return result;
  }
  UpdateResult update(Emit &e, const UpdateInputs &in) const override {
    Value p = in.parameter, g = in.gradient;
    if (in.weightDecay != 0) {
      if (decoupled)
        p = e.mul(p, everywhere(e, e.sub(e.splatLike(in.rate, 1), e.mul(in.rate, in.weightDecay)), p));
      else
        g = addScaled(e, g, p, in.weightDecay);
    }
    Value mean = lerp(e, in.states[0], g, 1 - beta1);
    Value squares = decayedSquares(e, in.states[1], g, beta2), largest = squares;
    UpdateResult result;
    result.states = {mean, squares};
    if (amsgrad) {
      largest = e.max(in.states[2], squares);
      result.states.push_back(largest);
    }
    Value count = e.add(in.step, 1);
    auto correction = [&](double beta) {
      return e.sub(e.splatLike(count, 1), e.op<PowOp>(e.splatLike(count, beta), count));
    };
    Value rate = e.div(in.rate, correction(beta1));
    Value denominator = e.add(e.mul(e.sqrt(largest), everywhere(e, e.rsqrt(correction(beta2)), g)), epsilon);
    result.parameter = stepped(e, p, rate, mean, denominator);
    return result;
  }

private:
  bool decoupled, amsgrad = false;
  double beta1, beta2, epsilon;
};

} // namespace

std::unique_ptr<Optimizer> Optimizer::make(mlir::DictionaryAttr recipe, mlir::Operation *at) {
  auto kind = recipe.getAs<mlir::StringAttr>("kind");
  llvm::StringRef name = kind ? kind.getValue() : "";
  std::unique_ptr<Optimizer> made;
  if (name == "sgd")
    made = std::make_unique<Sgd>(recipe);
  else if (name == "adagrad")
    made = std::make_unique<Adagrad>(recipe);
  else if (name == "rmsprop")
    made = std::make_unique<RmsProp>(recipe);
  else if (name == "adam" || name == "adamw")
    made = std::make_unique<Adam>(recipe, name == "adamw");
  else
    at->emitError("unknown optimizer \"") << name << "\"; known: sgd, adagrad, rmsprop, adam, adamw";
  if (made)
    made->defaultDecay = numberOf(recipe, "weight_decay", name == "adamw" ? 0.01 : 0.0);
  return made;
}

} // namespace kiln
