#include "tests/fuzz/Sharded.h"

#include "ir/Bounds.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/TrainStep/TrainStep.h"
#include "tests/fuzz/RandomGraph.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

#include <algorithm>

namespace kiln::test {

using mlir::func::FuncOp;

mlir::OwningOpRef<mlir::ModuleOp> cutIntoShards(mlir::ModuleOp module, int64_t rows, int64_t shards) {
  mlir::OwningOpRef<mlir::ModuleOp> cut = module.clone();
  mlir::Builder b(module.getContext());
  FuncOp loss = cut->lookupSymbol<FuncOp>("loss.train");
  auto train = (*cut)->getAttrOfType<mlir::DictionaryAttr>("kiln.train");
  if (!loss || !train)
    return {};
  auto open = llvm::cast<FuncOp>(loss->clone());
  open.setName("loss.shard");
  open->setAttr("kiln.batches", b.getArrayAttr(b.getStringAttr("N")));
  mlir::NamedAttrList bounds(open->getAttrOfType<mlir::DictionaryAttr>("kiln.bounds"));
  bounds.set("N", b.getI64IntegerAttr(rows));
  open->setAttr("kiln.bounds", bounds.getDictionary(b.getContext()));
  cut->push_back(open);
  mlir::NamedAttrList fields(train);
  fields.set("shards", b.getI64IntegerAttr(shards));
  (*cut)->setAttr("kiln.train", fields.getDictionary(b.getContext()));
  mlir::ScopedDiagnosticHandler quiet(b.getContext(), [](mlir::Diagnostic &) { return mlir::success(); });
  mlir::PassManager passes(b.getContext());
  passes.addPass(createTrainStep());
  if (mlir::failed(passes.run(*cut)))
    return {};
  return cut;
}

namespace {

/// The shard's block of a tensor along an axis.
HostTensor rowsOf(const HostTensor &whole, int64_t axis, int64_t number, int64_t shards) {
  std::vector<int64_t> shape = whole.shape;
  int64_t rows = shape[static_cast<size_t>(axis)] / shards, outer = 1, inner = 1;
  for (size_t d = 0; d < shape.size(); ++d)
    (static_cast<int64_t>(d) < axis ? outer : inner) *= static_cast<int64_t>(d) == axis ? 1 : shape[d];
  shape[static_cast<size_t>(axis)] = rows;
  HostTensor part = HostTensor::zeros(whole.element, shape);
  for (int64_t o = 0; o < outer; ++o) {
    int64_t from = (o * rows * shards + number * rows) * inner, to = o * rows * inner;
    if (whole.isFloat())
      std::copy_n(whole.floats.begin() + from, rows * inner, part.floats.begin() + to);
    else
      std::copy_n(whole.integers.begin() + from, rows * inner, part.integers.begin() + to);
  }
  return part;
}

std::string nameOfResult(FuncOp function, unsigned index) {
  for (const char *kind : {"kiln.gradient", "kiln.output", "kiln.metric"})
    if (auto name = function.getResultAttrOfType<mlir::StringAttr>(index, kind))
      return name.str();
  return "loss";
}

class Shards {
public:
  Shards(mlir::ModuleOp module, int64_t shards, const std::map<std::string, HostTensor> &arguments,
         const std::map<std::string, int64_t> &symbols)
      : shards_(shards), whole_(arguments), symbols_(symbols) {
    symbols_.erase("N");
    FuncOp loss = module.lookupSymbol<FuncOp>("loss.train");
    for (unsigned i = 0; i < loss.getNumArguments(); ++i)
      for (auto [axis, dim] : llvm::enumerate(dimsOf(loss.getArgument(i))))
        if (llvm::is_contained(dim.symbols(), "N"))
          axes_[argumentName(loss, i)] = static_cast<int64_t>(axis);
  }

  /// The sums of a function's results over the shards.
  std::map<std::string, HostTensor> run(FuncOp function, std::string &why) {
    std::map<std::string, HostTensor> sums;
    for (int64_t number = 0; number < shards_ && why.empty(); ++number) {
      std::vector<HostTensor> arguments;
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        arguments.push_back(argumentOf(function, i, number));
      InterpreterOptions how;
      how.symbols = symbols_;
      absl::StatusOr<Interpreted> outcome = interpret(function, arguments, how);
      if (!outcome.ok())
        why = std::string(outcome.status().message());
      for (unsigned i = 0; i < function.getNumResults() && outcome.ok(); ++i)
        add(sums[nameOfResult(function, i)], outcome->results[i]);
    }
    return sums;
  }

  /// Totals are inputs of what follows.
  void take(const std::map<std::string, HostTensor> &totals) {
    for (const auto &[name, total] : totals)
      whole_["total." + name] = total;
  }

private:
  HostTensor argumentOf(FuncOp function, unsigned index, int64_t number) {
    std::string name = argumentName(function, index);
    if (name == "shard") {
      auto type = llvm::cast<mlir::RankedTensorType>(function.getArgument(index).getType());
      HostTensor tensor = HostTensor::zeros(type.getElementType(), {});
      tensor.integers[0] = number;
      return tensor;
    }
    auto axis = axes_.find(name);
    return axis == axes_.end() ? whole_.at(name) : rowsOf(whole_.at(name), axis->second, number, shards_);
  }

  static void add(HostTensor &sum, const HostTensor &part) {
    if (sum.shape.empty() && sum.floats.empty() && sum.integers.empty()) {
      sum = part;
      return;
    }
    for (size_t i = 0; i < part.floats.size(); ++i)
      sum.floats[i] += part.floats[i];
    for (size_t i = 0; i < part.integers.size(); ++i)
      sum.integers[i] += part.integers[i];
  }

  int64_t shards_;
  std::map<std::string, HostTensor> whole_;
  std::map<std::string, int64_t> symbols_;
  std::map<std::string, int64_t> axes_; // of the rows, of what has some
};

} // namespace

std::map<std::string, HostTensor> sumOfShards(mlir::ModuleOp module, mlir::ModuleOp cut, int64_t shards,
                                              const std::map<std::string, HostTensor> &arguments,
                                              const std::map<std::string, int64_t> &symbols, std::string &why) {
  Shards each(module, shards, arguments, symbols);
  for (int level = 0; why.empty(); ++level) {
    auto totals = cut.lookupSymbol<FuncOp>("shard.totals" + (level ? std::to_string(level) : ""));
    if (!totals)
      return each.run(cut.lookupSymbol<FuncOp>("shard.gradients"), why);
    each.take(each.run(totals, why));
  }
  return {};
}

} // namespace kiln::test
