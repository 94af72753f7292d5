// Elaboration: modules are instantiated with compile-time values, and functions are evaluated by abstract execution,
// which leaves ops behind.
#pragma once

#include "frontend/language/Bind.h"
#include "frontend/language/Builtins.h"
#include "frontend/language/Declarations.h"
#include "frontend/language/Load.h"
#include "frontend/language/Value.h"
#include "ir/Build.h"

#include <functional>
#include <set>

namespace kiln::language {

/// A name's value inside a function, and where it was given.
struct Binding {
  Value value;
  Range range;
};

/// Why a name that was set before is not known here.
struct Lost {
  Range range;      // where it was set
  std::string what; // "is set inside of a scan, and not known after it"
  std::string help = {};
  Range other = {}; // where else
};

struct OpenIf;
struct Side;

/// One activation of a function, of a module's body or of a recipe.
struct Frame {
  enum class Mode { Constants, Module, Function, Recipe } mode = Mode::Constants;
  std::shared_ptr<Instance> self;
  std::map<std::string, Binding, std::less<>> locals;
  std::map<std::string, Binding, std::less<>> dims; // names that the signature's dimensions introduced
  std::optional<std::vector<Dim>> ellipsis;
  Origins ellipsisOrigins;
  Frame *caller = nullptr;
  const Stmt *function = nullptr;
  Value result;
  bool returned = false;
  const Expr *returnExpr = nullptr;
  bool freeDims = false; // in a state's type: unknown names are symbols
  Space space = Space::General;
  int loopDepth = 0;                                     // scans and whiles of this function around the place
  std::map<std::string, Lost> lost;                      // names that a loop or a branch set and did not hand on
  bool mayReturn = false;                                // its body is being executed
  std::vector<std::shared_ptr<OpenIf>> open;             // whose rest is the function's
  std::function<bool(std::string_view, Value &)> lookup; // names of a recipe, found lazily
  Captured *captured = nullptr;                          // what it sees of the function that it is declared in
  std::vector<Captured *> shown;                         // what functions that are declared in it see of it

  const Frame *outer() const;
};

/// What a function within another one sees of it: its names as they stand while it runs, and as they were at its end;
/// and its own defaults, which are told where it is declared.
struct Captured {
  const Frame *frame = nullptr;
  std::shared_ptr<Frame> ended;
  std::vector<Binding> defaults; // by parameter
};

inline const Frame *Frame::outer() const { return captured ? captured->frame : nullptr; }

/// The upper bound of a symbol in a function, and why.
struct Bound {
  int64_t value = 0;
  Range range;
  bool stated = false; // by the signature or --bound; else inferred
};

/// A function of the output module while it is being built.
struct Entry {
  std::string name;
  mlir::func::FuncOp func;
  mlir::Block *block = nullptr;
  size_t inputs = 0;
  std::map<int, std::pair<std::shared_ptr<Variable>, mlir::BlockArgument>> parameters, states; // by index
  std::map<Variable *, Value> values; // of states, as they stand
  std::vector<Variable *> changed;    // states with a new value
  mlir::BlockArgument seed, step;
  std::vector<mlir::Value> loops; // indices of the scans around the insertion point
  int64_t nextStream = 1 << 20;
  const Stmt *function = nullptr; // of the model, where the entry is one of its functions
  std::map<std::string, Bound> bounds;
  std::map<std::string, int64_t> limits;         // what the model's text allows a bound to be, where it names one
  std::map<std::string, std::string> limitNames; // of those: the --set that may raise them
  std::map<std::string, Bound> least;            // lower bounds, of those symbols that have one above 1
  std::vector<Dim> nonEmpty;            // extents that have to be at least 1, checked when the program is called
  std::map<std::string, Range> symbols; // every symbol, and where it was introduced
  std::vector<std::string> inputNames;
  bool training = false, asksTraining = false, failed = false;
  bool update = false;                         // an optimizer's: scalars take the dtype of what they are assigned to
  std::vector<std::shared_ptr<Variable>> kept; // by an optimizer, beside the parameter
  mlir::FunctionType evaluates; // of an `update_all`: a row of all parameters to the loss and its gradient
  bool session = false;         // uses session state without being part of generate: left out in the end
  std::set<const Stmt *> calls; // of the model's functions
};

/// What a name stands for where it is written, as far as that shows: hints are of this kind.
enum class Wanted { Anything, Callable, Part };

/// Counts nested evaluations: the expressions of functions that call each other can nest deeper than any one text.
struct Depth {
  explicit Depth(int &depth, int by = 1) : depth(depth), by(by) { depth += by; }
  ~Depth() { depth -= by; }
  int &depth;
  int by;
};

/// What a call of a model's function showed about the extents of its dimensions: the bound of each name.
using DimUses = std::map<std::string, int64_t>;

class Elaborator {
public:
  Elaborator(mlir::MLIRContext &context, Diagnostics &diagnostics, const LoadOptions &options);
  Elaborator(const Elaborator &) = delete;
  Elaborator &operator=(const Elaborator &) = delete;
  ~Elaborator();

