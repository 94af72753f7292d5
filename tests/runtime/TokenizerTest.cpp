#include "runtime/text/Tokenizer.h"
#include "runtime/data/Sequences.h"
#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"
#include "runtime/text/Unicode.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace kiln {
namespace {

using ::testing::ElementsAre;
using testing::errorOf;
using ::testing::HasSubstr;

std::string fixture(const std::string &name) { return KILN_SOURCE "/tests/fixtures/tokenizers/" + name; }

std::vector<int32_t> numbers(const Json &json) {
  std::vector<int32_t> list;
  for (const Json &item : json.array())
    list.push_back(static_cast<int32_t>(item.integer()));
  return list;
}

/// Hugging Face's figures: ids, the text of the ids, and which bytes each comes from.
void compare(const std::string &name) {
  auto tokenizer = Tokenizer::parse(readFile(fixture(name + ".json")), name);
  Json cases = Json::parse(readFile(fixture(name + ".cases.json")), name);
  ASSERT_GT(cases.at("texts").array().size(), 50u);
  for (const Json &one : cases.at("texts").array()) {
    const std::string &text = one.array()[0].string();
    std::vector<int32_t> ids, plain;
    std::vector<TextRange> ranges;
    tokenizer->encode(text, ids, &ranges);
    EXPECT_EQ(ids, numbers(one.array()[1])) << jsonQuote(text);
    EXPECT_EQ(tokenizer->decode(ids), one.array()[2].string()) << jsonQuote(text);
    std::string written;
    for (const TextRange &range : ranges)
      written += format("[%u,%u]", range.begin, range.end);
    std::string wanted;
    for (const Json &range : one.array()[3].array())
      wanted += range.str();
    EXPECT_EQ(written, wanted) << jsonQuote(text);
    tokenizer->encode(text, plain);
    EXPECT_EQ(plain, ids);
  }
  Vocabulary vocabulary = Vocabulary::subwords(tokenizer);
  for (const Json &one : cases.at("sequences").array()) {
    bool pair = one.array()[1].isString();
    SequenceMaker maker(vocabulary, static_cast<size_t>(one.array()[2].integer()), true, pair, "data");
    std::vector<int32_t> first = vocabulary.encode(one.array()[0].string(), "a"), second, ids;
    if (pair)
      second = vocabulary.encode(one.array()[1].string(), "b");
    std::span<const int32_t> other = second;
    std::vector<int8_t> types;
    maker.make(first, pair ? &other : nullptr, ids, types);
    EXPECT_EQ(ids, numbers(one.array()[3])) << one.str();
    EXPECT_EQ(std::vector<int32_t>(types.begin(), types.end()), numbers(one.array()[4])) << one.str();
  }
}

TEST(Tokenizer, WordPiece) { compare("wordpiece"); }
TEST(Tokenizer, BytesOfGpt2) { compare("gpt2"); }
TEST(Tokenizer, BytesOfGpt4) { compare("gpt4"); }
TEST(Tokenizer, BytesOfGpt4o) { compare("gpt4o"); }
TEST(Tokenizer, BytesOfQwen) { compare("qwen"); }
TEST(Tokenizer, BytesOfStarcoder) { compare("starcoder"); }
TEST(Tokenizer, BytesOfBloom) { compare("bloom"); }
TEST(Tokenizer, BytesOfFalcon) { compare("falcon"); }
TEST(Tokenizer, Unigram) { compare("unigram"); }
TEST(Tokenizer, BytesWhereNoTokenIs) { compare("llama"); }

std::string base64(std::string_view bytes) {
  const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6)
      text += letters[bits >> (count - 6) & 63];
  }
  return count ? text + letters[bits << (6 - count) & 63] : text;
}

std::string unigram(const std::string &more) {
  return R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["u",0],["b",-1],["bb",-1.5],["\u00e9",-3],["x",-2]]})" +
         more + "}";
}

/// One key, "A", which becomes "bb": sentencepiece's table by hand.
TEST(Tokenizer, Precompiled) {
  std::vector<uint32_t> units(67);
  units[0] = 1 << 10;                      // its children begin at 1
  units[1 ^ 'A'] = 1 << 10 | 1 << 8 | 'A'; // a leaf, its value beside it
  units[1 ^ 'A' ^ 1] = 1u << 31 | 0;       // where its text begins
  uint32_t size = static_cast<uint32_t>(units.size() * 4);
  std::string bytes(reinterpret_cast<const char *>(&size), 4);
  bytes.append(reinterpret_cast<const char *>(units.data()), size);
  bytes.append("bb\0", 3);
  auto with = [](const std::string &map) {
    return unigram(R"(,"normalizer":{"type":"Precompiled","precompiled_charsmap":")" + map + "\"}");
  };
  auto tokenizer = Tokenizer::parse(with(base64(bytes)), "t");
  std::vector<int32_t> ids;
  std::vector<TextRange> ranges;
  tokenizer->encode("xAAz", ids, &ranges);
  EXPECT_THAT(ids, ElementsAre(4, 2, 2, 0));
  EXPECT_EQ(ranges[1].begin, 1u);
  EXPECT_EQ(ranges[1].end, 2u);
  EXPECT_THAT(errorOf([&] { Tokenizer::parse(with("a?"), "t"); }), HasSubstr("is not base64"));
  EXPECT_THAT(errorOf([&] { Tokenizer::parse(with(base64(bytes.substr(0, 40))), "t"); }), HasSubstr("is damaged"));
}

