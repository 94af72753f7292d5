//===- KilnBase.td - tensors, traits and classes of ops ---------------------------------------------------------===//
#ifndef KILN_BASE_TD
#define KILN_BASE_TD

include "ir/KilnDialect.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/IR/OpAsmInterface.td"

def Kiln_Tensor : Type<CPred<"::kiln::isKilnTensor($_self)">,
    "ranked tensor of f32, f64, bf16, f16, i8, ui8, i32, ui32, i64 or i1 whose dimensions are constant or in #kiln.dims",
    "::mlir::RankedTensorType">;
def Kiln_Scalar : Type<And<[Kiln_Tensor.predicate, CPred<"::llvm::cast<::mlir::RankedTensorType>($_self).getRank() == 0">]>,
    "tensor of rank 0", "::mlir::RankedTensorType">;

class Kiln_Op<string mnemonic, list<Trait> traits = []> : Op<Kiln_Dialect, mnemonic, traits>;
class Kiln_PureOp<string mnemonic, list<Trait> traits = []> : Kiln_Op<mnemonic, !listconcat(traits, [Pure])>;

// Verifiers of numbered constraints that many ops share (ir/Traits.h). They stand before MLIR's own traits, so that
// theirs is the message.
class Kiln_Trait<string name> : NativeOpTrait<name> { let cppNamespace = "::kiln"; }
def Kiln_OneType : Kiln_Trait<"OneType">;               // (C1) operands and results have one type
def Kiln_OneOperandType : Kiln_Trait<"OneOperandType">; // (C1) operands have one type
def Kiln_FloatElements : Kiln_Trait<"FloatElements">;
def Kiln_NumberElements : Kiln_Trait<"NumberElements">;
def Kiln_IntegerElements : Kiln_Trait<"IntegerElements">;
def Kiln_BitElements : Kiln_Trait<"BitElements">;

// MLIR's AllTypesMatch with the constraint's number in its message.
class Kiln_AllTypesMatch<string number, list<string> names> : AllTypesMatch<names> {
  let summary = number # " all of {" # !interleave(names, ", ") # "} have the same type";
}

// Which elements an elementwise op takes, and one of them for its example.
class Kiln_Elements<list<Trait> t, string w, string e> {
  list<Trait> traits = t;
  string words = w;
  string example = e;
}
def Kiln_Any : Kiln_Elements<[], "", "f32">;
def Kiln_Floats : Kiln_Elements<[Kiln_FloatElements], "(C2) The elements are floats.", "f32">;
def Kiln_Numbers : Kiln_Elements<[Kiln_NumberElements], "(C2) The elements are floats or integers, not bool.", "f32">;
def Kiln_Integers : Kiln_Elements<[Kiln_IntegerElements], "(C2) The elements are integers, not bool.", "i32">;
def Kiln_Bits : Kiln_Elements<[Kiln_BitElements], "(C2) The elements are integers or bool.", "i32">;

#endif // KILN_BASE_TD
