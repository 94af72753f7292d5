// The builder of a train block's functions and attributes, shared by Train.cpp (functions) and TrainSettings.cpp.
#pragma once

#include "frontend/language/Recipe.h"

namespace kiln::language {

class TrainBuilder {
public:
  TrainBuilder(Elaborator &e, const Stmt &recipe) : e(e), b(e.builder()), recipe(recipe) {}

  void run();

private:
  void read();
  void freeze();
  void losses(bool training);
  Value scalar(const Expr &expr, const std::string &what, Frame &frame);
  Value severalLosses(const Expr &list, Frame &frame, std::vector<Elaborator::Result> &terms);
  void regularise(std::vector<Elaborator::Result> &terms);
  void settings();
  void writeData();
  bool find(std::string_view name, Value &out, Frame &frame);
  Value config(const Expr &expr, Space space = Space::Recipe);
  std::optional<double> number(std::string_view key, double least);
  std::optional<int64_t> count(std::string_view key);
  mlir::Attribute optimizer(const Value &value, Range range, int64_t &scheduleSteps);
  void optimizers(int64_t &scheduleSteps);
  void length(int64_t scheduleSteps);
  void clip();
  void intervals();
  mlir::Attribute learningRate(const Value &value, Range range, int64_t &scheduleSteps);
  mlir::Attribute groups();
  std::vector<std::string> parameterNames(const Value &value, Range range);
  std::vector<std::pair<std::string, const Expr *>> metrics();
  void set(const std::string &name, mlir::Attribute attribute) {
    if (attribute)
      attributes.push_back(b.getNamedAttr(name, attribute));
  }

  Elaborator &e;
  mlir::OpBuilder &b;
  const Stmt &recipe;
  std::map<std::string, const Stmt *, std::less<>> keys, locals;
  std::vector<DataSource> sources;
  std::set<std::string> sourceNames;
  std::set<std::string, std::less<>> used, inProgress;
  std::vector<mlir::NamedAttribute> attributes;
  std::vector<std::string> metricNames;
  std::set<std::string> reached; // by one of several losses; empty where there is one
  // While a loss function is being built:
  std::map<std::string, Value, std::less<>> dataValues;
  Value lossValue;
};

} // namespace kiln::language
