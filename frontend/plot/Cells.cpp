// The pictures that are made of cells: attention, confusion, images.
#include "frontend/plot/Axis.h"
#include "frontend/plot/Maps.h"
#include "frontend/plot/Write.h"

#include "runtime/support/Error.h"
#include "runtime/support/Tensor.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace kiln::plot {

namespace {

/// The matrix that `--at 0,1` picks of one with leading axes.
Array matrixAt(Array array, const std::string &at, int64_t rank) {
  std::vector<int64_t> indices;
  for (size_t begin = 0; begin < at.size();) {
    size_t end = std::min(at.find(',', begin), at.size());
    int64_t index = -1;
    auto [last, error] = std::from_chars(at.data() + begin, at.data() + end, index);
    if (error != std::errc() || last != at.data() + end || index < 0)
      throw UsageError("--at " + at + ": expected numbers from 0, separated by commas");
    indices.push_back(index);
    begin = end + 1;
  }
  while (array.rank() > rank && indices.empty() && array.shape[0] == 1)
    array.shape.erase(array.shape.begin());
  if (array.rank() < rank)
    fail("%s has the shape %s; a map has rows and columns", array.what.c_str(), describeShape(array.shape).c_str());
  if (array.rank() - static_cast<int64_t>(indices.size()) != rank)
    fail("%s has %lld axes; a picture shows %lld: --at names the others' places, as --at %s", array.what.c_str(),
         static_cast<long long>(array.rank()), static_cast<long long>(rank), array.rank() == rank + 2 ? "0,1" : "0");
  for (int64_t index : indices) {
    if (index >= array.shape[0])
      fail("--at %s: %s has %lld there", at.c_str(), array.what.c_str(), static_cast<long long>(array.shape[0]));
    auto size = static_cast<ptrdiff_t>(array.width());
    array.values = {array.values.begin() + index * size, array.values.begin() + (index + 1) * size};
    array.shape.erase(array.shape.begin());
  }
  return array;
}

void requireNames(const std::vector<std::string> &names, size_t count, const char *option) {
  if (!names.empty() && names.size() != count)
    fail("%s names %zu, and there are %zu", option, names.size(), count);
}

} // namespace

void plotAttention(const Options &options) {
  Array array = matrixAt(readArray(options.sources[0]), options.at, 2);
  std::vector<std::string> rowNames = wordsOf(options.rows), columnNames = wordsOf(options.cells);
  auto width = static_cast<size_t>(array.shape[1]);
  // What is named may be less than what was computed: behind a sentence there is padding.
  size_t rows = rowNames.empty() ? static_cast<size_t>(array.shape[0]) : rowNames.size();
  size_t columns = columnNames.empty() ? width : columnNames.size();
  if (rows > static_cast<size_t>(array.shape[0]) || columns > width)
    fail("%s is %s; --rows names %zu and --columns %zu", array.what.c_str(), describeShape(array.shape).c_str(), rows,
         columns);
  if (rows > 256 || columns > 256)
    fail("%s: %zu × %zu cells; a picture shows up to 256 × 256 (name fewer by --rows and --columns)",
         array.what.c_str(), rows, columns);
  Matrix matrix;
  matrix.title = options.title;
  matrix.rowLabel = options.yLabel;
  matrix.columnLabel = options.xLabel;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.rowNames = rowNames;
  matrix.columnNames = columnNames;
  double most = 0;
  for (size_t row = 0; row < rows; ++row)
    for (size_t column = 0; column < columns; ++column) {
      double value = array.values[row * width + column];
      if (value < 0)
        fail("%s holds %s at [%zu, %zu]: attention is a share, from 0", array.what.c_str(), shortest(value).c_str(),
             row, column);
      most = std::max(most, value);
      matrix.shades.push_back(value);
      if (options.values)
        matrix.texts.push_back(value < 0.005 ? "" : format("%.2f", value).substr(value < 0.995 ? 1 : 0));
    }
  for (double &shade : matrix.shades)
    shade = most > 0 ? shade / most : 0;
  matrix.low = "0";
  matrix.high = format("%.2f", most);
  writeDrawing(drawMatrix(matrix), options);
}

