// Folders whose weights are quantised (tests/fixtures/make_quantised.py): each element to the bit, widened and in
// blocks; and those that are damaged, or say what is not so.
#include "tests/frontend/import/QuantisedCases.h"

#include "frontend/huggingface/Folder.h"
#include "frontend/huggingface/Quantised.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cmath>
#include <filesystem>

namespace kiln {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string quantisedFolder = std::string(KILN_FIXTURES) + "/quantised/";

/// FNV-1a.
std::string hashOf(const std::vector<float> &elements) {
  uint64_t value = 0xcbf29ce484222325;
  const auto *bytes = reinterpret_cast<const uint8_t *>(elements.data());
  for (size_t i = 0; i < elements.size() * sizeof(float); ++i)
    value = (value ^ bytes[i]) * 0x100000001b3;
  return format("%016llx", static_cast<unsigned long long>(value));
}

/// A matrix as kiln.dequantize and kiln.decode read it; `kept`: was it in blocks?
std::vector<float> elementsOf(const Safetensors &tensors, const std::string &name, bool &kept) {
  auto made = [&](const std::string &end) { return std::make_unique<MadeBytes>(*tensors.find(name + end)); };
  auto own = made("");
  const TensorView &numbers = own->view;
  auto form = blockFormOf(name, [&](const std::string &other) { return tensors.find(other); });
  kept = form.has_value();
  std::vector<float> elements;
  if (!form) {
    EXPECT_EQ(numbers.dtype, KILN_F32);
    for (int64_t i = 0; i < countElements(numbers.shape).value_or(0); ++i)
      elements.push_back(static_cast<float>(loadNumber(numbers.dtype, numbers.data, i)));
    return elements;
  }
  auto ownScales = made(form->scalesEnd()), ownMinimums = form->minimums ? made(BlockForm::minimumsEnd) : nullptr,
       ownOrder = form->ordered ? made(BlockForm::orderEnd) : nullptr;
  const TensorView &scales = ownScales->view, *minimums = ownMinimums ? &ownMinimums->view : nullptr,
                   *order = ownOrder ? &ownOrder->view : nullptr;
  int64_t rows = scales.shape[0], width = scales.shape[1] * form->size;
  EXPECT_EQ(numbers.shape, form->numbersShape(rows, width));
  elements.resize(static_cast<size_t>(rows * width));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < width; ++i) {
      int64_t block = i / form->size, of = row * scales.shape[1] + block;
      int number = form->halves ? 0 : static_cast<int8_t>(numbers.data[row * width + i]);
      if (form->halves) {
        uint8_t byte = numbers.data[row * width / 2 + block / 2 * form->size + i % form->size];
        number = (block % 2 ? byte >> 4 : byte & 15) - form->shift();
      }
      float stands = form->coding == Coding::None ? static_cast<float>(number)
                                                  : codedNumber(form->coding, static_cast<uint8_t>(number));
      float element = stands * static_cast<float>(loadNumber(scales.dtype, scales.data, of));
      if (minimums)
        element += static_cast<float>(loadNumber(minimums->dtype, minimums->data, of));
      int64_t column = order ? loadInteger(KILN_I32, order->data, i) : i;
      elements[static_cast<size_t>(form->columns ? column * rows + row : row * width + column)] = element;
    }
  return elements;
}

