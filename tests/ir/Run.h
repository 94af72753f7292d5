// Parses MLIR text and runs its first function, or a named one, in the interpreter.
#pragma once

#include "ir/interpreter/Interpreter.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

#include <gtest/gtest.h>

namespace kiln::testing {

inline mlir::MLIRContext &context() {
  static mlir::MLIRContext instance;
  static bool loaded = (instance.loadDialect<KilnDialect, mlir::func::FuncDialect>(), true);
  (void)loaded;
  return instance;
}

inline mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
  EXPECT_TRUE(module) << text;
  return module;
}

inline mlir::func::FuncOp functionIn(mlir::ModuleOp module, const std::string &name = "") {
  return name.empty() ? *module.getOps<mlir::func::FuncOp>().begin() : module.lookupSymbol<mlir::func::FuncOp>(name);
}

inline absl::StatusOr<Interpreted> tryRun(const std::string &text, llvm::ArrayRef<HostTensor> arguments,
                                          const InterpreterOptions &options = {}) {
  mlir::OwningOpRef<mlir::ModuleOp> module = parse(text);
  if (!module)
    return absl::InternalError("does not parse");
  return interpret(functionIn(*module), arguments, options);
}

inline std::vector<HostTensor> run(const std::string &text, llvm::ArrayRef<HostTensor> arguments,
                                   const InterpreterOptions &options = {}) {
  absl::StatusOr<Interpreted> outcome = tryRun(text, arguments, options);
  EXPECT_TRUE(outcome.ok()) << outcome.status().message() << "\n" << text;
  return outcome.ok() ? outcome->results : std::vector<HostTensor>();
}

inline mlir::Type elementNamed(const std::string &name) {
  mlir::Builder builder(&context());
  if (name == "f32")
    return builder.getF32Type();
  if (name == "f64")
    return builder.getF64Type();
  if (name == "f16")
    return builder.getF16Type();
  if (name == "bf16")
    return builder.getBF16Type();
  if (name == "ui8" || name == "ui32")
    return builder.getIntegerType(std::stoi(name.substr(2)), /*isSigned=*/false);
  return builder.getIntegerType(std::stoi(name.substr(1)));
}

inline HostTensor f32(std::vector<int64_t> shape, std::vector<double> values) {
  return HostTensor::ofFloats(elementNamed("f32"), std::move(shape), std::move(values));
}
inline HostTensor i32(std::vector<int64_t> shape, std::vector<int64_t> values) {
  return HostTensor::ofIntegers(elementNamed("i32"), std::move(shape), std::move(values));
}

} // namespace kiln::testing
