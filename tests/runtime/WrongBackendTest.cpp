// A run side that says what cannot be: each thing is named as what it is.
#include "runtime/program/Program.h"
#include "runtime/support/Error.h"
#include "tests/runtime/FakeBackend.h"
#include "tests/runtime/Temporary.h"

#include <cstring>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using testing::errorOf;
using testing::fakeRunSide;

constexpr kiln_string nowhere = {nullptr, 9};

/// The error of a program over the fake backend whose run side was changed; `use` does something with it.
std::string errorWith(
    const std::function<void(kiln_run_api &)> &change, const std::function<void(Program &)> &use = [](Program &) {}) {
  const kiln_run_api sound = fakeRunSide();
  change(fakeRunSide());
  std::string manifest = testing::lineManifest("x.csv");
  kiln_program_image image = testing::fakeImage(manifest);
  std::string error = errorOf([&] {
    Program program(image, 1);
    use(program);
  });
  fakeRunSide() = sound;
  return error;
}

/// A device info that is sound but for one thing.
template <void (*Change)(kiln_device_info &)>
int32_t changedInfo(const kiln_host *, uint32_t, kiln_device_info *info, kiln_error *) {
  info->usable = 1;
  info->name = {"fake", 4};
  Change(*info);
  return 0;
}

TEST(WrongBackend, IsRightAsLongAsNothingIsChanged) {
  EXPECT_EQ(errorWith([](kiln_run_api &) {}), "");
}

TEST(WrongBackend, Devices) {
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.device_count = [](const kiln_host *, uint32_t *count, kiln_string *, kiln_error *) {
                *count = UINT32_MAX;
                return 0;
              };
            }),
            "backend fake says that there are 4294967295 devices: tell its author");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.device_count = [](const kiln_host *, uint32_t *count, kiln_string *reason, kiln_error *) {
                *count = 0;
                *reason = nowhere;
                return 0;
              };
            }),
            "backend fake finds no device");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.device_info = changedInfo<[](kiln_device_info &info) { info.flags = 0x60; }>;
            }),
            "backend fake: device 0 sets the flags 0x60, which version " + std::to_string(KILN_ABI_VERSION) +
                " of the interface does not have: tell its author");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.device_info = changedInfo<[](kiln_device_info &info) { info.usable = 0; }>;
            }),
            "backend fake: device 0 (fake) cannot be used: the backend does not say why");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.device_info = changedInfo<[](kiln_device_info &info) { info.driver = nowhere; }>;
            }),
            "backend fake: device 0 has a driver of 9 bytes at no address: tell its author");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.device_info = changedInfo<[](kiln_device_info &info) { info.memory_count = 2; }>;
            }),
            "backend fake: device 0 says that it has 2 memories, and nothing of number 0: tell its author");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.device_info = changedInfo<[](kiln_device_info &info) {
                info.usable = 0;
                info.name = {"a \xff", 3};
                info.reason = {"no \033[2J", 7};
              }>;
            }),
            "backend fake: device 0 (a \xef\xbf\xbd) cannot be used: no \xef\xbf\xbd[2J");
}

TEST(WrongBackend, HowMuchMemoryThereIsIsSaid) {
  auto none = [](kiln_device *, void *, uint64_t, kiln_buffer **, kiln_error *) {
    return static_cast<int32_t>(KILN_ERROR_OUT_OF_MEMORY);
  };
  EXPECT_EQ(errorWith([&](kiln_run_api &run) { run.import = none; }),
            "backend fake: no memory for 8 bytes: out of memory (the backend says no more)");
  EXPECT_EQ(errorWith([&](kiln_run_api &run) {
              run.import = none;
              run.device_info = changedInfo<[](kiln_device_info &info) {
                info.flags = KILN_BACKEND_HOST_MEMORY;
                info.memory_bytes = static_cast<uint64_t>(80) << 30;
                info.free_bytes = static_cast<uint64_t>(100) << 20;
              }>;
            }),
            "backend fake: no memory for 8 bytes (100.0 MiB of 80.0 GiB are free): out of memory (the backend says no "
            "more)");
}

