//===- KilnControl.td - ops with regions ------------------------------------------------------------------------===//
#ifndef KILN_CONTROL_TD
#define KILN_CONTROL_TD

include "ir/KilnBase.td"

def Kiln_YieldOp : Kiln_StructureOp<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "results of a region";
  let description = [{
    ```mlir
    func.func @yield(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
      %r = kiln.if %c : (tensor<i1>) -> tensor<4xf32> {
        kiln.yield %x : tensor<4xf32>
      } else {
        %y = kiln.neg %x : tensor<4xf32>
        kiln.yield %y : tensor<4xf32>
      }
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "attr-dict ($operands^ `:` type($operands))?";
  let builders = [OpBuilder<(ins), [{}]>];
}

def Kiln_ScanOp : Kiln_ControlOp<"scan", [AttrSizedOperandSegments, SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "a loop over time with carried values and per-step inputs and outputs";
  let description = [{
    The body runs `count` times, t = 0 … count-1 (or downwards with `reverse`). Block arguments: t as tensor<i32>, the
    carried values, and for each sequence its slice at t along the leading axis (that axis dropped). The body may use
    values from outside. It yields the next carried values, then the step's outputs. Results: the last carried values,
    then each output stacked along a new leading axis of extent count, at index t. Zero steps give the initial carries.
    After the arrow stand the types of the stacked outputs.

    (C1) Each sequence's leading dimension is count. (C2) Block arguments and yielded values have the types that follow.

    ```mlir
    func.func @scan(%h0: tensor<8xf32>, %xs: tensor<?x8xf32, #kiln.dims<"T", "8">>)
        -> (tensor<8xf32>, tensor<?x8xf32, #kiln.dims<"T", "8">>) {
      %last, %all = kiln.scan "T" step(%t) carry(%h = %h0 : tensor<8xf32>)
          over(%x = %xs : tensor<?x8xf32, #kiln.dims<"T", "8">>) -> (tensor<?x8xf32, #kiln.dims<"T", "8">>) {
        %s = kiln.add %h, %x : tensor<8xf32>
        %n = kiln.tanh %s : tensor<8xf32>
        kiln.yield %n, %n : tensor<8xf32>, tensor<8xf32>
      }
      return %last, %all : tensor<8xf32>, tensor<?x8xf32, #kiln.dims<"T", "8">>
    }
    ```
  }];
  let arguments = (ins Kiln_DimsAttr:$count, Variadic<Kiln_Tensor>:$inits, Variadic<Kiln_Tensor>:$sequences, DefaultValuedAttr<BoolAttr, "false">:$reverse);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "const Dim &":$count, "mlir::ValueRange":$inits, "mlir::ValueRange":$sequences, "mlir::TypeRange":$outputTypes, CArg<"bool", "false">:$reverse)>];
  let extraClassDeclaration = [{
    size_t numCarries() { return getInits().size(); }
    mlir::BlockArgument step() { return getBody().getArgument(0); }
    llvm::ArrayRef<mlir::BlockArgument> carryArgs() { return getBody().getArguments().slice(1, numCarries()); }
    llvm::ArrayRef<mlir::BlockArgument> sequenceArgs() { return getBody().getArguments().drop_front(1 + numCarries()); }
  }];
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def Kiln_IfOp : Kiln_ControlOp<"if", [SingleBlockImplicitTerminator<"YieldOp">, NoRegionArguments]> {
  let summary = "one of two regions, by a scalar bool";
  let description = [{
    (C1) Both regions yield values of the results' types. (C2) The condition is i1. Regions may use values from outside.

    ```mlir
    func.func @if(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
      %r = kiln.if %c : (tensor<i1>) -> tensor<4xf32> {
        %y = kiln.exp %x : tensor<4xf32>
        kiln.yield %y : tensor<4xf32>
      } else {
        kiln.yield %x : tensor<4xf32>
      }
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Scalar:$condition);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$thenRegion, SizedRegion<1>:$elseRegion);
  let assemblyFormat = "$condition attr-dict `:` functional-type($condition, $results) $thenRegion `else` $elseRegion";
  let hasVerifier = 1;
}

def Kiln_WhileOp : Kiln_ControlOp<"while", [SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "a loop whose number of steps is computed; not differentiable";
  let description = [{
    Both regions take the carried values. `condition` yields a scalar bool, `body` the next carried values.

    (C1) Carried values keep their types. (C2) The condition yields one scalar i1.

    ```mlir
    func.func @while(%x: tensor<f32>, %limit: tensor<f32>) -> tensor<f32> {
      %r = kiln.while %x : (tensor<f32>) -> tensor<f32> {
      ^condition(%a: tensor<f32>):
        %c = kiln.compare lt %a, %limit : tensor<f32> -> tensor<i1>
        kiln.yield %c : tensor<i1>
      } do {
      ^body(%a: tensor<f32>):
        %b = kiln.add %a, %a : tensor<f32>
        kiln.yield %b : tensor<f32>
      }
      return %r : tensor<f32>
    }
    ```
  }];
  let arguments = (ins Variadic<Kiln_Tensor>:$inits);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$condition, SizedRegion<1>:$body);
  let assemblyFormat = "$inits attr-dict `:` functional-type($inits, $results) $condition `do` $body";
  let hasVerifier = 1;
}

