// kiln check: all errors of a model; with --gradients, its own gradients against finite differences.
//
// The loss runs in the reference interpreter, in float64. For each trainable parameter p the derivative along a random
// direction d, (L(p + h d) - L(p - h d)) / 2h, is compared with <gradient, d>. One number a tensor tells whether its
// gradient is right; where it is not, single elements are tried until the worst one is known. What stop_gradient gives
// is held at its value, as differentiation takes it. Where the loss bends between the points of a difference, and the
// gradient is between the slopes on both sides, another direction is tried; a tensor for which all do is skipped.
#include "frontend/cli/Commands.h"
#include "frontend/cli/Draws.h"
#include "frontend/cli/FitSizes.h"
#include "frontend/cli/Installed.h"

#include "ir/Kiln.h"
#include "ir/Places.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/support/Stages.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <utility>

namespace kiln {

namespace {

// Of a direction whose elements are of the order of 1. The first suits a smooth loss; shorter ones get past a relu's
// corner between the two points, longer ones past the rounding of a large loss. A wrong gradient agrees with none of
// them.
constexpr double kSteps[] = {1e-5, 1e-6, 1e-7, 1e-4, 1e-3};
constexpr double kTolerance = 1e-5; // relative to the larger derivative; central differences leave about kStep^2
constexpr int kElementsTried = 12;
constexpr int kDirectionsTried = 3; // where the loss bends along one

struct Slope {
  double difference = 0, excess = 0; ///< how far from what was expected, in units of what rounding allows
  bool corner = false;               ///< the loss bends here: it has two slopes, and what was expected is between
  bool right() const { return excess <= 1; } // false for NaN
};

enum class Verdict { right, wrong, corner, notExercised };
using Tally = std::map<Verdict, int>;

/// In the words of a program's `run`.
std::string describe(const DataError &error) {
  std::string place = locationText(error.location);
  std::string where = absl::StrCat(" (", error.op, place.empty() ? "" : " at ", place, ", in the loss)");
  if (error.kind == DataError::divisionByZero)
    return absl::StrCat("integer division of ", error.value, " by zero", where);
  return absl::StrCat("index out of range: ", error.value, " is not in 0 to ", error.limit - 1, where);
}

class GradientCheck {
public:
  GradientCheck(mlir::ModuleOp module, Stage stage, uint32_t seed)
      : module_(module), stage_(std::move(stage)), random_(seed), seed_(seed) {}

  /// Prints what the inputs that nobody gave were drawn from.
  absl::Status prepare(std::vector<GivenInput> given);
  /// Prints a line for each parameter; how many there are of each verdict.
  absl::StatusOr<Tally> run();

private:
  absl::StatusOr<Interpreted> runOn(mlir::func::FuncOp function, const InterpreterOptions &options);
  absl::StatusOr<double> lossAt(unsigned argument, const std::vector<double> &values);
  /// The derivative along a direction, by central differences of the step that comes closest to what is expected.
  absl::StatusOr<Slope> slope(unsigned argument, const std::vector<double> &direction, double expected, double scale);
  absl::StatusOr<Verdict> checkOne(unsigned argument, const HostTensor &gradient);
  absl::Status explain(unsigned argument, const HostTensor &gradient);
  std::string sourceOf(unsigned argument);

