// Weights in the types that a program stores them in.
#include "runtime/program/StoredWeights.h"
#include "runtime/program/WeightFiles.h"
#include "tests/runtime/Temporary.h"

#include <cmath>
#include <gmock/gmock.h>
#include <pthread.h>
#include <sys/resource.h>

namespace kiln {
namespace {

using testing::errorOf;
using ::testing::HasSubstr;

std::string described(const Safetensors &file, const std::string &name) {
  const TensorView *tensor = file.find(name);
  return tensor ? describeType(tensor->dtype, tensor->shape) : "none";
}

/// A parameter of a model may be called `scales`; and what else is stored in blocks is no matter of a tensor that fits
/// none: what is found in the file is told as it is.
TEST(StoredWeights, WhatDoesNotFitIsToldAsItIsInTheFile) {
  testing::TemporaryFolder folder;
  std::vector<float> numbers(64, 1), read(64);
  auto view = [&](const std::string &name, std::vector<int64_t> shape) {
    return TensorView{name, KILN_F32, shape, reinterpret_cast<const uint8_t *>(numbers.data()),
                      static_cast<size_t>(*countElements(shape)) * 4};
  };
  WeightChoice choice;
  choice.files.push_back({folder.path() + "/w.safetensors", ""});
  auto why = [&](const std::vector<TensorView> &tensors, const std::vector<TensorRequest> &requests) {
    writeSafetensors(choice.files[0].path, tensors);
    std::string loaded = errorOf([&] { loadWeightFiles(choice, requests); });
    EXPECT_EQ(errorOf([&] { checkWeightFiles(choice, requests); }), loaded);
    return loaded;
  };
  TensorRequest own{"scales", KILN_F32, {2}, read.data()}, narrow{"w", KILN_BF16, {3}, read.data()};
  EXPECT_THAT(why({view("scales", {2}), view("w", {4})}, {own, narrow}),
              HasSubstr("'w': expected bf16[3], found f32[4]"));
  EXPECT_EQ(why({view("scales", {2}), view("w", {3})}, {own, narrow}), "");
  TensorRequest blocks{"m", KILN_I8, {2, 1, 32}, read.data()}, scales{"m.scales", KILN_F16, {2, 1}, read.data()};
  EXPECT_THAT(why({view("m", {2, 32}), view("w", {4})}, {blocks, scales, narrow}),
              HasSubstr("'w': expected bf16[3], found f32[4]"));
  EXPECT_EQ(why({view("m", {2, 32}), view("w", {3})}, {blocks, scales, narrow}), "");
}

/// Minimums are chosen for halves of bytes alone: bytes are not put into blocks without them.
TEST(StoredWeights, BytesWithMinimumsAreNotChosen) {
  std::vector<float> numbers(64, 1);
  auto file = [&] {
    return Safetensors::of({{"m", KILN_F32, {1, 64}, reinterpret_cast<const uint8_t *>(numbers.data()), 256}}, "x",
                           nullptr);
  };
  StoredTypes types = {{"m", {KILN_I8, {1, 2, 32}}}, {"m.scales", {KILN_F16, {1, 2}}}};
  EXPECT_EQ(described(storeAs(types, file()), "m"), "i8[1, 2, 32]");
  types["m.minimums"] = types["m.scales"];
  EXPECT_EQ(described(storeAs(types, file()), "m"), "f32[1, 64]");
}

/// How near one block comes in halves of bytes with a minimum; below 0: why it is refused.
double errorOfHalves(const std::vector<float> &block) {
  std::vector<float> row = block;
  row.insert(row.end(), block.begin(), block.end());
  StoredTypes types = {
      {"m", {KILN_U8, {1, 1, 32}}}, {"m.scales", {KILN_F16, {1, 2}}}, {"m.minimums", {KILN_F16, {1, 2}}}};
  std::vector<StoredError> errors;
  Safetensors stored = storeAs(
      types,
      Safetensors::of({{"m", KILN_F32, {1, 64}, reinterpret_cast<const uint8_t *>(row.data()), 256}}, "x", nullptr),
      &errors);
  double off = 0, all = 0;
  for (int64_t i = 0; i < 32; ++i) {
    double number = stored.find("m")->data[i] & 15, scale = loadNumber(KILN_F16, stored.find("m.scales")->data, 0),
           minimum = loadNumber(KILN_F16, stored.find("m.minimums")->data, 0), x = block[static_cast<size_t>(i)];
    off += std::pow(x - number * scale - minimum, 2), all += x * x;
  }
  EXPECT_NEAR(errors[0].relative, all > 0 ? std::sqrt(off / all) : 0, 1e-6);
  return errors[0].relative;
}

/// Lopsided blocks, blocks of one number, tiny ones; what f16 holds no scale or minimum of is refused.
TEST(StoredWeights, HalvesWithMinimums) {
  std::vector<float> block(32);
  auto each = [&](auto number) {
    for (size_t i = 0; i < block.size(); ++i)
      block[i] = static_cast<float>(number(static_cast<double>(i)));
    return errorOfHalves(block);
  };
  EXPECT_EQ(each([](double) { return 0.0; }), 0);
  EXPECT_EQ(each([](double) { return -3.0; }), 0);
  EXPECT_EQ(each([](double i) { return 5 + std::fmod(i, 16) / 4; }), 0); // from 5 up, by quarters
  EXPECT_LT(each([](double i) { return 1 + i / 31; }), 0.013); // steps of 1/15, 1 and more: a sixtieth at most
  EXPECT_LT(each([](double i) { return 0.001 * (1 + i / 31); }), 0.013);
  EXPECT_LT(each([](double i) { return 60000 - i; }), 0.001);
  // Of what is normal numbers' the steps around the first bring a tenth of the squared error at least.
  double plain = 0, all = 0, chosen = each([](double i) { return std::sin(i * i) + std::sin(7 * i) * std::sin(i); });
  auto [low, high] = std::minmax_element(block.begin(), block.end());
  for (float x : block) {
    double step = static_cast<double>(*high - *low) / 15, from = static_cast<double>(*low);
    plain += std::pow(static_cast<double>(x) - from - step * std::nearbyint((static_cast<double>(x) - from) / step), 2);
    all += static_cast<double>(x) * static_cast<double>(x);
  }
  EXPECT_LT(chosen * chosen, 0.9 * plain / all);
  for (double far : {-7e4, 1e6, 1e30})
    EXPECT_THAT(errorOf([&] { each([&](double i) { return i == 3 ? far : 0.0; }); }),
                HasSubstr("beyond what a block's scale"))
        << far;
}

/// What is multiplied with large numbers comes out nearer, at the others' cost; rows of blocks each have their part of
/// it.
TEST(StoredWeights, HalvesByImportance) {
  std::vector<float> row(64);
  for (size_t i = 0; i < row.size(); ++i)
    row[i] = static_cast<float>(std::sin(static_cast<double>(i * i)));
  StoredTypes types = {
      {"m", {KILN_U8, {1, 1, 32}}}, {"m.scales", {KILN_F16, {1, 2}}}, {"m.minimums", {KILN_F16, {1, 2}}}};
  Importance importance = {{"m", std::vector<double>(64, 1)}};
  for (size_t i : {3, 40, 50})
    importance["m"][i] = 1000;
  auto errorBy = [&](const Importance &by, bool weighed) {
    std::vector<StoredError> errors;
    Safetensors stored = storeAs(
        types,
        Safetensors::of({{"m", KILN_F32, {1, 64}, reinterpret_cast<const uint8_t *>(row.data()), 256}}, "x", nullptr),
        &errors, by);
    EXPECT_EQ(errors[0].byImportance, weighed);
    double all = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      auto at = static_cast<int64_t>(i);
      double number = stored.find("m")->data[at % 32] >> (at / 32 * 4) & 15;
      double off = number * loadNumber(KILN_F16, stored.find("m.scales")->data, at / 32) +
                   loadNumber(KILN_F16, stored.find("m.minimums")->data, at / 32) - static_cast<double>(row[i]);
      all += importance["m"][i] * off * off;
    }
    return all;
  };
  EXPECT_LT(errorBy(importance, true), 0.3 * errorBy({}, false));
  EXPECT_EQ(errorBy({{"m", std::vector<double>(64, 0)}}, false), errorBy({}, false));
  EXPECT_EQ(errorOf([&] { errorBy({{"m", std::vector<double>(32, 1)}}, true); }),
            "--importance: 'm.importance': expected f32[64], found f32[32]: it was observed of another model");
}

TEST(StoredWeights, ImportanceIsSumsOfSquares) {
  testing::TemporaryFolder folder;
  std::string path = folder.path() + "/i.safetensors";
  std::vector<float> numbers = {1, 2};
  auto write = [&](const std::string &name) {
    writeSafetensors(path, {{name, KILN_F32, {2}, reinterpret_cast<const uint8_t *>(numbers.data()), 8}});
    return errorOf([&] { readImportance(path); });
  };
  EXPECT_EQ(write("a.importance"), "");
  EXPECT_EQ(readImportance(path).at("a"), (std::vector<double>{1, 2}));
  EXPECT_THAT(write("a"), HasSubstr("holds no 'NAME.importance' of f32"));
  for (float wrong : {-1.0F, INFINITY, NAN}) {
    numbers[1] = wrong;
    EXPECT_THAT(write("a.importance"), HasSubstr("'a.importance': element 1 is")) << wrong;
  }
}

/// Every element that a program reads of blocks; a file's names and types are those of what is stored.
void storeRowsAndColumns(bool minimums) {
  constexpr int64_t rows = 40, width = 64;
  std::vector<float> numbers(rows * width), turned(rows * width);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i)
      numbers[static_cast<size_t>(r * width + i)] = turned[static_cast<size_t>(i * rows + r)] =
          static_cast<float>((i % 16 - 8) * (r + 1));
  auto view = [](const std::string &name, const std::vector<float> &data, std::vector<int64_t> shape) {
    return TensorView{name, KILN_F32, std::move(shape), reinterpret_cast<const uint8_t *>(data.data()),
                      data.size() * sizeof(float)};
  };
  auto file = [&] {
    return Safetensors::of({view("m", numbers, {rows, width}), view("t", turned, {width, rows})}, "x", nullptr);
  };
  StoredTypes types;
  for (const char *name : {"m", "t"})
    types[name] = {KILN_U8, {rows, 1, 32}};
  types["m.scales"] = types["t.column_scales"] = {KILN_F16, {rows, 2}};
  if (minimums)
    types["m.minimums"] = types["t.minimums"] = types["m.scales"];
  std::vector<StoredError> errors;
  Safetensors stored = storeAs(types, file(), &errors), asked = typesAs(types, file());
  ASSERT_EQ(errors.size(), 2U);
  EXPECT_LT(errors[0].relative, 1e-9);
  for (auto [name, end] : {std::pair("m", ".scales"), std::pair("t", ".column_scales")}) {
    const TensorView *blocks = stored.find(name), *scales = stored.find(std::string(name) + end);
    ASSERT_TRUE(blocks && scales) << name;
    const TensorView *least = stored.find(std::string(name) + ".minimums");
    ASSERT_EQ(least != nullptr, minimums);
    EXPECT_EQ(described(asked, name), described(stored, name));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < width; ++i) {
        int64_t number = blocks->data[r * 32 + i % 32] >> (i / 32 * 4) & 15;
        double scale = loadNumber(KILN_F16, scales->data, r * 2 + i / 32);
        double element = minimums
                             ? static_cast<double>(number) * scale + loadNumber(KILN_F16, least->data, r * 2 + i / 32)
                             : static_cast<double>(number - 8) * scale;
        EXPECT_EQ(element, numbers[static_cast<size_t>(r * width + i)]) << name << i;
      }
  }
}
TEST(StoredWeights, BlocksOfRowsAndOfColumns) { storeRowsAndColumns(false); }
TEST(StoredWeights, BlocksWithMinimumsOfRowsAndOfColumns) { storeRowsAndColumns(true); }

