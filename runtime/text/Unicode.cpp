// Look-ups in the generated tables.
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

namespace kiln {

namespace {
struct LowerRun {
  uint32_t first;
  uint16_t length, step;
  int32_t difference;
};
struct CaseRun {
  uint32_t first;
  uint16_t length, step;
};
struct Decomposition {
  uint32_t code, first;
  uint32_t second : 31, composes : 1;
};
#include "runtime/text/UnicodeTables.inc"

/// The low byte of the last run that begins at or before c.
template <size_t n> uint8_t runAt(const uint32_t (&runs)[n], char32_t c) {
  const uint32_t *above = std::upper_bound(std::begin(runs), std::end(runs), static_cast<uint32_t>(c) << 8 | 0xff);
  return static_cast<uint8_t>(above[-1] & 0xff);
}

/// Whether c is in one of the runs.
template <size_t n> bool isIn(const CaseRun (&runs)[n], char32_t c) {
  const CaseRun *above = std::upper_bound(std::begin(runs), std::end(runs), static_cast<uint32_t>(c),
                                          [](uint32_t code, const CaseRun &run) { return code < run.first; });
  if (above == std::begin(runs))
    return false;
  uint32_t distance = static_cast<uint32_t>(c) - above[-1].first;
  return distance <= above[-1].length && distance % above[-1].step == 0;
}

constexpr char32_t hangul = 0xac00, leading = 0x1100, vowel = 0x1161, trailing = 0x11a7;
constexpr char32_t leadings = 19, vowels = 21, trailings = 28;
} // namespace

UnicodeClass unicodeClass(char32_t c) { return static_cast<UnicodeClass>(runAt(classRuns, c) & 0x7f); }

UnicodeClass unicode8Class(char32_t c) {
  if (c == 0x166d || c == 0x111c9)
    return UnicodeClass::Punctuation; // a symbol and a mark since
  if (c == 0x1734)
    return UnicodeClass::NonspacingMark; // a spacing one since
  uint8_t run = runAt(classRuns, c);
  return run & 0x80 ? UnicodeClass::Unassigned : static_cast<UnicodeClass>(run);
}

bool isUnicodeSpace(char32_t c) {
  if (c < 0x80)
    return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || unicodeClass(c) == UnicodeClass::Separator;
}

unsigned combiningClass(char32_t c) { return c < 0x300 ? 0 : runAt(combiningRuns, c); }

char32_t lowerCase(char32_t c) {
  if (c < 0x80)
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c == 0x130)
    return 'i';
  const LowerRun *above = std::upper_bound(std::begin(lowerRuns), std::end(lowerRuns), static_cast<uint32_t>(c),
                                           [](uint32_t code, const LowerRun &run) { return code < run.first; });
  const LowerRun &run = above[-1];
  uint32_t distance = static_cast<uint32_t>(c) - run.first;
  bool within = distance <= run.length && distance % run.step == 0;
  return within ? static_cast<char32_t>(static_cast<int32_t>(c) + run.difference) : c;
}

bool isUpperCase(char32_t c) { return isIn(upperRuns, c); }
bool isLowerCase(char32_t c) { return isIn(lowRuns, c); }

bool decompose(char32_t c, char32_t &first, char32_t &second) {
  if (c >= hangul && c < hangul + leadings * vowels * trailings) {
    char32_t index = c - hangul, last = index % trailings;
    first = last ? c - last : leading + index / (vowels * trailings);
    second = last ? trailing + last : vowel + index % (vowels * trailings) / trailings;
    return true;
  }
  const Decomposition *found =
      std::lower_bound(std::begin(canonical), std::end(canonical), c,
                       [](const Decomposition &entry, char32_t code) { return entry.code < code; });
  if (found == std::end(canonical) || found->code != c)
    return false;
  first = found->first;
  second = found->second;
  return true;
}

char32_t compose(char32_t first, char32_t second) {
  if (first >= leading && first < leading + leadings && second >= vowel && second < vowel + vowels)
    return hangul + ((first - leading) * vowels + (second - vowel)) * trailings;
  if (first >= hangul && first < hangul + leadings * vowels * trailings && (first - hangul) % trailings == 0 &&
      second > trailing && second < trailing + trailings)
    return first + (second - trailing);
  static const std::unordered_map<uint64_t, char32_t> pairs = [] {
    std::unordered_map<uint64_t, char32_t> all;
    for (const Decomposition &entry : canonical)
      if (entry.composes)
        all.emplace(static_cast<uint64_t>(entry.first) << 32 | entry.second, entry.code);
    return all;
  }();
  auto found = pairs.find(static_cast<uint64_t>(first) << 32 | second);
  return found == pairs.end() ? 0 : found->second;
}

char32_t nextCharacter(std::string_view text, size_t &at) {
  auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  char32_t lead = byte(at++);
  int more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  char32_t c = more == 0 ? lead : lead & (0x3fu >> more);
  for (int i = 0; i < more && at < text.size(); ++i)
    c = c << 6 | (byte(at++) & 0x3f);
  return c;
}

} // namespace kiln
