// How work is cut into tasks, and how a reduction is accumulated over them.

#include "backends/cpu/compile/LoopNest.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::MutableArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

int64_t taskGrainOf(const Machine &machine) { return machine.sized("task", 16384, 64); }

bool isExpensive(OpCode code) { return infoOf(code).cost >= sdk::Cost::Exponential; }

static int64_t opCost(OpCode code) {
  if (isWhole(code)) // computed elsewhere: its result is read
    return 1;
  if (code == OpCode::Gather) // a load that waits for another
    return 4;
  switch (infoOf(code).cost) {
  case sdk::Cost::Free:
    return 0;
  case sdk::Cost::Cheap:
    return 1;
  case sdk::Cost::Division:
    return 4;
  case sdk::Cost::Exponential:
  case sdk::Cost::Polynomial:
  case sdk::Cost::Library:
    return 12;
  case sdk::Cost::Philox:
    return 40;
  }
  llvm_unreachable("a cost of its own");
}

int64_t costOf(const Graph &graph, ArrayRef<uint32_t> values, llvm::function_ref<bool(uint32_t)> stop) {
  SmallVector<uint32_t> stack(values.begin(), values.end());
  llvm::DenseSet<uint32_t> seen;
  int64_t cost = 1;
  while (!stack.empty()) {
    uint32_t v = stack.pop_back_val();
    if (!seen.insert(v).second || stop(v))
      continue;
    if (const Op *op = graph.definingOp(v)) {
      cost += opCost(op->code);
      stack.append(op->operands.begin(), op->operands.end());
    } else {
      ++cost;
    }
  }
  return cost;
}

//===-- Streams --------------------------------------------------------------------------------------------------===//

/// From here on nothing of an output is in a cache when it is read again.
static constexpr int64_t streamedBytes = int64_t{64} << 20;

Streams::Streams(KernelBuilder &builder, ArrayRef<size_t> outputs, bool oneRow, const Extent &row)
    : graph(builder.graph), least(builder.machine.sized("past caches", streamedBytes, 64)) {
  // Each row begins where a vector may.
  bool whole = oneRow || (row.isConstant() && row.factor % 64 == 0);
  if (!whole || !builder.machine.has("avx2"))
    return;
  for (size_t i : outputs) {
    const TensorType &type = graph.type(graph.outputs[i]);
    if (graph.bound(type.dims) * byteSize(type.dtype) < least || byteSize(type.dtype) > 4)
      return;
  }
  this->outputs.assign(outputs.begin(), outputs.end());
}

void Streams::emit(Emitter &e, llvm::function_ref<void()> pass) const {
  if (outputs.empty())
    return pass();
  Code &code = e.code;
  auto number = [&](Value pointer) { return code.op<LLVM::PtrToIntOp>(code.i64, pointer); };
  using P = arith::CmpIPredicate;
  Value good = code.constantInt(code.i1, 1);
  for (size_t i : outputs) {
    Value at = number(e.output(i));
    const TensorType &type = graph.type(graph.outputs[i]);
    good = code.both(good, code.compare(P::sge, e.elements(type.dims), code.integer(least / byteSize(type.dtype))));
    Value past = code.op<arith::AndIOp>(at, code.integer(63));
    good = code.both(good, code.compare(P::eq, past, code.integer(0)));
    if (int32_t same = graph.alias[i]; same >= 0)
      good = code.both(good, code.compare(P::ne, at, number(e.input(static_cast<size_t>(same)))));
  }
  code.ifElse(
      good,
      [&] {
        e.pastCaches = true;
        pass();
        e.pastCaches = false;
      },
      pass);
}

void Streams::finish(Emitter &e) const {
  if (!outputs.empty())
    e.code.here<LLVM::CallIntrinsicOp>(TypeRange{}, e.code.b.getStringAttr("llvm.x86.sse.sfence"), ValueRange{});
}

//===-- Accumulators ---------------------------------------------------------------------------------------------===//

