// A template is cut into blocks; those that the model reaches by name are written.
#include "frontend/huggingface/Family.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace kiln::huggingface {

/// Written by the build from families/*.kiln.
struct LibraryFile {
  const char *name, *text;
  size_t size;
};
extern const LibraryFile libraryFiles[];
extern const size_t libraryFileCount;

namespace {

constexpr Family families[] = {
    {"bert", "bert.kiln", "bert.", {"Bert", "Bert"}, nullptr},
    {"roberta", "bert.kiln", "roberta.", {"Roberta", "Roberta"}, nullptr},
    {"xlm-roberta", "bert.kiln", "roberta.", {"Roberta", "XLMRoberta"}, nullptr},
    {"camembert", "bert.kiln", "roberta.", {"Roberta", "Camembert"}, nullptr},
    {"electra", "bert.kiln", "electra.", {"Electra", "Electra"}, nullptr},
    {"mpnet", "mpnet.kiln", "mpnet.", {"MPNet", "MPNet"}, nullptr},
    {"albert", "albert.kiln", "albert.", {"Albert", "Albert"}, nullptr},
    {"modernbert", "modernbert.kiln", "model.", {"ModernBert", "ModernBert"}, nullptr},
    {"nomic_bert", "nomic.kiln", "nomic_bert.", {"NomicBert", "NomicBert"}, nullptr},
    {"deberta-v2", "deberta.kiln", "deberta.", {"DebertaV2", "DebertaV2"}, nullptr},
    {"distilbert", "distilbert.kiln", "distilbert.", {"DistilBert", "DistilBert"}, nullptr},
    {"gpt2", "gpt2.kiln", "transformer.", {"GPT2", "GPT2"}, "*.attn.bias"},
    {"llama", "llama.kiln", "model.", {"Llama", "Llama"}, nullptr},
    {"mistral", "llama.kiln", "model.", {"Llama", "Mistral"}, nullptr},
    {"qwen2", "llama.kiln", "model.", {"Llama", "Qwen2"}, nullptr},
    {"qwen3", "llama.kiln", "model.", {"Llama", "Qwen3"}, nullptr},
    {"mixtral", "mixture.kiln", "model.", {"Mixture", "Mixtral"}, nullptr},
    {"qwen2_moe", "mixture.kiln", "model.", {"Mixture", "Qwen2Moe"}, nullptr},
    {"qwen3_moe", "mixture.kiln", "model.", {"Mixture", "Qwen3Moe"}, nullptr},
    {"deepseek_v2", "deepseek.kiln", "model.", {"Deepseek", "DeepseekV2"}, nullptr},
    {"deepseek_v3", "deepseek.kiln", "model.", {"Deepseek", "DeepseekV3"}, nullptr},
    {"gpt_neox", "gpt_neox.kiln", "gpt_neox.", {"GPTNeoX", "GPTNeoX"}, "*.attention.bias"},
    {"gpt_neo", "gpt_neo.kiln", "transformer.", {"GPTNeo", "GPTNeo"}, "*.attn.attention.bias"},
    {"gptj", "gptj.kiln", "transformer.", {"GPTJ", "GPTJ"}, "*.attn.bias"},
    {"codegen", "gptj.kiln", "transformer.", {"GPTJ", "CodeGen"}, "*.attn.causal_mask"},
    {"gpt_bigcode", "gpt_bigcode.kiln", "transformer.", {"GPTBigCode", "GPTBigCode"}, "*.attn.bias"},
    {"starcoder2", "starcoder2.kiln", "model.", {"Starcoder2", "Starcoder2"}, nullptr},
    {"opt", "opt.kiln", "model.", {"OPT", "OPT"}, nullptr},
    {"bloom", "bloom.kiln", "transformer.", {"Bloom", "Bloom"}, nullptr},
    {"falcon", "falcon.kiln", "transformer.", {"Falcon", "Falcon"}, nullptr},
    {"olmo", "olmo.kiln", "model.", {"Olmo", "Olmo"}, nullptr},
    {"olmo2", "olmo2.kiln", "model.", {"Olmo2", "Olmo2"}, nullptr},
    {"olmo3", "olmo2.kiln", "model.", {"Olmo2", "Olmo3"}, nullptr},
    {"olmoe", "mixture.kiln", "model.", {"Mixture", "Olmoe"}, nullptr},
    {"granite", "granite.kiln", "model.", {"Granite", "Granite"}, nullptr},
    {"granitemoe", "granite.kiln", "model.", {"Granite", "GraniteMoe"}, nullptr},
    {"smollm3", "smollm3.kiln", "model.", {"SmolLM3", "SmolLM3"}, nullptr},
    {"stablelm", "stablelm.kiln", "model.", {"StableLm", "StableLm"}, nullptr},
    {"nemotron", "nemotron.kiln", "model.", {"Nemotron", "Nemotron"}, nullptr},
    {"cohere", "cohere.kiln", "model.", {"Cohere", "Cohere"}, nullptr},
    {"cohere2", "cohere.kiln", "model.", {"Cohere", "Cohere2"}, nullptr},
    {"glm", "glm.kiln", "model.", {"Glm", "Glm"}, nullptr},
    {"glm4", "glm.kiln", "model.", {"Glm", "Glm4"}, nullptr},
    {"helium", "helium.kiln", "model.", {"Helium", "Helium"}, nullptr},
    {"ernie4_5", "helium.kiln", "model.", {"Helium", "Ernie4_5"}, nullptr},
    {"lfm2", "lfm2.kiln", "model.", {"Lfm2", "Lfm2"}, nullptr},
    {"mamba", "mamba.kiln", "backbone.", {"Mamba", "Mamba"}, nullptr},
    {"mamba2", "mamba2.kiln", "backbone.", {"Mamba2", "Mamba2"}, nullptr},
    {"phimoe", "phimoe.kiln", "model.", {"Phimoe", "Phimoe"}, nullptr},
    {"phi", "phi.kiln", "model.", {"Phi", "Phi"}, nullptr},
    {"phi3", "phi3.kiln", "model.", {"Phi3", "Phi3"}, nullptr},
    {"gemma", "gemma.kiln", "model.", {"Gemma", "Gemma"}, nullptr},
    {"gemma2", "gemma2.kiln", "model.", {"Gemma2", "Gemma2"}, nullptr},
    {"gemma3_text", "gemma3.kiln", "model.", {"Gemma3", "Gemma3"}, nullptr},
    {"t5", "t5.kiln", "", {"T5", "T5"}, nullptr},
    {"mt5", "t5.kiln", "", {"T5", "MT5"}, nullptr},
    {"bart", "bart.kiln", "model.", {"Bart", "Bart"}, nullptr},
    {"mbart", "bart.kiln", "model.", {"Bart", "MBart"}, nullptr},
    {"marian", "bart.kiln", "model.", {"Marian", "Marian"}, nullptr},
    {"pegasus", "bart.kiln", "model.", {"Bart", "Pegasus"}, nullptr},
    {"m2m_100", "bart.kiln", "model.", {"Bart", "M2M100"}, nullptr},
    {"blenderbot", "bart.kiln", "model.", {"Bart", "Blenderbot"}, nullptr},
    {"clip", "clip.kiln", "", {"CLIP", "CLIP"}, nullptr},
    {"resnet", "resnet.kiln", "resnet.", {"ResNet", "ResNet"}, nullptr},
    {"regnet", "regnet.kiln", "regnet.", {"RegNet", "RegNet"}, nullptr},
    {"efficientnet", "efficientnet.kiln", "efficientnet.", {"EfficientNet", "EfficientNet"}, nullptr},
    {"mobilenet_v2", "mobilenetv2.kiln", "mobilenet_v2.", {"MobileNetV2", "MobileNetV2"}, nullptr},
    {"convnext", "convnext.kiln", "convnext.", {"ConvNext", "ConvNext"}, nullptr},
    {"convnextv2", "convnext.kiln", "convnextv2.", {"ConvNextV2", "ConvNextV2"}, nullptr},
    {"vit", "vit.kiln", "vit.", {"ViT", "ViT"}, nullptr},
    {"deit", "vit.kiln", "deit.", {"DeiT", "DeiT"}, nullptr},
    {"audio-spectrogram-transformer", "vit.kiln", "audio_spectrogram_transformer.", {"AST", "AST"}, nullptr},
    {"dinov2", "dinov2.kiln", "dinov2.", {"Dinov2", "Dinov2"}, nullptr},
    {"swin", "swin.kiln", "swin.", {"Swin", "Swin"}, "*.relative_position_index"},
    {"beit", "beit.kiln", "beit.", {"Beit", "Beit"}, "*.relative_position_index"},
    {"segformer", "segformer.kiln", "segformer.", {"Segformer", "Segformer"}, nullptr},
    {"siglip", "siglip.kiln", "", {"Siglip", "Siglip"}, nullptr},
    {"whisper", "whisper.kiln", "model.", {"Whisper", "Whisper"}, nullptr},
    {"wav2vec2", "wav2vec2.kiln", "wav2vec2.", {"Wav2Vec2", "Wav2Vec2"}, nullptr},
    {"hubert", "wav2vec2.kiln", "hubert.", {"Hubert", "Hubert"}, nullptr},
};

bool isWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// Top-level pieces of a text: a constant, a function, a module, a recipe, with the comment right above.
struct Block {
  std::vector<std::string> lines;
  std::string kind, name; ///< "model", "BertModel"; a constant's kind is empty
  std::string value, mark, argument;
  bool isConstant() const { return kind.empty(); }
};

std::string trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string_view::npos ? "" : std::string(text.substr(begin, end - begin + 1));
}

