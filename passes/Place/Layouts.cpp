// Operands brought into the order in memory that their kernel's claimant asks for.

#include "passes/Place/Layouts.h"

#include "ir/Kiln.h"
#include "passes/Fuse/Cluster.h"
#include "passes/Fuse/Donation.h"

#include <map>

namespace kiln::place {

using Order = llvm::SmallVector<int64_t>;

namespace {
class Arranger {
public:
  Arranger(mlir::func::FuncOp function, claim::Claimants claimants) : function(function), claimants(claimants) {}

  mlir::LogicalResult arrange(GroupOp group);

private:
  mlir::FailureOr<mlir::Value> arranged(mlir::Value value, const Order &order, uint32_t target);
  mlir::Value asArgument(mlir::Value value, const Order &order);
  mlir::FailureOr<mlir::Value> asKernel(mlir::Value value, const Order &order, uint32_t target);

  mlir::func::FuncOp function;
  claim::Claimants claimants;
  std::map<std::pair<void *, std::vector<int64_t>>, mlir::Value> made;
};
} // namespace

static mlir::RankedTensorType permuted(mlir::Value value, const Order &order) {
  llvm::SmallVector<Dim> dims;
  for (int64_t axis : order)
    dims.push_back(dimsOf(value)[static_cast<size_t>(axis)]);
  return tensorType(dims, llvm::cast<mlir::RankedTensorType>(value.getType()).getElementType());
}

static Order inverseOf(const Order &order) {
  Order inverse(order.size());
  for (auto [to, from] : llvm::enumerate(order))
    inverse[static_cast<size_t>(from)] = static_cast<int64_t>(to);
  return inverse;
}

/// A parameter that the function only reads comes as one more argument, which the program's runtime arranges when the
/// parameter has changed. Null where the value is something else.
mlir::Value Arranger::asArgument(mlir::Value value, const Order &order) {
  auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
  if (!argument || argument.getOwner() != &function.getBody().front())
    return {};
  auto name = function.getArgAttrOfType<mlir::StringAttr>(argument.getArgNumber(), "kiln.parameter");
  if (!name || llvm::is_contained(donations(function), static_cast<int>(argument.getArgNumber())))
    return {};
  mlir::Builder builder(function.getContext());
  unsigned number = function.getNumArguments();
  mlir::NamedAttribute attributes[] = {builder.getNamedAttr("kiln.arranged", name),
                                       builder.getNamedAttr("kiln.order", builder.getDenseI64ArrayAttr(order))};
  function.insertArgument(number, permuted(value, order), builder.getDictionaryAttr(attributes), value.getLoc());
  return function.getArgument(number);
}

/// A kernel of its own, right behind the value. Null where nobody takes it.
mlir::FailureOr<mlir::Value> Arranger::asKernel(mlir::Value value, const Order &order, uint32_t target) {
  mlir::OpBuilder builder(function.getContext());
  builder.setInsertionPointAfterValue(value);
  auto transpose = builder.create<TransposeOp>(value.getLoc(), permuted(value, order), value, order);
  GroupOp group = claim::alone(transpose);
  transpose.erase();
  group.setShape(fuse::shapeOf(group).value_or(GroupShape::any));
  bool within = group->getParentOp() != function; // all of a loop is one claimant's
  for (uint32_t other = 0; other < claimants.size(); ++other) {
    uint32_t number = other == 0 ? target : other == target ? 0 : other; // the target first
    mlir::FailureOr<claim::Answer> answer = claimants[number]->claim(group);
    if (mlir::failed(answer))
      return mlir::failure();
    if (answer->whole) {
      claim::assign(group, number, number == target ? "" : "it arranges what " + claimants[target]->name() + " reads");
      return group.getResult(0);
    }
    if (within)
      break;
  }
  group.erase();
  return mlir::Value();
}

mlir::FailureOr<mlir::Value> Arranger::arranged(mlir::Value value, const Order &order, uint32_t target) {
  mlir::Value &found = made[{value.getAsOpaquePointer(), std::vector<int64_t>(order.begin(), order.end())}];
  if (!found)
    found = asArgument(value, order);
  if (found)
    return found;
  mlir::FailureOr<mlir::Value> kernel = asKernel(value, order, target);
  if (mlir::succeeded(kernel))
    found = *kernel;
  return kernel;
}

mlir::LogicalResult Arranger::arrange(GroupOp group) {
  uint32_t target = claim::targetOf(group).value_or(0);
  mlir::FailureOr<claim::Answer> answer = claimants[target]->claim(group);
  if (mlir::failed(answer))
    return mlir::failure();
  if (!answer->whole || answer->layouts.empty())
    return mlir::success();
  mlir::OpBuilder builder(group);
  auto copy = llvm::cast<GroupOp>(builder.clone(*group));
  copy->removeAttr("kiln.formed"); // it is another kernel
  mlir::Block &body = copy.getBody().front();
  llvm::SmallVector<std::pair<unsigned, mlir::Value>> inputs;
  for (const auto &[operand, order] : answer->layouts) {
    mlir::BlockArgument argument = body.getArgument(operand);
    mlir::RankedTensorType plain = llvm::cast<mlir::RankedTensorType>(argument.getType());
    builder.setInsertionPointToStart(&body);
    auto back = builder.create<TransposeOp>(group.getLoc(), plain, argument, inverseOf(order));
    argument.replaceAllUsesExcept(back, back);
    argument.setType(permuted(group->getOperand(operand), order));
  }
  copy.setShape(fuse::shapeOf(copy).value_or(GroupShape::any));
  // Whether it is taken so is asked before anything is made for it.
  mlir::FailureOr<claim::Answer> again = claimants[target]->claim(copy);
  bool taken = mlir::succeeded(again) && again->whole;
  for (const auto &[operand, order] : answer->layouts) {
    if (!taken)
      break;
    mlir::FailureOr<mlir::Value> value = arranged(group->getOperand(operand), order, target);
    if (mlir::failed(value))
      return mlir::failure();
    taken &= static_cast<bool>(*value);
    inputs.push_back({operand, *value});
  }
  if (!taken) { // it stays as it was
    copy.erase();
    return again;
  }
  for (const auto &[operand, value] : inputs)
    copy->setOperand(operand, value);
  group.replaceAllUsesWith(copy.getResults());
  group.erase();
  return mlir::success();
}

mlir::LogicalResult arrangeOperands(mlir::func::FuncOp function, claim::Claimants claimants) {
  llvm::SmallVector<GroupOp> groups;
  function.walk([&](GroupOp group) { groups.push_back(group); });
  Arranger arranger(function, claimants);
  for (GroupOp group : groups)
    if (mlir::failed(arranger.arrange(group)))
      return mlir::failure();
  return mlir::success();
}

} // namespace kiln::place
