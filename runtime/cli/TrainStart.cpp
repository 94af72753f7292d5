// How a run of `train` begins: its options, its folder, the recipes and where it goes on from.
#include "runtime/backend/Guard.h"
#include "runtime/cli/Training.h"
#include "runtime/support/Error.h"
#include "runtime/support/Integers.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>

namespace kiln {

Training::Training(const Options &options, Common &common)
    : options_(options), common_(common), json_(common.json, common.jsonPath), out_(options.text("out")) {
  checkOptions(options);
  program_ = std::make_unique<Program>(common.image, common.threads, common.devices, common.backendOptions);
  const Manifest &manifest = program_->manifest();
  plan_ = planOf(manifest, options.positional());
  for (const Visit &visit : plan_) {
    const StageSpec *stage = manifest.findStage(visit.stage);
    std::string entry = "train_step" + (stage ? stage->suffix : "");
    if (!manifest.findEntry(entry))
      failUntrained("training step", stage ? entry : "train");
  }
  if (!plan_[0].stage.empty())
    program_->chooseStage(plan_[0].stage);
  if (!common.seedGiven && manifest.train.isObject())
    common.seed = static_cast<uint32_t>(manifest.train.integerOr("seed", 0));
  checkPatterns(options.list("save-only"), manifest);
  takeFolder(options);
  start(options);
  enter(visit_);
  checkOptions(options); // again, now that it is known which data are read
  if (options.has("overwrite"))
    beginAnew();
  if (options.has("log-dir"))
    log_.emplace(options.text("log-dir"));
}

/// A recipe's data and functions; they stay open, since a series comes back to it.
TrainingStage &Training::open(const Visit &visit) {
  std::unique_ptr<TrainingStage> &stage = stages_[visit.stage];
  if (stage)
    return *stage;
  const Manifest &manifest = program_->manifest();
  stage = std::make_unique<TrainingStage>(manifest, overridesFor(manifest, options_), position_.seed, codings_);
  stage->step = makeTrainStep(*program_);
  stage->feed.emplace(*stage->step, stage->sources);
  readRecipe(*stage, visit.rounds);
  if (manifest.findEntry("eval" + manifest.suffix) && stage->recipe.validateEvery > 0) {
    stage->eval.emplace(*program_, stage->sources);
    if (!stage->eval->feeder().hasSplits() || stage->eval->feeder().batches(Split::Validation) == 0)
      stage->eval.reset();
  }
  stage->sources.addCodings(codings_);
  return *stage;
}

/// Where a visit begins, or goes on after --resume.
void Training::enter(size_t number) {
  const Visit &visit = plan_[visit_ = number];
  if (!visit.stage.empty())
    program_->chooseStage(visit.stage);
  bool begins = savedStep_ < 0 && visit.first;
  const Json &train = program_->manifest().train;
  const Json *from = begins && train.isObject() && (number > 0 || !options_.has("load")) ? train.find("from") : nullptr;
  if (auto kept = from ? results_.find(from->string()) : results_.end(); kept != results_.end())
    bringCodings(kept->second.codings);
  else if (from && !out_.empty() && fileExists(resultPath(from->string())))
    bringCodings(fileCodings(WeightChoice::of(resultPath(from->string()))));
  if (begins && number > 0)
    bringCodings(fileCodings(recipeWeights(program_->manifest())));
  at_ = &open(visit);
  int64_t each = at_->recipe.steps;
  until_ = (visit.round + 1) * each;
  if (savedStep_ >= 0) // it goes on
    return;
  bool other = number > 0 && (plan_[number - 1].series != visit.series || plan_[number - 1].stage != visit.stage);
  position_.step = visit.round * each;
  position_.stage = visit.stage;
  position_.round = visit.round;
  position_.ended = false;
  loaded_ = -1;
  if (other || (number > 0 && visit.series.empty())) {
    position_.bestStep = -1;
    position_.stale = 0;
    position_.plateauStale = -1;
  }
  if (number > 0 && visit.first) {
    program_->resetSession(Session::Training, position_.seed);
    takeRecipeWeights(*program_, options_.has("partial"));
  }
  if (from)
    takeResult(from->string());
}

/// Of weights that are to be taken: before what the run has had until now.
void Training::bringCodings(Codings brought) {
  brought.merge(codings_);
  codings_ = std::move(brought);
}

/// Where an earlier run of this folder has left a recipe's result.
std::string Training::resultPath(const std::string &name) const { return out_ + "/" + name + ".safetensors"; }

/// `weights = pretrain`: what that recipe has left, in this run or in its folder.
void Training::takeResult(const std::string &name) {
  std::string path = resultPath(name);
  if (auto kept = results_.find(name); kept != results_.end()) {
    std::vector<TensorRequest> places = program_->weightRequests();
    for (size_t i = 0; i < places.size(); ++i)
      std::memcpy(places[i].data, kept->second.weights[i].data(), kept->second.weights[i].size());
  } else if (!out_.empty() && fileExists(path)) {
    program_->loadWeights(path);
  } else {
    fail("the recipe '%s' begins with the result of '%s': train both (`train` without a name), or give that one's "
         "weights with --load",
         position_.stage.c_str(), name.c_str());
  }
}

void Training::keepResult(const std::string &name) {
  bool wanted = false;
  for (size_t later = visit_ + 1; later < plan_.size(); ++later)
    if (const StageSpec *stage = program_->manifest().findStage(plan_[later].stage); stage && stage->train.isObject())
      wanted |= plan_[later].first && stage->train.stringOr("from", "") == name;
  if (!wanted)
    return;
  Result &kept = results_[name];
  kept.codings = codings_;
  for (const TensorView &view : program_->weights())
    kept.weights.emplace_back(view.data, view.data + view.bytes);
}

/// `begin` or `end` of the recipe, where it has them.
void Training::callAround(const char *block) {
  const Json &train = program_->manifest().train;
  if (train.isObject() && train.find(block))
    program_->call(train.at(block).string()).run(position_.seed, position_.step);
}

void Training::checkOptions(const Options &options) const {
  for (const char *option : {"resume", "overwrite"})
    if (options.has(option) && out_.empty())
      throw UsageError(format("--%s needs --out DIR: the folder of the run", option));
  if (options.has("resume") && options.has("overwrite"))
    throw UsageError("--resume goes on with the run in the folder, --overwrite begins anew: give one of them");
  if (options.has("save-only") && !options.has("save"))
    throw UsageError("--save-only says which weights --save writes; there is no --save");
  if (options.has("save-prefix") && !options.has("save"))
    throw UsageError("--save-prefix says what names --save writes; there is no --save");
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
    for (const WeightChoice::File &file : loadFiles(options))
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
  for (const StageSpec &stage : program_->manifest().stages)
    if (fileExists(out_ + "/" + stage.name + ".safetensors"))
      files.push_back(out_ + "/" + stage.name + ".safetensors");
  size_t others = files.size() - 1;
  for (std::string path; path = out_ + format("/previous-%zu.safetensors", files.size() - others), fileExists(path);)
    files.push_back(path);
  for (const std::string &file : files)
    for (const WeightChoice::File &loaded : loadFiles(options_))
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

/// Where in the plan a checkpoint stands.
void Training::findVisit(const std::string &path) {
  for (visit_ = 0; visit_ < plan_.size(); ++visit_)
    if (plan_[visit_].stage == position_.stage && plan_[visit_].round == position_.round)
      return;
  fail("'%s' stands in the recipe '%s' (round %lld), which is not among those that are to be trained: name it, or give "
       "no name",
       path.c_str(), position_.stage.c_str(), static_cast<long long>(position_.round + 1));
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
    if (!again)
      findVisit(last);
    tellChanges(changes);
    if (!again)
      codings_ = fileCodings(WeightChoice::of(last));
    savedStep_ = position_.step;
    savedVisit_ = visit_;
    noteCheckpoint(last, savedStep_);
    if (common_.seedGiven && common_.seed != position_.seed)
      fail("'%s' was made with --seed %u; a resumed run keeps it", last.c_str(), position_.seed);
    return;
  }
  position_.step = 0;
  startWeights(*program_, options, position_.seed, /*trains=*/true);
  if (!again)
    codings_ = weightCodings(options, common_, program_->manifest(), /*trains=*/true);
}

void Training::readRecipe(TrainingStage &stage, int64_t rounds) {
  const Options &options = options_;
  TrainingRecipe &recipe = stage.recipe;
  const Json &train = program_->manifest().train;
  const Json none;
  auto part = [&](const char *key) -> const Json & {
    const Json *found = train.find(key);
    return found && found->isObject() ? *found : none;
  };
  int64_t epoch = std::max<int64_t>(1, stage.feed->batches(Split::Train));
  if (train.find("steps"))
    recipe.steps = train.at("steps").integer(1, INT64_MAX / 2);
  else if (train.find("epochs"))
    recipe.steps = toInteger(std::ceil(train.at("epochs").number() * static_cast<double>(epoch)));
  // How often to validate follows from the recipe alone: a run in parts (--steps, --resume) is to be as one of a piece.
  int64_t planned = (recipe.steps > 0 ? recipe.steps : 1000) * rounds;
  recipe.steps = options.integer("steps", recipe.steps, 0, INT32_MAX);
  if (recipe.steps <= 0 && !options.has("steps"))
    fail("the recipe does not say how long to train; give --steps N");
  if (recipe.steps > INT32_MAX / rounds)
    fail("%lld rounds of %lld steps are more than the %d that can be counted", static_cast<long long>(rounds),
         static_cast<long long>(recipe.steps), INT32_MAX);
  recipe.validateEvery = part("validate").integerOr("every", std::max<int64_t>(1, planned / 10));
  recipe.validateBatches = part("validate").integerOr("batches", 0);
  recipe.checkpointEvery = part("checkpoint").integerOr("every", recipe.validateEvery);
  recipe.keep = part("checkpoint").integerOr("keep", 1);
  recipe.patience = part("early_stopping").integerOr("patience", 0);
  recipe.metric = part("early_stopping").stringOr("metric", "loss");
  recipe.highest = part("early_stopping").stringOr("best", "min") == "max";
  recipe.minimum = part("early_stopping").numberOr("minimum", 0);
  if (const Json &plateau = part("plateau"); plateau.isObject()) {
    recipe.plateau.state = plateau.at("state").string();
    recipe.plateau.metric = plateau.stringOr("metric", "loss");
    recipe.plateau.highest = plateau.stringOr("best", "min") == "max";
    recipe.plateau.factor = plateau.numberOr("factor", 0.1);
    recipe.plateau.threshold = plateau.numberOr("threshold", 1e-4);
    recipe.plateau.patience = plateau.integerOr("patience", 10);
  }
  recipe.logEvery = train.integerOr("log", std::max<int64_t>(1, recipe.steps * rounds / 20));
  // Rates that change are among the step's metrics.
  if (const Json *lr = part("optimizer").find("lr"); lr && lr->isNumber())
    recipe.rates.emplace_back("lr", lr->number());
  if (const Json *several = train.find("optimizers"); several && several->isArray())
    for (size_t i = 0; i < several->array().size(); ++i)
      if (const Json *lr = several->array()[i].find("lr"); lr && lr->isNumber())
        recipe.rates.emplace_back(i == 0 ? "lr" : "lr." + std::to_string(i), lr->number());
}

} // namespace kiln