std::string wordAt(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && isWordCharacter(text[end]))
    ++end;
  return std::string(text.substr(at, end - at));
}

/// A constant's line: NAME = VALUE # MARK ARGUMENT.
void readConstant(Block &block, const std::string &line) {
  size_t equals = line.find('='), comment = line.find('#');
  block.name = trimmed(std::string_view(line).substr(0, equals));
  block.value =
      trimmed(std::string_view(line).substr(equals + 1, comment == std::string::npos ? comment : comment - equals - 1));
  if (comment == std::string::npos)
    return;
  std::string words = trimmed(std::string_view(line).substr(comment + 1));
  size_t space = std::min(words.find(' '), words.size());
  block.mark = words.substr(0, space);
  block.argument = trimmed(std::string_view(words).substr(space));
}

std::vector<Block> blocksOf(std::string_view text) {
  std::vector<Block> blocks;
  std::vector<std::string> above; // comments that the next block takes
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string line(text.substr(at, end - at));
    at = end + 1;
    bool inside = line.empty() || line[0] == ' ';
    if (inside && !above.empty() && line.empty()) { // the file's first words belong to nothing
      blocks.push_back({above, "text", "", "", "", ""});
      above.clear();
    } else if (inside && !blocks.empty()) {
      blocks.back().lines.push_back(line);
    } else if (line[0] == '#') {
      above.push_back(line);
    } else {
      Block block;
      block.lines = std::move(above);
      above.clear();
      block.lines.push_back(line);
      std::string first = wordAt(line, 0);
      if (first == "def" || first == "module" || first == "model" || first == "generate") {
        block.kind = first;
        block.name = wordAt(line, first.size() + 1);
      } else {
        readConstant(block, line);
      }
      blocks.push_back(std::move(block));
    }
  }
  for (Block &block : blocks)
    while (!block.lines.empty() && block.lines.back().empty())
      block.lines.pop_back();
  return blocks;
}

