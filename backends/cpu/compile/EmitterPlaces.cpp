// Arithmetic on positions.
#include "backends/cpu/compile/Emitter.h"
#include <numeric>

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

Value Emitter::lanesOf(const Index &index) {
  if (index.lanes)
    return index.lanes;
  Value base = code.splat(index.base, width);
  if (index.step == 0)
    return base;
  SmallVector<int64_t> offsets;
  VectorType type = code.vectorOf(code.i64, width);
  Value steps = code.steps(type);
  if (index.step != 1)
    steps = code.op<arith::MulIOp>(steps, code.constantInt(type, index.step));
  if (Code::known(index.base) == 0)
    return steps;
  return code.op<arith::AddIOp>(base, steps);
}

Value Emitter::positions(const Index &index) { return index.uniform() ? index.base : lanesOf(index); }

Index Emitter::indexOf(Value positions) {
  if (isa<VectorType>(positions.getType()))
    return Index{{}, 0, positions, 1};
  int64_t multiple = 1;
  if (auto known = Code::known(positions))
    multiple = *known ? std::abs(*known) : static_cast<int64_t>(1) << 40;
  return Index{positions, 0, {}, multiple};
}

Index Emitter::add(const Index &a, const Index &b) {
  if (a.lanes || b.lanes)
    return indexOf(code.op<arith::AddIOp>(lanesOf(a), lanesOf(b)));
  return Index{code.add(a.base, b.base), a.step + b.step, {}, std::gcd(a.multiple, b.multiple)};
}

Index Emitter::add(const Index &a, Value b) { return add(a, indexOf(b)); }

Index Emitter::sub(Value a, const Index &b) {
  if (b.lanes)
    return indexOf(code.op<arith::SubIOp>(code.splat(a, width), b.lanes));
  return Index{code.sub(a, b.base), -b.step, {}, std::gcd(b.multiple, indexOf(a).multiple)};
}

Index Emitter::scale(const Index &a, Value factor) {
  auto known = Code::known(factor);
  if (known == 1)
    return a;
  if (!a.lanes && (a.step == 0 || known))
    return Index{code.mul(a.base, factor),
                 known ? a.step * *known : 0,
                 {},
                 known && *known ? a.multiple * std::abs(*known) : a.multiple};
  return indexOf(code.op<arith::MulIOp>(lanesOf(a), code.splat(factor, width)));
}

/// Whether all lanes of `a` fall between the same multiples of `divisor`.
static bool staysInRow(const Index &a, Value divisor, int64_t width) {
  auto known = Code::known(divisor);
  if (!known || a.lanes || a.step <= 0)
    return false;
  int64_t span = a.step * width;
  return *known % span == 0 && a.multiple % span == 0;
}

Index Emitter::div(const Index &a, Value divisor) {
  if (Code::known(divisor) == 1)
    return a;
  if (a.uniform() || staysInRow(a, divisor, width))
    return indexOf(code.div(a.base, divisor));
  Value lanes = lanesOf(a);
  if (large)
    return indexOf(code.op<arith::DivUIOp>(lanes, code.splat(divisor, width)));
  // Below 2^31 the quotient of doubles, truncated, is exact; vectors of integers have no division.
  Type narrow = code.vectorOf(code.i32, width), real = code.vectorOf(code.f64, width);
  Value numerator = code.op<arith::SIToFPOp>(real, code.op<arith::TruncIOp>(narrow, lanes));
  Value denominator = code.splat(code.op<arith::SIToFPOp>(code.f64, divisor), width);
  Value quotient = code.op<arith::FPToSIOp>(narrow, code.op<arith::DivFOp>(numerator, denominator));
  return indexOf(code.op<arith::ExtSIOp>(lanes.getType(), quotient));
}

Index Emitter::rem(const Index &a, Value divisor) {
  if (Code::known(divisor) == 1)
    return zero();
  if (a.uniform())
    return Index{code.rem(a.base, divisor), 0, {}, std::gcd(a.multiple, indexOf(divisor).multiple)};
  if (staysInRow(a, divisor, width))
    return Index{code.rem(a.base, divisor), a.step, {}, std::gcd(a.multiple, indexOf(divisor).multiple)};
  Value quotient = lanesOf(div(a, divisor));
  Value whole = code.op<arith::MulIOp>(quotient, code.splat(divisor, width));
  return indexOf(code.op<arith::SubIOp>(lanesOf(a), whole));
}

Index Emitter::linear(ArrayRef<Extent> shape, ArrayRef<Index> position) {
  Index sum = zero();
  Extent stride(1);
  for (size_t d = shape.size(); d-- > 0;) {
    if (!shape[d].isOne())
      sum = add(sum, scale(position[d], extent(stride)));
    stride = stride * shape[d];
  }
  return sum;
}

Indices Emitter::indicesOf(ArrayRef<Extent> shape, const Index &linear) {
  Indices result(shape.size(), zero());
  Index rest = linear;
  size_t first = 0;
  while (first < shape.size() && shape[first].isOne())
    ++first;
  for (size_t d = shape.size(); d-- > first;) {
    if (d == first) {
      result[d] = rest;
    } else if (!shape[d].isOne()) {
      Value size = extent(shape[d]);
      result[d] = rem(rest, size);
      rest = div(rest, size);
    }
  }
  return result;
}

Indices Emitter::indicesOfRow(ArrayRef<Extent> shape, Value linear) { return indicesOf(shape, at(linear)); }

Value Emitter::inRange(const Index &index, Value low, Value high) {
  if (!index.lanes && (index.step == 1 || index.step == 2)) {
    // Lanes from one to another: counted, since positions would fill two vectors.
    auto lanesBelow = [&](Value limit) {
      Value distance = code.sub(limit, index.base);
      if (index.step == 2)
        distance = code.op<arith::ShRSIOp>(code.add(distance, code.integer(1)), code.integer(1));
      return code.firstLanes(code.max(distance, code.integer(0)), width);
    };
    Value below = lanesBelow(high);
    if (Code::known(low) == 0 && Code::known(index.base).value_or(-1) >= 0)
      return below;
    Value under = lanesBelow(low), all = code.constantInt(code.vectorOf(code.i1, width), 1);
    return code.op<arith::AndIOp>(below, code.op<arith::XOrIOp>(under, all));
  }
  // One unsigned comparison: below low wraps to above.
  Value position = positions(index), size = code.sub(high, low);
  if (!isa<VectorType>(position.getType()))
    return code.compare(arith::CmpIPredicate::ult, code.sub(position, low), size);
  if (Code::known(low) != 0)
    position = code.op<arith::SubIOp>(position, code.splat(low, width));
  return code.op<arith::CmpIOp>(arith::CmpIPredicate::ult, position, code.splat(size, width));
}

Mask Emitter::narrow(const Mask &mask, Value condition) {
  Mask result = mask;
  if (isa<VectorType>(condition.getType()))
    result.lanes = code.both(mask.lanes, condition);
  else if (Code::known(condition).value_or(0) == 0)
    result.uniform = code.both(mask.uniform, condition);
  return result;
}

} // namespace kiln::cpu
