// Ops that read their operands at another position.
#include "backends/cpu/compile/Emitter.h"

#include "backends/cpu/compile/Decode.h"
#include "backends/cpu/compile/Philox.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

Value Emitter::emitLayout(const Op &op, uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  const TensorType &type = graph.type(v);
  switch (op.code) {
  case OpCode::Constant:
    return emitConstant(op, v, at, mask);
  case OpCode::Iota: {
    kiln_dtype dtype = large ? KILN_I64 : KILN_I32;
    Value position = positions(at[op.axis]);
    if (!large)
      position = isa<VectorType>(position.getType())
                     ? code.op<arith::TruncIOp>(code.vectorOf(code.i32, width), position)
                     : code.op<arith::TruncIOp>(code.i32, position);
    return convert(position, dtype, type.dtype);
  }
  case OpCode::Extent:
    return convert(extent(op.extent), KILN_I64, type.dtype);
  case OpCode::RandomBits:
    return emitRandomBits(op, v, at, mask);
  case OpCode::Reshape:
    return emitReshape(op, v, at, mask);
  case OpCode::Transpose: {
    Indices position(at.size());
    for (size_t d = 0; d < at.size(); ++d)
      position[op.axes[d]] = at[d];
    return value(op.operands[0], position, mask);
  }
  case OpCode::Broadcast: {
    Indices position;
    ArrayRef<Extent> dims = graph.type(op.operands[0]).dims;
    for (size_t d = 0; d < dims.size(); ++d)
      position.push_back(dims[d].isOne() ? zero() : at[op.axes[d]]);
    return value(op.operands[0], position, mask);
  }
  case OpCode::Slice: {
    Indices position;
    for (size_t d = 0; d < at.size(); ++d)
      position.push_back(add(scale(at[d], code.integer(op.strides[d])), extent(op.starts[d])));
    return value(op.operands[0], position, mask);
  }
  case OpCode::Reverse: {
    Indices position(at.begin(), at.end());
    for (int64_t axis : op.axes)
      position[axis] = sub(code.sub(extent(type.dims[axis]), code.integer(1)), at[axis]);
    return value(op.operands[0], position, mask);
  }
  case OpCode::Pad:
    return emitPad(op, at, mask);
  case OpCode::Concat:
    return emitConcat(op, at, mask);
  case OpCode::DynamicSlice:
    return emitDynamicSlice(op, v, at, mask);
  case OpCode::DynamicUpdateSlice:
    return emitDynamicUpdate(op, v, at, mask);
  case OpCode::Gather:
    return emitGather(op, v, at, mask);
  case OpCode::Dequantize:
    return emitDequantize(op, at, mask);
  case OpCode::Decode:
    return emitDecode(op, at, mask);
  default:
    llvm_unreachable("not a layout op");
  }
}

/// Dimensions are matched in groups of equal products, as small as possible; a group of one on both sides keeps its
/// index, any other goes by way of the linear position within the group.
Value Emitter::emitReshape(const Op &op, uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  ArrayRef<Extent> to = graph.type(v).dims, from = graph.type(op.operands[0]).dims;
  Indices result(from.size(), zero());
  SmallVector<size_t> toDims, fromDims; // those that are not 1
  for (size_t d = 0; d < to.size(); ++d)
    if (!to[d].isOne())
      toDims.push_back(d);
  for (size_t d = 0; d < from.size(); ++d)
    if (!from[d].isOne())
      fromDims.push_back(d);

  size_t i = 0, j = 0;
  while (i < fromDims.size() || j < toDims.size()) {
    size_t bestI = fromDims.size(), bestJ = toDims.size();
    Extent a(1);
    for (size_t m = i; m < fromDims.size() && bestI == fromDims.size(); ++m) {
      a = a * from[fromDims[m]];
      Extent c(1);
      for (size_t n = j; n < toDims.size(); ++n) {
        c = c * to[toDims[n]];
        if (a == c) {
          bestI = m + 1;
          bestJ = n + 1;
          break;
        }
      }
    }
    if (bestI - i == 1 && bestJ - j == 1) {
      result[fromDims[i]] = at[toDims[j]];
    } else {
      Shape outer, inner;
      Indices position;
      for (size_t n = j; n < bestJ; ++n)
        outer.push_back(to[toDims[n]]), position.push_back(at[toDims[n]]);
      for (size_t m = i; m < bestI; ++m)
        inner.push_back(from[fromDims[m]]);
      Indices split = this->indicesOf(inner, linear(outer, position));
      for (size_t m = i; m < bestI; ++m)
        result[fromDims[m]] = split[m - i];
    }
    i = bestI;
    j = bestJ;
  }
  return value(op.operands[0], result, mask);
}

