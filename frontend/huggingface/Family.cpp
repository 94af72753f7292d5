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
    {"gpt_oss", "gpt_oss.kiln", "model.", {"GptOss", "GptOss"}, nullptr},
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

std::string_view templateOf(const char *file) {
  for (size_t i = 0; i < libraryFileCount; ++i)
    if (std::string_view(libraryFiles[i].name) == file)
      return {libraryFiles[i].text, libraryFiles[i].size};
  fail("the template %s is not part of this kiln", file);
}

/// The line with other words.
std::string withWords(const std::string &line, const std::vector<std::pair<std::string, std::string>> &words) {
  std::string text;
  for (size_t at = 0; at < line.size();)
    if (isWordCharacter(line[at])) {
      std::string word = wordAt(line, at);
      at += word.size();
      auto other = std::find_if(words.begin(), words.end(), [&](const auto &pair) { return pair.first == word; });
      text += other == words.end() ? word : other->second;
    } else {
      text += line[at++];
    }
  return text;
}

/// Behind a word of the block's code, up to where it ends; empty where it is not there.
std::string behind(const Block &block, const std::string &word, const char *end) {
  for (const std::string &line : block.lines)
    if (size_t at = line.find(word); at != std::string::npos && !line.starts_with("#"))
      return line.substr(at + word.size(), line.find(end, at + word.size()) - at - word.size());
  return "";
}

/// Lines of parts, `    name = value`, with their signs below each other.
void alignParts(std::vector<std::string> &lines) {
  // Where the name ends, and the sign; 0 in other lines.
  auto nameEnd = [](const std::string &line) {
    size_t end = line.starts_with("    ") && line.size() > 4 && line[4] != ' ' ? line.find(' ', 4) : std::string::npos;
    size_t sign = end == std::string::npos ? end : line.find_first_not_of(' ', end);
    bool isOne = sign != std::string::npos && line.compare(sign, 2, "= ") == 0;
    return isOne ? std::pair(end, sign) : std::pair<size_t, size_t>(0, 0);
  };
  size_t width = 0;
  for (const std::string &line : lines)
    width = std::max(width, nameEnd(line).first);
  for (std::string &line : lines)
    if (auto [end, sign] = nameEnd(line); sign > 0)
      line = line.substr(0, end) + std::string(width + 1 - end, ' ') + line.substr(sign);
}

const Block *blockOf(const std::vector<Block> &blocks, const std::string &name, const std::string &other) {
  for (const std::string &wanted : {name, other})
    for (const Block &block : blocks)
      if (block.name == wanted)
        return &block;
  return nullptr;
}

/// What transformers has for most language models (heads.kiln): `blocks` with those that the family does not write
/// itself.
void addHeads(const Family &family, std::vector<Block> &blocks) {
  const std::string begin = family.classes[0];
  const Block *language = blockOf(blocks, begin + "ForCausalLM", begin + "LMHeadModel"),
              *plain = blockOf(blocks, begin + "Model", begin + "TextModel");
  std::string part(family.prefix);
  part.resize(part.size() - part.ends_with('.'));
  if (!language || !plain || part.empty())
    return;
  const std::string context = behind(*language, "context=", "):"), width = behind(*plain, "-> f32[B, T, ", "]"),
                    plainName = plain->name;
  if (context.empty() || width.empty())
    return;
  const std::string own = begin + (plainName.ends_with("TextModel") ? "Text" : ""); // Gemma3TextForTokenClassification
  bool isGeneric = part == "model" &&
                   std::string_view(family.modelType) != "opt"; // which transformers writes no classes of its own for
  size_t constants = 0;
  while (constants < blocks.size() && (blocks[constants].kind == "text" || blocks[constants].isConstant()))
    ++constants;
  for (Block &head : blocksOf(templateOf("heads.kiln"))) {
    std::string was = head.name, name = was.starts_with("Decoder") ? own + was.substr(7) : was;
    bool isStandIn = head.kind == "text" || was == "DecoderModel" || was == "vocab_size" || was == "hidden_size";
    // (of these some call their plain model otherwise in it than everywhere else)
    bool isOdd = isGeneric && was.ends_with("ForQuestionAnswering");
    if (isStandIn || isOdd || blockOf(blocks, name, name))
      continue;
    head.name = name;
    if (head.isConstant()) {
      blocks.insert(blocks.begin() + static_cast<int64_t>(constants++), std::move(head));
      continue;
    }
    for (std::string &line : head.lines)
      if (!line.starts_with("#"))
        line = withWords(line, {{"DecoderModel", plainName},
                                {was, name},
                                {"decoder", part},
                                {"hidden_size", width},
                                {"classifier", isGeneric ? "score" : "classifier"},
                                {"1024", context}});
    alignParts(head.lines);
    blocks.push_back(std::move(head));
  }
}

/// All that the family's models are made of.
std::vector<Block> blocksOf(const Family &family) {
  std::vector<Block> blocks = blocksOf(templateOf(family.file));
  addHeads(family, blocks);
  return blocks;
}

/// The template's name of a model.
std::string templateName(const Family &family, const std::string &architecture) {
  std::string_view own = family.classes[1];
  return architecture.starts_with(own) ? family.classes[0] + architecture.substr(own.size()) : architecture;
}

/// Of a constant that has another one's value where nothing is said, that one's.
std::string valueBehind(const std::vector<Block> &blocks, const Block &block) {
  std::string value = block.value;
  for (int steps = 0; steps < 8; ++steps)
    for (const Block &other : blocks)
      if (other.isConstant() && other.name == value) {
        value = other.value;
        break;
      }
  return value;
}

/// `like`: a value of its kind.
void writeConstant(Block &block, const Settings &settings, const std::string &like,
                   const std::function<bool(std::string_view)> &hasTensor) {
  std::string value = block.value;
  const std::string &key = block.argument.empty() ? block.name : block.argument;
  if (block.mark == "optional" && settings.isNull(key))
    value = "None";
  else if (block.mark == "config" || block.mark == "default" || block.mark == "optional")
    value = settings.text(key, block.value, block.mark == "config", like);
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
  for (const Block &block : blocksOf(family)) {
    if (block.kind != "model" || !block.name.starts_with(family.classes[0]))
      continue;
    std::string name = family.classes[1] + block.name.substr(std::string_view(family.classes[0]).size());
    if (name == asked)
      return asked;
    known += (known.empty() ? "" : ", ") + name;
  }
  fail("%s: the architecture %s is not known; of the model_type \"%s\" there are: %s (--model NAME takes one of them)",
       settings.what().c_str(), jsonQuote(asked).c_str(), family.modelType, known.c_str());
}

std::string writeModel(const Family &family, const std::string &architecture, const Settings &settings,
                       const std::function<bool(std::string_view)> &hasTensor) {
  std::string model = templateName(family, architecture), text;
  bool afterConstant = false;
  std::vector<Block> blocks = reached(blocksOf(family), model);
  std::vector<std::string> kinds; // before any is written
  for (const Block &block : blocks)
    kinds.push_back(block.isConstant() ? valueBehind(blocks, block) : "");
  for (size_t i = 0; i < blocks.size(); ++i)
    if (blocks[i].isConstant())
      writeConstant(blocks[i], settings, kinds[i], hasTensor);
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
