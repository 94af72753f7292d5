include "mlir/Pass/PassBase.td"

def Claim : Pass<"kiln-claim", "mlir::ModuleOp"> {
  let summary = "Offers every group to those who may take it, splitting what is refused, until each is somebody's";
  let description = [{
    Before all else the first claimant, where it names "scan", is offered each loop that stands in no other and in no
    branch, with what is in it (a group that holds the loop, of primitives again). What it refuses stays a loop; one that
    is `kiln.apart` is not offered.

    Each group of an entry is offered to the first claimant. What it refuses it may take in parts (closed sets of the
    group's ops), or in pieces: the group falls apart (`splitGroup` of passes/Fuse: a product loses what surrounds it,
    anything else becomes single ops, a composite alone what it is made of), and each is offered again. Where it takes no
    piece either, nothing falls apart: the group goes, as it is, to the first of the other claimants that takes it; a
    refusal costs nothing. Only what none of these takes whole is split for them too. An error names a single op that
    nobody takes, with everybody's reasons.

    Where the claimant says of all its pieces how long they take, and by that word they take longer than the whole
    elsewhere (with the way there and back, and the bytes that no longer stay in registers), they are left to others too.

    Groups get `kiln.target`, the claimant's number, and where that is not 0, `kiln.target_reason`: why not the first; of
    a piece that is the first's, what it was weighed at. `kiln.piece` is on what was split off, `kiln.as_fused` on the
    others and on pieces of what no claimant takes whole, `kiln.weighed` on pieces until they are placed.

    Claimants are backends, through `passes/Claim/Claimant.h`. Where the pass is run by its flag there are two stand-ins,
    "home" and "other", which take all but what these options say:

    ```
    kiln-opt --kiln-fuse --kiln-claim="refuse=exp,log refuse-elsewhere=log"
    ```
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    ListOption<"entries", "entries", "std::string", "entries of the program to claim for; all where empty">,
    ListOption<"refuse", "refuse", "std::string", "ops that the stand-in for the first claimant refuses">,
    ListOption<"refuseElsewhere", "refuse-elsewhere", "std::string", "ops that the second refuses">,
    Option<"parts", "parts", "bool", "false", "the first takes the other ops of a group that it refuses">,
    Option<"loops", "loops", "bool", "false", "the first is offered loops whole">,
    Option<"loopsElsewhere", "loops-elsewhere", "bool", "false", "the second is">];
}