Value Emitter::emitPad(const Op &op, ArrayRef<Index> at, const Mask &mask) {
  uint32_t operand = op.operands[0];
  Indices position;
  Value inside; // null: everywhere
  Mask inner = mask;
  for (size_t d = 0; d < at.size(); ++d) {
    Value size = extent(graph.type(operand).dims[d]);
    const Extent &low = op.lowExtents[d], &high = op.highExtents[d];
    bool padded = !(low == Extent(0)) || !(high == Extent(0));
    Index index = at[d];
    if (padded) {
      Value start = extent(low);
      // Of the dilated operand: high padding begins after its last element.
      Value last = code.max(code.sub(size, code.integer(1)), code.integer(0));
      Value end =
          code.add(start, code.add(code.mul(last, code.integer(op.interior[d] + 1)), code.min(size, code.integer(1))));
      Value condition = inRange(index, start, end);
      inner = narrow(inner, condition);
      same(inside, condition);
      inside = code.both(inside, condition);
      index = add(index, code.sub(code.integer(0), start));
    }
    if (op.interior[d] != 0) {
      // Positions may be negative here where they are not inside: those are masked off already.
      Value period = code.integer(op.interior[d] + 1);
      Value gap = positions(rem(index, period));
      Value condition = isa<VectorType>(gap.getType())
                            ? code.op<arith::CmpIOp>(arith::CmpIPredicate::eq, gap, code.constantInt(gap.getType(), 0))
                            : code.compare(arith::CmpIPredicate::eq, gap, code.integer(0));
      inner = narrow(inner, condition);
      same(inside, condition);
      inside = code.both(inside, condition);
      index = div(index, period);
    }
    position.push_back(index);
  }
  Value element = value(operand, position, inner);
  if (!inside)
    return element;
  Value padding = value(op.operands[1], {}, mask);
  same(element, padding);
  if (isa<VectorType>(inside.getType()))
    element = vector(element), padding = vector(padding);
  return code.op<arith::SelectOp>(inside, element, padding);
}

Value Emitter::emitConcat(const Op &op, ArrayRef<Index> at, const Mask &mask) {
  Value result, start = code.integer(0);
  SmallVector<std::pair<Value, Value>> parts; // element, condition
  for (uint32_t operand : op.operands) {
    Value end = code.add(start, extent(graph.type(operand).dims[op.axis]));
    Value condition = inRange(at[op.axis], start, end);
    Indices position(at.begin(), at.end());
    position[op.axis] = add(at[op.axis], code.sub(code.integer(0), start));
    parts.emplace_back(value(operand, position, op.operands.size() == 1 ? mask : narrow(mask, condition)), condition);
    start = end;
  }
  result = parts.back().first;
  for (auto &[element, condition] : llvm::reverse(llvm::drop_end(parts))) {
    same(element, result);
    if (isa<VectorType>(condition.getType()))
      element = vector(element), result = vector(result);
    result = code.op<arith::SelectOp>(condition, element, result);
  }
  return result;
}

/// A dynamic start, clamped into [0, dimension - size].
Value Emitter::start(const Op &op, uint32_t operand, const Extent &dimension, const Extent &size) {
  Value given = convert(value(operand, {}), graph.type(operand).dtype, KILN_I64);
  return code.max(code.min(given, code.sub(extent(dimension), extent(size))), code.integer(0));
}

Value Emitter::emitDynamicSlice(const Op &op, uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  ArrayRef<Extent> dims = graph.type(op.operands[0]).dims, sizes = graph.type(v).dims;
  Indices position;
  for (size_t d = 0; d < at.size(); ++d)
    position.push_back(add(at[d], start(op, op.operands[1 + d], dims[d], sizes[d])));
  return value(op.operands[0], position, mask);
}

