// Attention, softmax(scale q k^T + mask) v, and its gradients, without a matrix of scores.
//
// A task takes a batch and a head of keys (few of these: and a part of the queries), with all heads of queries that
// share it. Keys and values are copied once a task, rows beside each other; queries come in panels as wide as a
// register tile. Scores are computed turned, [keys][panel], so that a softmax runs down the rows with the queries side
// by side in vectors. From there all products take what they need where it lies, by tiles that know its strides: rows
// of keys as they are, or a panel's columns. Nothing is turned but a panel's queries (and gradients). A panel's scores
// are all of the matrix that ever exists, in the worker's scratch. Under a causal mask keys beyond the panel's last
// query are not looked at, nor those before the first one's sliding window.
//
// Where queries are few (a step of decoding), a task takes a batch and head of queries, and each query its keys as they
// lie: dot products of whole rows, a softmax along them, and the values' rows added up. Nothing is packed, and the work
// grows with the keys that are seen, however long the cache.
//
// The backward half makes a panel's shares again from its scores and lse, and from them, with g the result's gradient:
// dv += P^T g, dS = P (g v^T - rowsum(g result)), dq = scale dS k, dk += scale dS^T q. A task's dk and dv are summed in
// its scratch, over its panels in order. Where batches and heads are few, queries are shared out here too; each part
// has sums of its own, and a second phase adds them up, in the order of the parts: the same bits, whoever took them.
//
// With a soft cap scores are bent as they are masked (AttentionScores.cpp). With dropout a share is drawn for where it
// is computed, in both halves (AttentionDrop.cpp): with Z what is made of a 1, dv += (Z P)^T g and dS = P (Z g v^T -
// rowsum(g result)).
//
// Operands and results may be transposed on their way (heads beside each other in a row), as long as rows are
// contiguous: they are read and written where they lie.
#pragma once

#include "backends/cpu/compile/ContractModel.h"
#include "backends/cpu/compile/Phases.h"
#include "backends/cpu/compile/Philox.h"
#include "backends/sdk/forms/Operands.h"

namespace kiln::cpu {

/// Emits the phase of a kernel around one attention or attention_grad; false, with builder.error set, where it cannot.
bool buildAttention(KernelBuilder &builder);

class AttentionLowering {
public:
  AttentionLowering(KernelBuilder &builder, const Op &op);

  /// Whether the kernel has a form that is supported; else builder.error says why.
  bool check();
  void build();

private:
  using Values = llvm::SmallVector<Value>;
  /// Where the rows of a tensor [B, H, rows, columns] lie: strides in elements, columns contiguous.
  struct Rows {
    int input = -1, output = -1;
    Shape strides;
    bool ofKeys = false; // heads are those of keys and values
    bool exists() const { return input >= 0 || output >= 0; }
  };
  /// What is known throughout a task.
  struct Task {
    Value batch, head, keyHead;
    Value queries, keys, width, valueWidth; // T, S, D, E
    Value offset;                           // start, else S - T: causal query t sees keys up to t + offset
    Value part;                             // of the queries
    Value skipped, packed;                  // keys are packed from `skipped` on, a multiple of a sliver, below `packed`
  };
  /// Queries of one panel: from `first`, `count` of them. Keys before `begin` are seen by none, as are those from
  /// `limit` on, and keys from `closed` to `open` by all.
  struct Panel {
    Value first, count, begin, closed, open, limit;
  };

  Rows rowsOf(uint32_t value) const;
  Rows rowsOfResult(size_t result) const;
  Rows ofBias(Rows rows) const;
  bool checkBias() const;
  bool checkOutputs() const;
  Value pointer(Emitter &e, const Rows &rows, const Task &task, Value row) const;
  Value apart(Emitter &e, const Rows &rows) const; // bytes between rows

  void reserve();
  /// Reserves a worker's scratch: with room for what whole vectors write past the end.
  int64_t area(int64_t elements);
  /// How many tasks share the queries of a batch and head of keys: known from bounds alone.
  int64_t partsOfQueries() const;

