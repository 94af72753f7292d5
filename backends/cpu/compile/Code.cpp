// Where a value is put, and the integers that are folded on the way.

#include "backends/cpu/compile/Code.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace kiln::cpu {

bool Machine::has(llvm::StringRef feature) const {
  llvm::SmallVector<llvm::StringRef> parts;
  llvm::StringRef(features).split(parts, ',');
  return llvm::is_contained(parts, feature);
}

/// 0, 1, 2 or 3 for a choice, the same each time.
static uint64_t drawn(uint64_t forms, llvm::StringRef choice, int64_t among) {
  return llvm::xxh3_64bits((choice + " " + llvm::Twine(among) + " " + llvm::Twine(forms)).str()) % 4;
}

bool Machine::takes(llvm::StringRef choice, bool model) const {
  uint64_t draw = forms ? drawn(forms, choice, 0) : 0;
  return draw == 0 ? model : draw != 1;
}

double Machine::weighed(llvm::StringRef choice, double cycles, int64_t among) const {
  static constexpr double factors[] = {1, 1, 1e-6, 1e6};
  return forms ? cycles * factors[drawn(forms, choice, among)] : cycles;
}

int64_t Machine::sized(llvm::StringRef choice, int64_t model, int64_t least) const {
  switch (forms ? drawn(forms, choice, 0) : 0) {
  case 2:
    return std::min(model, least);
  case 3:
    return std::min(model, 4 * least);
  default:
    return model;
  }
}

Code::Code(ModuleOp module, const Machine &machine)
    : b(module.getContext()), loc(b.getUnknownLoc()), module(module), machine(machine) {
  i1 = b.getI1Type();
  i8 = b.getI8Type();
  i16 = b.getI16Type();
  i32 = b.getI32Type();
  i64 = b.getI64Type();
  f16 = b.getF16Type();
  f32 = b.getF32Type();
  f64 = b.getF64Type();
  ptr = LLVM::LLVMPointerType::get(b.getContext());
}

//===-- Functions and scopes -------------------------------------------------------------------------------------===//

ValueRange Code::beginFunction(llvm::StringRef name, llvm::ArrayRef<Type> arguments, llvm::ArrayRef<Type> results,
                               bool isPrivate) {
  b.setInsertionPointToEnd(module.getBody());
  auto function = b.create<func::FuncOp>(loc, name, b.getFunctionType(arguments, results));
  if (isPrivate)
    function.setPrivate();
  Block *body = function.addEntryBlock();
  b.setInsertionPointToEnd(body);
  made.clear();
  scopes.clear();
  scopes.emplace_back(body);
  return body->getArguments();
}

void Code::endFunction(ValueRange results) {
  assert(scopes.size() == 1);
  b.create<func::ReturnOp>(loc, results);
  for (auto &ended : onScopeEnd)
    ended(0);
  scopes.clear();
}

void Code::enter(Block *block, Operation *op) {
  scopes.back().next = op;
  scopes.emplace_back(block);
  b.setInsertionPointToEnd(block);
}

void Code::leave() {
  for (auto &ended : onScopeEnd)
    ended(scopes.size() - 1);
  scopes.pop_back();
  Operation *op = scopes.back().next;
  scopes.back().next = nullptr;
  b.setInsertionPointAfter(op);
}

size_t Code::level(Value v) const {
  Block *block = v.getParentBlock();
  for (size_t i = scopes.size(); i-- > 0;)
    if (scopes[i].block == block)
      return i;
  assert(false && "a value of a loop that has ended");
  return scopes.size() - 1;
}

Code::Hoisted::Hoisted(Code &code, llvm::ArrayRef<Value> values) : guard(code.b) {
  size_t level = 0;
  for (Value v : values)
    if (v)
      level = std::max(level, code.level(v));
  if (Operation *next = code.scopes[level].next)
    code.b.setInsertionPoint(next);
}

//===-- Integers -------------------------------------------------------------------------------------------------===//

