#include "runtime/data/WordList.h"

#include <cstring>

namespace kiln {

namespace {

/// WordList by their text: open addressing, one slot a word, half of the slots free.
class Table {
public:
  explicit Table(std::vector<std::string_view> &words) : words_(words), slots_(1024) {}

  /// The word's place; a new word comes last.
  int32_t place(std::string_view word) {
    uint64_t hash = hashOf(word);
    size_t mask = slots_.size() - 1, at = hash & mask;
    for (; slots_[at].place >= 0; at = (at + 1) & mask)
      if (slots_[at].hash == hash && words_[static_cast<size_t>(slots_[at].place)] == word)
        return slots_[at].place;
    int32_t place = static_cast<int32_t>(words_.size());
    words_.push_back(word);
    slots_[at] = {hash, place};
    if (words_.size() * 2 > slots_.size())
      grow();
    return place;
  }

private:
  struct Slot {
    uint64_t hash = 0;
    int32_t place = -1;
  };

  /// Eight bytes at a time, each mixed in by a multiplication (the finaliser of MurmurHash3).
  static uint64_t hashOf(std::string_view word) {
    uint64_t hash = word.size();
    auto mix = [&](uint64_t part) {
      hash = (hash ^ part) * 0xff51afd7ed558ccdull;
      hash ^= hash >> 33;
    };
    size_t at = 0;
    for (; at + 8 <= word.size(); at += 8) {
      uint64_t part;
      std::memcpy(&part, word.data() + at, 8);
      mix(part);
    }
    uint64_t rest = 0;
    for (size_t i = at; i < word.size(); ++i)
      rest = rest << 8 | static_cast<unsigned char>(word[i]);
    mix(rest);
    return hash;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    size_t mask = slots_.size() - 1;
    for (const Slot &slot : old) {
      if (slot.place < 0)
        continue;
      size_t at = slot.hash & mask;
      while (slots_[at].place >= 0)
        at = (at + 1) & mask;
      slots_[at] = slot;
    }
  }

  std::vector<std::string_view> &words_;
  std::vector<Slot> slots_;
};

} // namespace

WordList WordList::cut(std::string_view text) {
  WordList words;
  Table table(words.distinct);
  size_t at = 0;
  while (at < text.size()) {
    if (isSpace(text[at])) {
      if (text[at++] == '\n')
        words.lineEnds.push_back(words.numbers.size());
      continue;
    }
    size_t end = at;
    while (end < text.size() && !isSpace(text[end]))
      ++end;
    int32_t place = table.place(text.substr(at, end - at));
    if (static_cast<size_t>(place) == words.counts.size())
      words.counts.push_back(0);
    ++words.counts[static_cast<size_t>(place)];
    words.numbers.push_back(place);
    at = end;
  }
  if (!text.empty() && text.back() != '\n')
    words.lineEnds.push_back(words.numbers.size());
  return words;
}

} // namespace kiln
