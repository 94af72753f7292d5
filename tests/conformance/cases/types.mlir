// Element types, randomness and index mistakes' neighbours.

func.func @bf16(%x: tensor<7x40xbf16>, %y: tensor<7x40xbf16>) -> (tensor<7x40xbf16>, tensor<7xbf16>, tensor<7x40xf32>) {
  %s = kiln.add %x, %y : tensor<7x40xbf16>
  %m = kiln.reduce max %x, [1] : tensor<7x40xbf16> -> tensor<7xbf16>
  %f = kiln.convert %x : tensor<7x40xbf16> -> tensor<7x40xf32>
  return %s, %m, %f : tensor<7x40xbf16>, tensor<7xbf16>, tensor<7x40xf32>
}

func.func @bf16_product(%x: tensor<9x33xf32>, %w: tensor<33x20xf32>) -> tensor<9x20xf32> {
  %a = kiln.convert %x : tensor<9x33xf32> -> tensor<9x33xbf16>
  %b = kiln.convert %w : tensor<33x20xf32> -> tensor<33x20xbf16>
  %r = kiln.dot_general %a, %b batch [] x [] contract [1] x [0] : tensor<9x33xbf16>, tensor<33x20xbf16> -> tensor<9x20xf32>
  return %r : tensor<9x20xf32>
}

// (A kernel may keep a narrow value wide inside, so that no result here is a widened sum or product.)
func.func @f16(%x: tensor<5x17xf16>) -> (tensor<5x17xf16>, tensor<5x17xf32>) {
  %s = kiln.mul %x, %x : tensor<5x17xf16>
  %f = kiln.convert %x : tensor<5x17xf16> -> tensor<5x17xf32>
  return %s, %f : tensor<5x17xf16>, tensor<5x17xf32>
}

func.func @integers(%a: tensor<19xi8> {kiln.test_below = 127 : i64}, %b: tensor<19xui8> {kiln.test_below = 255 : i64}, %c: tensor<19xi64> {kiln.test_below = 1000000000000 : i64}, %d: tensor<19xui32> {kiln.test_below = 4294967295 : i64})
    -> (tensor<19xi8>, tensor<19xui8>, tensor<19xi64>, tensor<19xui32>, tensor<19xi32>, tensor<19xf32>) {
  %r0 = kiln.mul %a, %a : tensor<19xi8>
  %r1 = kiln.add %b, %b : tensor<19xui8>
  %r2 = kiln.mul %c, %c : tensor<19xi64>
  %r3 = kiln.mul %d, %d : tensor<19xui32>
  %r4 = kiln.convert %c : tensor<19xi64> -> tensor<19xi32>
  %r5 = kiln.convert %d : tensor<19xui32> -> tensor<19xf32>
  return %r0, %r1, %r2, %r3, %r4, %r5 : tensor<19xi8>, tensor<19xui8>, tensor<19xi64>, tensor<19xui32>, tensor<19xi32>, tensor<19xf32>
}

func.func @float_to_integer(%x: tensor<21xf32>) -> (tensor<21xi8>, tensor<21xui8>, tensor<21xi32>, tensor<21xi64>, tensor<21xi1>) {
  %k = kiln.constant dense<200.0> : tensor<21xf32> : tensor<21xf32>
  %y = kiln.mul %x, %k : tensor<21xf32>
  %a = kiln.convert %y : tensor<21xf32> -> tensor<21xi8>
  %b = kiln.convert %y : tensor<21xf32> -> tensor<21xui8>
  %c = kiln.convert %y : tensor<21xf32> -> tensor<21xi32>
  %d = kiln.convert %y : tensor<21xf32> -> tensor<21xi64>
  %e = kiln.convert %y : tensor<21xf32> -> tensor<21xi1>
  return %a, %b, %c, %d, %e : tensor<21xi8>, tensor<21xui8>, tensor<21xi32>, tensor<21xi64>, tensor<21xi1>
}

func.func @bits(%a: tensor<9xi32> {kiln.test_below = 1000 : i64}, %b: tensor<9xi32> {kiln.test_below = 40 : i64}) -> (tensor<9xi32>, tensor<9xi32>, tensor<9xi32>, tensor<9xi32>, tensor<9xi32>) {
  %r0 = kiln.shl %a, %b : tensor<9xi32>
  %n = kiln.neg %a : tensor<9xi32>
  %r1 = kiln.shr %n, %b : tensor<9xi32>
  %r2 = kiln.and %a, %b : tensor<9xi32>
  %r3 = kiln.xor %a, %b : tensor<9xi32>
  %r4 = kiln.not %a : tensor<9xi32>
  return %r0, %r1, %r2, %r3, %r4 : tensor<9xi32>, tensor<9xi32>, tensor<9xi32>, tensor<9xi32>, tensor<9xi32>
}

