// ONNX files as programs: the models of the wild (onnx/ in KILN_DATA) at two sizes each by one program, and the small
// ones of tests/fixtures/onnx (make_onnx.py), beside ONNX Runtime's and ONNX's own results.
#include "runtime/files/Npy.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"
#include "tests/e2e/Command.h"

#include "gtest/gtest.h"
#include <nlohmann/json.hpp>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

namespace kiln::test {
namespace {

template <typename T> T numberAt(const std::string &text, size_t at) {
  T out = 0;
  std::memcpy(&out, text.data() + at, sizeof out);
  return out;
}

/// The arrays of a .npz file, by their names: a zip archive whose members are stored or deflated.
std::map<std::string, Tensor> readNpz(const std::string &path) {
  std::map<std::string, Tensor> out;
  std::string zip = bytes(path);
  size_t end = zip.rfind("PK\5\6");
  if (end == std::string::npos)
    throw Error(path + " is no .npz file");
  size_t at = numberAt<uint32_t>(zip, end + 16);
  for (int left = numberAt<uint16_t>(zip, end + 10); left > 0; --left) {
    int method = numberAt<uint16_t>(zip, at + 10);
    size_t packed = numberAt<uint32_t>(zip, at + 20), size = numberAt<uint32_t>(zip, at + 24);
    size_t nameSize = numberAt<uint16_t>(zip, at + 28), header = numberAt<uint32_t>(zip, at + 42);
    std::string name = zip.substr(at + 46, nameSize);
    size_t begin = header + 30 + numberAt<uint16_t>(zip, header + 26) + numberAt<uint16_t>(zip, header + 28);
    std::string array = zip.substr(begin, packed);
    if (method == 8) {
      array.assign(size, '\0');
      z_stream stream{};
      stream.next_in = reinterpret_cast<Bytef *>(zip.data() + begin);
      stream.avail_in = static_cast<uInt>(packed);
      stream.next_out = reinterpret_cast<Bytef *>(array.data());
      stream.avail_out = static_cast<uInt>(size);
      if (inflateInit2(&stream, -MAX_WBITS) != Z_OK || inflate(&stream, Z_FINISH) != Z_STREAM_END)
        throw Error(path + ": " + name + " is damaged");
      inflateEnd(&stream);
    }
    out.emplace(name.substr(0, name.rfind(".npy")), parseNpy(array, name));
    at += 46 + nameSize + numberAt<uint16_t>(zip, at + 30) + numberAt<uint16_t>(zip, at + 32);
  }
  return out;
}

/// The importer's rule for the names of inputs and results.
std::string identifier(const std::string &name) {
  std::string out;
  for (char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_')
      out += c;
    else if (!out.empty() && out.back() != '_')
      out += '_';
  while (!out.empty() && out.back() == '_')
    out.pop_back();
  return out;
}

/// The largest difference over the largest entry.
double distance(const TensorView &found, const Tensor &expected) {
  if (found.shape != expected.shape || found.dtype != expected.dtype)
    return INFINITY;
  double most = 0, largest = 1e-30;
  for (int64_t i = 0; i < expected.count(); ++i) {
    double a = loadNumber(found.dtype, found.data, i), b = loadNumber(expected.dtype, expected.memory.data(), i);
    if (std::isnan(a) != std::isnan(b))
      return INFINITY;
    if (a == b || std::isnan(a))
      continue;
    most = std::max(most, std::abs(a - b));
    largest = std::max(largest, std::abs(b));
  }
  return most / largest;
}

/// Where data decide how many rows there are (NAME_count): those that are there, of `found`, which may have room for
/// more along one axis. Nothing where their number is another one.
Tensor firstRows(const TensorView &found, const TensorView &count, const Tensor &expected) {
  size_t axis = 0, rank = expected.shape.size();
  if (found.shape.size() != rank)
    return {};
  while (axis + 1 < rank && found.shape[axis] == expected.shape[axis])
    ++axis;
  int64_t there = loadInteger(count.dtype, count.data, 0);
  bool told = found.shape == expected.shape ? std::count(found.shape.begin(), found.shape.end(), there) > 0
                                            : there == expected.shape[axis] && there < found.shape[axis];
  if (!told)
    return {};
  Tensor out(found.name, found.dtype, expected.shape);
  size_t inner = dtypeSize(found.dtype), outer = 1;
  for (size_t i = 0; i < rank; ++i)
    (i < axis ? outer : inner) *= i == axis ? 1 : static_cast<size_t>(found.shape[i]);
  size_t all = inner * static_cast<size_t>(found.shape[axis]), kept = inner * static_cast<size_t>(expected.shape[axis]);
  for (size_t i = 0; i < outer; ++i)
    std::memcpy(out.as<uint8_t>() + i * kept, found.data + i * all, kept);
  return out;
}

struct Wild {
  const char *name;
  std::vector<std::string> options = {}; ///< none: what is taken where nobody says sizes
  /// Of the largest entry: ten times what ONNX Runtime's own optimiser moves the result by, at least 1e-5. Of
  /// whisper_features 1.5e-3 is what ONNX Runtime is from the exact spectrum (Kiln is within 7e-6 of it).
  double tolerance = 1e-5;
};

void expectRuns(const std::string &model, const std::string &arrays, const std::vector<std::string> &options,
                double tolerance) {
  std::string folder = freshFolder("onnx-" + std::filesystem::path(model).stem().string()),
              program = folder + "/program";
  std::vector<std::string> command = {kilnProgram(), "build", model, "-o", program};
  command.insert(command.end(), options.begin(), options.end());
  Outcome built = run(command);
  ASSERT_EQ(built.code, 0) << built.err;
  std::map<std::string, Tensor> all = readNpz(arrays);
  for (int number = 0; all.lower_bound("case" + std::to_string(number) + ".") != all.end() && number < 2; ++number) {
    std::string start = "case" + std::to_string(number) + ".";
    command = {program, "run", "forward", "--output", folder + "/out.safetensors"};
    std::vector<std::pair<std::string, const Tensor *>> expected;
    for (const auto &[name, tensor] : all) {
      if (name.starts_with(start + "in.")) {
        std::string ours = identifier(name.substr(start.size() + 3)), file = folder + "/" + ours + ".npy";
        writeNpy(file, tensor.view());
        command.insert(command.end(), {"--input", ours + "=" + file});
      } else if (name.starts_with(start + "out.")) {
        expected.emplace_back(identifier(name.substr(start.size() + 4)), &tensor);
      }
    }
    ASSERT_FALSE(expected.empty());
    Outcome ran = run(command);
    ASSERT_EQ(ran.code, 0) << ran.err;
    Safetensors found = Safetensors::open(folder + "/out.safetensors");
    for (const auto &[name, tensor] : expected) {
      const TensorView *result = found.find(expected.size() == 1 ? "0" : name);
      ASSERT_TRUE(result) << name;
      const TensorView *count = found.find(name + "_count");
      Tensor cut = count ? firstRows(*result, *count, *tensor) : Tensor();
      EXPECT_LE(distance(count ? cut.view() : *result, *tensor), tolerance) << start << name;
    }
  }
}

class WildModels : public testing::TestWithParam<Wild> {};

TEST_P(WildModels, GiveOnnxRuntimesResultsAtBothSizes) {
  const char *data = std::getenv("KILN_DATA");
  if (!data)
    GTEST_SKIP() << "KILN_DATA is not set: the models of the wild are not tried";
  std::string path = std::string(data) + "/onnx/" + GetParam().name;
  // Sizes that nobody says are taken, and told in a line that ends in the options for others; the command with all of
  // them is a program too, and so is the one that an error ends in.
  Outcome asked = run({kilnProgram(), "import", path + ".onnx", "--check"});
  ASSERT_EQ(asked.code, 0) << asked.err;
  EXPECT_NE(asked.out.find("with all sizes said: kiln build " + path + ".onnx --"), std::string::npos) << asked.out;
  Outcome wrong = run({kilnProgram(), "check", path + ".onnx", "--bound", "Absent=8"});
  EXPECT_EQ(wrong.code, 1);
  for (const std::string &told : {asked.out, wrong.err}) {
    std::string command = told.substr(told.rfind(": kiln ") + 7);
    Outcome outcome = run({"/bin/sh", "-c", "'" + kilnProgram() + "' check" + command.substr(command.find(' '))});
    EXPECT_EQ(outcome.code, 0) << command << outcome.err;
    EXPECT_EQ(outcome.err.find("note: "), std::string::npos) << outcome.err; // nothing was left to take
  }
  expectRuns(path + ".onnx", path + ".npz", GetParam().options, GetParam().tolerance);
}

INSTANTIATE_TEST_SUITE_P(All, WildModels,
                         testing::Values(Wild{"magika"}, Wild{"silero_sequence"}, Wild{"silero_op15"},
                                         Wild{"silero_half", {"--dim", "sequence=576", "--bound", "batch=4"}},
                                         Wild{"basic_pitch", {}, 3e-3}, Wild{"ocr_angle"}, Wild{"ocr_detect", {}, 1},
                                         Wild{"nemo_features"}, Wild{"whisper_features", {}, 2e-3},
                                         Wild{"resample_48_16", {"--bound", "batch_size=4", "--bound", "N=48000"}}),
                         [](const auto &info) { return std::string(info.param.name); });

/// NAME.onnx with NAME.npz beside it.
std::vector<std::string> smallModels() {
  std::vector<std::string> out;
  for (const auto &entry : std::filesystem::directory_iterator(sourceFolder() + "/tests/fixtures/onnx"))
    if (entry.path().extension() == ".onnx")
      out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

class SmallModels : public testing::TestWithParam<std::string> {};

TEST_P(SmallModels, GiveTheExpectedResults) {
  std::string path = sourceFolder() + "/tests/fixtures/onnx/" + GetParam();
  // What bounds a build takes is told, and how to say others: "… --bound B=8 --bound T=512".
  Outcome asked = run({kilnProgram(), "import", path + ".onnx", "--check"});
  ASSERT_EQ(asked.code, 0) << asked.err;
  std::vector<std::string> options;
  for (size_t at = 0; (at = asked.out.find("--bound ", at)) != std::string::npos; ++at)
    options.insert(options.end(), {"--bound", asked.out.substr(at + 8, asked.out.find('=', at) - at - 8) + "=16"});
  expectRuns(path + ".onnx", path + ".npz", options, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, SmallModels, testing::ValuesIn(smallModels()),
                         [](const auto &info) { return info.param; });

/// Models whose layers become modules.
class RepeatedModels : public testing::TestWithParam<const char *> {};

/// The same bits as of the text in which every layer is written out, and the weights under the names that both have.
TEST_P(RepeatedModels, GiveTheSameBitsAsWrittenOut) {
  std::string name = GetParam(), fixtures = sourceFolder() + "/tests/fixtures/onnx/" + name;
  std::string folder = freshFolder("onnx-repeated-" + name), results[2];
  size_t weights[2] = {};
  for (bool flat : {false, true}) {
    std::string stem = folder + (flat ? "/flat" : "/folded");
    std::vector<std::string> command = {kilnProgram(), "import", fixtures + ".onnx", "-o", stem + ".kiln",
                                        "--bound",     "B=16"};
    if (flat)
      command.emplace_back("--flat");
    Outcome imported = run(command);
    ASSERT_EQ(imported.code, 0) << imported.err;
    EXPECT_EQ(bytes(stem + ".kiln").find("module ") == std::string::npos, flat);
    Outcome built = run({kilnProgram(), "build", stem + ".kiln", "--weights", stem + ".safetensors", "-o", stem});
    ASSERT_EQ(built.code, 0) << built.err;
    weights[flat] = Safetensors::open(stem + ".safetensors").tensors().size();
    command = {stem, "run", "forward", "--output", stem + ".out.safetensors"};
    for (const auto &[array, tensor] : readNpz(fixtures + ".npz"))
      if (array.starts_with("case0.in.")) {
        std::string input = array.substr(9), file = folder + "/" + input + ".npy";
        writeNpy(file, tensor.view());
        command.insert(command.end(), {"--input", input + "=" + file});
      }
    Outcome ran = run(command);
    ASSERT_EQ(ran.code, 0) << ran.err;
    results[flat] = bytes(stem + ".out.safetensors");
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(weights[0], weights[1]);
}

INSTANTIATE_TEST_SUITE_P(All, RepeatedModels,
                         testing::Values("pytorch_deep_bert", "torchscript_deep_bert", "pytorch_blocks",
                                         "torchscript_blocks", "pytorch_bert", "pytorch_widths", "torchscript_widths"),
                         [](const auto &info) { return std::string(info.param); });

/// Blocks that are alike but for their widths are one module with these as arguments, wherever they stand, and their
/// lists are walked through.
TEST(Widths, AreArgumentsOfOneModule) {
  for (const std::string name : {"pytorch_widths", "torchscript_widths"}) {
    std::string model = freshFolder("onnx-" + name) + "/widths";
    Outcome imported = run({kilnProgram(), "import", sourceFolder() + "/tests/fixtures/onnx/" + name + ".onnx", "-o",
                            model + ".kiln", "--bound", "B=8"});
    ASSERT_EQ(imported.code, 0) << imported.err;
    std::string text = bytes(model + ".kiln");
    for (const char *part :
         {"module Layer(channels):", "module Layer_2(channels, width):",
          "module Feature(channels, width, kernel, padding):",
          "= parameter(f32[3 * channels, 1, kernel, kernel], name=", "    def forward(x: f32[B, channels, H, W]):\n",
          "padding=padding, groups=3 * channels)", "    layer1 = [Layer(4) for _ in range(2)]\n",
          "    layer2 = [Layer_2(4, 6), Layer(6), Layer(6)]\n",
          "    features = [Feature(10, 4, 3, 1), Feature(4, 6, 5, 2), Feature(6, 6, 3, 1), Feature(6, 9, 3, 1)]\n",
          "        for block in layer4:\n            x_2 = block(x_2)\n        for block in features:\n"})
      EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    Safetensors file = Safetensors::open(model + ".safetensors");
    for (const TensorView &weight : file.tensors())
      EXPECT_EQ(weight.name.find("onnx::"), std::string::npos) << weight.name;
  }
}

/// A BERT of twelve layers comes out as one would write it: a module for a layer, a loop over the list of them. Its
/// weights have the file's names, and those that the exporter made up have the modules' that they are of.
TEST(DeepBert, ReadsLikeOneWrittenByHand) {
  for (const std::string name : {"pytorch_deep_bert", "torchscript_deep_bert"}) {
    std::string model = freshFolder("onnx-" + name) + "/bert";
    Outcome imported = run({kilnProgram(), "import", sourceFolder() + "/tests/fixtures/onnx/" + name + ".onnx", "-o",
                            model + ".kiln", "--bound", "B=8"});
    ASSERT_EQ(imported.code, 0) << imported.err;
    std::string text = bytes(model + ".kiln");
    EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 80) << text; // the goal is 250
    for (const char *part :
         {"module Layer():", "    layer = [Layer() for _ in range(12)]\n",
          "intermediate_dense_bias           = parameter(f32[12], name=\"intermediate.dense.bias\")\n",
          "        for layer in model.encoder.layer:\n            x_2 = layer(x_2, ", "        return x_2\n"})
      EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    Safetensors weights = Safetensors::open(model + ".safetensors");
    for (int layer = 0; layer < 12; ++layer)
      for (const char *part : {"attention.self.query.kernel", "attention.self.query.bias", "intermediate.dense.kernel",
                               "output.LayerNorm.weight"})
        EXPECT_TRUE(weights.find("model.encoder.layer." + std::to_string(layer) + "." + part)) << layer << part;
  }
}

//===-- Trained further ------------------------------------------------------------------------------------------===//

/// The models of tests/fixtures/onnx_training (make_onnx_training.py), as docs/onnx.md has them trained: the imported
/// text, in which the optimizer and the length are named, and PyTorch's losses.
class TrainedModels : public testing::TestWithParam<const char *> {};

std::string replaced(std::string text, const std::string &what, const std::string &by) {
  size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what << " in\n" << text;
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

TEST_P(TrainedModels, HavePyTorchsLosses) {
  std::string name = GetParam(), fixtures = sourceFolder() + "/tests/fixtures/onnx_training/" + name;
  std::string folder = freshFolder("onnx-training-" + name), model = folder + "/model.kiln";
  nlohmann::json expected = nlohmann::json::parse(bytes(fixtures + ".json"));
  Outcome imported = run({kilnProgram(), "import", fixtures + ".onnx", "--train", "--bound",
                          "B=" + std::to_string(expected["batch"].get<int>()), "-o", model});
  ASSERT_EQ(imported.code, 0) << imported.err;
  std::string text = replaced(bytes(model), "Adam(lr=1e-4)", expected["optimizer"].get<std::string>());
  text = replaced(text, "steps     = 100", "steps     = " + std::to_string(expected["steps"].get<int>()));
  std::ofstream(model) << text;
  Outcome trained = run({kilnProgram(), "train", model, "--data", "data=" + fixtures + ".safetensors", "--json",
                         "--out", folder + "/run", "--save", folder + "/tuned.safetensors"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::vector<double> losses;
  for (const nlohmann::json &entry : jsonLines(trained.out))
    if (entry.contains("loss"))
      losses.push_back(entry["loss"]);
  ASSERT_EQ(losses.size(), expected["losses"].size());
  for (size_t i = 0; i < losses.size(); ++i)
    EXPECT_NEAR(losses[i], expected["losses"][i].get<double>(), 5e-6) << "step " << i;

  // What was trained answers as PyTorch's model does, by the running statistics.
  std::string field = expected["input"];
  Safetensors batches = Safetensors::open(fixtures + ".safetensors");
  TensorView batch = *batches.find(field);
  batch.bytes /= static_cast<size_t>(batch.shape[0]);
  batch.shape.erase(batch.shape.begin());
  writeNpy(folder + "/input.npy", batch);
  Outcome ran = run({kilnProgram(), "run", model, "forward", "--load", folder + "/tuned.safetensors", "--input",
                     field + "=" + folder + "/input.npy", "--output", folder + "/after.safetensors"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  Safetensors after = Safetensors::open(folder + "/after.safetensors");
  for (size_t i = 0; i < expected["after"].size(); ++i)
    EXPECT_NEAR(loadNumber(KILN_F32, after.tensors()[0].data, static_cast<int64_t>(i)),
                expected["after"][i].get<double>(), 2e-4);
}

/// A model of the wild, whose loss is left to name: the first step's is that of ONNX Runtime's results, and the second
/// one on the same batch is smaller.
TEST(TrainedWildModel, BeginsWithOnnxRuntimesLossAndLearns) {
  const char *data = std::getenv("KILN_DATA");
  if (!data)
    GTEST_SKIP() << "KILN_DATA is not set: no model of the wild is trained";
  std::string path = std::string(data) + "/onnx/magika", folder = freshFolder("onnx-training-magika");
  std::map<std::string, Tensor> arrays = readNpz(path + ".npz");
  const Tensor &rows = arrays.at("case1.in.bytes"), &shares = arrays.at("case1.out.target_label");
  int64_t count = rows.shape[0], classes = shares.shape[1];
  Tensor bytesTwice("bytes", KILN_I32, {2, count, rows.shape[1]}), labels("label", KILN_I32, {2, count});
  double expected = 0;
  for (int64_t i = 0; i < 2 * rows.count(); ++i)
    bytesTwice.as<int32_t>()[i] = rows.as<int32_t>()[i % rows.count()];
  for (int64_t i = 0; i < 2 * count; ++i)
    labels.as<int32_t>()[i] = static_cast<int32_t>(i % count * 7);
  for (int64_t i = 0; i < count; ++i)
    expected -= std::log(shares.as<float>()[i * classes + i * 7]) / static_cast<double>(count);
  writeSafetensors(folder + "/data.safetensors", {bytesTwice.view(), labels.view()});
  std::string model = folder + "/magika.kiln";
  Outcome imported =
      run({kilnProgram(), "import", path + ".onnx", "--train", "--bound", "B=" + std::to_string(count), "-o", model});
  ASSERT_EQ(imported.code, 0) << imported.err;
  EXPECT_NE(imported.out.find("its loss is left to name: name_a_loss in " + model), std::string::npos) << imported.out;
  std::string text = replaced(bytes(model), "name_a_loss(forward(data.bytes), data.target)",
                              "nll(log(forward(data.bytes)), data.label)");
  text = replaced(text, "target=f32[" + std::to_string(count) + ", 214]", "label=i32[" + std::to_string(count) + "]");
  std::ofstream(model) << replaced(text, "steps     = 100", "steps     = 2");
  Outcome trained = run({kilnProgram(), "train", model, "--json", "--out", folder + "/run"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::vector<double> losses;
  for (const nlohmann::json &entry : jsonLines(trained.out))
    if (entry.contains("loss"))
      losses.push_back(entry["loss"]);
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_NEAR(losses[0], expected, 1e-4 * expected);
  EXPECT_LT(losses[1], losses[0] - 0.1);
}

INSTANTIATE_TEST_SUITE_P(All, TrainedModels,
                         testing::Values("norms", "norms_torchscript", "shufflenet", "bert", "gpt2"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
} // namespace kiln::test
