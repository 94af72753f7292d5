// The importer's inside: the way through a graph, node by node, and what the writers of ops see of it.
#pragma once

#include "frontend/language/Draft.h"
#include "frontend/onnx/Import.h"
#include "frontend/onnx/Value.h"

#include <functional>
#include <optional>
#include <set>

namespace kiln::onnx {

/// Why a node cannot be imported: one sentence, to which the node's name is added.
struct Refusal {
  std::string why;
  std::string dim = {}; ///< the dimension that has to be `size`; empty: no number would do
  int64_t size = 0;
};
[[noreturn]] void refuse(std::string why);

/// A node that has a dimension be at most (or at least) so much, which nobody has said: the model is read again with it
/// as a bound.
struct ImpliedBound {
  std::string dim;
  int64_t most = 0, least = 0;
  const char *why = "a table of so many rows is cut to it"; ///< of `most`
};

class Importer;

/// One node as the writer of its op sees it: typed access to attributes and inputs, and results.
class Call {
public:
  Call(Importer &importer, const Node &node, int64_t opset) : importer(importer), node(node), opset(opset) {}

  Importer &importer;
  const Node &node;
  int64_t opset; ///< of the node's domain

  // Attributes. Each refuses an attribute of another kind. What is never asked for is refused in the end.
  bool hasAttribute(std::string_view name);
  int64_t integer(std::string_view name, int64_t fallback);
  double number(std::string_view name, double fallback);
  std::string string(std::string_view name, const std::string &fallback);
  std::vector<int64_t> integers(std::string_view name, std::vector<int64_t> fallback = {});
  std::vector<double> numbers(std::string_view name, std::vector<double> fallback = {});
  const Attribute *attribute(std::string_view name);
  /// Refuses the first attribute that nobody has asked for.
  void checkAttributes() const;

  // Inputs.
  size_t inputs() const { return node.inputs.size(); }
  bool has(size_t index) const { return index < node.inputs.size() && !node.inputs[index].empty(); }
  Value &in(size_t index);
  /// An operand beside tensors of at least `rank` axes: a number where it is one, else a tensor's name.
  std::string number(size_t index, int64_t rank);
  /// The same of what is no weight, whatever the file calls it: a number where it is one.
  std::string setting(size_t index, int64_t rank);
  /// A tensor's name, or an expression that is one.
  std::string tensor(size_t index);
  /// All inputs as operands of an elementwise op; one of them at least is a tensor.
  std::vector<std::string> operands();
  /// Elements that have to be known: `what` they are, for the refusal.
  std::vector<Element> elements(size_t index, const char *what);
  std::vector<Dim> dims(size_t index, const char *what);
  std::vector<int64_t> constants(size_t index, const char *what);
  /// The same of floats.
  std::vector<double> floats(size_t index, const char *what);
  /// An axis made positive. Refuses one that is out of range.
  int64_t axis(int64_t axis, int64_t rank) const;
  /// Of a slice: the axes of so many starts and ends, the first ones where none are named, and the steps, 1 likewise.
  /// Refuses lists that are not of one length.
  void sliceAxes(size_t starts, size_t ends, std::vector<int64_t> &axes, std::vector<int64_t> &steps);
  /// Axes from an attribute, or, from opset `since` on, from an input; `fallback` where there are none.
  std::vector<int64_t> axes(const char *name, size_t input, int64_t since, int64_t rank, std::vector<int64_t> fallback);

