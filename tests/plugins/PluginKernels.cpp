// plugin-kernels PLUGIN.so [gtest flags]: the kernels of tests/backends/sdk, through a plugin from outside. What it
// refuses is skipped; `--all` makes a refusal a failure.
#include "tests/backends/sdk/CForm.h"

#include <gtest/gtest.h>

#include <cstring>

namespace kiln::test {

static std::shared_ptr<host::Backend> backend;
static bool refusalsFail = false;

static Launches launches() {
  kiln_target target{};
  target.size = sizeof(target);
  target.jobs = 1;
  return Launches(backend, nullptr, target);
}

/// Whether what was claimed compiles, and a device opens.
static std::unique_ptr<conformance::Session> start(Launches &launches) {
  std::string error;
  auto session = launches.compile(error) ? conformance::Session::open(*backend, 0, /*threads=*/1, error) : nullptr;
  EXPECT_TRUE(session) << error;
  return session;
}

void checkC(std::vector<Case> &cases) {
  Launches program = launches();
  std::vector<Case *> taken;
  for (Case &each : cases) {
    std::string reason;
    if (program.claim(each.kernel, reason)) {
      taken.push_back(&each);
      continue;
    }
    EXPECT_FALSE(refusalsFail) << each.what << " is refused: " << reason;
    EXPECT_FALSE(reason.empty()) << each.what;
  }
  auto session = taken.empty() ? nullptr : start(program);
  for (size_t k = 0; session && k < taken.size(); ++k) {
    Case &each = *taken[k];
    RunResult result = program.run(*session, k, bytesOf(each.inputs), /*inPlace=*/true);
    EXPECT_EQ(result.error, "") << each.what;
    judge(each.kernel, each.inputs, result.bytes, each.tolerance, each.what, /*flushesDenormals=*/true);
  }
}

kiln_status statusOf(TestKernel &kernel, const std::vector<Tensor> &inputs) {
  Launches program = launches();
  std::string reason;
  if (program.claim(kernel, reason)) {
    auto session = start(program);
    return session ? program.run(*session, 0, bytesOf(inputs)).status : kiln_status{};
  }
  EXPECT_FALSE(refusalsFail) << reason;
  return {};
}

} // namespace kiln::test

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string error;
  if (argc < 2 || !(kiln::test::backend = kiln::host::Backend::load(argv[1], error))) {
    std::fprintf(stderr, "plugin-kernels: %s\n", argc < 2 ? "which plugin?" : error.c_str());
    return 2;
  }
  kiln::test::refusalsFail = argc > 2 && !std::strcmp(argv[2], "--all");
  return RUN_ALL_TESTS();
}
