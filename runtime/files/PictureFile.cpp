// Bytes of a file to a picture's, by stb_image (docs/decisions/0007-picture-files.md).
#include "runtime/files/Picture.h"
#include "runtime/support/Error.h"

#include <memory>

// What is not ours is compiled without our warnings, and without checks that its shifts of signed numbers do not pass.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#pragma clang attribute push(__attribute__((no_sanitize("undefined"))), apply_to = function)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 65536
#define STBI_ASSERT(x) (void)(x)
#include <stb/stb_image.h>
#pragma clang attribute pop
#pragma clang diagnostic pop

namespace kiln {

namespace {

/// Bytes of a file that is walked through; what there is not ends it.
struct PictureBytes {
  std::string_view all;
  const std::string &what;

  void need(uint64_t size) const {
    if (size > all.size())
      fail("%s is a damaged picture: it ends within its pixels", what.c_str());
  }
  uint64_t operator()(size_t at, size_t count = 1) const {
    need(at + count);
    uint64_t value = 0;
    for (size_t i = count; i-- > 0;)
      value = value << 8 | static_cast<uint8_t>(all[at + i]);
    return value;
  }
};

/// A GIF none of whose colours is transparent: stb_image leaves such pixels out, and takes one that ends early for
/// whole.
std::string opaqueGif(const PictureBytes &bytes) {
  std::string opaque(bytes.all);
  auto colours = [&](size_t at) { return bytes(at) & 0x80 ? 3 * (size_t{2} << (bytes(at) & 7)) : 0; };
  size_t at = 13 + colours(10);
  while (bytes(at) == 0x21 || bytes(at) == 0x2c) {
    bool pixels = bytes(at) == 0x2c;
    if (!pixels && bytes(at + 1) == 0xf9)
      opaque[at + 3] = static_cast<char>(bytes(at + 3) & ~uint64_t{1});
    at += pixels ? 11 + colours(at + 9) : 2; // the blocks follow
    for (uint64_t size = bytes(at++); size > 0; size = bytes(at++))
      at += size;
    if (pixels)
      break; // the first picture alone is read
  }
  return opaque;
}

/// The pixels of a BMP, which are not packed, are all there.
void checkBmp(const PictureBytes &bytes, uint64_t width, uint64_t height) {
  uint64_t bits = width * bytes(bytes(14, 4) == 12 ? 24 : 28, 2);
  bytes.need(bytes(10, 4) + (bits + 31) / 32 * 4 * (height - 1) + (bits + 7) / 8);
}

/// How a camera was held, 1 to 8, as the directory in front of a TIFF file says; 1 where it says nothing that is known.
int heldIn(std::string_view tiff) {
  bool little = tiff.starts_with("II");
  auto number = [&](size_t at, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count && at + count <= tiff.size(); ++i)
      value = value << 8 | static_cast<uint8_t>(tiff[little ? at + count - 1 - i : at + i]);
    return value;
  };
  if ((!little && !tiff.starts_with("MM")) || number(2, 2) != 42)
    return 1;
  size_t at = number(4, 4);
  for (uint64_t entries = at < tiff.size() ? number(at, 2) : 0; entries > 0; --entries)
    if (size_t entry = at + 2 + 12 * (entries - 1); entry + 12 <= tiff.size() && number(entry, 2) == 0x112)
      if (uint64_t held = number(entry + 8, 2); number(entry + 2, 2) == 3 && held >= 1 && held <= 8)
        return static_cast<int>(held);
  return 1;
}

/// The same of a picture: of a JPEG's segments or a PNG's chunks one has EXIF's directory.
int heldAs(std::string_view bytes) {
  auto number = [&](size_t at, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i)
      value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
  };
  if (bytes.starts_with("\xff\xd8"))
    for (size_t at = 2; at + 4 <= bytes.size() && number(at, 1) == 0xff && number(at + 1, 1) != 0xda;
         at += 2 + number(at + 2, 2))
      if (number(at + 1, 1) == 0xe1 && bytes.substr(at + 4).starts_with(std::string_view("Exif\0\0", 6)))
        return heldIn(bytes.substr(at + 10, number(at + 2, 2) - 8));
  if (bytes.starts_with("\x89PNG"))
    for (size_t at = 8; at + 8 <= bytes.size(); at += 12 + number(at, 4))
      if (bytes.substr(at + 4, 4) == "eXIf")
        return heldIn(bytes.substr(at + 8, number(at, 4)));
  return 1;
}

