#include "backends/host/Storage.h"

#include "passes/Fuse/Alias.h"
#include "passes/Fuse/Fuse.h"

namespace kiln::host {

static plan::Bounds boundsOf(mlir::func::FuncOp function) {
  plan::Bounds bounds;
  if (auto dictionary = function->getAttrOfType<mlir::DictionaryAttr>("kiln.bounds"))
    for (mlir::NamedAttribute bound : dictionary)
      bounds[bound.getName().str()] = llvm::cast<mlir::IntegerAttr>(bound.getValue()).getInt();
  return bounds;
}

// The cached answer for a group's kernel, or null where the backend has not been asked.
static mlir::FailureOr<std::pair<KernelForm, Claim *>> lookUp(GroupOp group, const plan::Bounds &bounds,
                                                              OwnedProgram::Storage &storage) {
  mlir::Attribute aliases = group->removeAttr("kiln.alias");
  mlir::FailureOr<KernelForm> form = formKernel(group, bounds, storage.pool);
  if (aliases)
    group->setAttr("kiln.alias", aliases);
  if (mlir::failed(form))
    return mlir::failure();
  auto found = storage.claims.find(form->key);
  Claim *claim = found == storage.claims.end() ? nullptr : &found->second;
  return std::make_pair(std::move(*form), claim);
}

static mlir::LogicalResult ask(GroupOp group, KernelForm &form, const kiln_compile_api &backend,
                               const kiln_target &target, OwnedProgram::Storage &storage, Claim &claim) {
  kiln_claim answer = {};
  kiln_error error = {};
  form.kernel.name = storage.pool.string("k");
  if (backend.claim(&form.kernel, &target, &answer, &error) != 0)
    return group.emitError() << "the backend failed: " << error.message;
  claim = {answer.accepted != 0, answer.reason, answer.scratch_bytes};
  if (!claim.accepted)
    storage.refusals.push_back((group.getKind() + form.title).str() + " at " + locationText(group.getLoc()) + ": " +
                               claim.reason);
  return mlir::success();
}

mlir::LogicalResult claimGroups(mlir::func::FuncOp function, const kiln_compile_api &backend, const kiln_target &target,
                                OwnedProgram::Storage &storage) {
  plan::Bounds bounds = boundsOf(function);
  llvm::SmallVector<GroupOp> groups;
  for (bool again = true; again;) {
    again = false;
    groups.clear();
    function.walk([&](GroupOp group) { groups.push_back(group); });
    llvm::SmallVector<GroupOp> refused;
    for (GroupOp group : groups) {
      auto found = lookUp(group, bounds, storage);
      if (mlir::failed(found))
        return mlir::failure();
      Claim *claim = found->second;
      if (!claim) {
        claim = &storage.claims[found->first.key];
        if (mlir::failed(ask(group, found->first, backend, target, storage, *claim)))
          return mlir::failure();
      }
      if (!claim->accepted)
        refused.push_back(group);
    }
    for (GroupOp group : refused) {
      auto found = lookUp(group, bounds, storage);
      mlir::Operation *op = &group.getBody().front().getOperations().back();
      if (mlir::Operation *previous = op->getPrevNode())
        op = previous;
      std::string reason = found->second->reason;
      std::string name = op->getName().stripDialect().str();
      if (!splitGroup(group))
        return op->emitError() << "the backend takes no '" << name << "' of this form: " << reason;
      again = true;
    }
  }
  return mlir::success();
}

int64_t claimedScratch(GroupOp group, OwnedProgram::Storage &storage) {
  plan::Bounds bounds = boundsOf(group->getParentOfType<mlir::func::FuncOp>());
  auto found = lookUp(group, bounds, storage);
  return mlir::succeeded(found) && found->second ? found->second->scratchBytes : 0;
}

} // namespace kiln::host
