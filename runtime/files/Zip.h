// ZIP archives, as NumPy's savez writes them: members that are stored or deflated, of any size (ZIP64). APPNOTE 6.3.
#pragma once

#include "runtime/files/File.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct ZipMember {
  std::string name;
  bool deflated = false;
  uint32_t sum = 0; ///< the CRC-32 of its bytes
  uint64_t size = 0;
  std::string_view packed; ///< as it lies in the archive
};

/// All members of an archive in memory. Every offset and size is checked. Throws Error for what is no archive, is
/// damaged, encrypted or packed in another way, or has a name twice.
std::vector<ZipMember> readZip(std::string_view bytes, const std::string &what);

/// A member's bytes: of a stored one where they lie, of a deflated one in `memory`. Throws Error where they are
/// damaged.
std::string_view unpackZip(const ZipMember &member, const std::string &what, std::string &memory);

} // namespace kiln