  // Results.
  /// Result `index` is this expression: a statement of its own.
  void set(size_t index, const std::string &expression);
  /// Several results of one expression that gives a tuple. A result that nobody names is `_`.
  void setAll(const std::string &expression, size_t count);
  /// Result 0 is an expression, as a tensor of this dtype, which the expression's need not be.
  void setAs(kiln_dtype dtype, const std::string &expression);
  /// Result `index` is another value, which nothing has to be written for.
  void alias(size_t index, Value value);
  void know(size_t index, kiln_dtype dtype, std::vector<Dim> shape, std::vector<Element> elements);
  /// What is known of the node's outputs was worked out from shapes.
  void ofShapes();
  bool wants(size_t index) const { return index < node.outputs.size() && !node.outputs[index].empty(); }
  /// Of result `index`, which has been set: data decide how many rows it has along an axis.
  void setRows(size_t index, int64_t axis, const std::string &count);
  /// The name that result `index` gets, for who writes the statement.
  std::string resultName(size_t index);
  /// A statement that no result has its name from; the name that it got.
  std::string let(const std::string &wish, const std::string &expression);
  /// The type of an expression that let() has named.
  Value typed(const std::string &name);

private:
  std::set<std::string, std::less<>> asked_;
};

/// One line of the table of ops.
struct Op {
  const char *name;
  int64_t since; ///< the first opset that is read (7 where it is older)
  /// How it is written, for the table; where it holds {0}, {1}, … it is also what writes it.
  const char *written;
  std::function<void(Call &)> write; ///< null where `written` does
  const char *refused = "";          ///< what of it is not there
  const char *domain = "";
};

const std::vector<Op> &ops();
const Op *findOp(const std::string &domain, const std::string &name);
/// Writes the node, by the op's function or by its template.
void writeOp(const Op &op, Call &call);
/// The same of a node whose inputs may have rows of which data decide how many there are: refuses what would mix them
/// with what is behind, and says where they are in the results. What can be told when the model is read is not written.
void writeWithRows(const Op &op, Call &call);
/// Of a node that has been written: notes where its result is an integer and a number, and by which sizes it is true.
void keepOffset(Call &call);
/// Results that can be told from what is known of the inputs; false where they cannot, and the op is to be written.
bool foldKnown(Call &call);

/// A statement of the function that is being written.
struct Line {
  std::vector<std::string> names; ///< that it sets
  std::string expression;
  int depth = 0;                       ///< of the blocks around it
  bool fixed = false;                  ///< stays a line of its own, as it stands
  bool takes = false;                  ///< though fixed, expressions may go into it
  std::vector<std::string> nodes = {}; ///< that it is written for, in order
  std::string scope = {};              ///< the module that the last of them is of, as Node has it
};

/// A parameter or state, as the text declares it.
struct Declared {
  std::string name;            ///< in the text
  std::string type;            ///< "parameter(f32[4, 8]": what it is called and the bracket follow
  std::string stored;          ///< its name in the weights' file; in a module what follows the instance's path
  std::vector<size_t> weights; ///< which of the file's weights it is, in a module one for each instance

  std::string text() const;
};

class Importer {
public:
  Importer(const Model &model, const ImportOptions &options) : model_(model), options_(options) {}

  Imported run();
  /// The dimensions alone.
  std::vector<OpenDim> openDims();

  Value *find(const std::string &name);
  void bind(const std::string &name, Value value);
  language::Draft &draft() { return *draft_; }
  /// A name that nothing has yet.
  std::string fresh(const std::string &wish, const std::string &fallback);
  /// Writes `names = expression` and says what it is. Throws Refusal with what the language says against it.
  void write(std::vector<std::string> names, const std::string &expression);
  /// The type that the language gives a name.
  Value typeOf(const std::string &name);
  /// The value as a tensor: what is only known so far gets an expression, or a parameter.
  std::string tensor(Value &value);
  /// Is it shown to be 0 or more?
  bool isNonNegative(const Dim &dim) { return draft_->isNonNegative(dim); }
  std::optional<bool> lessOrEqual(const Dim &a, const Dim &b);
  /// Has it be 0 or more where that takes one dimension to be so large, at most `most`.
  void needNonNegative(const Dim &dim, int64_t most = 1 << 20);
  /// The same where it is 0 or more for small dimensions alone.
  void needAtMost(const Dim &dim);
  /// Is it this number for all sizes that are taken?
  bool isEqual(const Dim &dim, int64_t number) const;
  /// The same; has the dimension in it be of sizes for which it is, where there are some.
  bool needEqual(const Dim &dim, int64_t number);
  /// Does a node of the file, or its result, use this name?
  bool isRead(const std::string &name);
  /// Is the text to be trained?
  bool forTraining() const { return options_.train; }

