// RUN: %kiln-opt --kiln-simplify -split-input-file %s | FileCheck %s

// A transpose is taken into the product by numbering its axes; the result's by exchanging the operands.
// CHECK-LABEL: @products
// CHECK-NEXT: %[[R:.*]] = kiln.dot_general %arg1, %arg0 batch [] x [] contract [1] x [0] : tensor<2x5xf32>, tensor<5x3xf32> -> tensor<2x3xf32>
// CHECK-NEXT: return %[[R]]
func.func @products(%x: tensor<5x3xf32>, %y: tensor<2x5xf32>) -> tensor<2x3xf32> {
  %0 = kiln.transpose %x, [1, 0] : tensor<5x3xf32> -> tensor<3x5xf32>
  %1 = kiln.transpose %y, [1, 0] : tensor<2x5xf32> -> tensor<5x2xf32>
  %2 = kiln.dot_general %0, %1 batch [] x [] contract [1] x [0] : tensor<3x5xf32>, tensor<5x2xf32> -> tensor<3x2xf32>
  %3 = kiln.transpose %2, [1, 0] : tensor<3x2xf32> -> tensor<2x3xf32>
  return %3 : tensor<2x3xf32>
}

// -----

// Elementwise ops of broadcasts are computed in the small shape.
// CHECK-LABEL: @late_broadcast
// CHECK-NEXT: %[[C:.*]] = kiln.constant dense<2.000000e+00> : tensor<4xf32>
// CHECK-NEXT: %[[S:.*]] = kiln.broadcast %arg1, [] : tensor<f32> -> tensor<4xf32>
// CHECK-NEXT: %[[A:.*]] = kiln.add %arg0, %[[S]] : tensor<4xf32>
// CHECK-NEXT: %[[E:.*]] = kiln.exp %[[A]] : tensor<4xf32>
// CHECK-NEXT: %[[M:.*]] = kiln.mul %[[E]], %[[C]] : tensor<4xf32>
// CHECK-NEXT: kiln.broadcast %[[M]], [1] : tensor<4xf32> -> tensor<3x4xf32>
func.func @late_broadcast(%x: tensor<4xf32>, %s: tensor<f32>) -> tensor<3x4xf32> {
  %0 = kiln.broadcast %x, [1] : tensor<4xf32> -> tensor<3x4xf32>
  %1 = kiln.broadcast %s, [] : tensor<f32> -> tensor<3x4xf32>
  %2 = kiln.add %0, %1 : tensor<3x4xf32>
  %3 = kiln.exp %2 : tensor<3x4xf32>
  %c = kiln.constant dense<2.0> : tensor<3x4xf32> : tensor<3x4xf32>
  %4 = kiln.mul %3, %c : tensor<3x4xf32>
  return %4 : tensor<3x4xf32>
}

// -----

