// PROGRAM train
#include "runtime/backend/Cancel.h"
#include "runtime/backend/Guard.h"
#include "runtime/cli/Checkpoint.h"
#include "runtime/cli/Commands.h"
#include "runtime/cli/Diagnose.h"
#include "runtime/cli/Output.h"
#include "runtime/cli/Trace.h"
#include "runtime/data/Evaluate.h"
#include "runtime/files/EventLog.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Integers.h"

#include <cerrno>
#include <cmath>
#include <csignal>
#include <optional>
#include <unistd.h>

namespace kiln {

volatile bool interrupted = false;

namespace {

extern "C" void onInterrupt(int signal) {
  // A second one is for the impatient: a backend that can gives up the step; else, and at a third, the default action
  // ends the program at once.
  Sentence sentence;
  if (interrupted) {
    if (cancelReason() == CancelReason::None && askToCancel(CancelReason::Interrupted)) {
      sentence << "giving up this step; again ends at once";
      return sentence.tell();
    }
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  interrupted = true;
  sentence << "stopping after this step; again " << (someoneCancels ? "gives it up" : "ends at once");
  sentence.tell();
}

/// What the recipe and the command line say about how to train.
struct Recipe {
  int64_t steps = 0;
  int64_t validateEvery = 0, validateBatches = 0;
  int64_t patience = 0;
  std::string metric = "loss";
  bool highest = false;
  double minimum = 0;
  int64_t checkpointEvery = 0, keep = 1;
  int64_t logEvery = 0;
  std::vector<std::pair<std::string, double>> rates; // those that never change, by their names among the metrics
};

class Training {
public:
  Training(const Options &options, Common &common);
  int run();

private:
  void readRecipe(const Options &options);
  void checkOptions(const Options &options) const;
  void takeFolder(const Options &options);
  void beginAnew();
  void tellChanges(const RecipeChanges &changes);
  void watchGradientNorm(int64_t step);
  void start(const Options &options, bool again = false);
  void oneStep(int64_t step);
  void completeStep(int64_t step);
  void finishLater();
  bool endsSomething(int64_t step) const;
  [[noreturn]] void failNotFinite(int64_t step);
  void validate(int64_t step, JsonLine &line);
  void judge(const Evaluation &result, int64_t step);
  void checkpoint(const char *name);
  void keepEarlier();
  void watch(int64_t step);
  std::string detail(double loss) const;

  const Options &options_;
  Common &common_;
  std::unique_ptr<Program> program_;
  JsonOutput json_;
  std::string out_;
  std::optional<FolderLock> lock_; // of out_
  Recipe recipe_;
  std::optional<Sources> sources_;
  Call *step_ = nullptr;
  int64_t loaded_ = -1; // the step whose batch is there already
  struct Later {
    int64_t step;
    size_t asked;
  };
  std::optional<Later> later_; // numbers of the last step that are on their way
  Call::Numbers numbers_;      // of the step that is looked at
  std::optional<Feeder> trainFeed_;
  std::optional<Evaluator> eval_;
  Position position_;
  std::optional<EventLog> log_;
  std::optional<Progress> progress_;
  std::optional<Trace> trace_; // while --profile watches
  int64_t traceFrom_ = 0;
  double lastValidation_ = NAN, lastLoss_ = NAN;
  bool stopEarly_ = false, improved_ = false;
  int64_t savedStep_ = -1; // of this run's last checkpoint
  int64_t lostNorms_ = 0;  // steps whose gradient norm is not finite
};

Training::Training(const Options &options, Common &common)
    : options_(options), common_(common), json_(common.json, common.jsonPath), out_(options.text("out")) {
  checkOptions(options);
  program_ = std::make_unique<Program>(common.image, common.threads, common.devices, common.backendOptions);
  const Manifest &manifest = program_->manifest();
  if (!manifest.findEntry("train_step"))
    fail("this program has no training step: the model has no `train` recipe, or it was built without --entry train");
  if (!common.seedGiven && manifest.train.isObject())
    common.seed = static_cast<uint32_t>(manifest.train.integerOr("seed", 0));
  checkPatterns(options.list("save-only"), manifest);
  takeFolder(options);
  start(options);
  sources_.emplace(manifest, dataOverrides(options), position_.seed);
  step_ = &program_->call("train_step");
  trainFeed_.emplace(*step_, *sources_);
  readRecipe(options);
  if (manifest.findEntry("eval") && recipe_.validateEvery > 0) {
    eval_.emplace(*program_, *sources_);
    if (!eval_->feeder().hasSplits() || eval_->feeder().batches(Split::Validation) == 0)
      eval_.reset();
  }
  checkOptions(options); // again, now that it is known which data are read
  if (options.has("overwrite"))
    beginAnew();
  if (options.has("log-dir"))
    log_.emplace(options.text("log-dir"));
}

void Training::checkOptions(const Options &options) const {
  for (const char *option : {"resume", "overwrite"})
    if (options.has(option) && out_.empty())
      throw UsageError(format("--%s needs --out DIR: the folder of the run", option));
  if (options.has("resume") && options.has("overwrite"))
    throw UsageError("--resume goes on with the run in the folder, --overwrite begins anew: give one of them");
  if (options.has("save-only") && !options.has("save"))
    throw UsageError("--save-only says which weights --save writes; there is no --save");
  if (options.has("resume") && options.has("load"))
    throw UsageError("--resume goes on with the weights of the run in the folder, --load begins with others: give one "
                     "of them");
  std::vector<std::pair<std::string, std::string>> files; // option, path
  for (const char *option : {"save", "profile", "json"})
    if (std::string path = options.text(option); !path.empty())
      files.emplace_back(option, path);
  for (const char *name : {"last", "best"})
    if (!out_.empty())
      files.emplace_back("out", out_ + "/" + name + ".safetensors");
  for (size_t i = 0; i < files.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if (files[i].first != files[k].first &&
          (files[i].second == files[k].second || sameFile(files[i].second, files[k].second)))
        throw UsageError(format("--%s and --%s write to one file, '%s'", files[k].first.c_str(), files[i].first.c_str(),
                                files[k].second.c_str()));
  for (const char *option : {"profile", "json"})
    for (const WeightChoice::File &file : weightChoice(options).files)
      if (options.has(option) && sameFile(options.text(option), file.path))
        throw UsageError(format("--%s would replace the weights of --load", option));
  for (const auto &[option, path] : files)
    if (option == "save" || option == "profile")
      checkWritable(path);
    else // the folder may not be there yet; --json's file is open
      checkUnprotected(path);
}

/// The run's folder is this process's alone, and another run in it is not written over unasked.
void Training::takeFolder(const Options &options) {
  if (out_.empty())
    return;
  makeFolder(out_);
  lock_.emplace(out_);
  checkWritable(out_ + "/last.safetensors");
  for (const char *name : {"last", "best"})
    if (std::string path = out_ + "/" + name + ".safetensors";
        fileExists(path) && !options.has("resume") && !options.has("overwrite"))
      fail("'%s' holds a run already ('%s'): go on with it by --resume, begin anew in its place by --overwrite, "
           "or choose another folder",
           out_.c_str(), path.c_str());
}

/// What an earlier run has left, so that no two are mixed.
void Training::beginAnew() {
  std::vector<std::string> files = {out_ + "/last.safetensors", out_ + "/best.safetensors"};
  for (std::string path; path = out_ + format("/previous-%zu.safetensors", files.size() - 1), fileExists(path);)
    files.push_back(path);
  for (const std::string &file : files)
    for (const WeightChoice::File &loaded : weightChoice(options_).files)
      if (sameFile(file, loaded.path))
        fail("--overwrite would remove '%s', the weights of --load; choose another folder", file.c_str());
  for (const std::string &file : files)
    unlink(file.c_str());
}

void Training::tellChanges(const RecipeChanges &changes) {
  constexpr size_t most = 10;
  if (changes.told.empty())
    return;
  std::fprintf(stderr, "note: the recipe has changed since step %lld; the run goes on with what it says now:\n",
               static_cast<long long>(position_.step));
  for (size_t i = 0; i < std::min(most, changes.told.size()); ++i)
    std::fprintf(stderr, "  %s\n", changes.told[i].c_str());
  if (changes.told.size() > most)
    std::fprintf(stderr, "  and %zu more\n", changes.told.size() - most);
  if (!changes.otherMetric)
    return;
  std::fprintf(stderr, "  the best checkpoint is judged anew\n");
  position_.bestStep = -1;
  position_.stale = 0;
}

/// Where the run begins: the recipe's initial values, --load's weights, or --resume's checkpoint.
void Training::start(const Options &options, bool again) {
  if (!again)
    position_.seed = common_.seed;
  std::string last = out_ + "/last.safetensors";
  // This run's own checkpoint too, once it has written one.
  if ((options.has("resume") || (again && savedStep_ >= 0)) && fileExists(last)) {
    RecipeChanges changes;
    position_ = loadCheckpoint(last, *program_, again ? nullptr : &changes);
    tellChanges(changes);
    savedStep_ = position_.step;
    noteCheckpoint(last, savedStep_);
    if (common_.seedGiven && common_.seed != position_.seed)
      fail("'%s' was made with --seed %u; a resumed run keeps it", last.c_str(), position_.seed);
    return;
  }
  position_.step = 0;
  startWeights(*program_, options, position_.seed, /*trains=*/true);
}

void Training::readRecipe(const Options &options) {
  const Json &train = program_->manifest().train;
  const Json none;
  auto part = [&](const char *key) -> const Json & {
    const Json *found = train.find(key);
    return found && found->isObject() ? *found : none;
  };
  int64_t epoch = std::max<int64_t>(1, trainFeed_->batches(Split::Train));
  if (train.find("steps"))
    recipe_.steps = train.at("steps").integer(1, INT64_MAX / 2);
  else if (train.find("epochs"))
    recipe_.steps = toInteger(std::ceil(train.at("epochs").number() * static_cast<double>(epoch)));
  // How often to validate follows from the recipe alone: a run in parts (--steps, --resume) is to be as one of a piece.
  int64_t planned = recipe_.steps > 0 ? recipe_.steps : 1000;
  recipe_.steps = options.integer("steps", recipe_.steps, 0, INT32_MAX);
  if (recipe_.steps <= 0 && !options.has("steps"))
    fail("the recipe does not say how long to train; give --steps N");
  recipe_.validateEvery = part("validate").integerOr("every", std::max<int64_t>(1, planned / 10));
  recipe_.validateBatches = part("validate").integerOr("batches", 0);
  recipe_.checkpointEvery = part("checkpoint").integerOr("every", recipe_.validateEvery);
  recipe_.keep = part("checkpoint").integerOr("keep", 1);
  recipe_.patience = part("early_stopping").integerOr("patience", 0);
  recipe_.metric = part("early_stopping").stringOr("metric", "loss");
  recipe_.highest = part("early_stopping").stringOr("best", "min") == "max";
  recipe_.minimum = part("early_stopping").numberOr("minimum", 0);
  recipe_.logEvery = train.integerOr("log", std::max<int64_t>(1, recipe_.steps / 20));
  // Rates that change are among the step's metrics.
  if (const Json *lr = part("optimizer").find("lr"); lr && lr->isNumber())
    recipe_.rates.emplace_back("lr", lr->number());
  if (const Json *several = train.find("optimizers"); several && several->isArray())
    for (size_t i = 0; i < several->array().size(); ++i)
      if (const Json *lr = several->array()[i].find("lr"); lr && lr->isNumber())
        recipe_.rates.emplace_back(i == 0 ? "lr" : "lr." + std::to_string(i), lr->number());
}

std::string Training::detail(double loss) const {
  std::string text = format("loss %.4f", loss);
  if (!std::isnan(lastValidation_))
    text += format("  val %.4f", lastValidation_);
  return text;
}

int Training::run() {
  std::signal(SIGINT, onInterrupt);
  std::signal(SIGTERM, onInterrupt);
  std::FILE *text = textOutput(json_);
  if (position_.step > 0)
    std::fprintf(text, "resumed at step %lld\n", static_cast<long long>(position_.step));
  else if (options_.has("resume"))
    std::fprintf(text, "nothing to resume in '%s' yet: starting at step 0\n", out_.c_str());
  else if (out_.empty() && !options_.has("save"))
    std::fprintf(text, "note: the weights are kept only with --out DIR or --save FILE\n");
  std::fflush(text); // should this process end otherwise than by itself
  progress_.emplace(text, position_.step, recipe_.steps, std::max<int64_t>(recipe_.logEvery, 1));
  // The first step touches fresh memory and, on some devices, still compiles.
  traceFrom_ = std::min(position_.step + 1, recipe_.steps - 1);
  for (int64_t step = position_.step; step < recipe_.steps && !interrupted && !stopEarly_; ++step)
    oneStep(step);
  finishLater();
  if (trace_)
    trace_->write();
  progress_->finish();
  if (!out_.empty() && savedStep_ != position_.step)
    checkpoint("last");
  if (!out_.empty() && position_.bestStep < 0)
    checkpoint("best"); // a run without a validation of the schedule: its end is the best there is
  if (options_.has("save"))
    saveWeights(options_.text("save"), *program_, sources_->vocabularies(), options_.list("save-only"));
  if (log_)
    log_->flush();
  std::string best = position_.bestStep < 0
                         ? ""
                         : format("; best validation %s %.4f after step %lld", recipe_.metric.c_str(), position_.best,
                                  static_cast<long long>(position_.bestStep));
  std::string loss = std::isnan(lastLoss_) ? "" : format("; loss %.4f", lastLoss_); // none where no step was left
  if (lostNorms_ > 1)
    std::fprintf(stderr, "note: the gradient norm of %lld steps was not finite\n", static_cast<long long>(lostNorms_));
  std::fprintf(text, "%s after %lld steps%s%s\n",
               interrupted  ? "interrupted"
               : stopEarly_ ? "stopped early"
                            : "done",
               static_cast<long long>(position_.step), loss.c_str(), best.c_str());
  return interrupted ? 130 : 0;
}

/// --profile: some steps only; a trace of a whole run would be of no use to anybody.
void Training::watch(int64_t step) {
  constexpr int64_t tracedSteps = 10;
  if (options_.has("profile") && step == traceFrom_)
    trace_.emplace(*program_, options_.text("profile"));
  if (trace_ && step == traceFrom_ + tracedSteps) {
    trace_->write();
    trace_.reset();
  }
}

void Training::oneStep(int64_t step) {
  watch(step);
  int64_t began = trace_ ? profileClock() : 0;
  if (loaded_ != step)
    trainFeed_->load(Split::Train, step);
  if (trace_)
    trace_->did("load a batch", began, step);
  began = trace_ ? profileClock() : 0;
  step_->start(position_.seed, step);
  bool ordinary = step_->goesOn() && !endsSomething(step);
  std::optional<Later> now;
  if (ordinary && step_->readsLater())
    now = {step, step_->askLater()};
  finishLater();
  if (ordinary) // the next batch, while the device is at this one
    trainFeed_->load(Split::Train, loaded_ = step + 1);
  later_ = now;
  if (!now) {
    step_->take(numbers_);
    if (trace_)
      trace_->did("train_step", began, step);
    completeStep(step);
  }
}

/// Something is due after this step that is to see its results.
bool Training::endsSomething(int64_t step) const {
  int64_t done = step + 1;
  return done == recipe_.steps || (eval_ && done % recipe_.validateEvery == 0) ||
         (!out_.empty() && done % recipe_.checkpointEvery == 0);
}

/// The step before, whose numbers were left on their way.
void Training::finishLater() {
  if (!later_)
    return;
  Later later = *later_;
  later_.reset();
  step_->take(later.asked, numbers_);
  completeStep(later.step);
}

void Training::completeStep(int64_t step) {
  lastLoss_ = numbers_.loss;
  if (!std::isfinite(lastLoss_)) {
    progress_->finish();
    failNotFinite(step);
  }
  watchGradientNorm(step);
  position_.step = step + 1;
  bool last = position_.step == recipe_.steps;
  bool validateNow = eval_ && (position_.step % recipe_.validateEvery == 0 || last);
  if (json_ || log_ || validateNow) {
    JsonLine line;
    line.add("step", step).add("loss", lastLoss_);
    for (size_t i = 0; i < numbers_.metrics.size(); ++i)
      line.add(step_->metrics()[i].name, numbers_.metrics[i]);
    for (const auto &[name, rate] : recipe_.rates)
      line.add(name, rate);
    if (validateNow)
      validate(step, line);
    json_.line(line.str());
    if (log_) {
      log_->scalar("train/loss", step, lastLoss_);
      for (size_t i = 0; i < numbers_.metrics.size(); ++i)
        log_->scalar("train/" + step_->metrics()[i].name, step, numbers_.metrics[i]);
      for (const auto &[name, rate] : recipe_.rates)
        log_->scalar("train/" + name, step, rate);
    }
  }
  if (!out_.empty() && (position_.step % recipe_.checkpointEvery == 0 || improved_)) {
    if (improved_)
      checkpoint("best");
    checkpoint("last");
  }
  improved_ = false;
  if (validateNow || progress_->due(position_.step))
    progress_->step(position_.step, detail(lastLoss_), validateNow);
}

/// A norm that is not finite clips its step to nothing while the loss may look well.
void Training::watchGradientNorm(int64_t step) {
  for (size_t i = 0; i < numbers_.metrics.size(); ++i) {
    if (step_->metrics()[i].name != "grad_norm")
      continue;
    double norm = numbers_.metrics[i];
    if (std::isfinite(norm) || ++lostNorms_ > 1)
      continue;
    progress_->finish();
    std::fprintf(
        stderr,
        "note: the gradient norm of step %lld is %s: `clip` cannot scale that step; a smaller learning rate or a "
        "smaller loss helps\n",
        static_cast<long long>(step), shortest(norm).c_str());
  }
}

/// The step has overwritten what it began with. Every run repeats bit for bit, so go back to the last checkpoint, or to
/// the start, and come again to the step before.
void Training::failNotFinite(int64_t step) {
  double loss = lastLoss_;
  std::fprintf(stderr, "the loss is not finite: repeating the run up to step %lld to find out where from\n",
               static_cast<long long>(step));
  start(options_, true);
  for (int64_t i = position_.step; i < step && !interrupted; ++i) {
    trainFeed_->load(Split::Train, i);
    step_->start(position_.seed, i);
  }
  trainFeed_->load(Split::Train, step);
  fail("%s", describeNotFinite(*program_, *step_, position_.seed, step, loss).c_str());
}

void Training::validate(int64_t step, JsonLine &line) {
  // Session states are those of the training; a validation has its own, and begins each time with the initial ones.
  Evaluation result = eval_->measure(Split::Validation, position_.seed, recipe_.validateBatches, &interrupted);
  if (interrupted)
    return; // incomplete: it counts for nothing
  lastValidation_ = result.loss;
  line.add("val_loss", result.loss);
  if (log_)
    log_->scalar("validation/loss", step, result.loss);
  for (const auto &[name, value] : result.metrics) {
    line.add("val_" + name, value);
    if (log_)
      log_->scalar("validation/" + name, step, value);
  }
  if (log_)
    log_->flush();
  // One at the end of a run that falls between two of the schedule is for information.
  if (position_.step % recipe_.validateEvery == 0)
    judge(result, position_.step);
}

/// Is this the best so far, and has there been none better for too long?
void Training::judge(const Evaluation &result, int64_t step) {
  double value = result.loss;
  if (recipe_.metric != "loss") {
    bool found = false;
    for (const auto &[name, metric] : result.metrics)
      if (name == recipe_.metric) {
        value = metric;
        found = true;
      }
    if (!found)
      fail("early_stopping: the recipe has no metric '%s'", recipe_.metric.c_str());
  }
  double gain = recipe_.highest ? value - position_.best : position_.best - value;
  improved_ = position_.bestStep < 0 || gain > recipe_.minimum;
  if (improved_) {
    position_.best = value;
    position_.bestStep = step;
    position_.stale = 0;
  } else if (++position_.stale >= recipe_.patience && recipe_.patience > 0) {
    stopEarly_ = true;
  }
}

/// With `keep=3` the two checkpoints before the last stay as previous-1 and previous-2. Only names move: a kill between
/// two of the moves leaves last.safetensors as it was.
void Training::keepEarlier() {
  auto path = [&](int64_t age) {
    return out_ + (age == 0 ? "/last" : "/previous-" + std::to_string(age)) + ".safetensors";
  };
  for (int64_t age = recipe_.keep - 1; age > 1; --age)
    std::rename(path(age - 1).c_str(), path(age).c_str());
  if (recipe_.keep > 1) {
    unlink(path(1).c_str());
    // Where the file system has no links, there is simply no earlier one.
    if (link(path(0).c_str(), path(1).c_str()) != 0 && errno == ENOSPC)
      fail("cannot write '%s': %s", path(1).c_str(), describeErrno(errno).c_str());
  }
}

void Training::checkpoint(const char *name) {
  // A finite loss may still have a step behind it that overflows: the last good checkpoint is to stay.
  if (std::string tensor = notFiniteTensor(*program_); !tensor.empty()) {
    progress_->finish();
    fail("after step %lld the %s is not finite; no checkpoint was written. A smaller learning rate or `clip` in the "
         "recipe helps",
         static_cast<long long>(position_.step - 1), tensor.c_str());
  }
  if (name == std::string_view("last"))
    keepEarlier();
  saveCheckpoint(out_ + "/" + name + ".safetensors", *program_, position_, sources_->vocabularies());
  if (name != std::string_view("last"))
    return;
  savedStep_ = position_.step;
  noteCheckpoint(out_ + "/last.safetensors", savedStep_);
}

} // namespace

int trainCommand(const Options &options, Common &common) { return Training(options, common).run(); }

} // namespace kiln