Value Code::constantOf(Type type, Attribute attribute) {
  if (auto shaped = dyn_cast<ShapedType>(type); shaped && !isa<DenseElementsAttr>(attribute))
    attribute = DenseElementsAttr::get(shaped, attribute);
  Value &slot = made[{attribute, type}];
  if (!slot) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(scopes.front().block);
    slot = b.create<arith::ConstantOp>(loc, type, cast<TypedAttr>(attribute));
  }
  return slot;
}

Value Code::constantInt(Type type, int64_t value) {
  return constantOf(type, b.getIntegerAttr(getElementTypeOrSelf(type), value));
}

Value Code::constant(Type type, double value) {
  return constantOf(type, b.getFloatAttr(getElementTypeOrSelf(type), value));
}

Value Code::constants(VectorType type, ArrayRef<double> values) {
  llvm::SmallVector<Attribute> lanes;
  for (double value : values)
    lanes.push_back(b.getFloatAttr(type.getElementType(), value));
  return constantOf(type, DenseElementsAttr::get(type, lanes));
}

Value Code::integer(int64_t value) { return constantInt(i64, value); }

std::optional<int64_t> Code::known(Value v) {
  APInt value;
  if (v && matchPattern(v, m_ConstantInt(&value)) && !isa<ShapedType>(v.getType()))
    return value.getSExtValue();
  return std::nullopt;
}

Value Code::shared(int opcode, Value x, Value y, llvm::function_ref<Value()> make) {
  size_t where = std::max(level(x), y ? level(y) : 0);
  auto key = std::make_tuple(opcode, x, y);
  auto found = scopes[where].integers.find(key);
  if (found != scopes[where].integers.end())
    return found->second;
  Hoisted placed(*this, {x, y});
  Value made = make();
  scopes[where].integers[key] = made;
  return made;
}

Value Code::add(Value x, Value y) {
  auto kx = known(x), ky = known(y);
  if (kx && ky)
    return integer(*kx + *ky);
  if (kx && *kx == 0)
    return y;
  if (ky && *ky == 0)
    return x;
  return shared(0, x, y, [&] { return b.create<arith::AddIOp>(loc, x, y); });
}

Value Code::sub(Value x, Value y) {
  auto kx = known(x), ky = known(y);
  if (kx && ky)
    return integer(*kx - *ky);
  if (ky && *ky == 0)
    return x;
  if (x == y)
    return integer(0);
  return shared(1, x, y, [&] { return b.create<arith::SubIOp>(loc, x, y); });
}

Value Code::mul(Value x, Value y) {
  auto kx = known(x), ky = known(y);
  if (kx && ky)
    return integer(*kx * *ky);
  if ((kx && *kx == 0) || (ky && *ky == 0))
    return integer(0);
  if (kx && *kx == 1)
    return y;
  if (ky && *ky == 1)
    return x;
  return shared(2, x, y, [&] { return b.create<arith::MulIOp>(loc, x, y); });
}

Value Code::div(Value x, Value y) {
  auto kx = known(x), ky = known(y);
  if (ky && *ky == 0)
    return integer(0);
  if (kx && ky)
    return integer(*kx / *ky);
  if (ky && *ky == 1)
    return x;
  if (kx && *kx == 0)
    return x;
  // A division may be placed before a loop that runs no time because its extent is 0: it must not trap there.
  if (!ky)
    y = max(y, integer(1));
  return shared(3, x, y, [&] { return b.create<arith::DivUIOp>(loc, x, y); });
}

Value Code::rem(Value x, Value y) {
  auto kx = known(x), ky = known(y);
  if (kx && ky && *ky != 0)
    return integer(*kx % *ky);
  if (ky && *ky == 1)
    return integer(0);
  if (kx && *kx == 0)
    return x;
  // By way of the quotient, which is shared.
  return sub(x, mul(div(x, y), y));
}

Value Code::min(Value x, Value y) {
  auto kx = known(x), ky = known(y);
  if (kx && ky)
    return integer(std::min(*kx, *ky));
  return x == y ? x : shared(4, x, y, [&] { return b.create<arith::MinSIOp>(loc, x, y); });
}

