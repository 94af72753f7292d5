// What an execution may take for unchanged (kiln_execution.versions), and what an argument is to its entry.
#include "runtime/backend/Tables.h"
#include "runtime/cli/Checkpoint.h"
#include "runtime/program/Program.h"
#include "runtime/support/Error.h"
#include "tests/runtime/FakeBackend.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>
#include <set>

namespace kiln {
namespace {

using testing::fakeImage;
using testing::fakeRunSide;

using Numbers = std::vector<uint64_t>;

Numbers seen;         // of the last execution
size_t arguments = 0; // that its entry has
bool given = false, fails = false;
decltype(kiln_run_api::execute) execute = nullptr;
const kiln_program *loadedLast = nullptr, *loadedFirst = nullptr;
decltype(kiln_run_api::load) load = nullptr;
decltype(kiln_run_api::unload) unload = nullptr;

int32_t spyLoad(kiln_device *device, const kiln_program *loaded, const void *artifact, uint64_t bytes,
                kiln_executable **executable, kiln_error *error) {
  loadedLast = loaded;
  loadedFirst = loadedFirst ? loadedFirst : loaded;
  return load(device, loaded, artifact, bytes, executable, error);
}

/// The fake knows one program: after one that went launch by launch it is the first again.
void spyUnload(kiln_executable *executable) {
  kiln_executable *again = nullptr;
  load(nullptr, loadedLast = loadedFirst, nullptr, 0, &again, nullptr);
}

int32_t spyExecute(kiln_executable *executable, const kiln_execution *execution, kiln_error *error) {
  arguments = loadedLast->entries[execution->entry].argument_count;
  given = execution->versions != nullptr;
  seen.clear();
  if (given)
    seen.assign(execution->versions, execution->versions + arguments);
  return fails ? KILN_ERROR_INTERNAL : execute(executable, execution, error);
}

std::string withInputs(std::string manifest) {
  for (auto [name, inputs] :
       {std::pair("gradient", 2), std::pair("update", 0), std::pair("forward", 3), std::pair("check", 1)}) {
    std::string kernel = std::string("{\"name\": \"") + name + "\"";
    size_t at = manifest.find(kernel);
    EXPECT_NE(at, std::string::npos);
    manifest.insert(at + kernel.size(), ", \"inputs\": " + std::to_string(inputs));
  }
  return manifest;
}

/// In host memory, and on a device with memory of its own.
class Versions : public ::testing::TestWithParam<bool> {
protected:
  Versions() {
    testing::keepApart(GetParam());
    load = fakeRunSide().load;
    execute = fakeRunSide().execute;
    unload = fakeRunSide().unload;
    loadedFirst = nullptr;
    fakeRunSide().load = spyLoad;
    fakeRunSide().unload = spyUnload;
    fakeRunSide().execute = spyExecute;
    fails = false;
  }
  ~Versions() override {
    testing::keepApart(false);
    fakeRunSide().load = load;
    fakeRunSide().unload = unload;
    fakeRunSide().execute = execute;
  }

  static Numbers run(Program &program, const char *entry) {
    Call &call = program.call(entry);
    for (int input : call.inputs()) {
      std::vector<int64_t> &shape = call.shape(input);
      for (int64_t &dim : shape)
        dim = dim ? dim : 4;
      std::fill_n(static_cast<float *>(call.data(input)), 4, 0.25F);
    }
    call.run(0, 0);
    return seen;
  }

