include "mlir/Pass/PassBase.td"

def VerifyStages : Pass<"kiln-verify-stage", "mlir::ModuleOp"> {
  let summary = "Fails where the module is not what a stage of the compile promises to the next";
  let description = [{
    MLIR's own verifier looks at each op by itself. This one looks at what holds between two stages of
    `passes/Pipelines.cpp`, which says it in words beside each:

    - `import`: functions of one block; parameters and states that they name are declared in the module.
    - `differentiate`: and a model with a recipe has `@grad`, whose gradients have their parameters' types.
    - `train-step`: and `@train_step`, whose new parameters and states have the types of the old ones.
    - `decompose`, `simplify`, `skip`, `rematerialize`: only primitives, and the composites that may be one kernel.
    - `fuse`: every op that computes is in a group.
    - `claim`: every group of an entry is somebody's.
    - `place`: and those of a loop or a branch are the same one's.
    - `plan`: every launch of an entry has its places, every entry its arena.

    It changes nothing. The compile runs it behind every stage in tests and with `--verify-stages`.
  }];
  let options = [
    Option<"stage", "stage", "std::string", "", "the stage whose promise is looked at">,
    ListOption<"entries", "entries", "std::string", "of claim and what follows: the program's entries; all where empty">];
}
