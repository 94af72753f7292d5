// What a folder says of a model that sees.
#pragma once

#include "frontend/huggingface/Folder.h"

namespace kiln::huggingface {

/// How pictures are scaled and made numbers, as a text's `picture`; or why Kiln has no such way.
struct PictureText {
  std::string text, note;
  int64_t edge = 0; ///< of square ones
};
/// Of a preprocessor_config.json, `what`.
PictureText readPicture(const Json &preprocessor, const std::string &what);
/// Into the text of a model that takes images; one of images of any size has theirs where nothing else is said.
void addPicture(Imported &imported, const PictureText &picture);

} // namespace kiln::huggingface
