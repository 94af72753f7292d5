// The counts of pairs are kept as words change: a merge touches those words alone that hold its pair.
#include "frontend/cli/Tokenizer.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/text/Steps.h"
#include "runtime/text/Unicode.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <queue>
#include <set>
#include <unordered_map>

namespace kiln {

namespace {

using Pair = std::pair<int32_t, int32_t>;

std::string preTokenizerJson(bool prefixSpace) {
  return format(R"({"type":"ByteLevel","add_prefix_space":%s,"trim_offsets":true,"use_regex":true})",
                prefixSpace ? "true" : "false");
}
const char *lowercaseJson = R"({"type":"Lowercase"})";

class Trainer {
public:
  Trainer(const std::vector<std::string> &specials, bool lowercase, bool prefixSpace)
      : preTokenizer_(preTokenizerJson(prefixSpace)), lowercase_(lowercase) {
    for (const std::string &special : specials) {
      made_.emplace(special, static_cast<int32_t>(tokens_.size())); // a merge that spells it makes no second one
      tokens_.push_back(special);
    }
    specials_ = tokens_.size();
    std::vector<char32_t> letters;
    for (int byte = 0; byte < 256; ++byte)
      letters.push_back(letterOfByte(static_cast<unsigned char>(byte)));
    std::sort(letters.begin(), letters.end());
    for (char32_t letter : letters) {
      letters_[letter] = static_cast<int32_t>(tokens_.size());
      appendUtf8(tokens_.emplace_back(), letter);
    }
  }

  /// Line by line, each with its end.
  void read(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
      size_t end = text.find('\n', at);
      end = end == std::string_view::npos ? text.size() : end + 1;
      WordSplit split;
      while (at < end)
        split.characters.text += nextCharacter(text, at);
      if (lowercase_)
        lower_(split.characters);
      split.words = {{0, split.characters.text.size()}};
      cut_(split);
      for (const WordSplit::Word &word : split.words)
        ++counts_[split.characters.text.substr(word.begin, word.end - word.begin)];
    }
  }

  void merge(size_t size, size_t least) {
    begin();
    while (tokens_.size() < size && !queue_.empty()) {
      Candidate best = queue_.top();
      queue_.pop();
      int64_t now = pairs_[best.pair];
      if (now != best.count) {
        if (now > 0)
          queue_.push({now, best.pair}); // as it is by now
        continue;
      }
      if (best.count < static_cast<int64_t>(std::max<size_t>(least, 1)))
        return;
      std::string joined =
          tokens_[static_cast<size_t>(best.pair.first)] + tokens_[static_cast<size_t>(best.pair.second)];
      // Two ways to one token: it has the number that it has.
      auto [known, isNew] = made_.emplace(joined, static_cast<int32_t>(tokens_.size()));
      if (isNew)
        tokens_.push_back(joined);
      merges_.push_back(best.pair);
      replace(best.pair, known->second);
    }
  }

  std::string json() const {
    std::string text =
        "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [";
    for (size_t i = 0; i < specials_; ++i)
      text +=
          format("%s\n    {\"id\": %zu, \"content\": %s, \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                 "\"normalized\": false, \"special\": true}",
                 i ? "," : "", i, jsonQuote(tokens_[i]).c_str());
    text += std::string("\n  ],\n  \"normalizer\": ") + (lowercase_ ? lowercaseJson : "null") +
            ",\n  \"pre_tokenizer\": " + preTokenizer_ + ",\n  \"post_processor\": " + aroundJson() +
            ",\n  \"decoder\": " + preTokenizer_ +
            ",\n  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
            "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": false, "
            "\"byte_fallback\": false, \"ignore_merges\": false,\n    \"vocab\": {";
    for (size_t i = 0; i < tokens_.size(); ++i)
      text += (i ? ",\n      " : "\n      ") + jsonQuote(tokens_[i]) + ": " + std::to_string(i);
    text += "\n    },\n    \"merges\": [";
    for (size_t i = 0; i < merges_.size(); ++i)
      text += std::string(i ? ",\n      [" : "\n      [") + jsonQuote(tokens_[static_cast<size_t>(merges_[i].first)]) +
              ", " + jsonQuote(tokens_[static_cast<size_t>(merges_[i].second)]) + "]";
    return text + "\n    ]\n  }\n}\n";
  }
  size_t size() const { return tokens_.size(); }

private:
  /// Where [CLS] and [SEP] are among the special tokens they stand around texts as BERT has them.
  std::string aroundJson() const {
    std::map<std::string, size_t> ids;
    for (size_t i = 0; i < specials_; ++i)
      ids[tokens_[i]] = i;
    if (!ids.contains("[CLS]") || !ids.contains("[SEP]"))
      return "null";
    auto token = [](const char *name, int type) {
      return format(R"({"SpecialToken":{"id":"%s","type_id":%d}})", name, type);
    };
    auto text = [](const char *name, int type) {
      return format(R"({"Sequence":{"id":"%s","type_id":%d}})", name, type);
    };
    std::string first = token("[CLS]", 0) + "," + text("A", 0) + "," + token("[SEP]", 0), known;
    for (const char *name : {"[CLS]", "[SEP]"})
      known += format(R"(%s"%s":{"id":"%s","ids":[%zu],"tokens":["%s"]})", known.empty() ? "" : ",", name, name,
                      ids[name], name);
    return R"({"type":"TemplateProcessing","single":[)" + first + R"(],"pair":[)" + first + "," + text("B", 1) + "," +
           token("[SEP]", 1) + R"(],"special_tokens":{)" + known + "}}";
  }