Value Emitter::emitDynamicUpdate(const Op &op, uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  ArrayRef<Extent> dims = graph.type(v).dims, sizes = graph.type(op.operands[1]).dims;
  Indices position;
  Mask inner = mask;
  Value inside;
  for (size_t d = 0; d < at.size(); ++d) {
    Value first = start(op, op.operands[2 + d], dims[d], sizes[d]);
    if (!(dims[d] == sizes[d])) {
      Value condition = inRange(at[d], first, code.add(first, extent(sizes[d])));
      inner = narrow(inner, condition);
      same(inside, condition);
      inside = code.both(inside, condition);
    }
    position.push_back(add(at[d], code.sub(code.integer(0), first)));
  }
  Value update = value(op.operands[1], position, inner);
  if (!inside)
    return update;
  Value old = value(op.operands[0], at, mask);
  same(update, old);
  if (isa<VectorType>(inside.getType()))
    update = vector(update), old = vector(old);
  return code.op<arith::SelectOp>(inside, update, old);
}

Index Emitter::checkedIndex(const Op &op, uint32_t indices, ArrayRef<Index> at, const Extent &limit, const Mask &mask,
                            Value *valid) {
  kiln_dtype dtype = graph.type(indices).dtype;
  Mask used = mask;
  Value chosen = convert(value(indices, at, mask), dtype, KILN_I64);
  bool lanes = isa<VectorType>(chosen.getType());
  Value size = extent(limit);
  Value top = code.sub(size, code.integer(1));
  auto shaped = [&](Value v) { return lanes ? code.splat(v, width) : v; };
  Value good = code.op<arith::CmpIOp>(arith::CmpIPredicate::ult, chosen, shaped(size));
  Value bad = code.op<arith::XOrIOp>(good, code.constantInt(good.getType(), 1));
  if (lanes && (mask.lanes || mask.uniform))
    bad = code.both(bad, laneMask(used));
  else if (mask.uniform)
    bad = code.both(bad, mask.uniform);
  report(KILN_INDEX_OUT_OF_RANGE, op, bad, chosen, size);
  if (valid)
    *valid = good;
  Value clamped = code.op<arith::MinSIOp>(chosen, shaped(top));
  clamped = code.op<arith::MaxSIOp>(clamped, code.constantInt(clamped.getType(), 0));
  return indexOf(clamped);
}

Value Emitter::emitGather(const Op &op, uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  uint32_t operand = op.operands[0], indices = op.operands[1];
  size_t axis = static_cast<size_t>(op.axis), batch = static_cast<size_t>(op.batchDims),
         rank = graph.type(indices).rank();
  Indices which(at.begin(), at.begin() + batch);
  which.append(at.begin() + axis, at.begin() + axis + (rank - batch));
  Indices position(at.begin(), at.begin() + axis);
  position.push_back(checkedIndex(op, indices, which, graph.type(operand).dims[axis], mask));
  position.append(at.begin() + axis + (rank - batch), at.end());
  return value(operand, position, mask);
}

/// The byte of blocks, as i32, that an element of their rows lies in, or the half of one; and its block's place.
Value Emitter::ofBlock(const Op &op, ArrayRef<Index> at, bool halves, const Mask &mask, Indices &block) {
  const TensorType &blocks = graph.type(op.operands[0]);
  Value size = extent(blocks.dims.back()), two = code.integer(2);
  Indices from(at.begin(), at.end());
  block.assign(at.begin(), at.end());
  block.back() = div(at.back(), size);
  from.back() = halves ? div(block.back(), two) : block.back();
  from.push_back(rem(at.back(), size));
  Value q = convert(value(op.operands[0], from, mask), blocks.dtype, KILN_I32);
  if (!halves)
    return q;
  Value odd = convert(positions(rem(block.back(), two)), KILN_I64, KILN_I32);
  same(q, odd);
  Value shift = code.op<arith::ShLIOp>(odd, code.constantInt(odd.getType(), 2));
  q = code.op<arith::ShRUIOp>(q, shift);
  return code.op<arith::AndIOp>(q, code.constantInt(q.getType(), 15));
}

