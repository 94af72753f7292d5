// Recordings in WAV files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct Recording {
  int64_t rate = 0;           ///< samples a second
  std::vector<float> samples; ///< from -1 up to 1; of several channels their mean
};

/// PCM of 8, 16, 24 and 32 bits, and floats of 32 and 64. `what`: the file, for messages. Throws Error: what is no WAV
/// file, is cut short or contradicts itself, holds nothing, or is compressed.
Recording parseWav(std::string_view bytes, const std::string &what);
Recording readWav(const std::string &path);

/// Converts it to another rate as torchaudio's resample does (sinc, a Hann window of 6 zeros, rolloff 0.99). Throws
/// Error for rates that lie too far apart.
void resample(Recording &recording, int64_t rate, const std::string &what);

/// By its name.
bool isWav(std::string_view path);

/// What reads a recording at a rate. All that it needs hangs on this.
struct RecordingReader {
  Recording (*read)(const std::string &path, int64_t rate);
  /// How many bytes zlib makes of these, at its usual level: how far what was heard repeats itself.
  size_t (*compressed)(std::string_view bytes);
};

extern "C" {
/// Null in a program whose model says no sampling_rate: the driver writes it into the program's image (elsewhere:
/// runtime/data/AllReaders.cpp).
extern const RecordingReader *const kiln_recordings;
extern const RecordingReader kiln_recording_reader;
}

} // namespace kiln
