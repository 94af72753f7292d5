// Checkpoints: a safetensors file of parameters, states and the optimizer's states, with where the run stands.
#pragma once

#include "runtime/cli/RecipeChanges.h"
#include "runtime/data/Coding.h"
#include "runtime/program/Program.h"

#include <map>
#include <string>

namespace kiln {

/// What a run needs beside its tensors to go on bit for bit.
struct Position {
  int64_t step = 0; // steps done
  uint32_t seed = 0;
  double best = 0; // of the early stopping's metric
  int64_t bestStep = -1;
  int64_t stale = 0;         // validations without improvement
  double plateauBest = 0;    // of the metric that a rate reads
  int64_t plateauStale = -1; // validations since; -1: there was none
  std::string stage = {};    // the recipe; empty where the model has one without a name
  int64_t round = 0;         // of the series that it stands in
  bool ended = false;        // its block `end` is done
};

/// Atomically: whenever the program is killed, the file is the old one or the new one, complete.
void saveCheckpoint(const std::string &path, Program &program, const Position &position, const Codings &codings);
/// Parameters, states, and what a training carries in session states; throws Error listing all that does not fit.
/// `changes`: what has changed in the recipe since; what may not change is an Error then.
Position loadCheckpoint(const std::string &path, Program &program, RecipeChanges *changes = nullptr);

/// Weights for use elsewhere: parameters, persistent states, and how their data are read.
/// `patterns`: of the names that are written; none: all of them. `prefix`: what these begin with in the file.
void saveWeights(const std::string &path, Program &program, const Codings &codings,
                 const std::vector<std::string> &patterns = {}, const std::string &prefix = {});
/// Throws Error for a pattern that no weight of the model is of.
void checkPatterns(const std::vector<std::string> &patterns, const Manifest &manifest);

} // namespace kiln
