#include "runtime/files/Safetensors.h"
#include "tests/runtime/Opened.h"

#include <cmath>

namespace kiln {
namespace {

const std::vector<std::pair<std::string, kiln_dtype>> textFields = {{"ids", KILN_I32}, {"next", KILN_I32}};

TEST(Text, WindowsAndTheirNextTokens) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 200; ++i)
    text += static_cast<char>('a' + i * 7 % 26);
  std::string path = folder.write("t.txt", text);
  Opened data("text", path, R"({"context":8,"batch":4,"validation":0.25})", textFields, 5);
  EXPECT_EQ(data->vocabulary("ids")->size(), 26u);
  data.load(Split::Train, 3);
  EXPECT_THAT(data.shape(0), ElementsAre(4, 8));
  std::vector<int32_t> ids = data.values<int32_t>(0), next = data.values<int32_t>(1);
  for (size_t i = 0; i < ids.size(); ++i)
    EXPECT_EQ(next[i], (ids[i] + 7) % 26);
  data.load(Split::Train, 4);
  EXPECT_NE(data.values<int32_t>(0), ids);
  data.load(Split::Train, 3);
  EXPECT_EQ(data.values<int32_t>(0), ids); // a batch is a function of its number
  // The last quarter is for validation: 50 tokens, 6 windows, the last batch of two.
  EXPECT_EQ(data->batches(Split::Validation), 2);
  data.load(Split::Validation, 1);
  EXPECT_THAT(data.shape(0), ElementsAre(2, 8));
  EXPECT_EQ(data.values<int32_t>(0)[0], (150 + 32) * 7 % 26);
}

TEST(Text, Refusals) {
  TemporaryFolder folder;
  auto open = [&](const std::string &text, const std::string &options) {
    std::string path = folder.write("t.txt", text);
    return errorOf([&] { Opened("text", path, options, textFields); });
  };
  EXPECT_THAT(open("", R"({"context":8,"batch":4})"), HasSubstr("is empty"));
  EXPECT_THAT(open("abcdefgh", R"({"context":8,"batch":4})"),
              HasSubstr("has 8 tokens to train on, too few for a context of 8: at least 9 are needed"));
  EXPECT_THAT(open("ab\nc\xff", R"({"context":2,"batch":1})"), HasSubstr("is not UTF-8 text: byte 4, line 2"));
  EXPECT_THAT(open("abcabc", R"({"context":2,"batch":1,"vocabulary":4})"),
              HasSubstr("3 different characters, the recipe's vocabulary has 4"));
  EXPECT_THAT(errorOf([&] { Opened("text", "none.txt", R"({"context":2,"batch":1})", textFields); }),
              HasSubstr("the text of data 'data' is not there: looked for 'none.txt'"));
  EXPECT_THAT(errorOf([&] { Opened("nonsense", "none.txt", "{}", textFields); }), HasSubstr("unknown reader"));
}

TEST(Vocabulary, CharactersAndWords) {
  Vocabulary characters = Vocabulary::characters("zß\na€z", "t");
  EXPECT_EQ(characters.size(), 5u);
  EXPECT_EQ(characters.find("\n"), 0);
  EXPECT_EQ(characters.find("€"), 4);
  std::vector<int32_t> ids = characters.encode("a€", "t");
  EXPECT_EQ(characters.decode(ids), "a€");
  EXPECT_THAT(errorOf([&] { characters.encode("a\nx", "the prompt"); }),
              HasSubstr(R"(the prompt: the character "x" (byte 2, line 2) is not in the vocabulary of 5 characters)"));
  Vocabulary words = Vocabulary::words("b a b c c b", 6);
  EXPECT_EQ(words.size(), 6u); // four special tokens, b, c
  EXPECT_THAT(words.encode("b c a", "t"), ElementsAre(4, 5, UnknownToken));
  EXPECT_EQ(words.decode({StartToken, 4, 1, 5, EndToken, PadToken}), "b <unk> c");
  EXPECT_THAT(words.unknownIn("x b\ny x"), ElementsAre("x", "y"));
  EXPECT_THAT(characters.unknownIn("zä€ä"), ElementsAre("ä"));
  Vocabulary back = Vocabulary::deserialise(words.serialise(), "v");
  EXPECT_EQ(back.decode({5, 4}), "c b");
  EXPECT_EQ(Vocabulary::deserialise(characters.serialise(), "v").find("€"), 4);
  EXPECT_THAT(errorOf([] { Vocabulary::deserialise(R"({"kind":"words","tokens":["a","a"]})", "v"); }),
              HasSubstr("stands twice"));
}

