// Elementwise ops.
#include "backends/cpu/compile/Emitter.h"
#include "backends/cpu/compile/VectorMath.h"
#include <cmath>
#include <limits>

using namespace mlir;

namespace kiln::cpu {

static Type like(Value v, Type element) {
  if (auto vector = dyn_cast<VectorType>(v.getType()))
    return VectorType::get(vector.getShape(), element);
  return element;
}

static bool isBool(kiln_dtype dtype) { return dtype == KILN_BOOL; }

//===-- One operand ----------------------------------------------------------------------------------------------===//

static Value unaryInteger(Code &code, OpCode op, Value a, kiln_dtype dtype) {
  Type type = a.getType();
  Value zero = code.constantInt(type, 0);
  switch (op) {
  case OpCode::Neg:
    return code.op<arith::SubIOp>(zero, a);
  case OpCode::Not:
    return code.op<arith::XOrIOp>(a, code.constantInt(type, -1));
  case OpCode::Abs: {
    if (!isSigned(dtype))
      return a;
    Value negative = code.op<arith::CmpIOp>(arith::CmpIPredicate::slt, a, zero);
    return code.op<arith::SelectOp>(negative, code.op<arith::SubIOp>(zero, a), a);
  }
  case OpCode::Sign: {
    if (isBool(dtype))
      return a;
    Value one = code.constantInt(type, 1);
    if (!isSigned(dtype))
      return code.op<arith::MinUIOp>(a, one);
    return code.op<arith::MaxSIOp>(code.op<arith::MinSIOp>(a, one), code.constantInt(type, -1));
  }
  default:
    llvm_unreachable("not an op of integers");
  }
}

Value Emitter::unary(OpCode op, Value a, kiln_dtype dtype) {
  if (!isFloat(dtype))
    return unaryInteger(code, op, a, dtype);
  Type type = a.getType();
  switch (op) {
  case OpCode::Neg:
    return code.op<arith::NegFOp>(a);
  case OpCode::Abs:
    return code.op<math::AbsFOp>(a);
  case OpCode::Sign: {
    // NaN is not ordered, so that its sign is 0, as torch.sign's.
    Value zero = code.constant(type, 0);
    Value differs = code.op<arith::CmpFOp>(arith::CmpFPredicate::ONE, a, zero);
    return code.op<arith::SelectOp>(differs, code.op<math::CopySignOp>(code.constant(type, 1), a), zero);
  }
  default:
    return emitFunction(code, op, a);
  }
}

//===-- Two operands ---------------------------------------------------------------------------------------------===//

Value Emitter::binaryFloat(OpCode op, Value a, Value b) {
  switch (op) {
  case OpCode::Add:
    return code.op<arith::AddFOp>(a, b);
  case OpCode::Sub:
    return code.op<arith::SubFOp>(a, b);
  case OpCode::Mul:
    return code.op<arith::MulFOp>(a, b);
  case OpCode::Div:
    return code.op<arith::DivFOp>(a, b);
  case OpCode::Rem:
    return emitLibraryCall(code, "fmod", a, b);
  case OpCode::Pow:
    return emitLibraryCall(code, "pow", a, b);
  case OpCode::Max:
    return code.op<arith::MaximumFOp>(a, b);
  case OpCode::Min:
    return code.op<arith::MinimumFOp>(a, b);
  default:
    llvm_unreachable("not a float op of two operands");
  }
}

/// Division by zero gives 0 and is recorded; the most negative number by -1 wraps. Neither may reach the instruction,
/// which traps on both.
Value Emitter::integerDivision(const Op *op, Value a, Value b, kiln_dtype dtype, bool remainder, const Mask &mask) {
  Type type = b.getType();
  Value zero = code.constantInt(type, 0), one = code.constantInt(type, 1);
  Value isZero = code.op<arith::CmpIOp>(arith::CmpIPredicate::eq, b, zero);
  if (op) {
    Value bad = isZero;
    if (isa<VectorType>(type) && (mask.lanes || mask.uniform))
      bad = code.both(bad, laneMask(mask));
    else if (mask.uniform)
      bad = code.both(bad, mask.uniform);
    Value dividend = a;
    if (!isSigned(dtype)) { // report() extends by the sign
      Type wide = code.i64;
      if (auto lanes = dyn_cast<VectorType>(type))
        wide = lanes.clone(wide);
      dividend = code.b.create<arith::ExtUIOp>(code.loc, wide, a);
    }
    report(KILN_DIVISION_BY_ZERO, *op, bad, dividend, code.integer(0));
  }
  if (!isSigned(dtype)) {
    Value divisor = code.op<arith::SelectOp>(isZero, one, b);
    Value result = remainder ? code.op<arith::RemUIOp>(a, divisor) : code.op<arith::DivUIOp>(a, divisor);
    return code.op<arith::SelectOp>(isZero, zero, result);
  }
  Value minusOne = code.op<arith::CmpIOp>(arith::CmpIPredicate::eq, b, code.constantInt(type, -1));
  Value divisor = code.op<arith::SelectOp>(code.op<arith::OrIOp>(isZero, minusOne), one, b);
  Value result = remainder ? code.op<arith::RemSIOp>(a, divisor) : code.op<arith::DivSIOp>(a, divisor);
  Value negated = remainder ? zero : code.op<arith::SubIOp>(zero, a);
  result = code.op<arith::SelectOp>(minusOne, negated, result);
  return code.op<arith::SelectOp>(isZero, zero, result);
}

/// a^b by squaring, wrapping; a negative exponent gives what the rounded reciprocal is: 0, or ±1 for a = ±1.
static Value integerPower(Code &code, Value a, Value b, kiln_dtype dtype) {
  Type type = a.getType();
  Value one = code.constantInt(type, 1), zero = code.constantInt(type, 0), result = one, base = a;
  for (unsigned bit = 0; bit < static_cast<unsigned>(bitWidth(dtype) - isSigned(dtype)); ++bit) {
    Value shifted = bit ? code.op<arith::ShRUIOp>(b, code.constantInt(type, bit)) : b;
    Value set = code.op<arith::CmpIOp>(arith::CmpIPredicate::ne, code.op<arith::AndIOp>(shifted, one), zero);
    result = code.op<arith::SelectOp>(set, code.op<arith::MulIOp>(result, base), result);
    base = code.op<arith::MulIOp>(base, base);
  }
  if (!isSigned(dtype))
    return result;
  Value negative = code.op<arith::CmpIOp>(arith::CmpIPredicate::slt, b, zero);
  Value isOne = code.op<arith::CmpIOp>(arith::CmpIPredicate::eq, a, one);
  Value isMinusOne = code.op<arith::CmpIOp>(arith::CmpIPredicate::eq, a, code.constantInt(type, -1));
  Value odd = code.op<arith::CmpIOp>(arith::CmpIPredicate::ne, code.op<arith::AndIOp>(b, one), zero);
  Value sign = code.op<arith::SelectOp>(odd, code.constantInt(type, -1), one);
  Value inverse = code.op<arith::SelectOp>(isOne, one, code.op<arith::SelectOp>(isMinusOne, sign, zero));
  return code.op<arith::SelectOp>(negative, inverse, result);
}

Value Emitter::binaryInteger(OpCode op, Value a, Value b, kiln_dtype dtype) {
  bool sign = isSigned(dtype);
  switch (op) {
  case OpCode::Add:
    return isBool(dtype) ? code.op<arith::OrIOp>(a, b) : code.op<arith::AddIOp>(a, b);
  case OpCode::Sub:
    return code.op<arith::SubIOp>(a, b);
  case OpCode::Mul:
    return isBool(dtype) ? code.op<arith::AndIOp>(a, b) : code.op<arith::MulIOp>(a, b);
  case OpCode::Pow:
    return integerPower(code, a, b, dtype);
  case OpCode::Max:
    return sign ? code.op<arith::MaxSIOp>(a, b) : code.op<arith::MaxUIOp>(a, b);
  case OpCode::Min:
    return sign ? code.op<arith::MinSIOp>(a, b) : code.op<arith::MinUIOp>(a, b);
  case OpCode::And:
    return code.op<arith::AndIOp>(a, b);
  case OpCode::Or:
    return code.op<arith::OrIOp>(a, b);
  case OpCode::Xor:
    return code.op<arith::XOrIOp>(a, b);
  case OpCode::Shl:
  case OpCode::Shr: {
    // A count that is not below the width shifts everything out.
    Type type = a.getType();
    Value width = code.constantInt(type, bitWidth(dtype)), last = code.constantInt(type, bitWidth(dtype) - 1);
    Value within = code.op<arith::CmpIOp>(arith::CmpIPredicate::ult, b, width);
    Value count = code.op<arith::SelectOp>(within, b, last);
    if (op == OpCode::Shr && sign)
      return code.op<arith::ShRSIOp>(a, count);
    Value shifted = op == OpCode::Shl ? code.op<arith::ShLIOp>(a, count) : code.op<arith::ShRUIOp>(a, count);
    return code.op<arith::SelectOp>(within, shifted, code.constantInt(type, 0));
  }
  default:
    llvm_unreachable("not an integer op of two operands");
  }
}

Value Emitter::binary(OpCode op, Value a, Value b, kiln_dtype dtype, const Op *source, const Mask &mask) {
  same(a, b);
  if (isFloat(dtype))
    return binaryFloat(op, a, b);
  if (op == OpCode::Div || op == OpCode::Rem)
    return integerDivision(source, a, b, dtype, op == OpCode::Rem, mask);
  return binaryInteger(op, a, b, dtype);
}

Value Emitter::compare(Predicate predicate, Value a, Value b, kiln_dtype dtype) {
  same(a, b);
  size_t p = static_cast<size_t>(predicate);
  if (isFloat(dtype)) {
    using P = arith::CmpFPredicate;
    constexpr P predicates[] = {P::OEQ, P::UNE, P::OLT, P::OLE, P::OGT, P::OGE};
    return code.op<arith::CmpFOp>(predicates[p], a, b);
  }
  using P = arith::CmpIPredicate;
  constexpr P withSign[] = {P::eq, P::ne, P::slt, P::sle, P::sgt, P::sge};
  constexpr P without[] = {P::eq, P::ne, P::ult, P::ule, P::ugt, P::uge};
  return code.op<arith::CmpIOp>(isSigned(dtype) ? withSign[p] : without[p], a, b);
}

//===-- Conversion -----------------------------------------------------------------------------------------------===//

/// Truncates and saturates; NaN gives 0.
static Value floatToInteger(Code &code, Value a, kiln_dtype to, Type target) {
  Type type = a.getType();
  int bits = bitWidth(to);
  bool sign = isSigned(to);
  double low = sign ? -std::ldexp(1.0, bits - 1) : 0, high = std::ldexp(1.0, bits - static_cast<int>(sign));
  int64_t largest = sign ? static_cast<int64_t>((static_cast<uint64_t>(1) << (bits - 1)) - 1) : -1,
          smallest = sign ? static_cast<int64_t>(static_cast<uint64_t>(1) << (bits - 1)) : 0;
  Value above = code.op<arith::CmpFOp>(arith::CmpFPredicate::OGE, a, code.constant(type, high));
  Value below = code.op<arith::CmpFOp>(arith::CmpFPredicate::OLE, a, code.constant(type, low));
  Value fits = code.op<arith::AndIOp>(code.op<arith::CmpFOp>(arith::CmpFPredicate::OLT, a, code.constant(type, high)),
                                      code.op<arith::CmpFOp>(arith::CmpFPredicate::OGT, a, code.constant(type, low)));
  Value safe = code.op<arith::SelectOp>(fits, a, code.constant(type, 0));
  Value result = sign ? code.op<arith::FPToSIOp>(target, safe) : code.op<arith::FPToUIOp>(target, safe);
  result = code.op<arith::SelectOp>(above, code.constantInt(target, largest), result);
  return code.op<arith::SelectOp>(below, code.constantInt(target, smallest), result);
}

/// A f64 as f32, towards zero, and odd where that is inexact: rounded to 16 bits then, it is rounded once.
static Value roundedToOdd(Code &code, Value a) {
  using P = arith::CmpFPredicate;
  Type wide = a.getType(), single = like(a, code.f32), integer = like(a, code.i32);
  Value near = code.op<arith::TruncFOp>(single, a), bits = code.op<arith::BitcastOp>(integer, near);
  Value have = code.op<math::AbsFOp>(code.op<arith::ExtFOp>(wide, near)), want = code.op<math::AbsFOp>(a);
  Value above = code.op<arith::CmpFOp>(P::OGT, have, want), inexact = code.op<arith::CmpFOp>(P::ONE, have, want);
  Value one = code.constantInt(integer, 1);
  Value below = code.op<arith::SelectOp>(above, code.op<arith::SubIOp>(bits, one), bits);
  Value odd = code.op<arith::OrIOp>(below, one);
  return code.op<arith::BitcastOp>(single, code.op<arith::SelectOp>(inexact, odd, bits));
}

/// An integer that f32 holds, and that is rounded to bf16 as `a` is: what lies below the digits that count is one bit,
/// set where any of them was.
static Value forNarrowing(Code &code, Value a, kiln_dtype from) {
  struct Level {
    int least, dropped; // of numbers from 2^least on, so many bits
  };
  static constexpr Level ofWords[] = {{24, 8}}, ofLongs[] = {{24, 15}, {39, 30}, {54, 45}};
  Type type = a.getType();
  Value result = a;
  using P = arith::CmpIPredicate;
  for (const Level &level : bitWidth(from) == 64 ? llvm::ArrayRef(ofLongs) : llvm::ArrayRef(ofWords)) {
    int64_t step = int64_t{1} << level.dropped, limit = int64_t{1} << level.least;
    Value rest = code.op<arith::AndIOp>(a, code.constantInt(type, step - 1));
    Value bit = code.op<arith::SelectOp>(code.op<arith::CmpIOp>(P::ne, rest, code.constantInt(type, 0)),
                                         code.constantInt(type, step), code.constantInt(type, 0));
    Value collapsed = code.op<arith::OrIOp>(code.op<arith::XOrIOp>(a, rest), bit);
    Value above = code.op<arith::CmpIOp>(isSigned(from) ? P::sge : P::uge, a, code.constantInt(type, limit));
    if (isSigned(from)) {
      Value below = code.op<arith::CmpIOp>(P::sle, a, code.constantInt(type, -limit));
      above = code.op<arith::OrIOp>(above, below);
    }
    result = code.op<arith::SelectOp>(above, collapsed, result);
  }
  return result;
}

Value Emitter::convert(Value a, kiln_dtype from, kiln_dtype to) {
  if (from == to)
    return a;
  Type type = a.getType(), target = like(a, registerType(to));
  if (isBool(to)) {
    if (isFloat(from))
      return code.op<arith::CmpFOp>(arith::CmpFPredicate::UNE, a, code.constant(type, 0));
    return code.op<arith::CmpIOp>(arith::CmpIPredicate::ne, a, code.constantInt(type, 0));
  }
  if (isFloat(from) && isFloat(to)) {
    if (from == KILN_F64 && byteSize(to) == 2)
      return rounded(roundedToOdd(code, a), to);
    Value result = a;
    if (type != target)
      result = to == KILN_F64 ? code.op<arith::ExtFOp>(target, a) : code.op<arith::TruncFOp>(target, a);
    return byteSize(to) == 2 ? rounded(result, to) : result;
  }
  if (isFloat(from))
    return floatToInteger(code, a, to, target);
  if (isFloat(to)) {
    if (to == KILN_BF16 && bitWidth(from) >= 32)
      a = forNarrowing(code, a, from);
    Value result = isSigned(from) ? code.op<arith::SIToFPOp>(target, a) : code.op<arith::UIToFPOp>(target, a);
    return byteSize(to) == 2 ? rounded(result, to) : result;
  }
  if (bitWidth(to) < bitWidth(from))
    return code.op<arith::TruncIOp>(target, a);
  if (bitWidth(to) == bitWidth(from))
    return a;
  return isSigned(from) ? code.op<arith::ExtSIOp>(target, a) : code.op<arith::ExtUIOp>(target, a);
}

Value Emitter::bitcast(Value a, kiln_dtype to) { return code.op<arith::BitcastOp>(like(a, registerType(to)), a); }

//===-- Combining ------------------------------------------------------------------------------------------------===//

Value Emitter::neutral(Combine combine, kiln_dtype dtype) {
  Type type = registerType(dtype);
  int bits = bitWidth(dtype);
  bool sign = isSigned(dtype);
  int64_t smallest = sign ? static_cast<int64_t>(static_cast<uint64_t>(1) << (bits - 1)) : 0;
  int64_t largest = sign ? static_cast<int64_t>((static_cast<uint64_t>(1) << (bits - 1)) - 1) : -1;
  double infinity = std::numeric_limits<double>::infinity();
  bool real = isFloat(dtype);
  switch (combine) {
  case Combine::Sum:
  case Combine::Set:
  case Combine::Any:
    return real ? code.constant(type, 0) : code.constantInt(type, 0);
  case Combine::Prod:
  case Combine::All:
    return real ? code.constant(type, 1) : code.constantInt(type, 1);
  case Combine::Max:
    return real ? code.constant(type, -infinity) : code.constantInt(type, smallest);
  case Combine::Min:
    return real ? code.constant(type, infinity) : code.constantInt(type, largest);
  }
  llvm_unreachable("unknown combination");
}

Value Emitter::combine(Combine combine, Value a, Value b, kiln_dtype dtype) {
  switch (combine) {
  case Combine::Sum:
    return binary(OpCode::Add, a, b, dtype);
  case Combine::Prod:
    return binary(OpCode::Mul, a, b, dtype);
  case Combine::Max:
    return binary(OpCode::Max, a, b, dtype);
  case Combine::Min:
    return binary(OpCode::Min, a, b, dtype);
  case Combine::Any:
    return binary(OpCode::Or, a, b, dtype);
  case Combine::All:
    return binary(OpCode::And, a, b, dtype);
  case Combine::Set:
    return b;
  }
  llvm_unreachable("unknown combination");
}

Value Emitter::horizontal(Combine kind, Value v, kiln_dtype dtype) {
  auto type = dyn_cast<VectorType>(v.getType());
  if (!type)
    return v;
  for (int64_t lanes = type.getNumElements(); lanes > 1; lanes /= 2) {
    llvm::SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < lanes / 2; ++i)
      low.push_back(i), high.push_back(i + lanes / 2);
    v = combine(kind, code.op<vector::ShuffleOp>(v, v, low), code.op<vector::ShuffleOp>(v, v, high), dtype);
  }
  return code.lane(v, 0);
}

} // namespace kiln::cpu
