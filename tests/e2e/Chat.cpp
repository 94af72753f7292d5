// Conversations with programs: what transformers reads and answers (make_chat.py), pipes, and what goes wrong.
#include "tests/e2e/Command.h"

#include "gmock/gmock.h"

#include <filesystem>
#include <fstream>

namespace kiln::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string modelFolder() { return sourceFolder() + "/tests/fixtures/chat/llama"; }

class Chat : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    program_ = freshFolder("chat") + "/program";
    Outcome built = run({kilnProgram(), "build", modelFolder(), "-o", program_});
    ASSERT_EQ(built.code, 0) << built.err;
    EXPECT_EQ(built.err, "");
    EXPECT_THAT(run({program_, "info"}).out, HasSubstr("generate.extend(token: i32[B, T]"));
  }

  /// `given` on standard input, as printf writes it.
  static Outcome chat(const std::string &given, const std::string &options, const std::string &program = program_) {
    return run({"/bin/sh", "-c", "printf '" + given + "' | " + program + " chat " + options});
  }

  /// A program folder/name of a model of twelve letters, with a recipe and a conversation of one.
  static void buildLetters(const std::string &folder, const std::string &name, const std::string &model) {
    std::ofstream(folder + "/" + name + ".kiln") << model << R"(
train M:
    data      = text("t.txt", context=4, batch=2)
    loss      = cross_entropy(forward(data.ids), data.next)
    optimizer = SGD(lr=0.1)
    steps     = 1

generate M:
    draw = greedy()
    chat:
        first = "a{user}b"
        next  = "c{user}b"
)";
    std::ofstream(folder + "/t.txt") << "abcdefghijk\nabcdefghijk";
    Outcome built =
        run({"/bin/sh", "-c", "cd " + folder + " && " + kilnProgram() + " build " + name + ".kiln -o " + name});
    ASSERT_EQ(built.code, 0) << built.err;
  }

  /// What a command prints in the folder, which is to succeed.
  static std::vector<nlohmann::json> linesOf(const std::string &folder, const std::string &command) {
    Outcome outcome = run({"/bin/sh", "-c", "cd " + folder + " && " + command});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return jsonLines(outcome.out);
  }

  static std::string program_;
};
std::string Chat::program_;

// Three turns over one cache: each reads its own tokens alone, and answers as a model that reads all of them.
TEST_F(Chat, AnswersAsTransformersDoes) {
  nlohmann::json expected = nlohmann::json::parse(bytes(modelFolder() + "/expected.json"));
  std::string given;
  for (const auto &turn : expected["turns"])
    given += turn["prompt"].get<std::string>() + "\\n";
  Outcome outcome = chat(given, "--tokens 6 --json --system '" + expected["system"].get<std::string>() + "'");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::vector<nlohmann::json> lines = jsonLines(outcome.out);
  ASSERT_EQ(lines.size(), expected["turns"].size());
  for (size_t i = 0; i < lines.size(); ++i)
    for (const char *key : {"prompt", "read", "tokens"})
      EXPECT_EQ(lines[i][key], expected["turns"][i][key]) << i << " " << key;
}

TEST_F(Chat, WorksInPipes) {
  Outcome both = chat("To be\\n\\n  \\r\\nor not", "--tokens 4"), one = chat("", "--tokens 4 --prompt 'To be'");
  ASSERT_EQ(both.code, 0) << both.err;
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(both.out, StartsWith(one.out));
  EXPECT_EQ(std::count(both.out.begin(), both.out.end(), '\n'), 2);
  EXPECT_EQ(chat("", "").out, "");
  // Draws are a function of the seed and the turn.
  Outcome drawn = chat("a\\nb\\n", "--tokens 5 --temperature 1 --seed 3"),
          again = chat("a\\nb\\n", "--tokens 5 --temperature 1 --seed 3");
  EXPECT_EQ(drawn.out, again.out);
}

TEST_F(Chat, AnInterruptEndsIt) {
  Outcome outcome = run({"/bin/sh", "-c", "sleep 2 | timeout --preserve-status -s INT 1 " + program_ + " chat"});
  EXPECT_EQ(outcome.code, 130) << outcome.err;
}

TEST_F(Chat, SaysWhenTheContextIsFull) {
  std::string given;
  for (int i = 0; i < 12; ++i)
    given += "Whether it is nobler\\n";
  Outcome outcome = chat(given, "--tokens 2");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("this turn 31 more, and the context is of 192: begin another one"));
  Outcome ended = chat("To be\\n", "");
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.err, HasSubstr("the context is full: the answer ends here"));
}

