// The model's text is elaborated once more, before it is compiled: the inputs of its recipes say which of its arguments
// their numbers are held to.
#include "frontend/cli/FitSizes.h"

#include "backends/host/ManifestWriter.h"
#include "frontend/cli/DataSizes.h"
#include "frontend/cli/Installed.h"

#include "absl/strings/str_cat.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"

#include <cstdio>

namespace kiln {

/// The inputs of the recipes' losses that are held to an argument which the user has not set.
static std::vector<SizedInput> sizedInputs(mlir::ModuleOp module, const ModelOptions &options) {
  std::vector<SizedInput> inputs;
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    llvm::StringRef suffix = function.getName();
    if (!suffix.consume_front("loss.train"))
      continue;
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto name = function.getArgAttrOfType<mlir::StringAttr>(i, "kiln.input");
      auto below = function.getArgAttrOfType<mlir::IntegerAttr>(i, "kiln.below");
      auto by = function.getArgAttrOfType<mlir::StringAttr>(i, "kiln.below_by");
      if (!name || !below || !by)
        continue;
      bool set = llvm::any_of(options.set, [&](const auto &pair) {
        return pair.first == by.getValue() || llvm::StringRef(pair.first).ends_with("." + by.getValue().str());
      });
      if (!set)
        inputs.push_back({name.getValue().str(), suffix.str(), below.getInt(), by.getValue().str()});
    }
  }
  return inputs;
}

absl::Status fitSizes(ModelOptions &options, const std::vector<std::string> &data,
                      const std::vector<std::string> &weights, bool fixed) {
  if (data.empty() && !sayWhatTheyKnow(weights)) // most of other people's: nothing is to be elaborated for them
    return absl::OkStatus();
  ModelOptions plain = options;
  plain.data.clear();
  Compilation compilation(installed(), plain);
  if (!compilation.load().ok())
    return absl::OkStatus();
  std::vector<SizedInput> inputs = sizedInputs(compilation.module(), options);
  if (inputs.empty() && data.empty())
    return absl::OkStatus();
  DataSizes sizes = sizesForData(host::writeRecipes(compilation.module()), inputs, data, weights, fixed);
  if (!sizes.error.empty())
    return absl::InvalidArgumentError(sizes.error);
  for (const auto &[name, needed] : sizes.arguments) {
    options.set.emplace_back(name, absl::StrCat(needed.count));
    std::fprintf(stderr, "kiln: note: %s\n", needed.why.c_str());
  }
  return absl::OkStatus();
}

/// The values of an option, as "--data X" or "--data=X".
static std::vector<std::string> valuesOf(const std::vector<std::string> &arguments, const std::string &option) {
  std::vector<std::string> values;
  for (size_t i = 0; i < arguments.size(); ++i)
    if (llvm::StringRef value = arguments[i]; value.consume_front(option + "="))
      values.push_back(value.str());
    else if (value == option && i + 1 < arguments.size())
      values.push_back(arguments[i + 1]);
  return values;
}

void fitSizesTo(const std::string &command, const std::vector<std::string> &arguments, ModelOptions &options) {
  std::vector<std::string> data = valuesOf(arguments, "--data"), weights = valuesOf(arguments, "--load");
  for (std::string &path : weights) // PREFIX=FILE
    path = path.substr(path.rfind('=') + 1);
  if (!options.weights.empty())
    weights.push_back(options.weights);
  bool resumes = llvm::is_contained(arguments, "--resume");
  if (resumes)
    for (const std::string &folder : valuesOf(arguments, "--out"))
      if (std::string last = folder + "/last.safetensors"; llvm::sys::fs::exists(last))
        weights.push_back(last);
  if (options.weightSet || (data.empty() && weights.empty()))
    return;
  (void)fitSizes(options, data, weights, /*fixed=*/resumes || command != "train");
}

void fitSizesToWeights(ModelOptions &options) {
  if (!options.weights.empty() && !options.weightSet)
    (void)fitSizes(options, {}, {options.weights}, /*fixed=*/true);
}

} // namespace kiln
