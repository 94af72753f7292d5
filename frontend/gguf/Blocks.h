// The forms in which a GGUF file has numbers: plain, or in blocks that share scales.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kiln::gguf {

/// How a program stores a type's numbers without rounding them anew (kiln.dequantize): in blocks of `size` neighbours
/// with a scale each, in bytes or halves of bytes; the scales, and minimums where there are some, are f16, or f32 where
/// they are products of two.
struct KeptForm {
  int64_t size = 0; ///< 0: there is no such form
  bool halves = false, wideScales = false, minimums = false;
};

struct BlockType {
  uint32_t number; ///< as the file has it
  const char *name;
  int64_t elements; ///< of a block
  size_t bytes;     ///< of a block
  /// Writes a block's elements, widened without rounding beyond f32's.
  void (*widen)(const uint8_t *block, float *out);
  KeptForm kept;
  /// Where there is a form: a block's numbers (of halves 0 to 15), and of each `kept.size` of them scale and minimum.
  void (*split)(const uint8_t *block, int8_t *numbers, float *scales, float *minimums);
};

/// Null for what is not read.
const BlockType *blockType(uint32_t number);
/// "Q2_K"; "?" for a number that nobody knows.
std::string typeName(uint32_t number);
/// The names of those that are read.
std::string knownTypes();

} // namespace kiln::gguf
