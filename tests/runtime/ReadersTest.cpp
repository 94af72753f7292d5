#include "tests/runtime/Opened.h"

#include <cmath>
#include <map>

namespace kiln {
namespace {

TEST(Conll, TagsStandAtFirstTokens) {
  TemporaryFolder folder;
  std::string path =
      folder.write("t.conll", "-DOCSTART- -X- O\n\nEU\tB-ORG\nrejects\tO\nGerman\tB-MISC\n\t\nUK\tB-ORG\n");
  const Fields fields = {{"ids", KILN_I32}, {"tags", KILN_I32}, {"mask", KILN_BOOL}};
  Opened data("conll", path, R"({"batch":2,"max_length":8,"shuffle":false,"special_tokens":true})", fields);
  data.load(Split::Train, 0);
  const Vocabulary &words = *data->vocabulary("ids");
  EXPECT_THAT(data.values<int32_t>(0),
              ElementsAre(StartToken, words.find("EU"), words.find("rejects"), words.find("German"), EndToken,
                          StartToken, words.find("UK"), EndToken, 0, 0));
  // O is 0, the others follow sorted; no tag where no word begins.
  EXPECT_THAT(data.values<int32_t>(1), ElementsAre(-100, 2, 0, 1, -100, -100, 2, -100, -100, -100));
  std::string tokenizer =
      folder.write("w.json", R"({"model":{"type":"WordPiece","unk_token":"u","max_input_chars_per_word":9,)"
                             R"("vocab":{"u":0,"E":1,"##U":2,"UK":3}}})");
  Opened parts("conll", path, R"({"batch":2,"max_length":3,"shuffle":false,"tokens":")" + tokenizer + R"("})", fields);
  parts.load(Split::Train, 0);
  EXPECT_THAT(parts.values<int32_t>(0), ElementsAre(1, 2, 0, 3, 0, 0)); // cut at three
  EXPECT_THAT(parts.values<int32_t>(1), ElementsAre(2, -100, 0, 2, -100, -100));
}

TEST(Conll, Refusals) {
  TemporaryFolder folder;
  auto open = [&](const std::string &text, const std::string &more) {
    std::string path = folder.write("t.conll", text);
    return errorOf([&] {
      Opened("conll", path, R"({"batch":1,"max_length":4)" + more + "}", {{"ids", KILN_I32}, {"tags", KILN_I32}});
    });
  };
  EXPECT_THAT(open("\n\n", ""), HasSubstr("has no sentences"));
  EXPECT_THAT(open("a O\nb\n", ""), HasSubstr("line 2: one column, 'b'; a word and its tag are expected"));
  EXPECT_THAT(open("a O\n", R"(,"tag":3)"), HasSubstr("line 1: 2 columns; the recipe asks for column 3"));
  EXPECT_THAT(open("a O\nb B-PRE\n", R"(,"classes":["O","B-PER"])"),
              HasSubstr("line 2: the tag 'B-PRE' is none of the recipe's classes (did you mean 'B-PER'?)"));
  EXPECT_THAT(open("a O\nb LOCATION\n", R"(,"classes":["O","B-PER"])"),
              HasSubstr("line 2: the tag 'LOCATION' is none of the recipe's classes: O, B-PER"));
  EXPECT_THAT(open("a O\nb X\n", R"(,"classes":1)"), HasSubstr("has 2 different tags, the recipe's classes are 1"));
  EXPECT_THAT(open(std::string("a O\nb\0 O\n", 9), ""), HasSubstr("line 2: a NUL byte"));
  EXPECT_EQ(open("a O\n\xef\xbb\xbf\n", ""), ""); // a byte-order mark where a file was put behind another
  EXPECT_THAT(open("a O\n", R"(,"tokens":"characters")"), HasSubstr("tags stand at words"));
}

TEST(Series, WindowsOfAGroupInTheirOrder) {
  TemporaryFolder folder;
  std::string text = "name,price,volume\n";
  for (int i = 0; i < 10; ++i)
    text += "a," + std::to_string(i) + "," + std::to_string(10 * i) + "\n";
  for (int i = 0; i < 10; ++i)
    text += "b," + std::to_string(100 + i) + ",0\n";
  std::string path = folder.write("t.csv", text);
  const Fields fields = {{"past", KILN_F32}, {"future", KILN_F32}};
  const std::string options = R"({"columns":["price","volume"],"context":3,"horizon":2,"group":"name","batch":2,)"
                              R"("validation":0.2,"test":0.2,"shuffle":false)";
  Opened data("series", path, options + "}", fields);
  EXPECT_EQ(data->batches(Split::Train), 2); // two windows in each six rows
  data.load(Split::Train, 0);
  EXPECT_THAT(data.shape(0), ElementsAre(2, 3, 2));
  EXPECT_THAT(data.shape(1), ElementsAre(2, 2, 2));
  EXPECT_THAT(data.values<float>(0), ElementsAre(0, 0, 1, 10, 2, 20, 1, 10, 2, 20, 3, 30));
  EXPECT_THAT(data.values<float>(1), ElementsAre(3, 30, 4, 40, 4, 40, 5, 50));
  // What is to be foretold lies in the part; what was may lie before it. The end of each group is the test.
  data.load(Split::Validation, 0);
  EXPECT_THAT(data.values<float>(1), ElementsAre(6, 60, 7, 70, 106, 0, 107, 0));
  data.load(Split::Test, 0);
  EXPECT_THAT(data.values<float>(0), ElementsAre(5, 50, 6, 60, 7, 70, 105, 0, 106, 0, 107, 0));
  // By the rows that are trained on: 0 … 5 and 100 … 105.
  Opened normal("series", path, options + R"(,"normalise":true})", fields);
  normal.load(Split::Train, 0);
  EXPECT_NEAR(normal.values<float>(0)[0], (0 - 52.5) / std::sqrt(2500 + 35.0 / 12), 1e-6);
}

TEST(Series, Refusals) {
  TemporaryFolder folder;
  auto open = [&](const std::string &text, const std::string &more) {
    std::string path = folder.write("t.csv", text);
    return errorOf(
        [&] { Opened("series", path, R"({"columns":1,"context":2,"batch":1)" + more + "}", {{"past", KILN_F32}}); });
  };
  EXPECT_EQ(open("a,1\na,2\na,3\n", ""), "");
  EXPECT_THAT(open("a,1\na,2\n", ""),
              HasSubstr("has no 3 rows beside each other to train on (context=2 and horizon=1)"));
  EXPECT_THAT(open("a,1\nb,2\na,3\n", R"(,"group":0)"),
              HasSubstr("line 3, column 1: the rows of 'a' do not stand beside each other"));
  EXPECT_THAT(open("a,1\na,x\n", ""), HasSubstr("line 2, column 2: 'x' is not a number"));
}

std::string squad(const std::string &context, const std::string &answer, int start) {
  return R"({"data":[{"paragraphs":[{"context":)" + jsonQuote(context) +
         R"(,"qas":[{"id":"q1","question":"who?","answers":[{"text":)" + jsonQuote(answer) + R"(,"answer_start":)" +
         std::to_string(start) + "}]}]}]}]}";
}
const Fields squadFields = {{"ids", KILN_I32}, {"start", KILN_I32}, {"end", KILN_I32}, {"types", KILN_I32}};

TEST(Squad, WindowsAndSpans) {
  TemporaryFolder folder;
  std::string path = folder.write("t.json", squad("\u00e9t\u00e9 a b c d e f", "c d", 8));
  Opened data("squad", path, R"({"batch":3,"max_length":8,"stride":2,"special_tokens":true,"shuffle":false})",
              squadFields);
  // START who? END and four words of the paragraph, each window overlapping by two.
  data.load(Split::Train, 0);
  const Vocabulary &words = *data->vocabulary("ids");
  auto id = [&](const char *word) { return words.find(word); };
  EXPECT_THAT(data.shape(0), ElementsAre(3, 8));
  EXPECT_THAT(data.values<int32_t>(0),
              ElementsAre(StartToken, id("who?"), EndToken, id("\u00e9t\u00e9"), id("a"), id("b"), id("c"), EndToken, //
                          StartToken, id("who?"), EndToken, id("b"), id("c"), id("d"), id("e"), EndToken,             //
                          StartToken, id("who?"), EndToken, id("d"), id("e"), id("f"), EndToken, 0));
  EXPECT_THAT(data.values<int32_t>(1), ElementsAre(0, 4, 0)); // the middle one holds all of it
  EXPECT_THAT(data.values<int32_t>(2), ElementsAre(0, 5, 0));
  EXPECT_THAT(data.values<int32_t>(3)[3], 1);
}

TEST(Squad, Refusals) {
  TemporaryFolder folder;
  auto open = [&](const std::string &text, const std::string &more = R"(,"stride":2)") {
    std::string path = folder.write("t.json", text);
    return errorOf([&] { Opened("squad", path, R"({"batch":1,"max_length":8)" + more + "}", squadFields); });
  };
  EXPECT_THAT(open(squad("a b", "b", 1)),
              HasSubstr("question q1: the answer \"b\" does not stand at character 1 of its paragraph"));
  EXPECT_THAT(open(squad("a b", "b", 99)), HasSubstr("does not stand at character 99"));
  EXPECT_THAT(open(squad("a b", "", 0)), HasSubstr("does not stand at character 0"));
  EXPECT_THAT(open("{"), HasSubstr("t.json': "));
  EXPECT_THAT(open(R"({"data":[{}]})"), HasSubstr("is not SQuAD's JSON"));
  EXPECT_THAT(open(R"({"data":[]})"), HasSubstr("has no questions"));
  EXPECT_THAT(
      open(squad("a b c d e f g h", "b", 2), R"(,"stride":6)"),
      HasSubstr("question q1: beside its 1 tokens max_length=8 leaves no room for windows that overlap by stride=6"));
}

TEST(Masked, ShareAndKinds) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 2000; ++i)
    text += "w" + std::to_string(i % 50) + (i % 10 == 9 ? "\n" : " ");
  std::string path = folder.write("t.txt", text);
  const Fields fields = {{"ids", KILN_I32}, {"labels", KILN_I32}};
  Opened data("masked", path, R"({"batch":20,"max_length":100,"share":0.15})", fields, 3);
  EXPECT_EQ(data->batches(Split::Train), 1);
  size_t hidden = 0, masks = 0, same = 0;
  for (int64_t batch = 0; batch < 10; ++batch) {
    data.load(Split::Train, batch);
    std::vector<int32_t> ids = data.values<int32_t>(0), labels = data.values<int32_t>(1);
    for (size_t i = 0; i < ids.size(); ++i) {
      hidden += labels[i] != -100;
      masks += labels[i] != -100 && ids[i] == UnknownToken;
      same += labels[i] == ids[i];
      EXPECT_TRUE(labels[i] != -100 || ids[i] >= SpecialTokenCount);
    }
  }
  EXPECT_NEAR(static_cast<double>(hidden) / 20000, 0.15, 0.01);
  EXPECT_NEAR(static_cast<double>(masks) / static_cast<double>(hidden), 0.8, 0.03);
  EXPECT_NEAR(static_cast<double>(same) / static_cast<double>(hidden), 0.1, 0.03);
  data.load(Split::Train, 4);
  std::vector<int32_t> first = data.values<int32_t>(0);
  data.load(Split::Train, 5);
  EXPECT_NE(data.values<int32_t>(0), first);
  data.load(Split::Train, 4);
  EXPECT_EQ(data.values<int32_t>(0), first);
}

TEST(Masked, NextSentences) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += "w" + std::to_string(i) + "\n\n";
  std::string path = folder.write("t.txt", text);
  Opened data("masked", path, R"({"batch":59,"max_length":8,"share":1e-9,"next_sentence":true,"shuffle":false})",
              {{"ids", KILN_I32}, {"next_sentence", KILN_I32}});
  data.load(Split::Train, 0);
  std::vector<int32_t> ids = data.values<int32_t>(0), other = data.values<int32_t>(1);
  const Vocabulary &words = *data->vocabulary("ids");
  ASSERT_EQ(other.size(), 59u);
  for (size_t i = 0; i < other.size(); ++i) {
    EXPECT_EQ(ids[3 * i], words.find("w" + std::to_string(i)));
    EXPECT_EQ(other[i] == 0, ids[3 * i + 2] == words.find("w" + std::to_string(i + 1)));
    EXPECT_EQ(other[i], static_cast<int32_t>(i % 2));
  }
  std::string tokenizer = folder.write("w.json", R"({"model":{"type":"WordPiece","unk_token":"u",)"
                                                 R"("max_input_chars_per_word":9,"vocab":{"u":0}}})");
  EXPECT_THAT(errorOf([&] {
                Opened("masked", path, R"({"batch":1,"max_length":8,"tokens":")" + tokenizer + R"("})",
                       {{"ids", KILN_I32}});
              }),
              HasSubstr("its tokenizer has no token [MASK] or <mask> to hide words behind"));
}

