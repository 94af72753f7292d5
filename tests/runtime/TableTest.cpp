#include "tests/runtime/Opened.h"

namespace kiln {
namespace {

const Fields tableFields = {{"ids", KILN_I32},  {"mask", KILN_BOOL}, {"lengths", KILN_I32}, {"types", KILN_I32},
                            {"next", KILN_I32}, {"label", KILN_I32}, {"target", KILN_F32}};

/// The first `count` of them.
Fields first(ptrdiff_t count) { return {tableFields.begin(), tableFields.begin() + count}; }

TEST(Table, WordsWithALabel) {
  TemporaryFolder folder;
  std::string path = folder.write("t.tsv", "b a\t1\n\"a \"\"b\"\"\tc\"\t0\nc b a b\t1\n");
  Opened data("table", path, R"({"text":0,"label":1,"batch":3,"max_length":3,"shuffle":false})", first(6));
  EXPECT_EQ(data->batches(Split::Train), 1);
  data.load(Split::Train, 0);
  EXPECT_THAT(data.shape(0), ElementsAre(3, 3)); // the longest is cut
  // <pad> <unk> <start> <end> b a "b" c
  const Vocabulary &words = *data->vocabulary("ids");
  int32_t a = words.find("a"), b = words.find("b"), c = words.find("c"), quoted = words.find("\"b\"");
  EXPECT_THAT(data.values<int32_t>(0), ElementsAre(b, a, 0, a, quoted, c, c, b, a));
  EXPECT_THAT(data.values<uint8_t>(1), ElementsAre(1, 1, 0, 1, 1, 1, 1, 1, 1));
  EXPECT_THAT(data.shape(2), ElementsAre(3));
  EXPECT_THAT(data.values<int32_t>(2), ElementsAre(2, 3, 3));
  EXPECT_THAT(data.values<int32_t>(4), ElementsAre(a, -100, -100, quoted, c, -100, b, a, -100));
  EXPECT_THAT(data.values<int32_t>(5), ElementsAre(1, 0, 1));
}

TEST(Table, PairsAndNumbers) {
  TemporaryFolder folder;
  std::string path = folder.write("t.csv", "id,first,second,score,judgment\n7,a b,c,4.5,YES\n8,\"d, e\",a,1,NO\n");
  Opened data("table", path,
              R"({"text":"first","pair":"second","label":"judgment","target":"score","batch":2,"max_length":9,)"
              R"("shuffle":false,"special_tokens":true,"padding":"max_length","classes":["NO","YES"]})",
              tableFields);
  data.load(Split::Train, 0);
  EXPECT_THAT(data.shape(0), ElementsAre(2, 9));
  const Vocabulary &words = *data->vocabulary("ids");
  auto id = [&](const char *word) { return words.find(word); };
  EXPECT_THAT(data.values<int32_t>(0),
              ElementsAre(StartToken, id("a"), id("b"), EndToken, id("c"), EndToken, 0, 0, 0, //
                          StartToken, id("d,"), id("e"), EndToken, id("a"), EndToken, 0, 0, 0));
  EXPECT_THAT(data.values<int32_t>(3), ElementsAre(0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0));
  EXPECT_THAT(data.values<int32_t>(5), ElementsAre(1, 0));
  EXPECT_THAT(data.shape(6), ElementsAre(2, 1));
  EXPECT_THAT(data.values<float>(6), ElementsAre(4.5f, 1.0f));
}

TEST(Table, ListsOfTexts) {
  TemporaryFolder folder;
  std::string path = folder.write("t.tsv", "p\tq\tone\ttwo\na\tb\tc d\te\n");
  Opened data("table", path, R"({"text":["p","q"],"batch":1,"max_length":8})", first(5));
  data.load(Split::Train, 0);
  EXPECT_THAT(data.shape(0), ElementsAre(1, 2, 1));
  EXPECT_THAT(data.shape(2), ElementsAre(1, 2));
  // One text with each of two others; braces make a text of columns.
  Opened choice("table", path, R"({"text":"so {p}, {{{q}}}","pair":["one","two"],"batch":1,"max_length":8})", first(5));
  choice.load(Split::Train, 0);
  EXPECT_THAT(choice.shape(0), ElementsAre(1, 2, 6));
  const Vocabulary &words = *choice->vocabulary("ids");
  auto id = [&](const char *word) { return words.find(word); };
  EXPECT_THAT(choice.values<int32_t>(0), ElementsAre(id("so"), id("a,"), id("{b}"), EndToken, id("c"), id("d"), //
                                                     id("so"), id("a,"), id("{b}"), EndToken, id("e"), 0));
}

TEST(Table, CharactersHaveSpecialTokensToo) {
  TemporaryFolder folder;
  std::string path = folder.write("names.txt", "ab\nb\u00e9\n");
  std::string other = folder.write("more.txt", "xb\n");
  Opened data("table", path,
              R"({"text":0,"batch":2,"max_length":8,"tokens":"characters","special_tokens":true,"shuffle":false,)"
              R"("validation":")" +
                  other + R"("})",
              first(5));
  data.load(Split::Train, 0);
  EXPECT_THAT(data.values<int32_t>(0), ElementsAre(StartToken, 4, 5, EndToken, StartToken, 5, 6, EndToken));
  EXPECT_EQ(data->vocabulary("ids")->decode(data.values<int32_t>(0)), "abb\u00e9");
  data.load(Split::Validation, 0);
  EXPECT_THAT(data.values<int32_t>(0), ElementsAre(StartToken, UnknownToken, 5, EndToken));
}

