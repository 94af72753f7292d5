// Normal numbers by vectors: near enough that their f32 is known, and by libm's functions where it is not.
//
// Logarithm and cosine are polynomials, so that they are loops over vectors. They and libm's differ in the last few
// bits of a double; where so little decides how the number is rounded to f32 (some in a million), it is computed again
// as RandomStream::normal does. A hundred million numbers were most of a training's start.

#include "runtime/random/Normals.h"

#include <algorithm>
#include <bit>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace kiln {

namespace {

constexpr int blocks = 64;      // of Philox a batch
constexpr double slack = 1e-13; // ten times what logarithm, root and cosine are off by together, where |n| < 6

struct Words {
  uint32_t of[4][blocks];
};

/// The words of blocks n to n + 63.
inline __attribute__((always_inline)) void draw(const RandomStream &random, uint64_t n, Words &w) {
  std::array<uint32_t, 2> key = random.key();
  std::array<uint32_t, 3> high = random.high();
  for (int i = 0; i < blocks; ++i) {
    uint64_t number = n + static_cast<uint64_t>(i);
    w.of[0][i] = static_cast<uint32_t>(number), w.of[1][i] = high[0], w.of[2][i] = high[1];
    w.of[3][i] = high[2] ^ static_cast<uint32_t>(number >> 32);
  }
  for (int round = 0; round < 10; ++round, key[0] += 0x9E3779B9u, key[1] += 0xBB67AE85u)
    for (int i = 0; i < blocks; ++i) {
      uint64_t left = 0xD2511F53ull * w.of[0][i], right = 0xCD9E8D57ull * w.of[2][i];
      uint32_t first = static_cast<uint32_t>(right >> 32) ^ w.of[1][i] ^ key[0],
               third = static_cast<uint32_t>(left >> 32) ^ w.of[3][i] ^ key[1];
      w.of[1][i] = static_cast<uint32_t>(right), w.of[3][i] = static_cast<uint32_t>(left);
      w.of[0][i] = first, w.of[2][i] = third;
    }
}

/// first + t (second + t (…))
inline __attribute__((always_inline)) double polynomial(double, double last) { return last; }
template <typename... More>
inline __attribute__((always_inline)) double polynomial(double t, double first, double second, More... more) {
  return first + t * polynomial(t, second, more...);
}

/// -2 ln(1 - u), u a multiple of 2^-24 in [0, 1).
inline __attribute__((always_inline)) double twiceMinusLog(uint32_t word) {
  double x = 1.0 - static_cast<double>(static_cast<int32_t>(word >> 8)) * 0x1p-24;
  // x = 2^e m, m in [1/√2, √2): the bits of x over those of 1/√2.
  uint64_t bits = std::bit_cast<uint64_t>(x), over = bits - 0x3fe6a09e00000000ull;
  double exponent = static_cast<double>(static_cast<int32_t>(static_cast<int64_t>(over) >> 32) >> 20);
  double m = std::bit_cast<double>((over & 0x000fffffffffffffull) + 0x3fe6a09e00000000ull);
  double s = (m - 1.0) / (m + 1.0), t = s * s; // ln m = 2 artanh s, |s| < 0.172
  double sum =
      polynomial(t, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21);
  return -2.0 * (exponent * 0.693147180559945309417 + 2.0 * (s + s * t * sum));
}

/// cos(2π u), u a multiple of 2^-24 in [0, 1).
inline __attribute__((always_inline)) double cosOfTurn(uint32_t word) {
  // Quarters of a turn: u = q / 4 + r, |r| <= 1/8, without rounding.
  int32_t turn = static_cast<int32_t>(word >> 8), quarter = (turn + (1 << 21)) >> 22;
  double x = static_cast<double>(turn - (quarter << 22)) * (6.283185307179586476925 * 0x1p-24), t = x * x;
  double cosine = polynomial(-t, 1.0, 1.0 / 2, 1.0 / 24, 1.0 / 720, 1.0 / 40320, 1.0 / 3628800, 1.0 / 479001600,
                             1.0 / 87178291200, 1.0 / 20922789888000);
  double sine = x * polynomial(-t, 1.0, 1.0 / 6, 1.0 / 120, 1.0 / 5040, 1.0 / 362880, 1.0 / 39916800, 1.0 / 6227020800,
                               1.0 / 1307674368000, 1.0 / 355687428096000);
  double value = quarter & 1 ? sine : cosine;
  return (quarter + 1) & 2 ? -value : value;
}

/// What 128 numbers are at least and at most; whether that is the same.
inline __attribute__((always_inline)) bool batchIn(const RandomStream &random, uint64_t block, double mean,
                                                   double deviation, float *to, float *high) {
  Words w;
  draw(random, block, w);
  double off = slack * (deviation < 0 ? -deviation : deviation) + 1e-15 * (mean < 0 ? -mean : mean);
  int unsure = 0;
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < blocks; ++i) {
      double root = __builtin_sqrt(twiceMinusLog(w.of[2 * half][i]));
      double value = mean + deviation * (root * cosOfTurn(w.of[2 * half + 1][i]));
      float least = static_cast<float>(value - off), most = static_cast<float>(value + off);
      to[2 * i + half] = least, high[2 * i + half] = most;
      unsure |= std::bit_cast<int32_t>(least) ^ std::bit_cast<int32_t>(most);
    }
  return unsure == 0;
}

