// A whole program over the fake backend: main() and all commands, for tests that need a process.
#include "runtime/cli/Commands.h"
#include "tests/runtime/FakeBackend.h"

#include <cstdlib>

int main(int count, char **arguments) {
  const char *path = std::getenv("KILN_FAKE_DATA");
  std::string manifest = kiln::testing::lineManifest(path ? path : "line.csv");
  kiln_program_image image = kiln::testing::fakeImage(manifest);
  return kiln::runProgram(image, std::vector<std::string>(arguments, arguments + count));
}
