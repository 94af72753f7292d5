// t-SNE: kiln itself compiles models/tsne/tsne.kiln and runs it, in a folder of its own.
#include "frontend/plot/Project.h"

#include "frontend/plot/TsneModel.h"

#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kiln::plot {

namespace {

constexpr int64_t kMostCases = 5000; // all pairs are looked at in each step

/// Its errors go to our own; what else it says does not.
void call(std::vector<std::string> arguments, const TemporaryFolder &folder) {
  std::vector<char *> argv, environment;
  for (std::string &argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::string cache = "KILN_CACHE_DIR=" + folder.file("cache");
  for (char **one = environ; *one; ++one)
    if (std::strncmp(*one, "KILN_CACHE_DIR=", 15) != 0)
      environment.push_back(*one);
  environment.insert(environment.end(), {cache.data(), nullptr});
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  int error = posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error)
    fail("cannot start '%s': %s", argv[0], describeErrno(error).c_str());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0)
    fail("t-SNE did not come to its end: `kiln %s` failed", arguments[1].c_str());
}

} // namespace

Plane tsne(const Array &points, double perplexity, int64_t steps, int64_t seed, const std::string &kiln) {
  int64_t count = points.rows(), width = points.width();
  if (count > kMostCases)
    fail("%s has %lld points; t-SNE looks at all pairs, and takes up to %lld: --take FIRST:END draws a part",
         points.what.c_str(), static_cast<long long>(count), static_cast<long long>(kMostCases));
  if (perplexity < 1 || perplexity * 3 > static_cast<double>(count - 1))
    fail("--perplexity %s is for at least %.0f points; there are %lld", shortest(perplexity).c_str(),
         std::ceil(perplexity * 3 + 1), static_cast<long long>(count));
  for (double value : points.values)
    if (!std::isfinite(static_cast<float>(value)))
      fail("%s holds %s, which is too large for t-SNE", points.what.c_str(), shortest(value).c_str());
  auto first = points.values.begin();
  if (std::equal(first + width, points.values.end(), first))
    fail("%s: all points are one; there is nothing to tell apart", points.what.c_str());
  TemporaryFolder folder("kiln-tsne");
  AtomicFile model(folder.file("tsne.kiln"));
  model.write(kTsneModel);
  model.commit();
  std::vector<float> values(points.values.begin(), points.values.end());
  std::string input = folder.file("points.safetensors"), neighbours = folder.file("neighbours.safetensors"),
              output = folder.file("y.safetensors");
  writeSafetensors(
      input, {{"x", KILN_F32, {count, width}, reinterpret_cast<const uint8_t *>(values.data()), 4 * values.size()}});
  std::vector<std::string> settings = {"--set",  "points=" + std::to_string(count),
                                       "--set",  "width=" + std::to_string(width),
                                       "--set",  format("perplexity=%f", perplexity),
                                       "--set",  "steps=" + std::to_string(steps),
                                       "--seed", std::to_string(seed)};
  std::vector<std::string> run = {
      kiln, "run", folder.file("tsne.kiln"), "neighbours", "--input", "x=" + input, "--output", neighbours};
  run.insert(run.end(), settings.begin(), settings.end());
  call(run, folder);
  // The program names its result by its place.
  {
    Safetensors file = Safetensors::open(neighbours);
    TensorView p = file.tensors().at(0);
    p.name = "p";
    writeSafetensors(folder.file("p.safetensors"), {p});
  }
  std::vector<std::string> train = {
      kiln, "train", folder.file("tsne.kiln"), "--data", "data=" + folder.file("p.safetensors"), "--save", output};
  train.insert(train.end(), settings.begin(), settings.end());
  call(train, folder);
  Safetensors file = Safetensors::open(output);
  const TensorView *y = file.find("y");
  Plane plane;
  for (int64_t i = 0; y && i < 2 * count; ++i)
    (i % 2 ? plane.y : plane.x).push_back(loadNumber(y->dtype, y->data, i));
  return plane;
}

} // namespace kiln::plot
