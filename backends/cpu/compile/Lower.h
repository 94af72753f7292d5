// From a kernel module to machine code.
#pragma once

#include "backends/cpu/compile/Code.h"
#include <memory>

namespace llvm {
class LLVMContext;
class Module;
class TargetMachine;
} // namespace llvm

namespace kiln::cpu {

/// Only the dialects that kernels are written in.
void loadDialects(mlir::MLIRContext &context);

/// scf, arith, math, vector and func to the llvm dialect, in place.
bool lowerToLLVMDialect(mlir::ModuleOp module, std::string &error);

/// To LLVM IR for the machine, with the few passes that hand-vectorised code gains from.
std::unique_ptr<llvm::Module> lowerToLLVM(mlir::ModuleOp module, llvm::LLVMContext &context, const Machine &machine,
                                          llvm::TargetMachine &generator, std::string &error);

/// An object file, or assembly text.
bool generate(llvm::Module &module, llvm::TargetMachine &generator, bool assembly, llvm::SmallVectorImpl<char> &out,
              std::string &error);

} // namespace kiln::cpu
