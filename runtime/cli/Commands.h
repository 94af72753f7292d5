// The commands of a program.
#pragma once

#include "runtime/cli/Options.h"
#include "runtime/data/Feeder.h"
#include "runtime/program/Program.h"
#include "runtime/program/WeightFiles.h"

namespace kiln {

class JsonOutput;
class Pieces;

/// Options that every command has: --seed, --threads, --device, --backend-option, --json.
struct Common {
  Common(const Options &options, const kiln_program_image &image);
  const kiln_program_image &image;
  unsigned threads;
  std::vector<uint32_t> devices;
  std::vector<std::string> backendOptions;
  bool seedGiven;
  uint32_t seed;
  bool json;
  std::string jsonPath;
};

/// A program with its weights: the recipe's start, or --load.
std::unique_ptr<Program> startProgram(const Options &options, Common &common);
/// What --load names.
std::vector<WeightChoice::File> loadFiles(const Options &options);
/// That with the options beside it; where there is none, and the manifest of a `recipe` is given, what that one names.
WeightChoice weightChoice(const Options &options, const Manifest *recipe = nullptr);
/// Those that the recipe names.
WeightChoice recipeWeights(const Manifest &manifest);
/// Initial values, and --load, or, for a training, the recipe's weights; what a partial one does not fit is told on
/// stderr.
void startWeights(Program &program, const Options &options, uint32_t seed, bool trains = false);
/// What the recipe names, in place of what the program has: where a stage begins. `partial`: as if it
/// said so.
void takeRecipeWeights(Program &program, bool partial);
/// What the weights that a command begins with bring to read data by: those of --load, of the recipe (of a training),
/// or the program's own. Throws Error.
Codings weightCodings(const Options &options, const Common &common, const Manifest &manifest, bool trains = false);
/// The same of files.
Codings fileCodings(const WeightChoice &choice);
std::map<std::string, std::string> dataOverrides(const Options &options);
/// The lines of a file that is read, which is protected from being written.
std::vector<std::string> readLines(const std::string &path);
/// The input that an --input names; throws Error where there is none.
int inputNamed(const Call &call, const std::string &name);
/// The name and the value of an --input; of a function with one input (beside a prompt) the value may stand alone, and
/// of several a .safetensors file that holds them by their names (the name is empty). Throws UsageError.
std::pair<std::string, std::string> splitInput(const std::string &text, const Call &call);
/// The --input options into the entry's inputs: NAME=FILE.npy, NAME=FILE.safetensors, NAME=FILE.wav, or a .safetensors
/// file alone; all but those that are `filled` otherwise have to be given. `pieces` takes a recording that is too long.
void setInputs(Call &call, const Options &options, const Manifest &manifest,
               const std::function<bool(int)> &filled = nullptr, Pieces *pieces = nullptr);

int trainCommand(const Options &options, Common &common);
int evalCommand(const Options &options, Common &common);
int gradCommand(const Options &options, Common &common);
int runCommand(const Options &options, Common &common);
/// Whether the program was linked with what the option of `run` asks for.
bool runHasUseFor(std::string_view option);
int benchCommand(const Options &options, Common &common);
int infoCommand(const Options &options, Common &common);

/// The whole program but main(): chooses the command, turns errors into a sentence on stderr and an exit code.
int runProgram(const kiln_program_image &image, const std::vector<std::string> &arguments);

/// Set by SIGINT and SIGTERM while a command catches them.
extern volatile bool interrupted;

} // namespace kiln
