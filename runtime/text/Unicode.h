// What tokenizers ask of Unicode: classes, lower case, canonical forms.
#pragma once

#include "runtime/support/Utf8.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kiln {

/// The general categories, as far as anybody here tells them apart.
enum class UnicodeClass : uint8_t {
  Unassigned,
  Control,
  Format,
  PrivateUse,
  Surrogate,
  Letter,
  Number,
  NonspacingMark,
  Mark,
  Punctuation,
  Symbol,
  Separator,
  OtherNumber // one half, a circled one: no digit, and no letter that is a number
};

UnicodeClass unicodeClass(char32_t c);
/// The class in Unicode 8.0, as far as control characters, marks and punctuation go; other letters may be newer.
UnicodeClass unicode8Class(char32_t c);
/// The property White_Space.
bool isUnicodeSpace(char32_t c);
/// The canonical combining class: 0 for what begins a character.
unsigned combiningClass(char32_t c);
/// One code point's lower case. (U+0130 alone has two: an i, and a dot above, U+0307, which is not given here.)
char32_t lowerCase(char32_t c);
/// The categories Lu and Lt; and Ll.
bool isUpperCase(char32_t c);
bool isLowerCase(char32_t c);
/// The canonical decomposition into one or two (second = 0: one); false where there is none.
bool decompose(char32_t c, char32_t &first, char32_t &second);
/// What two compose to; 0 where they do not.
char32_t compose(char32_t first, char32_t second);

/// The character at `at` of a text that is UTF-8, and on to the next one.
char32_t nextCharacter(std::string_view text, size_t &at);

} // namespace kiln