// Each method's matrices are to the bit what its reference makes of them in f32, also those that go into the program
// as blocks; which those are stands here.
TEST(Quantised, MatricesAreWhatTheReferenceMakesOfThem) {
  const std::map<std::string, int> inBlocks = {
      {"gptq", 7},       {"gptq_order", 8}, {"gptq_v2", 7},  {"gptq_8", 8},     {"gptq_3", 7},     {"gptq_2", 7},
      {"gptq_gpt2", 4},  {"awq", 7},        {"awq_gemv", 7}, {"mlx", 9},        {"mlx_mixed", 7},  {"fp8", 0},
      {"fp8_blocks", 7}, {"fbgemm", 7},     {"floats", 7},   {"pack", 7},       {"pack_sym", 7},   {"pack_order", 7},
      {"pack_8", 7},     {"int", 7},        {"int_zero", 7}, {"float", 7},      {"float_all", 7},  {"nf4", 6},
      {"fp4", 6},        {"int8", 7},       {"modelopt", 7}, {"pack_nvfp4", 7}, {"pack_mxfp4", 7}, {"mxfp4", 9}};
  std::map<std::string, int> found;
  for (const auto &entry : std::filesystem::directory_iterator(quantisedFolder)) {
    std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    Safetensors expected = Safetensors::open(entry.path().string() + "/expected.safetensors");
    int &blocks = found[name];
    for (bool keep : {false, true}) {
      huggingface::Imported read = huggingface::readFolder(entry.path().string(), "", keep);
      for (const auto &[matrix, hash] : expected.metadata()) {
        bool kept = false;
        ASSERT_TRUE(read.tensors.find(matrix)) << matrix;
        EXPECT_TRUE(read.tensors.find(matrix)->source) << matrix; // made when it is read: never all of them at once
        EXPECT_EQ(hashOf(elementsOf(read.tensors, matrix, kept)), hash) << matrix << (keep ? ", in blocks" : "");
        EXPECT_TRUE(keep || !kept) << matrix;
        blocks += kept;
      }
      bool told = std::any_of(read.notes.begin(), read.notes.end(), [](const std::string &note) {
        return note.find("are widened to f32") != std::string::npos;
      });
      EXPECT_EQ(told, keep && static_cast<size_t>(blocks) < expected.metadata().size());
    }
  }
  EXPECT_EQ(found, inBlocks);
}

// What is not in four bits here: scales that only f32 holds, groups that no block divides, zero points at both ends.
TEST(Quantised, BlocksAreTakenWhereTheyHoldTheMatrix) {
  ThreadPool threads(2);
  auto form = [&](int64_t width, int64_t group, int bits, kiln_dtype scales, int zero, float minimum) {
    huggingface::QuantisedMatrix matrix;
    matrix.name = "w";
    matrix.rows = 3, matrix.width = width, matrix.group = group, matrix.bits = bits, matrix.scales = scales;
    matrix.lifted = minimum != 0;
    matrix.numbers = [=](int64_t row, uint8_t *numbers) {
      for (int64_t i = 0; i < width; ++i)
        numbers[i] = static_cast<uint8_t>((row * 7 + i * 5) & ((1 << bits) - 1));
    };
    float scale = scales == KILN_F32 ? 0.1F : 0.0625F;
    matrix.groups = [=, count = matrix.groupsOfRow()](int64_t row, huggingface::Group *groups) {
      for (int64_t g = 0; g < count; ++g)
        groups[g] = {scale * static_cast<float>(row + 1), minimum, zero};
    };
    std::string text = "f32";
    if (std::optional<BlockForm> form = blocksOf(matrix, false, threads)) {
      text = std::string(form->halves ? "halves" : "bytes") + std::to_string(form->size) +
             (form->minimums ? " lifted" : "") + (form->wideScales ? " wide" : "");
      std::vector<Tensor> tensors = inBlocks(matrix, *form, threads);
      std::vector<TensorView> views;
      for (const Tensor &tensor : tensors)
        views.push_back(tensor.view());
      std::vector<float> wide(static_cast<size_t>(3 * width));
      widenTo(matrix, false, threads, wide.data());
      bool kept = false;
      EXPECT_EQ(elementsOf(Safetensors::of(views, "w", nullptr), "w", kept), wide) << text;
    }
    return text;
  };
  EXPECT_EQ(form(256, 128, 4, KILN_F16, 8, 0), "halves128");
  EXPECT_EQ(form(128, 128, 4, KILN_F16, 8, 0), "halves64");
  EXPECT_EQ(form(96, 96, 4, KILN_F16, 8, 0), "halves16");
  EXPECT_EQ(form(48, 48, 4, KILN_F16, 8, 0), "f32");
  EXPECT_EQ(form(256, 8, 4, KILN_F16, 8, 0), "f32");
  EXPECT_EQ(form(256, 64, 4, KILN_F16, 16, 0), "halves64 lifted");
  EXPECT_EQ(form(256, 64, 4, KILN_F32, 16, 0), "bytes64 wide");
  EXPECT_EQ(form(256, 64, 4, KILN_F32, 8, 0), "halves64 wide");
  EXPECT_EQ(form(256, 64, 8, KILN_F16, 128, 0), "bytes64");
  EXPECT_EQ(form(256, 64, 8, KILN_BF16, 256, 0), "bytes64 lifted wide");
  EXPECT_EQ(form(256, 64, 8, KILN_F32, 127, 0), "f32");
  EXPECT_EQ(form(256, 64, 4, KILN_F16, 0, -0.5F), "halves64 lifted");
  EXPECT_EQ(form(256, 64, 6, KILN_F16, 0, -0.5F), "bytes64 lifted");
  EXPECT_EQ(form(256, 64, 8, KILN_F16, 0, -0.5F), "bytes64 lifted wide");
  EXPECT_EQ(form(256, 64, 8, KILN_F16, 0, -1e-7F), "f32");
}

