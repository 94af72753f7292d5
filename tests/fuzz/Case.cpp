#include "tests/fuzz/Case.h"

#include "backends/reference/compile/Compile.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "passes/Pipelines.h"
#include "tests/backends/vulkan/counted/Counted.h"
#include "tests/fuzz/RandomGraph.h"
#include "tests/fuzz/Sharded.h"
#include "tests/fuzz/Stored.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <sstream>

namespace kiln::test {

std::string FuzzCase::text(const std::string &why) const {
  std::string result = "// cpu " + cpu + "\n// arguments " + std::to_string(argumentSeed) + "\n";
  if (!backend.empty())
    result += "// backend " + backend + "\n";
  if (!math.empty())
    result += "// math " + math + "\n";
  if (!compute.empty())
    result += "// compute " + compute + "\n";
  if (blockRows)
    result += "// block-rows " + std::to_string(blockRows) + "\n";
  if (shards)
    result += "// shards " + std::to_string(shards) + "\n";
  if (weights)
    result += "// weights " + std::to_string(weights) + "\n";
  for (const auto &[name, value] : symbols)
    result += "// symbol " + name + " " + std::to_string(value) + "\n";
  for (const auto &extents : further) {
    result += "// further";
    for (const auto &[name, value] : extents)
      result += " " + name + " " + std::to_string(value);
    result += "\n";
  }
  std::istringstream lines(why);
  for (std::string line; std::getline(lines, line) && !line.empty();)
    result += "// " + line + "\n";
  return result + module;
}

FuzzCase FuzzCase::parse(const std::string &text) {
  FuzzCase result;
  result.module = text;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line) && line.starts_with("//");) {
    std::istringstream words(line.substr(2));
    std::string what, name;
    words >> what;
    if (what == "cpu")
      words >> result.cpu;
    else if (what == "backend")
      words >> result.backend;
    else if (what == "math")
      words >> result.math;
    else if (what == "arguments")
      words >> result.argumentSeed;
    else if (what == "compute")
      words >> result.compute;
    else if (what == "block-rows")
      words >> result.blockRows;
    else if (what == "shards")
      words >> result.shards;
    else if (what == "weights")
      words >> result.weights;
    else if (what == "symbol" && words >> name)
      words >> result.symbols[name];
    else if (what == "further")
      for (auto &extents = result.further.emplace_back(); words >> name;)
        words >> extents[name];
  }
  return result;
}

static std::string textOf(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text;
}

static void loadDialects(mlir::MLIRContext &context) { context.loadDialect<KilnDialect, mlir::func::FuncDialect>(); }

/// Another graph of the seed whose batch can be cut, if one of a few can.
static void findShards(mlir::MLIRContext &context, uint64_t seed, RandomGraphOptions options, RandomGraph &graph,
                       FuzzCase &made) {
  options.ops = 2 + static_cast<int>(seed / 8 % 8);
  for (uint64_t tries = 1; tries <= 20; ++tries) {
    RandomGraph other = randomGraph(context, seed ^ tries << 40, options);
    int64_t rows = other.symbols["N"], shards = 2;
    while (rows % shards != 0)
      ++shards;
    if (rows > shards && tries % 2)
      shards = rows;
    if (!cutIntoShards(*other.module, rows, shards))
      continue;
    graph = std::move(other);
    made.shards = shards;
    return;
  }
}

