// The forms in which a GGUF file has numbers: plain, or in blocks that share scales.
#pragma once

#include "runtime/program/BlockForm.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace kiln::gguf {

struct BlockType {
  uint32_t number; ///< as the file has it
  const char *name;
  int64_t elements; ///< of a block
  size_t bytes;     ///< of a block
  kiln_dtype plain; ///< of what is no block but a number
  /// How a program stores its matrices without rounding them anew; its scales are wide where they are products of two.
  BlockForm kept;
  /// Where there is a form: a block's numbers, signed (of halves -8 to 7, or 0 to 15 with minimums; codes), and of each
  /// `kept.size` of them the scale and, where there are some, the minimum.
  void (*split)(const uint8_t *block, int8_t *numbers, float *scales, float *minimums);

  /// Writes a block's elements, without rounding beyond f32's.
  void widen(const uint8_t *block, float *out) const;
};

/// Null for what is not read.
const BlockType *blockType(uint32_t number);
/// "Q2_K"; "?" for a number that nobody knows.
std::string typeName(uint32_t number);
/// The names of those that are read.
std::string knownTypes();

} // namespace kiln::gguf
