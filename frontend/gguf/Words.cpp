// Tokens, scores and merges as a tokenizer.json has them.
#include "frontend/gguf/Words.h"

#include "runtime/support/Error.h"
#include "runtime/support/Integers.h"
#include "runtime/support/Json.h"
#include "runtime/text/Tokenizer.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace kiln::gguf {

namespace {

/// What `tokenizer.ggml.token_type` says of a token.
enum TokenType : int { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Byte = 6 };

/// How texts are cut before bytes are paired, by `tokenizer.ggml.pre`.
struct Cut {
  const char *pre, *regex = nullptr; ///< null: as GPT-2
  bool composed = false;             ///< NFC first
  bool whole = false;                ///< a piece that is a token is one, whatever its pairs say
  const char *steps = nullptr;       ///< the steps, where they are others: a list
};
constexpr const char *gpt4 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char *gpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char *qwen =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char *bloom = " ?[^(\\s|[.,!?…。，、।۔،])]+";
constexpr const char *digits = R"([{"type":"Digits","individual_digits":true},)"
                               R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}])";
constexpr const char *falcon = R"([{"type":"Punctuation","behavior":"Contiguous"},)"
                               R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},)"
                               R"({"type":"Digits","individual_digits":false},{"type":"Split","pattern":)"
                               R"({"Regex":"[0-9][0-9][0-9]"},"behavior":"Isolated","invert":false}])";
constexpr Cut cuts[] = {
    {"default"},
    {"gpt-2"},
    {"gpt2"},
    {"phi-2"},
    {"olmo"},
    {"mpt"},
    {"llama-bpe", gpt4, false, true},
    {"llama3", gpt4, false, true},
    {"gpt-4o", gpt4o},
    {"dbrx", gpt4},
    {"smaug-bpe", gpt4},
    {"chatglm-bpe", gpt4},
    {"glm4", gpt4},
    {"qwen2", qwen, true},
    {"deepseek-r1-qwen", qwen, true},
    {"stablelm2", qwen},
    {"starcoder", nullptr, false, false, digits},
    {"refact", nullptr, false, false, digits},
    {"command-r", nullptr, false, false, digits},
    {"smollm", nullptr, false, false, digits},
    {"falcon", nullptr, false, false, falcon},
    {"bloom", bloom},
};

class Words {
public:
  explicit Words(const File &file) : file_(file), tokens_(file.texts("tokenizer.ggml.tokens")) {
    types_ = file.numbers("tokenizer.ggml.token_type");
    if (!types_.empty() && types_.size() != tokens_.size())
      bad(format("there are %zu tokens and %zu types of tokens", tokens_.size(), types_.size()));
    for (size_t i = 0; i < tokens_.size(); ++i)
      numbers_.emplace(tokens_[i], i);
    if (tokens_.empty())
      bad("tokenizer.ggml.tokens is empty, or missing");
  }

