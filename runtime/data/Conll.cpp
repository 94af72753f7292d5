// conll(path, batch, max_length, word=0, tag=-1, classes=None, tokens="words", …): words with a tag each, one a line,
// an empty line behind a sentence.
#include "runtime/data/Coding.h"
#include "runtime/data/SequenceSource.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <set>

namespace kiln {

namespace {

struct TaggedWord {
  std::string word, tag;
  size_t line;
};
struct TaggedFile {
  std::string what;
  std::vector<std::vector<TaggedWord>> sentences;
};

/// The cells of a line, between white space.
std::vector<std::string_view> cellsOf(std::string_view line) {
  std::vector<std::string_view> cells;
  for (size_t at = 0; at < line.size();) {
    size_t end = at;
    while (end < line.size() && !isSpace(line[end]))
      ++end;
    if (end > at)
      cells.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return cells;
}

TaggedFile readTagged(const std::string &path, const SourceContext &context) {
  const Json &options = context.spec->options;
  std::string found = findData(path, "data '" + context.spec->name + "'", context.folders), text = readText(found);
  TaggedFile file{"'" + found + "'", {}};
  int64_t word = options.integerOr("word", 0), tag = options.integerOr("tag", -1);
  bool open = false; // a sentence is on
  size_t line = 0;
  for (std::string_view content : linesOf(text)) {
    ++line;
    if (content.find('\0') != std::string_view::npos)
      fail("%s, line %zu: a NUL byte, which no text has", file.what.c_str(), line);
    if (content.starts_with(byteOrderMark)) // where files were put together
      content.remove_prefix(byteOrderMark.size());
    std::vector<std::string_view> cells = cellsOf(content);
    if (cells.empty() || cells[0] == "-DOCSTART-") {
      open = false;
      continue;
    }
    int64_t count = static_cast<int64_t>(cells.size());
    auto cell = [&](int64_t column) {
      int64_t index = column < 0 ? column + count : column;
      if (index < 0 || index >= count)
        fail("%s, line %zu: %lld columns; the recipe asks for column %lld", file.what.c_str(), line,
             static_cast<long long>(count), static_cast<long long>(column));
      return std::string(cells[static_cast<size_t>(index)]);
    };
    if (count < 2)
      fail("%s, line %zu: one column, '%s'; a word and its tag are expected", file.what.c_str(), line,
           std::string(cells[0]).c_str());
    if (!open)
      file.sentences.emplace_back();
    open = true;
    file.sentences.back().push_back({cell(word), cell(tag), line});
  }
  if (file.sentences.empty())
    fail("%s has no sentences", file.what.c_str());
  return file;
}

/// The tags in their order: as the recipe names them, else "O" and then the others of the main file, sorted.
ClassOrder tagNames(const TaggedFile &file, const SourceContext &context) {
  if (std::optional<std::vector<std::string>> recipes = recipeClasses(context, "tags"))
    return {*recipes, "the recipe's classes"};
  const Json *classes = context.spec->options.find("classes");
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const std::vector<TaggedWord> &sentence : file.sentences)
    for (const TaggedWord &word : sentence)
      seen.insert(word.tag);
  size_t limit = classes ? static_cast<size_t>(classes->integer(1, INT32_MAX)) : 0;
  if (std::optional<ClassOrder> given = givenClasses(context, "tags", seen, limit))
    return *given;
  if (seen.erase("O"))
    names.push_back("O");
  names.insert(names.end(), seen.begin(), seen.end());
  if (limit != 0 && names.size() > limit)
    fail("data '%s': %s has %zu different tags, the recipe's classes are %zu", context.spec->name.c_str(),
         file.what.c_str(), names.size(), limit);
  return {names, "the tags of the training file"};
}

void addSentences(const TaggedFile &file, const Vocabulary &vocabulary, const SequenceMaker &maker, size_t longest,
                  const ClassOrder &names, SequenceRows &rows) {
  for (const std::vector<TaggedWord> &sentence : file.sentences) {
    std::vector<int32_t> ids, tags;
    for (const TaggedWord &word : sentence) {
      int32_t number = names.find(word.tag);
      if (number < 0)
        fail("%s, line %zu: the tag '%s' %s", file.what.c_str(), word.line, word.tag.c_str(),
             names.lacks(word.tag).c_str());
      std::vector<int32_t> parts = vocabulary.encode(word.word, file.what);
      for (size_t i = 0; i < parts.size(); ++i) // a word's tag stands at its first token
        tags.push_back(i ? -100 : number);
      ids.insert(ids.end(), parts.begin(), parts.end());
    }
    if (ids.empty())
      continue; // nothing of it is text
    size_t before = rows.ids.size();
    maker.make(ids, nullptr, rows.ids, rows.types);
    // Where the text stands in the sequence: behind the special tokens that come first.
    std::vector<int32_t> &values = rows.fields[0].values;
    size_t length = rows.ids.size() - before, lead = maker.lead(false, 0);
    size_t kept = std::min(ids.size(), longest - maker.specials(false));
    values.resize(before + length, -100);
    std::copy_n(tags.begin(), kept, values.begin() + static_cast<ptrdiff_t>(before + lead));
    rows.ends.push_back(rows.ids.size());
  }
}

} // namespace

static std::unique_ptr<Source> openConll(const SourceContext &context) {
  const SourceSpec &spec = *context.spec;
  const Json &options = spec.options;
  std::vector<TaggedFile> files;
  files.push_back(readTagged(context.override.empty() ? spec.path : context.override, context));
  ClassOrder names = tagNames(files[0], context);
  std::vector<std::string> words;
  for (const std::vector<TaggedWord> &sentence : files[0].sentences)
    for (const TaggedWord &word : sentence)
      words.push_back(word.word);
  if (options.stringOr("tokens", "words") == "characters")
    fail("data '%s': tags stand at words; tokens is \"words\", or a tokenizer's path", spec.name.c_str());
  Vocabulary vocabulary = chooseVocabulary(context, words);
  size_t longest = static_cast<size_t>(options.at("max_length").integer(1, INT32_MAX));
  bool specials = options.booleanOr("special_tokens", vocabulary.tokenizer() != nullptr);
  SequenceMaker maker(vocabulary, longest, specials, false, spec.name);
  SequenceRows rows;
  rows.fields.push_back({"tags", true, {}});
  addSentences(files[0], vocabulary, maker, longest, names, rows);
  Rows::Options split(spec, context.seed);
  for (Split part : {Split::Validation, Split::Test})
    for (const std::string &path : splitPaths(options, splitName(part))) {
      size_t before = rows.size();
      addSentences(readTagged(path, context), vocabulary, maker, longest, names, rows);
      (part == Split::Test ? split.testRows : split.validationRows) += static_cast<int64_t>(rows.size() - before);
    }
  return std::make_unique<SequenceSource>(context, std::move(vocabulary), std::move(rows), split, names.names);
}

const Reader kiln_reader_conll{"conll", openConll};

} // namespace kiln
