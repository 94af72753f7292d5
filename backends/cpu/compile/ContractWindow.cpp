// Convolutions without copying windows.
//
// A task copies the part of the padded, dilated image that its columns see, once. Column n of the right operand is then
// a position in that copy, and row k lies at an offset of its own from there: the micro-kernel takes a table of
// offsets. Rows of the copy are longer than the result's by what a window reaches beyond its first position; columns in
// between are computed and dropped.
#include "backends/cpu/compile/ContractLowering.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace kiln::cpu {

/// The table of offsets in bytes, one for each k, in the worker's scratch.
void ContractLowering::fillOffsets(Emitter &e) const {
  Code &code = e.code;
  Value table = e.workerScratch(offsetsArea);
  code.loop(code.integer(0), e.elements(c.k), 1, [&](Value k) {
    Indices at = e.indicesOfRow(c.k, k);
    Value offset = code.mul(at[0].base, code.integer(rightStride));
    for (size_t d = 0; d < c.window->pitches.size(); ++d)
      offset = code.add(offset, code.mul(at[1 + d].base, code.integer(c.window->pitches[d])));
    code.store(code.mul(offset, code.integer(bytes)), code.address(table, k, 8), 8);
  });
}

void ContractLowering::packWindow(Emitter &e, const Block &block) const {
  Code &code = e.code;
  Value right = e.workerScratch(rightArea);
  Value end = code.add(block.n1, code.integer(c.window->reach));
  code.loop(code.integer(0), e.extent(c.window->channels), 1, [&](Value channel) {
    Value to = code.address(right, code.mul(channel, code.integer(rightStride)), bytes);
    Indices first(c.k.size(), e.zero());
    first[0] = e.at(channel);
    Position k(c.k, e.at(code.mul(channel, code.integer(c.window->taps))), first);
    forEachRun(e, c.window->padded, /*inRows=*/true, block.n0, end,
               [&](Value n, const Position &position, Value limit) {
                 Mask mask{code.firstLanes(code.sub(limit, n), t.lanes), {}};
                 Value element = e.vector(c.right.element(e, block.batch, position, k, mask));
                 code.store(element, code.address(to, code.sub(n, block.n0), bytes), bytes);
               });
  });
}

/// finishRows where columns are positions in the padded image.
void ContractLowering::finishWindow(Emitter &e, ArrayRef<Index> batch, Value m, Value rows, Value n, Value columns,
                                    Value from, int64_t stride) const {
  Code &code = e.code;
  const Contraction::Window &window = *c.window;
  Shape outer(window.padded.begin(), window.padded.end() - 1);
  Value length = e.extent(window.padded.back()), limit = code.add(n, columns);
  code.loop(code.integer(0), rows, 1, [&](Value r) {
    Value sumsOfRow = code.address(from, code.mul(r, code.integer(stride)), bytes);
    code.loop(code.div(n, length), code.ceilDiv(limit, length), 1, [&](Value row) {
      Value begin = code.mul(row, length);
      Value end = code.min(limit, code.add(begin, code.integer(window.pixels.back())));
      Indices position = e.indicesOfRow(outer, row);
      for (size_t d = 1; d < position.size(); ++d) // rows between two of the result's planes
        end = code.op<arith::SelectOp>(
            code.compare(arith::CmpIPredicate::slt, position[d].base, code.integer(window.pixels[d])), end,
            code.integer(0));
      code.loop(code.max(n, begin), end, t.lanes, [&](Value first) {
        Value sums = code.loadHere(vectorType(e), code.address(sumsOfRow, code.sub(first, n), bytes), bytes);
        Indices dims = position;
        dims.push_back(e.at(code.sub(first, begin), 1));
        finish(e, batch, code.add(m, r), Position(c.n, e.at(first, 1), dims), end, sums);
      });
    });
  });
}

} // namespace kiln::cpu