// Sentences within a line, as their ending says.
TEST(Masked, SentencesOfALine) {
  TemporaryFolder folder;
  std::string path = folder.write("t.txt", "a b . c . \n. d .\n\ne");
  Opened data("masked", path,
              R"({"batch":3,"max_length":8,"share":1e-9,"next_sentence":true,"shuffle":false,"sentence_end":" . "})",
              {{"ids", KILN_I32}, {"next_sentence", KILN_I32}});
  EXPECT_EQ(data->batches(Split::Train), 1); // "a b . ", "c . ", ". d .", "e"
  data.load(Split::Train, 0);
  EXPECT_THAT(data.shape(0), ElementsAre(3, 6));
}

/// Words of one letter, and names for what is cut out.
std::string sentinelTokenizer(size_t sentinels, bool end) {
  std::string vocab = R"("u":0,"<pad>":1)";
  size_t count = 2;
  if (end)
    vocab += R"(,"</s>":)" + std::to_string(count++);
  for (char c = 'a'; c <= 'j'; ++c)
    vocab += std::string(",\"") + c + "\":" + std::to_string(count++);
  for (size_t i = 0; i < sentinels; ++i)
    vocab += ",\"<extra_id_" + std::to_string(i) + ">\":" + std::to_string(count++);
  return R"({"pre_tokenizer":{"type":"Whitespace"},"model":{"type":"WordPiece","unk_token":"u",)"
         R"("max_input_chars_per_word":9,"vocab":{)" +
         vocab + "}}}";
}

