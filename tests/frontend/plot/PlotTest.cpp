// Pictures: round ticks, labels that keep clear of each other, components, and files that say what was drawn.
#include "frontend/plot/Axis.h"
#include "frontend/plot/Chart.h"
#include "frontend/plot/Drawing.h"
#include "frontend/plot/Labels.h"
#include "frontend/plot/Maps.h"
#include "frontend/plot/Project.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <random>
#include <set>

namespace kiln::plot {
namespace {

TEST(Axis, TicksAreRoundAndAllDifferent) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    double size = std::pow(10, static_cast<double>(random() % 16) - 8),
           low = size * (static_cast<double>(random() % 2000) - 1000);
    double high = low + size * static_cast<double>(1 + random() % 5000);
    Axis axis(low, high, false, 6, i % 2 == 0);
    ASSERT_GE(axis.ticks().size(), 2u) << low << " " << high;
    ASSERT_LE(axis.ticks().size(), 16u) << low << " " << high;
    EXPECT_GE(axis.place(low), -1e-9);
    EXPECT_LE(axis.place(high), 1 + 1e-9);
    double step = axis.ticks()[1] - axis.ticks()[0], power = std::pow(10, std::floor(std::log10(step * 1.0001)));
    double lead = step / power;
    EXPECT_LT(std::min({std::abs(lead - 1), std::abs(lead - 2), std::abs(lead - 5)}), 1e-4) << step;
    std::set<std::string> labels;
    for (double tick : axis.ticks()) {
      labels.insert(axis.label(tick));
      EXPECT_GE(axis.place(tick), -1e-9);
      EXPECT_LE(axis.place(tick), 1 + 1e-9);
    }
    EXPECT_EQ(labels.size(), axis.ticks().size()) << low << " " << high;
  }
}

TEST(Axis, OneValueAndLogarithms) {
  Axis one(3, 3, false, 5, true), zero(0, 0, false, 5, true);
  EXPECT_NEAR(one.place(3), 0.5, 0.1);
  EXPECT_NEAR(zero.place(0), 0.5, 0.1);
  Axis decades(1e-6, 1e3, true, 5, false);
  EXPECT_NEAR(decades.place(std::sqrt(1e-3)), 0.5, 1e-9);
  EXPECT_EQ(decades.label(decades.ticks()[0]), "1e-06");
  EXPECT_LE(decades.ticks().size(), 6u);
  Axis all(1e-300, 1e300, true, 5, false);
  EXPECT_NEAR(all.place(1), 0.5, 1e-9);
  EXPECT_LE(all.ticks().size(), 7u);
  EXPECT_EQ(plainNumber(1234567.25, 1), "1,234,567.2");
  EXPECT_EQ(plainNumber(-1234, 0), "-1,234");
  EXPECT_EQ(plainNumber(-0.001, 1), "0.0");
  EXPECT_EQ(plainNumber(999, 0), "999");
}

TEST(Labels, KeepClearOfEachOtherAndOfThePoints) {
  std::mt19937 random(2);
  Labels labels({0, 0, 600, 400});
  std::vector<Point> points;
  for (int i = 0; i < 300; ++i) {
    points.push_back({static_cast<double>(random() % 600), static_cast<double>(random() % 400)});
    labels.add(points.back(), 3, "word" + std::to_string(i));
    labels.keepClear(points.back(), 3);
  }
  Drawing drawing;
  size_t dropped = labels.place(drawing);
  std::vector<Box> boxes;
  for (const Shape &shape : drawing.shapes) {
    if (!std::holds_alternative<Text>(shape)) // a line to a label that stands further off
      continue;
    const Text &text = std::get<Text>(shape);
    Box box = {text.at.x, text.at.y - text.size * 0.8, text.at.x + textWidth(text.text, text.size), text.at.y};
    for (const Box &other : boxes)
      EXPECT_FALSE(box.meets(other)) << text.text;
    for (Point point : points)
      EXPECT_FALSE(box.meets({point.x - 2, point.y - 2, point.x + 2, point.y + 2})) << text.text;
    EXPECT_GE(box.left, 0);
    EXPECT_LE(box.right, 600);
    boxes.push_back(box);
  }
  EXPECT_EQ(dropped + boxes.size(), 300u);
  EXPECT_GT(boxes.size(), 100u);
}

