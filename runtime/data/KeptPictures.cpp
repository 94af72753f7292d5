// Pictures that batches ask for again and again.
#include "runtime/data/KeptPictures.h"

#include "runtime/files/File.h"

namespace kiln {

void KeptPictures::numbers(size_t index, const std::string &path, float *out,
                           const std::function<void(const Picture &)> &look) {
  constexpr uint64_t most = uint64_t{1} << 30;
  if (index >= kept_.size())
    kept_.resize(index + 1);
  Picture picture{form_.height, form_.width, form_.channels, kept_[index]};
  if (picture.pixels.empty()) {
    std::string what = "'" + path + "'";
    Picture whole = parsePicture(readFile(path), form_.channels, what, upright_);
    if (look)
      look(whole);
    picture = form_.scaled(std::move(whole), what);
    if (bytes_ + picture.pixels.size() <= most) {
      kept_[index] = picture.pixels;
      bytes_ += picture.pixels.size();
    }
  }
  form_.numbers(picture, out);
}

} // namespace kiln