TEST(Corrupted, PiecesAreCutOutAndWritten) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 990; ++i)
    text += std::string(1, static_cast<char>('a' + i * i % 10)) + (i % 7 == 6 ? "\n" : " ");
  std::string path = folder.write("t.txt", text), tokens = folder.write("t.json", sentinelTokenizer(8, true));
  const Fields fields = {{"ids", KILN_I32},    {"mask", KILN_BOOL},  {"lengths", KILN_I32},
                         {"target", KILN_I32}, {"answer", KILN_I32}, {"labels", KILN_I32}};
  auto options = [&](const char *more) {
    return R"({"batch":10,"max_length":100,"share":0.15,"span":3,"tokens":")" + tokens + "\"" + more + "}";
  };
  Opened data("corrupted", path, options(R"(,"shuffle":false)"), {fields.begin(), fields.end() - 1}, 3);
  ASSERT_EQ(data->batches(Split::Train), 1);
  data.load(Split::Train, 0);
  // Of 99 tokens 15 go, in 5 pieces: 99 - 15 + 5 and the end are read, 15 + 5 and the end written.
  EXPECT_THAT(data.shape(0), ElementsAre(10, 90));
  EXPECT_THAT(data.shape(4), ElementsAre(10, 21));
  std::vector<int32_t> ids = data.values<int32_t>(0), target = data.values<int32_t>(3),
                       answer = data.values<int32_t>(4);
  const Vocabulary &words = *data->vocabulary("ids");
  int32_t first = words.find("<extra_id_0>"), end = words.find("</s>");
  size_t letters = 0;
  for (size_t row = 0; row < 10; ++row) {
    EXPECT_EQ(data.values<int32_t>(2)[row], 90);
    EXPECT_EQ(ids[row * 90 + 89], end);
    EXPECT_EQ(answer[row * 21 + 20], end);
    EXPECT_EQ(target[row * 21], words.pad());
    size_t piece = row * 21, next = 0;
    for (size_t i = row * 90; i < row * 90 + 89; ++i) {
      std::vector<int32_t> told = {ids[i]};
      if (ids[i] >= first) { // in order, each with what stood there
        EXPECT_EQ(ids[i], first + static_cast<int32_t>(next));
        ASSERT_EQ(answer[piece], first + static_cast<int32_t>(next++));
        told.clear();
        while (answer[++piece] < first && answer[piece] != end)
          told.push_back(answer[piece]);
        EXPECT_FALSE(told.empty());
      }
      for (int32_t id : told) {
        EXPECT_EQ(id, words.find(std::string(1, static_cast<char>('a' + letters * letters % 10)))) << letters;
        ++letters;
      }
    }
    EXPECT_EQ(next, 5u);
    for (size_t i = 1; i < 21; ++i)
      EXPECT_EQ(target[row * 21 + i], answer[row * 21 + i - 1]);
  }
  EXPECT_EQ(letters, 990u);
  data.load(Split::Train, 1);
  EXPECT_NE(data.values<int32_t>(0), ids); // other pieces
  data.load(Split::Train, 0);
  EXPECT_EQ(data.values<int32_t>(0), ids);
  // Validation: the same whatever the seed is.
  std::vector<int32_t> seen;
  for (uint32_t seed : {1u, 2u}) {
    Opened other("corrupted", folder.write("two.txt", text + text), options(R"(,"validation":0.3)"),
                 {fields.begin(), fields.end() - 1}, seed);
    other.load(Split::Validation, 0);
    EXPECT_TRUE(seen.empty() || other.values<int32_t>(4) == seen);
    seen = other.values<int32_t>(4);
  }
  Opened wrong("corrupted", path, options(""), fields);
  EXPECT_THAT(errorOf([&] { wrong.load(Split::Train, 0); }), HasSubstr("its reader has no field 'labels'"));
}

