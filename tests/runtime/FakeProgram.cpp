// A whole program over the fake backend: main() and all commands, for tests that need a process.
#include "runtime/cli/Commands.h"
#include "tests/runtime/FakeBackend.h"

#include <cstdlib>

/// What draws is linked where it is named, which in other programs their image does.
extern "C" int kiln_generate_command(const kiln::Options &options, kiln::Common &common);
[[gnu::used]] static auto *const draws = &kiln_generate_command;

int main(int count, char **arguments) {
  const char *path = std::getenv("KILN_FAKE_DATA");
  std::string manifest = kiln::testing::lineManifest(path ? path : "line.csv");
  // Another recipe than the usual one, for a test that wants it.
  if (const char *train = std::getenv("KILN_FAKE_TRAIN")) {
    size_t begin = manifest.find("\"train\": "), end = manifest.find("\"kernels\"");
    manifest.replace(begin, end - begin, std::string("\"train\": ") + train + ",");
  }
  if (std::getenv("KILN_FAKE_CHAIN"))
    manifest = kiln::testing::chainManifest();
  kiln_program_image image = kiln::testing::fakeImage(manifest);
  return kiln::runProgram(image, std::vector<std::string>(arguments, arguments + count));
}
