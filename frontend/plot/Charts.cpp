// The pictures that are charts: losses, lines, points, ROC.
#include "frontend/plot/Project.h"
#include "frontend/plot/Write.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace kiln::plot {

namespace {

constexpr size_t kMostPoints = 20000;

/// Exponential means that begin with the first value, from the left and from the right: half of both does not lag.
std::vector<double> smoothed(const std::vector<double> &values, double weight) {
  std::vector<double> out(values.size());
  auto add = [&, mean = 0.0, mass = 0.0](size_t i) mutable {
    mean = weight * mean + (1 - weight) * values[i];
    mass = weight * mass + (1 - weight);
    out[i] += mean / mass / 2;
  };
  auto back = add;
  for (size_t i = 0; i < values.size(); ++i)
    add(i);
  for (size_t i = values.size(); i-- > 0;)
    back(i);
  return out;
}

const Series &seriesOf(const std::map<std::string, Series> &run, const std::string &path, const std::string &name) {
  auto found = run.find(name);
  if (found != run.end())
    return found->second;
  NearestName nearest(name);
  std::string all;
  for (const auto &[one, series] : run) {
    nearest.consider(one);
    all += (all.empty() ? "" : ", ") + one;
  }
  fail("%s: no line has a number '%s'; they have %s%s", path.c_str(), name.c_str(), all.c_str(),
       nearest.hint().c_str());
}

/// The x of each value of a series: what `step` counts on the same line, else how many lines came before.
std::vector<double> stepsOf(const std::map<std::string, Series> &run, const Series &series, const std::string &path,
                            const std::string &step) {
  auto found = run.find(step.empty() ? "step" : step);
  if (found == run.end() && step.empty())
    return series.at;
  const Series &steps = seriesOf(run, path, step.empty() ? "step" : step);
  std::map<double, double> byLine;
  for (size_t i = 0; i < steps.at.size(); ++i)
    byLine[steps.at[i]] = steps.values[i];
  std::vector<double> x;
  for (double line : series.at) {
    auto at = byLine.find(line);
    if (at == byLine.end())
      fail("%s:%.0f: this line has no '%s'", path.c_str(), line + 1, step.empty() ? "step" : step.c_str());
    x.push_back(at->second);
  }
  return x;
}

} // namespace

void plotLoss(const Options &options) {
  std::vector<std::string> names = namesOf(options);
  Chart chart;
  chart.xLabel = options.step.empty() ? "step" : options.step;
  std::vector<std::string> columns = options.columns;
  bool own = columns.empty();
  if (own)
    columns = {"loss"};
  for (const std::string &column : columns)
    chart.yLabel += (chart.yLabel.empty() ? "" : ", ") + column;
  int colour = 0;
  bool many = options.sources.size() > 1 || columns.size() > 1;
  for (size_t run = 0; run < options.sources.size(); ++run) {
    const std::string &path = options.sources[run];
    std::map<std::string, Series> metrics = readMetrics(path);
    bool validated = own && metrics.count("val_loss") > 0;
    for (const std::string &column : columns) {
      const Series &series = seriesOf(metrics, path, column);
      std::vector<double> x = stepsOf(metrics, series, path, options.step);
      auto count = static_cast<double>(series.values.size());
      double weight = options.smooth >= 0 ? options.smooth
                      : count < 120       ? 0
                                          : 1 - 100 / count; // a hundredth of the run
      std::string name = options.sources.size() > 1 ? names[run] + (columns.size() > 1 ? ", " + column : "")
                         : columns.size() > 1       ? column
                         : validated                ? "training"
                                                    : column;
      if (weight > 0)
        chart.curves.push_back({"", Form::Faint, colour, x, series.values, {}});
      chart.curves.push_back({name, Form::Line, colour, x, smoothed(series.values, weight), {}});
      if (validated) {
        const Series &validation = metrics.at("val_loss");
        chart.curves.push_back({many ? names[run] + ", validation" : "validation",
                                Form::Dashed,
                                colour + !many,
                                stepsOf(metrics, validation, path, options.step),
                                validation.values,
                                {}});
      }
      ++colour;
    }
  }
  writeChart(std::move(chart), options);
}