TEST(Corrupted, SmallWindowsAndRefusals) {
  TemporaryFolder folder;
  std::string path = folder.write("t.txt", "a b c d e\n"), tokens = folder.write("t.json", sentinelTokenizer(2, false));
  const Fields fields = {{"ids", KILN_I32}, {"answer", KILN_I32}};
  auto open = [&](const std::string &text, const std::string &options) {
    return errorOf([&] { Opened("corrupted", text, R"({"batch":1,"max_length":6,)" + options + "}", fields); });
  };
  // Two tokens in a window: one is cut, one stays. What is left over at the end is none.
  Opened data("corrupted", path, R"({"batch":2,"max_length":2,"share":0.99,"tokens":")" + tokens + "\"}", fields);
  ASSERT_EQ(data->batches(Split::Train), 1);
  data.load(Split::Train, 0);
  EXPECT_THAT(data.shape(0), ElementsAre(2, 2));
  EXPECT_THAT(data.shape(1), ElementsAre(2, 2));
  EXPECT_THAT(open(path, R"("share":0.5)"),
              HasSubstr("corrupted(…) needs a tokenizer with <extra_id_0>, <extra_id_1>"));
  EXPECT_THAT(open(path, R"("share":0.5,"span":1,"tokens":")" + tokens + "\""),
              HasSubstr("windows of 6 tokens lose up to 3 pieces, and the tokenizer has 2 of <extra_id_0>, …"));
  EXPECT_THAT(open(folder.write("one.txt", "a\n"), R"("tokens":")" + tokens + "\""),
              HasSubstr("a text has fewer than two tokens"));
  EXPECT_THAT(open(folder.write("none.txt", " \n\n"), R"("tokens":")" + tokens + "\""),
              HasSubstr("none.txt' is empty"));
}

