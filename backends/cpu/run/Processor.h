/* Processor.h: does this processor have what code was compiled for? */
#ifndef KILN_BACKENDS_CPU_RUN_PROCESSOR_H
#define KILN_BACKENDS_CPU_RUN_PROCESSOR_H

#include <string>

namespace kiln::cpu {

/// Those of the comma-separated features (LLVM's names) that this processor, or its operating system, lacks.
std::string missingFeatures(const char *features);

/// As the processor calls itself; "a processor" where it does not.
std::string processorName();

} // namespace kiln::cpu

#endif // KILN_BACKENDS_CPU_RUN_PROCESSOR_H
