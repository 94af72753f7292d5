// Repeated nodes as modules: what is carried, what is the same for all, what each has of its own, and what is no
// repeat.
#include "frontend/language/Draft.h"
#include "frontend/language/Load.h"
#include "frontend/onnx/ImportFile.h"
#include "runtime/support/Error.h"
#include "tests/frontend/onnx/Proto.h"

#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

#include <algorithm>
#include <functional>
#include <set>
#include <sstream>

namespace kiln::onnx {
namespace {

using namespace testing;

/// A network of blocks x + (tanh(x @ up + bias) @ down + shift), whose parts a test changes.
struct Net {
  std::string graph;
  std::set<std::string> made;
  std::string path = "net.blocks.";
  size_t uneven = SIZE_MAX; ///< the block that is wider
  size_t outputs = 0;

  void add(const std::string &type, const std::vector<std::string> &inputs, const std::string &output) {
    graph += text(1, node(type, inputs, {output}));
  }
  std::string weight(const std::string &name, const std::vector<int64_t> &shape) {
    int64_t count = 1;
    for (int64_t dim : shape)
      count *= dim;
    // No two weights are the same.
    std::string bytes(static_cast<size_t>(count) * 4, static_cast<char>(made.size() % 50));
    if (made.insert(name).second)
      graph += text(5, tensor(name, 1, shape, bytes));
    return name;
  }
  /// The block's result; `x` is what it reads.
  std::string block(size_t number, const std::string &x, const std::string &mask = "") {
    std::string k = std::to_string(number), at = path + k + ".";
    int64_t wide = number == uneven ? 7 : 6;
    add("MatMul", {x, weight(at + "up.weight", {4, wide})}, "a" + k);
    add("Add", {"a" + k, weight(at + "up.bias", {wide})}, "b" + k);
    add("Tanh", {"b" + k}, "c" + k);
    add("MatMul", {"c" + k, weight(at + "down.weight", {wide, 4})}, "d" + k);
    add("Add", {"d" + k, weight(at + "down.bias", {4})}, "e" + k);
    if (mask.empty()) {
      add("Add", {x, "e" + k}, "f" + k);
      return "f" + k;
    }
    add("Mul", {"e" + k, mask}, "g" + k);
    add("Add", {x, "g" + k}, "f" + k);
    return "f" + k;
  }
  std::string chain(size_t count, std::string x, const std::string &mask = "") {
    for (size_t k = 0; k < count; ++k)
      x = block(k, x, mask);
    return x;
  }
  void returns(const std::string &name) {
    graph += text(12, value(name, 1, {-1, 4}));
    ++outputs;
  }
  Imported imported(const std::string &input = "x", bool flat = false) {
    bytes = model(graph + text(11, value(input, 1, {-1, 4})));
    whole = Model::parse(bytes, "");
    return importModel(whole, {"Model", {{"N1", 8}}, {}, false, "", flat});
  }
  std::string bytes;
  Model whole;
};

/// The text of an import, which the language takes.
std::string checked(const Imported &imported) {
  for (const std::string &problem : imported.problems)
    ADD_FAILURE() << problem;
  mlir::MLIRContext context;
  Diagnostics diagnostics;
  EXPECT_TRUE(loadModelText(context, imported.text, "text", {}, diagnostics)) << diagnostics.render() << "\n"
                                                                              << imported.text;
  return imported.text;
}

std::set<std::string> namesOf(const Imported &imported) {
  std::set<std::string> out;
  for (const TensorView &weight : imported.weights)
    out.insert(weight.name);
  return out;
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(OnnxRepeats, AStackIsALoopOverAList) {
  Net net;
  net.returns(net.chain(4, "x"));
  Imported imported = net.imported();
  EXPECT_EQ(checked(imported), R"(# Imported from ONNX.
module Block():
    up_weight   = parameter(f32[4, 6], name="up.weight")
    up_bias     = parameter(f32[6], name="up.bias")
    down_weight = parameter(f32[6, 4], name="down.weight")
    down_bias   = parameter(f32[4], name="down.bias")

    def forward(x: f32[N1, 4]) -> f32[N1, 4]:
        return x + (tanh(x @ up_weight + up_bias) @ down_weight + down_bias)

module Net():
    blocks = [Block() for _ in range(4)]

model Model():
    net = Net()

    def forward(x: f32[N1 <= 8, 4]):
        x_2 = x
        for block in net.blocks:
            x_2 = block(x_2)
        return x_2
)");
  EXPECT_EQ(namesOf(imported), net.made); // the file's
}

TEST(OnnxRepeats, LinesOfAModuleKnowTheFirstInstancesNodes) {
  Net net;
  net.returns(net.chain(3, "x"));
  Imported imported = net.imported();
  std::istringstream lines(imported.text);
  std::vector<std::string> found;
  for (std::string line; std::getline(lines, line);)
    if (size_t number = found.size(); number < imported.origins.size())
      found.push_back(imported.origins[number].empty() ? "" : line + " # " + imported.origins[number]);
  std::erase(found, "");
  ASSERT_EQ(found.size(), 2u) << imported.text;
  EXPECT_SAYS(found[0], "return x + (tanh(");
  EXPECT_SAYS(found[0], "# nodes 'the_MatMul' to 'the_Add'");
  EXPECT_SAYS(found[1], "x_2 = block(x_2) # nodes 'the_MatMul' to 'the_Add'");
}

TEST(OnnxRepeats, WhatIsAskedForStaysFlat) {
  Net net;
  net.returns(net.chain(4, "x"));
  std::string text = checked(net.imported("x", /*flat=*/true));
  EXPECT_EQ(text.find("module"), std::string::npos) << text;
  EXPECT_SAYS(text, "net_blocks_3_up_weight = parameter(");
}

/// What the first block alone computes, and the others read, stands in front of the loop.
TEST(OnnxRepeats, WhatTheFirstOneComputesForAllStandsInFront) {
  Net net;
  net.add("MatMul", {"x", net.weight("net.blocks.0.up.weight", {4, 6})}, "a0");
  net.add("Add", {"a0", net.weight("net.blocks.0.up.bias", {6})}, "b0");
  net.add("Sigmoid", {"x"}, "mask");
  net.add("Tanh", {"b0"}, "c0");
  net.add("MatMul", {"c0", net.weight("net.blocks.0.down.weight", {6, 4})}, "d0");
  net.add("Add", {"d0", net.weight("net.blocks.0.down.bias", {4})}, "e0");
  net.add("Mul", {"e0", "mask"}, "g0");
  net.add("Add", {"x", "g0"}, "f0");
  std::string x = "f0";
  for (size_t k = 1; k < 4; ++k)
    x = net.block(k, x, "mask");
  net.returns(x);
  std::string text = checked(net.imported());
  EXPECT_SAYS(text, "        mask = sigmoid(x)\n        x_2 = x\n        for block in net.blocks:\n"
                    "            x_2 = block(x_2, mask)\n        return x_2\n");
  EXPECT_SAYS(text, "blocks = [Block() for _ in range(4)]");
}

TEST(OnnxRepeats, ResultsThatOthersReadAreNamed) {
  Net net;
  std::string last = net.chain(4, "x");
  net.add("Add", {"f1", last}, "y");
  net.returns("y");
  // What is read of the second one cuts the walk through the list in two.
  std::string text = checked(net.imported());
  EXPECT_SAYS(text, "        x_2 = x\n        for block in net.blocks[0:2]:\n            x_2 = block(x_2)\n");
  EXPECT_SAYS(text, "        x_3 = x_2\n        for block in net.blocks[2:]:\n            x_3 = block(x_3)\n");
  EXPECT_SAYS(text, "        y = x_2 + x_3\n");
}

TEST(OnnxRepeats, AWeightThatOthersReadIsReached) {
  Net net;
  std::string last = net.chain(4, "x");
  net.add("Mul", {last, net.weight("net.blocks.2.down.bias", {4})}, "y");
  net.returns("y");
  Imported imported = net.imported();
  EXPECT_SAYS(checked(imported), "y = x_2 * net.blocks[2].down_bias");
  EXPECT_EQ(namesOf(imported), net.made);
}

TEST(OnnxRepeats, TwoStacksOfOneKindAreOneModule) {
  Net net;
  std::string x = net.chain(3, "x");
  net.add("Tanh", {x}, "between");
  net.path = "net.others.";
  x = "between";
  for (size_t k = 10; k < 13; ++k)
    x = net.block(k, x);
  net.returns(x);
  std::string text = checked(net.imported());
  // The second list begins at its tenth place: calls, not a loop over what is not there.
  EXPECT_SAYS(text, "for block in net.blocks:\n            x_2 = block(x_2)\n        x_3 = tanh(x_2)\n");
  EXPECT_SAYS(text, "for block_2 in net.others[10:]:\n            x_3 = block_2(x_3)\n        return x_3\n");
  EXPECT_SAYS(text,
              "others = [None, None, None, None, None, None, None, None, None, None] + [Block() for _ in range(3)]");
  EXPECT_EQ(text.find("module Block", text.find("module Block") + 1), std::string::npos) << text;
}

TEST(OnnxRepeats, ADifferentBlockIsWrittenOut) {
  Net net;
  net.uneven = 0;
  net.returns(net.chain(5, "x"));
  std::string text = checked(net.imported());
  EXPECT_SAYS(text, "blocks = [None] + [Block() for _ in range(4)]");
  EXPECT_SAYS(text, "for block in net.blocks[1:]:");
  EXPECT_SAYS(text, "net_blocks_0_up_weight = parameter(f32[4, 7], name=\"net.blocks.0.up.weight\")");
}

/// The last one is another: what is in front of it repeats.
TEST(OnnxRepeats, AnotherConstantIsAnotherBlock) {
  Net net;
  std::string x = "x";
  for (size_t k = 0; k < 4; ++k) {
    x = net.block(k, x);
    float factor = k == 3 ? 3 : 2;
    std::string name = "factor" + std::to_string(k);
    net.graph += text(5, tensor(name, 1, {}, std::string(reinterpret_cast<const char *>(&factor), 4)));
    net.add("Mul", {x, name}, "m" + std::to_string(k));
    x = "m" + std::to_string(k);
  }
  net.returns(x);
  std::string text = checked(net.imported());
  EXPECT_EQ(text.find("3.0"), text.rfind("3.0")) << text;
  EXPECT_SAYS(text, "* 3.0");
  EXPECT_SAYS(text, "* 2.0");
}

/// A name that the model has already is none for a list: the weights are then called otherwise, in the file too.
TEST(OnnxRepeats, AListThatCannotHaveItsNameHasAnother) {
  Net net;
  net.returns(net.chain(4, "net"));
  Imported imported = net.imported("net");
  std::string text = checked(imported);
  EXPECT_SAYS(text, "    layers = [Layer() for _ in range(4)]\n");
  EXPECT_TRUE(namesOf(imported).contains("layers.3.net_blocks_up_weight")) << *namesOf(imported).begin();
}

TEST(OnnxRepeats, MadeUpNamesAreCalledAfterTheirUse) {
  Net net;
  std::string x = "x";
  for (size_t k = 0; k < 4; ++k) {
    std::string number = std::to_string(k);
    net.add("MatMul", {x, net.weight("onnx::MatMul_" + std::to_string(100 + k), {4, 4})}, "a" + number);
    net.add("Add", {"a" + number, net.weight("net.blocks." + number + ".bias", {4})}, "b" + number);
    net.add("Tanh", {"b" + number}, "c" + number);
    net.add("Abs", {"c" + number}, "d" + number);
    net.add("Exp", {"d" + number}, "e" + number);
    net.add("Add", {x, "e" + number}, "f" + number);
    x = "f" + number;
  }
  net.returns(x);
  Imported imported = net.imported();
  checked(imported);
  EXPECT_TRUE(namesOf(imported).contains("net.blocks.3.kernel"));
  EXPECT_TRUE(namesOf(imported).contains("net.blocks.3.bias"));
}

/// One block that is called several times is one instance.
TEST(OnnxRepeats, TheSameWeightsAreOneInstance) {
  Net net;
  std::string x = "x";
  for (size_t k = 0; k < 4; ++k) {
    std::string number = std::to_string(k);
    net.add("MatMul", {x, net.weight("net.block.up.weight", {4, 4})}, "a" + number);
    net.add("Add", {"a" + number, net.weight("net.block.up.bias", {4})}, "b" + number);
    net.add("Tanh", {"b" + number}, "c" + number);
    net.add("Abs", {"c" + number}, "d" + number);
    net.add("Exp", {"d" + number}, "e" + number);
    net.add("Sigmoid", {"e" + number}, "g" + number);
    net.add("Add", {x, "g" + number}, "h" + number);
    net.add("Mul", {"h" + number, "c" + number}, "f" + number);
    x = "f" + number;
  }
  net.returns(x);
  Imported imported = net.imported();
  std::string text = checked(imported);
  EXPECT_SAYS(text, "    up = Block()\n");
  EXPECT_SAYS(text, "        for _ in range(4):\n            x_2 = net.block.up(x_2)\n        return x_2\n");
  EXPECT_EQ(namesOf(imported), net.made);
}

/// What a node's name says of its module, and what its metadata say.
TEST(OnnxRepeats, NodesKnowTheirModules) {
  auto scope = [](const std::string &name, const std::string &metadata) {
    std::string one = text(1, "x") + text(2, "y") + text(3, name) + text(4, "Relu");
    if (!metadata.empty())
      one += text(9, text(1, "pkg.torch.onnx.name_scopes") + text(2, metadata));
    std::string bytes = model(text(1, one) + text(11, value("x", 1, {2})) + text(12, value("y", 1, {2})));
    return Model::parse(bytes, "").graph.nodes[0].scope;
  };
  EXPECT_EQ(scope("/encoder/layer.0/attention/MatMul_1", ""), "encoder.layer.0.attention");
  EXPECT_EQ(scope("/layer1/layer1.0/conv/Conv", ""), "layer1.0.conv");
  EXPECT_EQ(scope("/net/features/features.2/features.2.1/fc/Conv", ""), "net.features.2.1.fc");
  EXPECT_EQ(scope("/a/ab.0/Conv", ""), "a.ab.0");
  EXPECT_EQ(scope("MatMul_3", ""), "");
  EXPECT_EQ(scope("/MatMul_3", ""), "");
  EXPECT_EQ(scope("node_1", "['', 'encoder', 'encoder.layer.0', 'linear']"), "encoder.layer.0");
  EXPECT_EQ(scope("node_1", "['', 'linear']"), "");
  EXPECT_EQ(scope("node_1", "['"), "");
}

/// By which a text with modules is given up where the language refuses it.
TEST(OnnxRepeats, ATextIsAskedForItsErrors) {
  auto text = [](const std::string &result) {
    return "module Twice():\n    def forward(x): return x + x\n\nmodel M():\n    both = [Twice() for _ in range(2)]\n\n"
           "    def forward(x: f32[B, 4]):\n        for one in both: x = one(x)\n        return " +
           result + "\n";
  };
  EXPECT_EQ(language::Draft::problemOf(text("x"), {{"B", 2}}), "");
  EXPECT_EQ(language::Draft::problemOf(text("y"), {{"B", 2}}), "unknown name 'y'");
}

} // namespace
} // namespace kiln::onnx
