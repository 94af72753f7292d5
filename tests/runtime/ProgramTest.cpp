#include "runtime/program/TrainStep.h"
#include "runtime/program/WeightFiles.h"
#include "runtime/support/Error.h"
#include "tests/runtime/FakeBackend.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>
#include <zlib.h>

namespace kiln {
namespace {

using ::testing::ElementsAre;
using testing::errorOf;
using testing::fakeImage;
using ::testing::HasSubstr;
using testing::lineManifest;

std::string replaced(std::string text, const std::string &from, const std::string &to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string loadError(const std::string &manifest) {
  kiln_program_image image = fakeImage(manifest);
  return errorOf([&] { Program program(image, 1); });
}

/// Case 28 of what users met: a state_dict as PyTorch writes it.
TEST(WeightFiles, WhatAModelComputesAndSecondNamesArePassedOver) {
  testing::TemporaryFolder folder;
  float table[4] = {1, 2, 3, 4}, other[4] = {1, 2, 3, 5}, zeros[4] = {}, first[4] = {}, second[4] = {};
  int64_t count = 7;
  auto view = [](const std::string &name, const float *data) {
    return TensorView{name, KILN_F32, {2, 2}, reinterpret_cast<const uint8_t *>(data), 16};
  };
  auto load = [&](std::vector<TensorView> tensors, bool partial = false) {
    std::string path = folder.path() + "/w.safetensors";
    writeSafetensors(path, tensors);
    WeightChoice choice;
    choice.files.push_back({path, ""});
    choice.partial = partial;
    return loadWeightFiles(choice, {{"embed.weight", KILN_F32, {2, 2}, first}, {"bias", KILN_F32, {2, 2}, second}});
  };
  TensorView tracked{"bn.num_batches_tracked", KILN_I64, {}, reinterpret_cast<const uint8_t *>(&count), 8};
  load({view("embed.weight", table), view("bias", zeros), tracked, view("positions.pe", other),
        view("head.weight", table), view("optimizer.exp_avg.bias", other)});
  EXPECT_THAT(first, ElementsAre(1, 2, 3, 4));
  // Other bytes are no second name; nor are numbers that are all one.
  EXPECT_THAT(errorOf([&] { load({view("embed.weight", table), view("bias", zeros), view("head.weight", other)}); }),
              HasSubstr("'head.weight' (f32[2, 2]) is not in the model"));
  EXPECT_THAT(errorOf([&] { load({view("embed.weight", table), view("bias", zeros), view("more.bias", zeros)}); }),
              HasSubstr("'more.bias' (f32[2, 2]) is not in the model"));
  EXPECT_THAT(errorOf([&] { load({view("model.embed.weight", table), view("model.bias", zeros)}); }),
              HasSubstr("help: the names begin with 'model.' there: --strip model."));
  first[0] = 9;
  EXPECT_THAT(load({view("bias", other), view("more", zeros)}, true),
              ElementsAre("note: --partial: not all of it fits:", "  'embed.weight' (f32[2, 2]) is missing",
                          "  'more' (f32[2, 2]) is not in the model"));
  EXPECT_EQ(first[0], 9);
  EXPECT_THAT(second, ElementsAre(1, 2, 3, 5));
  EXPECT_THAT(errorOf([&] { load({view("more", zeros)}, true); }), HasSubstr("--partial: nothing of"));
}

TEST(Manifest, Damage) {
  std::string good = lineManifest("x.csv");
  EXPECT_EQ(loadError(good), "");
  auto damaged = [&](const std::string &from, const std::string &to) { return loadError(replaced(good, from, to)); };
  EXPECT_THAT(loadError(good.substr(0, good.size() / 2)), HasSubstr("the program's manifest: byte"));
  EXPECT_THAT(damaged("\"format\": 0", "\"format\": 1"), HasSubstr("format 1; this runtime reads format 0"));
  EXPECT_THAT(damaged("\"dtype\": \"f32\"", "\"dtype\": \"f31\""), HasSubstr("unknown dtype 'f31'"));
  EXPECT_THAT(damaged("\"role\": \"input\"", "\"role\": \"guest\""), HasSubstr("unknown role 'guest'"));
  EXPECT_THAT(damaged("\"kernel\": 0", "\"kernel\": 5"), HasSubstr("'kernel': 5 is outside 0 to 4"));
  EXPECT_THAT(damaged("[\"arg\",0,0]", "[\"arg\",7,0]"), HasSubstr("7 is outside 0 to 6"));
  EXPECT_THAT(damaged("[\"arg\",0,0]", "[\"arg\",0,33]"), HasSubstr("33 is outside 0 to 32"));
  EXPECT_THAT(damaged("[\"arena\",0,128]", "[\"arena\",0,-4]"), HasSubstr("-4 is outside 0 to 256"));
  EXPECT_THAT(damaged("[\"arena\",0,128]", "[\"const\",0,1]"), HasSubstr("1 is outside 0 to 0"));
  EXPECT_THAT(damaged("[\"arena\",0,128]", "[\"heap\",0,0]"), HasSubstr("unknown space 'heap'"));
  EXPECT_THAT(damaged("\"extents\": [[4,0]]", "\"extents\": [[4,1]]"), HasSubstr("1 is outside -1 to 0"));
  EXPECT_THAT(damaged("\"node\": \"sequence\"", "\"node\": \"dance\""), HasSubstr("unknown node 'dance'"));
  EXPECT_THAT(damaged("\"extents\": [\"N\"]", "\"extents\": [\"M\"]"), HasSubstr("is not the symbol 'N'"));
  EXPECT_THAT(damaged("\"shape\": [\"N\", 2]", "\"shape\": [\"N+Q\", 2]"), HasSubstr("unknown symbol 'Q'"));
  EXPECT_THAT(damaged("\"constants\": 0", "\"constants\": 8"), HasSubstr("says 8 bytes of constants, it carries 0"));
}

TEST(Manifest, MayBePacked) {
  std::string good = lineManifest("x.csv"), packed(good.size() + 100, '\0');
  z_stream stream = {};
  ASSERT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef *>(good.data());
  stream.avail_in = static_cast<uInt>(good.size());
  stream.next_out = reinterpret_cast<Bytef *>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  EXPECT_EQ(Manifest::parse(packed).entries.size(), 5u);
  EXPECT_THAT(loadError(packed.substr(0, packed.size() / 2)), HasSubstr("cannot unpack the program's manifest"));
}

// Any one byte changed: an error or a manifest that still makes sense, never a crash.
TEST(Manifest, EveryByteChanged) {
  std::string good = lineManifest("x.csv");
  for (size_t i = 0; i < good.size(); i += 3) {
    std::string text = good;
    text[i] = static_cast<char>('0' + i % 10);
    kiln_program_image image = fakeImage(text);
    try {
      Manifest manifest = Manifest::parse(text);
      Plan plan(manifest, image.constants, image.constant_bytes);
    } catch (const Error &error) {
      EXPECT_STRNE(error.what(), "");
    }
  }
}

TEST(Program, ShapesAreChecked) {
  std::string manifest = lineManifest("x.csv");
  kiln_program_image image = fakeImage(manifest);
  Program program(image, 1);
  Call &forward = program.call("forward");
  int x = forward.input("x");
  ASSERT_GE(x, 0);
  forward.shape(x) = {17, 2};
  EXPECT_THAT(errorOf([&] { forward.run(0, 0); }),
              HasSubstr("B is 17; 'forward' was built for B <= 16: build with --bound B=17"));
  std::vector<float> rows(34);
  EXPECT_THAT(
      errorOf([&] {
        forward.setInput(x, {"", KILN_F32, {17, 2}, reinterpret_cast<const uint8_t *>(rows.data()), 136}, "'x.npy'");
      }),
      HasSubstr("'x.npy': input 'x' is f32[17, 2]: B is 17; 'forward' was built for B <= 16: build with --bound B=17"));
  forward.shape(x) = {0, 2};
  EXPECT_THAT(errorOf([&] { forward.run(0, 0); }), HasSubstr("needs at least 1"));
  forward.shape(x) = {3, 3};
  EXPECT_THAT(errorOf([&] { forward.run(0, 0); }), HasSubstr("input 'x' has the shape [3, 3], expected f32[B, 2]"));
  forward.shape(x) = {3, 2};
  program.parameter("w")->as<float>()[0] = 2;
  float *data = static_cast<float *>(forward.data(x));
  data[2] = 5;
  forward.run(0, 0);
  std::vector<TensorView> results = forward.results(Role::Output);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_THAT(results[0].shape, ElementsAre(3, 1));
  EXPECT_EQ(reinterpret_cast<const float *>(results[0].data)[1], 10);
  EXPECT_THAT(errorOf([&] { program.call("forwrad"); }), HasSubstr("no function 'forwrad' (did you mean 'forward'?)"));
}

TEST(Program, ABatchThatIsCutIsNotTrainedWhole) {
  std::string manifest =
      replaced(lineManifest("x.csv"), "\"train\": {\"steps\": 40", "\"train\": {\"shards\": 2, \"steps\": 40");
  kiln_program_image image = fakeImage(manifest);
  Program program(image, 1);
  // Nobody has linked what runs shards (and where it is in one object with all else, they are not in the program).
  EXPECT_THAT(
      errorOf([&] { makeTrainStep(program); }),
      ::testing::AnyOf(HasSubstr("has nothing that runs shards: build it anew"), HasSubstr("'shard.gradients'")));
}

TEST(Program, ArgumentsMustFitTheirParameters) {
  std::string manifest = replaced(lineManifest("x.csv"), R"("x", "dtype": "f32", "shape": ["B", 2], "bytes": 128},
                 {"role": "parameter", "name": "w", "dtype": "f32", "shape": [1, 2], "bytes": 8})",
                                  R"("x", "dtype": "f32", "shape": ["B", 2], "bytes": 128},
                 {"role": "parameter", "name": "w", "dtype": "f32", "shape": [1, 2], "bytes": 80})");
  kiln_program_image image = fakeImage(manifest);
  Program program(image, 1);
  EXPECT_THAT(errorOf([&] { program.call("forward"); }), HasSubstr("takes 80 bytes of 'w', which has 8"));
}

TEST(Program, StatusBecomesASentence) {
  std::string manifest = lineManifest("x.csv");
  kiln_program_image image = fakeImage(manifest);
  Program program(image, 1);
  Call &check = program.call("check");
  check.shape(0) = {2};
  static_cast<int32_t *>(check.data(0))[1] = 70;
  EXPECT_EQ(errorOf([&] { check.run(0, 0); }),
            "index out of range: 70 is not in 0 to 9 (gather at line.kiln:7:13, in 'check'): 'ids' has it at [1]");
}

/// Losses and the last weights of some steps of the line's training.
std::vector<double> trainLine() {
  std::string manifest = lineManifest("x.csv");
  kiln_program_image image = fakeImage(manifest);
  Program program(image, 1);
  program.initialise(3);
  program.parameter("b")->as<float>()[0] = 0.5F;
  Call &step = program.call("train_step");
  std::vector<double> seen;
  for (int i = 0; i < 6; ++i) {
    for (int input : step.inputs())
      for (int64_t e = 0; e < 4; ++e)
        static_cast<float *>(step.data(input))[e] = static_cast<float>(i + e + input);
    if (i == 3) // what somebody writes between two steps counts
      program.parameter("b")->as<float>()[0] += 1;
    step.run(0, i);
    seen.push_back(step.loss());
  }
  for (const Tensor &tensor : program.parameters())
    seen.push_back(tensor.as<float>()[0]);
  for (const Tensor &tensor : program.states())
    seen.push_back(tensor.as<float>()[0]);
  return seen;
}

std::vector<float> numbersOf(Program &program) {
  std::vector<float> numbers;
  for (auto *tensors : {&program.parameters(), &program.states()})
    for (const Tensor &tensor : *tensors)
      numbers.push_back(tensor.as<float>()[0]);
  return numbers;
}

// Memory that nobody has touched is zeros already, and is not written again; what a run has written is.
TEST(Program, BeginsAnewFromWhatWasTrained) {
  for (bool apart : {false, true}) {
    testing::keepApart(apart);
    std::string manifest = lineManifest("x.csv");
    kiln_program_image image = fakeImage(manifest);
    Program program(image, 1);
    program.initialise(3);
    Call &step = program.call("train_step");
    for (int input : step.inputs())
      static_cast<float *>(step.data(input))[0] = 1;
    step.run(0, 0);
    program.initialise(3);
    std::vector<float> again = numbersOf(program);
    Program other(image, 1);
    other.initialise(3);
    EXPECT_EQ(again, numbersOf(other));
    step.run(0, 0);
    EXPECT_NE(again, numbersOf(program));
    Program written(image, 1); // before it begins
    for (const char *name : {"w", "b"})
      written.parameter(name)->as<float>()[0] = 7;
    written.initialise(3);
    EXPECT_EQ(again, numbersOf(written));
    testing::keepApart(false);
  }
}

TEST(Program, ADeviceWithMemoryOfItsOwnGivesTheSame) {
  std::vector<double> shared = trainLine();
  testing::keepApart(true);
  std::vector<double> apart = trainLine();
  testing::keepApart(false);
  EXPECT_EQ(shared, apart);
  EXPECT_NE(shared[0], shared[5]);
}

EntrySpec entryWith(const std::string &dims, std::vector<SymbolSpec> symbols) {
  EntrySpec entry;
  entry.name = "f";
  entry.symbols = std::move(symbols);
  for (const SymbolSpec &symbol : entry.symbols)
    entry.extents.push_back(Dim::symbol(symbol.name));
  entry.extents.push_back(*Dim::parse("T*128+1"));
  entry.loopSlots = 1;
  ArgumentSpec argument;
  argument.name = "x";
  argument.bytes = 1 << 20;
  argument.type.shape = {*Dim::parse(dims)};
  entry.arguments.push_back(argument);
  return entry;
}

TEST(Extents, SymbolsFromExpressions) {
  EntrySpec entry = entryWith("2*T+1", {{"T", 1, 50}});
  Extents extents(entry);
  std::vector<std::vector<int64_t>> shapes = {{9}};
  extents.bind(shapes);
  EXPECT_EQ(extents.symbol(0), 4);
  EXPECT_EQ(extents.table()[0], 4);
  EXPECT_EQ(extents.table()[1], 513);
  shapes[0] = {10}; // no T gives it
  EXPECT_NE(errorOf([&] { extents.bind(shapes); }), "");
  shapes[0] = {103};
  EXPECT_THAT(errorOf([&] { extents.bind(shapes); }),
              HasSubstr("T is 51; 'f' was built for T <= 50: build with --bound T=51"));
  shapes[0] = {9};
  int64_t *before = extents.table();
  extents.bind(shapes);
  EXPECT_EQ(extents.table()[1], 513);
  (void)before;
}

TEST(Extents, WhatTheModelsTextAllowsIsNotRaisedByAnOption) {
  EntrySpec entry = entryWith("T", {{"T", 1, 16, 16}});
  Extents extents(entry);
  std::vector<std::vector<int64_t>> shapes = {{30}};
  EXPECT_THAT(errorOf([&] { extents.bind(shapes); }),
              HasSubstr("T is 30; 'f' was built for T <= 16, and the model's text allows at most 16: raise it there"));
  EntrySpec lower = entryWith("T", {{"T", 1, 16, 64}});
  Extents built(lower);
  EXPECT_THAT(errorOf([&] { built.bind(shapes); }), HasSubstr("build with --bound T=30"));
}

TEST(Extents, WhatHasToHoldElementsIsChecked) {
  EntrySpec entry = entryWith("T", {{"T", 1, 50}});
  entry.nonEmpty.push_back(*Dim::parse("floordiv(T-3, 2)+1"));
  Extents extents(entry);
  std::vector<std::vector<int64_t>> shapes = {{3}};
  extents.bind(shapes);
  shapes[0] = {2};
  EXPECT_THAT(
      errorOf([&] { extents.bind(shapes); }),
      HasSubstr("'f' needs floordiv(T+1, 2)-1 to be at least 1, and with T = 2 it is 0: the input is too small"));
}

} // namespace
} // namespace kiln
