// The model's text is elaborated once more, before it is compiled: the inputs of its recipes say which of its arguments
// their numbers are held to.
#include "frontend/cli/FitSizes.h"

#include "backends/host/ManifestWriter.h"
#include "frontend/cli/Commands.h"
#include "frontend/cli/DataSizes.h"
#include "frontend/cli/Installed.h"

#include "absl/strings/str_cat.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"

#include <cstdio>

namespace kiln {

/// Calls `visit` with each input of a recipe's loss whose numbers choose among so many.
static void
eachLimited(mlir::ModuleOp module,
            llvm::function_ref<void(const SizedInput &, mlir::ArrayAttr /* what has the value; may be null */)> visit) {
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    llvm::StringRef suffix = function.getName();
    if (!suffix.consume_front("loss.train"))
      continue;
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto name = function.getArgAttrOfType<mlir::StringAttr>(i, "kiln.input");
      auto below = function.getArgAttrOfType<mlir::IntegerAttr>(i, "kiln.below");
      if (name && below)
        visit({name.getValue().str(), suffix.str(), below.getInt(), {}, false},
              function.getArgAttrOfType<mlir::ArrayAttr>(i, "kiln.below_by"));
    }
  }
}

/// The inputs of the recipes' losses that are held to a size; what the user has set does not grow.
static std::vector<SizedInput> sizedInputs(mlir::ModuleOp module, const ModelOptions &options) {
  std::vector<SizedInput> inputs;
  eachLimited(module, [&](SizedInput input, mlir::ArrayAttr by) {
    if (!by) {
      inputs.push_back(std::move(input));
      return;
    }
    for (auto candidate : by.getAsRange<mlir::StringAttr>())
      if (llvm::none_of(options.set, [&](const auto &pair) {
            return pair.first == candidate.getValue() ||
                   llvm::StringRef(pair.first).ends_with("." + candidate.getValue().str());
          }))
        input.by.push_back(candidate.getValue().str());
    input.alone = by.size() == 1;
    inputs.push_back(std::move(input));
  });
  return inputs;
}

/// The text elaborated with these settings; null where it has errors.
static std::unique_ptr<Compilation> elaborated(const ModelOptions &options) {
  ModelOptions plain = options;
  plain.data.clear();
  auto compilation = std::make_unique<Compilation>(installed(), plain);
  return compilation->load().ok() ? std::move(compilation) : nullptr;
}

/// Of several numbers of one value the one that the input is held to: with it changed there is room.
static std::string sizeNamed(const NeededSize &needed, const ModelOptions &options) {
  const std::vector<std::string> &by = needed.input->by;
  if (needed.input->alone)
    return by.front();
  for (const std::string &name : by) {
    ModelOptions changed = options;
    changed.set.emplace_back(name, absl::StrCat(needed.count));
    std::unique_ptr<Compilation> compilation = elaborated(changed);
    if (!compilation)
      continue;
    bool held = false;
    eachLimited(compilation->module(), [&](const SizedInput &input, mlir::ArrayAttr) {
      held |= input.name == needed.input->name && input.suffix == needed.input->suffix && input.below < needed.count;
    });
    if (!held)
      return name;
  }
  return "";
}

absl::Status fitSizes(ModelOptions &options, const std::vector<std::string> &data,
                      const std::vector<std::string> &weights, bool fixed) {
  if (data.empty() && !sayWhatTheyKnow(weights)) // most of other people's: nothing is to be elaborated for them
    return absl::OkStatus();
  std::unique_ptr<Compilation> compilation = elaborated(options);
  if (!compilation)
    return absl::OkStatus();
  std::vector<SizedInput> inputs = sizedInputs(compilation->module(), options);
  bool none = llvm::all_of(inputs, [](const SizedInput &input) { return input.by.empty(); });
  if (none && data.empty())
    return absl::OkStatus();
  if (absl::Status told = tellFolders(options); !told.ok()) // what else a recipe names is looked for there
    return told;
  DataSizes sizes = sizesForData(host::writeRecipes(compilation->module()), inputs, data, weights, fixed);
  if (!sizes.error.empty())
    return absl::InvalidArgumentError(sizes.error);
  std::map<std::string, NeededSize> largest;
  for (const NeededSize &needed : sizes.needed)
    if (std::string name = sizeNamed(needed, options); !name.empty() && needed.count > largest[name].count)
      largest[name] = needed;
  for (const auto &[name, needed] : largest) {
    options.set.emplace_back(name, absl::StrCat(needed.count));
    std::fprintf(stderr, "kiln: note: %s: built with %s=%lld\n", needed.why.c_str(), name.c_str(),
                 static_cast<long long>(needed.count));
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