void plotConfusion(const Options &options) {
  std::vector<int64_t> truth = classesOf(readArray(options.truth)), told = classesOf(readArray(options.sources[0]));
  if (truth.size() != told.size())
    fail("%s has %zu examples, and %s %zu", options.sources[0].c_str(), told.size(), options.truth.c_str(),
         truth.size());
  auto classes = static_cast<size_t>(
      1 + std::max(*std::max_element(truth.begin(), truth.end()), *std::max_element(told.begin(), told.end())));
  if (classes > 100)
    fail("there are classes up to %zu; a picture shows 100", classes - 1);
  requireNames(options.names, classes, "--name");
  Matrix matrix;
  matrix.rows = matrix.columns = classes;
  std::vector<double> counts(classes * classes);
  double right = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    counts[static_cast<size_t>(truth[i]) * classes + static_cast<size_t>(told[i])] += 1;
    right += truth[i] == told[i];
  }
  for (size_t row = 0; row < classes; ++row) {
    double all = 0;
    for (size_t column = 0; column < classes; ++column)
      all += counts[row * classes + column];
    for (size_t column = 0; column < classes; ++column) {
      double count = counts[row * classes + column];
      matrix.shades.push_back(all > 0 ? count / all : 0);
      matrix.texts.push_back(count > 0 ? format("%.0f", count) : "");
    }
    matrix.rowNames.push_back(options.names.empty() ? std::to_string(row) : options.names[row]);
  }
  matrix.columnNames = matrix.rowNames;
  matrix.rowLabel = options.yLabel.empty() ? "true class" : options.yLabel;
  matrix.columnLabel = options.xLabel.empty() ? "predicted class" : options.xLabel;
  matrix.title = options.title.empty() ? format("%s of %s right (%.1f%%)", plainNumber(right, 0).c_str(),
                                                plainNumber(static_cast<double>(truth.size()), 0).c_str(),
                                                100 * right / static_cast<double>(truth.size()))
                                       : options.title;
  writeDrawing(drawMatrix(matrix), options);
}

