// How long each pass of a pipeline took.

#include "passes/support/PassTimes.h"

#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Threading.h"

#include <chrono>
#include <map>

namespace kiln {

namespace {
class Clock : public mlir::PassInstrumentation {
public:
  explicit Clock(PassTimes &times) : times(times) {}

  void runBeforePass(mlir::Pass *, mlir::Operation *) override { stack().push_back(now()); }
  void runAfterPass(mlir::Pass *pass, mlir::Operation *) override { stop(pass); }
  void runAfterPassFailed(mlir::Pass *pass, mlir::Operation *) override { stop(pass); }

private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  // One without an argument only holds others (a pipeline over the functions of a module).
  void stop(mlir::Pass *pass) {
    double seconds = now() - stack().pop_back_val();
    llvm::StringRef name = pass->getArgument();
    if (name.empty())
      return;
    auto found = llvm::find_if(times, [&](const auto &one) { return one.first == name; });
    if (found == times.end())
      times.emplace_back(name.str(), seconds);
    else
      found->second += seconds;
  }

  /// When those began that run on this thread: passes over functions run on several at once (the calls of an
  /// instrumentation do not).
  llvm::SmallVector<double> &stack() { return running[llvm::get_threadid()]; }

  PassTimes &times;
  std::map<uint64_t, llvm::SmallVector<double>> running;
};
} // namespace

void timePasses(mlir::PassManager &passes, PassTimes &times) {
  passes.addInstrumentation(std::make_unique<Clock>(times));
}

} // namespace kiln
