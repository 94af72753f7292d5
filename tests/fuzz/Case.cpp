#include "tests/fuzz/Case.h"

#include "ir/interpreter/Interpreter.h"
#include "passes/Decompose/Decompose.h"
#include "passes/Differentiate/Differentiate.h"
#include "tests/fuzz/RandomGraph.h"
#include "tests/support/Compiled.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <sstream>

namespace kiln::test {

std::string FuzzCase::text(const std::string &why) const {
  std::string result = "// cpu " + cpu + "\n// arguments " + std::to_string(argumentSeed) + "\n";
  if (!math.empty())
    result += "// math " + math + "\n";
  for (const auto &[name, value] : symbols)
    result += "// symbol " + name + " " + std::to_string(value) + "\n";
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
    else if (what == "math")
      words >> result.math;
    else if (what == "arguments")
      words >> result.argumentSeed;
    else if (what == "symbol" && words >> name)
      words >> result.symbols[name];
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

FuzzCase caseOf(uint64_t seed, const std::string &cpu) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadDialects(context);
  RandomGraphOptions options;
  options.ops = 4 + static_cast<int>(seed % 17);
  options.gradients = seed % 2;
  options.symbolic = seed % 4 == 2 || seed % 8 == 3;
  options.everything = seed % 16 >= 5;
  options.layers = drawsForms(seed);
  RandomGraph graph = randomGraph(context, seed, options);
  return {textOf(*graph.module), graph.symbols, graph.argumentSeed, cpu,
          drawsForms(seed) && seed / 3 % 3 == 0 ? "fast" : ""};
}

namespace {

/// A module's meaning, from the interpreter: exactly, and with each op's result rounded to its type.
struct Expected {
  std::vector<std::string> names;                   // of the results
  std::vector<HostTensor> exact, rounded, jittered; // jittered: as if rounded at other places
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
    arguments_ = randomArguments(entry, case_.symbols, case_.argumentSeed);
    Expected expected;
    if (std::string why = interpretBoth(expected); !why.empty())
      return why;
    int64_t segments = gradients_ && case_.argumentSeed % 2 ? 2 + case_.argumentSeed % 3 : 0; // of every other one
    auto compiled = Compiled::createWatched(module_, 2, case_.cpu, segments, case_.math);
    if (!compiled.ok())
      return "compile: " + std::string(compiled.status().message());
    auto &[plain, watched] = *compiled;
    for (Compiled *program : {watched.get(), plain.get()})
      if (std::string why = runOne(*program, expected); !why.empty())
        return (program == plain.get() ? "" : "under red zones: ") + why +
               (explain ? "\n\n" + program->fusion() : std::string());
    return "";
  }

private:
  /// The function that the compiled entry is to agree with.
  std::string interpretBoth(Expected &expected) {
    mlir::OwningOpRef<mlir::ModuleOp> copy = module_.clone();
    mlir::func::FuncOp function = copy->lookupSymbol<mlir::func::FuncOp>("f");
    if (gradients_) {
      mlir::FailureOr<mlir::func::FuncOp> grad =
          createGrad(copy->lookupSymbol<mlir::func::FuncOp>("loss.train"), "expected");
      if (mlir::failed(grad))
        return "no gradient";
      function = *grad;
    }
    mlir::PassManager passes(module_.getContext()); // so that rounding is seen within composites
    passes.addPass(createDecompose());
    std::vector<HostTensor> arguments;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      arguments.push_back(arguments_[argumentName(function, i)]);
    for (unsigned i = 0; i < function.getNumResults(); ++i) {
      std::string name = "loss";
      for (const char *kind : {"kiln.gradient", "kiln.output", "kiln.state"})
        if (auto attribute = function.getResultAttrOfType<mlir::StringAttr>(i, kind))
          name = attribute.str();
      expected.names.push_back(name);
    }
    for (std::vector<HostTensor> *results : {&expected.exact, &expected.rounded, &expected.jittered}) {
      InterpreterOptions options;
      options.roundToDtype = results == &expected.rounded;
      options.jitter = results == &expected.jittered;
      options.symbols = case_.symbols;
      if (options.roundToDtype && mlir::failed(passes.run(*copy)))
        return "decompose failed";
      absl::StatusOr<Interpreted> outcome = interpret(function, arguments, options);
      if (!outcome.ok())
        return "interpreter: " + std::string(outcome.status().message());
      *results = std::move(outcome->results);
    }
    return "";
  }

  std::string runOne(Compiled &program, const Expected &expected) {
    auto found = program.run(gradients_ ? "grad" : "f", arguments_);
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
    return gradients_ ? runStep(program, expected) : "";
  }

  /// The training step: each parameter less a tenth of its gradient, in its own memory.
  std::string runStep(Compiled &program, const Expected &expected) {
    auto found = program.run("train_step", arguments_);
    if (!found.ok())
      return "train_step: " + std::string(found.status().message());
    std::map<std::string, HostTensor> memory = program.memory();
    for (size_t i = 0; i < expected.names.size(); ++i) {
      auto parameter = memory.find(expected.names[i]);
      if (parameter == memory.end())
        continue;
      HostTensor exact = arguments_[expected.names[i]], rounded = exact, jittered = exact;
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
  std::map<std::string, HostTensor> arguments_;
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
  auto compiled = Compiled::createWatched(*module, 2, fuzzCase.cpu, 0, fuzzCase.math);
  return compiled.ok() ? compiled->first->fusion() : "";
}

} // namespace kiln::test
