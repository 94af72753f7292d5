// The builder of a train block's functions and attributes, shared by Train.cpp (functions), Optimizers.cpp,
// TrainSettings.cpp and Stages.cpp.
#pragma once

#include "frontend/language/Recipe.h"

namespace kiln::language {

class TrainBuilder {
public:
  /// `number`: how many recipes of the model are built before.
  TrainBuilder(Elaborator &e, const Stmt &recipe, int64_t number)
      : e(e), b(e.builder()), recipe(recipe), number_(number), suffix(number == 0 ? "" : "." + stageName(recipe)) {}

  void run();
  /// All recipes of a model; those behind the first become `kiln.stages`.
  static void all(Elaborator &e, const std::vector<const Stmt *> &recipes);
  /// What a recipe is called on the command line.
  static std::string stageName(const Stmt &recipe) { return recipe.target ? recipe.target->text : "train"; }
  static bool isSeries(const Stmt &recipe);

private:
  void read();
  void freeze();
  void losses(bool training);
  void checkLoops(Entry &entry);
  Value scalar(const Expr &expr, const std::string &what, Frame &frame);
  Value severalLosses(const Expr &list, Frame &frame, std::vector<Elaborator::Result> &terms);
  void regularise(std::vector<Elaborator::Result> &terms);
  void settings();
  void writeData();
  void section(const Stmt &section);
  void sections();
  static bool checkNames(Elaborator &e, const std::vector<const Stmt *> &recipes);
  static mlir::Attribute series(Elaborator &e, const Stmt &recipe, const std::vector<const Stmt *> &recipes,
                                std::map<std::string, Range> &listed);
  bool find(std::string_view name, Value &out, Frame &frame);
  Value config(const Expr &expr, Space space = Space::Recipe);
  std::optional<double> number(std::string_view key, double least);
  std::optional<int64_t> count(std::string_view key);
  /// A learning rate in the function of rates, or the number that it is.
  struct Rate {
    Value value;
    std::optional<double> number;
    Range range;
  };
  /// An optimizer of the recipe, and the parameters that are its own; all of them where there is only one.
  struct Chosen {
    std::shared_ptr<Record> record;
    std::optional<std::set<std::string, std::less<>>> names;
    Rate rate;
  };
  Rate rate(const Record &record);
  void sweep(Rate &rate);
  Value plateau(const Record &record, Range range);
  void checkPlateau();
  bool readOptimizers(const Value &value, const Expr &expr);
  void optimizers(int64_t &scheduleSteps);
  mlir::Attribute describeOptimizer(const Chosen &one, const std::string &code);
  std::shared_ptr<Instance> instanceFor(const Record &record, const Rate &rate, const Record *group,
                                        const std::shared_ptr<Variable> &parameter);
  bool statesOf(const std::shared_ptr<Instance> &instance, std::vector<std::shared_ptr<Variable>> &states);
  bool writeUpdate(const std::string &name, const Record &record, const Rate &rate, const Record *group,
                   const Variable &like);
  bool joinRow(const Record &record, const Record *group, const Variable &variable, Variable &row,
               std::vector<mlir::Attribute> &names);
  mlir::Attribute writeUpdates();
  void length(int64_t scheduleSteps);
  void clip();
  void compute();
  void intervals();
  void weights();
  bool resultOf(const Expr &expr);
  mlir::Attribute weightsOf(const Value &value, Range range);
  mlir::Attribute groups();
  std::vector<std::string> parameterNames(const Value &value, Range range);
  void chosenBy(const Value &predicate, Range range, std::vector<std::string> &names);
  std::vector<std::pair<std::string, const Expr *>> metrics();
  void set(const std::string &name, mlir::Attribute attribute) {
    if (attribute)
      attributes.push_back(b.getNamedAttr(name, attribute));
  }

  Elaborator &e;
  mlir::OpBuilder &b;
  const Stmt &recipe;
  int64_t number_;
  std::string suffix;                                                    // of the names of its functions
  std::map<std::string, const Stmt *, std::less<>> keys, locals, blocks; // blocks: begin, after, end
  mlir::ArrayAttr data;                                                  // of its sources
  std::vector<DataSource> sources;
  std::set<std::string> sourceNames;
  std::set<std::string, std::less<>> used, inProgress;
  std::vector<mlir::NamedAttribute> attributes;
  std::vector<std::string> metricNames;
  std::vector<Chosen> chosen;
  std::shared_ptr<Record> plateau_; // of a rate that reads a metric
  std::shared_ptr<Variable> plateauScale_;
  std::map<std::string, std::shared_ptr<Record>, std::less<>> groupOf; // by parameter
  std::set<std::string> reached; // by one of several losses; empty where there is one
  // While a loss function is being built:
  std::map<std::string, Value, std::less<>> dataValues;
  Value lossValue;
  mlir::Type lossType;
};

} // namespace kiln::language
