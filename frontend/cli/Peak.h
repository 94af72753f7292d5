// What this machine can do at best: the limit that measured programs stand beside.
#pragma once

namespace kiln {

struct MachinePeak {
  double gflops = 0;      ///< f32 multiply-adds, counted as two, on all given threads; 0 where it is not known how to
  double gbPerSecond = 0; ///< reading and writing memory beyond the caches (copy: both directions counted)
};

/// Takes about a third of a second.
MachinePeak measurePeak(unsigned threads);

} // namespace kiln
