//===- PlanMemory.td - order of kernels, offsets of buffers -------------------------------------------------------===//
#ifndef KILN_PASSES_PLANMEMORY_TD
#define KILN_PASSES_PLANMEMORY_TD

include "mlir/Pass/PassBase.td"

def PlanMemory : Pass<"kiln-plan-memory", "mlir::ModuleOp"> {
  let summary = "Orders groups and writes on each function the size of its arena; see docs/memory.md";
  let description = [{
    Functions get `kiln.arena` and `kiln.lower_bound`, groups `kiln.places`: for each operand and result a space and an offset,
    and `kiln.alias`: for each result the operand that it is written over, or -1.
    The order of the groups, every value's place and the lifetimes are told in docs/memory.md. Each plan is proved by a
    checker that shares nothing with the planner.

    In a compile the pass runs behind `kiln-place`: whoever has a group says how much scratch its kernel needs. Run by its
    flag there is none.
  }];
  let options = [Option<"explain", "explain", "bool", "false", "print each function's arena and what is live at its peak to stderr">,
                 Option<"redZone", "red-zone", "int64_t", "0", "bytes between any two buffers that nobody may write; no memory is used twice then">];
  let dependentDialects = ["::kiln::KilnDialect"];
}

#endif