void plotLine(const Options &options) {
  std::vector<std::string> names = namesOf(options);
  Chart chart;
  auto count = options.sources.size();
  if (options.x.size() > 1 && options.x.size() != count)
    throw UsageError(
        format("--x is given %zu times for %zu lines: once for all, or once for each", options.x.size(), count));
  if (options.marksX.size() > 1 && options.marksX.size() != options.marks.size())
    throw UsageError(
        format("--marks-x is given %zu times for %zu --marks", options.marksX.size(), options.marks.size()));
  auto curve = [&](const std::string &source, const std::string &xSource, const std::string &name, Form form,
                   int colour) {
    Array y = readArray(source);
    if (y.rank() > 1) // [N, 1] and [1, N, 1] are one line too
      std::erase(y.shape, 1);
    requireRank(y, 1, "a number for each place of a line ([N])");
    std::vector<double> x(y.values.size());
    std::iota(x.begin(), x.end(), 0.0);
    if (!xSource.empty()) {
      Array given = readArray(xSource);
      if (given.values.size() != y.values.size())
        fail("%s has %zu numbers, and its x, %s, %zu", y.what.c_str(), y.values.size(), given.what.c_str(),
             given.values.size());
      x = given.values;
    }
    Curve made{name, form, colour, {}, {}, {}};
    for (size_t row : taken(options.take, x.size(), y.what)) {
      made.x.push_back(x[row]);
      made.y.push_back(y.values[row]);
    }
    if (form == Form::Dots && made.x.size() > kMostPoints)
      fail("%s has %zu marks, more than %zu: --take FIRST:END draws a part", y.what.c_str(), made.x.size(),
           kMostPoints);
    chart.curves.push_back(std::move(made));
  };
  std::set<std::string> dashed(options.dashed.begin(), options.dashed.end());
  for (size_t i = 0; i < count; ++i) {
    std::string x = options.x.empty() ? "" : options.x[options.x.size() > 1 ? i : 0];
    bool isDashed = dashed.erase(names[i]) > 0;
    curve(options.sources[i], x, names[i], isDashed ? Form::Dashed : Form::Line, static_cast<int>(i));
  }
  if (!dashed.empty())
    throw UsageError("--dashed " + *dashed.begin() + ": no line is called so");
  for (size_t i = 0; i < options.marks.size(); ++i) {
    std::string x = options.marksX.empty() ? "" : options.marksX[options.marksX.size() > 1 ? i : 0];
    curve(options.marks[i], x, options.marks.size() > 1 ? options.marks[i] : "data", Form::Dots,
          static_cast<int>(count + i));
  }
  writeChart(std::move(chart), options);
}

namespace {

/// The class of each point by a name, in the order of their numbers, or of their names.
std::vector<std::string> classNames(const std::string &spec, size_t count) {
  std::vector<std::string> names;
  if (spec.ends_with(".txt")) {
    names = readNames(spec);
  } else {
    Array array = readArray(spec);
    for (int64_t one : classesOf(array))
      names.push_back(std::to_string(one));
  }
  if (names.size() < count)
    fail("--classes %s: %zu classes for %zu points", spec.c_str(), names.size(), count);
  return names;
}

/// Numbers by their size, then words by the alphabet.
bool before(const std::string &a, const std::string &b) {
  auto number = [](const std::string &text) { return text.find_first_not_of("0123456789") == std::string::npos; };
  return number(a) && number(b) && a.size() != b.size() ? a.size() < b.size() : a < b;
}

Plane planeOf(const Array &points, const Options &options, Chart &chart) {
  std::string method = options.method.empty() ? (points.width() == 2 ? "none" : "pca") : options.method;
  if (method == "none") {
    if (points.width() != 2)
      fail("%s has points of %lld numbers; --method pca or tsne makes two of them", points.what.c_str(),
           static_cast<long long>(points.width()));
    Plane plane;
    for (size_t i = 0; i < points.values.size(); i += 2) {
      plane.x.push_back(points.values[i]);
      plane.y.push_back(points.values[i + 1]);
    }
    return plane;
  }
  if (method == "tsne") {
    chart.xLabel = "t-SNE, perplexity " + shortest(options.perplexity);
    return tsne(points, options.perplexity, options.steps, options.seed, options.kiln);
  }
  Plane plane = principal(points);
  chart.xLabel = format("first component (%.0f%% of the variance)", 100 * plane.shareX);
  chart.yLabel = format("second component (%.0f%%)", 100 * plane.shareY);
  return plane;
}

} // namespace