Value Code::max(Value x, Value y) {
  auto kx = known(x), ky = known(y);
  if (kx && ky)
    return integer(std::max(*kx, *ky));
  return x == y ? x : shared(5, x, y, [&] { return b.create<arith::MaxSIOp>(loc, x, y); });
}

Value Code::ceilDiv(Value x, Value y) { return div(add(x, sub(y, integer(1))), y); }

Value Code::compare(arith::CmpIPredicate predicate, Value x, Value y) {
  auto kx = known(x), ky = known(y);
  if (kx && ky)
    return constantInt(i1, arith::applyCmpPredicate(predicate, llvm::APInt(64, *kx, true), llvm::APInt(64, *ky, true)));
  return shared(16 + static_cast<int>(predicate), x, y, [&] { return b.create<arith::CmpIOp>(loc, predicate, x, y); });
}

Value Code::both(Value x, Value y) {
  if (!x || !y)
    return x ? x : y;
  if (x == y)
    return x;
  for (auto [known1, other] : {std::pair{known(x), y}, std::pair{known(y), x}})
    if (known1)
      return *known1 ? other : constantInt(i1, 0);
  return shared(6, x, y, [&] { return b.create<arith::AndIOp>(loc, x, y); });
}

//===-- Control --------------------------------------------------------------------------------------------------===//

void Code::loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body) {
  auto op = b.create<scf::ForOp>(loc, begin, end, integer(step));
  op.getBody()->getTerminator()->erase();
  enter(op.getBody(), op);
  body(op.getInductionVar());
  b.create<scf::YieldOp>(loc);
  leave();
}

llvm::SmallVector<Value> Code::loop(Value begin, Value end, int64_t step, ValueRange inits,
                                    llvm::function_ref<llvm::SmallVector<Value>(Value, ValueRange)> body) {
  if (inits.empty()) {
    loop(begin, end, step, [&](Value iv) { body(iv, {}); });
    return {};
  }
  auto op = b.create<scf::ForOp>(loc, begin, end, integer(step), inits);
  enter(op.getBody(), op);
  llvm::SmallVector<Value> yielded = body(op.getInductionVar(), op.getRegionIterArgs());
  b.create<scf::YieldOp>(loc, yielded);
  leave();
  return llvm::SmallVector<Value>(op.getResults());
}

void Code::within(Block *block, Operation *op, llvm::function_ref<void()> body) {
  enter(block, op);
  body();
  leave();
}

void Code::ifThen(Value condition, llvm::function_ref<void()> body) {
  if (auto k = known(condition)) {
    if (*k)
      body();
    return;
  }
  auto op = b.create<scf::IfOp>(loc, condition, /*withElseRegion=*/false);
  op.thenBlock()->getTerminator()->erase();
  enter(op.thenBlock(), op);
  body();
  b.create<scf::YieldOp>(loc);
  leave();
}

llvm::SmallVector<Value> Code::ifElse(Value condition, TypeRange results,
                                      llvm::function_ref<llvm::SmallVector<Value>()> onTrue,
                                      llvm::function_ref<llvm::SmallVector<Value>()> onFalse) {
  auto op = b.create<scf::IfOp>(loc, results, condition, /*withElseRegion=*/true);
  auto fill = [&](Block *block, llvm::function_ref<llvm::SmallVector<Value>()> body) {
    block->clear();
    enter(block, op);
    llvm::SmallVector<Value> values = body();
    b.create<scf::YieldOp>(loc, values);
    leave();
  };
  if (op.getThenRegion().empty())
    op.getThenRegion().emplaceBlock();
  if (op.getElseRegion().empty())
    op.getElseRegion().emplaceBlock();
  fill(op.thenBlock(), onTrue);
  fill(op.elseBlock(), onFalse);
  return llvm::SmallVector<Value>(op.getResults());
}

void Code::ifElse(Value condition, llvm::function_ref<void()> onTrue, llvm::function_ref<void()> onFalse) {
  auto none = [](llvm::function_ref<void()> body) { return [body] { return body(), llvm::SmallVector<Value>(); }; };
  ifElse(condition, {}, none(onTrue), none(onFalse));
}

//===-- Memory ---------------------------------------------------------------------------------------------------===//

