// Each kind of file by the end of its name; what it lacks is told with what it has.
#include "frontend/plot/Numbers.h"

#include "runtime/files/Csv.h"
#include "runtime/files/File.h"
#include "runtime/files/Idx.h"
#include "runtime/files/Npy.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace kiln::plot {

namespace {

constexpr int64_t kMostNumbers = int64_t{1} << 27;

/// FILE and NAME of "FILE:NAME"; all of it is the file where there is one of that name.
std::pair<std::string, std::string> splitSpec(const std::string &spec) {
  size_t colon = spec.rfind(':');
  if (colon == std::string::npos || colon == 0 || fileExists(spec))
    return {spec, ""};
  return {spec.substr(0, colon), spec.substr(colon + 1)};
}

std::string placeOf(const Array &array, size_t index) {
  std::string text = "]";
  auto rest = static_cast<int64_t>(index);
  for (size_t axis = array.shape.size(); axis-- > 0;) {
    text = (axis ? ", " : "") + std::to_string(rest % array.shape[axis]) + text;
    rest /= array.shape[axis];
  }
  return "[" + text;
}

void requireFinite(const Array &array) {
  for (size_t i = 0; i < array.values.size(); ++i)
    if (!std::isfinite(array.values[i]))
      fail("%s holds %s at %s: what is not finite has no place in a picture", array.what.c_str(),
           shortest(array.values[i]).c_str(), placeOf(array, i).c_str());
  if (array.values.empty())
    fail("%s is empty (%s): there is nothing to draw", array.what.c_str(), describeShape(array.shape).c_str());
}

Array ofTensor(const TensorView &tensor, std::string what) {
  Array array = {std::move(what), tensor.shape, {}};
  int64_t count = countElements(tensor.shape).value_or(kMostNumbers + 1);
  if (count > kMostNumbers)
    fail("%s has more than %lld numbers: take a part of it", array.what.c_str(), static_cast<long long>(kMostNumbers));
  array.values.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    array.values.push_back(loadNumber(tensor.dtype, tensor.data, i));
  return array;
}

std::optional<double> numberOf(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '+'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r'))
    text.remove_suffix(1);
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() ? std::optional(value)
                                                                                   : std::nullopt;
}

bool endsWith(const std::string &text, const char *end) { return text.ends_with(end); }
bool isTable(const std::string &path) { return endsWith(path, ".csv") || endsWith(path, ".tsv"); }
bool isLines(const std::string &path) { return endsWith(path, ".json") || endsWith(path, ".jsonl"); }

struct Column {
  std::vector<std::string> cells;
  std::vector<size_t> lines;
  std::string name;
};

/// A first row that holds no number at all is the header.
Column readColumn(const std::string &path, const std::string &name) {
  CsvTable table = parseCsv(readText(path), path, endsWith(path, ".tsv") ? '\t' : ',', 0, false);
  if (table.rows.empty())
    fail("'%s' is empty: there is nothing to draw", path.c_str());
  bool header = true;
  for (const std::string &cell : table.rows[0])
    header = header && !numberOf(cell);
  size_t column = table.width;
  NearestName nearest(name);
  std::string all;
  for (size_t i = 0; i < table.width; ++i) {
    std::string called = header ? table.rows[0][i] : std::to_string(i);
    nearest.consider(called);
    all += (i ? ", " : "") + called;
    if (called == name || std::to_string(i) == name || (name.empty() && table.width == 1))
      column = i;
  }
  if (column == table.width)
    fail("%s: %s; the columns are %s%s", path.c_str(),
         name.empty() ? "which column? Write FILE:NAME" : ("there is no column '" + name + "'").c_str(), all.c_str(),
         name.empty() ? "" : nearest.hint().c_str());
  Column found;
  found.name = path + ":" + (header ? table.rows[0][column] : std::to_string(column));
  for (size_t i = header; i < table.rows.size(); ++i) {
    found.cells.push_back(table.rows[i][column]);
    found.lines.push_back(table.lines[i]);
  }
  return found;
}

Array readTable(const std::string &path, const std::string &name) {
  Column column = readColumn(path, name);
  Array array = {column.name, {static_cast<int64_t>(column.cells.size())}, {}};
  for (size_t i = 0; i < column.cells.size(); ++i) {
    std::optional<double> value = numberOf(column.cells[i]);
    if (!value)
      fail("%s:%zu: \"%s\" is no number (column '%s')", path.c_str(), column.lines[i], column.cells[i].c_str(),
           name.c_str());
    array.values.push_back(*value);
  }
  return array;
}

Array readTensorOf(const std::string &path, const std::string &name) {
  Safetensors file = Safetensors::open(path);
  const TensorView *tensor = file.find(name);
  if (!tensor && name.empty() && file.tensors().size() == 1)
    tensor = &file.tensors()[0];
  if (tensor)
    return ofTensor(*tensor, path + ":" + tensor->name);
  NearestName nearest(name);
  std::string all;
  size_t count = 0;
  for (const TensorView &one : file.tensors()) {
    nearest.consider(one.name);
    if (++count <= 12)
      all += (all.empty() ? "" : ", ") + one.name + " (" + describeType(one.dtype, one.shape) + ")";
  }
  if (count > 12)
    all += format(" and %zu more", count - 12);
  fail("%s: %s; it has %s%s", path.c_str(),
       name.empty() ? "which tensor? Write FILE:NAME" : ("there is no tensor '" + name + "'").c_str(),
       all.empty() ? "none" : all.c_str(), name.empty() ? "" : nearest.hint().c_str());
}

Array readMetric(const std::string &path, const std::string &name) {
  std::map<std::string, Series> all = readMetrics(path);
  auto found = all.find(name);
  if (found != all.end())
    return {path + ":" + name, {static_cast<int64_t>(found->second.values.size())}, found->second.values};
  NearestName nearest(name);
  std::string names;
  for (const auto &[one, series] : all) {
    nearest.consider(one);
    names += (names.empty() ? "" : ", ") + one;
  }
  fail("%s: %s; its lines have %s%s", path.c_str(),
       name.empty() ? "which column? Write FILE:NAME" : ("no line has a number '" + name + "'").c_str(), names.c_str(),
       name.empty() ? "" : nearest.hint().c_str());
}

} // namespace

