#include "tests/backends/host/Fixture.h"

#include "frontend/language/Load.h"

#include "nlohmann/json.hpp"

namespace kiln {
namespace {

const char *const mlp = R"(
model MLP():
    a = Linear(4, 5)
    b = Linear(5, 3, bias=False)

    def forward(x: f32[B, 4]) -> f32[B, 3]:
        return b(ACTIVATION(a(x)))

train MLP:
    data      = safetensors("data.safetensors", x=f32[6, 4], y=i32[6])
    loss      = cross_entropy(forward(data.x), data.y)
    optimizer = OPTIMIZER
    steps     = 1
    CLIP
)";

std::string replaced(std::string text, const std::vector<std::pair<std::string, std::string>> &words) {
  for (const auto &[from, to] : words)
    text.replace(text.find(from), from.size(), to);
  return text;
}

std::string mlpWith(const std::string &optimizer, const std::string &activation, const std::string &clip = "pass") {
  return replaced(mlp, {{"OPTIMIZER", optimizer}, {"CLIP", clip}, {"ACTIVATION", activation}});
}

class Training : public HostTest {
protected:
  mlir::OwningOpRef<mlir::ModuleOp> load(const std::string &text) {
    Diagnostics diagnostics;
    mlir::OwningOpRef<mlir::ModuleOp> module = loadModelText(context, text, "mlp.kiln", {}, diagnostics);
    EXPECT_TRUE(module) << diagnostics.render();
    return module;
  }

