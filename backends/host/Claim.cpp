#include "backends/host/Claim.h"
#include "backends/host/Cost.h"

#include "passes/Fuse/Alias.h"
#include "passes/Fuse/Fuse.h"
#include "passes/Fuse/Parts.h"

#include "llvm/Support/FormatVariadic.h"

namespace kiln::host {

static plan::Bounds boundsOf(mlir::func::FuncOp function) {
  plan::Bounds bounds;
  if (auto dictionary = function->getAttrOfType<mlir::DictionaryAttr>("kiln.bounds"))
    for (mlir::NamedAttribute bound : dictionary)
      bounds[bound.getName().str()] = llvm::cast<mlir::IntegerAttr>(bound.getValue()).getInt();
  return bounds;
}

static constexpr llvm::StringLiteral targetName = "kiln.target", reasonName = "kiln.target_reason";

uint32_t targetOf(GroupOp group) {
  auto number = group->getAttrOfType<mlir::IntegerAttr>(targetName);
  return number ? static_cast<uint32_t>(number.getInt()) : 0;
}

// The kernel's extents in this group's launch, at the bounds. (A kernel may be shared by launches of any size.)
static std::vector<int64_t> extentsOf(const KernelForm &form, const plan::Bounds &bounds) {
  std::vector<int64_t> extents;
  for (const Dim &dim : form.extents)
    extents.push_back(plan::upperBound(dim, bounds).value_or(1));
  return extents;
}

// Why an operand is too large for the target; empty where none is.
static std::string tooLarge(const KernelForm &form, const std::vector<int64_t> &extents, int64_t limit) {
  const kiln_kernel &kernel = form.kernel;
  for (size_t i = 0; limit > 0 && i < kernel.input_count + kernel.output_count; ++i) {
    uint32_t value = i < kernel.input_count ? kernel.inputs[i] : kernel.outputs[i - kernel.input_count];
    if (double bytes = bytesOf(kernel, value, extents); bytes > static_cast<double>(limit))
      return llvm::formatv("an operand of {0:f0} bytes, where the backend's limit is {1}: a smaller batch or --bound "
                           "makes it fit",
                           bytes, limit)
          .str();
  }
  return "";
}

// From the answers kept, else from the backend itself.
mlir::FailureOr<Asked> ask(GroupOp group, uint32_t target, const plan::Bounds &bounds, OwnedProgram::Storage &storage) {
  mlir::FailureOr<KernelForm> form = formKernel(group, bounds, storage.pool);
  if (mlir::failed(form))
    return mlir::failure();
  std::vector<int64_t> extents = extentsOf(*form, bounds);
  std::string large = tooLarge(*form, extents, storage.capabilities[target].maxBindingBytes);
  auto [found, isNew] =
      storage.answers.try_emplace(std::to_string(target) + (large.empty() ? ":" : " too large:") + form->key);
  Answer &answer = found->second;
  if (isNew) {
    const Target &at = storage.targets[target];
    std::string error;
    form->kernel.name = storage.pool.string("k");
    if (!large.empty())
      answer.refusals.push_back({KILN_NONE, large});
    else if (!at.backend->claim(form->kernel, at.target, answer, error))
      return group.emitError() << error;
    if (!answer.whole(form->kernel.op_count))
      storage.refusals.push_back((group.getKind() + form->title).str() + " at " + locationText(group.getLoc()) +
                                 (target ? ", by " + at.backend->name() : std::string()) + ": " + answer.reason());
  }
  return Asked{std::move(*form), std::move(extents), &answer};
}

// The ops of the group that the backend's parts name. A kernel's first ops are its loop counters, which the group has
// as arguments: whoever reads them has them.
static mlir::FailureOr<llvm::SmallVector<fuse::OpSet>> partsOf(GroupOp group, const Asked &asked,
                                                               const Backend &backend) {
  llvm::SmallVector<mlir::Operation *> ops;
  for (mlir::Operation &op : group.getBody().front().without_terminator())
    ops.push_back(&op);
  size_t counters = asked.form.kernel.op_count - ops.size();
  llvm::SmallVector<fuse::OpSet> parts;
  for (const Answer::Part &part : asked.answer->parts) {
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

void place(GroupOp group, uint32_t target, llvm::StringRef reason) {
  mlir::Builder builder(group.getContext());
  group->setAttr(targetName, builder.getI64IntegerAttr(target));
  group->setAttr(reasonName, builder.getStringAttr(reason));
}

// To the first of the other targets that takes it as it is.
static mlir::LogicalResult placeElsewhere(GroupOp group, const std::string &reason, const plan::Bounds &bounds,
                                          OwnedProgram::Storage &storage) {
  std::string reasons = storage.targets[0].backend->name() + ": " + reason;
  for (uint32_t target = 1; target < storage.targets.size(); ++target) {
    mlir::FailureOr<Asked> asked = ask(group, target, bounds, storage);
    if (mlir::failed(asked))
      return mlir::failure();
    if (asked->whole()) {
      place(group, target, reason);
      return mlir::success();
    }
    reasons += "; " + storage.targets[target].backend->name() + ": " + asked->answer->reason();
  }
  mlir::Operation *op = &group.getBody().front().getOperations().back();
  if (mlir::Operation *previous = op->getPrevNode())
    op = previous;
  return op->emitError() << "no backend takes '" << op->getName().stripDialect() << "' of this form (" << reasons
                         << ")";
}

// Into the parts that the first target takes, or, where it takes none, into smaller groups, or elsewhere.
static mlir::LogicalResult refused(GroupOp group, const plan::Bounds &bounds, OwnedProgram::Storage &storage) {
  mlir::FailureOr<Asked> asked = ask(group, 0, bounds, storage);
  if (mlir::failed(asked))
    return mlir::failure();
  if (!asked->answer->parts.empty()) {
    auto parts = partsOf(group, *asked, *storage.targets[0].backend);
    if (mlir::failed(parts))
      return mlir::failure();
    if (!parts->empty() && fuse::splitGroup(group, *parts))
      return mlir::success();
  }
  std::string reason = asked->answer->reason();
  return splitGroup(group) ? mlir::success() : placeElsewhere(group, reason, bounds, storage);
}

// A loop or a branch is on one target as a whole: where one of its kernels is elsewhere, all of them go there.
static mlir::LogicalResult unifyControl(mlir::func::FuncOp function, const plan::Bounds &bounds,
                                        OwnedProgram::Storage &storage) {
  for (mlir::Operation &op : function.getBody().front()) {
    if (!llvm::isa<ScanOp, IfOp, WhileOp>(op))
      continue;
    uint32_t target = 0;
    std::string reason;
    op.walk([&](GroupOp group) {
      if (uint32_t other = targetOf(group); other > target) {
        target = other;
        reason = group->getAttrOfType<mlir::StringAttr>(reasonName).getValue().str();
      }
    });
    if (target == 0)
      continue;
    mlir::WalkResult all = op.walk([&](GroupOp group) -> mlir::WalkResult {
      mlir::FailureOr<Asked> asked = ask(group, target, bounds, storage);
      if (mlir::failed(asked))
        return mlir::WalkResult::interrupt();
      if (!asked->whole())
        return group.emitError() << "this loop cannot be on one backend: " << storage.targets[0].backend->name() << ": "
                                 << reason << "; " << storage.targets[target].backend->name() << ": "
                                 << asked->answer->reason();
      if (targetOf(group) != target)
        place(group, target, "in a loop with: " + reason);
      return mlir::WalkResult::advance();
    });
    if (all.wasInterrupted())
      return mlir::failure();
  }
  return mlir::success();
}

mlir::LogicalResult claimGroups(mlir::func::FuncOp function, OwnedProgram::Storage &storage) {
  plan::Bounds bounds = boundsOf(function);
  for (bool again = true; again;) {
    llvm::SmallVector<GroupOp> groups, refusedGroups;
    function.walk([&](GroupOp group) { groups.push_back(group); });
    for (GroupOp group : groups) {
      if (targetOf(group) != 0)
        continue;
      mlir::FailureOr<Asked> asked = ask(group, 0, bounds, storage);
      if (mlir::failed(asked))
        return mlir::failure();
      if (!asked->whole())
        refusedGroups.push_back(group);
    }
    for (GroupOp group : refusedGroups)
      if (mlir::failed(refused(group, bounds, storage)))
        return mlir::failure();
    again = !refusedGroups.empty();
  }
  if (mlir::failed(unifyControl(function, bounds, storage)))
    return mlir::failure();
  return settleElsewhere(function, bounds, storage);
}

mlir::FailureOr<int64_t> claimedScratch(GroupOp group, OwnedProgram::Storage &storage) {
  plan::Bounds bounds = boundsOf(group->getParentOfType<mlir::func::FuncOp>());
  mlir::FailureOr<Asked> asked = ask(group, targetOf(group), bounds, storage);
  if (mlir::failed(asked))
    return mlir::failure();
  if (!asked->whole())
    return group.emitError() << "the backend " << storage.targets[targetOf(group)].backend->name()
                             << " takes this kernel, but not with a result in an operand's memory: "
                             << asked->answer->reason();
  return asked->answer->parts.front().scratchBytes;
}

std::string placementReason(GroupOp group) {
  auto reason = group->getAttrOfType<mlir::StringAttr>(reasonName);
  return reason ? reason.getValue().str() : std::string();
}

} // namespace kiln::host
