// PROGRAM eval, grad and run
#include "runtime/data/Evaluate.h"
#include "runtime/cli/Commands.h"
#include "runtime/cli/Output.h"
#include "runtime/cli/Trace.h"
#include "runtime/files/File.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"

#include <optional>

namespace kiln {

int evalCommand(const Options &options, Common &common) {
  std::unique_ptr<Program> program = startProgram(options, common);
  const Manifest &manifest = program->manifest();
  if (!manifest.findEntry("eval"))
    fail("this program has no evaluation: the model has no `train` recipe, or it was built without --entry eval");
  std::string name = manifest.train.isObject() ? manifest.train.stringOr("split", "validation") : "validation";
  Split split = splitFromName(options.text("split", name));
  Sources sources(manifest, dataOverrides(options), common.seed);
  Evaluator evaluator(*program, sources);
  JsonOutput json(common.json, common.jsonPath);
  Evaluation result = evaluator.measure(split, common.seed, 0);
  const char *measured = evaluator.feeder().hasSplits() ? splitName(split) : "all";
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
  if (!options.has("output"))
    throw UsageError("grad needs --output G.safetensors");
  checkWritable(options.text("output"));
  std::unique_ptr<Program> program = startProgram(options, common);
  if (!program->manifest().findEntry("grad"))
    fail("this program has no gradients: the model has no `train` recipe, or it was built without --entry grad");
  Call &call = program->call("grad");
  setInputs(call, options);
  checkWritable(options.text("output")); // now that it is known what is read
  call.run(common.seed, 0);
  std::vector<TensorView> tensors = call.results(Role::Gradient);
  double loss = call.loss();
  for (TensorView &loss : call.results(Role::Loss)) {
    loss.name = "loss";
    tensors.push_back(loss);
  }
  writeSafetensors(options.text("output"), tensors, {{"kiln.model", program->manifest().model}});
  JsonOutput json(common.json, common.jsonPath);
  json.line(JsonLine().add("loss", loss).str());
  std::fprintf(textOutput(json), "loss %.9g\n", loss);
  return 0;
}

static std::string defaultFunction(const Manifest &manifest) {
  if (manifest.findEntry("forward"))
    return "forward";
  std::string only;
  for (const EntrySpec &entry : manifest.entries)
    if (entry.name != "train_step" && entry.name != "eval" && entry.name != "eval.pool" && entry.name != "grad" &&
        !entry.name.starts_with("generate.")) {
      if (!only.empty())
        throw UsageError("which function? This program has: " + manifest.entryNames());
      only = entry.name;
    }
  if (only.empty())
    throw UsageError("this program has no function to run; it has: " + manifest.entryNames());
  return only;
}

int runCommand(const Options &options, Common &common) {
  if (!options.has("output"))
    throw UsageError("run needs --output FILE (.npy or .safetensors)");
  checkWritable(options.text("output"));
  std::unique_ptr<Program> program = startProgram(options, common);
  const Manifest &manifest = program->manifest();
  std::string name = options.positional().empty() ? defaultFunction(manifest) : options.positional()[0];
  // A function that means the same in both modes stands there once.
  if (options.has("training") && manifest.findEntry(name + ".training"))
    name += ".training";
  Call &call = program->call(name);
  setInputs(call, options);
  checkWritable(options.text("output")); // now that it is known what is read
  std::optional<Trace> trace;
  if (options.has("profile"))
    trace.emplace(*program, options.text("profile"));
  int64_t began = profileClock();
  call.run(common.seed, 0);
  if (trace) {
    trace->did("run", began);
    trace->write();
  }
  std::vector<TensorView> results = call.results(Role::Output);
  for (Role role : {Role::Loss, Role::Metric, Role::Gradient})
    for (TensorView &view : call.results(role)) {
      if (view.name.empty())
        view.name = roleName(role);
      results.push_back(view);
    }
  std::string path = options.text("output");
  if (path.ends_with(".npy")) {
    if (results.size() != 1)
      fail("'%s' gives %zu results; a .npy file holds one: write to a .safetensors file", name.c_str(), results.size());
    writeNpy(path, results[0]);
  } else {
    writeSafetensors(path, results);
  }
  JsonOutput json(common.json, common.jsonPath);
  JsonLine line;
  std::FILE *text = textOutput(json);
  for (const TensorView &view : results) {
    std::fprintf(text, "%s: %s\n", view.name.c_str(), describeType(view.dtype, view.shape).c_str());
    line.add(view.name, describeType(view.dtype, view.shape));
  }
  json.line(line.str());
  return 0;
}

} // namespace kiln
