// A kernel's arguments, types and values, and the stores of what was computed.

#include "backends/cpu/compile/Emitter.h"
#include "mlir/IR/Matchers.h"
#include <numeric>

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

Emitter::Emitter(Code &code, const Graph &graph, const PhaseArguments &arguments, int64_t width)
    : code(code), graph(graph), arguments(arguments), width(width), memo(1), rounds(sdk::storedAndRead(graph)),
      large(false) {
  for (const TensorType &type : graph.values)
    large |= graph.bound(type.dims) >= (static_cast<int64_t>(1) << 31);
  code.onScopeEnd.clear();
  code.onScopeEnd.push_back([this](size_t depth) { memo.resize(std::min(memo.size(), depth)); });
}

//===-- Arguments ------------------------------------------------------------------------------------------------===//

Value Emitter::input(size_t number) {
  Value &slot = pointers[number];
  if (!slot)
    slot = code.load(code.ptr, code.address(arguments.args, code.integer(static_cast<int64_t>(number)), 8), 8);
  return slot;
}

Value Emitter::output(size_t number) { return input(graph.inputs.size() + number); }
Value Emitter::scratch(int64_t byteOffset) { return code.address(arguments.scratch, code.integer(byteOffset), 1); }
Value Emitter::workerScratch(int64_t byteOffset) {
  return code.address(arguments.workerScratch, code.integer(byteOffset), 1);
}

Value Emitter::extent(const Extent &extent) {
  Value product = code.integer(extent.factor);
  for (int32_t slot : extent.slots) {
    Value &known = extents[slot];
    if (!known)
      known = code.load(code.i64, code.address(arguments.extents, code.integer(slot), 8), 8);
    product = code.mul(known, product);
  }
  return product;
}

Value Emitter::elements(ArrayRef<Extent> shape) {
  Extent product(1);
  for (const Extent &dim : shape)
    product = product * dim;
  return extent(product);
}

//===-- Types ----------------------------------------------------------------------------------------------------===//

Type Emitter::registerType(kiln_dtype dtype) const {
  switch (dtype) {
  case KILN_BF16:
  case KILN_F16:
    return code.f32;
  case KILN_BOOL:
    return code.i1;
  default:
    return code.memoryType(dtype);
  }
}

Value Emitter::vector(Value element) {
  return isa<VectorType>(element.getType()) ? element : code.splat(element, width);
}

void Emitter::same(Value &a, Value &b) {
  if (a && b && isa<VectorType>(a.getType()) != isa<VectorType>(b.getType())) {
    a = vector(a);
    b = vector(b);
  }
}

static Type shapedLike(Value v, Type element) {
  if (auto vector = dyn_cast<VectorType>(v.getType()))
    return VectorType::get(vector.getShape(), element);
  return element;
}

Value Emitter::fromMemory(Value v, kiln_dtype dtype) {
  switch (dtype) {
  case KILN_BOOL:
    return code.op<arith::CmpIOp>(arith::CmpIPredicate::ne, v, code.constantInt(v.getType(), 0));
  case KILN_F16:
    return code.op<arith::ExtFOp>(shapedLike(v, code.f32), v);
  case KILN_BF16: {
    Type wide = shapedLike(v, code.i32);
    Value bits = code.op<arith::ExtUIOp>(wide, v);
    bits = code.op<arith::ShLIOp>(bits, code.constantInt(wide, 16));
    return code.op<arith::BitcastOp>(shapedLike(v, code.f32), bits);
  }
  default:
    return v;
  }
}

Value Emitter::toMemory(Value v, kiln_dtype dtype) {
  switch (dtype) {
  case KILN_BOOL:
    return code.op<arith::ExtUIOp>(shapedLike(v, code.i8), v);
  case KILN_F16:
    return code.op<arith::TruncFOp>(shapedLike(v, code.f16), v);
  case KILN_BF16: {
    // To nearest, ties to even; a NaN keeps its upper half, made quiet.
    Type wide = shapedLike(v, code.i32);
    auto number = [&](int64_t n) { return code.constantInt(wide, n); };
    Value bits = code.op<arith::BitcastOp>(wide, v);
    Value upper = code.op<arith::ShRUIOp>(bits, number(16));
    Value odd = code.op<arith::AndIOp>(upper, number(1));
    Value rounded = code.op<arith::AddIOp>(code.op<arith::AddIOp>(bits, number(0x7fff)), odd);
    rounded = code.op<arith::ShRUIOp>(rounded, number(16));
    Value isNaN = code.op<arith::CmpFOp>(arith::CmpFPredicate::UNO, v, v);
    Value quiet = code.op<arith::OrIOp>(upper, number(0x40));
    return code.op<arith::TruncIOp>(shapedLike(v, code.i16), code.op<arith::SelectOp>(isNaN, quiet, rounded));
  }
  default:
    return v;
  }
}

