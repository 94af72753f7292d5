// A model's file read and imported, with the bounds that its nodes imply; where modules make no text, written out flat.
#include "frontend/onnx/ImportFile.h"

#include "frontend/onnx/Importer.h"
#include "frontend/onnx/Sizes.h"
#include "runtime/support/Error.h"

#include <algorithm>
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

/// The same of a bound, where another one would do.
static Imported refused(std::string why, const std::string &dim, int64_t fitting) {
  Imported nothing = refused(std::move(why));
  nothing.fitting[dim] = fitting;
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
      bool isMore = implied.most > 0 && wanted != given.bounds.end() && wanted->second > implied.most;
      if (isMore)
        return refused("the model has at most " + most + " for the dimension " + dim + " (" + implied.why +
                           "): " + option() + " is more",
                       dim, implied.most);
      if (implied.least > 0 && wanted != given.bounds.end() && wanted->second < implied.least)
        return refused("the model wants at least " + least + " of the dimension " + dim +
                           " (what it picks has to be there): " + option() + " is less",
                       dim, std::max(implied.least, implied.most));
      int64_t &known = options.least[dim];
      auto [bound, isNew] = options.bounds.try_emplace(dim, implied.most);
      bool isHigher = implied.least > known, isLower = implied.most > 0 && (isNew || bound->second > implied.most);
      known = std::max(known, implied.least);
      if (isNew && implied.most > 0)
        options.implied.insert(dim);
      if (implied.most > 0)
        bound->second = std::min(bound->second, implied.most);
      else if (isNew)
        options.bounds.erase(bound);
      if (known == 0)
        options.least.erase(dim);
      if (!isHigher && !isLower)
        return refused("it is not shown that the dimension " + dim + " is " +
                       (implied.least > 0 ? "at least " + least : "at most " + most));
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
    out.problems = settleNames(held->model, options);
    Imported imported = importFitting(held->model, options, out.added);
    out.problems.insert(out.problems.end(), imported.problems.begin(), imported.problems.end());
    if (!out.problems.empty()) {
      // With other sizes, would it go?
      if (!imported.fitting.empty()) {
        for (const auto &[dim, bound] : imported.fitting)
          options.bounds[dim] = bound;
        imported = importFitting(held->model, options, out.added);
      }
      out.wouldFit = imported.problems.empty();
    }
    out.bounds = std::move(options.bounds);
    out.sizes = std::move(options.dims);
    out.dims = std::move(imported.dims);
    out.open = std::move(imported.open);
    if (!out.problems.empty())
      return out;
    out.text = std::move(imported.text);
    out.origins = std::move(imported.origins);
    out.lossIsOpen = imported.lossIsOpen;
    held->own = std::move(imported.own);
    out.weights = Safetensors::of(std::move(imported.weights), path, held);
  } catch (const std::exception &error) {
    out.problems = {error.what()};
  }
  return out;
}

} // namespace kiln::onnx
