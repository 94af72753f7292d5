include "mlir/Pass/PassBase.td"

def Checkpoint : Pass<"kiln-checkpoint", "mlir::ModuleOp"> {
  let summary = "Parts of the forward half computed once more by the backward half, in place of being kept";
  let description = [{
    Of a function that says so (`kiln.segments = N`), the half before its peak of memory is cut into N segments that keep
    about as many bytes each for the half behind it. What a segment keeps is then computed once more, from what it reads of
    those before it, just before it is read; the last segment, whose values are read at once, is left as it is. Every op is
    a function of its operands, random ones too (their words are those of a key and a counter), so the copies give the same
    values. At most one forward half is computed once more (Chen et al. 2016, "Training deep nets with sublinear memory
    cost").
  }];
  let dependentDialects = ["kiln::KilnDialect"];
  let options = [
    Option<"segments", "segments", "int64_t", "0", "for all functions, in place of what they say; 0: what they say">];
}