  /// Makes the file's declarations known.
  void declare(const File &file);
  /// What files have to keep among each other, once all are declared.
  void checkFiles();
  /// Elaborates the chosen model; null after errors.
  mlir::OwningOpRef<mlir::ModuleOp> run();
  /// The models that the user's file declares, and those that it takes from other files and has a recipe for; where
  /// there are none, all that it takes.
  std::vector<const Stmt *> models() const;
  /// What the user's file calls a model.
  std::string nameHere(const Stmt &model) const;
  const Stmt *chosen() const { return modelDeclaration_; }
  /// All errors of a model that was not chosen, with its recipes and its arguments' defaults. What the command line may
  /// still give (an argument without a default, a bound) is no error.
  void check(const Stmt &model);
  /// Names in the file's functions and modules that no model may have reached.
  void checkNames(const File &file);

  // Errors. One inside a standard module is reported at the user's call, with a note.
  Diagnostic &error(Range at, std::string message);
  Diagnostic &unknownName(const Expr &name, const std::vector<std::string> &candidates, Wanted wanted);
  Diagnostics &diagnostics() { return diagnostics_; }

  // Expressions and statements.
  Value eval(const Expr &expr, Frame &frame);
  void execute(const std::vector<StmtPtr> &body, Frame &frame);
  bool condition(const Value &value, Range range, bool &out);
  /// The scalar bool that decides when the program runs; nullopt after an error.
  std::optional<mlir::Value> decision(const Value &value, Range range, const char *what);
  void reportLost(const std::string &name, const Lost &lost, Range range);
  /// False after an error: the tensor has more axes than a program can hold.
  bool rankFits(int64_t rank, Range range);
  std::optional<std::vector<Value>> iterate(const Value &value, Range range);
  void assign(const Expr &target, const Value &value, Frame &frame, Range valueRange);

  // Calls.
  using Arguments = language::Arguments;
  Arguments evalArguments(const Expr &call, Frame &frame);
  Value call(const Value &callee, const Arguments &arguments, Range range, Frame &frame);
  Value callFunction(const Stmt &function, std::shared_ptr<Instance> self, const Arguments &arguments, Range range,
                     Frame *caller, Frame *keep = nullptr, Captured *captured = nullptr);
  void endFrame(Frame &frame);
  Value callDtype(const Value &callee, const Arguments &all, Range range);
  Value callBuiltin(const Builtin &builtin, const Arguments &arguments, Range range);
  Value instantiate(const Stmt &module, const Arguments &arguments, Range range);
  bool bindParameters(const Stmt &callee, const Arguments &arguments, Range range, std::vector<Binding> &out,
                      std::vector<bool> &given, const std::string &what);

  // Types.
  std::optional<TypeInfo> evalType(const Expr &expr, Frame &frame);
  bool bindSignature(const Stmt &function, std::vector<Binding> &arguments, Frame &frame, const std::string &what);
  bool bindType(const Expr &type, Binding &argument, Frame &frame, const std::string &what, bool final);
  bool bindDims(const Expr &type, const Value &tensor, Range range, Frame &frame, const std::string &what, bool final);
  bool constrain(const Dim &dim, int64_t bound, Range range, Range boundRange, const std::string &what, bool stated);
  bool constrainBelow(const Dim &dim, int64_t least, Range range, Range leastRange, const std::string &what);
  bool needElement(const Dim &dim, Range range, const std::string &what, Range origin);
  std::optional<int64_t> boundValue(const Expr *written, Frame &frame);

