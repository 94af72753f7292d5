// The kiln program: its commands and what they take. The work is in Commands.cpp.
#include "frontend/cli/Bench.h"
#include "frontend/cli/CommandLine.h"
#include "frontend/cli/Commands.h"
#include "frontend/cli/Export.h"
#include "frontend/cli/FitSizes.h"
#include "frontend/cli/Import.h"
#include "frontend/cli/Plot.h"
#include "frontend/cli/RateFinder.h"
#include "frontend/cli/Tokenizer.h"

#include "CLI/CLI.hpp"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/PrettyStackTrace.h"
#include "llvm/Support/Process.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

constexpr int kWrongUsage = 2;

struct RawOptions {
  std::vector<std::string> set, bounds, dims, data;
  std::optional<std::string> memoryBudget;
};

/// What goes for backends that did not come with Kiln; the same for every command that loads one.
void addApartOptions(CLI::App *app, kiln::ApartOptions &apartness) {
  app->add_flag("--trust", apartness.trust,
                "load a backend that did not come with kiln into this process, not into one of its own");
  app->add_option("--backend-timeout", apartness.silence,
                  "seconds of silence after which such a backend counts as hanging (default 300; 0: never)")
      ->check(CLI::Range(0, 86400));
}

void addBackendOption(CLI::App *app, std::vector<std::string> &options) {
  app->add_option("--backend-option", options,
                  "[BACKEND.]NAME=VALUE: an option of a backend's (`kiln backends` lists them)")
      ->allow_extra_args(false);
}

/// "NAME=VALUE" in two; false when there is no name or no '='.
bool splitPair(const std::string &text, std::string &name, std::string &value) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return false;
  name = text.substr(0, equals);
  value = text.substr(equals + 1);
  return true;
}

/// Options that say how a model is compiled; the same for every command that takes a model.
void addCompileOptions(CLI::App *app, kiln::ModelOptions &options, RawOptions &raw, kiln::ApartOptions &apartness) {
  app->add_option("MODEL", options.file, "the model's .kiln file, a Hugging Face folder, a GGUF file, or an ONNX file")
      ->required();
  app->add_option("--model", options.model, "which model, where the file has several");
  app->add_option("--backend", options.backend,
                  "a backend's name (see `kiln backends`), or a plugin's path; default cpu");
  addBackendOption(app, options.backendOptions);
  app->add_option("--set", raw.set, "[MODEL.]NAME=VALUE: a constant of the model")->allow_extra_args(false);
  app->add_option("--bound", raw.bounds, "DIM=N: the largest value of a dimension that the recipe leaves open")
      ->allow_extra_args(false);
  app->add_option("--dim", raw.dims,
                  "DIM=N: a dimension of an ONNX file that is this number, or an expression (H=32*H)")
      ->allow_extra_args(false);
  app->add_option("--entry", options.entries, "entry points to build, separated by commas (default: all)")
      ->delimiter(',');
  app->add_option("--weights", options.weights, "a safetensors file to put into the program");
  app->add_option("--weights-as", options.weightsAs,
                  "f32, bf16, q8 (bytes, and a scale for 32 of them), q4 (halves of bytes, and a minimum), or "
                  "FILE.safetensors, of weights in blocks (as they are there): how matrices are stored; what a "
                  "recipe trains stays as it is, and without frozen matrices the program does not train")
      ->check([](const std::string &form) {
        return kiln::namesFile(form) ? std::string() : CLI::IsMember({"f32", "bf16", "q8", "q4"})(form);
      });
  app->add_option("--importance", options.importance,
                  "with --weights-as q4: what matrices are rounded by, a file that a program built with --observe "
                  "wrote with `run --output`");
  app->add_flag(
      "--observe", options.observe,
      "forward tells, in place of its results, how large what is multiplied with each matrix is: for --importance");
  app->add_option("--target-cpu", options.targetCpu,
                  "native (default), or a processor that LLVM knows (with --target, generic is the default); with "
                  ":l2=SIZE, the cache to cut products for");
  app->add_option("--target", options.triple,
                  "a triple to compile for (default: this machine's; aarch64-linux-gnu: 64-bit ARM, docs/programs.md)");
  app->add_option("--target-device", options.targetDevice,
                  "portable (default: whatever device the program finds), or a profile that the backend knows");
  app->add_option("--math", options.math, "strict (default), or fast: as exact as the device likes")
      ->check(CLI::IsMember({"strict", "fast"}));
  app->add_option("--compute", options.compute, "bf16: products read their operands rounded to it, sums stay f32")
      ->check(CLI::IsMember({"bf16"}));
  app->add_option("--block-rows", options.blockRows,
                  "how many rows of logits to compute at a time, where a loss alone reads them: fewer take less memory "
                  "and more time (default: 1024, of logits of 512 MiB and more; those below 64 KiB stay whole)")
      ->check(CLI::Range(1, 1 << 20));
  app->add_option(
      "--memory-budget", raw.memoryBudget,
      "what a training step may hold while it runs (1.5GB, 800MiB): logits in small blocks, and parts of the "
      "forward half computed twice, as far as it takes");
  app->add_option("--shards", options.shards,
                  "cut a training step's batch into so many equal parts: one device computes them one after the other "
                  "(in the memory of one), several (--device 0,1) side by side")
      ->check(CLI::Range(1, 4096));
  app->add_option("--jobs", options.jobs, "threads to compile on (default: all cores)");
  app->add_option("--save-stages", options.saveStages, "a folder for the module after each stage");
  app->add_flag("--red-zones", options.redZones,
                "put memory that nobody may write between all buffers, and look at it after each launch: slow, to find "
                "faults of a backend");
  addApartOptions(app, apartness);
  app->add_flag("--time-passes", options.timePasses, "where the time of the compile goes");
  app->add_flag("--verify-stages", options.verifyStages,
                "look at what each stage promises to the next (also: "
                "KILN_VERIFY_STAGES=1 in the environment)")
      ->envname("KILN_VERIFY_STAGES");
}

