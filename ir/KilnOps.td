//===- KilnOps.td - the primitives ------------------------------------------------------------------------------===//
#ifndef KILN_OPS_TD
#define KILN_OPS_TD

include "ir/KilnDialect.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/IR/OpAsmInterface.td"

def Kiln_Tensor : Type<CPred<"::llvm::isa<::mlir::RankedTensorType>($_self)">, "ranked tensor", "::mlir::RankedTensorType">;
def Kiln_Scalar : Type<And<[Kiln_Tensor.predicate, CPred<"::llvm::cast<::mlir::RankedTensorType>($_self).getRank() == 0">]>, "tensor of rank 0", "::mlir::RankedTensorType">;

class Kiln_Op<string mnemonic, list<Trait> traits = []> : Op<Kiln_Dialect, mnemonic, traits>;
class Kiln_PureOp<string mnemonic, list<Trait> traits = []> : Kiln_Op<mnemonic, !listconcat(traits, [Pure])>;

//===-- Elementwise ---------------------------------------------------------------------------------------------===//

class Kiln_Unary<string mnemonic, string formula> : Kiln_PureOp<mnemonic, [Elementwise, SameOperandsAndResultType]> {
  let summary = formula;
  let description = "`result[i] = f(operand[i])` with f: " # formula # [{.

    (C1) The operand and the result have the same type.
  }];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

class Kiln_Binary<string mnemonic, string formula, list<Trait> traits = []>
    : Kiln_PureOp<mnemonic, !listconcat(traits, [Elementwise, SameOperandsAndResultType])> {
  let summary = formula;
  let description = "`result[i] = f(lhs[i], rhs[i])` with f: " # formula # [{.

    (C1) Both operands and the result have the same type; nothing is broadcast.
  }];
  let arguments = (ins Kiln_Tensor:$lhs, Kiln_Tensor:$rhs);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

def Kiln_NegOp : Kiln_Unary<"neg", "-x">;
def Kiln_AbsOp : Kiln_Unary<"abs", "|x|">;
def Kiln_SignOp : Kiln_Unary<"sign", "-1, 0 or 1; NaN for NaN">;
def Kiln_ExpOp : Kiln_Unary<"exp", "e^x">;
def Kiln_Expm1Op : Kiln_Unary<"expm1", "e^x - 1">;
def Kiln_LogOp : Kiln_Unary<"log", "ln x; -inf at 0, NaN below">;
def Kiln_Log1pOp : Kiln_Unary<"log1p", "ln(1 + x)">;
def Kiln_SqrtOp : Kiln_Unary<"sqrt", "square root; NaN below 0">;
def Kiln_RsqrtOp : Kiln_Unary<"rsqrt", "1/sqrt(x)">;
def Kiln_SinOp : Kiln_Unary<"sin", "sin x">;
def Kiln_CosOp : Kiln_Unary<"cos", "cos x">;
def Kiln_TanhOp : Kiln_Unary<"tanh", "tanh x">;
def Kiln_SigmoidOp : Kiln_Unary<"sigmoid", "1/(1+e^-x)">;
def Kiln_ErfOp : Kiln_Unary<"erf", "error function">;
def Kiln_FloorOp : Kiln_Unary<"floor", "floor">;
def Kiln_CeilOp : Kiln_Unary<"ceil", "ceil">;
def Kiln_RoundOp : Kiln_Unary<"round", "nearest, ties to even (torch.round)">;
def Kiln_NotOp : Kiln_Unary<"not", "logical not for bool, bitwise for integers">;

def Kiln_AddOp : Kiln_Binary<"add", "a + b (or, for bool)", [Commutative]>;
def Kiln_SubOp : Kiln_Binary<"sub", "a - b">;
def Kiln_MulOp : Kiln_Binary<"mul", "a * b (and, for bool)", [Commutative]>;
def Kiln_DivOp : Kiln_Binary<"div", "a / b; integers truncate, division by zero is recorded in the status and yields 0">;
def Kiln_RemOp : Kiln_Binary<"rem", "remainder with the sign of the dividend (C's fmod and %)">;
def Kiln_PowOp : Kiln_Binary<"pow", "a^b as C's pow">;
def Kiln_MaxOp : Kiln_Binary<"max", "larger one; NaN if either is NaN", [Commutative]>;
def Kiln_MinOp : Kiln_Binary<"min", "smaller one; NaN if either is NaN", [Commutative]>;
def Kiln_AndOp : Kiln_Binary<"and", "bitwise and", [Commutative]>;
def Kiln_OrOp : Kiln_Binary<"or", "bitwise or", [Commutative]>;
def Kiln_XorOp : Kiln_Binary<"xor", "bitwise exclusive or", [Commutative]>;
def Kiln_ShlOp : Kiln_Binary<"shl", "shift left; 0 when the count is not below the width">;
def Kiln_ShrOp : Kiln_Binary<"shr", "shift right, arithmetic for signed types">;

