// SVG: a class for each role and use; the style sheet says what colour it is, in the light and in the dark.
#include "frontend/plot/Drawing.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <cmath>
#include <map>
#include <utility>

namespace kiln::plot {

namespace {

/// A tenth of a unit is enough for the eye.
std::string number(double value) {
  std::string text = format("%.1f", value);
  if (text.ends_with(".0"))
    text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

/// What is no UTF-8 (a file's name, an argument) is none of XML's either.
std::string escaped(const std::string &text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text, at);
    if (length != 1) {
      out += length ? text.substr(at, length) : "\xef\xbf\xbd";
      at += length ? length : 1;
      continue;
    }
    char c = text[at++];
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    default: // control characters are none of XML's
      out += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

std::string base64(const std::string &bytes) {
  const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k)
      word = word << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? letters[word >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

class Writer {
public:
  Writer(Theme theme) : theme_(theme) {}

  void operator()(const Path &path) {
    body_ += "<path" + classes(path.stroke, path.fill);
    if (path.stroke.role != Role::None) {
      body_ += " stroke-width=\"" + number(path.width) + '"' + opacity("stroke", path.stroke);
      if (path.dashed)
        body_ += " stroke-dasharray=\"5 4\"";
    }
    body_ += opacity("fill", path.fill) + " d=\"";
    for (const std::vector<Point> &piece : path.pieces)
      body_ += outline(piece, path.fill.role != Role::None);
    body_ += "\"/>\n";
  }
  void operator()(const Dots &dots) { // lines without length, with round ends
    body_ += "<path" + classes(dots.paint, {}) + " stroke-width=\"" + number(2 * dots.radius) + '"' +
             opacity("stroke", dots.paint) + " d=\"";
    for (Point place : dots.places)
      body_ += 'M' + number(place.x) + ' ' + number(place.y) + "h0";
    body_ += "\"/>\n";
  }
  void operator()(const Text &text) {
    body_ += "<text" + classes({}, text.paint) + opacity("fill", text.paint) + " x=\"" + number(text.at.x) + "\" y=\"" +
             number(text.at.y) + "\" font-size=\"" + number(text.size) + '"';
    if (text.anchor != Anchor::Start)
      body_ += text.anchor == Anchor::End ? " text-anchor=\"end\"" : " text-anchor=\"middle\"";
    if (text.bold)
      body_ += " font-weight=\"600\"";
    if (text.turned)
      body_ += " transform=\"rotate(-90 " + number(text.at.x) + ' ' + number(text.at.y) + ")\"";
    body_ += '>' + escaped(text.text) + "</text>\n";
  }
  void operator()(const Image &image) {
    body_ += "<image x=\"" + number(image.at.x) + "\" y=\"" + number(image.at.y) + "\" width=\"" + number(image.width) +
             "\" height=\"" + number(image.height) +
             "\" preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64," +
             base64(encodePng(image.bitmap)) + "\"/>\n";
  }

  std::string style() const {
    std::string text = "text{font-family:'DejaVu Sans',Verdana,'Segoe UI',sans-serif;stroke:none}"
                       "path{fill:none;stroke-linecap:round;stroke-linejoin:round}\n";
    text += rules(theme_ == Theme::Dark ? Theme::Dark : Theme::Light);
    if (theme_ == Theme::Auto)
      text += "\n@media (prefers-color-scheme:dark){\n" + rules(Theme::Dark) + "\n}";
    return text;
  }
  const std::string &body() const { return body_; }

private:
  static std::string opacity(const char *what, Paint paint) {
    if (paint.role == Role::None || paint.opacity >= 1)
      return "";
    return format(" %s-opacity=\"%.2g\"", what, paint.opacity);
  }
  /// Relative to the point before, which is shorter.
  static std::string outline(const std::vector<Point> &piece, bool closed) {
    std::string text;
    double x = 0, y = 0;
    for (size_t i = 0; i < piece.size(); ++i) {
      double nextX = std::round(piece[i].x * 10) / 10, nextY = std::round(piece[i].y * 10) / 10;
      std::string dx = number(i ? nextX - x : nextX), dy = number(i ? nextY - y : nextY);
      text += (i ? "l" : "M") + dx + (dy[0] == '-' ? "" : " ") + dy;
      x = nextX;
      y = nextY;
    }
    return closed ? text + 'z' : text;
  }
  std::string classes(Paint stroke, Paint fill) {
    std::string text;
    for (auto [paint, what] : {std::pair(stroke, 's'), {fill, 'f'}}) {
      if (paint.role == Role::None)
        continue;
      std::string name = what + std::to_string(static_cast<int>(paint.role));
      if (paint.role == Role::Series)
        name += '_' + std::to_string(paint.index % kSeries);
      used_[name] = {paint, what};
      text += (text.empty() ? "" : " ") + name;
    }
    return text.empty() ? "" : " class=\"" + text + '"';
  }
  std::string rules(Theme theme) const {
    std::string text;
    for (const auto &[name, use] : used_)
      text += format(".%s{%s:#%06x}", name.c_str(), use.second == 's' ? "stroke" : "fill", colourOf(use.first, theme));
    return text;
  }

  Theme theme_;
  std::string body_;
  std::map<std::string, std::pair<Paint, char>> used_;
};

} // namespace

std::string writeSvg(const Drawing &drawing, Theme theme) {
  Writer writer(theme);
  Drawing page;
  page.box({0, 0}, drawing.width, drawing.height, {Role::Page});
  std::visit(writer, page.shapes[0]);
  for (const Shape &shape : drawing.shapes)
    std::visit(writer, shape);
  std::string size = number(drawing.width), high = number(drawing.height);
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + size + "\" height=\"" + high + "\" viewBox=\"0 0 " +
         size + ' ' + high + "\" role=\"img\">\n" +
         (drawing.title.empty() ? "" : "<title>" + escaped(drawing.title) + "</title>\n") + "<style>" + writer.style() +
         "</style>\n" + writer.body() + "</svg>\n";
}

} // namespace kiln::plot