TEST(Vocabulary, CutsATextOnce) {
  WordList words = WordList::cut("b  a\tb\r\n\n a longer-word longer-word2\nb");
  EXPECT_THAT(words.distinct, ElementsAre("b", "a", "longer-word", "longer-word2"));
  EXPECT_THAT(words.counts, ElementsAre(3, 2, 1, 1));
  EXPECT_THAT(words.numbers, ElementsAre(0, 1, 0, 1, 2, 3, 0));
  EXPECT_THAT(words.lineEnds, ElementsAre(3, 3, 6, 7));
  EXPECT_THAT(WordList::cut("a\n").lineEnds, ElementsAre(1));
  EXPECT_TRUE(WordList::cut("").lineEnds.empty());
  Vocabulary vocabulary = Vocabulary::words(words, 0, 2);
  EXPECT_THAT(vocabulary.encode("a zz b\n\nb", "t", true),
              ElementsAre(5, UnknownToken, 4, EndToken, EndToken, 4)); // END where a newline stands
  EXPECT_THAT(vocabulary.encode(" \n", "t", true), ElementsAre(EndToken));
  // A special token's name in the text is that token.
  Vocabulary special = Vocabulary::words("<unk> <end> x <end>", 0);
  EXPECT_EQ(special.size(), 5u);
  EXPECT_THAT(special.encode("x <end>", "t"), ElementsAre(4, EndToken));
  // More words than the table begins with, of every length: each keeps its number.
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += std::string(static_cast<size_t>(i % 23), 'x') + std::to_string(i) + " ";
  text += text;
  WordList many = WordList::cut(text);
  ASSERT_EQ(many.distinct.size(), 5000u);
  for (size_t i = 0; i < 5000; ++i)
    ASSERT_EQ(many.numbers[i], many.numbers[i + 5000]);
  EXPECT_EQ(many.distinct[4999], std::string(4999 % 23, 'x') + "4999");
}

const std::vector<std::pair<std::string, kiln_dtype>> csvFields = {{"features", KILN_F32}, {"label", KILN_I32}};

TEST(Csv, SplitsCoverEveryRowOnce) {
  TemporaryFolder folder;
  std::string text = "x,label\n";
  for (int i = 0; i < 100; ++i)
    text += std::to_string(i) + "," + std::to_string(i % 3) + "\n";
  std::string path = folder.write("d.csv", text);
  std::string options = R"({"features":["x"],"label":"label","header":true,"batch":8,"validation":0.2,"test":0.1})";
  Opened data("csv", path, options, csvFields, 1);
  std::multiset<float> seen;
  std::vector<float> firstEpoch;
  EXPECT_EQ(data->batches(Split::Train), 8); // 70 rows: the last six wait for another epoch
  for (int64_t i = 0; i < 8; ++i) {
    data.load(Split::Train, i);
    for (float x : data.values<float>(0))
      firstEpoch.push_back(x);
  }
  seen.insert(firstEpoch.begin(), firstEpoch.end());
  EXPECT_EQ(std::set<float>(seen.begin(), seen.end()).size(), 64u);
  data.load(Split::Train, 8);
  EXPECT_NE(data.values<float>(0)[0], firstEpoch[0]);
  EXPECT_EQ(data->batches(Split::Validation), 3);
  std::set<float> held;
  for (int64_t i = 0; i < 3; ++i) {
    data.load(Split::Validation, i);
    for (float x : data.values<float>(0))
      EXPECT_TRUE(held.insert(x).second && !seen.contains(x)) << x;
  }
  EXPECT_EQ(held.size(), 20u);
  EXPECT_THAT(data.shape(0), ElementsAre(4, 1));
  // Another seed shuffles otherwise and holds out the same.
  Opened other("csv", path, options, csvFields, 2);
  other.load(Split::Validation, 0);
  data.load(Split::Validation, 0);
  EXPECT_EQ(other.values<float>(0), data.values<float>(0));
}

