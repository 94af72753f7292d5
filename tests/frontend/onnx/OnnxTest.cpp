// Files that lie, graphs that make no sense, and what is said of them; the table of docs/onnx.md; all problems at once.
#include "frontend/onnx/ImportFile.h"
#include "frontend/onnx/Model.h"
#include "frontend/onnx/Sizes.h"
#include "frontend/onnx/Value.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "tests/frontend/onnx/Proto.h"

#include "gtest/gtest.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace kiln::onnx {
namespace {

using namespace testing;

/// Everything that is wrong with a model, a line each; empty where it is imported.
std::string problems(const std::string &bytes, const std::string &folder = "",
                     ImportOptions options = {"Model", {}, {}}) {
  try {
    Model model = Model::parse(bytes, folder);
    std::string out;
    for (const std::string &problem : importModel(model, options).problems)
      out += problem + "\n";
    return out;
  } catch (const Error &error) {
    return std::string("file: ") + error.what();
  }
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

std::string input(const std::string &bytes) { return text(11, bytes); }
std::string output(const std::string &bytes) { return text(12, bytes); }
std::string nodes(const std::vector<std::string> &all) {
  std::string out;
  for (const std::string &one : all)
    out += text(1, one);
  return out;
}

/// x: f32[2, 3] and y, with these nodes between.
std::string between(const std::vector<std::string> &all, const std::string &more = "", int64_t opset = 17) {
  return model(nodes(all) + more + input(value("x", 1, {2, 3})) + output(value("y", 1, {2, 3})), opset);
}

std::string floats(size_t count) { return std::string(count * 4, '\0'); }

TEST(OnnxFile, ARightModelIsImported) { EXPECT_EQ(problems(between({node("Relu", {"x"}, {"y"})})), ""); }

TEST(OnnxFile, IsRefusedWhereverItIsCut) {
  std::string whole = between({node("Add", {"x", "w"}, {"y"})}, text(5, tensor("w", 1, {3}, floats(3))));
  ASSERT_EQ(problems(whole), "");
  for (size_t size = 0; size + 1 < whole.size(); ++size)
    EXPECT_NE(problems(whole.substr(0, size)), "") << size;
}

TEST(OnnxFile, LengthsAreCheckedBeforeTheyAreFollowed) {
  EXPECT_SAYS(problems("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "are left");
  EXPECT_SAYS(problems(std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11)), "more than ten bytes");
  EXPECT_SAYS(problems("\x3b"), "wire type");
  EXPECT_SAYS(problems("hello"), "no ONNX file");
  EXPECT_SAYS(problems(""), "it has no graph");
}

TEST(OnnxFile, TensorsHaveTheBytesThatTheyAskFor) {
  auto with = [](const std::string &w) { return problems(between({node("Add", {"x", "w"}, {"y"})}, text(5, w))); };
  EXPECT_SAYS(with(tensor("w", 1, {3}, floats(2))), "f32[3], 12 bytes, and the file has 8 bytes");
  EXPECT_SAYS(with(tensor("w", 1, {1LL << 60, 1LL << 60}, "")), "too large");
  EXPECT_SAYS(with(tensor("w", 1, {-3}, floats(3))), "has the shape");
  EXPECT_SAYS(with(tensor("w", 8, {3}, "")), "of type string");
  EXPECT_SAYS(with(tensor("w", 99, {3}, "")), "type 99");
  EXPECT_SAYS(with(tensor("w", 9, {3}, "abc")), "of bool and holds");
  EXPECT_SAYS(with(number(1, 3) + number(2, 1) + text(8, "w") + text(9, floats(3)) + text(4, floats(3))), "twice");
}

TEST(OnnxFile, NestedTooDeepIsRefused) {
  std::string graph = nodes({node("Relu", {"x"}, {"y"})});
  for (int i = 0; i < 100; ++i)
    graph = nodes({node("If", {"x"}, {"y"}, text(5, text(1, "then_branch") + text(6, graph) + number(20, 5)))});
  EXPECT_SAYS(problems(model(graph)), "nested more than");
}

TEST(OnnxGraph, CyclesAndNamesThatAreDefinedTwiceOrNowhere) {
  EXPECT_SAYS(
      problems(between({node("Add", {"x", "b"}, {"a"}), node("Relu", {"a"}, {"b"}), node("Relu", {"b"}, {"y"})})),
      "a cycle through");
  EXPECT_SAYS(problems(between({node("Relu", {"x"}, {"y"}), node("Abs", {"x"}, {"y"})})), "'y' is defined twice");
  EXPECT_SAYS(problems(between({node("Relu", {"x"}, {"x"}), node("Relu", {"x"}, {"y"})})), "defined twice");
  EXPECT_SAYS(problems(between({node("Relu", {"nothing"}, {"y"})})), "'nothing' is defined nowhere");
  EXPECT_SAYS(problems(between({node("Relu", {"x"}, {"z"})})), "'y' is defined nowhere");
  // Out of order is an order that can be put right.
  EXPECT_EQ(problems(between({node("Relu", {"a"}, {"y"}), node("Abs", {"x"}, {"a"})})), "");
}

TEST(OnnxGraph, AttributesOfAnotherTypeOrOfNoMeaning) {
  EXPECT_SAYS(
      problems(between({node("Softmax", {"x"}, {"y"}, text(5, text(1, "axis") + text(4, "one") + number(20, 3)))})),
      "'axis' is a text; an integer is expected");
  EXPECT_SAYS(problems(between({node("Softmax", {"x"}, {"y"}, attribute("axis", 5))})), "axis 5 is outside");
  EXPECT_SAYS(problems(between({node("Relu", {"x"}, {"y"}, attribute("speed", 5))})), "'speed' is not known");
  EXPECT_SAYS(problems(between({node("Relu", {"x"}, {"y"}, attribute("a", 5) + attribute("a", 5))})), "'a' twice");
  EXPECT_SAYS(problems(between({node("Relu", {"x"}, {"y"}, text(5, text(1, "a") + number(3, 1) + number(20, 7)))})),
              "said to be a list of integers and holds an integer");
}

TEST(OnnxGraph, TextsOfAFileAreNoPartsOfOurs) {
  auto attribute_ = [](const std::string &name, const std::string &value) {
    return text(5, text(1, name) + text(4, value) + number(20, 3));
  };
  std::string scales(8, '\0');
  scales[2] = scales[6] = '\x80', scales[3] = scales[7] = '\x3f'; // 1.0, 1.0
  EXPECT_SAYS(problems(between({node("Resize", {"x", "", "s"}, {"y"}, attribute_("mode", "linear\") + x + (\""))},
                               text(5, tensor("s", 1, {2}, scales)))),
              "which is not there");
  EXPECT_SAYS(problems(between({node("Einsum", {"x"}, {"y"}, attribute_("equation", "ij->ij\", x) + (\""))})),
              "its equation is");
  EXPECT_EQ(
      problems(between({node("Add", {"x", "w\" + x\\n"}, {"y"})}, text(5, tensor("w\" + x\\n", 1, {3}, floats(3))))),
      "");
}

TEST(OnnxGraph, MissingInputsAndUnknownOps) {
  EXPECT_SAYS(problems(between({node("Add", {"x"}, {"y"})})), "input 1 is missing");
  EXPECT_SAYS(problems(between({node("Frobnicate", {"x"}, {"y"})})),
              "node 'the_Frobnicate' (Frobnicate): Kiln has no such op yet");
  EXPECT_SAYS(problems(between({node("Relu", {"x"}, {"y"}, "", "com.other")})), "com.other.Relu");
}

TEST(OnnxGraph, MicrosoftsOpsThatDoNotFit) {
  auto says = [](const std::string &type, const std::vector<std::string> &inputs, const std::string &attributes,
                 const std::string &part) {
    EXPECT_SAYS(problems(between({node(type, inputs, {"y"}, attributes, "com.microsoft")})), part);
  };
  std::vector<std::string> grouped = {"x", "x", "x", "", "", "x", "x"};
  auto heads = [](int64_t queries, int64_t keys) {
    return attribute("num_heads", queries) + attribute("kv_num_heads", keys);
  };
  says("GroupQueryAttention", grouped, heads(3, 2), "its num_heads is 3, and its kv_num_heads 2");
  says("GroupQueryAttention", grouped, heads(4, 2) + attribute("local_window_size", 0), "its local_window_size is 0");
  says("GroupQueryAttention", grouped, heads(4, 2) + attribute("qk_output", 1), "it is asked for its scores");
  says("GroupQueryAttention", grouped, heads(4, 2), "its queries are not [B, T, H * D]");
  says("QLinearConcat", {"x", "x", "x", "x"}, "", "it has 4 inputs; a scale and a zero point");
  says("QGemm", {"x", "x"}, "", "input 3 is missing");
  says("QLinearGlobalAveragePool", {"x", "x", "x", "x", "x"}, "", "it wants [B, C, …]");
  says("DynamicQuantizeLSTM", {"x", "x", "x"}, "", "its weights have no scales");
  says("QLinearConv", {"x", "x", "x", "x", "x", "x", "x", "x"}, attribute("channels_last", 1),
       "its channels stand last");
}

/// A loop over x whose body is `relu`, then the condition and what else it gives.
std::string loopOf(const std::string &count, const std::string &go, const std::vector<std::string> &outputs,
                   const std::string &more = "") {
  std::string body =
      nodes({node("Relu", {"s"}, {"s2"}), node("Identity", {"s2"}, {"row"}),
             node("ReduceSum", {"s2"}, {"all"}, attribute("keepdims", 0)),
             node("Cast", {"all"}, {"changing"}, attribute("to", 9)), node("Identity", {"go"}, {"same"})}) +
      input(value("i", 7, {})) + input(value("go", 9, {})) + input(value("s", 1, {2, 3})) + output(value(go, 9, {})) +
      output(value("s2", 1, {2, 3})) + more;
  std::string graph = text(5, text(1, "body") + text(6, body) + number(20, 5));
  return between({node("Loop", {count, "", "x"}, outputs, graph)},
                 text(5, tensor("three", 7, {}, std::string("\3\0\0\0\0\0\0\0", 8))));
}

TEST(OnnxGraph, LoopsThatDataDecide) {
  EXPECT_EQ(problems(loopOf("", "changing", {"y"})), "");
  EXPECT_EQ(problems(loopOf("three", "changing", {"y"})), "");
  EXPECT_EQ(problems(loopOf("three", "same", {"y"})), "");
  EXPECT_SAYS(problems(loopOf("", "same", {"y"})), "it never ends");
  std::string rows = output(value("row", 1, {2, 3}));
  EXPECT_EQ(problems(loopOf("three", "same", {"y", "rows"}, rows)), "");
  EXPECT_EQ(problems(loopOf("three", "changing", {"y"}, rows)), "");
  EXPECT_EQ(problems(loopOf("three", "changing", {"y", "rows"}, rows)), "");
  EXPECT_SAYS(problems(loopOf("", "changing", {"y", "rows"}, rows)), "nothing says how many there can be");
}

TEST(OnnxGraph, BranchesThatDataDecideAreOfOneShape) {
  auto side = [](const std::string &name, const std::string &op, const std::string &result) {
    std::string graph = nodes({node(op, {"x"}, {result})}) + output(value(result, 1, {2, 3}));
    return text(5, text(1, name) + text(6, graph) + number(20, 5));
  };
  auto branch = [&](const std::string &other) {
    return problems(between(
        {node("ReduceMax", {"x"}, {"m"}, attribute("keepdims", 0)), node("Cast", {"m"}, {"c"}, attribute("to", 9)),
         node("If", {"c"}, {"y"}, side("then_branch", "Relu", "a") + side("else_branch", other, "b"))}));
  };
  EXPECT_EQ(branch("Abs"), "");
  EXPECT_SAYS(branch("Transpose"), "they would have to be of one shape");
}

TEST(OnnxGraph, AllProblemsAreToldAtOnce) {
  std::string all = problems(
      between({node("Frobnicate", {"x"}, {"a"}), node("Softmax", {"x"}, {"b"}, attribute("axis", 9)),
               node("Add", {"a", "b"}, {"c"}), node("StringSplit", {"x"}, {"d"}), node("Sum", {"c", "d"}, {"y"})}));
  EXPECT_SAYS(all, "Frobnicate");
  EXPECT_SAYS(all, "Softmax");
  EXPECT_SAYS(all, "StringSplit");
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 3) << all; // what follows from them is silent
}

TEST(OnnxGraph, AShapeThatDependsOnDataIsRefusedByNode) {
  std::string reshape = model(nodes({node("Reshape", {"x", "s"}, {"y"})}) + input(value("x", 1, {2, 3})) +
                              input(value("s", 7, {2})) + output(value("y", 1, {3, 2})));
  EXPECT_SAYS(problems(reshape), "node 'the_Reshape' (Reshape): its shape depends on data: 's'");
}

/// What follows rows of which data decide how many there are: [6] of them at most.
std::string behindRows(const std::vector<std::string> &more) {
  std::vector<std::string> all = {node("Unique", {"x"}, {"u"})};
  all.insert(all.end(), more.begin(), more.end());
  auto whole = [](const char *name, char number) {
    return text(5, tensor(name, 7, {1}, std::string(1, number) + std::string(7, '\0')));
  };
  return between(all, text(5, tensor("w", 1, {2, 3}, floats(6))) + whole("one", 1) + whole("six", 6));
}

TEST(OnnxGraph, RowsThatDataDecideGoOnByThemselves) {
  for (const auto &more : std::vector<std::vector<std::string>>{
           {node("Relu", {"u"}, {"y"})},
           {node("Add", {"u", "u"}, {"y"})},
           {node("CastLike", {"one", "u"}, {"y"})},
           {node("Unsqueeze", {"u", "one"}, {"c"}), node("Mul", {"c", "c"}, {"m"}), node("Transpose", {"m"}, {"y"})},
           {node("Unsqueeze", {"u", "one"}, {"c"}), node("Concat", {"c", "c"}, {"y"}, attribute("axis", 1))}})
    EXPECT_EQ(problems(behindRows(more)), "");
  for (const auto &more : std::vector<std::vector<std::string>>{
           {node("ReduceSum", {"u"}, {"y"})},
           {node("Shape", {"u"}, {"y"})},
           {node("Softmax", {"u"}, {"y"})},
           {node("CumSum", {"u", "one"}, {"y"})},
           {node("Concat", {"u", "u"}, {"y"}, attribute("axis", 0))},
           {node("Unsqueeze", {"u", "one"}, {"c"}), node("MatMul", {"u", "c"}, {"y"})}})
    EXPECT_SAYS(problems(behindRows(more)), "it would mix them with what is behind");
  EXPECT_SAYS(problems(behindRows({node("Unique", {"w"}, {"v"}), node("Add", {"u", "v"}, {"y"})})),
              "data decide how many rows its inputs have, each for itself");
  EXPECT_SAYS(problems(behindRows({node("Reshape", {"w", "six"}, {"v"}), node("Add", {"u", "v"}, {"y"})})),
              "those of 'v' are others");
}

TEST(OnnxGraph, ShapesAreComputedWithNamesInThem) {
  // y = reshape(x, shape(x)[0] * 3): one program for all N1.
  std::string three(8, '\0'), zero(8, '\0');
  three[0] = 3;
  std::string graph = model(nodes({node("Shape", {"x"}, {"s"}), node("Gather", {"s", "zero"}, {"n"}),
                                   node("Mul", {"n", "three"}, {"m"}), node("Reshape", {"x", "m"}, {"y"})}) +
                            text(5, tensor("zero", 7, {1}, zero)) + text(5, tensor("three", 7, {1}, three)) +
                            input(value("x", 1, {-1, 3})) + output(value("y", 1, {-2})));
  Model model = Model::parse(graph, "");
  Imported imported = importModel(model, {"Model", {{"N1", 8}}, {}});
  ASSERT_TRUE(imported.problems.empty()) << imported.problems[0];
  EXPECT_SAYS(imported.text, "def forward(x: f32[N1 <= 8, 3])");
  EXPECT_SAYS(imported.text, "reshape(x, 3 * N1)");
}

TEST(OnnxGraph, AShapeOfAnExportersExampleNamesItsDimension) {
  std::string graph = nodes({node("Reshape", {"x", "s"}, {"y"})}) +
                      text(5, tensor("s", 7, {2}, std::string("\6\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0", 16))) +
                      input(value("x", 1, {-1, 8})) + output(value("y", 1, {6, 4}));
  EXPECT_SAYS(problems(model(graph)), "only where N1 is 3: --dim N1=3");
  EXPECT_EQ(problems(model(graph), "", {"Model", {}, {{"N1", "3"}}}), "");
}

TEST(OnnxGraph, WhatIsPickedHasToBeThere) {
  auto textOf = [](int64_t place) {
    std::string bytes(8, '\0');
    bytes[0] = static_cast<char>(place);
    std::string graph = nodes({node("Gather", {"x", "at"}, {"y"})}) + text(5, tensor("at", 7, {}, bytes)) +
                        input(value("x", 1, {-1, 8})) + output(value("y", 1, {8}));
    std::string file = model(graph);
    Imported imported = importModel(Model::parse(file, ""), {"Model", {{"N1", 16}}, {}});
    return imported.problems.empty() ? imported.text : imported.problems[0];
  };
  EXPECT_SAYS(textOf(5), "x: f32[6 <= N1 <= 16, 8]");
  EXPECT_SAYS(textOf(20),
              "the model wants at least 21 of the dimension N1 (what it picks has to be there): --bound N1=16 is less");
  EXPECT_SAYS(textOf(0), "x: f32[N1 <= 16, 8]");
  // So has a window that is written as slices.
  std::string window = text(5, text(1, "kernel_shape") + number(8, 3) + number(20, 7));
  std::string file = model(nodes({node("LpPool", {"x"}, {"y"}, window)}) + input(value("x", 1, {1, 2, -1})) +
                           output(value("y", 1, {1, 2, -2})));
  EXPECT_SAYS(importModel(Model::parse(file, ""), {"Model", {}, {}}).text, "x: f32[1, 2, N1 >= 3]");
}

/// Sizes that a graph is right for are found: an axis of one element, elements that a mirror wants, pads that would be
/// cuts, the exporter's example, multiples. What nobody has said is told.
TEST(OnnxGraph, TheSizesThatItIsRightForAreTaken) {
  auto textOf = [](const std::string &graph, std::map<std::string, std::string> *added = nullptr,
                   ImportOptions options = {"Model", {}, {}}) {
    std::string file = model(graph);
    Model parsed = Model::parse(file, "");
    std::map<std::string, std::string> own;
    Imported imported = importFitting(parsed, options, added ? *added : own);
    return imported.problems.empty() ? imported.text : imported.problems[0];
  };
  auto whole = [](std::vector<int64_t> numbers) {
    return std::string(reinterpret_cast<const char *>(numbers.data()), numbers.size() * 8);
  };
  // A pool leaves one of two or three.
  std::string pool = text(5, text(1, "kernel_shape") + number(8, 2) + number(20, 7)) +
                     text(5, text(1, "strides") + number(8, 2) + number(20, 7));
  std::string squeezed = nodes({node("MaxPool", {"x"}, {"p"}, pool), node("Squeeze", {"p", "axes"}, {"y"})}) +
                         text(5, tensor("axes", 7, {1}, whole({2}))) + input(value("x", 1, {1, 4, -1})) +
                         output(value("y", 1, {1, 4}));
  EXPECT_SAYS(textOf(squeezed), "x: f32[1, 4, 2 <= N1 <= 3]");
  EXPECT_SAYS(textOf(squeezed, nullptr, {"Model", {{"N1", 9}}, {}}), "at most 3 for the dimension N1");

  auto padded = [&](const std::string &mode, const std::vector<int64_t> &amounts) {
    std::string how = text(5, text(1, "mode") + text(4, mode) + number(20, 3));
    return nodes({node("Pad", {"x", "pads"}, {"y"}, how)}) + text(5, tensor("pads", 7, {4}, whole(amounts))) +
           input(value("x", 1, {2, -1})) + output(value("y", 1, {2, -1}));
  };
  EXPECT_SAYS(textOf(padded("reflect", {0, 5, 0, 2})), "x: f32[2, N1 >= 6]");
  EXPECT_EQ(textOf(padded("constant", {0, 5, 0, 2})).find(">="), std::string::npos);

  auto shaped = [&](const std::vector<int64_t> &shape) {
    return nodes({node("Reshape", {"x", "s"}, {"y"})}) + text(5, tensor("s", 7, {2}, whole(shape))) +
           input(value("x", 1, {-1, 3})) + output(value("y", 1, {-1, 4}));
  };
  std::map<std::string, std::string> added;
  EXPECT_SAYS(textOf(shaped({-1, 12}), &added), "x: f32[4 * N1, 3]");
  EXPECT_EQ(added, (std::map<std::string, std::string>{{"N1", "4*N1"}}));
  EXPECT_SAYS(textOf(shaped({-1, 12}), nullptr, {"Model", {{"N1", 9}}, {}}), "x: f32[4 * N1, 3]");
  added.clear();
  EXPECT_SAYS(textOf(shaped({5, 6}), &added), "x: f32[10, 3]");
  EXPECT_EQ(added, (std::map<std::string, std::string>{{"N1", "10"}}));

  // Two that have to be one, one that has to be a number, two that are divided, a batch that need not be a multiple.
  auto of = [&](const std::string &op, const std::vector<int64_t> &a, const std::vector<int64_t> &b) {
    return nodes({node(op, {"x", "z"}, {"y"})}) + input(value("x", 1, a)) + input(value("z", 1, b)) +
           output(value("y", 1, {}));
  };
  added.clear();
  EXPECT_SAYS(textOf(of("MatMul", {2, -1}, {-2, 3}), &added), "x: f32[2, N1], z: f32[N1, 3]");
  EXPECT_EQ(added, (std::map<std::string, std::string>{{"N2", "N1"}}));
  added.clear();
  EXPECT_SAYS(textOf(of("Add", {2, -1}, {5}), &added), "x: f32[2, 5]");
  EXPECT_EQ(added, (std::map<std::string, std::string>{{"N1", "5"}}));
  EXPECT_SAYS(textOf(of("Add", {2, -1}, {5}), nullptr, {"Model", {{"N1", 4}}, {}}), "N1 is not 5");
  std::string blocks =
      nodes({node("SpaceToDepth", {"x"}, {"y"}, text(5, text(1, "blocksize") + number(3, 4) + number(20, 2)))}) +
      input(value("x", 1, {1, 3, -1, -2})) + output(value("y", 1, {}));
  added.clear();
  EXPECT_SAYS(textOf(blocks, &added), "x: f32[1, 3, 4 * N1, 4 * N2]");
  std::string rows = nodes({node("Reshape", {"x", "s"}, {"y"})}) + text(5, tensor("s", 7, {2}, whole({-1, 6}))) +
                     input(value("x", 1, {-1, -2})) + output(value("y", 1, {}));
  EXPECT_SAYS(textOf(rows), "x: f32[N1, 6 * N2]");
}

TEST(OnnxGraph, AFunctionThatCallsItselfEnds) {
  std::string function =
      text(1, "F") + text(4, "a") + text(5, "b") + text(7, node("F", {"a"}, {"b"}, "", "own")) + text(10, "own");
  std::string whole = between({node("F", {"x"}, {"y"}, "", "own")}) + text(25, function);
  EXPECT_SAYS(problems(whole), "functions call each other more than");
}

TEST(OnnxGraph, KnownElementsDoNotGrowWithoutABound) {
  // Each sum is as large as the square of the one before.
  std::string a = tensor("a0", 7, {1000, 1}, std::string(8000, '\0'));
  std::vector<std::string> all;
  for (int i = 0; i < 6; ++i) {
    std::string n = std::to_string(i), next = std::to_string(i + 1);
    all.push_back(node("Transpose", {"a" + n}, {"t" + n}));
    all.push_back(node("Add", {"a" + n, "t" + n}, {"b" + n}));
    all.push_back(node("Reshape", {"b" + n, "column"}, {"a" + next}));
  }
  std::string column = tensor("column", 7, {2}, std::string(8, '\xff') + "\1" + std::string(7, '\0'));
  problems(model(nodes(all) + text(5, a) + text(5, column) + input(value("x", 1, {2, 3})) +
                 output(value("a6", 7, {-1, 1}))));
}

TEST(OnnxGraph, AFunctionBombEnds) {
  std::string functions;
  for (int i = 0; i < 30; ++i) { // each calls the next one twice: 2^30 nodes
    std::string next = i == 29 ? "Relu" : "F" + std::to_string(i + 1), domain = i == 29 ? "" : "own";
    functions += text(25, text(1, "F" + std::to_string(i)) + text(4, "a") + text(5, "c") +
                              text(7, node(next, {"a"}, {"b"}, "", domain)) +
                              text(7, node(next, {"b"}, {"c"}, "", domain)) + text(10, "own"));
  }
  EXPECT_SAYS(problems(between({node("F0", {"x"}, {"y"}, "", "own")}) + functions), "more than 50000 nodes");
}

std::string external(const std::string &location, const std::string &more = "") {
  std::string w = number(1, 3) + number(2, 1) + text(8, "w") + text(13, text(1, "location") + text(2, location)) +
                  more + number(14, 1);
  return between({node("Add", {"x", "w"}, {"y"})}, text(5, w));
}

TEST(OnnxExternal, StaysInTheModelsFolder) {
  TemporaryFolder folder("onnx");
  std::filesystem::create_directory(folder.file("model"));
  std::ofstream(folder.file("secret")) << floats(3);
  std::ofstream(folder.file("model/own")) << floats(4);
  std::filesystem::create_symlink(folder.file("secret"), folder.file("model/link"));
  std::string home = folder.file("model");
  auto offset = [](const char *value) { return text(13, text(1, "offset") + text(2, value)); };
  auto length = [](const char *value) { return text(13, text(1, "length") + text(2, value)); };
  EXPECT_EQ(problems(external("own", offset("4")), home), "");
  EXPECT_EQ(problems(external("own", length("12")), home), "");
  EXPECT_SAYS(problems(external("own"), home), "12 bytes, and the file has 16");
  EXPECT_SAYS(problems(external("../secret"), home), "outside of the model's folder");
  EXPECT_SAYS(problems(external("link"), home), "outside of the model's folder");
  EXPECT_SAYS(problems(external(folder.file("secret")), home), "outside of the model's folder");
  EXPECT_SAYS(problems(external(folder.file("model/own")), home), "outside of the model's folder");
  EXPECT_SAYS(problems(external("gone"), home), "cannot be read");
  EXPECT_SAYS(problems(external("own", offset("17")), home), "begins at byte 17");
  EXPECT_SAYS(problems(external("own", offset("8") + length("18446744073709551615")), home), "which has 16");
  EXPECT_SAYS(problems(external("own", offset("-1")), home), "which is no number");
  EXPECT_SAYS(problems(external("own")), "there is no folder");
}

/// Each line of the text says which nodes it is written for: one, or those that were put together.
TEST(OnnxText, LinesKnowTheirNodes) {
  std::string bytes = between({node("Relu", {"x"}, {"a"}), node("Abs", {"a"}, {"b"}), node("Add", {"b", "b"}, {"c"}),
                               node("Exp", {"c"}, {"d"}), node("Sub", {"d", "b"}, {"y"})});
  Imported imported = importModel(Model::parse(bytes, ""), {"Model", {}, {}});
  ASSERT_TRUE(imported.problems.empty());
  std::istringstream lines(imported.text);
  std::vector<std::string> found;
  size_t number = 0;
  for (std::string line; std::getline(lines, line); ++number)
    if (number < imported.origins.size() && !imported.origins[number].empty())
      found.push_back(line.substr(8) + "  # " + imported.origins[number]);
  ASSERT_EQ(found.size(), 2u) << imported.text;
  EXPECT_EQ(found[0], "b = abs(relu(x))  # nodes 'the_Relu' to 'the_Abs'");
  EXPECT_EQ(found[1], "y = exp(b + b) - b  # nodes 'the_Add' to 'the_Sub'");
}

/// The text to train of y = these nodes, between whose inputs are x: f32[2, 3] and these tensors of zeros.
std::string trained(const std::vector<std::string> &all, const std::map<std::string, std::vector<int64_t>> &tensors,
                    const std::string &weights = "w.safetensors", bool train = true) {
  std::string more;
  for (const auto &[name, shape] : tensors)
    more += text(5, tensor(name, 1, shape, floats(shape.empty() ? 1 : static_cast<size_t>(shape[0]))));
  std::string out, bytes = between(all, more); // which the model points into
  Model model = Model::parse(bytes, "");
  Imported imported = importModel(model, {"Model", {}, {}, train, weights});
  for (const std::string &problem : imported.problems)
    out += problem + "\n";
  return out + imported.text;
}

TEST(OnnxTraining, WhatAnExporterNamedIsNoWeight) {
  auto isWeight = [](const std::string &name) {
    return trained({node("Add", {"x", name}, {"y"})}, {{name, {3}}}).find("parameter(") != std::string::npos;
  };
  for (const char *made :
       {"val_7", "onnx::Mul_45", "/norm/Constant_output_0", "/Mul_3_output_0", "Mul_output_0", "lifted_tensor_0",
        "part.lifted_tensor_12", "_lifted_tensor_constant0", "scalar_tensor", "scalar_tensor_default_1", "const_14",
        "const_14_cast", "const_14_cast_2", "jax2tf_f_/Const_8:0", "Const:0", "ConstantFolding/x/truediv_recip:0",
        "const_fold_opt__211"})
    EXPECT_FALSE(isWeight(made)) << made;
  for (const char *given :
       {"scalar_mix.weight", "dense/kernel:0", "model/bias/ReadVariableOp:0", "const_scale", "uplifted.bias",
        "val_head.bias", "gru_output_0.bias", "ConstantScale.weight", "block/Constraint:0", "const", "weight_cast"})
    EXPECT_TRUE(isWeight(given)) << given;
}

TEST(OnnxTraining, ABatchNormsStatisticsCountWhateverTheirNames) {
  std::map<std::string, std::vector<int64_t>> tensors = {{"w", {3}}, {"b", {3}}, {"val_1", {3}}, {"val_2", {3}}};
  std::string norm = node("BatchNormalization", {"x", "w", "b", "val_1", "val_2"}, {"n"});
  std::string add = node("Add", {"x", "val_1"}, {"a"});
  for (const auto &all : {std::vector{norm, add, node("Add", {"n", "a"}, {"y"})},
                          std::vector{add, norm, node("Add", {"n", "a"}, {"y"})}}) {
    std::string found = trained(all, tensors);
    EXPECT_SAYS(found, "val_1 = state(f32[3], persistent)");
    EXPECT_SAYS(found, "val_2 = state(f32[3], persistent)");
    EXPECT_SAYS(found, "val_1, val_2 = trained_batch_norm(x, w, b, val_1, val_2)");
    EXPECT_SAYS(found, "x + full(3, 0.0, dtype=f32)"); // to others it is the number that it was
  }
}

TEST(OnnxTraining, ABatchNormInTrainingHasStatisticsOfTheFile) {
  std::vector<std::string> norm = {
      node("Abs", {"m"}, {"mean"}),
      node("BatchNormalization", {"x", "w", "b", "mean", "v"}, {"y", "next", "spread"}, attribute("training_mode", 1))};
  std::map<std::string, std::vector<int64_t>> tensors = {{"w", {3}}, {"b", {3}}, {"m", {3}}, {"v", {3}}};
  EXPECT_SAYS(trained(norm, tensors),
              "it is in training mode, and its running mean and variance, 'mean' and 'v', are no initializers");
  // Where nothing is trained the batch's statistics are used, and the running ones are results.
  EXPECT_SAYS(trained(norm, tensors, "w.safetensors", false), "always=True)");
}

TEST(OnnxTraining, APowerIsANumberAndAWeightStaysOne) {
  std::string power = node("Pow", {"x", "p"}, {"a"}), product = node("Mul", {"x", "p"}, {"b"}),
              sum = node("Add", {"a", "b"}, {"y"});
  for (const auto &all : {std::vector{power, product, sum}, std::vector{product, power, sum}}) {
    std::string found = trained(all, {{"p", {}}});
    EXPECT_SAYS(found, "p = parameter(f32)");
    EXPECT_SAYS(found, "x ** 0.0");
    EXPECT_SAYS(found, "x * p");
  }
}

/// What sizes are scaled by is a number, and what the result is scaled by a weight.
TEST(OnnxTraining, AFactorOfSizesIsNoWeight) {
  std::vector<std::string> all = {node("Shape", {"x"}, {"shape"}),
                                  node("Cast", {"shape"}, {"sizes"}, attribute("to", 1)),
                                  node("Add", {"sizes", "f"}, {"more"}),
                                  node("Floor", {"more"}, {"down"}),
                                  node("Cast", {"down"}, {"whole"}, attribute("to", 7)),
                                  node("Reshape", {"x", "whole"}, {"turned"}),
                                  node("Mul", {"turned", "f"}, {"y"})};
  std::string found = trained(all, {{"f", {}}});
  EXPECT_SAYS(found, "f = parameter(f32)");
  EXPECT_SAYS(found, "x * f");
}

TEST(OnnxTraining, TheWeightsPathIsQuoted) {
  EXPECT_SAYS(trained({node("Relu", {"x"}, {"y"})}, {}, "a\"b\\c.safetensors"),
              "weights   = \"a\\\"b\\\\c.safetensors\"\n");
}

TEST(OnnxOptions, DimensionsThatAreNumbersOrExpressions) {
  std::string open =
      model(nodes({node("Relu", {"x"}, {"y"})}) + input(value("x", 1, {-1, 3})) + output(value("y", 1, {-1, 3})));
  EXPECT_EQ(problems(open, "", {"Model", {}, {{"N1", "4"}}}), "");
  EXPECT_EQ(problems(open, "", {"Model", {}, {{"N1", "32*H"}}}), "");
  EXPECT_SAYS(problems(open, "", {"Model", {}, {{"N1", "0"}}}), "a number is expected");
  EXPECT_SAYS(problems(open, "", {"Model", {}, {{"N1", "4*"}}}), "a number is expected");
}

TEST(OnnxText, DimensionsAreWrittenAsKilnReadsThem) {
  EXPECT_EQ(dimText(*Dim::parse("floordiv(T+1, 2)")), "(T + 1) // 2");
  EXPECT_EQ(dimText(*Dim::parse("floordiv(floordiv(T+1, 2)+1, 2)*3-B"), true), "(3 * ((((T + 1) // 2) + 1) // 2) - B)");
  EXPECT_EQ(dimText(*Dim::parse("max(T-3, B)")), "max(B, T - 3)");
  EXPECT_EQ(identifier("a.b/c:0", "v"), "a_b_c_0");
  EXPECT_EQ(identifier("7", "v"), "v_7");
  EXPECT_EQ(modelName("/x/my-model.v2.onnx"), "MyModelV2");
}

/// docs/onnx.md has the table that `kiln import --ops` prints.
TEST(OnnxDocs, HaveTheTableOfOps) {
  std::ifstream file(std::string(KILN_SOURCE) + "/docs/onnx.md");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_NE(text.find(opsTable()), std::string::npos) << "put the lines of `kiln import --ops` into docs/onnx.md";
}

} // namespace
} // namespace kiln::onnx
