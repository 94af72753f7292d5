// The check that a processor has what a program was compiled for, against processors that are only described.
#include "backends/cpu/run/Processor.h"

#include <gtest/gtest.h>

#if defined(__x86_64__)

namespace kiln::cpu {
namespace {

constexpr uint64_t sseState = 0x3, avxState = 0x7, avx512State = 0xe7;

/// A Haswell as CPUID describes it: AVX2, FMA, F16C and BMI, nothing of AVX-512.
bool haswell(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
  registers[0] = registers[1] = registers[2] = registers[3] = 0;
  if (leaf == 1) // sse3, ssse3, fma, sse4.1, sse4.2, movbe, popcnt, osxsave, avx, f16c
    registers[2] =
        1u << 0 | 1u << 9 | 1u << 12 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 27 | 1u << 28 | 1u << 29;
  else if (leaf == 7 && subleaf == 0) // bmi, avx2, bmi2
    registers[1] = 1u << 3 | 1u << 5 | 1u << 8;
  else if (leaf == 0x80000001) // lzcnt
    registers[2] = 1u << 5;
  return leaf <= 7 || leaf == 0x80000001;
}

/// The same with AVX-512's foundation, VL, BW and DQ.
bool server(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
  bool known = haswell(leaf, subleaf, registers);
  if (leaf == 7 && subleaf == 0)
    registers[1] |= 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  return known;
}

/// Before leaf 7.
bool old(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
  return leaf < 7 && haswell(leaf, subleaf, registers);
}

template <uint64_t State> uint64_t enabled() { return State; }

constexpr char haswellFeatures[] = "sse3,ssse3,sse4.1,sse4.2,popcnt,movbe,avx,fma,f16c,avx2,bmi,bmi2,lzcnt";

TEST(Processor, HasWhatItSays) {
  Processor processor = {haswell, enabled<avxState>};
  EXPECT_EQ(missingFeatures(haswellFeatures, processor), "");
  EXPECT_EQ(missingFeatures("", processor), "");
}

TEST(Processor, LacksByName) {
  Processor processor = {haswell, enabled<avxState>};
  EXPECT_EQ(missingFeatures("avx2,avx512f,fma,avx512vl", processor), "avx512f, avx512vl");
  EXPECT_EQ(missingFeatures("avx512bf16", processor), "avx512bf16"); // in another subleaf
}

TEST(Processor, TheOperatingSystemMustKeepTheRegisters) {
  EXPECT_EQ(missingFeatures("avx2,avx512f,avx512vl", {server, enabled<avx512State>}), "");
  EXPECT_EQ(missingFeatures("avx2,avx512f,avx512vl", {server, enabled<avxState>}), "avx512f, avx512vl");
  EXPECT_EQ(missingFeatures("sse4.2,avx2,bmi2,fma", {server, enabled<sseState>}), "avx2, fma");
}

TEST(Processor, LeavesThatAreNotThere) {
  EXPECT_EQ(missingFeatures("sse4.2,avx,avx2,bmi,lzcnt", {old, enabled<avxState>}), "avx2, bmi, lzcnt");
}

TEST(Processor, UnknownNamesAreLacking) {
  EXPECT_EQ(missingFeatures("avx,avx1024f,av", {server, enabled<avx512State>}), "avx1024f, av");
}

TEST(Processor, ThisOneHasItsBaseline) { EXPECT_EQ(missingFeatures("sse3"), ""); }

} // namespace
} // namespace kiln::cpu

#endif
