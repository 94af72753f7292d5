// What elementary functions are written with: arithmetic on values of one float type, scalar or vector.
#pragma once

#include "backends/cpu/compile/Code.h"

namespace kiln::cpu {

constexpr double log2e = 1.44269504088896340736;

struct Real {
  using Value = mlir::Value;

  Code &code;
  mlir::Type type, bits; // and the integers of its width
  bool wide;             // f64

  Real(Code &code, Value x) : code(code), type(x.getType()), wide(mlir::getElementTypeOrSelf(type).isF64()) {
    bits = wide ? code.i64 : code.i32;
    if (auto vector = mlir::dyn_cast<mlir::VectorType>(type))
      bits = mlir::VectorType::get(vector.getShape(), bits);
  }
  Value c(double value) { return code.constant(type, value); }
  Value n(int64_t value) { return code.constantInt(bits, value); }
  Value add(Value a, Value b) { return code.op<mlir::arith::AddFOp>(a, b); }
  Value sub(Value a, Value b) { return code.op<mlir::arith::SubFOp>(a, b); }
  Value mul(Value a, Value b) { return code.op<mlir::arith::MulFOp>(a, b); }
  Value div(Value a, Value b) { return code.op<mlir::arith::DivFOp>(a, b); }
  Value fma(Value a, Value b, Value c) { return code.op<mlir::math::FmaOp>(a, b, c); }
  Value abs(Value a) { return code.op<mlir::math::AbsFOp>(a); }
  Value round(Value a) { return code.op<mlir::math::RoundEvenOp>(a); }
  Value copysign(Value a, Value sign) { return code.op<mlir::math::CopySignOp>(a, sign); }
  Value select(Value condition, Value a, Value b) { return code.op<mlir::arith::SelectOp>(condition, a, b); }
  Value cmp(mlir::arith::CmpFPredicate p, Value a, Value b) { return code.op<mlir::arith::CmpFOp>(p, a, b); }
  Value lt(Value a, Value b) { return cmp(mlir::arith::CmpFPredicate::OLT, a, b); }
  Value gt(Value a, Value b) { return cmp(mlir::arith::CmpFPredicate::OGT, a, b); }
  Value eq(Value a, Value b) { return cmp(mlir::arith::CmpFPredicate::OEQ, a, b); }
  /// Limits to [low, high]; NaN stays.
  Value clamp(Value x, double low, double high) {
    x = select(gt(x, c(high)), c(high), x);
    return select(lt(x, c(low)), c(low), x);
  }
  /// Horner, highest power first.
  Value polynomial(Value x, llvm::ArrayRef<double> coefficients) {
    Value sum = c(coefficients.front());
    for (double coefficient : coefficients.drop_front())
      sum = fma(sum, x, c(coefficient));
    return sum;
  }
  /// 2^k for an integral k (as integers) within the normal range.
  Value power2(Value k) {
    Value exponent = code.op<mlir::arith::AddIOp>(k, n(wide ? 1023 : 127));
    return code.op<mlir::arith::BitcastOp>(type, code.op<mlir::arith::ShLIOp>(exponent, n(wide ? 52 : 23)));
  }
  Value toInteger(Value x) { return code.op<mlir::arith::FPToSIOp>(bits, x); }
  Value fromInteger(Value k) { return code.op<mlir::arith::SIToFPOp>(type, k); }
};

// VectorTables.cpp: f32 in vectors of sixteen, whose coefficients lie in registers and are chosen by a permutation
// (AVX-512). A scalar goes through a vector, so that it has the same bits.

/// Whether the target has them, for values of this type.
bool hasTables(const Code &code, mlir::Type type);
mlir::Value expByTable(Code &code, mlir::Value x);
/// e^x - 1 for x <= 0.
mlir::Value expm1ByTable(Code &code, mlir::Value x);
mlir::Value erfByTable(Code &code, mlir::Value x);

} // namespace kiln::cpu
