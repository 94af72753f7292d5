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

static Imported refused(std::string why) {
  Imported nothing;
  nothing.problems = {std::move(why)};
  return nothing;
}

/// With the bounds that the model implies.
static Imported importBounded(const Model &model, const ImportOptions &given) {
  ImportOptions options = given;
  for (;;)
    try {
      return Importer(model, options).run();
    } catch (const ImpliedBound &implied) {
      const std::string &dim = implied.dim, least = std::to_string(implied.least), most = std::to_string(implied.most);
      auto wanted = given.bounds.find(dim);
      auto option = [&] { return "--bound " + dim + "=" + std::to_string(wanted->second); };
      if (implied.least > 0) {
        if (wanted != given.bounds.end() && wanted->second < implied.least)
          return refused("the model wants at least " + least + " of the dimension " + dim +
                         " (what it picks has to be there): " + option() + " is less");
        int64_t &known = options.least[dim];
        if (known >= implied.least)
          return refused("it is not shown that the dimension " + dim + " is at least " + least);
        known = implied.least;
        continue;
      }
      if (wanted != given.bounds.end())
        return refused("the model has at most " + most + " for the dimension " + dim +
                       " (a table of so many rows is cut to it): " + option() + " is more");
      auto [bound, isNew] = options.bounds.try_emplace(dim, implied.most);
      if (!isNew && bound->second <= implied.most)
        return refused("it is not shown that the dimension " + dim + " is at most " + most);
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