// Stored as one less, a zero point of 0 is all bits, and borrows from the next of its word, as GPTQModel writes words.
TEST(Quantised, ZeroPointsOfNothingInGptq) {
  for (int64_t bits : {2, 3, 4, 8}) {
    int64_t most = (1 << bits) - 1;
    std::vector<uint32_t> words(static_cast<size_t>(bits)); // of 32 rows
    std::vector<float> expected;
    for (int64_t row = 0; row < 32; ++row) {
      int64_t zero = row % 3 == 0 ? 0 : row * 5 & most;
      auto stored = static_cast<uint64_t>(bits == 3 ? (zero - 1) & most : zero) << (row * bits % 32);
      words[static_cast<size_t>(row * bits / 32)] |= static_cast<uint32_t>(stored);
      if (stored >> 32)
        words[static_cast<size_t>(row * bits / 32) + 1] |= static_cast<uint32_t>(stored >> 32);
      expected.insert(expected.end(), 32, static_cast<float>(-zero));
    }
    std::string zeros;
    for (uint32_t word : words)
      zeros += testing::repeated(1, bits == 3 ? word : word - UINT32_MAX / static_cast<uint32_t>(most));
    testing::QuantisedCase given = testing::quantisedCases().at("gptq");
    given.config.replace(given.config.find("\"bits\":4"), 8, format("\"bits\":%d", static_cast<int>(bits)));
    given.tensors = {{"q.qweight", {KILN_I32, {bits, 32}, std::string(static_cast<size_t>(bits) * 128, '\0')}},
                     {"q.qzeros", {KILN_I32, {1, bits}, zeros}},
                     {"q.scales", {KILN_F16, {1, 32}, testing::repeated(32, uint16_t{0x3c00})}}};
    huggingface::Settings settings(Json::parse(given.config, "x"), "x");
    for (bool keep : {false, true}) {
      std::vector<std::string> notes;
      bool read = false, kept = false;
      Safetensors tensors =
          huggingface::readQuantised(settings, Safetensors::of(given.views(), "x", nullptr), keep, notes, read);
      EXPECT_EQ(elementsOf(tensors, "q.weight", kept), expected) << bits;
      EXPECT_EQ(kept, keep);
    }
  }
}

TEST(Quantised, FloatsOfEightBits) {
  auto number = [](kiln_dtype dtype, uint8_t bits) { return huggingface::numberAt({"x", dtype, {1}, &bits, 1}, 0); };
  EXPECT_EQ(number(KILN_F8E4M3, 0x7e), 448);
  EXPECT_EQ(number(KILN_F8E4M3, 0xfe), -448);
  EXPECT_EQ(number(KILN_F8E4M3, 0x38), 1);
  EXPECT_EQ(number(KILN_F8E4M3, 0x01), std::ldexp(1.0F, -9));
  EXPECT_EQ(number(KILN_F8E4M3, 0x0f), std::ldexp(15.0F, -9));
  EXPECT_TRUE(std::isnan(number(KILN_F8E4M3, 0xff)));
  EXPECT_EQ(number(KILN_F8E5M2, 0x7b), 57344);
  EXPECT_EQ(number(KILN_F8E5M2, 0xfc), -INFINITY);
  EXPECT_EQ(number(KILN_F8E5M2, 0x01), std::ldexp(1.0F, -16));
  EXPECT_TRUE(std::isnan(number(KILN_F8E5M2, 0x7d)));
}