FuzzCase caseOf(uint64_t seed, const std::string &cpu) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  static constexpr LayerKind kinds[] = {LayerKind::attention, LayerKind::scores, LayerKind::stored};
  RandomGraphOptions options;
  options.ops = 4 + static_cast<int>(seed % 17);
  options.gradients = seed % 2;
  options.symbolic = seed % 4 == 2 || seed % 8 == 3;
  options.twoSymbols = options.symbolic && seed / 8 % 2;
  options.everything = seed % 16 >= 5;
  options.layers = hasLayers(seed);
  if (seed % 3 == 1) {
    options.kind = kinds[seed / 3 % 3];
    options.ops = 3 + static_cast<int>(seed % 5);
  }
  FuzzCase made;
  RandomGraph graph = randomGraph(context, seed, options);
  if (options.gradients && options.symbolic)
    findShards(context, seed, options, graph, made);
  made.module = textOf(*graph.module);
  made.symbols = graph.symbols;
  made.further = graph.further;
  made.argumentSeed = graph.argumentSeed;
  made.cpu = cpu;
  uint64_t draws = seed * 0x9E3779B97F4A7C15 >> 32; // of what the graph does not depend on
  if (seed % 3 == 2 && seed / 3 % 3 == 0)
    made.math = "fast";
  if (draws % 8 == 0)
    made.compute = "bf16";
  if (options.kind == LayerKind::scores && draws / 8 % 4)
    made.blockRows = 1 << draws / 32 % 4;
  bool frozen = made.module.find("trainable = false") != std::string::npos; // else nothing is left of a training
  if (frozen || (options.layers && !options.gradients && (options.kind == LayerKind::stored || draws / 8 % 4 == 0)))
    made.weights = 1 + draws / 256;
  return made;
}

namespace {

/// A module's meaning, from the interpreter: exactly, and with each op's result rounded to its type.
struct Expected {
  std::vector<std::string> names;                   // of the results
  std::vector<HostTensor> exact, rounded, jittered; // jittered: as if rounded at other places
};

/// One run of a program: at which extents, on what, and what is to come of it.
struct Run {
  std::map<std::string, int64_t> symbols;
  std::map<std::string, HostTensor> arguments;
  Expected expected;
};

/// How far an f32, bf16, ... computation of that size may be off.
double relativeOf(mlir::Type element) {
  return element.isF64() ? 1e-10 : element.isBF16() ? 6e-2 : element.isF16() ? 8e-3 : 2e-4;
}

/// Empty when equal within the type's reach; else where they part. Where terms cancel, what is left is as inexact as
/// they were large: how far the rounded computation is off tells.
std::string compare(const std::string &name, const HostTensor &exact, const HostTensor &rounded,
                    const HostTensor &jittered, const HostTensor &found, bool narrower) {
  if (exact.shape != found.shape)
    return name + ": shapes differ";
  double norm = 0, stray = 0;
  for (size_t i = 0; i < exact.floats.size(); ++i)
    for (double other : {rounded.floats[i], jittered.floats[i]})
      if (double distance = std::abs(exact.floats[i] - other); std::isfinite(distance)) {
        norm = std::max(norm, std::abs(exact.floats[i]));
        stray = std::max(stray, distance);
      }
  double relative = exact.isFloat() ? relativeOf(exact.element) : 0;
  // Of an f64 that was an f32 on its way no more than f32's digits are there: its functions may be some ulps off.
  if (narrower && exact.isFloat())
    relative = std::max(relative, 2e-4);
  for (size_t i = 0; i < exact.floats.size(); ++i) {
    double want = exact.floats[i], got = found.floats[i];
    if ((std::isnan(want) && std::isnan(got)) || want == got || !std::isfinite(rounded.floats[i]))
      continue;
    if (!(std::abs(want - got) <= relative * (std::abs(want) + norm) + 32 * stray + relative * 5e-3)) {
      std::ostringstream out;
      out.precision(9);
      out << name << "[" << i << "]: interpreter " << want << ", compiled " << got << " (norm " << norm
          << ", rounding strays by " << stray << ")";
      return out.str();
    }
  }
  for (size_t i = 0; i < exact.integers.size(); ++i)
    if (exact.integers[i] != found.integers[i])
      return name + "[" + std::to_string(i) + "]: interpreter " + std::to_string(exact.integers[i]) + ", compiled " +
             std::to_string(found.integers[i]);
  return "";
}

/// Whether two ways to the same numbers in f64 part, by more than their constants' rounding.
std::string compareExactly(const HostTensor &want, const HostTensor &got) {
  const double relative = want.isFloat() ? relativeOf(want.element) / 100 : 0;
  if (want.shape != got.shape || want.integers != got.integers)
    return ": shapes or integers differ";
  double norm = 0;
  for (double value : want.floats)
    norm = std::isfinite(value) ? std::max(norm, std::abs(value)) : norm;
  for (size_t i = 0; i < want.floats.size(); ++i) {
    double one = want.floats[i], other = got.floats[i];
    if (one != other && !(std::isnan(one) && std::isnan(other)) && !(std::abs(one - other) <= relative * (1 + norm)))
      return "[" + std::to_string(i) + "]: " + std::to_string(one) + " became " + std::to_string(other);
  }
  return "";
}

/// What the case tells the compiler.
CompileOptions optionsOf(const FuzzCase &fuzzCase, mlir::ModuleOp module, bool gradients) {
  CompileOptions options;
  options.targetCpu = fuzzCase.cpu;
  options.math = fuzzCase.math;
  options.compute = fuzzCase.compute;
  options.blockRows = fuzzCase.blockRows;
  if (gradients && fuzzCase.argumentSeed % 2) // of every other one
    options.segments = 2 + static_cast<int64_t>(fuzzCase.argumentSeed % 3);
  if (fuzzCase.weights)
    chooseForms(module, fuzzCase.weights, options);
  return options;
}

/// Whether a float narrower than f64 is among the module's values.
bool hasNarrowFloats(mlir::ModuleOp module) {
  return module
      .walk([](mlir::Operation *op) {
        bool narrow = llvm::any_of(op->getResultTypes(), [](mlir::Type type) {
          mlir::Type element = mlir::getElementTypeOrSelf(type);
          return llvm::isa<mlir::FloatType>(element) && !element.isF64();
        });
        return narrow ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
      })
      .wasInterrupted();
}

class Judge {
public:
  Judge(mlir::ModuleOp module, const FuzzCase &fuzzCase) : module_(module), case_(fuzzCase) {
    gradients_ = static_cast<bool>(module.lookupSymbol<mlir::func::FuncOp>("loss.train"));
    narrow_ = hasNarrowFloats(module);
  }

