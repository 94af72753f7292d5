// table(path, text, batch, max_length, pair=None, label=None, target=None, tokens="words", …): texts out of columns,
// with a class or numbers.
#include "runtime/data/Buckets.h"
#include "runtime/data/Coding.h"
#include "runtime/data/Columns.h"
#include "runtime/data/Rows.h"
#include "runtime/data/Sequences.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cctype>

namespace kiln {

namespace {

/// What a text is made of: one column, or words with columns in braces ("{premise} because {choice}").
class TextColumn {
public:
  TextColumn(const Json &json, const TableFile &file) {
    if (!json.isString() || json.string().find_first_of("{}") == std::string::npos) {
      parts_.push_back({"", file.column(json)});
      return;
    }
    const std::string &text = json.string();
    std::string words;
    for (size_t at = 0; at < text.size(); ++at) {
      char c = text[at];
      bool doubled = at + 1 < text.size() && text[at + 1] == c;
      if ((c == '{' || c == '}') && doubled) {
        words += c;
        ++at;
      } else if (c == '{') {
        size_t close = text.find('}', at);
        if (close == std::string::npos)
          fail("the text \"%s\" opens a brace and does not close it; {{ stands for one", text.c_str());
        parts_.push_back({words, file.column(columnNamed(text.substr(at + 1, close - at - 1)))});
        words.clear();
        at = close;
      } else if (c == '}') {
        fail("the text \"%s\" closes a brace that is not open; }} stands for one", text.c_str());
      } else {
        words += c;
      }
    }
    tail_ = words;
  }

  /// Names columns, so that the first row holds the names?
  static bool named(const Json &json) {
    if (json.isArray())
      return std::any_of(json.array().begin(), json.array().end(), named);
    return json.isString() && json.string().find_first_not_of("{}0123456789") != std::string::npos;
  }

  std::string of(const TableFile &file, size_t row) const {
    std::string text;
    for (const Part &part : parts_)
      text += part.before + file.table.rows[row][part.column];
    text += tail_;
    for (char &c : text)
      if (c == '\n' || c == '\r')
        c = ' ';
    return text;
  }
  size_t firstColumn() const { return parts_.empty() ? 0 : parts_[0].column; }

private:
  static Json columnNamed(const std::string &name) {
    bool number = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    return number && name.size() < 10 ? Json::ofInteger(std::stoll(name)) : Json::ofString(name);
  }

  struct Part {
    std::string before;
    size_t column;
  };
  std::vector<Part> parts_;
  std::string tail_;
};

class TableSource final : public Source {
public:
  TableSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;
  const Vocabulary *vocabulary(const std::string &) const override { return &vocabulary_; }
  std::map<std::string, const Vocabulary *> vocabularies() const override { return {{"ids", &vocabulary_}}; }

private:
  void readTexts(const std::vector<TableFile> &files, const SourceContext &context);
  void readTargets(const std::vector<TableFile> &files, const Rows &rows, const SourceContext &context);
  void makeSequences(const std::vector<TableFile> &files, const std::vector<std::string> &texts, bool paired);
  SequenceBlock::Row sequence(size_t row, size_t variant) const;
  size_t length(size_t row) const;

