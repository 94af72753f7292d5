// RUN: %kiln-opt --kiln-simplify -split-input-file %s | FileCheck %s

// The product of each step's input comes before the loop, that of each step's output behind it; the product with the
// weights alone leaves too, and the state's product stays.
// CHECK-LABEL: @products
// CHECK: kiln.dot_general %arg2, %arg2
// CHECK: kiln.dot_general %arg0, %{{.*}} : tensor<7x2x3xf32>, tensor<3x3xf32> -> tensor<7x2x3xf32>
// CHECK: kiln.scan "7"
// CHECK: kiln.dot_general
// CHECK-NOT: kiln.dot_general
// CHECK: kiln.yield
// CHECK: }
// CHECK: kiln.dot_general %{{.*}}, %arg3 {{.*}} : tensor<7x2x3xf32>, tensor<5x3xf32> -> tensor<7x2x5xf32>
func.func @products(%x: tensor<7x2x3xf32>, %h0: tensor<2x3xf32>, %w: tensor<3x3xf32>, %o: tensor<5x3xf32>) -> tensor<7x2x5xf32> {
  %h, %ys = kiln.scan "7" step(%t) carry(%c = %h0 : tensor<2x3xf32>) over(%xt = %x : tensor<7x2x3xf32>) -> (tensor<7x2x5xf32>) {
    %0 = kiln.dot_general %w, %w batch [] x [] contract [1] x [1] : tensor<3x3xf32>, tensor<3x3xf32> -> tensor<3x3xf32>
    %1 = kiln.dot_general %xt, %0 batch [] x [] contract [1] x [1] : tensor<2x3xf32>, tensor<3x3xf32> -> tensor<2x3xf32>
    %2 = kiln.dot_general %c, %w batch [] x [] contract [1] x [1] : tensor<2x3xf32>, tensor<3x3xf32> -> tensor<2x3xf32>
    %3 = kiln.add %1, %2 : tensor<2x3xf32>
    %4 = kiln.dot_general %3, %o batch [] x [] contract [1] x [1] : tensor<2x3xf32>, tensor<5x3xf32> -> tensor<2x5xf32>
    kiln.yield %3, %4 : tensor<2x3xf32>, tensor<2x5xf32>
  }
  return %ys : tensor<7x2x5xf32>
}

// -----

// Carries that lead nowhere or never change, outputs that are inputs or the same twice, sequences not read: all go.
// CHECK-LABEL: @unused
// CHECK: %[[R:.*]]:2 = kiln.scan "4" step(%{{.*}}) carry(%[[A:.*]] = %arg1 : tensor<3xf32>) over(%[[X:.*]] = %arg0 : tensor<4x3xf32>) -> (tensor<4x3xf32>) {
// CHECK-NEXT: %[[P:.*]] = kiln.mul %[[A]], %[[X]]
// CHECK-NEXT: %[[Q:.*]] = kiln.add %[[P]], %arg2
// CHECK-NEXT: kiln.yield %[[Q]], %[[Q]]
// CHECK: return %[[R]]#0, %[[R]]#1, %[[R]]#1, %arg0, %arg2
func.func @unused(%x: tensor<4x3xf32>, %a0: tensor<3xf32>, %b0: tensor<3xf32>, %n: tensor<4x2xf32>)
    -> (tensor<3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<3xf32>) {
  %a, %b, %d, %y1, %y2, %y3 = kiln.scan "4" step(%t) carry(%ac = %a0 : tensor<3xf32>, %bc = %b0 : tensor<3xf32>, %dc = %a0 : tensor<3xf32>)
      over(%xt = %x : tensor<4x3xf32>, %nt = %n : tensor<4x2xf32>, %xs = %x : tensor<4x3xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>) {
    %0 = kiln.mul %ac, %xs : tensor<3xf32>
    %1 = kiln.add %0, %bc : tensor<3xf32>
    %2 = kiln.add %dc, %xt : tensor<3xf32>
    kiln.yield %1, %bc, %2, %1, %1, %xt : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  }
  return %a, %y1, %y2, %y3, %b : tensor<3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<4x3xf32>, tensor<3xf32>
}

// -----