Array readArray(const std::string &spec) {
  auto [path, name] = splitSpec(spec);
  if (!fileExists(path))
    fail("there is no file '%s'", path.c_str());
  protectFile(path, "what is drawn");
  Array array;
  if (endsWith(path, ".safetensors")) {
    array = readTensorOf(path, name);
  } else if (endsWith(path, ".npy") || path.find("-idx") != std::string::npos ||
             path.find(".idx") != std::string::npos) {
    if (!name.empty())
      fail("%s holds one array, without a name: leave out ':%s'", path.c_str(), name.c_str());
    array = ofTensor((endsWith(path, ".npy") ? readNpy(path) : readIdx(path)).view(), path);
  } else if (isTable(path)) {
    array = readTable(path, name);
  } else if (isLines(path)) {
    array = readMetric(path, name);
  } else {
    fail("'%s' is of no kind that is known: .safetensors, .npy, .csv, .tsv, .json, .jsonl, or IDX (with -idx in its "
         "name)",
         path.c_str());
  }
  requireFinite(array);
  return array;
}

/// The words of a vocabulary that weights were saved with.
static std::vector<std::string> readVocabulary(const std::string &path, const std::string &name) {
  constexpr std::string_view prefix = "kiln.vocabulary.";
  Safetensors file = Safetensors::open(path);
  std::string all;
  const std::string *text = nullptr;
  size_t count = 0;
  for (const auto &[key, value] : file.metadata())
    if (key.starts_with(prefix)) {
      all += (all.empty() ? "" : ", ") + key.substr(prefix.size());
      ++count;
      if (key.substr(prefix.size()) == name || name.empty())
        text = &value;
    }
  if (!text || (name.empty() && count > 1))
    fail("%s: %s; it has %s", path.c_str(),
         name.empty() ? "which vocabulary? Write FILE:NAME" : ("no vocabulary '" + name + "'").c_str(),
         all.empty() ? "none" : all.c_str());
  Json json = Json::parse(*text, path);
  if (!json.find("tokens"))
    fail("%s: its vocabulary is a tokenizer.json's, not a list of words", path.c_str());
  std::vector<std::string> words;
  for (const Json &token : json.at("tokens").array())
    words.push_back(token.string());
  return words;
}

std::vector<std::string> readNames(const std::string &spec) {
  auto [path, name] = splitSpec(spec);
  if (!fileExists(path))
    fail("there is no file '%s'", path.c_str());
  protectFile(path, "what is drawn");
  if (isTable(path))
    return readColumn(path, name).cells;
  if (endsWith(path, ".safetensors"))
    return readVocabulary(path, name);
  if (!name.empty())
    fail("'%s' is a text, a name a line: leave out ':%s'", path.c_str(), name.c_str());
  std::string text = readText(path);
  std::vector<std::string> names;
  for (std::string_view line : linesOf(text))
    names.emplace_back(line.substr(0, line.size() - (line.ends_with('\r') ? 1 : 0)));
  if (names.empty())
    fail("'%s' is empty: there is no name in it", path.c_str());
  return names;
}

std::map<std::string, Series> readMetrics(const std::string &path) {
  if (!fileExists(path))
    fail("there is no file '%s'", path.c_str());
  if (isFolder(path))
    fail("'%s' is a folder; a run is the file that `train --json FILE` writes", path.c_str());
  protectFile(path, "what is drawn");
  std::string text = readText(path);
  std::map<std::string, Series> all;
  size_t number = 0;
  for (std::string_view one : linesOf(text)) {
    ++number;
    if (one.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    std::string where = path + ":" + std::to_string(number);
    Json json = Json::parse(one, where);
    if (!json.isObject())
      fail("%s: a line of a run is a JSON object, as {\"step\":0,\"loss\":4.19}", where.c_str());
    for (const Json &member : json.object())
      if (member.isNumber()) {
        double value = json.numberOr(member.key(), 0);
        if (!std::isfinite(value))
          fail("%s: '%s' is not finite", where.c_str(), member.key().c_str());
        Series &series = all[member.key()];
        series.at.push_back(static_cast<double>(number - 1));
        series.values.push_back(value);
      }
  }
  if (all.empty())
    fail("'%s' has no line with a number in it; a run is what `train --json FILE` writes", path.c_str());
  return all;
}

void requireRank(const Array &array, int64_t rank, const char *expected) {
  if (array.rank() != rank)
    fail("%s has the shape %s; expected %s", array.what.c_str(), describeShape(array.shape).c_str(), expected);
}

} // namespace kiln::plot
