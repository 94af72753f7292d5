//===- Fuse.td - ops into groups ---------------------------------------------------------------------------------===//
#ifndef KILN_PASSES_FUSE_TD
#define KILN_PASSES_FUSE_TD

include "mlir/Pass/PassBase.td"

def Fuse : Pass<"kiln-fuse", "mlir::ModuleOp"> {
  let summary = "Puts every primitive into a kiln.group, one kernel each; see docs/fusion.md";
  let description = [{
    What a group may hold is one predicate, `shapeOf` of `Cluster.h`; which of the legal groups are formed is `Merge.cpp`, greedy, in an
    order that it tells. Cheap ops are cloned into each group that reads them, so that no group waits for a constant; an
    elementwise op with one operand of its own size is computed again for each reader rather than stored.

    Functions must hold primitives alone, and attention; an error names what else there is. Afterwards blocks hold groups,
    reshapes, constants, loops and branches.
  }];
  let dependentDialects = ["::kiln::KilnDialect"];
  let options = [Option<"single", "single", "bool", "false", "one op a group: nothing is fused">];
}

#endif