TEST(WrongBackend, SuccessesThatGiveNothing) {
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.open = [](const kiln_host *, uint32_t, kiln_device **, kiln_error *) { return 0; };
            }),
            "backend fake: it cannot be opened: it says that it succeeded and gives nothing");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.import = [](kiln_device *, void *, uint64_t, kiln_buffer **, kiln_error *) { return 0; };
            }),
            "backend fake: no memory: it says that it succeeded and gives nothing");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.load = [](kiln_device *, const kiln_program *, const void *, uint64_t, kiln_executable **,
                            kiln_error *) { return 0; };
            }),
            "backend fake: it cannot load the program: it says that it succeeded and gives nothing");
}

TEST(WrongBackend, Codes) {
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.open = [](const kiln_host *, uint32_t, kiln_device **, kiln_error *) { return 99; };
            }),
            "backend fake: it cannot be opened: the code 99, which the interface does not have (the backend says no "
            "more)");
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.open = [](const kiln_host *, uint32_t, kiln_device **, kiln_error *error) {
                std::memset(error->message, 'x', sizeof error->message); // no end
                return 5;
              };
            }),
            "backend fake: it cannot be opened: " + std::string(sizeof kiln_error::message, 'x'));
  auto step = [](Program &program) { program.call("train_step").run(0, 0); };
  EXPECT_EQ(errorWith(
                [](kiln_run_api &run) {
                  run.execute = [](kiln_executable *, const kiln_execution *, kiln_error *error) {
                    error->kernel = 4711;
                    return -1;
                  };
                },
                step),
            "the backend fake failed in 'train_step': the code -1, which the interface does not have (the backend says "
            "no more)");
  EXPECT_EQ(
      errorWith(
          [](kiln_run_api &run) {
            run.execute = [](kiln_executable *, const kiln_execution *execution, kiln_error *) {
              execution->status->kernel = 4711;
              execution->status->kind = 12;
              return 0;
            };
          },
          step),
      "the backend fake reports the status 12, which the interface does not have ('train_step'): tell its author");
}

TEST(WrongBackend, Profiles) {
  auto step = [](Program &program) {
    Profile profile;
    program.profile(&profile);
    program.call("train_step").run(0, 0);
  };
  EXPECT_EQ(errorWith(
                [](kiln_run_api &run) {
                  run.profile = [](kiln_executable *, int32_t, const kiln_profile_event **events, size_t *count,
                                   kiln_error *) {
                    static const kiln_profile_event event = {4711, 0, 1, 2};
                    *events = &event;
                    *count = 1;
                    return 0;
                  };
                },
                step),
            "backend fake has timed the kernel 4711 of 'train_step', where it has 5 kernels: tell its author");
  EXPECT_EQ(errorWith(
                [](kiln_run_api &run) {
                  run.profile = [](kiln_executable *, int32_t, const kiln_profile_event **, size_t *count,
                                   kiln_error *) {
                    *count = 3;
                    return 0;
                  };
                },
                step),
            "backend fake gives 3 events of 'train_step' to profile at no address: tell its author");
}

TEST(WrongBackend, Exceptions) {
  EXPECT_EQ(errorWith([](kiln_run_api &run) {
              run.open = [](const kiln_host *, uint32_t, kiln_device **, kiln_error *) -> int32_t { throw 42; };
            }),
            "the backend fake threw an exception in its open, which the backend interface forbids: tell its author");
  // What gives something back has no way to fail: it is told, and the program goes on.
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(errorWith([](kiln_run_api &run) { run.unload = [](kiln_executable *) { throw 42; }; }), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "error: the backend fake threw an exception in its unload, which the backend interface forbids: tell its "
            "author\n");
}

} // namespace
} // namespace kiln