//===-- Values ---------------------------------------------------------------------------------------------------===//

void Emitter::bind(uint32_t v, Source source) {
  sources[v] = std::move(source);
  for (auto &table : memo)
    table.clear();
}

void Emitter::unbind(uint32_t v) {
  sources.erase(v);
  for (auto &table : memo)
    table.clear();
}

void Emitter::bindMemory(uint32_t v, Value pointer) {
  bind(v, [this, v, pointer](ArrayRef<Index> at, const Mask &mask) { return load(v, pointer, at, mask); });
}

Value Emitter::value(uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  assert(at.size() == graph.type(v).rank());
  bool uniform = llvm::all_of(at, [](const Index &index) { return index.uniform(); });
  Mask used = mask;
  if (uniform)
    used.lanes = {};
  Key key{v, uniform ? 0 : width, {}, used.lanes.getAsOpaquePointer(), used.uniform.getAsOpaquePointer()};
  size_t level = 0;
  auto count = [&](Value known) {
    if (known)
      level = std::max(level, code.level(known));
  };
  for (const Index &index : at) {
    key.at.emplace_back(index.lanes ? nullptr : index.base.getAsOpaquePointer(), index.lanes ? 0 : index.step,
                        index.lanes.getAsOpaquePointer());
    count(index.lanes ? index.lanes : index.base);
  }
  count(used.lanes);
  count(used.uniform);
  for (auto &table : memo)
    if (auto found = table.find(key); found != table.end())
      return found->second;
  Value result = emit(v, at, used);
  level = std::max(level, code.level(result));
  if (memo.size() <= level)
    memo.resize(level + 1);
  return memo[level][key] = result;
}

Value Emitter::emit(uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  if (int number = graph.inputNumber(v); number >= 0 && !sources.count(v))
    return load(v, input(static_cast<size_t>(number)), at, mask);
  auto source = sources.find(v);
  Value exact = source != sources.end() ? source->second(at, mask) : emitOp(*graph.definingOp(v), v, at, mask);
  return rounds[v] ? rounded(exact, graph.type(v).dtype) : exact;
}

Value Emitter::emitOp(const Op &op, uint32_t v, ArrayRef<Index> at, const Mask &mask) {
  kiln_dtype dtype = graph.type(v).dtype;
  auto operand = [&](size_t i) { return value(op.operands[i], at, mask); };
  switch (op.code) {
  case OpCode::Compare:
    return compare(op.predicate, operand(0), operand(1), graph.type(op.operands[0]).dtype);
  case OpCode::Select: {
    Value condition = operand(0), onTrue = operand(1), onFalse = operand(2);
    same(onTrue, onFalse);
    if (isa<VectorType>(condition.getType()))
      onTrue = vector(onTrue), onFalse = vector(onFalse);
    return code.op<arith::SelectOp>(condition, onTrue, onFalse);
  }
  case OpCode::Convert:
    return convert(operand(0), graph.type(op.operands[0]).dtype, dtype);
  case OpCode::Bitcast:
    return bitcast(operand(0), dtype);
  case OpCode::StopGradient:
    return operand(0);
  default:
    break;
  }
  if (isElementwise(op.code)) {
    if (op.operands.size() == 1)
      return unary(op.code, operand(0), dtype);
    Value a = operand(0), b = operand(1);
    return binary(op.code, a, b, dtype, &op, mask);
  }
  assert(!isWhole(op.code) && "a value that has to be computed as a whole was not bound");
  return emitLayout(op, v, at, mask);
}

//===-- Memory ---------------------------------------------------------------------------------------------------===//

Value Emitter::laneMask(const Mask &mask) {
  if (!mask.uniform)
    return mask.lanes;
  return code.both(mask.lanes, code.splat(mask.uniform, width));
}

Value Emitter::anyLane(const Mask &mask) {
  if (!mask.lanes)
    return mask.uniform;
  return code.both(mask.uniform, code.op<vector::ReductionOp>(vector::CombiningKind::OR, mask.lanes));
}

Value Emitter::gatherLoad(Type type, Value pointer, const Index &offset, const Mask &mask, int64_t bytes, bool pinned) {
  Value positions = offset.lanes;
  if (!positions) {
    pointer = code.address(pointer, offset.base, bytes);
    positions = lanesOf(Index{code.integer(0), offset.step, {}, 1});
  }
  Type element = code.b.getIntegerType(static_cast<unsigned>(bytes) * 8);
  Type pointers = LLVM::LLVMFixedVectorType::get(code.ptr, static_cast<unsigned>(width));
  VectorType result = code.vectorOf(type, width);
  Value lanes = laneMask(mask);
  if (!lanes)
    lanes = code.constantInt(code.vectorOf(code.i1, width), 1);
  Value zero = isa<FloatType>(type) ? code.constant(result, 0) : code.constantInt(result, 0);
  OpBuilder::InsertionGuard guard(code.b);
  std::optional<Code::Hoisted> placed;
  if (!pinned)
    placed.emplace(code, ArrayRef<Value>{pointer, positions, lanes});
  Value addresses = code.b.create<LLVM::GEPOp>(code.loc, pointers, element, pointer, ArrayRef<LLVM::GEPArg>{positions});
  return code.b.create<LLVM::masked_gather>(code.loc, result, addresses, lanes, ValueRange{zero},
                                            static_cast<unsigned>(bytes));
}

