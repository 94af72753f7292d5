// Pictures scaled, cut and made numbers.
#include "runtime/files/Picture.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace kiln {

bool isPicture(std::string_view path) {
  size_t dot = path.rfind('.');
  if (dot == std::string_view::npos)
    return false;
  std::string end(path.substr(dot + 1));
  for (char &c : end)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return end == "png" || end == "jpg" || end == "jpeg" || end == "jpe" || end == "jfif" || end == "bmp" || end == "gif";
}

//===-- Sizes ----------------------------------------------------------------------------------------------------===//

namespace {

double triangle(double x) { return std::max(0.0, 1.0 - std::fabs(x)); }

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1)
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

double sinc(double x) { return x == 0 ? 1.0 : std::sin(x * M_PI) / (x * M_PI); }
double lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0.0; }

/// What one row of a result is made of: `weights` of the elements from `first` on.
struct Taps {
  int64_t first = 0;
  std::vector<int32_t> weights;
};

constexpr int weightBits = 22;

/// Of `to` elements from `from`, as Pillow's precompute_coeffs.
std::vector<Taps> tapsOf(int64_t from, int64_t to, Filter filter) {
  double (*weigh)(double) = filter == Filter::Bilinear ? triangle : filter == Filter::Bicubic ? cubic : lanczos;
  double reach = filter == Filter::Bilinear ? 1 : filter == Filter::Bicubic ? 2 : 3;
  double scale = static_cast<double>(from) / static_cast<double>(to), wide = std::max(scale, 1.0);
  double support = reach * wide, narrow = 1.0 / wide;
  std::vector<Taps> all(static_cast<size_t>(to));
  std::vector<double> weights;
  for (int64_t i = 0; i < to; ++i) {
    double center = (static_cast<double>(i) + 0.5) * scale, sum = 0;
    int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    int64_t end = std::min<int64_t>(from, static_cast<int64_t>(center + support + 0.5));
    weights.clear();
    for (int64_t x = first; x < end; ++x) {
      weights.push_back(weigh((static_cast<double>(x) - center + 0.5) * narrow));
      sum += weights.back();
    }
    Taps &taps = all[static_cast<size_t>(i)];
    taps.first = first;
    for (double weight : weights) {
      double part = (sum != 0 ? weight / sum : weight) * (1 << weightBits);
      taps.weights.push_back(static_cast<int32_t>(part < 0 ? part - 0.5 : part + 0.5));
    }
  }
  return all;
}

uint8_t rounded(int64_t sum) { return static_cast<uint8_t>(std::clamp<int64_t>(sum >> weightBits, 0, 255)); }

/// Along one axis: `outer` blocks of that axis, each of whose elements is `inner` bytes.
std::vector<uint8_t> pass(const std::vector<uint8_t> &source, int64_t outer, int64_t from, int64_t to, int64_t inner,
                          Filter filter) {
  std::vector<Taps> all = tapsOf(from, to, filter);
  std::vector<uint8_t> result(static_cast<size_t>(outer * to * inner));
  std::vector<int64_t> sums(static_cast<size_t>(inner));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < to; ++i) {
      const Taps &taps = all[static_cast<size_t>(i)];
      std::fill(sums.begin(), sums.end(), int64_t{1} << (weightBits - 1));
      for (size_t t = 0; t < taps.weights.size(); ++t) {
        const uint8_t *row = source.data() + (o * from + taps.first + static_cast<int64_t>(t)) * inner;
        for (int64_t k = 0; k < inner; ++k)
          sums[static_cast<size_t>(k)] += int64_t{row[k]} * taps.weights[t];
      }
      uint8_t *out = result.data() + (o * to + i) * inner;
      for (int64_t k = 0; k < inner; ++k)
        out[k] = rounded(sums[static_cast<size_t>(k)]);
    }
  return result;
}

/// The middle of a picture, black around it where it is smaller. Halves are rounded to even, as torchvision's
/// center_crop, or down, as transformers'.
Picture middleOf(const Picture &picture, int64_t height, int64_t width, bool down) {
  Picture result{height, width, picture.channels, {}};
  result.pixels.resize(static_cast<size_t>(height * width * picture.channels));
  // Of what is larger the part begins there; of what is smaller it is padded, the larger half behind it.
  auto begin = [&](int64_t has, int64_t wants) -> int64_t {
    if (has < wants)
      return -((wants - has) / 2);
    return down ? (has - wants) / 2 : std::llrint(static_cast<double>(has - wants) / 2.0);
  };
  int64_t top = begin(picture.height, height), left = begin(picture.width, width);
  for (int64_t y = std::max<int64_t>(0, -top); y < height && y + top < picture.height; ++y) {
    int64_t from = std::max<int64_t>(0, left), to = std::max<int64_t>(0, -left);
    int64_t count = std::min(picture.width - from, width - to);
    std::copy_n(picture.pixels.data() + ((y + top) * picture.width + from) * picture.channels, count * picture.channels,
                result.pixels.data() + (y * width + to) * picture.channels);
  }
  return result;
}

} // namespace

/// Where the elements of a result come from, with Pillow's sum of steps.
static std::vector<int64_t> nearestPlaces(int64_t from, int64_t to) {
  double step = static_cast<double>(from) / static_cast<double>(to), at = step * 0.5;
  std::vector<int64_t> places;
  for (int64_t i = 0; i < to; ++i, at += step)
    places.push_back(std::min<int64_t>(from - 1, static_cast<int64_t>(at)));
  return places;
}

