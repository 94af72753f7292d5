// The forms in which a GGUF file has numbers: plain, or in blocks that share scales.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kiln::gguf {

struct BlockType {
  uint32_t number; ///< as the file has it
  const char *name;
  int64_t elements; ///< of a block
  size_t bytes;     ///< of a block
  /// Writes a block's elements, widened without rounding beyond f32's.
  void (*widen)(const uint8_t *block, float *out);
};

/// Null for what is not read.
const BlockType *blockType(uint32_t number);
/// "Q2_K"; "?" for a number that nobody knows.
std::string typeName(uint32_t number);
/// The names of those that are read.
std::string knownTypes();

} // namespace kiln::gguf
