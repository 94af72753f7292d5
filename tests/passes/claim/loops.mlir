// RUN: %kiln-opt --kiln-fuse --kiln-claim=loops=true --kiln-place=loops=true --kiln-plan-memory -split-input-file %s | FileCheck %s
// RUN: %kiln-opt --kiln-fuse --kiln-claim="loops=true refuse=exp" --kiln-place="loops=true refuse=exp" -split-input-file %s | FileCheck %s --check-prefix=REFUSED
// RUN: %kiln-opt --kiln-fuse --kiln-claim="loops-elsewhere=true refuse=exp" --kiln-place="loops-elsewhere=true refuse=exp" -split-input-file %s | FileCheck %s --check-prefix=ELSEWHERE
// RUN: %kiln-opt --kiln-fuse --kiln-claim --kiln-place -split-input-file %s | FileCheck %s --check-prefix=PLAIN

// A loop becomes one group of who names loops, of primitives again, with what it reads from outside as operands; who
// refuses an op of it has a loop over groups; who does not name loops is not asked.
// CHECK-LABEL: func.func @loop
// CHECK: %[[W:.*]] = kiln.group {{ ?}}elementwise
// CHECK: kiln.group {{ ?}}any %arg1, %arg0, %[[W]] {{.*}}kiln.target = 0
// CHECK-NEXT: ^bb0(%[[H:.*]]: tensor<16xf32>, %[[X:.*]]: tensor<5x16xf32>, %[[C:.*]]: tensor<16xf32>):
// CHECK-NEXT: kiln.scan "5" step(%{{.*}}) carry(%[[A:.*]] = %[[H]] : tensor<16xf32>) over(%{{.*}} = %[[X]]
// CHECK-NEXT: kiln.mul %[[A]], %[[C]]
// CHECK-NOT: kiln.group
// CHECK: return
// REFUSED-LABEL: func.func @loop
// REFUSED: kiln.scan
// REFUSED: kiln.group {{.*}}kiln.target = 1 : i64, kiln.target_reason = "{{(in a loop with: )?}}no exp here"
// ELSEWHERE-LABEL: func.func @loop
// ELSEWHERE: kiln.group {{ ?}}any {{.*}}kiln.target = 1 : i64, kiln.target_reason = "no exp here"
// ELSEWHERE-NEXT: ^bb0
// ELSEWHERE-NEXT: kiln.scan
// ELSEWHERE-NOT: kiln.group
// ELSEWHERE: return
// PLAIN-LABEL: func.func @loop
// PLAIN: kiln.scan
// PLAIN: kiln.group {{.*}}kiln.target = 0
func.func @loop(%xs: tensor<5x16xf32>, %h0: tensor<16xf32>, %w: tensor<16xf32>) -> tensor<16xf32> {
  %c = kiln.tanh %w : tensor<16xf32>
  %h = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> () {
    %0 = kiln.mul %a, %c : tensor<16xf32>
    %1 = kiln.cumsum %0, 0 : tensor<16xf32>
    %2 = kiln.exp %1 : tensor<16xf32>
    %3 = kiln.add %x, %2 : tensor<16xf32>
    kiln.yield %3 : tensor<16xf32>
  }
  return %h : tensor<16xf32>
}

// -----

// A branch within is not for a region.
// CHECK-LABEL: func.func @branch
// CHECK: kiln.scan
// CHECK: kiln.if
func.func @branch(%xs: tensor<5x16xf32>, %h0: tensor<16xf32>, %c: tensor<i1>) -> tensor<16xf32> {
  %h = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> () {
    %r = kiln.if %c : (tensor<i1>) -> tensor<16xf32> {
      %0 = kiln.add %x, %a : tensor<16xf32>
      kiln.yield %0 : tensor<16xf32>
    } else {
      kiln.yield %a : tensor<16xf32>
    }
    kiln.yield %r : tensor<16xf32>
  }
  return %h : tensor<16xf32>
}
