// Loops and branches.

func.func @rnn(%h0: tensor<?x8xf32, #kiln.dims<"B", "8">>, %xs: tensor<?x?x8xf32, #kiln.dims<"T", "B", "8">>, %w: tensor<8x8xf32>)
    -> (tensor<?x8xf32, #kiln.dims<"B", "8">>, tensor<?x?x8xf32, #kiln.dims<"T", "B", "8">>)
    attributes {kiln.bounds = {B = 5 : i64, T = 11 : i64}} {
  // Small weights: by large ones each step makes a rounding two to three times as large, and no rule fits the last.
  %quarter = kiln.constant dense<2.500000e-01> : tensor<8x8xf32> : tensor<8x8xf32>
  %v = kiln.mul %w, %quarter : tensor<8x8xf32>
  %last, %all = kiln.scan "T" step(%t) carry(%h = %h0 : tensor<?x8xf32, #kiln.dims<"B", "8">>)
      over(%x = %xs : tensor<?x?x8xf32, #kiln.dims<"T", "B", "8">>) -> (tensor<?x?x8xf32, #kiln.dims<"T", "B", "8">>) {
    %p = kiln.dot_general %h, %v batch [] x [] contract [1] x [0] : tensor<?x8xf32, #kiln.dims<"B", "8">>, tensor<8x8xf32> -> tensor<?x8xf32, #kiln.dims<"B", "8">>
    %s = kiln.add %p, %x : tensor<?x8xf32, #kiln.dims<"B", "8">>
    %n = kiln.tanh %s : tensor<?x8xf32, #kiln.dims<"B", "8">>
    kiln.yield %n, %n : tensor<?x8xf32, #kiln.dims<"B", "8">>, tensor<?x8xf32, #kiln.dims<"B", "8">>
  }
  return %last, %all : tensor<?x8xf32, #kiln.dims<"B", "8">>, tensor<?x?x8xf32, #kiln.dims<"T", "B", "8">>
}

func.func @reverse_two_carries(%a0: tensor<4xf32>, %b0: tensor<4xf32>, %xs: tensor<?x4xf32, #kiln.dims<"T", "4">>)
    -> (tensor<4xf32>, tensor<4xf32>, tensor<?x4xf32, #kiln.dims<"T", "4">>)
    attributes {kiln.bounds = {T = 9 : i64}} {
  %r:3 = kiln.scan "T" reverse step(%t) carry(%a = %a0 : tensor<4xf32>, %b = %b0 : tensor<4xf32>)
      over(%x = %xs : tensor<?x4xf32, #kiln.dims<"T", "4">>) -> (tensor<?x4xf32, #kiln.dims<"T", "4">>) {
    %s = kiln.add %a, %x : tensor<4xf32>
    %u = kiln.sigmoid %s : tensor<4xf32>
    // The carries change places.
    kiln.yield %b, %u, %s : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  }
  return %r#0, %r#1, %r#2 : tensor<4xf32>, tensor<4xf32>, tensor<?x4xf32, #kiln.dims<"T", "4">>
}

func.func @yielded_as_they_are(%h0: tensor<i32> {kiln.test_below = 9 : i64}, %xs: tensor<?xi32, #kiln.dims<"T">> {kiln.test_below = 9 : i64}, %k: tensor<2xf32>)
    -> (tensor<i32>, tensor<?xi32, #kiln.dims<"T">>, tensor<?xi32, #kiln.dims<"T">>, tensor<?x2xf32, #kiln.dims<"T", "2">>, tensor<?xi32, #kiln.dims<"T">>)
    attributes {kiln.bounds = {T = 9 : i64}} {
  // The step, a slice, the carry before the step, and a value from outside, yielded untouched.
  %r:5 = kiln.scan "T" step(%t) carry(%h = %h0 : tensor<i32>) over(%x = %xs : tensor<?xi32, #kiln.dims<"T">>)
      -> (tensor<?xi32, #kiln.dims<"T">>, tensor<?xi32, #kiln.dims<"T">>, tensor<?x2xf32, #kiln.dims<"T", "2">>, tensor<?xi32, #kiln.dims<"T">>) {
    kiln.yield %x, %t, %x, %k, %h : tensor<i32>, tensor<i32>, tensor<i32>, tensor<2xf32>, tensor<i32>
  }
  return %r#0, %r#1, %r#2, %r#3, %r#4 : tensor<i32>, tensor<?xi32, #kiln.dims<"T">>, tensor<?xi32, #kiln.dims<"T">>, tensor<?x2xf32, #kiln.dims<"T", "2">>, tensor<?xi32, #kiln.dims<"T">>
}

func.func @carries_change_places_each_step(%a0: tensor<3xf32>, %b0: tensor<3xf32>, %c0: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %r:3 = kiln.scan "4" step(%t) carry(%a = %a0 : tensor<3xf32>, %b = %b0 : tensor<3xf32>, %c = %c0 : tensor<3xf32>) -> () {
    kiln.yield %b, %c, %a : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  }
  return %r#0, %r#1, %r#2 : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

func.func @step_indexes(%x: tensor<6x3xf32>) -> tensor<6x3xf32> {
  %zero = kiln.constant dense<0> : tensor<i32> : tensor<i32>
  %r = kiln.scan "6" step(%t) -> (tensor<6x3xf32>) {
    %row = kiln.dynamic_slice %x[%t, %zero] : (tensor<6x3xf32>, tensor<i32>, tensor<i32>) -> tensor<1x3xf32>
    %v = kiln.reshape %row : tensor<1x3xf32> -> tensor<3xf32>
    %f = kiln.convert %t : tensor<i32> -> tensor<f32>
    %g = kiln.broadcast %f, [] : tensor<f32> -> tensor<3xf32>
    %s = kiln.mul %v, %g : tensor<3xf32>
    kiln.yield %s : tensor<3xf32>
  }
  return %r : tensor<6x3xf32>
}

func.func @nested(%h0: tensor<4xf32>, %xs: tensor<3x5x4xf32>) -> (tensor<4xf32>, tensor<3x5x4xf32>) {
  %last, %all = kiln.scan "3" step(%t) carry(%h = %h0 : tensor<4xf32>) over(%x = %xs : tensor<3x5x4xf32>) -> (tensor<3x5x4xf32>) {
    %il, %ia = kiln.scan "5" step(%u) carry(%g = %h : tensor<4xf32>) over(%y = %x : tensor<5x4xf32>) -> (tensor<5x4xf32>) {
      %s = kiln.sub %y, %g : tensor<4xf32>
      %q = kiln.sin %s : tensor<4xf32>
      kiln.yield %q, %s : tensor<4xf32>, tensor<4xf32>
    }
    kiln.yield %il, %ia : tensor<4xf32>, tensor<5x4xf32>
  }
  return %last, %all : tensor<4xf32>, tensor<3x5x4xf32>
}

func.func @branch(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %s = kiln.reduce sum %x, [0] : tensor<4xf32> -> tensor<f32>
  %zero = kiln.constant dense<0.0> : tensor<f32> : tensor<f32>
  %c = kiln.compare gt %s, %zero : tensor<f32> -> tensor<i1>
  %d = kiln.not %c : tensor<i1>
  %a = kiln.if %c : (tensor<i1>) -> tensor<4xf32> {
    %e = kiln.exp %x : tensor<4xf32>
    kiln.yield %e : tensor<4xf32>
  } else {
    kiln.yield %x : tensor<4xf32>
  }
  %b = kiln.if %d : (tensor<i1>) -> tensor<4xf32> {
    %e = kiln.exp %x : tensor<4xf32>
    kiln.yield %e : tensor<4xf32>
  } else {
    kiln.yield %a : tensor<4xf32>
  }
  return %a, %b : tensor<4xf32>, tensor<4xf32>
}

func.func @until(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<i32>) {
  %zero = kiln.constant dense<0> : tensor<i32> : tensor<i32>
  %limit = kiln.constant dense<100.0> : tensor<f32> : tensor<f32>
  %one = kiln.constant dense<1> : tensor<i32> : tensor<i32>
  %half = kiln.constant dense<0.5> : tensor<4xf32> : tensor<4xf32>
  %r:2 = kiln.while %x, %zero : (tensor<4xf32>, tensor<i32>) -> (tensor<4xf32>, tensor<i32>) {
  ^condition(%a: tensor<4xf32>, %n: tensor<i32>):
    %b = kiln.abs %a : tensor<4xf32>
    %m = kiln.reduce max %b, [0] : tensor<4xf32> -> tensor<f32>
    %c = kiln.compare lt %m, %limit : tensor<f32> -> tensor<i1>
    kiln.yield %c : tensor<i1>
  } do {
  ^body(%a: tensor<4xf32>, %n: tensor<i32>):
    %d = kiln.add %a, %a : tensor<4xf32>
    %e = kiln.add %d, %half : tensor<4xf32>
    %k = kiln.add %n, %one : tensor<i32>
    kiln.yield %e, %k : tensor<4xf32>, tensor<i32>
  }
  return %r#0, %r#1 : tensor<4xf32>, tensor<i32>
}

func.func @custom(%x: tensor<5xf32>) -> tensor<5xf32> {
  %r = kiln.custom %x : (tensor<5xf32>) -> tensor<5xf32> forward {
  ^forward(%a: tensor<5xf32>):
    %b = kiln.round %a : tensor<5xf32>
    kiln.yield %b : tensor<5xf32>
  } backward {
  ^backward(%a: tensor<5xf32>, %g: tensor<5xf32>):
    kiln.yield %g : tensor<5xf32>
  }
  return %r : tensor<5xf32>
}

func.func @outputs_that_are_inputs(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<2x2xf32>) {
  %s = kiln.add %x, %y : tensor<4xf32>
  %r = kiln.reshape %x : tensor<4xf32> -> tensor<2x2xf32>
  return %x, %s, %s, %r : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<2x2xf32>
}
