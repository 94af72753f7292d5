// The directory at an archive's end, and what it points to.
#include "runtime/files/Zip.h"

#include "runtime/support/Error.h"

#include <cstring>
#include <set>
#include <zlib.h>

namespace kiln {

namespace {

/// Little-endian numbers at checked places.
class ArchiveBytes {
public:
  ArchiveBytes(std::string_view bytes, const std::string &what) : bytes_(bytes), what_(what) {}

  template <typename T> T at(uint64_t place) const {
    T value;
    std::memcpy(&value, part(place, sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view part(uint64_t place, uint64_t size) const {
    if (place > bytes_.size() || size > bytes_.size() - place)
      fail("%s is truncated or damaged: a part of the archive would lie outside of it", what_.c_str());
    return bytes_.substr(place, size);
  }
  size_t size() const { return bytes_.size(); }
  const std::string &what() const { return what_; }

private:
  std::string_view bytes_;
  const std::string &what_;
};

struct Directory {
  uint64_t members, place;
};

constexpr uint32_t directoryEnd = 0x06054b50, largeLocator = 0x07064b50, largeEnd = 0x06064b50, entryMark = 0x02014b50,
                   memberMark = 0x04034b50;

/// The record at the end of the archive, behind which a comment of up to 65,535 bytes may stand.
Directory findDirectory(const ArchiveBytes &bytes) {
  constexpr size_t length = 22;
  if (bytes.size() >= length)
    for (size_t back = length; back <= std::min<size_t>(bytes.size(), length + UINT16_MAX); ++back) {
      uint64_t place = bytes.size() - back;
      if (bytes.at<uint32_t>(place) != directoryEnd || bytes.at<uint16_t>(place + 20) != back - length)
        continue;
      Directory directory{bytes.at<uint16_t>(place + 10), bytes.at<uint32_t>(place + 16)};
      if (directory.members != UINT16_MAX && directory.place != UINT32_MAX)
        return directory;
      if (place < 20 || bytes.at<uint32_t>(place - 20) != largeLocator)
        return directory;
      uint64_t large = bytes.at<uint64_t>(place - 12);
      if (bytes.at<uint32_t>(large) != largeEnd)
        fail("%s is damaged: its directory is not where it says", bytes.what().c_str());
      return {bytes.at<uint64_t>(large + 32), bytes.at<uint64_t>(large + 48)};
    }
  fail("%s is no ZIP archive, or is truncated: it has no directory at its end", bytes.what().c_str());
}

/// Sizes and a place that did not fit 32 bits stand in a field behind the name, in this order.
void readLarge(const ArchiveBytes &bytes, uint64_t extra, uint64_t length, std::initializer_list<uint64_t *> numbers) {
  for (uint64_t at = extra; at + 4 <= extra + length;) {
    uint64_t size = bytes.at<uint16_t>(at + 2), next = at + 4;
    if (bytes.at<uint16_t>(at) == 1)
      for (uint64_t *number : numbers)
        if (*number == UINT32_MAX && next + 8 <= at + 4 + size) {
          *number = bytes.at<uint64_t>(next);
          next += 8;
        }
    at += 4 + size;
  }
}

/// The member that the directory's entry at `at` tells of; `at` goes to the next one.
ZipMember readMember(const ArchiveBytes &bytes, uint64_t &at) {
  if (bytes.at<uint32_t>(at) != entryMark)
    fail("%s is damaged: its directory ends early", bytes.what().c_str());
  uint16_t flags = bytes.at<uint16_t>(at + 8), method = bytes.at<uint16_t>(at + 10);
  uint64_t nameLength = bytes.at<uint16_t>(at + 28), extra = bytes.at<uint16_t>(at + 30),
           comment = bytes.at<uint16_t>(at + 32);
  uint64_t packed = bytes.at<uint32_t>(at + 20), size = bytes.at<uint32_t>(at + 24),
           place = bytes.at<uint32_t>(at + 42);
  ZipMember member;
  member.name = bytes.part(at + 46, nameLength);
  member.sum = bytes.at<uint32_t>(at + 16);
  readLarge(bytes, at + 46 + nameLength, bytes.part(at + 46 + nameLength, extra).size(), {&size, &packed, &place});
  at += 46 + nameLength + extra + comment;
  std::string what = bytes.what() + ": '" + member.name + "'";
  if (flags & 1)
    fail("%s is encrypted", what.c_str());
  if (method != 0 && method != 8)
    fail("%s is packed in a way (%u) that is not known; stored and deflated members are", what.c_str(), method);
  member.deflated = method == 8;
  member.size = size;
  bytes.part(place, 30); // so that no sum below runs over
  if (bytes.at<uint32_t>(place) != memberMark)
    fail("%s is not where the directory says", what.c_str());
  uint64_t begin = place + 30 + bytes.at<uint16_t>(place + 26) + bytes.at<uint16_t>(place + 28);
  member.packed = bytes.part(begin, packed);
  // A byte of deflated data tells of 1032 at most.
  if (member.deflated ? size / 1032 > packed + 1 : size != packed)
    fail("%s is damaged: its %llu bytes would be %llu", what.c_str(), static_cast<unsigned long long>(packed),
         static_cast<unsigned long long>(size));
  return member;
}

} // namespace

std::vector<ZipMember> readZip(std::string_view text, const std::string &what) {
  ArchiveBytes bytes(text, what);
  Directory directory = findDirectory(bytes);
  std::vector<ZipMember> members;
  std::set<std::string> names;
  for (uint64_t i = 0, at = directory.place; i < directory.members; ++i) {
    members.push_back(readMember(bytes, at)); // at least 46 bytes of the archive each
    if (!names.insert(members.back().name).second)
      fail("%s has '%s' twice", what.c_str(), members.back().name.c_str());
  }
  return members;
}

std::string_view unpackZip(const ZipMember &member, const std::string &what, std::string &memory) {
  std::string_view bytes = member.packed;
  if (member.deflated) {
    memory.resize(member.size);
    z_stream stream = {};
    if (inflateInit2(&stream, -15) != Z_OK)
      throw Error("out of memory while unpacking " + what);
    int code = Z_OK;
    for (size_t in = 0, out = 0; code == Z_OK;) {
      stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(member.packed.data() + in));
      stream.next_out = reinterpret_cast<Bytef *>(memory.data() + out);
      uInt give = static_cast<uInt>(std::min<size_t>(member.packed.size() - in, 1u << 30));
      uInt room = static_cast<uInt>(std::min<size_t>(memory.size() - out, 1u << 30));
      stream.avail_in = give;
      stream.avail_out = room;
      code = inflate(&stream, Z_NO_FLUSH);
      in += give - stream.avail_in;
      out += room - stream.avail_out;
      if (code == Z_STREAM_END && out != memory.size())
        code = Z_DATA_ERROR;
      if (code == Z_OK && give == stream.avail_in && room == stream.avail_out)
        code = Z_BUF_ERROR; // nothing moves
    }
    inflateEnd(&stream);
    if (code != Z_STREAM_END)
      fail("%s: '%s' is damaged", what.c_str(), member.name.c_str());
    bytes = memory;
  }
  uLong sum = crc32_z(0, reinterpret_cast<const Bytef *>(bytes.data()), bytes.size());
  if (sum != member.sum)
    fail("%s: '%s' is damaged: its bytes do not have the sum that was written with them", what.c_str(),
         member.name.c_str());
  return bytes;
}

} // namespace kiln