TEST(Tokenizer, RefusalsOfOtherModels) {
  auto parse = [](const std::string &json) { return errorOf([&] { Tokenizer::parse(json, "'t.json'"); }); };
  auto bpe = [](const std::string &merges) {
    return R"({"model":{"vocab":{"a":0,"b":1,"ab":2},"merges":[)" + merges + "]}}";
  };
  EXPECT_EQ(parse(bpe(R"("a b")")), ""); // an older file, which does not say that it is BPE
  EXPECT_EQ(parse(bpe(R"(["a","b"])")), "");
  EXPECT_THAT(parse(bpe(R"("a")")), HasSubstr("merge 0 is not two tokens"));
  EXPECT_THAT(parse(bpe(R"("a c")")), HasSubstr(R"(the merge's token "c" is not in the vocabulary)"));
  EXPECT_THAT(parse(bpe(R"("b a")")), HasSubstr(R"(the merge's result "ba" is not in the vocabulary)"));
  EXPECT_THAT(parse(R"({"model":{"type":"Unigram","vocab":[["a"]]}})"), HasSubstr("is not a token and its score"));
  EXPECT_THAT(parse(R"({"model":{"type":"Unigram","vocab":[]}})"), HasSubstr("the vocabulary is empty"));
  EXPECT_THAT(parse(unigram(R"(,"pre_tokenizer":{"type":"Split","pattern":{"Regex":"x+"},"behavior":"Isolated"})")),
              HasSubstr("the pre_tokenizer's pattern \"x+\" is not known"));
  EXPECT_THAT(parse(unigram(R"(,"pre_tokenizer":{"type":"Metaspace","replacement":"ab"})")),
              HasSubstr("replacement is not one character"));
  auto without = Tokenizer::parse(R"({"model":{"type":"Unigram","vocab":[["a",0]]}})", "t");
  std::vector<int32_t> ids;
  EXPECT_THAT(errorOf([&] { without->encode("ab", ids); }),
              HasSubstr(R"(the vocabulary of the tokenizer has no token for "b", and no unk_id)"));
}

TEST(Tokenizer, PartsOfCharacters) {
  auto tokenizer = Tokenizer::parse(readFile(fixture("gpt2.json")), "gpt2");
  std::vector<int32_t> ids;
  tokenizer->encode("\U0001f600", ids);
  ASSERT_GT(ids.size(), 1u);
  std::string running;
  for (int32_t id : ids)
    running += tokenizer->piece(id, false);
  EXPECT_EQ(running, "\U0001f600");
  ids.pop_back(); // what has been cut is one character that nobody knows
  EXPECT_EQ(tokenizer->decode(ids), "\ufffd");
}

TEST(Tokenizer, Unicode) {
  EXPECT_EQ(unicodeClass('a'), UnicodeClass::Letter);
  EXPECT_EQ(unicodeClass(0x301), UnicodeClass::NonspacingMark);
  EXPECT_EQ(unicodeClass(0x10ffff), UnicodeClass::Unassigned);
  EXPECT_EQ(unicode8Class(0x2e5d), UnicodeClass::Unassigned); // a hyphen of Unicode 14
  EXPECT_TRUE(isUnicodeSpace(0x3000));
  EXPECT_FALSE(isUnicodeSpace(0x200b));
  EXPECT_EQ(lowerCase(0xc0), 0xe0u);
  EXPECT_EQ(lowerCase(0x101), 0x101u);
  EXPECT_EQ(lowerCase(0x10ffff), 0x10ffffu);
  char32_t first = 0, second = 0;
  ASSERT_TRUE(decompose(0xac01, first, second)); // Hangul, by rule
  EXPECT_EQ(compose(first, second), 0xac01u);
  ASSERT_TRUE(decompose(0xe9, first, second));
  EXPECT_EQ(first, U'e');
  EXPECT_EQ(compose(first, second), 0xe9u);
  EXPECT_EQ(compose('x', 'y'), 0u);
  std::string text;
  for (char32_t c : {U'a', U'é', U'€', U'\U0001f600'})
    appendUtf8(text, c);
  EXPECT_EQ(text, "aé€\U0001f600");
  std::vector<char32_t> back;
  for (size_t at = 0; at < text.size();)
    back.push_back(nextCharacter(text, at));
  EXPECT_THAT(back, ElementsAre(U'a', U'é', U'€', U'\U0001f600'));
}

