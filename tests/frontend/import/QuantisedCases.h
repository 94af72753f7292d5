// A matrix of each method that quantises folders, as small as it can be: what reads them, to be damaged.
#pragma once

#include "runtime/files/Safetensors.h"

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace kiln::testing {

/// Tensors by name, and config.json.
struct QuantisedCase {
  struct Bytes {
    kiln_dtype dtype = KILN_I32;
    std::vector<int64_t> shape;
    std::string bytes;
  };
  std::string config;
  std::map<std::string, Bytes> tensors;

  /// Of the file that they are in; it lives as long as this.
  std::string file() const {
    std::vector<TensorView> views = this->views();
    std::string text = safetensorsHeader(views, {{"config", config}});
    for (const TensorView &view : views)
      text.append(reinterpret_cast<const char *>(view.data), view.bytes);
    return text;
  }
  std::vector<TensorView> views() const {
    std::vector<TensorView> views;
    for (const auto &[name, tensor] : tensors)
      views.push_back({name, tensor.dtype, tensor.shape, reinterpret_cast<const uint8_t *>(tensor.bytes.data()),
                       tensor.bytes.size()});
    return views;
  }
};

/// `count` of one number in little-endian bytes.
template <typename T> std::string repeated(size_t count, T value) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i)
    bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
  return bytes;
}

inline std::map<std::string, QuantisedCase> quantisedCases() {
  const uint16_t half = 0x2c00; // 2^-4
  const std::string quantised = R"({"model_type":"llama","quantization_config":)", w = "a.q_proj.";
  std::string groups;
  for (int32_t i = 0; i < 64; ++i)
    groups += repeated(1, i / 32);
  QuantisedCase gptq{quantised + R"({"quant_method":"gptq","bits":4,"group_size":32,"sym":true,"desc_act":false}})",
                     {{w + "qweight", {KILN_I32, {8, 8}, repeated(64, 0x1234567)}},
                      {w + "qzeros", {KILN_I32, {2, 1}, repeated(2, 0x77777777)}},
                      {w + "scales", {KILN_F16, {2, 8}, repeated(16, half)}},
                      {w + "g_idx", {KILN_I32, {64}, groups}}}};
  QuantisedCase awq{quantised + R"({"quant_method":"awq","bits":4,"group_size":32,"version":"gemm"}})",
                    {{w + "qweight", {KILN_I32, {32, 1}, repeated(32, 0x1234567)}},
                     {w + "qzeros", {KILN_I32, {1, 1}, repeated(1, 0x77777777)}},
                     {w + "scales", {KILN_F16, {1, 8}, repeated(8, half)}}}};
  QuantisedCase mlx{
      R"({"model_type":"llama","quantization":{"group_size":32,"bits":4,"a.q_proj":{"bits":8,"group_size":32}}})",
      {{w + "weight", {KILN_U32, {2, 8}, repeated(16, 0x1234567U)}},
       {w + "scales", {KILN_F16, {2, 1}, repeated(2, half)}},
       {w + "biases", {KILN_F16, {2, 1}, repeated(2, half)}}}};
  QuantisedCase fp8{quantised + R"({"quant_method":"fp8","weight_block_size":[2,16]}})",
                    {{w + "weight", {KILN_F8E4M3, {3, 32}, std::string(96, '\x39')}},
                     {w + "weight_scale_inv", {KILN_F32, {2, 2}, repeated(4, 0.5F)}}}};
  std::string scheme = R"({"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"g":)"
                       R"({"weights":{"num_bits":4,"group_size":32,"block_structure":null}}}}})";
  QuantisedCase pack{quantised + scheme,
                     {{w + "weight_packed", {KILN_I32, {2, 4}, repeated(8, 0x1234567)}},
                      {w + "weight_scale", {KILN_F16, {2, 1}, repeated(2, half)}},
                      {w + "weight_zero_point", {KILN_I32, {1, 1}, repeated(1, 0x77)}},
                      {w + "weight_shape", {KILN_I64, {2}, repeated(1, int64_t{2}) + repeated(1, int64_t{32})}}}};
  QuantisedCase whole{quantised +
                          R"({"quant_method":"compressed-tensors","format":"int-quantized","config_groups":{}}})",
                      {{w + "weight", {KILN_I8, {2, 32}, std::string(64, '\x81')}},
                       {w + "weight_scale", {KILN_BF16, {2, 1}, repeated(2, uint16_t{0x3d00})}},
                       {w + "weight_zero_point", {KILN_I8, {2, 1}, std::string(2, '\x05')}}}};
  std::string state = R"({"quant_type":"nf4","blocksize":32,"nested_blocksize":2,"nested_offset":0.5,"shape":[4,32]})";
  QuantisedCase nf4{
      quantised + R"({"quant_method":"bitsandbytes","load_in_4bit":true}})",
      {{w + "weight", {KILN_U8, {64, 1}, std::string(64, '\x81')}},
       {w + "weight.absmax", {KILN_U8, {4}, std::string(4, '\x05')}},
       {w + "weight.quant_map", {KILN_F32, {16}, repeated(16, 0.25F)}},
       {w + "weight.nested_absmax", {KILN_F32, {2}, repeated(2, 1.0F)}},
       {w + "weight.nested_quant_map", {KILN_F32, {256}, repeated(256, 0.5F)}},
       {w + "weight.quant_state.bitsandbytes__nf4", {KILN_U8, {static_cast<int64_t>(state.size())}, state}}}};
  QuantisedCase int8{quantised + R"({"quant_method":"bitsandbytes","load_in_8bit":true}})",
                     {{w + "weight", {KILN_I8, {2, 32}, std::string(64, '\x81')}},
                      {w + "SCB", {KILN_F32, {2}, repeated(2, 12.7F)}},
                      {w + "weight_format", {KILN_U8, {}, std::string(1, '\0')}}}};
  QuantisedCase mxfp4{quantised + R"({"quant_method":"mxfp4"}})",
                      {{w + "gate_up_proj_blocks", {KILN_U8, {2, 2, 1, 16}, std::string(64, '\x81')}},
                       {w + "gate_up_proj_scales", {KILN_U8, {2, 2, 1}, std::string(4, '\x7c')}},
                       {w + "down_proj_blocks", {KILN_U8, {2, 1, 2, 16}, std::string(64, '\x81')}},
                       {w + "down_proj_scales", {KILN_U8, {2, 1, 2}, std::string(4, '\x7c')}}}};
  QuantisedCase modelopt{quantised + R"({"quant_method":"modelopt","quant_algo":"NVFP4"}})",
                         {{w + "weight", {KILN_U8, {2, 16}, std::string(32, '\x81')}},
                          {w + "weight_scale", {KILN_F8E4M3, {2, 2}, std::string(4, '\x38')}},
                          {w + "weight_scale_2", {KILN_F32, {}, repeated(1, 0.5F)}}}};
  return {{"mxfp4", mxfp4}, {"modelopt", modelopt}, {"gptq", gptq},   {"awq", awq}, {"mlx", mlx},
          {"fp8", fp8},     {"pack", pack},         {"whole", whole}, {"nf4", nf4}, {"int8", int8}};
}

} // namespace kiln::testing
