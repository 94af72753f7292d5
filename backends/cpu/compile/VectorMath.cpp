// The polynomials, their ranges and their errors.

#include "backends/cpu/compile/VectorMath.h"
#include "backends/cpu/compile/VectorReal.h"
#include <cmath>
#include <limits>

using namespace mlir;

namespace kiln::cpu {

namespace {
/// x = k ln 2 + r, and e^r - 1 for |r| <= ln 2 / 2.
struct Reduced {
  Value k, expm1;
};
} // namespace

static Reduced reduceExp(Real &f, Value x) {
  Value k = f.round(f.mul(x, f.c(log2e)));
  if (f.wide) {
    // Cephes exp.c: a rational approximation.
    Value r = f.fma(k, f.c(-6.93145751953125E-1), x);
    r = f.fma(k, f.c(-1.42860682030941723212E-6), r);
    Value s = f.mul(r, r);
    Value p =
        f.mul(r, f.polynomial(s, {1.26177193074810590878E-4, 3.02994407707441961300E-2, 9.99999999999999999910E-1}));
    Value q = f.polynomial(
        s, {3.00198505138664455042E-6, 2.52448340349684104192E-3, 2.27265548208155028766E-1, 2.00000000000000000005E0});
    return {f.toInteger(k), f.div(f.mul(f.c(2), p), f.sub(q, p))};
  }
  // Cephes expf.c.
  Value r = f.fma(k, f.c(-0.693359375), x);
  r = f.fma(k, f.c(2.12194440e-4), r);
  Value p = f.polynomial(
      r, {1.9875691500E-4, 1.3981999507E-3, 8.3334519073E-3, 4.1665795894E-2, 1.6666665459E-1, 5.0000001201E-1});
  return {f.toInteger(k), f.fma(p, f.mul(r, r), r)};
}

Value emitExp(Code &code, Value x) {
  if (hasTables(code, x.getType()))
    return expByTable(code, x);
  Real f(code, x);
  Value limited = f.wide ? f.clamp(x, -746, 711) : f.clamp(x, -105, 90);
  Reduced reduced = reduceExp(f, limited);
  Value p = f.add(reduced.expm1, f.c(1));
  // In two steps, so that results beyond either end of the range come out as infinity, or denormal.
  Value half = code.op<arith::ShRSIOp>(reduced.k, f.n(1));
  Value rest = code.op<arith::SubIOp>(reduced.k, half);
  // A NaN has no integer; it comes through the polynomial, whatever it is scaled by.
  return f.mul(f.mul(p, f.power2(half)), f.power2(rest));
}

static Value emitExpm1(Code &code, Value x) {
  Real f(code, x);
  Value limited = f.wide ? f.clamp(x, -60, 710) : f.clamp(x, -40, 89);
  Reduced reduced = reduceExp(f, limited);
  // 2 (p 2^(k-1) + 2^(k-1) - 1/2): 2^(k-1) is finite up to the largest result. Below one ulp of 1 the sum is -1.
  Value scale = f.power2(code.op<arith::SubIOp>(reduced.k, f.n(1)));
  Value sum = f.fma(reduced.expm1, scale, f.sub(scale, f.c(0.5)));
  Value result = f.mul(f.c(2), sum);
  Value tiny = f.eq(f.add(x, f.c(0)), f.c(0)); // keeps -0
  return f.select(tiny, x, result);
}

//===-- Logarithms -----------------------------------------------------------------------------------------------===//

/// x = m 2^e with m in [sqrt 1/2, sqrt 2), for finite positive x.
static std::pair<Value, Value> splitMantissa(Real &f, Value x) {
  Code &code = f.code;
  double tiny = f.wide ? 0x1p-1022 : 0x1p-126, up = f.wide ? 0x1p54 : 0x1p25;
  Value denormal = f.lt(x, f.c(tiny));
  Value scaled = f.select(denormal, f.mul(x, f.c(up)), x);
  Value bits = code.op<arith::BitcastOp>(f.bits, scaled);
  int64_t mantissa = f.wide ? 52 : 23;
  // Subtract sqrt 1/2's pattern: what is left above the mantissa is the exponent.
  int64_t root = f.wide ? 0x3fe6a09e667f3bcdLL : 0x3f3504f3;
  Value offset = code.op<arith::SubIOp>(bits, f.n(root));
  Value exponent = code.op<arith::ShRSIOp>(offset, f.n(mantissa));
  Value m =
      code.op<arith::BitcastOp>(f.type, code.op<arith::SubIOp>(bits, code.op<arith::ShLIOp>(exponent, f.n(mantissa))));
  Value e = f.fromInteger(exponent);
  e = f.sub(e, f.select(denormal, f.c(f.wide ? 54 : 25), f.c(0)));
  return {m, e};
}

static Value finiteLog(Real &f, Value x) {
  auto [m, e] = splitMantissa(f, x);
  Value z = f.sub(m, f.c(1)), s = f.mul(z, z), y;
  if (f.wide) {
    // Cephes log.c.
    Value p = f.polynomial(z, {1.01875663804580931796E-4, 4.97494994976747001425E-1, 4.70579119878881725854E0,
                               1.44989225341610930846E1, 1.79368678507819816313E1, 7.70838733755885391666E0});
    Value q = f.polynomial(z, {1, 1.12873587189167450590E1, 4.52279145837532221105E1, 8.29875266912776603211E1,
                               7.11544750618563894466E1, 2.31251620126765340583E1});
    y = f.mul(z, f.mul(s, f.div(p, q)));
    y = f.fma(e, f.c(-2.121944400546905827679e-4), y);
  } else {
    // Cephes logf.c.
    Value p = f.polynomial(z, {7.0376836292E-2, -1.1514610310E-1, 1.1676998740E-1, -1.2420140846E-1, 1.4249322787E-1,
                               -1.6668057665E-1, 2.0000714765E-1, -2.4999993993E-1, 3.3333331174E-1});
    y = f.mul(f.mul(p, s), z);
    y = f.fma(e, f.c(-2.12194440e-4), y);
  }
  y = f.fma(s, f.c(-0.5), y);
  return f.fma(e, f.c(0.693359375), f.add(z, y));
}

/// Puts in what the polynomial does not know: 0, infinity, negative numbers and NaN.
static Value logSpecials(Real &f, Value x, Value result) {
  double infinity = std::numeric_limits<double>::infinity();
  result = f.select(f.eq(x, f.c(infinity)), x, result);
  result = f.select(f.eq(x, f.c(0)), f.c(-infinity), result);
  Value bad = f.cmp(arith::CmpFPredicate::ULT, x, f.c(0));
  return f.select(bad, f.c(std::numeric_limits<double>::quiet_NaN()), result);
}

Value emitLog(Code &code, Value x) {
  Real f(code, x);
  return logSpecials(f, x, finiteLog(f, x));
}

static Value emitLog1p(Code &code, Value x) {
  Real f(code, x);
  // log(1 + x) with what rounding took from the sum put back to first order.
  Value u = f.add(x, f.c(1));
  Value lost = f.sub(x, f.sub(u, f.c(1)));
  Value result = f.add(finiteLog(f, u), f.div(lost, u));
  // Where the sum is large, x itself decides, and the correction would be inf - inf.
  result = logSpecials(f, u, result);
  return f.select(f.lt(f.abs(x), f.c(f.wide ? 0x1p-54 : 0x1p-25)), x, result);
}

//===-- Sigmoids -------------------------------------------------------------------------------------------------===//

static Value emitTanh(Code &code, Value x) {
  Real f(code, x);
  Value t = f.mul(f.abs(x), f.c(-2));
  t = hasTables(code, x.getType()) ? expm1ByTable(code, t) : emitExpm1(code, t);
  Value result = f.div(f.sub(f.c(0), t), f.add(t, f.c(2)));
  return f.copysign(result, x);
}

static Value emitSigmoid(Code &code, Value x) {
  Real f(code, x);
  return f.div(f.c(1), f.add(f.c(1), emitExp(code, f.sub(f.c(0), x))));
}

static Value emitErf(Code &code, Value x) {
  Real f(code, x);
  if (f.wide)
    return emitLibraryCall(code, "erf", x);
  if (hasTables(code, x.getType()))
    return erfByTable(code, x);
  // After N. Juffa: below 0.9277 x + x p(x^2), above 1 - exp(q(|x|)).
  Value t = f.abs(x), s = f.mul(x, x);
  Value small =
      f.polynomial(s, {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1});
  small = f.fma(small, x, x);
  Value limited = f.select(f.gt(t, f.c(5)), f.c(5), t);
  Value s5 = f.mul(limited, limited);
  Value a = f.fma(f.c(-1.72853470e-5), limited, f.c(3.83197126e-4));
  Value b = f.fma(f.c(-3.88396438e-3), limited, f.c(2.42546219e-2));
  Value q = f.fma(a, s5, b);
  q = f.fma(q, limited, f.c(-1.06777877e-1));
  q = f.fma(q, limited, f.c(-6.34846687e-1));
  q = f.fma(q, limited, f.c(-1.28717512e-1));
  q = f.fma(q, limited, f.sub(f.c(0), limited));
  Value large = f.copysign(f.sub(f.c(1), emitExp(code, q)), x);
  Value result = f.select(f.gt(t, f.c(0.927734375)), large, small);
  return result; // a NaN takes the small branch and stays
}

//===-- Circular functions ---------------------------------------------------------------------------------------===//

Value emitLibraryCall(Code &code, llvm::StringRef name, Value x, Value y) {
  Type element = getElementTypeOrSelf(x.getType());
  llvm::SmallVector<Type> arguments(y ? 2 : 1, element);
  std::string symbol = element.isF32() ? (name + "f").str() : name.str();
  if (!code.module.lookupSymbol(symbol)) {
    OpBuilder::InsertionGuard guard(code.b);
    code.b.setInsertionPointToStart(code.module.getBody());
    code.b.create<func::FuncOp>(code.loc, symbol, code.b.getFunctionType(arguments, {element})).setPrivate();
  }
  auto call = [&](Value a, Value b) -> Value {
    llvm::SmallVector<Value> operands{a};
    if (b)
      operands.push_back(b);
    Code::Hoisted placed(code, operands);
    return code.b.create<func::CallOp>(code.loc, symbol, TypeRange{element}, operands).getResult(0);
  };
  auto type = dyn_cast<VectorType>(x.getType());
  if (!type)
    return call(x, y);
  Value result = element.isF32() || element.isF64() ? code.constant(type, 0) : Value();
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    result = code.op<vector::InsertOp>(call(code.lane(x, i), y ? code.lane(y, i) : Value()), result,
                                       llvm::ArrayRef<int64_t>{i});
  return result;
}

/// sin x or cos x for f32: reduced in f64, where k π/2 is exact enough up to 1e6, and there computed too.
static Value emitCircular(Code &code, Value x, bool cosine) {
  Type type = x.getType();
  auto vector = dyn_cast<VectorType>(type);
  Type wide = vector ? Type(VectorType::get(vector.getShape(), code.f64)) : code.f64;
  Value v = code.op<arith::ExtFOp>(wide, x);
  Real f(code, v);
  Value k = f.round(f.mul(v, f.c(0.63661977236758134308)));
  Value r = f.fma(k, f.c(-1.57079632679489655800e+00), v);
  r = f.fma(k, f.c(-6.12323399573676603587e-17), r);
  Value s = f.mul(r, r);
  Value sine = f.polynomial(s, {2.75573137070700676789e-06, -1.98412698298579493134e-04, 8.33333333332248946124e-03,
                                -1.66666666666666324348e-01});
  sine = f.fma(f.mul(sine, s), r, r);
  Value cos = f.polynomial(s, {-2.75573143513906633035e-07, 2.48015872894767294178e-05, -1.38888888888741095749e-03,
                               4.16666666666666019037e-02, -0.5});
  cos = f.fma(cos, s, f.c(1));
  Value quadrant = f.toInteger(f.clamp(k, -4e9, 4e9));
  if (cosine)
    quadrant = code.op<arith::AddIOp>(quadrant, f.n(1));
  auto bit = [&](int64_t mask) {
    return code.op<arith::CmpIOp>(arith::CmpIPredicate::ne, code.op<arith::AndIOp>(quadrant, f.n(mask)), f.n(0));
  };
  Value result = f.select(bit(1), cos, sine);
  result = f.select(bit(2), f.sub(f.c(0), result), result);
  Value narrow = code.op<arith::TruncFOp>(type, result);
  // Beyond, libm knows π to more digits (and gives NaN for infinity). Seldom taken.
  Real single(code, x);
  Value far = single.cmp(arith::CmpFPredicate::UGE, single.abs(x), single.c(1e6));
  Code::Hoisted placed(code, {far, narrow});
  Value any = vector ? Value(code.b.create<vector::ReductionOp>(code.loc, vector::CombiningKind::OR, far)) : far;
  llvm::StringRef name = cosine ? "cosf" : "sinf";
  if (!code.module.lookupSymbol(name)) {
    OpBuilder::InsertionGuard guard(code.b);
    code.b.setInsertionPointToStart(code.module.getBody());
    code.b.create<func::FuncOp>(code.loc, name, code.b.getFunctionType({code.f32}, {code.f32})).setPrivate();
  }
  auto branch = code.b.create<scf::IfOp>(
      code.loc, any,
      [&](OpBuilder &b, Location loc) {
        auto call = [&](Value a) -> Value {
          return b.create<func::CallOp>(loc, name, TypeRange{code.f32}, ValueRange{a}).getResult(0);
        };
        Value library = narrow;
        if (!vector)
          library = call(x);
        for (int64_t i = 0; vector && i < vector.getNumElements(); ++i)
          library =
              b.create<vector::InsertOp>(loc, call(b.create<vector::ExtractOp>(loc, x, llvm::ArrayRef<int64_t>{i})),
                                         library, llvm::ArrayRef<int64_t>{i});
        b.create<scf::YieldOp>(loc, ValueRange{library});
      },
      [&](OpBuilder &b, Location loc) { b.create<scf::YieldOp>(loc, ValueRange{narrow}); });
  return branch.getResult(0);
}

static Value emitSin(Code &code, Value x) {
  return Real(code, x).wide ? emitLibraryCall(code, "sin", x) : emitCircular(code, x, false);
}
static Value emitCos(Code &code, Value x) {
  return Real(code, x).wide ? emitLibraryCall(code, "cos", x) : emitCircular(code, x, true);
}

//===-- By op ----------------------------------------------------------------------------------------------------===//

Value emitFunction(Code &code, OpCode op, Value x) {
  switch (op) {
  case OpCode::Exp:
    return emitExp(code, x);
  case OpCode::Expm1:
    return emitExpm1(code, x);
  case OpCode::Log:
    return emitLog(code, x);
  case OpCode::Log1p:
    return emitLog1p(code, x);
  case OpCode::Sqrt:
    return code.op<math::SqrtOp>(x);
  case OpCode::Rsqrt:
    return code.op<arith::DivFOp>(code.constant(x.getType(), 1), code.op<math::SqrtOp>(x));
  case OpCode::Sin:
    return emitSin(code, x);
  case OpCode::Cos:
    return emitCos(code, x);
  case OpCode::Tanh:
    return emitTanh(code, x);
  case OpCode::Sigmoid:
    return emitSigmoid(code, x);
  case OpCode::Erf:
    return emitErf(code, x);
  case OpCode::Floor:
    return code.op<math::FloorOp>(x);
  case OpCode::Ceil:
    return code.op<math::CeilOp>(x);
  case OpCode::Round:
    return code.op<math::RoundEvenOp>(x);
  default:
    llvm_unreachable("not a function of one float");
  }
}

} // namespace kiln::cpu