/// A picture upright, of one that was taken so.
Picture upright(Picture picture, int held) {
  if (held == 1)
    return picture;
  bool turns = held >= 5; // rows become columns
  Picture result{turns ? picture.width : picture.height, turns ? picture.height : picture.width, picture.channels, {}};
  result.pixels.reserve(picture.pixels.size());
  for (int64_t y = 0; y < result.height; ++y)
    for (int64_t x = 0; x < result.width; ++x) {
      int64_t row = turns ? x : y, column = turns ? y : x;
      if (held == 3 || held == 4 || held == 6 || held == 7)
        row = picture.height - 1 - row;
      if (held == 2 || held == 3 || held == 7 || held == 8)
        column = picture.width - 1 - column;
      auto from = picture.pixels.begin() + (row * picture.width + column) * picture.channels;
      result.pixels.insert(result.pixels.end(), from, from + picture.channels);
    }
  return result;
}

} // namespace

Picture parsePicture(std::string_view bytes, int64_t channels, const std::string &what, bool turns) {
  constexpr int64_t mostPixels = int64_t{1} << 26;
  std::string gif;
  if (bytes.starts_with("GIF8"))
    bytes = gif = opaqueGif({bytes, what});
  auto *data = reinterpret_cast<const stbi_uc *>(bytes.data());
  int size = static_cast<int>(bytes.size()), width = 0, height = 0, own = 0;
  if (bytes.size() > INT32_MAX)
    fail("%s has %zu bytes: too large for a picture", what.c_str(), bytes.size());
  if (!stbi_info_from_memory(data, size, &width, &height, &own))
    fail("%s is no picture that can be read (%s): PNG, JPEG, BMP and GIF are", what.c_str(), stbi_failure_reason());
  if (int64_t{width} * height > mostPixels || width < 1 || height < 1)
    fail("%s is %d by %d pixels; at most %lld in all are read", what.c_str(), width, height,
         static_cast<long long>(mostPixels));
  if (bytes.starts_with("BM"))
    checkBmp({bytes, what}, static_cast<uint64_t>(width), static_cast<uint64_t>(height));
  int kept = own < 3 ? 1 : 3; // without what says how transparent they are
  std::unique_ptr<stbi_uc, void (*)(void *)> pixels(stbi_load_from_memory(data, size, &width, &height, &own, kept),
                                                    stbi_image_free);
  if (!pixels)
    fail("%s is a damaged picture: %s", what.c_str(), stbi_failure_reason());
  Picture picture{height, width, channels, {}};
  size_t count = static_cast<size_t>(width) * static_cast<size_t>(height);
  picture.pixels.resize(count * static_cast<size_t>(channels));
  for (size_t i = 0; i < count; ++i) {
    const stbi_uc *from = pixels.get() + i * static_cast<size_t>(kept);
    uint8_t *to = picture.pixels.data() + i * static_cast<size_t>(channels);
    if (kept == 3 && channels == 1)
      *to = static_cast<uint8_t>((from[0] * 19595u + from[1] * 38470u + from[2] * 7471u + 0x8000u) >> 16);
    else
      for (int64_t c = 0; c < channels; ++c)
        to[c] = from[kept == 3 ? c : 0];
  }
  return turns ? upright(std::move(picture), heldAs(bytes)) : picture;
}

} // namespace kiln
