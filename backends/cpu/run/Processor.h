/* Processor.h: does this processor have what code was compiled for? */
#pragma once

#include <cstdint>
#include <string>

namespace kiln::cpu {

/// What an x86 processor says about itself. Only tests describe another than this one.
struct Processor {
  /// EAX, EBX, ECX, EDX of a leaf; false where there is no such leaf.
  bool (*identify)(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]);
  /// The register state that the operating system keeps (XCR0), 0 where it keeps none.
  uint64_t (*enabledState)();
};
const Processor &thisProcessor();

/// Those of the comma-separated features (LLVM's names) that the processor, or its operating system, lacks; a name that
/// is not known counts as lacking. Other architectures than x86 have their baseline alone, and lack nothing.
std::string missingFeatures(const char *features, const Processor &processor = thisProcessor());

/// As the processor calls itself; "a processor" where it does not.
std::string processorName();

} // namespace kiln::cpu