namespace {

/// [N, H, W], [N, C, H, W] or one of them without N, as bitmaps.
void appendImages(Gallery &gallery, const Array &array, const Options &options) {
  std::vector<int64_t> shape = array.shape;
  if (shape.size() == 2)
    shape.insert(shape.begin(), 1);
  if (shape.size() == 3 && (shape[0] != 3 || shape[1] < 8))
    shape.insert(shape.begin() + 1, 1);
  if (shape.size() == 3)
    shape.insert(shape.begin(), 1);
  if (shape.size() != 4 || (shape[1] != 1 && shape[1] != 3) || shape[2] > 4096 || shape[3] > 4096)
    fail("%s has the shape %s; images are [N, H, W], [N, 1, H, W], [N, 3, H, W] or one of them", array.what.c_str(),
         describeShape(array.shape).c_str());
  auto channels = static_cast<size_t>(shape[1]), size = static_cast<size_t>(shape[2] * shape[3]);
  std::vector<size_t> rows = taken(options.take, static_cast<size_t>(shape[0]), array.what);
  if (rows.size() > static_cast<size_t>(options.most))
    rows.resize(static_cast<size_t>(options.most));
  for (size_t row : rows) {
    Bitmap bitmap{static_cast<int>(shape[3]), static_cast<int>(shape[2]), {}};
    for (size_t i = 0; i < size; ++i)
      for (size_t k = 0; k < 3; ++k) {
        double value = array.values[(row * channels + (channels == 3 ? k : 0)) * size + i];
        bitmap.pixels.push_back(static_cast<uint8_t>(
            std::lround(255 * std::clamp((value - options.low) / (options.high - options.low), 0.0, 1.0))));
      }
    gallery.images.push_back(std::move(bitmap));
  }
}

/// Boxes [N, K, 4] as (middle x, middle y, width, height), each with scores [N, K, C] or [N, K].
std::vector<std::vector<Found>> boxesOf(const Options &options, size_t count) {
  Array boxes = readArray(options.boxes);
  requireRank(boxes, 3, "[images, boxes, 4]: the middle's x and y, width and height");
  if (boxes.shape[2] != 4 || boxes.shape[0] < static_cast<int64_t>(count))
    fail("%s is %s; expected 4 numbers a box, for %zu images", boxes.what.c_str(), describeShape(boxes.shape).c_str(),
         count);
  std::vector<std::vector<Found>> found;
  Array scores;
  if (!options.scores.empty()) {
    scores = readArray(options.scores);
    requireRank(scores, 3, "[images, boxes, classes], the last class being none");
    if (scores.shape[0] != boxes.shape[0] || scores.shape[1] != boxes.shape[1] || scores.shape[2] < 2)
      fail("%s does not fit the boxes: it has a row of scores for each", scores.what.c_str());
  }
  for (size_t row : taken(options.take, static_cast<size_t>(boxes.shape[0]), boxes.what)) {
    if (found.size() == count)
      break;
    std::vector<Found> &here = found.emplace_back();
    for (int64_t k = 0; k < boxes.shape[1]; ++k) {
      auto at = static_cast<size_t>(static_cast<int64_t>(row) * boxes.shape[1] + k);
      const double *box = &boxes.values[4 * at];
      Found one{box[0], box[1], box[2], box[3], 0, ""};
      if (!scores.values.empty()) {
        auto classes = static_cast<size_t>(scores.shape[2]);
        const double *score = &scores.values[classes * at];
        auto best = static_cast<size_t>(std::max_element(score, score + classes) - score);
        double sum = 0;
        for (size_t c = 0; c < classes; ++c)
          sum += std::exp(score[c] - score[best]);
        if (best == classes - 1 || 1 / sum < options.threshold)
          continue;
        one.colour = static_cast<int>(best);
        one.text = options.names.size() == classes - 1 ? options.names[best] : std::to_string(best);
      }
      if (one.width > 0 && one.height > 0)
        here.push_back(one);
    }
  }
  return found;
}

} // namespace

void plotImages(const Options &options) {
  Gallery gallery;
  gallery.title = options.title;
  gallery.cell = options.cell;
  gallery.columns = static_cast<size_t>(options.gridColumns);
  if (options.high <= options.low)
    throw UsageError("--high has to be above --low");
  for (size_t i = 0; i < options.sources.size(); ++i) {
    size_t begin = gallery.images.size();
    Array array = readArray(options.sources[i]);
    if (options.sources[i].find("idx3") != std::string::npos && array.rank() == 3)
      for (double &value : array.values)
        value /= 255;
    appendImages(gallery, array, options);
    if (options.sources.size() > 1) { // a row, or several, for each file
      size_t count = gallery.images.size() - begin;
      if (count % std::min(gallery.columns, count))
        fail("%s has %zu images, which fill no rows of %zu; --take or --columns says otherwise", array.what.c_str(),
             count, gallery.columns);
      gallery.columns = std::min(gallery.columns, count);
      if (options.boxes.empty())
        for (size_t row = 0; row < count / gallery.columns; ++row)
          gallery.rowNames.push_back(row ? "" : namesOf(options)[i]);
    }
  }
  if (!options.boxes.empty())
    gallery.found = boxesOf(options, gallery.images.size());
  if (!options.captions.empty()) {
    gallery.names = wordsOf(options.captions);
    requireNames(gallery.names, gallery.images.size(), "--captions");
  }
  writeDrawing(drawGallery(gallery), options);
}

} // namespace kiln::plot
