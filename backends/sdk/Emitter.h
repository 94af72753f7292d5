// A kernel's elements, printed as C, OpenCL C or GLSL.
//
// The one question that it answers: "what is the element of value v at these indices?" It prints the statements that
// compute it and gives the expression that then holds it. A strategy (one item an element, a row for each workgroup, a
// product with its epilogue) opens loops, asks for elements, and stores them; what it computes itself (a reduction over
// a workgroup, a tile's accumulator) it declares with `define`, and elements asked for later use that.
//
// The text is a tree of scopes. An expression knows the depth at which it holds, and is printed there: what does not
// depend on a loop stands before it, and what was printed once in a scope around is not printed again.
#pragma once

#include "Graph.h"
#include "Language.h"
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kiln::sdk {

/// A side-effect free scalar expression: a name, a literal, or text in parentheses.
struct Expr {
  std::string text;
  int level = 0;                   // the depth of the innermost scope whose names it uses
  std::optional<int64_t> constant; // of an index
  bool changes = false;            // a variable that is assigned to, or made of one: is printed where it is asked for
  int64_t most = -1;               // of an index: it is never above; -1: not known
};
using Index = std::vector<Expr>;

/// The definitions of those functions and of what they call. own: exp, tanh and the like by our own polynomials, though
/// the language has them.
std::string printFunctions(const Language &language, bool own, const std::set<std::string> &used);

/// What stands around the printed text: how memory, extents and the status record are spelt. The defaults name a
/// launch's place n (inputs, then outputs) "p<n>", and extents "extents[slot]".
class Surroundings {
public:
  virtual ~Surroundings() = default;
  /// A place's element as an expression of the *storage* type (Emitter::storageType); the index is a scalar expression.
  virtual std::string load(uint32_t place, kiln_dtype dtype, const std::string &index);
  /// A statement that writes; `value` is of the storage type.
  virtual std::string store(uint32_t place, kiln_dtype dtype, const std::string &index, const std::string &value);
  /// The extent as an expression of the index type.
  virtual std::string extent(int32_t slot);
  /// A statement that records the status if `condition` holds; value and limit are of the index type.
  /// Default: "if (condition) KILN_REPORT(kind, op, value, limit);"
  virtual std::string report(kiln_status_kind kind, uint32_t op, const std::string &condition, const std::string &value,
                             const std::string &limit);
};

struct EmitterOptions {
  const Language &language = Language::C;
  bool wideIndex = true;     // indices are 64 bits wide; else 32, and the caller has seen to Graph::fits32
  bool ownFunctions = false; // exp, tanh, ... by functions printed along, not the language's. GLSL's
                             // own are only as exact as each device likes, and it has no others than exp and log
  int64_t mostPasses = 0;    // that an invocation's loops should make in all, see LoopPasses; 0: any
};

/// How often the loops of one invocation come round in all, at the bounds, each loop's last look at its condition
/// counted. Some drivers end all loops after so many.
struct LoopPasses {
  int64_t plain = 0;    // as written
  int64_t stripped = 0; // with the strips that were chosen
  int64_t strip = 1;    // their length: what Language::strip should be where passes count, else 1
};

class Emitter {
public:
  /// Both outlive the emitter.
  Emitter(const Graph &graph, Surroundings &around, EmitterOptions options);

  //===-- Elements ----------------------------------------------------------------------------------------------===//

  /// The element of a value at an index (one expression of the index type for each axis, in range), in its register
  /// type: float for f32, bf16 and f16 (rounded where stored or converted, and before where the kernel stores
  /// and reads it), int for i8, uint for u8, bool.
  Expr element(uint32_t value, const Index &index);
  /// At a row-major index.
  Expr elementAt(uint32_t value, const Expr &linear);
  /// From now on elements of the value are what the function gives (in the register type), whatever its op. A null
  /// function takes that back. Elements that were printed before stay as they were.
  using Source = std::function<Expr(const Index &index)>;
  void define(uint32_t value, Source source);
  /// An element of a place read as memory, at a row-major index; `value` gives the dtype.
  Expr load(uint32_t place, uint32_t value, const Expr &linear);
  void store(uint32_t place, kiln_dtype dtype, const Expr &linear, const Expr &element);
  /// The kernel's outputs of those numbers at an index, and their storing at a row-major one: all are computed before
  /// one is written, since an output may lie in an input's memory.
  std::vector<Expr> outputElements(const std::vector<uint32_t> &outputs, const Index &index);
  void storeElements(const std::vector<uint32_t> &outputs, const std::vector<Expr> &elements, const Expr &linear);
  void storeOutputs(const std::vector<uint32_t> &outputs, const Index &index, const Expr &linear) {
    storeElements(outputs, outputElements(outputs, index), linear);
  }
  /// Whether the language can print what the value needs, down to the inputs and to defined values; false with a reason
  /// (and the op's number) where it cannot.
  bool canPrint(uint32_t value, std::string &reason, uint32_t &op) const;
  /// The same of every op of the kernel, as Phases prints them.
  bool canPrintAll(std::string &reason, uint32_t &op) const;
  /// An integer element as an index.
  Expr indexOf(uint32_t value, const Index &index);
  /// The same as it stands there, for reports: what an index does not hold too.
  Expr givenIndex(uint32_t value, const Index &index);
  /// Prints a report (see Surroundings) where the condition's names are known, once for the same.
  void report(kiln_status_kind kind, const Op &op, const Expr &condition, const Expr &value, const Expr &limit);

  //===-- Scalars -----------------------------------------------------------------------------------------------===//

  Expr unary(OpCode code, const Expr &a, kiln_dtype dtype);
  /// `op`: whom a division by zero is recorded for; null: not recorded.
  Expr binary(OpCode code, const Expr &a, const Expr &b, kiln_dtype dtype, const Op *op = nullptr);
  Expr compare(std::string_view predicate, const Expr &a, const Expr &b, kiln_dtype dtype);
  Expr select(const Expr &condition, const Expr &a, const Expr &b, kiln_dtype dtype);
  Expr convert(const Expr &a, kiln_dtype from, kiln_dtype to);
  /// Between a float and an integer of its width.
  Expr bitcast(const Expr &a, kiln_dtype from, kiln_dtype to);
  /// Whether combine() knows the kind of reduction or scatter.
  static bool canCombine(std::string_view kind);
  /// kind: "sum", "prod", "max", "min", "any", "all" (also "add", "mul" and "set", as scatter names them).
  Expr combine(std::string_view kind, const Expr &a, const Expr &b, kiln_dtype dtype);
  std::string isNaN(const Expr &a, kiln_dtype dtype);
  /// What combining starts with.
  Expr neutral(std::string_view kind, kiln_dtype dtype);
  /// A literal in the register type.
  Expr literal(kiln_dtype dtype, double real, int64_t whole);
  /// What products and sums of the dtype are accumulated in: f32 for bf16 and f16, else itself.
  static kiln_dtype accumulator(kiln_dtype dtype);

  /// A dot_general's operands' indices for an element of its result and an index of the contracted axes.
  struct DotAxes {
    Index lhs, rhs;
  };
  DotAxes dotIndices(const Op &op, const Index &result, const Index &contracted);

  //===-- Indices -----------------------------------------------------------------------------------------------===//

  Expr index(int64_t value) const;
  Expr extent(const kiln_extent &extent);
  Expr add(const Expr &a, const Expr &b);
  Expr sub(const Expr &a, const Expr &b);
  Expr mul(const Expr &a, const Expr &b);
  /// Of numbers that are not negative, by one above zero.
  Expr div(const Expr &a, const Expr &b);
  Expr mod(const Expr &a, const Expr &b);
  Expr clamp(const Expr &a, const Expr &low, const Expr &high);
  Expr elements(const std::vector<kiln_extent> &dims);
  Expr linear(const std::vector<kiln_extent> &dims, const Index &index);
  Index unlinear(const std::vector<kiln_extent> &dims, const Expr &linear);

  //===-- Text --------------------------------------------------------------------------------------------------===//

  /// A name that the surrounding text has declared, at the depth of the present scope, or outermost.
  Expr name(std::string text) const;
  static Expr outer(std::string text) { return {std::move(text), 0, {}}; }
  /// Names an expression; the same one in reach gives the same name. `type` as registerType or indexType spell it.
  Expr bind(const std::string &type, const Expr &expr);
  /// Declares a variable in the present scope, to be assigned to with `line`.
  Expr variable(const std::string &type, const Expr &start);
  /// A variable that is not assigned to any more.
  static Expr settled(const Expr &variable) { return {variable.text, variable.level, {}}; }
  void line(const std::string &statement);
  /// "head {": a scope, a loop's say, until close(). guard: whether what is within must not be computed outside of it
  /// (memory read under a condition).
  void open(const std::string &head, bool guard = false);
  /// "} else {" of a scope that "if (...)" opened.
  void otherwise();
  void close();
  /// for (index = begin; index < end; index += step): opens; gives the index. most: how often at most, where `end`
  /// does not tell. Where an invocation would make more passes than EmitterOptions::mostPasses, the innermost loops run
  /// in strips of Language::strip, each a pass; what is within must not leave or skip (break, continue).
  Expr loop(const Expr &begin, const Expr &end, const Expr &step, int64_t most = -1);
  Expr loop(const Expr &end) { return loop(index(0), end, index(1)); }
  /// The same for an index of that name.
  Expr loopNamed(const std::string &name, const Expr &begin, const Expr &end, const Expr &step, int64_t most = -1,
                 const std::string &hint = "");
  /// A loop with a head of its own that comes round `most` times at most; condition: what holds in each pass, where
  /// looking at it again does not harm: it may then run in strips.
  void openLoop(const std::string &head, int64_t most, const std::string &condition = "");
  std::string fresh(const std::string &prefix);
  /// Prints into the enclosing scope of that depth (an Expr's level), before the scopes within it.
  Expr within(int depth, const std::function<Expr()> &print);
  /// From now on memory is read no further out than in the present scope: called where something was written that may
  /// be read again.
  void ordered();
  /// The text so far, indented; all scopes closed.
  std::string take();
  /// Of the text that was taken last.
  const LoopPasses &passes() const { return taken; }
  /// Functions that the text calls, to stand before it. For GLSL after the #version and #extension lines.
  std::string functions() const;
  /// Their names, for printFunctions: where several texts share them.
  const std::set<std::string> &used() const { return usedFunctions; }

  std::string registerType(kiln_dtype dtype) const;
  std::string storageType(kiln_dtype dtype) const;
  std::string indexType() const;
  const Language &language() const { return options.language; }
  std::string cast(const std::string &type, const std::string &text) const;
  /// Between storage and register types, as text.
  std::string fromStorage(kiln_dtype dtype, const std::string &text);
  std::string toStorage(kiln_dtype dtype, const std::string &text);

  const Graph &graph;
  const EmitterOptions options;

private:
  struct Scope {
    std::string head, text;
    std::map<std::string, Expr> known; // of expressions, by type and text
    bool guard = false;
    int loop = -1; // the innermost one that it is in
  };
  /// A loop, whose head is printed when all is known of it; until then a mark stands there.
  struct Loop {
    int parent = -1;
    int64_t most = 0;
    std::string plain, strips, whole; // heads; the latter two, for strips and for all of it at once, empty: has none
    enum { Plain, Strips, Whole } print = Plain;
    int64_t together = 1; // of a strip
  };
  struct Definition {
    Source source;
    int level;
  };

  Expr compute(const Op &op, uint32_t value, const Index &index);
  Expr elementwise(const Op &op, const Index &index);
  Expr layout(const Op &op, uint32_t value, const Index &index);
  Expr constant(const Op &op, uint32_t value, const Index &index);
  Expr tableElement(const std::string &bytes, kiln_dtype dtype, const Expr &index);
  Expr randomBits(const Op &op, uint32_t value, const Index &index);
  Expr pad(const Op &op, uint32_t value, const Index &index);
  Expr concat(const Op &op, uint32_t value, const Index &index);
  Expr dynamicUpdate(const Op &op, uint32_t value, const Index &index);
  Expr gather(const Op &op, uint32_t value, const Index &index);
  Expr ofBlock(const Op &op, const Index &at, bool halves, Index &block);
  Expr dequantize(const Op &op, const Index &at);
  Expr decode(const Op &op, const Index &at);
  Expr start(uint32_t startValue, const kiln_extent &whole, const kiln_extent &block);
  Expr fromIndex(const Expr &at, kiln_dtype dtype);
  Expr toIndex(const Expr &element, kiln_dtype dtype);
  Expr whole(const Op &op, uint32_t value, const Index &index);
  Expr reduce(const Op &op, uint32_t value, const Index &index);
  Expr argReduce(const Op &op, uint32_t value, const Index &index);
  Expr runningSum(const Op &op, uint32_t value, const Index &index);
  Expr window(const Op &op, uint32_t value, const Index &index);
  Expr windowGrad(const Op &op, uint32_t value, const Index &index);
  Expr dot(const Op &op, uint32_t value, const Index &index);
  Expr convolution(const Op &op, uint32_t value, const Index &index);
  /// kind= of element(index) over all indices below the extents.
  struct Accumulation {
    kiln_dtype dtype;
    std::string kind;
    std::vector<Expr> extents;
    std::vector<int64_t> bounds;
    std::function<Expr(const Index &)> element;
  };
  void addAxis(Accumulation &sum, const kiln_extent &extent);
  Expr accumulate(const Index &at, const Accumulation &sum);
  void accumulateInto(const Expr &total, const Accumulation &sum, size_t axis, Index &at);
  std::string beats(const Expr &a, const Expr &champion, bool larger, kiln_dtype dtype);
  std::string windowPlace(const Op &op, const Index &at, const Index &in, Index &from);
  Expr product(const Expr &a, const Expr &b, kiln_dtype operands, kiln_dtype result);
  Expr either(kiln_dtype dtype, const Index &at, const Expr &condition, const std::function<Expr()> &yes,
              const std::function<Expr()> &no);
  Expr integerDivision(OpCode code, const Expr &a, const Expr &b, kiln_dtype dtype, const Op *op);
  Expr shift(OpCode code, const Expr &a, const Expr &b, kiln_dtype dtype);
  std::optional<Expr> unfolded(OpCode code, const Expr &a, const Expr &b, kiln_dtype dtype);
  Expr call(const std::string &name, kiln_dtype result, std::initializer_list<Expr> operands);
  std::string function(const std::string &name); // its spelling; notes that it is used
  Expr inParentheses(const std::string &text, std::initializer_list<Expr> operands) const;
  std::string wrap(kiln_dtype dtype, const std::string &text) const;
  int level() const { return static_cast<int>(scopes.size()) - 1; }
  int openScope(Loop loop);
  int64_t countPasses(int64_t strip);
  void printHeads(std::string &text);
  int guardLevel() const;
  int floorLevel(const Index &index) const;
  static std::string linearKey(const std::vector<kiln_extent> &dims, const Index &index);
  std::string unsignedType(kiln_dtype dtype) const;
  Expr bindElement(kiln_dtype dtype, const std::string &text, std::initializer_list<Expr> operands);
  Expr forNarrowing(const Expr &a, kiln_dtype from);
  Expr saturate(const Expr &a, kiln_dtype from, kiln_dtype to);
  Expr rounded(const Expr &a, kiln_dtype dtype);

  Surroundings &around;
  std::vector<Scope> scopes;
  std::vector<Loop> loops; // outer ones before those within
  LoopPasses taken;
  std::map<uint32_t, Definition> sources;
  std::vector<bool> rounds;             // values that are rounded where they are computed
  std::map<std::string, Expr> linearOf; // of indices that came of unlinear
  std::set<std::string> usedFunctions;
  unsigned names = 0;
  int orderLevel = 0;
};

} // namespace kiln::sdk
