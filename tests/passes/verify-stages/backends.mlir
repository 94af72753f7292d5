// What claim, place and plan promise, of entries alone: loss.train is none.
// RUN: not %kiln-opt --kiln-verify-stage=stage=claim %s 2>&1 | FileCheck %s --check-prefix=CLAIM
// RUN: not %kiln-opt --kiln-verify-stage="stage=place entries=loop" %s 2>&1 | FileCheck %s --check-prefix=PLACE
// RUN: not %kiln-opt --kiln-verify-stage="stage=plan entries=planned" %s 2>&1 | FileCheck %s --check-prefix=PLAN
// RUN: not %kiln-opt --kiln-verify-stage="stage=plan entries=loop" %s 2>&1 | FileCheck %s --check-prefix=ARENA
// RUN: %kiln-opt --kiln-verify-stage="stage=claim entries=loop" %s
// RUN: %kiln-opt --kiln-claim --kiln-place --kiln-verify-stage=stage=place %s

func.func @loss.train(%x: tensor<16xf32>) -> tensor<16xf32> {
  %g = kiln.group elementwise %x : (tensor<16xf32>) -> tensor<16xf32> {
  ^body(%a: tensor<16xf32>):
    %0 = kiln.exp %a : tensor<16xf32>
    kiln.yield %0 : tensor<16xf32>
  }
  return %g : tensor<16xf32>
}

// CLAIM: backends.mlir:[[#@LINE+7]]{{.*}} error: this group is nobody's
// PLAN: error: this launch has 1 places, and reads and writes 2
func.func @planned(%x: tensor<16xf32>) -> tensor<16xf32> attributes {kiln.arena = 0 : i64, kiln.lower_bound = 0 : i64} {
  %g = kiln.group elementwise %x {kiln.places = ["arg0"], kiln.target = 0 : i64} : (tensor<16xf32>) -> tensor<16xf32> {
  ^body(%a: tensor<16xf32>):
    kiln.yield %a : tensor<16xf32>
  }
  %h = kiln.group elementwise %g {kiln.places = ["arg0", "arg1"]} : (tensor<16xf32>) -> tensor<16xf32> {
  ^body(%a: tensor<16xf32>):
    %0 = kiln.exp %a : tensor<16xf32>
    kiln.yield %0 : tensor<16xf32>
  }
  return %h : tensor<16xf32>
}

// PLACE: error: this group is target 1's, another of the same loop or branch 0's
// ARENA: error: this function has no arena, or one below its lower bound
func.func @loop(%xs: tensor<5x16xf32>, %h0: tensor<16xf32>) -> tensor<16xf32> {
  %h = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> () {
    %g = kiln.group elementwise %x, %a {kiln.target = 0 : i64} : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32> {
    ^body(%y: tensor<16xf32>, %b: tensor<16xf32>):
      %1 = kiln.add %y, %b : tensor<16xf32>
      kiln.yield %1 : tensor<16xf32>
    }
    %0 = kiln.group elementwise %g {kiln.target = 1 : i64} : (tensor<16xf32>) -> tensor<16xf32> {
    ^body(%b: tensor<16xf32>):
      %1 = kiln.tanh %b : tensor<16xf32>
      kiln.yield %1 : tensor<16xf32>
    }
    kiln.yield %0 : tensor<16xf32>
  }
  return %h : tensor<16xf32>
}
