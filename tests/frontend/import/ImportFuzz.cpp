// What reads folders of Hugging Face and GGUF files: a config.json beside given tensors, a whole file, a tokenizer.
#include "frontend/gguf/Model.h"
#include "frontend/gguf/Words.h"
#include "frontend/huggingface/Chat.h"
#include "frontend/huggingface/Folder.h"
#include "frontend/huggingface/Quantised.h"
#include "frontend/huggingface/SentencePiece.h"
#include "frontend/huggingface/Speech.h"
#include "runtime/support/Json.h"
#include "tests/frontend/import/QuantisedCases.h"
#include "tests/fuzz/Harness.h"

#include <cstring>
#include <fstream>
#include <sstream>

namespace kiln {
namespace {

std::string fixture(const std::string &name) {
  std::ifstream file(std::string(KILN_FIXTURES) + "/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void config(std::string_view bytes) {
  static const float number = 1;
  std::vector<TensorView> tensors;
  for (const char *name :
       {"model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_norm.weight", "bert.pooler.dense.weight",
        "bert.embeddings.LayerNorm.gamma", "transformer.h.0.attn.bias", "lm_head.weight"})
    tensors.push_back({name, KILN_F32, {1}, reinterpret_cast<const uint8_t *>(&number), sizeof number});
  huggingface::Settings settings(Json::parse(bytes, "input", 32), "input");
  huggingface::makeModel(settings, Safetensors::of(tensors, "input", nullptr), "");
}

/// Quantised weights, and what config.json says of them among their file's metadata.
void quantised(std::string_view bytes) {
  Safetensors file = Safetensors::parse(bytes, "input", /*eightBits=*/true);
  auto config = file.metadata().find("config");
  huggingface::Settings settings(Json::parse(config == file.metadata().end() ? "{}" : config->second, "input", 32),
                                 "input");
  for (bool keep : {false, true}) {
    std::vector<std::string> notes;
    bool read = false;
    Safetensors tensors =
        huggingface::readQuantised(settings, Safetensors::of(file.tensors(), "input", nullptr), keep, notes, read);
    for (const TensorView &tensor : tensors.tensors())
      MadeBytes made(tensor);
  }
}

/// The header's length is what damage to the header makes wrong first.
void repairHeader(std::string &bytes) {
  size_t end = bytes.rfind("]}}");
  uint64_t size = end == std::string::npos || end < 8 ? 0 : end - 5;
  if (bytes.size() >= 8)
    std::memcpy(bytes.data(), &size, 8);
}

/// What a Whisper's other files say.
template <void (*read)(const Json &, huggingface::Settings &)> void speech(std::string_view bytes) {
  huggingface::Settings settings(Json::parse("{}", "input"), "input");
  read(Json::parse(bytes, "input", 32), settings);
}

void pieces(std::string_view bytes) {
  huggingface::marianTokenizer(bytes, Json::parse("{\"</s>\": 0, \"<unk>\": 1, \"a\": 2}", "input"), "input");
}

void ggufModel(std::string_view bytes) { gguf::modelOf(gguf::File::parse(bytes, "input")); }

std::string entry(const std::string &key, uint32_t type, const std::string &value) {
  uint64_t size = key.size();
  return std::string(reinterpret_cast<char *>(&size), 8) + key + std::string(reinterpret_cast<char *>(&type), 4) +
         value;
}

std::string text(const std::string &value) {
  uint64_t size = value.size();
  return std::string(reinterpret_cast<char *>(&size), 8) + value;
}

std::string list(uint32_t type, uint64_t count, const std::string &values) {
  return std::string(reinterpret_cast<char *>(&type), 4) + std::string(reinterpret_cast<char *>(&count), 8) + values;
}

/// A file with a tokenizer and no model: what is damaged is the tokenizer.
std::string words() {
  float scores[] = {0, 0, -1, -2, -3};
  int32_t types[] = {2, 3, 1, 1, 1}, bos = 1;
  std::string file = std::string("GGUF\3\0\0\0\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0", 24);
  file += entry("general.architecture", 8, text("llama")) + entry("tokenizer.ggml.model", 8, text("llama"));
  file +=
      entry("tokenizer.ggml.tokens", 9, list(8, 5, text("<unk>") + text("<s>") + text("ab") + text("a") + text("b")));
  file += entry("tokenizer.ggml.scores", 9, list(6, 5, std::string(reinterpret_cast<char *>(scores), sizeof scores)));
  file += entry("tokenizer.ggml.token_type", 9, list(5, 5, std::string(reinterpret_cast<char *>(types), sizeof types)));
  return file + entry("tokenizer.ggml.bos_token_id", 5, std::string(reinterpret_cast<char *>(&bos), 4));
}

/// A bit of all that templates have.
std::string chatTemplate() {
  return "{%- macro turn(name, text='') -%}<{{ name|upper }}>{{ text|trim }}\n{%- endmacro -%}\n"
         "{% set ns = namespace(first=true, list=[1, {'a': 2.5}]) %}{{ bos_token }}\n"
         "{%- for m in messages if m.role != 'tool' and m['content'] is defined %}\n"
         "  {%- if loop.first and m.role == 'system' -%}{{ turn('s', m.content[0:]) }}{% set ns.first = false %}\n"
         "  {%- elif m.role in ['user', 'assistant'] %}{{ turn(m.role, text=m.content.split('</x>')[-1]) ~ '</e>' }}\n"
         "  {%- else %}{{ raise_exception('no ' + (m|tojson)) }}{% endif %}\n"
         "{%- endfor %}{% if add_generation_prompt and not (ns.list|length > 3) %}{{ turn('assistant') }}{% endif %}";
}

std::vector<testing::Parser> readers() {
  return {
      {fixture("huggingface/llama/config.json"), config},
      {fixture("huggingface/phi3_long/config.json"), config},
      {fixture("huggingface/bert/config.json"), config},
      {fixture("huggingface/gemma3/config.json"), config},
      {fixture("huggingface/whisper/config.json"), config},
      {fixture("huggingface/whisper/generation_config.json"), speech<huggingface::readAnswer>},
      {fixture("huggingface/whisper/preprocessor_config.json"), speech<huggingface::readSpectrogram>},
      {fixture("huggingface/marian_text/source.spm"), pieces},
      {fixture("gguf/llama.gguf"), ggufModel},
      {fixture("gguf/gpt2.gguf"), ggufModel},
      {chatTemplate(),
       [](std::string_view bytes) {
         std::string why;
         std::vector<std::string> notes;
         huggingface::turnsOf({std::string(bytes), {{"bos_token", "<s>"}}}, why, notes);
       }},
      {words(), [](std::string_view bytes) { gguf::tokenizerOf(gguf::File::parse(bytes, "input")); }},
  };
}

} // namespace

const std::vector<testing::Parser> &testing::parsers() {
  static const std::vector<Parser> all = [] {
    std::vector<Parser> all = readers();
    for (const auto &[name, of] : quantisedCases())
      all.push_back({of.file(), quantised, repairHeader});
    return all;
  }();
  return all;
}

} // namespace kiln
