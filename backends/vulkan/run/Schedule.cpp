#include "backends/vulkan/run/Trace.h"

#include <algorithm>
#include <map>

namespace kiln::vulkan {

namespace {

/// Who touched some bytes last: levels, plus 1; 0 for nobody.
struct Touched {
  uint64_t end;
  uint32_t written, read;
};

/// A memory's bytes in pieces that were touched alike.
class Memory {
public:
  /// Calls `each` for the pieces between begin and end, cut to fit; new ones where nobody was.
  template <typename Each> void between(uint64_t begin, uint64_t end, Each each) {
    auto piece = cut(begin);
    for (uint64_t at = begin; at < end;) {
      if (piece == pieces.end() || piece->first > at) {
        uint64_t next = piece == pieces.end() ? end : std::min(end, piece->first);
        piece = pieces.emplace_hint(piece, at, Touched{next, 0, 0});
      } else if (piece->second.end > end) {
        cut(end);
      }
      each(piece->second);
      at = piece->second.end;
      ++piece;
    }
  }

private:
  std::map<uint64_t, Touched> pieces; // by their begin

  /// The first piece that begins at `at` or later, after a piece across it was cut in two.
  std::map<uint64_t, Touched>::iterator cut(uint64_t at) {
    auto next = pieces.lower_bound(at);
    if (next == pieces.begin())
      return next;
    auto before = std::prev(next);
    if (before->second.end <= at)
      return next;
    Touched tail = before->second;
    before->second.end = at;
    return pieces.emplace_hint(next, at, tail);
  }
};

} // namespace

uint32_t schedule(std::span<const Command> commands, std::span<const Range> ranges, std::span<uint32_t> levels) {
  std::map<uint32_t, Memory> memories;
  uint32_t count = 0;
  for (size_t i = 0; i < commands.size(); ++i) {
    std::span<const Range> its = ranges.subspan(commands[i].firstRange, commands[i].ranges);
    uint32_t level = 0;
    for (const Range &range : its)
      memories[range.memory].between(range.begin, range.end, [&](Touched &touched) {
        level = std::max(level, touched.written);
        if (range.access & KILN_VK_WRITES)
          level = std::max(level, touched.read);
      });
    for (const Range &range : its)
      memories[range.memory].between(range.begin, range.end, [&](Touched &touched) {
        if (range.access & KILN_VK_WRITES)
          touched.written = level + 1;
        if (range.access & KILN_VK_READS)
          touched.read = std::max(touched.read, level + 1);
      });
    levels[i] = level;
    count = std::max(count, level + 1);
  }
  return count;
}

} // namespace kiln::vulkan