  /// Whether queries are few: known (then and never), or asked at run time.
  enum class Few { Never, Always, Asked };
  int64_t fewestQueries() const;
  Few fewQueries() const;
  Value areFew(Emitter &e) const;
  void rowsTask(Emitter &e, Value number) const; // of few queries
  /// A query by itself: row `row`, and the keys that causality and the window let it see, from a multiple of the lanes.
  struct Single {
    Value row, begin, first, limit;
  };
  Single singleOf(Emitter &e, const Task &task, Value row) const;
  /// Its scores, into the scratch; gives the largest of them, for each lane.
  Value scoresOf(Emitter &e, const Task &task, const Single &one) const;
  Value dots(Emitter &e, const Task &task, const Single &one, Value key) const; // of as many keys as lanes, from `key`
  Value hiddenKeys(Emitter &e, const Task &task, const Single &one, Value key) const;
  /// The values' rows added up by the powers in the scratch, times `factor`, where they belong.
  void storeValues(Emitter &e, const Task &task, const Single &one, Value factor) const;

  /// A draw's least bits with which a share is kept; none where none is.
  std::optional<uint32_t> leastKept() const;
  double keptFactor() const; // of the shares that are kept
  Draws draws(Emitter &e) const;
  Value isKept(Code &code, Value bits) const;
  Value firstElement(Emitter &e, const Task &task, Value row) const; // of the shares' row, in [B, H, T, S]
  /// Calls `body` with each key from the panel's first one, or up to three before it, below `to`, or up to three behind
  /// it, and with the lanes of a panel's vector that keep their share of it.
  void forKept(Emitter &e, const Task &task, const Panel &panel, int64_t v, Value to,
               llvm::function_ref<void(Value key, Value kept)> body) const;
  /// Shares in the scratch that are dropped become 0.
  void dropShares(Emitter &e, const Task &task, const Panel &panel) const;
  void dropShares(Emitter &e, const Task &task, const Single &one) const;
  /// The slopes of a panel's scores below key `to`, from g v^T and the shares, which become what dropout leaves of
  /// them.
  void dropSlopes(Emitter &e, const Task &task, const Panel &panel, Value to, const Values &delta) const;

  /// What all tasks have in common.
  Task anyTask(Emitter &e) const;
  Task taskOf(Emitter &e, Value number) const;
  /// The task with each head of queries in turn that shares its keys.
  void forHeads(Emitter &e, const Task &task, llvm::function_ref<void(const Task &)> body) const;
  Value placeOf(Emitter &e) const; // Task::offset
  Panel panelOf(Emitter &e, const Task &task, Value number) const;
  void forwardTask(Emitter &e, Value number) const;
  void forwardPanel(Emitter &e, const Task &task, const Panel &panel) const;
  /// The panels of a task's part of the queries, from the first up to the last.
  std::pair<Value, Value> panelsOf(Emitter &e, const Task &task) const;
  void backwardTask(Emitter &e, Value number) const;
  void backwardBatch(Emitter &e, const Task &task) const;
  /// Whether a task sums the bias's gradient over all batches, which share it.
  bool sumsBatches() const;
  void clearBias(Emitter &e, const Task &task) const;
  /// dbias += a panel's dS.
  void addBias(Emitter &e, const Task &task, const Panel &panel) const;
  void backwardPanel(Emitter &e, const Task &task, const Panel &panel) const;
  /// dk += dS^T q, dv += P^T g.
  void addKeySums(Emitter &e, const Task &task, const Panel &panel, Value queryFrom, Value gradientFrom) const;
  int64_t sumColumns(bool ofKeys) const; // of dk's sums, or dv's
  int64_t sumsBytes(bool ofKeys) const;  // of a task
  /// Where a task has them: in its scratch, or, one of several parts, in the launch's.
  Value sumsAt(Emitter &e, const Task &task, bool ofKeys) const;
  /// The sums of key `row` to the result, those of all parts.
  void storeSums(Emitter &e, const Rows &rows, const Task &task, Value row, bool ofKeys) const;
  void addPartsPhase();
  /// rowsum(g result), a vector of a panel's queries.
  Value deltaOf(Emitter &e, const Task &task, const Panel &panel, int64_t vector) const;
  /// From scores and g v^T to shares and dS, in place.
  void slopesOf(Emitter &e, const Task &task, const Panel &panel, const Values &lse, const Values &delta) const;

