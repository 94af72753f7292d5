// Reading, atomic writing, gzip, and where data lies.

#include "runtime/files/File.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <mutex>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>
#include <zlib.h>

namespace kiln {

std::string describeErrno(int code) {
  switch (code) {
  case ENOSPC:
  case EDQUOT:
    return "no space is left on the device; free some, or write elsewhere";
  case EACCES:
  case EPERM:
  case EROFS:
    return "permission denied; choose a place that you may write to or read from";
  case ENOENT:
    return "no such file or folder";
  case EISDIR:
    return "it is a folder, not a file";
  case ENOTDIR:
    return "a part of the path is not a folder";
  case EFBIG:
    return "the file would be larger than is allowed (ulimit -f)";
  default:
    return std::strerror(code);
  }
}

/// Of what is neither a file nor a folder.
static const char kNoFile[] = "it is a device or a pipe, not a file";

MappedFile::MappedFile(const std::string &path) : path_(path) {
  int handle = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe that nobody writes to must not hold us
  if (handle < 0)
    fail("cannot read '%s': %s", path.c_str(), describeErrno(errno).c_str());
  struct stat status;
  int code = fstat(handle, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  if (code == 0 && !S_ISREG(status.st_mode)) {
    close(handle);
    fail("cannot read '%s': %s", path.c_str(), kNoFile);
  }
  if (code == 0 && status.st_size > 0) {
    size_ = static_cast<size_t>(status.st_size);
    void *address = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, handle, 0);
    if (address == MAP_FAILED)
      code = errno;
    else
      data_ = static_cast<uint8_t *>(address);
  }
  close(handle);
  if (code != 0)
    fail("cannot read '%s': %s", path.c_str(), describeErrno(code).c_str());
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_)
    munmap(data_, size_);
}

bool isGzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

std::string gunzip(std::string_view bytes, const std::string &what, size_t limit) {
  z_stream stream = {};
  if (inflateInit2(&stream, 15 + 16) != Z_OK)
    throw Error("out of memory while unpacking " + what);
  std::string text;
  size_t taken = 0;
  int code = Z_OK;
  while (true) {
    if (stream.avail_in == 0 && taken < bytes.size()) {
      size_t part = std::min<size_t>(bytes.size() - taken, 1u << 30);
      stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data() + taken));
      stream.avail_in = static_cast<uInt>(part);
      taken += part;
    }
    size_t before = text.size();
    if (before >= limit)
      break;
    size_t room = std::min(limit - before, std::max<size_t>(before / 2, 1 << 16));
    text.resize(before + room);
    stream.next_out = reinterpret_cast<Bytef *>(text.data() + before);
    stream.avail_out = static_cast<uInt>(std::min<size_t>(room, 1u << 30));
    uInt offered = stream.avail_out;
    code = inflate(&stream, Z_NO_FLUSH);
    text.resize(before + offered - stream.avail_out);
    if (code == Z_STREAM_END && (stream.avail_in > 0 || taken < bytes.size()))
      code = inflateReset(&stream); // several members one after another
    if (code != Z_OK)
      break;
  }
  std::string reason = stream.msg ? stream.msg : "it is truncated";
  inflateEnd(&stream);
  if (code == Z_OK)
    fail("%s unpacks to more than %zu bytes", what.c_str(), limit);
  if (code != Z_STREAM_END)
    fail("cannot unpack %s: %s", what.c_str(), reason.c_str());
  return text;
}

std::string readFile(const std::string &path, size_t limit) {
  MappedFile file(path);
  if (isGzip(file.text()))
    return gunzip(file.text(), "'" + path + "'", limit);
  return std::string(file.text());
}

void requireUtf8(std::string_view text, const std::string &what) {
  size_t end = utf8Prefix(text);
  if (end == text.size())
    return;
  auto line = 1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(end), '\n');
  bool wide = text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
  fail("%s is not UTF-8 text: byte %zu, line %lld%s", what.c_str(), end, static_cast<long long>(line),
       wide ? "; it begins as UTF-16 does" : "");
}

std::string readText(const std::string &path) {
  std::string text = readFile(path);
  requireUtf8(text, "'" + path + "'");
  if (text.starts_with(byteOrderMark))
    text.erase(0, byteOrderMark.size());
  return text;
}

std::vector<std::string_view> linesOf(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

bool fileExists(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

bool isFolder(const std::string &path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

void makeFolder(const std::string &path) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/')
      continue;
    std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0777) != 0 && errno != EEXIST)
      fail("cannot make the folder '%s': %s", part.c_str(), describeErrno(errno).c_str());
  }
  if (!isFolder(path))
    fail("cannot make the folder '%s': a file of that name is there", path.c_str());
}

std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string findData(const std::string &path, const std::string &what, std::string_view folders) {
  std::vector<std::string> places;
  bool relative = !path.empty() && path[0] != '/';
  while (relative && !folders.empty()) {
    size_t end = folders.find(':');
    places.push_back(std::string(folders.substr(0, end)) + "/" + path);
    folders = end == std::string_view::npos ? "" : folders.substr(end + 1);
  }
  places.push_back(path);
  if (relative) {
    if (const char *root = std::getenv("KILN_DATA"); root && *root)
      places.push_back(std::string(root) + "/" + path);
  }
  std::string tried;
  for (const std::string &place : places) {
    if (fileExists(place)) {
      protectFile(place, what);
      return place;
    }
    tried += (tried.empty() ? "'" : ", '") + place + "'";
  }
  fail("%s is not there: looked for %s; give it with --data, or set KILN_DATA to the folder that holds it",
       what.c_str(), tried.c_str());
}