  Vocabulary vocabulary_;
  bool listed_ = false;  // a list of texts: ids are [batch, variants, T]
  size_t variants_ = 1;  // texts in a row
  size_t firstText_ = 0; // a column, for errors
  std::vector<int32_t> ids_;
  std::vector<int8_t> types_;
  std::vector<size_t> ends_; // of each sequence, row by row
  bool labelled_ = false;
  std::vector<int32_t> labels_;
  std::vector<float> targets_;
  size_t targetWidth_ = 0;
  std::optional<RowsByLength> rows_;
  std::span<const int32_t> batchRows_;
  std::vector<int32_t> labelBlock_;
  std::vector<float> targetBlock_;
  std::optional<SequenceBlock> block_;
};

TableSource::TableSource(const SourceContext &context) : Source(*context.spec) {
  const Json &options = spec_.options;
  bool header = false;
  for (const char *key : {"text", "pair", "label", "target"})
    if (const Json *columns = options.find(key))
      header |= TextColumn::named(*columns);
  Rows::Options rows(spec_, context.seed);
  std::vector<TableFile> files =
      readTables(context, options.booleanOr("header", header), rows.validationRows, rows.testRows);
  Rows parts(static_cast<int64_t>(files[0].table.rows.size()), rows);
  readTexts(files, context);
  readTargets(files, parts, context);
  rows_.emplace(std::move(parts), rows, options.integerOr("bucket", 50), [this](size_t row) { return length(row); });
  size_t batch = static_cast<size_t>(rows.batch), longest = static_cast<size_t>(options.at("max_length").integer());
  block_.emplace(batch * variants_, longest, vocabulary_.pad(), options.stringOr("padding", "longest") == "max_length");
  labelBlock_.resize(batch);
  targetBlock_.resize(batch * targetWidth_);
}

void TableSource::readTexts(const std::vector<TableFile> &files, const SourceContext &context) {
  const Json &options = spec_.options;
  std::vector<TextColumn> columns[2];
  for (const char *key : {"text", "pair"})
    if (const Json *json = options.find(key)) {
      listed_ |= json->isArray();
      std::vector<TextColumn> &list = columns[key[0] == 'p'];
      if (!json->isArray())
        list.emplace_back(*json, files[0]);
      else
        for (const Json &item : json->array())
          list.emplace_back(item, files[0]);
      variants_ = std::max(variants_, list.size());
    }
  if (columns[0].empty())
    fail("data '%s': a table needs text=…, the column of the text", spec_.name.c_str());
  for (const std::vector<TextColumn> &list : columns)
    if (list.size() > 1 && list.size() != variants_)
      fail("data '%s': text and pair list %zu and %zu columns", spec_.name.c_str(), columns[0].size(),
           columns[1].size());
  firstText_ = columns[0][0].firstColumn();
  bool paired = !columns[1].empty();
  std::vector<std::string> texts;
  size_t main = 0; // texts of the main file: the vocabulary is theirs
  for (const TableFile &file : files) {
    for (size_t row = 0; row < file.table.rows.size(); ++row)
      for (size_t variant = 0; variant < variants_; ++variant)
        for (const std::vector<TextColumn> &list : columns)
          if (!list.empty())
            texts.push_back(list[list.size() > 1 ? variant : 0].of(file, row));
    if (&file == &files[0])
      main = texts.size();
  }
  vocabulary_ = chooseVocabulary(context, std::span(texts).first(main));
  makeSequences(files, texts, paired);
}

void TableSource::makeSequences(const std::vector<TableFile> &files, const std::vector<std::string> &texts,
                                bool paired) {
  const Json &options = spec_.options;
  bool specials = options.booleanOr("special_tokens", vocabulary_.tokenizer() != nullptr);
  SequenceMaker maker(vocabulary_, static_cast<size_t>(options.at("max_length").integer(1, INT32_MAX)), specials,
                      paired, spec_.name);
  TokenTexts tokens = encodeTexts(vocabulary_, texts);
  size_t text = 0;
  for (const TableFile &file : files)
    for (size_t row = 0; row < file.table.rows.size(); ++row)
      for (size_t variant = 0; variant < variants_; ++variant) {
        std::span<const int32_t> first = tokens[text++], second;
        if (paired)
          second = tokens[text++];
        size_t before = ids_.size();
        maker.make(first, paired ? &second : nullptr, ids_, types_);
        if (ids_.size() == before)
          file.refuse(row, firstText_, "the text is empty");
        ends_.push_back(ids_.size());
      }
}

void TableSource::readTargets(const std::vector<TableFile> &files, const Rows &rows, const SourceContext &context) {
  const Json &options = spec_.options;
  if (const Json *label = options.find("label")) {
    labelled_ = true;
    Labels labels(files, files[0].column(*label), context);
    keepCoding(classesPrefix, "label", textOf(labels.names()));
    for (const TableFile &file : files)
      for (size_t row = 0; row < file.table.rows.size(); ++row)
        labels_.push_back(labels.of(file, row));
  }
  if (const Json *target = options.find("target")) {
    std::vector<size_t> columns =
        target->isInt() ? std::vector<size_t>{files[0].column(*target)} : files[0].columns(*target);
    targetWidth_ = columns.size();
    for (const TableFile &file : files)
      for (size_t row = 0; row < file.table.rows.size(); ++row)
        for (size_t column : columns)
          targets_.push_back(file.number(row, column));
    keepNormalisation(context, "target", columns, rows.members(Split::Train), targets_);
  }
}

/// The longest of a row's sequences.
size_t TableSource::length(size_t row) const {
  size_t longest = 0;
  for (size_t variant = 0; variant < variants_; ++variant)
    longest = std::max(longest, sequence(row, variant).ids.size());
  return longest;
}

SequenceBlock::Row TableSource::sequence(size_t row, size_t variant) const {
  size_t number = row * variants_ + variant, begin = number ? ends_[number - 1] : 0, size = ends_[number] - begin;
  return {std::span(ids_).subspan(begin, size), std::span(types_).subspan(begin, size)};
}

void TableSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  batchRows_ = rows_->batch(split, number);
  block_->clear();
  for (int32_t row : batchRows_)
    for (size_t variant = 0; variant < variants_; ++variant)
      block_->add(sequence(static_cast<size_t>(row), variant));
  int64_t count = static_cast<int64_t>(batchRows_.size());
  int64_t lead[] = {count, static_cast<int64_t>(variants_)};
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data || block_->store(*this, f, fields, std::span(lead, listed_ ? 2 : 1)))
      continue;
    const std::string &name = spec_.fields[f].name;
    if (name == "label" && labelled_) {
      for (size_t i = 0; i < batchRows_.size(); ++i)
        labelBlock_[i] = labels_[static_cast<size_t>(batchRows_[i])];
      storeField(*this, f, fields, KILN_I32, labelBlock_.data(), std::span(&count, 1));
    } else if (name == "target" && targetWidth_ > 0) {
      for (size_t i = 0; i < batchRows_.size(); ++i)
        std::copy_n(targets_.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(batchRows_[i]) * targetWidth_),
                    targetWidth_, targetBlock_.begin() + static_cast<ptrdiff_t>(i * targetWidth_));
      int64_t shape[] = {count, static_cast<int64_t>(targetWidth_)};
      storeField(*this, f, fields, KILN_F32, targetBlock_.data(), shape);
    } else {
      fail("data '%s': this table has no field '%s'", spec_.name.c_str(), name.c_str());
    }
  }
}

} // namespace

static std::unique_ptr<Source> openTable(const SourceContext &context) {
  return std::make_unique<TableSource>(context);
}

const Reader kiln_reader_table{"table", openTable};

} // namespace kiln
