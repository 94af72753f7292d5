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

Picture parsePicture(std::string_view bytes, int64_t channels, const std::string &what) {
  constexpr int64_t mostPixels = int64_t{1} << 28;
  auto *data = reinterpret_cast<const stbi_uc *>(bytes.data());
  int size = static_cast<int>(bytes.size()), width = 0, height = 0, own = 0;
  if (bytes.size() > INT32_MAX)
    fail("%s has %zu bytes: too large for a picture", what.c_str(), bytes.size());
  if (!stbi_info_from_memory(data, size, &width, &height, &own))
    fail("%s is no picture that can be read (%s): PNG, JPEG, BMP and GIF are", what.c_str(), stbi_failure_reason());
  if (int64_t{width} * height > mostPixels || width < 1 || height < 1)
    fail("%s is %d by %d pixels; at most %lld in all are read", what.c_str(), width, height,
         static_cast<long long>(mostPixels));
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
  return picture;
}

} // namespace kiln
