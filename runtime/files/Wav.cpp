// RIFF's chunks: "fmt " says what the samples of "data" are, all others are passed over.
#include "runtime/files/Wav.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <zlib.h>

namespace kiln {

namespace {

template <typename Number> Number numberAt(std::string_view bytes, size_t at) {
  Number value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

struct Format {
  bool isFloat = false;
  size_t channels = 0, bytes = 0; ///< of one sample
  int64_t rate = 0;
};

constexpr uint16_t pcm = 1, floats = 3, extensible = 0xFFFE;

Format formatOf(std::string_view chunk, const std::string &what) {
  if (chunk.size() < 16)
    fail("%s: its format takes %zu bytes; at least 16 are expected", what.c_str(), chunk.size());
  auto tag = numberAt<uint16_t>(chunk, 0);
  auto bits = numberAt<uint16_t>(chunk, 14), block = numberAt<uint16_t>(chunk, 12);
  if (tag == extensible) { // a GUID, which begins with the tag that is meant
    constexpr std::string_view rest("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71", 14);
    if (chunk.size() < 40 || chunk.substr(26, 14) != rest)
      fail("%s: its format has an extension that is not known", what.c_str());
    tag = numberAt<uint16_t>(chunk, 24);
  }
  Format format;
  format.isFloat = tag == floats;
  format.channels = numberAt<uint16_t>(chunk, 2);
  format.bytes = bits / 8;
  format.rate = numberAt<uint32_t>(chunk, 4);
  if (tag != pcm && tag != floats)
    fail("%s: its samples are compressed (format 0x%04x); PCM and floats are read: ffmpeg -i FILE -c:a pcm_s16le "
         "NEW.wav converts it",
         what.c_str(), tag);
  bool known = format.isFloat ? bits == 32 || bits == 64 : bits == 8 || bits == 16 || bits == 24 || bits == 32;
  if (!known)
    fail("%s: its samples are %s of %u bits; whole numbers of 8, 16, 24 or 32, or floats of 32 or 64 are expected",
         what.c_str(), format.isFloat ? "floats" : "whole numbers", bits);
  if (format.channels == 0 || format.rate == 0 || block != format.channels * format.bytes)
    fail("%s: its header contradicts itself: %zu channels of %zu bytes at %lld Hz, in blocks of %u bytes", what.c_str(),
         format.channels, format.bytes, static_cast<long long>(format.rate), block);
  return format;
}

double sampleAt(const Format &format, const char *at) {
  std::string_view bytes(at, format.bytes);
  switch (format.bytes) {
  case 1:
    return (static_cast<uint8_t>(*at) - 128) / 128.0;
  case 2:
    return numberAt<int16_t>(bytes, 0) / 32768.0;
  case 3: {
    int32_t value = 0; // its bytes are the upper ones
    std::memcpy(reinterpret_cast<char *>(&value) + 1, at, 3);
    return value / 2147483648.0;
  }
  case 4:
    return format.isFloat ? numberAt<float>(bytes, 0) : numberAt<int32_t>(bytes, 0) / 2147483648.0;
  default:
    return numberAt<double>(bytes, 0);
  }
}

Recording samplesOf(const Format &format, std::string_view data, const std::string &what) {
  size_t block = format.channels * format.bytes, count = data.size() / block;
  if (count == 0)
    fail("%s holds no samples", what.c_str());
  Recording recording;
  recording.rate = format.rate;
  recording.samples.resize(count);
  for (size_t i = 0; i < count; ++i) {
    double sum = 0;
    for (size_t c = 0; c < format.channels; ++c)
      sum += sampleAt(format, data.data() + i * block + c * format.bytes);
    double mean = sum / static_cast<double>(format.channels);
    if (!(std::fabs(mean) <= static_cast<double>(std::numeric_limits<float>::max())))
      fail("%s: sample %zu is not a finite number", what.c_str(), i);
    recording.samples[i] = static_cast<float>(mean);
  }
  return recording;
}

} // namespace

Recording parseWav(std::string_view bytes, const std::string &what) {
  if (bytes.substr(0, 4) == "RF64" || bytes.substr(0, 4) == "RIFX")
    fail("%s is %s, a kind of WAV file that is not read; ffmpeg -i FILE NEW.wav converts it", what.c_str(),
         std::string(bytes.substr(0, 4)).c_str());
  if (bytes.size() < 12 || bytes.substr(0, 4) != "RIFF" || bytes.substr(8, 4) != "WAVE")
    fail("%s is not a WAV file; ffmpeg -i FILE NEW.wav makes one of most recordings", what.c_str());
  bool known = false;
  Format format;
  for (size_t at = 12; bytes.size() - at >= 8;) {
    std::string_view name = bytes.substr(at, 4);
    size_t size = numberAt<uint32_t>(bytes, at + 4), left = bytes.size() - at - 8;
    if (name == "data" && size == UINT32_MAX) // written as it came, its length not known: all that there is
      size = left;
    if (size > left)
      fail("%s is cut short: its part '%s' takes %zu bytes, of which %zu are there", what.c_str(),
           std::string(name).c_str(), size, left);
    std::string_view chunk = bytes.substr(at + 8, size);
    if (name == "fmt ") {
      format = formatOf(chunk, what);
      known = true;
    } else if (name == "data") {
      if (!known)
        fail("%s: its samples stand before their format", what.c_str());
      return samplesOf(format, chunk, what);
    }
    at += 8 + std::min(left, size + size % 2); // an odd part has a byte behind it
  }
  fail("%s holds no samples: it has no part 'data'", what.c_str());
}

Recording readWav(const std::string &path) {
  MappedFile file(path);
  return parseWav(file.text(), "'" + path + "'");
}

void resample(Recording &recording, int64_t rate, const std::string &what) {
  if (recording.rate == rate)
    return;
  int64_t common = std::gcd(recording.rate, rate), from = recording.rate / common, to = rate / common;
  constexpr double zeros = 6;
  // In samples of the recording: the shorter of the two rates' waves, and how far a sample is looked at.
  double step = static_cast<double>(from) / (0.99 * static_cast<double>(std::min(from, to)));
  auto reach = static_cast<int64_t>(std::ceil(zeros * step));
  if (recording.rate > 64 * rate || rate > 64 * recording.rate || to * (2 * reach + 1) > 1 << 24)
    fail("%s has %lld samples a second, which are not converted to %lld; ffmpeg -i FILE -ar %lld NEW.wav does it",
         what.c_str(), static_cast<long long>(recording.rate), static_cast<long long>(rate),
         static_cast<long long>(rate));
  // The weights are those of the place between two samples, of which there are `to`.
  auto taps = static_cast<size_t>(2 * reach + 1);
  std::vector<double> weights(static_cast<size_t>(to) * taps);
  for (int64_t phase = 0; phase < to; ++phase)
    for (int64_t tap = -reach; tap <= reach; ++tap) {
      double between = static_cast<double>(phase * from % to) / static_cast<double>(to);
      double t = std::clamp((static_cast<double>(tap) - between) / step, -zeros, zeros);
      double window = std::cos(t * M_PI / zeros / 2), angle = t * M_PI;
      weights[static_cast<size_t>(phase) * taps + static_cast<size_t>(tap + reach)] =
          (t == 0 ? 1 : std::sin(angle) / angle) * window * window / step;
    }
  auto count = static_cast<int64_t>(recording.samples.size());
  std::vector<float> converted(static_cast<size_t>((count * to + from - 1) / from));
  for (size_t i = 0; i < converted.size(); ++i) {
    auto number = static_cast<int64_t>(i);
    int64_t at = number * from / to;
    const double *row = weights.data() + static_cast<size_t>(number % to) * taps + reach;
    double sum = 0;
    for (int64_t tap = std::max(-reach, -at); tap <= reach && at + tap < count; ++tap)
      sum += row[tap] * recording.samples[static_cast<size_t>(at + tap)];
    converted[i] = static_cast<float>(sum);
  }
  recording.samples = std::move(converted);
  recording.rate = rate;
}

static Recording readAt(const std::string &path, int64_t rate) {
  Recording recording = readWav(path);
  resample(recording, rate, "'" + path + "'");
  return recording;
}

static size_t compressedSize(std::string_view bytes) {
  auto size = compressBound(bytes.size());
  std::vector<Bytef> packed(size);
  if (compress(packed.data(), &size, reinterpret_cast<const Bytef *>(bytes.data()), bytes.size()) != Z_OK)
    fail("zlib has no memory for %zu bytes", bytes.size());
  return size;
}

const RecordingReader kiln_recording_reader = {readAt, compressedSize};

bool isWav(std::string_view path) {
  return path.ends_with(".wav") || path.ends_with(".WAV") || path.ends_with(".wave");
}

} // namespace kiln