TEST(Csv, LabelsMayBeWords) {
  TemporaryFolder folder;
  std::string path = folder.write("d.csv", "1,dog\n2,cat\n3,dog\n4,ant\n");
  Opened data("csv", path, R"({"features":1,"label":1,"batch":4,"shuffle":false})", csvFields);
  data.load(Split::Train, 0);
  EXPECT_THAT(data.values<int32_t>(1), ElementsAre(2, 1, 2, 0));
}

/// A label that is neither would renumber all the others, or be taken for one of them.
TEST(Csv, LabelsAreAllNumbersOrAllWords) {
  TemporaryFolder folder;
  auto open = [&](const std::string &text) {
    std::string path = folder.write("d.csv", text);
    return errorOf([&] { Opened("csv", path, R"({"features":1,"label":1,"batch":1})", csvFields); });
  };
  EXPECT_THAT(open("1,0\n2,1\n3,\n4,10\n"), HasSubstr("line 3, column 2: the label '' is empty"));
  EXPECT_THAT(open("1,0\n2,1.5\n"), HasSubstr("line 2, column 2: the label '1.5' is not a whole number from"));
  EXPECT_THAT(open("1,3000000000\n"), HasSubstr("line 1, column 2: the label '3000000000' is not a whole number from"));
  EXPECT_THAT(open("1,1e400\n"), HasSubstr("the label '1e400' is not a whole number"));
  EXPECT_THAT(open("1,nan\n"), HasSubstr("the label 'nan' is not a whole number"));
  EXPECT_THAT(open("1,0\n2,dog\n"),
              HasSubstr("line 2, column 2: the label 'dog' is a word, and that of line 1 a number"));
  EXPECT_THAT(open("1,dog\n\n2,7\n"),
              HasSubstr("line 3, column 2: the label '7' is a number, and that of line 1 a word"));
  EXPECT_THAT(open("1,dog\n2,\n"), HasSubstr("line 2, column 2: the label '' is empty"));
  Opened spaced("csv", folder.write("d.csv", "1, 2\n2,+10 \n"), R"({"features":1,"label":1,"batch":2,"shuffle":false})",
                csvFields);
  spaced.load(Split::Train, 0);
  EXPECT_THAT(spaced.values<int32_t>(1), ElementsAre(2, 10));
}

TEST(Csv, NumbersBeyondTheRange) {
  TemporaryFolder folder;
  std::string path = folder.write("d.csv", "\xef\xbb\xbf"
                                           "1e-400,-1e-400,1e-40,0x\n");
  Opened tiny("csv", path, R"({"features":3,"batch":1})", {{"features", KILN_F32}});
  tiny.load(Split::Train, 0);
  EXPECT_THAT(tiny.values<float>(0), ElementsAre(0.0f, -0.0f, 1e-40f));
  EXPECT_TRUE(std::signbit(tiny.values<float>(0)[1]));
  path = folder.write("d.csv", "1\n1e39\n");
  EXPECT_THAT(errorOf([&] { Opened("csv", path, R"({"features":1,"batch":1})", {{"features", KILN_F32}}); }),
              HasSubstr("line 2, column 1: '1e39' is beyond the range of f32"));
}

