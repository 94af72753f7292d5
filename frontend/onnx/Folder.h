// One candidate on its way to a module: looked at, named, written.
#pragma once

#include "frontend/onnx/Repeats.h"

namespace kiln::onnx {

/// What the instances of a candidate have in common, and what not.
struct Pattern {
  /// A name of the first instance that it does not set itself: for each instance the name in its place.
  struct Operand {
    std::vector<std::string> names;
    bool isParameter = false, isShared = false;
    size_t carried = SIZE_MAX; ///< the result of the instance before that it is
    size_t line = 0;           ///< of the first instance, where it first stands
  };
  std::vector<std::string> order; ///< the operands' names, in the order of the text
  std::map<std::string, Operand> operands;
  std::vector<std::vector<std::string>> results; ///< of each instance, by number
  std::vector<size_t> returned;                  ///< results that something outside reads, by number
  bool isLoop = true;
  bool isOne = false; ///< the weights are the same for all: one instance, called so many times
};

/// Looks at one candidate, and writes it as a module.
class Folder {
public:
  Folder(Program &program, const Surroundings &around, const std::vector<Words> &words, Candidate candidate,
         const std::map<std::string, const Declared *> &declared, std::vector<TensorView> &weights)
      : program_(program), around_(around), words_(words), candidate_(std::move(candidate)), declared_(declared),
        weights_(weights) {}

  /// False where the instances are not alike, or it would not pay; nothing has changed then. `asNamed`: where the
  /// file's names say which list they are of, that has to be one.
  bool fold(bool asNamed);

private:
  bool compare();
  bool compareInstance(size_t instance, std::map<std::string, std::string> &matched);
  bool classify();
  void readOutside();
  bool pays() const;
  size_t resultNumber(size_t instance, const std::string &name) const;
  bool findWidths();
  std::string widthText(const std::vector<int64_t> &values) const;
  std::string withWidths(const std::string &text, const std::vector<std::string> &others) const;
  std::vector<std::vector<int64_t>> numbersOf(const std::vector<std::string> &texts) const;
  std::vector<std::string> typesOf(const Pattern::Operand &operand) const;
  void nameWidths(Module &module);
  void findPaths();
  void findOnePath();
  bool losesNames() const;
  void nameParameters(Module &module);
  std::string memberWish(const Pattern::Operand &operand) const;
  void writeModule();
  void nameLocals(Module &module);
  void writeSignature(Module &module);
  std::string typeIn(const std::vector<std::string> &names, std::set<std::string> &bound, bool isArgument) const;
  void writeLoop(std::vector<Line> &out);
  void writeCalls(std::vector<Line> &out, size_t instance);
  void replaceLines();

  Program &program_;
  const Surroundings &around_;
  const std::vector<Words> &words_;
  Candidate candidate_;
  const std::map<std::string, const Declared *> &declared_; // the model's parameters, by their names
  std::vector<TensorView> &weights_;
  Pattern pattern_;
  std::vector<Declared> parameters_; // of the module
  std::set<std::string> outside_;    // names that lines of no instance read
  std::vector<std::vector<std::string>> paths_;
  std::vector<std::string> carried_, shared_; // operands, by the first instance's names
  std::vector<std::string> arguments_;        // the same, as forward's arguments, in order
  std::vector<std::string> lengths_;          // dimensions that are arguments, no argument's type having them
  std::map<std::string, std::string> local_;  // the first instance's names as the module has them
  std::map<std::string, std::string> after_;  // the model's names that change
  std::set<std::string> moduleNames_;
  /// Numbers in which the instances differ, one for each; what the module calls them: "4 * width".
  std::map<std::vector<int64_t>, std::string> widths_;
  std::vector<std::pair<std::vector<int64_t>, std::string>> wishes_; // those that are arguments, in order, and a name
  bool isOneList_ = true;                                            // the paths are neighbours in a list
};

} // namespace kiln::onnx
