// "Precompiled": sentencepiece's table of what becomes of which characters, a trie in two arrays (darts-clone) in
// base64.
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

#include <cstring>
#include <optional>

namespace kiln {

namespace {

std::string fromBase64(const std::string &text, const std::string &what) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    if (c == '=')
      break;
    int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52
                : c == '+'             ? 62
                : c == '/'             ? 63
                                       : -1;
    if (value < 0)
      fail("%s: the normalizer's precompiled_charsmap is not base64", what.c_str());
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xff);
    }
  }
  return bytes;
}

class Charsmap {
public:
  Charsmap(const std::string &bytes, const std::string &what) {
    uint32_t size = 0;
    if (bytes.size() >= 4)
      std::memcpy(&size, bytes.data(), 4);
    if (bytes.size() < 4 || size > bytes.size() - 4 || size % 4 != 0 || size == 0)
      fail("%s: the normalizer's precompiled_charsmap is damaged", what.c_str());
    units_.resize(size / 4);
    std::memcpy(units_.data(), bytes.data() + 4, size);
    texts_ = bytes.substr(4 + size);
  }

  /// What the shortest beginning of the text that the table knows becomes.
  std::optional<std::string_view> find(std::string_view text) const {
    size_t at = 0;
    uint32_t unit = units_[0];
    at ^= offset(unit);
    for (char c : text) {
      uint32_t byte = static_cast<unsigned char>(c);
      at ^= byte;
      if (byte == 0 || at >= units_.size() || ((unit = units_[at]) & (1u << 31 | 0xff)) != byte)
        return std::nullopt;
      at ^= offset(unit);
      if (!(unit >> 8 & 1))
        continue;
      size_t begin = at < units_.size() ? units_[at] & ~(1u << 31) : texts_.size();
      if (begin >= texts_.size())
        return std::nullopt;
      return std::string_view(texts_).substr(begin, texts_.find('\0', begin) - begin);
    }
    return std::nullopt;
  }

private:
  static uint32_t offset(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

  std::vector<uint32_t> units_;
  std::string texts_; // each ends with a NUL
};

/// Does a character stay with the one before it (an extended grapheme cluster's rest, as far as it matters here)?
bool extends(char32_t c) {
  UnicodeClass kind = unicodeClass(c);
  return kind == UnicodeClass::NonspacingMark || kind == UnicodeClass::Mark || c == 0x200c || c == 0x200d ||
         c == 0xff9e || c == 0xff9f || (c >= 0x1f3fb && c <= 0x1f3ff);
}

bool isControl(char32_t c) {
  UnicodeClass kind = unicodeClass(c);
  return kind == UnicodeClass::Control || (kind == UnicodeClass::Format && c != 0x200c && c != 0x200d) || c == 0x2028 ||
         c == 0x2029;
}

void apply(const Charsmap &map, Characters &characters) {
  Characters out = characters.like();
  auto replace = [&](std::string_view text, size_t first, size_t last) {
    TextRange range = characters.range(first);
    range.end = characters.range(last).end;
    for (size_t at = 0; at < text.size();)
      out.add(nextCharacter(text, at), range);
  };
  std::string cluster;
  for (size_t begin = 0; begin < characters.text.size();) {
    size_t end = begin + 1;
    char32_t first = characters.text[begin];
    if (first == '\r' && end < characters.text.size() && characters.text[end] == '\n')
      ++end;
    while (!isControl(first) && end < characters.text.size() && extends(characters.text[end]))
      ++end;
    cluster.clear();
    for (size_t i = begin; i < end; ++i)
      appendUtf8(cluster, characters.text[i]);
    std::optional<std::string_view> whole;
    if (cluster.size() < 6 && (whole = map.find(cluster))) {
      replace(*whole, begin, end - 1);
    } else {
      for (size_t i = begin; i < end; ++i) {
        cluster.clear();
        appendUtf8(cluster, characters.text[i]);
        if (std::optional<std::string_view> one = map.find(cluster))
          replace(*one, i, i);
        else
          out.add(characters.text[i], characters.range(i));
      }
    }
    begin = end;
  }
  characters = std::move(out);
}

} // namespace

Normalizer parseCharsmap(const Json &json, const std::string &what) {
  auto map = std::make_shared<Charsmap>(fromBase64(json.at("precompiled_charsmap").string(), what), what);
  return [map](Characters &characters) { apply(*map, characters); };
}

} // namespace kiln
