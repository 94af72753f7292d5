// Two programs of one model, each on backends of its own, run launch by launch side by side.
#pragma once

#include "runtime/program/Program.h"

namespace kiln {

/// Executes one entry of both, which have the same launches in the same order and equal inputs, parameters and states.
/// After each launch the results are compared, and those of `a` are given to `b`, so that what differs is that launch's
/// own doing. Gives a text that names the first op whose results part, with its source line, its operands' statistics
/// and both values; empty where none does. Floats part beyond `compareTolerance` of the largest magnitude of the result
/// (of ops that add n numbers up: or √n times that of the operands), and, in kernels that do more, beyond what
/// roundings of the operands move; others where they are not equal. Throws Error.
///
/// With `memory`, the two have the same kernels at the same places, as the program was built; what lies in `a`'s memory
/// lies in `b`'s before each launch, and neither may write anywhere but to its results and its scratch.
/// Where `a` is on several backends, its memory is nowhere as a whole: scratchOfA is then empty, and only results are
/// looked at.
struct SameMemory {
  std::vector<int64_t> scratchOfA, scratchOfB; ///< for each kernel, the bytes of it
};
struct LaunchCounts {
  int64_t all = 0;
  std::map<std::string, int64_t> on, against; ///< by the backend of `a` that made them, and of `b`
  std::string partedOn;                       ///< the backend of `a` where results part
};
std::string compareInStep(Call &a, Call &b, uint32_t seed, int64_t step, LaunchCounts &launches,
                          const SameMemory *memory = nullptr);

/// Room for another order of summation: f32 1e-5, f64 2^-48, f16 2^-7, bf16 2^-4.
double compareTolerance(kiln_dtype dtype);

/// Inputs without data: every dimension at its bound, floats normal, integers 0.
void fillInputs(Call &call);

} // namespace kiln
