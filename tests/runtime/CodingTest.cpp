// Data read by what weights bring: names of classes, means, vocabularies; damaged ones, and ones that do not fit.
#include "tests/runtime/Opened.h"

#include <algorithm>

namespace kiln {
namespace {

constexpr const char *classes = "kiln.classes.data.label", *tags = "kiln.classes.data.tags",
                     *means = "kiln.normalisation.data.features", *letters = "kiln.vocabulary.data.ids";
const Fields csv = {{"features", KILN_F32}, {"label", KILN_I32}};
const std::string rows = R"({"features":[0],"label":1,"batch":2,"normalise":true,"shuffle":false)";

/// What a source keeps when it began with `given`, and what it says of it on stderr.
struct Read {
  Read(const std::string &reader, const std::string &path, const std::string &options, const Fields &fields,
       Codings given, bool trains) {
    ::testing::internal::CaptureStderr();
    Opened data(reader, path, options, fields, 0, "", {}, &given, trains);
    said = ::testing::internal::GetCapturedStderr();
    kept = given;
    data->addCodings(kept);
    data.load(Split::Train, 0);
    numbers = data.values<int32_t>(1);
  }
  Codings kept;
  std::string said;
  std::vector<int32_t> numbers;
};

TEST(Coding, DamagedTexts) {
  TemporaryFolder folder;
  std::string path = folder.write("t.csv", "0,no\n2,yes\n");
  auto error = [&](const char *key, const std::string &text) {
    Codings given = {{key, text}};
    return errorOf([&] { Opened("csv", path, rows + "}", csv, 0, "", {}, &given); });
  };
  EXPECT_THAT(error(classes, R"(["no)"), HasSubstr("the weights' kiln.classes.data.label: byte 5: not valid JSON"));
  for (const char *text : {"[]", "{}", "\"no\"", "null"})
    EXPECT_EQ(error(classes, text), "the weights' kiln.classes.data.label: a list of the classes' names is expected");
  EXPECT_EQ(error(classes, "[\"no\",2]"), "the weights' kiln.classes.data.label: 2 is no name of a class");
  EXPECT_EQ(error(classes, R"(["no","no","yes"])"),
            "the weights' kiln.classes.data.label: the class 'no' stands twice");
  EXPECT_EQ(error(means, "[1]"), "the weights' kiln.normalisation.data.features: a list 'mean' is expected");
  EXPECT_EQ(error(means, R"({"mean":[1]})"),
            "the weights' kiln.normalisation.data.features: a list 'deviation' is expected");
  EXPECT_EQ(error(means, R"({"mean":[null],"deviation":[1]})"),
            "the weights' kiln.normalisation.data.features: 'mean' holds null, which is no number");
  EXPECT_THAT(error(means, R"({"mean":[1],"deviation":[0]})"), HasSubstr("a deviation that is not above 0"));
  EXPECT_THAT(error(means, R"({"mean":[],"deviation":[]})"), HasSubstr("0 means and 0 deviations"));
  EXPECT_THAT(error(means, R"({"mean":[1e999],"deviation":[1]})"), HasSubstr("not valid JSON"));
}

TEST(Coding, NumbersThatHaveNoMean) {
  TemporaryFolder folder;
  std::string path = folder.write("t.csv", "0,nan\n2,\n");
  for (std::string option : {R"("normalise":true,"missing":"mean")", R"("missing":"mean")"})
    EXPECT_THAT(
        errorOf([&] { Opened("csv", path, R"({"features":[0,1],"batch":2,)" + option + "}", csv); }),
        HasSubstr("data 'data': column 2 has no mean and deviation: no row that is trained on has a number in it"));
  EXPECT_THAT(errorOf([&] {
                Opened("series", path, R"({"columns":[1],"context":1,"batch":1,"normalise":true})",
                       {{"past", KILN_F32}});
              }),
              HasSubstr("line 1, column 2: 'nan' is not a number"));
}

TEST(Coding, ClassesOfARecipe) {
  TemporaryFolder folder;
  std::string path = folder.write("t.csv", "0,no\n2,yes\n"), numbers = folder.write("n.csv", "0,0\n2,1\n");
  const Codings given = {{classes, R"(["yes","no"])"}};
  Read by("csv", path, rows + "}", csv, given, true);
  EXPECT_THAT(by.numbers, ElementsAre(1, 0));
  EXPECT_EQ(by.said, "");
  // The recipe's own go before, and it is told; the same ones are not.
  Read own("csv", path, rows + R"(,"classes":["no","yes"]})", csv, given, false);
  EXPECT_THAT(own.numbers, ElementsAre(0, 1));
  EXPECT_THAT(own.said, HasSubstr("data 'data' has the recipe's classes; the weights were trained with others"));
  EXPECT_EQ(Read("csv", path, rows + R"(,"classes":["yes","no"]})", csv, given, false).said, "");
  // A training by numbers leaves no names that would be taken for theirs.
  Read anew("csv", numbers, rows + "}", csv, given, true);
  EXPECT_THAT(anew.numbers, ElementsAre(0, 1));
  EXPECT_THAT(anew.said, HasSubstr("'0' is none of the weights' 2 classes: they are numbered anew"));
  EXPECT_FALSE(anew.kept.contains(classes));
}

TEST(Coding, TagsOfARecipe) {
  TemporaryFolder folder;
  std::string path = folder.write("t.conll", "x O\nz C\n");
  const Fields fields = {{"ids", KILN_I32}, {"tags", KILN_I32}};
  const std::string options = R"({"batch":1,"max_length":4)";
  const Codings given = {{tags, R"(["O","B","C"])"}};
  EXPECT_THAT(Read("conll", path, options + "}", fields, given, false).numbers, ElementsAre(0, 2));
  Read fewer("conll", path, options + R"(,"classes":2})", fields, given, false);
  EXPECT_THAT(fewer.numbers, ElementsAre(0, 1)); // never one that the recipe does not have
  EXPECT_THAT(fewer.said, HasSubstr("the weights have 3 classes, the recipe 2: they are numbered anew"));
  EXPECT_THAT(Read("conll", path, options + R"(,"classes":["C","O"]})", fields, given, false).said,
              HasSubstr("has the recipe's classes"));
}

TEST(Coding, DamagedVocabularies) {
  TemporaryFolder folder;
  std::string path = folder.write("t.txt", "abcabc");
  auto error = [&](const std::string &text) {
    Codings given = {{letters, text}};
    return errorOf([&] { Opened("text", path, R"({"batch":1,"context":2})", {{"ids", KILN_I32}}, 0, "", {}, &given); });
  };
  for (const char *text : {"[]", "3", R"({"tokens":["a"]})", R"({"kind":1,"tokens":["a"]})", R"({"kind":"words"})",
                           R"({"kind":"characters","tokens":[]})"})
    EXPECT_EQ(error(text),
              "the weights' kiln.vocabulary.data.ids: the kind of a vocabulary and a list of its tokens are expected");
  EXPECT_EQ(error(R"({"kind":"characters","tokens":["a",3]})"), "the weights' kiln.vocabulary.data.ids: 3 is no token");
}

// A text's vocabulary has exactly the recipe's number of characters: another one is not the weights'.
TEST(Coding, CharactersOfARecipe) {
  TemporaryFolder folder;
  std::string path = folder.write("t.txt", "abcabc");
  const Codings given = {{letters, R"({"kind":"characters","tokens":["b","a"]})"}};
  Read other("text", path, R"({"batch":1,"context":2,"shuffle":false,"vocabulary":3})",
             {{"ids", KILN_I32}, {"next", KILN_I32}}, given, true);
  EXPECT_THAT(other.numbers, ElementsAre(1, 2));
  EXPECT_THAT(other.said, HasSubstr("the weights' vocabulary has 2 characters, the recipe's 3: it is made anew"));
}

// Names of classes may hold anything, and be many.
TEST(Coding, ManyNames) {
  TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 3000; ++i)
    text += "0,\"n " + std::to_string(i * 7 % 3000) + ". \"\"é\"\" \\, €\"\n";
  std::string path = folder.write("t.csv", text);
  Read first("csv", path, rows + "}", csv, {}, true);
  Read again("csv", path, rows + "}", csv, first.kept, false);
  EXPECT_EQ(again.said, "");
  EXPECT_EQ(again.kept, first.kept);
  EXPECT_EQ(again.numbers, first.numbers);
}

} // namespace
} // namespace kiln
