#include "runtime/files/InputTensor.h"

#include "runtime/files/Npy.h"
#include "runtime/support/Error.h"

namespace kiln {

InputTensor::InputTensor(const std::string &path, const std::string &name, const std::string &input) {
  if (!path.ends_with(".safetensors")) {
    array_ = readNpy(path);
    view_ = array_.view();
    return;
  }
  file_ = Safetensors::open(path);
  const TensorView *tensor = file_->find(name);
  if (!tensor)
    tensor = file_->find(input);
  if (size_t dot = input.find('.'); !tensor && dot != std::string::npos)
    tensor = file_->find(input.substr(dot + 1));
  if (!tensor && file_->tensors().size() == 1)
    tensor = &file_->tensors()[0];
  if (!tensor) {
    NearestName nearest(name);
    for (const TensorView &candidate : file_->tensors())
      nearest.consider(candidate.name);
    fail("'%s' has no tensor '%s'%s", path.c_str(), name.c_str(), nearest.hint().c_str());
  }
  view_ = *tensor;
}

} // namespace kiln
