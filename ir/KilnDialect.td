//===- KilnDialect.td - the kiln dialect, its attributes and enumerations -------------------------------------===//
#ifndef KILN_DIALECT_TD
#define KILN_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/TensorEncoding.td"

def Kiln_Dialect : Dialect {
  let name = "kiln";
  let cppNamespace = "::kiln";
  let summary = "Neural networks, their gradients and their training steps";
  let description = [{
    Two tiers. *Primitives* are small and orthogonal; each has a differentiation rule. *Composites* carry their
    decomposition into primitives. A backend that runs the primitives runs every model.

    Tensors are builtin `tensor` types. A tensor with a dimension that is not a constant carries `#kiln.dims<...>` as
    its encoding: one expression a dimension, over the symbols of the enclosing function. A tensor whose dimensions
    are all constant carries none.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let hasOperationAttrVerify = 1;
  let dependentDialects = ["mlir::func::FuncDialect"];
}

class Kiln_Attr<string name, string attrMnemonic, list<Trait> traits = []> : AttrDef<Kiln_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def Kiln_DimsAttr : Kiln_Attr<"Dims", "dims", [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "a list of dimension expressions";
  let description = [{
    `#kiln.dims<"B", "4*T+1", "384">`: expressions over symbols in the normal form of `kiln::Dim`, as a tensor's
    encoding (one for each dimension) or as a symbolic integer list (slice starts, for example).
  }];
  let parameters = (ins ArrayRefParameter<"mlir::StringAttr">:$exprs);
  let assemblyFormat = "`<` $exprs `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static DimsAttr get(mlir::MLIRContext *context, llvm::ArrayRef<Dim> dims);
    llvm::SmallVector<Dim> dims() const;
    size_t size() const { return getExprs().size(); }
  }];
}

class Kiln_Enum<string name, string summary, list<I32EnumAttrCase> cases> : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::kiln";
  let genSpecializedAttr = 0;
}

def Kiln_ReduceKind : Kiln_Enum<"ReduceKind", "how a reduction combines", [
  I32EnumAttrCase<"sum", 0>, I32EnumAttrCase<"prod", 1>, I32EnumAttrCase<"max", 2>, I32EnumAttrCase<"min", 3>,
  I32EnumAttrCase<"any", 4>, I32EnumAttrCase<"all", 5>]>;
def Kiln_ReduceKindAttr : EnumAttr<Kiln_Dialect, Kiln_ReduceKind, "reduce_kind">;

def Kiln_ArgKind : Kiln_Enum<"ArgKind", "which element's index", [
  I32EnumAttrCase<"max", 0>, I32EnumAttrCase<"min", 1>]>;
def Kiln_ArgKindAttr : EnumAttr<Kiln_Dialect, Kiln_ArgKind, "arg_kind">;

def Kiln_Predicate : Kiln_Enum<"Predicate", "comparison", [
  I32EnumAttrCase<"eq", 0>, I32EnumAttrCase<"ne", 1>, I32EnumAttrCase<"lt", 2>, I32EnumAttrCase<"le", 3>,
  I32EnumAttrCase<"gt", 4>, I32EnumAttrCase<"ge", 5>]>;
def Kiln_PredicateAttr : EnumAttr<Kiln_Dialect, Kiln_Predicate, "predicate">;

def Kiln_ScatterKind : Kiln_Enum<"ScatterKind", "how an update meets the element it falls on", [
  I32EnumAttrCase<"set", 0>, I32EnumAttrCase<"add", 1>, I32EnumAttrCase<"mul", 2>, I32EnumAttrCase<"max", 3>,
  I32EnumAttrCase<"min", 4>]>;
def Kiln_ScatterKindAttr : EnumAttr<Kiln_Dialect, Kiln_ScatterKind, "scatter_kind">;

// Numbered as kiln_group_shape in backends/api/kiln_backend.h.
def Kiln_GroupShape : Kiln_Enum<"GroupShape", "what fusion made of a group's ops", [
  I32EnumAttrCase<"any", 0>, I32EnumAttrCase<"elementwise", 1>, I32EnumAttrCase<"rows", 2>,
  I32EnumAttrCase<"columns", 3>, I32EnumAttrCase<"contract", 4>, I32EnumAttrCase<"window", 5>,
  I32EnumAttrCase<"scatter", 6>, I32EnumAttrCase<"attention", 7>, I32EnumAttrCase<"single", 8>]>;
def Kiln_GroupShapeAttr : EnumAttr<Kiln_Dialect, Kiln_GroupShape, "group_shape">;

#endif // KILN_DIALECT_TD
