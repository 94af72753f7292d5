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
  std::string widths; ///< its own arguments: numbers in which its instances differ
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
  size_t module;      ///< which of the modules
  std::string widths; ///< what its arguments are
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
  int64_t shape = 0;              ///< equal of statements whose forms differ in whole numbers alone
};

/// Statements that may be one module: the lines of each instance, and those between that go in front of all.
struct Candidate {
  std::vector<std::vector<size_t>> instances;
  std::vector<size_t> hoisted;
  std::vector<std::vector<std::string>> paths = {}; ///< of modules of the file's, which are called one by one

  bool isByScope() const { return !paths.empty(); }
};

std::vector<Words> wordsOf(const Program &program, const Surroundings &around);
/// Runs of equal forms, those first that save most; each in the ways that it can be cut, the best one first.
std::vector<Candidate> candidatesOf(const Program &program, const std::vector<Words> &words);
/// Modules by the names that nodes and weights have, which are alike but for whole numbers, and no parts of modules
/// that repeat as they are; those first that save most. `scopes`: the module of each line; `elements`: those that are
/// elements of lists, or the others.
std::vector<Candidate> scopesAlike(const std::vector<Words> &words, const std::vector<std::vector<std::string>> &scopes,
                                   bool elements);

/// A whole number in a text that is no part of a name, of another number, or of a type's name.
struct WholeNumber {
  size_t begin, length;
  int64_t value;
};
std::vector<WholeNumber> wholeNumbers(const std::string &text);
/// The text with others in the places of its whole numbers.
std::string withNumbers(const std::string &text, const std::vector<std::string> &numbers);

/// The parts of "encoder.layer.0".
std::vector<std::string> partsOf(const std::string &path);
/// Whether one of them is a place in a list.
bool isNumber(const std::string &part);
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

/// `for block in layer1: x = block(x)` in the place of calls, one behind the other, of neighbours in a list.
void joinCalls(Program &program, const Surroundings &around);
/// Puts modules in the place of repeated statements. `weights`: their names change where the file has none that is a
/// path.
void foldRepeats(Program &program, const Surroundings &around, std::vector<TensorView> &weights);
/// The program without what its lines leave to modules: their texts, in front of the model's, and the model's
/// attributes. Fills `origins`, one entry a line of the first.
std::string modulesText(Program &program, const Surroundings &around, std::vector<std::string> &origins,
                        std::vector<std::string> &attributes);

} // namespace kiln::onnx
