// Mistakes planted in good plans: the verifier has to find each of them.
#include "passes/PlanMemory/Verify.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "passes/Fuse/Fuse.h"
#include "gtest/gtest.h"

#include <set>

namespace kiln::plan {
namespace {

const char *const text = R"(
func.func @f(%xs: tensor<5x16xf32>, %h0: tensor<16xf32>, %w: tensor<16xf32>) -> (tensor<16xf32>, tensor<5x16xf32>, tensor<16xf32>) {
  %k = kiln.exp %w : tensor<16xf32>
  %j = kiln.tanh %w : tensor<16xf32>
  %h, %c, %ys = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>, %b = %k : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> (tensor<5x16xf32>) {
    %0 = kiln.add %x, %a : tensor<16xf32>
    %1 = kiln.reverse %0, [0] : tensor<16xf32>
    %2 = kiln.mul %1, %j : tensor<16xf32>
    kiln.yield %b, %2, %0 : tensor<16xf32>, tensor<16xf32>, tensor<16xf32>
  }
  %m = kiln.mul %c, %j : tensor<16xf32>
  return %h, %ys, %m : tensor<16xf32>, tensor<5x16xf32>, tensor<16xf32>
})";

class VerifyTest : public ::testing::Test {
protected:
  void SetUp() override {
    context.loadDialect<KilnDialect, mlir::func::FuncDialect>();
    makePlan(text);
  }

  void makePlan(llvm::StringRef text) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    auto function = *module->getOps<mlir::func::FuncOp>().begin();
    ASSERT_TRUE(mlir::succeeded(fuseFunction(function, FuseLevel::single)));
    mlir::FailureOr<FunctionPlan> made = planFunction(function, {[](GroupOp) { return 64; }});
    ASSERT_TRUE(mlir::succeeded(made));
    plan = *made;
  }

  /// The verifier's verdict, and what it said.
  bool holds() {
    said.clear();
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
      said += diagnostic.str();
      return mlir::success();
    });
    return mlir::succeeded(verifyPlan(plan, {}));
  }

  static void each(Step &step, llvm::function_ref<void(Step &)> visit) {
    visit(step);
    for (Step &child : step.children)
      each(child, visit);
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  FunctionPlan plan;
  std::string said;
};

TEST_F(VerifyTest, TheGoodPlanHolds) { EXPECT_TRUE(holds()) << said; }

TEST_F(VerifyTest, BuffersBeginWhereABackendAsks) {
  auto function = *module->getOps<mlir::func::FuncOp>().begin();
  mlir::FailureOr<FunctionPlan> wide = planFunction(function, {[](GroupOp) { return 60; }, 1024});
  ASSERT_TRUE(mlir::succeeded(wide));
  EXPECT_GT(wide->arenaBytes, plan.arenaBytes);
  EXPECT_GE(wide->arenaBytes, wide->lowerBound);
  for (const Buffer &buffer : wide->buffers)
    EXPECT_EQ(buffer.offset % 1024, 0);
}

TEST_F(VerifyTest, BuffersThatAreLiveTogetherMayNotOverlap) {
  // A copy between two buffers is idle, not wrong, where they are one.
  std::set<std::pair<unsigned, unsigned>> copied;
  each(plan.root, [&](Step &step) {
    if (step.kind == Step::Kind::copy)
      copied.insert(std::minmax(step.places[0].index, step.places[1].index));
  });
  // Every other pair of buffers with common steps, put to the same place in turn.
  int planted = 0, found = 0;
  for (size_t a = 0; a < plan.buffers.size(); ++a)
    for (size_t b = 0; b < a; ++b) {
      const Buffer &x = plan.buffers[a], &y = plan.buffers[b];
      if (x.begin > y.end || y.begin > x.end || copied.contains({b, a}))
        continue;
      int64_t kept = plan.buffers[a].offset;
      plan.buffers[a].offset = plan.buffers[b].offset;
      ++planted;
      found += !holds();
      plan.buffers[a].offset = kept;
    }
  EXPECT_GE(planted, 8);
  EXPECT_EQ(found, planted);
}

TEST_F(VerifyTest, NothingLiesBeyondTheArena) {
  plan.arenaBytes -= 1;
  EXPECT_FALSE(holds());
  EXPECT_NE(said.find("of a memory of"), std::string::npos) << said;
}

TEST_F(VerifyTest, EveryStepCounts) {
  // Each launch and each copy left out once.
  std::vector<Step *> parents;
  each(plan.root, [&](Step &step) { parents.push_back(&step); });
  int planted = 0, found = 0;
  for (Step *parent : parents)
    for (size_t i = 0; i < parent->children.size(); ++i) {
      std::vector<Step> kept = parent->children;
      if (kept[i].kind != Step::Kind::launch && kept[i].kind != Step::Kind::copy)
        continue;
      parent->children.erase(parent->children.begin() + i);
      ++planted;
      found += !holds();
      parent->children = kept;
    }
  EXPECT_GE(planted, 6);
  EXPECT_EQ(found, planted);
}

// One loop after the other, and more or fewer values in front: what the verifier knows of values grows in each place.
TEST_F(VerifyTest, ManyLoopsHold) {
  for (int more = 0; more < 16; ++more) {
    std::string last = "%y", ops;
    for (int i = 0; i < more; ++i) {
      std::string name = "%x" + std::to_string(i);
      ops += name + " = kiln.exp " + last + " : tensor<4xf32>\n";
      last = name;
    }
    for (int i = 0; i < 30; ++i) {
      std::string name = "%r" + std::to_string(i);
      ops += name + "n = kiln.exp %n : tensor<f32>\n" + name + ":2 = kiln.while " + name + "n, " + last +
             R"( : (tensor<f32>, tensor<4xf32>) -> (tensor<f32>, tensor<4xf32>) {
      ^condition(%a: tensor<f32>, %b: tensor<4xf32>):
        %c = kiln.compare lt %a, %n : tensor<f32> -> tensor<i1>
        kiln.yield %c : tensor<i1>
      } do {
      ^body(%a: tensor<f32>, %b: tensor<4xf32>):
        %d = kiln.add %a, %n : tensor<f32>
        %e = kiln.tanh %b : tensor<4xf32>
        kiln.yield %d, %e : tensor<f32>, tensor<4xf32>
      }
)";
      last = name + "#1";
    }
    makePlan("func.func @f(%n: tensor<f32>, %y: tensor<4xf32>) -> tensor<4xf32> {\n" + ops + "return " + last +
             " : tensor<4xf32>\n}");
    EXPECT_TRUE(holds()) << more << " " << said;
  }
}

TEST_F(VerifyTest, StridesFollowTheIterations) {
  int planted = 0, found = 0;
  each(plan.root, [&](Step &step) {
    for (Place &place : step.places)
      for (Dim &stride : place.strides) {
        if (stride == Dim())
          continue;
        Dim kept = stride;
        stride = Dim();
        ++planted;
        found += !holds();
        stride = kept;
      }
  });
  EXPECT_GE(planted, 2);
  EXPECT_EQ(found, planted);
}

} // namespace
} // namespace kiln::plan