TEST(Table, EpochsAndSplits) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 50; ++i)
    text += std::string(static_cast<size_t>(1 + i * 7 % 10), 'x').replace(0, 1, "x ") + "\t" + std::to_string(i) + "\n";
  std::string path = folder.write("t.tsv", text);
  Opened data("table", path, R"({"text":0,"label":1,"batch":4,"max_length":8,"test":0.2,"bucket":3})", first(6), 3);
  EXPECT_EQ(data->batches(Split::Train), 10);
  EXPECT_EQ(data->batches(Split::Test), 3);
  std::set<int32_t> seen;
  auto add = [&](Split split, int64_t number) {
    data.load(split, number);
    for (int32_t label : data.values<int32_t>(5))
      EXPECT_TRUE(seen.insert(label).second) << label;
  };
  for (int64_t i = 0; i < 10; ++i)
    add(Split::Train, i);
  for (int64_t i = 0; i < 3; ++i)
    add(Split::Test, i);
  EXPECT_EQ(seen.size(), 50u);
  std::vector<int32_t> later = (data.load(Split::Train, 13), data.values<int32_t>(5));
  data.load(Split::Train, 3);
  EXPECT_NE(data.values<int32_t>(5), later);
  data.load(Split::Train, 13);
  EXPECT_EQ(data.values<int32_t>(5), later);
}

