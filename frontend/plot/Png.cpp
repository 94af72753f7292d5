// PNG files: rows by the filter "up" or none, deflated by zlib.
#include "frontend/plot/Drawing.h"

#include "runtime/support/Error.h"

#include <zlib.h>

namespace kiln::plot {

namespace {

void appendWord(std::string &out, uint32_t word) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(word >> shift & 255);
}

void appendChunk(std::string &out, std::string chunk) {
  appendWord(out, static_cast<uint32_t>(chunk.size() - 4));
  appendWord((out += chunk), static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef *>(chunk.data()),
                                                         static_cast<uInt>(chunk.size()))));
}

bool isGrey(const Bitmap &bitmap) {
  for (size_t i = 0; i + 2 < bitmap.pixels.size(); i += 3)
    if (bitmap.pixels[i] != bitmap.pixels[i + 1] || bitmap.pixels[i] != bitmap.pixels[i + 2])
      return false;
  return true;
}

} // namespace

std::string encodePng(const Bitmap &bitmap) {
  bool grey = isGrey(bitmap);
  auto width = static_cast<size_t>(bitmap.width), step = static_cast<size_t>(grey ? 1 : 3), row = width * step;
  std::string raw;
  raw.reserve((row + 1) * static_cast<size_t>(bitmap.height));
  for (size_t y = 0; y < static_cast<size_t>(bitmap.height); ++y) {
    raw += '\2'; // less the row above
    for (size_t i = 0; i < row; ++i) {
      size_t at = grey ? 3 * (y * width + i) : y * row + i;
      raw += static_cast<char>(bitmap.pixels[at] - (y ? bitmap.pixels[at - 3 * width] : 0));
    }
  }
  uLongf size = compressBound(raw.size());
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef *>(packed.data()), &size, reinterpret_cast<const Bytef *>(raw.data()),
                raw.size(), 9) != Z_OK)
    fail("the picture's %zu bytes could not be packed: too little memory", raw.size());
  packed.resize(size);
  std::string out = "\x89PNG\r\n\x1a\n", header = "IHDR";
  appendWord(header, static_cast<uint32_t>(bitmap.width));
  appendWord(header, static_cast<uint32_t>(bitmap.height));
  header += {8, static_cast<char>(grey ? 0 : 2), 0, 0, 0};
  appendChunk(out, header);
  appendChunk(out, "IDAT" + packed);
  appendChunk(out, "IEND");
  return out;
}

} // namespace kiln::plot
