// Pre-tokenizers: how a text is cut into the words that the model sees.
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

namespace kiln {

namespace {

enum class Cut : uint8_t { Not, Removed, Alone };

/// Cuts each word further: characters that go, and characters that stand alone.
template <typename Rule> void cutWords(WordSplit &split, Rule rule) {
  std::vector<WordSplit::Word> words;
  for (const WordSplit::Word &word : split.words) {
    size_t begin = word.begin;
    for (size_t i = word.begin; i < word.end; ++i) {
      Cut cut = rule(split.characters.text[i]);
      if (cut == Cut::Not)
        continue;
      if (begin < i)
        words.push_back({begin, i});
      if (cut == Cut::Alone)
        words.push_back({i, i + 1});
      begin = i + 1;
    }
    if (begin < word.end)
      words.push_back({begin, word.end});
  }
  split.words = std::move(words);
}

bool isPunctuation(char32_t c) {
  if (c < 0x80)
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  return unicode8Class(c) == UnicodeClass::Punctuation;
}

void cutBert(WordSplit &split) {
  cutWords(split, [](char32_t c) {
    return isUnicodeSpace(c) ? Cut::Removed : isPunctuation(c) ? Cut::Alone : Cut::Not;
  });
}

void cutSpaces(WordSplit &split) {
  cutWords(split, [](char32_t c) { return isUnicodeSpace(c) ? Cut::Removed : Cut::Not; });
}

} // namespace

PreTokenizer parsePreTokenizer(const Json *json, const std::string &what) {
  if (!json)
    return {};
  const std::string &type = json->at("type").string();
  if (type == "BertPreTokenizer")
    return cutBert;
  if (type == "WhitespaceSplit")
    return cutSpaces;
  if (type == "Sequence") {
    std::vector<PreTokenizer> steps;
    for (const Json &step : json->at("pretokenizers").array())
      steps.push_back(parsePreTokenizer(&step, what));
    return [steps](WordSplit &split) {
      for (const PreTokenizer &step : steps)
        step(split);
    };
  }
  unknownPart(*json, "pre_tokenizer", "BertPreTokenizer, WhitespaceSplit, Sequence", what);
}

} // namespace kiln
