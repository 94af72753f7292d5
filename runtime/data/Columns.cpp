// Cells to numbers and classes, each with its line where it is neither.
#include "runtime/data/Columns.h"

#include "runtime/data/Coding.h"
#include "runtime/data/Rows.h"
#include "runtime/files/File.h"
#include "runtime/files/JsonRows.h"
#include "runtime/files/Xml.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

namespace kiln {

namespace {

std::string_view trimmed(std::string_view cell) {
  while (cell.starts_with(' '))
    cell.remove_prefix(1);
  while (cell.ends_with(' '))
    cell.remove_suffix(1);
  return cell;
}

/// The number in a cell: without the spaces around it and a plus before it.
std::string_view numberIn(std::string_view cell) {
  cell = trimmed(cell);
  if (cell.starts_with('+') && !cell.starts_with("+-"))
    cell.remove_prefix(1);
  return cell;
}

bool parseInteger(std::string_view cell, int32_t &value) {
  cell = numberIn(cell);
  auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return code == std::errc() && end == cell.data() + cell.size();
}

} // namespace

TableFile TableFile::read(const std::string &path, const SourceContext &context, bool header) {
  const Json &options = context.spec->options;
  const std::string &name = context.spec->name;
  std::string found = findData(path, "data '" + name + "'", context.folders);
  std::string what = "'" + found + "'";
  if (found.ends_with(".xml"))
    return {what, parseXmlRows(readText(found), what)};
  if (found.ends_with(".jsonl"))
    return {what, parseJsonRows(readText(found), what)};
  bool commas = found.ends_with(".csv") || found.ends_with(".csv.gz");
  std::string separator = options.stringOr("separator", commas ? "," : "\t");
  if (separator.size() != 1)
    fail("data '%s': the separator '%s' is not one character", name.c_str(), separator.c_str());
  int64_t skip = options.integerOr("skip", 0);
  return {what, parseCsv(readText(found), what, separator[0], static_cast<size_t>(std::max<int64_t>(skip, 0)), header,
                         options.booleanOr("quotes", true))};
}

void TableFile::refuse(size_t row, size_t column, const std::string &why) const {
  fail("%s, line %zu, column %zu: %s", what.c_str(), table.lines[row], column + 1, why.c_str());
}

size_t TableFile::column(const Json &json) const {
  if (json.isString()) {
    NearestName nearest(json.string());
    for (size_t i = 0; i < table.header.size(); ++i) {
      if (table.header[i] == json.string())
        return i;
      nearest.consider(table.header[i]);
    }
    fail("%s has no column '%s'%s%s", what.c_str(), json.string().c_str(), nearest.hint().c_str(),
         table.header.empty() ? "; its first row is read as names with header=True" : "");
  }
  int64_t index = json.integer();
  if (index < 0)
    index += static_cast<int64_t>(table.width);
  if (index < 0 || index >= static_cast<int64_t>(table.width))
    fail("%s has %zu columns; the recipe asks for column %lld", what.c_str(), table.width,
         static_cast<long long>(json.integer()));
  return static_cast<size_t>(index);
}

std::vector<size_t> TableFile::columns(const Json &json) const {
  std::vector<size_t> list;
  if (json.isInt()) {
    for (int64_t i = 0; i < json.integer(1, INT32_MAX); ++i)
      list.push_back(column(Json::ofInteger(i)));
    return list;
  }
  if (json.isString())
    return {column(json)};
  for (const Json &item : json.array())
    list.push_back(column(item));
  return list;
}

std::string_view TableFile::known(size_t row, size_t column) const {
  static const std::string_view none[] = {"NA",   "N/A",  "n/a",  "#N/A", "<NA>", "NaN",  "nan", "NAN",
                                          "-nan", "-NaN", "-NAN", "null", "NULL", "None", "?"};
  std::string_view text = trimmed(table.rows[row].at(column));
  return std::find(std::begin(none), std::end(none), text) == std::end(none) ? text : std::string_view();
}

float TableFile::numberOrGap(size_t row, size_t column, const Json *missing, const char *words) const {
  bool gap = known(row, column).empty();
  if (missing && gap)
    return missing->isString() ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(missing->number());
  return number(row, column, gap ? "; missing=… says what stands in a gap" : words);
}

float TableFile::number(size_t row, size_t column, const char *hint) const {
  const std::string &cell = table.rows[row][column];
  std::string_view text = numberIn(cell);
  const char *end = text.data() + text.size();
  float value = 0;
  auto [stop, code] = std::from_chars(text.data(), end, value);
  if (text.empty() || stop != end || (code != std::errc() && code != std::errc::result_out_of_range))
    refuse(row, column, "'" + cell + "' is not a number" + hint);
  if (code == std::errc::result_out_of_range) {
    // from_chars leaves the value alone: what is too small is a zero of its sign, as everywhere.
    double wide = std::strtod(std::string(text).c_str(), nullptr);
    if (std::abs(wide) > 1)
      refuse(row, column, "'" + cell + "' is beyond the range of f32");
    value = static_cast<float>(wide);
  }
  if (std::isnan(value))
    refuse(row, column, "'" + cell + "' is not a number" + hint);
  if (std::isinf(value))
    refuse(row, column, "'" + cell + "' is not a finite number");
  return value;
}

/// Another file's columns where the first one has those of the same names; what it has besides is left out.
static void arrange(TableFile &file, const TableFile &first) {
  const std::vector<std::string> &names = first.table.header;
  std::vector<std::string> &own = file.table.header;
  if (own == names)
    return;
  std::vector<size_t> from;
  for (const std::string &name : names) {
    size_t at = 0; // of names that stand twice the next one
    while (at < own.size() && (own[at] != name || std::find(from.begin(), from.end(), at) != from.end()))
      ++at;
    if (at == own.size())
      fail("%s has no column '%s', which %s has", file.what.c_str(), name.c_str(), first.what.c_str());
    from.push_back(at);
  }
  for (std::vector<std::string> &row : file.table.rows) {
    std::vector<std::string> cells;
    for (size_t at : from)
      cells.push_back(std::move(row[at]));
    row = std::move(cells);
  }
  own = names;
  file.table.width = names.size();
}

std::vector<TableFile> readTables(const SourceContext &context, bool header, int64_t &validation, int64_t &test) {
  const SourceSpec &spec = *context.spec;
  std::vector<TableFile> files;
  files.push_back(TableFile::read(context.override.empty() ? spec.path : context.override, context, header));
  for (Split split : {Split::Validation, Split::Test})
    for (const std::string &path : splitPaths(spec.options, splitName(split))) {
      files.push_back(TableFile::read(path, context, header));
      (split == Split::Test ? test : validation) += static_cast<int64_t>(files.back().table.rows.size());
      if (!files[0].table.header.empty())
        arrange(files.back(), files[0]);
      else if (files.back().table.width != files[0].table.width)
        fail("%s has %zu columns, %s has %zu", files.back().what.c_str(), files.back().table.width,
             files[0].what.c_str(), files[0].table.width);
    }
  return files;
}

Labels::Labels(const std::vector<TableFile> &files, size_t column, const SourceContext &context) : column_(column) {
  if (std::optional<std::vector<std::string>> names = recipeClasses(context, "label"))
    classes_ = {std::move(*names), "the recipe's classes"};
  else if (const Json *classes = context.spec->options.find("classes"))
    count_ = classes->integer(1, INT32_MAX);
  else
    nameClasses(files, context);
  for (size_t i = 0; i < names().size(); ++i)
    numbers_.emplace(names()[i], static_cast<int32_t>(i));
  for (const TableFile &file : files) // each label is one, or the first that is not is told
    for (size_t row = 0; row < file.table.rows.size(); ++row)
      of(file, row);
}

/// Labels are all whole numbers, or all words: those are numbered in their sorted order. One that is empty, or a number
/// that is not whole, is neither; and one word among numbers would renumber them all.
void Labels::nameClasses(const std::vector<TableFile> &files, const SourceContext &context) {
  std::set<std::string> words;
  const TableFile *firstFile = nullptr;
  size_t firstLine = 0;
  bool numbers = false;
  for (const TableFile &file : files)
    for (size_t row = 0; row < file.table.rows.size(); ++row) {
      const std::string &cell = file.table.rows[row].at(column_);
      int32_t value = 0;
      bool whole = parseInteger(cell, value);
      double number = 0;
      std::string_view text = numberIn(cell);
      auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
      auto refuse = [&](const std::string &why) { file.refuse(row, column_, "the label '" + cell + "' " + why); };
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
  if (std::optional<ClassOrder> given = givenClasses(context, "label", words, 0, numbers))
    classes_ = *given;
  else if (!numbers)
    classes_ = {{words.begin(), words.end()}, "the classes of the data"};
}

int32_t Labels::of(const TableFile &file, size_t row) const {
  const std::string &cell = file.table.rows[row].at(column_);
  if (!names().empty()) {
    if (auto found = numbers_.find(cell); found != numbers_.end())
      return found->second;
    file.refuse(row, column_, "the label '" + cell + "' " + classes_.lacks(cell));
  }
  int32_t label = 0;
  if (!parseInteger(cell, label) || (count_ >= 0 && (label < 0 || label >= count_)))
    file.refuse(row, column_,
                "the label '" + cell + "' is not a whole number" +
                    (count_ >= 0 ? " from 0 to " + std::to_string(count_ - 1) : std::string()));
  return label;
}

} // namespace kiln
