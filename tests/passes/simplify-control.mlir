// RUN: %kiln-opt --kiln-simplify=end-early -split-input-file %s | FileCheck %s

// Results that nobody reads, and one that is the same on both sides, go, with what computes them.
// CHECK-LABEL: @branch
// CHECK: %[[R:.*]] = kiln.if %arg1 : (tensor<i1>) -> tensor<4xf32> {
// CHECK-NEXT: kiln.exp
// CHECK-NEXT: kiln.yield
// CHECK-NEXT: } else {
// CHECK-NEXT: kiln.yield %arg0
// CHECK-NEXT: }
// CHECK-NEXT: return %[[R]], %arg0
func.func @branch(%x: tensor<4xf32>, %c: tensor<i1>) -> (tensor<4xf32>, tensor<4xf32>) {
  %r:3 = kiln.if %c : (tensor<i1>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
    %a = kiln.exp %x : tensor<4xf32>
    %b = kiln.sin %x : tensor<4xf32>
    kiln.yield %b, %a, %x : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  } else {
    kiln.yield %x, %x, %x : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  }
  return %r#1, %r#2 : tensor<4xf32>, tensor<4xf32>
}

// -----

// A carry that nobody reads, and one that never changes.
// CHECK-LABEL: @loop
// CHECK: %[[R:.*]] = kiln.while %arg0 : (tensor<f32>) -> tensor<f32> {
// CHECK: kiln.compare lt %{{.*}}, %arg1
// CHECK: } do {
// CHECK-NOT: kiln.sin
// CHECK: return %[[R]], %arg1
func.func @loop(%x: tensor<f32>, %limit: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %r:3 = kiln.while %x, %limit, %x : (tensor<f32>, tensor<f32>, tensor<f32>) -> (tensor<f32>, tensor<f32>, tensor<f32>) {
  ^condition(%a: tensor<f32>, %l: tensor<f32>, %u: tensor<f32>):
    %c = kiln.compare lt %a, %l : tensor<f32> -> tensor<i1>
    kiln.yield %c : tensor<i1>
  } do {
  ^body(%a: tensor<f32>, %l: tensor<f32>, %u: tensor<f32>):
    %b = kiln.add %a, %a : tensor<f32>
    %v = kiln.sin %u : tensor<f32>
    kiln.yield %b, %l, %v : tensor<f32>, tensor<f32>, tensor<f32>
  }
  return %r#0, %r#1 : tensor<f32>, tensor<f32>
}

// -----

// A scan whose steps do nothing once the condition does not hold ends there; the step counts on.
// CHECK-LABEL: @bounded
// CHECK-NOT: kiln.scan
// CHECK: kiln.while %{{.*}}, %arg0 : (tensor<i32>, tensor<f32>) -> (tensor<i32>, tensor<f32>) {
// CHECK: kiln.compare lt %{{.*}}, %arg1
// CHECK: kiln.extent
// CHECK: kiln.and
// CHECK: } do {
// CHECK: kiln.convert
// CHECK-NOT: kiln.if
// CHECK: kiln.add
func.func @bounded(%x: tensor<f32>, %limit: tensor<f32>, %n: tensor<?xf32, #kiln.dims<"T">>) -> tensor<f32> {
  %r = kiln.scan "T" step(%t) carry(%a = %x : tensor<f32>) -> () {
    %c = kiln.compare lt %a, %limit : tensor<f32> -> tensor<i1>
    %b = kiln.if %c : (tensor<i1>) -> tensor<f32> {
      %f = kiln.convert %t : tensor<i32> -> tensor<f32>
      %s = kiln.add %a, %f : tensor<f32>
      kiln.yield %s : tensor<f32>
    } else {
      kiln.yield %a : tensor<f32>
    }
    kiln.yield %b : tensor<f32>
  }
  return %r : tensor<f32>
}

// -----

// It stays a scan where the number of the step decides, or the other side does something, or steps are stacked.
// CHECK-LABEL: @stays
// CHECK: kiln.scan "6"
// CHECK: kiln.scan "6"
// CHECK: kiln.scan "6"
// CHECK-NOT: kiln.while
func.func @stays(%x: tensor<f32>, %limit: tensor<f32>, %k: tensor<i32>) -> (tensor<f32>, tensor<f32>, tensor<6xf32>) {
  %r = kiln.scan "6" step(%t) carry(%a = %x : tensor<f32>) -> () {
    %c = kiln.compare lt %t, %k : tensor<i32> -> tensor<i1>
    %b = kiln.if %c : (tensor<i1>) -> tensor<f32> {
      %s = kiln.exp %a : tensor<f32>
      kiln.yield %s : tensor<f32>
    } else {
      kiln.yield %a : tensor<f32>
    }
    kiln.yield %b : tensor<f32>
  }
  %q = kiln.scan "6" step(%t) carry(%a = %x : tensor<f32>) -> () {
    %c = kiln.compare lt %a, %limit : tensor<f32> -> tensor<i1>
    %b = kiln.if %c : (tensor<i1>) -> tensor<f32> {
      %s = kiln.exp %a : tensor<f32>
      kiln.yield %s : tensor<f32>
    } else {
      kiln.yield %x : tensor<f32>
    }
    kiln.yield %b : tensor<f32>
  }
  %p, %all = kiln.scan "6" step(%t) carry(%a = %x : tensor<f32>) -> (tensor<6xf32>) {
    %c = kiln.compare lt %a, %limit : tensor<f32> -> tensor<i1>
    %b = kiln.if %c : (tensor<i1>) -> tensor<f32> {
      %s = kiln.exp %a : tensor<f32>
      kiln.yield %s : tensor<f32>
    } else {
      kiln.yield %a : tensor<f32>
    }
    kiln.yield %b, %b : tensor<f32>, tensor<f32>
  }
  return %r, %q, %all : tensor<f32>, tensor<f32>, tensor<6xf32>
}