  /// SentencePiece's: of all pairs that make a token the one whose token has the best score is put together.
  std::string pieces() {
    scores_ = file_.numbers("tokenizer.ggml.scores");
    if (scores_.size() != tokens_.size())
      bad(format("there are %zu tokens and %zu scores", tokens_.size(), scores_.size()));
    if (!std::all_of(scores_.begin(), scores_.end(), [](double score) { return std::isfinite(score); }))
      bad("a score is not finite");
    bool prefix = file_.flag("tokenizer.ggml.add_space_prefix").value_or(true);
    std::string spaces = R"({"type":"Replace","pattern":{"String":" "},"content":"▁"})";
    std::string text = begin();
    text += prefix
                ? R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},)" + spaces + "]},"
                : "\"normalizer\":" + spaces + ",";
    text += "\"pre_tokenizer\":null,\"post_processor\":" + around() + ",";
    text += R"("decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},)"
            R"({"type":"ByteFallback"},{"type":"Fuse"})";
    text += prefix ? R"(,{"type":"Strip","content":" ","start":1,"stop":0}]},)" : "]},";
    bool bytes = numbers_.contains("<0x00>");
    text += R"("model":{"type":"BPE","fuse_unk":true,"byte_fallback":)" + std::string(bytes ? "true" : "false");
    if (std::optional<int64_t> unknown = file_.whole("tokenizer.ggml.unknown_token_id"))
      text += ",\"unk_token\":" + jsonQuote(token(*unknown));
    return text + "," + vocabulary() + ",\"merges\":" + pairsByScore() + "}}";
  }

  /// GPT-2's: bytes as characters, pairs in the order of the list.
  std::string bytePairs() {
    std::string pre = file_.text("tokenizer.ggml.pre").value_or("default"), known;
    const Cut *cut = nullptr;
    for (const Cut &entry : cuts) {
      if (pre == entry.pre)
        cut = &entry;
      known += (known.empty() ? "" : ", ") + std::string(entry.pre);
    }
    if (!cut)
      bad("its texts are cut as " + jsonQuote(pre) + " says, which is not known; known are " + known);
    std::string bytes = R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":)" +
                        std::string(cut->regex ? "false}" : "true}");
    std::string text = begin() + (cut->composed ? R"("normalizer":{"type":"NFC"},)" : "\"normalizer\":null,");
    std::string split = R"([{"type":"Split","pattern":{"Regex":)" + jsonQuote(cut->regex ? cut->regex : "") +
                        R"(},"behavior":"Isolated","invert":false},)" + bytes + "]";
    text += "\"pre_tokenizer\":" + (cut->regex || cut->steps ? R"({"type":"Sequence","pretokenizers":)" +
                                                                   (cut->steps ? cut->steps : split) + "}"
                                                             : bytes);
    text += ",\"post_processor\":" + around() +
            R"(,"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","ignore_merges":)" +
            (cut->whole ? "true," : "false,") + vocabulary() + ",\"merges\":[";
    for (std::string_view pair : file_.texts("tokenizer.ggml.merges")) {
      size_t space = pair.find(' ', 1);
      if (space == std::string_view::npos)
        bad("a merge is no pair of tokens: " + jsonQuote(pair.substr(0, 80)));
      text += (text.back() == '[' ? "[" : ",[") + jsonQuote(pair.substr(0, space)) + "," +
              jsonQuote(pair.substr(space + 1)) + "]";
    }
    return text + "]}}";
  }