/// For what ends in a program.
void addCacheOption(CLI::App *app, kiln::ModelOptions &options, const char *description) {
  options.cache = true;
  app->add_flag_callback("--no-cache", [&options] { options.cache = false; }, description);
}

int checkBackendOptions(const std::vector<std::string> &options) {
  for (const std::string &text : options)
    if (std::string name, value; !splitPair(text, name, value)) {
      std::fprintf(stderr, "kiln: --backend-option %s: expected NAME=VALUE or BACKEND.NAME=VALUE\n", text.c_str());
      return kWrongUsage;
    }
  return 0;
}

/// `asWeights`: the model is as large as its weights.
int finishCompileOptions(kiln::ModelOptions &options, const RawOptions &raw, bool asWeights) {
  for (const std::string &text : raw.set) {
    std::string name, value;
    if (!splitPair(text, name, value)) {
      std::fprintf(stderr, "kiln: --set %s: expected NAME=VALUE or MODEL.NAME=VALUE\n", text.c_str());
      return kWrongUsage;
    }
    options.set.emplace_back(name, value);
  }
  for (const std::string &text : raw.data)
    if (std::string name, path; splitPair(text, name, path) && !path.empty()) {
      options.data.emplace_back(name, path);
    } else {
      std::fprintf(stderr, "kiln: --data %s: expected NAME=PATH\n", text.c_str());
      return kWrongUsage;
    }
  if (raw.memoryBudget && !kiln::parseBytes(*raw.memoryBudget, options.memoryBudget)) {
    std::fprintf(stderr, "kiln: --memory-budget %s: expected a size, as in 1.5GB, 800MiB or 4000000\n",
                 raw.memoryBudget->c_str());
    return kWrongUsage;
  }
  if (!kiln::readDims(raw.bounds, raw.dims, options.bounds, options.dims))
    return kWrongUsage;
  int code = checkBackendOptions(options.backendOptions);
  if (code == 0)
    code = kiln::importGiven(options);
  if (code == 0 && asWeights)
    kiln::fitSizesToWeights(options);
  bool rounds = options.weightsAs == "q4" && (options.weightSet || !options.weights.empty());
  if (code || options.importance.empty() || rounds)
    return code;
  std::fprintf(stderr, "kiln: --importance says what q4 rounds by: give --weights-as q4, and weights\n");
  return kWrongUsage;
}

/// The exit code of what went well, where all of its text could be written.
int flushed(int code) {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout))
    return code;
  std::fprintf(stderr, "kiln: error: cannot write to standard output: %s\n", std::strerror(errno));
  return 1;
}