  // Both functions that differentiation makes, from the same text.
  std::unique_ptr<host::OwnedProgram> check(const std::string &text) {
    mlir::OwningOpRef<mlir::ModuleOp> module = load(text);
    simplify(*module);
    mlir::OwningOpRef<mlir::ModuleOp> copy(module->clone());
    compare(*copy, "grad", "grad");
    return compare(*module, "train_step", "train_step");
  }
};

TEST_F(Training, Sgd) {
  auto program = check(mlpWith("SGD(lr=0.5)", "relu"));
  ASSERT_TRUE(program);
  // Two products forward and three backward, updates in their epilogues, the loss (rows, and what of them counts) and
  // the bias: no more kernels than that.
  auto manifest = nlohmann::json::parse(program->manifest());
  for (const auto &entry : manifest["entries"])
    if (entry["name"] == "train_step")
      EXPECT_LE(entry["plan"]["children"].size(), 11u);
}

TEST_F(Training, Momentum) { check(mlpWith("SGD(lr=0.1, momentum=0.9)", "tanh")); }
TEST_F(Training, AdamW) { check(mlpWith("AdamW(weight_decay=0.1)", "sigmoid")); }
TEST_F(Training, Clipped) { check(mlpWith("Adam()", "relu", "clip = 1.0")); }

TEST_F(Training, SplitWhereTheBackendRefuses) {
  FakeBackend::maxOps = 1;
  FakeBackend::scratch = 100;
  auto program = check(mlpWith("AdamW()", "gelu"));
  ASSERT_TRUE(program);
  for (size_t k = 0; k < program->program().kernel_count; ++k) {
    size_t computing = 0;
    const kiln_kernel &kernel = program->program().kernels[k];
    for (size_t i = 0; i < kernel.op_count; ++i) {
      std::string name(kernel.ops[i].name.data, kernel.ops[i].name.size);
      computing += name != "constant" && name != "iota" && name != "extent";
    }
    EXPECT_LE(computing, 1u);
  }
  EXPECT_NE(program->explainFusion().find("too many ops"), std::string::npos);
}

TEST_F(Training, RefusalOfASingleOpNamesOpAndLine) {
  FakeBackend::refused = {"tanh"};
  mlir::OwningOpRef<mlir::ModuleOp> module = load(mlpWith("SGD(lr=0.1)", "tanh"));
  simplify(*module);
  auto program = host::buildProgram(*module, host::Target{&FakeBackend::get(), target}, {});
  ASSERT_FALSE(program.ok());
  EXPECT_NE(program.status().message().find("no backend takes 'tanh' of this form (fake: no tanh here)"),
            std::string::npos)
      << program.status();
}

TEST_F(HostTest, KernelsAreSharedByFunctionsAndLayers) {
  auto module = parse(R"(
module {
  func.func @a(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
    %0 = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x8xf32> -> tensor<4x8xf32>
    %1 = kiln.tanh %0 : tensor<4x8xf32>
    %2 = kiln.dot_general %1, %w batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x8xf32> -> tensor<4x8xf32>
    %3 = kiln.tanh %2 : tensor<4x8xf32>
    return %3 : tensor<4x8xf32>
  }
  func.func @b(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
    %0 = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x8xf32> -> tensor<4x8xf32>
    %1 = kiln.tanh %0 : tensor<4x8xf32>
    return %1 : tensor<4x8xf32>
  }
})");
  auto program = compare(*module, "a", "a");
  ASSERT_TRUE(program);
  EXPECT_EQ(program->program().entry_count, 2u);
  EXPECT_EQ(program->program().kernel_count, 1u);
}

// An LSTM-like loop: carries, a sequence read, a sequence written, the counter used, and extents not known.
const char *const loop = R"(
module {
  func.func @run(%x: tensor<?x?x4xf32, #kiln.dims<"T", "B", "4">>, %h0: tensor<?x4xf32, #kiln.dims<"B", "4">>, %w: tensor<4x4xf32>)
      -> (tensor<?x4xf32, #kiln.dims<"B", "4">>, tensor<?x4xf32, #kiln.dims<"B", "4">>, tensor<?x?x4xf32, #kiln.dims<"T", "B", "4">>)
      attributes {kiln.bounds = {B = 3 : i64, T = 6 : i64}} {
    %last, %count, %all = kiln.scan "T" REVERSE step(%t) carry(%h = %h0 : tensor<?x4xf32, #kiln.dims<"B", "4">>,
                                              %c = %h0 : tensor<?x4xf32, #kiln.dims<"B", "4">>)
        over(%xt = %x : tensor<?x?x4xf32, #kiln.dims<"T", "B", "4">>) -> (tensor<?x?x4xf32, #kiln.dims<"T", "B", "4">>) {
      %0 = kiln.dot_general %h, %w batch [] x [] contract [1] x [0] : tensor<?x4xf32, #kiln.dims<"B", "4">>, tensor<4x4xf32> -> tensor<?x4xf32, #kiln.dims<"B", "4">>
      %1 = kiln.add %0, %xt : tensor<?x4xf32, #kiln.dims<"B", "4">>
      %2 = kiln.tanh %1 : tensor<?x4xf32, #kiln.dims<"B", "4">>
      %3 = kiln.convert %t : tensor<i32> -> tensor<f32>
      %4 = kiln.broadcast %3, [] : tensor<f32> -> tensor<?x4xf32, #kiln.dims<"B", "4">>
      %5 = kiln.add %c, %4 : tensor<?x4xf32, #kiln.dims<"B", "4">>
      kiln.yield YIELD, %2 : tensor<?x4xf32, #kiln.dims<"B", "4">>, tensor<?x4xf32, #kiln.dims<"B", "4">>, tensor<?x4xf32, #kiln.dims<"B", "4">>
    }
    return %last, %count, %all : tensor<?x4xf32, #kiln.dims<"B", "4">>, tensor<?x4xf32, #kiln.dims<"B", "4">>, tensor<?x?x4xf32, #kiln.dims<"T", "B", "4">>
  }
})";

TEST_F(HostTest, LoopsWithDynamicExtents) {
  for (const char *reverse : {"", "reverse"})
    for (const char *yield : {"%2, %5", "%5, %2", "%c, %h", "%h, %2", "%1, %1"}) {
      auto module = parse(replaced(loop, {{"REVERSE", reverse}, {"YIELD", yield}}));
      compare(*module, "run", "run",
              {{{"T", 6}, {"B", 3}}, {{"T", 1}, {"B", 2}}, {{"T", 4}, {"B", 1}}, {{"T", 0}, {"B", 3}}});
    }
}

TEST_F(HostTest, StatesStayInPlace) {
  auto module = parse(R"(
module {
  func.func @step(%x: tensor<1x4xf32>, %at: tensor<i32>, %keys: tensor<8x4xf32> {kiln.state = "keys"})
      -> (tensor<8x4xf32> {kiln.state = "keys"}, tensor<8xf32>) {
    %zero = kiln.constant dense<0> : tensor<i32> : tensor<i32>
    %new = kiln.dynamic_update_slice %keys, %x [%at, %zero] : (tensor<8x4xf32>, tensor<1x4xf32>, tensor<i32>, tensor<i32>) -> tensor<8x4xf32>
    %sum = kiln.reduce sum %new, [1] : tensor<8x4xf32> -> tensor<8xf32>
    return %new, %sum : tensor<8x4xf32>, tensor<8xf32>
  }
})");
  auto program = compare(*module, "step", "step");
  ASSERT_TRUE(program);
  const EntryRow &entry = program->program().entries[0];
  EXPECT_EQ(entry.argument_count, 4u);
  EXPECT_EQ(entry.arena_bytes, 0);
  EXPECT_EQ(entry.root.child_count, 2u);
}

TEST_F(HostTest, OldValuesAreReadBeforeTheyAreOverwritten) {
  // The new state is returned, and so is what is made of the old one; another state is swapped with it.
  auto module = parse(R"(
module {
  func.func @step(%a: tensor<4xf32> {kiln.state = "a"}, %b: tensor<4xf32> {kiln.state = "b"}, %c: tensor<4xf32> {kiln.state = "c"})
      -> (tensor<4xf32> {kiln.state = "a"}, tensor<4xf32> {kiln.state = "b"}, tensor<4xf32> {kiln.state = "c"}, tensor<4xf32>, tensor<4xf32>) {
    %0 = kiln.add %c, %a : tensor<4xf32>
    %1 = kiln.exp %c : tensor<4xf32>
    %2 = kiln.reverse %0, [0] : tensor<4xf32>
    %3 = kiln.mul %2, %c : tensor<4xf32>
    return %b, %a, %0, %1, %3 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  }
})");
  compare(*module, "step", "step");
}

TEST_F(HostTest, BranchesAndLoopsOfUnknownLength) {
  auto module = parse(R"(
module {
  func.func @f(%c: tensor<i1>, %x: tensor<4xf32>, %limit: tensor<f32>) -> (tensor<4xf32>, tensor<f32>, tensor<4xf32>) {
    %r = kiln.if %c : (tensor<i1>) -> tensor<4xf32> {
      %y = kiln.exp %x : tensor<4xf32>
      kiln.yield %y : tensor<4xf32>
    } else {
      kiln.yield %x : tensor<4xf32>
    }
    %one = kiln.constant dense<1.0> : tensor<f32> : tensor<f32>
    %w = kiln.while %one : (tensor<f32>) -> tensor<f32> {
    ^condition(%a: tensor<f32>):
      %l = kiln.add %limit, %one : tensor<f32>
      %m = kiln.add %l, %l : tensor<f32>
      %k = kiln.compare lt %a, %m : tensor<f32> -> tensor<i1>
      kiln.yield %k : tensor<i1>
    } do {
    ^body(%a: tensor<f32>):
      %b = kiln.add %a, %a : tensor<f32>
      kiln.yield %b : tensor<f32>
    }
    %s = kiln.add %r, %x : tensor<4xf32>
    return %r, %w, %s : tensor<4xf32>, tensor<f32>, tensor<4xf32>
  }
})");
  for (int i = 0; i < 4; ++i) {
    mlir::OwningOpRef<mlir::ModuleOp> copy(module->clone());
    compare(*copy, "f", "f");
  }
}

TEST_F(HostTest, ConstantsGoToThePool) {
  auto module = parse(R"(
module {
  func.func @f(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<2xi1>, tensor<2x2xf32>) {
    %c = kiln.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32> : tensor<3xf32>
    %m = kiln.constant dense<[true, false]> : tensor<2xi1> : tensor<2xi1>
    %z = kiln.constant dense<5.0> : tensor<2x2xf32> : tensor<2x2xf32>
    %y = kiln.add %x, %c : tensor<3xf32>
    return %y, %m, %z : tensor<3xf32>, tensor<2xi1>, tensor<2x2xf32>
  }
})");
  auto program = compare(*module, "f", "f");
  ASSERT_TRUE(program);
  EXPECT_EQ(program->program().constant_bytes, 66u);
}

TEST_F(HostTest, AMissingBoundIsAnError) {
  auto module = parse(R"(
module {
  func.func @f(%x: tensor<?xf32, #kiln.dims<"T">>) -> tensor<?xf32, #kiln.dims<"T">> {
    %y = kiln.exp %x : tensor<?xf32, #kiln.dims<"T">>
    return %y : tensor<?xf32, #kiln.dims<"T">>
  }
})");
  auto program = host::buildProgram(*module, host::Target{&FakeBackend::get(), target}, {});
  ASSERT_FALSE(program.ok());
  EXPECT_NE(program.status().message().find("has no upper bound"), std::string::npos) << program.status();
}

} // namespace
} // namespace kiln