// An output is not taken for an equal one that nobody reads and that goes.
// CHECK-LABEL: @twin_unread
// CHECK: %[[R:.*]]:2 = kiln.scan "4" step(%{{.*}}) carry(%[[C:.*]] = %arg1 : tensor<3xf32>)
// CHECK: kiln.yield %{{.*}}, %[[C]] : tensor<3xf32>, tensor<3xf32>
// CHECK: return %[[R]]#1
func.func @twin_unread(%x: tensor<3xf32>, %c0: tensor<3xf32>) -> tensor<4x3xf32> {
  %r:3 = kiln.scan "4" step(%t) carry(%c = %c0 : tensor<3xf32>) -> (tensor<4x3xf32>, tensor<4x3xf32>) {
    %n = kiln.add %c, %x : tensor<3xf32>
    kiln.yield %n, %c, %c : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
  }
  return %r#2 : tensor<4x3xf32>
}

// -----

// A cell written from its equations multiplies the concat of input and state: the input's half comes before the loop,
// whichever place it has, and the state's meets its own rows of the matrix. Parts that are both known before the loop
// are one product there.
// CHECK-LABEL: @cell
// CHECK-DAG: %[[H:.*]] = kiln.slice %arg2, <"0", "0">, [1, 1] : tensor<9x4xf32> -> tensor<3x4xf32>
// CHECK-DAG: %[[X:.*]] = kiln.slice %arg2, <"3", "0">, [1, 1] : tensor<9x4xf32> -> tensor<6x4xf32>
// CHECK: %[[S:.*]] = kiln.concat 2, %arg0, %arg3 : tensor<7x2x5xf32>, tensor<7x2x1xf32> -> tensor<7x2x6xf32>
// CHECK: %[[P:.*]] = kiln.dot_general %[[S]], %[[X]] batch [] x [] contract [2] x [0] {{.*}} -> tensor<7x2x4xf32>
// CHECK: kiln.scan "7" step(%{{.*}}) carry(%[[C:.*]] = %arg1 : tensor<2x3xf32>) over(%[[Q:.*]] = %[[P]] : tensor<7x2x4xf32>)
// CHECK-NEXT: %[[D:.*]] = kiln.dot_general %[[C]], %[[H]] batch [] x [] contract [1] x [0]
// CHECK-NEXT: %[[Z:.*]] = kiln.add %[[D]], %[[Q]] : tensor<2x4xf32>
// CHECK-NEXT: kiln.slice %[[Z]]
func.func @cell(%x: tensor<7x2x5xf32>, %h0: tensor<2x3xf32>, %w: tensor<9x4xf32>, %m: tensor<7x2x1xf32>) -> tensor<2x3xf32> {
  %h = kiln.scan "7" step(%t) carry(%c = %h0 : tensor<2x3xf32>) over(%xt = %x : tensor<7x2x5xf32>, %mt = %m : tensor<7x2x1xf32>) -> () {
    %0 = kiln.concat 1, %c, %xt, %mt : tensor<2x3xf32>, tensor<2x5xf32>, tensor<2x1xf32> -> tensor<2x9xf32>
    %1 = kiln.dot_general %0, %w batch [] x [] contract [1] x [0] : tensor<2x9xf32>, tensor<9x4xf32> -> tensor<2x4xf32>
    %2 = kiln.slice %1, <"0", "1">, [1, 1] : tensor<2x4xf32> -> tensor<2x3xf32>
    kiln.yield %2 : tensor<2x3xf32>
  }
  return %h : tensor<2x3xf32>
}

// -----

// The matrix on the left likewise. A concat of parts that all come before the loop goes as one.
// CHECK-LABEL: @columns
// CHECK-DAG: kiln.dot_general %arg2, %{{.*}} batch [] x [] contract [1] x [1]
// CHECK-DAG: kiln.dot_general %{{.*}}, %arg0 batch [] x [] contract [1] x [1] {{.*}} -> tensor<4x7x2xf32>
// CHECK: kiln.scan "7"
// CHECK-COUNT-1: kiln.dot_general
// CHECK-NOT: kiln.dot_general
// CHECK: return
func.func @columns(%x: tensor<7x5x2xf32>, %h0: tensor<4x2xf32>, %w: tensor<4x10xf32>, %u: tensor<4x9xf32>) -> tensor<4x2xf32> {
  %h = kiln.scan "7" step(%t) carry(%c = %h0 : tensor<4x2xf32>) over(%xt = %x : tensor<7x5x2xf32>) -> () {
    %0 = kiln.concat 0, %xt, %xt : tensor<5x2xf32>, tensor<5x2xf32> -> tensor<10x2xf32>
    %1 = kiln.dot_general %w, %0 batch [] x [] contract [1] x [0] : tensor<4x10xf32>, tensor<10x2xf32> -> tensor<4x2xf32>
    %2 = kiln.concat 0, %xt, %c : tensor<5x2xf32>, tensor<4x2xf32> -> tensor<9x2xf32>
    %3 = kiln.dot_general %u, %2 batch [] x [] contract [1] x [0] : tensor<4x9xf32>, tensor<9x2xf32> -> tensor<4x2xf32>
    %4 = kiln.add %1, %3 : tensor<4x2xf32>
    kiln.yield %4 : tensor<4x2xf32>
  }
  return %h : tensor<4x2xf32>
}

