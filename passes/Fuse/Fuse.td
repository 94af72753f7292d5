//===- Fuse.td - ops into groups ---------------------------------------------------------------------------------===//
#ifndef KILN_PASSES_FUSE_TD
#define KILN_PASSES_FUSE_TD

include "mlir/Pass/PassBase.td"

def Fuse : Pass<"kiln-fuse", "mlir::ModuleOp"> {
  let summary = "Puts every primitive into a kiln.group, one kernel each; see docs/fusion.md";
  let dependentDialects = ["::kiln::KilnDialect"];
  let options = [Option<"single", "single", "bool", "false", "one op a group: nothing is fused">];
}

#endif