  std::string run(bool explain) {
    mlir::func::FuncOp entry = module_.lookupSymbol<mlir::func::FuncOp>(gradients_ ? "loss.train" : "f");
    if (!entry)
      return "the module has no function to run";
    CompileOptions options = optionsOf(case_, module_, gradients_);
    mlir::OwningOpRef<mlir::ModuleOp> stored = module_.clone();
    if (case_.weights && !storeWeights(*stored, options))
      return "compile: the weights are not stored";
    // Before the compile, which is the dearest.
    std::vector<std::pair<std::string, Run>> runs = {{"", {case_.symbols, {}, {}}}};
    for (const auto &extents : case_.further) {
      runs.push_back({"at", {extents, {}, {}}});
      for (const auto &[name, value] : extents)
        runs.back().first += " " + name + " = " + std::to_string(value);
      runs.back().first += ": ";
    }
    for (auto &[where, run] : runs)
      if (std::string why = interpretAll(*stored, options, run); !why.empty())
        return where + why;
    if (case_.shards)
      if (std::string why = compareShards(runs[0].second); !why.empty())
        return why;
    if (!case_.backend.empty())
      return runOn(options, runs);
    auto compiled = Compiled::createWatched(module_, 2, options);
    if (!compiled.ok())
      return "compile: " + std::string(compiled.status().message());
    auto &[plain, watched] = *compiled;
    for (const auto &[where, run] : runs)
      for (Compiled *program : {watched.get(), plain.get()})
        if (std::string why = runOne(*program, run); !why.empty())
          return where + (program == plain.get() ? "" : "under red zones: ") + why +
                 (explain ? "\n\n" + program->fusion() : std::string());
    return "";
  }

private:
  /// On the case's backend alone: what it refuses is not run.
  std::string runOn(const CompileOptions &options, const std::vector<std::pair<std::string, Run>> &runs) {
    bool vulkan = case_.backend == "vulkan";
    auto program =
        Compiled::createOn(module_, case_.backend.c_str(), vulkan ? countedVulkan : kiln_reference_backend, options);
    if (!program.ok()) {
      std::string why(program.status().message());
      return why.find("refuse") != std::string::npos ? "" : "compile: " + why;
    }
    for (const auto &[where, run] : runs)
      if (std::string why = runOne(**program, run); !why.empty())
        return where + why;
    return "";
  }

