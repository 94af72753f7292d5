// Blocks of quantised numbers against gguf's own reference (tests/fixtures/make_gguf.py), and files that lie.
#include "frontend/gguf/Model.h"
#include "frontend/gguf/Words.h"
#include "frontend/huggingface/SentencePiece.h"
#include "runtime/files/File.h"
#include "runtime/files/Safetensors.h"
#include "runtime/support/Error.h"
#include "runtime/support/Json.h"
#include "runtime/text/Tokenizer.h"

#include "gtest/gtest.h"

#include <cstring>
#include <filesystem>
#include <limits>

namespace kiln {
namespace {

const std::string fixtures = std::string(KILN_FIXTURES) + "/gguf/";

/// A block by the numbers, scales and minimums that a program keeps of it.
std::vector<float> fromKept(const gguf::BlockType &type, const uint8_t *block) {
  auto elements = static_cast<size_t>(type.elements);
  std::vector<int8_t> numbers(elements);
  std::vector<float> scales(elements), minimums(elements), result(elements);
  type.split(block, numbers.data(), scales.data(), minimums.data());
  for (size_t i = 0; i < elements; ++i) {
    size_t of = i / static_cast<size_t>(type.kept.size);
    int least = -type.kept.shift();
    if (type.kept.halves)
      EXPECT_TRUE(numbers[i] >= least && numbers[i] < least + 16);
    float stands = type.kept.coding == Coding::None ? static_cast<float>(numbers[i])
                                                    : codedNumber(type.kept.coding, static_cast<uint8_t>(numbers[i]));
    result[i] = stands * scales[of];
    if (type.kept.minimums)
      result[i] += minimums[of];
  }
  return result;
}

TEST(GgufBlocks, AreWidenedAsTheReferenceDoes) {
  Safetensors file = Safetensors::open(fixtures + "blocks.safetensors");
  int types = 0;
  for (uint32_t number = 0; number < 64; ++number) {
    const gguf::BlockType *type = gguf::blockType(number);
    if (!type || type->elements == 1)
      continue;
    const TensorView *blocks = file.find(std::string(type->name) + ".blocks");
    const TensorView *values = file.find(std::string(type->name) + ".values");
    ASSERT_TRUE(blocks && values) << type->name;
    ASSERT_EQ(blocks->shape[1], static_cast<int64_t>(type->bytes));
    ASSERT_EQ(values->shape[1], type->elements);
    for (int64_t i = 0; i < blocks->shape[0]; ++i) {
      std::vector<float> found(static_cast<size_t>(type->elements)), expected(found.size());
      type->widen(blocks->data + static_cast<size_t>(i) * type->bytes, found.data());
      std::memcpy(expected.data(), values->data + static_cast<size_t>(i) * found.size() * 4, found.size() * 4);
      EXPECT_EQ(found, expected) << type->name << " " << i;
      EXPECT_EQ(fromKept(*type, blocks->data + static_cast<size_t>(i) * type->bytes), expected)
          << type->name << " " << i;
    }
    ++types;
  }
  EXPECT_EQ(types, 13);
}

/// What reading it says.
std::string refused(const std::string &bytes) {
  try {
    gguf::modelOf(gguf::File::parse(bytes, "x"));
    return "";
  } catch (const Error &error) {
    return error.what();
  }
}

std::string number64(uint64_t value) { return std::string(reinterpret_cast<char *>(&value), 8); }
std::string number32(uint32_t value) { return std::string(reinterpret_cast<char *>(&value), 4); }
std::string header(uint64_t tensors, uint64_t entries) {
  return "GGUF" + number32(3) + number64(tensors) + number64(entries);
}

TEST(GgufFile, NumbersThatDoNotFitAreRefusedBeforeAnythingIsAllocated) {
  EXPECT_NE(refused("").find("does not begin with 'GGUF'"), std::string::npos);
  EXPECT_NE(refused("GGUF" + number32(9) + std::string(16, '\0')).find("version 9; 2 and 3 are known"),
            std::string::npos);
  EXPECT_NE(refused(header(0, UINT64_MAX)).find("keys do not fit"), std::string::npos);
  EXPECT_NE(refused(header(UINT64_MAX / 2, 0)).find("tensors do not fit"), std::string::npos);
  EXPECT_NE(refused(header(0, 1) + number64(UINT64_MAX) + std::string(32, 'x')).find("are wanted at byte"),
            std::string::npos);
  std::string key = number64(1) + "k";
  EXPECT_NE(refused(header(0, 1) + key + number32(9) + number32(8) + number64(UINT64_MAX / 8) + std::string(8, '\0'))
                .find("a list of"),
            std::string::npos);
  EXPECT_NE(refused(header(0, 1) + key + number32(9) + number32(9) + number64(1) + std::string(8, '\0'))
                .find("a list of lists"),
            std::string::npos);
  EXPECT_NE(refused(header(0, 1) + key + number32(77) + std::string(8, '\0')).find("no type 77"), std::string::npos);
}

std::string tensor(const std::string &name, std::vector<uint64_t> extents, uint32_t type, uint64_t offset) {
  std::string text = number64(name.size()) + name + number32(static_cast<uint32_t>(extents.size()));
  for (uint64_t extent : extents)
    text += number64(extent);
  return text + number32(type) + number64(offset);
}

TEST(GgufFile, TensorsLieInsideAndApart) {
  std::string room(256, '\0');
  auto why = [&](const std::string &tensors, uint64_t count) { return refused(header(count, 0) + tensors + room); };
  EXPECT_NE(why(tensor("a", {1ULL << 40, 1ULL << 40}, 0, 0), 1).find("too many elements"), std::string::npos);
  EXPECT_NE(why(tensor("a", {0}, 0, 0), 1).find("an axis without elements"), std::string::npos);
  EXPECT_NE(why(tensor("a", {1000}, 0, 0), 1).find("lies outside the file"), std::string::npos);
  EXPECT_NE(why(tensor("a", {8}, 0, UINT64_MAX - 31), 1).find("lies outside the file"), std::string::npos);
  EXPECT_NE(why(tensor("a", {8}, 0, 3), 1).find("not aligned"), std::string::npos);
  EXPECT_NE(why(tensor("a", {31}, 8, 0), 1).find("no whole blocks"), std::string::npos);
  EXPECT_NE(why(tensor("a", {256}, 16, 0), 1).find("is of the type 16 (IQ2_XXS), which is not read"),
            std::string::npos);
  EXPECT_NE(why(tensor("a", {16}, 0, 0) + tensor("b", {8}, 0, 32), 2).find("overlap"), std::string::npos);
  EXPECT_NE(why(tensor("a", {8}, 0, 0) + tensor("a", {8}, 0, 32), 2).find("stands twice"), std::string::npos);
  EXPECT_NE(why(tensor("a", {8}, 0, 0), 1).find("'general.architecture' is missing"), std::string::npos);
}

// A matrix of queries without axes (found by import_fuzz).
TEST(GgufFile, QueriesThatAreNoMatrixAreRefused) {
  auto key = [](const std::string &name) { return number64(name.size()) + name; };
  std::string file = header(2, 6) + key("general.architecture") + number32(8) + key("llama");
  for (const char *size :
       {"embedding_length", "feed_forward_length", "block_count", "attention.head_count", "context_length"})
    file += key(std::string("llama.") + size) + number32(4) + number32(2);
  file += tensor("token_embd.weight", {2, 4}, 0, 0) + tensor("blk.0.attn_q.weight", {}, 0, 32) + std::string(128, '\0');
  EXPECT_NE(refused(file).find("the rows of 'model.layers.0.self_attn.q_proj.weight' are not those of 2 heads"),
            std::string::npos)
      << refused(file);
}

/// A file of llama's or another architecture with sizes of 2, more entries and tensors.
std::string small(const std::string &architecture, const std::vector<std::string> &entries,
                  const std::string &tensors = "", uint64_t count = 0) {
  auto key = [](const std::string &name) { return number64(name.size()) + name; };
  std::string file =
      header(1 + count, 6 + entries.size()) + key("general.architecture") + number32(8) + key(architecture);
  for (const char *size :
       {"embedding_length", "feed_forward_length", "block_count", "attention.head_count", "context_length"})
    file += key(architecture + "." + size) + number32(4) + number32(2);
  for (const std::string &entry : entries)
    file += entry;
  return file + tensor("token_embd.weight", {2, 4}, 0, 0) + tensors + std::string(512, '\0');
}

std::string entry32(const std::string &name, uint32_t value) {
  return number64(name.size()) + name + number32(4) + number32(value);
}

// What llama.cpp does with these is not what a folder's settings say; a file that has them is not computed without.
TEST(GgufFile, SettingsOfYarnThatAreNotKnownAreRefused) {
  std::string yarn = number64(23) + "llama.rope.scaling.type" + number32(8) + number64(4) + "yarn";
  std::string why = refused(small("llama", {yarn, entry32("llama.rope.scaling.yarn_ext_factor", 2)}));
  EXPECT_NE(why.find("'llama.rope.scaling.yarn_ext_factor' is a setting of yarn that is not known"), std::string::npos)
      << why;
}

TEST(GgufFile, ExpertsThatDoNotFitAreRefused) {
  auto of = [](uint32_t count, uint32_t used) {
    return std::vector{entry32("qwen3moe.expert_count", count), entry32("qwen3moe.expert_used_count", used)};
  };
  auto says = [](const std::string &file, const std::string &what) {
    std::string why = refused(file);
    EXPECT_NE(why.find(what), std::string::npos) << why;
  };
  says(small("qwen3moe", {}), "'qwen3moe.expert_count' is missing; a whole number from 1 to 1024 is expected");
  says(small("qwen3moe", of(0, 0)), "'qwen3moe.expert_count' is 0;");
  says(small("qwen3moe", of(1U << 31, 2)), "'qwen3moe.expert_count' is 2147483648;");
  says(small("qwen3moe", of(4, 0)), "'qwen3moe.expert_used_count' is 0; a whole number from 1 to 4");
  says(small("qwen3moe", of(4, 5)), "'qwen3moe.expert_used_count' is 5; a whole number from 1 to 4");
  says(small("llama", {entry32("llama.expert_count", 4)}), "'llama.expert_used_count' is missing;");
  says(small("qwen3moe", of(4, 2), tensor("blk.0.ffn_up_exps.weight", {2, 2, 3}, 0, 32), 1),
       "'blk.0.ffn_up_exps.weight' is no stack of 4 matrices");
  says(small("qwen3moe", of(4, 2), tensor("blk.0.ffn_up_exps.weight", {2, 8}, 0, 32), 1),
       "'blk.0.ffn_up_exps.weight' is no stack of 4 matrices");
  std::vector<std::string> shared = of(4, 2);
  shared.push_back(entry32("qwen3moe.expert_shared_count", 1));
  says(small("qwen3moe", shared), "'qwen3moe.expert_shared_count' is 1, which is not known here");
}

// DeepSeek's: experts of one kind, and keys and values that fit each other.
TEST(GgufFile, LatentHeadsThatDoNotFitAreRefused) {
  auto of = [](uint32_t gate) {
    return std::vector{
        entry32("deepseek2.expert_count", 4),           entry32("deepseek2.expert_used_count", 2),
        entry32("deepseek2.expert_shared_count", 1),    entry32("deepseek2.leading_dense_block_count", 0),
        entry32("deepseek2.attention.kv_lora_rank", 2), entry32("deepseek2.attention.key_length", 4),
        entry32("deepseek2.attention.value_length", 2), entry32("deepseek2.rope.dimension_count", 2),
        entry32("deepseek2.expert_gating_func", gate)};
  };
  auto says = [](const std::string &file, const std::string &what) {
    std::string why = refused(file);
    EXPECT_NE(why.find(what), std::string::npos) << why;
  };
  says(small("deepseek2", of(3)), "'deepseek2.expert_gating_func' is 3, and there are no tensors 'exp_probs_b'");
  says(small("deepseek2", of(2)), "that is neither DeepSeek's version 2 nor its version 3");
  says(small("deepseek2", {of(1)[0], of(1)[1]}), "'deepseek2.attention.kv_lora_rank' is missing;");
  std::vector<std::string> narrow = of(1);
  narrow[5] = entry32("deepseek2.attention.key_length", 2);
  says(small("deepseek2", narrow), "'deepseek2.attention.key_length' is 2; more than rope.dimension_count is expected");
  says(small("deepseek2", of(1), tensor("blk.0.attn_k_b.weight", {2, 2, 2}, 0, 32), 1),
       "the tensor 'blk.0.attn_v_b.weight' is missing");
  says(small("deepseek2", of(1),
             tensor("blk.0.attn_k_b.weight", {2, 2, 2}, 0, 32) + tensor("blk.0.attn_v_b.weight", {4, 2}, 0, 64), 2),
       "'blk.0.attn_k_b.weight' and 'blk.0.attn_v_b.weight' are no keys and values of the same heads");
}

// What a setting is called in a message is what the file has, and no folder's word for it: where it is read, and in
// what the text asserts.
TEST(GgufFile, MessagesNameTheFilesKeys) {
  auto says = [](const std::string &file, const std::string &what) {
    std::string why = refused(file);
    EXPECT_NE(why.find(what), std::string::npos) << why;
  };
  std::string second = tensor("output_norm.weight", {2}, 0, 32); // as many as there are layers
  says(small("llama", {entry32("llama.attention.head_count_kv", 1U << 31)}, second, 1),
       "'llama.attention.head_count_kv' is 2147483648; a whole number up to 2147483647 is expected");
  says(small("gemma3",
             {entry32("gemma3.attention.key_length", 2), entry32("gemma3.attention.head_count_kv", 1),
              entry32("gemma3.attention.sliding_window", 1U << 31)},
             second, 1),
       "'gemma3.attention.sliding_window' is 2147483648;");
  says(small("gemma3", {entry32("gemma3.attention.key_length", 2)}, second, 1),
       "'gemma3.attention.head_count_kv' is missing; a whole number is expected");
  size_t asserts = 0;
  for (const auto &entry : std::filesystem::directory_iterator(fixtures)) {
    std::string path = entry.path().string();
    if (!path.ends_with(".gguf") || entry.path().filename().string().starts_with("words_"))
      continue;
    std::string text = gguf::readModel(path, "", true).text;
    EXPECT_EQ(text.find("config.json"), std::string::npos) << path;
    asserts += text.find("metadata: ") != std::string::npos;
  }
  EXPECT_GE(asserts, 8U);
  EXPECT_NE(
      gguf::readModel(fixtures + "llama.gguf", "", true)
          .text.find("\"metadata: llama.attention.head_count is not a multiple of llama.attention.head_count_kv\""),
      std::string::npos);
}

std::string entryReal(const std::string &name, float value) {
  std::string bytes(reinterpret_cast<const char *>(&value), 4);
  return number64(name.size()) + name + number32(6) + bytes;
}

// What is not finite was once as if it were not there, and the usual number taken.
TEST(GgufFile, NumbersThatAreNoneAreRefused) {
  for (const char *name : {"rope.freq_base", "attention.layer_norm_rms_epsilon", "final_logit_softcapping",
                           "attn_logit_softcapping", "rope.freq_base_swa"})
    for (float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      std::string why = refused(small("gemma2", {entryReal(std::string("gemma2.") + name, value)}));
      EXPECT_NE(why.find(std::string("'gemma2.") + name + "' is not finite"), std::string::npos) << why;
    }
  std::string factors = tensor("rope_freqs.weight", {1}, 0, 32);
  std::string why = refused(small("llama", {}, factors, 1));
  EXPECT_NE(why.find("'rope_freqs.weight' has the factor 0; numbers above 0 are expected"), std::string::npos) << why;
  why = refused(small("llama", {entryReal("llama.attention.layer_norm_rms_epsilon", -1)}));
  EXPECT_NE(why.find("'llama.attention.layer_norm_rms_epsilon' is -1; a number from 0 on is expected"),
            std::string::npos)
      << why;
}

// Of a head llama.cpp turns so many entries alone; here only phi3 does.
TEST(GgufFile, HeadsThatTurnInPartAreRefused) {
  for (const char *architecture : {"llama", "qwen3", "gemma2"}) {
    std::string key = std::string(architecture) + ".rope.dimension_count";
    std::string why = refused(
        small(architecture, {entry32(std::string(architecture) + ".attention.key_length", 8), entry32(key, 4)}));
    EXPECT_NE(why.find("'" + key + "' is 4, and a head has 8 entries"), std::string::npos) << why;
  }
  for (uint32_t count : {0U, 3U, 10U}) {
    std::string why =
        refused(small("phi3", {entry32("phi3.attention.key_length", 8), entry32("phi3.rope.dimension_count", count)}));
    EXPECT_NE(why.find("'phi3.rope.dimension_count' is " + std::to_string(count) + "; an even number from 2 to 8"),
              std::string::npos)
        << why;
  }
}

// Each expert is its part of the stack.
TEST(GgufFile, StacksOfExpertsAreTakenApart) {
  huggingface::Imported wide = gguf::readModel(fixtures + "stack.gguf"),
                        kept = gguf::readModel(fixtures + "stack.gguf", "", true);
  Safetensors expected = Safetensors::open(fixtures + "stack.safetensors");
  for (auto [theirs, ours] :
       {std::pair("ffn_gate_exps", "gate_proj"), {"ffn_up_exps", "up_proj"}, {"ffn_down_exps", "down_proj"}}) {
    const TensorView *stack = expected.find(theirs);
    ASSERT_TRUE(stack);
    size_t bytes = stack->bytes / 3;
    for (size_t i = 0; i < 3; ++i) {
      std::string name = "model.layers.0.mlp.experts." + std::to_string(i) + "." + ours + ".weight";
      const TensorView *found = wide.tensors.find(name);
      ASSERT_TRUE(found && found->bytes == bytes) << name;
      EXPECT_EQ(std::memcmp(MadeBytes(*found).view.data, stack->data + i * bytes, bytes), 0) << name;
      EXPECT_TRUE(kept.tensors.find(name) && kept.tensors.find(name)->bytes < bytes) << name;
    }
  }
}

// The numbers that Hugging Face's tokenizers give for the same words.
TEST(GgufWords, GiveTheNumbersOfTheirTokenizers) {
  for (const std::string name : {"llama", "gpt2", "gpt4", "gpt4o", "qwen", "starcoder", "bloom", "falcon"}) {
    gguf::File file = gguf::File::open(fixtures + "words_" + name + ".gguf");
    auto tokenizer = Tokenizer::parse(gguf::tokenizerOf(file), name);
    Json cases = Json::parse(readFile(fixtures + "../tokenizers/" + name + ".cases.json"), name);
    ASSERT_GT(cases.at("texts").array().size(), 50u);
    for (const Json &one : cases.at("texts").array()) {
      std::vector<int32_t> ids, expected;
      tokenizer->encode(one.array()[0].string(), ids);
      for (const Json &id : one.array()[1].array())
        expected.push_back(static_cast<int32_t>(id.integer()));
      EXPECT_EQ(ids, expected) << name << " " << one.array()[0].str();
      if (name != std::string("llama")) // whose bytes are special tokens in that file, which no text has
        EXPECT_EQ(tokenizer->decode(ids), one.array()[2].string()) << name;
    }
  }
}

// Marian's two files of words as one tokenizer: the numbers and the texts of MarianTokenizer (huggingface_words.py).
TEST(MarianWords, GiveTheNumbersOfTheirTokenizer) {
  std::string folder = std::string(KILN_FIXTURES) + "/huggingface/marian_text/";
  std::string pieces = readFile(folder + "source.spm");
  Json vocabulary = Json::parse(readText(folder + "vocab.json"), "vocab.json");
  auto tokenizer = Tokenizer::parse(huggingface::marianTokenizer(pieces, vocabulary, "source.spm"), "source.spm");
  Json cases = Json::parse(readText(folder + "words.json"), "words.json");
  EXPECT_GE(cases.array().size(), 14U);
  for (const Json &one : cases.array()) {
    const std::string &text = one.array()[0].string();
    std::vector<int32_t> ids, expected;
    tokenizer->encode(text, ids);
    ids.push_back(tokenizer->find("</s>"));
    for (const Json &id : one.array()[1].array())
      expected.push_back(static_cast<int32_t>(id.integer()));
    EXPECT_EQ(ids, expected) << text;
    std::string said = tokenizer->decode(ids); // whose end MarianTokenizer trims
    EXPECT_EQ(said.substr(0, said.find_last_not_of(' ') + 1), one.array()[2].string()) << text;
  }
}

TEST(MarianWords, ThatAreDamagedAreRefused) {
  std::string folder = std::string(KILN_FIXTURES) + "/huggingface/marian_text/";
  std::string pieces = readFile(folder + "source.spm"), words = readText(folder + "vocab.json");
  auto refused = [](std::string_view bytes, const std::string &vocabulary) {
    try {
      huggingface::marianTokenizer(bytes, Json::parse(vocabulary, "vocab.json"), "'source.spm'");
    } catch (const Error &error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refused(pieces, words), "");
  EXPECT_EQ(refused("", words), "'source.spm': it has no pieces: damaged, or no SentencePiece model");
  EXPECT_EQ(refused(std::string_view(pieces).substr(0, pieces.size() / 2), words),
            "'source.spm': it ends within a field: damaged, or no SentencePiece model");
  EXPECT_EQ(refused("\x0f", words), "'source.spm': it is damaged, or no SentencePiece model");
  EXPECT_EQ(refused(pieces, "{\"</s>\": 0, \"<unk>\": 2}"),
            "'source.spm': vocab.json does not give each number from 0 to 1 to one token: \"<unk>\" has 2");
  EXPECT_EQ(refused(pieces, "{\"a\": 0, \"<unk>\": 1}"), "'source.spm': vocab.json has no <unk> or no </s>");
  std::string pairs = "\x12\x02\x18\x02" + pieces; // model_type: BPE
  EXPECT_EQ(refused(pairs.substr(0, 4) + "\x0a\x03\x0a\x01"
                                         "a",
                    words),
            "'source.spm': its model_type is 2; only a Unigram model (1) is known");
}

} // namespace
} // namespace kiln
