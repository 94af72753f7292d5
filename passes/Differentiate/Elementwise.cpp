// Gradients of the elementwise primitives, with PyTorch's choices where a function has a corner.
#include "passes/Differentiate/Backward.h"

#include <numbers>

namespace kiln {

using mlir::LogicalResult;
using mlir::success;
using mlir::Value;

namespace {

/// A unary op's rule: from the gradient, the operand and the result, the operand's gradient.
template <typename Op, auto formula> LogicalResult unary(Op op, Backward &b) {
  Emit e = b.emit(op);
  b.give(op.getOperand(), formula(e, b.gradient(op.getResult()), op.getOperand(), op.getResult()));
  return success();
}

template <typename Op, auto formula> void addUnary(RuleTable &rules) { rules.add<Op>(unary<Op, formula>); }

Value square(Emit &e, Value x) { return e.mul(x, x); }

LogicalResult addRule(AddOp op, Backward &b) {
  Value g = b.gradient(op);
  b.give(op.getLhs(), g);
  b.give(op.getRhs(), g);
  return success();
}

LogicalResult subRule(SubOp op, Backward &b) {
  Value g = b.gradient(op);
  b.give(op.getLhs(), g);
  if (b.wants(op.getRhs()))
    b.give(op.getRhs(), b.emit(op).neg(g));
  return success();
}

LogicalResult mulRule(MulOp op, Backward &b) {
  Value g = b.gradient(op);
  if (b.wants(op.getLhs()))
    b.give(op.getLhs(), b.emit(op).mul(g, op.getRhs()));
  if (b.wants(op.getRhs()))
    b.give(op.getRhs(), b.emit(op).mul(g, op.getLhs()));
  return success();
}

LogicalResult divRule(DivOp op, Backward &b) {
  Emit e = b.emit(op);
  Value quotient = e.div(b.gradient(op), op.getRhs());
  b.give(op.getLhs(), quotient);
  if (b.wants(op.getRhs()))
    b.give(op.getRhs(), e.neg(e.mul(quotient, op.getResult())));
  return success();
}

// d rem(a, b) = da - trunc(a/b) db.
LogicalResult remRule(RemOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op);
  b.give(op.getLhs(), g);
  if (b.wants(op.getRhs())) {
    Value whole = e.op<RoundOp>(e.div(e.sub(op.getLhs(), op.getResult()), op.getRhs()));
    b.give(op.getRhs(), e.neg(e.mul(g, whole)));
  }
  return success();
}

// As PyTorch: the base has gradient 0 where the exponent is 0, the exponent where the base is 0 and it is not negative.
LogicalResult powRule(PowOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op), base = op.getLhs(), exponent = op.getRhs();
  Value zero = e.splatLike(g, 0);
  if (b.wants(base)) {
    Value slope;
    if (std::optional<double> constant = splatValue(exponent)) {
      slope = *constant == 2   ? e.mul(base, 2)
              : *constant == 1 ? e.splatLike(base, 1)
                               : e.mul(e.op<PowOp>(base, e.splatLike(base, *constant - 1)), *constant);
      if (*constant == 0)
        slope = zero;
    } else {
      Value lowered = e.mul(exponent, e.op<PowOp>(base, e.sub(exponent, e.splatLike(exponent, 1))));
      slope = e.select(e.compare(Predicate::eq, exponent, zero), zero, lowered);
    }
    b.give(base, e.mul(g, slope));
  }
  if (b.wants(exponent)) {
    Value flat = e.op<AndOp>(e.compare(Predicate::eq, base, zero), e.compare(Predicate::ge, exponent, zero));
    Value slope = e.select(flat, zero, e.mul(op.getResult(), e.log(base)));
    b.give(exponent, e.mul(g, slope));
  }
  return success();
}

