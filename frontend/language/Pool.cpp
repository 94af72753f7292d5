// Which means a loss is made of, found by looking at its last ops.

#include "frontend/language/Pool.h"

#include "ir/Build.h"

#include "mlir/IR/IRMapping.h"

namespace kiln::language {

namespace {

bool isConstant(mlir::Value value) { return value.getDefiningOp<ConstantOp>() != nullptr; }

bool isScalar(mlir::Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()).getRank() == 0; }

/// A sum over the batch, or a count: two batches together have the sum of both.
bool isSum(mlir::Value value) {
  mlir::Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (auto reduce = llvm::dyn_cast<ReduceOp>(op))
    return reduce.getKind() == ReduceKind::sum && isScalar(value);
  if (llvm::isa<ExtentOp>(op))
    return true;
  if (llvm::isa<AddOp, SubOp>(op))
    return isSum(op->getOperand(0)) && isSum(op->getOperand(1));
  if (llvm::isa<NegOp, ConvertOp>(op))
    return isSum(op->getOperand(0));
  // max(count, 1) guards a division.
  if (llvm::isa<MulOp, DivOp, MaxOp>(op) && isConstant(op->getOperand(1)))
    return isSum(op->getOperand(0));
  return llvm::isa<MulOp>(op) && isConstant(op->getOperand(0)) && isSum(op->getOperand(1));
}

/// The divisor where a value is a ratio of sums: x / n, or x * (c / n), as means over open dimensions are written.
mlir::Value divisorOf(mlir::Value value) {
  auto from = [](mlir::Value sum, mlir::Value divisor) { return isSum(sum) && isSum(divisor) ? divisor : nullptr; };
  if (auto div = value.getDefiningOp<DivOp>())
    return from(div.getLhs(), div.getRhs());
  if (auto mul = value.getDefiningOp<MulOp>())
    if (auto reciprocal = mul.getRhs().getDefiningOp<DivOp>(); reciprocal && isConstant(reciprocal.getLhs()))
      return from(mul.getLhs(), reciprocal.getRhs());
  return nullptr;
}

/// A number computed from numbers alone, by floats and what is compared among them.
bool isScalarOp(mlir::Operation *op) {
  if (!op || op->getNumOperands() == 0 || op->getNumResults() != 1 || op->getNumRegions() || !mlir::isPure(op))
    return false;
  for (mlir::Value operand : op->getOperands()) {
    bool isFloat = llvm::isa<mlir::FloatType>(mlir::getElementTypeOrSelf(operand));
    if (!isScalar(operand) || !(isFloat || isConstant(operand) || isScalarOp(operand.getDefiningOp())))
      return false;
  }
  return isScalar(op->getResult(0));
}

struct Part {
  mlir::Value value, weight; // no weight: the number of examples
};

/// The parts of some results, and the ops that make the results of them.
class Parts {
public:
  explicit Parts(Dim examples) : examples_(std::move(examples)) {}

  void collect(mlir::Value value) {
    if (isConstant(value) || !seen_.insert(value).second)
      return;
    mlir::Value divisor = divisorOf(value);
    if (!divisor && isScalarOp(value.getDefiningOp())) {
      bool affine = isAffine(value.getDefiningOp());
      for (mlir::Value operand : value.getDefiningOp()->getOperands())
        collect(operand);
      plain_ &= affine;
      ops_.push_back(value.getDefiningOp()); // after those that it uses
      return;
    }
    if (auto extent = divisor ? divisor.getDefiningOp<ExtentOp>() : nullptr) {
      std::optional<Dim> each = extent.getExpr().dims()[0].exactDiv(examples_);
      if (each && each->isConstant())
        divisor = nullptr;
    }
    plain_ &= !divisor;
    list_.push_back({value, divisor});
  }

  /// Are the results right when they are averaged over the batches by examples?
  bool isPlain() const { return plain_; }
  llvm::ArrayRef<Part> list() const { return list_; }
  llvm::ArrayRef<mlir::Operation *> ops() const { return ops_; }

private:
  static bool isAffine(mlir::Operation *op) {
    if (llvm::isa<AddOp, SubOp, NegOp>(op))
      return true;
    if (llvm::isa<DivOp>(op))
      return isConstant(op->getOperand(1));
    return llvm::isa<MulOp>(op) && (isConstant(op->getOperand(0)) || isConstant(op->getOperand(1)));
  }