def Kiln_CompareOp : Kiln_PureOp<"compare", [Elementwise, SameTypeOperands]> {
  let summary = "lhs predicate rhs, as bool";
  let description = [{
    `result[i] = lhs[i] <predicate> rhs[i]`. Comparisons with NaN are false, `ne` true.

    (C1) Both operands have the same type. (C2) The result has their shape and element type i1.
  }];
  let arguments = (ins Kiln_PredicateAttr:$predicate, Kiln_Tensor:$lhs, Kiln_Tensor:$rhs);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$predicate $lhs `,` $rhs attr-dict `:` type($lhs) `->` type($result)";
}

def Kiln_SelectOp : Kiln_PureOp<"select", [Elementwise, AllTypesMatch<["on_true", "on_false", "result"]>]> {
  let summary = "on_true where the condition holds, else on_false";
  let description = [{
    `result[i] = condition[i] ? on_true[i] : on_false[i]`; the element not chosen has no influence (NaN included).

    (C1) on_true, on_false and the result have the same type. (C2) The condition has their shape and type i1.
  }];
  let arguments = (ins Kiln_Tensor:$condition, Kiln_Tensor:$on_true, Kiln_Tensor:$on_false);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$condition `,` $on_true `,` $on_false attr-dict `:` type($condition) `,` type($result)";
}

def Kiln_ConvertOp : Kiln_PureOp<"convert", [Elementwise]> {
  let summary = "change of element type";
  let description = [{
    Float to integer truncates towards zero and saturates (NaN gives 0); integer to a narrower one wraps; float to a
    narrower one rounds to nearest, ties to even; to bool tests for nonzero; from bool gives 0 or 1.

    (C1) The result has the operand's shape.
  }];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
}

//===-- Sources -------------------------------------------------------------------------------------------------===//

