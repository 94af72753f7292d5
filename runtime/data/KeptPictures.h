// Pictures that batches ask for again and again.
#pragma once

#include "runtime/files/Picture.h"

#include <functional>
#include <string>
#include <vector>

namespace kiln {

/// Each is decoded when it is first asked for, and kept as bytes in the size that the model sees, up to 1 GiB of them.
class KeptPictures {
public:
  /// `upright`: turned as EXIF says.
  explicit KeptPictures(PictureForm form, bool upright = true) : form_(std::move(form)), upright_(upright) {}

  const PictureForm &form() const { return form_; }
  /// Form().elements() numbers of picture `index`, which lies at `path`. `look`: sees it as it was, the first time.
  /// Throws Error.
  void numbers(size_t index, const std::string &path, float *out,
               const std::function<void(const Picture &)> &look = nullptr);

private:
  PictureForm form_;
  bool upright_;
  std::vector<Picture> kept_; // by index; without pixels where it is not kept
  uint64_t bytes_ = 0;
};

} // namespace kiln