Value Emitter::emitDecode(const Op &op, ArrayRef<Index> at, const Mask &mask) {
  Coding coding = op.coding;
  Indices block;
  Value q = ofBlock(op, at, bitsOf(coding) == 4, mask, block), element = decoded(code, coding, q);
  Value scale = convert(value(op.operands[1], block, mask), graph.type(op.operands[1]).dtype, KILN_F32);
  same(element, scale);
  return code.op<arith::MulFOp>(element, scale);
}

Value Emitter::emitDequantize(const Op &op, ArrayRef<Index> at, const Mask &mask) {
  bool halves = graph.type(op.operands[0]).dtype == KILN_U8, lifted = op.operands.size() > 2;
  Indices block;
  Value q = ofBlock(op, at, halves, mask, block);
  if (halves && !lifted)
    q = code.op<arith::SubIOp>(q, code.constantInt(q.getType(), 8));
  auto scalar = [&](uint32_t operand) {
    return convert(value(operand, block, mask), graph.type(operand).dtype, KILN_F32);
  };
  Value element = convert(q, KILN_I32, KILN_F32), scale = scalar(op.operands[1]);
  same(element, scale);
  element = code.op<arith::MulFOp>(element, scale);
  if (!lifted)
    return element;
  Value minimum = scalar(op.operands[2]);
  same(element, minimum);
  return code.op<arith::AddFOp>(element, minimum);
}

//===-- Sources --------------------------------------------------------------------------------------------------===//

static llvm::APInt readBytes(llvm::StringRef bytes, size_t element, int64_t size) {
  uint64_t word = 0;
  for (int64_t i = 0; i < size; ++i)
    word |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[element * size + i])) << (8 * i);
  return llvm::APInt(static_cast<unsigned>(size) * 8, word);
}

Value Emitter::emitConstant(const Op &op, uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  const TensorType &type = graph.type(v);
  int64_t size = byteSize(type.dtype);
  if (static_cast<int64_t>(op.bytes.size()) == size) {
    llvm::APInt word = readBytes(op.bytes, 0, size);
    Type element = registerType(type.dtype);
    switch (type.dtype) {
    case KILN_F32:
      return code.constant(element, word.bitsToFloat());
    case KILN_F64:
      return code.constant(element, word.bitsToDouble());
    case KILN_BF16:
      return code.constant(element, llvm::APFloat(llvm::APFloat::BFloat(), word).convertToFloat());
    case KILN_F16:
      return code.constant(element, llvm::APFloat(llvm::APFloat::IEEEhalf(), word).convertToFloat());
    case KILN_BOOL:
      return code.constantInt(element, word != 0);
    default:
      return code.constantInt(element, word.getSExtValue());
    }
  }
  // The elements as a global of the module; kernels of one module have their own.
  std::string name = "kiln_constant_" + graph.name + "_" + std::to_string(op.number);
  if (!code.module.lookupSymbol(name)) {
    OpBuilder::InsertionGuard guard(code.b);
    code.b.setInsertionPointToStart(code.module.getBody());
    auto array = LLVM::LLVMArrayType::get(code.i8, op.bytes.size());
    code.b.create<LLVM::GlobalOp>(code.loc, array, /*isConstant=*/true, LLVM::Linkage::Internal, name,
                                  code.b.getStringAttr(op.bytes), /*alignment=*/64);
  }
  Value pointer;
  {
    Code::Hoisted placed(code, {});
    pointer = code.b.create<LLVM::AddressOfOp>(code.loc, code.ptr, name);
  }
  return load(v, pointer, at, mask);
}

Value Emitter::emitRandomBits(const Op &op, uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  auto scalar = [&](uint32_t operand) { return convert(value(operand, {}), graph.type(operand).dtype, KILN_I32); };
  Draws draws{scalar(op.operands[0]), op.stream, {}};
  for (uint32_t counter : ArrayRef(op.operands).drop_front())
    draws.counters.push_back(scalar(counter));
  return draws.of(code, positions(linear(graph.type(v).dims, at)));
}

} // namespace kiln::cpu
