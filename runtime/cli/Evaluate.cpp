// PROGRAM eval and grad
#include "runtime/data/Evaluate.h"
#include "runtime/cli/Commands.h"
#include "runtime/cli/Output.h"
#include "runtime/cli/Stages.h"
#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"

namespace kiln {

int evalCommand(const Options &options, Common &common) {
  std::unique_ptr<Program> program = startProgram(options, common);
  chooseStage(*program, options, "eval");
  const Manifest &manifest = program->manifest();
  if (!manifest.findEntry("eval" + manifest.suffix))
    failUntrained("evaluation", "eval" + manifest.suffix);
  std::string name = manifest.train.isObject() ? manifest.train.stringOr("split", "validation") : "validation";
  bool all = options.text("split", "") == "all";
  Split split = all ? Split::Validation : splitFromName(options.text("split", name));
  Sources sources(manifest, overridesFor(manifest, options), common.seed, weightCodings(options, common, manifest));
  if (all)
    sources.measureAll();
  Evaluator evaluator(*program, sources);
  if (all && evaluator.feeder().batches(split) == 0)
    fail("the data have no rows");
  JsonOutput json(common.json, common.jsonPath);
  Evaluation result = evaluator.measure(split, common.seed, 0);
  const char *measured = evaluator.feeder().hasSplits() && !all ? splitName(split) : "all";
  JsonLine line;
  line.add("split", measured).add("examples", result.examples);
  line.add("loss", result.loss);
  for (const auto &[metric, value] : result.metrics)
    line.add(metric, value);
  json.line(line.str());
  std::FILE *text = textOutput(json);
  std::fprintf(text, "loss %.6f", result.loss);
  for (const auto &[metric, value] : result.metrics)
    std::fprintf(text, "  %s %.6f", metric.c_str(), value);
  std::fprintf(text, "  (%s: %lld examples)\n", measured, static_cast<long long>(result.examples));
  return 0;
}

int gradCommand(const Options &options, Common &common) {
  std::string path = options.text("output");
  if (path.empty() || path.ends_with(".npy") || path.find('=') < path.find('/'))
    throw UsageError("grad needs one file for all gradients: --output G.safetensors");
  checkWritable(path);
  std::unique_ptr<Program> program = startProgram(options, common);
  chooseStage(*program, options, "grad");
  const std::string &suffix = program->manifest().suffix;
  if (!program->manifest().findEntry("grad" + suffix))
    failUntrained("gradients", "grad" + suffix);
  Call &call = program->call("grad" + suffix);
  setInputs(call, options, program->manifest());
  checkWritable(path); // now that it is known what is read
  call.run(common.seed, 0);
  std::vector<TensorView> tensors = call.results(Role::Gradient);
  double loss = call.loss();
  for (TensorView &loss : call.results(Role::Loss)) {
    loss.name = "loss";
    tensors.push_back(loss);
  }
  writeSafetensors(path, tensors, {{"kiln.model", program->manifest().model}});
  JsonOutput json(common.json, common.jsonPath);
  json.line(JsonLine().add("loss", loss).str());
  std::fprintf(textOutput(json), "loss %.9g\n", loss);
  return 0;
}

} // namespace kiln