  /// The function that the compiled entry is to agree with, in `copy`, which is the module as its weights are stored.
  /// Products of rounded operands are what the pass makes of them.
  mlir::func::FuncOp functionOf(mlir::ModuleOp copy, const CompileOptions &options) {
    if (!options.compute.empty()) {
      mlir::PassManager passes(module_.getContext());
      PipelineOptions pipeline;
      pipeline.after = "store-weights";
      pipeline.until = "narrow";
      pipeline.compute = options.compute;
      buildCompilePipeline(passes, pipeline);
      return mlir::succeeded(passes.run(copy)) ? copy.lookupSymbol<mlir::func::FuncOp>(gradients_ ? "grad" : "f")
                                               : mlir::func::FuncOp();
    }
    if (!gradients_)
      return copy.lookupSymbol<mlir::func::FuncOp>("f");
    auto grad = createGrad(copy.lookupSymbol<mlir::func::FuncOp>("loss.train"), "expected");
    return mlir::succeeded(grad) ? *grad : mlir::func::FuncOp();
  }

  /// Arguments for the run, and what is to come of them.
  std::string interpretAll(mlir::ModuleOp stored, const CompileOptions &options, Run &run) {
    mlir::OwningOpRef<mlir::ModuleOp> copy = stored.clone();
    mlir::func::FuncOp function = functionOf(*copy, options);
    if (!function)
      return "no gradient";
    run.arguments = randomArguments(function, run.symbols, case_.argumentSeed);
    if (case_.weights)
      drawStored(stored, run.arguments);
    mlir::PassManager passes(module_.getContext()); // so that rounding is seen within composites
    passes.addPass(createDecompose());
    std::vector<HostTensor> arguments;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      arguments.push_back(run.arguments[argumentName(function, i)]);
    Expected &expected = run.expected;
    for (unsigned i = 0; i < function.getNumResults(); ++i) {
      std::string name = "loss";
      for (const char *kind : {"kiln.gradient", "kiln.output", "kiln.state"})
        if (auto attribute = function.getResultAttrOfType<mlir::StringAttr>(i, kind))
          name = attribute.str();
      expected.names.push_back(name);
    }
    for (std::vector<HostTensor> *results : {&expected.exact, &expected.rounded, &expected.jittered}) {
      InterpreterOptions how;
      how.roundToDtype = results == &expected.rounded;
      how.jitter = results == &expected.jittered;
      how.symbols = run.symbols;
      if (how.roundToDtype && mlir::failed(passes.run(*copy)))
        return "decompose failed";
      absl::StatusOr<Interpreted> outcome = interpret(function, arguments, how);
      if (!outcome.ok())
        return "interpreter: " + std::string(outcome.status().message());
      *results = std::move(outcome->results);
    }
    return case_.weights && options.compute.empty() ? compareStored(stored, run) : "";
  }

  /// Reading stored matrices is reading what they stand for.
  std::string compareStored(mlir::ModuleOp stored, const Run &run) {
    auto widened = widenStored(module_, stored, run.arguments);
    if (!widened.ok())
      return "interpreter: " + std::string(widened.status().message());
    mlir::OwningOpRef<mlir::ModuleOp> copy = module_.clone();
    mlir::func::FuncOp function = functionOf(*copy, {});
    std::vector<HostTensor> arguments;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      arguments.push_back((*widened)[argumentName(function, i)]);
    InterpreterOptions how;
    how.symbols = run.symbols;
    absl::StatusOr<Interpreted> outcome = interpret(function, arguments, how);
    if (!outcome.ok())
      return "interpreter: " + std::string(outcome.status().message());
    for (size_t i = 0; i < outcome->results.size(); ++i) {
      const HostTensor &want = outcome->results[i];
      if (std::string gap = compareExactly(want, run.expected.exact[i]); !gap.empty())
        return "stored weights: " + run.expected.names[i] + gap;
    }
    return "";
  }