TEST_F(Chat, RefusesWhatItCannotRead) {
  EXPECT_THAT(chat("\\377\\n", "--tokens 2").err, HasSubstr("UTF-8"));
  EXPECT_EQ(chat("\\377\\n", "--tokens 2").code, 1);
  EXPECT_EQ(run({program_, "chat", "--beam", "3"}).code, 2);
  std::string plain = sourceFolder() + "/tests/fixtures/huggingface/llama_text";
  std::string program = freshFolder("chat-none") + "/program";
  ASSERT_EQ(run({kilnProgram(), "build", plain, "-o", program}).code, 0);
  EXPECT_THAT(chat("a\\n", "", program).err, HasSubstr("has no `chat` block"));
}

// A template that turns do not follow: the build says so, and all else of the program is there.
TEST_F(Chat, ATemplateOfAnotherKindIsToldAtTheBuild) {
  std::string folder = freshFolder("chat-other"), model = folder + "/model";
  std::filesystem::copy(modelFolder(), model);
  auto build = [&](const std::string &text) {
    std::ofstream(model + "/chat_template.jinja") << text;
    return run({kilnProgram(), "build", model, "-o", folder + "/program"});
  };
  std::string loop = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
  Outcome damaged = build("{% for m in messages %}");
  EXPECT_EQ(damaged.code, 0);
  EXPECT_THAT(damaged.err, HasSubstr("the program will not chat"));
  EXPECT_THAT(damaged.err, HasSubstr("line 1: '{% endfor %}' is expected"));
  Outcome endless = build("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}");
  EXPECT_EQ(endless.code, 0);
  EXPECT_THAT(endless.err, HasSubstr("it takes too long"));
  Outcome noSystem = build("{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + loop +
                           "<assistant>");
  EXPECT_EQ(noSystem.code, 0);
  EXPECT_THAT(noSystem.err, HasSubstr("takes no system text"));
  Outcome asked = chat("a\\n", "--system b", folder + "/program");
  EXPECT_EQ(asked.code, 1);
  EXPECT_THAT(asked.err, HasSubstr("no place for a system text"));
}

// What stands before the last end of thoughts is not read again: the next answer is that to a prompt without it.
TEST_F(Chat, ForgetsThoughts) {
  std::string folder = freshFolder("chat-thoughts"), text = folder + "/model.kiln", program = folder + "/program";
  std::filesystem::copy(modelFolder(), folder + "/model");
  nlohmann::json tokenizer = nlohmann::json::parse(bytes(modelFolder() + "/tokenizer.json"));
  tokenizer["post_processor"] = nullptr; // a prompt is read without <s> in front, as a conversation is
  std::ofstream(folder + "/model/tokenizer.json") << tokenizer;
  ASSERT_EQ(run({kilnProgram(), "import", folder + "/model", "-o", text}).code, 0);
  std::string model = bytes(text), chatLine = "    chat:\n", weights = modelFolder() + "/model.safetensors";
  auto build = [&](const std::string &thoughts) {
    std::ofstream(text) << std::string(model).insert(model.find(chatLine) + chatLine.size(),
                                                     "        thoughts = \"" + thoughts + "\"\n");
    return run({kilnProgram(), "build", text, "--weights", weights, "-o", program});
  };
  std::string first = jsonLines(chat("To be\\n", "--tokens 12 --json").out).at(0)["text"];
  std::string mark = "fos"; // as if thoughts ended with it
  ASSERT_NE(first.find(mark), std::string::npos) << first;
  ASSERT_EQ(build("<think>…" + mark).code, 0);
  std::vector<nlohmann::json> lines = jsonLines(chat("To be\\nor not\\nto be\\n", "--tokens 12 --json", program).out);
  ASSERT_EQ(lines.size(), 3U);
  std::string past;
  for (const nlohmann::json &line : {lines[0], lines[1]}) {
    past += "<|im_start|>user\n" + line["prompt"].get<std::string>() + "<|im_end|>\n<|im_start|>assistant\n";
    Outcome alone = run({program, "generate", "--prompt", past, "--tokens", "12", "--json"});
    ASSERT_EQ(alone.code, 0) << alone.err;
    EXPECT_EQ(jsonLines(alone.out).at(0)["tokens"], line["tokens"]) << past;
    std::string answer = line["text"];
    size_t at = answer.rfind(mark);
    past += (at == std::string::npos ? answer : answer.substr(at + mark.size())) + "<|im_end|>\n";
  }
  EXPECT_EQ(lines[0]["text"], first);
  EXPECT_GT(lines[1]["read"].size(), lines[0]["read"].size()); // all of it, without the thoughts
  EXPECT_LT(lines[2]["read"].size(), lines[1]["read"].size()); // nothing to forget: its turn alone

  // An answer that begins within thoughts: what opens them goes, too.
  ASSERT_EQ(build("assistant…" + mark).code, 0);
  lines = jsonLines(chat("To be\\nor not\\n", "--tokens 12 --json", program).out);
  past = "<|im_start|>user\nTo be<|im_end|>\n<|im_start|>" + first.substr(first.rfind(mark) + mark.size()) +
         "<|im_end|>\n<|im_start|>user\nor not<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(jsonLines(run({program, "generate", "--prompt", past, "--tokens", "12", "--json"}).out).at(0)["tokens"],
            lines.at(1)["tokens"]);

  Outcome refused = build("<think>");
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("'thoughts' of a chat are two marks with … between them"));
}

