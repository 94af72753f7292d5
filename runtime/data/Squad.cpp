// squad(path, batch, max_length, stride=128, tokens="words", …): questions, their paragraphs in windows, and where the
// answer stands (SQuAD's JSON).
#include "runtime/data/SequenceSource.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>

namespace kiln {

namespace {

struct Question {
  std::string id, text;
  size_t paragraph;
  TextRange answer; // bytes of the paragraph; empty for none
};
struct QuestionFile {
  std::string what;
  std::vector<std::string> paragraphs;
  std::vector<Question> questions;
};

/// The byte at which a character stands; the text's size where it is shorter.
size_t byteOf(std::string_view text, int64_t character) {
  size_t at = 0;
  for (int64_t i = 0; i < character && at < text.size(); ++i)
    at += utf8Length(text, at);
  return at;
}

TextRange answerOf(const Json &question, const std::string &paragraph, const std::string &where) {
  const Json *answers = question.find("answers");
  if (!answers || answers->array().empty())
    return {};
  const Json &answer = answers->array()[0];
  const std::string &text = answer.at("text").string();
  int64_t start = answer.at("answer_start").integer(0, INT32_MAX);
  size_t begin = byteOf(paragraph, start);
  if (text.empty() || paragraph.compare(begin, text.size(), text) != 0)
    fail("%s: the answer %s does not stand at character %lld of its paragraph", where.c_str(), jsonQuote(text).c_str(),
         static_cast<long long>(start));
  return {static_cast<uint32_t>(begin), static_cast<uint32_t>(begin + text.size())};
}

QuestionFile readQuestions(const std::string &path, const SourceContext &context) {
  std::string found = findData(path, "data '" + context.spec->name + "'", context.folders);
  QuestionFile file{"'" + found + "'", {}, {}};
  Json json = Json::parse(readText(found), file.what);
  try {
    for (const Json &article : json.at("data").array())
      for (const Json &paragraph : article.at("paragraphs").array()) {
        file.paragraphs.push_back(paragraph.at("context").string());
        for (const Json &question : paragraph.at("qas").array()) {
          std::string id = question.stringOr("id", std::to_string(file.questions.size()));
          file.questions.push_back({id, question.at("question").string(), file.paragraphs.size() - 1,
                                    answerOf(question, file.paragraphs.back(), file.what + ", question " + id)});
        }
      }
  } catch (const Error &error) {
    std::string sentence = error.what();
    if (sentence.starts_with(file.what))
      throw;
    fail("%s is not SQuAD's JSON (data, paragraphs, context, qas), behind question %zu: %s", file.what.c_str(),
         file.questions.size(), sentence.c_str());
  }
  if (file.questions.empty())
    fail("%s has no questions", file.what.c_str());
  return file;
}

/// The numbers of a text and where each stands in it.
void encodeRanges(const Vocabulary &vocabulary, const std::string &text, std::vector<int32_t> &ids,
                  std::vector<TextRange> &ranges) {
  if (vocabulary.tokenizer()) {
    vocabulary.tokenizer()->encode(text, ids, &ranges);
    return;
  }
  bool words = vocabulary.kind() == Vocabulary::Kind::Words;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + utf8Length(text, at);
    while (words && end < text.size() && !isSpace(text[end]))
      ++end;
    if (!words || !isSpace(text[at])) {
      int32_t id = vocabulary.find(std::string_view(text).substr(at, end - at));
      ids.push_back(id < 0 ? UnknownToken : id);
      ranges.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(end)});
    } else {
      end = at + 1;
    }
    at = end;
  }
}

class Windows {
public:
  Windows(const SourceContext &context, const Vocabulary &vocabulary)
      : vocabulary_(vocabulary),
        longest_(static_cast<size_t>(context.spec->options.at("max_length").integer(1, INT32_MAX))),
        stride_(static_cast<size_t>(context.spec->options.integerOr("stride", 128))),
        maker_(vocabulary, longest_,
               context.spec->options.booleanOr("special_tokens", vocabulary.tokenizer() != nullptr), true,
               context.spec->name) {
    rows.fields = {{"start", false, {}}, {"end", false, {}}};
  }

