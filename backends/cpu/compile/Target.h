// What to compile for.
#pragma once

#include "backends/cpu/compile/Code.h"
#include <memory>

namespace llvm {
class TargetMachine;
}

namespace kiln::cpu {

/// Reads a kiln_target; false, with a sentence in `error`, where LLVM has no such triple or processor.
bool readTarget(const kiln_target &target, Machine &machine, std::string &error);

/// LLVM's code generator for a machine. One a thread.
std::unique_ptr<llvm::TargetMachine> createTargetMachine(const Machine &machine, std::string &error);

} // namespace kiln::cpu
