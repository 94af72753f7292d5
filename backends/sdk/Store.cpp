// A file for each name: a line that says what it is, a sum over name and bytes, and the bytes.
#include "backends/sdk/Store.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace kiln::sdk {

namespace {
struct Head {
  char mark[8] = {'k', 'i', 'l', 'n', ' ', 'o', 'f', '1'};
  uint64_t size = 0, sum = 0;
};

constexpr uint64_t largest = 1 << 30;
constexpr std::string_view temporary = "new-";

/// FNV-1a, eight bytes at a time.
uint64_t sumOf(std::string_view bytes, uint64_t sum = 0xcbf29ce484222325) {
  constexpr uint64_t prime = 0x100000001b3;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    sum = (sum ^ word) * prime;
    sum ^= sum >> 32;
  }
  for (char c : bytes)
    sum = (sum ^ static_cast<unsigned char>(c)) * prime;
  return sum;
}

/// Closed at the end of its life.
struct File {
  int handle;
  explicit File(int handle) : handle(handle) {}
  ~File() {
    if (handle >= 0)
      close(handle);
  }
  File(const File &) = delete;

  bool readAll(void *to, size_t size) const {
    auto *at = static_cast<char *>(to);
    while (size > 0) {
      ssize_t count = ::read(handle, at, size);
      if (count <= 0 && !(count < 0 && errno == EINTR))
        return false;
      if (count > 0)
        at += count, size -= static_cast<size_t>(count);
    }
    return true;
  }
  bool writeAll(std::string_view bytes) const {
    while (!bytes.empty()) {
      ssize_t count = ::write(handle, bytes.data(), bytes.size());
      if (count < 0 && errno != EINTR)
        return false;
      if (count > 0)
        bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
};

bool isName(std::string_view name) {
  return name.size() >= 2 && name.size() <= 100 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c); });
}
} // namespace

Store::Store(std::string folder, uint64_t mostBytes) : folder(std::move(folder)), mostBytes(mostBytes) {}

std::string Store::pathOf(const std::string &name) const {
  return folder.empty() || !isName(name) ? "" : folder + "/" + name;
}

bool Store::find(const std::string &name, std::string &bytes) const {
  std::string path = pathOf(name);
  if (path.empty())
    return false;
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status;
  Head expected, head;
  if (file.handle < 0 || fstat(file.handle, &status) != 0 || !S_ISREG(status.st_mode))
    return false;
  bool whole = file.readAll(&head, sizeof head) && std::memcmp(head.mark, expected.mark, sizeof head.mark) == 0 &&
               head.size <= largest && static_cast<uint64_t>(status.st_size) == sizeof head + head.size;
  if (whole) {
    bytes.resize(head.size);
    whole = file.readAll(bytes.data(), bytes.size()) && sumOf(bytes, sumOf(name)) == head.sum;
  }
  if (!whole) {
    bytes.clear();
    ::unlink(path.c_str());
    return false;
  }
  futimens(file.handle, nullptr); // asked for now
  return true;
}

void Store::keep(const std::string &name, std::string_view bytes) const {
  std::string path = pathOf(name);
  if (path.empty() || bytes.size() > std::min(largest, mostBytes))
    return;
  static std::atomic<unsigned> number = 0;
  std::string fresh = folder + "/" + std::string(temporary) + std::to_string(getpid()) + "-" + std::to_string(number++);
  auto create = [&] { return ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644); };
  int handle = create();
  if (handle < 0 && errno == ENOENT) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    handle = create();
  }
  if (handle < 0)
    return;
  Head head;
  head.size = bytes.size();
  head.sum = sumOf(bytes, sumOf(name));
  bool written;
  {
    File file(handle);
    written = file.writeAll({reinterpret_cast<const char *>(&head), sizeof head}) && file.writeAll(bytes);
  }
  if (!written || ::rename(fresh.c_str(), path.c_str()) != 0)
    ::unlink(fresh.c_str());
  // Names are hashes: this is one in 64 of them.
  if (name[0] == '0' && name[1] < '4')
    makeRoom();
}

void Store::makeRoom() const {
  struct Kept {
    std::filesystem::file_time_type asked;
    uint64_t size;
    std::filesystem::path path;
  };
  std::vector<Kept> all;
  uint64_t total = 0;
  std::error_code error;
  auto longAgo = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone; // another process makes room too
    bool file = entry->is_regular_file(gone) && !entry->is_symlink(gone);
    Kept kept{entry->last_write_time(gone), file ? entry->file_size(gone) : 0, entry->path()};
    if (gone || !file)
      continue;
    std::string name = kept.path.filename().string();
    if (name.starts_with(temporary)) { // of a process that was killed
      if (kept.asked < longAgo)
        std::filesystem::remove(kept.path, gone);
    } else if (isName(name)) {
      total += kept.size;
      all.push_back(std::move(kept));
    }
  }
  if (total <= mostBytes)
    return;
  std::sort(all.begin(), all.end(), [](const Kept &a, const Kept &b) { return a.asked < b.asked; });
  for (const Kept &kept : all) {
    if (total <= mostBytes / 4 * 3)
      break;
    if (std::filesystem::remove(kept.path, error))
      total -= kept.size;
  }
}

} // namespace kiln::sdk
