//===- KilnElementwise.td - primitives that map elements to elements --------------------------------------------===//
#ifndef KILN_ELEMENTWISE_TD
#define KILN_ELEMENTWISE_TD

include "ir/KilnBase.td"

// What the op reference says of `ulps`.
class Kiln_Accuracy<Kiln_Elements e, string ulps> {
  bit rounds = !and(!ne(ulps, "0"), !or(!eq(e.name, "floats"), !eq(e.name, "numbers"), !eq(e.name, "any")));
  string words = !if(rounds, "\n\n    Floats: within " # ulps # " units in the last place of the exact result.", "");
}

class Kiln_Unary<string mnemonic, string formula, Kiln_Elements e, Kiln_Cost cost = Kiln_Cheap, list<Trait> traits = []>
    : Kiln_PureOp<mnemonic, Kiln_Elementwise, cost, !listconcat([Kiln_OneType], e.traits, traits, [Elementwise, SameOperandsAndResultType])> {
  let dtypes = "T -> T";
  let elements = e;
  let summary = formula;
  let description = [{
    `result[i] = f(operand[i])` with f: }] # formula # [{.

    (C1) The operand and the result have the same type. }] # e.words # Kiln_Accuracy<e, ulps>.words # [{

    ```mlir
    func.func @}] # mnemonic # [{(%x: tensor<4x}] # e.example # [{>) -> tensor<4x}] # e.example # [{> {
      %r = kiln.}] # mnemonic # [{ %x : tensor<4x}] # e.example # [{>
      return %r : tensor<4x}] # e.example # [{>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

class Kiln_Binary<string mnemonic, string formula, Kiln_Elements e, Kiln_Cost cost = Kiln_Cheap, list<Trait> traits = []>
    : Kiln_PureOp<mnemonic, Kiln_Elementwise, cost, !listconcat([Kiln_OneType], e.traits, traits, [Elementwise, SameOperandsAndResultType])> {
  let dtypes = "T, T -> T";
  let elements = e;
  let summary = formula;
  let description = [{
    `result[i] = f(lhs[i], rhs[i])` with f: }] # formula # [{.

    (C1) Both operands and the result have the same type; nothing is broadcast. }] # e.words # Kiln_Accuracy<e, ulps>.words # [{

    ```mlir
    func.func @}] # mnemonic # [{(%x: tensor<4x}] # e.example # [{>, %y: tensor<4x}] # e.example # [{>) -> tensor<4x}] # e.example # [{> {
      %r = kiln.}] # mnemonic # [{ %x, %y : tensor<4x}] # e.example # [{>
      return %r : tensor<4x}] # e.example # [{>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$lhs, Kiln_Tensor:$rhs);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