TemporaryFolder::TemporaryFolder(const std::string &name) {
  std::error_code none;
  path_ = std::filesystem::temp_directory_path(none).string() + "/" + name + "-XXXXXX";
  if (!mkdtemp(path_.data()))
    fail("cannot make a folder '%s': %s", path_.c_str(), describeErrno(errno).c_str());
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code none;
  std::filesystem::remove_all(path_, none);
}

bool sameFile(const std::string &a, const std::string &b) {
  struct stat one, other;
  return stat(a.c_str(), &one) == 0 && stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

namespace {

struct Protected {
  dev_t device;
  ino_t number;
  std::string what;
};

std::mutex protectedMutex;

/// Those that such a number may be among: a reader of a folder names many.
std::vector<Protected> &protectedFiles(ino_t number) {
  static std::vector<Protected> files[1024];
  return files[number % 1024];
}

} // namespace

void protectFile(const std::string &path, const std::string &what) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    return;
  std::lock_guard lock(protectedMutex);
  std::vector<Protected> &files = protectedFiles(status.st_ino);
  for (const Protected &file : files)
    if (file.device == status.st_dev && file.number == status.st_ino)
      return;
  files.push_back({status.st_dev, status.st_ino, what});
}

void checkUnprotected(const std::string &path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0)
    return;
  std::lock_guard lock(protectedMutex);
  for (const Protected &file : protectedFiles(status.st_ino))
    if (file.device == status.st_dev && file.number == status.st_ino)
      fail("cannot write '%s': it is %s, which this command reads; choose another name", path.c_str(),
           file.what.c_str());
}

FolderLock::FolderLock(const std::string &folder) {
  handle_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle_ < 0 || flock(handle_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
    return;
  close(handle_);
  handle_ = -1;
  fail("another process is writing to the folder '%s' now; choose another folder, or wait until it is done",
       folder.c_str());
}

FolderLock::~FolderLock() {
  if (handle_ >= 0)
    close(handle_);
}

/// PATH.NUMBER.SUFFIX, unless a process has it locked.
static void removeLeftovers(const std::string &path, const std::string &suffix) {
  std::string folder = folderOf(path), name = path.substr(path.rfind('/') + 1) + ".";
  DIR *list = opendir(folder.c_str());
  if (!list)
    return;
  while (const dirent *entry = readdir(list)) {
    std::string_view number = entry->d_name;
    if (!number.starts_with(name) || !number.ends_with(suffix) || number.size() <= name.size() + suffix.size())
      continue;
    number = number.substr(name.size(), number.size() - name.size() - suffix.size());
    if (number.find_first_not_of("0123456789") != std::string_view::npos)
      continue;
    std::string leftover = folder + "/" + entry->d_name;
    int handle = ::open(leftover.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (handle < 0)
      continue;
    if (flock(handle, LOCK_EX | LOCK_NB) == 0)
      unlink(leftover.c_str());
    close(handle);
  }
  closedir(list);
}

int openTemporary(const std::string &path, const char *suffix, std::string &temporary, unsigned mode) {
  removeLeftovers(path, std::string(".") + suffix);
  temporary = path + format(".%ld.%s", static_cast<long>(getpid()), suffix);
  while (true) {
    int handle = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (handle < 0)
      return -1;
    flock(handle, LOCK_EX | LOCK_NB);
    // Between the two calls another process may have taken it for a leftover.
    struct stat status;
    if (fstat(handle, &status) != 0 || status.st_nlink > 0)
      return handle;
    close(handle);
  }
}

AtomicFile::AtomicFile(std::string path, std::string temporary)
    : path_(std::move(path)), temporary_(std::move(temporary)) {
  struct stat status;
  checkUnprotected(path_);
  if (stat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      errno = EISDIR;
      failed("write");
    }
    if (!S_ISREG(status.st_mode)) // the rename would put a file in the place of a device
      fail("cannot write '%s': %s", path_.c_str(), kNoFile);
    // What a link points to is replaced, not the link.
    if (char *real = realpath(path_.c_str(), nullptr)) {
      path_ = real;
      std::free(real);
    }
  }
  int handle = temporary_.empty() ? openTemporary(path_, "partial", temporary_)
                                  : ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  file_ = handle < 0 ? nullptr : fdopen(handle, "wb");
  if (!file_)
    failed("write");
  std::setvbuf(file_, nullptr, _IOFBF, 1 << 18);
}

AtomicFile::~AtomicFile() {
  if (file_) {
    std::fclose(file_);
    unlink(temporary_.c_str());
  }
}

void checkWritable(const std::string &path) { AtomicFile trial(path); }

void AtomicFile::failed(const char *action) {
  int code = errno;
  if (file_) {
    std::fclose(file_);
    unlink(temporary_.c_str());
    file_ = nullptr;
  }
  fail("cannot %s '%s': %s", action, path_.c_str(), describeErrno(code).c_str());
}

void AtomicFile::write(const void *data, size_t size) {
  if (size > 0 && std::fwrite(data, 1, size, file_) != size)
    failed("write");
}

void AtomicFile::commit() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0)
    failed("write");
  int code = std::fclose(file_) != 0 ? errno : 0;
  file_ = nullptr;
  if (code == 0 && rename(temporary_.c_str(), path_.c_str()) != 0)
    code = errno;
  if (code != 0) {
    unlink(temporary_.c_str());
    errno = code;
    failed("write");
  }
  int folder = ::open(folderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder); // so that the new name survives a power cut; not every file system can
    close(folder);
  }
}

} // namespace kiln
