// Codes of four bits are looked up in a table that a register or two hold, which is one instruction for sixteen of them
// with AVX-512 and four for eight with AVX2; elsewhere by selects. Those of eight bits are floats: where the processor
// widens f16, they become one by a shift, which has room for their exponent; else an f32, by its bits.
#include "backends/cpu/compile/Decode.h"

#include "backends/cpu/compile/MicroKernelCode.h"

using namespace mlir;

namespace kiln::cpu {

/// `like` with elements of another type.
static Type withElement(Code &code, Value like, Type element) {
  auto vector = dyn_cast<VectorType>(like.getType());
  return vector ? Type(code.vectorOf(element, vector.getNumElements())) : element;
}

static Value looked(Code &code, const float *table, Value codes) {
  Type wide = withElement(code, codes, code.f32);
  auto vector = dyn_cast<VectorType>(wide);
  int64_t lanes = vector ? vector.getNumElements() : 1;
  auto part = [&](int64_t from) {
    return code.constants(vector, SmallVector<double>(table + from, table + from + lanes));
  };
  if (lanes == 16 && code.machine.has("avx512f"))
    return intrinsic(code, "llvm.x86.avx512.permvar.sf.512", wide, {part(0), codes});
  auto isBit = [&](int64_t bit) {
    Value masked = code.here<arith::AndIOp>(codes, code.constantInt(codes.getType(), bit));
    return code.here<arith::CmpIOp>(arith::CmpIPredicate::ne, masked, code.constantInt(codes.getType(), 0)).getResult();
  };
  if (lanes == 8 && code.machine.has("avx2")) {
    Value low = intrinsic(code, "llvm.x86.avx2.permps", wide, {part(0), codes}),
          high = intrinsic(code, "llvm.x86.avx2.permps", wide, {part(8), codes});
    return code.here<arith::SelectOp>(isBit(8), high, low);
  }
  SmallVector<Value> numbers;
  for (int64_t i = 0; i < 16; ++i)
    numbers.push_back(code.constant(wide, static_cast<double>(table[i])));
  for (int64_t bit = 1; bit < 16; bit *= 2) {
    Value is = isBit(bit);
    for (size_t i = 0; 2 * i < numbers.size(); ++i)
      numbers[i] = code.here<arith::SelectOp>(is, numbers[2 * i + 1], numbers[2 * i]);
    numbers.resize(numbers.size() / 2);
  }
  return numbers[0];
}

/// By the bits of an f32: what is below its least normal number is 2^e more, less that.
static Value floatsOf(Code &code, Coding coding, Value codes) {
  bool wide = coding == Coding::E4M3;
  int64_t fraction = wide ? 3 : 2, bias = wide ? 7 : 15, shift = 23 - fraction;
  Type whole = codes.getType(), real = withElement(code, codes, code.f32);
  auto number = [&](int64_t value) { return code.constantInt(whole, value); };
  auto asFloat = [&](Value bits) { return code.here<arith::BitcastOp>(real, bits).getResult(); };
  Value size = code.here<arith::ShLIOp>(code.here<arith::AndIOp>(codes, number(127)), number(shift));
  Value normal = asFloat(code.here<arith::AddIOp>(size, number((127 - bias) << 23)));
  int64_t least = (128 - bias) << 23; // the bits of the least normal number
  Value small = code.here<arith::SubFOp>(asFloat(code.here<arith::OrIOp>(size, number(least))), asFloat(number(least)));
  Value isSmall = code.here<arith::CmpIOp>(arith::CmpIPredicate::slt, size, number(1 << 23));
  Value result = code.here<arith::SelectOp>(isSmall, small, normal);
  Value bits = code.here<arith::BitcastOp>(whole, result);
  if (!wide) { // infinite, or NaN
    Value isLarge = code.here<arith::CmpIOp>(arith::CmpIPredicate::sge, size, number(31 << 23));
    bits = code.here<arith::SelectOp>(isLarge, code.here<arith::OrIOp>(size, number(255 << 23)), bits);
  }
  Value sign = code.here<arith::ShLIOp>(code.here<arith::AndIOp>(codes, number(128)), number(24));
  return asFloat(code.here<arith::OrIOp>(bits, sign));
}

Value decoded(Code &code, Coding coding, Value codes) {
  return bitsOf(coding) == 4 ? looked(code, fourBitNumbers(coding), codes) : floatsOf(code, coding, codes);
}

Value decodedBytes(Code &code, Coding coding, Value bytes) {
  int64_t lanes = cast<VectorType>(bytes.getType()).getNumElements();
  VectorType half = code.vectorOf(code.f16, lanes), words = code.vectorOf(code.i16, lanes),
             wide = code.vectorOf(code.f32, lanes);
  if (!code.machine.has("f16c"))
    return floatsOf(code, coding, code.here<arith::ExtUIOp>(code.vectorOf(code.i32, lanes), bytes));
  bool narrow = coding == Coding::E5M2;
  Value bits =
      code.here<arith::ShLIOp>(code.here<arith::ExtSIOp>(words, bytes), code.constantInt(words, narrow ? 8 : 7));
  if (!narrow) // the sign stands twice
    bits = code.here<arith::AndIOp>(bits, code.constantInt(words, 0xbfff - 0x10000));
  Value halves = code.here<arith::BitcastOp>(half, bits), element = code.here<arith::ExtFOp>(wide, halves);
  return narrow ? element : code.here<arith::MulFOp>(element, code.constant(wide, 256)).getResult();
}

} // namespace kiln::cpu
