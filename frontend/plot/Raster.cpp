// The same drawing as pixels. FreeType fills outlines smoothly, those of its letters and any other: shapes are given to
// it as outlines, lines by way of its stroker.
#include "frontend/plot/Drawing.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <freetype/freetype.h>
#include <freetype/ftoutln.h>
#include <freetype/ftstroke.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace kiln::plot {

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr size_t kMostOfPiece = 2000; // of one piece of a line: FreeType counts an outline's points in 16 bits

struct Canvas {
  Bitmap bitmap;
  uint32_t colour = 0;
  double opacity = 1;

  void blend(int y, int x, int count, double cover) {
    if (y < 0 || y >= bitmap.height)
      return;
    for (int i = std::max(x, 0); i < std::min(x + count, bitmap.width); ++i) {
      uint8_t *pixel =
          &bitmap.pixels[3 * (static_cast<size_t>(y) * static_cast<size_t>(bitmap.width) + static_cast<size_t>(i))];
      for (int k = 0; k < 3; ++k) {
        double over = colour >> (16 - 8 * k) & 255;
        pixel[k] = static_cast<uint8_t>(std::lround(pixel[k] + (over - pixel[k]) * cover));
      }
    }
  }
};

/// FreeType's y grows upwards.
void spans(int y, int count, const FT_Span *span, void *user) {
  auto *canvas = static_cast<Canvas *>(user);
  for (int i = 0; i < count; ++i)
    canvas->blend(canvas->bitmap.height - 1 - y, span[i].x, span[i].len, span[i].coverage / 255.0 * canvas->opacity);
}

class Rasteriser {
public:
  Rasteriser(const Drawing &drawing, Theme theme, double scale) : theme_(theme), scale_(scale) {
    canvas_.bitmap.width = static_cast<int>(std::ceil(drawing.width * scale));
    canvas_.bitmap.height = static_cast<int>(std::ceil(drawing.height * scale));
    size_t pixels = static_cast<size_t>(canvas_.bitmap.width) * static_cast<size_t>(canvas_.bitmap.height);
    if (pixels > size_t{1} << 26)
      fail("the picture would have %d × %d pixels; make it smaller by --width, --height or --scale",
           canvas_.bitmap.width, canvas_.bitmap.height);
    uint32_t page = colourOf({Role::Page}, theme);
    for (size_t i = 0; i < pixels; ++i)
      for (int shift = 16; shift >= 0; shift -= 8)
        canvas_.bitmap.pixels.push_back(static_cast<uint8_t>(page >> shift & 255));
    if (FT_Init_FreeType(&library_))
      fail("FreeType does not start");
  }
  ~Rasteriser() { FT_Done_FreeType(library_); } // its faces too
  Rasteriser(const Rasteriser &) = delete;
  Rasteriser &operator=(const Rasteriser &) = delete;