  // Tensors.
  mlir::Location location(Range range) const;
  /// Where the user's text calls what stands in a standard module.
  Range userRange(Range range) const;
  Emit emit(Range range) { return Emit(builder_, location(range)); }
  mlir::OpBuilder &builder() { return builder_; }
  mlir::MLIRContext *context() { return &context_; }
  bool inFunction(Range range, const char *what);
  Value read(const std::shared_ptr<Variable> &variable, Frame *frame, Range range);
  void write(const std::shared_ptr<Variable> &variable, const Value &value, Range range);
  /// A tensor of the value; numbers become scalars of `element` (or of their own natural type when null).
  std::optional<Value> toTensor(const Value &value, Range range, mlir::Type element = {});
  Value binary(std::string_view op, const Value &left, const Value &right, Range range, Range leftRange,
               Range rightRange);
  Value compare(std::string_view op, const Value &left, const Value &right, Range range, Range leftRange,
                Range rightRange);
  Value matmul(const Value &left, const Value &right, Range range, Range leftRange, Range rightRange);
  /// Both operands with one dtype and one shape; false after an error.
  bool unify(Value &left, Value &right, Range range, Range leftRange, Range rightRange, bool promote = true);
  /// Broadcasts all to one shape by numpy's rules.
  bool broadcastAll(std::vector<Value> &values, const std::vector<Range> &ranges, Range range);
  Value convert(const Value &tensor, mlir::Type element, Range range);
  /// A float scalar in the dtype of the scalar that is wanted; anything else as it is.
  Value asScalarOf(const Value &value, mlir::RankedTensorType wanted, Range range);
  void noteDim(Diagnostic &diagnostic, const Dim &dim, Range origin);
  Value index(const Expr &expr, const Value &base, Frame &frame);
  Value gatherIndex(const Value &base, size_t axis, const Value &index, Range range);
  bool provablyNonNegative(const Dim &dim) const;
  mlir::Value seed(Range range);
  mlir::Value stepCounter(Range range);
  std::vector<mlir::Value> counters(Range range);
  Entry *entry() { return entry_; }
  /// Whether what each shard of a batch computes by itself is to be marked.
  bool cutsBatches() const { return options_.shards; }
  /// Whether the function being built is in training mode. Asking is noted: such a function has two variants.
  bool training() {
    if (inference_ > 0)
      return false;
    if (entry_)
      entry_->asksTraining = true;
    return entry_ && entry_->training;
  }

  // Names.
  Value lookup(const Expr &name, Frame &frame);
  std::optional<Value> lookupOuter(const Expr &name, const Frame &frame);
  Value innerFunction(const Stmt &function, Frame &frame);
  Value current(const Value &value, Frame &frame, Range range);
  Value bufferContents(const Value &buffer, Frame &frame, Range range);
  Value attribute(const Expr &expr, Frame &frame);
  /// What a name stands for at the top level, as the file knows it that it is written in.
  std::optional<Value> global(std::string_view name, const SourceFile *file);
  const std::string *constantSetting(const Stmt &statement) const;
  bool isConstant(const std::string &name) const;
  std::string settingOf(const Bound &bound);
  const Stmt *declarationOf(std::string_view name, const SourceFile *file) const;
  /// Whether the user's text declares what a file knows by this name: what is told of the built-in one is not of it.
  bool isOwn(std::string_view name, const SourceFile *file) const;
  /// `training`, `inf`, `PAD`: known without being declared.
  bool isWellKnown(std::string_view name);
  /// Those that a hint may name, of the kind that is wanted.
  std::vector<std::string> visibleNames(const Frame &frame, Wanted wanted, const SourceFile *file) const;

  /// The functions that a file knows besides the built-in ones.
  void addFunctionNames(const SourceFile *file, std::vector<std::string> &names) const;

  // A function that is written statement by statement (Draft.cpp, whose frame it is).
  std::shared_ptr<Entry> beginDraft(Frame &frame);
  void declareInDraft(const std::vector<StmtPtr> &body, Entry &entry);

