// Training steps whose forward half is computed once more in parts, run by the interpreter beside the same ones that
// keep everything: every number is the same, and less is kept.
#include "passes/Checkpoint/Checkpoint.h"
#include "frontend/language/Load.h"
#include "ir/interpreter/Interpreter.h"
#include "passes/Pipelines.h"

#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

#include <random>

namespace kiln {
namespace {

struct Model {
  const char *name, *text;
};
void PrintTo(const Model &value, std::ostream *out) { *out << value.name; }

constexpr const char *recipe = R"(
train Test:
    data      = safetensors("c.safetensors", x=f32[3, 4, 6], y=i32[3, 4])
    loss      = cross_entropy(forward(data.x), data.y)
    optimizer = AdamW(lr=0.1)
    clip      = 1.0
    steps     = 1
)";

const Model models[] = {{"Dropout", R"(
module Block(width):
    norm = LayerNorm(width)
    wide, narrow, drop = Linear(width, 4 * width), Linear(4 * width, width), Dropout(0.3)
    def forward(x): return x + drop(narrow(gelu(wide(norm(x)))))
model Test():
    blocks = [Block(6) for _ in range(5)]
    out = Linear(6, 7)
    def forward(x: f32[3, 4, 6]) -> f32[3, 4, 7]:
        for block in blocks: x = block(x)
        return out(x)
)"},
                        {"Attention", R"(
model Test():
    attend = [SelfAttention(6, 2, causal=True, dropout=0.1) for _ in range(3)]
    norms = [RMSNorm(6) for _ in range(3)]
    out = Linear(6, 7)
    def forward(x: f32[3, 4, 6]) -> f32[3, 4, 7]:
        for attn, norm in zip(attend, norms): x = x + attn(norm(x))
        return out(x)
)"},
                        {"Loops", R"(
model Test():
    first, second, out = LSTM(6, 6), GRU(6, 6), Linear(6, 7)
    def forward(x: f32[3, 4, 6]) -> f32[3, 4, 7]:
        y, _ = first(x)
        z, _ = second(tanh(y + x))
        return out(z * y)
)"},
                        {"BatchNorm", R"(
model Test():
    convs = [Conv1d(4, 4, 3, padding=1) for _ in range(4)]
    norms = [BatchNorm1d(4) for _ in range(4)]
    out = Linear(6, 7)
    def forward(x: f32[3, 4, 6]) -> f32[3, 4, 7]:
        for conv, norm in zip(convs, norms): x = x + relu(norm(conv(x)))
        return out(x)
)"},
                        {"Tied", R"(
model Test():
    table = parameter(f32[7, 6])
    layers = [Linear(6, 6) for _ in range(4)]
    def forward(x: f32[3, 4, 6]) -> f32[3, 4, 7]:
        x = x + sum(table, axis=0)                              # read first, and last
        for layer in layers: x = sin(layer(x))
        return x @ table.T
)"}};

class CheckpointOf : public testing::TestWithParam<Model> {
protected:
  void SetUp() override {
    mlir::DialectRegistry registry;
    registry.insert<KilnDialect, mlir::func::FuncDialect>();
    context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  }

  HostTensor argument(mlir::Type declared) {
    auto type = llvm::cast<mlir::RankedTensorType>(declared);
    HostTensor tensor = HostTensor::zeros(type.getElementType(), type.getShape().vec());
    for (size_t i = 0; i < tensor.integers.size(); ++i)
      tensor.integers[i] = static_cast<int64_t>(5 * i % 7);
    std::uniform_real_distribution<double> uniform(0.1, 1); // states of variances among them
    for (double &value : tensor.floats)
      value = uniform(generator);
    return tensor;
  }

  std::unique_ptr<mlir::MLIRContext> context;
  std::mt19937 generator{7};
};

size_t heavyOps(mlir::func::FuncOp function) {
  size_t count = 0;
  function.walk([&](mlir::Operation *op) { count += llvm::isa<DotGeneralOp, ConvolutionOp, AttentionOp, ScanOp>(op); });
  return count;
}

/// What is made in the first half of a function and read in the second, by the order of its ops: of the largest middle.
int64_t mostAcross(mlir::func::FuncOp function) {
  llvm::DenseMap<mlir::Operation *, size_t> place;
  mlir::Block &block = function.getBody().front();
  for (mlir::Operation &op : block)
    place.try_emplace(&op, place.size());
  std::vector<int64_t> change(place.size() + 1);
  for (mlir::Operation &op : block)
    for (mlir::Value result : op.getResults()) {
      size_t last = place[&op];
      for (mlir::Operation *user : result.getUsers())
        last = std::max(last, place[block.findAncestorOpInBlock(*user)]);
      int64_t elements = llvm::cast<mlir::RankedTensorType>(result.getType()).getNumElements();
      change[place[&op]] += elements;
      change[last] -= elements;
    }
  int64_t live = 0, most = 0;
  for (int64_t step : change)
    most = std::max(most, live += step);
  return most;
}

TEST_P(CheckpointOf, GivesTheSameAndKeepsLess) {
  Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      loadModelText(*context, std::string(GetParam().text) + recipe, "test.kiln", {}, diagnostics);
  ASSERT_TRUE(module) << diagnostics.render();
  mlir::PassManager passes(context.get());
  PipelineOptions pipeline;
  pipeline.until = "row-blocks";
  buildCompilePipeline(passes, pipeline);
  ASSERT_TRUE(mlir::succeeded(passes.run(*module)));
  auto whole = module->lookupSymbol<mlir::func::FuncOp>("train_step");
  ASSERT_TRUE(whole);
  std::vector<HostTensor> arguments;
  for (mlir::Type type : whole.getArgumentTypes())
    arguments.push_back(argument(type));
  auto expected = interpret(whole, arguments);
  ASSERT_TRUE(expected.ok()) << expected.status().message();
  int64_t least = mostAcross(whole);
  for (int64_t segments : {2, 3, 5, 40}) {
    SCOPED_TRACE(segments);
    mlir::OwningOpRef<mlir::ModuleOp> copy = module->clone();
    mlir::PassManager cutting(context.get());
    CheckpointOptions options;
    options.segments = segments;
    cutting.addPass(createCheckpoint(options));
    ASSERT_TRUE(mlir::succeeded(cutting.run(*copy)));
    auto cut = copy->lookupSymbol<mlir::func::FuncOp>("train_step");
    if (segments < 40) // of which many keep all that they make
      EXPECT_GT(heavyOps(cut), heavyOps(whole));
    // The forward half is a third of a step's products; it is repeated at most once.
    EXPECT_LE(heavyOps(cut), heavyOps(whole) + (heavyOps(whole) + 1) / 2);
    least = std::min(least, mostAcross(cut));
    auto found = interpret(cut, arguments);
    ASSERT_TRUE(found.ok()) << found.status().message();
    ASSERT_EQ(found->results.size(), expected->results.size());
    for (size_t i = 0; i < found->results.size(); ++i) {
      EXPECT_EQ(found->results[i].floats, expected->results[i].floats) << "result " << i;
      EXPECT_EQ(found->results[i].integers, expected->results[i].integers) << "result " << i;
    }
  }
  EXPECT_LT(least, mostAcross(whole));
}

INSTANTIATE_TEST_SUITE_P(All, CheckpointOf, testing::ValuesIn(models),
                         [](const testing::TestParamInfo<Model> &info) { return info.param.name; });

} // namespace
} // namespace kiln