TEST(Table, Refusals) {
  TemporaryFolder folder;
  auto open = [&](const std::string &text, const std::string &more, const std::string &name = "t.tsv") {
    std::string path = folder.write(name, text);
    return errorOf([&] { Opened("table", path, R"({"text":0,"batch":1,"max_length":4)" + more + "}", tableFields); });
  };
  EXPECT_THAT(open("a\t1\nb\n", ""), HasSubstr("line 2: 1 columns, expected 2 as in the first row"));
  EXPECT_THAT(open("a\t1\n\"b\t2\n", ""), HasSubstr("line 2: a quote is opened here and never closed"));
  EXPECT_EQ(open("a\t1\n\"b\t2\n", R"(,"quotes":false)"), "");
  EXPECT_THAT(open(std::string("\xff\xfe"
                               "a\0",
                               4),
                   ""),
              HasSubstr("is not UTF-8 text: byte 0, line 1"));
  EXPECT_THAT(open(std::string("a\t1\nb\0\t1\n", 9), ""), HasSubstr("line 2: a NUL byte"));
  EXPECT_THAT(open("a\t1\n \t1\n", ""), HasSubstr("line 2, column 1: the text is empty"));
  EXPECT_THAT(open("a\t1\nb\tx\n", R"(,"target":1)"), HasSubstr("line 2, column 2: 'x' is not a number"));
  EXPECT_THAT(open("a\t1\nb\t2\n", R"(,"label":1,"classes":2)"),
              HasSubstr("line 2, column 2: the label '2' is not a whole number from 0 to 1"));
  EXPECT_THAT(open("a\tyes\nb\tyess\n", R"(,"label":1,"classes":["no","yes"])"),
              HasSubstr("line 2, column 2: the label 'yess' is none of the recipe's classes (did you mean 'yes'?)"));
  EXPECT_THAT(open("a\t1\n", R"(,"label":2)"), HasSubstr("has 2 columns; the recipe asks for column 2"));
  EXPECT_THAT(open("a\tlabel\nb\t2\n", R"(,"label":"lable")"), HasSubstr("no column 'lable' (did you mean 'label'?)"));
  EXPECT_THAT(open("a\t1\n", R"(,"pair":"{1")"), HasSubstr("opens a brace and does not close it"));
  EXPECT_THAT(open("a\t1\n", R"(,"pair":"1}")"), HasSubstr("closes a brace that is not open"));
  EXPECT_THAT(open("a\t1\n", R"(,"special_tokens":true,"pair":1)"),
              HasSubstr("max_length=4 leaves no room for text beside 3 special tokens"));
  EXPECT_THAT(open("ab\t1\n", R"(,"tokens":"characters","vocabulary":3)"),
              HasSubstr("has 6 tokens, the recipe's vocabulary has 3"));
  EXPECT_THAT(open("a\t1\n", R"(,"tokens":"none.json")"), HasSubstr("the tokenizer of data 'data' is not there"));
  std::string tokenizer = folder.write("w.json", R"({"model":{"type":"Oracle"}})");
  EXPECT_THAT(open("a\t1\n", R"(,"tokens":")" + tokenizer + "\""), HasSubstr("the model 'Oracle' is not known"));
}

TEST(RealData, SentencesAndPairs) {
  if (!std::getenv("KILN_DATA"))
    GTEST_SKIP() << "KILN_DATA is not set: the reader is not tried on real data";
  Opened sst("table", "sst2/train.tsv",
             R"({"text":0,"label":1,"batch":1,"max_length":16,"tokens":"minilm/tokenizer.json","shuffle":false,)"
             R"("validation":"sst2/dev.tsv"})",
             first(6));
  EXPECT_EQ(sst->batches(Split::Train), 6920);
  EXPECT_EQ(sst->batches(Split::Validation), 872);
  sst.load(Split::Train, 1); // "apparently reassembled from the cutting room floor of any given daytime soap"
  EXPECT_THAT(sst.values<int32_t>(0), ElementsAre(101, 4593, 2128, 27241, 23931, 2013, 1996, 6276, 2282, 2723, 1997,
                                                  2151, 2445, 12217, 7815, 102));
  Opened sick("table", "sick/SICK_train.txt",
              R"({"text":"sentence_A","pair":"sentence_B","label":"entailment_judgment","target":"relatedness_score",)"
              R"("batch":4,"max_length":64,"shuffle":false})",
              tableFields);
  EXPECT_EQ(sick->batches(Split::Train), 1125);
  sick.load(Split::Train, 0);
  EXPECT_THAT(sick.values<int32_t>(5), ElementsAre(2, 2, 1, 2));
  EXPECT_THAT(sick.values<float>(6), ElementsAre(4.5f, 3.2f, 4.7f, 3.4f));
}

} // namespace
} // namespace kiln