  /// The nodes of a graph in the place of a node, its inputs being these: a branch that is taken, a loop's body. Its
  /// results, in order.
  std::vector<Value> inlined(const Graph &graph, const std::vector<Value> &inputs);
  /// Lines written from here on, and the end of it.
  std::vector<Line> &lines() { return lines_; }

private:
  std::string begin();
  std::string signature();
  Value inputValue(const ValueInfo &input, std::string &typeText);
  Dim openDim(const std::string &ours, const ValueInfo &input, size_t axis);
  std::string dimName(const ValueInfo &input, size_t axis);
  void constants(const Graph &graph);
  void nodes(const std::vector<Node> &nodes, const std::vector<std::string> &wanted);
  void node(const Node &node);
  void giveUp(const Node &node);
  bool expand(const Node &node);
  std::vector<Value> called(const Node &node, const Function &callee);
  static void resolve(Node &inner, const Node &caller, const Function &function);
  void declare(Value &value);
  std::string returned();
  std::string text(const std::string &arguments, std::string result);
  Value constantValue(const std::shared_ptr<Constant> &constant) const;
  std::string recipe();
  std::string recipeData(std::string &arguments) const;
  std::string recipeLoss(const std::string &outputs, std::string &target);
  std::vector<int64_t> sizesOf(const std::vector<Dim> &shape) const;
  void adviseOnSizes();
  void problem(const std::string &sentence) { problems_.push_back(sentence); }

  const Model &model_;
  const ImportOptions &options_;
  std::unique_ptr<language::Draft> draft_;
  std::vector<std::map<std::string, Value>> scopes_{1};
  std::set<std::string> names_;        // that are taken
  std::map<std::string, int> numbers_; // the next one behind a name that is taken
  std::set<std::string> bounded_;      // dimensions whose bound has been written
  std::set<std::string> least_;        // the same of the lower bound
  std::set<std::string> stored_;       // names in the weights' file
  std::set<std::string> reads_;        // that something of the file uses, once somebody has asked
  std::vector<Declared> declarations_;
  std::vector<std::string> problems_;
  std::map<std::string, std::string> dimNames_;                       // the file's to ours
  std::vector<std::string> dims_;                                     // ours, in order; out_.dims has more of them
  std::map<std::pair<const Constant *, bool>, std::string> declared_; // with: is it a statistic
  std::vector<std::pair<std::string, Value>> inputs_;                 // of forward
  std::map<std::string, int64_t> opsets_;
  std::vector<Line> lines_;
  Imported out_;
  std::string node_, scope_; // that is being written, and the module that it is of
  int depth_ = 0;            // of functions and graphs inside of each other
  size_t nodes_ = 0;
};

/// Every name that a node reads, graphs inside of it included.
void readsOf(const Node &node, std::vector<std::string> &out);
/// Calls `found` with each name in an expression and its place; keywords of calls and words in strings are none.
void eachName(const std::string &text, const std::function<void(const std::string &, size_t)> &found);
/// The text with other names.
std::string renamed(const std::string &text, const std::map<std::string, std::string> &names);
/// The wish, or with the first number behind it, `_2`, that is not taken.
std::string untaken(const std::string &wish, const std::function<bool(const std::string &)> &isTaken);
/// The same of names, among which it is from then on.
std::string freshIn(std::set<std::string> &names, const std::string &wish);
/// A name that an exporter has made up for a constant of its own: no parameter of the model that it was given.
bool isExporters(std::string_view name);
/// How often each name is used.
std::map<std::string, int> countUses(const std::vector<Line> &lines, const std::string &result);
/// The text with an expression in the place of a name, where it then is no longer than that. `bracketed`: in brackets
/// also where it would mean the same without.
std::string withInserted(const std::string &text, const std::string &name, const std::string &inner, size_t longest,
                         bool bracketed = true);
/// Puts GELU, SiLU, hard swish and layer norm where a file has their parts. `rank`: of a name, -1 where it is no
/// tensor.
void findComposites(std::vector<Line> &lines, const std::string &result,
                    const std::function<int64_t(const std::string &)> &rank);
/// Drops statements that nothing uses. `result`: what the function returns.
void dropUnused(std::vector<Line> &lines, const std::string &result);
/// Puts expressions that are used once, and are short, where they are used.
void inlineLines(std::vector<Line> &lines, std::string &result);

} // namespace kiln::onnx
