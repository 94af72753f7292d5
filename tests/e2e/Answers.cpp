// What answers an input that is no text: the tokens that `generate` draws are those that `forward` finds likeliest.
#include "runtime/files/Safetensors.h"
#include "tests/e2e/Command.h"
#include "tests/e2e/Fixture.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <fstream>

namespace kiln::test {
namespace {

using Tokens = std::vector<int32_t>;
using Words = std::vector<std::string>;

/// The captions of an image; `prefill` and `step` are added.
const char *captions = R"(
model Captions(words=12, width=8):
    see   = Conv2d(3, width, 3, stride=2)
    embed = Embedding(words, width)
    cell  = GRUCell(width, width)
    out   = Linear(width, words)

    def look(image: f32[B, 3, 8, 8]) -> f32[B, width]:
        return 3.0 * mean(see(image), axis=(2, 3))

    def extend(h: f32[B, width], ids: i32[B, T]) -> (f32[B, T, words], f32[B, width]):
        x = embed(ids)
        scan t in T carrying h:
            h = cell(x[:, t], h)
            yield y = h
        return 4.0 * out(y), h

    def forward(image: f32[B <= 2, 3, 8, 8], ids: i32[B, T <= 12]) -> f32[B, T, words]:
        scores, h = extend(look(image), ids)
        return scores

generate Captions:
)";

class Answers : public ::testing::Test {
protected:
  void SetUp() override {
    folder_ = freshFolder("answers");
    std::vector<float> image(192);
    for (size_t i = 0; i < image.size(); ++i)
      image[i] = static_cast<float>(static_cast<int>(i * i * 7 % 23) - 11) / 7;
    write("image", KILN_F32, {1, 3, 8, 8}, image.data(), image.size() * 4);
  }

  std::string file(const std::string &name) { return folder_ + "/" + name + ".safetensors"; }

  void write(const std::string &name, kiln_dtype dtype, std::vector<int64_t> shape, const void *data, size_t size) {
    writeSafetensors(file(name), {{name, dtype, std::move(shape), static_cast<const uint8_t *>(data), size}});
  }

  std::string build(const std::string &generate, const Words &more = {}) {
    std::ofstream(folder_ + "/captions.kiln") << captions << generate;
    Words command = {kilnProgram(), "build", folder_ + "/captions.kiln", "-o", folder_ + "/captions"};
    command.insert(command.end(), more.begin(), more.end());
    Outcome built = run(command);
    EXPECT_EQ(built.code, 0) << built.err;
    return folder_ + "/captions";
  }

  Tokens draw(const std::string &program, const Words &more = {}) {
    Words command = {program, "generate", "--input", "image=" + file("image"), "--json"};
    command.insert(command.end(), more.begin(), more.end());
    Outcome drawn = run(command);
    EXPECT_EQ(drawn.code, 0) << drawn.err;
    return drawn.code ? Tokens() : jsonLines(drawn.out).at(0)["tokens"].get<Tokens>();
  }

  /// By forward, over all that is there so far; `never`: tokens that are passed over, `notFirst` at the first place.
  Tokens likeliest(const std::string &program, Tokens ids, size_t count, const Tokens &never = {},
                   const Tokens &notFirst = {}) {
    size_t given = ids.size();
    while (ids.size() < given + count) {
      write("ids", KILN_I32, {1, static_cast<int64_t>(ids.size())}, ids.data(), ids.size() * 4);
      Outcome ran = run({program, "run", "forward", "--input", "image=" + file("image"), "--input",
                         "ids=" + file("ids"), "--output", file("scores")});
      EXPECT_EQ(ran.code, 0) << ran.err;
      std::vector<double> scores = readTensors(file("scores")).begin()->second.data;
      std::vector<double> last(scores.end() - 12, scores.end());
      for (const Tokens *list : {&never, &notFirst})
        for (int32_t token : *list)
          if (list == &never || ids.size() == given)
            last[static_cast<size_t>(token)] = -1e9;
      ids.push_back(static_cast<int32_t>(std::max_element(last.begin(), last.end()) - last.begin()));
    }
    return {ids.begin() + static_cast<ptrdiff_t>(given), ids.end()};
  }

  std::string folder_;
};

const char *answered = R"(    prefill(image: f32[B, 3, 8, 8]):
        h = look(image)
    step:
        scores, h = extend(h, token[:, None])
        logits = scores[:, 0]
    draw = )";

TEST_F(Answers, AnImageIsDescribed) {
  std::string program = build(answered + std::string("greedy(from=[1, 2], tokens=7)\n"));
  Tokens plain = likeliest(program, {1, 2}, 7);
  EXPECT_EQ(draw(program), plain);
  EXPECT_EQ(draw(program, {"--from", "3 1 4", "--tokens", "4"}), likeliest(program, {3, 1, 4}, 4));
  // What may not be drawn, what not at first, and how many places there are, `from` among them.
  std::string limits = "suppress=[" + std::to_string(plain[2]) + "], suppress_first=[" + std::to_string(plain[0]) + "]";
  program = build(answered + ("greedy(from=1, " + limits + ", longest=6)\n"));
  EXPECT_EQ(draw(program, {"--tokens", "100"}), likeliest(program, {1}, 5, {plain[2]}, {plain[0]}));
  Outcome full = run({program, "generate", "--input", "image=" + file("image"), "--from", "1 2 3 4 5 6"});
  EXPECT_EQ(full.code, 1);
  EXPECT_EQ(full.err, "error: an answer has 6 tokens at most, and begins with 6 already\n");
}

