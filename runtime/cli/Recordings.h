// `--input NAME=FILE.wav`: a recording as an input, at the model's rate.
#pragma once

#include "runtime/files/Wav.h"
#include "runtime/program/Program.h"

#include <string>
#include <vector>

namespace kiln {

/// A recording, piece by piece where it is longer than its input takes.
class Pieces {
public:
  Pieces() = default;
  Pieces(int input, size_t most, Recording recording)
      : input_(input), most_(most), rate_(static_cast<double>(recording.rate)), samples_(std::move(recording.samples)) {
  }

  size_t count() const { return samples_.empty() ? 1 : (samples_.size() + most_ - 1) / most_; }
  /// Sets the input to a piece; nothing where there is no recording.
  void set(Call &call, size_t number) const;
  /// The recording's length in seconds, and a piece's.
  double seconds() const { return static_cast<double>(samples_.size()) / rate_; }
  double longest() const { return static_cast<double>(most_) / rate_; }
  /// Sets the input to what begins at so many seconds, as long as it may be.
  void setFrom(Call &call, double seconds) const;
  bool isEmpty() const { return samples_.empty(); }

private:
  int input_ = -1;
  size_t most_ = 0; ///< samples of a piece
  double rate_ = 1;
  std::vector<float> samples_;
};

/// Sets an input f32[N] or f32[1, N] to a recording, converted to the model's rate where that is another one. What is
/// longer than N may be is refused, or, where `pieces` are asked for, left to them. Throws Error.
void setRecording(Call &call, int input, const std::string &path, const Manifest &manifest, Pieces *pieces);

} // namespace kiln
