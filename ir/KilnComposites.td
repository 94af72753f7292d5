//===- KilnComposites.td - ops with a decomposition into primitives -------------------------------------------===//
#ifndef KILN_COMPOSITES_TD
#define KILN_COMPOSITES_TD

include "ir/KilnOps.td"

def Kiln_DecomposableOpInterface : OpInterface<"DecomposableOpInterface"> {
  let cppNamespace = "::kiln";
  let description = "An op that is defined by other ops.";
  let methods = [InterfaceMethod<"Builds the decomposition at the builder's insertion point; returns one value for each result.",
    "llvm::SmallVector<mlir::Value>", "decompose", (ins "mlir::OpBuilder &":$builder)>];
}

class Kiln_Composite<string mnemonic, list<Trait> traits = []>
    : Kiln_PureOp<mnemonic, !listconcat(traits, [DeclareOpInterfaceMethods<Kiln_DecomposableOpInterface>])>;

class Kiln_UnaryComposite<string mnemonic, string formula> : Kiln_Composite<mnemonic, [Elementwise, SameOperandsAndResultType]> {
  let summary = formula;
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

def Kiln_ReluOp : Kiln_UnaryComposite<"relu", "max(x, 0); gradient 0 at 0">;
def Kiln_SiluOp : Kiln_UnaryComposite<"silu", "x * sigmoid(x)">;
def Kiln_SoftplusOp : Kiln_UnaryComposite<"softplus", "log(1 + e^x), stable: max(x,0) + log1p(exp(-|x|))">;
def Kiln_GeluOp : Kiln_Composite<"gelu", [Elementwise, SameOperandsAndResultType]> {
  let summary = "x * Phi(x); with tanh: 0.5x(1 + tanh(sqrt(2/pi)(x + 0.044715x^3)))";
  let arguments = (ins Kiln_Tensor:$operand, DefaultValuedAttr<BoolAttr, "false">:$tanh);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

class Kiln_AxisComposite<string mnemonic, string formula> : Kiln_Composite<mnemonic, [SameOperandsAndResultType]> {
  let summary = formula;
  let description = "A row whose elements are all -inf gives NaN, as PyTorch's. (C1) axis is below the rank.";
  let arguments = (ins Kiln_Tensor:$operand, I64Attr:$axis);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $axis attr-dict `:` type($result)";
}
def Kiln_SoftmaxOp : Kiln_AxisComposite<"softmax", "exp(x - max) / sum exp(x - max) along axis">;
def Kiln_LogSoftmaxOp : Kiln_AxisComposite<"log_softmax", "x - max - log sum exp(x - max) along axis">;

def Kiln_LayerNormOp : Kiln_Composite<"layer_norm", [AttrSizedOperandSegments]> {
  let summary = "(x - mean) / sqrt(var + epsilon) * scale + bias over the last axis; biased variance";
  let description = [{scale and bias are present together or absent. (C1) They have the shape [last dimension]. (C2) The result has the operand's type.}];
  let arguments = (ins Kiln_Tensor:$operand, Optional<Kiln_Tensor>:$scale, Optional<Kiln_Tensor>:$bias, F64Attr:$epsilon);
  let results = (outs Kiln_Tensor:$result);
}
def Kiln_RmsNormOp : Kiln_Composite<"rms_norm"> {
  let summary = "x / sqrt(mean(x^2) + epsilon) * scale over the last axis";
  let description = [{(C1) scale has the shape [last dimension]. (C2) The result has the operand's type.}];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Tensor:$scale, F64Attr:$epsilon);
  let results = (outs Kiln_Tensor:$result);
}

def Kiln_CrossEntropyOp : Kiln_Composite<"cross_entropy"> {
  let summary = "negative log likelihood of the target class for each row (no reduction over rows)";
  let description = [{
    logits [..., C], targets [...] of an integer type; result [...]: -(1-s) log p[target] - s/C sum_c log p[c] with s = smoothing,
    and 0 where the target is ignore_index (torch.nn.functional.cross_entropy with reduction='none').
    A target outside [0, C) other than ignore_index is clamped and recorded in the status record.

    (C1) targets has logits' shape without the last axis. (C2) The result has targets' shape and logits' element type.
  }];
  let arguments = (ins Kiln_Tensor:$logits, Kiln_Tensor:$targets, DefaultValuedAttr<F64Attr, "0.0">:$smoothing, DefaultValuedAttr<I64Attr, "-100">:$ignore_index);
  let results = (outs Kiln_Tensor:$result);
}

def Kiln_AttentionOp : Kiln_Composite<"attention"> {
  let summary = "softmax(scale * q k^T + mask) v";
  let description = [{
    query [B, H, T, D], key [B, H, S, D], value [B, H, S, E]; result [B, H, T, E]. With `causal`, query t sees keys up to
    t + (S - T). mask, when present, is bool and broadcast to [B, H, T, S]: false hides a key. A query that sees no key gives NaN.

    (C1) Dimensions agree as stated. (C2) mask has rank 4.
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Optional<Kiln_Tensor>:$mask, F64Attr:$scale, DefaultValuedAttr<BoolAttr, "false">:$causal);
  let results = (outs Kiln_Tensor:$result);
}

def Kiln_RandomUniformOp : Kiln_Composite<"random_uniform"> {
  let summary = "uniform in [0, 1): (bits >> 8) * 2^-24";
  let description = [{Operands and stream as random_bits. (C1) The element type is f32 or f64.}];
  let arguments = (ins Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, I64Attr:$stream);
  let results = (outs Kiln_Tensor:$result);
}
def Kiln_RandomNormalOp : Kiln_Composite<"random_normal"> {
  let summary = "standard normal: Box-Muller, sqrt(-2 ln(1 - u1)) cos(2 pi u2)";
  let description = [{
    u1 and u2 are elements 2e and 2e+1 of the uniforms of shape [..., 2] that random_uniform gives. Within 4e-7 absolute of the formula in exact
    arithmetic, for f32. (C1) The element type is f32 or f64.
  }];
  let arguments = (ins Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, I64Attr:$stream);
  let results = (outs Kiln_Tensor:$result);
}
def Kiln_DropoutOp : Kiln_Composite<"dropout", [AllTypesMatch<["operand", "result"]>]> {
  let summary = "x / (1 - p) where a uniform draw is at least p, else 0";
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, F64Attr:$p, I64Attr:$stream);
  let results = (outs Kiln_Tensor:$result);
}

#endif // KILN_COMPOSITES_TD
