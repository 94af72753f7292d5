// --emit shared as a user of plain C has it: library.c, compiled by the system's compiler against the header, beside
// the executable of the same model.
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/library/library.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <array>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace kiln::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kStrictC = {
    "-std=c99", "-D_XOPEN_SOURCE=700", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"};

class SharedLibrary : public testing::Test {
protected:
  static void SetUpTestSuite() {
    fixture = new Fixture(Fixture::open("mnist"));
    folder = freshFolder("library");
    build({"--emit", "shared", "-o", folder + "/libmnist.so"});
    build({"-o", folder + "/mnist"});
    Safetensors batches = Safetensors::open(fixture->folder + "/batches.safetensors");
    for (const char *name : {"image", "label"}) {
      const TensorView *tensor = batches.find(name);
      std::ofstream(folder + "/" + name + "s.raw", std::ios::binary)
          .write(reinterpret_cast<const char *>(tensor->data), static_cast<std::streamsize>(tensor->bytes));
    }
    std::ofstream(folder + "/foreign.txt") << "not a tensor in sight\n";
  }

  static void build(std::vector<std::string> rest) {
    rest.insert(rest.begin(), {kilnProgram(), "build", fixture->source, "--model", fixture->model});
    for (const auto &[key, value] : fixture->settings)
      rest.insert(rest.end(), {"--set", key + "=" + value});
    Outcome outcome = run(rest);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }

  static Outcome compile(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), KILN_C_COMPILER);
    arguments.push_back("-I" + folder);
    return run(arguments);
  }

  static Fixture *fixture;
  static std::string folder;
};
Fixture *SharedLibrary::fixture;
std::string SharedLibrary::folder;

std::vector<std::string> linesWith(const std::string &text, const std::string &begin) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(begin))
      found.push_back(line.substr(begin.size()));
  return found;
}

