// PROGRAM train
#include "runtime/backend/Cancel.h"
#include "runtime/backend/Guard.h"
#include "runtime/cli/Diagnose.h"
#include "runtime/cli/Training.h"
#include "runtime/support/Error.h"

#include <cerrno>
#include <cmath>
#include <csignal>
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
} // namespace

/// Four decimals, or where these would say nothing three digits.
static std::string shown(double figure) {
  return format(figure != 0 && std::abs(figure) < 1e-3 ? "%.3g" : "%.4f", figure);
}

std::string Training::detail(double loss) const {
  std::string text = "loss " + shown(loss);
  if (!std::isnan(lastValidation_))
    text += "  val " + shown(lastValidation_);
  return text;
}

/// What a run says before its first step.
void Training::tellStart(std::FILE *text) const {
  std::string where = plan_.size() > 1 ? " of " + plan_[visit_].title() : "";
  if (savedStep_ > 0)
    std::fprintf(text, "resumed at step %lld%s\n", static_cast<long long>(position_.step), where.c_str());
  else if (options_.has("resume"))
    std::fprintf(text, "nothing to resume in '%s' yet: starting at step 0\n", out_.c_str());
  else if (out_.empty() && !options_.has("save"))
    std::fprintf(text, "note: the weights are kept only with --out DIR or --save FILE\n");
  std::fflush(text); // should this process end otherwise than by itself
}

/// The rounds of a series of one stage are told as one.
void Training::tellProgress() {
  const Visit &visit = plan_[visit_];
  auto alike = [&](size_t other) {
    return !visit.series.empty() && other < plan_.size() && plan_[other].series == visit.series &&
           plan_[other].stage == visit.stage;
  };
  if (progress_ && visit_ > 0 && alike(visit_ - 1))
    return;
  std::FILE *text = textOutput(json_);
  bool whole = alike(visit_ + 1);
  std::string title = whole ? format("%s: %lld rounds of %s", visit.series.c_str(),
                                     static_cast<long long>(visit.rounds), visit.stage.c_str())
                            : visit.title();
  if (plan_.size() > 1)
    std::fprintf(text, "%s\n", title.c_str());
  progress_.emplace(text, position_.step, whole ? visit.rounds * at_->recipe.steps : until_,
                    std::max<int64_t>(at_->recipe.logEvery, 1));
}

/// The steps of a visit.
void Training::steps() {
  if (savedStep_ < 0)
    callAround("begin");
  tellProgress();
  // The first step touches fresh memory and, on some devices, still compiles.
  traceFrom_ = std::min(position_.step + 1, until_ - 1);
  stopEarly_ = false;
  for (int64_t step = position_.step; step < until_ && !interrupted && !stopEarly_; ++step)
    oneStep(step);
  finishLater();
  if (trace_)
    trace_->write();
  trace_.reset();
  progress_->finish();
}

/// Behind the last step, before its results are looked at.
void Training::endVisit() {
  callAround("end");
  position_.ended = true;
}

/// Behind a visit: checkpoints where a stage or a series is over.
void Training::leave() {
  const Visit &visit = plan_[visit_];
  if (interrupted)
    return;
  if (!position_.ended) { // it stopped early
    endVisit();
    savedStep_ = -1; // what stands is without it
  }
  const std::string &name = visit.series.empty() ? visit.stage : visit.series;
  if (visit.last || stopEarly_)
    keepResult(name);
  if (out_.empty() || plan_.size() == 1 || !(visit.last || stopEarly_))
    return;
  checkpoint(name.c_str());
  checkpoint("last");
}

int Training::run() {
  std::signal(SIGINT, onInterrupt);
  std::signal(SIGTERM, onInterrupt);
  std::FILE *text = textOutput(json_);
  tellStart(text);
  for (size_t number = visit_; number < plan_.size() && !interrupted; ++number) {
    if (number > visit_) {
      // Where a stage of a series has stopped early, the series has.
      if (stopEarly_ && !plan_[visit_].series.empty() && plan_[number].series == plan_[visit_].series)
        continue;
      savedStep_ = -1;
      enter(number);
    }
    steps();
    leave();
  }
  if (!out_.empty() && savedStep_ != position_.step)
    checkpoint("last");
  if (!out_.empty() && position_.bestStep < 0)
    checkpoint("best"); // a run without a validation of the schedule: its end is the best there is
  if (options_.has("save"))
    saveWeights(options_.text("save"), *program_, codings(), options_.list("save-only"), options_.text("save-prefix"));
  if (log_)
    log_->flush();
  tellEnd(text);
  return interrupted ? 130 : 0;
}

