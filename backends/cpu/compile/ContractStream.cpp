// Few rows times a matrix that lies along N: tasks take stretches of its rows.

#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;

namespace kiln::cpu {

void ContractLowering::streamTask(Emitter &e, Value task) const {
  Code &code = e.code;
  Sizes s = sizes(e);
  Block block = blockOf(e, s, task);
  Value sums = e.workerScratch(sumsArea), none = code.integer(0), columns = code.sub(block.n1, block.n0);
  auto apart = [&](const Contraction::Operand &operand, const Extent &stride) {
    return code.mul(e.extent(stride), code.integer(byteSize(operand.memory)));
  };
  auto call = [&](int64_t rows) {
    callStream(code,
               {c.accumulator, rows, streamedDepth(builder.machine, rows), t.lanes, c.left.memory, c.right.memory},
               plainPointer(e, c.left, block.batch, none, none), apart(c.left, c.left.freeStride),
               plainPointer(e, c.right, block.batch, block.n0, none), apart(c.right, c.right.kStride), sums,
               code.integer(rightStride * bytes), columns, s.k);
  };
  // A function for each number of rows that there may be.
  bool constant = isConstant(c.m);
  std::function<void(int64_t)> choose = [&](int64_t rows) {
    if (constant || rows == 1)
      return call(rows);
    Value is = code.compare(arith::CmpIPredicate::eq, s.m, code.integer(rows));
    code.ifElse(is, [&] { call(rows); }, [&] { choose(rows - 1); });
  };
  choose(t.mc);
  finishRows(e, block.batch, none, s.m, block.n0, columns, t.nc, sums, rightStride);
}

} // namespace kiln::cpu