  // Modules of the output (Entries.cpp, Train.cpp, Generate.cpp).
  std::shared_ptr<Entry> beginEntry(const std::string &name,
                                    const std::vector<std::pair<std::string, TypeInfo>> &inputs, bool training,
                                    Range range);
  /// The values of the entry's inputs, in order.
  std::vector<Value> inputValues(const Entry &entry, const std::vector<std::pair<std::string, TypeInfo>> &inputs);
  /// Closes the function; `results` come with their attribute's name and value.
  struct Result {
    Value value;
    std::string role, name;
    std::vector<std::string> names = {}; // in place of `name`, a list
  };
  void endEntry(Entry &entry, const std::vector<Result> &results, Range range);
  void noteIndexLimit(mlir::Value input, mlir::NamedAttrList &attributes);
  std::shared_ptr<Instance> model() { return model_; }
  struct ScanBody;
  void collect(const Value &value, std::vector<std::shared_ptr<Variable>> &out, bool parametersOnly = true);

private:
  friend class TrainBuilder;
  friend class NameCheck;
  friend class GenerateBuilder;
  friend class Copier;

  // ElaborateStmt.cpp
  void executeOne(const Stmt &statement, Frame &frame);
  void executeReturn(const Stmt &statement, Frame &frame);
  bool assertBound(const Stmt &statement, Frame &frame);

  // ElaborateCustom.cpp
  static bool isCustom(const Stmt &function, const Instance *self, const Stmt *&grad);
  void declareOp(const Stmt &op);
  struct CustomCall {
    std::shared_ptr<Instance> self;
    std::vector<Binding> values; ///< of the function's parameters, as its signature takes them
    Range range;
    Frame *caller;
  };
  Value callCustom(const Stmt &function, const Stmt *grad, CustomCall call);
  std::unique_ptr<mlir::Block> customRegion(const Stmt &function, const CustomCall &call,
                                            llvm::ArrayRef<mlir::Type> types, Value &result);
  bool customOperands(const Stmt &function, CustomCall &call, std::vector<mlir::Value> &inputs,
                      std::vector<mlir::NamedAttribute> &fields);
  bool tensorsOf(Value &value, Range range, std::vector<mlir::Value> &inputs);
  mlir::Attribute opAttribute(const Stmt &op, size_t parameter, const Value &value, Range range);

  // Optimizers.cpp
  static bool isOptimizer(const Stmt &module);
  Value optimizerRecord(const Stmt &module, const Arguments &arguments, Range range);
  std::optional<Value> recipeName(const std::string &name, Range range);

  // ElaborateBranch.cpp
  Side runSide(Frame &frame, const std::function<void()> &run);
  void executeIf(const Stmt &statement, mlir::Value condition, Frame &frame);
  Value chooseByData(const Expr &expr, mlir::Value condition, Frame &frame);
  void openIf(Frame &frame, std::shared_ptr<OpenIf> open, Side rest);
  void closeIfs(Frame &frame, size_t base);
  Value suspendIfs(Frame &frame, size_t base);
  void reportResults(Range range, const Side &first, const Side &second);

  // ElaborateScan.cpp, ElaborateWhile.cpp
  void executeScan(const Stmt &statement, Frame &frame);
  void executeWhile(const Stmt &statement, Frame &frame);
  void failLoop(const Stmt &statement, Frame &frame, ScanBody *body);
  void bury(ScanBody &body);
  bool runLoop(const Stmt &statement, Frame &frame, ScanBody &body, const std::function<bool(ScanBody &)> &once);
  void addCarried(mlir::Block &block, Frame &frame, const ScanBody &body);
  bool runStatements(const Stmt &statement, Frame &frame, ScanBody &body, mlir::Block &block);
  bool runYield(const Stmt &yield, Frame &frame, ScanBody &body);
  bool runCondition(const Stmt &statement, Frame &frame, ScanBody &body);
  bool runBoundedWhile(const Stmt &statement, Frame &frame, ScanBody &body);
  bool runWhile(const Stmt &statement, Frame &frame, ScanBody &body);
  void finishWhile(const Stmt &statement, Frame &frame, ScanBody &body);
  void branchOfWhile(ScanBody &body);
  void nameResults(const Stmt &statement, Frame &frame, const ScanBody &body, const std::vector<Value> &results);
  bool checkLostNames(const Stmt &statement, Frame &frame, const std::map<std::string, Binding, std::less<>> &inner,
                      const ScanBody &body);
  bool runScanBody(const Stmt &statement, Frame &frame, ScanBody &body);
  void finishScan(const Stmt &statement, Frame &frame, ScanBody &body);
  std::optional<Value> scanSlice(const Value &base, size_t axis, const Value &index, Range range);

