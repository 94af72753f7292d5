// A short training whose rate grows, its losses read, and a picture of them.
#include "frontend/cli/RateFinder.h"

#include "frontend/language/Recipe.h"
#include "frontend/plot/Write.h"
#include "runtime/files/File.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include "CLI/CLI.hpp"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln {

namespace {

struct Point {
  double rate, loss, smooth;
};

/// Runs the training in a process of its own, which becomes the program; its exit code.
int train(const ModelOptions &options, const std::vector<std::string> &arguments, const ApartOptions &apartness,
          const std::string &messages) {
  std::fflush(nullptr);
  pid_t child = fork();
  if (child < 0)
    fail("cannot start a process");
  if (child == 0) {
    int nowhere = open("/dev/null", O_WRONLY), told = open(messages.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (nowhere < 0 || told < 0 || dup2(nowhere, 1) < 0 || dup2(told, 2) < 0)
      _exit(1);
    _exit(commandProgram(options, "train", arguments, apartness));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/// The steps up to where the loss has left for good. Smoothed as fastai does it: a moving average that begins unbiased.
std::vector<Point> readLosses(const std::string &path, const RateFinderOptions &finding) {
  std::vector<Point> points;
  std::ifstream file(path);
  double mean = 0, least = INFINITY, share = 1;
  for (std::string line; std::getline(file, line);) {
    Json json = Json::parse(line, "a line of the training");
    const Json *loss = json.find("loss");
    if (!loss || !loss->isNumber() || !std::isfinite(loss->number()))
      break;
    double count = static_cast<double>(points.size());
    double rate = finding.from * std::pow(finding.to / finding.from, count / static_cast<double>(finding.steps - 1));
    mean = 0.9 * mean + 0.1 * loss->number();
    share *= 0.9;
    double smooth = mean / (1 - share);
    points.push_back({rate, loss->number(), smooth});
    least = std::min(least, smooth);
    if (points.size() > 10 && smooth > 4 * std::max(least, 1e-8))
      break;
  }
  return points;
}

void writeLines(const std::vector<Point> &points, const std::string &path) {
  AtomicFile file(path);
  for (const Point &point : points)
    file.write(format("{\"lr\":%s,\"loss\":%s,\"smoothed\":%s}\n", jsonNumber(point.rate).c_str(),
                      jsonNumber(point.loss).c_str(), jsonNumber(point.smooth).c_str()));
  file.commit();
}

/// The smoothed losses, the steps' own faintly behind; of those that leave the picture only the first.
void draw(const std::vector<Point> &points, const RateFinderOptions &finding) {
  plot::Curve raw, smooth;
  raw.form = plot::Form::Faint;
  double most = 0;
  for (const Point &point : points) {
    smooth.x.push_back(point.rate);
    smooth.y.push_back(point.smooth);
    most = std::max(most, point.smooth);
  }
  for (const Point &point : points) {
    if (point.loss > most)
      break;
    raw.x.push_back(point.rate);
    raw.y.push_back(point.loss);
  }
  plot::Chart chart;
  chart.curves = {raw, smooth};
  plot::Options options;
  options.output = finding.output;
  options.title = "Loss by the learning rate";
  options.xLabel = "learning rate";
  options.yLabel = "training loss";
  options.logX = true;
  plot::writeChart(chart, options);
}

void tell(const std::vector<Point> &points, const RateFinderOptions &finding) {
  size_t steepest = 1, least = 0;
  double fall = 0;
  for (size_t i = 0; i < points.size(); ++i)
    if (points[i].smooth < points[least].smooth)
      least = i;
  for (size_t i = 1; i <= least; ++i) // the rates are as far from each other on a logarithmic axis
    if (double slope = points[i].smooth - points[i - 1].smooth; i > 5 && slope < fall) {
      fall = slope;
      steepest = i;
    }
  if (fall == 0)
    std::printf("the loss does not fall between %.3g and %.3g: try other rates with --from and --to\n", finding.from,
                points.back().rate);
  else
    std::printf("the loss falls fastest at %.2g and is least at %.2g; a rate to begin with: %.2g\n",
                points[steepest].rate, points[least].rate, std::min(points[steepest].rate, points[least].rate / 10));
}

int find(const ModelOptions &options, const RateFinderOptions &finding, std::vector<std::string> arguments,
         const ApartOptions &apartness) {
  plot::Options output;
  output.output = finding.output;
  if (!finding.output.empty())
    plot::checkOutput(output);
  if (!finding.json.empty())
    checkWritable(finding.json);
  TemporaryFolder folder("kiln-lr-find");
  std::string lines = folder.file("lines"), messages = folder.file("messages");
  arguments.insert(arguments.end(), {"--steps", std::to_string(finding.steps), "--json", lines});
  int code = train(options, arguments, apartness, messages);
  std::vector<Point> points = readLosses(lines, finding);
  if (code != 0 && points.size() < 10) { // else it has gone where rates are too high, as it is to
    std::ifstream told(messages);
    for (std::string line; std::getline(told, line);)
      std::fprintf(stderr, "%s\n", line.c_str());
    return code;
  }
  if (!finding.json.empty())
    writeLines(points, finding.json);
  if (!finding.output.empty())
    draw(points, finding);
  tell(points, finding);
  return 0;
}

} // namespace

CLI::App *addRateFinder(CLI::App &app, RateFinderOptions &finding) {
  CLI::App *command = app.add_subcommand("lr-find", "train a little with a growing rate, to see which one to choose");
  command->add_option("--from", finding.from, "the first rate (default: 1e-7)")->check(CLI::PositiveNumber);
  command->add_option("--to", finding.to, "the last one (default: 10)")->check(CLI::PositiveNumber);
  command->add_option("--steps", finding.steps, "how many (default: 100)")->check(CLI::Range(2, 1000000));
  command->add_option("-o,--output", finding.output, "a picture of the losses: .svg or .png");
  command->add_option("--json", finding.json, "a file for rates and losses, a line each");
  command->allow_extras();
  command->footer("Other options go to the program: see `PROGRAM train --help`.");
  return finding.command = command;
}

int commandRateFinder(ModelOptions options, const RateFinderOptions &finding, const ApartOptions &apartness) {
  if (finding.from >= finding.to) {
    std::fprintf(stderr, "kiln: --from %g is not below --to %g\n", finding.from, finding.to);
    return 2;
  }
  char sweep[128];
  std::snprintf(sweep, sizeof sweep, "%.17g,%.17g,%lld", finding.from, finding.to,
                static_cast<long long>(finding.steps));
  options.set.emplace_back(language::sweptRates, sweep);
  try {
    return find(options, finding, finding.command->remaining(), apartness);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "kiln: error: %s\n", error.what());
    return 1;
  }
}

} // namespace kiln