/// Where no thread more can be started it is a sentence, or is done without; never the end of the process.
TEST(StoredWeights, ThreadsThatDoNotStartAreAnError) {
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) // which ask for more themselves
  std::vector<float> numbers(64, 1);
  auto file = [&] {
    return Safetensors::of({{"m", KILN_F32, {1, 64}, reinterpret_cast<const uint8_t *>(numbers.data()), 256}}, "x",
                           nullptr);
  };
  StoredTypes types = {{"m", {KILN_I8, {1, 2, 32}}}, {"m.scales", {KILN_F16, {1, 2}}}};
  auto store = [&] {
    pthread_attr_t wide; // of a thread's stack more than there is room for
    pthread_attr_init(&wide);
    pthread_attr_setstacksize(&wide, size_t{1} << 40);
    rlimit limit = {size_t{1} << 38, size_t{1} << 38};
    if (pthread_setattr_default_np(&wide) || setrlimit(RLIMIT_AS, &limit))
      _exit(3);
    std::string why = errorOf([&] { storeAs(types, file()); });
    _exit(why.empty() || why.find("threads") != std::string::npos ? 0 : 4);
  };
  EXPECT_EXIT(store(), ::testing::ExitedWithCode(0), "");
#endif
}

} // namespace
} // namespace kiln
