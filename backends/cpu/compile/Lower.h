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

/// How ops of these dialects become ops of the llvm dialect, for all modules of a context: making it takes as long as
/// using it for a small kernel.
class LoweringPatterns {
public:
  explicit LoweringPatterns(mlir::MLIRContext &context);
  ~LoweringPatterns();

private:
  friend bool lowerToLLVMDialect(mlir::ModuleOp, const LoweringPatterns &, std::string &);
  struct Contents;
  std::unique_ptr<Contents> contents;
};

/// scf, arith, math, vector and func to the llvm dialect, in place.
bool lowerToLLVMDialect(mlir::ModuleOp module, const LoweringPatterns &patterns, std::string &error);

/// To LLVM IR for the machine, with the few passes that hand-vectorised code gains from.
std::unique_ptr<llvm::Module> lowerToLLVM(mlir::ModuleOp module, llvm::LLVMContext &context, const Machine &machine,
                                          llvm::TargetMachine &generator, std::string &error);

/// An object file, or assembly text.
bool generate(llvm::Module &module, llvm::TargetMachine &generator, bool assembly, llvm::SmallVectorImpl<char> &out,
              std::string &error);

} // namespace kiln::cpu
