// Named arrays, wherever they lie.
#include "runtime/files/ArrayFile.h"

#include "runtime/files/Npy.h"
#include "runtime/files/Zip.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace kiln {

ArrayFile::ArrayFile(const std::string &path, const std::vector<std::string> &names) : what_("'" + path + "'") {
  if (isFolder(path))
    readFolder(path, names);
  else if (path.ends_with(".npz"))
    readArchive(path, names);
  else if (path.ends_with(".npy"))
    readOne(path, names);
  else if (path.ends_with(".safetensors"))
    readTensors(path);
  else
    fail("%s: arrays lie in a .npz, .npy or .safetensors file, or a folder of .npy files", what_.c_str());
}

void ArrayFile::readTensors(const std::string &path) {
  auto file = std::make_shared<Safetensors>(Safetensors::open(path));
  arrays_ = file->tensors();
  for (const TensorView &tensor : arrays_)
    all_.push_back(tensor.name);
  owners_.push_back(std::move(file));
}

void ArrayFile::readOne(const std::string &path, const std::vector<std::string> &names) {
  if (names.size() != 1)
    fail("%s holds one array, and %zu are asked for: give a .npz file (numpy.savez), or a folder of .npy files",
         what_.c_str(), names.size());
  auto file = std::make_shared<MappedFile>(path);
  all_ = names;
  addNpy(names[0], file->text(), what_, file);
}

/// Of a .npy file's bytes; copied where its elements are not aligned.
void ArrayFile::addNpy(const std::string &name, std::string_view bytes, const std::string &what,
                       std::shared_ptr<const void> owner) {
  auto turned = std::make_shared<Memory>();
  TensorView view = viewNpy(bytes, what, *turned);
  if (view.data == turned->data())
    owner = turned;
  if (reinterpret_cast<uintptr_t>(view.data) % dtypeSize(view.dtype) != 0) {
    auto memory = std::make_shared<Memory>(view.bytes);
    std::memcpy(memory->data(), view.data, view.bytes);
    view.data = memory->data();
    owner = memory;
  }
  view.name = name;
  arrays_.push_back(std::move(view));
  owners_.push_back(std::move(owner));
}

void ArrayFile::readArchive(const std::string &path, const std::vector<std::string> &names) {
  auto file = std::make_shared<MappedFile>(path);
  for (const ZipMember &member : readZip(file->text(), what_)) {
    if (!member.name.ends_with(".npy"))
      continue;
    all_.push_back(member.name.substr(0, member.name.size() - 4));
    if (std::find(names.begin(), names.end(), all_.back()) == names.end())
      continue;
    auto unpacked = std::make_shared<std::string>();
    std::string_view bytes = unpackZip(member, what_, *unpacked);
    addNpy(all_.back(), bytes, what_ + ": '" + all_.back() + "'",
           member.deflated ? std::shared_ptr<const void>(unpacked) : file);
  }
}

void ArrayFile::readFolder(const std::string &path, const std::vector<std::string> &names) {
  std::error_code error;
  for (std::filesystem::directory_iterator file(path, error), end; !error && file != end; file.increment(error))
    if (std::string name = file->path().filename().string(); name.ends_with(".npy"))
      all_.push_back(name.substr(0, name.size() - 4));
  if (error)
    fail("cannot read %s: %s", what_.c_str(), error.message().c_str());
  std::sort(all_.begin(), all_.end());
  for (const std::string &name : names)
    if (std::binary_search(all_.begin(), all_.end(), name)) {
      std::string whole = path + "/" + name + ".npy";
      protectFile(whole, "the array '" + name + "'");
      auto file = std::make_shared<MappedFile>(whole);
      addNpy(name, file->text(), "'" + whole + "'", file);
    }
}

const TensorView *ArrayFile::find(const std::string &name) const {
  for (const TensorView &array : arrays_)
    if (array.name == name)
      return &array;
  return nullptr;
}

std::string ArrayFile::has() const {
  std::string list;
  for (size_t i = 0; i < all_.size(); ++i)
    if (i < 20)
      list += (list.empty() ? "'" : ", '") + all_[i] + "'";
    else
      return list + ", …";
  return list.empty() ? "none" : list;
}

} // namespace kiln
