// Pre-tokenizers: how a text is cut into the words that the model sees.
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

#include <algorithm>

namespace kiln {

namespace {

/// What becomes of what a rule has found: it goes, stands alone, or begins what follows.
enum class Found : uint8_t { Removed, Alone, WithNext, WithPrevious };

/// A rule: the end of what it finds at a place, which is the place where it finds nothing.
using Rule = std::function<size_t(std::u32string_view text, size_t at)>;

/// Cuts each word further.
PreTokenizer cutBy(Rule rule, Found found) {
  return [=](WordSplit &split) {
    std::vector<WordSplit::Word> words;
    auto add = [&](size_t begin, size_t end) {
      if (begin < end)
        words.push_back({begin, end});
    };
    for (const WordSplit::Word &word : split.words) {
      std::u32string_view text = std::u32string_view(split.characters.text).substr(0, word.end);
      text.remove_prefix(word.begin);
      size_t begin = 0, at = 0;
      while (at < text.size()) {
        size_t end = rule(text, at);
        if (end == at) {
          ++at;
          continue;
        }
        if (found == Found::WithPrevious) {
          add(word.begin + begin, word.begin + end);
        } else {
          add(word.begin + begin, word.begin + at);
          if (found == Found::Alone)
            add(word.begin + at, word.begin + end);
        }
        begin = found == Found::WithNext ? at : end;
        at = end;
      }
      add(word.begin + begin, word.end);
    }
    split.words = std::move(words);
  };
}

/// One character of a kind.
template <typename Is> Rule oneOf(Is is) {
  return [is](std::u32string_view text, size_t at) { return is(text[at]) ? at + 1 : at; };
}

/// All characters of a kind that stand beside each other.
template <typename Is> size_t run(std::u32string_view text, size_t at, Is is) {
  while (at < text.size() && is(text[at]))
    ++at;
  return at;
}

bool isPunctuation(char32_t c) {
  if (c < 0x80)
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  return unicode8Class(c) == UnicodeClass::Punctuation;
}

bool isLetter(char32_t c) { return unicodeClass(c) == UnicodeClass::Letter; }
bool isNumber(char32_t c) {
  UnicodeClass kind = unicodeClass(c);
  return kind == UnicodeClass::Number || kind == UnicodeClass::OtherNumber;
}
bool isOther(char32_t c) { return !isUnicodeSpace(c) && !isLetter(c) && !isNumber(c); }
bool isLineEnd(char32_t c) { return c == '\n' || c == '\r'; }
/// A regular expression's \w: letters (circled ones too), their marks, digits, connectors and joiners.
bool isWord(char32_t c) {
  UnicodeClass kind = unicodeClass(c);
  constexpr char32_t others[][2] = {{'_', '_'},         {0x200c, 0x200d},   {0x203f, 0x2040},  {0x2054, 0x2054},
                                    {0x24b6, 0x24e9},   {0xfe33, 0xfe34},   {0xfe4d, 0xfe4f},  {0xff3f, 0xff3f},
                                    {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};
  return kind == UnicodeClass::Letter || kind == UnicodeClass::Number || kind == UnicodeClass::NonspacingMark ||
         kind == UnicodeClass::Mark ||
         std::any_of(std::begin(others), std::end(others),
                     [c](const char32_t(&range)[2]) { return c >= range[0] && c <= range[1]; });
}

/// English endings: 's, 't, 're, 've, 'm, 'll, 'd.
size_t contraction(std::u32string_view text, size_t at, bool anyCase) {
  if (text[at] != '\'')
    return at;
  auto letter = [&](size_t i) {
    char32_t c = at + i < text.size() ? text[at + i] : U'\0';
    return anyCase ? (c == 0x17f ? U's' : lowerCase(c)) : c;
  };
  char32_t first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd')
    return at + 2;
  bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return two ? at + 3 : at;
}

/// White space but the last one before a word; all of it at the end.
size_t spaces(std::u32string_view text, size_t at) {
  size_t end = run(text, at, isUnicodeSpace);
  return end < text.size() && end > at + 1 ? end - 1 : end;
}

/// GPT-2's: '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t gpt2(std::u32string_view text, size_t at) {
  if (size_t end = contraction(text, at, false); end > at)
    return end;
  size_t from = text[at] == ' ' && at + 1 < text.size() ? at + 1 : at;
  for (bool (*is)(char32_t) : {isLetter, isNumber, isOther})
    if (is(text[from]))
      return run(text, from, is);
  return spaces(text, at);
}

/// What GPT-4's and GPT-4o's have alike: numbers of up to so many digits, marks and the `ends` behind them, white
/// space.
size_t noWord(std::u32string_view text, size_t at, size_t digits, bool (*ends)(char32_t)) {
  char32_t c = text[at];
  if (isNumber(c))
    return std::min(run(text, at, isNumber), at + digits);
  size_t from = c == ' ' && at + 1 < text.size() ? at + 1 : at;
  if (isOther(text[from]))
    return run(text, run(text, from, isOther), ends);
  // White space up to its last line end, else all but the last of it.
  size_t end = run(text, at, isUnicodeSpace), line = end;
  while (line > at && !isLineEnd(text[line - 1]))
    --line;
  return line > at ? line : spaces(text, at);
}

/// The one of GPT-4, Llama 3 and Qwen 2, with numbers of up to so many digits.
size_t gpt4(std::u32string_view text, size_t at, size_t digits) {
  if (size_t end = contraction(text, at, true); end > at)
    return end;
  char32_t c = text[at];
  if (isLetter(c) || (!isLineEnd(c) && !isNumber(c) && at + 1 < text.size() && isLetter(text[at + 1])))
    return run(text, isLetter(c) ? at : at + 1, isLetter);
  return noWord(text, at, digits, isLineEnd);
}

bool isMark(char32_t c) {
  UnicodeClass kind = unicodeClass(c);
  return kind == UnicodeClass::NonspacingMark || kind == UnicodeClass::Mark;
}
/// Letters that are not small, and marks; letters that are not large, and marks.
bool isHigh(char32_t c) { return isMark(c) || (isLetter(c) && !isLowerCase(c)); }
bool isLow(char32_t c) { return isMark(c) || (isLetter(c) && !isUpperCase(c)); }

/// The end of [high]*[low]+ from `at` on; `at` where there is none.
size_t highThenLow(std::u32string_view text, size_t at) {
  size_t high = run(text, at, isHigh), end = run(text, high, isLow);
  if (end > high)
    return end;
  while (high > at && !isLow(text[high - 1])) // the last one that is both
    --high;
  return high;
}

/// GPT-4o's and gpt-oss': a word is of large letters and then small ones, or of large ones alone.
size_t gpt4o(std::u32string_view text, size_t at) {
  auto withEnding = [&](size_t end) { return end < text.size() ? contraction(text, end, true) : end; };
  char32_t c = text[at];
  bool before = !isLineEnd(c) && !isLetter(c) && !isNumber(c) && at + 1 < text.size(); // it may stand before a word
  for (size_t from : {before ? at + 1 : at, at})
    if (size_t end = highThenLow(text, from); end > from)
      return withEnding(end);
  for (size_t from : {before ? at + 1 : at, at})
    if (size_t end = run(text, from, isHigh); end > from)
      return withEnding(end);
  return noWord(text, at, 3, [](char32_t end) { return isLineEnd(end) || end == '/'; });
}

/// BLOOM's: words up to white space and marks, with the space before them.
size_t bloom(std::u32string_view text, size_t at) {
  size_t from = text[at] == ' ' ? at + 1 : at;
  size_t end = run(text, from, [](char32_t c) {
    return !isUnicodeSpace(c) && std::u32string_view(U".,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c()|").find(c) ==
                                     std::u32string_view::npos;
  });
  return end > from ? end : at;
}

/// Falcon's: three digits.
size_t threeDigits(std::u32string_view text, size_t at) {
  return run(text.substr(0, at + 3), at, [](char32_t c) { return c >= '0' && c <= '9'; }) == at + 3 ? at + 3 : at;
}

Rule knownPattern(const std::string &pattern, const std::string &what) {
  const std::string four = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  const std::string rest = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  if (pattern == R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)" ||
      pattern == R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)")
    return gpt2;
  if (pattern == four + R"(\p{N}{1,3})" + rest)
    return [](std::u32string_view text, size_t at) { return gpt4(text, at, 3); };
  if (pattern == four + R"(\p{N})" + rest)
    return [](std::u32string_view text, size_t at) { return gpt4(text, at, 1); };
  if (pattern ==
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
      R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)")
    return gpt4o;
  if (pattern == "\\s+")
    return [](std::u32string_view text, size_t at) { return run(text, at, isUnicodeSpace); };
  if (pattern == " ?[^(\\s|[.,!?…。，、।۔،])]+")
    return bloom;
  if (pattern == "[0-9][0-9][0-9]")
    return threeDigits;
  fail("%s: the pre_tokenizer's pattern \"%s\" is not known; these are: GPT-2's, GPT-4's (of Llama 3 too), GPT-4o's, "
       "Qwen 2's, "
       "BLOOM's, Falcon's, \\s+, and texts",
       what.c_str(), pattern.c_str());
}

PreTokenizer splitter(const Json &json, const std::string &what) {
  const Json &pattern = json.at("pattern");
  Rule rule;
  if (const Json *regex = pattern.find("Regex")) {
    rule = knownPattern(regex->string(), what);
  } else {
    std::u32string text;
    const std::string &utf8 = pattern.at("String").string();
    for (size_t at = 0; at < utf8.size();)
      text += nextCharacter(utf8, at);
    rule = [text](std::u32string_view all, size_t at) {
      return all.substr(at).starts_with(text) ? at + text.size() : at;
    };
  }
  const std::string &behavior = json.at("behavior").string();
  // The patterns that find everything leave nothing between: to keep what they find is to have it stand alone.
  bool invert = json.booleanOr("invert", false);
  if (invert && behavior == "Removed" && pattern.find("Regex") && pattern.at("Regex").string() != "\\s+")
    return cutBy(rule, Found::Alone);
  if (invert)
    fail("%s: the pre_tokenizer Split is not known with invert", what.c_str());
  constexpr std::pair<const char *, Found> known[] = {{"Removed", Found::Removed},
                                                      {"Isolated", Found::Alone},
                                                      {"MergedWithNext", Found::WithNext},
                                                      {"MergedWithPrevious", Found::WithPrevious}};
  for (const auto &[name, found] : known)
    if (behavior == name)
      return cutBy(rule, found);
  fail("%s: the behavior '%s' is not known; these are: Removed, Isolated, MergedWithNext, MergedWithPrevious",
       what.c_str(), behavior.c_str());
}

/// Each word written anew: write(word's number, its characters) adds to `out`.
template <typename Write> void rewrite(WordSplit &split, Write write) {
  Characters out = split.characters.like();
  for (WordSplit::Word &word : split.words) {
    size_t begin = out.text.size();
    write(word, out);
    word = {begin, out.text.size()};
  }
  split.characters = std::move(out);
}

/// Bytes as GPT-2's letters, behind the cut.
PreTokenizer byteLevel(const Json &json) {
  bool prefix = json.booleanOr("add_prefix_space", true);
  PreTokenizer cut = json.booleanOr("use_regex", true) ? cutBy(gpt2, Found::Alone) : PreTokenizer();
  std::vector<char32_t> letters;
  for (int byte = 0; byte < 256; ++byte)
    letters.push_back(letterOfByte(static_cast<unsigned char>(byte)));
  return [=](WordSplit &split) {
    if (prefix)
      rewrite(split, [&](const WordSplit::Word &word, Characters &out) {
        if (split.characters.text[word.begin] != ' ')
          out.add(' ', split.characters.range(word.begin));
        for (size_t i = word.begin; i < word.end; ++i)
          out.add(split.characters.text[i], split.characters.range(i));
      });
    if (cut)
      cut(split);
    std::string bytes;
    rewrite(split, [&](const WordSplit::Word &word, Characters &out) {
      for (size_t i = word.begin; i < word.end; ++i) {
        bytes.clear();
        appendUtf8(bytes, split.characters.text[i]);
        for (char byte : bytes)
          out.add(letters[static_cast<unsigned char>(byte)], split.characters.range(i));
      }
    });
  };
}

/// Spaces as "▁", one before the first word too, and a word begins with its own.
PreTokenizer metaspace(const Json &json, const std::string &what) {
  std::string replacement = json.stringOr("replacement", "\u2581");
  size_t end = 0;
  char32_t mark = replacement.empty() ? U'\0' : nextCharacter(replacement, end);
  if (replacement.empty() || end != replacement.size())
    fail("%s: the pre_tokenizer Metaspace's replacement is not one character", what.c_str());
  std::string scheme = json.stringOr("prepend_scheme", json.booleanOr("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never")
    fail("%s: the prepend_scheme '%s' is not always, first or never", what.c_str(), scheme.c_str());
  PreTokenizer cut = json.booleanOr("split", true)
                         ? cutBy(oneOf([mark](char32_t c) { return c == mark; }), Found::WithNext)
                         : PreTokenizer();
  return [=](WordSplit &split) {
    rewrite(split, [&](const WordSplit::Word &word, Characters &out) {
      char32_t first = split.characters.text[word.begin];
      bool wanted = scheme == "always" || (scheme == "first" && split.first && word.begin == 0);
      if (wanted && first != ' ' && first != mark)
        out.add(mark, split.characters.range(word.begin));
      for (size_t i = word.begin; i < word.end; ++i)
        out.add(split.characters.text[i] == ' ' ? mark : split.characters.text[i], split.characters.range(i));
    });
    if (cut)
      cut(split);
  };
}

} // namespace

PreTokenizer parsePreTokenizer(const Json *json, const std::string &what) {
  if (!json)
    return {};
  const std::string &type = json->at("type").string();
  if (type == "BertPreTokenizer") {
    PreTokenizer spaces = cutBy(oneOf(isUnicodeSpace), Found::Removed),
                 marks = cutBy(oneOf(isPunctuation), Found::Alone);
    return [=](WordSplit &split) {
      spaces(split);
      marks(split);
    };
  }
  if (type == "WhitespaceSplit")
    return cutBy(oneOf(isUnicodeSpace), Found::Removed);
  if (type == "Whitespace") {
    auto mark = [](char32_t c) { return !isWord(c) && !isUnicodeSpace(c); };
    PreTokenizer parts = cutBy(
        [mark](std::u32string_view text, size_t at) {
          size_t word = run(text, at, isWord);
          return word > at ? word : run(text, at, mark);
        },
        Found::Alone);
    PreTokenizer spaces = cutBy(oneOf(isUnicodeSpace), Found::Removed);
    return [=](WordSplit &split) {
      spaces(split);
      parts(split);
    };
  }
  if (std::string behavior = json->stringOr("behavior", "Isolated"); type == "Punctuation" && behavior == "Isolated")
    return cutBy(oneOf(isPunctuation), Found::Alone);
  else if (type == "Punctuation" && behavior == "Contiguous")
    return cutBy([](std::u32string_view text, size_t at) { return run(text, at, isPunctuation); }, Found::Alone);
  if (type == "Digits")
    return json->booleanOr("individual_digits", false)
               ? cutBy(oneOf(isNumber), Found::Alone)
               : cutBy([](std::u32string_view text, size_t at) { return run(text, at, isNumber); }, Found::Alone);
  if (type == "ByteLevel")
    return byteLevel(*json);
  if (type == "Metaspace")
    return metaspace(*json, what);
  if (type == "Split")
    return splitter(*json, what);
  if (type == "Sequence") {
    std::vector<PreTokenizer> steps;
    for (const Json &step : json->at("pretokenizers").array())
      steps.push_back(parsePreTokenizer(&step, what));
    return [steps](WordSplit &split) {
      for (const PreTokenizer &step : steps)
        step(split);
    };
  }
  unknownPart(
      *json, "pre_tokenizer",
      "BertPreTokenizer, Whitespace, WhitespaceSplit, Punctuation, Digits, ByteLevel, Metaspace, Split, Sequence",
      what);
}

} // namespace kiln
