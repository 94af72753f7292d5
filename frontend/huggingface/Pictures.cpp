// preprocessor_config.json of a model that sees: what is made of pictures, as the text's `picture`.
#include "frontend/huggingface/Pictures.h"

#include "runtime/support/Error.h"

#include <cmath>

namespace kiln::huggingface {

namespace {

bool isSet(const Json &json, const char *key, bool otherwise) {
  const Json *value = json.find(key);
  return !value || value->isNull() ? otherwise : value->boolean();
}

int64_t pixels(const Json &value) { return value.integer(1, 1 << 16); }

/// A size that is written as a pair, as one number, or as the shorter edge; and what a picture is scaled to before.
struct Size {
  int64_t height = 0, width = 0, shortest = 0, tall = 0, wide = 0;

  static Size of(const Json &value, bool square) {
    Size size;
    if (value.isInt() && square)
      size.height = size.width = pixels(value);
    else if (value.isInt())
      size.shortest = pixels(value);
    else if (const Json *edge = value.find("shortest_edge"); edge && !edge->isNull())
      size.shortest = pixels(*edge);
    else if (value.find("height") && value.find("width")) {
      size.height = pixels(value.at("height"));
      size.width = pixels(value.at("width"));
    }
    return size;
  }
  bool isPair() const { return height > 0; }
};

/// Whether a size that is one number is that of both edges, as the processor has it; else it is the shorter one's.
bool isSquare(const Json &json, bool otherwise) {
  const Json *type = json.find("image_processor_type");
  if (!type || !type->isString())
    type = json.find("feature_extractor_type");
  if (!type || !type->isString())
    return otherwise;
  for (const char *one : {"DeiT", "ViT", "Beit", "EfficientNet", "Segformer", "Siglip"})
    if (type->string().starts_with(one))
      return true;
  for (const char *one : {"Bit", "CLIP", "ChineseCLIP", "ConvNext", "MobileNet", "PoolFormer", "Levit"})
    if (type->string().starts_with(one))
      return false;
  return otherwise;
}

/// The size that pictures are made; throws Error where Kiln has no such way.
Size sizeOf(const Json &json) {
  bool crops = isSet(json, "do_center_crop", false);
  if (!isSet(json, "do_resize", true))
    fail("pictures are not resized (do_resize), so their size is whatever they have");
  const Json *size = json.find("size"), *crop = json.find("crop_size"), *part = json.find("crop_pct");
  if (!size || size->isNull())
    fail("there is no 'size'");
  Size to = Size::of(*size, isSquare(json, !crops && !part));
  if (part && !part->isNull() && to.shortest > 0) { // ConvNeXt: below 384 pixels a part of a larger picture
    Size whole{to.shortest, to.shortest, 0};
    if (to.shortest < 384)
      whole.shortest = static_cast<int64_t>(static_cast<double>(to.shortest) / part->number());
    to = whole;
  } else if (crops) {
    Size middle = crop && !crop->isNull() ? Size::of(*crop, true) : Size();
    if (!middle.isPair())
      fail("the middle is cut out of pictures (do_center_crop), and there is no 'crop_size'");
    if (to.shortest == 0 && !to.isPair())
      fail("the size of a picture hangs on its own");
    middle.shortest = to.shortest;
    middle.tall = to.height;
    middle.wide = to.width;
    to = middle;
  }
  if (!to.isPair())
    fail("the size of a picture hangs on its own");
  return to;
}

std::string numbers(const Json &json, const char *key) {
  std::string text;
  for (const Json &one : json.at(key).array())
    text += (text.empty() ? "(" : ", ") + kilnNumber(one.number());
  return text + ")";
}

std::string pictureOf(const Json &json, const Size &size) {
  std::string text = "dict(size=(" + std::to_string(size.height) + ", " + std::to_string(size.width) + ")";
  if (size.shortest > 0)
    text += ", shortest=" + std::to_string(size.shortest);
  if (size.tall > 0)
    text += ", stretch=(" + std::to_string(size.tall) + ", " + std::to_string(size.wide) + ")";
  if (size.tall > 0 || size.shortest > 0)
    text += ", middle=\"down\"";
  static const char *filters[] = {"nearest", "lanczos", "bilinear", "bicubic"}; // by Pillow's numbers
  int64_t filter = json.integerOr("resample", 2);
  if (filter < 0 || filter > 3)
    fail("'resample' is %lld; 0 to 3 are known", static_cast<long long>(filter));
  text += ", resample=\"" + std::string(filters[filter]) + "\"";
  if (!isSet(json, "do_rescale", true) || std::abs(json.numberOr("rescale_factor", 1 / 255.0) * 255 - 1) > 1e-6 ||
      isSet(json, "rescale_offset", false))
    fail("bytes do not become numbers from 0 to 1");
  if (isSet(json, "do_normalize", true) && json.find("image_mean") && json.find("image_std"))
    text += ", mean=" + numbers(json, "image_mean") + ", std=" + numbers(json, "image_std");
  return text + ")";
}

} // namespace

PictureText readPicture(const Json &preprocessor, const std::string &what) {
  PictureText result;
  try {
    Size size = sizeOf(preprocessor);
    result.text = pictureOf(preprocessor, size);
    result.edge = size.height == size.width ? size.height : 0;
  } catch (const Error &error) {
    result.note = what + ": the text says nothing of pictures: " + error.what();
  }
  return result;
}

void addPicture(Imported &imported, const PictureText &picture) {
  if (imported.text.find("image: f32[") == std::string::npos)
    return;
  // A model of images of any size says which one it is built for.
  size_t model = imported.text.find("\nmodel "), size = imported.text.find("size=", model);
  if (picture.edge > 0 && size < imported.text.find("):\n", model) &&
      std::string_view("(, ").find(imported.text[size - 1]) != std::string_view::npos)
    imported.text.replace(size + 5, imported.text.find_first_of(",)", size + 5) - size - 5,
                          std::to_string(picture.edge));
  if (!picture.text.empty())
    imported.text.insert(imported.text.find("\n\n") + 1, "\npicture = " + picture.text + "\n");
  if (!picture.note.empty())
    imported.notes.push_back(picture.note);
}

} // namespace kiln::huggingface