  void operator()(const Path &path) {
    if (path.fill.role != Role::None) {
      take(path.fill);
      for (const std::vector<Point> &piece : path.pieces)
        polygon(piece);
    }
    if (path.stroke.role != Role::None) {
      take(path.stroke);
      for (const std::vector<Point> &piece : path.pieces)
        for (const std::vector<Point> &part : path.dashed ? dashes(piece) : std::vector<std::vector<Point>>{piece})
          for (size_t at = 0; at + 1 < part.size(); at += kMostOfPiece - 1)
            stroke({part.begin() + static_cast<ptrdiff_t>(at),
                    part.begin() + static_cast<ptrdiff_t>(std::min(part.size(), at + kMostOfPiece))},
                   path.width, path.fill.role != Role::None);
    }
  }
  void operator()(const Dots &dots) {
    take(dots.paint);
    for (Point place : dots.places) {
      std::vector<Point> circle;
      for (int i = 0; i < 32; ++i)
        circle.push_back(
            {place.x + dots.radius * std::cos(i * kPi / 16), place.y + dots.radius * std::sin(i * kPi / 16)});
      polygon(circle);
    }
  }
  void operator()(const Text &text) {
    take(text.paint);
    FT_Face face = font(text.bold);
    FT_Set_Char_Size(face, 0, static_cast<FT_F26Dot6>(std::lround(64 * text.size * scale_)), 72, 72);
    std::vector<FT_UInt> glyphs;
    double width = 0;
    for (size_t at = 0; at < text.text.size();) {
      size_t length = std::max<size_t>(utf8Length(text.text, at), 1);
      glyphs.push_back(FT_Get_Char_Index(face, codePoint(text.text.substr(at, length))));
      at += length;
      if (!FT_Load_Glyph(face, glyphs.back(), FT_LOAD_NO_BITMAP | FT_LOAD_NO_HINTING))
        width += static_cast<double>(face->glyph->advance.x);
    }
    double along = text.anchor == Anchor::Start ? 0 : text.anchor == Anchor::Middle ? -width / 2 : -width;
    double x = 64 * scale_ * text.at.x, y = 64 * (canvas_.bitmap.height - scale_ * text.at.y);
    FT_Matrix turn = {0, -0x10000, 0x10000, 0};
    for (FT_UInt glyph : glyphs) {
      if (FT_Load_Glyph(face, glyph, FT_LOAD_NO_BITMAP | FT_LOAD_NO_HINTING))
        continue;
      FT_Outline *outline = &face->glyph->outline;
      auto advance = static_cast<double>(face->glyph->advance.x);
      if (text.turned)
        FT_Outline_Transform(outline, &turn);
      FT_Outline_Translate(outline, std::lround(text.turned ? x : x + along), std::lround(text.turned ? y + along : y));
      fill(outline);
      along += advance;
    }
  }
  void operator()(const Image &image) {
    int left = static_cast<int>(std::lround(image.at.x * scale_)),
        top = static_cast<int>(std::lround(image.at.y * scale_));
    int wide = static_cast<int>(std::lround(image.width * scale_)),
        high = static_cast<int>(std::lround(image.height * scale_));
    for (int y = 0; y < high; ++y)
      for (int x = 0; x < wide; ++x) {
        const Bitmap &from = image.bitmap;
        auto row = static_cast<size_t>(static_cast<int64_t>(y) * from.height / high),
             column = static_cast<size_t>(static_cast<int64_t>(x) * from.width / wide);
        const uint8_t *pixel = &from.pixels[3 * (row * static_cast<size_t>(from.width) + column)];
        canvas_.colour = static_cast<uint32_t>(pixel[0] << 16 | pixel[1] << 8 | pixel[2]);
        canvas_.blend(top + y, left + x, 1, 1);
      }
  }
  const Bitmap &bitmap() const { return canvas_.bitmap; }

private:
  void take(Paint paint) {
    canvas_.colour = colourOf(paint, theme_);
    canvas_.opacity = paint.opacity;
  }
  FT_Vector vector(Point point) const {
    return {std::lround(64 * scale_ * point.x), std::lround(64 * (canvas_.bitmap.height - scale_ * point.y))};
  }
  void fill(FT_Outline *outline) {
    FT_Raster_Params params = {};
    params.flags = FT_RASTER_FLAG_AA | FT_RASTER_FLAG_DIRECT | FT_RASTER_FLAG_CLIP;
    params.gray_spans = spans;
    params.user = &canvas_;
    params.clip_box = {0, 0, canvas_.bitmap.width, canvas_.bitmap.height};
    FT_Outline_Render(library_, outline, &params);
  }
  void polygon(const std::vector<Point> &piece) {
    std::vector<FT_Vector> points;
    for (Point point : piece)
      points.push_back(vector(point));
    std::vector<char> tags(points.size(), FT_CURVE_TAG_ON);
    auto last = static_cast<short>(points.size() - 1);
    FT_Outline outline = {1, static_cast<short>(points.size()), points.data(), tags.data(), &last, FT_OUTLINE_NONE};
    if (points.size() >= 3 && points.size() <= kMostOfPiece)
      fill(&outline);
  }
  void stroke(const std::vector<Point> &piece, double width, bool closed) {
    FT_Stroker stroker = nullptr;
    if (FT_Stroker_New(library_, &stroker))
      return;
    FT_Stroker_Set(stroker, std::lround(32 * scale_ * width), FT_STROKER_LINECAP_ROUND, FT_STROKER_LINEJOIN_ROUND, 0);
    FT_Vector begin = vector(piece[0]);
    FT_Stroker_BeginSubPath(stroker, &begin, !closed);
    for (size_t i = 1; i < piece.size(); ++i) {
      FT_Vector to = vector(piece[i]);
      FT_Stroker_LineTo(stroker, &to);
    }
    FT_Stroker_EndSubPath(stroker);
    FT_UInt points = 0, contours = 0;
    FT_Outline outline;
    if (!FT_Stroker_GetCounts(stroker, &points, &contours) && points < 32768 &&
        !FT_Outline_New(library_, points, static_cast<FT_Int>(contours), &outline)) {
      outline.n_points = outline.n_contours = 0;
      FT_Stroker_Export(stroker, &outline);
      fill(&outline);
      FT_Outline_Done(library_, &outline);
    }
    FT_Stroker_Done(stroker);
  }
  static std::vector<std::vector<Point>> dashes(const std::vector<Point> &piece) {
    std::vector<std::vector<Point>> parts;
    double left = 5;
    bool on = true;
    for (size_t i = 0; i + 1 < piece.size(); ++i) {
      Point from = piece[i], to = piece[i + 1];
      if (on && (parts.empty() || i == 0))
        parts.push_back({from});
      double length = std::hypot(to.x - from.x, to.y - from.y), done = 0;
      while (length - done > left) {
        done += left;
        Point at = {from.x + (to.x - from.x) * done / length, from.y + (to.y - from.y) * done / length};
        if (on)
          parts.back().push_back(at);
        else
          parts.push_back({at});
        on = !on;
        left = on ? 5 : 4;
      }
      left -= length - done;
      if (on)
        parts.back().push_back(to);
    }
    return parts;
  }
  static FT_ULong codePoint(const std::string &character) {
    auto lead = static_cast<unsigned char>(character[0]);
    FT_ULong code = character.size() == 1 ? lead : lead & (0x7fU >> character.size());
    for (size_t i = 1; i < character.size(); ++i)
      code = code << 6 | (static_cast<unsigned char>(character[i]) & 0x3fU);
    return code;
  }
  FT_Face font(bool bold) {
    FT_Face &face = faces_[bold];
    if (face)
      return face;
    const char *given = std::getenv("KILN_FONT");
    std::string folder = "/usr/share/fonts/truetype/dejavu/DejaVuSans";
    std::string path = given ? given : folder + (bold ? "-Bold.ttf" : ".ttf");
    if (FT_New_Face(library_, path.c_str(), 0, &face))
      fail("there is no font '%s' for the texts of a PNG file: %s, or draw an .svg file, which needs none",
           path.c_str(),
           given ? "let KILN_FONT name a TrueType or OpenType font"
                 : "install fonts-dejavu-core, let KILN_FONT name a font");
    return face;
  }

  Theme theme_;
  double scale_;
  Canvas canvas_;
  FT_Library library_ = nullptr;
  FT_Face faces_[2] = {};
};

} // namespace

std::string writePng(const Drawing &drawing, Theme theme, double scale) {
  Rasteriser rasteriser(drawing, theme, scale);
  for (const Shape &shape : drawing.shapes)
    std::visit(rasteriser, shape);
  return encodePng(rasteriser.bitmap());
}

} // namespace kiln::plot
