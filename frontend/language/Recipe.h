// Recipes: train and generate blocks.
#pragma once

#include "frontend/language/Elaborate.h"

namespace kiln::language {

/// A data source of a recipe and the tensors that it gives.
struct DataSource {
  std::string name;
  std::shared_ptr<Record> record;
  std::string reader; // where it is not the record's kind
  std::vector<std::pair<std::string, TypeInfo>> fields;
  std::map<std::string, int64_t> bounds; // of the symbols in the fields' types
  bool fixedBatch = false;               // the leading dimension of every field is the batch
  Range range;
};

/// The fields that a reader gives under these settings; nullopt after an error.
std::optional<DataSource> dataSource(Elaborator &e, const std::string &name, const Value &record, Range range,
                                     const std::string &prefix);
bool isReader(std::string_view name);
/// Of a model's `picture`, a dict of what `images` takes for pictures; null after an error.
mlir::Attribute pictureAttribute(Elaborator &e, const Value &dict);
mlir::Attribute dataAttribute(Elaborator &e, const DataSource &source);

/// Compile-time values as attributes; null for None.
mlir::Attribute toAttribute(Elaborator &e, const Value &value, Range range);
/// A record's field by its name; None where it has none of this name.
const Value &field(const Record &record, std::string_view name);
mlir::Type typeOf(Elaborator &e, const TypeInfo &type);
/// The dtype that a type begins with, and the dimensions that a value in its brackets stands for: one, or all of a
/// tuple's, each possible. nullopt after an error.
std::optional<Dtype> typeBegin(Elaborator &e, const Value &value, Range range);
std::optional<std::vector<Value>> dimensionsOf(Elaborator &e, const Value &value, Range range);

/// The state that a rate which reads a metric is scaled by; it belongs to the optimizer.
inline constexpr const char *plateauState = "optimizer.plateau";

/// Among what a command line sets: "FROM,TO,STEPS", rates that grow from step to step in place of a recipe's own.
inline constexpr const char *sweptRates = "@rates";

/// The recipes of a model, in the order of the file.
void buildTraining(Elaborator &e, const std::vector<const Stmt *> &recipes);
void buildGeneration(Elaborator &e, const Stmt &recipe);
/// A setting (by its number) of greedy, sample or beam: an error where no program takes it.
void checkDraw(Elaborator &e, const Record &record, size_t i);
/// The data whose vocabulary reads prompts and writes answers: of the module's (`data`) the one that a generate block
/// names, else the first; empty for none.
std::string wordsOf(Elaborator &e, mlir::Attribute data, const Expr *named);
/// What the turns of a conversation are written in, of a chat block: first, next, system; null after an error.
/// `goesOn`: does the model go on with its prompt, and reads nothing else?
mlir::Attribute chatOf(Elaborator &e, const Stmt &section, bool goesOn);

} // namespace kiln::language
