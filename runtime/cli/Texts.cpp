// Texts of the command line as a function's inputs.
#include "runtime/cli/Texts.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kiln {

void TextRows::readTexts(const Options &options) {
  for (auto [one, file, list] : {std::tuple("text", "texts", &texts_), {"pair", "pairs", &pairs_}}) {
    *list = options.list(one);
    if (!options.has(file))
      continue;
    std::vector<std::string> lines = readLines(options.text(file));
    list->insert(list->end(), lines.begin(), lines.end());
  }
  if (texts_.empty())
    fail("'%s' is empty; a text on each line is expected", options.text("texts").c_str());
  if (pairs_.empty() && (options.has("pair") || options.has("pairs")))
    fail("'%s' is empty; a text on each line is expected", options.text("pairs").c_str());
  // One text goes with each of the others: a question with many paragraphs.
  for (auto [few, many] : {std::pair(&texts_, &pairs_), {&pairs_, &texts_}})
    if (few->size() == 1 && many->size() > 1)
      few->assign(many->size(), std::string((*few)[0]));
  if (!pairs_.empty() && pairs_.size() != texts_.size())
    fail("there are %zu texts and %zu pairs; as many, or one, are expected", texts_.size(), pairs_.size());
}

void TextRows::chooseInputs(const Options &options, const EntrySpec &entry) {
  std::vector<std::string> given;
  for (const std::string &text : options.list("input")) // a file's name alone is none of an input
    given.push_back(text.substr(0, text.find('=')));
  for (size_t i = 0; i < entry.arguments.size(); ++i) {
    const ArgumentSpec &argument = entry.arguments[i];
    if (argument.role != Role::Input || argument.result)
      continue;
    size_t rank = argument.name == "lengths" ? 1 : 2;
    bool known = argument.isText() || argument.name == "mask" || argument.name == "types" || rank == 1;
    if (!known || argument.type.shape.size() != rank || std::count(given.begin(), given.end(), argument.name))
      continue;
    inputs_.emplace_back(static_cast<int>(i), argument.name == "source" ? "ids" : argument.name);
    countBy(argument, entry);
    if (rank == 2)
      longest_ = static_cast<size_t>(atBounds(argument.type.shape[1], entry));
    if (rank == 2 && argument.type.shape[1].isConstant())
      length_ = longest_;
  }
  if (std::none_of(inputs_.begin(), inputs_.end(), [](const auto &input) { return input.second == "ids"; }))
    failTextless(entry);
}

void TextRows::makeSequences(const Vocabulary &words, const EntrySpec &entry) {
  bool specials = words.tokenizer() != nullptr;
  SequenceMaker maker(words, longest_, specials, !pairs_.empty(), entry.name);
  TokenTexts first = encodeTexts(words, texts_), second = encodeTexts(words, pairs_);
  size_t longest = 1;
  for (size_t i = 0; i < texts_.size(); ++i) {
    size_t begin = ids_.size();
    std::span<const int32_t> pair;
    if (!pairs_.empty())
      pair = second[i];
    maker.make(first[i], pairs_.empty() ? nullptr : &pair, ids_, types_);
    if (ids_.size() == begin)
      fail("text %zu is empty", i + 1);
    longest = std::max(longest, ids_.size() - begin);
    ends_.push_back(ids_.size());
  }
  length_ = std::max(length_, longest);
  pad_ = words.pad();
}

/// What a function's texts are read with.
static std::optional<Vocabulary> namedTokenizer(const Options &options, const std::string &name) {
  if (!options.has("tokenizer"))
    return std::nullopt;
  std::string path = findData(options.text("tokenizer"), "the tokenizer of '" + name + "'", "");
  protectFile(path, "what --tokenizer names");
  return Vocabulary::subwords(Tokenizer::parse(readText(path), "'" + path + "'"));
}

TextRows::TextRows(const Options &options, const Common &common, const Manifest &manifest, const EntrySpec &entry) {
  readTexts(options);
  chooseInputs(options, entry);
  std::string source;
  for (const SourceSpec &spec : manifest.data)
    for (const FieldSpec &field : spec.fields)
      if (source.empty() && (field.name == "ids" || field.name == "source"))
        source = spec.name;
  std::optional<Vocabulary> tokenizer = namedTokenizer(options, entry.name);
  std::optional<Words> words;
  if (!tokenizer)
    words.emplace(options, common, manifest, source);
  const Vocabulary *vocabulary = tokenizer ? &*tokenizer : words->prompt();
  if (!vocabulary)
    fail("'%s': the program has no words to read texts with; give --tokenizer tokenizer.json", entry.name.c_str());
  makeSequences(*vocabulary, entry);
}

/// The linker takes it by this name, into programs with a function that takes texts alone
/// (frontend/driver/ImageObject.cpp).
extern "C" InputRows *kiln_text_rows(const Options &options, const Common &common, const Manifest &manifest,
                                     const Call &call) {
  return new TextRows(options, common, manifest, call.entry());
}

bool TextRows::fills(int argument) const {
  return std::any_of(inputs_.begin(), inputs_.end(), [&](const auto &input) { return input.first == argument; });
}

SequenceBlock::Row TextRows::row(size_t number) const {
  size_t begin = number ? ends_[number - 1] : 0, size = ends_[number] - begin;
  return {std::span(ids_).subspan(begin, size), std::span(types_).subspan(begin, size)};
}

void TextRows::fill(Call &call, size_t begin, size_t size) const {
  for (const auto &[argument, field] : inputs_) {
    size_t width = field == "lengths" ? 1 : length_;
    std::vector<int32_t> block(size * width, field == "ids" ? pad_ : 0);
    std::vector<uint8_t> mask(field == "mask" ? block.size() : 0);
    for (size_t i = 0; i < size; ++i) {
      SequenceBlock::Row row = this->row(begin + i);
      if (field == "lengths")
        block[i] = static_cast<int32_t>(row.ids.size());
      else if (field == "mask")
        std::fill_n(mask.begin() + static_cast<ptrdiff_t>(i * width), row.ids.size(), static_cast<uint8_t>(1));
      else if (field == "types")
        std::copy(row.types.begin(), row.types.end(), block.begin() + static_cast<ptrdiff_t>(i * width));
      else
        std::copy(row.ids.begin(), row.ids.end(), block.begin() + static_cast<ptrdiff_t>(i * width));
    }
    int64_t shape[] = {static_cast<int64_t>(size), static_cast<int64_t>(width)};
    bool bits = field == "mask";
    call.setInput(argument, bits ? KILN_U8 : KILN_I32, std::span(shape, field == "lengths" ? 1 : 2),
                  bits ? static_cast<const void *>(mask.data()) : block.data(), "the text");
  }
}

} // namespace kiln