func.func @bools(%x: tensor<13xf32>, %y: tensor<13xf32>) -> (tensor<13xi1>, tensor<13xi1>, tensor<i1>, tensor<i1>, tensor<13xi1>) {
  %a = kiln.compare lt %x, %y : tensor<13xf32> -> tensor<13xi1>
  %b = kiln.not %a : tensor<13xi1>
  %c = kiln.or %a, %b : tensor<13xi1>
  %d = kiln.reduce all %c, [0] : tensor<13xi1> -> tensor<i1>
  %e = kiln.reduce any %b, [0] : tensor<13xi1> -> tensor<i1>
  %f = kiln.add %a, %b : tensor<13xi1>
  return %a, %b, %d, %e, %f : tensor<13xi1>, tensor<13xi1>, tensor<i1>, tensor<i1>, tensor<13xi1>
}

func.func @integer_sums(%a: tensor<5x7xi32> {kiln.test_below = 100 : i64}, %b: tensor<5x7xi8> {kiln.test_below = 100 : i64}) -> (tensor<5xi32>, tensor<7xi32>, tensor<5xi8>, tensor<5xi32>) {
  %r = kiln.reduce sum %a, [1] : tensor<5x7xi32> -> tensor<5xi32>
  %c = kiln.reduce max %a, [0] : tensor<5x7xi32> -> tensor<7xi32>
  %s = kiln.reduce sum %b, [1] : tensor<5x7xi8> -> tensor<5xi8>
  %m = kiln.arg_reduce min %a, 1 : tensor<5x7xi32> -> tensor<5xi32>
  return %r, %c, %s, %m : tensor<5xi32>, tensor<7xi32>, tensor<5xi8>, tensor<5xi32>
}

func.func @random(%s: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<3x7xui32>, tensor<50xf32>, tensor<101xf32>) {
  %a = kiln.random_bits 9, %s, %step : tensor<ui32>, tensor<i32> -> tensor<3x7xui32>
  %b = kiln.random_uniform 10, %s : tensor<ui32> -> tensor<50xf32>
  %c = kiln.random_normal 11, %s, %step : tensor<ui32>, tensor<i32> -> tensor<101xf32>
  return %a, %b, %c : tensor<3x7xui32>, tensor<50xf32>, tensor<101xf32>
}

func.func @dropout(%x: tensor<?x40xf32, #kiln.dims<"B", "40">>, %s: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> tensor<?x40xf32, #kiln.dims<"B", "40">>
    attributes {kiln.bounds = {B = 6 : i64}} {
  %r = kiln.dropout %x, %s, %step p 0.3 stream 1048577 : tensor<?x40xf32, #kiln.dims<"B", "40">>, tensor<ui32>, tensor<i32>
  return %r : tensor<?x40xf32, #kiln.dims<"B", "40">>
}

func.func @draws_in_a_loop(%s: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> tensor<4x6xui32> {
  %r = kiln.scan "4" step(%t) -> (tensor<4x6xui32>) {
    %b = kiln.random_bits 5, %s, %step, %t : tensor<ui32>, tensor<i32>, tensor<i32> -> tensor<6xui32>
    kiln.yield %b : tensor<6xui32>
  }
  return %r : tensor<4x6xui32>
}

func.func @dynamic_update(%x: tensor<2x8x3xf32>, %u: tensor<2x1x3xf32>, %i: tensor<i32> {kiln.test_below = 8 : i64}) -> (tensor<2x8x3xf32>, tensor<2x2x3xf32>) {
  %zero = kiln.constant dense<0> : tensor<i32> : tensor<i32>
  %r = kiln.dynamic_update_slice %x, %u[%zero, %i, %zero] : (tensor<2x8x3xf32>, tensor<2x1x3xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<2x8x3xf32>
  %s = kiln.dynamic_slice %x[%zero, %i, %zero] : (tensor<2x8x3xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<2x2x3xf32>
  return %r, %s : tensor<2x8x3xf32>, tensor<2x2x3xf32>
}