Accumulator Accumulator::of(const Emitter &e, const Op &op, bool alongVectors) {
  Accumulator result{&op, e.graph.type(op.operands[0]).dtype};
  if (op.code == OpCode::ArgReduce)
    result.position = op.axis;
  bool extreme = op.code == OpCode::Reduce && (op.combine == Combine::Max || op.combine == Combine::Min);
  // Other processors' own instructions know NaN and signs.
  result.apart = extreme && alongVectors && e.registerType(result.dtype).isF32() && e.code.machine.has("avx2");
  return result;
}

void Accumulator::start(Emitter &e, bool vectors, SmallVectorImpl<Value> &state) const {
  Value neutral = e.neutral(op->combine, dtype);
  state.push_back(vectors ? e.code.splat(neutral, e.width) : neutral);
  if (apart) {
    for (int64_t least : {static_cast<int64_t>(std::numeric_limits<int32_t>::min()), int64_t{0}}) {
      Value bits = e.code.constantInt(e.code.b.getI32Type(), least);
      state.push_back(vectors ? e.code.splat(bits, e.width) : bits);
    }
    return;
  }
  if (op->code != OpCode::ArgReduce)
    return;
  // Beyond any index: an element that equals the neutral value still takes its position.
  Value none = e.code.constantInt(e.code.i64, std::numeric_limits<int64_t>::max());
  state.push_back(vectors ? e.code.splat(none, e.width) : none);
}

/// Whether (value, index) a comes before b: better, NaN best of all, the lower index among equals.
static Value precedes(Emitter &e, const Op &op, kiln_dtype dtype, Value a, Value ai, Value b, Value bi) {
  Code &code = e.code;
  Predicate better = op.combine == Combine::Max ? Predicate::Gt : Predicate::Lt;
  Value wins = e.compare(better, a, b, dtype), equal = e.compare(Predicate::Eq, a, b, dtype);
  if (isFloat(dtype)) {
    Value aNaN = e.compare(Predicate::Ne, a, a, dtype), bNaN = e.compare(Predicate::Ne, b, b, dtype);
    Value bNumber = e.compare(Predicate::Eq, b, b, dtype);
    wins = code.op<arith::OrIOp>(wins, code.op<arith::AndIOp>(aNaN, bNumber));
    equal = code.op<arith::OrIOp>(equal, code.op<arith::AndIOp>(aNaN, bNaN));
  }
  Value earlier = code.op<arith::CmpIOp>(arith::CmpIPredicate::slt, ai, bi);
  return code.op<arith::OrIOp>(wins, code.op<arith::AndIOp>(equal, earlier));
}

/// One more number, and its bits, in a state that holds them apart. A NaN is not better than any number.
static void takeApart(Code &code, Combine combine, MutableArrayRef<Value> state, Value number, Value most, Value all) {
  auto better = combine == Combine::Max ? arith::CmpFPredicate::OGT : arith::CmpFPredicate::OLT;
  state[0] = code.op<arith::SelectOp>(code.op<arith::CmpFOp>(better, number, state[0]), number, state[0]);
  state[1] = code.op<arith::MaxSIOp>(state[1], most);
  state[2] = code.op<arith::MaxUIOp>(state[2], all);
}