  // Entries.cpp
  std::shared_ptr<Instance> instantiateModel(const Stmt &model, const Expr *header);
  Value parseSetting(const std::string &key, const std::string &text, const Expr *initial);
  Value namedSetting(const std::string &key, const std::string &text, const Expr &initial);
  void namePaths(const Value &value, const std::string &path, const std::string &modulePath,
                 std::vector<const Instance *> &seen);
  Value evalSymbol(const Expr &expr, Frame &frame);
  bool isEntry(const Stmt &function);
  bool functionEntry(const Stmt &function, bool training);
  std::shared_ptr<Entry> openEntry(const Stmt &function, bool training,
                                   std::vector<std::pair<std::string, TypeInfo>> &inputs);
  std::optional<TypeInfo> entryType(const Expr &written, Frame &frame, std::map<std::string, Bound> &bounds,
                                    std::map<std::string, Bound> &least);
  bool withinLimits(Range range);
  Value evalBinary(const Expr &expr, Frame &frame);
  Value evalConditional(const Expr &expr, Frame &frame);
  Value evalKind(const Expr &expr, Frame &frame);
  Value evalAs(Wanted wanted, const Expr &expr, Frame &frame);
  bool reportForeignPrefix(const Expr &expr, Frame &frame);
  void noteHidden(const Expr &expr, const Frame &frame, size_t errorsBefore);
  void noteHiddenFunction(const Expr &call, const Value &callee, const Frame &frame, size_t errorsBefore);
  void noteUse(const Stmt &function, const Frame &frame);
  void settleBounds();
  void lowerBounds(Entry &entry);
  void checkSizes(const Entry &entry);
  bool checkTopLevel(const Stmt &statement);
  /// Says which functions are left out of the program, and makes sure that nothing else is.
  void reportLeftOut(const Stmt &model);
  mlir::DictionaryAttr initOf(const Variable &variable);
  void writeVariables();
  void writeSamplingRate();
  void writePicture();
  void writeLabels();
  const Stmt *chooseModel();
  bool build(const Stmt &model);
  std::vector<const Stmt *> recipesOf(const Stmt &model, StmtKind kind);

  Value placeholder(const Expr &type, Frame &frame);
  Value knownDim(const Expr &expr, Frame &frame);
  static std::string calleeName(const Stmt &function, const Instance *self);

  mlir::MLIRContext &context_;
  Diagnostics &diagnostics_;
  const LoadOptions &options_;
  mlir::OpBuilder builder_;
  mlir::OwningOpRef<mlir::ModuleOp> module_;
  Declarations declarations_;                                   // of the user's files
  std::map<std::string, const Stmt *, std::less<>> library_[2]; // the library's, its optimizers'
  std::map<const Stmt *, Value> constants_;
  std::vector<const Stmt *> recipes_;
  std::vector<Range> callSites_;
  std::vector<std::shared_ptr<Entry>> entries_;
  Entry *entry_ = nullptr;
  const Stmt *modelDeclaration_ = nullptr;
  bool checkOnly_ = false; // a model that was not chosen
  std::shared_ptr<Instance> model_;
  std::vector<std::weak_ptr<Instance>> instances_; // of modules
  std::vector<std::unique_ptr<Captured>> captured_;
  std::vector<std::shared_ptr<Variable>> parameters_, states_;
  std::map<const Stmt *, DimUses> uses_; // of the model's functions
  std::vector<ScanBody *> scanBodies_;
  std::vector<mlir::Block *> regions_;        // of loops and branches around the insertion point, outermost first
  std::map<mlir::Operation *, Range> whiles_; // those without a bound
  /// Blocks of loops that failed, or were built again. They stay until the module is gone: values of theirs may be
  /// named in frames.
  std::vector<std::unique_ptr<mlir::Block>> graveyard_;
  std::vector<const Stmt *> owning_; ///< functions whose own grad is being built: there they are their bodies
  Wanted wanted_ = Wanted::Anything;
  bool optimizing_ = false;          // a recipe's optimizers are being read: rates and updates know names of their own
  int64_t *scheduleSteps_ = nullptr; // while they are: what the schedules say of a run's length
  int depth_ = 0;
  int inference_ = 0; // calls around this place of parts that are in inference mode throughout
  int64_t work_ = 0;
};

} // namespace kiln::language
