// kiln check: all errors of a model; with --gradients, its own gradients against finite differences.
//
// The loss runs in the reference interpreter, in float64. For each trainable parameter p the derivative along a random
// direction d, (L(p + h d) - L(p - h d)) / 2h, is compared with <gradient, d>. One number a tensor tells whether its
// gradient is right; where it is not, single elements are tried until the worst one is known. What stop_gradient gives
// is held at its value, as differentiation takes it.
#include "frontend/cli/Commands.h"
#include "frontend/cli/Compile.h"

#include "ir/Kiln.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Differentiate/Differentiate.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <random>

namespace kiln {

namespace {

// Of a direction whose elements are of the order of 1. The first suits a smooth loss; shorter ones get past a relu's
// corner between the two points, longer ones past the rounding of a large loss. A wrong gradient agrees with none of
// them.
constexpr double kSteps[] = {1e-5, 1e-6, 1e-7, 1e-4, 1e-3};
constexpr double kTolerance = 1e-5; // relative to the larger derivative; central differences leave about kStep^2
constexpr int kElementsTried = 12;

struct Slope {
  double difference = 0, excess = 0;         ///< how far from what was expected, in units of what rounding allows
  bool right() const { return excess <= 1; } // false for NaN
};

class GradientCheck {
public:
  GradientCheck(mlir::ModuleOp module, uint32_t seed) : module_(module), random_(seed), seed_(seed) {}

  absl::Status prepare();
  /// Prints a line for each parameter; the number of parameters whose gradient is wrong.
  absl::StatusOr<int> run();

private:
  absl::StatusOr<std::vector<HostTensor>> arguments();
  HostTensor sample(mlir::Type element, std::vector<int64_t> shape, mlir::DictionaryAttr init);
  absl::StatusOr<double> lossAt(unsigned argument, const std::vector<double> &values);
  /// The derivative along a direction, by central differences of the step that comes closest to what is expected.
  absl::StatusOr<Slope> slope(unsigned argument, const std::vector<double> &direction, double expected, double scale);
  absl::StatusOr<bool> checkOne(unsigned argument, const HostTensor &gradient);
  absl::Status explain(unsigned argument, const HostTensor &gradient);
  std::string sourceOf(unsigned argument);