def Kiln_ConstantOp : Kiln_PureOp<"constant", [ConstantLike]> {
  let summary = "a constant tensor";
  let description = [{
    The value is a dense elements attribute of the result's static shape, or, for a result with symbolic dimensions,
    a splat held as a rank-0 elements attribute.

    (C1) The value's element type is the result's. (C2) Its shape is the result's, or it has rank 0.
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($result)";
  let hasFolder = 1;
}

def Kiln_IotaOp : Kiln_PureOp<"iota"> {
  let summary = "result[..., i, ...] = i along one axis";
  let description = [{(C1) axis is below the result's rank. (C2) The element type is not bool.}];
  let arguments = (ins I64Attr:$axis);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$axis attr-dict `:` type($result)";
}

def Kiln_ExtentOp : Kiln_PureOp<"extent"> {
  let summary = "the value of a dimension expression, as a scalar";
  let description = [{
    `kiln.extent #kiln.dims<"B*T"> : tensor<f32>`; float or integer.

    (C1) Exactly one expression. (C2) The result has rank 0.
  }];
  let arguments = (ins Kiln_DimsAttr:$expr);
  let results = (outs Kiln_Scalar:$result);
  let assemblyFormat = "$expr attr-dict `:` type($result)";
}

def Kiln_RandomBitsOp : Kiln_PureOp<"random_bits"> {
  let summary = "uniform 32-bit words from Philox 4x32-10";
  let description = [{
    Element e (row-major index in the result) is word `e mod 4` of Philox4x32-10 with key `(seed, stream)` and counter
    `(e div 4, c0, c1, c2)`, where c are the counters, zero where absent (by custom: the step, then the indices of the
    loops around it, outermost first). A pure function of its inputs: the same on every backend and in every recomputation.
    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC11).

    (C1) seed is tensor<ui32>. (C2) At most three counters, each tensor<i32>. (C3) The result's element type is ui32.
  }];
  let arguments = (ins Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, I64Attr:$stream);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$stream `,` $seed (`,` $counters^)? attr-dict `:` type(operands) `->` type($result)";
}

//===-- Layout --------------------------------------------------------------------------------------------------===//

def Kiln_ReshapeOp : Kiln_PureOp<"reshape"> {
  let summary = "the same elements in row-major order under another shape";
  let description = [{(C1) Operand and result have the same element type. (C2) The products of their dimensions are equal as expressions.}];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
}

def Kiln_TransposeOp : Kiln_PureOp<"transpose"> {
  let summary = "permuted axes: result's axis d is the operand's axis permutation[d]";
  let description = [{(C1) permutation is a permutation of the operand's axes. (C2) The result's dimension d is the operand's permutation[d].}];
  let arguments = (ins Kiln_Tensor:$operand, DenseI64ArrayAttr:$permutation);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $permutation attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
}

def Kiln_BroadcastOp : Kiln_PureOp<"broadcast"> {
  let summary = "operand repeated along new axes and along axes of extent 1";
  let description = [{
    Axis d of the operand becomes axis `axes[d]` of the result.

    (C1) axes is strictly increasing, one entry for each operand axis, below the result's rank.
    (C2) Each operand dimension is 1 or equals the result's dimension it maps to.
  }];
  let arguments = (ins Kiln_Tensor:$operand, DenseI64ArrayAttr:$axes);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $axes attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
}

def Kiln_SliceOp : Kiln_PureOp<"slice"> {
  let summary = "elements starts + i * strides; the sizes are the result's";
  let description = [{
    (C1) One start and one positive stride for each axis. (C2) The result has the operand's rank and element type.
    (C3) Where all is constant: 0 <= start and start + (size-1)*stride < dimension.
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_DimsAttr:$starts, DenseI64ArrayAttr:$strides);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $starts `,` $strides attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
}

def Kiln_PadOp : Kiln_PureOp<"pad"> {
  let summary = "operand with `value` before, after and between its elements";
  let description = [{
    Along each axis: low values, the elements with `interior` values between neighbours, high values.

    (C1) One low, high and interior for each axis, none negative. (C2) value is a scalar of the operand's element type.
    (C3) The result's dimension is low + high + n + max(n-1, 0) * interior.
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Scalar:$value, Kiln_DimsAttr:$low, Kiln_DimsAttr:$high, DenseI64ArrayAttr:$interior);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $value `,` $low `,` $high `,` $interior attr-dict `:` type($operand) `,` type($value) `->` type($result)";
}

def Kiln_ConcatOp : Kiln_PureOp<"concat"> {
  let summary = "operands one after another along an axis";
  let description = [{
    (C1) At least one operand; all of one element type and rank. (C2) Dimensions other than axis are equal.
    (C3) The result's dimension at axis is the sum of theirs.
  }];
  let arguments = (ins Variadic<Kiln_Tensor>:$inputs, I64Attr:$axis);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$axis `,` $inputs attr-dict `:` type($inputs) `->` type($result)";
}

def Kiln_ReverseOp : Kiln_PureOp<"reverse", [SameOperandsAndResultType]> {
  let summary = "order of elements reversed along axes";
  let description = [{(C1) axes are distinct and below the rank.}];
  let arguments = (ins Kiln_Tensor:$operand, DenseI64ArrayAttr:$axes);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $axes attr-dict `:` type($result)";
}

def Kiln_DynamicSliceOp : Kiln_PureOp<"dynamic_slice"> {
  let summary = "a block whose start is computed; the sizes are the result's";
  let description = [{
    Starts are clamped into [0, dimension - size], as StableHLO's.

    (C1) One scalar integer start for each axis. (C2) The result has the operand's rank and element type.
  }];
  let arguments = (ins Kiln_Tensor:$operand, Variadic<Kiln_Scalar>:$starts);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand (`[` $starts^ `]`)? attr-dict `:` functional-type(operands, $result)";
}

def Kiln_DynamicUpdateSliceOp : Kiln_PureOp<"dynamic_update_slice", [AllTypesMatch<["operand", "result"]>]> {
  let summary = "operand with a block replaced, at a computed start";
  let description = [{
    Starts are clamped into [0, dimension - size of update].

    (C1) One scalar integer start for each axis. (C2) update has the operand's rank and element type; the result its type.
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Tensor:$update, Variadic<Kiln_Scalar>:$starts);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $update (`[` $starts^ `]`)? attr-dict `:` functional-type(operands, $result)";
}

//===-- Reductions ----------------------------------------------------------------------------------------------===//

def Kiln_ReduceOp : Kiln_PureOp<"reduce"> {
  let summary = "elements along axes combined into one; the axes vanish";
  let description = [{
    The order of combination is fixed for a shape (it does not depend on the number of threads) and not specified.
    NaN wins in max and min. Over no element: 0, 1, -inf (lowest integer), +inf (highest), false, true.

    (C1) axes are distinct, increasing and below the rank. (C2) The result's dimensions are those left over, its
    element type the operand's. (C3) any and all take bool.
  }];
  let arguments = (ins Kiln_ReduceKindAttr:$kind, Kiln_Tensor:$operand, DenseI64ArrayAttr:$axes);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand `,` $axes attr-dict `:` type($operand) `->` type($result)";
}

def Kiln_ArgReduceOp : Kiln_PureOp<"arg_reduce"> {
  let summary = "index of the largest or smallest element along an axis";
  let description = [{
    The first one among equals; the first NaN where there is one. The axis vanishes.

    (C1) axis is below the rank and its dimension is not constant 0. (C2) The result's element type is i32 or i64.
  }];
  let arguments = (ins Kiln_ArgKindAttr:$kind, Kiln_Tensor:$operand, I64Attr:$axis);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand `,` $axis attr-dict `:` type($operand) `->` type($result)";
}

def Kiln_CumSumOp : Kiln_PureOp<"cumsum", [SameOperandsAndResultType]> {
  let summary = "running sum along an axis";
  let description = [{`reverse` runs from the end; `exclusive` leaves the element itself out. (C1) axis is below the rank.}];
  let arguments = (ins Kiln_Tensor:$operand, I64Attr:$axis, DefaultValuedAttr<BoolAttr, "false">:$reverse, DefaultValuedAttr<BoolAttr, "false">:$exclusive);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $axis attr-dict `:` type($result)";
}

def Kiln_ReduceWindowOp : Kiln_PureOp<"reduce_window"> {
  let summary = "a reduction of each window: pooling";
  let description = [{
    Windows step by strides over the operand, padded by low and high with the kind's neutral element.

    (C1) One window, stride, low and high for each axis; windows and strides positive. (C2) kind is sum, max or min.
    (C3) The result's dimension is floor((n + low + high - window) / stride) + 1.
  }];
  let arguments = (ins Kiln_ReduceKindAttr:$kind, Kiln_Tensor:$operand, DenseI64ArrayAttr:$window, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand attr-dict `:` type($operand) `->` type($result)";
}

def Kiln_ReduceWindowGradOp : Kiln_PureOp<"reduce_window_grad"> {
  let summary = "gradient of reduce_window max or min: each window's gradient goes to its first extreme element";
  let description = [{
    `result` has the operand's shape; window w adds `gradient[w]` to the first element (row-major within the window,
    NaN first) that equals the window's extreme, as PyTorch's max_pool backward.

    (C1) The attributes agree with reduce_window's constraints; kind is max or min. (C2) gradient has the shape of that op's result.
  }];
  let arguments = (ins Kiln_ReduceKindAttr:$kind, Kiln_Tensor:$operand, Kiln_Tensor:$gradient, DenseI64ArrayAttr:$window, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand `,` $gradient attr-dict `:` type($operand) `,` type($gradient) `->` type($result)";
}

//===-- Products ------------------------------------------------------------------------------------------------===//

def Kiln_DotGeneralOp : Kiln_PureOp<"dot_general"> {
  let summary = "sum of products over contracted axes, for each index of the batch axes";
  let description = [{
    The result's axes are the batch axes (in lhs_batch's order), then lhs's free axes, then rhs's free axes. As StableHLO's.
    Integer operands accumulate in the result's type; bf16 and f16 operands accumulate in f32.

    (C1) Batch and contracting axes are distinct and in range on each side. (C2) Paired axes have equal dimensions.
    (C3) Both operands have one element type; the result's is the same, or f32 for bf16/f16, i32 for i8/u8.
  }];
  let arguments = (ins Kiln_Tensor:$lhs, Kiln_Tensor:$rhs, DenseI64ArrayAttr:$lhs_batch, DenseI64ArrayAttr:$rhs_batch,
                       DenseI64ArrayAttr:$lhs_contract, DenseI64ArrayAttr:$rhs_contract);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs `batch` $lhs_batch `x` $rhs_batch `contract` $lhs_contract `x` $rhs_contract attr-dict
    `:` type($lhs) `,` type($rhs) `->` type($result)}];
}

def Kiln_ConvolutionOp : Kiln_PureOp<"convolution"> {
  let summary = "convolution (cross-correlation) over 1 to 3 spatial axes";
  let description = [{
    Input [N, C, spatial...], filter [O, C/groups, spatial...], result [N, O, spatial...], as PyTorch's. Before the
    filter slides, the input is dilated by input_dilation (d-1 zeros between neighbours) and padded by low and high
    (negative padding crops); the filter is dilated by filter_dilation.

    (C1) Ranks are equal and between 3 and 5. (C2) C and O are multiples of groups; the filter's axis 1 is C/groups.
    (C3) One entry of each list for each spatial axis; strides and dilations positive.
    (C4) The result's spatial dimension is floor((d(n) + low + high - d(k)) / stride) + 1 with d(n) = (n-1)*dilation + 1.
  }];
  let arguments = (ins Kiln_Tensor:$input, Kiln_Tensor:$filter, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high,
                       DenseI64ArrayAttr:$input_dilation, DenseI64ArrayAttr:$filter_dilation, I64Attr:$groups);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$input `,` $filter attr-dict `:` type($input) `,` type($filter) `->` type($result)";
}

//===-- Indexed access ------------------------------------------------------------------------------------------===//

def Kiln_GatherOp : Kiln_PureOp<"gather"> {
  let summary = "slices of the operand along an axis, chosen by index";
  let description = [{
    With b = batch_dims: `result[p..., i..., s...] = operand[p..., o..., indices[p..., i...], s...]`: the result's shape is
    operand.shape[:axis] + indices.shape[b:] + operand.shape[axis+1:], the first b axes shared (numpy.take for b = 0;
    picking one class for each row for b = axis). An index outside [0, dimension) is clamped into it and recorded in the
    status record.

    (C1) batch_dims <= axis < operand rank, batch_dims <= indices rank. (C2) The first batch_dims dimensions agree.
    (C3) indices are of an integer type. (C4) The result's shape is as stated.
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Tensor:$indices, I64Attr:$axis, DefaultValuedAttr<I64Attr, "0">:$batch_dims);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $indices `,` $axis attr-dict `:` type($operand) `,` type($indices) `->` type($result)";
}

def Kiln_ScatterOp : Kiln_PureOp<"scatter", [AllTypesMatch<["operand", "result"]>]> {
  let summary = "operand with updates combined in at places chosen by index; the transpose of gather";
  let description = [{
    `result = operand; for i ascending (row-major over indices): result[p..., o..., indices[p..., i...], s...] kind= updates[p..., i..., s...]`.
    Equal indices are combined in ascending order of i, so `set` keeps the last. An index out of range is dropped and
    recorded in the status record.

    (C1) The constraints of gather, with updates in the place of its result.
  }];
  let arguments = (ins Kiln_ScatterKindAttr:$kind, Kiln_Tensor:$operand, Kiln_Tensor:$indices, Kiln_Tensor:$updates, I64Attr:$axis, DefaultValuedAttr<I64Attr, "0">:$batch_dims);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand `,` $indices `,` $updates `,` $axis attr-dict `:` type($operand) `,` type($indices) `,` type($updates)";
}

def Kiln_SortOp : Kiln_PureOp<"sort"> {
  let summary = "values sorted along an axis, and where each came from; stable";
  let description = [{
    NaN counts as the largest. (C1) axis is below the rank. (C2) values has the operand's type, indices its shape with i32 or i64.
  }];
  let arguments = (ins Kiln_Tensor:$operand, I64Attr:$axis, DefaultValuedAttr<BoolAttr, "false">:$descending);
  let results = (outs Kiln_Tensor:$values, Kiln_Tensor:$indices);
  let assemblyFormat = "$operand `,` $axis attr-dict `:` type($operand) `->` type($values) `,` type($indices)";
}

def Kiln_TopKOp : Kiln_PureOp<"top_k"> {
  let summary = "the k largest along the last axis, descending; lower index first among equals";
  let description = [{
    (C1) k is not above the last dimension where that is constant. (C2) The results' last dimension is k; indices are i32 or i64.
  }];
  let arguments = (ins Kiln_Tensor:$operand, I64Attr:$k);
  let results = (outs Kiln_Tensor:$values, Kiln_Tensor:$indices);
  let assemblyFormat = "$operand `,` $k attr-dict `:` type($operand) `->` type($values) `,` type($indices)";
}

//===-- Control -------------------------------------------------------------------------------------------------===//

def Kiln_YieldOp : Kiln_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "results of a region";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "attr-dict ($operands^ `:` type($operands))?";
  let builders = [OpBuilder<(ins), [{}]>];
}

def Kiln_ScanOp : Kiln_PureOp<"scan", [AttrSizedOperandSegments, SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "a loop over time with carried values and per-step inputs and outputs";
  let description = [{
    The body runs `count` times, t = 0 … count-1 (or downwards with `reverse`). Block arguments: t as tensor<i32>, the
    carried values, and for each sequence its slice at t along the leading axis (that axis dropped). The body may use
    values from outside. It yields the next carried values, then the step's outputs. Results: the last carried values,
    then each output stacked along a new leading axis of extent count, at index t. Zero steps give the initial carries.

    (C1) Each sequence's leading dimension is count. (C2) Block arguments and yielded values have the types that follow.
  }];
  let arguments = (ins Kiln_DimsAttr:$count, Variadic<Kiln_Tensor>:$inits, Variadic<Kiln_Tensor>:$sequences, DefaultValuedAttr<BoolAttr, "false">:$reverse);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "Dim":$count, "mlir::ValueRange":$inits, "mlir::ValueRange":$sequences, "mlir::TypeRange":$outputTypes, CArg<"bool", "false">:$reverse)>];
  let extraClassDeclaration = [{
    size_t numCarries() { return getInits().size(); }
    mlir::BlockArgument step() { return getBody().getArgument(0); }
    llvm::ArrayRef<mlir::BlockArgument> carryArgs() { return getBody().getArguments().slice(1, numCarries()); }
    llvm::ArrayRef<mlir::BlockArgument> sequenceArgs() { return getBody().getArguments().drop_front(1 + numCarries()); }
  }];
  let hasVerifier = 1;
}

def Kiln_IfOp : Kiln_PureOp<"if", [SingleBlockImplicitTerminator<"YieldOp">, NoRegionArguments]> {
  let summary = "one of two regions, by a scalar bool";
  let description = [{(C1) Both regions yield values of the results' types. Regions may use values from outside.}];
  let arguments = (ins Kiln_Scalar:$condition);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$thenRegion, SizedRegion<1>:$elseRegion);
  let assemblyFormat = "$condition attr-dict `:` functional-type($condition, $results) $thenRegion `else` $elseRegion";
}

def Kiln_WhileOp : Kiln_PureOp<"while", [SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "a loop whose number of steps is computed; not differentiable";
  let description = [{
    Both regions take the carried values. `condition` yields a scalar bool, `body` the next carried values.

    (C1) Carried values keep their types.
  }];
  let arguments = (ins Variadic<Kiln_Tensor>:$inits);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$condition, SizedRegion<1>:$body);
}

def Kiln_StopGradientOp : Kiln_PureOp<"stop_gradient", [SameOperandsAndResultType]> {
  let summary = "the operand; its gradient is zero (torch.detach)";
  let description = "(C1) The operand and the result have the same type.";
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

def Kiln_CustomGradOp : Kiln_Op<"custom_grad", [Pure, SingleBlockImplicitTerminator<"YieldOp">, IsolatedFromAbove]> {
  let summary = "a function with a gradient of the user's own";
  let description = [{
    `forward` maps the operands to the results. `backward` takes the operands, then the results' gradients, and yields
    one gradient for each operand of float type. Outside of differentiation the op is its forward region.

    (C1) Regions have argument and yield types as stated.
  }];
  let arguments = (ins Variadic<Kiln_Tensor>:$inputs);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$forward, SizedRegion<1>:$backward);
}

def Kiln_GroupOp : Kiln_Op<"group", [Pure, SingleBlockImplicitTerminator<"YieldOp">, IsolatedFromAbove]> {
  let summary = "ops that become one kernel";
  let description = [{
    The body's arguments are the operands. `kind` says how the group was formed: "loops" (elementwise, layout and
    reductions over one iteration space), "contract" (one dot_general or convolution with what surrounds it), "single".

    (C1) Argument and yield types agree with operands and results.
  }];
  let arguments = (ins Variadic<Kiln_Tensor>:$inputs, StrAttr:$kind);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
}

#endif // KILN_OPS_TD
