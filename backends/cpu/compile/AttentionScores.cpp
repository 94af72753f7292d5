// What becomes of scores: numbers added, a soft cap, masks.
//
// With a cap a query is scaled by scale / cap, so that its products are what tanh is taken of; in the pass that masks
// the scores they are bent. The backward half bends them once more, and its slopes are times 1 - tanh^2.

#include "backends/cpu/compile/Attention.h"
#include "backends/cpu/compile/VectorMath.h"
#include <limits>

using namespace mlir;

namespace kiln::cpu {

double AttentionLowering::scoreScale() const { return op.softcap > 0 ? op.scale / op.softcap : op.scale; }

Value AttentionLowering::bent(Code &code, Value score) const {
  return op.softcap > 0 ? emitFunction(code, OpCode::Tanh, score) : score;
}

Value AttentionLowering::capped(Code &code, Value bent) const {
  return op.softcap > 0 ? code.here<arith::MulFOp>(bent, code.constant(bent.getType(), op.softcap)).getResult() : bent;
}

Value AttentionLowering::unbent(Code &code, Value slope, Value bent) const {
  if (!(op.softcap > 0))
    return slope;
  Value square = code.here<arith::MulFOp>(bent, bent);
  return code.here<arith::MulFOp>(slope, code.here<arith::SubFOp>(code.constant(bent.getType(), 1.0), square));
}

void AttentionLowering::scoresOfPanel(Emitter &e, const Task &task, const Panel &panel, Value before) const {
  Code &code = e.code;
  Value to = at(e, e.workerScratch(scores), panel.begin, 0), keys = code.sub(panel.limit, panel.begin);
  if (form.biased) { // it lies there when the product is added to it
    Value from = code.address(pointer(e, bias, task, panel.first), panel.begin, bytes);
    packPanel(e, from, apart(e, bias), panel.count, keys, to);
  }
  Area left = place(e, keyRows, form.width);
  left.base = code.address(left.base, code.mul(before, code.integer(left.stride)), bytes);
  multiplyRows(e, left, {e.workerScratch(queryPanel), columns}, {to, columns}, keys, task.width, form.biased);
}

Value AttentionLowering::shown(Emitter &e, Indices place, Value exists) const {
  for (auto [index, dim] : llvm::zip(place, graph.type(form.mask).dims))
    if (dim.isOne())
      index = e.zero();
  return e.vector(e.value(form.mask, place, Mask{exists, {}}));
}

Value AttentionLowering::hidden(Emitter &e, const Task &task, const Panel &panel, Value key, int64_t vector,
                                bool diagonal) const {
  Code &code = e.code;
  Value result;
  Value first = code.add(panel.first, code.integer(vector * lanes));
  if (diagonal && op.causal) {
    Value ahead = code.sub(key, code.add(task.offset, first)); // of lane 0's own place
    result = code.firstLanes(ahead, lanes);
    if (op.slidingWindow) { // lanes from ahead + window on have it behind their window
      Value near = code.firstLanes(code.add(ahead, code.integer(op.slidingWindow)), lanes);
      Value behind = code.op<arith::XOrIOp>(near, code.constantInt(near.getType(), 1));
      result = code.op<arith::OrIOp>(result, behind);
    }
  }
  if (form.masked) {
    Value exists = code.firstLanes(code.sub(panel.count, code.integer(vector * lanes)), lanes);
    Value seen = shown(e, {e.at(task.batch), e.at(task.head), e.at(first, 1), e.at(key)}, exists);
    Value masked = code.op<arith::XOrIOp>(seen, code.constantInt(seen.getType(), 1));
    result = result ? code.op<arith::OrIOp>(result, masked) : masked;
  }
  return result;
}

Value AttentionLowering::masked(Emitter &e, const Task &task, const Panel &panel, Value key, int64_t vector,
                                bool diagonal, Value score) const {
  Value lanesHidden = hidden(e, task, panel, key, vector, diagonal);
  if (!lanesHidden)
    return score;
  Value lowest = e.code.constant(vectorType(e), -std::numeric_limits<double>::infinity());
  return e.code.here<arith::SelectOp>(lanesHidden, lowest, score);
}

} // namespace kiln::cpu
