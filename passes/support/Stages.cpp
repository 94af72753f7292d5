#include "passes/support/Stages.h"

namespace kiln {

using mlir::DictionaryAttr;

static std::string suffixOf(DictionaryAttr stage) {
  auto name = stage.getAs<mlir::StringAttr>("name");
  return name ? "." + name.getValue().str() : "";
}

llvm::SmallVector<Stage> stagesOf(mlir::ModuleOp module) {
  llvm::SmallVector<Stage> stages;
  if (auto train = module->getAttrOfType<DictionaryAttr>("kiln.train"))
    stages.push_back({train, ""});
  if (auto others = module->getAttrOfType<mlir::ArrayAttr>("kiln.stages"))
    for (auto stage : others.getAsRange<DictionaryAttr>())
      if (auto train = stage.getAs<DictionaryAttr>("train"))
        stages.push_back({train, suffixOf(stage)});
  return stages;
}

void setTrain(mlir::ModuleOp module, llvm::StringRef suffix, DictionaryAttr train) {
  if (suffix.empty())
    return module->setAttr("kiln.train", train), void();
  llvm::SmallVector<mlir::Attribute> stages;
  for (auto stage : module->getAttrOfType<mlir::ArrayAttr>("kiln.stages").getAsRange<DictionaryAttr>()) {
    mlir::NamedAttrList fields(stage);
    if (stage.getAs<DictionaryAttr>("train") && suffixOf(stage) == suffix)
      fields.set("train", train);
    stages.push_back(fields.getDictionary(module.getContext()));
  }
  module->setAttr("kiln.stages", mlir::ArrayAttr::get(module.getContext(), stages));
}

} // namespace kiln