// -x. torch.neg.
def Kiln_NegOp : Kiln_Unary<"neg", "-x", Kiln_Numbers> { let real = "-x"; let whole = "0 - x"; let hasFolder = 1; }
// |x|. torch.abs.
def Kiln_AbsOp : Kiln_Unary<"abs", "|x|", Kiln_Numbers> { let real = "std::fabs(x)"; let whole = "static_cast<int64_t>(x) < 0 ? 0 - x : x"; let onnx = "Abs"; }
// -1, 0 or 1. torch.sign.
def Kiln_SignOp : Kiln_Unary<"sign", "-1, 0 or 1; 0 for NaN (torch.sign)", Kiln_Numbers, Kiln_Cheap, [Kiln_NoGradient]> {
  let real = "static_cast<double>((x > 0) - (x < 0))";
  let whole = "static_cast<int64_t>(x) < 0 ? ~uint64_t{0} : uint64_t{x != 0}";
  let onnx = "Sign";
  let opset = 9;
}
// eˣ. torch.exp.
def Kiln_ExpOp : Kiln_Unary<"exp", "e^x", Kiln_Floats, Kiln_Exponential> { let real = "std::exp(x)"; let onnx = "Exp"; }
// eˣ - 1. torch.expm1.
def Kiln_Expm1Op : Kiln_Unary<"expm1", "e^x - 1", Kiln_Floats, Kiln_Polynomial> { let real = "std::expm1(x)"; }
// ln x. torch.log.
def Kiln_LogOp : Kiln_Unary<"log", "ln x; -inf at 0, NaN below", Kiln_Floats, Kiln_Exponential> { let real = "std::log(x)"; let onnx = "Log"; }
// ln(1 + x). torch.log1p.
def Kiln_Log1pOp : Kiln_Unary<"log1p", "ln(1 + x)", Kiln_Floats, Kiln_Polynomial> { let real = "std::log1p(x)"; }
// √x. torch.sqrt.
def Kiln_SqrtOp : Kiln_Unary<"sqrt", "square root; NaN below 0", Kiln_Floats, Kiln_Division> { let ulps = "2"; let real = "std::sqrt(x)"; let onnx = "Sqrt"; }
// 1 / √x. torch.rsqrt.
def Kiln_RsqrtOp : Kiln_Unary<"rsqrt", "1/sqrt(x)", Kiln_Floats, Kiln_Division> { let real = "1.0 / std::sqrt(x)"; }
// sin x. torch.sin.
def Kiln_SinOp : Kiln_Unary<"sin", "sin x", Kiln_Floats, Kiln_Polynomial> { let real = "std::sin(x)"; let onnx = "Sin"; }
// cos x. torch.cos.
def Kiln_CosOp : Kiln_Unary<"cos", "cos x", Kiln_Floats, Kiln_Polynomial> { let real = "std::cos(x)"; let onnx = "Cos"; }
// tanh x. torch.tanh.
def Kiln_TanhOp : Kiln_Unary<"tanh", "tanh x", Kiln_Floats, Kiln_Polynomial> { let real = "std::tanh(x)"; let onnx = "Tanh"; }
// 1 / (1 + e⁻ˣ). torch.sigmoid.
def Kiln_SigmoidOp : Kiln_Unary<"sigmoid", "1/(1+e^-x)", Kiln_Floats, Kiln_Polynomial> { let real = "1.0 / (1.0 + std::exp(-x))"; let onnx = "Sigmoid"; }
// The error function. torch.erf.
def Kiln_ErfOp : Kiln_Unary<"erf", "error function", Kiln_Floats, Kiln_Polynomial> { let real = "std::erf(x)"; let onnx = "Erf"; let opset = 9; }
// The next whole number below. torch.floor.
def Kiln_FloorOp : Kiln_Unary<"floor", "floor", Kiln_Floats, Kiln_Cheap, [Kiln_NoGradient]> { let real = "std::floor(x)"; }
// The next whole number above. torch.ceil.
def Kiln_CeilOp : Kiln_Unary<"ceil", "ceil", Kiln_Floats, Kiln_Cheap, [Kiln_NoGradient]> { let real = "std::ceil(x)"; }
// The nearest whole number, a half to the even one. torch.round.
def Kiln_RoundOp : Kiln_Unary<"round", "nearest, ties to even (torch.round)", Kiln_Floats, Kiln_Cheap, [Kiln_NoGradient]> { let real = "std::nearbyint(x)"; }
def Kiln_NotOp : Kiln_Unary<"not", "logical not for bool, bitwise for integers", Kiln_Bits> { let hasFolder = 1; }

// Sums and products of bools are or and and: nonzero where either, or both, are.
def Kiln_AddOp : Kiln_Binary<"add", "a + b (or, for bool)", Kiln_Any, Kiln_Cheap, [Commutative]> { let ulps = "0.5"; let real = "x + y"; let whole = "x + y"; let hasFolder = 1; }
def Kiln_SubOp : Kiln_Binary<"sub", "a - b", Kiln_Numbers> { let ulps = "0.5"; let real = "x - y"; let whole = "x - y"; let hasFolder = 1; }
def Kiln_MulOp : Kiln_Binary<"mul", "a * b (and, for bool)", Kiln_Any, Kiln_Cheap, [Commutative]> { let ulps = "0.5"; let real = "x * y"; let whole = "x * y"; let hasFolder = 1; }
def Kiln_DivOp : Kiln_Binary<"div", "a / b; integers truncate, division by zero is recorded in the status and yields 0", Kiln_Numbers, Kiln_Division> { let ulps = "2.5"; let hasFolder = 1; }
def Kiln_RemOp : Kiln_Binary<"rem", "remainder with the sign of the dividend (C's fmod and %); integer division by zero as in div", Kiln_Numbers, Kiln_Library> { let ulps = "0"; }
def Kiln_PowOp : Kiln_Binary<"pow", "a^b as C's pow", Kiln_Floats, Kiln_Library> { let real = "std::pow(x, y)"; }
def Kiln_MaxOp : Kiln_Binary<"max", "larger one; NaN if either is NaN", Kiln_Any, Kiln_Cheap, [Commutative]> { let real = "std::isnan(x) ? x : std::isnan(y) ? y : x < y ? y : x"; let whole = "static_cast<int64_t>(x) < static_cast<int64_t>(y) ? y : x"; }
def Kiln_MinOp : Kiln_Binary<"min", "smaller one; NaN if either is NaN", Kiln_Any, Kiln_Cheap, [Commutative]> { let real = "std::isnan(x) ? x : std::isnan(y) ? y : y < x ? y : x"; let whole = "static_cast<int64_t>(y) < static_cast<int64_t>(x) ? y : x"; }
def Kiln_AndOp : Kiln_Binary<"and", "bitwise and", Kiln_Bits, Kiln_Cheap, [Commutative]> { let whole = "x & y"; }
def Kiln_OrOp : Kiln_Binary<"or", "bitwise or", Kiln_Bits, Kiln_Cheap, [Commutative]> { let whole = "x | y"; }
def Kiln_XorOp : Kiln_Binary<"xor", "bitwise exclusive or", Kiln_Bits, Kiln_Cheap, [Commutative]> { let whole = "x ^ y"; }
def Kiln_ShlOp : Kiln_Binary<"shl", "shift left; 0 when the count, read as unsigned, is not below the width", Kiln_Integers>;
def Kiln_ShrOp : Kiln_Binary<"shr", "shift right, arithmetic for signed types; a count (read as unsigned) not below the width gives 0, or -1 for a negative value", Kiln_Integers>;

