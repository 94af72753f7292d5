// Composites that are written out, found again.
#pragma once

#include "ir/Kiln.h"

#include <optional>

namespace kiln {

/// softmax(scale q k^T) v, over all keys or under a causal mask (where(key <= query, scores, -inf)), becomes attention:
/// one kernel, without a matrix of scores, and with a step that can be derived. Of f32 and f64, [B, T, D] or
/// [B, H, T, D], where nothing else reads the scores or the shares. A causal mask's value may be any at or below -1e9.
/// Another mask is one where shares that are no numbers are 0, as attention's are where a query sees no key:
/// w = softmax(scores + where(seen, 0, -inf)), where(isnan(w), 0, w), which exporters write. Or its value is finite:
/// -1e30 or less where it is added (where(seen, 0, v), (1 - seen) * v of a bool, where(x != 0, v, x)), -1e9 or less
/// where it takes the scores' place; a query that sees no key then has the mean of all values, as it is written.
/// -10000, which is added too, is none: beside it a score still counts. Looks at the ops of `block`, not into regions.
/// Scores may be a factor times tanh of their own (capped_attention), where they are hidden behind that.
/// With `training`, also where numbers are added to the scores, behind the scale (biased_attention), and with dropout
/// on the shares (dropout_attention).
void recoverAttention(mlir::Block &block, bool training = false);

/// Whether a condition bool [..., T, T] says of a query and a key, its last two axes, that the key is at most at the
/// query's place; `true`: that it is not. Nullopt for any other condition.
std::optional<bool> causalCondition(mlir::Value condition);
/// The same of a window: that the key is among the last `length` up to the query's place; or `inverted`, that it is
/// before these.
struct Window {
  int64_t length;
  bool inverted;
};
std::optional<Window> windowCondition(mlir::Value condition);
/// The maximum of the rows of `scores`, along their last axis, where a condition, however it is spread, says that it is
/// -inf: of those rows that have nothing else. Null for any other condition.
ReduceOp emptyRows(mlir::Value condition, mlir::Value scores);
/// At most this is a value that takes a score's place and has no share beside any other score.
constexpr double kBelowScores = -1e9;
/// Whether a product of rank 4 is one of queries and keys, or of shares and values: over batch and heads in front, its
/// first operand's last axis, and the last one or the one before it of the second.
bool isAttentionProduct(DotGeneralOp op);

} // namespace kiln