Picture resized(const Picture &picture, int64_t height, int64_t width, Filter filter) {
  Picture result{height, width, picture.channels, {}};
  if (filter == Filter::Nearest) {
    std::vector<int64_t> columns = nearestPlaces(picture.width, width);
    for (int64_t row : nearestPlaces(picture.height, height))
      for (int64_t column : columns) {
        auto from = picture.pixels.begin() + (row * picture.width + column) * picture.channels;
        result.pixels.insert(result.pixels.end(), from, from + picture.channels);
      }
    return result;
  }
  result.pixels = picture.pixels;
  if (width != picture.width)
    result.pixels = pass(result.pixels, picture.height, picture.width, width, picture.channels, filter);
  if (height != picture.height)
    result.pixels = pass(result.pixels, 1, picture.height, height, width * picture.channels, filter);
  return result;
}

//===-- Forms ----------------------------------------------------------------------------------------------------===//

/// One number, or one for each channel.
static std::vector<float> ofChannels(const Json *value, size_t channels, double otherwise, const std::string &what) {
  if (!value || !value->isArray())
    return std::vector<float>(channels, static_cast<float>(value ? value->number() : otherwise));
  std::vector<float> all;
  for (const Json &one : value->array())
    all.push_back(static_cast<float>(one.number()));
  if (all.size() != channels)
    fail("%s has %zu numbers for %zu channels", what.c_str(), all.size(), channels);
  return all;
}

PictureForm PictureForm::parse(const Json &options, const std::string &what) {
  PictureForm form;
  const Json &size = options.at("size");
  bool pair = size.isArray() && size.array().size() == 2;
  form.height = (pair ? size.array()[0] : size).integer(1, 1 << 16);
  form.width = (pair ? size.array()[1] : size).integer(1, 1 << 16);
  form.channels = options.integerOr("channels", 3);
  if (form.channels != 1 && form.channels != 3)
    fail("%s: pictures have 1 channel or 3, not %lld", what.c_str(), static_cast<long long>(form.channels));
  form.shortest = options.integerOr("shortest", 0);
  if (form.shortest < 0 || form.shortest > 1 << 16)
    fail("%s: shortest=%lld is not from 1 to 65536", what.c_str(), static_cast<long long>(form.shortest));
  if (const Json *stretch = options.find("stretch"); stretch && !stretch->isNull()) {
    bool both = stretch->isArray() && stretch->array().size() == 2;
    form.tall = (both ? stretch->array()[0] : *stretch).integer(1, 1 << 16);
    form.wide = (both ? stretch->array()[1] : *stretch).integer(1, 1 << 16);
  }
  form.down = options.stringOr("middle", "even") == "down";
  std::string filter = options.stringOr("resample", "bilinear");
  static const std::pair<const char *, Filter> filters[] = {{"nearest", Filter::Nearest},
                                                            {"bilinear", Filter::Bilinear},
                                                            {"bicubic", Filter::Bicubic},
                                                            {"lanczos", Filter::Lanczos}};
  auto found =
      std::find_if(std::begin(filters), std::end(filters), [&](const auto &one) { return one.first == filter; });
  if (found == std::end(filters))
    fail("%s: resample is \"nearest\", \"bilinear\", \"bicubic\" or \"lanczos\", not '%s'", what.c_str(),
         filter.c_str());
  form.filter = found->second;
  size_t channels = static_cast<size_t>(form.channels);
  form.mean = ofChannels(options.find("mean"), channels, 0.0, what + ": mean");
  form.deviation = ofChannels(options.find("std"), channels, 1.0, what + ": std");
  return form;
}

Picture PictureForm::read(const std::string &path) const {
  std::string what = "'" + path + "'";
  return scaled(parsePicture(readFile(path), channels, what), what);
}

Picture PictureForm::scaled(Picture picture, const std::string &what) const {
  if (tall > 0)
    return middleOf(resized(picture, tall, wide, filter), height, width, down);
  if (shortest == 0)
    return picture.height == height && picture.width == width ? picture : resized(picture, height, width, filter);
  // The longer edge is cut to whole pixels, as torchvision's Resize.
  int64_t edge = std::min(picture.height, picture.width);
  int64_t high = shortest * picture.height / edge, broad = shortest * picture.width / edge;
  if (high * broad > int64_t{1} << 26)
    fail("%s is %lld by %lld pixels: too long for a shorter edge of %lld", what.c_str(),
         static_cast<long long>(picture.width), static_cast<long long>(picture.height),
         static_cast<long long>(shortest));
  return middleOf(resized(picture, high, broad, filter), height, width, down);
}

void PictureForm::numbers(const Picture &picture, float *out) const {
  size_t pixels = static_cast<size_t>(height * width), count = static_cast<size_t>(channels);
  for (size_t c = 0; c < count; ++c) {
    float table[256];
    for (int i = 0; i < 256; ++i)
      table[i] = (static_cast<float>(i) / 255.0f - mean[c]) / deviation[c];
    for (size_t p = 0; p < pixels; ++p)
      out[c * pixels + p] = table[picture.pixels[p * count + c]];
  }
}

//===-- Folders --------------------------------------------------------------------------------------------------===//

template <typename Keep> static std::vector<std::string> listed(const std::string &folder, Keep keep) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator each(folder, error), end; !error && each != end; each.increment(error))
    if (std::string name = each->path().filename().string(); !name.starts_with(".") && keep(folder + "/" + name, name))
      names.push_back(name);
  if (error)
    fail("cannot read the folder '%s': %s", folder.c_str(), error.message().c_str());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> picturesIn(const std::string &folder) {
  std::vector<std::string> names = listed(
      folder, [](const std::string &path, const std::string &name) { return isPicture(name) && !isFolder(path); });
  for (std::string &name : names)
    name = folder + "/" + name;
  return names;
}

std::vector<std::string> foldersIn(const std::string &folder) {
  return listed(folder, [](const std::string &path, const std::string &) { return isFolder(path); });
}

} // namespace kiln
