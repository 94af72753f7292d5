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

class Kiln_Composite<string mnemonic, list<Trait> traits = [], Kiln_Class c = Kiln_Composed, Kiln_Cost cost = Kiln_Polynomial>
    : Kiln_PureOp<mnemonic, c, cost, !listconcat(traits, [DeclareOpInterfaceMethods<Kiln_DecomposableOpInterface>])> {
  let primitive = 0;
}

class Kiln_UnaryComposite<string mnemonic, string formula, Kiln_Elements e, Kiln_Cost cost = Kiln_Polynomial>
    : Kiln_Composite<mnemonic, !listconcat([Kiln_OneType], e.traits, [Elementwise, SameOperandsAndResultType]), Kiln_Elementwise, cost> {
  let dtypes = "T -> T";
  let elements = e;
  let summary = formula;
  let description = [{
    `result[i] = f(operand[i])` with f: }] # formula # [{.

    (C1) The operand and the result have the same type. }] # e.words # [{

    ```mlir
    func.func @}] # mnemonic # [{(%x: tensor<4xf32>) -> tensor<4xf32> {
      %r = kiln.}] # mnemonic # [{ %x : tensor<4xf32>
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

def Kiln_ReluOp : Kiln_UnaryComposite<"relu", "max(x, 0); gradient 0 at 0", Kiln_Numbers, Kiln_Cheap> { let onnx = "Relu"; }
def Kiln_SiluOp : Kiln_UnaryComposite<"silu", "x * sigmoid(x)", Kiln_Floats>;
def Kiln_SoftplusOp : Kiln_UnaryComposite<"softplus", "log(1 + e^x), stable: max(x,0) + log1p(exp(-|x|))", Kiln_Floats> { let onnx = "Softplus"; }
def Kiln_GeluOp : Kiln_Composite<"gelu", [Kiln_OneType, Kiln_FloatElements, Elementwise, SameOperandsAndResultType], Kiln_Elementwise> {
  let dtypes = "T -> T";
  let elements = Kiln_Floats;
  let summary = "x * Phi(x); with tanh: 0.5x(1 + tanh(sqrt(2/pi)(x + 0.044715x^3)))";
  let description = [{
    Phi is the standard normal distribution function.

    (C1) The operand and the result have the same type. (C2) The elements are floats.

    ```mlir
    func.func @gelu(%x: tensor<4xf32>) -> tensor<4xf32> {
      %r = kiln.gelu %x {tanh = true} : tensor<4xf32>
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, DefaultValuedAttr<BoolAttr, "false">:$tanh);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

class Kiln_AxisComposite<string mnemonic, string formula> : Kiln_Composite<mnemonic, [Kiln_FloatElements, SameOperandsAndResultType]> {
  let dtypes = "T -> T";
  let elements = Kiln_Floats;
  let summary = formula;
  let description = [{
    A row whose elements are all -inf gives NaN, as PyTorch's.

    (C1) axis is below the rank. (C2) The elements are floats.

    ```mlir
    func.func @}] # mnemonic # [{(%x: tensor<2x5xf32>) -> tensor<2x5xf32> {
      %r = kiln.}] # mnemonic # [{ %x, 1 : tensor<2x5xf32>
      return %r : tensor<2x5xf32>
    }
    ```
  }];
  let hasVerifier = 1;
  let arguments = (ins Kiln_Tensor:$operand, I64Attr:$axis);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $axis attr-dict `:` type($result)";
}
def Kiln_SoftmaxOp : Kiln_AxisComposite<"softmax", "exp(x - max) / sum exp(x - max) along axis">;
def Kiln_LogSoftmaxOp : Kiln_AxisComposite<"log_softmax", "x - max - log sum exp(x - max) along axis">;

