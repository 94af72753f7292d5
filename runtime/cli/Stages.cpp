// The recipes of a program in the order in which a training goes through them.
#include "runtime/cli/Stages.h"

#include "runtime/cli/Commands.h"
#include "runtime/program/Program.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kiln {

std::string Visit::title() const {
  if (series.empty())
    return stage;
  return series + ": round " + std::to_string(round + 1) + " of " + std::to_string(rounds) + ": " + stage;
}

static void add(std::vector<Visit> &plan, const StageSpec &stage) {
  if (!stage.isSeries()) {
    plan.push_back({stage.name, "", 0, 1, true, true});
    return;
  }
  for (int64_t round = 0; round < stage.rounds; ++round)
    for (const std::string &name : stage.stages)
      plan.push_back({name, stage.name, round, stage.rounds, round == 0, false});
  plan.back().last = true;
}

static const StageSpec &named(const Manifest &manifest, const std::string &name) {
  if (const StageSpec *found = manifest.findStage(name))
    return *found;
  NearestName nearest(name);
  for (const StageSpec &one : manifest.stages)
    nearest.consider(one.name);
  if (manifest.stages.empty())
    throw UsageError("unexpected argument '" + name + "': the model has one recipe, and it has no name");
  throw UsageError("the model has no recipe '" + name + "'" + nearest.hint() + "; it has: " + manifest.stageNames());
}

std::vector<Visit> planOf(const Manifest &manifest, const std::vector<std::string> &names) {
  std::vector<Visit> plan;
  if (names.size() > 1)
    throw UsageError("one recipe is trained, or all of them; give one name");
  if (!names.empty())
    add(plan, named(manifest, names[0]));
  else if (manifest.stages.empty())
    plan.push_back({});
  else
    for (const StageSpec &stage : manifest.stages)
      if (!manifest.seriesOf(stage.name)) // it has its turn there
        add(plan, stage);
  return plan;
}

void failUntrained(const char *what, const std::string &entry) {
  fail("this program has no %s: the model has no `train` recipe, or it was built with --weights-as or without --entry "
       "%s",
       what, entry.c_str());
}

void chooseStage(Program &program, const Options &options, const char *command) {
  const Manifest &manifest = program.manifest();
  std::vector<std::string> steps;
  for (const StageSpec &stage : manifest.stages)
    if (!stage.isSeries())
      steps.push_back(stage.name);
  std::string name;
  if (options.positional().empty()) {
    if (steps.size() > 1)
      throw UsageError(format("the model has several recipes: %s; say which one, as in %s %s",
                              manifest.stageNames().c_str(), command, steps.back().c_str()));
    if (steps.empty())
      return;
    name = steps[0];
  } else if (const StageSpec &stage = named(manifest, name = options.positional()[0]); stage.isSeries()) {
    throw UsageError("'" + name + "' is a series of recipes; name one of: " + manifest.stageNames());
  }
  program.chooseStage(name);
}

/// "data.validation" is of data too.
static std::string sourceOf(const std::string &name) {
  for (Split split : {Split::Validation, Split::Test})
    if (std::string ending = std::string(".") + splitName(split); name.ends_with(ending))
      return name.substr(0, name.size() - ending.size());
  return name;
}

static void checkOverrides(const Manifest &manifest, const std::map<std::string, std::string> &overrides) {
  for (const auto &[name, path] : overrides) {
    bool any = false;
    NearestName nearest(name);
    for (const StageSpec &stage : manifest.stages)
      for (const SourceSpec &source : stage.data) {
        for (const std::string &given : {name, sourceOf(name)})
          any |= source.name == given || stage.name + "." + source.name == given;
        nearest.consider(source.name);
        nearest.consider(stage.name + "." + source.name);
      }
    if (!any)
      fail("--data %s: no recipe of the model has data of that name%s; a recipe's own are called RECIPE.NAME",
           name.c_str(), nearest.hint().c_str());
  }
}

std::map<std::string, std::string> overridesFor(const Manifest &manifest, const Options &options) {
  std::map<std::string, std::string> overrides = dataOverrides(options);
  if (manifest.stages.size() < 2)
    return overrides;
  checkOverrides(manifest, overrides);
  std::map<std::string, std::string> own;
  for (const auto &[name, path] : overrides)
    if (name.starts_with(manifest.stage + ".")) // before what is said of all
      own[name.substr(manifest.stage.size() + 1)] = path;
    else if (manifest.findSource(name) || manifest.findSource(sourceOf(name)))
      own.emplace(name, path);
  return own;
}

} // namespace kiln