  /// Rows beside each other, each up to whole vectors.
  void copyRows(Emitter &e, Value from, Value apart, const Extent &size, Value rows, Value to, int64_t stride) const;
  /// A panel's rows as a right operand: [columns of the rows][panel].
  void packPanel(Emitter &e, Value from, Value apart, Value count, Value k, Value to) const;
  void scaleArea(Emitter &e, Value from, Value elements) const;
  /// Rows of a worker's scratch, and how many elements lie from one to the next.
  struct Area {
    Value base;
    int64_t stride;
  };
  /// Calls `body` with the first row and the height of each sliver: a register tile's, and at the end as little as
  /// holds the rest.
  void forSlivers(Emitter &e, Value rows, llvm::function_ref<void(Value first, int64_t height)> body) const;
  /// to[row][n] = sum over k of left[row][k] * right[k][n], for a sliver's rows and a panel's width of n. With `add`,
  /// beside what is there.
  void multiplySliver(Emitter &e, int64_t height, const Area &left, const Area &right, const Area &to, Value k,
                      bool add) const;
  /// The same for rows below `rows`, up to a multiple of rowUnit.
  void multiplyRows(Emitter &e, const Area &left, const Area &right, const Area &to, Value rows, Value k,
                    bool add = false) const;
  /// to[query][n] = sum over the panel's keys of left[key][query] * right[key][n], for its queries and n in whole
  /// vectors of `size`. What causality hides is 0 in `left`, and is left out where it is so for a tile's queries.
  void multiplyPanel(Emitter &e, const Task &task, const Panel &panel, Value left, const Area &right, const Area &to,
                     const Extent &size) const;
  /// A panel's scores in the scratch, from its first key on, which is `before` keys behind the first that is packed;
  /// with the bias, and without any mask.
  void scoresOfPanel(Emitter &e, const Task &task, const Panel &panel, Value before) const;
  /// Whether rows of this length are whole vectors, which need no mask.
  bool isWhole(const Extent &size) const { return size.isConstant() && size.factor % lanes == 0; }
  /// A panel's rows, those of `from` times a factor of each row.
  void storePanel(Emitter &e, const Rows &rows, const Task &task, const Panel &panel, const Area &from,
                  const Extent &size, llvm::function_ref<Value(Value row)> factor) const;
  Area place(Emitter &e, int64_t area, const Extent &size) const; // with rows of that size, in whole vectors
  int64_t stride(const Extent &size) const { return roundUp(graph.bound(size), lanes); }

  /// What a query is times before its products with keys: the scale, over a cap where there is one.
  double scoreScale() const;
  /// tanh of such a product where there is a cap, else itself; and of that the score.
  Value bent(Code &code, Value score) const;
  Value capped(Code &code, Value bent) const;
  /// The slope of a score before it was bent, from that of the score.
  Value unbent(Code &code, Value slope, Value bent) const;

  /// x > y ? x : y, which is one instruction; NaN shows in the sum.
  static Value larger(Code &code, Value x, Value y);
  /// What is taken off a query's scores: the largest of them. Where it sees no key all are -inf, and it is 0: then the
  /// powers, their sum and the result are 0 too.
  static Value shiftOf(Code &code, Value most);
  Value factorOf(Code &code, Value sum) const;            // 1 / sum, of shares that are kept; 0 for no key
  static Value lseOf(Code &code, Value shift, Value sum); // log of the powers' sum; inf for no key
  mlir::VectorType vectorType(Emitter &e) const;
  Value at(Emitter &e, Value base, Value row, int64_t vector) const; // a panel's vector
  /// The lanes of queries that do not see key `key`, null for none; `diagonal`: the causal mask may hide some.
  Value hidden(Emitter &e, const Task &task, const Panel &panel, Value key, int64_t vector, bool diagonal) const;
  Value masked(Emitter &e, const Task &task, const Panel &panel, Value key, int64_t vector, bool diagonal,
               Value score) const;
  /// Whether the mask shows a key to a query, at a place [B, H, T, S], in the lanes that exist.
  Value shown(Emitter &e, Indices place, Value exists) const;
  Value sumsPlace(Emitter &e, Value base, const Task &task, Value row) const; // in a tensor [B, H, T]

  KernelBuilder &builder;
  const Graph &graph;
  const Op &op;
  const sdk::AttentionForm<Graph, Extent> form;
  kiln_dtype dtype;
  int64_t bytes, lanes, vectors, tileRows, rowUnit, columns; // columns: queries of a panel
  int64_t parts = 1;                                         // of the queries, a task each
  Rows query, key, value, bias, result, gradient, dquery, dkey, dvalue, dbias;
  // Areas of a worker's scratch.
  int64_t keyRows = 0, valueRows = 0;        // as they lie, rows beside each other
  int64_t queryPanel = 0, gradientPanel = 0; // [width][panel]
  int64_t scores = 0, slopes = 0;            // [keys][panel]
  int64_t out = 0, factors = 0;              // [panel][width], [panel]
  int64_t queryRows = 0, gradientRows = 0;   // [panel][sumColumns]
  int64_t keySums = 0, valueSums = 0;        // [keys][sumColumns]
};

} // namespace kiln::cpu
