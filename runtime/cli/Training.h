// A run of `train`: its recipes, their data, and where it stands.
#pragma once

#include "runtime/cli/Checkpoint.h"
#include "runtime/cli/Commands.h"
#include "runtime/cli/Output.h"
#include "runtime/cli/Stages.h"
#include "runtime/cli/Trace.h"
#include "runtime/data/Evaluate.h"
#include "runtime/files/EventLog.h"
#include "runtime/files/File.h"

#include <cmath>
#include <optional>

namespace kiln {

/// What the recipe and the command line say about how to train.
struct TrainingRecipe {
  int64_t steps = 0;
  int64_t validateEvery = 0, validateBatches = 0;
  int64_t patience = 0;
  std::string metric = "loss";
  bool highest = false;
  double minimum = 0;
  int64_t checkpointEvery = 0, keep = 1;
  int64_t logEvery = 0;
  struct Plateau {
    std::string state, metric; // none: no rate reads a metric
    bool highest = false;
    double factor = 0.1, threshold = 1e-4;
    int64_t patience = 10;
  } plateau;
  std::vector<std::pair<std::string, double>> rates; // those that never change, by their names among the metrics
};

/// A recipe with what it reads and measures by.
struct TrainingStage {
  TrainingStage(const Manifest &manifest, const std::map<std::string, std::string> &overrides, uint32_t seed,
                const Codings &given)
      : sources(manifest, overrides, seed, given, /*trains=*/true) {}
  TrainingRecipe recipe;
  Sources sources;
  std::unique_ptr<TrainStep> step;
  std::optional<Feeder> feed;
  std::optional<Evaluator> eval;
};

class Training {
public:
  Training(const Options &options, Common &common);
  int run();

private:
  void readRecipe(TrainingStage &stage, int64_t rounds);
  TrainingStage &open(const Visit &visit);
  void enter(size_t number);
  void takeResult(const std::string &name);
  void bringCodings(Codings brought);
  std::string resultPath(const std::string &name) const;
  void keepResult(const std::string &name);
  void steps();
  void tellProgress();
  void endVisit();
  void leave();
  void callAround(const char *block);
  void tellStart(std::FILE *text) const;
  void tellEnd(std::FILE *text) const;
  std::string tag(const std::string &name) const;
  void checkOptions(const Options &options) const;
  void takeFolder(const Options &options);
  void findVisit(const std::string &path);
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
  double measured(const Evaluation &result, const std::string &metric, const char *who) const;
  void judge(const Evaluation &result, int64_t step);
  void watchPlateau(const Evaluation &result);
  Codings codings() const;
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
  std::vector<Visit> plan_;
  size_t visit_ = 0; // where in it
  /// What later recipes begin with: weights, and what their data were read by.
  struct Result {
    std::vector<std::vector<uint8_t>> weights;
    Codings codings;
  };
  std::map<std::string, Result> results_;
  std::map<std::string, std::unique_ptr<TrainingStage>> stages_;
  TrainingStage *at_ = nullptr;
  int64_t until_ = 0;   // the steps of the stage that this visit ends at
  int64_t loaded_ = -1; // the step whose batch is there already
  struct Later {
    int64_t step;
    size_t asked;
  };
  std::optional<Later> later_; // numbers of the last step that are on their way
  Call::Numbers numbers_;      // of the step that is looked at
  Position position_;
  Codings codings_; // of the weights that it began with, and of the data since
  std::optional<EventLog> log_;
  std::optional<Progress> progress_;
  std::optional<Trace> trace_; // while --profile watches
  int64_t traceFrom_ = 0;
  double lastValidation_ = NAN, lastLoss_ = NAN;
  bool stopEarly_ = false, improved_ = false;
  int64_t savedStep_ = -1; // of this run's last checkpoint, in the visit that it is of
  size_t savedVisit_ = 0;
  int64_t lostNorms_ = 0; // steps whose gradient norm is not finite
};

} // namespace kiln
