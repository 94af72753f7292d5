// Pictures from files: PNG, JPEG, BMP and GIF (its first frame), in bytes; scaled as Pillow scales them.
#pragma once

#include "runtime/support/Json.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// Rows of pixels, each of `channels` bytes.
struct Picture {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;
};

/// By its name.
bool isPicture(std::string_view path);

/// One (grey: (19595 R + 38470 G + 7471 B) / 65536, as Pillow's mode L) or three channels; what is transparent is not
/// looked at. Upright, where EXIF says how the camera was held, if it `turns`. Throws Error with `what` (the file) for
/// what is no picture, is damaged, or has more than 2^26 pixels.
Picture parsePicture(std::string_view bytes, int64_t channels, const std::string &what, bool turns = true);

enum class Filter : uint8_t { Nearest, Bilinear, Bicubic, Lanczos };
/// Another size, as Pillow's Image.resize has it up to its version 12, to the bit: the filter stretched by the scale
/// where that makes it smaller, weights of 22 bits, rows first, each pass rounded to bytes.
Picture resized(const Picture &picture, int64_t height, int64_t width, Filter filter);

/// What a model makes of pictures: of one size, then numbers.
struct PictureForm {
  int64_t height = 0, width = 0, channels = 3;
  /// The shorter edge is scaled to this many pixels, the other one with it, and the middle of height x width cut out
  /// (black around what is smaller); 0: both are scaled to height x width, whatever they were.
  int64_t shortest = 0;
  int64_t tall = 0, wide = 0; ///< both edges are scaled to these first, and the middle is cut out; 0: not so
  bool down = false; ///< where the middle begins between two pixels, it does so at the former, not the even one
  Filter filter = Filter::Bilinear;
  std::vector<float> mean, deviation; ///< of each channel

  /// Of options `size`, `channels`, `shortest`, `stretch`, `middle`, `resample`, `mean`, `std`. Throws Error with
  /// `what` for others.
  static PictureForm parse(const Json &options, const std::string &what);
  int64_t elements() const { return channels * height * width; }
  /// A file's picture in this size. Throws Error.
  Picture read(const std::string &path) const;
  /// The same of a picture that has been read.
  Picture scaled(Picture picture, const std::string &what) const;
  /// (byte / 255 - mean) / deviation, channel by channel: `out` has elements() of them.
  void numbers(const Picture &picture, float *out) const;
};

/// The pictures in a folder, by their names; others files are left out. Throws Error where it cannot be read.
std::vector<std::string> picturesIn(const std::string &folder);
/// The folders in a folder, by their names (without the folder's).
std::vector<std::string> foldersIn(const std::string &folder);

} // namespace kiln
