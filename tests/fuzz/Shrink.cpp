// A failing case made smaller, as long as it fails in the same way.
#include "ir/Build.h"
#include "tests/fuzz/Case.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Transforms/RegionUtils.h"

#include <chrono>
#include <regex>
#include <set>

namespace kiln::test {

namespace {

/// What a verdict is about, without its numbers.
std::string kindOf(const std::string &why) {
  for (const char *kind : {"signal", "no end", "compile:", "interpreter:", "wrote past", "shapes differ",
                           "shards:", "stored weights:", "compiled"})
    if (why.find(kind) != std::string::npos)
      return kind;
  return why.substr(0, 20);
}

class Shrinker {
public:
  Shrinker(const FuzzCase &fuzzCase, const std::string &why)
      : best_(fuzzCase), kind_(kindOf(why)), context_(mlir::MLIRContext::Threading::DISABLED) {
    context_.loadDialect<KilnDialect, mlir::func::FuncDialect>();
    // Candidates may well be wrong: nobody wants to read of that.
    context_.getDiagEngine().registerHandler([](mlir::Diagnostic &) { return mlir::success(); });
  }

  FuzzCase run() {
    for (bool again = true; again && !over();) {
      again = fewerOptions();
      again |= fewerResults();
      again |= fewerOps();
      again |= shorter();
    }
    return best_;
  }

private:
  bool over() const { return attempts_ >= 300 || std::chrono::steady_clock::now() > end_; }

  bool accept(FuzzCase candidate) {
    if (over() || candidate.text("") == best_.text(""))
      return false;
    ++attempts_;
    if (kindOf(judgeApart(candidate, false)) != kind_)
      return false;
    best_ = std::move(candidate);
    return true;
  }

  mlir::OwningOpRef<mlir::ModuleOp> parse() { return mlir::parseSourceString<mlir::ModuleOp>(best_.module, &context_); }

  bool accept(mlir::ModuleOp module) {
    mlir::IRRewriter rewriter(&context_);
    (void)mlir::runRegionDCE(rewriter, module->getRegions());
    if (mlir::failed(mlir::verify(module)))
      return false;
    FuzzCase candidate = best_;
    candidate.module.clear();
    llvm::raw_string_ostream stream(candidate.module);
    module.print(stream);
    return accept(candidate);
  }

  /// As the module is, at fewer extents.
  bool fewerOptions() {
    bool any = false;
    for (int which = 0; which < 5; ++which) {
      FuzzCase candidate = best_;
      if (which == 0)
        candidate.compute.clear();
      else if (which == 1)
        candidate.blockRows = 0;
      else if (which == 2)
        candidate.weights = 0;
      else if (which == 3)
        candidate.math.clear();
      else if (!candidate.further.empty())
        candidate.further.pop_back();
      any |= accept(candidate);
    }
    for (auto &extents : std::vector(best_.further)) { // or at one of these alone
      FuzzCase candidate = best_;
      candidate.symbols = extents;
      candidate.further.clear();
      any |= accept(candidate);
    }
    return any;
  }

  static mlir::func::FuncOp functionOf(mlir::ModuleOp module) { return *module.getOps<mlir::func::FuncOp>().begin(); }

  bool fewerResults() {
    bool any = false;
    for (unsigned i = functionOf(*parse()).getNumResults(); i-- > 0;) {
      mlir::OwningOpRef<mlir::ModuleOp> module = parse();
      mlir::func::FuncOp function = functionOf(*module);
      if (function.getNumResults() < 2 || i >= function.getNumResults())
        continue;
      function.getBody().front().getTerminator()->eraseOperand(i);
      function.eraseResult(i);
      any |= accept(*module);
    }
    return any;
  }

  /// The ops of the function, in loops too.
  static std::vector<mlir::Operation *> opsOf(mlir::ModuleOp module) {
    std::vector<mlir::Operation *> ops;
    functionOf(module).getBody().walk([&](mlir::Operation *op) {
      if (!op->hasTrait<mlir::OpTrait::IsTerminator>())
        ops.push_back(op);
    });
    return ops;
  }

  /// Something of the same type that is there already, or a constant.
  mlir::Value insteadOf(mlir::OpResult result, unsigned choice) {
    mlir::Operation *op = result.getOwner();
    llvm::SmallVector<mlir::Value> choices;
    for (mlir::Value operand : op->getOperands())
      if (operand.getType() == result.getType())
        choices.push_back(operand);
    for (mlir::Value argument : op->getParentOfType<mlir::func::FuncOp>().getArguments())
      if (argument.getType() == result.getType())
        choices.push_back(argument);
    if (choice < choices.size())
      return choices[choice];
    if (choice > choices.size() || llvm::isa<ConstantOp>(op))
      return {};
    mlir::OpBuilder builder(op);
    return Emit(builder, op->getLoc()).splat(result.getType(), 1.0);
  }

  bool fewerOps() {
    bool any = false;
    for (size_t i = opsOf(*parse()).size(); i-- > 0 && !over();)
      for (unsigned choice = 0; choice < 4; ++choice) {
        mlir::OwningOpRef<mlir::ModuleOp> module = parse();
        std::vector<mlir::Operation *> ops = opsOf(*module);
        if (i >= ops.size())
          break;
        bool replaced = ops[i]->getNumResults() > 0;
        for (mlir::OpResult result : ops[i]->getResults()) {
          mlir::Value value = insteadOf(result, choice);
          replaced &= static_cast<bool>(value);
          if (value)
            result.replaceAllUsesWith(value);
        }
        if (replaced && accept(*module)) {
          any = true;
          break;
        }
      }
    return any;
  }

  /// Every dimension of one extent at once, as text: what no longer fits does not verify.
  bool shorter() {
    bool any = false;
    static const std::regex extent("(<|x|\"|\\[| )([0-9]+)(?=x|>|\"|\\]|,)");
    std::set<int> extents;
    for (std::sregex_iterator it(best_.module.begin(), best_.module.end(), extent), end; it != end; ++it)
      if (std::string digits = (*it)[2]; digits.size() < 5)
        extents.insert(std::stoi(digits));
    for (auto it = extents.rbegin(); it != extents.rend(); ++it)
      for (int less : {1, 2, *it / 2, *it - 1}) {
        if (less < 1 || less >= *it)
          continue;
        FuzzCase candidate = best_;
        std::regex one("(<|x|\"|\\[| )" + std::to_string(*it) + "(?=x|>|\"|\\]|,)");
        candidate.module = std::regex_replace(best_.module, one, "$01" + std::to_string(less));
        mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(candidate.module, &context_);
        if (module && mlir::succeeded(mlir::verify(*module)) && accept(candidate)) {
          any = true;
          break;
        }
      }
    return any;
  }

  FuzzCase best_;
  std::string kind_;
  mlir::MLIRContext context_;
  int attempts_ = 0;
  std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + std::chrono::minutes(3);
};

} // namespace

FuzzCase shrink(const FuzzCase &fuzzCase, const std::string &why) { return Shrinker(fuzzCase, why).run(); }

} // namespace kiln::test
