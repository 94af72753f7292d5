// The dialect's ops, each with what it becomes.
#pragma once

#include "frontend/export/Graph.h"
#include "ir/Values.h"

#include <functional>

namespace kiln::exported {

struct Op {
  const char *name;    ///< of the dialect, without "kiln."
  const char *written; ///< ONNX's ops, for the table; empty: there is none, and `write` says so
  std::function<void(Graph &graph, mlir::Operation *op)> write;
};

std::vector<Op> elementwiseOps();
std::vector<Op> layoutOps();
std::vector<Op> productOps();
std::vector<Op> reductionOps();
std::vector<Op> indexOps();
std::vector<Op> controlOps();

/// All of them.
const std::vector<Op> &ops();
/// Composites that stay whole, as kiln-decompose calls them.
std::vector<std::string> wholeOps(int opset);
/// Writes the ops from one to before another one of its block; an op that is not known fails.
void writeOps(Graph &graph, mlir::Operation *first, mlir::Operation *end);
/// Writes what a composite is made of in its place.
void writeParts(Graph &graph, mlir::Operation *op);
/// Writes the ops of a block but its last one.
void writeBlock(Graph &graph, mlir::Block &block);
/// x with `gap` times the value behind each element of an axis but the last one; `dims` are its dimensions, before and
/// afterwards.
std::string spread(Graph &graph, std::string x, llvm::SmallVector<Dim> &dims, size_t axis, int64_t gap,
                   const std::string &value);

inline bool isBool(mlir::Type element) { return element.isInteger(1); }
inline bool isFloating(mlir::Type element) { return llvm::isa<mlir::FloatType>(element); }
/// 0, 1, …, n - 1.
inline std::vector<int64_t> counted(int64_t n, int64_t from = 0) {
  std::vector<int64_t> out;
  for (int64_t i = from; i < n; ++i)
    out.push_back(i);
  return out;
}

} // namespace kiln::exported
