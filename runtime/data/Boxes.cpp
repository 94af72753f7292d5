// boxes(path, batch, objects, size=(28, 28), …): pictures with boxes around what they show, by COCO's annotations.
#include "runtime/data/Coding.h"
#include "runtime/data/KeptPictures.h"
#include "runtime/data/Rows.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <set>

namespace kiln {

namespace {

/// In parts of the picture's edges: the middle, and how wide and high it is.
struct Box {
  float x, y, width, height;
  int32_t label;
};

struct Seen {
  std::string path, what; ///< the picture, and what to call it in messages
  int64_t height, width;  ///< as the annotations have it
  std::vector<Box> boxes;
};

class BoxSource final : public Source {
public:
  BoxSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

private:
  int64_t add(const std::string &path, const SourceContext &context);
  void readPictures(const Json &json, const std::string &folder, const std::string &what);
  void readBoxes(const Json &json, const std::string &what);
  void nameClasses(const SourceContext &context);
  void storeImages(size_t field, std::span<FieldBuffer> fields, std::span<const int32_t> rows);

  KeptPictures pictures_;
  int64_t objects_;
  std::vector<Seen> seen_;
  std::map<int64_t, size_t> byId_;       // of the file that is being read
  std::map<std::string, int32_t> found_; // classes by name; numbered when all are known
  std::vector<std::string> foundNames_;
  std::optional<Rows> rows_;
  std::vector<float> block_;
  std::vector<int32_t> labels_;
};

void BoxSource::readPictures(const Json &json, const std::string &folder, const std::string &what) {
  byId_.clear();
  for (const Json &image : json.at("images").array()) {
    int64_t id = image.at("id").integer();
    const std::string &name = image.at("file_name").string();
    if (!byId_.emplace(id, seen_.size()).second)
      fail("%s: the picture %lld stands twice", what.c_str(), static_cast<long long>(id));
    seen_.push_back({name.starts_with("/") ? name : folder + "/" + name,
                     what + ", picture " + jsonQuote(name),
                     image.at("height").integer(1, 1 << 20),
                     image.at("width").integer(1, 1 << 20),
                     {}});
  }
}

/// Corners are moved into the picture; a box of which nothing is left, or that is around a crowd, is left out, as the
/// authors of DETR do.
void BoxSource::readBoxes(const Json &json, const std::string &what) {
  std::map<int64_t, int32_t> classes;
  for (const Json &category : json.at("categories").array()) {
    const std::string &name = category.at("name").string();
    auto [known, isNew] = found_.emplace(name, static_cast<int32_t>(foundNames_.size()));
    if (isNew)
      foundNames_.push_back(name);
    if (!classes.emplace(category.at("id").integer(), known->second).second)
      fail("%s: the category %s has a number that another one has", what.c_str(), jsonQuote(name).c_str());
  }
  for (const Json &annotation : json.at("annotations").array()) {
    auto picture = byId_.find(annotation.at("image_id").integer());
    auto label = classes.find(annotation.at("category_id").integer());
    if (picture == byId_.end() || label == classes.end())
      fail("%s: an annotation of %s %lld, which is not there", what.c_str(),
           picture == byId_.end() ? "picture" : "category",
           static_cast<long long>(annotation.at(picture == byId_.end() ? "image_id" : "category_id").integer()));
    Seen &seen = seen_[picture->second];
    const std::vector<Json> &corner = annotation.at("bbox").array();
    if (corner.size() != 4)
      fail("%s: a box has %zu numbers; left, top, width and height are expected", seen.what.c_str(), corner.size());
    double high = static_cast<double>(seen.height), wide = static_cast<double>(seen.width);
    double left = std::clamp(corner[0].number(), 0.0, wide), top = std::clamp(corner[1].number(), 0.0, high);
    double right = std::clamp(corner[0].number() + corner[2].number(), 0.0, wide);
    double bottom = std::clamp(corner[1].number() + corner[3].number(), 0.0, high);
    if (annotation.integerOr("iscrowd", 0) != 0 || !(right > left) || !(bottom > top))
      continue;
    seen.boxes.push_back({static_cast<float>((left + right) / 2 / wide), static_cast<float>((top + bottom) / 2 / high),
                          static_cast<float>((right - left) / wide), static_cast<float>((bottom - top) / high),
                          label->second});
    if (static_cast<int64_t>(seen.boxes.size()) > objects_)
      fail("%s has more than the recipe's %lld objects", seen.what.c_str(), static_cast<long long>(objects_));
  }
}

int64_t BoxSource::add(const std::string &path, const SourceContext &context) {
  std::string found = findData(path, "the annotations of data '" + spec_.name + "'", context.folders);
  std::string what = "'" + found + "'", folder = folderOf(found);
  if (std::string pictures = spec_.options.stringOr("pictures", ""); !pictures.empty())
    folder = findData(pictures, "the pictures of data '" + spec_.name + "'", context.folders);
  size_t before = seen_.size();
  Json json = Json::parse(readText(found), what);
  try {
    readPictures(json, folder, what);
    for (size_t i = before; i < seen_.size(); ++i)
      protectFile(seen_[i].path, "a picture of data '" + spec_.name + "'");
    readBoxes(json, what);
  } catch (const Error &error) {
    std::string reason = error.what();
    fail("%s%s", reason.starts_with(what) ? "" : (what + ": ").c_str(), reason.c_str());
  }
  return static_cast<int64_t>(seen_.size() - before);
}

void BoxSource::nameClasses(const SourceContext &context) {
  ClassOrder classes = orderClasses(context, "label", {foundNames_.begin(), foundNames_.end()}, "classes");
  for (Seen &seen : seen_)
    for (Box &box : seen.boxes) {
      const std::string &name = foundNames_[static_cast<size_t>(box.label)];
      if (box.label = classes.find(name); box.label < 0)
        fail("%s: %s %s", seen.what.c_str(), jsonQuote(name).c_str(), classes.lacks(name).c_str());
    }
  if (!classes.names.empty())
    keepCoding(classesPrefix, "label", textOf(classes.names));
}

BoxSource::BoxSource(const SourceContext &context)
    : Source(*context.spec),
      pictures_(PictureForm::parse(spec_.options, "data '" + spec_.name + "'"), /*upright=*/false),
      objects_(spec_.options.at("objects").integer(1, INT32_MAX)) {
  Rows::Options rows(spec_, context.seed);
  int64_t main = addFiles(context, rows, [&](const std::string &path) { return add(path, context); });
  nameClasses(context);
  rows_.emplace(main, rows);
}

void BoxSource::storeImages(size_t field, std::span<FieldBuffer> fields, std::span<const int32_t> rows) {
  const PictureForm &form = pictures_.form();
  size_t elements = static_cast<size_t>(form.elements());
  block_.resize(rows.size() * elements);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Seen &seen = seen_[static_cast<size_t>(rows[i])];
    pictures_.numbers(static_cast<size_t>(rows[i]), seen.path, block_.data() + i * elements, [&](const Picture &whole) {
      if (whole.width != seen.width || whole.height != seen.height)
        fail("%s is %lld by %lld pixels; the annotations are of %lld by %lld", seen.what.c_str(),
             static_cast<long long>(whole.width), static_cast<long long>(whole.height),
             static_cast<long long>(seen.width), static_cast<long long>(seen.height));
    });
  }
  int64_t shape[] = {static_cast<int64_t>(rows.size()), form.channels, form.height, form.width};
  storeField(*this, field, fields, KILN_F32, block_.data(), shape);
}

void BoxSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  size_t objects = static_cast<size_t>(objects_), count = rows.size() * objects;
  int64_t shape[] = {static_cast<int64_t>(rows.size()), objects_, 4};
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    if (name == "image") {
      storeImages(f, fields, rows);
      continue;
    }
    if (name != "boxes" && name != "label" && name != "mask")
      fail("data '%s': boxes have the fields image, boxes, label and mask, not '%s'", spec_.name.c_str(), name.c_str());
    block_.assign(count * 4, 0.0f);
    labels_.assign(count, name == "mask" ? 0 : -100);
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::vector<Box> &boxes = seen_[static_cast<size_t>(rows[i])].boxes;
      for (size_t k = 0; k < boxes.size(); ++k) {
        float *to = block_.data() + (i * objects + k) * 4;
        to[0] = boxes[k].x, to[1] = boxes[k].y, to[2] = boxes[k].width, to[3] = boxes[k].height;
        labels_[i * objects + k] = name == "mask" ? 1 : boxes[k].label;
      }
    }
    if (name == "boxes")
      storeField(*this, f, fields, KILN_F32, block_.data(), shape);
    else
      storeField(*this, f, fields, KILN_I32, labels_.data(), std::span(shape, 2));
  }
}

} // namespace

static std::unique_ptr<Source> openBoxes(const SourceContext &context) { return std::make_unique<BoxSource>(context); }

const Reader kiln_reader_boxes{"boxes", openBoxes};

} // namespace kiln