Value Emitter::load(uint32_t v, Value pointer, ArrayRef<Index> at, const Mask &mask) {
  return loadOffset(graph.type(v).dtype, pointer, linear(graph.type(v).dims, at), mask);
}

/// Lane l of what is loaded lies 2 * l elements from `where`: two vectors whose odd lanes are not read.
Value Emitter::everySecond(Type type, Value where, const Mask &mask, int64_t bytes, bool pinned) {
  VectorType vector = code.vectorOf(type, width), bits = code.vectorOf(code.i1, width);
  Value lanes = laneMask(mask), none = code.constantInt(bits, 0);
  if (!lanes)
    lanes = code.constantInt(bits, 1);
  Value halves[2];
  for (int64_t half : {0, 1}) {
    SmallVector<int64_t> spread;
    for (int64_t l = 0; l < width; ++l)
      spread.push_back(l % 2 ? width : half * width / 2 + l / 2);
    Value some = code.op<vector::ShuffleOp>(lanes, none, spread);
    halves[half] = code.maskedLoad(vector, code.address(where, code.integer(half * width), bytes), some, bytes, pinned);
  }
  SmallVector<int64_t> even;
  for (int64_t l = 0; l < width; ++l)
    even.push_back(2 * l);
  return pinned ? Value(code.here<vector::ShuffleOp>(halves[0], halves[1], even))
                : code.op<vector::ShuffleOp>(halves[0], halves[1], even);
}

Value Emitter::loadOffset(kiln_dtype dtype, Value pointer, const Index &offset, const Mask &mask, bool pinned) {
  int64_t bytes = byteSize(dtype);
  Type type = code.memoryType(dtype);
  Value loaded;
  if (offset.uniform()) {
    Value where = code.address(pointer, offset.base, bytes);
    // Where nothing may be read, the argument table is: it is there and has eight bytes.
    if (Value some = anyLane(mask))
      where = code.op<arith::SelectOp>(some, where, arguments.args);
    loaded = pinned ? code.loadHere(type, where, bytes) : code.load(type, where, bytes);
  } else if (!offset.lanes && offset.step == 1) {
    Value where = code.address(pointer, offset.base, bytes);
    VectorType result = code.vectorOf(type, width);
    Value lanes = laneMask(mask);
    loaded = lanes    ? code.maskedLoad(result, where, lanes, bytes, pinned)
             : pinned ? code.loadHere(result, where, bytes)
                      : code.load(result, where, bytes);
  } else if (!offset.lanes && offset.step == 2 && width > 1 && bytes >= 4) {
    loaded = everySecond(type, code.address(pointer, offset.base, bytes), mask, bytes, pinned);
  } else {
    loaded = gatherLoad(type, pointer, offset, mask, bytes, pinned);
  }
  return fromMemory(loaded, dtype);
}

void Emitter::store(uint32_t v, Value pointer, ArrayRef<Index> at, Value element, const Mask &mask) {
  Index offset = linear(graph.type(v).dims, at);
  kiln_dtype dtype = graph.type(v).dtype;
  if (!pastCaches || offset.lanes || offset.step != 1 || laneMask(mask))
    return storeOffset(dtype, pointer, offset, element, mask);
  Value memory = toMemory(vector(element), dtype);
  code.store(memory, code.address(pointer, offset.base, byteSize(dtype)), width * byteSize(dtype), true);
}