TEST(Readers, PassOverAByteOrderMarkAndRefuseWhatIsNotUtf8) {
  TemporaryFolder folder;
  std::string mark = "\xef\xbb\xbf", options = R"({"context":2,"batch":1,"tokens":")";
  for (const char *tokens : {"characters", "words"}) {
    std::string all = options + tokens + "\"}";
    std::string text = "a b c d e f\n";
    Opened plain("text", folder.write("t.txt", text), all, textFields);
    Opened marked("text", folder.write("m.txt", mark + text), all, textFields);
    EXPECT_EQ(marked->vocabulary("ids")->serialise(), plain->vocabulary("ids")->serialise());
    // A surrogate, an overlong form, one beyond U+10FFFF, a lone continuation, a cut character, UTF-16.
    for (const char *bad :
         {"\xed\xa0\x80", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\x80", "\xe2\x82", "\xff\xfe"})
      EXPECT_THAT(
          errorOf([&] { Opened("text", folder.write("b.txt", "abc\nd " + std::string(bad)), all, textFields); }),
          HasSubstr("is not UTF-8 text: byte 6, line 2"))
          << bad;
  }
  std::string source = folder.write("a", mark + "x\ny\n"), target = folder.write("b", mark + "1\n2\n");
  auto pairs = [&](const std::string &second) {
    return R"({"source":")" + source + R"(","target":")" + second +
           R"(","batch":2,"max_length":5,"source_words":10,"target_words":10,"shuffle":false})";
  };
  Opened data("pairs", "", pairs(target), {{"source", KILN_I32}});
  EXPECT_GE(data->vocabulary("source")->find("x"), 0);
  EXPECT_GE(data->vocabulary("target")->find("1"), 0);
  std::string bad = folder.write("c", "1\n\xed\xbf\xbf\n");
  EXPECT_THAT(errorOf([&] { Opened("pairs", "", pairs(bad), {{"source", KILN_I32}}); }),
              HasSubstr("is not UTF-8 text: byte 2, line 2"));
  EXPECT_THAT(errorOf([&] {
                Opened("csv", folder.write("d.csv", "1,caf\xe9\n"), R"({"features":1,"label":1,"batch":1})", csvFields);
              }),
              HasSubstr("is not UTF-8 text: byte 5, line 1"));
}

TEST(Csv, Refusals) {
  TemporaryFolder folder;
  auto open = [&](const std::string &text, const std::string &options) {
    std::string path = folder.write("d.csv", text);
    return errorOf([&] { Opened("csv", path, options, csvFields); });
  };
  EXPECT_THAT(open("1,0\n2,x\n3\n", R"({"features":1,"batch":1})"), HasSubstr("line 3: 1 columns, expected 2"));
  EXPECT_THAT(open("1,0\nabc,1\n", R"({"features":1,"batch":1})"),
              HasSubstr("line 2, column 1: 'abc' is not a number"));
  EXPECT_THAT(open("1,0\n", R"({"features":3,"batch":1})"), HasSubstr("has 2 columns; the recipe asks for column 2"));
  EXPECT_THAT(open("length,y\n1,0\n", R"({"features":["lenght"],"header":true,"batch":1})"),
              HasSubstr("no column 'lenght' (did you mean 'length'?)"));
  EXPECT_THAT(open("1,0\n", R"({"features":1,"batch":4})"),
              HasSubstr("has 1 rows to train on, fewer than a batch of 4"));
  EXPECT_THAT(open("1,0\n", R"({"features":1,"batch":1,"validation":1.5})"), HasSubstr("1.5 is not a fraction"));
  for (std::string text : {"nan", "NAN", "-nan"})
    EXPECT_THAT(open("1,0\n" + text + ",1\n", R"({"features":1,"batch":1})"),
                HasSubstr("line 2, column 1: '" + text + "' is not a number; missing=… says what stands in a gap"));
  EXPECT_THAT(open("1,0\n-inf,1\n", R"({"features":1,"batch":1})"),
              HasSubstr("line 2, column 1: '-inf' is not a finite number"));
}

