// A tensor's bytes in a file beside the model.
#pragma once

#include "runtime/files/File.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::onnx {

/// Maps the file and sets `bytes` to the tensor's part of it. `where` has the keys that ONNX gives: location, offset,
/// length. Throws Error: no location, one that leads out of `folder` (by "..", from the root, by a link), an offset or
/// a length that the file does not have.
/// `opened`: files that are mapped already; the one that is asked for is among them afterwards.
void openExternal(const std::string &folder, const std::map<std::string, std::string> &where, const std::string &tensor,
                  std::vector<std::shared_ptr<MappedFile>> &opened, std::string_view &bytes);

} // namespace kiln::onnx