/// Where one of them was closed, the next file that is opened would take its place. What is written to a closed
/// standard output is lost, and told: this one cannot be written to.
bool keepStandardFiles() {
  if (fcntl(STDOUT_FILENO, F_GETFD) == -1 && errno == EBADF)
    if (int nowhere = open("/dev/null", O_RDONLY); nowhere >= 0 && nowhere != STDOUT_FILENO) {
      dup2(nowhere, STDOUT_FILENO);
      close(nowhere);
    }
  return !llvm::sys::Process::FixupStandardFileDescriptors();
}

CLI::App *addBuild(CLI::App &app, kiln::ModelOptions &options, RawOptions &raw, kiln::EmitOptions &emit,
                   kiln::ApartOptions &apartness) {
  CLI::App *build = app.add_subcommand("build", "compile a model to a program");
  addCompileOptions(build, options, raw, apartness);
  addCacheOption(build, options, "take nothing from earlier builds, and keep nothing for later ones");
  build
      ->add_option("--data", raw.data,
                   "NAME=PATH: another file for the recipe's data; the model has room for its words, characters or "
                   "classes")
      ->allow_extra_args(false);
  build->add_option("-o,--output", emit.output, "the program to write (default: the model file's name without .kiln)");
  build
      ->add_option(
          "--emit", emit.kind,
          "exe (default), shared, or what the backend has: object, llvm, asm, mlir (cpu); glsl, spirv (vulkan)")
      ->check(CLI::IsMember({"exe", "shared", "object", "llvm", "asm", "mlir", "glsl", "spirv"}));
  return build;
}

std::vector<CLI::App *> addProgramCommands(CLI::App &app, kiln::ModelOptions &options, RawOptions &raw,
                                           kiln::BenchOptions &benching, kiln::ApartOptions &apartness) {
  // The program's own commands take the program's own options: what follows the model is handed on.
  std::vector<CLI::App *> programCommands;
  for (const char *name : {"train", "eval", "grad", "run", "generate", "chat", "bench", "info"}) {
    CLI::App *command = app.add_subcommand(name, std::string("build into the cache, then run the program's ") + name);
    addCompileOptions(command, options, raw, apartness);
    addCacheOption(command, options, "take nothing from earlier builds: the program in the cache is built anew");
    command->allow_extras();
    command->footer("Other options go to the program: see `PROGRAM " + std::string(name) + " --help`.");
    if (command->get_name() == "bench") {
      command->add_option("--min-time", benching.minTime, "seconds to measure for (default: 1)");
      command->add_option("--format", benching.format, "compare backends (--backend A,B,...): md, csv or json")
          ->check(CLI::IsMember({"md", "csv", "json"}));
      command->add_option("--profile", benching.profile, "a file for the kernels' times, as a Chrome trace");
      command->footer(
          "--backend A,B,... compares backends in a table. Other options go to the program: see `PROGRAM bench "
          "--help`.");
    }
    programCommands.push_back(command);
  }
  return programCommands;
}

CLI::App *addCheck(CLI::App &app, kiln::ModelOptions &options, RawOptions &raw, kiln::CheckOptions &checking,
                   kiln::ApartOptions &apartness) {
  CLI::App *check = app.add_subcommand("check", "find all errors of a model");
  addCompileOptions(check, options, raw, apartness);
  CLI::Option *gradients =
      check->add_flag("--gradients", checking.gradients, "compare gradients with finite differences, in float64");
  check
      ->add_option("--against", checking.against,
                   "a backend (or plugin) to run beside --backend, op by op: names the first op that differs")
      ->excludes(gradients);
  check
      ->add_option("--input", checking.inputs, "with --gradients, NAME=FILE: an input from a .npy or .safetensors file")
      ->allow_extra_args(false);
  check->add_option("--data", checking.data, "with --gradients, NAME=PATH: data NAME's first batch, read from PATH")
      ->allow_extra_args(false);
  check->add_option("--seed", checking.seed, "with --gradients or --against, of weights and inputs (default 0)");
  return check;
}

