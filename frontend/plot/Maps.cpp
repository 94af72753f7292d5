// Cells side by side: the names around them take what room they need.
#include "frontend/plot/Maps.h"

#include <algorithm>
#include <cmath>

namespace kiln::plot {

namespace {

double widest(const std::vector<std::string> &texts, double most) {
  double width = 0;
  for (const std::string &text : texts)
    width = std::max(width, textWidth(text, kSmall));
  return std::min(width, most);
}

double title(Drawing &drawing, const std::string &text) {
  drawing.title = text;
  if (text.empty())
    return kEdge;
  drawing.add(Text{{kEdge, kEdge + kTitle},
                   shortened(text, kTitle, drawing.width - 2 * kEdge),
                   kTitle,
                   {Role::Ink},
                   Anchor::Start,
                   true});
  return kEdge + kTitle + 14;
}

/// From the page's colour to the first series', with what its ends are.
void scale(Drawing &drawing, const Matrix &matrix, double x, double y) {
  drawing.add(Text{{x, y + 10}, matrix.low, kSmall, {Role::Muted}});
  x = std::round(x + textWidth(matrix.low, kSmall) + 6);
  for (int i = 0; i < 20; ++i)
    drawing.box({x + 5 * i, y}, 5, 12, series(0, i / 19.0));
  drawing.add(Path{{{{x, y}, {x + 100, y}, {x + 100, y + 12}, {x, y + 12}, {x, y}}}, {Role::Grid}, {}, 1});
  drawing.add(Text{{x + 106, y + 10}, matrix.high, kSmall, {Role::Muted}});
}

} // namespace

Drawing drawMatrix(const Matrix &matrix) {
  Drawing drawing;
  double text = 0;
  for (const std::string &one : matrix.texts)
    text = std::max(text, textWidth(one, 11));
  auto most = static_cast<double>(std::max(matrix.rows, matrix.columns));
  double cell = std::clamp(460 / most, matrix.rowNames.empty() && matrix.columnNames.empty() ? 2.0 : 15.0, 44.0);
  cell = std::floor(std::max(cell, matrix.texts.empty() ? 0 : text + 8)); // edges between pixels show
  double nameWidth = widest(matrix.rowNames, 180), columnWidth = widest(matrix.columnNames, 180);
  bool turned = columnWidth > cell - 4;
  double wide = cell * static_cast<double>(matrix.columns), high = cell * static_cast<double>(matrix.rows);
  double left = std::round(kEdge + nameWidth + (nameWidth > 0 ? 8 : 0) + (matrix.rowLabel.empty() ? 0 : 22));
  double titleWidth = textWidth(matrix.title, kTitle) * 1.12;
  double scaleWidth = matrix.low.empty() ? 0 : 112 + textWidth(matrix.low + matrix.high, kSmall);
  drawing.width = std::max(left + std::max(wide, scaleWidth) + kEdge, std::min(titleWidth + 2 * kEdge, 720.0));
  double top = title(drawing, matrix.title);
  if (!matrix.columnLabel.empty()) {
    drawing.add(Text{{left + wide / 2, top + 10}, matrix.columnLabel, kSmall, {Role::Muted}, Anchor::Middle});
    top += 22;
  }
  top = std::round(top + (matrix.columnNames.empty() ? 0 : turned ? columnWidth + 8 : 20));
  drawing.height = top + high + kEdge + (matrix.low.empty() ? 0 : 26);
  if (!matrix.rowLabel.empty())
    drawing.add(
        Text{{kEdge + 10, top + high / 2}, matrix.rowLabel, kSmall, {Role::Muted}, Anchor::Middle, false, true});
  for (size_t i = 0; i < matrix.rowNames.size(); ++i)
    drawing.add(Text{{left - 8, top + cell * (static_cast<double>(i) + 0.5) + 4},
                     shortened(matrix.rowNames[i], kSmall, 180),
                     kSmall,
                     {Role::Ink},
                     Anchor::End});
  for (size_t i = 0; i < matrix.columnNames.size(); ++i) {
    double x = left + cell * (static_cast<double>(i) + 0.5);
    std::string name = shortened(matrix.columnNames[i], kSmall, 180);
    drawing.add(turned ? Text{{x + 4, top - 8}, name, kSmall, {Role::Ink}, Anchor::Start, false, true}
                       : Text{{x, top - 8}, name, kSmall, {Role::Ink}, Anchor::Middle});
  }
  for (size_t i = 0; i < matrix.shades.size(); ++i) {
    Point at = {left + cell * static_cast<double>(i % matrix.columns),
                top + cell * static_cast<double>(i / matrix.columns)};
    double shade = std::round(matrix.shades[i] * 100) / 100;
    if (shade > 0)
      drawing.box(at, cell, cell, series(0, shade));
    if (!matrix.texts.empty() && !matrix.texts[i].empty())
      drawing.add(Text{{at.x + cell / 2, at.y + cell / 2 + 4},
                       matrix.texts[i],
                       11,
                       {shade > 0.68 ? Role::Page : Role::Ink},
                       Anchor::Middle});
  }
  drawing.add(Path{{{{left, top}, {left + wide, top}, {left + wide, top + high}, {left, top + high}, {left, top}}},
                   {Role::Muted},
                   {},
                   1});
  if (!matrix.low.empty())
    scale(drawing, matrix, left, top + high + 14);
  return drawing;
}

Drawing drawGallery(const Gallery &gallery) {
  Drawing drawing;
  double wide = 0, high = 0;
  for (const Bitmap &image : gallery.images) {
    double unit = gallery.cell / std::max(image.width, image.height);
    wide = std::max(wide, image.width * unit);
    high = std::max(high, image.height * unit);
  }
  double nameWidth = widest(gallery.rowNames, 180), gap = 4, below = gallery.names.empty() ? 0 : 16;
  size_t columns = std::min(gallery.columns, gallery.images.size()),
         rows = (gallery.images.size() + columns - 1) / columns;
  double left = kEdge + nameWidth + (nameWidth > 0 ? 10 : 0);
  drawing.width = std::max(left + (wide + gap) * static_cast<double>(columns) - gap + kEdge,
                           std::min(textWidth(gallery.title, kTitle) * 1.12 + 2 * kEdge, 720.0));
  double top = title(drawing, gallery.title);
  drawing.height = top + (high + gap + below) * static_cast<double>(rows) - gap + kEdge;
  for (size_t i = 0; i < gallery.images.size(); ++i) {
    Point at = {left + (wide + gap) * static_cast<double>(i % columns),
                top + (high + gap + below) * static_cast<double>(i / columns)};
    if (i % columns == 0 && !gallery.rowNames.empty())
      drawing.add(Text{{left - 10, at.y + high / 2 + 4},
                       shortened(gallery.rowNames[i / columns], kSmall, 180),
                       kSmall,
                       {Role::Ink},
                       Anchor::End});
    drawing.add(Image{at, wide, high, gallery.images[i]});
    if (!gallery.names.empty())
      drawing.add(Text{{at.x + wide / 2, at.y + high + 13},
                       shortened(gallery.names[i], 11, wide),
                       11,
                       {Role::Muted},
                       Anchor::Middle});
    for (const Found &one : gallery.found.empty() ? std::vector<Found>{} : gallery.found[i]) {
      double x = std::clamp(one.x - one.width / 2, 0.0, 1.0), y = std::clamp(one.y - one.height / 2, 0.0, 1.0);
      double right = std::clamp(one.x + one.width / 2, 0.0, 1.0), bottom = std::clamp(one.y + one.height / 2, 0.0, 1.0);
      Point a = {at.x + x * wide, at.y + y * high}, b = {at.x + right * wide, at.y + bottom * high};
      drawing.add(Path{{{a, {b.x, a.y}, b, {a.x, b.y}, a}}, series(one.colour), {}, 2});
      if (!one.text.empty()) {
        double room = textWidth(one.text, 11) + 4, y0 = a.y - at.y >= 14 ? a.y - 14 : a.y;
        double x0 = std::min(a.x, at.x + wide - room);
        drawing.box({x0, y0}, room, 14, series(one.colour));
        drawing.add(Text{{x0 + 2, y0 + 11}, one.text, 11, {Role::Page}});
      }
    }
  }
  return drawing;
}

} // namespace kiln::plot