/// The words of a block's code; comments and texts are none.
void addWords(const Block &block, std::set<std::string> &words) {
  for (const std::string &line : block.lines) {
    bool quoted = false;
    for (size_t at = 0; at < line.size(); ++at) {
      if (line[at] == '"' && (at == 0 || line[at - 1] != '\\'))
        quoted = !quoted;
      if (quoted)
        continue;
      if (line[at] == '#')
        break;
      if (isWordCharacter(line[at])) {
        std::string word = wordAt(line, at);
        at += word.size() - 1;
        words.insert(word);
      }
    }
  }
}

/// The blocks that the model reaches, in the order of the template.
std::vector<Block> reached(std::vector<Block> blocks, const std::string &model) {
  std::set<std::string> words = {model};
  std::vector<bool> kept(blocks.size());
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < blocks.size(); ++i) {
      bool wanted = blocks[i].kind == "text" ||
                    (blocks[i].kind == "generate" ? blocks[i].name == model : words.contains(blocks[i].name));
      if (!wanted || kept[i])
        continue;
      kept[i] = more = true;
      if (blocks[i].kind != "text")
        addWords(blocks[i], words);
    }
  }
  std::vector<Block> left;
  for (size_t i = 0; i < blocks.size(); ++i)
    if (kept[i])
      left.push_back(std::move(blocks[i]));
  return left;
}

/// Words that begin with one name begin with the other.
std::string renamed(const std::string &line, std::string_view from, std::string_view to) {
  std::string text;
  for (size_t at = 0; at < line.size();) {
    if (isWordCharacter(line[at]) && line.compare(at, from.size(), from) == 0) {
      text += to;
      at += from.size();
    }
    while (at < line.size() && isWordCharacter(line[at]))
      text += line[at++];
    while (at < line.size() && !isWordCharacter(line[at]))
      text += line[at++];
  }
  return text;
}

