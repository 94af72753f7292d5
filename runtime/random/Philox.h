// Streams of random numbers: the same bits as the op random_bits gives on every backend.
#pragma once

#include "runtime/support/Philox.h"

#include <cmath>

namespace kiln {

/// A stream of draws, each a pure function of (seed, stream, counters, element).
class RandomStream {
public:
  RandomStream(uint32_t seed, uint32_t stream, uint32_t counter1 = 0, uint32_t counter2 = 0, uint32_t counter3 = 0)
      : key_{seed, stream}, high_{counter1, counter2, counter3} {}

  /// The words of elements 4n to 4n + 3: they come four at a time.
  std::array<uint32_t, 4> block(uint64_t n) const {
    return philox({static_cast<uint32_t>(n), high_[0], high_[1], high_[2] ^ static_cast<uint32_t>(n >> 32)}, key_);
  }
  uint32_t bits(uint64_t element) const { return block(element / 4)[element % 4]; }
  /// In [0, 1), as the op random_uniform.
  float uniform(uint64_t element) const { return uniformOf(bits(element)); }
  static float uniformOf(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
  /// Standard normal, as the op random_normal: Box-Muller over elements 2e and 2e+1.
  double normal(uint64_t element) const {
    std::array<uint32_t, 4> words = block(element / 2);
    return normalOf(words[element % 2 * 2], words[element % 2 * 2 + 1]);
  }
  static double normalOf(uint32_t first, uint32_t second) {
    double u1 = uniformOf(first), u2 = uniformOf(second);
    return std::sqrt(-2.0 * std::log(1.0 - u1)) * std::cos(6.283185307179586476925 * u2);
  }
  /// In [0, bound), bound >= 1, from 64 bits (two elements): the bias is below 2^-32 for any bound that memory holds.
  uint64_t below(uint64_t element, uint64_t bound) const {
    uint64_t wide = static_cast<uint64_t>(bits(2 * element)) << 32 | bits(2 * element + 1);
    return static_cast<uint64_t>(static_cast<unsigned __int128>(wide) * bound >> 64);
  }

  const std::array<uint32_t, 2> &key() const { return key_; }
  /// All of a block's counter but its number.
  const std::array<uint32_t, 3> &high() const { return high_; }

private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 3> high_;
};

/// Streams that the runtime draws from carry the top bit; those that the frontend assigns count up from 0.
inline uint32_t namedStream(const char *name, size_t size) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < size; ++i)
    hash = (hash ^ static_cast<unsigned char>(name[i])) * 16777619u;
  return hash | 0x80000000u;
}

} // namespace kiln
