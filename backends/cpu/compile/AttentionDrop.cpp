// Dropout on the shares: which of them are kept is drawn where they are, and stored nowhere.
//
// Elements are numbered as those of the matrix [B, H, T, S] that never exists, four of a row to one draw's block. A
// lane is a query: it takes a block's four words one key after the other, shifted by where its row begins in a block.

#include "backends/cpu/compile/Attention.h"
#include "backends/cpu/compile/Philox.h"
#include <cmath>

using namespace mlir;

namespace kiln::cpu {

std::optional<uint32_t> AttentionLowering::leastKept() const {
  auto least = static_cast<int64_t>(std::ceil(std::max(op.p, 0.0) * 0x1p24)) << 8; // as dropout's decomposition has it
  return op.p < 1.0 && least < int64_t{1} << 32 ? std::optional(static_cast<uint32_t>(least)) : std::nullopt;
}

double AttentionLowering::keptFactor() const { return form.drops ? 1.0 / (1.0 - op.p) : 1.0; }

Draws AttentionLowering::draws(Emitter &e) const {
  Draws draws{e.value(form.seed, {}), op.stream, {}};
  for (uint32_t counter : form.counters)
    draws.counters.push_back(e.value(counter, {}));
  return draws;
}

Value AttentionLowering::isKept(Code &code, Value bits) const {
  Value least = code.constantInt(bits.getType(), static_cast<int32_t>(*leastKept()));
  return code.here<arith::CmpIOp>(arith::CmpIPredicate::uge, bits, least);
}

Value AttentionLowering::firstElement(Emitter &e, const Task &task, Value row) const {
  Code &code = e.code;
  Value pair = code.add(code.mul(task.batch, e.extent(form.heads)), task.head);
  return code.mul(code.add(code.mul(pair, task.queries), row), task.keys);
}

void AttentionLowering::forKept(Emitter &e, const Task &task, const Panel &panel, int64_t v, Value to,
                                llvm::function_ref<void(Value, Value)> body) const {
  Code &code = e.code;
  Type word = code.vectorOf(code.i32, lanes);
  VectorType wide = code.vectorOf(code.i64, lanes);
  Value four = code.integer(4), from = code.mul(code.div(panel.begin, four), four);
  Value first = firstElement(e, task, code.add(panel.first, code.integer(v * lanes)));
  Value rows = code.op<arith::MulIOp>(code.steps(wide), code.splat(task.keys, lanes));
  Value element = code.op<arith::AddIOp>(rows, code.splat(code.add(first, from), lanes));
  Value block = code.op<arith::TruncIOp>(word, code.op<arith::ShRUIOp>(element, code.constantInt(wide, 2)));
  Value shift = code.op<arith::TruncIOp>(word, element);
  auto bit = [&](int64_t n) {
    Value set = code.op<arith::AndIOp>(shift, code.constantInt(word, n));
    return code.op<arith::CmpIOp>(arith::CmpIPredicate::ne, set, code.constantInt(word, 0));
  };
  Value byOne = bit(1), byTwo = bit(2);
  Draws all = draws(e);
  auto drawn = [&](Value number) {
    Value step = code.op<arith::TruncIOp>(code.i32, number);
    return all.blocks(code, code.op<arith::AddIOp>(block, code.splat(step, lanes)));
  };
  auto give = [&](Value key, llvm::ArrayRef<Value> words) {
    for (int64_t i = 0; i < 4; ++i)
      body(code.add(key, code.integer(i)), isKept(code, words[static_cast<size_t>(i)]));
  };
  auto number = [&](Value key) { return code.div(code.sub(key, from), four); };
  if (form.keys.factor % 4 == 0) // all rows begin with a block
    return code.loop(from, to, 4, [&](Value key) { give(key, drawn(number(key))); });
  std::array<Value, 4> begun = drawn(code.integer(0));
  code.loop(from, to, 4, Values(begun.begin(), begun.end()), [&](Value key, ValueRange carried) -> Values {
    std::array<Value, 4> next = drawn(code.add(number(key), code.integer(1)));
    Values words(carried.begin(), carried.end());
    words.append(next.begin(), next.end());
    for (auto [shifts, places, count] : {std::tuple(byTwo, 2, 5), {byOne, 1, 4}})
      for (int64_t i = 0; i < count; ++i)
        words[static_cast<size_t>(i)] =
            code.here<arith::SelectOp>(shifts, words[static_cast<size_t>(i + places)], words[static_cast<size_t>(i)]);
    give(key, llvm::ArrayRef(words).take_front(4));
    return Values(next.begin(), next.end());
  });
}

void AttentionLowering::dropShares(Emitter &e, const Task &task, const Panel &panel) const {
  if (!form.drops)
    return;
  Code &code = e.code;
  Value none = code.constant(vectorType(e), 0.0);
  for (int64_t v = 0; v < vectors; ++v)
    forKept(e, task, panel, v, panel.limit, [&](Value key, Value kept) {
      Value place = at(e, e.workerScratch(scores), key, v), share = code.loadHere(vectorType(e), place, bytes);
      code.store(code.here<arith::SelectOp>(kept, share, none), place, bytes);
    });
}

void AttentionLowering::dropShares(Emitter &e, const Task &task, const Single &one) const {
  if (!form.drops)
    return;
  Code &code = e.code;
  Value none = code.constant(vectorType(e), 0.0), first = firstElement(e, task, one.row);
  VectorType wide = code.vectorOf(code.i64, lanes);
  Draws all = draws(e);
  code.loop(one.begin, one.limit, lanes, [&](Value key) {
    Value element = code.op<arith::AddIOp>(code.steps(wide), code.splat(code.add(first, key), lanes));
    Value kept = isKept(code, all.of(code, element)), place = code.address(e.workerScratch(scores), key, bytes);
    Value share = code.loadHere(vectorType(e), place, bytes);
    code.store(code.here<arith::SelectOp>(kept, share, none), place, bytes);
  });
}

void AttentionLowering::dropSlopes(Emitter &e, const Task &task, const Panel &panel, Value to,
                                   const Values &delta) const {
  Code &code = e.code;
  VectorType type = vectorType(e);
  Value none = code.constant(type, 0.0), factor = code.constant(type, keptFactor());
  for (int64_t v = 0; v < vectors; ++v)
    forKept(e, task, panel, v, to, [&](Value key, Value kept) {
      Value ofShare = at(e, e.workerScratch(scores), key, v), ofSlope = at(e, e.workerScratch(slopes), key, v);
      Value share = code.loadHere(type, ofShare, bytes), slope = code.loadHere(type, ofSlope, bytes);
      slope = code.here<arith::SelectOp>(kept, code.here<arith::MulFOp>(slope, factor), none);
      slope = code.here<arith::MulFOp>(code.here<arith::SubFOp>(slope, delta[static_cast<size_t>(v)]), share);
      code.store(slope, ofSlope, bytes);
      share = code.here<arith::SelectOp>(kept, code.here<arith::MulFOp>(share, factor), none);
      code.store(share, ofShare, bytes);
    });
}

} // namespace kiln::cpu
