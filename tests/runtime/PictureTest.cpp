// Pictures: files as they are, sizes as Pillow makes them (tests/fixtures/make_pictures.py), and what is no picture.
#include "runtime/files/Picture.h"
#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cmath>

namespace kiln {
namespace {

using testing::errorOf;
using ::testing::HasSubstr;

const std::string folder = KILN_SOURCE "/tests/fixtures/pictures/";

Picture pictureOf(const TensorView &tensor) {
  Picture picture{tensor.shape[0], tensor.shape[1], tensor.shape.size() > 2 ? tensor.shape[2] : 1, {}};
  picture.pixels.assign(tensor.data, tensor.data + tensor.bytes);
  return picture;
}

Picture parsed(const std::string &name, int64_t channels = 3) {
  return parsePicture(readFile(folder + name), channels, "'" + name + "'");
}

int furthest(const Picture &a, const Picture &b) {
  EXPECT_EQ(a.height, b.height);
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  int most = 0;
  for (size_t i = 0; i < std::min(a.pixels.size(), b.pixels.size()); ++i)
    most = std::max(most, std::abs(a.pixels[i] - b.pixels[i]));
  return most;
}

TEST(Pictures, FilesAreWhatTheyShow) {
  Safetensors all = Safetensors::open(folder + "pictures.safetensors");
  EXPECT_EQ(furthest(parsed("small.png"), pictureOf(*all.find("source"))), 0);
  EXPECT_EQ(furthest(parsed("small.bmp"), pictureOf(*all.find("source"))), 0);
  EXPECT_EQ(furthest(parsed("small.gif"), pictureOf(*all.find("gif"))), 0);
  EXPECT_LE(furthest(parsed("small.jpg"), pictureOf(*all.find("jpg"))), 3); // another decoder than libjpeg's
  EXPECT_EQ(furthest(parsed("small.png", 1), pictureOf(*all.find("grey"))), 0);
  EXPECT_EQ(furthest(parsed("grey.png", 1), pictureOf(*all.find("grey"))), 0);
  Picture grey = parsed("grey.png"); // three channels of the same
  EXPECT_EQ(grey.pixels.size(), 12u * 13 * 3);
  EXPECT_EQ(grey.pixels[0], grey.pixels[2]);
}

/// What is transparent has a colour, too, which is all that is read: of a GIF as of a PNG.
TEST(Pictures, TransparentColoursAreRead) {
  std::string gif = readFile(folder + "small.gif");
  Picture whole = parsed("small.gif");
  size_t tables = 13 + 3 * (size_t{2} << (gif[10] & 7)); // behind the header and its colours
  for (int colour = 0; colour < 16; ++colour) {
    std::string clear = gif;
    clear.insert(tables, std::string("\x21\xf9\x04\x01\x05\0", 6) + static_cast<char>(colour) + std::string(1, '\0'));
    EXPECT_EQ(furthest(parsePicture(clear, 3, "clear"), whole), 0) << colour;
  }
}

TEST(Pictures, SizesAreAsPillowMakesThem) {
  Safetensors all = Safetensors::open(folder + "pictures.safetensors");
  Picture source = pictureOf(*all.find("source"));
  static const std::pair<std::string, Filter> filters[] = {{"nearest", Filter::Nearest},
                                                           {"bilinear", Filter::Bilinear},
                                                           {"bicubic", Filter::Bicubic},
                                                           {"lanczos", Filter::Lanczos}};
  int seen = 0;
  for (const TensorView &tensor : all.tensors())
    for (const auto &[name, filter] : filters)
      if (tensor.name.starts_with(name + ".")) {
        ++seen;
        EXPECT_EQ(furthest(resized(source, tensor.shape[0], tensor.shape[1], filter), pictureOf(tensor)), 0)
            << tensor.name;
      }
  EXPECT_EQ(seen, 9);
}

/// A directory of EXIF with one entry: how the camera was held.
std::string exif(int held, bool little) {
  auto number = [&](uint32_t value, int count) {
    std::string bytes;
    for (int i = 0; i < count; ++i)
      bytes += static_cast<char>(uint64_t{value} >> 8 * (little ? i : count - 1 - i));
    return bytes;
  };
  return (little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) + number(0x112, 2) + number(3, 2) +
         number(1, 4) + number(static_cast<uint32_t>(held), 2) + number(0, 6);
}

TEST(Pictures, StandUpright) {
  Safetensors all = Safetensors::open(folder + "pictures.safetensors");
  std::string png = readFile(folder + "small.png"), jpg = readFile(folder + "small.jpg");
  for (int held = 1; held <= 8; ++held)
    for (bool little : {true, false}) {
      std::string way = ".way" + std::to_string(held), tiff = exif(held, little), chunk = png, segment = jpg;
      chunk.insert(33, std::string(3, '\0') + static_cast<char>(tiff.size()) + "eXIf" + tiff + "CRC?"); // behind IHDR
      segment.insert(2, std::string("\xff\xe1\0", 3) + static_cast<char>(tiff.size() + 8) + std::string("Exif\0\0", 6) +
                            tiff);
      EXPECT_EQ(furthest(parsePicture(chunk, 3, "png"), pictureOf(*all.find("png" + way))), 0) << held;
      EXPECT_EQ(furthest(parsePicture(chunk, 3, "png", /*turns=*/false), parsePicture(png, 3, "png")), 0) << held;
      EXPECT_LE(furthest(parsePicture(segment, 3, "jpg"), pictureOf(*all.find("jpg" + way))), 3) << held;
      for (size_t size = 0; size < tiff.size(); ++size) { // a directory that is cut says nothing
        std::string cut = jpg;
        cut.insert(2, std::string("\xff\xe1\0", 3) + static_cast<char>(size + 8) + std::string("Exif\0\0", 6) +
                          tiff.substr(0, size));
        EXPECT_EQ(parsePicture(cut, 3, "jpg").pixels.size(), 12u * 13 * 3);
      }
    }
  EXPECT_EQ(parsePicture(std::string(jpg).insert(2, std::string("\xff\xe1\0\x16", 4) + std::string("Exif\0\0", 6) +
                                                        exif(9, true).substr(0, 14)),
                         3, "jpg")
                .height,
            12);
}

TEST(Pictures, TheMiddleOfStretchedOnesIsCutOut) {
  Picture whole = parsed("small.png"), wide = resized(whole, 9, 12, Filter::Bicubic);
  PictureForm form = PictureForm::parse(
      Json::parse(R"({"size":[4,5],"stretch":[9,12],"middle":"down","resample":"bicubic"})", "form"), "form");
  Picture middle = form.read(folder + "small.png");
  for (int64_t y = 0; y < 4; ++y) // (9 - 4) / 2 is 2.5, and (12 - 5) / 2 3.5: down to 2 and 3
    for (int64_t x = 0; x < 15; ++x)
      EXPECT_EQ(middle.pixels[static_cast<size_t>(y * 15 + x)],
                wide.pixels[static_cast<size_t>((y + 2) * 36 + 3 * 3 + x)]);
}

TEST(Pictures, TheMiddleIsCutOut) {
  PictureForm form = PictureForm::parse(
      Json::parse(R"({"size":[5,4],"shortest":12,"channels":1,"mean":0.5,"std":0.5})", "form"), "form");
  Picture whole = parsed("grey.png", 1), middle = form.read(folder + "grey.png");
  for (int64_t y = 0; y < 5; ++y) // 12 x 13 stay: the shorter edge is 12; (12 - 5) / 2 is 3.5, to even 4, and 4.5 to 4
    for (int64_t x = 0; x < 4; ++x)
      EXPECT_EQ(middle.pixels[static_cast<size_t>(y * 4 + x)], whole.pixels[static_cast<size_t>((y + 4) * 13 + x + 4)]);
  std::vector<float> numbers(20);
  form.numbers(middle, numbers.data());
  EXPECT_FLOAT_EQ(numbers[7], (static_cast<float>(middle.pixels[7]) / 255.0f - 0.5f) / 0.5f);
  form.height = 15; // of 12 rows: one and a half black ones in front, the larger half behind
  Picture padded = form.read(folder + "grey.png");
  EXPECT_EQ(padded.pixels[1 * 4 - 4], 0);
  EXPECT_EQ(padded.pixels[1 * 4], whole.pixels[4]);
  EXPECT_EQ(padded.pixels[13 * 4], 0);
}

TEST(Pictures, WhatIsNoneIsTold) {
  EXPECT_THAT(errorOf([] { parsePicture("hello", 3, "'a.png'"); }),
              HasSubstr("'a.png' is no picture that can be read"));
  EXPECT_THAT(errorOf([] { parsePicture("", 3, "'a.png'"); }), HasSubstr("is no picture"));
  std::string png = readFile(folder + "small.png");
  EXPECT_THAT(errorOf([&] { parsePicture(png.substr(0, 100), 3, "'a.png'"); }),
              HasSubstr("'a.png' is a damaged picture"));
  for (std::string name : {"small.bmp", "small.gif", "small.jpg"})
    for (size_t less : {30, 100}) {
      std::string whole = readFile(folder + name);
      EXPECT_THAT(errorOf([&] { parsePicture(whole.substr(0, whole.size() - less), 3, "'" + name + "'"); }),
                  HasSubstr("'" + name + "' is a damaged picture"))
          << less;
    }
  std::string huge = png; // 10000 by 10000, it says
  for (size_t at : {size_t{16}, size_t{20}})
    huge.replace(at, 4, std::string("\0\0\x27\x10", 4));
  EXPECT_THAT(errorOf([&] { parsePicture(huge, 3, "'a.png'"); }), HasSubstr("at most 67108864 in all are read"));
  auto form = [](const char *text) { return errorOf([&] { PictureForm::parse(Json::parse(text, "form"), "x"); }); };
  EXPECT_THAT(form(R"({"size":8,"channels":2})"), HasSubstr("1 channel or 3"));
  EXPECT_THAT(form(R"({"size":8,"mean":[1,2]})"), HasSubstr("2 numbers for 3 channels"));
  EXPECT_THAT(form(R"({"size":8,"resample":"box"})"), HasSubstr("not 'box'"));
}

TEST(Pictures, AreKnownByTheirNames) {
  for (const char *name : {"a.png", "b.JPG", "c/d.jpeg", "e.bmp", "f.gif"})
    EXPECT_TRUE(isPicture(name)) << name;
  for (const char *name : {"png", "a.npy", "b.png.gz", ""})
    EXPECT_FALSE(isPicture(name)) << name;
}

} // namespace
} // namespace kiln
