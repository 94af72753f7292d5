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

// Verifiers of numbered constraints that many ops share (ir/Traits.h). They stand before MLIR's own traits, so that
// theirs is the message.
class Kiln_Trait<string name> : NativeOpTrait<name> { let cppNamespace = "::kiln"; }
def Kiln_OneType : Kiln_Trait<"OneType">;               // (C1) operands and results have one type
def Kiln_OneOperandType : Kiln_Trait<"OneOperandType">; // (C1) operands have one type
def Kiln_FloatElements : Kiln_Trait<"FloatElements">;
def Kiln_NumberElements : Kiln_Trait<"NumberElements">;
def Kiln_IntegerElements : Kiln_Trait<"IntegerElements">;
def Kiln_BitElements : Kiln_Trait<"BitElements">;
def Kiln_AxisBelowRank : Kiln_Trait<"AxisBelowRank">;   // (C1) axis is below the first result's rank
def Kiln_Attends : Kiln_Trait<"Attends">;               // attention of any kind
def Kiln_AttendsGrad : Kiln_Trait<"AttendsGrad">;       // its gradients
def Kiln_NoGradient : Kiln_Trait<"NoGradient">;         // none flows through it: zero where there is one

// MLIR's AllTypesMatch with the constraint's number in its message.
class Kiln_AllTypesMatch<string number, list<string> names> : AllTypesMatch<names> {
  let summary = number # " all of {" # !interleave(names, ", ") # "} have the same type";
}

// Which elements T of its `dtypes` an op takes, and one of them for its example.
class Kiln_Elements<string n, list<Trait> t, string w, string e> {
  string name = n;
  list<Trait> traits = t;
  string words = w;
  string example = e;
}
def Kiln_Any : Kiln_Elements<"any", [], "", "f32">;
def Kiln_Floats : Kiln_Elements<"floats", [Kiln_FloatElements], "(C2) The elements are floats.", "f32">;
def Kiln_Numbers : Kiln_Elements<"numbers", [Kiln_NumberElements], "(C2) The elements are floats or integers, not bool.", "f32">;
def Kiln_Integers : Kiln_Elements<"integers", [Kiln_IntegerElements], "(C2) The elements are integers, not bool.", "i32">;
def Kiln_Bits : Kiln_Elements<"bits", [Kiln_BitElements], "(C2) The elements are integers or bool.", "i32">;

// What an op does to elements. Fusion, the backends and the op table (tablegen/OpTable.cpp) go by it.
class Kiln_Class<string n, string w> {
  string name = n;
  string words = w;
}
def Kiln_Elementwise : Kiln_Class<"Elementwise", "each element from those at its place">;
def Kiln_Source : Kiln_Class<"Source", "each element from its place alone">;
def Kiln_Layout : Kiln_Class<"Layout", "each element is one of an operand's, from another place">;
def Kiln_Update : Kiln_Class<"Update", "the operand, with a block replaced">;
def Kiln_Reduction : Kiln_Class<"Reduction", "one element from many along axes">;
def Kiln_Contraction : Kiln_Class<"Contraction", "sums of products">;
def Kiln_Whole : Kiln_Class<"Whole", "elements from many, in ways of the op's own">;
def Kiln_Composed : Kiln_Class<"Composite", "what its decomposition does">;
def Kiln_Control : Kiln_Class<"Control", "runs regions">;
def Kiln_Structure : Kiln_Class<"Structure", "holds other ops together">;

// What an element costs beside reading and writing it. From Division on it is dear: worth storing when it is read twice.
class Kiln_Cost<string n, int l, string w> {
  string name = n;
  int level = l;
  string words = w;
}
def Kiln_Free : Kiln_Cost<"Free", 0, "nothing">;
def Kiln_Cheap : Kiln_Cost<"Cheap", 1, "an instruction or a few">;
def Kiln_Division : Kiln_Cost<"Division", 2, "a division or a root">;
def Kiln_Exponential : Kiln_Cost<"Exponential", 3, "ten instructions or a few more">;
def Kiln_Polynomial : Kiln_Cost<"Polynomial", 4, "twenty instructions">;
def Kiln_Library : Kiln_Cost<"Library", 5, "often a call for each element">;
def Kiln_Philox : Kiln_Cost<"Philox", 6, "ten rounds of a generator">;

class Kiln_Op<string mnemonic, Kiln_Class c, Kiln_Cost k, list<Trait> traits = []> : Op<Kiln_Dialect, mnemonic, traits> {
  Kiln_Class opClass = c;
  Kiln_Cost cost = k;
  bit primitive = 1; // a backend that has the primitives runs every model
  // The dtypes of operands, then of results: T is one of `elements`, the same wherever it stands; T+ is T or what T is
  // accumulated in; "any", "number", "integer" are one of these, and a dtype's name is itself. An operand may stand for several.
  string dtypes = "";
  Kiln_Elements elements = Kiln_Any;
  // How far an elementwise op's float result may be from the exact one, in units in the last place.
  string ulps = !cond(!le(k.level, Kiln_Cheap.level): "0", !le(k.level, Kiln_Polynomial.level): "4", true: "16");
  // What an elementwise op is of floats and of integers (in unsigned arithmetic, which wraps), in C++ of x, or of x and y:
  // the interpreter and the reference compute it. A function of one element the language has under the op's name.
  string real = "";
  string whole = "";
  // ONNX's op that is the same, and the first opset with it as it is read.
  string onnx = "";
  int opset = 7;
}
class Kiln_PureOp<string mnemonic, Kiln_Class c, Kiln_Cost k, list<Trait> traits = []>
    : Kiln_Op<mnemonic, c, k, !listconcat(traits, [Pure])>;
class Kiln_SourceOp<string mnemonic, Kiln_Cost cost = Kiln_Cheap, list<Trait> traits = []>
    : Kiln_PureOp<mnemonic, Kiln_Source, cost, traits>;
class Kiln_LayoutOp<string mnemonic, Kiln_Cost cost = Kiln_Cheap, list<Trait> traits = []>
    : Kiln_PureOp<mnemonic, Kiln_Layout, cost, traits>;
class Kiln_ReductionOp<string mnemonic> : Kiln_PureOp<mnemonic, Kiln_Reduction, Kiln_Cheap>;
class Kiln_ContractionOp<string mnemonic> : Kiln_PureOp<mnemonic, Kiln_Contraction, Kiln_Cheap>;
class Kiln_WholeOp<string mnemonic, list<Trait> traits = []> : Kiln_PureOp<mnemonic, Kiln_Whole, Kiln_Cheap, traits>;
class Kiln_ControlOp<string mnemonic, list<Trait> traits = []> : Kiln_PureOp<mnemonic, Kiln_Control, Kiln_Cheap, traits>;
class Kiln_StructureOp<string mnemonic, list<Trait> traits> : Kiln_Op<mnemonic, Kiln_Structure, Kiln_Free, traits>;

#endif // KILN_BASE_TD
