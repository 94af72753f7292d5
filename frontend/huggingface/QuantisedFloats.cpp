// Floats of eight bits with scales, and bitsandbytes: four bits that a table says what they are, or bytes by rows.
#include "frontend/huggingface/Quantised.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace kiln::huggingface {

QuantisedMatrix eightBitMatrix(const QuantisedFiles &files, const TensorView &weight, const TensorView &scales,
                               const std::vector<int64_t> &block) {
  files.expectMatrix(weight, {KILN_F8E4M3, KILN_F8E5M2});
  if (scales.dtype != KILN_F32 && scales.dtype != KILN_BF16 && scales.dtype != KILN_F16)
    files.bad(scales.name, "scales of f32, bf16 or f16 are expected, found " + typeText(scales.dtype, scales.shape));
  QuantisedMatrix matrix;
  matrix.name = weight.name;
  matrix.parts = {weight.name, scales.name};
  matrix.rows = weight.shape[0], matrix.width = weight.shape[1];
  int64_t rows = matrix.rows, width = matrix.width, count = countElements(scales.shape).value_or(0);
  int64_t high = 0, wide = 0; // a scale's share of the matrix
  auto blocks = [](int64_t all, int64_t each) { return (all + each - 1) / each; };
  if (count == 1)
    high = rows, wide = width;
  else if (scales.shape == std::vector<int64_t>{rows} || scales.shape == std::vector<int64_t>{rows, 1})
    high = 1, wide = width;
  else if (block.size() == 2 && scales.shape == std::vector<int64_t>{blocks(rows, block[0]), blocks(width, block[1])})
    high = block[0], wide = block[1];
  else
    files.bad(scales.name,
              format("%s are no scales of a matrix [%lld, %lld]: one for all, for a row, or for blocks of %s",
                     typeText(scales.dtype, scales.shape).c_str(), static_cast<long long>(rows),
                     static_cast<long long>(width),
                     block.empty() ? "'weight_block_size'" : describeShape(block).c_str()));
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(numberAt(scales, i)))
      files.bad(scales.name, format("element %lld is not finite; the file is damaged", static_cast<long long>(i)));
  int64_t across = blocks(width, wide);
  if (codeEightBits(weight, matrix)) {
    matrix.group = wide;
    matrix.groups = [scales, high, across](int64_t row, Group *groups) {
      for (int64_t g = 0; g < across; ++g)
        groups[g] = {numberAt(scales, row / high * across + g), 0, 0};
    };
    return matrix;
  }
  matrix.widen = [weight, scales, width, high, wide, across](int64_t row, float *elements) {
    for (int64_t i = 0; i < width; ++i)
      elements[i] = numberAt(weight, row * width + i) * numberAt(scales, row / high * across + i / wide);
  };
  return matrix;
}

/// NAME.weight of eight bits with NAME.weight_scale_inv, or, of fbgemm_fp8, NAME.weight_scale: either multiplies.
Matrices eightBitMatrices(const QuantisedFiles &files, std::vector<std::string> &notes) {
  std::vector<int64_t> block;
  if (const Json *sides = files.config.find("weight_block_size")) {
    if (!sides->isArray() || sides->array().size() != 2)
      fail("%s: 'weight_block_size' is %s; two numbers are expected, of rows and columns", files.what.c_str(),
           sides->str().substr(0, 60).c_str());
    for (const Json &side : sides->array())
      block.push_back(side.integer(1, INT32_MAX));
  }
  Matrices found;
  for (const TensorView &tensor : files.files.tensors()) {
    if (!isEightBits(tensor.dtype))
      continue;
    const TensorView *scales = files.files.find(tensor.name + "_scale");
    found.push_back(eightBitMatrix(files, tensor, scales ? *scales : files.need(tensor.name + "_scale_inv"), block));
  }
  if (!found.empty())
    notes.emplace_back(
        "the method rounds what is multiplied with its weights to eight bits, too, which programs do not");
  return found;
}

