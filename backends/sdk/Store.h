// What was made before, and need not be made again: bytes by name, in a folder that processes share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kiln::sdk {

/// Names say all that the bytes depend on (a hash of it, 2 to 100 letters and digits): what is found is what would have
/// been made. Whatever goes wrong (a folder that cannot be written, a full disk, a file that was cut or changed),
/// nothing is found or kept, and nothing is told. Files appear whole, by a rename, so that any number of processes and
/// threads may share a folder.
class Store {
public:
  /// An empty folder: there is no store. Made where something is kept. Above `mostBytes`, what was not asked for the
  /// longest goes, until three quarters are left; looked at once in 64 keepings, as a rule.
  explicit Store(std::string folder, uint64_t mostBytes = 256 << 20);

  bool find(const std::string &name, std::string &bytes) const;
  void keep(const std::string &name, std::string_view bytes) const;

private:
  std::string pathOf(const std::string &name) const;
  void makeRoom() const;

  std::string folder;
  uint64_t mostBytes;
};

} // namespace kiln::sdk