Type Code::memoryType(kiln_dtype dtype) const {
  switch (dtype) {
  case KILN_F32:
    return f32;
  case KILN_F64:
    return f64;
  case KILN_F16:
    return f16;
  case KILN_BF16:
    return i16;
  case KILN_I32:
  case KILN_U32:
    return i32;
  case KILN_I64:
    return i64;
  default:
    return i8;
  }
}

Value Code::address(Value pointer, Value index, int64_t elementBytes) {
  if (known(index) == 0)
    return pointer;
  return shared(8 + static_cast<int>(llvm::Log2_64(elementBytes)), pointer, index, [&]() -> Value {
    return b.create<LLVM::GEPOp>(loc, ptr, b.getIntegerType(static_cast<unsigned>(elementBytes) * 8), pointer,
                                 ArrayRef<LLVM::GEPArg>{index});
  });
}

Value Code::load(Type type, Value pointer, int64_t alignment) {
  Hoisted placed(*this, {pointer});
  return b.create<LLVM::LoadOp>(loc, type, pointer, static_cast<unsigned>(alignment));
}

Value Code::loadHere(Type type, Value pointer, int64_t alignment) {
  return b.create<LLVM::LoadOp>(loc, type, pointer, static_cast<unsigned>(alignment));
}

void Code::store(Value value, Value pointer, int64_t alignment, bool pastCaches) {
  b.create<LLVM::StoreOp>(loc, value, pointer, static_cast<unsigned>(alignment), /*isVolatile=*/false, pastCaches);
}

void Code::fetch(Value pointer) { b.create<LLVM::Prefetch>(loc, pointer, 0u, 2u, 1u); }

Value Code::maskedLoad(VectorType type, Value pointer, Value mask, int64_t alignment, bool pinned) {
  Value zero = isa<FloatType>(type.getElementType()) ? constant(type, 0.0) : constantInt(type, 0);
  OpBuilder::InsertionGuard guard(b);
  if (!pinned) {
    Hoisted placed(*this, {pointer, mask});
    return b.create<LLVM::MaskedLoadOp>(loc, type, pointer, mask, ValueRange{zero}, static_cast<unsigned>(alignment));
  }
  return b.create<LLVM::MaskedLoadOp>(loc, type, pointer, mask, ValueRange{zero}, static_cast<unsigned>(alignment));
}

void Code::maskedStore(Value value, Value pointer, Value mask, int64_t alignment) {
  b.create<LLVM::MaskedStoreOp>(loc, value, pointer, mask, static_cast<unsigned>(alignment));
}

//===-- Vectors --------------------------------------------------------------------------------------------------===//

Value Code::splat(Value scalar, int64_t lanes) {
  VectorType type = vectorOf(scalar.getType(), lanes);
  Attribute attribute;
  if (matchPattern(scalar, m_Constant(&attribute))) {
    if (auto number = dyn_cast<FloatAttr>(attribute))
      return constant(type, number.getValueAsDouble());
    if (auto number = dyn_cast<IntegerAttr>(attribute))
      return constantInt(type, number.getValue().getSExtValue());
  }
  return shared(7, scalar, integer(lanes), [&] { return b.create<vector::SplatOp>(loc, type, scalar); });
}

Value Code::lane(Value vector, int64_t index) { return op<vector::ExtractOp>(vector, llvm::ArrayRef<int64_t>{index}); }

Value Code::steps(VectorType type) {
  llvm::SmallVector<Attribute> values;
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    values.push_back(b.getIntegerAttr(type.getElementType(), i));
  return constantOf(type, DenseElementsAttr::get(type, values));
}

Value Code::firstLanes(Value count, int64_t lanes) {
  // Compared as i32, at half the width: counts are clamped first.
  Value clamped = min(count, integer(lanes));
  return shared(15, clamped, integer(lanes), [&] {
    VectorType type = vectorOf(i32, lanes);
    Value narrow = b.create<arith::TruncIOp>(loc, i32, clamped);
    Value wide = b.create<vector::SplatOp>(loc, type, narrow);
    return b.create<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, steps(type), wide);
  });
}

} // namespace kiln::cpu