// An answer that has to begin with a mark: what stands before it is neither shown nor read again.
TEST_F(Chat, AnswersBehindAMark) {
  std::string folder = freshFolder("chat-mark"), text = folder + "/model.kiln", program = folder + "/program";
  std::filesystem::copy(modelFolder(), folder + "/model");
  nlohmann::json tokenizer = nlohmann::json::parse(bytes(modelFolder() + "/tokenizer.json"));
  tokenizer["post_processor"] = nullptr;
  tokenizer["added_tokens"].push_back(tokenizer["added_tokens"].back()); // as if "fo", which it writes, were a mark
  tokenizer["added_tokens"].back().update({{"content", "fo"}, {"id", tokenizer["model"]["vocab"]["fo"]}});
  std::ofstream(folder + "/model/tokenizer.json") << tokenizer;
  ASSERT_EQ(run({kilnProgram(), "import", folder + "/model", "-o", text}).code, 0);
  std::string model = bytes(text), chatLine = "    chat:\n";
  std::ofstream(text) << model.insert(model.find(chatLine) + chatLine.size(), "        thoughts = \"…fo\"\n");
  Outcome built = run({kilnProgram(), "build", text, "--weights", modelFolder() + "/model.safetensors", "-o", program});
  ASSERT_EQ(built.code, 0) << built.err;
  std::vector<nlohmann::json> plain = jsonLines(chat("To be\\n", "--tokens 12 --json").out),
                              lines = jsonLines(chat("To be\\nor not\\n", "--tokens 12 --json", program).out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["tokens"], plain[0]["tokens"]);
  std::string whole = plain[0]["text"], answer = lines[0]["text"];
  size_t mark = whole.find("fo");
  ASSERT_NE(mark, std::string::npos) << whole;
  EXPECT_EQ(answer, whole.substr(mark + 2));
  EXPECT_EQ(chat("To be\\n", "--tokens 12", program).out, answer + "\n");
  std::string past = "<|im_start|>user\nTo be<|im_end|>\n<|im_start|>assistant\nfo" + answer +
                     "<|im_end|>\n<|im_start|>user\nor not<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(jsonLines(run({program, "generate", "--prompt", past, "--tokens", "12", "--json"}).out).at(0)["tokens"],
            lines[1]["tokens"]);
  Outcome cut = chat("To be\\n", "--tokens 3", program); // before the mark
  EXPECT_EQ(cut.out, "\n");
  EXPECT_THAT(cut.err, HasSubstr("this answer ended before it had begun: 3 tokens of thoughts are not shown"));
}

// What `import` writes is a text that can be built, and one by hand is as good.
TEST_F(Chat, StandsInTheModelsText) {
  std::string folder = freshFolder("chat-text"), text = folder + "/model.kiln";
  ASSERT_EQ(run({kilnProgram(), "import", modelFolder(), "-o", text}).code, 0);
  EXPECT_THAT(bytes(text), HasSubstr("    chat:\n        first  = \"<|im_start|>user\\n{user}<|im_end|>\\n"));
  EXPECT_EQ(run({kilnProgram(), "check", text}).code, 0);
}