TEST(Project, ComponentsAreThoseOfLargestVariance) {
  // Lengths 10, 3 and 0.5 along three directions at right angles, which are those of columns turned.
  const double turn[3][3] = {{6 / 7.0, 3 / 7.0, 2 / 7.0}, {-3 / 7.0, 2 / 7.0, 6 / 7.0}, {2 / 7.0, -6 / 7.0, 3 / 7.0}};
  const double lengths[3] = {10, 3, 0.5};
  Array points{"points", {6, 3}, {}};
  for (int i = 0; i < 6; ++i)
    for (int k = 0; k < 3; ++k)
      points.values.push_back(7 + (i % 2 ? -1 : 1) * lengths[i / 2] * turn[i / 2][k]);
  Plane plane = principal(points);
  double all = 100 + 9 + 0.25;
  EXPECT_NEAR(plane.shareX, 100 / all, 1e-9);
  EXPECT_NEAR(plane.shareY, 9 / all, 1e-9);
  for (int i = 0; i < 6; ++i) {
    double sign = i % 2 ? -1 : 1;
    EXPECT_NEAR(plane.x[static_cast<size_t>(i)], i / 2 == 0 ? sign * 10 : 0, 1e-6);
    EXPECT_NEAR(plane.y[static_cast<size_t>(i)], i / 2 == 1 ? sign * 3 : 0, 1e-6);
  }
  EXPECT_THROW(principal({"one", {5, 3}, std::vector<double>(15, 1)}), Error);
  EXPECT_THROW(principal({"few", {2, 3}, {1, 2, 3, 4, 5, 7}}), Error);
}

uint32_t wordAt(const std::string &bytes, size_t at) {
  uint32_t word = 0;
  for (size_t i = 0; i < 4; ++i)
    word = word << 8 | static_cast<unsigned char>(bytes[at + i]);
  return word;
}

/// The pixels of a PNG file as written here, its sums checked.
Bitmap decodePng(const std::string &bytes) {
  EXPECT_EQ(bytes.substr(0, 8), "\x89PNG\r\n\x1a\n");
  Bitmap bitmap;
  std::string packed;
  size_t channels = 0;
  for (size_t at = 8; at < bytes.size();) {
    size_t size = wordAt(bytes, at);
    std::string chunk = bytes.substr(at + 4, size + 4);
    EXPECT_EQ(wordAt(bytes, at + 8 + size),
              crc32(0, reinterpret_cast<const Bytef *>(chunk.data()), static_cast<uInt>(chunk.size())));
    if (chunk.starts_with("IHDR")) {
      bitmap.width = static_cast<int>(wordAt(chunk, 4));
      bitmap.height = static_cast<int>(wordAt(chunk, 8));
      channels = chunk[13] == 2 ? 3 : 1;
    }
    if (chunk.starts_with("IDAT"))
      packed += chunk.substr(4);
    at += size + 12;
  }
  size_t row = static_cast<size_t>(bitmap.width) * channels, rows = static_cast<size_t>(bitmap.height);
  std::string raw((row + 1) * rows, '\0');
  uLongf length = raw.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef *>(raw.data()), &length, reinterpret_cast<const Bytef *>(packed.data()),
                       packed.size()),
            Z_OK);
  EXPECT_EQ(length, raw.size());
  for (size_t y = 0; y < rows; ++y)
    for (size_t i = 0; i < row; ++i) {
      char &here = raw[y * (row + 1) + 1 + i];
      if (y && raw[y * (row + 1)] == 2)
        here = static_cast<char>(here + raw[(y - 1) * (row + 1) + 1 + i]);
      for (size_t k = 0; k < 3 / channels; ++k)
        bitmap.pixels.push_back(static_cast<uint8_t>(here));
    }
  return bitmap;
}

TEST(Png, SaysWhatThePixelsAre) {
  std::mt19937 random(3);
  for (bool grey : {false, true}) {
    Bitmap bitmap{17, 9, {}};
    for (int i = 0; i < 17 * 9; ++i)
      for (int k = 0; k < 3; ++k)
        bitmap.pixels.push_back(grey && k ? bitmap.pixels.back() : static_cast<uint8_t>(random()));
    Bitmap back = decodePng(encodePng(bitmap));
    EXPECT_EQ(back.width, 17);
    EXPECT_EQ(back.height, 9);
    EXPECT_EQ(back.pixels, bitmap.pixels);
  }
}

uint32_t pixel(const Bitmap &bitmap, int x, int y) {
  const uint8_t *at = &bitmap.pixels[3 * static_cast<size_t>(y * bitmap.width + x)];
  return static_cast<uint32_t>(at[0] << 16 | at[1] << 8 | at[2]);
}

