// A model's file read and imported, with the bounds that its nodes imply; where modules make no text, written out flat.
#include "frontend/onnx/ImportFile.h"

#include "frontend/onnx/Importer.h"
#include "runtime/support/Error.h"

#include <cctype>

namespace kiln::onnx {

std::string modelName(const std::string &path) {
  std::string stem = path.substr(path.rfind('/') + 1), out;
  if (stem.ends_with(".onnx"))
    stem.resize(stem.size() - 5);
  bool begins = true;
  for (char c : stem) {
    bool fits = std::isalnum(static_cast<unsigned char>(c));
    if (fits)
      out += begins ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    begins = !fits;
  }
  return identifier(out, "Model");
}

/// With the bounds that the model implies.
static Imported importBounded(const Model &model, const ImportOptions &given) {
  ImportOptions options = given;
  for (;;)
    try {
      return Importer(model, options).run();
    } catch (const ImpliedBound &implied) {
      if (implied.least > 0) {
        if (auto bound = given.bounds.find(implied.dim); bound != given.bounds.end() && bound->second < implied.least) {
          Imported refused;
          refused.problems = {"the model wants at least " + std::to_string(implied.least) + " of the dimension " +
                              implied.dim + " (what it picks has to be there): --bound " + implied.dim + "=" +
                              std::to_string(bound->second) + " is less"};
          return refused;
        }
        if (int64_t &least = options.least[implied.dim]; least < implied.least) {
          least = implied.least;
          continue;
        }
        Imported refused;
        refused.problems = {"it is not shown that the dimension " + implied.dim + " is at least " +
                            std::to_string(implied.least)};
        return refused;
      }
      auto wanted = given.bounds.find(implied.dim);
      if (wanted != given.bounds.end()) {
        Imported refused;
        refused.problems = {"the model has at most " + std::to_string(implied.most) + " for the dimension " +
                            implied.dim + " (a table of so many rows is cut to it): --bound " + implied.dim + "=" +
                            std::to_string(wanted->second) + " is more"};
        return refused;
      }
      auto [bound, isNew] = options.bounds.try_emplace(implied.dim, implied.most);
      if (!isNew && bound->second <= implied.most) {
        Imported refused;
        refused.problems = {"it is not shown that the dimension " + implied.dim + " is at most " +
                            std::to_string(implied.most)};
        return refused;
      }
      bound->second = implied.most;
    }
}

Imported importModel(const Model &model, const ImportOptions &options) {
  Imported imported = importBounded(model, options);
  // What became modules was written without asking the language. Where that says no, and not to all written out, it is
  // given up.
  auto isWrong = [&](const Imported &one) {
    std::map<std::string, int64_t> bounds = options.bounds;
    for (const std::string &dim : one.open)
      bounds.try_emplace(dim, 1024);
    return !one.lossIsOpen && one.problems.empty() && !language::Draft::problemOf(one.text, bounds).empty();
  };
  if (!imported.folded || !isWrong(imported))
    return imported;
  ImportOptions flat = options;
  flat.flat = true;
  Imported whole = importBounded(model, flat);
  return isWrong(whole) ? std::move(imported) : std::move(whole);
}

namespace {
/// What the weights' bytes lie in.
struct Held {
  Model model;
  std::vector<std::shared_ptr<const Constant>> own;
};
} // namespace

ImportedFile importFile(const std::string &path, ImportOptions options) {
  ImportedFile out;
  try {
    auto held = std::make_shared<Held>();
    held->model = Model::open(path);
    if (options.name.empty())
      options.name = modelName(path);
    Imported imported = importModel(held->model, options);
    out.text = std::move(imported.text);
    out.problems = std::move(imported.problems);
    out.origins = std::move(imported.origins);
    out.open = std::move(imported.open);
    out.lossIsOpen = imported.lossIsOpen;
    held->own = std::move(imported.own);
    out.weights = Safetensors::of(std::move(imported.weights), path, held);
  } catch (const std::exception &error) {
    out.problems = {error.what()};
  }
  return out;
}

} // namespace kiln::onnx