void plotPoints(const Options &options) {
  Array points = readArray(options.sources[0]);
  if (points.rank() < 2)
    requireRank(points, 2, "a row of numbers for each point ([N, D])");
  auto count = static_cast<size_t>(points.rows());
  std::vector<size_t> rows = taken(options.take, count, points.what);
  std::vector<std::string> labels;
  if (!options.labels.empty()) {
    labels = readNames(options.labels);
    if (labels.size() < count)
      fail("--labels %s: %zu labels for %zu points", options.labels.c_str(), labels.size(), count);
  }
  if (!options.only.empty()) {
    if (labels.empty())
      throw UsageError("--only names labels: --labels says where they are");
    std::vector<size_t> some;
    for (const std::string &word : wordsOf(options.only)) {
      auto found = std::find_if(rows.begin(), rows.end(), [&](size_t row) { return labels[row] == word; });
      if (found == rows.end())
        fail("--only: no point is labelled '%s'", word.c_str());
      some.push_back(*found);
    }
    rows = some;
  }
  if (rows.size() > kMostPoints)
    fail("%s has %zu points, more than %zu: --take FIRST:END draws a part", points.what.c_str(), rows.size(),
         kMostPoints);
  Chart chart;
  chart.equal = true;
  chart.width = 600;
  chart.height = 560;
  std::vector<std::string> classes(count);
  if (!options.classes.empty())
    classes = classNames(options.classes, count);
  Plane plane = planeOf(rowsOf(points, rows), options, chart);
  std::vector<std::string> kinds;
  for (size_t row : rows)
    kinds.push_back(classes[row]);
  std::sort(kinds.begin(), kinds.end(), before);
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  if (kinds.size() > 2 * kSeries)
    fail("%s has %zu classes; a picture tells %d apart", options.classes.c_str(), kinds.size(), 2 * kSeries);
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    Curve curve{kinds[kind], Form::Dots, static_cast<int>(kind), {}, {}, {}};
    for (size_t i = 0; i < rows.size(); ++i)
      if (classes[rows[i]] == kinds[kind]) {
        curve.x.push_back(plane.x[i]);
        curve.y.push_back(plane.y[i]);
        if (!labels.empty())
          curve.labels.push_back(labels[rows[i]]);
      }
    chart.curves.push_back(std::move(curve));
  }
  writeChart(std::move(chart), options);
}

void plotRoc(const Options &options) {
  std::vector<std::string> names = namesOf(options);
  std::vector<int64_t> truth = classesOf(readArray(options.truth));
  auto positives = static_cast<double>(std::count(truth.begin(), truth.end(), options.positive));
  auto negatives = static_cast<double>(truth.size()) - positives;
  if (positives == 0 || negatives == 0)
    fail("%s: %.0f of %zu examples are of class %lld; a curve takes some that are and some that are not",
         options.truth.c_str(), positives, truth.size(), static_cast<long long>(options.positive));
  Chart chart;
  chart.width = 520;
  chart.height = 520;
  chart.diagonal = true;
  chart.xLabel = "false positive rate";
  chart.yLabel = "true positive rate";
  for (size_t i = 0; i < options.sources.size(); ++i) {
    Array scores = readArray(options.sources[i]);
    std::vector<double> score = scores.values;
    if (scores.rank() == 2 && scores.shape[1] > 1) { // against the best of the others
      score.clear();
      if (options.positive >= scores.shape[1])
        fail("%s has scores for %lld classes; --positive %lld is none of them", scores.what.c_str(),
             static_cast<long long>(scores.shape[1]), static_cast<long long>(options.positive));
      for (int64_t row = 0; row < scores.rows(); ++row) {
        const double *of = &scores.values[static_cast<size_t>(row * scores.shape[1])];
        double best = -INFINITY;
        for (int64_t k = 0; k < scores.shape[1]; ++k)
          best = k == options.positive ? best : std::max(best, of[k]);
        score.push_back(of[options.positive] - best);
      }
    }
    if (score.size() != truth.size())
      fail("%s has %zu scores, and %s %zu examples", scores.what.c_str(), score.size(), options.truth.c_str(),
           truth.size());
    std::vector<size_t> order(score.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
    Curve curve{"", Form::Line, static_cast<int>(i), {0}, {0}, {}};
    double found = 0, wrong = 0, area = 0;
    for (size_t at = 0; at < order.size(); ++at) {
      (truth[order[at]] == options.positive ? found : wrong) += 1;
      if (at + 1 < order.size() && score[order[at + 1]] == score[order[at]])
        continue; // what has one score is told apart by no threshold
      double x = wrong / negatives, y = found / positives;
      area += (x - curve.x.back()) * (y + curve.y.back()) / 2;
      curve.x.push_back(x);
      curve.y.push_back(y);
    }
    curve.name = names[i] + format(", area %.3f", area);
    if (options.sources.size() == 1)
      chart.title = curve.name;
    chart.curves.push_back(std::move(curve));
  }
  writeChart(std::move(chart), options);
}

} // namespace kiln::plot