// A sum over repeated elements is a multiple.
// CHECK-LABEL: @sum_of_broadcast
// CHECK: %[[C:.*]] = kiln.constant dense<1.500000e+01> : tensor<4xf32>
// CHECK-NEXT: kiln.mul %arg0, %[[C]] : tensor<4xf32>
// CHECK-NOT: kiln.reduce
func.func @sum_of_broadcast(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = kiln.broadcast %x, [1] : tensor<4xf32> -> tensor<3x4x5xf32>
  %1 = kiln.reduce sum %0, [0, 2] : tensor<3x4x5xf32> -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// Padded gradients of slices that do not overlap are joined; an embedding's scatter takes the other gradient in.
// CHECK-LABEL: @joined
// CHECK-NEXT: %[[R:.*]] = kiln.concat 0, %arg0, %arg1, %arg2
// CHECK-NEXT: return %[[R]]
func.func @joined(%a: tensor<2xf32>, %b: tensor<3xf32>, %c: tensor<1xf32>) -> tensor<6xf32> {
  %z = kiln.constant dense<0.0> : tensor<f32> : tensor<f32>
  %0 = kiln.pad %a, %z, <"0">, <"4">, [0] : tensor<2xf32>, tensor<f32> -> tensor<6xf32>
  %1 = kiln.pad %c, %z, <"5">, <"0">, [0] : tensor<1xf32>, tensor<f32> -> tensor<6xf32>
  %2 = kiln.pad %b, %z, <"2">, <"1">, [0] : tensor<3xf32>, tensor<f32> -> tensor<6xf32>
  %3 = kiln.add %0, %1 : tensor<6xf32>
  %4 = kiln.add %3, %2 : tensor<6xf32>
  return %4 : tensor<6xf32>
}

// CHECK-LABEL: @scattered
// CHECK-NEXT: kiln.scatter add %arg0, %arg1, %arg2, 0
// CHECK-NEXT: return
func.func @scattered(%x: tensor<5x3xf32>, %i: tensor<2xi32>, %u: tensor<2x3xf32>) -> tensor<5x3xf32> {
  %z = kiln.constant dense<0.0> : tensor<5x3xf32> : tensor<5x3xf32>
  %0 = kiln.scatter add %z, %i, %u, 0 : tensor<5x3xf32>, tensor<2xi32>, tensor<2x3xf32>
  %1 = kiln.add %x, %0 : tensor<5x3xf32>
  return %1 : tensor<5x3xf32>
}

// -----

// What must stay: x * 0 (x may be infinite), a conversion that rounds, overlapping pads.
// CHECK-LABEL: @kept
// CHECK: kiln.mul %arg0
// CHECK: kiln.convert %{{.*}} : tensor<6xf32> -> tensor<6xbf16>
// CHECK: kiln.convert %{{.*}} : tensor<6xbf16> -> tensor<6xf32>
// CHECK-COUNT-2: kiln.pad
func.func @kept(%x: tensor<6xf32>, %a: tensor<4xf32>) -> (tensor<6xf32>, tensor<6xf32>) {
  %z = kiln.constant dense<0.0> : tensor<f32> : tensor<f32>
  %c = kiln.constant dense<0.0> : tensor<6xf32> : tensor<6xf32>
  %0 = kiln.mul %x, %c : tensor<6xf32>
  %1 = kiln.convert %0 : tensor<6xf32> -> tensor<6xbf16>
  %2 = kiln.convert %1 : tensor<6xbf16> -> tensor<6xf32>
  %3 = kiln.pad %a, %z, <"0">, <"2">, [0] : tensor<4xf32>, tensor<f32> -> tensor<6xf32>
  %4 = kiln.pad %a, %z, <"1">, <"1">, [0] : tensor<4xf32>, tensor<f32> -> tensor<6xf32>
  %5 = kiln.add %3, %4 : tensor<6xf32>
  return %2, %5 : tensor<6xf32>, tensor<6xf32>
}

// -----

// The transpose of a large result becomes that of the indices it was made from.
// CHECK-LABEL: @time_first
// CHECK-NEXT: %[[I:.*]] = kiln.transpose %arg1, [1, 0] : tensor<2x7xi32> -> tensor<7x2xi32>
// CHECK-NEXT: %[[G:.*]] = kiln.gather %arg0, %[[I]], 0
// CHECK-NEXT: %[[D:.*]] = kiln.dot_general %[[G]], %arg2 {{.*}} -> tensor<7x2x16xf32>
// CHECK-NEXT: %[[B:.*]] = kiln.broadcast %arg3, [2] : tensor<16xf32> -> tensor<7x2x16xf32>
// CHECK-NEXT: %[[R:.*]] = kiln.add %[[D]], %[[B]]
// CHECK-NEXT: return %[[R]]
func.func @time_first(%e: tensor<9x4xf32>, %i: tensor<2x7xi32>, %w: tensor<16x4xf32>, %b: tensor<16xf32>) -> tensor<7x2x16xf32> {
  %0 = kiln.gather %e, %i, 0 : tensor<9x4xf32>, tensor<2x7xi32> -> tensor<2x7x4xf32>
  %1 = kiln.dot_general %0, %w batch [] x [] contract [2] x [1] : tensor<2x7x4xf32>, tensor<16x4xf32> -> tensor<2x7x16xf32>
  %2 = kiln.broadcast %b, [2] : tensor<16xf32> -> tensor<2x7x16xf32>
  %3 = kiln.add %1, %2 : tensor<2x7x16xf32>
  %4 = kiln.transpose %3, [1, 0, 2] : tensor<2x7x16xf32> -> tensor<7x2x16xf32>
  return %4 : tensor<7x2x16xf32>
}

// -----

// Twelve rows are chosen from a table of three: the table is multiplied, not the rows. From a table of nine the rows are.
// CHECK-LABEL: @table
// CHECK-NEXT: %[[T:.*]] = kiln.dot_general %arg0, %arg2 batch [] x [] contract [1] x [1] : tensor<3x4xf32>, tensor<5x4xf32> -> tensor<3x5xf32>
// CHECK-NEXT: kiln.gather %[[T]], %arg1, 0 : tensor<3x5xf32>, tensor<2x6xi32> -> tensor<2x6x5xf32>
func.func @table(%e: tensor<3x4xf32>, %i: tensor<2x6xi32>, %w: tensor<5x4xf32>) -> tensor<2x6x5xf32> {
  %0 = kiln.gather %e, %i, 0 : tensor<3x4xf32>, tensor<2x6xi32> -> tensor<2x6x4xf32>
  %1 = kiln.dot_general %0, %w batch [] x [] contract [2] x [1] : tensor<2x6x4xf32>, tensor<5x4xf32> -> tensor<2x6x5xf32>
  return %1 : tensor<2x6x5xf32>
}

// Two products of the same rows, and nobody else reads them; where somebody does, they are read once as they are.
// CHECK-LABEL: @table_of_two
// CHECK-COUNT-2: kiln.gather {{.*}} : tensor<3x5xf32>, tensor<2x6xi32> -> tensor<2x6x5xf32>
// CHECK-NOT: kiln.dot_general
// CHECK-LABEL: @table_that_is_read
// CHECK-NEXT: %[[ROWS:.*]] = kiln.gather %arg0, %arg1, 0
// CHECK-NEXT: kiln.dot_general %[[ROWS]]
func.func @table_of_two(%e: tensor<3x4xf32>, %i: tensor<2x6xi32>, %w: tensor<5x4xf32>, %v: tensor<4x5xf32>) -> (tensor<2x6x5xf32>, tensor<2x6x5xf32>) {
  %0 = kiln.gather %e, %i, 0 : tensor<3x4xf32>, tensor<2x6xi32> -> tensor<2x6x4xf32>
  %1 = kiln.dot_general %0, %w batch [] x [] contract [2] x [1] : tensor<2x6x4xf32>, tensor<5x4xf32> -> tensor<2x6x5xf32>
  %2 = kiln.dot_general %0, %v batch [] x [] contract [2] x [0] : tensor<2x6x4xf32>, tensor<4x5xf32> -> tensor<2x6x5xf32>
  return %1, %2 : tensor<2x6x5xf32>, tensor<2x6x5xf32>
}
func.func @table_that_is_read(%e: tensor<3x4xf32>, %i: tensor<2x6xi32>, %w: tensor<5x4xf32>) -> (tensor<2x6x5xf32>, tensor<2x6x4xf32>) {
  %0 = kiln.gather %e, %i, 0 : tensor<3x4xf32>, tensor<2x6xi32> -> tensor<2x6x4xf32>
  %1 = kiln.dot_general %0, %w batch [] x [] contract [2] x [1] : tensor<2x6x4xf32>, tensor<5x4xf32> -> tensor<2x6x5xf32>
  return %1, %0 : tensor<2x6x5xf32>, tensor<2x6x4xf32>
}

// CHECK-LABEL: @large_table
// CHECK-NEXT: kiln.gather %arg0, %arg1, 0
// CHECK-NEXT: kiln.dot_general
func.func @large_table(%e: tensor<9x4xf32>, %i: tensor<2x6xi32>, %w: tensor<5x4xf32>) -> tensor<2x6x5xf32> {
  %0 = kiln.gather %e, %i, 0 : tensor<9x4xf32>, tensor<2x6xi32> -> tensor<2x6x4xf32>
  %1 = kiln.dot_general %0, %w batch [] x [] contract [2] x [1] : tensor<2x6x4xf32>, tensor<5x4xf32> -> tensor<2x6x5xf32>
  return %1 : tensor<2x6x5xf32>
}

// -----

// What is the same along all rows leaves the sum over them; so two sums are one.
// CHECK-LABEL: @scaled_sums
// CHECK: %[[P:.*]] = kiln.mul %arg0, %arg1 : tensor<4x8xf32>
// CHECK: %[[R:.*]] = kiln.reduce sum %[[P]], [0]
// CHECK-NOT: kiln.reduce
// CHECK: kiln.mul %[[R]], %arg2 : tensor<8xf32>
func.func @scaled_sums(%g: tensor<4x8xf32>, %x: tensor<4x8xf32>, %s: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %0 = kiln.broadcast %s, [1] : tensor<8xf32> -> tensor<4x8xf32>
  %1 = kiln.mul %g, %0 : tensor<4x8xf32>
  %2 = kiln.mul %1, %x : tensor<4x8xf32>
  %3 = kiln.reduce sum %2, [0] : tensor<4x8xf32> -> tensor<8xf32>
  %4 = kiln.mul %g, %x : tensor<4x8xf32>
  %5 = kiln.reduce sum %4, [0] : tensor<4x8xf32> -> tensor<8xf32>
  return %3, %5 : tensor<8xf32>, tensor<8xf32>
}

// A factor of each row does not leave a sum over rows.
// CHECK-LABEL: @row_factors
// CHECK: kiln.broadcast
// CHECK: kiln.mul
// CHECK: kiln.reduce
// CHECK-NEXT: return
func.func @row_factors(%g: tensor<4x8xf32>, %s: tensor<4xf32>) -> tensor<8xf32> {
  %0 = kiln.broadcast %s, [0] : tensor<4xf32> -> tensor<4x8xf32>
  %1 = kiln.mul %g, %0 : tensor<4x8xf32>
  %2 = kiln.reduce sum %1, [0] : tensor<4x8xf32> -> tensor<8xf32>
  return %2 : tensor<8xf32>
}

// -----

// x + -0 and x - 0 are x; 0 + x is not where x is -0, nor is 0 - x a negation, nor -(x - y) a difference.
// CHECK-LABEL: @zeros
// CHECK-NOT: kiln.add %arg0, %{{.*}}
// CHECK: %[[Z:.*]] = kiln.constant dense<0.000000e+00>
// CHECK-DAG: %[[A:.*]] = kiln.add %{{.*}}%[[Z]]
// CHECK-DAG: %[[S:.*]] = kiln.sub %[[Z]], %arg0
// CHECK-DAG: %[[D:.*]] = kiln.sub %arg0, %arg1
// CHECK-DAG: %[[N:.*]] = kiln.neg %[[D]]
// CHECK: return %arg0, %arg0, %[[A]], %[[S]], %[[N]]
func.func @zeros(%x: tensor<6xf32>, %y: tensor<6xf32>) -> (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) {
  %z = kiln.constant dense<0.0> : tensor<6xf32> : tensor<6xf32>
  %m = kiln.constant dense<-0.0> : tensor<6xf32> : tensor<6xf32>
  %0 = kiln.add %m, %x : tensor<6xf32>
  %1 = kiln.sub %x, %z : tensor<6xf32>
  %2 = kiln.add %z, %x : tensor<6xf32>
  %3 = kiln.sub %z, %x : tensor<6xf32>
  %4 = kiln.sub %x, %y : tensor<6xf32>
  %5 = kiln.neg %4 : tensor<6xf32>
  return %0, %1, %2, %3, %5 : tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>
}

// -----

// Two factors are one where no x overflows with one form alone.
// CHECK-LABEL: @factors
// CHECK-DAG: %[[SMALL:.*]] = kiln.constant dense<3.750000e-01>
// CHECK-DAG: %[[LARGE:.*]] = kiln.constant dense<6.000000e+00>
// CHECK-DAG: %[[A:.*]] = kiln.mul %arg0, %[[LARGE]]
// CHECK-DAG: %[[B:.*]] = kiln.mul %arg0, %[[SMALL]]
// CHECK: return %[[A]], %[[B]]
func.func @factors(%x: tensor<6xf32>) -> (tensor<6xf32>, tensor<6xf32>) {
  %half = kiln.constant dense<0.5> : tensor<6xf32> : tensor<6xf32>
  %most = kiln.constant dense<1.5> : tensor<6xf32> : tensor<6xf32>
  %less = kiln.constant dense<0.75> : tensor<6xf32> : tensor<6xf32>
  %four = kiln.constant dense<4.0> : tensor<6xf32> : tensor<6xf32>
  %0 = kiln.mul %x, %four : tensor<6xf32>
  %1 = kiln.mul %0, %most : tensor<6xf32>
  %2 = kiln.mul %x, %less : tensor<6xf32>
  %3 = kiln.mul %2, %half : tensor<6xf32>
  return %1, %3 : tensor<6xf32>, tensor<6xf32>
}

// 2^100 * 1.5 * 2^100 is no f32; 2^100 * 2^-100 is 1, but x * 2^100 may be infinite; so may x * 1.5, before * 2^100.
// CHECK-LABEL: @factors_apart
// CHECK-COUNT-5: kiln.mul
// CHECK: return
func.func @factors_apart(%x: tensor<6xf32>) -> (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) {
  %up = kiln.constant dense<0x71800000> : tensor<6xf32> : tensor<6xf32>
  %more = kiln.constant dense<0x71C00000> : tensor<6xf32> : tensor<6xf32>
  %down = kiln.constant dense<0x0D800000> : tensor<6xf32> : tensor<6xf32>
  %most = kiln.constant dense<1.5> : tensor<6xf32> : tensor<6xf32>
  %0 = kiln.mul %x, %up : tensor<6xf32>
  %1 = kiln.mul %0, %more : tensor<6xf32>
  %2 = kiln.mul %x, %up : tensor<6xf32>
  %3 = kiln.mul %2, %down : tensor<6xf32>
  %4 = kiln.mul %x, %most : tensor<6xf32>
  %5 = kiln.mul %4, %up : tensor<6xf32>
  %6 = kiln.exp %3 : tensor<6xf32>
  return %1, %6, %5 : tensor<6xf32>, tensor<6xf32>, tensor<6xf32>
}

// A division by a power of two is a product where the type holds its reciprocal: f16 has no 2^17.
// CHECK-LABEL: @divisors
// CHECK-DAG: kiln.mul %arg0
// CHECK-DAG: kiln.div %arg1
func.func @divisors(%x: tensor<6xf32>, %y: tensor<6xf16>) -> (tensor<6xf32>, tensor<6xf16>) {
  %c = kiln.constant dense<0.25> : tensor<6xf32> : tensor<6xf32>
  %d = kiln.constant dense<7.62939453125e-06> : tensor<6xf16> : tensor<6xf16>
  %0 = kiln.div %x, %c : tensor<6xf32>
  %1 = kiln.div %y, %d : tensor<6xf16>
  return %0, %1 : tensor<6xf32>, tensor<6xf16>
}

// pow(x, 0.5) is sqrt(x) but at -inf and -0.
// CHECK-LABEL: @root
// CHECK-DAG: %[[SUM:.*]] = kiln.add %arg0
// CHECK-DAG: %[[ROOT:.*]] = kiln.sqrt %[[SUM]]
// CHECK-DAG: %[[LOWEST:.*]] = kiln.compare eq %arg0
// CHECK: kiln.select %[[LOWEST]], %{{.*}}, %[[ROOT]]
func.func @root(%x: tensor<6xf32>) -> tensor<6xf32> {
  %h = kiln.constant dense<0.5> : tensor<6xf32> : tensor<6xf32>
  %0 = kiln.pow %x, %h : tensor<6xf32>
  return %0 : tensor<6xf32>
}

// -----

// Axes of extent 1 that are repeated are dropped: `keepdim` and its absence are one form. A batch of one stays what it
// is, so that rows of both read each other.
// CHECK-LABEL: @units
// CHECK: %[[S:.*]] = kiln.reduce sum %arg0
// CHECK-NOT: kiln.reshape
// CHECK: kiln.broadcast %[[S]], [0, 1] : tensor<1x6xf32> -> tensor<1x6x4xf32>
// CHECK-NOT: kiln.reshape
// CHECK: return
func.func @units(%x: tensor<1x6x4xf32>) -> (tensor<1x6x4xf32>, tensor<1x6x4xf32>) {
  %0 = kiln.reduce sum %x, [2] : tensor<1x6x4xf32> -> tensor<1x6xf32>
  %1 = kiln.reshape %0 : tensor<1x6xf32> -> tensor<1x6x1xf32>
  %2 = kiln.broadcast %1, [0, 1, 2] : tensor<1x6x1xf32> -> tensor<1x6x4xf32>
  %3 = kiln.broadcast %0, [0, 1] : tensor<1x6xf32> -> tensor<1x6x4xf32>
  %4 = kiln.sub %x, %2 : tensor<1x6x4xf32>
  %5 = kiln.mul %4, %3 : tensor<1x6x4xf32>
  return %4, %5 : tensor<1x6x4xf32>, tensor<1x6x4xf32>
}
