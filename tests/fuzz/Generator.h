// The generator behind randomGraph(): a function grows by one step after the other, each of a few ops on values that
// are there.
#pragma once

#include "ir/Build.h"
#include "tests/fuzz/RandomGraph.h"

#include <random>
#include <set>

namespace kiln::test {

class Generator {
public:
  Generator(mlir::MLIRContext &context, uint64_t seed, const RandomGraphOptions &options)
      : options_(options), random_(seed), builder_(&context), emit_(builder_, builder_.getUnknownLoc()) {}

  RandomGraph run();

private:
  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  /// Extents around and beyond a vector's width; primes and one.
  int64_t extent() {
    static const int64_t sizes[] = {1, 1, 2, 3, 4, 5, 7, 8, 13, 15, 16, 17, 24, 31, 32, 33};
    return sizes[below(16)];
  }
  mlir::Value pick() { return values_[static_cast<size_t>(below(static_cast<int64_t>(values_.size())))]; }
  static int64_t rank(mlir::Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()).getRank(); }
  static mlir::Type elementOf(mlir::Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType()).getElementType();
  }
  mlir::Value ofType(mlir::Type type);
  /// One of the symbols.
  std::string anySymbol() { return symbols_.size() > 1 && below(2) ? "M" : "N"; }
  int64_t sizeOf(llvm::ArrayRef<Dim> dims) const;
  void keep(mlir::Value value);

  // RandomGraph.cpp: the function around the steps.
  void chooseSymbols();
  llvm::SmallVector<mlir::Type> inputTypes();
  bool isParameter(mlir::Type type) const;
  void addArguments(mlir::func::FuncOp function, RandomGraph &graph);
  llvm::SmallVector<mlir::Value> chooseResults();
  std::vector<std::map<std::string, int64_t>> furtherExtents();
  mlir::Value lossOf(llvm::ArrayRef<mlir::Value> results);
  mlir::Attribute addUpdates(mlir::ModuleOp module);
  void addRecipe(mlir::ModuleOp module, llvm::ArrayRef<mlir::Type> inputs);
  void finish(mlir::func::FuncOp function, llvm::ArrayRef<mlir::Value> results);

  // RandomOps.cpp.
  void step();
  void unary(mlir::Value x);
  void binary(mlir::Value x);
  void reduce(mlir::Value x);
  void columns(mlir::Value x);
  void layout(mlir::Value x);
  void slice(mlir::Value x, int64_t axis);
  void product(mlir::Value x);
  void anyProduct(mlir::Value x);
  void convolution(mlir::Value x);
  void attention(mlir::Value x);
  void row(mlir::Value x);
  void index(mlir::Value x);
  void integers(mlir::Value x);
  void otherType(mlir::Value x);

  // RandomForms.cpp.
  mlir::Value argument(llvm::ArrayRef<Dim> dims, mlir::Type element, bool input);
  int64_t oneOf(llvm::ArrayRef<int64_t> choices);
  void layer();
  void convolutionLayer(mlir::Type element);
  void productLayer(mlir::Type element);
  void epilogue(mlir::Value x, int64_t axis);
  void pool(mlir::Value x);
  void sorted(mlir::Value x);

  // RandomLayers.cpp.
  Dim anyRows();
  void drawn(mlir::Value x);
  void expertsLayer(mlir::Type element);
  mlir::Value logitsOf(mlir::Value y);
  mlir::Value rowsLoss(mlir::Value logits, mlir::Value targets, int64_t ignored);
  void scoresLayer(mlir::Type element);
  void storedLayer(mlir::Type element);

  // RandomAttention.cpp.
  llvm::SmallVector<Dim> someOf(llvm::ArrayRef<Dim> dims);
  mlir::Value headsOf(llvm::ArrayRef<Dim> dims, mlir::Type element, bool apart);
  mlir::Value maskOf(llvm::ArrayRef<Dim> scores);
  mlir::Value placesOf(llvm::ArrayRef<Dim> scores);
  mlir::Value hideKeys(mlir::Value scores, mlir::Value seen);
  mlir::Value sharesOf(mlir::Value scores);
  mlir::Value spelledAttention(mlir::Value q, mlir::Value k, mlir::Value v, double scale);
  mlir::Value wholeAttention(mlir::Value q, mlir::Value k, mlir::Value v, int64_t groups, double scale);
  void attentionLayer(mlir::Type element);

  // RandomControl.cpp.
  void control(mlir::Value x);
  void scan(mlir::Value x);
  void branch(mlir::Value x);
  void loop(mlir::Value x);
  /// Steps in a region; what they leave is gone at its end.
  void inRegion(mlir::Block &block, llvm::ArrayRef<mlir::Value> arguments, llvm::function_ref<void()> close);
  /// One label as a scalar: exact on both sides, so that they take the same branch.
  mlir::Value label();

  RandomGraphOptions options_;
  std::mt19937_64 random_;
  mlir::OpBuilder builder_;
  Emit emit_;
  std::vector<mlir::Value> values_;   // of the graph's own float type
  std::vector<mlir::Value> integers_; // i32
  mlir::Value labels_;                // i32, in [0, 3)
  mlir::Value state_;                 // a state's value as it stands
  size_t arguments_ = 0;              // the first of values_
  mlir::func::FuncOp function_;
  std::vector<std::pair<std::string, mlir::Type>> parameters_;
  std::set<std::string> frozenParameters_;
  bool frozen_ = false; // what is added now is not trained
  std::map<std::string, int64_t> symbols_, bounds_;
  int64_t least_ = 1; // what the symbols are at least
  int depth_ = 0;
  int layers_ = 0;
};

} // namespace kiln::test