// A block by hand, of a model with states of all kinds: what is read in turns is as what is read at once.
TEST_F(Chat, ReadsTurnsAsItReadsThemTogether) {
  std::string folder = freshFolder("chat-hand");
  buildLetters(folder, "hand", R"(model M(width=8):
    embed = Embedding(12, width)
    cell  = GRUCell(width, width)
    mix   = Linear(width, 3 * width)
    out   = Linear(width, 12)

    def forward(ids: i32[B, T <= 24]) -> f32[B, T, 12]:
        x = embed(ids)
        h = zeros(B, width)
        scan t in T carrying h:
            h = cell(x[:, t], h)
            yield h
        q, k, v = split(mix(h), 3, axis=-1)
        near = attention(split_heads(k, 2), split_heads(q, 2), split_heads(v, 2), causal=True, window=3)
        return out(x + merge_heads(near) + merge_heads(attention(split_heads(q, 2), split_heads(k, 2), split_heads(v, 2), causal=True)))
)");
  if (HasFatalFailure())
    return;
  auto in = [&](const std::string &command) { return linesOf(folder, command); };
  std::vector<nlohmann::json> lines = in("printf 'def\\ngh\\n' | ./hand chat --seed 5 --tokens 3 --json");
  ASSERT_EQ(lines.size(), 2u);
  std::string said = "adefb" + lines[0]["text"].get<std::string>();
  EXPECT_EQ(in("./hand generate --seed 5 --prompt adefb --tokens 3 --json")[0]["tokens"], lines[0]["tokens"]);
  EXPECT_EQ(in("./hand generate --seed 5 --prompt '" + said + "cghb' --tokens 3 --json")[0]["tokens"],
            lines[1]["tokens"]);

  // What an answer ends before was never said: neither seen nor read.
  std::string whole = in("./hand generate --seed 13 --prompt adefb --tokens 3 --json")[0]["text"];
  std::string stop = whole.substr(1, 1), options = " --seed 13 --tokens 3 --json --stop '" + stop + "'";
  auto behind = [&](const std::string &text) {
    return in("./hand generate --prompt '" + text + "'" + options)[0]["tokens"];
  };
  ASSERT_NE(behind("adefb" + whole.substr(0, 1) + "cghb"), behind("adefb" + whole.substr(0, 2) + "cghb"));
  lines = in("printf 'def\\ngh\\nk\\n' | ./hand chat" + options);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["text"], whole.substr(0, 1));
  said.clear();
  for (const nlohmann::json &line : lines) {
    said += (said.empty() ? "a" : "c") + line["prompt"].get<std::string>() + "b";
    EXPECT_EQ(behind(said), line["tokens"]) << said;
    said += line["text"];
  }
}

// Scores that are written out in a window: several tokens at once find the earlier ones in the ring.
TEST_F(Chat, ReadsTurnsOfScoresInAWindow) {
  std::string folder = freshFolder("chat-window");
  buildLetters(folder, "near", R"(model M(width=8):
    embed = Embedding(12, width)
    mix   = Linear(width, 3 * width)
    out   = Linear(width, 12)

    def forward(ids: i32[B, T <= 40]) -> f32[B, T, 12]:
        x = embed(ids)
        q, k, v = split(mix(x), 3, axis=-1)
        s = 2.0 * tanh(split_heads(q, 2) @ split_heads(k, 2).T)
        s = where(causal_mask(T, T), where(iota(T)[None, :] > iota(T)[:, None] - 4, s, -inf), -inf)
        return out(x + merge_heads(softmax(s) @ split_heads(v, 2)))
)");
  if (HasFatalFailure())
    return;
  EXPECT_THAT(run({folder + "/near", "info"}).out, HasSubstr("generate.extend(token: i32[B, T]"));
  auto in = [&](const std::string &command) { return linesOf(folder, command); };
  for (const char *seed : {"5", "6", "7"}) {
    std::string options = std::string(" --tokens 3 --json --seed ") + seed, said;
    for (const nlohmann::json &line : in("printf 'def\ngh\nk\nabcdefgh\n' | ./near chat" + options)) {
      said += (said.empty() ? "a" : "c") + line["prompt"].get<std::string>() + "b";
      EXPECT_EQ(in("./near generate --prompt '" + said + "'" + options)[0]["tokens"], line["tokens"]) << said;
      said += line["text"];
    }
    EXPECT_GT(said.size(), 20U);
  }
}

} // namespace
} // namespace kiln::test
