// Pictures that batches ask for again and again.
#include "runtime/data/KeptPictures.h"

#include "runtime/files/File.h"

namespace kiln {

void KeptPictures::numbers(size_t index, const std::string &path, float *out,
                           const std::function<void(const Picture &)> &look) {
  constexpr uint64_t most = uint64_t{1} << 30;
  if (index >= kept_.size())
    kept_.resize(index + 1);
  Picture &kept = kept_[index];
  if (!kept.pixels.empty())
    return form_.numbers(kept, out);
  std::string what = "'" + path + "'";
  Picture picture = parsePicture(readFile(path), form_.channels, what, upright_);
  if (look)
    look(picture);
  picture = form_.scaled(std::move(picture), what);
  form_.numbers(picture, out);
  if (bytes_ + picture.pixels.size() > most)
    return;
  bytes_ += picture.pixels.size();
  kept = std::move(picture);
}

} // namespace kiln
