// kiln_codes.h: the numbers that codes of kiln.decode stand for, in C++'s words: what evaluates or prints the op takes
// them from here. Inline throughout: nothing of it crosses the interface, which is kiln_backend.h alone.
//
// "e4m3": 8 bits of OCP's float, where 0x7f and 0xff, its NaNs, are 480 and -480 (a file that has them is widened);
// "e5m2": the upper half of an f16; "e2m1": MXFP4's four bits; "nf4" and "fp4": bitsandbytes'; "iq4": llama.cpp's
// IQ4_NL and IQ4_XS.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

namespace kiln {

enum class Coding : uint8_t { None, E4M3, E5M2, E2M1, NF4, FP4, IQ4 };

/// As the op, and the names of scales, have them.
constexpr const char *codingNames[] = {"", "e4m3", "e5m2", "e2m1", "nf4", "fp4", "iq4"};
constexpr const char *codingName(Coding coding) { return codingNames[static_cast<int>(coding)]; }
/// None: there is no such coding.
constexpr Coding codingCalled(std::string_view name) {
  for (Coding coding : {Coding::E4M3, Coding::E5M2, Coding::E2M1, Coding::NF4, Coding::FP4, Coding::IQ4})
    if (name == codingName(coding))
      return coding;
  return Coding::None;
}
constexpr int bitsOf(Coding coding) { return coding == Coding::E4M3 || coding == Coding::E5M2 ? 8 : 4; }

/// What four bits stand for, from 0 to 15.
inline const float *fourBitNumbers(Coding coding) {
  constexpr static float e2m1[16] = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                                     -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};
  constexpr static float nf4[16] = {-1.0F,
                                    -0.6961928009986877F,
                                    -0.5250730514526367F,
                                    -0.39491748809814453F,
                                    -0.28444138169288635F,
                                    -0.18477343022823334F,
                                    -0.09105003625154495F,
                                    0.0F,
                                    0.07958029955625534F,
                                    0.16093020141124725F,
                                    0.24611230194568634F,
                                    0.33791524171829224F,
                                    0.44070982933044434F,
                                    0.5626170039176941F,
                                    0.7229568362236023F,
                                    1.0F};
  constexpr static float fp4[16] = {0.0F, 0.0625F / 12,  8.0F / 12,  1.0F,  4.0F / 12,  0.5F,  2.0F / 12,  0.25F,
                                    0.0F, -0.0625F / 12, -8.0F / 12, -1.0F, -4.0F / 12, -0.5F, -2.0F / 12, -0.25F};
  constexpr static float iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  return coding == Coding::E2M1 ? e2m1 : coding == Coding::NF4 ? nf4 : coding == Coding::FP4 ? fp4 : iq4;
}

inline float codedNumber(Coding coding, uint8_t code) {
  if (bitsOf(coding) == 4)
    return fourBitNumbers(coding)[code & 15];
  bool wide = coding == Coding::E4M3;
  int fraction = wide ? 3 : 2, bias = wide ? 7 : 15;
  int exponent = (code & 127) >> fraction, mantissa = code & ((1 << fraction) - 1);
  float sign = code & 128 ? -1.0F : 1.0F;
  if (!wide && exponent == 31)
    return mantissa ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  int whole = exponent ? mantissa | 1 << fraction : mantissa;
  return sign * std::ldexp(static_cast<float>(whole), (exponent > 1 ? exponent : 1) - bias - fraction);
}

} // namespace kiln