def Kiln_StopGradientOp : Kiln_PureOp<"stop_gradient", Kiln_Elementwise, Kiln_Free, [Kiln_OneType, Kiln_NoGradient, SameOperandsAndResultType]> {
  let dtypes = "T -> T";
  let summary = "the operand; its gradient is zero (torch.detach)";
  let description = [{
    (C1) The operand and the result have the same type.

    ```mlir
    func.func @stop_gradient(%x: tensor<4xf32>) -> tensor<4xf32> {
      %r = kiln.stop_gradient %x : tensor<4xf32>
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$operand);
  let results = (outs Kiln_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

def Kiln_GradientOp : Kiln_StructureOp<"gradient", [Pure, Kiln_AllTypesMatch<"(C1)", ["of", "along"]>]> {
  let summary = "derivatives of a value by values that it was computed from (torch.autograd.grad)";
  let description = [{
    The sums over `of`'s elements of `along` times their derivatives by each of `wrt`, which are varied one by one as if
    they were inputs. All that lies between them stands in the op's block. It is there in what the frontend writes alone:
    `expand-gradients` puts in its place the ops that compute it, whose gradients are taken like any others'.

    (C1) `along` has the type of `of`. (C2) Each result has the type of its operand of `wrt`. (C3) The elements are floats.

    ```mlir
    func.func @gradient(%x: tensor<4xf32>, %dy: tensor<4xf32>) -> tensor<4xf32> {
      %y = kiln.exp %x : tensor<4xf32>
      %r = kiln.gradient %y along %dy by %x : tensor<4xf32>, (tensor<4xf32>) -> tensor<4xf32>
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Kiln_Tensor:$of, Kiln_Tensor:$along, Variadic<Kiln_Tensor>:$wrt);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let assemblyFormat = "$of `along` $along `by` $wrt attr-dict `:` type($of) `,` functional-type($wrt, $results)";
  let hasVerifier = 1;
}

def Kiln_GroupOp : Kiln_StructureOp<"group", [Pure, SingleBlockImplicitTerminator<"YieldOp">, IsolatedFromAbove]> {
  let summary = "ops that become one kernel";
  let description = [{
    The body's arguments are the operands. `shape` says what fusion made of the ops, and what a backend may take for
    granted (docs/fusion.md): `elementwise`, `rows` or `columns` (reductions over one iteration space), `contract` (one
    dot_general or convolution with what surrounds it), `attention`, and one op with little around it: `window`,
    `scatter`, `single`. A part of a group that a backend asked for may be of no shape: `any`.

    (C1) Argument and yield types agree with operands and results.

    ```mlir
    func.func @group(%x: tensor<4xf32>) -> tensor<4xf32> {
      %r = kiln.group elementwise %x : (tensor<4xf32>) -> tensor<4xf32> {
      ^body(%a: tensor<4xf32>):
        %b = kiln.exp %a : tensor<4xf32>
        kiln.yield %b : tensor<4xf32>
      }
      return %r : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<Kiln_Tensor>:$inputs, Kiln_GroupShapeAttr:$shape);
  let results = (outs Variadic<Kiln_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$shape $inputs attr-dict `:` functional-type($inputs, $results) $body";
  let hasVerifier = 1;
}

#endif // KILN_CONTROL_TD
