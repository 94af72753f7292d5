#include "frontend/onnx/External.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace kiln::onnx {

static uint64_t numberOf(const std::map<std::string, std::string> &where, const char *key, uint64_t fallback,
                         const std::string &tensor) {
  auto found = where.find(key);
  if (found == where.end())
    return fallback;
  const std::string &text = found->second;
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail("the external data of '%s' has the %s '%s', which is no number", tensor.c_str(), key, text.c_str());
  return value;
}

void openExternal(const std::string &folder, const std::map<std::string, std::string> &where, const std::string &tensor,
                  std::vector<std::shared_ptr<MappedFile>> &opened, std::string_view &bytes) {
  namespace fs = std::filesystem;
  auto found = where.find("location");
  if (found == where.end() || found->second.empty())
    fail("the tensor '%s' is said to be external, and no file is named", tensor.c_str());
  const std::string &location = found->second;
  if (folder.empty())
    fail("the tensor '%s' is in the file '%s', and there is no folder to look in", tensor.c_str(), location.c_str());
  std::error_code error;
  fs::path root = fs::canonical(folder, error), path;
  if (!error)
    path = fs::canonical(root / location, error);
  if (error)
    fail("the tensor '%s' is in the file '%s' beside the model, which cannot be read: %s", tensor.c_str(),
         location.c_str(), error.message().c_str());
  auto [end, ignored] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  if (end != root.end() || fs::path(location).is_absolute())
    fail("the tensor '%s' is in the file '%s', which is outside of the model's folder: external data is only read from "
         "inside of it",
         tensor.c_str(), location.c_str());
  auto known = std::find_if(opened.begin(), opened.end(), [&](const auto &other) { return other->path() == path; });
  std::shared_ptr<MappedFile> file = known != opened.end() ? *known : std::make_shared<MappedFile>(path.string());
  if (known == opened.end())
    opened.push_back(file);
  uint64_t offset = numberOf(where, "offset", 0, tensor);
  if (offset > file->size())
    fail("the external data of '%s' begins at byte %llu of '%s', which has %zu", tensor.c_str(),
         static_cast<unsigned long long>(offset), location.c_str(), file->size());
  uint64_t length = numberOf(where, "length", file->size() - offset, tensor);
  if (length > file->size() - offset)
    fail("the external data of '%s' is bytes %llu to %llu of '%s', which has %zu", tensor.c_str(),
         static_cast<unsigned long long>(offset), static_cast<unsigned long long>(offset + length), location.c_str(),
         file->size());
  bytes = file->text().substr(offset, length);
}

} // namespace kiln::onnx
