// Checkpoints and weights gathered from a program, written, found again and taken.

#include "runtime/cli/Checkpoint.h"

#include "runtime/files/Safetensors.h"
#include "runtime/program/WeightFiles.h"
#include "runtime/program/Weights.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>

namespace kiln {

static std::map<std::string, std::string> metadataOf(Program &program, const Codings &codings) {
  std::map<std::string, std::string> metadata = {{"kiln.model", program.manifest().model}};
  metadata.insert(codings.begin(), codings.end());
  return metadata;
}

static std::vector<TensorView> everything(Program &program) {
  std::vector<TensorView> views;
  for (const Tensor &tensor : program.parameters())
    views.push_back(tensor.view());
  for (size_t i = 0; i < program.manifest().states.size(); ++i)
    if (const StateSpec &state = program.manifest().states[i]; !state.isSession() && program.manifest().keeps(state))
      views.push_back(program.states()[i].view());
  for (size_t slot : program.sessionSlots(Session::Training)) {
    TensorView view = program.states()[slot].view();
    view.name = std::string(sessionPrefix) + view.name;
    if (const std::vector<int64_t> &shape = program.sessionShape(slot); !shape.empty()) {
      view.shape = shape;
      view.bytes = static_cast<size_t>(*countElements(shape)) * dtypeSize(view.dtype);
    }
    views.push_back(std::move(view));
  }
  return views;
}

void saveCheckpoint(const std::string &path, Program &program, const Position &position, const Codings &codings) {
  std::map<std::string, std::string> metadata = metadataOf(program, codings);
  std::string stage = position.stage.empty()
                          ? ""
                          : format(",\"stage\":%s,\"round\":%lld,\"ended\":%s", jsonQuote(position.stage).c_str(),
                                   static_cast<long long>(position.round), position.ended ? "true" : "false");
  if (position.plateauStale >= 0)
    stage += format(",\"plateau_best\":%s,\"plateau_stale\":%lld", jsonNumber(position.plateauBest).c_str(),
                    static_cast<long long>(position.plateauStale));
  metadata["kiln.checkpoint"] =
      format("{\"format\":0,\"step\":%lld,\"seed\":%u,\"best\":%s,\"best_step\":%lld,\"stale\":%lld%s}",
             static_cast<long long>(position.step), position.seed, jsonNumber(position.best).c_str(),
             static_cast<long long>(position.bestStep), static_cast<long long>(position.stale), stage.c_str());
  metadata["kiln.recipe"] = recipeText(program.manifest());
  writeSafetensors(path, everything(program), metadata);
}

/// The shape that a session state had when it was written, where there is room for it.
static void takeSessionShapes(const Safetensors &file, Program &program) {
  for (size_t slot : program.sessionSlots(Session::Training)) {
    const Tensor &tensor = program.states()[slot];
    const TensorView *found = file.find(std::string(sessionPrefix) + tensor.name);
    bool fits = found && found->shape.size() == tensor.shape.size();
    for (size_t d = 0; fits && d < tensor.shape.size(); ++d)
      fits = found->shape[d] <= tensor.shape[d];
    program.sessionShape(slot) = fits ? found->shape : std::vector<int64_t>();
  }
}

Position loadCheckpoint(const std::string &path, Program &program, RecipeChanges *changes) {
  Safetensors file = Safetensors::open(path);
  auto found = file.metadata().find("kiln.checkpoint");
  if (found == file.metadata().end())
    fail("%s is no checkpoint: it does not say where the run stands; --load takes weights alone", file.what().c_str());
  Position position;
  try {
    Json json = Json::parse(found->second, "kiln.checkpoint", 4);
    json.at("format").integer(0, 0);
    position.step = json.at("step").integer(0, INT64_MAX);
    position.seed = static_cast<uint32_t>(json.at("seed").integer(0, UINT32_MAX));
    position.best = json.numberOr("best", 0);
    position.bestStep = json.at("best_step").integer(-1, INT64_MAX);
    position.stale = json.at("stale").integer(0, INT64_MAX);
    position.plateauBest = json.numberOr("plateau_best", 0);
    position.plateauStale = json.integerOr("plateau_stale", -1);
    position.stage = json.stringOr("stage", "");
    position.round = json.integerOr("round", 0);
    position.ended = json.booleanOr("ended", false);
  } catch (const Error &error) {
    fail("%s is damaged: %s", file.what().c_str(), error.what());
  }
  auto model = file.metadata().find("kiln.model");
  if (model != file.metadata().end() && model->second != program.manifest().model)
    fail("%s is of the model %s; this program is of %s", file.what().c_str(), model->second.c_str(),
         program.manifest().model.c_str());
  if (position.stage.empty() != program.manifest().stages.empty())
    fail("%s is of %s; this program's model has %s: the weights alone are taken by --load", file.what().c_str(),
         position.stage.empty() ? "a recipe without a name" : ("the recipe '" + position.stage + "'").c_str(),
         program.manifest().stages.empty() ? "one recipe, without a name"
                                           : ("the recipes " + program.manifest().stageNames()).c_str());
  if (!position.stage.empty())
    program.chooseStage(position.stage);
  if (auto recipe = file.metadata().find("kiln.recipe"); changes && recipe != file.metadata().end())
    *changes = changesSince(recipe->second, program.manifest(), file.what() + ": kiln.recipe");
  if (changes && !changes->refused.empty())
    fail("%s cannot be gone on with, for the recipe is another: %s; train into another folder, or take the weights "
         "alone "
         "with --load",
         file.what().c_str(), changes->refused.front().c_str());
  takeSessionShapes(file, program);
  std::vector<TensorRequest> requests;
  for (const TensorView &view : everything(program))
    requests.push_back({view.name, view.dtype, view.shape, const_cast<uint8_t *>(view.data)});
  loadTensors(file, requests, true);
  return position;
}

void checkPatterns(const std::vector<std::string> &patterns, const Manifest &manifest) {
  for (const std::string &pattern : patterns) {
    bool any = false;
    for (const ParameterSpec &parameter : manifest.parameters)
      any |= matchesPattern(pattern, parameter.name);
    for (const StateSpec &state : manifest.states)
      any |= state.kind == "persistent" && matchesPattern(pattern, state.name);
    if (!any)
      fail("--save-only %s: no weight of the model is called so", pattern.c_str());
  }
}

void saveWeights(const std::string &path, Program &program, const Codings &codings,
                 const std::vector<std::string> &patterns, const std::string &prefix) {
  std::vector<TensorView> weights = program.weights();
  if (!patterns.empty())
    std::erase_if(weights, [&](const TensorView &tensor) {
      return std::none_of(patterns.begin(), patterns.end(),
                          [&](const std::string &pattern) { return matchesPattern(pattern, tensor.name); });
    });
  for (TensorView &tensor : weights)
    tensor.name = prefix + tensor.name;
  writeSafetensors(path, weights, metadataOf(program, codings));
}

} // namespace kiln