int runCheck(const CLI::App &check, const kiln::ModelOptions &options, const kiln::CheckOptions &checking,
             const kiln::ApartOptions &apartness) {
  if (!checking.gradients && !(checking.inputs.empty() && checking.data.empty())) {
    std::fprintf(stderr, "kiln: --input and --data are for `check --gradients`\n");
    return kWrongUsage;
  }
  if (!checking.gradients && checking.against.empty() && check.count("--seed")) {
    std::fprintf(stderr, "kiln: --seed is for `check --gradients` and `check --against`\n");
    return kWrongUsage;
  }
  return flushed(kiln::apart(apartness, {options.backend, checking.against},
                             [&](std::string &) { return kiln::commandCheck(options, checking); }));
}

CLI::App *addConform(CLI::App &app, kiln::ConformOptions &conforming) {
  CLI::App *conform = app.add_subcommand("conform", "prove a backend right, or say where it is wrong");
  conform->add_option("BACKEND", conforming.backend, "a backend's name (see `kiln backends`), or a plugin's path")
      ->required();
  conform->add_flag("--full", conforming.full, "every op with every dtype and shape; else a seeded choice of pairs");
  conform->add_option("--json", conforming.json, "a file for all that was tried");
  conform->add_option("--expected", conforming.expected,
                      "a file of names (with '*') that are known to fail, one a line");
  conform->add_option("--only", conforming.only, "patterns of names, as 'ops/exp/*|models/*': nothing else is tried");
  conform->add_option("--model", conforming.model,
                      "a model's .kiln file (of several models FILE:NAME): each of its kernels is judged too");
  addBackendOption(conform, conforming.backendOptions);
  conform->add_option("--seed", conforming.seed, "of the choice and the operands (default 1)");
  conform->add_option("--target-cpu", conforming.targetCpu,
                      "native (default), or a lesser processor that LLVM knows, as x86-64-v3");
  conform->add_option("--target-device", conforming.targetDevice,
                      "portable (default), or a profile that the backend knows");
  conform
      ->add_option("--timeout", conforming.silence, "seconds after which what is tried counts as hanging (default 300)")
      ->check(CLI::Range(1, 86400));
  conform->add_option("--device", conforming.device, "which device (default 0)");
  return conform;
}

int runProgramCommand(const std::vector<CLI::App *> &programCommands, kiln::ModelOptions &options,
                      kiln::BenchOptions &benching, const kiln::ApartOptions &apartness) {
  // `bench` with several backends compares; with one, the program does it.
  for (CLI::App *command : programCommands)
    if (command->parsed() && command->get_name() == "bench" &&
        (!benching.format.empty() || options.backend.find(',') != std::string::npos)) {
      for (llvm::StringRef rest = options.backend; !rest.empty();) {
        auto [name, others] = rest.split(',');
        if (!name.empty())
          benching.backends.push_back(name.str());
        rest = others;
      }
      if (benching.backends.empty()) {
        std::fprintf(stderr, "kiln: --backend %s: expected names or paths of backends, separated by commas\n",
                     options.backend.c_str());
        return kWrongUsage;
      }
      benching.arguments = command->remaining();
      return flushed(kiln::commandBench(options, benching, apartness));
    }
  for (CLI::App *command : programCommands)
    if (command->parsed()) {
      std::vector<std::string> arguments = command->remaining();
      if (!benching.minTime.empty())
        arguments.insert(arguments.end(), {"--min-time", benching.minTime});
      if (!benching.profile.empty())
        arguments.insert(arguments.end(), {"--profile", benching.profile});
      return kiln::commandProgram(options, command->get_name(), arguments, apartness);
    }
  return kWrongUsage;
}

} // namespace

static CLI::App *addExplain(CLI::App &app, kiln::ExplainOptions &explaining) {
  CLI::App *explain = app.add_subcommand("explain", "what the compiler did, and why");
  explain->add_flag("--memory", explaining.memory, "the arena: its size, its lower bound, the largest tensors");
  explain->add_flag("--placement", explaining.placement, "which kernels are on which backend, and why");
  explain->add_flag("--fusion", explaining.fusion,
                    "which ops became one kernel, what it has to do, and how long that takes at the least");
  explain->add_option("--profile", explaining.profile,
                      "with --fusion: a trace of the program's (`PROGRAM bench --profile FILE`), whose times stand "
                      "beside them");
  return explain;
}