def Kiln_CompareOp : Kiln_PureOp<"compare", Kiln_Elementwise, Kiln_Cheap, [Kiln_OneOperandType, Elementwise, SameTypeOperands]> {
  let dtypes = "T, T -> bool";
  let summary = "lhs predicate rhs, as bool";
  let description = [{
    `result[i] = lhs[i] <predicate> rhs[i]`. Comparisons with NaN are false, `ne` true.

    (C1) Both operands have the same type. (C2) The result has their shape and element type i1.

    ```mlir
    func.func @compare(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xi1> {
      %r = kiln.compare lt %x, %y : tensor<4xf32> -> tensor<4xi1>
      return %r : tensor<4xi1>
    }
    ```
  }];
  let arguments = (ins Kiln_PredicateAttr:$predicate, Kiln_Tensor:$lhs, Kiln_Tensor:$rhs);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$predicate $lhs `,` $rhs attr-dict `:` type($lhs) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_SelectOp : Kiln_PureOp<"select", Kiln_Elementwise, Kiln_Cheap, [Elementwise, Kiln_AllTypesMatch<"(C1)", ["on_true", "on_false", "result"]>]> {
  let dtypes = "bool, T, T -> T";
  let summary = "on_true where the condition holds, else on_false";
  let description = [{
    `result[i] = condition[i] ? on_true[i] : on_false[i]`; the element not chosen has no influence (NaN included).

    (C1) on_true, on_false and the result have the same type. (C2) The condition has their shape and type i1.

    ```mlir
    func.func @select(%c: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
      %r = kiln.select %c, %x, %y : tensor<4xi1>, tensor<4xf32>
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$condition, Kiln_Tensor:$on_true, Kiln_Tensor:$on_false);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$condition `,` $on_true `,` $on_false attr-dict `:` type($condition) `,` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Kiln_ConvertOp : Kiln_PureOp<"convert", Kiln_Elementwise, Kiln_Cheap, [Elementwise]> {
  let dtypes = "any -> any";
  let summary = "change of element type";
  let description = [{
    Float to integer truncates towards zero and saturates (NaN gives 0); integer to a narrower one wraps; float to a
    narrower one rounds to nearest, ties to even; to bool tests for nonzero; from bool gives 0 or 1.

    (C1) The result has the operand's shape.

    ```mlir
    func.func @convert(%x: tensor<?xi32, #kiln.dims<"B">>) -> tensor<?xf32, #kiln.dims<"B">> {
      %r = kiln.convert %x : tensor<?xi32, #kiln.dims<"B">> -> tensor<?xf32, #kiln.dims<"B">>
      return %r : tensor<?xf32, #kiln.dims<"B">>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Kiln_BitcastOp : Kiln_PureOp<"bitcast", Kiln_Elementwise, Kiln_Free, [Kiln_NoGradient, Elementwise]> {
  let dtypes = "number -> number";
  let summary = "the same bits as a number of another kind";
  let description = [{
    `result[i]` has the bits of `operand[i]`. Of a NaN that it makes or reads, only that it is one is sure: its other bits
    may be lost.

    (C1) One of both has elements f32 and the other i32 or ui32, or one f64 and the other i64. (C2) The result has the
    operand's shape.

    ```mlir
    func.func @bitcast(%x: tensor<4xf32>) -> tensor<4xi32> {
      %r = kiln.bitcast %x : tensor<4xf32> -> tensor<4xi32>
      return %r : tensor<4xi32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

#endif // KILN_ELEMENTWISE_TD