TEST(Skipgram, NeighboursAndOthers) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "a b c d\ne f e f\nalone\n\n";
  std::string path = folder.write("t.txt", text);
  const Fields fields = {{"center", KILN_I32}, {"context", KILN_I32}, {"negatives", KILN_I32}};
  Opened data("skipgram", path, R"({"batch":16,"window":1,"negative":3,"validation":0.25})", fields, 3);
  EXPECT_EQ(data->batches(Split::Train), 15); // 30 of the 40 rounds, each of eight words
  EXPECT_EQ(data->batches(Split::Validation), 5);
  const Vocabulary &words = *data->vocabulary("center");
  std::map<int32_t, int> seen;
  for (int64_t batch = 0; batch < 60; ++batch) {
    data.load(Split::Train, batch);
    EXPECT_THAT(data.shape(1), ElementsAre(16));
    EXPECT_THAT(data.shape(2), ElementsAre(16, 3));
    std::vector<int32_t> centers = data.values<int32_t>(0), contexts = data.values<int32_t>(1);
    for (size_t i = 0; i < centers.size(); ++i) {
      char center = "abcdef"[0], context = center;
      for (char c : std::string("abcdef")) {
        center = words.find(std::string(1, c)) == centers[i] ? c : center;
        context = words.find(std::string(1, c)) == contexts[i] ? c : context;
      }
      EXPECT_EQ(std::abs(center - context), 1); // never across a line, never the word itself
      EXPECT_EQ(center < 'e', context < 'e');
    }
    for (int32_t word : data.values<int32_t>(2))
      ++seen[word];
  }
  EXPECT_EQ(seen.size(), 6u); // those that stand alone are no example
  double twice = seen[words.find("e")], once = seen[words.find("a")];
  EXPECT_NEAR(twice / once, std::pow(2, 0.75), 0.25);
  Opened bag("skipgram", path, R"({"batch":8,"window":2,"cbow":true,"shuffle":false})", fields);
  bag.load(Split::Train, 0);
  EXPECT_THAT(bag.shape(1), ElementsAre(8, 4));
  std::vector<int32_t> around = bag.values<int32_t>(1);
  auto id = [&](const char *word) { return bag->vocabulary("center")->find(word); };
  EXPECT_THAT(std::vector<int32_t>(around.begin(), around.begin() + 8),
              ElementsAre(id("b"), id("c"), PadToken, PadToken, id("a"), id("c"), id("d"), PadToken));
  auto open = [&](const std::string &bad) {
    std::string other = folder.write("b.txt", bad);
    return errorOf([&] { Opened("skipgram", other, R"({"batch":1})", fields); });
  };
  EXPECT_THAT(open(""), HasSubstr("is empty"));
  EXPECT_THAT(open("a\nb\n"), HasSubstr("no line of its text has two words beside each other"));
}

