// Weights that are packed once: an operand whose memory outlasts an execution has panels, or slivers, that do, too
// (kiln_cpu_prepacking).
//
// A kernel's last argument says where they are, and is null where there are none: then the operand is packed as any
// other. Both ways the same elements lie in the same order, and the same tiles are summed in the same order, so that
// the bits of a result do not tell which way it took.
#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::SmallVector;

namespace kiln::cpu {

/// Elements of the right operand's packed panels.
int64_t ContractLowering::sizeOfPanels(const ContractExtents &bounds) const {
  return bounds.batch * ceilDivide(bounds.n, t.tileColumns()) * roundUp(bounds.k, t.lanes) * t.tileColumns();
}

/// Elements of the left operand's packed slivers.
int64_t ContractLowering::sizeOfSlivers(const ContractExtents &bounds) const {
  return roundUp(bounds.m, t.tileRows) * (roundUp(bounds.k, t.lanes) + (lines ? 0 : t.lanes));
}

/// Whether a product that would pack nothing (few rows) had better read panels that are packed before a loop around it.
/// Packing takes about eleven multiply-adds an element, and saves a sixth of one for each row.
bool ContractLowering::packsBeforeLoop(const ContractExtents &bounds) const {
  Lasting enough = bounds.m < 8 ? Lasting::InLongLoop : Lasting::InLoop;
  return builder.lasts(c.right.plainInput, enough) && c.plainFor(c.right, false) && c.right.memory == c.accumulator &&
         c.operandType == c.accumulator && isConstant(c.k) && isConstant(c.n) && isConstant(c.batch) &&
         c.n.size() <= 1 && !c.window && bounds.n > builder.width();
}

void ContractLowering::choosePrepacked(const ContractExtents &bounds) {
  if (builder.prepacking || t.method != Method::Tile || !isConstant(c.k))
    return;
  auto lasts = [&](const Contraction::Operand &operand) {
    bool wider = byteSize(operand.memory) * (pairs ? 2 : 1) < bytes; // more memory than the operand itself takes
    return builder.isLasting(operand.plainInput) && c.plainFor(operand, pairs) && !wider;
  };
  bool packed = t.right != RightMode::Window && t.right != RightMode::Direct && !t.unfold && columns.size() <= 1;
  prepackedRight = packed && lasts(c.right) && isConstant(columns) && isConstant(c.batch);
  prepackedLeft = !prepackedRight && lines && !c.turned && t.chunks == 1 && lasts(c.left) && isConstant(c.m) &&
                  (c.batch.empty() || c.leftForAllBatches);
  if (!prepackedRight && !prepackedLeft)
    return;
  const Contraction::Operand &operand = prepackedRight ? c.right : c.left;
  int64_t size = (prepackedRight ? sizeOfPanels(bounds) : sizeOfSlivers(bounds)) * bytes;
  bool inLoop =
      builder.lasts(operand.plainInput, Lasting::InLoop) || builder.lasts(operand.plainInput, Lasting::InLongLoop);
  if (!builder.machine.takes("packed once", size > leastPrepacked || inLoop)) {
    prepackedRight = prepackedLeft = false;
    return;
  }
  Prepacking &prepacking = builder.prepacking.emplace();
  prepacking.input = operand.plainInput;
  prepacking.bytes = size;
  // All that the bytes and their order follow from.
  llvm::raw_string_ostream layout(prepacking.layout);
  layout << dtypeName(operand.memory) << " as " << dtypeName(this->packed) << ", " << bounds.k << " by "
         << operand.kStride.factor << ", ";
  if (prepackedLeft) {
    layout << bounds.m << " rows by " << operand.freeStride.factor << " in " << t.tileRows << " of " << t.rowUnit
           << ", blocks of " << t.kc << ", lines of " << t.lanes;
    return;
  }
  layout << bounds.n << " columns by " << operand.freeStride.factor << " in " << t.tileColumns() << ", " << t.lanes;
  for (auto [extent, stride] : llvm::zip(c.batch, operand.batchStrides))
    layout << ", " << extent.factor << " by " << stride.factor;
}

/// Of a phase's function, the number of the argument that says where the run side has the operand packed.
static size_t prepackedArgument(const Emitter &e) { return e.graph.inputs.size() + e.graph.outputs.size(); }

Value isPrepacked(Emitter &e) {
  int64_t last = static_cast<int64_t>(prepackedArgument(e));
  Value address = e.code.load(e.code.i64, e.code.address(e.arguments.args, e.code.integer(last), 8), 8);
  return e.code.compare(arith::CmpIPredicate::ne, address, e.code.integer(0));
}

void ContractLowering::unlessPrepacked(Emitter &e, bool maybe, llvm::function_ref<void()> pack) const {
  if (!maybe)
    return pack();
  e.code.ifElse(isPrepacked(e), [] {}, pack);
}

Value sharedBase(Emitter &e, bool maybe, bool shared, int64_t area) {
  if (!maybe)
    return e.scratch(area);
  Value prepacked = e.input(prepackedArgument(e));
  return shared ? e.code.op<arith::SelectOp>(isPrepacked(e), prepacked, e.scratch(area)) : prepacked;
}

/// What lies packed from there on, in groups of so many bytes (one for each line of a tile's rows), fetched while the
/// tile of this number, of so many, is summed: a part of it from end to end, which processors follow.
Ahead ContractLowering::fetchPacked(Emitter &e, Value from, int64_t group, Value tile, Value tiles, Value more) const {
  Code &code = e.code;
  Value line = code.integer(64),
        count = code.ceilDiv(code.integer(ceilDivide(group, 64)), code.max(tiles, code.integer(1)));
  Value share = code.mul(count, code.integer(ceilDivide(t.kc, t.lanes)));
  return {code.address(from, code.mul(tile, share), 64), line, code.op<arith::SelectOp>(more, count, code.integer(0)),
          code.mul(count, line)};
}

Ahead ContractLowering::prepackedOr(Emitter &e, const Ahead &there, const Ahead &here) const {
  Code &code = e.code;
  Value prepacked = isPrepacked(e), none = code.integer(0);
  auto choose = [&](Value a, Value b) { return code.op<arith::SelectOp>(prepacked, a, b); };
  if (!here.from)
    return {there.from, there.apart, choose(there.count, none), there.step};
  return {choose(there.from, here.from), choose(there.apart, here.apart), choose(there.count, here.count),
          choose(there.step, here.step), here.second ? choose(none, here.second) : Value()};
}

} // namespace kiln::cpu
