// The functions of a generate block, while they are being built.
#pragma once

#include "frontend/language/DeriveMemory.h"
#include "frontend/language/DeriveStep.h"
#include "frontend/language/Recipe.h"
#include "frontend/language/StepPlaces.h"

namespace kiln::language {

/// The model's function of a name; null where it has none.
const Stmt *modelFunction(const Instance &model, std::string_view name);

class GenerateBuilder {
public:
  GenerateBuilder(Elaborator &e, const Stmt &recipe) : e(e), b(e.builder()), recipe(recipe) {}
  void run();

private:
  void read();
  std::shared_ptr<Entry> begin(bool isPrefill, const Stmt *section);
  std::shared_ptr<Entry> beginInputs(const Stmt &section);
  void body(bool isPrefill, Frame &frame);
  void callByNames(const Stmt &function, bool isPrefill, Frame &frame, Range range);
  void callWith(const Stmt &function, size_t at, const Value &tokens, bool isPrefill, Frame &frame, Range range);
  void openFrame(bool isPrefill, Frame &frame, const Entry &entry);
  bool writeBoth();
  const Stmt *functionFor(const char *key, Range &range);
  std::shared_ptr<Variable> declareSession(const std::string &name, mlir::RankedTensorType type, Range range);
  bool sessionValue(std::string_view name, Value &out);
  Value sessionItem(const std::string &name, const Value &value, Range range);
  Value leftIn(Frame &frame, const std::string &path);

  // GenerateDerive.cpp
  const Stmt *derivedFrom();
  bool deriveBoth(const Stmt &function);
  bool derive(const Stmt &function, bool isPrefill, Frame &frame, Entry &entry);
  bool deriveAlong(StepDeriver::Part part, const std::string &axis, Entry &entry, mlir::Value tokens,
                   mlir::Value position, mlir::Value &result);
  bool extend(const Stmt &function);
  mlir::Value forwardResult(Frame &frame, Entry &entry, const std::string &axis);
  mlir::Value derivedState(const std::string &name, mlir::RankedTensorType type, Range range);
  void takeOneToken(const std::string &axis);
  static void dropSymbol(Entry &entry, const std::string &symbol);
  Range rangeOf(mlir::Location location) const;

  // GenerateAnswer.cpp
  bool hasPrefill() const;
  bool readsMore(const Stmt &function) const;
  bool deriveAnswer(const Stmt &function);
  bool answerHalf(const Stmt &function, bool isPrefill, Frame &frame, std::shared_ptr<Entry> &entry);
  bool readSource(const Stmt &function, Frame &frame, const Entry &entry);
  std::optional<size_t> written(const Stmt &function, const Frame &frame);
  mlir::Value addInput(Entry &entry, const char *name, llvm::ArrayRef<Dim> dims);
  void keep(const Memory &found);
  bool dropSource(Entry &entry, unsigned count, mlir::Value logits);

  bool checkLogits(Frame &frame, Range range, bool required, Value &logits);
  Value firstTokens(bool hasLogits);
  mlir::DictionaryAttr readDraw(int64_t &beams, bool hasFirst);
  mlir::DictionaryAttr limited(mlir::DictionaryAttr draw, Range range);
  void checkBeams(int64_t beams);
  void finish();

  Elaborator &e;
  mlir::OpBuilder &b;
  const Stmt &recipe;
  const Stmt *prefillSection = nullptr, *stepSection = nullptr, *chatSection = nullptr;
  std::map<std::string, const Stmt *, std::less<>> keys;
  std::shared_ptr<Entry> prefill, step;
  std::shared_ptr<Entry> extension; // of a chat whose step is derived: a turn's tokens at once
  Frame prefillFrame;
  Value prefillLogits;           // an error where the prefill gives none
  const Stmt *forward = nullptr; // what the step is derived from; null where it is written
  std::map<std::string, std::shared_ptr<Variable>, std::less<>> sessions; // values that flow from prefill to step
  std::map<std::string, std::shared_ptr<Variable>, std::less<>> derived;  // what a derived step keeps
  std::vector<mlir::Value> memory;                     // of a derived answer: what its step wants of the prefill,
  std::vector<std::shared_ptr<Variable>> memoryStates; // and where it is kept; null where the step does without
  std::string time;                                    // of a derived answer: the symbol that its length is
  int64_t answerLength = 0;                            // of an answer: how many places there are; 0: not bounded
};

} // namespace kiln::language
