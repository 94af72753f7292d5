// From the dialects of a kernel module to LLVM IR, optimised, and to an object file.

#include "backends/cpu/compile/Lower.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/DialectConversion.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"

using namespace mlir;

namespace kiln::cpu {

void loadDialects(MLIRContext &context) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  context.appendDialectRegistry(registry);
  context.loadDialect<arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, LLVM::LLVMDialect,
                      math::MathDialect, scf::SCFDialect, vector::VectorDialect>();
}

struct LoweringPatterns::Contents {
  LLVMTypeConverter types;
  LLVMConversionTarget target;
  FrozenRewritePatternSet patterns;

  explicit Contents(MLIRContext &context) : types(&context, options(context)), target(context), patterns(all()) {
    target.addLegalOp<ModuleOp>();
  }

  static LowerToLLVMOptions options(MLIRContext &context) {
    LowerToLLVMOptions options(&context);
    options.overrideIndexBitwidth(64);
    return options;
  }

  RewritePatternSet all() {
    RewritePatternSet patterns(&types.getContext());
    populateSCFToControlFlowConversionPatterns(patterns);
    cf::populateControlFlowToLLVMConversionPatterns(types, patterns);
    arith::populateArithToLLVMConversionPatterns(types, patterns);
    populateMathToLLVMConversionPatterns(types, patterns);
    populateVectorToLLVMConversionPatterns(types, patterns);
    populateFuncToLLVMConversionPatterns(types, patterns);
    return patterns;
  }
};

LoweringPatterns::LoweringPatterns(MLIRContext &context) : contents(std::make_unique<Contents>(context)) {}
LoweringPatterns::~LoweringPatterns() = default;

bool lowerToLLVMDialect(ModuleOp module, const LoweringPatterns &patterns, std::string &error) {
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &diagnostic) {
    llvm::raw_string_ostream(error) << diagnostic << "\n";
    return success();
  });
  return succeeded(verify(module)) &&
         succeeded(applyFullConversion(module, patterns.contents->target, patterns.contents->patterns));
}

std::unique_ptr<llvm::Module> lowerToLLVM(ModuleOp module, llvm::LLVMContext &context, const Machine &machine,
                                          llvm::TargetMachine &generator, std::string &error) {
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(module, context);
  if (!result) {
    error = "a kernel's module does not translate to LLVM IR";
    return nullptr;
  }
  result->setTargetTriple(generator.getTargetTriple().str());
  result->setDataLayout(generator.createDataLayout());
  std::string width = std::to_string(machine.vectorBytes * 8);
  for (llvm::Function &function : *result) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine.cpu);
    function.addFnAttr("target-features", machine.targetFeatures);
    // Tuning for some processors splits the widest vectors unless told not to.
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    function.addFnAttr(llvm::Attribute::NoUnwind);
    if (function.getName() == "kiln_cpu_report") {
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
      function.addFnAttr(llvm::Attribute::NoInline);
      function.addFnAttr(llvm::Attribute::Cold);
    } else {
      function.setVisibility(llvm::GlobalValue::HiddenVisibility);
    }
  }
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder passes(&generator);
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(graphs);
  passes.registerFunctionAnalyses(functions);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, functions, graphs, modules);
  llvm::FunctionPassManager each;
  each.addPass(llvm::EarlyCSEPass());
  llvm::ModulePassManager all;
  all.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(each)));
  all.run(*result, modules);
  return result;
}

bool generate(llvm::Module &module, llvm::TargetMachine &generator, bool assembly, llvm::SmallVectorImpl<char> &out,
              std::string &error) {
  llvm::raw_svector_ostream stream(out);
  llvm::legacy::PassManager passes;
  auto type = assembly ? llvm::CodeGenFileType::AssemblyFile : llvm::CodeGenFileType::ObjectFile;
  if (generator.addPassesToEmitFile(passes, stream, nullptr, type)) {
    error = "LLVM cannot write this kind of file for the target";
    return false;
  }
  passes.run(module);
  return true;
}

} // namespace kiln::cpu
