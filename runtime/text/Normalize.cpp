// Normalizers: what is done to a text's characters before it is cut.
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

#include <algorithm>

namespace kiln {

namespace {

template <typename Keep> void filter(Characters &characters, Keep keep) {
  size_t to = 0;
  for (size_t i = 0; i < characters.text.size(); ++i) {
    if (!keep(characters.text[i]))
      continue;
    characters.text[to] = characters.text[i];
    if (characters.tracked)
      characters.from[to] = characters.from[i];
    ++to;
  }
  characters.text.resize(to);
  if (characters.tracked)
    characters.from.resize(to);
}

void addDecomposed(Characters &out, char32_t c, TextRange range) {
  char32_t first = 0, second = 0;
  if (c < 0xc0 || !decompose(c, first, second)) {
    out.add(c, range);
    return;
  }
  addDecomposed(out, first, range);
  if (second)
    addDecomposed(out, second, range);
}

/// Marks behind a character by rising combining class; those of one class keep their order.
void orderMarks(Characters &characters) {
  for (size_t i = 1; i < characters.text.size(); ++i) {
    unsigned mark = combiningClass(characters.text[i]);
    for (size_t at = i; mark != 0 && at > 0 && combiningClass(characters.text[at - 1]) > mark; --at) {
      std::swap(characters.text[at - 1], characters.text[at]);
      if (characters.tracked)
        std::swap(characters.from[at - 1], characters.from[at]);
    }
  }
}

void toNfd(Characters &characters) {
  Characters out = characters.like();
  out.text.reserve(characters.text.size());
  for (size_t i = 0; i < characters.text.size(); ++i)
    addDecomposed(out, characters.text[i], characters.range(i));
  orderMarks(out);
  characters = std::move(out);
}

void toNfc(Characters &characters) {
  toNfd(characters);
  Characters out = characters.like();
  size_t starter = SIZE_MAX;
  unsigned last = 0; // the class of what stands before, since the starter
  for (size_t i = 0; i < characters.text.size(); ++i) {
    char32_t c = characters.text[i];
    unsigned mark = combiningClass(c);
    bool adjacent = starter != SIZE_MAX && starter + 1 == out.text.size();
    if (starter != SIZE_MAX && (adjacent || (last < mark && last != 0)))
      if (char32_t composed = compose(out.text[starter], c)) {
        out.text[starter] = composed;
        continue;
      }
    if (mark == 0)
      starter = out.text.size();
    last = mark;
    out.add(c, characters.range(i));
  }
  characters = std::move(out);
}

void toLower(Characters &characters) {
  for (char32_t &c : characters.text)
    if (c != 0x130)
      c = lowerCase(c);
  if (characters.text.find(0x130) == std::u32string::npos)
    return;
  Characters out = characters.like();
  for (size_t i = 0; i < characters.text.size(); ++i) {
    out.add(lowerCase(characters.text[i]), characters.range(i));
    if (characters.text[i] == 0x130)
      out.add(0x307, characters.range(i));
  }
  characters = std::move(out);
}

bool isChinese(char32_t c) {
  constexpr char32_t ranges[][2] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
                                    {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [c](const char32_t(&range)[2]) { return c >= range[0] && c <= range[1]; });
}

bool isOther(char32_t c) {
  UnicodeClass kind = unicode8Class(c);
  return kind == UnicodeClass::Control || kind == UnicodeClass::Format || kind == UnicodeClass::PrivateUse;
}

void cleanText(Characters &characters) {
  auto space = [](char32_t c) { return c == '\t' || c == '\n' || c == '\r'; };
  filter(characters, [&](char32_t c) { return c != 0 && c != 0xfffd && (space(c) || !isOther(c)); });
  for (char32_t &c : characters.text)
    if (isUnicodeSpace(c))
      c = ' ';
}

void spaceChinese(Characters &characters) {
  if (std::none_of(characters.text.begin(), characters.text.end(), isChinese))
    return;
  Characters out = characters.like();
  for (size_t i = 0; i < characters.text.size(); ++i) {
    bool apart = isChinese(characters.text[i]);
    if (apart)
      out.add(' ', characters.range(i));
    out.add(characters.text[i], characters.range(i));
    if (apart)
      out.add(' ', characters.range(i));
  }
  characters = std::move(out);
}

/// White space at the ends goes.
void strip(Characters &characters, bool left, bool right) {
  size_t begin = 0, end = characters.text.size();
  while (left && begin < end && isUnicodeSpace(characters.text[begin]))
    ++begin;
  while (right && end > begin && isUnicodeSpace(characters.text[end - 1]))
    --end;
  size_t at = 0;
  filter(characters, [&](char32_t) { return at++ >= begin && at <= end; });
}

std::u32string charactersIn(const std::string &text) {
  std::u32string characters;
  for (size_t at = 0; at < text.size();)
    characters += nextCharacter(text, at);
  return characters;
}

/// A text in place of another one; of patterns those that are in use.
Normalizer replacer(const Json &json, const std::string &what) {
  const Json &pattern = json.at("pattern");
  std::u32string from, to = charactersIn(json.at("content").string());
  bool runs = false; // of two or more spaces
  if (const Json *regex = pattern.find("Regex")) {
    runs = regex->string() == " {2,}";
    if (!runs)
      fail("%s: the normalizer's pattern \"%s\" is not known; these are: \" {2,}\", and texts", what.c_str(),
           regex->string().c_str());
    from = U"  ";
  } else {
    from = charactersIn(pattern.at("String").string());
  }
  if (from.empty())
    fail("%s: the normalizer replaces an empty text", what.c_str());
  return [=](Characters &characters) {
    Characters out = characters.like();
    std::u32string_view text = characters.text;
    for (size_t at = 0; at < text.size();) {
      if (!text.substr(at).starts_with(from)) {
        out.add(text[at], characters.range(at));
        ++at;
        continue;
      }
      size_t end = at + from.size();
      while (runs && end < text.size() && text[end] == ' ')
        ++end;
      TextRange range = characters.range(end - 1);
      for (char32_t c : to)
        out.add(c, range);
      at = end;
    }
    characters = std::move(out);
  };
}

Normalizer bertNormalizer(const Json &json) {
  bool clean = json.booleanOr("clean_text", true), chinese = json.booleanOr("handle_chinese_chars", true);
  bool lower = json.booleanOr("lowercase", true), strip = json.booleanOr("strip_accents", lower);
  return [=](Characters &characters) {
    if (clean)
      cleanText(characters);
    if (chinese)
      spaceChinese(characters);
    if (strip) {
      toNfd(characters);
      filter(characters, [](char32_t c) { return unicode8Class(c) != UnicodeClass::NonspacingMark; });
    }
    if (lower)
      toLower(characters);
  };
}

} // namespace

Normalizer parseNormalizer(const Json *json, const std::string &what) {
  if (!json)
    return {};
  const std::string &type = json->at("type").string();
  if (type == "BertNormalizer")
    return bertNormalizer(*json);
  if (type == "NFD")
    return toNfd;
  if (type == "NFC")
    return toNfc;
  if (type == "Lowercase")
    return toLower;
  if (type == "StripAccents")
    return [](Characters &characters) {
      filter(characters, [](char32_t c) {
        return unicodeClass(c) != UnicodeClass::NonspacingMark && unicodeClass(c) != UnicodeClass::Mark;
      });
    };
  if (type == "Precompiled")
    return parseCharsmap(*json, what);
  if (type == "Replace")
    return replacer(*json, what);
  if (type == "Strip") {
    bool left = json->booleanOr("strip_left", true), right = json->booleanOr("strip_right", true);
    return [=](Characters &characters) { strip(characters, left, right); };
  }
  if (type == "Prepend") {
    std::u32string before = charactersIn(json->at("prepend").string());
    return [before](Characters &characters) {
      Characters out = characters.like();
      for (char32_t c : before)
        if (!characters.text.empty())
          out.add(c, characters.range(0));
      for (size_t i = 0; i < characters.text.size(); ++i)
        out.add(characters.text[i], characters.range(i));
      characters = std::move(out);
    };
  }
  if (type == "Sequence") {
    std::vector<Normalizer> steps;
    for (const Json &step : json->at("normalizers").array())
      steps.push_back(parseNormalizer(&step, what));
    return [steps](Characters &characters) {
      for (const Normalizer &step : steps)
        step(characters);
    };
  }
  unknownPart(*json, "normalizer",
              "BertNormalizer, NFC, NFD, Lowercase, StripAccents, Strip, Replace, Prepend, Precompiled, Sequence",
              what);
}

} // namespace kiln
