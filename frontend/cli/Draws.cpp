// The arguments that `kiln check --gradients` computes with.
#include "frontend/cli/Draws.h"

#include "frontend/cli/IntegerRange.h"
#include "ir/Bounds.h"
#include "ir/Kiln.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include <algorithm>
#include <cmath>

namespace kiln {

namespace {

/// Of a given batch of data: finite differences take a while.
constexpr int64_t kRows = 3;
/// Of a dimension that nothing fixes.
constexpr int64_t kExtent = 3;

} // namespace

Draws::Draws(mlir::func::FuncOp loss, std::vector<GivenInput> given, uint32_t seed)
    : loss_(loss), given_(std::move(given)), ofArgument_(loss.getNumArguments()), seed_(seed), random_(seed) {}

std::string Draws::nameOf(unsigned argument) {
  for (const char *role : {"kiln.input", "kiln.state"})
    if (auto name = loss_.getArgAttrOfType<mlir::StringAttr>(argument, role))
      return name.str();
  return "";
}

/// Symbols are told by what is given: its leading rows where it is a batch of data, else all of it.
absl::Status Draws::takeShape(unsigned argument, GivenInput &given) {
  auto type = llvm::cast<mlir::RankedTensorType>(loss_.getArgument(argument).getType());
  llvm::SmallVector<Dim> dims = dimsOf(type);
  auto misfit = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat(given.from, ": input '", nameOf(argument), "' has the shape [", absl::StrJoin(given.shape, ", "),
                     "], expected [",
                     absl::StrJoin(dims, ", ", [](std::string *out, const Dim &dim) { out->append(dim.str()); }), "]"));
  };
  if (given.shape.size() != dims.size())
    return misfit();
  bool open = !dims.empty() && !dims[0].constant();
  if (given.manyRows && open && given.shape[0] > kRows) {
    int64_t row = 1;
    for (size_t d = 1; d < given.shape.size(); ++d)
      row *= given.shape[d];
    given.shape[0] = kRows;
    given.floats.resize(given.isFloat ? static_cast<size_t>(kRows * row) : 0);
    given.integers.resize(given.isFloat ? 0 : static_cast<size_t>(kRows * row));
  }
  for (size_t d = 0; d < dims.size(); ++d)
    if (std::vector<std::string> names = dims[d].symbols(); names.size() == 1 && dims[d] == Dim::symbol(names[0]))
      symbols_.try_emplace(names[0], given.shape[d]);
  for (size_t d = 0; d < dims.size(); ++d)
    if (std::optional<int64_t> extent = dims[d].evaluate(symbols_); extent && *extent != given.shape[d])
      return misfit();
  if (given.isFloat != llvm::isa<mlir::FloatType>(type.getElementType()))
    return absl::InvalidArgumentError(
        absl::StrCat(given.from, ": input '", nameOf(argument), "' holds ",
                     given.isFloat ? "floats, expected integers" : "integers, expected floats"));
  return absl::OkStatus();
}

absl::Status Draws::takeGiven() {
  for (GivenInput &given : given_) {
    std::vector<std::string> names;
    bool found = false;
    for (unsigned argument = 0; argument < loss_.getNumArguments(); ++argument) {
      if (!loss_.getArgAttr(argument, "kiln.input"))
        continue;
      std::string name = nameOf(argument);
      names.push_back(name);
      if (name != given.name && name.substr(name.find('.') + 1) != given.name)
        continue;
      found = true;
      if (ofArgument_[argument])
        return absl::InvalidArgumentError(absl::StrCat("input '", name, "' is given twice"));
      ofArgument_[argument] = &given;
      if (absl::Status fits = takeShape(argument, given); !fits.ok())
        return fits;
    }
    if (!found)
      return absl::InvalidArgumentError(absl::StrCat(
          "--input ", given.name,
          ": the loss has no input of that name; it has: ", names.empty() ? "none" : absl::StrJoin(names, ", ")));
  }
  return absl::OkStatus();
}

std::vector<int64_t> Draws::shapeOf(unsigned argument) {
  Bounds least = leastOf(loss_), most = boundsOf(loss_);
  auto extentOf = [&](const std::string &symbol) {
    if (least.contains(symbol))
      return least.at(symbol);
    return most.contains(symbol) ? std::min(most.at(symbol), kExtent) : kExtent;
  };
  std::vector<int64_t> shape;
  for (const Dim &dim : dimsOf(loss_.getArgument(argument))) {
    for (const std::string &symbol : dim.symbols())
      symbols_.try_emplace(symbol, extentOf(symbol));
    shape.push_back(dim.evaluate(symbols_).value_or(1));
  }
  return shape;
}