  void add(const QuestionFile &file) {
    std::vector<std::vector<int32_t>> paragraphs(file.paragraphs.size());
    std::vector<std::vector<TextRange>> ranges(file.paragraphs.size());
    for (size_t i = 0; i < paragraphs.size(); ++i)
      encodeRanges(vocabulary_, file.paragraphs[i], paragraphs[i], ranges[i]);
    for (const Question &question : file.questions)
      add(file, question, paragraphs[question.paragraph], ranges[question.paragraph]);
  }
  SequenceRows rows;

private:
  void add(const QuestionFile &file, const Question &question, const std::vector<int32_t> &paragraph,
           const std::vector<TextRange> &ranges) {
    std::vector<int32_t> asked;
    std::vector<TextRange> ignored;
    encodeRanges(vocabulary_, question.text, asked, ignored);
    size_t around = maker_.specials(true) + asked.size();
    if (around >= longest_ || (paragraph.size() > longest_ - around && stride_ >= longest_ - around))
      fail(
          "%s, question %s: beside its %zu tokens max_length=%zu leaves no room for windows that overlap by stride=%zu",
          file.what.c_str(), question.id.c_str(), asked.size(), longest_, stride_);
    if (paragraph.empty())
      fail("%s, question %s: its paragraph is empty", file.what.c_str(), question.id.c_str());
    size_t room = longest_ - around, lead = maker_.lead(true, asked.size());
    // The tokens that the answer touches.
    size_t first = 0, last = paragraph.size();
    if (question.answer.end > question.answer.begin) {
      while (first < ranges.size() && ranges[first].end <= question.answer.begin)
        ++first;
      while (last > 0 && ranges[last - 1].begin >= question.answer.end)
        --last;
    } else {
      first = last;
    }
    for (size_t begin = 0;; begin += room - stride_) {
      size_t end = std::min(begin + room, paragraph.size());
      std::span<const int32_t> window = std::span(paragraph).subspan(begin, end - begin);
      maker_.make(asked, &window, rows.ids, rows.types);
      rows.ends.push_back(rows.ids.size());
      bool within = first < last && first >= begin && last <= end;
      rows.fields[0].values.push_back(within ? static_cast<int32_t>(lead + first - begin) : 0);
      rows.fields[1].values.push_back(within ? static_cast<int32_t>(lead + last - 1 - begin) : 0);
      if (end == paragraph.size())
        break;
    }
  }

  const Vocabulary &vocabulary_;
  size_t longest_, stride_;
  SequenceMaker maker_;
};

} // namespace

static std::unique_ptr<Source> openSquad(const SourceContext &context) {
  const SourceSpec &spec = *context.spec;
  QuestionFile main = readQuestions(context.override.empty() ? spec.path : context.override, context);
  std::vector<std::string> texts = main.paragraphs;
  for (const Question &question : main.questions)
    texts.push_back(question.text);
  for (std::string &text : texts)
    std::replace(text.begin(), text.end(), '\n', ' ');
  Vocabulary vocabulary = chooseVocabulary(context, texts);
  Windows windows(context, vocabulary);
  windows.add(main);
  Rows::Options split(spec, context.seed);
  for (Split part : {Split::Validation, Split::Test})
    for (const std::string &path : splitPaths(spec.options, splitName(part))) {
      size_t before = windows.rows.size();
      windows.add(readQuestions(path, context));
      (part == Split::Test ? split.testRows : split.validationRows) +=
          static_cast<int64_t>(windows.rows.size() - before);
    }
  SequenceRows rows = std::move(windows.rows);
  return std::make_unique<SequenceSource>(context, std::move(vocabulary), std::move(rows), split);
}

const Reader kiln_reader_squad{"squad", openSquad};

} // namespace kiln