private:
  [[noreturn]] void bad(const std::string &why) const { throw Error(file_.what() + ": its tokenizer: " + why); }

  std::string token(int64_t number) const {
    if (number < 0 || number >= static_cast<int64_t>(tokens_.size()))
      bad(format("there is no token %lld of %zu", static_cast<long long>(number), tokens_.size()));
    return std::string(tokens_[static_cast<size_t>(number)]);
  }
  int typeOf(size_t i) const {
    return types_.empty() ? static_cast<int>(Normal) : static_cast<int>(toInteger(types_[i]) & 255);
  }

  std::string begin() const {
    std::string text = "{\"version\":\"1.0\",\"added_tokens\":[";
    for (size_t i = 0; i < tokens_.size(); ++i)
      if (int type = typeOf(i); (type == Control || type == UserDefined || type == Unknown) && !tokens_[i].empty())
        text += (text.back() == '[' ? "" : ",") + format("{\"id\":%zu,\"content\":", i) + jsonQuote(tokens_[i]) +
                R"(,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":)" +
                (type == UserDefined ? "false}" : "true}");
    return text + "],";
  }

  /// The special tokens that stand around a text.
  std::string around() const {
    std::string single, pair, specials;
    auto add = [&](const char *flag, const char *key, bool fallback, bool before) {
      if (!file_.flag(flag).value_or(fallback))
        return;
      std::optional<int64_t> number = file_.whole(key);
      if (!number)
        return;
      std::string name = jsonQuote(token(*number)), part = R"({"SpecialToken":{"id":)" + name + ",\"type_id\":0}}";
      single = before ? part + "," + single : single + "," + part;
      pair = before ? part + "," + pair : pair + "," + part;
      std::string entry = name + ":{\"id\":" + name +
                          format(",\"ids\":[%lld],\"tokens\":[", static_cast<long long>(*number)) + name + "]}";
      if (specials.find(entry) == std::string::npos)
        specials += (specials.empty() ? "" : ",") + entry;
    };
    single = R"({"Sequence":{"id":"A","type_id":0}})";
    pair = single + R"(,{"Sequence":{"id":"B","type_id":1}})";
    bool pieces = file_.text("tokenizer.ggml.model") == "llama";
    add("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", pieces, true);
    add("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", false, false);
    return R"({"type":"TemplateProcessing","single":[)" + single + "],\"pair\":[" + pair + "],\"special_tokens\":{" +
           specials + "}}";
  }

  std::string vocabulary() const {
    std::string text = "\"vocab\":{";
    for (size_t i = 0; i < tokens_.size(); ++i)
      if (numbers_.at(tokens_[i]) == i) // a name that stands twice is its first token's
        text += (text.back() == '{' ? "" : ",") + jsonQuote(tokens_[i]) + ":" + std::to_string(i);
    return text + "}";
  }

  std::string pairsByScore() const {
    struct Pair {
      double score;
      size_t token;
      uint32_t cut;
    };
    std::vector<Pair> pairs;
    auto isNormal = [&](std::string_view piece) {
      auto found = numbers_.find(piece);
      return found != numbers_.end() && typeOf(found->second) == Normal;
    };
    for (size_t i = 0; i < tokens_.size(); ++i)
      for (size_t cut = 1; typeOf(i) == Normal && cut < std::min<size_t>(tokens_[i].size(), 512); ++cut)
        if ((static_cast<unsigned char>(tokens_[i][cut]) & 0xc0) != 0x80 && isNormal(tokens_[i].substr(0, cut)) &&
            isNormal(tokens_[i].substr(cut)))
          pairs.push_back({scores_[i], i, static_cast<uint32_t>(cut)});
    std::sort(pairs.begin(), pairs.end(), [](const Pair &a, const Pair &b) {
      return a.score != b.score ? a.score > b.score : std::pair(a.token, a.cut) < std::pair(b.token, b.cut);
    });
    // "a b", which is read faster than ["a","b"], where no token has a space of its own.
    bool spaced = std::any_of(pairs.begin(), pairs.end(), [&](const Pair &pair) {
      return tokens_[pair.token].find(' ') != std::string_view::npos;
    });
    std::string text;
    for (const Pair &pair : pairs) {
      std::string left(tokens_[pair.token].substr(0, pair.cut)), right(tokens_[pair.token].substr(pair.cut));
      text += text.empty() ? "[" : ",";
      text += spaced ? "[" + jsonQuote(left) + "," + jsonQuote(right) + "]" : jsonQuote(left + " " + right);
    }
    return text.empty() ? "[]" : text + "]";
  }

  const File &file_;
  std::vector<std::string_view> tokens_;
  std::vector<double> types_, scores_;
  std::unordered_map<std::string_view, size_t> numbers_;
};

} // namespace

std::string tokenizerOf(const File &file) {
  std::optional<std::string> kind = file.text("tokenizer.ggml.model");
  if (!kind || *kind == "none" || *kind == "no_vocab")
    return "";
  if (*kind != "llama" && *kind != "gpt2")
    fail("%s: its tokenizer is of the kind %s; \"llama\" and \"gpt2\" are known", file.what().c_str(),
         jsonQuote(*kind).c_str());
  Words words(file);
  std::string text = *kind == "llama" ? words.pieces() : words.bytePairs();
  Tokenizer::parse(text, file.what() + ": its tokenizer");
  return text;
}

huggingface::ChatTemplate chatOf(const File &file) {
  huggingface::ChatTemplate chat;
  chat.text = file.text("tokenizer.chat_template").value_or("");
  std::vector<std::string_view> tokens = file.texts("tokenizer.ggml.tokens");
  for (auto [name, key] : {std::pair("bos_token", "tokenizer.ggml.bos_token_id"),
                           {"eos_token", "tokenizer.ggml.eos_token_id"},
                           {"unk_token", "tokenizer.ggml.unknown_token_id"},
                           {"pad_token", "tokenizer.ggml.padding_token_id"}})
    if (std::optional<int64_t> number = file.whole(key);
        number && *number >= 0 && *number < static_cast<int64_t>(tokens.size()))
      chat.tokens[name] = tokens[static_cast<size_t>(*number)];
  return chat;
}

} // namespace kiln::gguf
