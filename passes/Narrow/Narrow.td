include "mlir/Pass/PassBase.td"

def Narrow : Pass<"kiln-narrow", "mlir::ModuleOp"> {
  let summary = "Operands of products rounded to bf16";
  let description = [{
    Each product of f32 tensors (`dot_general`) reads its operands rounded to the type that its function asks for
    (`kiln.compute = "bf16"`, or the option for all functions); sums and results stay f32, and so does everything else:
    parameters, optimizers, norms, softmax, attention, losses. What is f32 only because it was widened from that type is read as it was.

    Each product has conversions of its own, so that fusion can put them where the operand is read.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [Option<"compute", "compute", "std::string", "", "bf16: in every function, whatever it asks for">];
}