// torch.maximum and torch.minimum: equal operands share the gradient.
template <typename Op> LogicalResult extremeRule(Op op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op.getResult());
  Value zero = e.splatLike(g, 0), half = e.mul(g, 0.5);
  Value tie = e.compare(Predicate::eq, op.getLhs(), op.getRhs());
  auto share = [&](Value mine, Value other) {
    Value wins = e.compare(std::is_same_v<Op, MaxOp> ? Predicate::gt : Predicate::lt, mine, other);
    return e.select(tie, half, e.select(wins, g, zero));
  };
  if (b.wants(op.getLhs()))
    b.give(op.getLhs(), share(op.getLhs(), op.getRhs()));
  if (b.wants(op.getRhs()))
    b.give(op.getRhs(), share(op.getRhs(), op.getLhs()));
  return success();
}

LogicalResult selectRule(SelectOp op, Backward &b) {
  Emit e = b.emit(op);
  Value g = b.gradient(op), zero = e.splatLike(g, 0);
  if (b.wants(op.getOnTrue()))
    b.give(op.getOnTrue(), e.select(op.getCondition(), g, zero));
  if (b.wants(op.getOnFalse()))
    b.give(op.getOnFalse(), e.select(op.getCondition(), zero, g));
  return success();
}

LogicalResult convertRule(ConvertOp op, Backward &b) {
  b.give(op.getOperand(), b.emit(op).convertTo(b.gradient(op), elementOf(op.getOperand())));
  return success();
}

void addUnaryRules(RuleTable &rules) {
  addUnary<NegOp, [](Emit &e, Value g, Value, Value) { return e.neg(g); }>(rules);
  addUnary<AbsOp, [](Emit &e, Value g, Value x, Value) { return e.mul(g, e.op<SignOp>(x)); }>(rules);
  addUnary<ExpOp, [](Emit &e, Value g, Value, Value y) { return e.mul(g, y); }>(rules);
  // (Not y + 1: far below zero little is left of e^x beside 1.)
  addUnary<Expm1Op, [](Emit &e, Value g, Value x, Value) { return e.mul(g, e.exp(x)); }>(rules);
  addUnary<LogOp, [](Emit &e, Value g, Value x, Value) { return e.div(g, x); }>(rules);
  addUnary<Log1pOp, [](Emit &e, Value g, Value x, Value) { return e.div(g, e.add(x, e.splatLike(x, 1))); }>(rules);
  addUnary<SqrtOp, [](Emit &e, Value g, Value, Value y) { return e.div(g, e.mul(y, 2)); }>(rules);
  addUnary<RsqrtOp, [](Emit &e, Value g, Value, Value y) { return e.mul(e.mul(g, -0.5), e.mul(y, square(e, y))); }>(
      rules);
  addUnary<SinOp, [](Emit &e, Value g, Value x, Value) { return e.mul(g, e.op<CosOp>(x)); }>(rules);
  addUnary<CosOp, [](Emit &e, Value g, Value x, Value) { return e.neg(e.mul(g, e.op<SinOp>(x))); }>(rules);
  addUnary<TanhOp, [](Emit &e, Value g, Value, Value y) { return e.mul(g, e.sub(e.splatLike(y, 1), square(e, y))); }>(
      rules);
  addUnary<SigmoidOp, [](Emit &e, Value g, Value, Value y) { return e.mul(g, e.mul(y, e.sub(e.splatLike(y, 1), y))); }>(
      rules);
  addUnary<ErfOp, [](Emit &e, Value g, Value x, Value) {
    return e.mul(e.mul(g, 2 * std::numbers::inv_sqrtpi), e.exp(e.neg(square(e, x))));
  }>(rules);
}

} // namespace

void addElementwiseRules(RuleTable &rules) {
  addUnaryRules(rules);
  rules.add<AddOp>(addRule);
  rules.add<SubOp>(subRule);
  rules.add<MulOp>(mulRule);
  rules.add<DivOp>(divRule);
  rules.add<RemOp>(remRule);
  rules.add<PowOp>(powRule);
  rules.add<MaxOp>(extremeRule<MaxOp>);
  rules.add<MinOp>(extremeRule<MinOp>);
  rules.add<SelectOp>(selectRule);
  rules.add<ConvertOp>(convertRule);
}

} // namespace kiln
