include "mlir/Pass/PassBase.td"

def Place : Pass<"kiln-place", "mlir::ModuleOp"> {
  let summary = "Settles which claimed group is where: loops as a whole, islands, and what was refused fused again";
  let description = [{
    In this order, where a function has groups of more than one claimant:

    1. A loop or a branch is one claimant's as a whole: where one of its groups is elsewhere, all of them go there. A loop
       that so goes to one that names "scan" is offered to it in one group.
    2. An island, groups of the first claimant between groups of another one, goes to that one too where it takes all of
       them and the way there and back, with what they say they take themselves, costs more than the work there: a copy
       takes 10 µs and a nanosecond for each ten bytes unless the claimant says otherwise, a part of the program of its
       own 40 µs; the work is what the claimant says. Between two that work in the process's memory nothing is copied, and
       0.2 µs are between them; there only groups whose time the first claimant states are weighed.
    3. Pieces of what was split that went to one claimant other than the first, and the groups right beside them there,
       are fused again for that one; what it refuses then is split until it takes it.
    4. Operands that a claimant asks for in another order in memory come in that order: a parameter that the function only
       reads as one more argument (`kiln.arranged`: its name, `kiln.order`), all else by a group that transposes.

    Groups keep `kiln.target` and `kiln.target_reason`; while 3 fuses, each op has the latter as `kiln.refused`. Run by its flag, the pass has the stand-ins of `kiln-claim`, which
    must be told the same.
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    ListOption<"entries", "entries", "std::string", "entries of the program to place; all where empty">,
    ListOption<"refuse", "refuse", "std::string", "ops that the stand-in for the first claimant refuses">,
    ListOption<"refuseElsewhere", "refuse-elsewhere", "std::string", "ops that the second refuses">,
    Option<"apart", "apart", "bool", "false", "the first has memory of its own">,
    Option<"loops", "loops", "bool", "false", "the first is offered loops whole">,
    Option<"loopsElsewhere", "loops-elsewhere", "bool", "false", "the second is">];
}
