// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{malformed dimension expression "T+"}}
func.func private @f(tensor<?xf32, #kiln.dims<"T+">>)

// -----

// expected-error@+1 {{dimension expression "1+T" is not in normal form; write "T+1"}}
func.func private @f(tensor<?xf32, #kiln.dims<"1+T">>)

// -----

// expected-error@+1 {{#kiln.dims gives 2 dimensions to a tensor of rank 1}}
func.func private @f(tensor<?xf32, #kiln.dims<"B", "T">>)

// -----

// expected-error@+1 {{#kiln.dims gives "T" for dimension 0, the shape 4}}
func.func private @f(tensor<4xf32, #kiln.dims<"T">>)

// -----

// expected-error@+1 {{#kiln.dims gives "4" for dimension 0, the shape ?}}
func.func private @f(tensor<?xf32, #kiln.dims<"4">>)

// -----

// expected-error@+1 {{#kiln.dims on a tensor whose dimensions are all constant; leave it out}}
func.func private @f(tensor<4xf32, #kiln.dims<"4">>)

// -----

func.func @f(%x: tensor<?xf32>) {
  // expected-error@+1 {{operand #0 must be ranked tensor of f32, f64, bf16, f16, i8, ui8, i32, ui32, i64 or i1 whose dimensions are constant or in #kiln.dims, but got 'tensor<?xf32>'}}
  %r = kiln.exp %x : tensor<?xf32>
  return
}

// -----

func.func @f(%x: tensor<4xi16>) {
  // expected-error@+1 {{operand #0 must be ranked tensor of f32, f64}}
  %r = kiln.abs %x : tensor<4xi16>
  return
}

// -----

// expected-error@+1 {{kiln.parameters: 'w' is 'tensor<4xcomplex<f32>>', which is no tensor of the dialect}}
module attributes {kiln.parameters = [{name = "w", type = tensor<4xcomplex<f32>>}]} {}

// -----

// expected-error@+1 {{kiln.states: 'w' is 'tensor<4xf8E4M3FN>', which is no tensor of the dialect}}
module attributes {kiln.states = [{name = "w", type = tensor<4xf8E4M3FN>}]} {}

// -----

// expected-error@+1 {{kiln.parameters: 'w' is 'tensor<4xf8E5M2>', which is no tensor of the dialect}}
module attributes {kiln.parameters = [{name = "w", type = tensor<4xf8E5M2>}]} {}

// -----

// expected-error@+1 {{kiln.states: 'w' is 'tensor<4xindex>', which is no tensor of the dialect}}
module attributes {kiln.states = [{name = "w", type = tensor<4xindex>}]} {}

// -----

// expected-error@+1 {{kiln.parameters: 'w' is 'tensor<4xi4>', which is no tensor of the dialect}}
module attributes {kiln.parameters = [{name = "w", type = tensor<4xi4>}]} {}

// -----

// expected-error@+1 {{kiln.states: 'w' is 'tensor<4xi16>', which is no tensor of the dialect}}
module attributes {kiln.states = [{name = "w", type = tensor<4xi16>}]} {}

// -----

// expected-error@+1 {{kiln.parameters: 'w' is 'tensor<4xui64>', which is no tensor of the dialect}}
module attributes {kiln.parameters = [{name = "w", type = tensor<4xui64>}]} {}

// -----

// expected-error@+1 {{kiln.data: 'ids' is 'tensor<?xi32>', which is no tensor of the dialect}}
module attributes {kiln.data = [{name = "data", fields = [{name = "ids", type = tensor<?xi32>}]}]} {}

// -----

// expected-error@+1 {{kiln.parameters is a list of dictionaries with a name each}}
module attributes {kiln.parameters = 3} {}

// -----

// expected-error@+1 {{kiln.parameters is a list of dictionaries with a name each}}
module attributes {kiln.parameters = [3]} {}

// -----

// expected-error@+1 {{kiln.states is a list of dictionaries with a name each}}
module attributes {kiln.states = [{type = tensor<4xf32>}]} {}

// -----

// expected-error@+1 {{kiln.data is a list of dictionaries with a name each}}
module attributes {kiln.data = [{name = 3}]} {}

// -----

// expected-error@+1 {{kiln.data is a list of dictionaries with a name each}}
module attributes {kiln.data = {}} {}