TEST(Png, ShapesStandWhereTheyAreDrawnInBothThemes) {
  Drawing drawing;
  drawing.width = 40;
  drawing.height = 20;
  drawing.box({4, 2}, 10, 6, series(1));
  drawing.add(Dots{{{30, 5}}, series(2), 4});
  drawing.line({2, 15}, {38, 15}, {Role::Ink}, 2);
  drawing.add(Image{{20, 8}, 2, 2, {1, 1, {1, 2, 3}}});
  for (Theme theme : {Theme::Light, Theme::Dark}) {
    Bitmap bitmap = decodePng(writePng(drawing, theme, 2));
    EXPECT_EQ(bitmap.width, 80);
    EXPECT_EQ(bitmap.height, 40);
    EXPECT_EQ(pixel(bitmap, 1, 1), colourOf({Role::Page}, theme));
    EXPECT_EQ(pixel(bitmap, 8, 4), colourOf(series(1), theme));
    EXPECT_EQ(pixel(bitmap, 27, 15), colourOf(series(1), theme));
    EXPECT_EQ(pixel(bitmap, 7, 4), colourOf({Role::Page}, theme));
    EXPECT_EQ(pixel(bitmap, 28, 15), colourOf({Role::Page}, theme));
    EXPECT_EQ(pixel(bitmap, 60, 10), colourOf(series(2), theme));
    EXPECT_EQ(pixel(bitmap, 40, 30), colourOf({Role::Ink}, theme));
    EXPECT_EQ(pixel(bitmap, 41, 17), 0x010203u);
  }
  EXPECT_NE(colourOf({Role::Page}, Theme::Light), colourOf({Role::Page}, Theme::Dark));
}

TEST(Svg, FollowsTheReaderUnlessToldOtherwise) {
  Chart chart;
  chart.title = "a < b & \"c\"\x01\xff";
  chart.curves = {{"x", Form::Line, 0, {0, 1, 2}, {1, 4, 9}, {}}, {"y", Form::Dots, 1, {1}, {2}, {"<label>"}}};
  size_t dropped = 9;
  Drawing drawing = drawChart(chart, dropped);
  EXPECT_EQ(dropped, 0u);
  std::string text = writeSvg(drawing, Theme::Auto);
  EXPECT_NE(text.find("@media (prefers-color-scheme:dark)"), std::string::npos);
  EXPECT_NE(text.find("a &lt; b &amp; &quot;c&quot; \xef\xbf\xbd</title>"), std::string::npos);
  EXPECT_NE(text.find(">&lt;label&gt;</text>"), std::string::npos);
  for (Theme theme : {Theme::Light, Theme::Dark}) {
    std::string fixed = writeSvg(drawing, theme);
    EXPECT_EQ(fixed.find("@media"), std::string::npos);
    EXPECT_NE(fixed.find(theme == Theme::Dark ? "#14171c" : "#ffffff"), std::string::npos);
  }
}

TEST(Chart, ManyPointsAreDrawnByWhatCanBeSeenOfThem) {
  Chart chart;
  Curve curve;
  for (int i = 0; i < 200000; ++i) {
    curve.x.push_back(i);
    curve.y.push_back(i == 77777 ? 50 : std::sin(i));
  }
  chart.curves = {curve};
  size_t dropped = 0;
  std::string text = writeSvg(drawChart(chart, dropped), Theme::Auto);
  EXPECT_LT(text.size(), 80000u);
  chart.curves[0].y[77777] = 0;
  EXPECT_NE(writeSvg(drawChart(chart, dropped), Theme::Auto), text); // the one that stands out was there
}

TEST(Maps, LongNamesAreTurnedAndCutShort) {
  Matrix matrix;
  matrix.rows = matrix.columns = 2;
  matrix.shades = {0, 0.5, 1, 0.25};
  matrix.rowNames = {"a", std::string(200, 'w')};
  matrix.columnNames = {"short", "a name that is wider than its cell"};
  Drawing drawing = drawMatrix(matrix);
  int turned = 0;
  for (const Shape &shape : drawing.shapes)
    if (const Text *text = std::get_if<Text>(&shape)) {
      double width = textWidth(text->text, text->size);
      turned += text->turned;
      EXPECT_GE(text->anchor == Anchor::End ? text->at.x - width : text->at.x, 0) << text->text;
      EXPECT_GE(text->turned ? text->at.y - width : text->at.y, 0) << text->text;
    }
  EXPECT_EQ(turned, 2);
}

} // namespace
} // namespace kiln::plot