/// Another file names its columns, too: they are those of that name, wherever they stand.
TEST(Csv, FilesOfOneTableHaveItsColumns) {
  TemporaryFolder folder;
  std::string first = folder.write("a.csv", "x,y,label\n1,2,0\n3,4,1\n");
  auto options = [&](const std::string &text) {
    return R"({"features":["x","y"],"label":2,"header":true,"batch":1,"validation":[")" + folder.write("b.csv", text) +
           "\"]}";
  };
  Opened data("csv", first, options("label,more,y,x\n1,7,20,10\n"), csvFields);
  data.load(Split::Validation, 0);
  EXPECT_THAT(data.values<float>(0), ElementsAre(10, 20));
  EXPECT_THAT(data.values<int32_t>(1), ElementsAre(1));
  EXPECT_THAT(errorOf([&] { Opened("csv", first, options("label,z,x\n1,20,10\n"), csvFields); }),
              HasSubstr("b.csv' has no column 'y', which "));
}

/// 1 and 1.0 are one value; what is no finite number is a word.
TEST(Csv, CategoriesOfNumbers) {
  TemporaryFolder folder;
  auto read = [&](const std::string &name, const std::string &text) {
    std::string options =
        R"({"categories":[0],"batch":6,"shuffle":false,"validation":[")" + folder.write("b.csv", text) + "\"]}";
    Opened data("csv", folder.write("a.csv", name), options, {{"categories", KILN_I32}});
    data.load(Split::Validation, 0);
    return data.values<int32_t>(0);
  };
  EXPECT_THAT(read("10.0,\n2.0,\n,\n2.0,\n2.50,\n10.00,\n", "10,\n2,\n2.5,\n+2.0,\n02,\n2.05,\n"),
              ElementsAre(3, 1, 2, 0, 0, 0));
  EXPECT_THAT(read("v1.0,\ninf,\n10,\n9,\n-nan,\n9,\n", "10,\n9,\ninf,\nv1.0,\n-nan,\nv1,\n"),
              ElementsAre(1, 2, 3, 4, 0, 0));
}

const std::vector<std::pair<std::string, kiln_dtype>> pairFields = {
    {"source", KILN_I32}, {"target", KILN_I32}, {"next", KILN_I32}};

TEST(Pairs, PaddingAndSpecialTokens) {
  TemporaryFolder folder;
  std::string source = folder.write("a", "x\ny y y\n"), target = folder.write("b", "1 2\n1\n");
  Opened data("pairs", "",
              R"({"source":")" + source + R"(","target":")" + target +
                  R"(","batch":2,"max_length":5,"source_words":10,"target_words":10,"shuffle":false})",
              pairFields);
  data.load(Split::Train, 0);
  EXPECT_THAT(data.shape(0), ElementsAre(2, 3));
  int32_t x = data->vocabulary("source")->find("x"), y = data->vocabulary("source")->find("y");
  EXPECT_THAT(data.values<int32_t>(0), ElementsAre(x, PadToken, PadToken, y, y, y));
  int32_t one = data->vocabulary("target")->find("1"), two = data->vocabulary("target")->find("2");
  EXPECT_THAT(data.values<int32_t>(1), ElementsAre(StartToken, one, two, StartToken, one, PadToken));
  EXPECT_THAT(data.values<int32_t>(2), ElementsAre(one, two, EndToken, one, EndToken, PadToken));
  // Held-out sentences are cut to max_length, in training left out; a line without words is no pair.
  std::string longer = folder.write("c", "x y x y x y\n\ny\n"), other = folder.write("d", "1 1 1 1 1 1\n1\n2 2");
  Opened held("pairs", "",
              R"({"source":")" + source + R"(","target":")" + target + R"(","validation":[")" + longer + R"(",")" +
                  other + R"("],"batch":2,"max_length":5,"source_words":10,"target_words":10})",
              pairFields);
  EXPECT_EQ(held->batches(Split::Validation), 1);
  held.load(Split::Validation, 0);
  EXPECT_THAT(held.values<int32_t>(0), ElementsAre(y, PadToken, PadToken, PadToken, PadToken, x, y, x, y, x));
  EXPECT_THAT(held.values<int32_t>(2),
              ElementsAre(two, two, EndToken, PadToken, PadToken, one, one, one, one, EndToken));
  EXPECT_THAT(errorOf([&] {
                Opened("pairs", "",
                       R"({"source":")" + longer + R"(","target":")" + other +
                           R"(","batch":1,"max_length":2,"min_count":9})",
                       pairFields);
              }),
              HasSubstr("none of its 3 sentence pairs is usable with max_length=2"));
  EXPECT_THAT(errorOf([&] {
                folder.write("b", "1 2\n");
                Opened("pairs", source, R"({"target":")" + target + R"(","batch":1,"max_length":5})", pairFields);
              }),
              HasSubstr("they must go in pairs"));
}

