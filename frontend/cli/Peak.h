// What this machine's processor can do at best: the limits that measured programs stand beside.
#pragma once

#include <cstddef>
#include <map>

namespace kiln {

/// Measured in short bursts, between the programs: other work on the machine hides a limit for a while, hardly for
/// all of them. What was best counts.
class MachinePeak {
public:
  /// `threads` at once, but no more than there are processors.
  explicit MachinePeak(unsigned threads);

  /// Some more bursts. `workingSet`: bytes that are read and written again and again, in whatever cache holds them
  /// (more than 256 MiB count as so many).
  void sample(size_t workingSet);

  /// f32 multiply-adds, counted as two; 0 before the first sample.
  double gflops() const { return flops_ * 1e-9; }
  /// Reading, copying or updating in place such a working set, whichever is fastest, reads and writes counted; 0 where
  /// it was not sampled.
  double gbPerSecond(size_t workingSet) const;
  /// Working sets of one class are one: a power of two, not above them.
  static size_t sizeClass(size_t workingSet);

private:
  unsigned threads_;
  double flops_ = 0;
  std::map<size_t, double> bandwidth_;
};

} // namespace kiln
