// Repeated statements as modules: twelve layers become `for layer in encoder.layer: x = layer(x)`.
#pragma once

#include "frontend/onnx/Importer.h"

namespace kiln::onnx {

/// A statement as the text has it; the nodes that it is written for, as messages name them.
std::string lineText(const Line &line);
std::string originText(const Line &line);

/// Statements that are all of one module, once for each of its instances.
struct Module {
  std::string name;
  std::vector<Declared> parameters;
  std::string arguments, returns; ///< as they stand in forward's signature; `returns` is empty where it says nothing
  std::vector<Line> lines;
  std::string result;
  std::string form;                       ///< equal of modules that say the same
  std::vector<std::string> returned = {}; ///< the nodes that the result is written for
};

/// An instance of a module, by its attribute's path: {"encoder", "layer", "3"}.
struct Instance {
  std::vector<std::string> path;
  size_t module; ///< which of the modules
};

/// What is written: the model's forward, and what it calls.
struct Program {
  std::vector<Line> lines;
  std::string result;
  std::vector<Declared> parameters; ///< the model's own
  std::vector<Module> modules = {};
  std::vector<Instance> instances = {};
};

/// What has to be known of the model around the statements.
struct Surroundings {
  std::function<std::optional<language::Draft::Type>(const std::string &)> typeOf; ///< of a name of the statements
  std::set<std::string> &names;                                                    ///< that are taken in the model
  std::map<std::string, std::string> &aliases; ///< names that the folding makes, and others of their type
  std::vector<std::string> dims;               ///< open ones
  std::string model;                           ///< the model's name
};

/// One statement as runs of it are found: all that it says but for its names, as a number, and those names.
struct Words {
  int64_t form = 0;               ///< equal of statements that differ in their names alone; negative: like no other
  std::vector<std::string> names; ///< of tensors, the results first, in order
  size_t results = 0;             ///< how many of them are results
};

/// Statements that may be one module: the lines of each instance, and those between that go in front of all.
struct Candidate {
  std::vector<std::vector<size_t>> instances;
  std::vector<size_t> hoisted;
};

std::vector<Words> wordsOf(const Program &program, const Surroundings &around);
/// Runs of equal forms, those first that save most; each in the ways that it can be cut, the best one first.
std::vector<Candidate> candidatesOf(const Program &program, const std::vector<Words> &words);

/// The parts of "encoder.layer.0".
std::vector<std::string> partsOf(const std::string &path);
/// "encoder.layer.0."
std::string pathText(const std::vector<std::string> &path);
/// Paths for the instances of a module, as their parameters' names have them, or the nodes' modules; empty where these
/// do not fit each other. `stored`: for each parameter its name in each instance; `scopes`: the same for each line.
std::vector<std::vector<std::string>> pathsOf(const std::vector<std::vector<std::string>> &stored,
                                              const std::vector<std::vector<std::string>> &scopes);
/// May these be attributes of the model, beside the instances that there are? `taken`: its other names.
bool arePaths(const std::vector<std::vector<std::string>> &paths, const Program &program,
              const std::set<std::string> &taken);
/// "encoder.layer[0]"
std::string accessText(const std::vector<std::string> &path);

/// Puts modules in the place of repeated statements. `weights`: their names change where the file has none that is a
/// path.
void foldRepeats(Program &program, const Surroundings &around, std::vector<TensorView> &weights);
/// The program without what its lines leave to modules: their texts, in front of the model's, and the model's
/// attributes. Fills `origins`, one entry a line of the first.
std::string modulesText(Program &program, const Surroundings &around, std::vector<std::string> &origins,
                        std::vector<std::string> &attributes);

} // namespace kiln::onnx