TEST_F(SharedLibrary, TrainsSavesAndRunsFromC) {
  std::vector<std::string> arguments = kStrictC;
  arguments.insert(arguments.end(), {sourceFolder() + "/tests/e2e/library.c", "-o", folder + "/user", "-L" + folder,
                                     "-lmnist", "-Wl,-rpath," + folder});
  Outcome compiled = compile(arguments);
  ASSERT_EQ(compiled.code, 0) << compiled.err;
  std::string weights = fixture->folder + "/init.safetensors";
  Outcome used = run({folder + "/user", folder, weights});
  ASSERT_EQ(used.code, 0) << used.out << used.err;
  EXPECT_EQ(used.err, "");
  EXPECT_THAT(used.out, HasSubstr("before: ''\n"));
  EXPECT_THAT(used.out, HasSubstr("\nstep 10\n"));
  EXPECT_THAT(used.out, HasSubstr("\noutput 0 [32, 10] of 2\n"));
  EXPECT_THAT(used.out, HasSubstr("\nsame: 1\n"));

  // The executable's losses, to the last bit, and its weights.
  Outcome trained =
      run({folder + "/mnist", "train", "--data", "data=" + fixture->folder + "/batches.safetensors", "--load", weights,
           "--steps", "25", "--threads", "2", "--json", folder + "/losses.json", "--out", folder + "/run"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::vector<double> expected, losses;
  for (const std::string &line : linesWith(readFile(folder + "/losses.json"), ""))
    expected.push_back(nlohmann::json::parse(line)["loss"]);
  for (const std::string &line : linesWith(used.out, "loss "))
    losses.push_back(std::stod(line));
  ASSERT_EQ(losses.size(), 25u);
  EXPECT_EQ(losses, expected);
  std::map<std::string, Values> program = readTensors(folder + "/run/last.safetensors");
  for (const char *file : {"/a.safetensors", "/b.safetensors"}) {
    std::map<std::string, Values> library = readTensors(folder + file);
    ASSERT_EQ(library.size(), program.size());
    for (const auto &[name, values] : program)
      EXPECT_EQ(library[name].data, values.data) << name;
  }
  // A checkpoint of the library's is one of the program's.
  std::filesystem::create_directory(folder + "/resumed");
  std::filesystem::copy_file(folder + "/half.safetensors", folder + "/resumed/last.safetensors");
  Outcome resumed = run({folder + "/mnist", "train", "--data", "data=" + fixture->folder + "/batches.safetensors",
                         "--out", folder + "/resumed", "--resume", "--steps", "25"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("resumed at step 10\n"));
  for (const auto &[name, values] : readTensors(folder + "/resumed/last.safetensors"))
    EXPECT_EQ(program[name].data, values.data) << name;

  std::string there = "'" + folder + "/foreign.txt'";
  EXPECT_THAT(
      linesWith(used.out, "error: "),
      ElementsAre(
          HasSubstr("create: threads 5000: expected 1 to 1024; this machine has "),
          HasSubstr("device 7: backend cpu has 1 device"), "load: the model is a null pointer",
          "load: the path is a null pointer", "cannot read '/there/is/nothing': no such file or folder",
          there + " is not a safetensors file, or damaged: its header would be longer than 100 MB",
          "cannot write '/there/is/no/folder': no such file or folder",
          "this program has no function 'fourward' (did you mean 'forward'?); it has: forward, eval, grad, train_step",
          "run: the function's name is a null pointer",
          "run: 'train_step' changes the parameters; there is a function of its own for it",
          "'forward' takes 1 input (image f32[B, 1, 28, 28]); 0 are given",
          "forward: the array of inputs is a null pointer",
          "forward: output 0 ('0') is f32[32, 10]; the tensor given for it is f32[32, 9]",
          "'forward' gives 1 result; 2 outputs are given",
          "forward: input 'image' is u8[100000, 1, 28, 28]: B is 100000; 'forward' was built for B <= 32: build with "
          "--bound B=100000",
          "forward: input 'image' is u8[-1, 1, 28, 28]; expected f32[B, 1, 28, 28], at most 25088 elements",
          "input 'image' has the shape [32, 1, 27, 28], expected f32[B, 1, 28, 28]",
          "forward: input 'image' has the rank 9; a tensor has at most 8 dimensions",
          "forward: input 'image' has the dtype 77, which is none of KILN_TENSOR_F32 to KILN_TENSOR_BOOL",
          "forward: input 'image' has no data",
          "'train_step' takes 2 inputs (data.image f32[32, 1, 28, 28], data.label i32[32]); 1 is given",
          "train_step: input 'data.label' is u8[32, 1, 28, 28]; expected i32[32], at most 32 elements",
          "train_step: input 'data.label' is i64[32], expected i32[32]: element 3 is 5000000000, which i32 cannot hold",
          HasSubstr("index out of range: 10 is not in 0 to 9 (gather at "), "reset: the model is a null pointer"));
}

TEST_F(SharedLibrary, TheDocumentsExampleRuns) {
  std::string page = readFile(sourceFolder() + "/docs/programs.md");
  size_t begin = page.find("```c\n") + 5;
  std::ofstream(folder + "/main.c") << page.substr(begin, page.find("\n```", begin) + 1 - begin);
  Outcome compiled = compile({"-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", folder + "/main.c", "-o",
                              folder + "/example", "-L" + folder, "-lmnist", "-Wl,-rpath," + folder});
  ASSERT_EQ(compiled.code, 0) << compiled.err;
  Outcome used = run({"/bin/sh", "-c", "cd " + folder + " && ./example"});
  EXPECT_EQ(used.code, 0) << used.err;
  EXPECT_THAT(used.out, testing::MatchesRegex("loss [0-9.]+ after 1 step\n"));
  EXPECT_TRUE(fileExists(folder + "/weights.safetensors"));
}

TEST_F(SharedLibrary, ShowsItsFunctionsAlone) {
  Outcome symbols = run({KILN_NM, "-D", "--defined-only", folder + "/libmnist.so"});
  ASSERT_EQ(symbols.code, 0) << symbols.err;
  std::vector<std::string> names;
  for (const std::string &line : linesWith(symbols.out, ""))
    names.push_back(line.substr(line.find_last_of(' ') + 1));
  EXPECT_THAT(names, testing::UnorderedElementsAre("mnist_create", "mnist_destroy", "mnist_last_error", "mnist_load",
                                                   "mnist_reset", "mnist_run", "mnist_save", "mnist_step",
                                                   "mnist_train_step"));
  Outcome libraries = run({"/usr/bin/ldd", folder + "/libmnist.so"});
  for (const std::string &line : linesWith(libraries.out, "\t"))
    EXPECT_THAT(line,
                testing::ContainsRegex("^(linux-vdso|libstdc\\+\\+|libm|libgcc_s|libc|/lib64/ld-linux|libpthread)"));
  EXPECT_LE(std::filesystem::file_size(folder + "/libmnist.so"), 1u << 20);
}

TEST_F(SharedLibrary, HeaderStandsAloneAndBesideOthers) {
  std::string header = readFile(folder + "/mnist.h");
  EXPECT_THAT(header, HasSubstr(" *   \"forward\", where 1 <= B <= 32\n"
                                " *     inputs:   image  f32[B, 1, 28, 28]\n"
                                " *     outputs:  0  f32[B, 10]\n"));
  EXPECT_THAT(header, HasSubstr(" * A batch, for mnist_train_step:\n"
                                " *   one step\n"
                                " *     inputs:   data.image  f32[32, 1, 28, 28]\n"
                                " *               data.label  i32[32]\n"));
  for (const char *left : {"kiln_library", "KILN_LIBRARY", "ABOUT", "SEED"})
    EXPECT_THAT(header, Not(HasSubstr(left)));
  Outcome other = run({kilnProgram(), "build", sourceFolder() + "/models/iris/iris.kiln", "--model", "MLP", "--emit",
                       "shared", "-o", folder + "/libiris.so"});
  ASSERT_EQ(other.code, 0) << other.err;
  std::string text = "#include \"mnist.h\"\n#include \"iris.h\"\n#include \"mnist.h\"\n"
                     "mnist_model *one(void) { return mnist_create(0, 0, 0); }\n"
                     "mlp_model *other(void) { return mlp_create(0, 0, 0); }\n";
  for (const char *suffix : {".c", ".cpp"}) {
    std::string source = folder + "/both" + suffix;
    std::ofstream(source) << text;
    for (const char *standard : {"-std=c99", "-std=c11", "-std=c++20"}) {
      if ((standard == std::string("-std=c++20")) != (suffix == std::string(".cpp")))
        continue;
      Outcome compiled = compile({standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", source});
      EXPECT_EQ(compiled.code, 0) << standard << compiled.err;
    }
  }
}

/// The functions of a library that is loaded by hand, under the template's types.
struct Loaded {
  explicit Loaded(const std::string &path, const std::string &prefix) : handle(dlopen(path.c_str(), RTLD_NOW)) {
    EXPECT_NE(handle, nullptr) << dlerror();
    find(prefix + "_create", create);
    find(prefix + "_run", run);
    find(prefix + "_load", load);
    find(prefix + "_save", save);
    find(prefix + "_train_step", trainStep);
    find(prefix + "_reset", reset);
    find(prefix + "_destroy", destroy);
    find(prefix + "_last_error", lastError);
  }
  ~Loaded() { dlclose(handle); }
  template <typename Function> void find(const std::string &name, Function &function) {
    function = reinterpret_cast<Function>(dlsym(handle, name.c_str()));
    EXPECT_NE(function, nullptr) << name;
  }
  void *handle;
  decltype(&kiln_library_create) create;
  decltype(&kiln_library_run) run;
  decltype(&kiln_library_load) load;
  decltype(&kiln_library_save) save;
  decltype(&kiln_library_train_step) trainStep;
  decltype(&kiln_library_reset) reset;
  decltype(&kiln_library_destroy) destroy;
  decltype(&kiln_library_last_error) lastError;
};

TEST_F(SharedLibrary, ADimensionHasALowerBound) {
  std::ofstream(folder + "/pairs.kiln") << R"(
def pairs(x: f32[B, T >= 3]) -> f32[B, T - 2]:
    return x[:, 2:] + x[:, :-2]

model Pairs():
    def forward(x: f32[B <= 4, T <= 8]) -> f32[B, 2 * T - 2]:
        return pairs(concat(x, x, axis=1))

    def plain(x: f32[B <= 4, 3 <= T <= 8]) -> f32[B, T - 2]:
        return pairs(x)
)";
  Outcome built =
      test::run({kilnProgram(), "build", folder + "/pairs.kiln", "--emit", "shared", "-o", folder + "/libpairs.so"});
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_THAT(readFile(folder + "/pairs.h"), HasSubstr("\"forward\", where 1 <= B <= 4, 2 <= T <= 8\n"));
  EXPECT_THAT(readFile(folder + "/pairs.h"), HasSubstr("\"plain\", where 1 <= B <= 4, 3 <= T <= 8\n"));
  Loaded library(folder + "/libpairs.so", "pairs");
  kiln_library_model *model = library.create(1, 0, 0);
  ASSERT_NE(model, nullptr) << library.lastError();
  float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[2][3] = {};
  kiln_tensor input = {KILN_TENSOR_F32, 2, {2, 2}, x}, output = {KILN_TENSOR_F32, 2, {2, 2}, y};
  EXPECT_FALSE(library.run(model, "plain", &input, 1, &output, 1));
  EXPECT_STREQ(library.lastError(), "the dimension T is 2; 'plain' needs at least 3");
  EXPECT_TRUE(library.run(model, "forward", &input, 1, &output, 1)) << library.lastError();
  EXPECT_EQ(y[0][0], 1 + 1);
  input.dims[1] = 4;
  EXPECT_TRUE(library.run(model, "plain", &input, 1, &output, 1)) << library.lastError();
  EXPECT_EQ(y[0][0], 1 + 3);
  EXPECT_EQ(y[0][1], 2 + 4);
  EXPECT_EQ(y[0][2], 5 + 7); // of the second row: an output is contiguous
  input.dims[1] = 1;
  EXPECT_FALSE(library.run(model, "forward", &input, 1, &output, 1));
  library.destroy(model);
}

TEST_F(SharedLibrary, ASessionBeginsAnew) {
  std::ofstream(folder + "/counter.kiln") << R"(
model TokenCounter(vocab=8, width=4):
    embed = Embedding(vocab, width)
    cell  = GRUCell(width, width)
    out   = Linear(width, vocab)
    h     = state(f32[B, width], session)

    def extend(ids: i32[B <= 4, T <= 16], position: i32) -> f32[B, vocab]:
        x = embed(ids)
        y = h
        scan t in T carrying y:
            y = cell(x[:, t], y)
        h = y
        return out(y)

generate TokenCounter:
    prefill = extend
    step    = extend
    draw    = greedy()
)";
  Outcome built = test::run(
      {kilnProgram(), "build", folder + "/counter.kiln", "--emit", "shared", "-o", folder + "/libcounter.so"});
  ASSERT_EQ(built.code, 0) << built.err;
  Loaded library(folder + "/libcounter.so", "token_counter");
  kiln_library_model *model = library.create(1, 0, 3);
  ASSERT_NE(model, nullptr) << library.lastError();
  int32_t token = 3, position = 1;
  auto step = [&] {
    std::array<float, 8> logits;
    kiln_tensor inputs[2] = {{KILN_TENSOR_I32, 1, {1}, &token}, {KILN_TENSOR_I32, 0, {}, &position}};
    kiln_tensor output = {KILN_TENSOR_F32, 2, {1, 8}, logits.data()};
    EXPECT_TRUE(library.run(model, "generate.step", inputs, 2, &output, 1)) << library.lastError();
    return logits;
  };
  std::array<float, 8> first = step(), second = step();
  EXPECT_NE(first, second); // the state went on
  ASSERT_TRUE(library.reset(model)) << library.lastError();
  EXPECT_EQ(step(), first);
  EXPECT_EQ(step(), second);
  library.destroy(model);
}

/// What a step leaves in a session state, the next one begins with; a checkpoint keeps it, an evaluation does not touch
/// it.
TEST_F(SharedLibrary, TrainsOverSessionStates) {
  std::string fixtures = sourceFolder() + "/tests/fixtures/sessions/";
  Outcome built = test::run({kilnProgram(), "build", sourceFolder() + "/tests/e2e/sessions.kiln", "--model", "Gru",
                             "--emit", "shared", "-o", folder + "/libgru.so"});
  ASSERT_EQ(built.code, 0) << built.err;
  Loaded library(folder + "/libgru.so", "gru");
  Safetensors batches = Safetensors::open(fixtures + "gru.safetensors");
  nlohmann::json figures = nlohmann::json::parse(readFile(fixtures + "expected.json"))["gru"];
  auto batch = [&](int64_t step) {
    std::array<kiln_tensor, 2> inputs;
    for (size_t i = 0; i < 2; ++i) {
      const uint8_t *data = batches.find(i == 0 ? "x" : "z")->data + step * 3 * 5 * 4 * 4;
      inputs[i] = {KILN_TENSOR_F32, 3, {3, 5, 4}, const_cast<uint8_t *>(data)};
    }
    return inputs;
  };
  kiln_library_model *model = library.create(1, 0, 0);
  ASSERT_TRUE(library.load(model, (fixtures + "gru.init.safetensors").c_str())) << library.lastError();
  auto train = [&](kiln_library_model *which, int64_t step) {
    double loss = 0;
    EXPECT_TRUE(library.trainStep(which, batch(step).data(), 2, &loss)) << library.lastError();
    return loss;
  };
  double last = 0;
  for (int64_t step = 0; step < 8; ++step) {
    last = train(model, step);
    double expected = figures["losses"][static_cast<size_t>(step)];
    EXPECT_NEAR(last, expected, 3e-6 * expected) << "step " << step;
    EXPECT_TRUE(library.run(model, "eval", batch(0).data(), 2, nullptr, 0)) << library.lastError();
    if (step == 4) {
      ASSERT_TRUE(library.save(model, (folder + "/gru.safetensors").c_str())) << library.lastError();
    }
  }
  kiln_library_model *other = library.create(1, 0, 0);
  ASSERT_TRUE(library.load(other, (folder + "/gru.safetensors").c_str())) << library.lastError();
  train(other, 5);
  train(other, 6);
  EXPECT_EQ(train(other, 7), last);
  ASSERT_TRUE(library.load(other, (folder + "/gru.safetensors").c_str())) << library.lastError();
  train(other, 5);
  train(other, 6);
  ASSERT_TRUE(library.reset(other)) << library.lastError();
  EXPECT_NE(train(other, 7), last); // a new sequence
  library.destroy(model);
  library.destroy(other);
}

} // namespace
} // namespace kiln::test