static CLI::App *addTokenizer(CLI::App &app, kiln::TokenizerOptions &options) {
  CLI::App *tokenizer = app.add_subcommand("tokenizer", "tokenizers of texts")->require_subcommand(1);
  CLI::App *train = tokenizer->add_subcommand("train", "learn byte pairs from texts, and write a tokenizer.json");
  train->add_option("FILE", options.files, "texts (UTF-8, may be gzip)")->required();
  train->add_option("--vocabulary", options.vocabulary, "tokens in all, the 256 bytes among them")->required();
  train->add_option("--min-count", options.least, "how often a pair stands that is merged (default: 2)");
  train->add_option("--special", options.specials, "a special token; several may be given (default: <|endoftext|>)")
      ->allow_extra_args(false);
  train->add_flag("--lowercase", options.lowercase, "capitals count as small letters");
  train->add_flag("--prefix-space", options.prefixSpace,
                  "a space before each text that begins with none: a word alone is the one within a text");
  train->add_option("-o,--output", options.output, "the file to write (default: tokenizer.json)");
  return train;
}

int main(int argc, char **argv) {
  if (!keepStandardFiles())
    return 1;
  llvm::InitLLVM init(argc, argv);
  kiln::rememberCommand(argc, argv);
  llvm::setBugReportMsg("kiln: error: kiln's own code crashed: a fault of kiln's, and not of the model's\n");
  std::signal(SIGXFSZ, SIG_IGN); // a file that grows past `ulimit -f` is an error like any other, and leaves nothing
  CLI::App app{"kiln: from a model's definition to a native program that runs and trains it"};
  app.set_version_flag("--version", "kiln " KILN_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);

  kiln::ModelOptions options;
  RawOptions raw;
  kiln::ApartOptions apartness;
  kiln::EmitOptions emit;
  CLI::App *build = addBuild(app, options, raw, emit, apartness);

  kiln::BenchOptions benching;
  std::vector<CLI::App *> programCommands = addProgramCommands(app, options, raw, benching, apartness);

  kiln::RateFinderOptions finding;
  addCompileOptions(kiln::addRateFinder(app, finding), options, raw, apartness);

  kiln::CheckOptions checking;
  CLI::App *check = addCheck(app, options, raw, checking, apartness);

  kiln::ExplainOptions explaining;
  CLI::App *explain = addExplain(app, explaining);
  addCompileOptions(explain, options, raw, apartness);
  kiln::ConformOptions conforming;
  CLI::App *conform = addConform(app, conforming);
  kiln::TokenizerOptions training;
  CLI::App *tokenizerTrain = addTokenizer(app, training);
  kiln::ImportOptions importing;
  CLI::App *import = kiln::addImport(app, importing);
  kiln::ExportCommand exporting;
  CLI::App *exportModel = kiln::addExport(app, exporting);
  addCompileOptions(exportModel, options, raw, apartness);
  kiln::PlotCommand plotting;
  kiln::addPlot(app, plotting);
  CLI::App *backendList = app.add_subcommand("backends", "the backends that can be found, and their devices");
  addApartOptions(backendList, apartness);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    int code = app.exit(error);
    std::cout.flush();
    return code == 0 ? flushed(0) : kWrongUsage;
  }
  if (import->parsed())
    return flushed(kiln::commandImport(importing));
  if (exportModel->parsed() && options.weightsAs.empty()) // ONNX has no op for a GGUF file's blocks
    options.weightsAs = "f32";
  if (int code = finishCompileOptions(options, raw, exportModel->parsed() || check->parsed() || explain->parsed()))
    return code;
  if (build->parsed())
    return kiln::apart(apartness, {options.backend}, [&](std::string &) { return kiln::commandBuild(options, emit); });
  if (exportModel->parsed())
    return kiln::commandExport(options, exporting);
  if (finding.command->parsed())
    return flushed(kiln::commandRateFinder(options, finding, apartness));
  if (check->parsed())
    return runCheck(*check, options, checking, apartness);
  if (int code = checkBackendOptions(conforming.backendOptions))
    return code;
  if (conform->parsed())
    return flushed(kiln::commandConform(conforming));
  if (tokenizerTrain->parsed())
    return flushed(kiln::commandTokenizerTrain(training));
  if (kiln::isPlot(plotting))
    return flushed(kiln::commandPlot(plotting));
  if (backendList->parsed())
    return flushed(kiln::commandBackends(apartness));
  if (explain->parsed())
    return flushed(kiln::apart(apartness, {options.backend},
                               [&](std::string &) { return kiln::commandExplain(options, explaining); }));
  return runProgramCommand(programCommands, options, benching, apartness);
}
