// Branches, loops over time, and a gradient of the user's own.
func.func @custom_grad(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %r = kiln.custom %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> forward {
  ^forward(%a: tensor<4xf32>, %b: tensor<4xf32>):
    %0 = kiln.mul %a, %b : tensor<4xf32>
    kiln.yield %0 : tensor<4xf32>
  } backward {
  ^backward(%a: tensor<4xf32>, %b: tensor<4xf32>, %g: tensor<4xf32>):
    %0 = kiln.mul %g, %b : tensor<4xf32>
    %1 = kiln.mul %g, %a : tensor<4xf32>
    kiln.yield %0, %1 : tensor<4xf32>, tensor<4xf32>
  }
  return %r : tensor<4xf32>
}
func.func @custom_derived(%x: tensor<4xf32>, %y: tensor<4xf32>, %i: tensor<4xi32> {test.range = [0, 3]}) -> (tensor<4xf32>, tensor<4xf32>) {
  %r:3 = kiln.custom "blend" %x, %i, %y {fields = {slope = 0.5 : f64}} : (tensor<4xf32>, tensor<4xi32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xi32>, tensor<4xf32>) forward {
  ^forward(%a: tensor<4xf32>, %n: tensor<4xi32>, %b: tensor<4xf32>):
    %0 = kiln.tanh %a : tensor<4xf32>
    %1 = kiln.mul %0, %b : tensor<4xf32>
    %2 = kiln.gelu %1 : tensor<4xf32>
    kiln.yield %2, %n, %0 : tensor<4xf32>, tensor<4xi32>, tensor<4xf32>
  }
  return %r#0, %r#2 : tensor<4xf32>, tensor<4xf32>
}
func.func @custom_in_a_loop(%x: tensor<5x4xf32>, %h0: tensor<4xf32>) -> tensor<4xf32> {
  %h = kiln.scan "5" step(%t) carry(%c = %h0 : tensor<4xf32>) over(%xt = %x : tensor<5x4xf32>) -> () {
    %r = kiln.custom "cell" %c, %xt : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> forward {
    ^forward(%a: tensor<4xf32>, %b: tensor<4xf32>):
      %0 = kiln.mul %a, %b : tensor<4xf32>
      %1 = kiln.tanh %0 : tensor<4xf32>
      %2 = kiln.add %1, %b : tensor<4xf32>
      kiln.yield %2 : tensor<4xf32>
    }
    kiln.yield %r : tensor<4xf32>
  }
  return %h : tensor<4xf32>
}
func.func @branch_taken(%x: tensor<4xf32>, %y: tensor<4xf32>, %c: tensor<i1> {test.range = [1, 1]}) -> tensor<4xf32> {
  %r = kiln.if %c : (tensor<i1>) -> tensor<4xf32> {
    %0 = kiln.mul %x, %y : tensor<4xf32>
    kiln.yield %0 : tensor<4xf32>
  } else {
    %0 = kiln.exp %x : tensor<4xf32>
    kiln.yield %0 : tensor<4xf32>
  }
  return %r : tensor<4xf32>
}
func.func @branch_not_taken(%x: tensor<4xf32>, %y: tensor<4xf32>, %c: tensor<i1> {test.range = [0, 0]}) -> (tensor<4xf32>, tensor<4xf32>) {
  %r:2 = kiln.if %c : (tensor<i1>) -> (tensor<4xf32>, tensor<4xf32>) {
    %0 = kiln.mul %x, %y : tensor<4xf32>
    kiln.yield %0, %x : tensor<4xf32>, tensor<4xf32>
  } else {
    %0 = kiln.exp %x : tensor<4xf32>
    kiln.yield %0, %0 : tensor<4xf32>, tensor<4xf32>
  }
  return %r#0, %r#1 : tensor<4xf32>, tensor<4xf32>
}
func.func @rnn(%x: tensor<5x2x3xf32>, %h0: tensor<2x4xf32>, %u: tensor<4x4xf32>, %w: tensor<4x3xf32>, %b: tensor<4xf32>) -> (tensor<5x2x4xf32>, tensor<2x4xf32>) {
  %h, %ys = kiln.scan "5" step(%t) carry(%c = %h0 : tensor<2x4xf32>) over(%xt = %x : tensor<5x2x3xf32>) -> (tensor<5x2x4xf32>) {
    %0 = kiln.dot_general %c, %u batch [] x [] contract [1] x [1] : tensor<2x4xf32>, tensor<4x4xf32> -> tensor<2x4xf32>
    %1 = kiln.dot_general %xt, %w batch [] x [] contract [1] x [1] : tensor<2x3xf32>, tensor<4x3xf32> -> tensor<2x4xf32>
    %2 = kiln.add %0, %1 : tensor<2x4xf32>
    %3 = kiln.broadcast %b, [1] : tensor<4xf32> -> tensor<2x4xf32>
    %4 = kiln.add %2, %3 : tensor<2x4xf32>
    %5 = kiln.tanh %4 : tensor<2x4xf32>
    kiln.yield %5, %5 : tensor<2x4xf32>, tensor<2x4xf32>
  }
  return %ys, %h : tensor<5x2x4xf32>, tensor<2x4xf32>
}
func.func @lstm(%x: tensor<?x2x3xf32, #kiln.dims<"T", "2", "3">>, %h0: tensor<2x4xf32>, %c0: tensor<2x4xf32>, %u: tensor<16x4xf32>, %w: tensor<16x3xf32>, %b: tensor<16xf32>) -> (tensor<?x2x4xf32, #kiln.dims<"T", "2", "4">>, tensor<2x4xf32>) {
  %h, %c, %ys = kiln.scan "T" step(%t) carry(%hp = %h0 : tensor<2x4xf32>, %cp = %c0 : tensor<2x4xf32>) over(%xt = %x : tensor<?x2x3xf32, #kiln.dims<"T", "2", "3">>) -> (tensor<?x2x4xf32, #kiln.dims<"T", "2", "4">>) {
    %0 = kiln.dot_general %hp, %u batch [] x [] contract [1] x [1] : tensor<2x4xf32>, tensor<16x4xf32> -> tensor<2x16xf32>
    %1 = kiln.dot_general %xt, %w batch [] x [] contract [1] x [1] : tensor<2x3xf32>, tensor<16x3xf32> -> tensor<2x16xf32>
    %2 = kiln.add %0, %1 : tensor<2x16xf32>
    %3 = kiln.broadcast %b, [1] : tensor<16xf32> -> tensor<2x16xf32>
    %4 = kiln.add %2, %3 : tensor<2x16xf32>
    %i0 = kiln.slice %4, <"0", "0">, [1, 1] : tensor<2x16xf32> -> tensor<2x4xf32>
    %f0 = kiln.slice %4, <"0", "4">, [1, 1] : tensor<2x16xf32> -> tensor<2x4xf32>
    %g0 = kiln.slice %4, <"0", "8">, [1, 1] : tensor<2x16xf32> -> tensor<2x4xf32>
    %o0 = kiln.slice %4, <"0", "12">, [1, 1] : tensor<2x16xf32> -> tensor<2x4xf32>
    %i = kiln.sigmoid %i0 : tensor<2x4xf32>
    %f = kiln.sigmoid %f0 : tensor<2x4xf32>
    %g = kiln.tanh %g0 : tensor<2x4xf32>
    %o = kiln.sigmoid %o0 : tensor<2x4xf32>
    %5 = kiln.mul %f, %cp : tensor<2x4xf32>
    %6 = kiln.mul %i, %g : tensor<2x4xf32>
    %7 = kiln.add %5, %6 : tensor<2x4xf32>
    %8 = kiln.tanh %7 : tensor<2x4xf32>
    %9 = kiln.mul %o, %8 : tensor<2x4xf32>
    kiln.yield %9, %7, %9 : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>
  }
  return %ys, %c : tensor<?x2x4xf32, #kiln.dims<"T", "2", "4">>, tensor<2x4xf32>
}
func.func @masked_reverse(%x: tensor<5x2x3xf32>, %h0: tensor<2x3xf32>, %n: tensor<2xi32> {test.range = [2, 4]}) -> (tensor<5x2x3xf32>, tensor<2x3xf32>) {
  // Runs downwards; steps beyond a row's length leave its carry alone.
  %h, %ys = kiln.scan "5" reverse step(%t) carry(%c = %h0 : tensor<2x3xf32>) over(%xt = %x : tensor<5x2x3xf32>) -> (tensor<5x2x3xf32>) {
    %0 = kiln.mul %c, %xt : tensor<2x3xf32>
    %1 = kiln.sin %0 : tensor<2x3xf32>
    %2 = kiln.broadcast %t, [] : tensor<i32> -> tensor<2xi32>
    %3 = kiln.compare lt %2, %n : tensor<2xi32> -> tensor<2xi1>
    %4 = kiln.broadcast %3, [0] : tensor<2xi1> -> tensor<2x3xi1>
    %5 = kiln.select %4, %1, %c : tensor<2x3xi1>, tensor<2x3xf32>
    kiln.yield %5, %0 : tensor<2x3xf32>, tensor<2x3xf32>
  }
  return %ys, %h : tensor<5x2x3xf32>, tensor<2x3xf32>
}
func.func @partly_active(%x: tensor<4x3xf32>, %w: tensor<3xf32>, %i0: tensor<i32>) -> (tensor<3xf32>, tensor<4x3xf32>) {
  // An integer carry, a carry that starts constant, a result that nobody differentiates, a carry that is unused.
  %z = kiln.constant dense<0.0> : tensor<3xf32> : tensor<3xf32>
  %n, %s, %d, %ys, %zs = kiln.scan "4" step(%t) carry(%i = %i0 : tensor<i32>, %a = %z : tensor<3xf32>, %b = %z : tensor<3xf32>) over(%xt = %x : tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>) {
    %0 = kiln.add %i, %t : tensor<i32>
    %f = kiln.convert %0 : tensor<i32> -> tensor<f32>
    %fs = kiln.broadcast %f, [] : tensor<f32> -> tensor<3xf32>
    %1 = kiln.mul %xt, %w : tensor<3xf32>
    %2 = kiln.mul %1, %fs : tensor<3xf32>
    %3 = kiln.add %a, %2 : tensor<3xf32>
    %4 = kiln.mul %b, %xt : tensor<3xf32>
    %5 = kiln.exp %3 : tensor<3xf32>
    kiln.yield %0, %3, %4, %1, %5 : tensor<i32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  }
  return %s, %ys : tensor<3xf32>, tensor<4x3xf32>
}
func.func @nested(%x: tensor<3x2xf32>, %h0: tensor<2xf32>, %w: tensor<2xf32>) -> tensor<3x2xf32> {
  %h, %ys = kiln.scan "3" step(%t) carry(%c = %h0 : tensor<2xf32>) over(%xt = %x : tensor<3x2xf32>) -> (tensor<3x2xf32>) {
    %k = kiln.scan "2" step(%s) carry(%d = %c : tensor<2xf32>) over() -> () {
      %0 = kiln.mul %d, %w : tensor<2xf32>
      %1 = kiln.add %0, %xt : tensor<2xf32>
      %2 = kiln.tanh %1 : tensor<2xf32>
      kiln.yield %2 : tensor<2xf32>
    }
    kiln.yield %k, %k : tensor<2xf32>, tensor<2xf32>
  }
  return %ys : tensor<3x2xf32>
}
func.func @branch_in_loop(%x: tensor<4x2xf32>, %h0: tensor<2xf32>, %w: tensor<2xf32>) -> tensor<2xf32> {
  %two = kiln.constant dense<2> : tensor<i32> : tensor<i32>
  %h = kiln.scan "4" step(%t) carry(%c = %h0 : tensor<2xf32>) over(%xt = %x : tensor<4x2xf32>) -> () {
    %p = kiln.compare lt %t, %two : tensor<i32> -> tensor<i1>
    %r = kiln.if %p : (tensor<i1>) -> tensor<2xf32> {
      %0 = kiln.mul %c, %w : tensor<2xf32>
      kiln.yield %0 : tensor<2xf32>
    } else {
      %0 = kiln.sin %xt : tensor<2xf32>
      %1 = kiln.add %c, %0 : tensor<2xf32>
      kiln.yield %1 : tensor<2xf32>
    }
    kiln.yield %r : tensor<2xf32>
  }
  return %h : tensor<2xf32>
}
func.func @decoder(%ids: tensor<3x2xi32> {test.range = [0, 5]}, %e: tensor<6x4xf32>, %memory: tensor<2x5x4xf32>, %h0: tensor<2x4xf32>, %w: tensor<4x8xf32>, %k: tensor<4x4xf32>, %s: tensor<4xf32>, %o: tensor<6x4xf32>) -> tensor<3x2x6xf32> {
  // Additive attention over a captured memory, an embedding inside of the loop, a projection of each output.
  %keys = kiln.dot_general %memory, %k batch [] x [] contract [2] x [1] : tensor<2x5x4xf32>, tensor<4x4xf32> -> tensor<2x5x4xf32>
  %h, %ys = kiln.scan "3" step(%t) carry(%c = %h0 : tensor<2x4xf32>) over(%id = %ids : tensor<3x2xi32>) -> (tensor<3x2x6xf32>) {
    %q = kiln.broadcast %c, [0, 2] : tensor<2x4xf32> -> tensor<2x5x4xf32>
    %0 = kiln.add %q, %keys : tensor<2x5x4xf32>
    %1 = kiln.tanh %0 : tensor<2x5x4xf32>
    %2 = kiln.dot_general %1, %s batch [] x [] contract [2] x [0] : tensor<2x5x4xf32>, tensor<4xf32> -> tensor<2x5xf32>
    %3 = kiln.softmax %2, 1 : tensor<2x5xf32>
    %4 = kiln.dot_general %3, %memory batch [0] x [0] contract [1] x [1] : tensor<2x5xf32>, tensor<2x5x4xf32> -> tensor<2x4xf32>
    %5 = kiln.gather %e, %id, 0 : tensor<6x4xf32>, tensor<2xi32> -> tensor<2x4xf32>
    %6 = kiln.concat 1, %5, %4 : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x8xf32>
    %7 = kiln.dot_general %6, %w batch [] x [] contract [1] x [1] : tensor<2x8xf32>, tensor<4x8xf32> -> tensor<2x4xf32>
    %8 = kiln.add %7, %c : tensor<2x4xf32>
    %9 = kiln.tanh %8 : tensor<2x4xf32>
    %10 = kiln.dot_general %9, %o batch [] x [] contract [1] x [1] : tensor<2x4xf32>, tensor<6x4xf32> -> tensor<2x6xf32>
    kiln.yield %9, %10 : tensor<2x4xf32>, tensor<2x6xf32>
  }
  return %ys : tensor<3x2x6xf32>
}
func.func @loop_dropout(%x: tensor<4x3xf32>, %h0: tensor<3xf32>, %seed: tensor<ui32> {test.range = [1, 9]}) -> tensor<3xf32> {
  %h = kiln.scan "4" step(%t) carry(%c = %h0 : tensor<3xf32>) over(%xt = %x : tensor<4x3xf32>) -> () {
    %0 = kiln.dropout %c, %seed, %t p 0.3 stream 5 : tensor<3xf32>, tensor<ui32>, tensor<i32>
    %1 = kiln.mul %0, %xt : tensor<3xf32>
    %2 = kiln.add %1, %xt : tensor<3xf32>
    kiln.yield %2 : tensor<3xf32>
  }
  return %h : tensor<3xf32>
}