/// What such a state stands for. Bits of a NaN without a sign are beyond infinity's, with one beyond those of minus
/// infinity. Where the result is a zero all others are on its one side, so that the bits tell whether one of the zeros
/// has the sign that wins.
static Value putTogether(Code &code, Combine combine, ArrayRef<Value> state) {
  auto bits = [&](uint32_t value) { return code.constantInt(state[1].getType(), static_cast<int32_t>(value)); };
  auto is = [&](arith::CmpIPredicate predicate, Value a, uint32_t b) {
    return code.op<arith::CmpIOp>(predicate, a, bits(b));
  };
  Type type = state[0].getType();
  Value minus = is(arith::CmpIPredicate::slt, state[combine == Combine::Max ? 1 : 2], 0);
  Value zero = code.op<arith::SelectOp>(minus, code.constant(type, -0.0), code.constant(type, 0));
  Value isZero = code.op<arith::CmpFOp>(arith::CmpFPredicate::OEQ, state[0], code.constant(type, 0));
  Value number = code.op<arith::SelectOp>(isZero, zero, state[0]);
  Value isNaN = code.op<arith::OrIOp>(is(arith::CmpIPredicate::sgt, state[1], 0x7f800000),
                                      is(arith::CmpIPredicate::ugt, state[2], 0xff800000));
  return code.op<arith::SelectOp>(isNaN, code.constant(type, std::numeric_limits<double>::quiet_NaN()), number);
}

void Accumulator::step(Emitter &e, MutableArrayRef<Value> state, Value element, ArrayRef<Index> at,
                       const Mask &mask) const {
  Code &code = e.code;
  bool vectors = isa<VectorType>(state[0].getType());
  if (vectors)
    element = e.vector(element);
  Value lanes = vectors ? e.laneMask(mask) : mask.uniform;
  if (op->code != OpCode::ArgReduce) {
    // The neutral element stands in for lanes that are off: then the combination needs no second select.
    if (lanes) {
      Value neutral = e.neutral(op->combine, dtype);
      element = code.op<arith::SelectOp>(lanes, element, vectors ? code.splat(neutral, e.width) : neutral);
    }
    if (apart) {
      Value bits = e.bitcast(element, KILN_I32);
      return takeApart(code, op->combine, state, element, bits, bits);
    }
    state[0] = e.combine(op->combine, state[0], element, dtype);
    return;
  }
  Value index = e.positions(at[position]);
  if (vectors)
    index = e.vector(index);
  Value first = precedes(e, *op, dtype, element, index, state[0], state[1]);
  if (lanes)
    first = code.op<arith::AndIOp>(first, lanes);
  state[0] = code.op<arith::SelectOp>(first, element, state[0]);
  state[1] = code.op<arith::SelectOp>(first, index, state[1]);
}

void Accumulator::merge(Emitter &e, MutableArrayRef<Value> into, ArrayRef<Value> from) const {
  if (apart)
    return takeApart(e.code, op->combine, into, from[0], from[1], from[2]);
  if (op->code != OpCode::ArgReduce) {
    into[0] = e.combine(op->combine, into[0], from[0], dtype);
    return;
  }
  Value first = precedes(e, *op, dtype, from[0], from[1], into[0], into[1]);
  into[0] = e.code.op<arith::SelectOp>(first, from[0], into[0]);
  into[1] = e.code.op<arith::SelectOp>(first, from[1], into[1]);
}

void Accumulator::horizontal(Emitter &e, MutableArrayRef<Value> state) const {
  auto type = dyn_cast<VectorType>(state[0].getType());
  if (!type)
    return;
  for (int64_t lanes = type.getNumElements(); lanes > 1; lanes /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < lanes / 2; ++i)
      low.push_back(i), high.push_back(i + lanes / 2);
    SmallVector<Value, 2> upper;
    for (Value &v : state) {
      upper.push_back(e.code.op<vector::ShuffleOp>(v, v, high));
      v = e.code.op<vector::ShuffleOp>(v, v, low);
    }
    merge(e, state, upper);
  }
  for (Value &v : state)
    v = e.code.lane(v, 0);
}

Value Accumulator::result(Emitter &e, ArrayRef<Value> state) const {
  if (apart)
    return putTogether(e.code, op->combine, state);
  if (op->code != OpCode::ArgReduce)
    return state[0];
  return e.convert(state[1], KILN_I64, e.graph.type(op->results[0]).dtype);
}

//===-- Loops ----------------------------------------------------------------------------------------------------===//