void Training::tellEnd(std::FILE *text) const {
  std::string best = position_.bestStep < 0
                         ? ""
                         : format("; best validation %s %s after step %lld", at_->recipe.metric.c_str(),
                                  shown(position_.best).c_str(), static_cast<long long>(position_.bestStep));
  std::string loss = std::isnan(lastLoss_) ? "" : "; loss " + shown(lastLoss_); // none where no step was left
  if (lostNorms_ > 1)
    std::fprintf(stderr, "note: the gradient norm of %lld steps was not finite\n", static_cast<long long>(lostNorms_));
  const Visit &visit = plan_[visit_];
  std::string stage = plan_.size() == 1 ? "" : " of " + (visit.series.empty() ? visit.stage : visit.series);
  std::fprintf(text, "%s after %lld steps%s%s%s\n",
               interrupted  ? "interrupted"
               : stopEarly_ ? "stopped early"
                            : "done",
               static_cast<long long>(position_.step), stage.c_str(), loss.c_str(), best.c_str());
}

/// What a number is called in TensorBoard: by its stage where there are several.
std::string Training::tag(const std::string &name) const {
  return plan_.size() > 1 ? plan_[visit_].stage + "/" + name : name;
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
    at_->feed->load(Split::Train, step);
  if (trace_)
    trace_->did("load a batch", began, step);
  began = trace_ ? profileClock() : 0;
  at_->step->start(position_.seed, step);
  bool ordinary = at_->step->goesOn() && !endsSomething(step);
  std::optional<Later> now;
  if (ordinary && at_->step->readsLater())
    now = {step, at_->step->askLater()};
  finishLater();
  if (ordinary) // the next batch, while the device is at this one
    at_->feed->load(Split::Train, loaded_ = step + 1);
  later_ = now;
  if (!now) {
    at_->step->take(numbers_);
    if (trace_)
      trace_->did("train_step", began, step);
    completeStep(step);
  }
}

/// Something is due after this step that is to see its results.
bool Training::endsSomething(int64_t step) const {
  int64_t done = step + 1;
  return done == until_ || (at_->eval && done % at_->recipe.validateEvery == 0) ||
         (!out_.empty() && done % at_->recipe.checkpointEvery == 0);
}

