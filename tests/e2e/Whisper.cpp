// Recordings in, text out: Whisper's folders as programs (make_whisper.py).
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include "gtest/gtest.h"

#include <cstring>
#include <filesystem>
#include <fstream>

namespace kiln::test {
namespace {

using Words = std::vector<std::string>;

std::string casesFolder() { return sourceFolder() + "/tests/fixtures/huggingface/"; }

/// Builds a folder of make_whisper.py's, and compares features, tokens and text of its audio.wav.
void hear(const std::string &data, const std::string &program, double tolerance) {
  std::string audio = "audio=" + data + "/audio.wav", features = program + ".safetensors";
  Outcome built = run({kilnProgram(), "build", data, "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  std::map<std::string, Values> expected = readTensors(data + "/expected.safetensors");
  Outcome ran = run({program, "run", "features", "--input", audio, "--output", features});
  ASSERT_EQ(ran.code, 0) << ran.err;
  Values found = readTensors(features).begin()->second;
  ASSERT_EQ(found.shape, expected["features"].shape);
  for (size_t i = 0; i < found.data.size(); ++i)
    ASSERT_NEAR(found.data[i], expected["features"].data[i], tolerance) << i;
  Outcome heard = run({program, "generate", "--input", audio, "--json", "--tokens", "100"});
  ASSERT_EQ(heard.code, 0) << heard.err;
  nlohmann::json line = jsonLines(heard.out).at(0);
  EXPECT_EQ(line["tokens"].get<std::vector<double>>(), expected["tokens"].data);
  EXPECT_EQ(line["text"].get<std::string>(), bytes(data + "/text.txt"));
}

// A recording in, text out: the features of transformers' extractor, and what its generate() writes.
TEST(HuggingFaceWhisper, HearsWhatTransformersHears) {
  std::string data = casesFolder() + "whisper", program = freshFolder("huggingface-whisper") + "/program";
  hear(data, program, 1e-5);
  std::map<std::string, Values> expected = readTensors(data + "/expected.safetensors");
  std::string audio = "audio=" + data + "/audio.wav";
  Outcome heard = run({program, "generate", "--input", audio, "--json", "--from",
                       "<|startoftranscript|><|de|><|translate|><|notimestamps|>"});
  ASSERT_EQ(heard.code, 0) << heard.err;
  EXPECT_EQ(jsonLines(heard.out).at(0)["tokens"].get<std::vector<double>>(), expected["german"].data);
}

// A recording of another rate, and one that is too long: converted, and heard piece by piece where nothing says times,
// else window by window, each from the time where the one before ended.
TEST(HuggingFaceWhisper, TakesOtherRecordings) {
  std::string data = casesFolder() + "whisper", folder = freshFolder("huggingface-recordings");
  std::string program = folder + "/program", all = bytes(data + "/audio.wav"), samples = all.substr(44);
  std::string timeless = folder + "/model";
  std::filesystem::copy(data, timeless);
  std::string config = bytes(data + "/generation_config.json"), key = "\"no_timestamps_token_id\"";
  ASSERT_NE(config.find(key), std::string::npos);
  std::ofstream(timeless + "/generation_config.json") << config.replace(config.find(key), key.size(), "\"unknown\"");
  for (const auto &[from, to] : {std::pair(timeless, program), {data, folder + "/timed"}}) {
    Outcome built = run({kilnProgram(), "build", from, "-o", to});
    ASSERT_EQ(built.code, 0) << built.err;
  }
  auto write = [&](const std::string &name, const std::string &content, uint32_t rate) {
    std::string bytes = all.substr(0, 44) + content;
    auto put = [&](size_t at, uint32_t value) { std::memcpy(bytes.data() + at, &value, 4); };
    put(4, static_cast<uint32_t>(bytes.size() - 8));
    put(24, rate);
    put(28, rate * 2);
    put(40, static_cast<uint32_t>(content.size()));
    std::ofstream(folder + "/" + name, std::ios::binary) << bytes;
    return "audio=" + folder + "/" + name;
  };
  auto tokens = [&](const std::string &audio) {
    Outcome heard = run({program, "generate", "--input", audio, "--json"});
    EXPECT_EQ(heard.code, 0) << heard.err;
    std::vector<nlohmann::json> found;
    for (const nlohmann::json &line : jsonLines(heard.out))
      found.push_back(line["tokens"]);
    return found;
  };
  // 0.7 seconds twice are 1.4: a piece of one second, and one of 0.4.
  std::string twice = samples + samples;
  std::string whole = write("twice.wav", twice, 16000);
  std::vector<nlohmann::json> pieces = tokens(whole);
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0], tokens(write("first.wav", twice.substr(0, 32000), 16000)).at(0));
  EXPECT_EQ(pieces[1], tokens(write("second.wav", twice.substr(32000), 16000)).at(0));
  Outcome without = run({program, "generate", "--input", whole, "--timestamps"});
  EXPECT_EQ(without.code, 1);
  EXPECT_NE(without.err.find("this program's answers have no times"), std::string::npos) << without.err;
  auto timed = [&](const std::string &audio) {
    Outcome heard = run({folder + "/timed", "generate", "--input", audio, "--timestamps", "--json"});
    EXPECT_EQ(heard.code, 0) << heard.err;
    return jsonLines(heard.out).at(0);
  };
  nlohmann::json once = timed("audio=" + folder + "/first.wav"), both = timed(whole);
  ASSERT_GE(both["segments"].size(), once["segments"].size());
  std::vector<int32_t> first = once["tokens"], drawn = both["tokens"];
  ASSERT_GE(drawn.size(), first.size());
  EXPECT_TRUE(std::equal(first.begin(), first.end(), drawn.begin()));
  double at = 0;
  std::string said;
  for (const nlohmann::json &segment : both["segments"]) {
    EXPECT_LE(at, segment["start"].get<double>());
    EXPECT_LE(segment["start"].get<double>(), segment["end"].get<double>());
    at = segment["start"];
    said += segment["text"].get<std::string>();
  }
  EXPECT_EQ(both["text"].get<std::string>(), said);
  EXPECT_EQ(run({folder + "/timed", "generate", "--input", whole}).out, said + "\n");
  Outcome ran = run({program, "run", "features", "--input", whole});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("is 1.4 seconds long, and 'audio' takes 1.0 at most: cut it"), std::string::npos) << ran.err;
  // Each sample twice is nearly the sound at twice the rate.
  std::string doubled;
  for (size_t i = 0; i + 1 < samples.size(); i += 2)
    doubled += samples.substr(i, 2) + samples.substr(i, 2);
  EXPECT_EQ(run({program, "run", "features", "--input", write("doubled.wav", doubled, 32000)}).code, 0);
}

// Window by window as transformers hears it: what was said before as a prompt, and how each window went.
TEST(HuggingFaceWhisper, HearsWindowsBesideEachOther) {
  std::string data = casesFolder() + "whisper", folder = freshFolder("huggingface-windows"),
              program = folder + "/program";
  Outcome built = run({kilnProgram(), "build", data, "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  std::string all = bytes(data + "/audio.wav"), samples = all.substr(44),
              long_ = (samples + samples + samples).substr(0, 64000);
  auto size = static_cast<uint32_t>(long_.size()), file = size + 36;
  std::memcpy(all.data() + 4, &file, 4);
  std::memcpy(all.data() + 40, &size, 4);
  std::ofstream(folder + "/long.wav", std::ios::binary) << all.substr(0, 44) << long_;
  std::map<std::string, Values> expected = readTensors(data + "/expected.safetensors");
  auto heard = [&](const Words &options) {
    Words command = {program,
                     "generate",
                     "--input",
                     "audio=" + folder + "/long.wav",
                     "--json",
                     "--from",
                     "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>"};
    command.insert(command.end(), options.begin(), options.end());
    return run(command);
  };
  nlohmann::json beside = jsonLines(heard({"--previous", "--timestamps"}).out).at(0),
                 alone = jsonLines(heard({}).out).at(0);
  EXPECT_EQ(beside["tokens"].get<std::vector<double>>(), expected["previous"].data);
  EXPECT_NE(beside["tokens"], alone["tokens"]);
  ASSERT_EQ(beside["segments"].size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(beside["segments"][i]["compression_ratio"].get<double>(), expected["figures"].data[2 * i], 1e-6);
    EXPECT_NEAR(beside["segments"][i]["avg_logprob"].get<double>(), expected["figures"].data[2 * i + 1],
                i == 0 ? 1e-3 : 0.05); // where windows meet, the spectrogram of the whole differs from theirs
  }

  // The window that is likeliest no speech is left out; at a threshold of 1 none is.
  const std::vector<double> &silence = expected["silence"].data;
  nlohmann::json loud = jsonLines(heard({"--previous", "--no-speech", std::to_string(silence[2])}).out).at(0),
                 whole = jsonLines(heard({"--previous", "--no-speech", "1"}).out).at(0),
                 none = jsonLines(heard({"--no-speech", "0"}).out).at(0);
  EXPECT_EQ(loud["tokens"].get<std::vector<double>>(), expected["loud"].data);
  ASSERT_EQ(loud["segments"].size(), 1U);
  EXPECT_NEAR(loud["segments"][0]["no_speech_prob"].get<double>(), silence[0], 1e-5);
  EXPECT_EQ(whole["tokens"], beside["tokens"]);
  EXPECT_TRUE(none["tokens"].empty() && none["segments"].empty() && none["text"] == "") << none;
  for (const char *odd : {"1.5", "-0.1", "nan", "x"})
    EXPECT_EQ(heard({"--no-speech", odd}).code, 2) << odd;

  // Random weights are never sure: each window goes up to the temperature 1, the same for a seed.
  nlohmann::json drawn = jsonLines(heard({"--fallback", "--seed", "3"}).out).at(0);
  ASSERT_EQ(drawn["segments"].size(), 2U);
  for (const nlohmann::json &segment : drawn["segments"])
    EXPECT_EQ(segment["temperature"].get<double>(), 1);
  EXPECT_EQ(drawn, jsonLines(heard({"--fallback", "--seed", "3"}).out).at(0));
  EXPECT_NE(drawn["tokens"], alone["tokens"]);
  Outcome both = heard({"--fallback", "--temperature", "0.5"});
  EXPECT_EQ(both.code, 2);
  EXPECT_NE(both.err.find("leave --temperature and the like out"), std::string::npos) << both.err;
}

// Trained at a rate of 0, its weights are saved as they came (make_whisper.py check loads them in transformers).
TEST(HuggingFaceWhisper, SavesWeightsAsTheyCame) {
  std::string data = casesFolder() + "whisper", folder = freshFolder("huggingface-whisper-text");
  std::string text = folder + "/model.kiln", saved = folder + "/saved.safetensors";
  Outcome written = run({kilnProgram(), "import", data, "--train", "-o", text});
  ASSERT_EQ(written.code, 0) << written.err;
  std::string recipe = bytes(text);
  for (const auto &[from, to] :
       {std::pair<std::string, std::string>("lr=2e-5, weight_decay=0.01", "lr=0.0, weight_decay=0.0"),
        {"steps     = 1000", "steps     = 1"}}) {
    ASSERT_NE(recipe.find(from), std::string::npos) << recipe.substr(recipe.find("\ntrain "));
    recipe.replace(recipe.find(from), from.size(), to);
  }
  std::ofstream(text) << recipe;
  std::vector<float> features(4 * 80 * 100, 0.25F);
  std::vector<int32_t> tokens(4 * 24, 7);
  writeSafetensors(folder + "/data.safetensors",
                   {{"features", KILN_F32, {1, 4, 80, 100}, reinterpret_cast<const uint8_t *>(features.data()), 128000},
                    {"target", KILN_I32, {1, 4, 24}, reinterpret_cast<const uint8_t *>(tokens.data()), 384},
                    {"answer", KILN_I32, {1, 4, 24}, reinterpret_cast<const uint8_t *>(tokens.data()), 384}});
  Outcome trained = run({kilnProgram(), "train", text, "--save", saved});
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::map<std::string, Values> before = readTensors(data + "/model.safetensors"), after = readTensors(saved);
  ASSERT_EQ(before.size(), after.size());
  for (const auto &[tensor, values] : before) {
    ASSERT_TRUE(after.contains(tensor)) << tensor;
    EXPECT_EQ(values.data, after[tensor].data) << tensor;
  }
}

// A published Whisper (make_whisper.py published) and real speech.
TEST(HuggingFacePublished, WhisperHearsSpeech) {
  const char *published = std::getenv("KILN_WHISPER");
  if (!published)
    GTEST_SKIP() << "KILN_WHISPER names no folder of make_whisper.py published: no published Whisper";
  std::string data = published, program = freshFolder("huggingface-published-whisper") + "/program";
  hear(data, program, 1e-4);
  // Longer than a window: the times, and what is said between them.
  std::map<std::string, Values> expected = readTensors(data + "/expected.safetensors");
  ASSERT_TRUE(expected.contains("timed")) << "make_whisper.py published makes the folder with long.wav";
  Outcome heard = run({program, "generate", "--input", "audio=" + data + "/long.wav", "--timestamps", "--json"});
  ASSERT_EQ(heard.code, 0) << heard.err;
  nlohmann::json line = jsonLines(heard.out).at(0);
  EXPECT_EQ(line["tokens"].get<std::vector<double>>(), expected["timed"].data);
  ASSERT_EQ(2 * line["segments"].size(), expected["times"].data.size());
  for (size_t i = 0; i < line["segments"].size(); ++i) {
    EXPECT_NEAR(line["segments"][i]["start"].get<double>(), expected["times"].data[2 * i], 1e-4);
    EXPECT_NEAR(line["segments"][i]["end"].get<double>(), expected["times"].data[2 * i + 1], 1e-4);
  }
}

} // namespace
} // namespace kiln::test
