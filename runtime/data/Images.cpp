// images(path, labels, batch, size=(28, 28), channels=1, mean=0.0, std=1.0): IDX files.
#include "runtime/data/Rows.h"
#include "runtime/files/File.h"
#include "runtime/files/Idx.h"
#include "runtime/support/Error.h"

#include <optional>

namespace kiln {

namespace {

class ImageSource final : public Source {
public:
  ImageSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

private:
  int64_t add(const std::string &imagePath, const std::string &labelPath, const SourceContext &context);

  int64_t height_ = 0, width_ = 0, channels_ = 1;
  bool labelled_ = true; // not where the images alone are read
  float table_[256];     // what each byte becomes
  std::vector<Tensor> images_, labels_;
  std::vector<std::pair<uint32_t, uint32_t>> places_; // row -> file, index
  std::optional<Rows> rows_;
  std::vector<float> block_;
  std::vector<int32_t> labelBlock_;
};

int64_t ImageSource::add(const std::string &imagePath, const std::string &labelPath, const SourceContext &context) {
  std::string imageFile = findData(imagePath, "the images of data '" + spec_.name + "'", context.folders);
  Tensor images = readIdx(imageFile), labels;
  std::string labelFile;
  if (labelled_) {
    labelFile = findData(labelPath, "the labels of data '" + spec_.name + "'", context.folders);
    labels = readIdx(labelFile);
  }
  int64_t pixels = images.shape.size() >= 2 ? images.count() / std::max<int64_t>(1, images.shape[0]) : 0;
  if (pixels != height_ * width_ * channels_)
    fail("'%s' holds %s; the recipe asks for %lld channels of %lld by %lld", imageFile.c_str(),
         describeShape(images.shape).c_str(), static_cast<long long>(channels_), static_cast<long long>(height_),
         static_cast<long long>(width_));
  if (labelled_ && (labels.shape.size() != 1 || labels.shape[0] != images.shape[0]))
    fail("'%s' holds %s labels for the %lld images of '%s'", labelFile.c_str(), describeShape(labels.shape).c_str(),
         static_cast<long long>(images.shape[0]), imageFile.c_str());
  for (int64_t i = 0; i < images.shape[0]; ++i)
    places_.emplace_back(static_cast<uint32_t>(images_.size()), static_cast<uint32_t>(i));
  int64_t count = images.shape[0];
  images_.push_back(std::move(images));
  labels_.push_back(std::move(labels));
  return count;
}

ImageSource::ImageSource(const SourceContext &context) : Source(*context.spec) {
  const Json &options = spec_.options;
  height_ = width_ = 28;
  if (const Json *size = options.find("size")) {
    bool pair = size->isArray() && size->array().size() == 2;
    if (!pair && !size->isInt())
      fail("data '%s': size is a number, or a height and a width", spec_.name.c_str());
    height_ = (pair ? size->array()[0] : *size).integer(1, 1 << 16);
    width_ = (pair ? size->array()[1] : *size).integer(1, 1 << 16);
  }
  channels_ = options.find("channels") ? options.at("channels").integer(1, 64) : 1;
  double mean = options.numberOr("mean", 0.0), deviation = options.numberOr("std", 1.0);
  for (int i = 0; i < 256; ++i)
    table_[i] = (static_cast<float>(i) / 255.0f - static_cast<float>(mean)) / static_cast<float>(deviation);
  std::string images = spec_.path, labels = options.stringOr("labels", "");
  if (!context.override.empty()) {
    size_t comma = context.override.find(',');
    images = context.override.substr(0, comma);
    if (comma != std::string::npos)
      labels = context.override.substr(comma + 1);
  }
  labelled_ = options.find("labels");
  int64_t main = add(images, labels, context);
  Rows::Options rows(spec_, context.seed);
  for (Split split : {Split::Validation, Split::Test}) {
    std::vector<std::string> paths = splitPaths(options, splitName(split));
    if (paths.empty())
      continue;
    if (paths.size() != (labelled_ ? 2 : 1))
      fail("data '%s': %s needs the path of the images and that of the labels", spec_.name.c_str(), splitName(split));
    (split == Split::Test ? rows.testRows : rows.validationRows) = add(paths[0], paths.back(), context);
  }
  rows_.emplace(main, rows);
  block_.resize(static_cast<size_t>(rows.batch * channels_ * height_ * width_));
  labelBlock_.resize(static_cast<size_t>(rows.batch));
}

void ImageSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  size_t pixels = static_cast<size_t>(channels_ * height_ * width_);
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    if (name == "label" && labelled_) {
      for (size_t i = 0; i < rows.size(); ++i) {
        auto [file, index] = places_[static_cast<size_t>(rows[i])];
        labelBlock_[i] = labels_[file].memory.data()[index];
      }
      int64_t shape[] = {static_cast<int64_t>(rows.size())};
      storeField(*this, f, fields, KILN_I32, labelBlock_.data(), shape);
      continue;
    }
    if (name != "image")
      fail("data '%s': images have the fields image and label, not '%s'", spec_.name.c_str(), name.c_str());
    // Straight into the program's input where that is f32: for small models this loop is a good part of a step.
    bool direct = fields[f].dtype == KILN_F32 && fields[f].capacity >= static_cast<int64_t>(rows.size() * pixels);
    float *out = direct ? static_cast<float *>(fields[f].data) : block_.data();
    for (size_t i = 0; i < rows.size(); ++i) {
      auto [file, index] = places_[static_cast<size_t>(rows[i])];
      const uint8_t *bytes = images_[file].memory.data() + index * pixels;
      for (size_t p = 0; p < pixels; ++p)
        out[i * pixels + p] = table_[bytes[p]];
    }
    int64_t shape[] = {static_cast<int64_t>(rows.size()), channels_, height_, width_};
    if (direct)
      fields[f].shape->assign(std::begin(shape), std::end(shape));
    else
      storeField(*this, f, fields, KILN_F32, block_.data(), shape);
  }
}

} // namespace

static std::unique_ptr<Source> openImages(const SourceContext &context) {
  return std::make_unique<ImageSource>(context);
}

const Reader kiln_reader_images{"images", openImages};

} // namespace kiln
