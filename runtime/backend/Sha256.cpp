#include "runtime/backend/Sha256.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace kiln {

namespace {

struct Constants {
  uint32_t start[8], round[64];
};

/// The first 32 bits of the fractional parts of the square and cube roots of the first primes.
Constants makeConstants() {
  Constants constants = {};
  auto fraction = [](long double root) { return static_cast<uint32_t>((root - std::floor(root)) * 4294967296.0L); };
  int found = 0;
  for (int candidate = 2; found < 64; ++candidate) {
    bool prime = true;
    for (int d = 2; d * d <= candidate; ++d)
      prime &= candidate % d != 0;
    if (!prime)
      continue;
    if (found < 8)
      constants.start[found] = fraction(std::sqrt(static_cast<long double>(candidate)));
    constants.round[found++] = fraction(std::cbrt(static_cast<long double>(candidate)));
  }
  return constants;
}

void addBlock(const uint8_t *block, const Constants &constants, uint32_t (&state)[8]) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i)
    w[i] = static_cast<uint32_t>(block[4 * i]) << 24 | static_cast<uint32_t>(block[4 * i + 1]) << 16 |
           static_cast<uint32_t>(block[4 * i + 2]) << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; ++i) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  uint32_t s[8];
  std::memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; ++i) {
    uint32_t sum1 = std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25);
    uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    uint32_t first = s[7] + sum1 + choice + constants.round[i] + w[i];
    uint32_t sum0 = std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22);
    uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    std::memmove(s + 1, s, 7 * sizeof *s);
    s[4] += first;
    s[0] = first + sum0 + majority;
  }
  for (int i = 0; i < 8; ++i)
    state[i] += s[i];
}

} // namespace

std::array<uint8_t, 32> sha256(const uint8_t *data, size_t size) {
  static const Constants constants = makeConstants();
  uint32_t state[8];
  std::memcpy(state, constants.start, sizeof state);
  size_t whole = size / 64;
  for (size_t i = 0; i < whole; ++i)
    addBlock(data + 64 * i, constants, state);
  uint8_t tail[128] = {};
  size_t rest = size - whole * 64, blocks = rest < 56 ? 1 : 2;
  if (rest)
    std::memcpy(tail, data + whole * 64, rest);
  tail[rest] = 0x80;
  for (int i = 0; i < 8; ++i)
    tail[blocks * 64 - 1 - i] = static_cast<uint8_t>(static_cast<uint64_t>(size) * 8 >> (8 * i));
  for (size_t i = 0; i < blocks; ++i)
    addBlock(tail + 64 * i, constants, state);
  std::array<uint8_t, 32> digest;
  for (int i = 0; i < 32; ++i)
    digest[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

} // namespace kiln