  Dim examples_;
  llvm::DenseSet<mlir::Value> seen_;
  llvm::SmallVector<Part> list_;
  llvm::SmallVector<mlir::Operation *> ops_;
  bool plain_ = true;
};

/// The batch's size: the leading extent of the first input, as the runtime counts examples.
Dim examplesOf(mlir::func::FuncOp eval) {
  for (mlir::BlockArgument argument : eval.getArguments())
    if (eval.getArgAttr(argument.getArgNumber(), "kiln.input") && !isScalar(argument))
      return dimsOf(argument)[0];
  return Dim(1);
}

using Role = std::pair<mlir::StringRef, mlir::Attribute>;

void addResults(mlir::func::FuncOp eval, llvm::ArrayRef<mlir::Value> values, llvm::ArrayRef<Role> roles) {
  mlir::MLIRContext *context = eval.getContext();
  llvm::SmallVector<mlir::DictionaryAttr> attributes;
  for (unsigned i = 0; i < eval.getNumResults(); ++i)
    attributes.push_back(eval.getResultAttrDict(i));
  for (const Role &role : roles)
    attributes.push_back(mlir::DictionaryAttr::get(
        context, mlir::NamedAttribute(mlir::StringAttr::get(context, role.first), role.second)));
  mlir::Operation *end = eval.front().getTerminator();
  end->insertOperands(end->getNumOperands(), values);
  eval.setFunctionType(mlir::FunctionType::get(context, eval.getArgumentTypes(), end->getOperandTypes()));
  eval.removeResAttrsAttr(); // the old list has the old length
  eval.setAllResultAttrs(attributes);
}

} // namespace

void poolResults(mlir::ModuleOp module, mlir::func::FuncOp eval, llvm::StringRef suffix) {
  mlir::Operation *end = eval.front().getTerminator();
  Parts parts(examplesOf(eval));
  llvm::SmallVector<unsigned> results;
  for (unsigned i = 0; i < end->getNumOperands(); ++i)
    if (eval.getResultAttr(i, "kiln.loss") || eval.getResultAttr(i, "kiln.metric"))
      results.push_back(i);
  for (unsigned i : results)
    parts.collect(end->getOperand(i));
  if (parts.isPlain())
    return;

  mlir::OpBuilder b = mlir::OpBuilder::atBlockEnd(module.getBody());
  llvm::SmallVector<mlir::Type> types;
  llvm::SmallVector<mlir::Value> values;
  llvm::SmallVector<Role> roles;
  for (const Part &part : parts.list()) {
    mlir::StringAttr name = b.getStringAttr(std::to_string(types.size()));
    types.push_back(part.value.getType());
    values.push_back(part.value);
    roles.emplace_back("kiln.part", name);
    if (!part.weight)
      continue;
    values.push_back(part.weight);
    roles.emplace_back("kiln.weight", name);
  }
  auto pool = b.create<mlir::func::FuncOp>(eval.getLoc(), (poolName + suffix).str(), b.getFunctionType(types, {}));
  b.setInsertionPointToStart(pool.addEntryBlock());
  mlir::IRMapping map;
  for (auto [part, argument] : llvm::zip(parts.list(), pool.getArguments())) {
    map.map(part.value, argument);
    pool.setArgAttr(argument.getArgNumber(), "kiln.input", b.getStringAttr(std::to_string(argument.getArgNumber())));
  }
  auto constant = [&](mlir::Value value) {
    if (isConstant(value) && !map.contains(value))
      b.clone(*value.getDefiningOp(), map);
  };
  for (mlir::Operation *op : parts.ops()) {
    llvm::for_each(op->getOperands(), constant);
    b.clone(*op, map);
  }
  llvm::SmallVector<mlir::Value> pooled;
  for (unsigned i : results) {
    constant(end->getOperand(i));
    pooled.push_back(map.lookup(end->getOperand(i)));
  }
  b.create<mlir::func::ReturnOp>(eval.getLoc(), pooled);
  pool.setFunctionType(b.getFunctionType(types, mlir::ValueRange(pooled).getTypes()));
  for (auto [at, i] : llvm::enumerate(results))
    for (mlir::StringRef role : {"kiln.loss", "kiln.metric"})
      if (mlir::Attribute attribute = eval.getResultAttr(i, role))
        pool.setResultAttr(at, role, attribute);
  addResults(eval, values, roles);
}

} // namespace kiln::language
