// csv(path, features, batch, label=None, target=None, separator=",", skip=0, header=False, normalise=False).
#include "runtime/files/Csv.h"
#include "runtime/data/Rows.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <set>

namespace kiln {

namespace {

class CsvSource final : public Source {
public:
  CsvSource(const SourceContext &context);
  int64_t batches(Split split) const override { return rows_->batches(split); }
  void load(Split split, int64_t number, std::span<FieldBuffer> fields) override;

private:
  struct Loaded {
    std::string what;
    CsvTable table;
  };
  Loaded read(const std::string &path, const SourceContext &context) const;
  std::vector<size_t> columns(const Json &json, const Loaded &file) const;
  size_t column(const Json &json, const Loaded &file) const;
  void take(const Loaded &file);
  void nameClasses(const std::vector<Loaded> &files);
  void normalise();
  float number(const Loaded &file, size_t row, size_t column) const;

  std::vector<size_t> featureColumns_, targetColumns_;
  std::optional<size_t> labelColumn_;
  std::vector<std::string> classes_; // where labels are words
  std::vector<float> features_, targets_;
  std::vector<int32_t> labels_;
  std::optional<Rows> rows_;
  std::vector<float> block_;
  std::vector<int32_t> labelBlock_;
};

CsvSource::Loaded CsvSource::read(const std::string &path, const SourceContext &context) const {
  const Json &options = spec_.options;
  std::string found = findData(path, "data '" + spec_.name + "'", context.folders);
  std::string separator = options.stringOr("separator", found.ends_with(".tsv") ? "\t" : ",");
  if (separator.size() != 1)
    fail("data '%s': the separator '%s' is not one character", spec_.name.c_str(), separator.c_str());
  int64_t skip = options.integerOr("skip", 0);
  std::string what = "'" + found + "'";
  return {what, parseCsv(readText(found), what, separator[0], static_cast<size_t>(std::max<int64_t>(skip, 0)),
                         options.booleanOr("header", false))};
}

size_t CsvSource::column(const Json &json, const Loaded &file) const {
  const CsvTable &table = file.table;
  if (json.isString()) {
    NearestName nearest(json.string());
    for (size_t i = 0; i < table.header.size(); ++i) {
      if (table.header[i] == json.string())
        return i;
      nearest.consider(table.header[i]);
    }
    fail("%s has no column '%s'%s%s", file.what.c_str(), json.string().c_str(), nearest.hint().c_str(),
         table.header.empty() ? "; its first row is read as names with header=True" : "");
  }
  int64_t index = json.integer();
  if (index < 0)
    index += static_cast<int64_t>(table.width);
  if (index < 0 || index >= static_cast<int64_t>(table.width))
    fail("%s has %zu columns; the recipe asks for column %lld", file.what.c_str(), table.width,
         static_cast<long long>(json.integer()));
  return static_cast<size_t>(index);
}

std::vector<size_t> CsvSource::columns(const Json &json, const Loaded &file) const {
  std::vector<size_t> list;
  if (json.isInt()) {
    for (int64_t i = 0; i < json.integer(1, INT32_MAX); ++i)
      list.push_back(column(Json::ofInteger(i), file));
    return list;
  }
  if (json.isString())
    return {column(json, file)};
  for (const Json &item : json.array())
    list.push_back(column(item, file));
  return list;
}

CsvSource::CsvSource(const SourceContext &context) : Source(*context.spec) {
  const Json &options = spec_.options;
  std::vector<Loaded> files;
  files.push_back(read(context.override.empty() ? spec_.path : context.override, context));
  Rows::Options rows(spec_, context.seed);
  for (Split split : {Split::Validation, Split::Test})
    for (const std::string &path : splitPaths(options, splitName(split))) {
      files.push_back(read(path, context));
      (split == Split::Test ? rows.testRows : rows.validationRows) +=
          static_cast<int64_t>(files.back().table.rows.size());
    }
  if (const Json *features = options.find("features"))
    featureColumns_ = columns(*features, files[0]);
  if (const Json *target = options.find("target"))
    targetColumns_ = columns(*target, files[0]);
  if (const Json *label = options.find("label"))
    labelColumn_ = column(*label, files[0]);
  nameClasses(files);
  for (const Loaded &file : files) {
    if (file.table.width != files[0].table.width)
      fail("%s has %zu columns, %s has %zu", file.what.c_str(), file.table.width, files[0].what.c_str(),
           files[0].table.width);
    take(file);
  }
  rows_.emplace(static_cast<int64_t>(files[0].table.rows.size()), rows);
  if (options.booleanOr("normalise", false))
    normalise();
  block_.resize(static_cast<size_t>(rows.batch) * std::max(featureColumns_.size(), targetColumns_.size()));
  labelBlock_.resize(static_cast<size_t>(rows.batch));
}

/// The number in a cell: without the spaces around it and a plus before it.
std::string_view numberIn(std::string_view cell) {
  while (cell.starts_with(' '))
    cell.remove_prefix(1);
  while (cell.ends_with(' '))
    cell.remove_suffix(1);
  if (cell.starts_with('+') && !cell.starts_with("+-"))
    cell.remove_prefix(1);
  return cell;
}

bool parseInteger(std::string_view cell, int32_t &value) {
  cell = numberIn(cell);
  auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return code == std::errc() && end == cell.data() + cell.size();
}

/// Labels are all whole numbers, or all words: those are numbered in their sorted order. One that is empty, or a number
/// that is not whole, is neither; and one word among numbers would renumber them all.
void CsvSource::nameClasses(const std::vector<Loaded> &files) {
  if (!labelColumn_)
    return;
  std::set<std::string> words;
  const Loaded *firstFile = nullptr;
  size_t firstLine = 0;
  bool numbers = false;
  for (const Loaded &file : files)
    for (size_t row = 0; row < file.table.rows.size(); ++row) {
      const std::string &cell = file.table.rows[row].at(*labelColumn_);
      int32_t value = 0;
      bool whole = parseInteger(cell, value);
      double number = 0;
      std::string_view text = numberIn(cell);
      auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
      auto refuse = [&](const std::string &why) {
        fail("%s, line %zu, column %zu: the label '%s' %s", file.what.c_str(), file.table.lines[row], *labelColumn_ + 1,
             cell.c_str(), why.c_str());
      };
      if (text.empty())
        refuse("is empty");
      if (!whole && end == text.data() + text.size())
        refuse("is not a whole number from " + std::to_string(INT32_MIN) + " to " + std::to_string(INT32_MAX));
      if (!firstFile) {
        firstFile = &file;
        firstLine = file.table.lines[row];
        numbers = whole;
      }
      if (whole != numbers)
        refuse((whole ? "is a number, and that of line " : "is a word, and that of line ") + std::to_string(firstLine) +
               (firstFile == &file ? "" : " of " + firstFile->what) + (whole ? " a word" : " a number") +
               ": labels are all whole numbers, or all words");
      words.insert(cell);
    }
  if (!numbers)
    classes_.assign(words.begin(), words.end());
}

float CsvSource::number(const Loaded &file, size_t row, size_t column) const {
  const std::string &cell = file.table.rows[row][column];
  std::string_view text = numberIn(cell);
  const char *end = text.data() + text.size();
  float value = 0;
  auto [stop, code] = std::from_chars(text.data(), end, value);
  auto refuse = [&](const char *why) {
    fail("%s, line %zu, column %zu: '%s' %s", file.what.c_str(), file.table.lines[row], column + 1, cell.c_str(), why);
  };
  if (text.empty() || stop != end || (code != std::errc() && code != std::errc::result_out_of_range))
    refuse("is not a number");
  if (code == std::errc::result_out_of_range) {
    // from_chars leaves the value alone: what is too small is a zero of its sign, as everywhere.
    double wide = std::strtod(std::string(text).c_str(), nullptr);
    if (std::abs(wide) > 1)
      refuse("is beyond the range of f32");
    value = static_cast<float>(wide);
  }
  return value;
}

void CsvSource::take(const Loaded &file) {
  for (size_t row = 0; row < file.table.rows.size(); ++row) {
    for (size_t column : featureColumns_)
      features_.push_back(number(file, row, column));
    for (size_t column : targetColumns_)
      targets_.push_back(number(file, row, column));
    if (!labelColumn_)
      continue;
    const std::string &cell = file.table.rows[row][*labelColumn_];
    int32_t label = 0;
    if (!classes_.empty())
      label = static_cast<int32_t>(std::lower_bound(classes_.begin(), classes_.end(), cell) - classes_.begin());
    else
      parseInteger(cell, label);
    labels_.push_back(label);
  }
}

/// Each feature to mean 0 and deviation 1 over the training rows.
void CsvSource::normalise() {
  size_t width = featureColumns_.size();
  const std::vector<int32_t> &train = rows_->members(Split::Train);
  for (size_t f = 0; f < width; ++f) {
    double sum = 0, squares = 0, count = static_cast<double>(train.size());
    for (int32_t row : train)
      sum += features_[static_cast<size_t>(row) * width + f];
    double mean = sum / count;
    for (int32_t row : train)
      squares += std::pow(features_[static_cast<size_t>(row) * width + f] - mean, 2);
    double deviation = std::sqrt(squares / count);
    for (size_t i = f; i < features_.size(); i += width)
      features_[i] = static_cast<float>((features_[i] - mean) / (deviation > 0 ? deviation : 1.0));
  }
}

void CsvSource::load(Split split, int64_t number, std::span<FieldBuffer> fields) {
  std::span<const int32_t> rows = rows_->batch(split, number);
  int64_t count = static_cast<int64_t>(rows.size());
  for (size_t f = 0; f < fields.size(); ++f) {
    if (!fields[f].data)
      continue;
    const std::string &name = spec_.fields[f].name;
    if (name == "label" && labelColumn_) {
      for (size_t i = 0; i < rows.size(); ++i)
        labelBlock_[i] = labels_[static_cast<size_t>(rows[i])];
      int64_t shape[] = {count};
      storeField(*this, f, fields, KILN_I32, labelBlock_.data(), shape);
      continue;
    }
    const std::vector<float> &values = name == "features" ? features_ : targets_;
    size_t width = name == "features" ? featureColumns_.size() : targetColumns_.size();
    if ((name != "features" && name != "target") || width == 0)
      fail("data '%s': this csv has no field '%s' (its options give features, label and target)", spec_.name.c_str(),
           name.c_str());
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(values.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(rows[i]) * width), width,
                  block_.begin() + static_cast<ptrdiff_t>(i * width));
    int64_t shape[] = {count, static_cast<int64_t>(width)};
    storeField(*this, f, fields, KILN_F32, block_.data(), shape);
  }
}

} // namespace

std::unique_ptr<Source> openCsv(const SourceContext &context) { return std::make_unique<CsvSource>(context); }

} // namespace kiln
