// A graph while it is written: nodes, constants, sizes that are computed, and what the dialect's values are called.
#pragma once

#include "frontend/export/Proto.h"
#include "ir/Kiln.h"

#include "llvm/ADT/DenseMap.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kiln::exported {

/// A value as the graph has it. Axes along which it is broadcast may be 1 long, and leading ones missing: what reads it
/// broadcasts it again (numpy's rules), or asks for full().
struct Held {
  std::string name;
  llvm::SmallVector<Dim> dims;
};

DataType dataTypeOf(mlir::Type element);

class Graph {
public:
  explicit Graph(int opset) : opset(opset) {}

  const int opset;

  //===-- Nodes --------------------------------------------------------------------------------------------------===//

  /// Adds a node; the name of its one result, made of `type`.
  std::string add(const std::string &type, const std::vector<std::string> &inputs,
                  const std::vector<Message> &attributes = {});
  std::vector<std::string> addSeveral(const std::string &type, const std::vector<std::string> &inputs, size_t results,
                                      const std::vector<Message> &attributes = {});
  /// Gives a value another name: an Identity.
  void rename(const std::string &from, const std::string &to);
  /// A name that nothing has.
  std::string fresh(const std::string &wish);
  /// A name that is the model's own: no node gets it.
  void reserve(const std::string &name) { reserved_.insert(name); }
  bool isReserved(const std::string &name) const { return reserved_.count(name) > 0; }

  //===-- Constants and sizes ------------------------------------------------------------------------------------===//

  std::string integers(const std::vector<int64_t> &values); ///< i64[n]
  std::string scalar(mlir::Type element, double value);     ///< rank 0, or
  std::string constant(DataType type, const std::vector<int64_t> &shape, const std::string &bytes);
  /// i64[1]: the value of an expression.
  std::string size(const Dim &dim);
  /// i64 of rank 0: the same.
  std::string number(const Dim &dim);
  /// i64[to - from]: from, from + 1, …, to - 1.
  std::string range(const Dim &from, const Dim &to);
  /// i64[n]: a shape.
  std::string sizes(llvm::ArrayRef<Dim> dims);
  /// Where a symbol comes from: the input whose axis it is (perhaps multiplied, and with something added).
  void symbolFrom(const std::string &input, size_t axis, const Dim &dim);

  //===-- Values -------------------------------------------------------------------------------------------------===//

  void set(mlir::Value value, Held held);
  void set(mlir::Value value, const std::string &name);
  const Held &held(mlir::Value value);
  /// With all of its type's dimensions.
  std::string full(mlir::Value value);
  std::string reshaped(const std::string &name, llvm::ArrayRef<Dim> from, llvm::ArrayRef<Dim> to);
  std::string transposed(const std::string &name, llvm::ArrayRef<int64_t> permutation);
  std::string cast(const std::string &name, DataType type);
  /// Elements [start, start + size) along an axis, with a step.
  std::string sliced(const std::string &name, int64_t axis, const std::string &start, const std::string &end,
                     int64_t step = 1);

  //===-- Graphs in nodes ----------------------------------------------------------------------------------------===//

  void open();
  /// The graph since open(), as an attribute holds it.
  Message close(const std::string &name, const std::vector<Message> &inputs, const std::vector<Message> &outputs,
                const std::vector<Message> &initializers = {});
  Message info(const std::string &name, mlir::Type type);

  /// What went wrong first; empty where nothing did.
  std::string problem;
  void fail(mlir::Operation *op, const std::string &why);
  /// Of the op that is being written.
  mlir::Operation *current = nullptr;

  /// The whole graph: `initializers` beside the constants.
  Message finish(const std::string &name, const std::vector<Message> &inputs, const std::vector<Message> &outputs,
                 std::vector<Message> initializers);

private:
  /// What is known in one scope.
  struct Scope {
    std::vector<Message> nodes;
    llvm::DenseMap<mlir::Value, std::string> full;
    std::map<std::string, std::string> sizes;
  };
  std::string parsed(std::string_view &text);
  std::string parsedTerm(std::string_view &text);
  std::string parsedAtom(std::string_view &text);
  std::string symbol(const std::string &name);

  struct Source {
    std::string input;
    size_t axis;
    int64_t factor, offset;
  };
  std::map<std::string, Source> sources_;
  std::map<std::string, std::string> symbols_;
  std::vector<Message> first_; // nodes that stand before all others, seen from everywhere
  std::vector<Scope> scopes_{1};
  llvm::DenseMap<mlir::Value, Held> held_;
  std::map<std::string, std::string> constants_; // by type, shape and bytes
  std::vector<Message> constantMessages_;
  std::map<std::string, int> numbers_;
  std::set<std::string> reserved_;
};

} // namespace kiln::exported
