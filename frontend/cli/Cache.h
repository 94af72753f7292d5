// Programs that `kiln train` and the like have built before.
#pragma once

#include "frontend/driver/Options.h"

#include "absl/status/statusor.h"

#include <string>

namespace kiln {

/// A hash of all that a program is made from: the options, the texts that they name, and kiln itself. `settings`: what
/// of the backends' options makes it another program.
absl::StatusOr<std::string> programKey(const ModelOptions &options, const std::vector<std::string> &settings);

/// The path that the program of these options has in the cache (runtime/support/CacheFolder.h): its name is
/// a hash of the options, the model's text and kiln itself, so a stale one is never found. Creates the folder.
/// `settings`: what of the backends' options makes it another program.
absl::StatusOr<std::string> cachePath(const ModelOptions &options, const std::vector<std::string> &settings);

/// A built program in the cache, with its size and a hash (and those of its plugins) beside it, so that what was cut or
/// damaged is built again. While the object lives no other process builds the same one; a process that ends, however,
/// leaves no lock.
class CacheEntry {
public:
  explicit CacheEntry(std::string path);
  ~CacheEntry();
  CacheEntry(const CacheEntry &) = delete;
  CacheEntry &operator=(const CacheEntry &) = delete;

  /// Is it there, as it was built?
  bool intact() const;
  /// It is going to be built: until seal() there is none. Says so of one that is there and not intact.
  void open();
  absl::Status seal();

private:
  std::string path_;
  int seal_ = -1; // the file beside it, locked
};

} // namespace kiln
