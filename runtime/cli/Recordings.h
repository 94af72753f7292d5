// `--input NAME=FILE.wav`: a recording as an input, at the model's rate.
#pragma once

#include "runtime/program/Program.h"

#include <string>
#include <vector>

namespace kiln {

/// A recording that is longer than its input takes, piece by piece.
class Pieces {
public:
  Pieces() = default;
  Pieces(int input, size_t most, std::vector<float> samples)
      : input_(input), most_(most), samples_(std::move(samples)) {}

  size_t count() const { return samples_.empty() ? 1 : (samples_.size() + most_ - 1) / most_; }
  /// Sets the input to a piece; nothing where there is one alone, which it has already.
  void set(Call &call, size_t number) const;

private:
  int input_ = -1;
  size_t most_ = 0; ///< samples of a piece
  std::vector<float> samples_;
};

/// Sets an input f32[N] or f32[1, N] to a recording, converted to the model's rate where that is another one. What is
/// longer than N may be is refused, or, where `pieces` are asked for, left to them with a note. Throws Error.
void setRecording(Call &call, int input, const std::string &path, const Manifest &manifest, Pieces *pieces);

} // namespace kiln
