// Verifiers of the composites' numbered constraints.
#include "ir/Infer.h"
#include "ir/Values.h"
#include "ir/Verify.h"

#include <cmath>

using mlir::LogicalResult;
using mlir::Operation;
using mlir::RankedTensorType;
using mlir::Value;

namespace kiln {

namespace {

bool isFloat(Value value) { return llvm::isa<mlir::FloatType>(elementOf(value)); }

LogicalResult verifyAxis(Operation *op, int64_t axis, Value value) {
  if (axis < 0 || axis >= rankOf(value))
    return op->emitOpError() << "(C1) axis " << axis << " is outside [0, " << rankOf(value) << ")";
  return mlir::success();
}

/// scale and bias of a norm: the shape of the last axis.
LogicalResult verifyLastAxis(Operation *op, Value operand, Value vector, llvm::StringRef name) {
  llvm::SmallVector<Dim> dims = dimsOf(operand);
  RankedTensorType expected = tensorType({dims.back()}, elementOf(operand));
  if (dimsOf(vector) != dimsOf(expected) || !isFloat(vector))
    return op->emitOpError() << "(C1) expected " << name << " " << describe(expected) << ", found "
                             << describe(vector.getType());
  return mlir::success();
}

LogicalResult verifyNormed(Operation *op, Value operand) {
  if (rankOf(operand) < 1 || !isFloat(operand))
    return op->emitOpError() << "(C2) expected floats with at least one axis, found " << describe(operand.getType());
  return mlir::success();
}

LogicalResult verifyDraw(Operation *op, Value seed, mlir::ValueRange counters, Value result) {
  mlir::Type element = elementOf(result);
  if (!element.isF32() && !element.isF64())
    return op->emitOpError() << "(C1) the element type must be f32 or f64, found " << describe(result.getType());
  return verifyRandomOperands(op, seed, counters, "(C2)", "(C2)");
}

} // namespace

LogicalResult SoftmaxOp::verify() { return verifyAxis(*this, getAxis(), getOperand()); }
LogicalResult LogSoftmaxOp::verify() { return verifyAxis(*this, getAxis(), getOperand()); }

LogicalResult LayerNormOp::verify() {
  if (mlir::failed(verifyNormed(*this, getOperand())))
    return mlir::failure();
  if (!getScale() != !getBias())
    return emitOpError() << "(C1) scale and bias must be present together or absent";
  if (!getScale())
    return mlir::success();
  if (mlir::failed(verifyLastAxis(*this, getOperand(), getScale(), "scale")))
    return mlir::failure();
  return verifyLastAxis(*this, getOperand(), getBias(), "bias");
}

LogicalResult RmsNormOp::verify() {
  if (mlir::failed(verifyNormed(*this, getOperand())))
    return mlir::failure();
  return verifyLastAxis(*this, getOperand(), getScale(), "scale");
}

LogicalResult CrossEntropyOp::verify() {
  Inferred expected = inferCrossEntropy(tensorOf(getLogits()), tensorOf(getTargets()));
  if (!expected)
    return emitOpError(expected.error);
  if (expected.type != getType())
    return emitOpError() << "(C2) expected the result " << describe(expected.type) << ", found " << describe(getType());
  return mlir::success();
}

static RankedTensorType lseOf(RankedTensorType result) {
  mlir::Type element = result.getElementType();
  llvm::SmallVector<Dim> dims = dimsOf(result);
  dims.pop_back();
  return tensorType(dims, element.isBF16() || element.isF16() ? mlir::Float32Type::get(element.getContext()) : element);
}

template <class Op> static LogicalResult verifyAttention(Op op) {
  Inferred expected =
      inferAttention(tensorOf(op.getQuery()), tensorOf(op.getKey()), tensorOf(op.getValue()), attentionOptions(op));
  if (!expected)
    return op.emitOpError(expected.error);
  if (expected.type != op.getResult().getType())
    return op.emitOpError() << "(C1) expected the result " << describe(expected.type) << ", found "
                            << describe(op.getResult().getType());
  if (op.getLse() && tensorOf(op.getLse()) != lseOf(expected.type))
    return op.emitOpError() << "(C1) expected the second result " << describe(lseOf(expected.type)) << ", found "
                            << describe(op.getLse().getType());
  return mlir::success();
}

template <class Op> static LogicalResult verifyAttentionGrad(Op op) {
  Inferred expected =
      inferAttention(tensorOf(op.getQuery()), tensorOf(op.getKey()), tensorOf(op.getValue()), attentionOptions(op));
  if (!expected)
    return op.emitOpError(expected.error);
  if (expected.type != op.getResult().getType())
    return op.emitOpError() << "(C1) expected attention's result " << describe(expected.type) << ", found "
                            << describe(op.getResult().getType());
  if (tensorOf(op.getLse()) != lseOf(expected.type))
    return op.emitOpError() << "(C1) expected attention's second result " << describe(lseOf(expected.type))
                            << ", found " << describe(op.getLse().getType());
  return mlir::success();
}

static LogicalResult verifyShare(Operation *op, llvm::APFloat p, llvm::StringRef constraint) {
  if (double share = p.convertToDouble(); !(share >= 0.0 && share <= 1.0))
    return op->emitOpError() << constraint << " p must be from 0 to 1, found " << share;
  return mlir::success();
}

template <class Op> static LogicalResult verifyDropped(Op op) {
  if (mlir::failed(verifyShare(op, op.getP(), "(C7)")))
    return mlir::failure();
  return verifyRandomOperands(op, op.getSeed(), op.getCounters(), "(C8)", "(C8)");
}

template <class Op> static LogicalResult verifyCap(Op op) {
  if (double cap = op.getSoftcap().convertToDouble(); !(cap > 0.0 && std::isfinite(cap)))
    return op.emitOpError() << "(C9) softcap must be a finite number above 0, found " << cap;
  return mlir::success();
}

LogicalResult AttentionOp::verify() { return verifyAttention(*this); }
LogicalResult BiasedAttentionOp::verify() { return verifyAttention(*this); }
LogicalResult AttentionGradOp::verify() { return verifyAttentionGrad(*this); }
LogicalResult BiasedAttentionGradOp::verify() { return verifyAttentionGrad(*this); }
LogicalResult DropoutAttentionOp::verify() {
  return mlir::failed(verifyAttention(*this)) ? mlir::failure() : verifyDropped(*this);
}
LogicalResult DropoutAttentionGradOp::verify() {
  if (mlir::failed(verifyAttentionGrad(*this)))
    return mlir::failure();
  if (!getBias() != !getDbias() || (getBias() && getBias().getType() != getDbias().getType()))
    return emitOpError() << "(C2) expected a gradient of the bias where there is one, and of its type";
  return verifyDropped(*this);
}

LogicalResult CappedAttentionOp::verify() {
  return mlir::failed(verifyAttention(*this)) ? mlir::failure() : verifyCap(*this);
}
LogicalResult CappedAttentionGradOp::verify() {
  return mlir::failed(verifyAttentionGrad(*this)) ? mlir::failure() : verifyCap(*this);
}

LogicalResult RandomUniformOp::verify() { return verifyDraw(*this, getSeed(), getCounters(), getResult()); }
LogicalResult RandomNormalOp::verify() { return verifyDraw(*this, getSeed(), getCounters(), getResult()); }

LogicalResult DropoutOp::verify() {
  if (!isFloat(getOperand()))
    return emitOpError() << "(C1) expected floats, found " << describe(getOperand().getType());
  if (mlir::failed(verifyShare(*this, getP(), "(C2)")))
    return mlir::failure();
  return verifyRandomOperands(*this, getSeed(), getCounters(), "(C3)", "(C3)");
}

} // namespace kiln
