// Folders whose weights are quantised: what config.json says of them, and their matrices.
#pragma once

#include "frontend/huggingface/QuantisedMatrix.h"
#include "frontend/huggingface/Settings.h"

#include <string>
#include <vector>

namespace kiln::huggingface {

/// The files' tensors as a model's: each quantised matrix in blocks, where some hold it to the bit and `keepBlocks`
/// asks for them, else in f32. Files that are not quantised stay as they are. `read`: were there any? Throws Error: a
/// method that is not known, tensors that are missing or do not fit, and what is said and not so.
Safetensors readQuantised(const Settings &settings, Safetensors files, bool keepBlocks, std::vector<std::string> &notes,
                          bool &read);

/// What methods find their matrices by: the tensors of the files, and what config.json says.
class QuantisedFiles {
public:
  QuantisedFiles(const Safetensors &files, const Json &config, std::string what)
      : files(files), config(config), what(std::move(what)) {}

  const Safetensors &files;
  const Json &config; ///< `quantization_config`
  std::string what;   ///< config.json, for messages

  /// Throws Error, which begins with the tensor.
  [[noreturn]] void bad(const std::string &tensor, const std::string &why) const;
  /// Throws Error where it is missing.
  const TensorView &need(const std::string &name) const;
  /// Throws Error where it is missing, or of another type or shape.
  const TensorView &need(const std::string &name, std::initializer_list<kiln_dtype> types,
                         const std::vector<int64_t> &shape) const;
  void expect(const TensorView &tensor, std::initializer_list<kiln_dtype> types,
              const std::vector<int64_t> &shape) const;
  /// A matrix, neither side of which is 0.
  void expectMatrix(const TensorView &tensor, std::initializer_list<kiln_dtype> types) const;
  /// How many neighbours share a scale: `size` of config.json, -1 for the whole row. Throws Error where rows are no
  /// whole groups.
  int64_t groupOf(const std::string &tensor, int64_t size, int64_t width) const;
};

/// A tensor's elements in f32, one by one: of f32, f16, bf16, or of eight bits.
float numberAt(const TensorView &tensor, int64_t i);
/// Number i of `bits` each, packed from the low bits of words of 32 on, `apart` words from one to the next.
int packedAt(const uint8_t *words, int64_t i, int bits, int64_t apart = 1);
/// What gives rows of numbers that lie in whole words, and of bytes with a sign, of which 0 becomes 128.
using RowReader = std::function<void(int64_t row, uint8_t *numbers)>;
RowReader packedRows(const TensorView &words, int bits, int64_t width);
RowReader signedRows(const TensorView &bytes);
/// "F8_E4M3", and "i32[4, 4]".
std::string typeText(kiln_dtype dtype);
std::string typeText(kiln_dtype dtype, const std::vector<int64_t> &shape);
constexpr bool isEightBits(kiln_dtype dtype) { return dtype == KILN_F8E4M3 || dtype == KILN_F8E5M2; }

constexpr Coding codingOf(kiln_dtype dtype) { return dtype == KILN_F8E4M3 ? Coding::E4M3 : Coding::E5M2; }
/// Has a matrix of such floats read them as codes; false where one of them is a NaN that no code stands for.
bool codeEightBits(const TensorView &bytes, QuantisedMatrix &matrix);

/// The matrices of each method; nothing of the files is read yet. Each throws Error.
using Matrices = std::vector<QuantisedMatrix>;
Matrices gptqMatrices(const QuantisedFiles &files);
Matrices awqMatrices(const QuantisedFiles &files);
Matrices mlxMatrices(const QuantisedFiles &files);
Matrices compressedMatrices(const QuantisedFiles &files, std::vector<std::string> &notes);
Matrices eightBitMatrices(const QuantisedFiles &files, std::vector<std::string> &notes); ///< fp8, fbgemm_fp8
Matrices bitsandbytesMatrices(const QuantisedFiles &files);
Matrices mxfp4Matrices(const QuantisedFiles &files); ///< of each expert of a stack

/// modelopt: NVIDIA's Model Optimizer.
Matrices modeloptMatrices(const QuantisedFiles &files, std::vector<std::string> &notes);

/// Of weights in floats of four bits, u8[rows, width / 2], with scales for groups of a row: F8_E4M3, or powers of two
/// in u8; where there is a scale of the whole matrix, times it, or `over` it.
QuantisedMatrix fourBitFloats(const QuantisedFiles &files, const std::string &name, const TensorView &weight,
                              const TensorView &scales, const TensorView *whole, bool over);

/// Of weights in floats of eight bits, with scales for a matrix, for its rows, or for blocks of `block` (rows,
/// columns).
QuantisedMatrix eightBitMatrix(const QuantisedFiles &files, const TensorView &weight, const TensorView &scales,
                               const std::vector<int64_t> &block);

} // namespace kiln::huggingface