/// What reading it says.
std::string said(const testing::QuantisedCase &of) {
  std::vector<std::string> says;
  for (bool keep : {false, true})
    try {
      huggingface::Settings settings(Json::parse(of.config, "config.json"), "'config.json'");
      std::vector<std::string> notes;
      bool read = false;
      huggingface::readQuantised(settings, Safetensors::of(of.views(), "x", nullptr), keep, notes, read);
      says.emplace_back();
    } catch (const Error &error) {
      says.emplace_back(error.what());
    }
  EXPECT_EQ(says[0], says[1]);
  return says[0];
}

using Case = testing::QuantisedCase;

std::string saidOf(const std::string &name, const std::function<void(Case &)> &change) {
  Case given = testing::quantisedCases().at(name);
  EXPECT_EQ(said(given), "") << name;
  change(given);
  return said(given);
}

void replace(std::string &text, const std::string &from, const std::string &to) {
  ASSERT_NE(text.find(from), std::string::npos);
  text.replace(text.find(from), from.size(), to);
}

/// What is said where `from` of config.json is `to`.
std::string saidWith(const std::string &name, const std::string &from, const std::string &to) {
  return saidOf(name, [&](Case &given) { replace(given.config, from, to); });
}

TEST(Quantised, SettingsThatAreNotRead) {
  EXPECT_THAT(saidWith("gptq", "\"gptq\"", "\"hqq\""),
              AllOf(HasSubstr("quantised by \"hqq\" ('quant_method': half-quadratic"),
                    HasSubstr("which is not read; those that are: gptq, awq, fp8"),
                    HasSubstr("model.dequantize().save_pretrained(FOLDER)")));
  EXPECT_THAT(saidWith("gptq", "\"bits\":4", "\"bits\":5"), HasSubstr("'bits' is 5; those that are read: 2, 3, 4, 8"));
  EXPECT_THAT(saidWith("gptq", "\"bits\":4", "\"bits\":\"4\""), HasSubstr("'bits' is \"4\"; those that are read"));
  EXPECT_THAT(saidWith("gptq", "\"bits\":4,", ""), HasSubstr("has no 'bits'"));
  EXPECT_THAT(saidWith("gptq", "\"group_size\":32,", ""), HasSubstr("has no 'group_size'"));
  EXPECT_THAT(saidWith("gptq", "\"group_size\":32", "\"group_size\":48"),
              HasSubstr("'a.q_proj.qweight': rows of 64 are no whole groups of 48 ('group_size')"));
  EXPECT_THAT(saidWith("gptq", "\"group_size\":32", "\"group_size\":0"), HasSubstr("no whole groups of 0"));
  EXPECT_THAT(saidWith("gptq", "\"bits\":4", "\"checkpoint_format\":\"marlin\",\"bits\":4"),
              HasSubstr("'checkpoint_format' is \"marlin\", which is a kernel's own order; gptq and gptq_v2 are read"));
  EXPECT_THAT(saidWith("gptq", "\"bits\":4", "\"dynamic\":{\"+:q\":{\"bits\":8}},\"bits\":4"),
              HasSubstr("'dynamic' gives the layers \"+:q\" settings of their own"));
  EXPECT_EQ(saidWith("gptq", "\"bits\":4", "\"dynamic\":{\"-:lm_head\":{}},\"bits\":4"), "");
  EXPECT_THAT(saidWith("gptq", "\"quant_method\":\"gptq\",\"bits\":4,", ""), HasSubstr("has no 'quant_method'"));
  EXPECT_THAT(saidWith("awq", "gemm", "exllama"), HasSubstr("'version' is \"exllama\""));
  EXPECT_THAT(saidWith("awq", "gemm", "gemv"), HasSubstr("rows of 8 are no whole groups of 32"));
  EXPECT_THAT(saidWith("mlx", "\"group_size\":32", "\"mode\":\"nvfp4\",\"group_size\":32"),
              HasSubstr("'mode' is \"nvfp4\"; affine is read"));
  EXPECT_THAT(saidWith("pack", "pack-quantized", "mxfp8-quantized"),
              HasSubstr("'format' is \"mxfp8-quantized\"; those that are read: pack-quantized"));
  EXPECT_THAT(saidWith("pack", "\"format\"", "\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"},\"format\""),
              HasSubstr("'sparsity_config': the format \"sparse-24-bitmask\" is not read"));
  EXPECT_THAT(saidWith("pack", "\"num_bits\":4", "\"num_bits\":8"),
              HasSubstr("'a.q_proj.weight_packed': i32[2, 4] is no matrix [2, 32] in the 'num_bits'"));
  EXPECT_THAT(
      saidWith("fp8", "[2,16]", "[2,8]"),
      HasSubstr("'a.q_proj.weight_scale_inv': f32[2, 2] are no scales of a matrix [3, 32]: one for all, for a row, "
                "or for blocks of [2, 8]"));
  EXPECT_THAT(saidWith("fp8", "[2,16]", "16"), HasSubstr("'weight_block_size' is 16; two numbers are expected"));
  EXPECT_THAT(saidWith("gptq",
                       "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"sym\":true,\"desc_act\":false}",
                       "true"),
              HasSubstr("'quantization_config' is no object"));
}