  mlir::ModuleOp module_;
  Stage stage_;
  std::mt19937_64 random_;
  uint32_t seed_;
  bool given_ = false; // something is: what is wrong with the data may be the user's
  mlir::func::FuncOp loss_, grad_;
  std::vector<HostTensor> arguments_;
  std::vector<HostTensor>
      held_; // what the loss's stop_gradients gave at the arguments: their variation is not followed
};

absl::Status GradientCheck::prepare(std::vector<GivenInput> given) {
  loss_ = module_.lookupSymbol<mlir::func::FuncOp>(stage_.train.getAs<mlir::StringAttr>("loss").getValue());
  given_ = !given.empty();
  Draws draws(loss_, std::move(given), seed_);
  absl::StatusOr<std::vector<HostTensor>> made = draws.make();
  if (!made.ok())
    return made.status();
  arguments_ = std::move(*made);
  random_ = draws.random();
  for (const std::string &line : draws.lines())
    std::printf("  drawn %s\n", line.c_str());
  mlir::FailureOr<mlir::func::FuncOp> grad = createGrad(loss_, "kiln.check.grad" + stage_.suffix);
  if (mlir::failed(grad))
    return absl::InternalError("");
  grad_ = *grad;
  return absl::OkStatus();
}

/// Runs it; what a program would report of the data is an error here too.
absl::StatusOr<Interpreted> GradientCheck::runOn(mlir::func::FuncOp function, const InterpreterOptions &options) {
  absl::StatusOr<Interpreted> ran = interpret(function, arguments_, options);
  if (!ran.ok() || !ran->error)
    return ran;
  return absl::InvalidArgumentError(absl::StrCat(
      describe(*ran->error),
      given_ ? "" : "; the inputs are made up: give real ones with --input NAME=FILE or --data NAME=PATH"));
}

absl::StatusOr<double> GradientCheck::lossAt(unsigned argument, const std::vector<double> &values) {
  std::vector<double> kept = arguments_[argument].floats;
  arguments_[argument].floats = values;
  InterpreterOptions options;
  options.held = &held_;
  absl::StatusOr<Interpreted> ran = runOn(loss_, options);
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
  for (mlir::Operation *user : loss_.getArgument(argument).getUsers())
    if (std::string text = locationText(user->getLoc()); !text.empty())
      return text;
  return "";
}

absl::StatusOr<Slope> GradientCheck::slope(unsigned argument, const std::vector<double> &direction, double expected,
                                           double scale) {
  const std::vector<double> base = arguments_[argument].floats;
  absl::StatusOr<double> middle = lossAt(argument, base);
  if (!middle.ok())
    return middle.status();
  Slope best;
  best.excess = std::numeric_limits<double>::infinity();
  std::map<double, double> gaps; // by step: how far the slopes on the two sides are apart, over what they are
  for (double step : kSteps) {
    std::vector<double> up = base, down = base;
    for (size_t i = 0; i < base.size(); ++i) {
      up[i] += step * direction[i];
      down[i] -= step * direction[i];
    }
    absl::StatusOr<double> high = lossAt(argument, up), low = lossAt(argument, down);
    if (!high.ok() || !low.ok())
      return high.ok() ? low.status() : high.status();
    double difference = (*high - *low) / (2 * step), after = (*high - *middle) / step, before = (*middle - *low) / step;
    // The rounding of the two losses bounds what a difference can tell.
    double floor = 4e-16 * std::max(std::abs(*high), 1.0) / step;
    double limit = kTolerance * std::max({std::abs(expected), std::abs(difference), scale}) + 10 * floor;
    double excess = std::abs(difference - expected) / limit;
    bool between = expected >= std::min(after, before) - limit && expected <= std::max(after, before) + limit;
    gaps[step] = between ? std::max(std::abs(after - before) - 20 * floor, 0.0) /
                               std::max({std::abs(after), std::abs(before), 1e-300})
                         : 0;
    if (step == kSteps[0] || excess < best.excess)
      best = {difference, excess};
    if (best.right())
      return best;
  }
  // Of a smooth loss the slopes come together as the step gets shorter.
  best.corner = gaps[1e-7] > 1e-3 && gaps[1e-7] > 0.5 * gaps[1e-6];
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

absl::StatusOr<Verdict> GradientCheck::checkOne(unsigned argument, const HostTensor &gradient) {
  std::string name = loss_.getArgAttrOfType<mlir::StringAttr>(argument, "kiln.parameter").str();
  std::vector<double> direction(gradient.floats.size());
  double expected = 0, scale = 0;
  Slope found;
  for (int tried = 0; tried == 0 || (found.corner && tried < kDirectionsTried); ++tried) {
    expected = scale = 0;
    for (size_t i = 0; i < direction.size(); ++i) {
      // Of different lengths: what does not change with a sum of all, a softmax's bias, would hide a wrong factor.
      double length = 0.5 + static_cast<double>(random_() >> 11) * 0x1p-53;
      direction[i] = random_() & 1 ? length : -length;
      expected += gradient.floats[i] * direction[i];
      scale += gradient.floats[i] * gradient.floats[i];
    }
    absl::StatusOr<Slope> slope = this->slope(argument, direction, expected, std::sqrt(scale));
    if (!slope.ok())
      return slope.status();
    found = *slope;
  }
  if (found.right() && scale == 0) {
    std::printf("  not exercised: %s: the loss does not change with it at these inputs\n", name.c_str());
    return Verdict::notExercised;
  }
  if (found.corner) {
    std::printf("  skipped: %s: the loss bends here: gradient %+.9e is between the slopes on both sides\n",
                name.c_str(), expected);
    return Verdict::corner;
  }
  std::printf("  %s %-44s gradient %+.9e  difference %+.9e\n", found.right() ? "ok   " : "WRONG", name.c_str(),
              expected, found.difference);
  if (!found.right())
    if (absl::Status told = explain(argument, gradient); !told.ok())
      return told;
  return found.right() ? Verdict::right : Verdict::wrong;
}

absl::StatusOr<Tally> GradientCheck::run() {
  InterpreterOptions options;
  options.hold = &held_;
  absl::StatusOr<Interpreted> base = runOn(loss_, options), ran = runOn(grad_, {});
  if (!base.ok() || !ran.ok())
    return base.ok() ? ran.status() : base.status();
  Tally tally;
  for (unsigned result = 0; result < grad_.getNumResults(); ++result) {
    auto name = grad_.getResultAttrOfType<mlir::StringAttr>(result, "kiln.gradient");
    if (!name)
      continue;
    for (unsigned argument = 0; argument < loss_.getNumArguments(); ++argument) {
      if (loss_.getArgAttrOfType<mlir::StringAttr>(argument, "kiln.parameter") != name)
        continue;
      absl::StatusOr<Verdict> found = checkOne(argument, ran->results[result]);
      if (!found.ok())
        return found.status();
      ++tally[*found];
    }
  }
  return tally;
}

/// What --input and --data give. The recipe's readers are those of the program, which is compiled for its manifest.
absl::StatusOr<std::vector<GivenInput>> readGiven(const ModelOptions &options, const CheckOptions &check) {
  GivenInputs given = readInputFiles(check.inputs);
  if (given.error.empty() && !check.data.empty()) {
    Compilation compilation(installed(), options);
    if (absl::Status status = compileToPlan(compilation); !status.ok())
      return status;
    GivenInputs batches = readFirstBatches(compilation.program().manifest(), check.data, check.seed);
    given.error = batches.error;
    std::move(batches.inputs.begin(), batches.inputs.end(), std::back_inserter(given.inputs));
  }
  if (!given.error.empty())
    return absl::InvalidArgumentError(given.error);
  return std::move(given.inputs);
}

absl::Status conclude(const Tally &tally) {
  auto count = [&](Verdict verdict) {
    auto found = tally.find(verdict);
    return found == tally.end() ? 0 : found->second;
  };
  if (int wrong = count(Verdict::wrong))
    return absl::InternalError(absl::StrCat(
        wrong, " gradients are wrong: this is a mistake in a `grad` of the model's own, or in Kiln; the lines above "
               "name the parameters"));
  std::string rest;
  if (int idle = count(Verdict::notExercised))
    rest = absl::StrCat(idle, " not exercised: give inputs that use them with --input NAME=FILE or --data NAME=PATH");
  if (int corners = count(Verdict::corner))
    absl::StrAppend(&rest, rest.empty() ? "" : "; ", corners, " skipped at a corner of the loss: try another --seed");
  if (count(Verdict::right) == 0)
    return absl::FailedPreconditionError(
        absl::StrCat("no gradient could be compared: ", rest.empty() ? "the loss trains no parameter" : rest));
  std::printf("%s\n",
              rest.empty() ? "all gradients agree" : ("the gradients that were compared agree; " + rest).c_str());
  return absl::OkStatus();
}

} // namespace

/// What is given for a recipe of several: the others have inputs of other names.
static std::vector<GivenInput> givenFor(mlir::ModuleOp module, const Stage &stage, const std::vector<GivenInput> &all) {
  auto loss = module.lookupSymbol<mlir::func::FuncOp>(stage.train.getAs<mlir::StringAttr>("loss").getValue());
  std::vector<GivenInput> own;
  for (const GivenInput &given : all)
    for (unsigned i = 0; i < loss.getNumArguments(); ++i)
      if (auto name = loss.getArgAttrOfType<mlir::StringAttr>(i, "kiln.input");
          name && (name == given.name || name.getValue().ends_with("." + given.name))) {
        own.push_back(given);
        break;
      }
  return own;
}

static absl::Status checkGradients(mlir::ModuleOp module, const std::vector<GivenInput> &given, uint32_t seed) {
  llvm::SmallVector<Stage> stages = stagesOf(module);
  if (stages.empty())
    return absl::InvalidArgumentError("the model has no train block, so it has no loss to check gradients of; add one");
  for (const Stage &stage : stages) {
    if (stages.size() > 1)
      std::printf("recipe %s:\n", stage.suffix.empty() ? "that is the first" : stage.suffix.c_str() + 1);
    GradientCheck gradients(module, stage, seed);
    absl::Status status = gradients.prepare(stages.size() > 1 ? givenFor(module, stage, given) : given);
    if (status.ok()) {
      absl::StatusOr<Tally> tally = gradients.run();
      status = tally.ok() ? conclude(*tally) : tally.status();
    }
    if (!status.ok())
      return status;
  }
  return absl::OkStatus();
}

int commandCheck(const ModelOptions &options, const CheckOptions &check) {
  if (!check.against.empty())
    return commandAgainst(options, check);
  ModelOptions sized = options;
  if (!check.data.empty())
    (void)fitSizes(sized, check.data, {}, /*fixed=*/false); // what cannot be read is told where its batch is
  ModelOptions small = sized;
  small.symbolicBatch = check.gradients;
  small.everyModel = !check.gradients;
  Compilation compilation(installed(), small);
  if (absl::Status status = loadPrinting(compilation); !status.ok())
    return report(status);
  if (!check.gradients) {
    if (absl::Status cut = options.shards ? compilation.runPasses("train-step") : absl::OkStatus(); !cut.ok())
      return report(cut);
    std::printf("%s: no errors\n", options.file.c_str());
    return 0;
  }
  absl::StatusOr<std::vector<GivenInput>> given = readGiven(sized, check);
  if (!given.ok())
    return report(given.status());
  std::printf("%s: gradients along random directions against central differences, float64\n", options.file.c_str());
  absl::Status status = checkGradients(compilation.module(), *given, check.seed);
  std::fflush(stdout);
  return report(status);
}

} // namespace kiln
