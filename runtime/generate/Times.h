// Answers that say when: tokens that are times, as Whisper writes them.
#pragma once

#include "runtime/generate/Draw.h"

namespace kiln {

/// Leaves of the next token's logits those that may follow `drawn`: times come in pairs, one behind what is said and
/// one before what comes next, and do not run backwards; the first token is one. Where all times together are likelier
/// than any other token, it is a time. As Whisper's own decoder and transformers have it.
void permitTimes(std::span<float> logits, std::span<const int32_t> drawn, const DrawSpec &spec);

/// What is said from one time to another, in seconds of the recording.
struct Segment {
  double start = 0, end = 0;
  std::vector<int32_t> tokens; ///< without times
  std::vector<int32_t> all;    ///< with them, as they were drawn
};

struct TimedAnswer {
  std::vector<Segment> segments;
  double seconds = 0; ///< of the window, behind which the next one begins: what is behind the last pair is heard again
};

/// Of what was drawn for a window that begins at `begin` and is `length` long, both in seconds. `seconds` is above 0.
TimedAnswer timedAnswer(std::span<const int32_t> drawn, const DrawSpec &spec, double begin, double length);

/// "01:02.500", or "1:01:02.500" from an hour on.
std::string timeText(double seconds);

} // namespace kiln
