// Commands moved together between barriers, within what their bytes allow.

#include "backends/vulkan/run/Schedule.h"

#include <algorithm>
#include <map>
#include <tuple>

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

/// Levels in one direction of time: a command's is at least one more than those of the commands before it, in that
/// direction, that touch the same bytes.
class Levels {
public:
  explicit Levels(std::span<const Range> ranges) : ranges(ranges) {}

  uint32_t least(const Command &command) {
    uint32_t level = 0;
    for (const Range &range : ranges.subspan(command.firstRange, command.ranges))
      memories[range.memory].between(range.begin, range.end, [&](Touched &touched) {
        level = std::max(level, touched.written);
        if (range.access & KILN_VK_WRITES)
          level = std::max(level, touched.read);
      });
    return level;
  }

  void put(const Command &command, uint32_t level) {
    for (const Range &range : ranges.subspan(command.firstRange, command.ranges))
      memories[range.memory].between(range.begin, range.end, [&](Touched &touched) {
        if (range.access & KILN_VK_WRITES)
          touched.written = std::max(touched.written, level + 1);
        if (range.access & KILN_VK_READS)
          touched.read = std::max(touched.read, level + 1);
      });
  }

private:
  std::span<const Range> ranges;
  std::map<uint32_t, Memory> memories;
};

/// Who may be in one batch: those with equal numbers.
uint64_t kindOf(const Command &command) { return static_cast<uint64_t>(command.dispatch) << 32 | command.grid[2]; }

/// Moves commands that may be in a batch up to others of their kind. First each as late as what waits for it allows;
/// then, from the first to the last, to where one of its kind stands earlier and there is room.
void gather(std::span<const Command> commands, std::span<const Range> ranges, std::span<const uint32_t> most,
            Schedule &schedule) {
  auto batches = [&](const Command &command) { return command.kernel != KILN_NONE && most[command.dispatch] > 1; };
  const uint32_t last = schedule.levels - 1;
  Levels backwards(ranges), forwards(ranges);
  for (size_t i = commands.size(); i-- > 0;) {
    if (batches(commands[i]))
      schedule.levelOf[i] = last - backwards.least(commands[i]);
    backwards.put(commands[i], last - schedule.levelOf[i]);
  }
  std::map<uint64_t, std::map<uint32_t, uint32_t>> standing; // how many of a kind at a level
  for (size_t i = 0; i < commands.size(); ++i)
    if (batches(commands[i]))
      ++standing[kindOf(commands[i])][schedule.levelOf[i]];
  for (size_t i = 0; i < commands.size(); ++i) {
    uint32_t &level = schedule.levelOf[i];
    if (batches(commands[i])) {
      std::map<uint32_t, uint32_t> &its = standing[kindOf(commands[i])];
      for (auto at = its.lower_bound(forwards.least(commands[i])); at != its.end() && at->first < level; ++at)
        if (at->second % most[commands[i].dispatch] != 0) {
          --its[level];
          level = at->first;
          ++at->second;
          break;
        }
    }
    forwards.put(commands[i], level);
  }
}

} // namespace

Schedule schedule(std::span<const Command> commands, std::span<const Range> ranges, std::span<const uint32_t> most) {
  Schedule result;
  Levels forwards(ranges);
  for (const Command &command : commands) {
    uint32_t level = forwards.least(command);
    forwards.put(command, level);
    result.levelOf.push_back(level);
    result.levels = std::max(result.levels, level + 1);
  }
  if (commands.empty())
    return result;
  gather(commands, ranges, most, result);

  // Within a level as the program has them, but those of a kind beside the first of it, big ones first: a batch has the
  // workgroups of its biggest launch.
  std::vector<std::vector<uint32_t>> members(result.levels);
  for (uint32_t i = 0; i < commands.size(); ++i)
    members[result.levelOf[i]].push_back(i);
  for (std::vector<uint32_t> &level : members) {
    std::map<uint64_t, uint32_t> firstOf;
    auto key = [&](uint32_t i) {
      const Command &command = commands[i];
      bool alone = command.kernel == KILN_NONE || most[command.dispatch] == 1;
      uint32_t first = alone ? i : firstOf.try_emplace(kindOf(command), i).first->second;
      return std::tuple(first, alone ? 0 : UINT32_MAX - command.grid[0], i);
    };
    std::vector<std::tuple<uint32_t, uint32_t, uint32_t>> keys;
    for (uint32_t i : level)
      keys.push_back(key(i));
    std::sort(keys.begin(), keys.end());
    for (size_t k = 0; k < keys.size(); ++k) {
      auto [first, size, i] = keys[k];
      // A command that stands alone shares its first with no other.
      bool joins =
          k > 0 && std::get<0>(keys[k - 1]) == first && result.batches.back().count < most[commands[i].dispatch];
      if (joins)
        ++result.batches.back().count;
      else
        result.batches.push_back({static_cast<uint32_t>(result.order.size()), 1});
      result.order.push_back(i);
    }
  }
  return result;
}

} // namespace kiln::vulkan
