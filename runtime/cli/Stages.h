// Which recipes a command is about, and in which order `train` goes through them.
#pragma once

#include "runtime/cli/Options.h"
#include "runtime/program/Manifest.h"

namespace kiln {

class Program;

/// One time that a training is at a recipe.
struct Visit {
  std::string stage;  ///< empty where the model has one recipe without a name
  std::string series; ///< that it stands in; empty where it stands for itself
  int64_t round = 0, rounds = 1;
  bool first = true; ///< of its stage
  bool last = true;  ///< of its series, or the stage itself

  /// "finetune", "federated: round 3 of 20: local"
  std::string title() const;
};

/// The recipe that is named, or all of them in the order of the file. Throws UsageError for a name that there is not.
std::vector<Visit> planOf(const Manifest &manifest, const std::vector<std::string> &named);

/// For a command that is about one recipe: chooses the one that is named. Throws UsageError where there are several and
/// none is named.
void chooseStage(Program &program, const Options &options, const char *command);

/// For an entry that a command wants of a recipe, and the program has not: throws Error, which says what is missing
/// ("training step") and by which name a build has it ("train").
[[noreturn]] void failUntrained(const char *what, const std::string &entry);

/// What --data says of this recipe: "data" of any recipe, "finetune.data" of that one. Throws Error for data that no
/// recipe of the program has.
std::map<std::string, std::string> overridesFor(const Manifest &manifest, const Options &options);

} // namespace kiln
