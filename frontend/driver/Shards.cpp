// A recipe whose batch is to be cut: its loss once more, for any number of rows.

#include "frontend/driver/Compile.h"

#include "ir/Bounds.h"
#include "ir/Kiln.h"
#include "ir/PerShard.h"
#include "ir/Places.h"
#include "passes/support/Stages.h"

#include "absl/strings/str_cat.h"
#include "mlir/IR/Builders.h"

namespace kiln {

/// Names the symbols of the loss's batches. What is wrong with its inputs; empty where nothing is.
static std::string nameBatches(mlir::func::FuncOp loss) {
  mlir::Builder builder(loss.getContext());
  Bounds bounds = boundsOf(loss);
  llvm::SmallVector<mlir::Attribute> names;
  for (mlir::BlockArgument argument : loss.getArguments()) {
    auto input = loss.getArgAttrOfType<mlir::StringAttr>(argument.getArgNumber(), "kiln.input");
    if (!input)
      continue;
    llvm::SmallVector<Dim> dims = dimsOf(argument);
    std::string batch = dims.empty() ? "" : dims[0].str();
    if ((batch != "N" && !batch.starts_with("N.")) || !bounds.contains(batch))
      return absl::StrCat("--shards: '", input.getValue().str(),
                          "' cannot be cut: all fields of its data should begin with the number of the batch's rows");
    mlir::Attribute name = builder.getStringAttr(batch);
    if (!llvm::is_contained(names, name))
      names.push_back(name);
  }
  loss->setAttr("kiln.batches", builder.getArrayAttr(names));
  return "";
}

/// Where a loss has statistics of each shard by itself, a sentence that says so.
static std::string noteOwn(mlir::func::FuncOp loss) {
  std::string note;
  loss.walk([&](mlir::Operation *op) {
    if (!op->hasAttr(perShard))
      return mlir::WalkResult::advance();
    note = absl::StrCat("note: with --shards each shard has statistics of its own (per_shard, as batch norms have), as "
                        "in PyTorch's DistributedDataParallel: other losses than without it; the first are of ",
                        locationText(op->getLoc()), "\n");
    return mlir::WalkResult::interrupt();
  });
  return note;
}

absl::Status Compilation::loadShards() {
  if (llvm::StringRef(options_.file).ends_with(".mlir"))
    return absl::InvalidArgumentError(
        absl::StrCat("--shards ", options_.shards, ": ", options_.file, " is no model's text, which it reads twice"));
  if (absl::Status text = loadText(); !text.ok())
    return text;
  if (!module_) // all of a file are looked at
    return absl::InvalidArgumentError(
        absl::StrCat("--shards ", options_.shards, ": ", options_.file, " has several models; name one with --model"));
  if (!(*module_)->hasAttr("kiln.train"))
    return absl::InvalidArgumentError(
        absl::StrCat("--shards ", options_.shards, ": ", options_.file, " has no recipe whose batches could be cut"));
  mlir::OwningOpRef<mlir::ModuleOp> whole = std::move(module_);
  absl::Status loaded = loadText(/*openBatches=*/true); // with the same warnings
  if (!loaded.ok()) {
    absl::StrAppend(&renderedText_, "note: with --shards the number of a batch's rows is a symbol, N: its shards have "
                                    "fewer; without it the model has no error\n");
    return loaded;
  }
  mlir::OwningOpRef<mlir::ModuleOp> open = std::move(module_);
  module_ = std::move(whole);
  mlir::Builder builder(context_.get());
  for (const Stage &stage : stagesOf(*module_)) {
    auto loss = open->lookupSymbol<mlir::func::FuncOp>("loss.train" + stage.suffix);
    auto train = module_->lookupSymbol<mlir::func::FuncOp>("loss.train" + stage.suffix);
    if (!loss || !train)
      return absl::InternalError("--shards: the recipe has no loss");
    if (std::string why = nameBatches(loss); !why.empty())
      return absl::InvalidArgumentError(why);
    if (!llvm::StringRef(renderedText_).contains("(per_shard")) // said once
      renderedText_ += noteOwn(loss);
    loss->moveAfter(train);
    loss.setName("loss.shard" + stage.suffix);
    mlir::NamedAttrList fields(stage.train);
    fields.set("shards", builder.getI64IntegerAttr(options_.shards));
    setTrain(*module_, stage.suffix, fields.getDictionary(context_.get()));
  }
  return absl::OkStatus();
}

} // namespace kiln
