// A recording with times: window by window, each from where the last whole segment of the one before ended.
#pragma once

#include "runtime/cli/Drawn.h"
#include "runtime/cli/Output.h"
#include "runtime/cli/Recordings.h"
#include "runtime/generate/Generator.h"
#include "runtime/generate/Times.h"

namespace kiln {

/// Whether times are drawn: where they are asked for, and where a recording is to be cut by them. Throws Error, or
/// UsageError, where they are asked for and there are none.
bool isTimed(const Options &options, const DrawSpec &draw, const Pieces &pieces);

class Hearing {
public:
  /// `draw` is the generator's, and changes from window to window. Throws Error where an option asks for what the
  /// program does not do.
  Hearing(const Options &options, DrawSpec &draw);

  /// Hears all of a recording, and writes what is said; at most `limit` tokens a window.
  void hear(const Words &words, Generator &generator, const Pieces &pieces, int64_t limit, uint32_t number,
            JsonOutput &json);

private:
  /// What was drawn for a window, and how it went.
  struct Window {
    std::vector<int32_t> tokens;
    double temperature = 0, compression = 0, probability = 0, noSpeech = 0;
    bool isSilent = false;
  };
  Window drawn(Generator &generator, int64_t limit, uint32_t number);
  Window measured(Generator &generator, int64_t limit, uint32_t number);
  std::vector<int32_t> promptOf(const std::vector<Segment> &said) const;
  std::string jsonOf(const Segment &segment, const std::string &text, const Window &window) const;

  DrawSpec &draw_;
  DrawSpec::Kind kind_;
  double temperature_, silence_; ///< a window is left out that is unlikely, and silent with more than this; 1: none is
  bool told_, fallback_, previous_, measured_;
};

} // namespace kiln