  struct Word {
    std::vector<int32_t> tokens;
    int64_t count;
  };
  struct Candidate {
    int64_t count;
    Pair pair;
    bool operator<(const Candidate &other) const { // the most frequent on top, then the first by its numbers
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  void begin() {
    for (const auto &[text, count] : counts_) {
      Word word{{}, count};
      for (char32_t letter : text)
        word.tokens.push_back(letters_.at(letter));
      for (size_t i = 0; i + 1 < word.tokens.size(); ++i)
        change({word.tokens[i], word.tokens[i + 1]}, count, words_.size());
      words_.push_back(std::move(word));
    }
    for (const auto &[pair, count] : pairs_)
      queue_.push({count, pair});
  }
  void change(Pair pair, int64_t by, size_t word) {
    pairs_[pair] += by;
    if (by > 0)
      places_[pair].insert(word);
  }
  void replace(Pair pair, int32_t token) {
    std::set<size_t> places;
    places.swap(places_[pair]);
    std::set<Pair> grown;
    for (size_t place : places) {
      Word &word = words_[place];
      std::vector<int32_t> &tokens = word.tokens;
      for (size_t i = 0; i + 1 < tokens.size(); ++i) {
        if (tokens[i] != pair.first || tokens[i + 1] != pair.second)
          continue;
        if (i > 0) {
          change({tokens[i - 1], pair.first}, -word.count, place);
          change({tokens[i - 1], token}, word.count, place);
          grown.insert({tokens[i - 1], token});
        }
        if (i + 2 < tokens.size()) {
          change({pair.second, tokens[i + 2]}, -word.count, place);
          change({token, tokens[i + 2]}, word.count, place);
          grown.insert({token, tokens[i + 2]});
        }
        tokens[i] = token;
        tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(i) + 1);
      }
    }
    pairs_[pair] = 0;
    for (const Pair &one : grown)
      if (pairs_[one] > 0)
        queue_.push({pairs_[one], one});
  }

  std::string preTokenizer_;
  PreTokenizer cut_ = [this] {
    Json json = Json::parse(preTokenizer_, "the trainer's pre_tokenizer");
    return parsePreTokenizer(&json, "the trainer");
  }();
  Normalizer lower_ = [] {
    Json json = Json::parse(lowercaseJson, "the trainer's normalizer");
    return parseNormalizer(&json, "the trainer");
  }();
  bool lowercase_;
  std::vector<std::string> tokens_;
  size_t specials_ = 0;
  std::unordered_map<char32_t, int32_t> letters_;
  std::map<std::u32string, int64_t> counts_;
  std::vector<Word> words_;
  std::map<Pair, int64_t> pairs_;
  std::map<Pair, std::set<size_t>> places_; // words that hold it, or did
  std::map<std::string, int32_t> made_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> merges_;
};

} // namespace

std::string trainTokenizer(const std::vector<std::string_view> &texts, size_t size, size_t least,
                           const std::vector<std::string> &specials, bool lowercase, bool prefixSpace) {
  Trainer trainer(specials, lowercase, prefixSpace);
  for (std::string_view text : texts)
    trainer.read(text);
  trainer.merge(size, least);
  return trainer.json();
}

int commandTokenizerTrain(const TokenizerOptions &options) {
  try {
    std::vector<std::string> specials = options.specials;
    if (specials.empty())
      specials.push_back("<|endoftext|>");
    for (size_t i = 0; i < specials.size(); ++i)
      if (specials[i].empty() || std::find(specials.begin(), specials.begin() + static_cast<ptrdiff_t>(i),
                                           specials[i]) != specials.begin() + static_cast<ptrdiff_t>(i))
        fail("--special \"%s\" is empty or given twice", specials[i].c_str());
    size_t least = 256 + specials.size();
    if (options.vocabulary < static_cast<int64_t>(least) || options.vocabulary > 1 << 24)
      fail("--vocabulary %lld: %zu to %d tokens are possible, the 256 bytes and the special ones among them",
           static_cast<long long>(options.vocabulary), least, 1 << 24);
    std::vector<std::string> texts;
    for (const std::string &file : options.files) {
      texts.push_back(readText(file));
      protectFile(file, "a text to learn from");
      if (texts.back().empty())
        fail("'%s' is empty; there is nothing to learn from", file.c_str());
    }
    checkUnprotected(options.output);
    std::string json = trainTokenizer({texts.begin(), texts.end()}, static_cast<size_t>(options.vocabulary),
                                      static_cast<size_t>(std::max<int64_t>(options.least, 1)), specials,
                                      options.lowercase, options.prefixSpace);
    size_t size = Tokenizer::parse(json, "the new tokenizer")->size();
    AtomicFile out(options.output);
    out.write(json);
    out.commit();
    std::printf(
        "%s: %zu tokens%s\n", options.output.c_str(), size,
        size < static_cast<size_t>(options.vocabulary) ? "; the texts have no more pairs that stand often enough" : "");
    return 0;
  } catch (const Error &error) {
    std::fprintf(stderr, "kiln: error: %s\n", error.what());
    return 1;
  }
}

} // namespace kiln