// -----

// A concat with nothing of the loop's sequences stays one product; so does a sum that is rounded to f16.
// CHECK-LABEL: @stays
// CHECK: kiln.scan "7"
// CHECK: kiln.concat
// CHECK-NEXT: kiln.dot_general
// CHECK: kiln.concat
// CHECK: kiln.dot_general
// CHECK-NOT: kiln.dot_general
// CHECK: return
func.func @stays(%x: tensor<7x2x5xf16>, %h0: tensor<2x3xf32>, %w: tensor<6x3xf32>, %u: tensor<8x3xf16>) -> tensor<2x3xf32> {
  %h = kiln.scan "7" step(%t) carry(%c = %h0 : tensor<2x3xf32>) over(%xt = %x : tensor<7x2x5xf16>) -> () {
    %0 = kiln.neg %c : tensor<2x3xf32>
    %1 = kiln.concat 1, %c, %0 : tensor<2x3xf32>, tensor<2x3xf32> -> tensor<2x6xf32>
    %2 = kiln.dot_general %1, %w batch [] x [] contract [1] x [0] : tensor<2x6xf32>, tensor<6x3xf32> -> tensor<2x3xf32>
    %3 = kiln.convert %2 : tensor<2x3xf32> -> tensor<2x3xf16>
    %4 = kiln.concat 1, %xt, %3 : tensor<2x5xf16>, tensor<2x3xf16> -> tensor<2x8xf16>
    %5 = kiln.dot_general %4, %u batch [] x [] contract [1] x [0] : tensor<2x8xf16>, tensor<8x3xf16> -> tensor<2x3xf16>
    %6 = kiln.convert %5 : tensor<2x3xf16> -> tensor<2x3xf32>
    kiln.yield %6 : tensor<2x3xf32>
  }
  return %h : tensor<2x3xf32>
}

// -----

// Nor is a matrix of numbers in blocks cut, whole numbers or codes: products read it as it lies.
// CHECK-LABEL: @blocks
// CHECK-NOT: kiln.dot_general
// CHECK: kiln.scan "7"
// CHECK: kiln.concat
// CHECK-COUNT-2: kiln.dot_general
// CHECK-NOT: kiln.dot_general
// CHECK: return
func.func @blocks(%x: tensor<7x2x29xf32>, %h0: tensor<2x3xf32>, %q: tensor<3x1x32xi8>, %k: tensor<3x1x32xui8>, %s: tensor<3x1xf32>) -> tensor<2x3xf32> {
  %w = kiln.dequantize %q, %s : tensor<3x1x32xi8>, tensor<3x1xf32> -> tensor<3x32xf32>
  %u = kiln.decode "e4m3" %k, %s : tensor<3x1x32xui8>, tensor<3x1xf32> -> tensor<3x32xf32>
  %h = kiln.scan "7" step(%t) carry(%c = %h0 : tensor<2x3xf32>) over(%xt = %x : tensor<7x2x29xf32>) -> () {
    %0 = kiln.concat 1, %c, %xt : tensor<2x3xf32>, tensor<2x29xf32> -> tensor<2x32xf32>
    %1 = kiln.dot_general %0, %w batch [] x [] contract [1] x [1] : tensor<2x32xf32>, tensor<3x32xf32> -> tensor<2x3xf32>
    %2 = kiln.dot_general %0, %u batch [] x [] contract [1] x [1] : tensor<2x32xf32>, tensor<3x32xf32> -> tensor<2x3xf32>
    %3 = kiln.add %1, %2 : tensor<2x3xf32>
    kiln.yield %3 : tensor<2x3xf32>
  }
  return %h : tensor<2x3xf32>
}
