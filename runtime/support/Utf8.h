// UTF-8 as Unicode defines it: what is shorter written, surrogates and what lies beyond U+10FFFF is not UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kiln {

/// Length in bytes of the UTF-8 character at `at`, 0 where there is none.
inline size_t utf8Length(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(at);
  size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || length > text.size() - at)
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xc0) != 0x80)
      return 0;
  if (length < 3)
    return length;
  unsigned char next = byte(at + 1);
  bool tooLong = (lead == 0xe0 && next < 0xa0) || (lead == 0xf0 && next < 0x90);
  bool surrogate = lead == 0xed && next >= 0xa0, beyond = lead == 0xf4 && next >= 0x90;
  return tooLong || surrogate || beyond ? 0 : length;
}

/// Where the text stops being UTF-8; its size where it is all of it.
inline size_t utf8Prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    size_t length = utf8Length(text, at);
    if (length == 0)
      return at;
    at += length;
  }
  return at;
}

/// A character's bytes behind a text.
inline void appendUtf8(std::string &text, char32_t c) {
  int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr unsigned leads[] = {0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(leads[more] | c >> 6 * more);
  while (more-- > 0)
    text += static_cast<char>(0x80 | (c >> 6 * more & 0x3f));
}

/// The mark that some editors put before a UTF-8 text. It is no part of the text.
constexpr std::string_view byteOrderMark = "\xef\xbb\xbf";

} // namespace kiln