TEST(Batches, RowsAreSteps) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/b.safetensors";
  int64_t ids[6] = {1, 2, 3, 4, 5, 6};
  uint8_t pixels[3] = {0, 1, 255};
  writeSafetensors(
      path, {{"ids", KILN_I64, {3, 2}, reinterpret_cast<uint8_t *>(ids), 48}, {"image", KILN_U8, {3, 1}, pixels, 3}});
  // One type stands for both fields here: rows of one number.
  Opened data("text", "ignored", "{}", {{"image", KILN_F32}}, 0, path, {Dim(1)});
  EXPECT_EQ(data->batches(Split::Train), 3);
  data.load(Split::Train, 2);
  EXPECT_THAT(data.values<float>(0), ElementsAre(255)); // as it stands, not scaled
  data.load(Split::Train, 4);
  EXPECT_THAT(data.values<float>(0), ElementsAre(1)); // after the last row comes the first
  Opened ints("text", "ignored", "{}", {{"ids", KILN_I32}}, 0, path, {Dim::symbol("N")});
  ints.load(Split::Train, 1);
  EXPECT_THAT(ints.values<int32_t>(0), ElementsAre(3, 4));
}

TEST(Batches, EveryMismatch) {
  TemporaryFolder folder;
  std::string path = folder.path() + "/b.safetensors";
  float values[6] = {};
  writeSafetensors(path, {{"idz", KILN_F32, {3, 2}, reinterpret_cast<uint8_t *>(values), 24}});
  EXPECT_THAT(errorOf([&] { Opened("text", "", "{}", textFields, 0, path); }),
              HasSubstr("none of its tensors has the name of a field; fields: 'ids', 'next'"));
}

TEST(RealData, DigitsAndIris) {
  const char *root = std::getenv("KILN_DATA");
  if (!root)
    GTEST_SKIP() << "KILN_DATA is not set: the readers are not tried on real data";
  Opened digits("images", "mnist10k/t10k-images-idx3-ubyte.gz",
                R"({"labels":"mnist10k/t10k-labels-idx1-ubyte.gz","batch":2,"test":0.1,"shuffle":false})",
                {{"image", KILN_F32}, {"label", KILN_I32}});
  digits.load(Split::Train, 0);
  EXPECT_THAT(digits.shape(0), ElementsAre(2, 1, 28, 28));
  std::vector<float> pixels = digits.values<float>(0);
  EXPECT_EQ(*std::max_element(pixels.begin(), pixels.end()), 1.0f);
  EXPECT_EQ(digits->batches(Split::Test), 500);
  Opened iris("csv", "iris/iris.csv", R"({"features":4,"label":4,"skip":1,"batch":10,"shuffle":false})", csvFields);
  iris.load(Split::Train, 0);
  EXPECT_FLOAT_EQ(iris.values<float>(0)[0], 5.1f);
  EXPECT_EQ(iris->batches(Split::Train), 15);
}

} // namespace
} // namespace kiln