  mlir::ModuleOp module_;
  std::mt19937_64 random_;
  uint32_t seed_;
  mlir::func::FuncOp loss_, grad_;
  std::vector<HostTensor> arguments_;
  std::vector<HostTensor>
      held_; // what the loss's stop_gradients gave at the arguments: their variation is not followed
};

absl::Status GradientCheck::prepare() {
  auto train = module_->getAttrOfType<mlir::DictionaryAttr>("kiln.train");
  if (!train)
    return absl::InvalidArgumentError("the model has no train block, so it has no loss to check gradients of; add one");
  loss_ = module_.lookupSymbol<mlir::func::FuncOp>(train.getAs<mlir::StringAttr>("loss").getValue());
  mlir::FailureOr<mlir::func::FuncOp> grad = createGrad(loss_, "kiln.check.grad");
  if (mlir::failed(grad))
    return absl::InternalError("");
  grad_ = *grad;
  absl::StatusOr<std::vector<HostTensor>> made = arguments();
  if (!made.ok())
    return made.status();
  arguments_ = std::move(*made);
  return absl::OkStatus();
}

HostTensor GradientCheck::sample(mlir::Type element, std::vector<int64_t> shape, mlir::DictionaryAttr init) {
  HostTensor tensor = HostTensor::zeros(element, std::move(shape));
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
  // Class numbers, token numbers and flags: 0 and 1 are in range wherever two values are. The first of a row is 1: 0 is
  // the padding of sequences, and one that is all padding has no loss.
  int64_t row = tensor.shape.empty() ? 1 : std::max<int64_t>(tensor.shape.back(), 1);
  for (size_t i = 0; i < tensor.integers.size(); ++i)
    tensor.integers[i] =
        static_cast<int64_t>(i) % row == 0 && tensor.shape.size() > 1 ? 1 : static_cast<int64_t>(random_() % 2);
  return tensor;
}

absl::StatusOr<std::vector<HostTensor>> GradientCheck::arguments() {
  std::map<std::string, mlir::DictionaryAttr> inits;
  for (const char *list : {"kiln.parameters", "kiln.states"})
    if (auto entries = module_->getAttrOfType<mlir::ArrayAttr>(list))
      for (auto entry : entries.getAsRange<mlir::DictionaryAttr>())
        inits[entry.getAs<mlir::StringAttr>("name").str()] = entry.getAs<mlir::DictionaryAttr>("init");
  auto least = loss_->getAttrOfType<mlir::DictionaryAttr>("kiln.least");
  std::map<std::string, int64_t> symbols;
  std::vector<HostTensor> result;
  for (unsigned i = 0; i < loss_.getNumArguments(); ++i) {
    auto type = llvm::cast<mlir::RankedTensorType>(loss_.getArgument(i).getType());
    std::vector<int64_t> shape;
    for (const Dim &dim : dimsOf(type)) {
      for (const std::string &symbol : dim.symbols())
        symbols.try_emplace(symbol, least && least.get(symbol) ? least.getAs<mlir::IntegerAttr>(symbol).getInt() : 3);
      shape.push_back(*dim.evaluate(symbols));
    }
    auto attribute = [&](llvm::StringRef name) { return loss_.getArgAttrOfType<mlir::StringAttr>(i, name); };
    if (loss_.getArgAttr(i, "kiln.seed") || loss_.getArgAttr(i, "kiln.step")) {
      bool isSeed = static_cast<bool>(loss_.getArgAttr(i, "kiln.seed"));
      result.push_back(HostTensor::ofIntegers(type.getElementType(), {}, {isSeed ? static_cast<int64_t>(seed_) : 0}));
      continue;
    }
    mlir::StringAttr named = attribute("kiln.parameter") ? attribute("kiln.parameter") : attribute("kiln.state");
    result.push_back(sample(type.getElementType(), shape, named ? inits[named.str()] : mlir::DictionaryAttr()));
    if (attribute("kiln.state")) // running variances and the like are not negative
      for (double &value : result.back().floats)
        value = std::abs(value);
  }
  return result;
}

absl::StatusOr<double> GradientCheck::lossAt(unsigned argument, const std::vector<double> &values) {
  std::vector<double> kept = arguments_[argument].floats;
  arguments_[argument].floats = values;
  InterpreterOptions options;
  options.held = &held_;
  absl::StatusOr<Interpreted> ran = interpret(loss_, arguments_, options);
  arguments_[argument].floats = std::move(kept);
  if (!ran.ok())
    return ran.status();
  auto name = loss_.getArgAttrOfType<mlir::StringAttr>(argument, "kiln.parameter");
  double sum = 0; // of the losses that train this parameter
  for (unsigned result = 0; result < loss_.getNumResults(); ++result)
    if (isLossOf(loss_, result, name))
      sum += ran->results[result].floats[0];
  return sum;
}

std::string GradientCheck::sourceOf(unsigned argument) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (mlir::Operation *user : loss_.getArgument(argument).getUsers()) {
    mlir::Location location = user->getLoc();
    if (auto fused = llvm::dyn_cast<mlir::FusedLoc>(location); fused && !fused.getLocations().empty())
      location = fused.getLocations().front();
    if (auto file = llvm::dyn_cast<mlir::FileLineColLoc>(location)) {
      stream << file.getFilename().getValue() << ":" << file.getLine() << ":" << file.getColumn();
      break;
    }
  }
  return text;
}

absl::StatusOr<Slope> GradientCheck::slope(unsigned argument, const std::vector<double> &direction, double expected,
                                           double scale) {
  const std::vector<double> base = arguments_[argument].floats;
  Slope best;
  best.excess = std::numeric_limits<double>::infinity();
  for (double step : kSteps) {
    std::vector<double> up = base, down = base;
    for (size_t i = 0; i < base.size(); ++i) {
      up[i] += step * direction[i];
      down[i] -= step * direction[i];
    }
    absl::StatusOr<double> high = lossAt(argument, up), low = lossAt(argument, down);
    if (!high.ok() || !low.ok())
      return high.ok() ? low.status() : high.status();
    double difference = (*high - *low) / (2 * step);
    // The rounding of the two losses bounds what a difference can tell.
    double floor = 4e-16 * std::max(std::abs(*high), 1.0) / step;
    double limit = kTolerance * std::max({std::abs(expected), std::abs(difference), scale}) + 10 * floor;
    double excess = std::abs(difference - expected) / limit;
    if (step == kSteps[0] || excess < best.excess)
      best = {difference, excess};
    if (best.right())
      break;
  }
  return best;
}

absl::Status GradientCheck::explain(unsigned argument, const HostTensor &gradient) {
  size_t worst = 0, count = gradient.floats.size();
  Slope found;
  found.excess = -1;
  for (int i = 0; i < kElementsTried && count; ++i) {
    size_t element = i == 0 ? 0 : random_() % count;
    std::vector<double> direction(count);
    direction[element] = 1;
    absl::StatusOr<Slope> tried = slope(argument, direction, gradient.floats[element], 0);
    if (!tried.ok())
      return tried.status();
    if (!(tried->excess <= found.excess)) {
      worst = element;
      found = *tried;
    }
  }
  std::vector<int64_t> index(gradient.shape.size());
  size_t rest = worst;
  for (size_t axis = index.size(); axis-- > 0; rest /= static_cast<size_t>(gradient.shape[axis]))
    index[axis] = static_cast<int64_t>(rest % static_cast<size_t>(gradient.shape[axis]));
  std::printf("    worst element tried: [%s]: gradient %.9g, finite difference %.9g; first used at %s\n",
              absl::StrJoin(index, ", ").c_str(), gradient.floats[worst], found.difference, sourceOf(argument).c_str());
  return absl::OkStatus();
}

absl::StatusOr<bool> GradientCheck::checkOne(unsigned argument, const HostTensor &gradient) {
  std::vector<double> direction(gradient.floats.size());
  double expected = 0, scale = 0;
  for (size_t i = 0; i < direction.size(); ++i) {
    direction[i] = random_() & 1 ? 1 : -1;
    expected += gradient.floats[i] * direction[i];
    scale += gradient.floats[i] * gradient.floats[i];
  }
  absl::StatusOr<Slope> found = slope(argument, direction, expected, std::sqrt(scale));
  if (!found.ok())
    return found.status();
  std::printf("  %s %-44s gradient %+.9e  difference %+.9e\n", found->right() ? "ok   " : "WRONG",
              loss_.getArgAttrOfType<mlir::StringAttr>(argument, "kiln.parameter").str().c_str(), expected,
              found->difference);
  if (!found->right())
    if (absl::Status told = explain(argument, gradient); !told.ok())
      return told;
  return found->right();
}

absl::StatusOr<int> GradientCheck::run() {
  absl::StatusOr<Interpreted> ran = interpret(grad_, arguments_);
  if (!ran.ok())
    return ran.status();
  InterpreterOptions options;
  options.hold = &held_;
  if (absl::StatusOr<Interpreted> base = interpret(loss_, arguments_, options); !base.ok())
    return base.status();
  int wrong = 0;
  for (unsigned result = 0; result < grad_.getNumResults(); ++result) {
    auto name = grad_.getResultAttrOfType<mlir::StringAttr>(result, "kiln.gradient");
    if (!name)
      continue;
    for (unsigned argument = 0; argument < loss_.getNumArguments(); ++argument) {
      if (loss_.getArgAttrOfType<mlir::StringAttr>(argument, "kiln.parameter") != name)
        continue;
      absl::StatusOr<bool> right = checkOne(argument, ran->results[result]);
      if (!right.ok())
        return right.status();
      wrong += !*right;
    }
  }
  return wrong;
}

} // namespace

int commandCheck(const ModelOptions &options, const CheckOptions &check) {
  if (!check.against.empty())
    return commandAgainst(options, check);
  ModelOptions small = options;
  small.symbolicBatch = check.gradients;
  small.everyModel = !check.gradients;
  Compilation compilation(small);
  if (absl::Status status = compilation.load(); !status.ok())
    return report(status);
  if (!check.gradients) {
    std::printf("%s: no errors\n", options.file.c_str());
    return 0;
  }
  GradientCheck gradients(compilation.module(), check.seed);
  if (absl::Status status = gradients.prepare(); !status.ok())
    return report(status);
  std::printf("%s: gradients along random directions against central differences, float64\n", options.file.c_str());
  absl::StatusOr<int> wrong = gradients.run();
  std::fflush(stdout);
  if (!wrong.ok())
    return report(wrong.status());
  if (*wrong)
    return report(absl::InternalError(
        absl::StrCat(*wrong, " gradients are wrong: this is a mistake in a `grad` of the model's own, or "
                             "in Kiln; the lines above name the parameters")));
  std::printf("all gradients agree\n");
  return 0;
}

} // namespace kiln
