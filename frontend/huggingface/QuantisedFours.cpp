// Floats of four bits (OCP's E2M1) in groups along a row: MXFP4, whose groups of 32 share a power of two in a byte, and
// NVFP4, whose groups of 16 share a float of eight bits, times one of the matrix. Two numbers lie in a byte, the first
// in the low half.
//
// gpt-oss has its experts in one stack, NAME_blocks and NAME_scales, where the rows of gates and of what they let
// through take turns; each expert's become matrices of their own. compressed-tensors (nvfp4-pack-quantized,
// mxfp4-pack-quantized) and NVIDIA's Model Optimizer have a layer's.
#include "frontend/huggingface/Quantised.h"

#include "runtime/support/Error.h"

#include <cmath>

namespace kiln::huggingface {

namespace {

/// A scale of eight bits that is an exponent alone.
float powerOf(uint8_t exponent) { return exponent == 255 ? NAN : std::ldexp(1.0F, exponent - 127); }

void unpack(const uint8_t *from, int64_t count, uint8_t *numbers) {
  for (int64_t i = 0; i < count; ++i)
    numbers[i] = i % 2 ? from[i / 2] >> 4 : from[i / 2] & 15;
}

/// A stack [experts, rows, groups, 16] of bytes with two numbers each, the first in the low half, and of each group of
/// 32 a power of two. Rows `first`, `first` + `step`, … of expert `expert`.
QuantisedMatrix expertMatrix(const TensorView &blocks, const TensorView &scales, const std::string &name,
                             int64_t expert, int64_t first, int64_t step) {
  int64_t rows = blocks.shape[1], groups = blocks.shape[2];
  QuantisedMatrix matrix;
  matrix.name = name;
  matrix.parts = {blocks.name, scales.name};
  matrix.rows = rows / step, matrix.width = groups * 32;
  matrix.coding = Coding::E2M1;
  matrix.group = 32;
  auto place = [=](int64_t row) { return (expert * rows + first + row * step) * groups; };
  matrix.numbers = [=](int64_t row, uint8_t *numbers) { unpack(blocks.data + place(row) * 16, groups * 32, numbers); };
  matrix.groups = [=](int64_t row, Group *of) {
    const uint8_t *from = scales.data + place(row);
    for (int64_t g = 0; g < groups; ++g)
      of[g] = {powerOf(from[g]), 0, 0};
  };
  return matrix;
}

/// What all of a matrix's scales are multiplied with: a number, or over one.
float wholeScale(const QuantisedFiles &files, const TensorView &scale, bool over) {
  if (scale.dtype != KILN_F32 || scale.bytes != sizeof(float))
    files.bad(scale.name, "one number of f32 is expected, found " + typeText(scale.dtype, scale.shape));
  float number = numberAt(scale, 0);
  if (!std::isfinite(number) || (over && number == 0))
    files.bad(scale.name, "element 0 is no scale; the file is damaged");
  return number;
}

} // namespace

QuantisedMatrix fourBitFloats(const QuantisedFiles &files, const std::string &name, const TensorView &weight,
                              const TensorView &scales, const TensorView *whole, bool over) {
  files.expectMatrix(weight, {KILN_U8});
  QuantisedMatrix matrix;
  matrix.name = name;
  matrix.parts = {weight.name, scales.name};
  matrix.rows = weight.shape[0], matrix.width = weight.shape[1] * 2;
  matrix.coding = Coding::E2M1;
  bool powers = scales.dtype == KILN_U8;
  if ((!powers && scales.dtype != KILN_F8E4M3) || scales.shape.size() != 2 || scales.shape[0] != matrix.rows ||
      scales.shape[1] < 1 || matrix.width % scales.shape[1])
    files.bad(scales.name, format("%s are no scales of a matrix [%lld, %lld]: F8_E4M3, or u8, for groups of a row that "
                                  "are alike",
                                  typeText(scales.dtype, scales.shape).c_str(), static_cast<long long>(matrix.rows),
                                  static_cast<long long>(matrix.width)));
  int64_t groups = scales.shape[1];
  matrix.group = matrix.width / groups;
  float all = 1;
  if (whole) {
    matrix.parts.push_back(whole->name);
    all = wholeScale(files, *whole, over);
  }
  matrix.numbers = [weight, width = matrix.width](int64_t row, uint8_t *numbers) {
    unpack(weight.data + row * (width / 2), width, numbers);
  };
  matrix.groups = [=](int64_t row, Group *of) {
    for (int64_t g = 0; g < groups; ++g) {
      float scale = powers ? powerOf(scales.data[row * groups + g]) : numberAt(scales, row * groups + g);
      of[g] = {over ? scale / all : scale * all, 0, 0};
    }
  };
  return matrix;
}

Matrices mxfp4Matrices(const QuantisedFiles &files) {
  Matrices found;
  for (const TensorView &blocks : files.files.tensors()) {
    if (!blocks.name.ends_with("_blocks"))
      continue;
    std::string stem = blocks.name.substr(0, blocks.name.size() - 7);
    bool isStack = blocks.dtype == KILN_U8 && blocks.shape.size() == 4 && blocks.shape[3] == 16 && blocks.bytes > 0;
    if (!isStack)
      files.bad(blocks.name, "a stack of matrices in blocks, u8[experts, rows, groups, 16], is expected, found " +
                                 typeText(blocks.dtype, blocks.shape));
    const TensorView &scales =
        files.need(stem + "_scales", {KILN_U8}, {blocks.shape[0], blocks.shape[1], blocks.shape[2]});
    size_t dot = stem.rfind('.');
    std::string front = stem.substr(0, dot + 1), end = stem.substr(dot + 1);
    bool both = end == "gate_up_proj";
    if (dot == std::string::npos || (both && blocks.shape[1] % 2))
      files.bad(blocks.name, "rows of gates and of what they let through, in turn, are expected: an even number");
    for (int64_t expert = 0; expert < blocks.shape[0]; ++expert) {
      auto add = [&](const std::string &part, int64_t first, int64_t step) {
        found.push_back(
            expertMatrix(blocks, scales, front + std::to_string(expert) + "." + part + ".weight", expert, first, step));
      };
      if (both)
        add("gate_proj", 0, 2), add("up_proj", 1, 2);
      else
        add(end, 0, 1);
    }
  }
  return found;
}

/// NAME.weight of bytes with weight_scale and weight_scale_2, or of floats of eight bits with weight_scale.
Matrices modeloptMatrices(const QuantisedFiles &files, std::vector<std::string> &notes) {
  Matrices found;
  for (const TensorView &weight : files.files.tensors()) {
    if (!weight.name.ends_with(".weight") || (weight.dtype != KILN_U8 && !isEightBits(weight.dtype)))
      continue;
    const TensorView &scales = files.need(weight.name + "_scale");
    if (isEightBits(weight.dtype))
      found.push_back(eightBitMatrix(files, weight, scales, {}));
    else
      found.push_back(
          fourBitFloats(files, weight.name, weight, scales, &files.need(weight.name + "_scale_2"), /*over=*/false));
  }
  if (!found.empty())
    notes.emplace_back("the method rounds what is multiplied with its weights, too, which programs do not");
  return found;
}

} // namespace kiln::huggingface
