#include "frontend/plot/Drawing.h"

#include "runtime/support/Utf8.h"

#include <array>

namespace kiln::plot {

namespace {

// Advances of ' ' to '~' in thousandths of the size.
constexpr std::array<short, 95> kAdvances = {
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361,  318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635,  611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352,  635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592,  525, 636, 337, 636, 838};

struct Colours {
  uint32_t page, ink, muted, grid;
  std::array<uint32_t, kSeries> series;
};

constexpr Colours kLight = {
    0xffffff,
    0x1f2328,
    0x59636e,
    0xd8dee4,
    {0x2f6fde, 0xe0521f, 0x1f9d55, 0x9b51e0, 0xc98f00, 0x0b93a0, 0xd6408b, 0x7a5c3e, 0x6b7280, 0x7f9c12}};
constexpr Colours kDark = {
    0x14171c,
    0xe6e9ee,
    0x9aa4b2,
    0x30363d,
    {0x6ea8ff, 0xff8a5c, 0x4fd08a, 0xc492ff, 0xf0c040, 0x4fd3e0, 0xff7ab8, 0xc9a27e, 0xa3abb8, 0xc0dd55}};

/// In thousandths; letters beyond ASCII as wide as most, signs of East Asia as wide as high.
int advance(std::string_view character) {
  auto byte = static_cast<unsigned char>(character[0]);
  if (byte < 0x80)
    return byte >= ' ' && byte <= '~' ? kAdvances[byte - ' '] : 0;
  return byte >= 0xe2 ? (byte == 0xe2 ? 900 : 1000) : 680;
}

} // namespace

double textWidth(std::string_view text, double size) {
  int sum = 0;
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text, at);
    length = length ? length : 1;
    sum += advance(text.substr(at, length));
    at += length;
  }
  return sum * size / 1000;
}

std::string shortened(const std::string &text, double size, double width) {
  if (textWidth(text, size) <= width)
    return text;
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text, at);
    std::string longer = kept + text.substr(at, length ? length : 1);
    if (textWidth(longer + "…", size) > width)
      break;
    kept = longer;
    at += length ? length : 1;
  }
  return kept + "…";
}

uint32_t colourOf(Paint paint, Theme theme) {
  const Colours &colours = theme == Theme::Dark ? kDark : kLight;
  switch (paint.role) {
  case Role::Page:
    return colours.page;
  case Role::Muted:
    return colours.muted;
  case Role::Grid:
    return colours.grid;
  case Role::Series:
    return colours.series[static_cast<size_t>(paint.index % kSeries)];
  case Role::None:
  case Role::Ink:
    break;
  }
  return colours.ink;
}

} // namespace kiln::plot