  /// The shards' parts add up to the whole.
  std::string compareShards(const Run &run) {
    auto cut = cutIntoShards(module_, case_.symbols.at("N"), case_.shards);
    if (!cut || case_.weights || !case_.compute.empty()) // one at a time
      return cut ? "" : "shards: the batch cannot be cut";
    std::string why;
    std::map<std::string, HostTensor> sums = sumOfShards(module_, *cut, case_.shards, run.arguments, run.symbols, why);
    for (size_t i = 0; i < run.expected.names.size() && why.empty(); ++i) {
      std::string gap = compareExactly(run.expected.exact[i], sums[run.expected.names[i]]);
      if (!gap.empty())
        why = run.expected.names[i] + gap;
    }
    return why.empty() ? "" : "shards: " + why;
  }

  std::string runOne(Compiled &program, const Run &run) {
    const Expected &expected = run.expected;
    auto found = program.run(gradients_ ? "grad" : "f", run.arguments);
    if (!found.ok())
      return std::string(found.status().message());
    std::map<std::string, HostTensor> memory = program.memory();
    for (size_t i = 0; i < expected.names.size(); ++i) {
      const std::string &name = expected.names[i];
      auto result = found->find(name);
      if (result == found->end() && memory.contains(name))
        result = found->emplace(name, memory[name]).first;
      if (result == found->end())
        return "the program has no result " + name;
      if (std::string gap =
              compare(name, expected.exact[i], expected.rounded[i], expected.jittered[i], result->second, narrow_);
          !gap.empty())
        return gap;
    }
    return gradients_ ? runStep(program, run) : "";
  }

  /// The training step: each parameter less a tenth of its gradient, in its own memory.
  std::string runStep(Compiled &program, const Run &run) {
    const Expected &expected = run.expected;
    auto found = program.run("train_step", run.arguments);
    if (!found.ok())
      return "train_step: " + std::string(found.status().message());
    std::map<std::string, HostTensor> memory = program.memory();
    for (size_t i = 0; i < expected.names.size(); ++i) {
      auto parameter = memory.find(expected.names[i]);
      if (parameter == memory.end())
        continue;
      HostTensor exact = run.arguments.at(expected.names[i]), rounded = exact, jittered = exact;
      for (size_t e = 0; e < exact.floats.size(); ++e) {
        exact.floats[e] -= 0.1 * expected.exact[i].floats[e];
        rounded.floats[e] -= 0.1 * expected.rounded[i].floats[e];
        jittered.floats[e] -= 0.1 * expected.jittered[i].floats[e];
      }
      if (std::string gap =
              compare("train_step: " + expected.names[i], exact, rounded, jittered, parameter->second, narrow_);
          !gap.empty())
        return gap;
    }
    return "";
  }

  mlir::ModuleOp module_;
  const FuzzCase &case_;
  bool gradients_ = false;
  bool narrow_ = false;
};

} // namespace

std::string judge(const FuzzCase &fuzzCase, bool explain) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(fuzzCase.module, &context);
  if (!module || mlir::failed(mlir::verify(*module)))
    return "the module is invalid";
  return Judge(*module, fuzzCase).run(explain);
}

std::string fusionOf(const FuzzCase &fuzzCase) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(fuzzCase.module, &context);
  bool gradients = static_cast<bool>(module->lookupSymbol<mlir::func::FuncOp>("loss.train"));
  auto compiled = Compiled::createWatched(*module, 2, optionsOf(fuzzCase, *module, gradients));
  return compiled.ok() ? compiled->first->fusion() : "";
}

} // namespace kiln::test
