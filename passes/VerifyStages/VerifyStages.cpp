// One check for each stage, and the table that names them.

#include "passes/VerifyStages/VerifyStages.h"

#include "passes/Fuse/Verify.h"
#include "passes/Place/Place.h"
#include "passes/PlanMemory/PlanMemory.h"
#include "passes/support/Entries.h"
#include "passes/support/Stages.h"

#include "ir/Kiln.h"

#include "llvm/ADT/StringSet.h"

namespace kiln {

#define GEN_PASS_DEF_VERIFYSTAGES
#include "passes/VerifyStages/VerifyStages.h.inc"

using llvm::StringRef;
using mlir::LogicalResult;
using mlir::func::FuncOp;

namespace {

/// The names of a list of the module's (`kiln.parameters`); nullopt where it has none: modules by hand need none.
std::optional<llvm::StringSet<>> declared(mlir::ModuleOp module, StringRef list) {
  auto entries = module->getAttrOfType<mlir::ArrayAttr>(list);
  if (!entries)
    return std::nullopt;
  llvm::StringSet<> names;
  for (auto entry : entries.getAsRange<mlir::DictionaryAttr>())
    names.insert(entry.getAs<mlir::StringAttr>("name").getValue());
  return names;
}

LogicalResult verifyDeclared(FuncOp function, StringRef role, StringRef list) {
  std::optional<llvm::StringSet<>> names = declared(function->getParentOfType<mlir::ModuleOp>(), list);
  if (!names)
    return mlir::success();
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (auto name = function.getArgAttrOfType<mlir::StringAttr>(i, role); name && !names->contains(name.getValue()))
      return function.emitError() << "'" << name.getValue() << "' is not among the module's " << list;
  return mlir::success();
}

/// A result that carries a role and a name has the type of the argument that carries `of` and the same name.
LogicalResult verifyTypes(FuncOp function, StringRef role, StringRef of) {
  for (unsigned result = 0; result < function.getNumResults(); ++result) {
    auto name = function.getResultAttrOfType<mlir::StringAttr>(result, role);
    for (unsigned i = 0; name && i < function.getNumArguments(); ++i)
      if (function.getArgAttrOfType<mlir::StringAttr>(i, of) == name &&
          function.getArgumentTypes()[i] != function.getResultTypes()[result])
        return function.emitError() << "result " << result << " is " << role << " '" << name.getValue()
                                    << "' and has another type than argument " << i;
  }
  return mlir::success();
}

LogicalResult imported(FuncOp function) {
  if (!function.getBody().hasOneBlock())
    return function.emitError() << "a function has one block";
  if (function.walk([](GradientOp) { return mlir::WalkResult::interrupt(); }).wasInterrupted())
    return function.emitError() << "derivatives have been expanded";
  if (mlir::failed(verifyDeclared(function, "kiln.parameter", "kiln.parameters")))
    return mlir::failure();
  return verifyDeclared(function, "kiln.state", "kiln.states");
}

/// A model with a recipe has the function, for each of them.
LogicalResult trains(mlir::ModuleOp module, StringRef name) {
  for (const Stage &stage : stagesOf(module))
    if (std::string of = name.str() + stage.suffix; !module.lookupSymbol<FuncOp>(of))
      return module.emitError() << "there is a kiln.train and no @" << of;
  return mlir::success();
}

LogicalResult differentiated(FuncOp function) { return verifyTypes(function, "kiln.gradient", "kiln.parameter"); }

LogicalResult stepped(FuncOp function) {
  if (mlir::failed(imported(function)) || mlir::failed(verifyTypes(function, "kiln.parameter", "kiln.parameter")))
    return mlir::failure();
  return verifyTypes(function, "kiln.state", "kiln.state");
}

/// What a stage promises: of the module, and of each function that has a body, or only of the program's entries.
struct Promise {
  StringRef stage;
  LogicalResult (*module)(mlir::ModuleOp);
  LogicalResult (*function)(FuncOp);
  bool entriesAlone = false;
};

const Promise promises[] = {
    {"import", nullptr, imported},
    {"store-weights", nullptr, imported},
    {"differentiate", [](mlir::ModuleOp module) { return trains(module, "grad"); }, differentiated},
    {"train-step", [](mlir::ModuleOp module) { return trains(module, "train_step"); }, stepped},
    {"decompose", nullptr, verifyPrimitives},
    {"simplify", nullptr, verifyPrimitives},
    {"narrow", nullptr, verifyPrimitives},
    {"row-blocks", nullptr, verifyPrimitives},
    {"checkpoint", nullptr, verifyPrimitives},
    {"skip", nullptr, verifyPrimitives},
    {"rematerialize", nullptr, verifyPrimitives},
    {"fuse", nullptr, verifyFused},
    {"claim", nullptr, claim::verifyClaimed, true},
    {"place", nullptr, place::verifyPlaced, true},
    {"plan", nullptr, verifyPlanned, true},
};

struct VerifyStages : impl::VerifyStagesBase<VerifyStages> {
  using VerifyStagesBase::entries, VerifyStagesBase::stage;
  using VerifyStagesBase::VerifyStagesBase;
  void runOnOperation() override {
    if (mlir::failed(verifyStage(stage, getOperation(), llvm::to_vector<4>(entries))))
      return signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace

LogicalResult verifyStage(StringRef stage, mlir::ModuleOp module, llvm::ArrayRef<std::string> entries) {
  const Promise *promise = llvm::find_if(promises, [&](const Promise &one) { return one.stage == stage; });
  if (promise == std::end(promises))
    return module.emitError() << "there is no stage '" << stage << "' that promises anything";
  LogicalResult result = promise->module ? promise->module(module) : mlir::success();
  for (FuncOp function : promise->entriesAlone ? entriesOf(module, entries) : llvm::to_vector(module.getOps<FuncOp>()))
    if (!function.isExternal() && mlir::failed(promise->function(function)))
      result = mlir::failure();
  if (mlir::failed(result)) // the errors name what; this one, who left it so
    module.emitError() << "this is not what the stage '" << stage << "' promises to the next, a mistake in Kiln";
  return result;
}

std::unique_ptr<mlir::Pass> createVerifyStages(StringRef stage, llvm::ArrayRef<std::string> entries) {
  auto pass = std::make_unique<VerifyStages>();
  pass->stage = stage.str();
  pass->entries = entries;
  return pass;
}

} // namespace kiln
