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