// Each of several rows would be a sequence of its own, of which one is drawn.
TEST_F(Answers, AnImageIsOneRow) {
  std::string program = build(answered + std::string("greedy(from=1)\n"), {"--bound", "B=2"});
  std::vector<float> images(384);
  write("image", KILN_F32, {2, 3, 8, 8}, images.data(), images.size() * 4);
  Outcome drawn = run({program, "generate", "--input", "image=" + file("image")});
  EXPECT_EQ(drawn.code, 1);
  EXPECT_EQ(drawn.err, "error: the input 'image' has 2 rows; one is expected, or as many as sequences are drawn: 1\n");
}

// The prefill finds what the answer begins with.
TEST_F(Answers, AnAnswerBeginsAsThePrefillSays) {
  std::string program = build(R"(    prefill(image: f32[B, 3, 8, 8]):
        h     = look(image)
        first = stack([full(B, 5, dtype=i32), argmax(h) + 2], axis=1)
    step:
        scores, h = extend(h, token[:, None])
        logits = scores[:, 0]
    draw = greedy(tokens=5)
)");
  Tokens drawn = draw(program);
  bool found = false;
  for (int32_t second = 2; second < 10; ++second)
    found |= likeliest(program, {5, second}, 5) == drawn &&
             draw(program, {"--from", "5 " + std::to_string(second)}) == drawn;
  EXPECT_TRUE(found);
  EXPECT_EQ(draw(program, {"--from", "3 1 4"}), likeliest(program, {3, 1, 4}, 5));
}

// A search has the image in each of its rows; its answer is at least as likely as the greedy one.
TEST_F(Answers, BeamsShareTheImage) {
  std::string program = build(answered + std::string("beam(width=3, from=[1], tokens=5, suppress=[0])\n"));
  Tokens found = draw(program);
  EXPECT_EQ(found.size(), 5u);
  EXPECT_EQ(std::count(found.begin(), found.end(), 0), 0);
  EXPECT_EQ(draw(program, {"--beam", "1"}), likeliest(program, {1}, 5, {0}));
}

// An image, and a text that goes on.
TEST_F(Answers, APromptGoesOnBesideAnImage) {
  std::string program = build(R"(    prefill(image: f32[B, 3, 8, 8], prompt: i32[B, T <= 12]):
        scores, h = extend(look(image), prompt)
        logits = scores[:, -1]
    step:
        scores, h = extend(h, token[:, None])
        logits = scores[:, 0]
    draw = greedy(tokens=4)
)");
  EXPECT_EQ(draw(program, {"--prompt", "3 5 1"}), likeliest(program, {3, 5, 1}, 4));
}

TEST_F(Answers, SaysWhatIsMissing) {
  std::string program = build(answered + std::string("greedy(from=1)\n"));
  for (const auto &[options, sentence] :
       {std::pair<Words, std::string>({"--prompt", "1"},
                                      "this program reads no prompt; it answers image f32[B, 3, 8, 8]"),
        {{}, "'generate.prefill' needs more inputs: image f32[B, 3, 8, 8]"},
        {{"--input", "image=a.wav"}, "'a.wav' is a recording, f32[N], or f32[1, N]; 'image' is f32[B, 3, 8, 8]"},
        {{"--input", "picture=" + file("image")}, "has no input of that name"},
        {{"--input", "image=" + file("image"), "--from", ""}, "--from is empty"},
        {{"--input", "image=" + file("image"), "--from", "1,x"}, "token numbers are expected; found 'x'"},
        {{"--input", "image=" + file("image"), "--beam", "2"}, "build with --bound B=2"}}) {
    Words command = {program, "generate"};
    command.insert(command.end(), options.begin(), options.end());
    Outcome drawn = run(command);
    EXPECT_EQ(drawn.code, 1);
    EXPECT_NE(drawn.err.find(sentence), std::string::npos) << drawn.err;
  }
}

// A recording needs a rate that the model says.
TEST_F(Answers, ARecordingHasTheModelsRate) {
  const std::string model =
      "model Loudness():\n    def forward(audio: f32[N <= 8]) -> f32:\n        return max(audio)\n";
  std::string header("RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xa0\x0f\0\0\x40\x1f\0\0\2\0\x10\0data\4\0\0\0", 44);
  std::ofstream(folder_ + "/sound.wav", std::ios::binary) << header << std::string("\0\x40\0\x20", 4);
  for (bool rate : {false, true}) {
    std::ofstream(folder_ + "/loudness.kiln") << (rate ? "sampling_rate = 4000\n" : "") << model;
    std::string program = folder_ + "/loudness";
    Outcome built = run({kilnProgram(), "build", folder_ + "/loudness.kiln", "-o", program});
    ASSERT_EQ(built.code, 0) << built.err;
    Outcome ran = run({program, "run", "--input", "audio=" + folder_ + "/sound.wav"});
    EXPECT_EQ(ran.code, rate ? 0 : 1);
    EXPECT_NE((rate ? ran.out : ran.err).find(rate ? "0.5" : "its model says no sampling_rate"), std::string::npos)
        << ran.out << ran.err;
  }
}

} // namespace
} // namespace kiln::test