States vectorLoop(Emitter &e, Value begin, Value end, int64_t unroll, States states,
                  llvm::function_ref<void(const Index &, const Mask &, MutableArrayRef<Value>)> body,
                  std::optional<int64_t> given) {
  Code &code = e.code;
  int64_t width = e.width, carried = static_cast<int64_t>(states.size()) / unroll, block = unroll * width;
  auto copy = [&](MutableArrayRef<Value> all, int64_t i) {
    return all.slice(static_cast<size_t>(i * carried), static_cast<size_t>(carried));
  };
  auto position = [&](Value base) { return e.at(base, 1, width); };
  Value count = given ? code.integer(*given) : code.sub(end, begin);
  auto known = Code::known(count);
  Value mainEnd = code.add(begin, code.sub(count, code.rem(count, code.integer(block))));
  if (!known || *known >= block) {
    auto step = [&](Value iv, MutableArrayRef<Value> state) {
      for (int64_t i = 0; i < unroll; ++i)
        body(position(code.add(iv, code.integer(i * width))), {}, copy(state, i));
    };
    if (known && *known < 2 * block) {
      step(begin, states);
    } else {
      states = code.loop(begin, mainEnd, block, states, [&](Value iv, ValueRange in) {
        States state(in.begin(), in.end());
        step(iv, state);
        return state;
      });
    }
  }
  if (known && *known % block == 0)
    return states;
  // What is left: fewer vectors than a block, the last one partial. All go through the mask, into the first copy.
  auto last = [&](Value iv, MutableArrayRef<Value> state) {
    Mask mask;
    if (!known || *known % width != 0)
      mask.lanes = code.firstLanes(code.sub(end, iv), width);
    body(position(iv), mask, state);
  };
  if (known && *known % block <= width) {
    last(mainEnd, copy(states, 0));
    return states;
  }
  States first(states.begin(), states.begin() + carried);
  first = code.loop(mainEnd, end, width, first, [&](Value iv, ValueRange in) {
    States state(in.begin(), in.end());
    last(iv, state);
    return state;
  });
  std::copy(first.begin(), first.end(), states.begin());
  return states;
}

void nest(Emitter &e, ArrayRef<Extent> shape, Indices prefix,
          llvm::function_ref<void(ArrayRef<Index>, const Mask &)> body) {
  Cascade(e, {}, 1, /*vectors=*/true)
      .nest(shape, e.code.integer(0), shape.empty() ? Value() : e.extent(shape[0]), prefix, {},
            [&](ArrayRef<Index> at, const Mask &mask, MutableArrayRef<Value>) { body(at, mask); });
}

//===-- Cascades -------------------------------------------------------------------------------------------------===//

/// How many are added up one behind the other; four times as many are not cut yet (the row of a norm stays one loop).
static constexpr int64_t chainLength = 16, uncut = 4;

Cascade::Cascade(Emitter &e, ArrayRef<Accumulator> accumulators, int64_t copies, bool vectors)
    : e(e), accumulators(accumulators), copies(copies), vectors(vectors),
      rounds(llvm::any_of(accumulators, [](const Accumulator &one) {
        return one.op->code == OpCode::Reduce && isFloat(one.dtype) &&
               (one.op->combine == Combine::Sum || one.op->combine == Combine::Prod);
      })) {}

States Cascade::fresh() const {
  States states;
  for (int64_t i = 0; i < copies; ++i)
    for (const Accumulator &accumulator : accumulators)
      accumulator.start(e, vectors, states);
  return states;
}

void Cascade::merge(MutableArrayRef<Value> into, ArrayRef<Value> from) const {
  for (int64_t i = 0; i < copies; ++i)
    for (const Accumulator &accumulator : accumulators) {
      accumulator.merge(e, into.take_front(accumulator.size()), from.take_front(accumulator.size()));
      into = into.drop_front(accumulator.size());
      from = from.drop_front(accumulator.size());
    }
}

