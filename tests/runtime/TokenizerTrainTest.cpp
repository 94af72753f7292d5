#include "frontend/cli/Tokenizer.h"
#include "runtime/files/File.h"
#include "runtime/support/Json.h"
#include "runtime/text/Tokenizer.h"

#include <gmock/gmock.h>

namespace kiln {
namespace {

/// Hugging Face's trainer over the same lines: every token, every merge.
TEST(TokenizerTrain, LearnsWhatOthersLearn) {
  Json wanted = Json::parse(readFile(KILN_SOURCE "/tests/fixtures/tokenizers/trained.json"), "trained.json");
  std::vector<std::string_view> texts;
  for (const Json &text : wanted.at("texts").array())
    texts.push_back(text.string());
  std::string made = trainTokenizer(texts, 340, 1, {"<|endoftext|>", "<|pad|>"});
  Json json = Json::parse(made, "made");
  size_t count = 0;
  for (const Json &token : json.at("model").at("vocab").object()) {
    const Json *other = wanted.at("vocab").find(token.key());
    ASSERT_TRUE(other) << token.key();
    EXPECT_EQ(token.integer(), other->integer()) << token.key();
    ++count;
  }
  EXPECT_EQ(count, 340u);
  EXPECT_EQ(json.at("model").at("merges").str(), wanted.at("merges").str());
  // And what it reads by them comes back.
  auto tokenizer = Tokenizer::parse(made, "made");
  for (std::string_view text : texts) {
    std::vector<int32_t> ids;
    tokenizer->encode(text, ids);
    if (text.find("<|endoftext|>") == std::string_view::npos)
      EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

// Small letters alone; [CLS] and [SEP] around one text and two.
TEST(TokenizerTrain, LowercaseAndTemplate) {
  auto tokenizer = Tokenizer::parse(trainTokenizer({"Abab AB"}, 400, 1, {"[PAD]", "[CLS]", "[SEP]"}, true), "made");
  EXPECT_EQ(tokenizer->size(), 256u + 3 + 3); // ab, abab, " ab"
  std::vector<int32_t> ids, small;
  tokenizer->encode("ABab", ids);
  tokenizer->encode("abab", small);
  EXPECT_EQ(ids, small);
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(tokenizer->pad(), 0);
  std::string parts;
  for (const Tokenizer::Part &part : tokenizer->sequence(true))
    parts += part.kind == Tokenizer::Part::Kind::Token ? std::to_string(part.token) : "t";
  EXPECT_EQ(parts, "1t2t2");
  EXPECT_EQ(tokenizer->sequence(true)[3].type, 1);
  EXPECT_EQ(tokenizer->sequence(false).size(), 3u);
  EXPECT_EQ(Tokenizer::parse(trainTokenizer({"ab"}, 400, 1, {"[CLS]"}), "made")->sequence(false).size(), 1u);
}

// A word alone, at the beginning of a text and within one is one token.
TEST(TokenizerTrain, PrefixSpace) {
  auto with = Tokenizer::parse(trainTokenizer({"ab cd\nab cd\n"}, 400, 1, {"x1"}, false, true), "made");
  auto idsOf = [](const Tokenizer &tokenizer, const char *text) {
    std::vector<int32_t> ids;
    tokenizer.encode(text, ids);
    return ids;
  };
  EXPECT_EQ(idsOf(*with, "ab").size(), 1u);
  EXPECT_EQ(idsOf(*with, "ab"), idsOf(*with, " ab"));
  std::vector<int32_t> both = idsOf(*with, "ab cd");
  EXPECT_EQ(both, (std::vector<int32_t>{idsOf(*with, "ab")[0], idsOf(*with, "cd")[0]}));
  auto without = Tokenizer::parse(trainTokenizer({"ab cd\nab cd\n"}, 400, 1, {"x1"}), "made");
  EXPECT_NE(idsOf(*without, "cd"), idsOf(*without, " cd"));
}

TEST(TokenizerTrain, Ends) {
  auto sizeOf = [](const std::string &json) { return Tokenizer::parse(json, "made")->size(); };
  EXPECT_EQ(sizeOf(trainTokenizer({"abab ab"}, 400, 1, {"x1"})), 257u + 3); // ab, abab, " ab"
  EXPECT_EQ(sizeOf(trainTokenizer({"abab ab"}, 400, 2, {"x1"})), 257u + 1); // ab alone stands twice
  EXPECT_EQ(sizeOf(trainTokenizer({""}, 400, 1, {"x1"})), 257u);
  // A special token that the text spells: no second one of its name.
  EXPECT_EQ(sizeOf(trainTokenizer({"ab ab"}, 400, 1, {"ab"})), 257u + 1);
}

} // namespace
} // namespace kiln