std::string wordPiece(const std::string &more, const std::string &vocabulary = R"("[UNK]":0,"a":1,"##b":2)") {
  return R"({"model":{"type":"WordPiece","unk_token":"[UNK]","max_input_chars_per_word":4,"vocab":{)" + vocabulary +
         "}}" + more + "}";
}

TEST(Tokenizer, CutsWordsByItsOwnLimits) {
  auto tokenizer = Tokenizer::parse(wordPiece(""), "t");
  std::vector<int32_t> ids;
  tokenizer->encode("abbb", ids); // without a pre-tokenizer the text is one word
  EXPECT_THAT(ids, ElementsAre(1, 2, 2, 2));
  ids.clear();
  tokenizer->encode("abbbb", ids); // too long
  EXPECT_THAT(ids, ElementsAre(0));
  EXPECT_EQ(tokenizer->pad(), -1);
  EXPECT_EQ(tokenizer->size(), 3u);
  Vocabulary back = Vocabulary::deserialise(Vocabulary::subwords(tokenizer).serialise(), "v");
  EXPECT_THAT(back.encode("ab", "t"), ElementsAre(1, 2));
}

TEST(Tokenizer, Refusals) {
  auto parse = [](const std::string &json) { return errorOf([&] { Tokenizer::parse(json, "'t.json'"); }); };
  EXPECT_THAT(parse("{"), HasSubstr("'t.json'"));
  EXPECT_THAT(parse("[]"), HasSubstr("'t.json' is not a tokenizer.json that is understood"));
  EXPECT_THAT(parse("{}"), HasSubstr("'model' is missing"));
  EXPECT_THAT(parse(R"({"model":{"type":"Oracle"}})"),
              HasSubstr("'t.json': the model 'Oracle' is not known; these are: "));
  EXPECT_THAT(parse(wordPiece("", R"("a":1)")), HasSubstr(R"(the unk_token "[UNK]" is not in the vocabulary)"));
  EXPECT_THAT(parse(wordPiece("", R"("[UNK]":0,"a":0)")),
              HasSubstr(R"(the tokens "[UNK]" and "a" have the same number, 0)"));
  EXPECT_THAT(parse(wordPiece("", R"("[UNK]":0,"a":-1)")), HasSubstr("'a'"));
  EXPECT_THAT(parse(wordPiece("", R"("[UNK]":0,"a":99999999999)")), HasSubstr("'a'"));
  EXPECT_THAT(parse(wordPiece(R"(,"normalizer":{"type":"Precompiledx"})")),
              HasSubstr("the normalizer 'Precompiledx' is not known"));
  EXPECT_THAT(parse(wordPiece(R"(,"pre_tokenizer":{"type":"Magic"})")),
              HasSubstr("the pre_tokenizer 'Magic' is not known"));
  EXPECT_THAT(parse(wordPiece(R"(,"decoder":{"type":"Magic"})")), HasSubstr("the decoder 'Magic' is not known"));
  EXPECT_THAT(parse(wordPiece(R"(,"post_processor":{"type":"Magic"})")),
              HasSubstr("the post_processor 'Magic' is not known"));
  EXPECT_THAT(parse(wordPiece(R"(,"post_processor":{"type":"TemplateProcessing","single":[],"pair":[]})")),
              HasSubstr("the post_processor's single names a text twice, or lacks one"));
  EXPECT_THAT(parse(wordPiece(R"(,"added_tokens":[{"id":2,"content":"a"}])")),
              HasSubstr(R"(the added token "a" has the number 2, and 1 in the vocabulary)"));
}

/// The published ids of ten sentences.
TEST(RealData, MiniLm) {
  const char *root = std::getenv("KILN_DATA");
  if (!root)
    GTEST_SKIP() << "KILN_DATA is not set: the tokenizer is not tried on a published one";
  std::string folder = std::string(root) + "/minilm/";
  Vocabulary vocabulary = Vocabulary::subwords(Tokenizer::parse(readFile(folder + "tokenizer.json"), "minilm"));
  EXPECT_EQ(vocabulary.size(), 30522u);
  Safetensors reference = Safetensors::open(folder + "reference.safetensors");
  const TensorView *wanted = reference.find("ids");
  ASSERT_TRUE(wanted);
  const Json sentences = Json::parse(readFile(folder + "sentences.json"), "sentences");
  SequenceMaker maker(vocabulary, 128, true, false, "data");
  size_t row = 0, width = static_cast<size_t>(wanted->shape[1]);
  for (const Json &sentence : sentences.at("sentences").array()) {
    std::vector<int32_t> ids;
    std::vector<int8_t> types;
    maker.make(vocabulary.encode(sentence.string(), "s"), nullptr, ids, types);
    ids.resize(width, vocabulary.pad());
    const int32_t *expected = reinterpret_cast<const int32_t *>(wanted->data) + row++ * width;
    EXPECT_EQ(ids, std::vector<int32_t>(expected, expected + width)) << sentence.string();
  }
  EXPECT_EQ(row, 10u);
}

} // namespace
} // namespace kiln