void Cascade::finish(MutableArrayRef<Value> states) const {
  size_t carried = states.size() / static_cast<size_t>(copies), first = 0;
  for (const Accumulator &accumulator : accumulators) {
    auto copy = [&](int64_t i) { return states.slice(static_cast<size_t>(i) * carried + first, accumulator.size()); };
    for (int64_t distance = copies / 2; distance > 0; distance /= 2)
      for (int64_t i = 0; i < distance; ++i)
        accumulator.merge(e, copy(i), copy(i + distance));
    accumulator.horizontal(e, copy(0));
    first += accumulator.size();
  }
}

// [begin, end), of at most `bound` elements, in blocks with sums of their own, these in blocks again, until a run makes
// no more than four times `chain` steps.
States Cascade::over(Value begin, Value end, std::optional<int64_t> count, int64_t bound, int64_t step, int64_t chain,
                     States states, Run run) const {
  Code &code = e.code;
  int64_t steps = llvm::divideCeil(bound, step);
  if (!rounds || steps <= uncut * chain)
    return run(begin, end, count, states);
  int64_t block = step * static_cast<int64_t>(llvm::alignTo(llvm::divideCeil(steps, chainLength), chain));
  bool whole = count && *count % block == 0;
  return code.loop(begin, end, block, states, [&](Value iv, ValueRange in) {
    States into(in.begin(), in.end());
    Value next = code.add(iv, code.integer(block));
    merge(into, over(iv, whole ? next : code.min(next, end), whole ? std::optional(block) : std::nullopt, block, step,
                     chain, fresh(), run));
    return into;
  });
}

States Cascade::places(Value begin, Value end, int64_t bound, int64_t additions, States states,
                       llvm::function_ref<States(Value, States)> body) const {
  int64_t chain = std::max<int64_t>(chainLength / additions, 1);
  return over(begin, end, Code::known(e.code.sub(end, begin)), bound, 1, chain, states,
              [&](Value from, Value to, std::optional<int64_t>, States inner) {
                return States(e.code.loop(from, to, 1, inner, [&](Value iv, ValueRange in) {
                  return body(iv, States(in.begin(), in.end()));
                }));
              });
}

States Cascade::nest(ArrayRef<Extent> shape, Value begin, Value end, Indices prefix, States states,
                     llvm::function_ref<void(ArrayRef<Index>, const Mask &, MutableArrayRef<Value>)> body) const {
  if (shape.empty()) {
    body(prefix, {}, states);
    return states;
  }
  if (shape.size() > 1 && shape.back().isOne()) // lanes run along the last dimension that is wider than one
    return nest(shape.drop_back(), begin, end, prefix, states,
                [&](ArrayRef<Index> at, const Mask &mask, MutableArrayRef<Value> state) {
                  Indices position(at.begin(), at.end());
                  position.push_back(e.zero());
                  body(position, mask, state);
                });
  int64_t block = copies * e.width;
  if (shape.size() == 1)
    return over(begin, end, Code::known(e.code.sub(end, begin)), e.graph.bound(shape[0]), block, chainLength, states,
                [&](Value from, Value to, std::optional<int64_t> count, States inner) {
                  return vectorLoop(
                      e, from, to, copies, inner,
                      [&](const Index &at, const Mask &mask, MutableArrayRef<Value> state) {
                        Indices position = prefix;
                        position.push_back(at);
                        body(position, mask, state);
                      },
                      count);
                });
  int64_t additions = llvm::divideCeil(e.graph.bound(shape.back()), block);
  for (const Extent &extent : shape.drop_front().drop_back())
    additions *= std::max<int64_t>(e.graph.bound(extent), 1);
  return places(begin, end, e.graph.bound(shape[0]), std::max<int64_t>(additions, 1), states,
                [&](Value iv, States inner) {
                  Indices position = prefix;
                  position.push_back(e.at(iv));
                  return nest(shape.drop_front(), e.code.integer(0), e.extent(shape[1]), position, inner, body);
                });
}

} // namespace kiln::cpu