  std::string manifest = withInputs(testing::lineManifest("x.csv"));
  kiln_program_image image = fakeImage(manifest);
};

enum Forward { X, W, B, Y };

TEST_P(Versions, HoldAsLongAsNobodyWrites) {
  Program program(image, 1);
  program.initialise(0);
  Numbers first = run(program, "forward"), second = run(program, "forward");
  ASSERT_EQ(first.size(), 4u);
  EXPECT_EQ(first[X], 0u) << "an input is what its caller wrote";
  EXPECT_EQ(first[Y], 0u);
  EXPECT_NE(first[W], 0u);
  EXPECT_NE(first[B], 0u);
  EXPECT_NE(first[W], first[B]);
  EXPECT_EQ(first, second);
  Numbers other = run(program, "eval"); // x y w b loss
  EXPECT_EQ(other[2], first[W]) << "in another entry it is the same weight";
  EXPECT_EQ(other[3], first[B]);
  Numbers gradients = run(program, "grad"); // which writes gradients of that name
  EXPECT_EQ(gradients[2], first[W]);
  EXPECT_EQ(gradients[5], 0u);
  EXPECT_EQ(run(program, "forward"), first);
}

/// Whether both weights have other numbers after it.
#define EXPECT_CHANGES(program, what)                                                                                  \
  do {                                                                                                                 \
    Numbers before = run(program, "forward");                                                                          \
    what;                                                                                                              \
    Numbers after = run(program, "forward");                                                                           \
    EXPECT_NE(before[W], after[W]) << #what;                                                                           \
    EXPECT_NE(before[B], after[B]) << #what;                                                                           \
    EXPECT_EQ(run(program, "forward"), after) << #what;                                                                \
  } while (false)

TEST_P(Versions, EveryWriteIsAnother) {
  Program program(image, 1);
  program.initialise(0);
  testing::TemporaryFolder folder;
  EXPECT_CHANGES(program, program.initialise(1));
  EXPECT_CHANGES(program, program.parameters());
  {
    Numbers before = run(program, "forward");
    program.parameter("w")->as<float>()[0] = 3; // and no other
    Numbers changed = run(program, "forward");
    EXPECT_NE(before[W], changed[W]);
    EXPECT_EQ(before[B], changed[B]);
  }
  EXPECT_CHANGES(program, run(program, "train_step"));
  std::string path = folder.path() + "/w.safetensors";
  saveWeights(path, program, {});
  EXPECT_CHANGES(program, program.loadWeights(path));
  std::string checkpoint = folder.path() + "/c.safetensors";
  saveCheckpoint(checkpoint, program, {}, {});
  EXPECT_CHANGES(program, loadCheckpoint(checkpoint, program));
  EXPECT_CHANGES(program, program.call("train_step").findNotFinite(0, 0)); // launch by launch
  fails = true;
  EXPECT_THROW(run(program, "train_step"), Error);
  Numbers failed = seen;
  fails = false;
  Numbers after = run(program, "train_step");
  for (size_t i : {2u, 3u, 4u, 5u})
    EXPECT_NE(failed[i], after[i]) << "of an execution that failed nobody knows what it wrote";
}

TEST_P(Versions, OfAStepAreThoseBeforeIt) {
  Program program(image, 1);
  program.initialise(0);
  Numbers forward = run(program, "forward"), first = run(program, "train_step"), second = run(program, "train_step");
  EXPECT_EQ(first[2], forward[W]);
  EXPECT_EQ(first[3], forward[B]);
  for (size_t i : {2u, 3u, 4u, 5u}) { // weights and momenta
    EXPECT_NE(first[i], 0u);
    EXPECT_NE(first[i], second[i]);
  }
  for (size_t i : {0u, 1u, 6u})
    EXPECT_EQ(first[i], 0u);
}

TEST_P(Versions, OneLaunchAloneKnowsNothing) {
  Program program(image, 1);
  program.initialise(0);
  run(program, "forward");
  program.call("forward").findNotFinite(0, 0);
  EXPECT_FALSE(given);
}

TEST_P(Versions, NoTwoProgramsShareANumber) {
  std::set<uint64_t> all;
  Program one(image, 1), other(image, 1);
  for (Program *each : {&one, &other})
    for (uint64_t number : run(*each, "forward"))
      EXPECT_TRUE(number == 0 || all.insert(number).second) << number;
}

TEST_P(Versions, SessionStates) {
  std::string manifest = testing::chainManifest();
  kiln_program_image image = fakeImage(manifest);
  Program program(image, 1);
  program.initialise(0);
  Call &prefill = program.call("generate.prefill"), &step = program.call("generate.step");
  auto prompted = [&] {
    prefill.shape(prefill.input("prompt")) = {2, 3};
    std::fill_n(static_cast<int32_t *>(prefill.data(prefill.input("prompt"))), 6, 1);
    prefill.run(0, 0);
  };
  auto stepped = [&](int64_t rows) {
    step.shape(step.input("token")) = {rows};
    std::fill_n(static_cast<int32_t *>(step.data(step.input("token"))), 2, 1);
    *static_cast<int32_t *>(step.data(step.input("position"))) = 3;
    step.narrowSessions();
    step.run(0, 0);
    return seen[2];
  };
  std::set<uint64_t> all;
  auto isNew = [&](uint64_t number) { return number && all.insert(number).second; };
  prompted(); // its result is copied to where the state is
  EXPECT_TRUE(isNew(stepped(2)));
  EXPECT_TRUE(isNew(stepped(2))) << "a step writes it in place";
  prompted();
  EXPECT_TRUE(isNew(stepped(2)));
  EXPECT_TRUE(isNew(stepped(1))) << "fewer rows";
  program.resetSession(Session::Sequence, 0);
  EXPECT_TRUE(isNew(stepped(1)));
  program.state("h")->as<int32_t>()[0] = 2;
  EXPECT_TRUE(isNew(stepped(1)));
}

INSTANTIATE_TEST_SUITE_P(Memory, Versions, ::testing::Bool(),
                         [](const auto &info) { return info.param ? "Device" : "Host"; });

TEST(Arguments, AreKnownToTheRunSide) {
  std::string text = testing::lineManifest("x.csv");
  Manifest manifest = Manifest::parse(text);
  Plan plan(manifest, nullptr, 0);
  auto argument = [&](uint32_t entry, uint32_t number) {
    kiln_argument argument = {};
    argument.size = sizeof argument;
    tableReader()->argument(&plan.program(), entry, number, &argument);
    return argument;
  };
  kiln_argument input = argument(1, 0), weight = argument(0, 2), momentum = argument(0, 4), loss = argument(0, 6);
  EXPECT_EQ(input.role, KILN_ROLE_INPUT);
  EXPECT_EQ(input.flags, static_cast<uint32_t>(KILN_ARGUMENT_READ));
  EXPECT_EQ(input.dtype, KILN_F32);
  ASSERT_EQ(input.rank, 2u); // f32[N, 2]
  EXPECT_EQ(input.dims[0].slot, 0);
  EXPECT_EQ(input.dims[0].value, 4);
  EXPECT_EQ(input.dims[1].slot, -1);
  EXPECT_EQ(input.dims[1].value, 2);
  EXPECT_EQ(std::string(input.name.data, input.name.size), "data.features");
  EXPECT_EQ(weight.role, KILN_ROLE_PARAMETER);
  EXPECT_EQ(weight.flags, static_cast<uint32_t>(KILN_ARGUMENT_READ | KILN_ARGUMENT_WRITTEN));
  EXPECT_EQ(momentum.role, KILN_ROLE_OPTIMIZER_STATE);
  EXPECT_EQ(loss.role, KILN_ROLE_LOSS);
  EXPECT_EQ(loss.flags, static_cast<uint32_t>(KILN_ARGUMENT_WRITTEN));
  EXPECT_EQ(loss.rank, 0u);
  EXPECT_EQ(argument(2, 5).role, KILN_ROLE_GRADIENT);
  EXPECT_EQ(argument(3, 3).role, KILN_ROLE_OUTPUT);
  for (const kiln_argument &none : {argument(0, 7), argument(5, 0)}) { // numbers that there are not
    EXPECT_EQ(none.role, KILN_ROLE_UNKNOWN);
    EXPECT_EQ(none.name.size, 0u);
  }
}

} // namespace
} // namespace kiln
