// Other files for a recipe's data.
#include "frontend/driver/DataPaths.h"

#include "frontend/driver/DataNames.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

#include <set>

namespace kiln {

namespace {

class DataPaths {
public:
  DataPaths(mlir::MLIRContext *context, std::vector<std::pair<std::string, std::string>> paths)
      : b_(context), paths_(std::move(paths)) {
    // What is said of one recipe ("finetune.data") prevails.
    auto dots = [](const auto &path) { return llvm::StringRef(path.first).count('.'); };
    llvm::sort(paths_, [&](const auto &a, const auto &b) {
      return std::pair(dots(a), a.first) < std::pair(dots(b), b.first); // each name stands once
    });
  }

  /// A recipe's list of sources, with other paths in it.
  mlir::Attribute replaced(mlir::Attribute list, const std::string &stage) {
    auto sources = llvm::dyn_cast_or_null<mlir::ArrayAttr>(list);
    if (!sources)
      return list;
    llvm::SmallVector<mlir::Attribute> out;
    for (auto source : sources.getAsRange<mlir::DictionaryAttr>()) {
      std::string name = source.getAs<mlir::StringAttr>("name").str();
      names_.push_back(name);
      mlir::NamedAttrList options(source.getAs<mlir::DictionaryAttr>("options"));
      for (const auto &[key, path] : paths_) {
        std::string part = dataPart(key, stage, name);
        if (part.empty())
          continue;
        if (part == name)
          options.set("given", b_.getStringAttr(path));
        else
          options.set(part.substr(name.size() + 1), listed(path));
        found_.insert(key);
      }
      mlir::NamedAttrList changed(source);
      changed.set("options", options.getDictionary(b_.getContext()));
      out.push_back(changed.getDictionary(b_.getContext()));
    }
    return b_.getArrayAttr(out);
  }

  absl::Status checkNames() const {
    for (const auto &[key, path] : paths_)
      if (!found_.contains(key))
        return absl::InvalidArgumentError(
            absl::StrCat("--data ", key, ": the recipe has no data of that name",
                         names_.empty() ? "" : absl::StrCat("; it has: ", absl::StrJoin(names_, ", "))));
    return absl::OkStatus();
  }

private:
  mlir::Attribute listed(llvm::StringRef path) {
    llvm::SmallVector<llvm::StringRef> parts;
    path.split(parts, ',');
    return b_.getStrArrayAttr(parts);
  }

  mlir::Builder b_;
  std::vector<std::pair<std::string, std::string>> paths_;
  std::vector<std::string> names_;
  std::set<std::string> found_;
};

} // namespace

absl::Status setDataPaths(mlir::ModuleOp module, const std::vector<std::pair<std::string, std::string>> &paths) {
  if (paths.empty())
    return absl::OkStatus();
  mlir::Builder b(module.getContext());
  DataPaths data(module.getContext(), paths);
  std::string top;
  llvm::SmallVector<mlir::Attribute> stages;
  auto list = module->getAttrOfType<mlir::ArrayAttr>("kiln.stages");
  for (mlir::Attribute one : list ? list.getValue() : llvm::ArrayRef<mlir::Attribute>()) {
    auto stage = llvm::cast<mlir::DictionaryAttr>(one);
    std::string name = stage.getAs<mlir::StringAttr>("name").str();
    mlir::NamedAttrList changed(stage);
    if (mlir::Attribute own = stage.get("data"))
      changed.set("data", data.replaced(own, name));
    else if (!stage.contains("stages"))
      top = name; // its data stand at the module
    stages.push_back(changed.getDictionary(module.getContext()));
  }
  if (list)
    module->setAttr("kiln.stages", b.getArrayAttr(stages));
  if (mlir::Attribute own = module->getAttr("kiln.data"))
    module->setAttr("kiln.data", data.replaced(own, top));
  return data.checkNames();
}

} // namespace kiln