TEST(Quantised, WhatConfigAndTensorsDoNotAgreeIn) {
  EXPECT_THAT(saidOf("gptq", [](Case &given) { given.config = R"({"model_type":"llama"})"; }),
              AllOf(HasSubstr("is quantised (it is GPTQ's or AWQ's), and no 'quantization_config' says how"),
                    HasSubstr("quantize_config.json or quant_config.json is what to put there")));
  // As AutoGPTQ and AutoAWQ wrote these, which name no method.
  EXPECT_EQ(saidWith("gptq", "\"quant_method\":\"gptq\",", ""), "");
  EXPECT_EQ(saidWith("awq", R"("quant_method":"awq","bits":4,"group_size":32,"version":"gemm")",
                     R"("zero_point":true,"q_group_size":32,"w_bit":4,"version":"GEMM")"),
            "");
  for (const char *name : {"mlx", "fp8", "pack", "whole", "nf4", "int8"})
    EXPECT_THAT(saidOf(name, [](Case &given) { given.config = R"({"model_type":"llama"})"; }),
                HasSubstr("and no 'quantization_config' says how"))
        << name;
  for (const char *name : {"gptq", "awq", "mlx", "fp8", "pack", "whole", "nf4", "int8", "mxfp4", "modelopt"})
    EXPECT_THAT(
        saidOf(name,
               [](Case &given) { given.tensors = {{"a.q_proj.weight", {KILN_F32, {1, 1}, std::string(4, '\0')}}}; }),
        HasSubstr("and no tensor is: "))
        << name;
  EXPECT_THAT(
      saidOf("gptq", [](Case &given) { given.tensors["a.q_proj.weight"] = {KILN_F32, {1, 1}, std::string(4, '\0')}; }),
      HasSubstr("'a.q_proj.weight' is there twice: as it is, and quantised"));
}

/// What is said where a tensor is another one; an empty shape: where it is missing.
std::string saidOfTensor(const std::string &name, const std::string &tensor, const Case::Bytes &other) {
  return saidOf(name, [&](Case &given) {
    ASSERT_TRUE(given.tensors.contains("a.q_proj." + tensor)) << tensor;
    if (other.shape.empty())
      given.tensors.erase("a.q_proj." + tensor);
    else
      given.tensors["a.q_proj." + tensor] = other;
  });
}

