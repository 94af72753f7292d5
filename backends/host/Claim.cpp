#include "backends/host/Storage.h"

#include "passes/Fuse/Alias.h"
#include "passes/Fuse/Parts.h"
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
static mlir::FailureOr<std::pair<KernelForm, Answer *>> lookUp(GroupOp group, const plan::Bounds &bounds,
                                                               OwnedProgram::Storage &storage) {
  mlir::Attribute aliases = group->removeAttr("kiln.alias");
  mlir::FailureOr<KernelForm> form = formKernel(group, bounds, storage.pool);
  if (aliases)
    group->setAttr("kiln.alias", aliases);
  if (mlir::failed(form))
    return mlir::failure();
  auto found = storage.answers.find(form->key);
  Answer *answer = found == storage.answers.end() ? nullptr : &found->second;
  return std::make_pair(std::move(*form), answer);
}

static mlir::LogicalResult ask(GroupOp group, KernelForm &form, const Backend &backend, const kiln_target &target,
                               OwnedProgram::Storage &storage, Answer &answer) {
  std::string error;
  form.kernel.name = storage.pool.string("k");
  if (!backend.claim(form.kernel, target, answer, error))
    return group.emitError() << error;
  if (!answer.whole(form.kernel.op_count))
    storage.refusals.push_back((group.getKind() + form.title).str() + " at " + locationText(group.getLoc()) + ": " +
                               answer.reason());
  return mlir::success();
}

// The ops of the group that the backend's parts name. A kernel's first ops are its loop counters, which the group has
// as arguments: whoever reads them has them.
static mlir::FailureOr<llvm::SmallVector<fuse::OpSet>> partsOf(GroupOp group, const KernelForm &form,
                                                               const Answer &answer, const Backend &backend) {
  llvm::SmallVector<mlir::Operation *> ops;
  for (mlir::Operation &op : group.getBody().front().without_terminator())
    ops.push_back(&op);
  size_t counters = form.kernel.op_count - ops.size();
  llvm::SmallVector<fuse::OpSet> parts;
  for (const Answer::Part &part : answer.parts) {
    fuse::OpSet set;
    for (uint32_t number : part.ops)
      if (number >= counters)
        set.insert(ops[number - counters]);
    if (!fuse::isClosed(set))
      return group.emitError() << "the backend " << backend.name()
                               << " took a set of ops that is not closed: a value leaves it and comes back";
    if (!set.empty())
      parts.push_back(std::move(set));
  }
  return parts;
}

// Into the parts that the backend takes, or, where it takes none, into smaller groups.
static mlir::LogicalResult split(GroupOp group, const plan::Bounds &bounds, const Backend &backend,
                                 OwnedProgram::Storage &storage) {
  auto found = lookUp(group, bounds, storage);
  const Answer &answer = *found->second;
  if (!answer.parts.empty()) {
    auto parts = partsOf(group, found->first, answer, backend);
    if (mlir::failed(parts))
      return mlir::failure();
    if (!parts->empty() && fuse::splitGroup(group, *parts))
      return mlir::success();
  }
  mlir::Operation *op = &group.getBody().front().getOperations().back();
  if (mlir::Operation *previous = op->getPrevNode())
    op = previous;
  std::string name = op->getName().stripDialect().str();
  if (!splitGroup(group))
    return op->emitError() << "the backend " << backend.name() << " takes no '" << name
                           << "' of this form: " << answer.reason();
  return mlir::success();
}

mlir::LogicalResult claimGroups(mlir::func::FuncOp function, const Backend &backend, const kiln_target &target,
                                OwnedProgram::Storage &storage) {
  plan::Bounds bounds = boundsOf(function);
  for (bool again = true; again;) {
    llvm::SmallVector<GroupOp> groups, refused;
    function.walk([&](GroupOp group) { groups.push_back(group); });
    for (GroupOp group : groups) {
      auto found = lookUp(group, bounds, storage);
      if (mlir::failed(found))
        return mlir::failure();
      Answer *answer = found->second;
      if (!answer) {
        answer = &storage.answers[found->first.key];
        if (mlir::failed(ask(group, found->first, backend, target, storage, *answer)))
          return mlir::failure();
      }
      if (!answer->whole(found->first.kernel.op_count))
        refused.push_back(group);
    }
    for (GroupOp group : refused)
      if (mlir::failed(split(group, bounds, backend, storage)))
        return mlir::failure();
    again = !refused.empty();
  }
  return mlir::success();
}

int64_t claimedScratch(GroupOp group, OwnedProgram::Storage &storage) {
  plan::Bounds bounds = boundsOf(group->getParentOfType<mlir::func::FuncOp>());
  auto found = lookUp(group, bounds, storage);
  bool taken = mlir::succeeded(found) && found->second && !found->second->parts.empty();
  return taken ? found->second->parts.front().scratchBytes : 0;
}

} // namespace kiln::host