TEST(Table, XmlAndJsonLines) {
  TemporaryFolder folder;
  const Fields fields = {{"ids", KILN_I32}, {"label", KILN_I32}};
  std::string xml = folder.write("t.xml", "<?xml version=\"1.0\"?>\n<!DOCTYPE c SYSTEM \"c.dtd\">\n<c version='1'>\n"
                                          "  <item id=\"1\" best=\"2\"><p>a &amp; &#x62;</p><q>c</q></item>\n"
                                          "  <item best=\"1\" id=\"2\"><p>d</p><!-- or --><q/></item>\n</c>\n");
  const std::string options = R"({"text":"{p} so {q}","label":"best","classes":["1","2"],"batch":2,"max_length":8,)"
                              R"("shuffle":false})";
  std::string lines =
      folder.write("t.jsonl", "{\"p\":\"a & b\",\"q\":\"c\",\"best\":2}\n\n{\"q\":null,\"best\":1,\"p\":\"d\"}\n");
  for (const std::string &path : {xml, lines}) {
    Opened data("table", path, options, fields);
    data.load(Split::Train, 0);
    const Vocabulary &words = *data->vocabulary("ids");
    auto id = [&](const char *word) { return words.find(word); };
    EXPECT_THAT(data.values<int32_t>(0), ElementsAre(id("a"), id("&"), id("b"), id("so"), id("c"), //
                                                     id("d"), id("so"), 0, 0, 0));
    EXPECT_THAT(data.values<int32_t>(1), ElementsAre(1, 0));
  }
  auto open = [&](const std::string &name, const std::string &text) {
    std::string path = folder.write(name, text);
    return errorOf([&] { Opened("table", path, options, fields); });
  };
  EXPECT_THAT(open("b.xml", "<c>\n<i><p>a</q></i></c>"), HasSubstr("line 2: </q> closes <p>"));
  EXPECT_THAT(open("b.xml", "<c>\n<i><p>a</p>\n"), HasSubstr("line 3: the text ends within an element"));
  EXPECT_THAT(open("b.xml", "<c>\n<i a=\"1></i></c>"), HasSubstr("line 2: a quote is opened here and never closed"));
  EXPECT_THAT(open("b.xml", "<c><i a=\"1\"/>\n<i b=\"1\"/></c>"),
              HasSubstr("line 2: the row has no 'a', which the first one has"));
  EXPECT_THAT(open("b.xml", "<c><i><p>a & b</p></i></c>"), HasSubstr("line 1: an & that begins no entity"));
  EXPECT_THAT(open("b.xml", "<c><i><p><b/></p></i></c>"), HasSubstr("<p> holds an element"));
  EXPECT_THAT(open("b.xml", "<c></c>"), HasSubstr("has no rows"));
  EXPECT_THAT(open("b.xml", "<c><i a=\"1\"/></c><d/>"), HasSubstr("something stands behind the root element"));
  EXPECT_THAT(open("b.xml", "text"), HasSubstr("an element is expected"));
  EXPECT_THAT(open("b.jsonl", "{\"a\":1}\n[1]\n"), HasSubstr("line 2: a JSON object is expected"));
  EXPECT_THAT(open("b.jsonl", "{\"a\":1}\n{\"b\":1}\n"), HasSubstr("line 2: the first row has no column 'b'"));
  EXPECT_THAT(open("b.jsonl", "{\"a\":[1]}\n"), HasSubstr("line 1: 'a' is no text and no number"));
  EXPECT_THAT(open("b.jsonl", "{\"a\":1\n"), HasSubstr("line 1"));
}