using Batch = bool (*)(const RandomStream &, uint64_t, double, double, float *, float *);

#if defined(__x86_64__)
/// Processors without AVX2 are too old to be worth a copy of the vectors' code in each program.
bool batch(const RandomStream &random, uint64_t block, double mean, double deviation, float *to, float *high) {
  for (uint64_t i = 0; i < 2 * blocks; ++i)
    to[i] = high[i] = static_cast<float>(mean + deviation * random.normal(2 * block + i));
  return true;
}

__attribute__((target("avx2,fma"))) bool batchByAVX2(const RandomStream &random, uint64_t block, double mean,
                                                     double deviation, float *to, float *high) {
  return batchIn(random, block, mean, deviation, to, high);
}

__attribute__((target("avx512f,avx512dq,avx512vl"))) bool
batchByAVX512(const RandomStream &random, uint64_t block, double mean, double deviation, float *to, float *high) {
  return batchIn(random, block, mean, deviation, to, high);
}

Batch chosenBatch(NormalsBy most) {
  static const NormalsBy widest = widestNormals(); // asking takes a virtual machine microseconds
  most = std::min(most, widest);
  return most == NormalsBy::AVX512 ? batchByAVX512 : most == NormalsBy::AVX2 ? batchByAVX2 : batch;
}
#else
bool batch(const RandomStream &random, uint64_t block, double mean, double deviation, float *to, float *high) {
  return batchIn(random, block, mean, deviation, to, high);
}

Batch chosenBatch(NormalsBy) { return batch; }
#endif

} // namespace

#if defined(__x86_64__)
/// What __builtin_cpu_supports brings knows all processors, and is 5 KB of each program.
NormalsBy widestNormals() {
  constexpr uint32_t first = bit_OSXSAVE | bit_FMA, wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512VL;
  constexpr uint32_t ymm = 0x6, zmm = 0xe6; // of XCR0
  uint32_t eax, ebx, ecx, edx, kept;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & first) != first)
    return NormalsBy::Plain;
  __asm__ volatile("xgetbv" : "=a"(kept), "=d"(edx) : "c"(0));
  if ((kept & ymm) != ymm || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & bit_AVX2))
    return NormalsBy::Plain;
  return (kept & zmm) == zmm && (ebx & wide) == wide ? NormalsBy::AVX512 : NormalsBy::AVX2;
}
#else
NormalsBy widestNormals() { return NormalsBy::Plain; }
#endif

void fillNormals(const RandomStream &random, double mean, double deviation, uint64_t first, int64_t count, float *to,
                 NormalsBy most) {
  Batch run = chosenBatch(most);
  constexpr int64_t each = 2 * blocks;
  float low[each], high[each];
  for (int64_t i = 0; i < count; i += each) {
    int64_t length = std::min(each, count - i);
    bool sure = run(random, (first + static_cast<uint64_t>(i)) / 2, mean, deviation, low, high);
    for (int64_t k = 0; k < length; ++k)
      to[i + k] = low[k];
    for (int64_t k = 0; !sure && k < length; ++k)
      if (std::bit_cast<uint32_t>(low[k]) != std::bit_cast<uint32_t>(high[k]))
        to[i + k] = static_cast<float>(mean + deviation * random.normal(first + static_cast<uint64_t>(i + k)));
  }
}

} // namespace kiln