def Kiln_LayerNormOp : Kiln_Composite<"layer_norm", [AttrSizedOperandSegments, Kiln_AllTypesMatch<"(C2)", ["operand", "result"]>]> {
  let dtypes = "T, T, T -> T";
  let summary = "(x - mean) / sqrt(var + epsilon) * scale + bias over the last axis; biased variance";
  let description = [{
    scale and bias are present together or absent. (C1) They have the shape [last dimension]. (C2) The result has the operand's type, of floats.

    ```mlir
    func.func @layer_norm(%x: tensor<2x8xf32>, %s: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<2x8xf32> {
      %r = kiln.layer_norm %x scale %s bias %b epsilon 1.0e-5 : tensor<2x8xf32>, tensor<8xf32>, tensor<8xf32>
      return %r : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, Optional<Kiln_Tensor>:$scale, Optional<Kiln_Tensor>:$bias, F64Attr:$epsilon);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand (`scale` $scale^ `bias` $bias)? `epsilon` $epsilon attr-dict `:` type($operand) (`,` type($scale)^ `,` type($bias))?";
  let hasVerifier = 1;
}
def Kiln_RmsNormOp : Kiln_Composite<"rms_norm", [Kiln_AllTypesMatch<"(C2)", ["operand", "result"]>]> {
  let dtypes = "T, T -> T";
  let summary = "x / sqrt(mean(x^2) + epsilon) * scale over the last axis";
  let description = [{
    (C1) scale has the shape [last dimension]. (C2) The result has the operand's type, of floats.

    ```mlir
    func.func @rms_norm(%x: tensor<2x8xf32>, %s: tensor<8xf32>) -> tensor<2x8xf32> {
      %r = kiln.rms_norm %x scale %s epsilon 1.0e-6 : tensor<2x8xf32>, tensor<8xf32>
      return %r : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Tensor:$scale, F64Attr:$epsilon);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `scale` $scale `epsilon` $epsilon attr-dict `:` type($operand) `,` type($scale)";
  let hasVerifier = 1;
}

def Kiln_CrossEntropyOp : Kiln_Composite<"cross_entropy"> {
  let dtypes = "T, integer -> T";
  let summary = "negative log likelihood of the target class for each row (no reduction over rows)";
  let description = [{
    logits [..., C], targets [...] of an integer type; result [...]: -(1-s) log p[target] - s/C sum_c log p[c] with s = smoothing,
    and 0 where the target is ignore_index (torch.nn.functional.cross_entropy with reduction='none').
    A target outside [0, C) other than ignore_index is recorded in the status record, and the loss and the gradient of its row
    are NaN (PyTorch raises an error).

    (C1) targets has logits' shape without the last axis. (C2) The result has targets' shape and logits' element type.

    ```mlir
    func.func @cross_entropy(%x: tensor<?x10xf32, #kiln.dims<"B", "10">>, %t: tensor<?xi32, #kiln.dims<"B">>) -> tensor<?xf32, #kiln.dims<"B">> {
      %r = kiln.cross_entropy %x, %t {smoothing = 0.1} : tensor<?x10xf32, #kiln.dims<"B", "10">>, tensor<?xi32, #kiln.dims<"B">> -> tensor<?xf32, #kiln.dims<"B">>
      return %r : tensor<?xf32, #kiln.dims<"B">>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$logits, Kiln_Tensor:$targets, DefaultValuedAttr<F64Attr, "0.0">:$smoothing, DefaultValuedAttr<I64Attr, "-100">:$ignore_index);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$logits `,` $targets attr-dict `:` type($logits) `,` type($targets) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_AttentionOp : Kiln_Composite<"attention", [Kiln_Attends, AttrSizedOperandSegments]> {
  let dtypes = "T, T, T, bool, i32 -> T, T+";
  let summary = "softmax(scale * q k^T + mask) v";
  let description = [{
    query [B, H, T, D], key [B, K, S, D], value [B, K, S, E]; result [B, H, T, E]. H = K * `groups`: query head h reads the
    keys and values of head h / groups. With `causal`, query t has the place start + t among the keys, or t + (S - T) where
    there is no start, and sees keys up to its own place; with `sliding_window`, the last so many of these. mask, when
    present, is bool and broadcast to [B, H, T, S]: false hides a key. A query that sees no key gives 0 and has no
    gradient, as PyTorch's scaled_dot_product_attention.
    The second result, where it is asked for, is all that the backward half needs of the scores s = scale * q k^T + mask:
    lse [B, H, T] = log sum_j exp(s_j), in f32 where the elements are narrower; inf for a query that sees no key, so that
    exp(s - lse) is 0 there.

    (C1) Dimensions agree as stated. (C2) mask has rank 4. (C3) start is a scalar i32 and needs `causal`. (C4) `sliding_window`
    is from 1 to 2^30 and needs `causal`. (C5) `groups` is at least 1.

    ```mlir
    func.func @attention(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x8xf32>, %v: tensor<2x4x9x16xf32>, %m: tensor<2x1x1x9xi1>) -> tensor<2x4x6x16xf32> {
      %r = kiln.attention %q, %k, %v mask %m scale 0.35 {causal = true}
          : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x16xf32>, tensor<2x1x1x9xi1> -> tensor<2x4x6x16xf32>
      return %r : tensor<2x4x6x16xf32>
    }
    ```

    One token read against a cache of 9 keys, the first `%at` of which are there; two heads of queries share one of keys:

    ```mlir
    func.func @attention_step(%q: tensor<2x4x1x8xf32>, %k: tensor<2x2x9x8xf32>, %v: tensor<2x2x9x8xf32>, %at: tensor<i32>) -> tensor<2x4x1x8xf32> {
      %r = kiln.attention %q, %k, %v start %at : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 4 : i64}
          : tensor<2x4x1x8xf32>, tensor<2x2x9x8xf32>, tensor<2x2x9x8xf32> -> tensor<2x4x1x8xf32>
      return %r : tensor<2x4x1x8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Optional<Kiln_Tensor>:$mask, Optional<Kiln_Scalar>:$start, F64Attr:$scale,
                   DefaultValuedAttr<BoolAttr, "false">:$causal, DefaultValuedAttr<I64Attr, "1">:$groups, OptionalAttr<I64Attr>:$sliding_window);
  let results = (outs Kiln_Tensor:$result, Optional<Kiln_Tensor>:$lse);
  let assemblyFormat = "$query `,` $key `,` $value (`mask` $mask^)? (`start` $start^ `:` type($start))? `scale` $scale attr-dict `:` type($query) `,` type($key) `,` type($value) (`,` type($mask)^)? `->` type($result) (`,` type($lse)^)?";
  let hasVerifier = 1;
}

def Kiln_AttentionGradOp : Kiln_Composite<"attention_grad", [Kiln_AttendsGrad, AttrSizedOperandSegments, Kiln_AllTypesMatch<"(C2)", ["query", "dquery"]>, Kiln_AllTypesMatch<"(C2)", ["key", "dkey"]>,
                                                             Kiln_AllTypesMatch<"(C2)", ["value", "dvalue"]>, Kiln_AllTypesMatch<"(C3)", ["result", "gradient"]>]> {
  let dtypes = "T, T, T, T, T+, T, bool, i32 -> T, T, T";
  let summary = "the gradients of attention's query, key and value, from its result's";
  let description = [{
    Operands as attention's, its two results, and the gradient g of the first. With s the scores (scaled, -inf where a key is hidden),
    P = exp(s - lse) and dS = P * (g value^T - rowsum(g * result)):
    dquery = scale * dS key, dkey = scale * dS^T query, dvalue = P^T g.

    (C1) query, key, value, mask, start, attributes, result and lse fit together as attention's. (C2) Gradients have their operands' types. (C3) g has the result's type.

    ```mlir
    func.func @attention_grad(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x8xf32>, %v: tensor<2x4x9x8xf32>, %o: tensor<2x4x6x8xf32>, %l: tensor<2x4x6xf32>, %g: tensor<2x4x6x8xf32>)
        -> (tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>) {
      %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true}
          : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
      return %dq, %dk, %dv : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Kiln_Tensor:$result, Kiln_Tensor:$lse, Kiln_Tensor:$gradient, Optional<Kiln_Tensor>:$mask, Optional<Kiln_Scalar>:$start, F64Attr:$scale,
                   DefaultValuedAttr<BoolAttr, "false">:$causal, DefaultValuedAttr<I64Attr, "1">:$groups, OptionalAttr<I64Attr>:$sliding_window);
  let results = (outs Kiln_Tensor:$dquery, Kiln_Tensor:$dkey, Kiln_Tensor:$dvalue);
  let assemblyFormat = "$query `,` $key `,` $value `,` $result `,` $lse `,` $gradient (`mask` $mask^)? (`start` $start^ `:` type($start))? `scale` $scale attr-dict `:` type($query) `,` type($key) `,` type($value) `,` type($result) `,` type($lse) (`,` type($mask)^)?";
  let hasVerifier = 1;
}

def Kiln_BiasedAttentionOp : Kiln_Composite<"biased_attention", [Kiln_Attends, AttrSizedOperandSegments]> {
  let dtypes = "T, T, T, T, bool, i32 -> T, T+";
  let summary = "softmax(scale * q k^T + bias + mask) v";
  let description = [{
    attention with numbers added to its scores, behind the scale: bias is broadcast to [B, H, T, S]. A key to which -inf is added is
    hidden. An op of its own, so that a backend that knows attention alone is not asked for this.

    (C1) query, key, value, mask, start, attributes and results are as attention's. (C6) bias has rank 4, the elements of the query, and broadcasts to the scores.

    ```mlir
    func.func @biased_attention(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x8xf32>, %v: tensor<2x4x9x16xf32>, %b: tensor<1x4x6x9xf32>, %m: tensor<2x1x1x9xi1>) -> tensor<2x4x6x16xf32> {
      %r = kiln.biased_attention %q, %k, %v, %b mask %m scale 0.35
          : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x16xf32>, tensor<1x4x6x9xf32>, tensor<2x1x1x9xi1> -> tensor<2x4x6x16xf32>
      return %r : tensor<2x4x6x16xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Kiln_Tensor:$bias, Optional<Kiln_Tensor>:$mask, Optional<Kiln_Scalar>:$start, F64Attr:$scale,
                   DefaultValuedAttr<BoolAttr, "false">:$causal, DefaultValuedAttr<I64Attr, "1">:$groups, OptionalAttr<I64Attr>:$sliding_window);
  let results = (outs Kiln_Tensor:$result, Optional<Kiln_Tensor>:$lse);
  let assemblyFormat = "$query `,` $key `,` $value `,` $bias (`mask` $mask^)? (`start` $start^ `:` type($start))? `scale` $scale attr-dict `:` type($query) `,` type($key) `,` type($value) `,` type($bias) (`,` type($mask)^)? `->` type($result) (`,` type($lse)^)?";
  let hasVerifier = 1;
}

def Kiln_BiasedAttentionGradOp : Kiln_Composite<"biased_attention_grad", [Kiln_AttendsGrad, AttrSizedOperandSegments, Kiln_AllTypesMatch<"(C2)", ["query", "dquery"]>, Kiln_AllTypesMatch<"(C2)", ["key", "dkey"]>,
                                                                          Kiln_AllTypesMatch<"(C2)", ["value", "dvalue"]>, Kiln_AllTypesMatch<"(C2)", ["bias", "dbias"]>,
                                                                          Kiln_AllTypesMatch<"(C3)", ["result", "gradient"]>]> {
  let dtypes = "T, T, T, T, T+, T, T, bool, i32 -> T, T, T, T";
  let summary = "the gradients of biased_attention's query, key, value and bias, from its result's";
  let description = [{
    As attention_grad, with the bias in the scores. The fourth result is dbias: dS, summed over the axes along which bias is broadcast.

    (C1) query, key, value, bias, mask, start, attributes, result and lse fit together as biased_attention's. (C2) Gradients have their operands' types. (C3) g has the result's type.

    ```mlir
    func.func @biased_attention_grad(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x8xf32>, %v: tensor<2x4x9x8xf32>, %o: tensor<2x4x6x8xf32>, %l: tensor<2x4x6xf32>, %g: tensor<2x4x6x8xf32>, %b: tensor<1x4x6x9xf32>)
        -> (tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>, tensor<1x4x6x9xf32>) {
      %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35
          : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>, tensor<1x4x6x9xf32>
      return %dq, %dk, %dv, %db : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>, tensor<1x4x6x9xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Kiln_Tensor:$result, Kiln_Tensor:$lse, Kiln_Tensor:$gradient, Kiln_Tensor:$bias, Optional<Kiln_Tensor>:$mask, Optional<Kiln_Scalar>:$start, F64Attr:$scale,
                   DefaultValuedAttr<BoolAttr, "false">:$causal, DefaultValuedAttr<I64Attr, "1">:$groups, OptionalAttr<I64Attr>:$sliding_window);
  let results = (outs Kiln_Tensor:$dquery, Kiln_Tensor:$dkey, Kiln_Tensor:$dvalue, Kiln_Tensor:$dbias);
  let assemblyFormat = "$query `,` $key `,` $value `,` $result `,` $lse `,` $gradient `,` $bias (`mask` $mask^)? (`start` $start^ `:` type($start))? `scale` $scale attr-dict `:` type($query) `,` type($key) `,` type($value) `,` type($result) `,` type($lse) `,` type($bias) (`,` type($mask)^)?";
  let hasVerifier = 1;
}

def Kiln_DropoutAttentionOp : Kiln_Composite<"dropout_attention", [Kiln_Attends, AttrSizedOperandSegments]> {
  let dtypes = "T, T, T, T, bool, i32, u32, i32 -> T, T+";
  let summary = "dropout(softmax(scale * q k^T + bias + mask)) v";
  let description = [{
    attention, or biased_attention where there is a bias, with dropout on its shares [B, H, T, S]: the draw for a share is dropout's
    of the same seed, counters, p and stream. lse is that of the scores, before any is dropped. An op of its own, so that a backend
    that knows attention alone is not asked for this.

    (C1) query, key, value, mask, start, attributes and results are as attention's. (C6) bias has rank 4, the elements of the query, and broadcasts to the scores.
    (C7) 0 <= p <= 1. (C8) Seed and counters are as random_bits takes them.

    ```mlir
    func.func @dropout_attention(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x8xf32>, %v: tensor<2x4x9x16xf32>, %m: tensor<2x1x1x9xi1>, %seed: tensor<ui32>, %step: tensor<i32>) -> tensor<2x4x6x16xf32> {
      %r = kiln.dropout_attention %q, %k, %v mask %m : tensor<2x1x1x9xi1> scale 0.35 drops %seed, %step p 0.1 stream 3
          : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x16xf32>, tensor<ui32>, tensor<i32> -> tensor<2x4x6x16xf32>
      return %r : tensor<2x4x6x16xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Optional<Kiln_Tensor>:$bias, Optional<Kiln_Tensor>:$mask, Optional<Kiln_Scalar>:$start,
                   Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, F64Attr:$scale, F64Attr:$p, I64Attr:$stream,
                   DefaultValuedAttr<BoolAttr, "false">:$causal, DefaultValuedAttr<I64Attr, "1">:$groups, OptionalAttr<I64Attr>:$sliding_window);
  let results = (outs Kiln_Tensor:$result, Optional<Kiln_Tensor>:$lse);
  let assemblyFormat = "$query `,` $key `,` $value (`bias` $bias^ `:` type($bias))? (`mask` $mask^ `:` type($mask))? (`start` $start^ `:` type($start))? `scale` $scale `drops` $seed (`,` $counters^)? `p` $p `stream` $stream attr-dict `:` type($query) `,` type($key) `,` type($value) `,` type($seed) (`,` type($counters)^)? `->` type($result) (`,` type($lse)^)?";
  let hasVerifier = 1;
}

def Kiln_DropoutAttentionGradOp : Kiln_Composite<"dropout_attention_grad", [Kiln_AttendsGrad, AttrSizedOperandSegments, Kiln_AllTypesMatch<"(C2)", ["query", "dquery"]>, Kiln_AllTypesMatch<"(C2)", ["key", "dkey"]>,
                                                                            Kiln_AllTypesMatch<"(C2)", ["value", "dvalue"]>, Kiln_AllTypesMatch<"(C3)", ["result", "gradient"]>]> {
  let dtypes = "T, T, T, T, T+, T, T, bool, i32, u32, i32 -> T, T, T, T";
  let summary = "the gradients of dropout_attention's query, key, value and bias, from its result's";
  let description = [{
    With Z what dropout makes of a 1 (0, or 1 / (1 - p)), P = exp(s - lse) and dS = P * (Z * g value^T - rowsum(g * result)):
    dquery = scale * dS key, dkey = scale * dS^T query, dvalue = (Z * P)^T g; dbias, where there is a bias, is dS, summed over the
    axes along which it is broadcast.

    (C1) query, key, value, bias, mask, start, attributes, result and lse fit together as dropout_attention's. (C2) Gradients have their operands' types. (C3) g has the result's type.
    (C7) and (C8) are dropout_attention's.

    ```mlir
    func.func @dropout_attention_grad(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x8xf32>, %v: tensor<2x4x9x8xf32>, %o: tensor<2x4x6x8xf32>, %l: tensor<2x4x6xf32>, %g: tensor<2x4x6x8xf32>, %seed: tensor<ui32>)
        -> (tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>) {
      %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed p 0.1 stream 3 {causal = true}
          : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>, tensor<ui32>
      return %dq, %dk, %dv : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Kiln_Tensor:$result, Kiln_Tensor:$lse, Kiln_Tensor:$gradient, Optional<Kiln_Tensor>:$bias, Optional<Kiln_Tensor>:$mask, Optional<Kiln_Scalar>:$start,
                   Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, F64Attr:$scale, F64Attr:$p, I64Attr:$stream,
                   DefaultValuedAttr<BoolAttr, "false">:$causal, DefaultValuedAttr<I64Attr, "1">:$groups, OptionalAttr<I64Attr>:$sliding_window);
  let results = (outs Kiln_Tensor:$dquery, Kiln_Tensor:$dkey, Kiln_Tensor:$dvalue, Optional<Kiln_Tensor>:$dbias);
  let assemblyFormat = "$query `,` $key `,` $value `,` $result `,` $lse `,` $gradient (`bias` $bias^ `:` type($bias))? (`mask` $mask^ `:` type($mask))? (`start` $start^ `:` type($start))? `scale` $scale `drops` $seed (`,` $counters^)? `p` $p `stream` $stream attr-dict `:` type($query) `,` type($key) `,` type($value) `,` type($result) `,` type($lse) `,` type($seed) (`,` type($counters)^)? (`->` type($dbias)^)?";
  let hasVerifier = 1;
}

def Kiln_CappedAttentionOp : Kiln_Composite<"capped_attention", [Kiln_Attends, AttrSizedOperandSegments]> {
  let dtypes = "T, T, T, bool, i32 -> T, T+";
  let summary = "softmax(softcap * tanh(scale * q k^T / softcap) + mask) v";
  let description = [{
    attention whose scores are bent to lie between -softcap and softcap before any is hidden. An op of its own, so that a backend
    that knows attention alone is not asked for this.

    (C1) query, key, value, mask, start, attributes and results are as attention's. (C9) `softcap` is a finite number above 0.

    ```mlir
    func.func @capped_attention(%q: tensor<2x4x6x8xf32>, %k: tensor<2x2x9x8xf32>, %v: tensor<2x2x9x16xf32>, %m: tensor<2x1x1x9xi1>) -> tensor<2x4x6x16xf32> {
      %r = kiln.capped_attention %q, %k, %v mask %m scale 0.35 softcap 50.0 {causal = true, groups = 2 : i64, sliding_window = 4 : i64}
          : tensor<2x4x6x8xf32>, tensor<2x2x9x8xf32>, tensor<2x2x9x16xf32>, tensor<2x1x1x9xi1> -> tensor<2x4x6x16xf32>
      return %r : tensor<2x4x6x16xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Optional<Kiln_Tensor>:$mask, Optional<Kiln_Scalar>:$start, F64Attr:$scale, F64Attr:$softcap,
                   DefaultValuedAttr<BoolAttr, "false">:$causal, DefaultValuedAttr<I64Attr, "1">:$groups, OptionalAttr<I64Attr>:$sliding_window);
  let results = (outs Kiln_Tensor:$result, Optional<Kiln_Tensor>:$lse);
  let assemblyFormat = "$query `,` $key `,` $value (`mask` $mask^)? (`start` $start^ `:` type($start))? `scale` $scale `softcap` $softcap attr-dict `:` type($query) `,` type($key) `,` type($value) (`,` type($mask)^)? `->` type($result) (`,` type($lse)^)?";
  let hasVerifier = 1;
}

def Kiln_CappedAttentionGradOp : Kiln_Composite<"capped_attention_grad", [Kiln_AttendsGrad, AttrSizedOperandSegments, Kiln_AllTypesMatch<"(C2)", ["query", "dquery"]>, Kiln_AllTypesMatch<"(C2)", ["key", "dkey"]>,
                                                                          Kiln_AllTypesMatch<"(C2)", ["value", "dvalue"]>, Kiln_AllTypesMatch<"(C3)", ["result", "gradient"]>]> {
  let dtypes = "T, T, T, T, T+, T, bool, i32 -> T, T, T";
  let summary = "the gradients of capped_attention's query, key and value, from its result's";
  let description = [{
    As attention_grad, with t = tanh(scale * q k^T / softcap), softcap * t in place of the scores, and
    dS = P * (g value^T - rowsum(g * result)) * (1 - t^2).

    (C1) query, key, value, mask, start, attributes, result and lse fit together as capped_attention's. (C2) Gradients have their operands' types. (C3) g has the result's type.
    (C9) is capped_attention's.

    ```mlir
    func.func @capped_attention_grad(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x8xf32>, %v: tensor<2x4x9x8xf32>, %o: tensor<2x4x6x8xf32>, %l: tensor<2x4x6xf32>, %g: tensor<2x4x6x8xf32>)
        -> (tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>) {
      %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 softcap 2.0 {causal = true}
          : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
      return %dq, %dk, %dv : tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$query, Kiln_Tensor:$key, Kiln_Tensor:$value, Kiln_Tensor:$result, Kiln_Tensor:$lse, Kiln_Tensor:$gradient, Optional<Kiln_Tensor>:$mask, Optional<Kiln_Scalar>:$start, F64Attr:$scale, F64Attr:$softcap,
                   DefaultValuedAttr<BoolAttr, "false">:$causal, DefaultValuedAttr<I64Attr, "1">:$groups, OptionalAttr<I64Attr>:$sliding_window);
  let results = (outs Kiln_Tensor:$dquery, Kiln_Tensor:$dkey, Kiln_Tensor:$dvalue);
  let assemblyFormat = "$query `,` $key `,` $value `,` $result `,` $lse `,` $gradient (`mask` $mask^)? (`start` $start^ `:` type($start))? `scale` $scale `softcap` $softcap attr-dict `:` type($query) `,` type($key) `,` type($value) `,` type($result) `,` type($lse) (`,` type($mask)^)?";
  let hasVerifier = 1;
}

def Kiln_RandomUniformOp : Kiln_Composite<"random_uniform"> {
  let dtypes = "u32, i32 -> number";
  let summary = "uniform in [0, 1): (bits >> 8) * 2^-24";
  let description = [{
    Operands and stream as random_bits. (C1) The element type is f32 or f64. (C2) Seed and counters are as random_bits takes them.

    ```mlir
    func.func @random_uniform(%seed: tensor<ui32>, %step: tensor<i32>) -> tensor<8xf32> {
      %r = kiln.random_uniform 3, %seed, %step : tensor<ui32>, tensor<i32> -> tensor<8xf32>
      return %r : tensor<8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, I64Attr:$stream);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$stream `,` $seed (`,` $counters^)? attr-dict `:` type(operands) `->` type($result)";
  let hasVerifier = 1;
}
def Kiln_RandomNormalOp : Kiln_Composite<"random_normal"> {
  let dtypes = "u32, i32 -> number";
  let summary = "standard normal: Box-Muller, sqrt(-2 ln(1 - u1)) cos(2 pi u2)";
  let description = [{
    u1 and u2 are elements 2e and 2e+1 of the uniforms of shape [..., 2] that random_uniform gives. Within 1.5e-6 absolute of the formula in exact
    arithmetic, for f32. (C1) The element type is f32 or f64. (C2) Seed and counters are as random_bits takes them.

    ```mlir
    func.func @random_normal(%seed: tensor<ui32>, %step: tensor<i32>) -> tensor<8xf32> {
      %r = kiln.random_normal 3, %seed, %step : tensor<ui32>, tensor<i32> -> tensor<8xf32>
      return %r : tensor<8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, I64Attr:$stream);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$stream `,` $seed (`,` $counters^)? attr-dict `:` type(operands) `->` type($result)";
  let hasVerifier = 1;
}
def Kiln_DropoutOp : Kiln_Composite<"dropout", [Kiln_AllTypesMatch<"(C1)", ["operand", "result"]>]> {
  let dtypes = "T, u32, i32 -> T";
  let summary = "x / (1 - p) where a uniform draw is at least p, else 0";
  let description = [{
    Operands and stream as random_bits; the draw for element e is random_uniform's. (C1) The operand and the result have the same type, of floats. (C2) 0 <= p <= 1. (C3) Seed and counters are as random_bits takes them.

    ```mlir
    func.func @dropout(%x: tensor<2x8xf32>, %seed: tensor<ui32>, %step: tensor<i32>) -> tensor<2x8xf32> {
      %r = kiln.dropout %x, %seed, %step p 0.1 stream 3 : tensor<2x8xf32>, tensor<ui32>, tensor<i32>
      return %r : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, F64Attr:$p, I64Attr:$stream);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $seed (`,` $counters^)? `p` $p `stream` $stream attr-dict `:` type($operand) `,` type($seed) (`,` type($counters)^)?";
  let hasVerifier = 1;
}

def Kiln_CustomOp : Kiln_StructureOp<"custom", [Pure, SingleBlockImplicitTerminator<"YieldOp">, IsolatedFromAbove,
                                               DeclareOpInterfaceMethods<Kiln_DecomposableOpInterface>]> {
  let summary = "a function as an op: of the user's own, with a gradient of its own, or both";
  let description = [{
    `forward` maps the operands to the results, and is what the op does wherever it is not taken whole. One with a `name`
    is offered to the backends that name it, as an op of that name with `fields` for attributes. `backward`, where there is
    one, takes the operands, then the results' gradients, and yields one gradient for each operand of float type; else
    the gradient is that of `forward`. The gradient of a named one is a custom op too, `NAME_grad`, with the operands
    and results of `backward`.

    (C1) Regions have argument and yield types as stated. (C2) Fields are numbers, booleans and strings.

    ```mlir
    func.func @custom(%x: tensor<4xf32>) -> tensor<4xf32> {
      %r = kiln.custom "quantise" %x {fields = {steps = 8 : i64}} : (tensor<4xf32>) -> tensor<4xf32> forward {
      ^forward(%a: tensor<4xf32>):
        %b = kiln.round %a : tensor<4xf32>
        kiln.yield %b : tensor<4xf32>
      } backward {
      ^backward(%a: tensor<4xf32>, %g: tensor<4xf32>):
        kiln.yield %g : tensor<4xf32>
      }
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<Kiln_Tensor>:$inputs, OptionalAttr<StrAttr>:$name, OptionalAttr<DictionaryAttr>:$fields);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$forward, MaxSizedRegion<1>:$backward);
  let assemblyFormat = "($name^)? $inputs attr-dict `:` functional-type($inputs, $results) `forward` $forward (`backward` $backward^)?";
  let hasVerifier = 1;
}

#endif // KILN_COMPOSITES_TD