namespace {

/// What a tensor of bytes says in JSON beside a weight of four bits.
struct FourBits {
  int64_t rows = 0, width = 0, block = 0, nested = 0;
  float offset = 0;
};

FourBits stateOf(const QuantisedFiles &files, const TensorView &state, const TensorView &weight) {
  if (state.dtype != KILN_U8)
    files.bad(state.name, "bytes of JSON are expected, found " + typeText(state.dtype, state.shape));
  FourBits result;
  try {
    Json json = Json::parse({reinterpret_cast<const char *>(state.data), state.bytes}, "its JSON", 8);
    const std::vector<Json> &shape = json.at("shape").array();
    if (shape.size() != 2)
      fail("'shape' has not two numbers");
    result.rows = shape[0].integer(1, INT32_MAX), result.width = shape[1].integer(1, INT32_MAX);
    result.block = json.at("blocksize").integer(1, INT32_MAX);
    if (json.find("nested_blocksize"))
      result.nested = json.at("nested_blocksize").integer(1, INT32_MAX);
    result.offset = static_cast<float>(json.numberOr("nested_offset", 0));
  } catch (const Error &error) {
    files.bad(state.name, error.what());
  }
  // (Their bytes may be stored as elements of another type: 'bnb_4bit_quant_storage'.)
  if ((result.rows * result.width + 1) / 2 != static_cast<int64_t>(weight.bytes))
    files.bad(weight.name,
              format("expected %lld bytes for a matrix [%lld, %lld], found %s",
                     static_cast<long long>((result.rows * result.width + 1) / 2), static_cast<long long>(result.rows),
                     static_cast<long long>(result.width), typeText(weight.dtype, weight.shape).c_str()));
  return result;
}

/// The largest magnitude of each block, which may be numbers of eight bits with a table and scales themselves.
std::vector<float> magnitudes(const QuantisedFiles &files, const std::string &name, const FourBits &state,
                              int64_t blocks) {
  const TensorView &most = files.need(name + ".absmax");
  std::vector<float> found(static_cast<size_t>(std::min<int64_t>(blocks, static_cast<int64_t>(most.bytes))));
  if (!state.nested) {
    files.expect(most, {KILN_F32}, {blocks});
    for (int64_t i = 0; i < blocks; ++i)
      found[static_cast<size_t>(i)] = numberAt(most, i);
  } else {
    files.expect(most, {KILN_U8}, {blocks});
    const TensorView &table = files.need(name + ".nested_quant_map", {KILN_F32}, {256}),
                     &scales =
                         files.need(name + ".nested_absmax", {KILN_F32}, {(blocks + state.nested - 1) / state.nested});
    for (int64_t i = 0; i < blocks; ++i)
      found[static_cast<size_t>(i)] = numberAt(table, most.data[i]) * numberAt(scales, i / state.nested) + state.offset;
  }
  for (float each : found)
    if (!std::isfinite(each))
      files.bad(most.name, "a scale is not finite; the file is damaged");
  return found;
}

/// Blocks of the rows one after another; of two numbers in a byte the first is in its high half.
QuantisedMatrix fourBitMatrix(const QuantisedFiles &files, const TensorView &state) {
  std::string name = state.name.substr(0, state.name.find(".quant_state.")),
              type = state.name.substr(state.name.rfind("__") + 2);
  if (type != "nf4" && type != "fp4")
    files.bad(state.name, "the type " + jsonQuote(type) + " is not known; nf4 and fp4 are");
  const TensorView &weight = files.need(name), &table = files.need(name + ".quant_map", {KILN_F32}, {16});
  FourBits its = stateOf(files, state, weight);
  QuantisedMatrix matrix;
  matrix.name = name;
  matrix.parts = {name, state.name, table.name, name + ".absmax", name + ".nested_absmax", name + ".nested_quant_map"};
  matrix.rows = its.rows, matrix.width = its.width;
  int64_t all = its.rows * its.width;
  Coding coding = type == "nf4" ? Coding::NF4 : Coding::FP4;
  const float *known = fourBitNumbers(coding);
  bool usual = its.width % its.block == 0;
  for (int64_t i = 0; i < 16; ++i)
    usual &= std::bit_cast<uint32_t>(numberAt(table, i)) == std::bit_cast<uint32_t>(known[i]);
  if (usual) {
    matrix.coding = coding;
    matrix.group = its.block;
    matrix.numbers = [weight, width = its.width](int64_t row, uint8_t *numbers) {
      for (int64_t i = 0; i < width; ++i) {
        int64_t at = row * width + i;
        numbers[i] = at % 2 ? weight.data[at / 2] & 15 : weight.data[at / 2] >> 4;
      }
    };
    matrix.groups = [most = magnitudes(files, name, its, all / its.block),
                     perRow = its.width / its.block](int64_t row, Group *groups) {
      for (int64_t g = 0; g < perRow; ++g)
        groups[g] = {most[static_cast<size_t>(row * perRow + g)], 0, 0};
    };
    return matrix;
  }
  matrix.widen = [weight, table, width = its.width, block = its.block,
                  most = magnitudes(files, name, its, (all + its.block - 1) / its.block)](int64_t row,
                                                                                          float *elements) {
    for (int64_t i = 0; i < width; ++i) {
      int64_t at = row * width + i;
      int number = at % 2 ? weight.data[at / 2] & 15 : weight.data[at / 2] >> 4;
      elements[i] = numberAt(table, number) * most[static_cast<size_t>(at / block)];
    }
  };
  return matrix;
}

/// weight i8[N, K] and SCB f32[N], the largest magnitude of each row: 127 of it.
QuantisedMatrix byteRows(const QuantisedFiles &files, const TensorView &largest) {
  std::string stem = largest.name.substr(0, largest.name.rfind('.'));
  const TensorView &weight = files.need(stem + ".weight");
  files.expectMatrix(weight, {KILN_I8});
  files.expect(largest, {KILN_F32}, {weight.shape[0]});
  if (const TensorView *form = files.files.find(stem + ".weight_format");
      form && form->bytes == 1 && form->data[0] != 0)
    files.bad(form->name, "the weights are in an order of a kernel's own; rows are read");
  QuantisedMatrix matrix;
  matrix.name = weight.name;
  matrix.parts = {weight.name, largest.name, stem + ".weight_format"};
  matrix.rows = weight.shape[0], matrix.width = matrix.group = weight.shape[1];
  matrix.scales = KILN_F32;
  matrix.numbers = signedRows(weight);
  matrix.groups = [largest](int64_t row, Group *groups) { groups[0] = {numberAt(largest, row) / 127.0F, 0, 128}; };
  return matrix;
}

} // namespace

Matrices bitsandbytesMatrices(const QuantisedFiles &files) {
  Matrices found;
  for (const TensorView &tensor : files.files.tensors()) {
    if (tensor.name.find(".weight.quant_state.bitsandbytes__") != std::string::npos)
      found.push_back(fourBitMatrix(files, tensor));
    else if (tensor.name.ends_with(".SCB"))
      found.push_back(byteRows(files, tensor));
  }
  return found;
}

} // namespace kiln::huggingface
