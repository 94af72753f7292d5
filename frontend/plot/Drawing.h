// A picture as a list of shapes whose colours are named by what they are for, so that one drawing has a light and a
// dark form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kiln::plot {

/// What a colour is for; a theme says which one it is.
enum class Role : uint8_t { None, Page, Ink, Muted, Grid, Series };

struct Paint {
  Role role = Role::None;
  int index = 0; // of a series
  double opacity = 1;
};

inline Paint series(int index, double opacity = 1) { return {Role::Series, index, opacity}; }

struct Point {
  double x = 0, y = 0;
};

/// Pieces of lines, or polygons where it is filled.
struct Path {
  std::vector<std::vector<Point>> pieces;
  Paint stroke, fill;
  double width = 1;
  bool dashed = false;
};

/// Round marks of one size.
struct Dots {
  std::vector<Point> places;
  Paint paint;
  double radius = 3;
};

enum class Anchor : uint8_t { Start, Middle, End };

/// Text on a baseline; `turned` runs upwards.
struct Text {
  Point at;
  std::string text;
  double size = 12;
  Paint paint = {Role::Ink};
  Anchor anchor = Anchor::Start;
  bool bold = false, turned = false;
};

/// Pixels as they are, whatever the theme: 8 bits of red, green and blue.
struct Bitmap {
  int width = 0, height = 0;
  std::vector<uint8_t> pixels;
};

struct Image {
  Point at;
  double width = 0, height = 0;
  Bitmap bitmap;
};

using Shape = std::variant<Path, Dots, Text, Image>;

struct Drawing {
  double width = 0, height = 0;
  std::string title; // for those who cannot see it
  std::vector<Shape> shapes;

  void add(Shape shape) { shapes.push_back(std::move(shape)); }
  void line(Point from, Point to, Paint paint, double thick = 1) { add(Path{{{from, to}}, paint, {}, thick}); }
  void box(Point at, double wide, double high, Paint fill) {
    add(Path{{{at, {at.x + wide, at.y}, {at.x + wide, at.y + high}, {at.x, at.y + high}}}, {}, fill});
  }
};

/// Of labels, of titles, and of what is left free around a picture; in pixels.
constexpr double kSmall = 12, kTitle = 15, kEdge = 16;

/// How wide a text is: DejaVu Sans, which is among the widest, so that what fits by it fits in a reader's own font.
double textWidth(std::string_view text, double size);
/// The text, or its beginning and "…" where it is wider than that.
std::string shortened(const std::string &text, double size, double width);

enum class Theme : uint8_t { Auto, Light, Dark };

/// 0xRRGGBB of a role; Auto is Light here.
uint32_t colourOf(Paint paint, Theme theme);
constexpr int kSeries = 10;

/// An SVG file; with Auto it is dark where the reader's browser is.
std::string writeSvg(const Drawing &drawing, Theme theme);
/// A PNG file of `scale` pixels a unit. Throws Error where there is no font for its texts.
std::string writePng(const Drawing &drawing, Theme theme, double scale);
/// The pixels as a PNG file.
std::string encodePng(const Bitmap &bitmap);

} // namespace kiln::plot
