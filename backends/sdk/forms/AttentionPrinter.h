// Attention while it is printed: what is the same in all of its forms.
#pragma once

#include "backends/sdk/forms/Operands.h"
#include "backends/sdk/forms/Workgroup.h"

namespace kiln::sdk {

/// The attention op of a kernel, beside which only transposes and what makes a mask may stand.
struct AttentionKernel : AttentionForm<Graph, kiln_extent> {
  AttentionKernel(const Graph &graph, const Op &op)
      : AttentionForm(graph, op), op(&op), causal(op.integer("causal") != 0), scale(op.real("scale", 1)),
        softcap(op.real("softcap", 0)), groups(op.integer("groups", 1)), window(op.integer("sliding_window")) {}

  const Op *op;
  bool causal;
  double scale, softcap;  // 0: none
  int64_t groups, window; // 0: all keys up to a query's own place
};

/// Rows of one head for each workgroup.
class AttentionPrinter {
public:
  AttentionPrinter(const Graph &graph, const AttentionKernel &form, Workgroup &group, Emitter &emitter)
      : graph(graph), form(form), group(group), emitter(emitter) {}

protected:
  /// Declares the workgroup's batch `b` and head `h` (of queries; `kh` of keys), its rows from `begin` to `end`, and
  /// where query 0 is among the keys, `place`. `own`: its number, that of the last one for workgroups beyond.
  void begin(const kiln_extent &rows, bool ofKeys, int rowsOfGroup);
  /// The first key that some query of the workgroup sees, and the one behind the last.
  std::string firstKey() const;
  std::string lastKey();
  /// Prints whether the key is none that the query sees: beyond the last one, later than it, or masked; gives the name.
  std::string hidden(const Expr &query, const Expr &key);
  std::string exponential(const std::string &x);
  /// The score that a product of a query and a key is; where there is a cap, it prints `bent`, the score over the cap.
  std::string scoreOf(const std::string &product);
  /// What is to follow the slope of a score to make it the slope of its product.
  std::string unbent() { return form.softcap > 0 ? " * (" + literal(1) + " - bent * bent)" : ""; }
  /// Stores an element of result `number`, in each output that is it, transposed or not. False where an output is
  /// something else.
  bool storeOne(size_t number, const Index &index, const std::string &text);
  /// What is stored of a row as the logarithm of its sum.
  std::string logOfSum(const std::string &total, const std::string &divisor, const std::string &most);

  Expr headOf(bool ofKeys) { return !ofKeys && headsTurn ? here("h") : Emitter::outer(ofKeys ? "kh" : "h"); }
  std::string number(const kiln_extent &extent) { return group.word(Number(extent)); }
  std::string literal(double x) { return emitter.literal(KILN_F32, x, 0).text; }
  std::string minusInfinity() { return emitter.neutral("max", KILN_F32).text; }
  Expr here(const std::string &text) const {
    Expr expr = emitter.name(text);
    expr.changes = true;
    return expr;
  }

  const Graph &graph;
  const AttentionKernel &form;
  Workgroup &group;
  Emitter &emitter;
  const std::string scalar = emitter.registerType(KILN_F32), fma = emitter.language().fma, zero = literal(0);
  bool headsTurn = false; // h is a loop's: that of the queries' heads which share the keys
};

} // namespace kiln::sdk
