//===- KilnOps.td - primitives over whole tensors: sources, layout, reductions, products, indexed access ---------===//
#ifndef KILN_OPS_TD
#define KILN_OPS_TD

include "ir/KilnElementwise.td"
include "ir/KilnControl.td"

//===-- Sources -------------------------------------------------------------------------------------------------===//

def Kiln_ConstantOp : Kiln_SourceOp<"constant", Kiln_Free, [ConstantLike]> {
  let dtypes = "-> any";
  let summary = "a constant tensor";
  let description = [{
    The value is a dense elements attribute of the result's static shape, or, for a result with symbolic dimensions,
    a splat held as a rank-0 elements attribute.

    (C1) The value's element type is the result's. (C2) Its shape is the result's, or it has rank 0.

    ```mlir
    func.func @constant() -> (tensor<2xf32>, tensor<?xi32, #kiln.dims<"B">>) {
      %a = kiln.constant dense<[1.0, 2.0]> : tensor<2xf32> : tensor<2xf32>
      %b = kiln.constant dense<7> : tensor<i32> : tensor<?xi32, #kiln.dims<"B">>
      return %a, %b : tensor<2xf32>, tensor<?xi32, #kiln.dims<"B">>
    }
    ```
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Kiln_IotaOp : Kiln_SourceOp<"iota", Kiln_Cheap, [Kiln_AxisBelowRank]> {
  let dtypes = "-> number";
  let summary = "result[..., i, ...] = i along one axis";
  let description = [{
    (C1) axis is below the result's rank. (C2) The element type is not bool.

    ```mlir
    func.func @iota() -> tensor<2x?xi32, #kiln.dims<"2", "T">> {
      %r = kiln.iota 1 : tensor<2x?xi32, #kiln.dims<"2", "T">>
      return %r : tensor<2x?xi32, #kiln.dims<"2", "T">>
    }
    ```
  }];
  let arguments = (ins I64Attr:$axis);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$axis attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Kiln_ExtentOp : Kiln_SourceOp<"extent"> {
  let dtypes = "-> number";
  let summary = "the value of a dimension expression, as a scalar";
  let description = [{
    `kiln.extent <"B*T"> : tensor<f32>`; float or integer.

    (C1) Exactly one expression. (C2) The result has rank 0.

    ```mlir
    func.func @extent() -> tensor<f32> {
      %r = kiln.extent <"B*T"> : tensor<f32>
      return %r : tensor<f32>
    }
    ```
  }];
  let arguments = (ins Kiln_DimsAttr:$expr);
  let results = (outs Kiln_Scalar:$result);
  let assemblyFormat = "$expr attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Kiln_RandomBitsOp : Kiln_SourceOp<"random_bits", Kiln_Philox> {
  let dtypes = "u32, i32 -> u32";
  let summary = "uniform 32-bit words from Philox 4x32-10";
  let description = [{
    Element e (row-major index in the result) is word `e mod 4` of Philox4x32-10 with key `(seed, stream)` and counter
    `(e div 4, c0, c1, c2)`, where c are the counters, zero where absent (by custom: the step, then the indices of the
    loops around it, outermost first). A pure function of its inputs: the same on every backend and in every recomputation.
    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC11).

    (C1) seed is tensor<ui32>. (C2) At most three counters, each tensor<i32>. (C3) The result's element type is ui32.

    ```mlir
    func.func @random_bits(%seed: tensor<ui32>, %step: tensor<i32>) -> tensor<8xui32> {
      %r = kiln.random_bits 3, %seed, %step : tensor<ui32>, tensor<i32> -> tensor<8xui32>
      return %r : tensor<8xui32>
    }
    ```
  }];
  let arguments = (ins Kiln_Scalar:$seed, Variadic<Kiln_Scalar>:$counters, I64Attr:$stream);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$stream `,` $seed (`,` $counters^)? attr-dict `:` type(operands) `->` type($result)";
  let hasVerifier = 1;
}

//===-- Layout --------------------------------------------------------------------------------------------------===//

def Kiln_ReshapeOp : Kiln_LayoutOp<"reshape", Kiln_Free> {
  let dtypes = "T -> T";
  let summary = "the same elements in row-major order under another shape";
  let description = [{
    (C1) Operand and result have the same element type. (C2) The products of their dimensions are equal as expressions.

    ```mlir
    func.func @reshape(%x: tensor<?x6xf32, #kiln.dims<"B", "6">>) -> tensor<?xf32, #kiln.dims<"6*B">> {
      %r = kiln.reshape %x : tensor<?x6xf32, #kiln.dims<"B", "6">> -> tensor<?xf32, #kiln.dims<"6*B">>
      return %r : tensor<?xf32, #kiln.dims<"6*B">>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Kiln_TransposeOp : Kiln_LayoutOp<"transpose"> {
  let dtypes = "T -> T";
  let summary = "permuted axes: result's axis d is the operand's axis permutation[d]";
  let description = [{
    (C1) permutation is a permutation of the operand's axes. (C2) The result's dimension d is the operand's permutation[d].

    ```mlir
    func.func @transpose(%x: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
      %r = kiln.transpose %x, [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
      return %r : tensor<4x2x3xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, DenseI64ArrayAttr:$permutation);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $permutation attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Kiln_BroadcastOp : Kiln_LayoutOp<"broadcast", Kiln_Free> {
  let dtypes = "T -> T";
  let summary = "operand repeated along new axes and along axes of extent 1";
  let description = [{
    Axis d of the operand becomes axis `axes[d]` of the result.

    (C1) axes is strictly increasing, one entry for each operand axis, below the result's rank.
    (C2) Each operand dimension is 1 or equals the result's dimension it maps to.

    ```mlir
    func.func @broadcast(%x: tensor<1x4xf32>) -> tensor<2x3x4xf32> {
      %r = kiln.broadcast %x, [1, 2] : tensor<1x4xf32> -> tensor<2x3x4xf32>
      return %r : tensor<2x3x4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, DenseI64ArrayAttr:$axes);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $axes attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Kiln_SliceOp : Kiln_LayoutOp<"slice"> {
  let dtypes = "T -> T";
  let summary = "elements starts + i * strides; the sizes are the result's";
  let description = [{
    (C1) One start and one positive stride for each axis. (C2) The result has the operand's rank and element type.
    (C3) Where all is constant: 0 <= start and start + (size-1)*stride < dimension.

    ```mlir
    func.func @slice(%x: tensor<?x8xf32, #kiln.dims<"T", "8">>) -> tensor<1x3xf32> {
      %r = kiln.slice %x, <"T-1", "1">, [1, 2] : tensor<?x8xf32, #kiln.dims<"T", "8">> -> tensor<1x3xf32>
      return %r : tensor<1x3xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_DimsAttr:$starts, DenseI64ArrayAttr:$strides);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $starts `,` $strides attr-dict `:` type($operand) `->` type($result)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Kiln_PadOp : Kiln_LayoutOp<"pad"> {
  let dtypes = "T, T -> T";
  let summary = "operand with `value` before, after and between its elements";
  let description = [{
    Along each axis: low values, the elements with `interior` values between neighbours, high values.

    (C1) One low, high and interior for each axis, none negative. (C2) value is a scalar of the operand's element type.
    (C3) The result's dimension is low + high + n + max(n-1, 0) * interior.

    ```mlir
    func.func @pad(%x: tensor<3xf32>, %v: tensor<f32>) -> tensor<8xf32> {
      %r = kiln.pad %x, %v, <"1">, <"2">, [1] : tensor<3xf32>, tensor<f32> -> tensor<8xf32>
      return %r : tensor<8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Scalar:$value, Kiln_DimsAttr:$low, Kiln_DimsAttr:$high, DenseI64ArrayAttr:$interior);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $value `,` $low `,` $high `,` $interior attr-dict `:` type($operand) `,` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_ConcatOp : Kiln_LayoutOp<"concat"> {
  let dtypes = "T -> T";
  let summary = "operands one after another along an axis";
  let description = [{
    (C1) At least one operand; all of one element type and rank. (C2) Dimensions other than axis are equal.
    (C3) The result's dimension at axis is the sum of theirs.

    ```mlir
    func.func @concat(%x: tensor<2x3xf32>, %y: tensor<2x?xf32, #kiln.dims<"2", "T">>) -> tensor<2x?xf32, #kiln.dims<"2", "T+3">> {
      %r = kiln.concat 1, %x, %y : tensor<2x3xf32>, tensor<2x?xf32, #kiln.dims<"2", "T">> -> tensor<2x?xf32, #kiln.dims<"2", "T+3">>
      return %r : tensor<2x?xf32, #kiln.dims<"2", "T+3">>
    }
    ```
  }];
  let arguments = (ins Variadic<Kiln_Tensor>:$inputs, I64Attr:$axis);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$axis `,` $inputs attr-dict `:` type($inputs) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_ReverseOp : Kiln_LayoutOp<"reverse", Kiln_Cheap, [SameOperandsAndResultType]> {
  let dtypes = "T -> T";
  let summary = "order of elements reversed along axes";
  let description = [{
    (C1) axes are distinct and below the rank.

    ```mlir
    func.func @reverse(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
      %r = kiln.reverse %x, [1] : tensor<2x3xf32>
      return %r : tensor<2x3xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, DenseI64ArrayAttr:$axes);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $axes attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Kiln_DynamicSliceOp : Kiln_LayoutOp<"dynamic_slice"> {
  let dtypes = "T, integer -> T";
  let summary = "a block whose start is computed; the sizes are the result's";
  let description = [{
    Starts are clamped into [0, dimension - size], as StableHLO's.

    (C1) One scalar integer start for each axis. (C2) The result has the operand's rank and element type.

    ```mlir
    func.func @dynamic_slice(%x: tensor<8x4xf32>, %i: tensor<i32>, %j: tensor<i32>) -> tensor<2x4xf32> {
      %r = kiln.dynamic_slice %x[%i, %j] : (tensor<8x4xf32>, tensor<i32>, tensor<i32>) -> tensor<2x4xf32>
      return %r : tensor<2x4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, Variadic<Kiln_Scalar>:$starts);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand (`[` $starts^ `]`)? attr-dict `:` functional-type(operands, $result)";
  let hasVerifier = 1;
}

def Kiln_DynamicUpdateSliceOp : Kiln_PureOp<"dynamic_update_slice", Kiln_Update, Kiln_Cheap, [Kiln_AllTypesMatch<"(C2)", ["operand", "result"]>]> {
  let dtypes = "T, T, integer -> T";
  let summary = "operand with a block replaced, at a computed start";
  let description = [{
    Starts are clamped into [0, dimension - size of update].

    (C1) One scalar integer start for each axis. (C2) update has the operand's rank and element type; the result its type.

    ```mlir
    func.func @dynamic_update_slice(%x: tensor<8x4xf32>, %u: tensor<2x4xf32>, %i: tensor<i32>, %j: tensor<i32>) -> tensor<8x4xf32> {
      %r = kiln.dynamic_update_slice %x, %u[%i, %j] : (tensor<8x4xf32>, tensor<2x4xf32>, tensor<i32>, tensor<i32>) -> tensor<8x4xf32>
      return %r : tensor<8x4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Tensor:$update, Variadic<Kiln_Scalar>:$starts);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $update (`[` $starts^ `]`)? attr-dict `:` functional-type(operands, $result)";
  let hasVerifier = 1;
}

//===-- Reductions ----------------------------------------------------------------------------------------------===//

def Kiln_ReduceOp : Kiln_ReductionOp<"reduce"> {
  let dtypes = "T -> T";
  let summary = "elements along axes combined into one; the axes vanish";
  let description = [{
    The order of combination is fixed for a shape (it does not depend on the number of threads) and not specified.
    NaN wins in max and min. Over no element: 0, 1, -inf (lowest integer), +inf (highest), false, true.

    (C1) axes are distinct, increasing and below the rank. (C2) The result's dimensions are those left over, its
    element type the operand's. (C3) any and all take bool.

    ```mlir
    func.func @reduce(%x: tensor<2x?x4xf32, #kiln.dims<"2", "T", "4">>) -> tensor<?xf32, #kiln.dims<"T">> {
      %r = kiln.reduce sum %x, [0, 2] : tensor<2x?x4xf32, #kiln.dims<"2", "T", "4">> -> tensor<?xf32, #kiln.dims<"T">>
      return %r : tensor<?xf32, #kiln.dims<"T">>
    }
    ```
  }];
  let arguments = (ins Kiln_ReduceKindAttr:$kind, Kiln_Tensor:$operand, DenseI64ArrayAttr:$axes);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand `,` $axes attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_ArgReduceOp : Kiln_ReductionOp<"arg_reduce"> {
  let dtypes = "T -> integer";
  let summary = "index of the largest or smallest element along an axis";
  let description = [{
    The first one among equals; the first NaN where there is one. The axis vanishes.

    (C1) axis is below the rank and its dimension is not constant 0. (C2) The result's element type is i32 or i64.

    ```mlir
    func.func @arg_reduce(%x: tensor<2x5xf32>) -> tensor<2xi32> {
      %r = kiln.arg_reduce max %x, 1 : tensor<2x5xf32> -> tensor<2xi32>
      return %r : tensor<2xi32>
    }
    ```
  }];
  let arguments = (ins Kiln_ArgKindAttr:$kind, Kiln_Tensor:$operand, I64Attr:$axis);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand `,` $axis attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_CumSumOp : Kiln_WholeOp<"cumsum", [Kiln_AxisBelowRank, SameOperandsAndResultType]> {
  let dtypes = "T -> T";
  let summary = "running sum along an axis";
  let description = [{
    `reverse` runs from the end; `exclusive` leaves the element itself out. (C1) axis is below the rank.

    ```mlir
    func.func @cumsum(%x: tensor<2x5xf32>) -> tensor<2x5xf32> {
      %r = kiln.cumsum %x, 1 {exclusive = true} : tensor<2x5xf32>
      return %r : tensor<2x5xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, I64Attr:$axis, DefaultValuedAttr<BoolAttr, "false">:$reverse, DefaultValuedAttr<BoolAttr, "false">:$exclusive);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $axis attr-dict `:` type($result)";
}

def Kiln_ReduceWindowOp : Kiln_WholeOp<"reduce_window"> {
  let dtypes = "T -> T";
  let summary = "a reduction of each window: pooling";
  let description = [{
    Windows step by strides over the operand, padded by low and high with the kind's neutral element.

    (C1) One window, stride, low and high for each axis; windows and strides positive. (C2) kind is sum, max or min.
    (C3) The result's dimension is floor((n + low + high - window) / stride) + 1.

    ```mlir
    func.func @reduce_window(%x: tensor<2x3x8x8xf32>) -> tensor<2x3x4x4xf32> {
      %r = kiln.reduce_window max %x {window = array<i64: 1, 1, 3, 3>, strides = array<i64: 1, 1, 2, 2>, low = array<i64: 0, 0, 1, 1>, high = array<i64: 0, 0, 1, 1>}
          : tensor<2x3x8x8xf32> -> tensor<2x3x4x4xf32>
      return %r : tensor<2x3x4x4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_ReduceKindAttr:$kind, Kiln_Tensor:$operand, DenseI64ArrayAttr:$window, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand attr-dict `:` type($operand) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_ReduceWindowGradOp : Kiln_WholeOp<"reduce_window_grad"> {
  let dtypes = "T, T -> T";
  let summary = "gradient of reduce_window max or min: each window's gradient goes to its first extreme element";
  let description = [{
    `result` has the operand's shape; window w adds `gradient[w]` to the first element (row-major within the window,
    NaN first) that equals the window's extreme, as PyTorch's max_pool backward.

    (C1) The attributes agree with reduce_window's constraints; kind is max or min. (C2) gradient has the shape of that op's result.

    ```mlir
    func.func @reduce_window_grad(%x: tensor<2x3x8x8xf32>, %g: tensor<2x3x4x4xf32>) -> tensor<2x3x8x8xf32> {
      %r = kiln.reduce_window_grad max %x, %g {window = array<i64: 1, 1, 3, 3>, strides = array<i64: 1, 1, 2, 2>, low = array<i64: 0, 0, 1, 1>, high = array<i64: 0, 0, 1, 1>}
          : tensor<2x3x8x8xf32>, tensor<2x3x4x4xf32> -> tensor<2x3x8x8xf32>
      return %r : tensor<2x3x8x8xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_ReduceKindAttr:$kind, Kiln_Tensor:$operand, Kiln_Tensor:$gradient, DenseI64ArrayAttr:$window, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand `,` $gradient attr-dict `:` type($operand) `,` type($gradient) `->` type($result)";
  let hasVerifier = 1;
}

//===-- Products ------------------------------------------------------------------------------------------------===//

def Kiln_DotGeneralOp : Kiln_ContractionOp<"dot_general"> {
  let dtypes = "T, T -> T+";
  let summary = "sum of products over contracted axes, for each index of the batch axes";
  let description = [{
    The result's axes are the batch axes (in lhs_batch's order), then lhs's free axes, then rhs's free axes. As StableHLO's.
    Integer operands accumulate in the result's type; bf16 and f16 operands accumulate in f32.

    (C1) Batch and contracting axes are distinct and in range on each side. (C2) Paired axes have equal dimensions.
    (C3) Both operands have one element type; the result's is the same, or f32 for bf16/f16, i32 for i8/u8.
    (C4) The result's shape is as stated.

    ```mlir
    func.func @dot_general(%x: tensor<?x8x16xf32, #kiln.dims<"B", "8", "16">>, %y: tensor<?x16x4xf32, #kiln.dims<"B", "16", "4">>)
        -> tensor<?x8x4xf32, #kiln.dims<"B", "8", "4">> {
      %r = kiln.dot_general %x, %y batch [0] x [0] contract [2] x [1]
          : tensor<?x8x16xf32, #kiln.dims<"B", "8", "16">>, tensor<?x16x4xf32, #kiln.dims<"B", "16", "4">> -> tensor<?x8x4xf32, #kiln.dims<"B", "8", "4">>
      return %r : tensor<?x8x4xf32, #kiln.dims<"B", "8", "4">>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$lhs, Kiln_Tensor:$rhs, DenseI64ArrayAttr:$lhs_batch, DenseI64ArrayAttr:$rhs_batch,
                       DenseI64ArrayAttr:$lhs_contract, DenseI64ArrayAttr:$rhs_contract);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs `batch` $lhs_batch `x` $rhs_batch `contract` $lhs_contract `x` $rhs_contract attr-dict
    `:` type($lhs) `,` type($rhs) `->` type($result)}];
  let hasVerifier = 1;
}

def Kiln_ConvolutionOp : Kiln_ContractionOp<"convolution"> {
  let dtypes = "T, T -> T+";
  let summary = "convolution (cross-correlation) over 1 to 3 spatial axes";
  let description = [{
    Input [N, C, spatial...], filter [O, C/groups, spatial...], result [N, O, spatial...], as PyTorch's. Before the
    filter slides, the input is dilated by input_dilation (d-1 zeros between neighbours) and padded by low and high
    (negative padding crops); the filter is dilated by filter_dilation.

    (C1) Ranks are equal and between 3 and 5. (C2) C and O are multiples of groups; the filter's axis 1 is C/groups.
    (C3) One entry of each list for each spatial axis; strides and dilations positive.
    (C4) The result's spatial dimension is floor((d(n) + low + high - d(k)) / stride) + 1 with d(n) = (n-1)*dilation + 1.
    (C5) Element types go together as in dot_general.

    ```mlir
    func.func @convolution(%x: tensor<2x3x8x8xf32>, %f: tensor<6x3x3x3xf32>) -> tensor<2x6x4x4xf32> {
      %r = kiln.convolution %x, %f {strides = array<i64: 2, 2>, low = array<i64: 1, 1>, high = array<i64: 1, 1>,
          input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64}
          : tensor<2x3x8x8xf32>, tensor<6x3x3x3xf32> -> tensor<2x6x4x4xf32>
      return %r : tensor<2x6x4x4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$input, Kiln_Tensor:$filter, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high,
                       DenseI64ArrayAttr:$input_dilation, DenseI64ArrayAttr:$filter_dilation, I64Attr:$groups);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$input `,` $filter attr-dict `:` type($input) `,` type($filter) `->` type($result)";
  let hasVerifier = 1;
}

//===-- Indexed access ------------------------------------------------------------------------------------------===//

def Kiln_GatherOp : Kiln_LayoutOp<"gather"> {
  let dtypes = "T, integer -> T";
  let summary = "slices of the operand along an axis, chosen by index";
  let description = [{
    With b = batch_dims: `result[p..., i..., s...] = operand[p..., o..., indices[p..., i...], s...]`: the result's shape is
    operand.shape[:axis] + indices.shape[b:] + operand.shape[axis+1:], the first b axes shared (numpy.take for b = 0;
    picking one class for each row for b = axis). An index outside [0, dimension) is clamped into it and recorded in the
    status record.

    (C1) batch_dims <= axis < operand rank, batch_dims <= indices rank. (C2) The first batch_dims dimensions agree.
    (C3) indices are of an integer type. (C4) The result's shape is as stated.

    ```mlir
    func.func @gather(%table: tensor<65x128xf32>, %ids: tensor<?x?xi32, #kiln.dims<"B", "T">>)
        -> tensor<?x?x128xf32, #kiln.dims<"B", "T", "128">> {
      %r = kiln.gather %table, %ids, 0 : tensor<65x128xf32>, tensor<?x?xi32, #kiln.dims<"B", "T">> -> tensor<?x?x128xf32, #kiln.dims<"B", "T", "128">>
      return %r : tensor<?x?x128xf32, #kiln.dims<"B", "T", "128">>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, Kiln_Tensor:$indices, I64Attr:$axis, DefaultValuedAttr<I64Attr, "0">:$batch_dims);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand `,` $indices `,` $axis attr-dict `:` type($operand) `,` type($indices) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_DequantizeOp : Kiln_LayoutOp<"dequantize"> {
  let dtypes = "integer, any, any -> f32";
  let summary = "rows of numbers that are stored in blocks, each block with a scale, and with a minimum where there is one";
  let description = [{
    A row of K numbers is K / B blocks of B neighbours: element k is number k % B of block b = k / B, and is
    `q * scales[..., b]`, or `q * scales[..., b] + minimums[..., b]`. Where q lies, the blocks' element type says:

    - i8, `blocks[..., K / B, B]`: q is a byte.
    - ui8, `blocks[..., K / (2 B), B]`: two blocks lie in the halves of B bytes, the first of them in the low ones. q is
      the half, 0 to 15; without minimums, the half less 8.

    (C1) Blocks are i8 or ui8, and have a last axis. (C2) Scales are f16 or f32, of the blocks' dimensions without the
    last axis, with the last but one twice as long where there are two in a byte. (C3) Minimums are of the scales' type.
    (C4) The result is f32, of the scales' dimensions with B times the last one.

    ```mlir
    func.func @dequantize(%bytes: tensor<9x2x32xi8>, %s: tensor<9x2xf16>, %halves: tensor<9x1x32xui8>, %m: tensor<9x2xf16>)
        -> (tensor<9x64xf32>, tensor<9x64xf32>) {
      %a = kiln.dequantize %bytes, %s : tensor<9x2x32xi8>, tensor<9x2xf16> -> tensor<9x64xf32>
      %b = kiln.dequantize %halves, %s, %m : tensor<9x1x32xui8>, tensor<9x2xf16>, tensor<9x2xf16> -> tensor<9x64xf32>
      return %a, %b : tensor<9x64xf32>, tensor<9x64xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$blocks, Kiln_Tensor:$scales, Optional<Kiln_Tensor>:$minimums);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$blocks `,` $scales (`,` $minimums^)? attr-dict `:` type($blocks) `,` type($scales) (`,` type($minimums)^)? `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_DecodeOp : Kiln_LayoutOp<"decode"> {
  let dtypes = "integer, any -> f32";
  let summary = "rows of codes that stand for numbers of a table, in blocks with a scale each";
  let description = [{
    As dequantize, but q is the number that a code stands for, of a table that `coding` names (backends/api/kiln_codes.h): in bytes,
    `codes[..., K / B, B]`, "e4m3" (without its NaN: 480 stands there) and "e5m2"; in halves of bytes, `codes[..., K / (2 B), B]`, "e2m1", "nf4", "fp4" and "iq4".

    (C1) The coding is known. (C2) Codes are ui8; they and the scales are as dequantize's (C1) and (C2). (C3) The result is as its (C4).

    ```mlir
    func.func @decode(%codes: tensor<9x1x32xui8>, %s: tensor<9x2xf32>) -> tensor<9x64xf32> {
      %r = kiln.decode "nf4" %codes, %s : tensor<9x1x32xui8>, tensor<9x2xf32> -> tensor<9x64xf32>
      return %r : tensor<9x64xf32>
    }
    ```
  }];
  let arguments = (ins StrAttr:$coding, Kiln_Tensor:$codes, Kiln_Tensor:$scales);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$coding $codes `,` $scales attr-dict `:` type($codes) `,` type($scales) `->` type($result)";
  let hasVerifier = 1;
}

def Kiln_ScatterOp : Kiln_WholeOp<"scatter", [Kiln_AllTypesMatch<"(C1)", ["operand", "result"]>]> {
  let dtypes = "T, integer, T -> T";
  let summary = "operand with updates combined in at places chosen by index; the transpose of gather";
  let description = [{
    `result = operand; for i ascending (row-major over indices): result[p..., o..., indices[p..., i...], s...] kind= updates[p..., i..., s...]`.
    Equal indices are combined in ascending order of i, so `set` keeps the last. An index out of range is dropped and
    recorded in the status record.

    (C1) The constraints of gather, with updates in the place of its result.

    ```mlir
    func.func @scatter(%x: tensor<5x4xf32>, %i: tensor<3xi32>, %u: tensor<3x4xf32>) -> tensor<5x4xf32> {
      %r = kiln.scatter add %x, %i, %u, 0 : tensor<5x4xf32>, tensor<3xi32>, tensor<3x4xf32>
      return %r : tensor<5x4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_ScatterKindAttr:$kind, Kiln_Tensor:$operand, Kiln_Tensor:$indices, Kiln_Tensor:$updates, I64Attr:$axis, DefaultValuedAttr<I64Attr, "0">:$batch_dims);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$kind $operand `,` $indices `,` $updates `,` $axis attr-dict `:` type($operand) `,` type($indices) `,` type($updates)";
  let hasVerifier = 1;
}

def Kiln_SortOp : Kiln_WholeOp<"sort", [Kiln_AxisBelowRank]> {
  let dtypes = "T -> T, integer";
  let summary = "values sorted along an axis, and where each came from; stable";
  let description = [{
    NaN counts as the largest. (C1) axis is below the rank. (C2) values has the operand's type, indices its shape with i32 or i64.

    ```mlir
    func.func @sort(%x: tensor<2x5xf32>) -> (tensor<2x5xf32>, tensor<2x5xi32>) {
      %v, %i = kiln.sort %x, 1 {descending = true} : tensor<2x5xf32> -> tensor<2x5xf32>, tensor<2x5xi32>
      return %v, %i : tensor<2x5xf32>, tensor<2x5xi32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, I64Attr:$axis, DefaultValuedAttr<BoolAttr, "false">:$descending);
  let results = (outs Kiln_Tensor:$values, Kiln_Tensor:$indices);
  let assemblyFormat = "$operand `,` $axis attr-dict `:` type($operand) `->` type($values) `,` type($indices)";
  let hasVerifier = 1;
}

def Kiln_TopKOp : Kiln_WholeOp<"top_k"> {
  let dtypes = "T -> T, integer";
  let summary = "the k largest along the last axis, descending; lower index first among equals";
  let description = [{
    (C1) k is not above the last dimension where that is constant. (C2) The results' last dimension is k; indices are i32 or i64.

    ```mlir
    func.func @top_k(%x: tensor<2x5xf32>) -> (tensor<2x3xf32>, tensor<2x3xi32>) {
      %v, %i = kiln.top_k %x, 3 : tensor<2x5xf32> -> tensor<2x3xf32>, tensor<2x3xi32>
      return %v, %i : tensor<2x3xf32>, tensor<2x3xi32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand, I64Attr:$k);
  let results = (outs Kiln_Tensor:$values, Kiln_Tensor:$indices);
  let assemblyFormat = "$operand `,` $k attr-dict `:` type($operand) `->` type($values) `,` type($indices)";
  let hasVerifier = 1;
}

#endif // KILN_OPS_TD
