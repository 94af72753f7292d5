// A SentencePiece model is a message of protocol buffers (sentencepiece_model.proto): its pieces with their scores, and
// how texts are normalised. Unknown fields are passed over.
#include "frontend/huggingface/SentencePiece.h"

#include "runtime/support/Error.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <vector>

namespace kiln::huggingface {

namespace {

/// The fields of a message, one after the other.
class Message {
public:
  Message(std::string_view bytes, const std::string &what) : bytes_(bytes), what_(what) {}

  /// The next field: its number, and its value or its bytes. False at the end.
  bool next() {
    if (bytes_.empty())
      return false;
    uint64_t key = varint();
    number = key >> 3;
    value = 0;
    content = {};
    switch (key & 7) {
    case 0:
      value = varint();
      return true;
    case 1:
      content = take(8);
      return true;
    case 2:
      content = take(varint());
      return true;
    case 5:
      content = take(4);
      return true;
    default:
      fail("%s: it is damaged, or no SentencePiece model", what_.c_str());
    }
  }

  float real() const {
    float result = 0;
    if (content.size() == sizeof result)
      std::memcpy(&result, content.data(), sizeof result);
    return result;
  }

  uint64_t number = 0, value = 0;
  std::string_view content;

private:
  std::string_view take(uint64_t size) {
    if (size > bytes_.size())
      fail("%s: it ends within a field: damaged, or no SentencePiece model", what_.c_str());
    std::string_view part = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return part;
  }

  uint64_t varint() {
    uint64_t result = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      auto byte = static_cast<unsigned char>(take(1)[0]);
      result |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128)
        return result;
    }
    fail("%s: it is damaged, or no SentencePiece model", what_.c_str());
  }

  std::string_view bytes_;
  const std::string &what_;
};

enum PieceType : uint64_t { Normal = 1, UserDefined = 4 };
enum ModelType : uint64_t { UnigramModel = 1 };

struct Pieces {
  std::unordered_map<std::string, float> scores; ///< of what a text is cut into
  std::string_view charsmap;
  uint64_t type = UnigramModel;
};

Pieces piecesOf(std::string_view bytes, const std::string &what) {
  Pieces result;
  for (Message model(bytes, what); model.next();) {
    if (model.number == 1) {
      std::string text;
      float score = 0;
      uint64_t type = Normal;
      for (Message piece(model.content, what); piece.next();) {
        if (piece.number == 1)
          text = piece.content;
        else if (piece.number == 2)
          score = piece.real();
        else if (piece.number == 3)
          type = piece.value;
      }
      if (!std::isfinite(score))
        fail("%s: the score of %s is not finite", what.c_str(), jsonQuote(text).c_str());
      if (type == Normal || type == UserDefined)
        result.scores.emplace(std::move(text), score);
    } else if (model.number == 2) {
      for (Message trainer(model.content, what); trainer.next();)
        if (trainer.number == 3)
          result.type = trainer.value;
    } else if (model.number == 3) {
      for (Message normalizer(model.content, what); normalizer.next();)
        if (normalizer.number == 2)
          result.charsmap = normalizer.content;
    }
  }
  if (result.scores.empty())
    fail("%s: it has no pieces: damaged, or no SentencePiece model", what.c_str());
  if (result.type != UnigramModel)
    fail("%s: its model_type is %llu; only a Unigram model (1) is known", what.c_str(),
         static_cast<unsigned long long>(result.type));
  return result;
}

std::string base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k)
      word = word << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k)
      text += i + k <= bytes.size() ? digits[word >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

/// The tokens in the order of their numbers.
std::vector<std::string> tokensOf(const Json &vocabulary, const std::string &what) {
  if (!vocabulary.isObject())
    fail("%s: vocab.json holds no tokens with their numbers", what.c_str());
  std::vector<std::string> tokens(vocabulary.object().size());
  std::vector<bool> there(tokens.size());
  for (const Json &item : vocabulary.object()) {
    auto number = static_cast<size_t>(item.integer(0, INT32_MAX));
    if (number >= tokens.size() || there[number])
      fail("%s: vocab.json does not give each number from 0 to %zu to one token: %s has %zu", what.c_str(),
           tokens.size() - 1, jsonQuote(item.key()).c_str(), number);
    there[number] = true;
    tokens[number] = item.key();
  }
  return tokens;
}

bool isSpecial(const std::string &token) {
  return token == "<unk>" || token == "</s>" || token == "<pad>" || (token.starts_with(">>") && token.ends_with("<<"));
}

/// Tokens that no piece of the source is. A character that the source does not know is the target's where that has it
/// as a token: the last resort. (Two of these in a row are one unknown word to MarianTokenizer.) Longer ones are only
/// written, and stand behind a mark that no text has.
constexpr double lastResort = -1e6;
constexpr const char *onlyWritten = "\uE000";

bool isCharacter(std::string_view token) {
  size_t count = 0;
  for (char c : token)
    count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  return count == 1;
}

} // namespace

std::string marianTokenizer(std::string_view pieces, const Json &vocabulary, const std::string &what) {
  Pieces source = piecesOf(pieces, what);
  std::vector<std::string> tokens = tokensOf(vocabulary, what);
  std::string added, list;
  size_t unknown = tokens.size(), end = tokens.size();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string &token = tokens[i];
    unknown = token == "<unk>" ? i : unknown;
    end = token == "</s>" ? i : end;
    bool code = token.starts_with(">>"), isPiece = source.scores.contains(token);
    if (isSpecial(token))
      added += (added.empty() ? "" : ",") + format("{\"id\":%zu,\"content\":", i) + jsonQuote(token) +
               R"(,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":)" +
               (code ? "false}" : "true}");
    bool hidden = !isSpecial(token) && !isPiece && !isCharacter(token);
    double score = isPiece ? static_cast<double>(source.scores.at(token)) : lastResort;
    list += (list.empty() ? "[" : ",[") + jsonQuote(hidden ? onlyWritten + token : token) + "," + shortest(score) + "]";
  }
  if (unknown == tokens.size() || end == tokens.size())
    fail("%s: vocab.json has no <unk> or no </s>", what.c_str());
  std::string around = R"({"SpecialToken":{"id":"</s>","type_id":0}}],)";
  std::string normalizers = R"({"type":"Strip","strip_left":false,"strip_right":true},)"
                            R"({"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}]})";
  if (!source.charsmap.empty())
    normalizers = R"({"type":"Precompiled","precompiled_charsmap":")" + base64(source.charsmap) + "\"}," + normalizers;
  std::string spaces = R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true})";
  return R"({"version":"1.0","added_tokens":[)" + added + R"(],"normalizer":{"type":"Sequence","normalizers":[)" +
         normalizers + R"(,"pre_tokenizer":)" + spaces +
         R"(,"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},)" + around +
         R"("pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":0}},)" + around +
         R"("special_tokens":{"</s>":{"id":"</s>","ids":[)" + std::to_string(end) + R"(],"tokens":["</s>"]}}})" +
         R"(,"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":")" + onlyWritten +
         R"("},"content":""},)" + spaces + R"(]},"model":{"type":"Unigram","byte_fallback":false,"unk_id":)" +
         std::to_string(unknown) + R"(,"vocab":[)" + list + "]}}";
}

} // namespace kiln::huggingface
