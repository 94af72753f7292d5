// a @ b, as numpy's matmul.
#include "frontend/language/Elaborate.h"
#include "ir/Infer.h"

namespace kiln::language {

/// Repeats both along leading axes until these are the same; `origins` gets theirs.
static bool broadcastLeading(Elaborator &e, Value &a, Value &b, int64_t batch, Range range, Range leftRange,
                             Range rightRange, Origins &origins) {
  auto leading = [&](const Value &value) {
    llvm::SmallVector<Dim> dims = dimsOf(value.tensor);
    std::vector<Dim> lead(static_cast<size_t>(batch) + 2 - dims.size(), Dim(1));
    lead.insert(lead.end(), dims.begin(), dims.end() - 2);
    return lead;
  };
  std::vector<Dim> la = leading(a), lb = leading(b), result;
  for (int64_t i = 0; i < batch; ++i) {
    result.push_back(la[i] == Dim(1) ? lb[i] : la[i]);
    if (lb[i] != Dim(1) && lb[i] != result[i]) {
      Diagnostic &diagnostic =
          e.error(range, "the leading axes of " + typeName(a.tensor.getType()) + " and " +
                             typeName(b.tensor.getType()) + " do not agree: " + la[i].str() + " is not " + lb[i].str());
      diagnostic.note(leftRange, "this is " + typeName(a.tensor.getType()));
      diagnostic.note(rightRange, "this is " + typeName(b.tensor.getType()));
      return false;
    }
    int64_t ia = i - (batch - (a.rank() - 2)), ib = i - (batch - (b.rank() - 2));
    origins.push_back({ia >= 0 && a.originOf(ia) ? a.originOf(ia) : ib >= 0 ? b.originOf(ib) : Range()});
  }
  for (Value *value : {&a, &b}) {
    llvm::SmallVector<Dim> dims = dimsOf(value->tensor);
    std::vector<Dim> wanted = result;
    wanted.insert(wanted.end(), dims.end() - 2, dims.end());
    value->tensor = e.emit(range).broadcastTrailing(value->tensor, wanted);
  }
  return true;
}

Value Elaborator::matmul(const Value &left, const Value &right, Range range, Range leftRange, Range rightRange) {
  if (!left.isTensor() || !right.isTensor() || left.rank() == 0 || right.rank() == 0) {
    error(range,
          "'@' multiplies tensors with at least one axis; these are " + describe(left) + " and " + describe(right));
    return Value::error();
  }
  Value a = left, b = right;
  mlir::Type ea = a.tensorType().getElementType(), eb = b.tensorType().getElementType();
  if (ea != eb || ea.isInteger(1)) {
    error(range, "'@' multiplies tensors of one dtype; these are " + describe(left) + " and " + describe(right))
        .withHelp("convert one of them: x.to(f32)");
    return Value::error();
  }
  llvm::SmallVector<Dim> da = dimsOf(a.tensor), db = dimsOf(b.tensor);
  int64_t ra = da.size(), rb = db.size();
  int64_t contractA = ra - 1, contractB = rb > 1 ? rb - 2 : 0;
  if (da[contractA] != db[contractB]) {
    Diagnostic &diagnostic = error(range, "'@' wants " + typeName(a.tensor.getType()) + "'s last axis to agree with " +
                                              typeName(b.tensor.getType()) + (rb > 1 ? "'s last but one: " : "'s: ") +
                                              da[contractA].str() + " is not " + db[contractB].str());
    diagnostic.note(leftRange, "this is " + typeName(a.tensor.getType()));
    diagnostic.note(rightRange, "this is " + typeName(b.tensor.getType()));
    noteDim(diagnostic, da[contractA], a.originOf(contractA));
    noteDim(diagnostic, db[contractB], b.originOf(contractB));
    if (rb > 1 && da[contractA] == db[rb - 1])
      diagnostic.withHelp("did you mean the transpose, `" + std::string(leftRange.text()) + " @ " +
                          std::string(rightRange.text()) + ".T`?");
    return Value::error();
  }
  // Leading axes broadcast. Where only one side has them, they are free axes of that side and need no repeating.
  int64_t batch = ra > 2 && rb > 2 ? std::max(ra, rb) - 2 : 0;
  Emit e = emit(range);
  Origins origins;
  if (batch > 0) {
    if (!broadcastLeading(*this, a, b, batch, range, leftRange, rightRange, origins))
      return Value::error();
    da = dimsOf(a.tensor);
    db = dimsOf(b.tensor);
    ra = static_cast<int64_t>(da.size());
    rb = static_cast<int64_t>(db.size());
    contractA = ra - 1;
    contractB = rb - 2;
  }
  DotAxes axes;
  for (int64_t i = 0; i < batch; ++i) {
    axes.lhsBatch.push_back(i);
    axes.rhsBatch.push_back(i);
  }
  axes.lhsContract.push_back(contractA);
  axes.rhsContract.push_back(contractB);
  mlir::Value result = e.dot(a.tensor, b.tensor, axes);
  for (int64_t i = batch; i < ra - 1; ++i)
    origins.push_back({batch ? left.originOf(left.rank() - 2) : a.originOf(i)});
  for (int64_t i = batch; i < rb; ++i)
    if (i != contractB)
      origins.push_back({batch ? right.originOf(right.rank() - 1) : b.originOf(i)});
  // [.., m, k] @ [.., k, n] with leading axes on the right alone: the product has m in front of them.
  if (batch == 0 && rb > 2) {
    int64_t free = ra - 1, rank = free + rb - 1;
    std::vector<int64_t> permutation;
    for (int64_t i = 0; i < rb - 2; ++i)
      permutation.push_back(free + i);
    for (int64_t i = 0; i < free; ++i)
      permutation.push_back(i);
    permutation.push_back(rank - 1);
    result = e.transposed(result, permutation);
    Origins moved;
    for (int64_t axis : permutation)
      moved.push_back(origins[axis]);
    origins = std::move(moved);
  }
  return Value::tensorOf(result, std::make_shared<Origins>(std::move(origins)));
}

} // namespace kiln::language
