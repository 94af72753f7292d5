// Names, rows and classes as the command line means them; the picture goes to its file at the end.
#include "frontend/plot/Write.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>
#include <sstream>

namespace kiln::plot {

void checkOutput(const Options &options) {
  if (!options.output.ends_with(".svg") && !options.output.ends_with(".png"))
    throw UsageError("-o " + options.output + ": a picture's name ends with .svg or .png");
  checkUnprotected(options.output);
  checkWritable(options.output);
}

void writeDrawing(const Drawing &drawing, const Options &options) {
  Theme theme = options.theme == "dark" ? Theme::Dark : options.theme == "light" ? Theme::Light : Theme::Auto;
  std::string bytes =
      options.output.ends_with(".svg") ? writeSvg(drawing, theme) : writePng(drawing, theme, options.scale);
  checkUnprotected(options.output);
  AtomicFile file(options.output);
  file.write(bytes);
  file.commit();
}

void writeChart(Chart chart, const Options &options) {
  if (!options.title.empty())
    chart.title = options.title;
  if (!options.xLabel.empty())
    chart.xLabel = options.xLabel;
  if (!options.yLabel.empty())
    chart.yLabel = options.yLabel;
  chart.width = options.width > 0 ? options.width : chart.width;
  chart.height = options.height > 0 ? options.height : chart.height;
  chart.logX = options.logX;
  chart.logY = options.logY;
  for (const Curve &curve : chart.curves)
    for (auto [on, values, axis] : {std::tuple(chart.logX, &curve.x, 'x'), {chart.logY, &curve.y, 'y'}})
      for (double value : *values)
        if (std::abs(value) > 1e300)
          fail("'%s' has a value of %s, which is too large to draw",
               curve.name.empty() ? "the curve" : curve.name.c_str(), shortest(value).c_str());
        else if (on && value <= 0)
          fail("--log-%c: '%s' has a value of %s, which has no logarithm", axis,
               curve.name.empty() ? "the curve" : curve.name.c_str(), shortest(value).c_str());
  size_t dropped = 0;
  writeDrawing(drawChart(chart, dropped), options);
  if (dropped)
    std::fprintf(stderr,
                 "kiln: note: %zu labels found no place beside their points; a larger --width and --height has more\n",
                 dropped);
}

std::vector<size_t> taken(const std::string &take, size_t count, const std::string &what) {
  int64_t ends[2] = {0, static_cast<int64_t>(count)};
  if (!take.empty()) {
    size_t colon = take.find(':');
    std::string parts[2] = {take.substr(0, colon), colon == std::string::npos ? "x" : take.substr(colon + 1)};
    for (int i = 0; i < 2; ++i) {
      auto [end, error] = std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), ends[i]);
      if (!parts[i].empty() && (error != std::errc() || end != parts[i].data() + parts[i].size()))
        throw UsageError("--take " + take + ": expected FIRST:END, two numbers of rows, each of which may be left out");
      if (ends[i] < 0)
        ends[i] += static_cast<int64_t>(count);
      ends[i] = std::clamp<int64_t>(ends[i], 0, static_cast<int64_t>(count));
    }
  }
  std::vector<size_t> rows;
  for (int64_t i = ends[0]; i < ends[1]; ++i)
    rows.push_back(static_cast<size_t>(i));
  if (rows.empty())
    fail("--take %s leaves nothing of the %zu rows of %s", take.c_str(), count, what.c_str());
  return rows;
}

Array rowsOf(const Array &array, const std::vector<size_t> &rows) {
  auto width = static_cast<size_t>(array.width());
  Array part = {array.what, array.shape, {}};
  part.shape[0] = static_cast<int64_t>(rows.size());
  for (size_t row : rows)
    part.values.insert(part.values.end(), array.values.begin() + static_cast<ptrdiff_t>(row * width),
                       array.values.begin() + static_cast<ptrdiff_t>((row + 1) * width));
  return part;
}

std::vector<std::string> namesOf(const Options &options) {
  if (!options.names.empty()) {
    if (options.names.size() != options.sources.size())
      throw UsageError(format("--name is given %zu times for %zu files", options.names.size(), options.sources.size()));
    return options.names;
  }
  std::vector<std::string> stems, full;
  for (const std::string &source : options.sources) {
    size_t slash = source.rfind('/'), colon = source.rfind(':');
    std::string stem = source.substr(slash == std::string::npos ? 0 : slash + 1);
    if (colon != std::string::npos && colon > 0 && !fileExists(source))
      stem = source.substr(colon + 1);
    else
      stem = stem.substr(0, stem.find('.'));
    stems.push_back(stem);
    std::string folder = slash == std::string::npos ? "" : source.substr(0, slash);
    full.push_back(folder.substr(folder.rfind('/') + 1));
  }
  if (std::set<std::string>(stems.begin(), stems.end()).size() == stems.size())
    return stems;
  if (std::set<std::string>(full.begin(), full.end()).size() == full.size())
    return full;
  return options.sources;
}

std::vector<std::string> wordsOf(const std::string &text) {
  if (text.starts_with('@'))
    return readNames(text.substr(1));
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;)
    words.push_back(word);
  return words;
}

std::vector<int64_t> classesOf(const Array &array) {
  std::vector<int64_t> classes;
  if (array.rank() == 2) {
    auto width = static_cast<size_t>(array.width());
    for (size_t row = 0; row < static_cast<size_t>(array.rows()); ++row) {
      auto begin = array.values.begin() + static_cast<ptrdiff_t>(row * width);
      classes.push_back(std::max_element(begin, begin + static_cast<ptrdiff_t>(width)) - begin);
    }
    return classes;
  }
  requireRank(array, 1, "a class for each example ([N]), or a score for each class ([N, classes])");
  for (size_t i = 0; i < array.values.size(); ++i) {
    double value = array.values[i];
    if (value != std::floor(value) || value < 0 || value > 1e6)
      fail("%s holds %s at [%zu]: a class is a whole number from 0", array.what.c_str(), shortest(value).c_str(), i);
    classes.push_back(static_cast<int64_t>(value));
  }
  return classes;
}

} // namespace kiln::plot