std::string_view templateOf(const Family &family) {
  for (size_t i = 0; i < libraryFileCount; ++i)
    if (std::string_view(libraryFiles[i].name) == family.file)
      return {libraryFiles[i].text, libraryFiles[i].size};
  fail("the template %s is not part of this kiln", family.file);
}

/// The template's name of a model.
std::string templateName(const Family &family, const std::string &architecture) {
  std::string_view own = family.classes[1];
  return architecture.starts_with(own) ? family.classes[0] + architecture.substr(own.size()) : architecture;
}

void writeConstant(Block &block, const Settings &settings, const std::function<bool(std::string_view)> &hasTensor) {
  std::string value = block.value;
  const std::string &key = block.argument.empty() ? block.name : block.argument;
  if (block.mark == "optional" && settings.isNull(key))
    value = "None";
  else if (block.mark == "config" || block.mark == "default" || block.mark == "optional")
    value = settings.text(key, block.value, block.mark == "config");
  else if (block.mark == "weights")
    value = hasTensor(block.argument) ? "True" : "False";
  block.value = value;
}

/// An assert's line whose message names the file that the settings are of, by what that file has.
std::string withFileNamed(const std::string &line, const Settings &settings) {
  size_t begin = line.find(", \"config.json");
  return begin == std::string::npos ? line : line.substr(0, begin) + settings.said(line.substr(begin));
}

/// Constants that stand below each other have their values below each other.
void alignConstants(std::vector<Block> &blocks) {
  for (size_t begin = 0; begin < blocks.size();) {
    size_t end = begin, width = 0;
    for (; end < blocks.size() && blocks[end].isConstant(); ++end)
      width = std::max(width, blocks[end].name.size());
    for (size_t i = begin; i < end; ++i)
      blocks[i].lines.back() =
          blocks[i].name + std::string(width - blocks[i].name.size(), ' ') + " = " + blocks[i].value;
    begin = std::max(end, begin + 1);
  }
}

} // namespace

const Family &familyOf(const std::string &modelType, const std::string &what) {
  std::string known;
  for (const Family &family : families) {
    if (modelType == family.modelType)
      return family;
    known += (known.empty() ? "" : ", ") + std::string(family.modelType);
  }
  fail("%s: the model_type %s is not known; those that are: %s", what.c_str(), jsonQuote(modelType).c_str(),
       known.c_str());
}

bool isPlain(const Family &family, const std::string &architecture) {
  std::string name = templateName(family, architecture).substr(std::string_view(family.classes[0]).size());
  return name == "Model" || name == "TextModel";
}

std::string architectureOf(const Family &family, const Settings &settings, const std::string &named) {
  std::string asked = named.empty() ? family.classes[1] + std::string("Model") : named, known;
  const Json *list = settings.config().find("architectures");
  if (named.empty() && list && list->isArray() && !list->array().empty())
    asked = list->array()[0].string();
  for (const Block &block : blocksOf(templateOf(family))) {
    if (block.kind != "model" || !block.name.starts_with(family.classes[0]))
      continue;
    std::string name = family.classes[1] + block.name.substr(std::string_view(family.classes[0]).size());
    if (name == asked)
      return asked;
    known += (known.empty() ? "" : ", ") + name;
  }
  fail("%s: the architecture %s is not known; of the model_type \"%s\" there are: %s", settings.what().c_str(),
       jsonQuote(asked).c_str(), family.modelType, known.c_str());
}

std::string writeModel(const Family &family, const std::string &architecture, const Settings &settings,
                       const std::function<bool(std::string_view)> &hasTensor) {
  std::string model = templateName(family, architecture), text;
  bool afterConstant = false;
  std::vector<Block> blocks = reached(blocksOf(templateOf(family)), model);
  for (Block &block : blocks)
    if (block.isConstant())
      writeConstant(block, settings, hasTensor);
  alignConstants(blocks);
  for (Block &block : blocks) {
    if (block.kind == "model" && block.name != model) // a part of the one that the text is about
      for (std::string &line : block.lines)
        if (line.starts_with("model "))
          line = "module" + line.substr(5);
    if (!text.empty() && !(afterConstant && block.isConstant()))
      text += '\n';
    afterConstant = block.isConstant();
    for (const std::string &line : block.lines)
      text += (line.starts_with("#") ? line
                                     : renamed(withFileNamed(line, settings), family.classes[0], family.classes[1])) +
              '\n';
  }
  return text;
}

} // namespace kiln::huggingface