void Emitter::storeOffset(kiln_dtype dtype, Value pointer, const Index &offset, Value element, const Mask &mask) {
  int64_t bytes = byteSize(dtype);
  bool lanesDiffer = isa<VectorType>(element.getType()) && mask.lanes;
  if (offset.uniform() && !lanesDiffer) {
    // One position for all lanes (an extent of 1): one element is written there, never a vector.
    if (isa<VectorType>(element.getType()))
      element = code.lane(element, 0);
    auto write = [&] { code.store(toMemory(element, dtype), code.address(pointer, offset.base, bytes), bytes); };
    Value some = anyLane(mask);
    some ? code.ifThen(some, write) : write();
    return;
  }
  Value memory = toMemory(vector(element), dtype);
  Value lanes = laneMask(mask);
  if (!offset.lanes && offset.step == 1) {
    Value where = code.address(pointer, offset.base, bytes);
    if (lanes)
      code.maskedStore(memory, where, lanes, bytes);
    else
      code.store(memory, where, bytes);
    return;
  }
  Value positions = lanesOf(offset);
  Type pointers = LLVM::LLVMFixedVectorType::get(code.ptr, static_cast<unsigned>(width));
  if (!lanes)
    lanes = code.constantInt(code.vectorOf(code.i1, width), 1);
  Value addresses = code.here<LLVM::GEPOp>(pointers, code.b.getIntegerType(static_cast<unsigned>(bytes) * 8), pointer,
                                           ArrayRef<LLVM::GEPArg>{positions});
  code.here<LLVM::masked_scatter>(memory, addresses, lanes, static_cast<unsigned>(bytes));
}

void Emitter::storeOutput(size_t number, ArrayRef<Index> at, Value element, const Mask &mask) {
  store(graph.outputs[number], output(number), at, element, mask);
}

//===-- Status ---------------------------------------------------------------------------------------------------===//

/// The one function of a module that writes a status record: the first report stays.
static func::FuncOp reporter(Code &code) {
  constexpr llvm::StringLiteral name = "kiln_cpu_report";
  if (auto found = code.module.lookupSymbol<func::FuncOp>(name))
    return found;
  OpBuilder::InsertionGuard guard(code.b);
  OpBuilder &b = code.b;
  Location loc = code.loc;
  b.setInsertionPointToStart(code.module.getBody());
  auto function =
      b.create<func::FuncOp>(loc, name, b.getFunctionType({code.ptr, code.i32, code.i32, code.i64, code.i64}, {}));
  function.setPrivate();
  Block *body = function.addEntryBlock();
  b.setInsertionPointToEnd(body);
  Value status = body->getArgument(0);
  auto field = [&](size_t offset) -> Value {
    return b.create<LLVM::GEPOp>(loc, code.ptr, code.i8, status, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
  };
  Value kind = b.create<LLVM::LoadOp>(loc, code.i32, field(offsetof(kiln_status, kind)));
  Value zero = b.create<arith::ConstantOp>(loc, b.getI32IntegerAttr(0));
  Value first = b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, kind, zero);
  auto branch = b.create<scf::IfOp>(loc, first, /*withElseRegion=*/false);
  b.setInsertionPointToStart(branch.thenBlock());
  b.create<LLVM::StoreOp>(loc, body->getArgument(2), field(offsetof(kiln_status, op)));
  b.create<LLVM::StoreOp>(loc, body->getArgument(3), field(offsetof(kiln_status, value)));
  b.create<LLVM::StoreOp>(loc, body->getArgument(4), field(offsetof(kiln_status, limit)));
  b.create<LLVM::StoreOp>(loc, body->getArgument(1), field(offsetof(kiln_status, kind)));
  b.setInsertionPointToEnd(body);
  b.create<func::ReturnOp>(loc);
  return function;
}

void Emitter::report(kiln_status_kind kind, const Op &op, Value bad, Value index, Value limit) {
  func::FuncOp function = reporter(code);
  Code::Hoisted placed(code, {bad, index, limit});
  OpBuilder &b = code.b;
  Location loc = code.loc;
  Value any = bad;
  auto lanes = dyn_cast<VectorType>(bad.getType());
  if (lanes)
    any = b.create<vector::ReductionOp>(loc, vector::CombiningKind::OR, bad);
  auto branch = b.create<scf::IfOp>(loc, any, /*withElseRegion=*/false);
  b.setInsertionPointToStart(branch.thenBlock());
  if (lanes) {
    // The first lane that is bad.
    Type bits = b.getIntegerType(static_cast<unsigned>(lanes.getNumElements()));
    Value word = b.create<LLVM::BitcastOp>(loc, bits, bad);
    Value lane = b.create<math::CountTrailingZerosOp>(loc, word);
    if (lanes.getNumElements() < 32)
      lane = b.create<arith::ExtUIOp>(loc, code.i32, lane);
    else if (lanes.getNumElements() > 32)
      lane = b.create<arith::TruncIOp>(loc, code.i32, lane);
    if (isa<VectorType>(index.getType()))
      index = b.create<LLVM::ExtractElementOp>(loc, index, lane);
  }
  if (index.getType() != code.i64)
    index = b.create<arith::ExtSIOp>(loc, code.i64, index);
  b.create<func::CallOp>(
      loc, function,
      ValueRange{arguments.status, b.create<arith::ConstantOp>(loc, b.getI32IntegerAttr(kind)),
                 b.create<arith::ConstantOp>(loc, b.getI32IntegerAttr(static_cast<int32_t>(op.number))), index, limit});
}

} // namespace kiln::cpu
