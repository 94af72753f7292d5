// f32 functions whose coefficients are chosen by a permutation of a register's sixteen (AVX-512).

#include "backends/cpu/compile/MicroKernelCode.h"
#include "backends/cpu/compile/VectorReal.h"

using namespace mlir;

namespace kiln::cpu {

static constexpr int64_t lanes = 16;

bool hasTables(const Code &code, Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return code.machine.vectorBytes == 64 && getElementTypeOrSelf(type).isF32() &&
         (!vector || vector.getShape() == llvm::ArrayRef<int64_t>{lanes});
}

/// What is written of a vector, of a scalar's.
static Value onVector(Code &code, Value x, llvm::function_ref<Value(Value)> function) {
  if (isa<VectorType>(x.getType()))
    return function(x);
  return code.lane(function(code.splat(x, lanes)), 0);
}

static Value placed(Code &code, StringRef name, Type result, ValueRange arguments) {
  Code::Hoisted where(code, llvm::to_vector(arguments));
  return intrinsic(code, name, result, arguments);
}

/// Of each lane the number that `place`'s low four bits choose.
static Value chosen(Real &f, llvm::ArrayRef<double> table, Value place) {
  return placed(f.code, "llvm.x86.avx512.permvar.sf.512", f.type,
                {f.code.constants(cast<VectorType>(f.type), table), place});
}

/// p 2^(n's floor), rounded once: infinite or denormal where it has to be.
static Value scaled(Real &f, Value p, Value n) {
  Code &code = f.code;
  Value all = code.constantInt(code.b.getI16Type(), -1), asItIs = code.constantInt(code.i32, 4);
  return placed(code, "llvm.x86.avx512.mask.scalef.ps.512", f.type, {p, n, p, all, asItIs});
}

namespace {
struct Steps {
  Value whole, place; // `whole` as a float; its count of steps is in the low bits of `place`
};
} // namespace

/// x times `factor`, rounded to steps: added to a number whose last bit is worth a step.
static Steps stepsOf(Real &f, Value x, double factor, double magic) {
  Value sum = f.fma(x, f.c(factor), f.c(magic));
  return {f.sub(sum, f.c(magic)), f.code.op<arith::BitcastOp>(f.bits, sum)};
}

//===-- e^x = 2^n (1 + q), n in sixteenths, |q| < 0.022 -----------------------------------------------------------===//

static constexpr double powers[lanes] = {1,          1.04427373, 1.09050775, 1.13878858, 1.18920708, 1.24185777,
                                         1.29683959, 1.35425556, 1.41421354, 1.47682619, 1.54221082, 1.61049032,
                                         1.68179286, 1.75625217, 1.8340081,  1.91520655};

namespace {
struct PowerOfE {
  Steps n;
  Value power, q; // 2^(n's fraction)
};
} // namespace

static PowerOfE powerOfE(Real &f, Value x) {
  Steps n = stepsOf(f, x, log2e, 0x1.8p19);
  Value r = f.fma(n.whole, f.c(-0.693359375), x);
  r = f.fma(n.whole, f.c(2.12194440e-4), r);
  Value q = f.fma(f.fma(r, f.c(0.166670084), f.c(0.500016272)), f.mul(r, r), r);
  return {n, chosen(f, powers, n.place), q};
}

Value expByTable(Code &code, Value given) {
  return onVector(code, given, [&](Value x) {
    Real f(code, x);
    // Farther out steps are no whole numbers any more.
    PowerOfE e = powerOfE(f, f.clamp(x, -105, 90));
    return scaled(f, f.fma(e.power, e.q, e.power), e.n.whole);
  });
}

Value expm1ByTable(Code &code, Value given) {
  return onVector(code, given, [&](Value x) {
    Real f(code, x);
    PowerOfE e = powerOfE(f, f.clamp(x, -105, 1));
    // What the powers were rounded by, of their own size: it counts where the 1 is taken away.
    static constexpr double lost[lanes] = {0,
                                           4.62854708e-08,
                                           -1.19921571e-08,
                                           4.72978236e-08,
                                           3.19341809e-08,
                                           3.62105731e-08,
                                           -3.09907208e-08,
                                           -7.47521317e-09,
                                           1.71142713e-08,
                                           -3.04768342e-08,
                                           5.23333425e-09,
                                           6.10759162e-09,
                                           -1.47196054e-08,
                                           -5.25879512e-09,
                                           -6.12825982e-09,
                                           5.14060921e-09};
    Value power = scaled(f, e.power, e.n.whole);
    return f.fma(power, f.add(e.q, chosen(f, lost, e.n.place)), f.sub(power, f.c(1)));
  });
}

//===-- The error function, around sixteen places -----------------------------------------------------------------===//

Value erfByTable(Code &code, Value given) {
  return onVector(code, given, [&](Value x) {
    Real f(code, x);
    // Places are so far apart that around the last one, and beyond, the result rounds to 1.
    constexpr double apart = 0.26953125;
    // Of (t - place)^5 to (t - place)^0. Around 0 the function is odd, so that small results are as exact as large
    // ones.
    static constexpr double coefficients[][lanes] = {
        {0.112107567, 0.0761724338, -0.00337059353, -0.0602256358, -0.064757131, -0.0344364531, -0.00305072661,
         0.0115892226, 0.0120693753, 0.0074293986, 0.00336226285, 0.00119632448, 0.000345179724, 8.21440917e-05,
         1.63001987e-05, 0},
        {0, 0.133425817, 0.18209447, 0.133583784, 0.0432653427, -0.0257376302, -0.0494589806, -0.0413325094,
         -0.0243550465, -0.0111738145, -0.00410902314, -0.00124877354, -0.000180071351, -9.38883176e-08,
         -0.000248268305, 0},
        {-0.376121402, -0.298979938, -0.117819652, 0.0601606816, 0.155824214, 0.16103968, 0.116395473, 0.0654773265,
         0.0298635997, 0.0112701636, 0.00356095354, 0.000949072535, 0.000214453816, 4.12331501e-05, 6.76392847e-06, 0},
        {0, -0.282815039, -0.454867899, -0.474499464, -0.380474955, -0.247328714, -0.133474499, -0.0605660975,
         -0.023280466, -0.00761652831, -0.00212873239, -0.000509295205, -0.000107601176, -1.99440728e-05,
         2.58247223e-06, 0},
        {1.12837911, 1.04931259, 0.84382844, 0.586817443, 0.35289976, 0.18352668, 0.0825366154, 0.0320991576,
         0.0107954349, 0.00313968631, 0.000789645303, 0.000171742446, 3.23015411e-05, 5.25374435e-06, 7.38950121e-07,
         0},
        {0, 0.296926409, 0.554148555, 0.747179031, 0.872665823, 0.943333387, 0.977806985, 0.992374659, 0.997707009,
         0.999397695, 0.999862015, 0.999972463, 0.999995232, 0.999999285, 0.999999881, 1},
    };
    Value t = f.abs(x);
    t = f.select(f.gt(t, f.c(15 * apart)), f.c(15 * apart), t);
    Steps n = stepsOf(f, t, 1 / apart, 0x1.8p23);
    Value d = f.fma(n.whole, f.c(-apart), t);
    Value sum = chosen(f, coefficients[0], n.place);
    for (llvm::ArrayRef<double> power : llvm::drop_begin(coefficients))
      sum = f.fma(sum, d, chosen(f, power, n.place));
    return f.copysign(sum, x);
  });
}

} // namespace kiln::cpu