void Draws::drawFloats(HostTensor &tensor, mlir::DictionaryAttr init) {
  // Around the initialiser's centre, but never constant: a parameter of zeros would hide a wrong factor.
  double centre = 0, spread = 1;
  if (init) {
    auto number = [&](llvm::StringRef name, double otherwise) {
      auto value = init.getAs<mlir::FloatAttr>(name);
      return value ? value.getValueAsDouble() : otherwise;
    };
    llvm::StringRef kind = init.getAs<mlir::StringAttr>("kind").getValue();
    centre = kind == "ones" ? 1 : number("value", number("mean", 0));
    spread = kind == "normal" ? number("std", 1) : kind == "uniform" ? number("high", 0.1) : 0.1;
  }
  std::normal_distribution<double> normal(centre, spread);
  for (double &value : tensor.floats)
    value = normal(random_);
}

/// Over their whole range; the first of a list is the largest, so that a loop under lengths runs to its end; the first
/// of a row is not 0, which is the padding of sequences: one that is all padding has no loss.
void Draws::drawIntegers(HostTensor &tensor, unsigned argument) {
  IntegerRange range = integerRange(loss_.getArgument(argument), symbols_);
  range.least = std::max(range.least, lowestOf(tensor.element));
  range.most = std::clamp(range.most, range.least, highestOf(tensor.element));
  size_t row = tensor.shape.size() < 2 ? 0 : static_cast<size_t>(std::max<int64_t>(tensor.shape.back(), 1));
  for (size_t i = 0; i < tensor.integers.size(); ++i) {
    int64_t least = row > 0 && i % row == 0 ? std::clamp<int64_t>(1, range.least, range.most) : range.least;
    uint64_t count = static_cast<uint64_t>(range.most - least) + 1;
    tensor.integers[i] = least + static_cast<int64_t>(count ? random_() % count : random_());
  }
  if (tensor.shape.size() == 1 && !tensor.integers.empty())
    tensor.integers[0] = range.most;
  if (!tensor.element.isInteger(1))
    lines_.push_back(absl::StrCat(nameOf(argument), ": integers from ", range.least, " to ", range.most, ": ",
                                  range.why.empty() ? "nothing tells what they mean" : range.why));
}

absl::StatusOr<std::vector<HostTensor>> Draws::make() {
  if (absl::Status taken = takeGiven(); !taken.ok())
    return taken;
  std::map<std::string, mlir::DictionaryAttr> inits;
  for (const char *list : {"kiln.parameters", "kiln.states"})
    if (auto entries = loss_->getParentOfType<mlir::ModuleOp>()->getAttrOfType<mlir::ArrayAttr>(list))
      for (auto entry : entries.getAsRange<mlir::DictionaryAttr>())
        inits[entry.getAs<mlir::StringAttr>("name").str()] = entry.getAs<mlir::DictionaryAttr>("init");
  std::vector<std::vector<int64_t>> shapes; // first of all: they say which indices are in range
  for (unsigned i = 0; i < loss_.getNumArguments(); ++i)
    shapes.push_back(ofArgument_[i] ? ofArgument_[i]->shape : shapeOf(i));
  std::vector<HostTensor> result;
  for (unsigned i = 0; i < loss_.getNumArguments(); ++i) {
    mlir::Type element = llvm::cast<mlir::RankedTensorType>(loss_.getArgument(i).getType()).getElementType();
    HostTensor tensor = HostTensor::zeros(element, shapes[i]);
    auto named = loss_.getArgAttrOfType<mlir::StringAttr>(i, "kiln.parameter");
    auto state = loss_.getArgAttrOfType<mlir::StringAttr>(i, "kiln.state");
    if (loss_.getArgAttr(i, "kiln.seed")) {
      tensor.integers = {static_cast<int64_t>(seed_)};
    } else if (const GivenInput *given = ofArgument_[i]) {
      tensor.floats = given->floats;
      tensor.integers = given->integers;
    } else if (loss_.getArgAttr(i, "kiln.step")) {
      // 0
    } else if (tensor.isFloat()) {
      drawFloats(tensor, named ? inits[named.str()] : state ? inits[state.str()] : mlir::DictionaryAttr());
    } else {
      drawIntegers(tensor, i);
    }
    if (state) // running variances and the like are not negative
      for (double &value : tensor.floats)
        value = std::abs(value);
    result.push_back(std::move(tensor));
  }
  return result;
}

} // namespace kiln
