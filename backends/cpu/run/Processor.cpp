// What the processor says of itself (cpuid), beside what code was compiled for.

#include "backends/cpu/run/Processor.h"
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace kiln::cpu {

#if defined(__x86_64__)

namespace {
enum Register { EAX, EBX, ECX, EDX };
struct Feature {
  char name[16]; // in place: an address would be a relocation of each program
  uint32_t leaf, subleaf;
  Register where;
  int bit;
  uint64_t state; // bits of XCR0 that the operating system must have set
};
} // namespace

constexpr uint64_t ymm = 0x6, zmm = 0xe6, amx = 0x60000;

static constexpr Feature known[] = {{"sse3", 1, 0, ECX, 0, 0},
                                    {"ssse3", 1, 0, ECX, 9, 0},
                                    {"sse4.1", 1, 0, ECX, 19, 0},
                                    {"sse4.2", 1, 0, ECX, 20, 0},
                                    {"popcnt", 1, 0, ECX, 23, 0},
                                    {"movbe", 1, 0, ECX, 22, 0},
                                    {"avx", 1, 0, ECX, 28, ymm},
                                    {"fma", 1, 0, ECX, 12, ymm},
                                    {"f16c", 1, 0, ECX, 29, ymm},
                                    {"avx2", 7, 0, EBX, 5, ymm},
                                    {"bmi", 7, 0, EBX, 3, 0},
                                    {"bmi2", 7, 0, EBX, 8, 0},
                                    {"lzcnt", 0x80000001, 0, ECX, 5, 0},
                                    {"avx512f", 7, 0, EBX, 16, zmm},
                                    {"avx512dq", 7, 0, EBX, 17, zmm},
                                    {"avx512ifma", 7, 0, EBX, 21, zmm},
                                    {"avx512cd", 7, 0, EBX, 28, zmm},
                                    {"avx512bw", 7, 0, EBX, 30, zmm},
                                    {"avx512vl", 7, 0, EBX, 31, zmm},
                                    {"avx512vbmi", 7, 0, ECX, 1, zmm},
                                    {"avx512vbmi2", 7, 0, ECX, 6, zmm},
                                    {"gfni", 7, 0, ECX, 8, 0},
                                    {"vaes", 7, 0, ECX, 9, ymm},
                                    {"vpclmulqdq", 7, 0, ECX, 10, ymm},
                                    {"avx512vnni", 7, 0, ECX, 11, zmm},
                                    {"avx512bitalg", 7, 0, ECX, 12, zmm},
                                    {"avx512vpopcntdq", 7, 0, ECX, 14, zmm},
                                    {"amx-bf16", 7, 0, EDX, 22, amx},
                                    {"avx512fp16", 7, 0, EDX, 23, zmm},
                                    {"amx-tile", 7, 0, EDX, 24, amx},
                                    {"amx-int8", 7, 0, EDX, 25, amx},
                                    {"avxvnni", 7, 1, EAX, 4, ymm},
                                    {"avx512bf16", 7, 1, EAX, 5, zmm}};

static uint64_t enabledState() {
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & (1u << 27)))
    return 0;
  __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return static_cast<uint64_t>(edx) << 32 | eax;
}

static bool identify(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
  return __get_cpuid_count(leaf, subleaf, &registers[EAX], &registers[EBX], &registers[ECX], &registers[EDX]) != 0;
}

const Processor &thisProcessor() {
  static constexpr Processor processor = {identify, enabledState};
  return processor;
}

static bool hasFeature(const char *name, size_t size, const Processor &processor) {
  for (const Feature &feature : known) {
    if (std::strlen(feature.name) != size || std::memcmp(feature.name, name, size) != 0)
      continue;
    uint32_t registers[4] = {};
    if (!processor.identify(feature.leaf, feature.subleaf, registers))
      return false;
    return (registers[feature.where] >> feature.bit & 1) && (processor.enabledState() & feature.state) == feature.state;
  }
  return false;
}

std::string processorName() {
  uint32_t words[12] = {};
  for (uint32_t i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002 + i, &words[i * 4], &words[i * 4 + 1], &words[i * 4 + 2], &words[i * 4 + 3]))
      return "a processor";
  std::string name(reinterpret_cast<const char *>(words), sizeof words);
  name.resize(std::strlen(name.c_str()));
  name.erase(0, name.find_first_not_of(' '));
  name.erase(name.find_last_not_of(' ') + 1);
  return name.empty() ? "a processor" : name;
}

#else

const Processor &thisProcessor() {
  static constexpr Processor processor = {nullptr, nullptr};
  return processor;
}

// Baseline only: the compile side records none.
static bool hasFeature(const char *, size_t, const Processor &) { return true; }

std::string processorName() { return "a processor"; }

#endif

std::string missingFeatures(const char *features, const Processor &processor) {
  std::string missing;
  while (*features) {
    const char *end = std::strchr(features, ',');
    size_t size = end ? static_cast<size_t>(end - features) : std::strlen(features);
    if (size && !hasFeature(features, size, processor)) {
      if (!missing.empty())
        missing += ", ";
      missing.append(features, size);
    }
    features += size + (end ? 1 : 0);
  }
  return missing;
}

} // namespace kiln::cpu