TEST(RealData, EveryReader) {
  if (!std::getenv("KILN_DATA"))
    GTEST_SKIP() << "KILN_DATA is not set: the readers are not tried on real data";
  const std::string wordPiece = R"("tokens":"minilm/tokenizer.json")";
  Opened tags("conll", "wnut17/train.conll",
              R"({"batch":8,"max_length":64,"classes":13,"validation":"wnut17/dev.conll",)" + wordPiece + "}",
              {{"ids", KILN_I32}, {"tags", KILN_I32}});
  EXPECT_EQ(tags->batches(Split::Train), 3394 / 8);
  tags.load(Split::Train, 0);
  tags.load(Split::Validation, 0);
  Opened prices("series", "series/stocks.csv",
                R"({"columns":"price","group":"symbol","context":12,"batch":16,"test":0.2,"normalise":true})",
                {{"past", KILN_F32}, {"future", KILN_F32}});
  prices.load(Split::Train, 0);
  // Windows, spans and ids as transformers makes them (only_second, stride 128): their number and sums.
  Opened questions("squad", "xquad/xquad.en.json", R"({"batch":1,"max_length":384,"shuffle":false,)" + wordPiece + "}",
                   squadFields);
  int64_t ids = 0, starts = 0, ends = 0;
  for (int64_t i = 0; i < questions->batches(Split::Train); ++i) {
    questions.load(Split::Train, i);
    for (int32_t id : questions.values<int32_t>(0))
      ids += id;
    starts += questions.values<int32_t>(1)[0];
    ends += questions.values<int32_t>(2)[0];
  }
  EXPECT_EQ(questions->batches(Split::Train), 1219);
  EXPECT_EQ(ids, 976462331);
  EXPECT_EQ(starts, 97016);
  EXPECT_EQ(ends, 100568);
  Opened words("masked", "wikitext2/valid.txt", R"({"batch":8,"max_length":64,"next_sentence":true,)" + wordPiece + "}",
               {{"ids", KILN_I32}, {"labels", KILN_I32}, {"next_sentence", KILN_I32}});
  words.load(Split::Train, 0);
  TemporaryFolder folder;
  Opened spans("corrupted", "wikitext2/valid.txt",
               R"({"batch":8,"max_length":64,"tokens":")" + folder.write("t.json", sentinelTokenizer(8, true)) + "\"}",
               {{"ids", KILN_I32}, {"target", KILN_I32}, {"answer", KILN_I32}});
  spans.load(Split::Train, 0);
  Opened choice("table", "copa/balanced-copa-dev-all.xml",
                R"({"text":"p","pair":["a1","a2"],"label":"most-plausible-alternative","classes":["1","2"],"batch":8,)"
                R"("max_length":64,)" +
                    wordPiece + "}",
                {{"ids", KILN_I32}, {"label", KILN_I32}});
  EXPECT_EQ(choice->batches(Split::Train), 1000 / 8);
  choice.load(Split::Train, 0);
  EXPECT_EQ(choice.shape(0)[1], 2);
}

} // namespace
} // namespace kiln
