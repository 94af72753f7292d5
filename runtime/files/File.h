// Files: whole reads with clear errors, and writes that are there completely or not at all.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// A file mapped for reading. Throws Error: missing, a folder, a device or a pipe, unreadable.
class MappedFile {
public:
  explicit MappedFile(const std::string &path);
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&) = delete;
  ~MappedFile();

  const uint8_t *data() const { return data_; }
  size_t size() const { return size_; }
  std::string_view text() const { return {reinterpret_cast<const char *>(data_), size_}; }
  const std::string &path() const { return path_; }

private:
  std::string path_;
  uint8_t *data_ = nullptr;
  size_t size_ = 0;
};

/// The whole file, unpacked where it is gzip (by its first two bytes). Throws Error for truncated
/// or damaged gzip, or more than `limit` bytes unpacked.
std::string readFile(const std::string &path, size_t limit = static_cast<size_t>(1) << 36);

/// The same of a text: UTF-8 (throws Error with the byte and line where it is not), without a byte-order mark.
std::string readText(const std::string &path);
/// Its lines, without their ends ('\n'); none of nothing.
std::vector<std::string_view> linesOf(std::string_view text);
/// Throws Error where it is not UTF-8.
void requireUtf8(std::string_view text, const std::string &what);

bool isGzip(std::string_view bytes);
std::string gunzip(std::string_view bytes, const std::string &what, size_t limit);

bool fileExists(const std::string &path);
bool isFolder(const std::string &path);
/// Makes a folder and those above it. Throws Error.
void makeFolder(const std::string &path);
std::string folderOf(const std::string &path);

/// Where a relative path is looked for: as it stands, beside each of `folders`, then under $KILN_DATA. Returns the
/// first that exists; throws Error with every place that was tried.
std::string findData(const std::string &path, const std::string &what, std::string_view folders);

/// Are these one file, whatever the paths look like (links of both kinds)? False where one of them is not there.
bool sameFile(const std::string &a, const std::string &b);

/// An empty folder where the system has its temporary files (TMPDIR), which is gone with this. Throws Error.
class TemporaryFolder {
public:
  /// `name`: what it is called, in part.
  explicit TemporaryFolder(const std::string &name);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  const std::string &path() const { return path_; }
  std::string file(const std::string &name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

/// From now on nothing of this process writes over the file: what a command reads is not to be lost to a slip in the
/// name of an output. `what`: "the model" and the like, for the sentence.
void protectFile(const std::string &path, const std::string &what);
/// Throws Error where the file is one of those.
void checkUnprotected(const std::string &path);

/// A folder that one process alone writes to: until the object's end, or the process's, however that comes. Throws
/// Error where another one has it. (Where the file system has no locks there is none.)
class FolderLock {
public:
  explicit FolderLock(const std::string &folder);
  ~FolderLock();
  FolderLock(const FolderLock &) = delete;
  FolderLock &operator=(const FolderLock &) = delete;

private:
  int handle_ = -1;
};

/// Opens PATH.PID.SUFFIX, to be renamed to PATH when it is complete. It is locked while this process lives; files of
/// such names that killed processes have left are removed. The descriptor, or -1 with errno.
int openTemporary(const std::string &path, const char *suffix, std::string &temporary, unsigned mode = 0666);

/// Writes a file beside its final name and renames it at commit(), after fsync of the file; then the folder is synced.
/// Without commit nothing is left, and what a process that was killed has left of the same file is removed. A link's
/// target is replaced, not the link; a device, a pipe or a protected file is refused. Every failure throws Error with
/// the path, the system's reason, and what to do.
class AtomicFile {
public:
  /// `temporary`: where to write first, for tests; by default beside the file.
  explicit AtomicFile(std::string path, std::string temporary = "");
  ~AtomicFile();
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  void write(const void *data, size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

private:
  [[noreturn]] void failed(const char *action);
  std::string path_, temporary_;
  std::FILE *file_ = nullptr;
};

/// Throws Error where a file cannot be written there: to be asked before the work whose result it is to hold.
void checkWritable(const std::string &path);

/// "no space is left on the device: free some, or write elsewhere" and the like for an errno.
std::string describeErrno(int code);

} // namespace kiln