TEST(Quantised, TensorsThatDoNotFit) {
  for (auto [name, tensor] : {std::pair("gptq", "qzeros"),
                              {"gptq", "scales"},
                              {"awq", "qzeros"},
                              {"awq", "scales"},
                              {"mlx", "biases"},
                              {"fp8", "weight_scale_inv"},
                              {"pack", "weight_scale"},
                              {"pack", "weight_shape"},
                              {"whole", "weight_scale"},
                              {"nf4", "weight.absmax"},
                              {"nf4", "weight.quant_map"},
                              {"nf4", "weight.nested_absmax"},
                              {"int8", "weight"},
                              {"mxfp4", "gate_up_proj_scales"},
                              {"modelopt", "weight_scale"},
                              {"modelopt", "weight_scale_2"}})
    EXPECT_THAT(saidOfTensor(name, tensor, {}), HasSubstr("is missing among the tensors")) << name << " " << tensor;
  EXPECT_THAT(saidWith("gptq", "\"desc_act\":false", "\"desc_act\":true"), "");
  EXPECT_THAT(saidOf("gptq",
                     [](Case &given) {
                       given.tensors.erase("a.q_proj.g_idx");
                       replace(given.config, "\"desc_act\":false", "\"desc_act\":true");
                     }),
              HasSubstr("'a.q_proj.g_idx': is missing"));
  EXPECT_THAT(saidOfTensor("gptq", "scales", {KILN_F16, {2, 4}, std::string(16, '\0')}),
              HasSubstr("'a.q_proj.qweight': i32[8, 8] are no numbers of 4 bits in columns of 4"));
  EXPECT_THAT(saidOfTensor("gptq", "scales", {KILN_I32, {2, 8}, std::string(64, '\0')}),
              HasSubstr("'a.q_proj.scales': expected a matrix of f16, found i32[2, 8]"));
  EXPECT_THAT(saidOfTensor("gptq", "qzeros", {KILN_I32, {1, 1}, std::string(4, '\0')}),
              HasSubstr("'a.q_proj.qzeros': expected i32[2, 1], found i32[1, 1]"));
  EXPECT_THAT(saidOfTensor("gptq", "qweight", {KILN_I32, {0, 8}, ""}), HasSubstr("expected a matrix of i32"));
  EXPECT_THAT(saidOfTensor("gptq", "g_idx", {KILN_I32, {64}, testing::repeated(64, 2)}),
              HasSubstr("'a.q_proj.g_idx': element 0 is 2, and there are 2 groups"));
  EXPECT_THAT(saidOfTensor("gptq", "g_idx", {KILN_I32, {64}, testing::repeated(64, -1)}), HasSubstr("element 0 is -1"));
  EXPECT_THAT(saidOfTensor("gptq", "g_idx", {KILN_I32, {32}, testing::repeated(32, 0)}),
              HasSubstr("expected i32[64], found i32[32]"));
  EXPECT_THAT(saidOfTensor("gptq", "scales", {KILN_F16, {2, 8}, testing::repeated(16, uint16_t{0x7e00})}),
              HasSubstr("'a.q_proj.weight': a scale of row 7 is not finite; the file is damaged"));
  EXPECT_THAT(saidOfTensor("mlx", "biases", {KILN_F16, {2, 1}, testing::repeated(2, uint16_t{0x7c00})}),
              HasSubstr("is not finite"));
  EXPECT_THAT(saidOfTensor("mlx", "weight", {KILN_F32, {2, 8}, std::string(64, '\0')}),
              HasSubstr("'a.q_proj.scales': a 'weight' of u32 is expected beside it"));
  EXPECT_THAT(saidOfTensor("fp8", "weight_scale_inv", {KILN_F32, {2, 2}, testing::repeated(4, NAN)}),
              HasSubstr("'a.q_proj.weight_scale_inv': element 0 is not finite"));
  EXPECT_THAT(saidOfTensor("pack", "weight_shape",
                           {KILN_I64, {2}, testing::repeated(1, int64_t{2}) + testing::repeated(1, INT64_MAX)}),
              HasSubstr("is no matrix [2, 9223372036854775807]"));
  EXPECT_THAT(saidOfTensor("pack", "weight_zero_point", {KILN_I32, {2, 1}, std::string(8, '\0')}),
              HasSubstr("expected i32[1, 1], found i32[2, 1]"));
  EXPECT_THAT(saidOfTensor("whole", "weight_scale", {KILN_F32, {3, 1}, std::string(12, '\0')}),
              HasSubstr("f32[3, 1] are no scales of a matrix [2, 32]"));
  EXPECT_THAT(saidOfTensor("nf4", "weight", {KILN_U8, {63, 1}, std::string(63, '\0')}),
              HasSubstr("expected 64 bytes for a matrix [4, 32], found u8[63, 1]"));
  EXPECT_EQ(saidOfTensor("nf4", "weight", {KILN_BF16, {32, 1}, std::string(64, '\0')}), ""); // of other elements
  for (char zero : {'\0', '\1'})
    EXPECT_THAT(saidOf("whole",
                       [&](Case &given) {
                         given.tensors["a.q_proj.weight"] = {KILN_F8E4M3, {2, 32}, std::string(64, '\x39')};
                         given.tensors["a.q_proj.weight_zero_point"].bytes = std::string(2, zero);
                       }),
                HasSubstr(zero ? "'a.q_proj.weight_zero_point': a zero point of floats is not 0" : ""));
  EXPECT_THAT(saidOfTensor("nf4", "weight.absmax", {KILN_U8, {3}, std::string(3, '\0')}),
              HasSubstr("'a.q_proj.weight.absmax': expected u8[4], found u8[3]"));
  EXPECT_THAT(saidOfTensor("nf4", "weight.nested_absmax", {KILN_F32, {2}, testing::repeated(2, NAN)}),
              HasSubstr("a scale is not finite"));
  EXPECT_THAT(saidOfTensor("nf4", "weight.quant_state.bitsandbytes__nf4", {KILN_U8, {2}, "{}"}), HasSubstr("'shape'"));
  EXPECT_THAT(saidOfTensor("nf4", "weight.quant_state.bitsandbytes__nf4", {KILN_U8, {2}, "{\xd6"}),
              HasSubstr("bitsandbytes__nf4': its JSON: byte 2: not valid JSON near '{'"));
  EXPECT_THAT(saidOfTensor("int8", "SCB", {KILN_F32, {2}, testing::repeated(2, INFINITY)}), HasSubstr("not finite"));
  EXPECT_THAT(
      saidOfTensor("mxfp4", "gate_up_proj_blocks", {KILN_U8, {2, 2, 32}, std::string(128, '\0')}),
      HasSubstr("a stack of matrices in blocks, u8[experts, rows, groups, 16], is expected, found u8[2, 2, 32]"));
  EXPECT_THAT(saidOf("mxfp4",
                     [](Case &given) {
                       given.tensors["a.q_proj.gate_up_proj_blocks"] = {KILN_U8, {1, 3, 1, 16}, std::string(48, '\0')};
                       given.tensors["a.q_proj.gate_up_proj_scales"] = {KILN_U8, {1, 3, 1}, std::string(3, '\0')};
                     }),
              HasSubstr("an even number"));
  EXPECT_THAT(saidOfTensor("mxfp4", "gate_up_proj_scales", {KILN_U8, {2, 2, 2}, std::string(8, '\0')}),
              HasSubstr("expected u8[2, 2, 1], found u8[2, 2, 2]"));
  EXPECT_THAT(saidOfTensor("mxfp4", "gate_up_proj_scales", {KILN_U8, {2, 2, 1}, std::string(4, '\xff')}),
              HasSubstr("'a.q_proj.0.gate_proj.weight': a scale of row 0 is not finite; the file is damaged"));
  EXPECT_THAT(saidOfTensor("modelopt", "weight_scale", {KILN_F8E4M3, {2, 3}, std::string(6, '\x38')}),
              HasSubstr("F8_E4M3[2, 3] are no scales of a matrix [2, 32]"));
  EXPECT_THAT(saidOfTensor("modelopt", "weight_scale", {KILN_F8E4M3, {2, 2}, std::string(4, '\x7f')}),
              HasSubstr("a scale of row 1 is not finite"));
  EXPECT_THAT(saidOfTensor("modelopt", "weight_scale_2", {KILN_F32, {2}, testing::repeated(2, 1.0F)}),
              HasSubstr("one number of f32 is expected, found f32[2]"));
  EXPECT_THAT(saidOfTensor("modelopt", "weight_scale_2", {KILN_F32, {1}, testing::repeated(1, NAN)}),
              HasSubstr("element 0 is no scale"));
  // A NaN among floats of eight bits is no code: such a matrix is widened. So is one by another table of 16.
  EXPECT_EQ(saidOfTensor("fp8", "weight", {KILN_F8E4M3, {3, 32}, std::string(96, '\x7f')}), "");
  EXPECT_THAT(saidOfTensor("int8", "weight_format", {KILN_U8, {1}, std::string(1, '\3')}),
              HasSubstr("an order of a kernel's own"));
}

} // namespace
} // namespace kiln
