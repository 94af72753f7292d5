#include "frontend/driver/Files.h"

#include "runtime/files/File.h"

#include "absl/strings/str_cat.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cerrno>

namespace kiln {

bool isDevice(const std::string &path) {
  llvm::sys::fs::file_status status;
  return !llvm::sys::fs::status(path, status) && status.type() != llvm::sys::fs::file_type::regular_file &&
         status.type() != llvm::sys::fs::file_type::directory_file;
}

absl::Status checkInput(const std::string &path) {
  if (!isDevice(path))
    return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("cannot read ", path, ": it is a device or a pipe, not a file"));
}

absl::Status checkOutput(const std::string &path, const char *option) {
  if (path.empty())
    return absl::OkStatus();
  auto refused = [&](const std::string &why) {
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", why, "; choose another with ", option));
  };
  if (isDevice(path)) // the rename would put a file in the place of a device
    return refused("it is a device or a pipe, not a file");
  if (llvm::sys::fs::is_directory(path))
    return refused("it is a folder");
  llvm::SmallString<256> folder(path);
  if (std::error_code error = llvm::sys::fs::make_absolute(folder))
    return refused(error.message());
  llvm::sys::path::remove_filename(folder);
  if (!llvm::sys::fs::access(folder, llvm::sys::fs::AccessMode::Write))
    return absl::OkStatus();
  return refused(absl::StrCat("the folder ", folder.str().str(),
                              llvm::sys::fs::exists(folder) ? " is not writable" : " does not exist"));
}

absl::Status checkNotInput(const std::string &path, const std::vector<InputFile> &inputs, const char *option) {
  for (const InputFile &input : inputs)
    if (!path.empty() && !input.path.empty() && llvm::sys::fs::equivalent(llvm::Twine(path), llvm::Twine(input.path)))
      return absl::InvalidArgumentError(
          absl::StrCat("cannot write ", path, ": it is ", input.what, "; choose another with ", option));
  return absl::OkStatus();
}

absl::Status checkOwn(const std::string &path, llvm::StringRef mark, const char *what, const char *option) {
  llvm::sys::fs::file_status status;
  if (llvm::sys::fs::status(path, status) || status.type() != llvm::sys::fs::file_type::regular_file ||
      status.getSize() == 0)
    return absl::OkStatus();
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (file && (*file)->getBuffer().contains(mark))
    return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("cannot write ", path, ": a file of that name is there, and it is no ",
                                                 what, " that kiln wrote; name another with ", option));
}

absl::Status writeFile(const std::string &path, llvm::StringRef text, unsigned mode) {
  std::string temporary;
  std::error_code error;
  if (int handle = openTemporary(path, "tmp", temporary, mode); handle < 0) {
    error = std::error_code(errno, std::generic_category());
  } else {
    llvm::raw_fd_ostream stream(handle, /*shouldClose=*/true);
    stream << text;
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  if (!error)
    error = llvm::sys::fs::rename(temporary, path);
  if (!error)
    return absl::OkStatus();
  (void)llvm::sys::fs::remove(temporary); // the error to tell is the first one
  return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", error.message()));
}

} // namespace kiln