/// The step before, whose numbers were left on their way.
void Training::finishLater() {
  if (!later_)
    return;
  Later later = *later_;
  later_.reset();
  at_->step->take(later.asked, numbers_);
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
  if (position_.step == until_)
    endVisit();
  bool last = position_.step == until_ && plan_[visit_].last;
  bool validateNow = at_->eval && (position_.step % at_->recipe.validateEvery == 0 || last);
  if (json_ || log_ || validateNow) {
    JsonLine line;
    if (!plan_[visit_].stage.empty())
      line.add("stage", plan_[visit_].stage);
    if (plan_[visit_].rounds > 1)
      line.add("round", plan_[visit_].round);
    line.add("step", step).add("loss", lastLoss_);
    for (size_t i = 0; i < numbers_.metrics.size(); ++i)
      line.add(at_->step->metrics()[i].name, numbers_.metrics[i]);
    for (const auto &[name, rate] : at_->recipe.rates)
      line.add(name, rate);
    if (validateNow)
      validate(step, line);
    json_.line(line.str());
    if (log_) {
      log_->scalar(tag("train/loss"), step, lastLoss_);
      for (size_t i = 0; i < numbers_.metrics.size(); ++i)
        log_->scalar(tag("train/" + at_->step->metrics()[i].name), step, numbers_.metrics[i]);
      for (const auto &[name, rate] : at_->recipe.rates)
        log_->scalar(tag("train/" + name), step, rate);
    }
  }
  if (!out_.empty() && (position_.step % at_->recipe.checkpointEvery == 0 || improved_)) {
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
    if (at_->step->metrics()[i].name != "grad_norm")
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
  if (visit_ > 0 && (savedStep_ < 0 || savedVisit_ != visit_)) // the stages before would have to be repeated too
    fail("the loss of step %lld of %s is %s; a smaller learning rate or `clip` in the recipe helps. With --out DIR and "
         "`checkpoint = every(n)` the run is repeated from its last checkpoint to find out where from",
         static_cast<long long>(step), plan_[visit_].title().c_str(), shortest(loss).c_str());
  std::fprintf(stderr, "the loss is not finite: repeating the run up to step %lld to find out where from\n",
               static_cast<long long>(step));
  start(options_, true);
  if (savedStep_ < 0)
    callAround("begin");
  for (int64_t i = position_.step; i < step && !interrupted; ++i) {
    at_->feed->load(Split::Train, i);
    at_->step->start(position_.seed, i);
  }
  at_->step->finish();
  at_->feed->load(Split::Train, step);
  fail("%s", describeNotFinite(*program_, *at_->step, position_.seed, step, loss).c_str());
}

void Training::validate(int64_t step, JsonLine &line) {
  // Session states are those of the training; a validation has its own, and begins each time with the initial ones.
  Evaluation result = at_->eval->measure(Split::Validation, position_.seed, at_->recipe.validateBatches, &interrupted);
  if (interrupted)
    return; // incomplete: it counts for nothing
  lastValidation_ = result.loss;
  line.add("val_loss", result.loss);
  if (log_)
    log_->scalar(tag("validation/loss"), step, result.loss);
  for (const auto &[name, value] : result.metrics) {
    line.add("val_" + name, value);
    if (log_)
      log_->scalar(tag("validation/" + name), step, value);
  }
  if (log_)
    log_->flush();
  // One at the end of a run that falls between two of the schedule is for information.
  if (position_.step % at_->recipe.validateEvery == 0) {
    judge(result, position_.step);
    watchPlateau(result);
  }
}

double Training::measured(const Evaluation &result, const std::string &metric, const char *who) const {
  if (metric == "loss")
    return result.loss;
  for (const auto &[name, value] : result.metrics)
    if (name == metric)
      return value;
  fail("%s: the recipe has no metric '%s'", who, metric.c_str());
}

/// torch.optim.lr_scheduler.ReduceLROnPlateau, of the validations of the schedule.
void Training::watchPlateau(const Evaluation &result) {
  const TrainingRecipe::Plateau &plateau = at_->recipe.plateau;
  if (plateau.state.empty())
    return;
  double value = measured(result, plateau.metric, "plateau");
  bool better =
      position_.plateauStale < 0 || (plateau.highest ? value > position_.plateauBest * (1 + plateau.threshold)
                                                     : value < position_.plateauBest * (1 - plateau.threshold));
  if (better)
    position_.plateauBest = value;
  position_.plateauStale = better ? 0 : position_.plateauStale + 1;
  if (position_.plateauStale <= plateau.patience)
    return;
  Tensor *scale = program_->state(plateau.state);
  if (!scale)
    fail("the program's manifest is damaged: there is no state '%s'", plateau.state.c_str());
  storeNumber(scale->dtype, scale->memory.data(), 0,
              loadNumber(scale->dtype, scale->memory.data(), 0) * plateau.factor);
  position_.plateauStale = 0;
}

/// Is this the best so far, and has there been none better for too long?
void Training::judge(const Evaluation &result, int64_t step) {
  double value = measured(result, at_->recipe.metric, "early_stopping");
  double gain = at_->recipe.highest ? value - position_.best : position_.best - value;
  improved_ = position_.bestStep < 0 || gain > at_->recipe.minimum;
  if (improved_) {
    position_.best = value;
    position_.bestStep = step;
    position_.stale = 0;
  } else if (++position_.stale >= at_->recipe.patience && at_->recipe.patience > 0) {
    stopEarly_ = true;
  }
}

/// With `keep=3` the two checkpoints before the last stay as previous-1 and previous-2. Only names move: a kill between
/// two of the moves leaves last.safetensors as it was.
void Training::keepEarlier() {
  auto path = [&](int64_t age) {
    return out_ + (age == 0 ? "/last" : "/previous-" + std::to_string(age)) + ".safetensors";
  };
  for (int64_t age = at_->recipe.keep - 1; age > 1; --age)
    std::rename(path(age - 1).c_str(), path(age).c_str());
  if (at_->recipe.keep > 1) {
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
  saveCheckpoint(out_ + "/" + name + ".safetensors", *program_, position_, codings());
  if (name != std::string_view("last"))
    return;
  savedStep_ = position_.step;
  savedVisit_ = visit_;
  noteCheckpoint(out_ + "/last.safetensors", savedStep_);
}

/// What a file keeps of them. A tokenizer that the program carries is in no file.
Codings Training::codings() const {
  Codings all = codings_;
  if (common_.image.tokenizer_size)
    std::erase_if(all, [](const auto &entry) {
      return entry.first.starts_with(vocabularyPrefix) && !entry.second.starts_with("{\"kind\":");
    });
  return all;
}

int trainCommand(const Options &options, Common &common) { return Training(options, common).run(); }

} // namespace kiln
