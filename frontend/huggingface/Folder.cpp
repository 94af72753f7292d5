// The files of a folder, each read by its own rules.
#include "frontend/huggingface/Folder.h"

#include "frontend/huggingface/Chat.h"
#include "frontend/huggingface/Experts.h"
#include "frontend/huggingface/Family.h"
#include "frontend/huggingface/Generation.h"
#include "frontend/huggingface/Pictures.h"
#include "frontend/huggingface/Quantised.h"
#include "frontend/huggingface/SentencePiece.h"
#include "frontend/huggingface/Sentences.h"
#include "frontend/huggingface/Speech.h"
#include "runtime/files/File.h"
#include "runtime/program/WeightFiles.h"
#include "runtime/support/Error.h"
#include "runtime/text/Tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace kiln::huggingface {

namespace {

std::string inside(const std::string &folder, const std::string &name) {
  return (std::filesystem::path(folder) / name).string();
}

bool isThere(const std::string &path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

/// The safetensors file, or the index of several. Throws Error, which says what stands there in their place.
std::string weightsOf(const std::string &folder) {
  for (const char *name : {"model.safetensors", "model.safetensors.index.json"})
    if (std::string path = inside(folder, name); isThere(path))
      return path;
  for (const char *name : {"pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack"})
    if (isThere(inside(folder, name)))
      fail("'%s' has its weights in %s alone, which is not read (a pickle runs what it holds); save it as safetensors: "
           "model.save_pretrained(FOLDER) of transformers does",
           folder.c_str(), name);
  fail("'%s' has no weights: model.safetensors, or model.safetensors.index.json and its shards, are expected",
       folder.c_str());
}

/// What `read` throws, with the file's name before it.
template <typename Read> void inFile(const std::string &path, Read read) {
  try {
    read();
  } catch (const Error &error) {
    std::string why = error.what();
    throw why.find(path) == std::string::npos ? Error("'" + path + "': " + why) : error;
  }
}

/// What an answer begins with.
void readFirstTokens(const Json &generation, Settings &settings) {
  for (const char *key : {"decoder_start_token_id", "forced_bos_token_id"})
    if (const Json *token = generation.find(key); token && token->isInt())
      settings.set(key, std::to_string(token->integer(0, INT32_MAX)));
}

/// "p2c|c2p", as the first files of DeBERTa have a list.
void readKinds(Settings &settings) {
  const Json *kinds = settings.config().find("pos_att_type");
  if (!kinds || !kinds->isString())
    return;
  std::string text;
  for (size_t at = 0; at < kinds->string().size();) {
    size_t end = std::min(kinds->string().find('|', at), kinds->string().size());
    text += (text.empty() ? "" : ", ") + jsonQuote(kinds->string().substr(at, end - at));
    at = end + 1;
  }
  settings.set("pos_att_type", "[" + text + "]");
}

/// Reads what is made of an input (`part`: feature_extractor, image_processor): as processor_config.json says, where
/// the processor of several kinds of input has that in it, else preprocessor_config.json. `read` gets it, and what it
/// is of.
template <typename Read> void readProcessor(const std::string &folder, const char *part, Read read) {
  std::string whole = inside(folder, "processor_config.json"), own = inside(folder, "preprocessor_config.json");
  bool found = false;
  inFile(whole, [&] {
    if (!isThere(whole))
      return;
    Json json = readSettingsFile(whole);
    const Json *nested = json.find(part);
    found = nested && nested->isObject();
    if (found)
      read(*nested, "'" + whole + "'");
  });
  inFile(own, [&] {
    if (!found && isThere(own))
      read(readSettingsFile(own), "'" + own + "'");
  });
}

/// What ends an answer; nothing does where the list of it is empty.
void takeEnd(const Json &json, const std::string &what, Settings &settings) {
  if (const Json *end = json.find("eos_token_id"))
    settings.set("eos_token_id", end->isArray() && end->array().empty() ? "None" : kilnText(*end, what));
}

/// What files beside config.json say, and what is said there in another form.
std::optional<Sentences> readOthers(const std::string &folder, Settings &settings) {
  if (const Json *labels = settings.config().find("id2label"); labels && labels->isObject())
    settings.set("num_labels", std::to_string(labels->object().size()));
  const Json *dropout = settings.config().find("classifier_dropout"),
             *hidden = settings.config().find("hidden_dropout");
  if (hidden && hidden->isNumber() && (!dropout || dropout->isNull()))
    settings.set("classifier_dropout", kilnText(*hidden, settings.what()));
  readKinds(settings);
  takeEnd(settings.config(), settings.what(), settings);
  readFirstTokens(settings.config(), settings);
  const Json *type = settings.config().find("model_type");
  bool hears = type && type->isString() && type->string() == "whisper";
  bool samples = type && type->isString() && (type->string() == "wav2vec2" || type->string() == "hubert");
  std::string path = inside(folder, "generation_config.json");
  inFile(path, [&] {
    if (!isThere(path))
      return;
    Json json = readSettingsFile(path);
    takeEnd(json, "'" + path + "'", settings);
    if (hears)
      readAnswer(json, settings);
    else
      readFirstTokens(json, settings);
  });
  readProcessor(folder, "feature_extractor", [&](const Json &heard, const std::string &) {
    if (hears)
      readSpectrogram(heard, settings);
    else if (samples)
      readSamples(heard, settings);
  });
  std::optional<Sentences> sentences;
  inFile(inside(folder, "modules.json"), [&] { sentences = readSentenceModules(folder, settings); });
  return sentences;
}

/// Beside the tokenizer, in a file of its own or among its settings.
ChatTemplate readChat(const std::string &folder) {
  ChatTemplate chat;
  std::string path = inside(folder, "tokenizer_config.json"), own = inside(folder, "chat_template.jinja");
  inFile(path, [&] {
    Json config = isThere(path) ? readSettingsFile(path) : Json::parse("{}", path);
    for (const Json &item : config.object()) {
      const Json *content = item.isObject() ? item.find("content") : &item;
      if (item.key().ends_with("_token") && content && content->isString())
        chat.tokens[item.key()] = content->string();
      if (item.key() != "chat_template")
        continue;
      if (item.isString())
        chat.text = item.string();
      else if (item.isArray()) // several, each with a name
        for (const Json &one : item.array())
          if (one.at("name").string() == "default")
            chat.text = one.at("template").string();
    }
  });
  std::error_code error;
  if (isThere(own) && std::filesystem::file_size(own, error) <= maxSettingsFile)
    chat.text = readText(own);
  return chat;
}

/// Old files call a norm's weights so, and the parts of a filter.
constexpr std::pair<const char *, const char *> oldEndings[] = {
    {"LayerNorm.gamma", "LayerNorm.weight"},
    {"LayerNorm.beta", "LayerNorm.bias"},
    {"pos_conv_embed.conv.weight_g", "pos_conv_embed.conv.parametrizations.weight.original0"},
    {"pos_conv_embed.conv.weight_v", "pos_conv_embed.conv.parametrizations.weight.original1"},
};

std::string modernName(const std::string &name) {
  for (auto [old, now] : oldEndings)
    if (name.ends_with(old))
      return name.substr(0, name.size() - std::string_view(old).size()) + now;
  return name;
}

/// The tensors by the names that the model has for them. Files of a plain model lack the prefix that the others have.
/// `result`: its tensors, and how a program's options say the same.
void nameTensors(Safetensors files, const Family &family, bool plain, Imported &result) {
  std::set<std::string> masks;
  bool prefixed = false, old = false;
  for (const TensorView &tensor : files.tensors()) {
    prefixed |= tensor.name.starts_with(family.prefix);
    old |= modernName(tensor.name) != tensor.name;
    if (family.ignored && matchesPattern(family.ignored, tensor.name) &&
        (tensor.shape.size() == 4 || tensor.dtype == KILN_I64))
      masks.insert(tensor.name);
  }
  std::string add = !plain && !prefixed ? family.prefix : "", strip = plain && prefixed ? family.prefix : "";
  result.prefix = add.substr(0, add.size() - !add.empty());
  std::set<std::string> heads; // which the plain model is without
  for (const TensorView &tensor : files.tensors())
    if (!strip.empty() && !tensor.name.starts_with(strip))
      heads.insert(tensor.name.substr(0, tensor.name.find('.')));
  for (const std::string &head : heads) {
    result.ignored.push_back(head + ".*");
    result.notes.push_back("the tensors '" + head + ".*' are left out: " + result.model + " has no such part");
  }
  if (!masks.empty())
    result.ignored.emplace_back(family.ignored);
  result.strip = strip;
  result.renamed = old;
  std::vector<Safetensors> one;
  one.push_back(std::move(files));
  result.tensors = Safetensors::join(std::move(one), [&](size_t, const std::string &name) {
    if (masks.contains(name))
      return std::string();
    std::string own = modernName(name);
    return own.starts_with(strip) ? add + own.substr(strip.size()) : std::string();
  });
}

bool hasTensor(const Safetensors &tensors, std::string_view name) {
  std::string end = "." + std::string(name);
  return std::any_of(tensors.tensors().begin(), tensors.tensors().end(),
                     [&](const TensorView &tensor) { return tensor.name == name || tensor.name.ends_with(end); });
}

/// Words in other files than a tokenizer.json: Marian's become one, of others it is said.
void readOtherWords(const std::string &folder, const Settings &settings, Imported &result) {
  std::string source = inside(folder, "source.spm"), vocabulary = inside(folder, "vocab.json");
  const Json *type = settings.config().find("model_type");
  if (type && type->isString() && type->string() == "marian" && isThere(source) && isThere(vocabulary)) {
    result.tokenizer =
        marianTokenizer(readFile(source, size_t{1} << 28), readSettingsFile(vocabulary), "'" + source + "'");
    result.ownTokenizer = true;
    Tokenizer::parse(result.tokenizer, "'" + source + "'");
    return;
  }
  for (const char *name : {"spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model", "source.spm",
                           "vocab.txt", "vocab.json"})
    if (isThere(inside(folder, name))) {
      result.notes.push_back("'" + folder + "' has its words in " + name +
                             ", which is not read, and no tokenizer.json: its texts are token numbers. transformers "
                             "writes one: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)");
      return;
    }
}

} // namespace

std::string Imported::rules() const {
  std::string out = strip.empty() ? "" : " --strip " + strip;
  for (const std::string &pattern : ignored)
    out += " --ignore '" + pattern + "'";
  if (renamed)
    for (auto [old, now] : oldEndings)
      out += " --rename '*" + std::string(old) + "=*" + now + "'";
  for (const std::string &rule : renames)
    out += " --rename '" + rule + "'";
  return out + (renames.empty() ? "" : " --partial"); // (adapters are in no file yet)
}

bool isFolder(const std::string &path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) && isThere(inside(path, "config.json"));
}

Imported makeModel(Settings settings, Safetensors tensors, const std::string &architecture) {
  const char *what = settings.what().c_str();
  const Json *type = settings.config().find("model_type");
  if (!type || !type->isString())
    fail("%s: 'model_type' is missing; it says which kind of model this is", what);
  const Family &family = familyOf(type->string(), settings.what());
  Imported result;
  result.model = architectureOf(family, settings, architecture);
  nameTensors(std::move(tensors), family, isPlain(family, result.model), result);
  settings.limitLayers(result.tensors.tensors().size());
  result.text = writeModel(family, result.model, settings,
                           [&](std::string_view name) { return hasTensor(result.tensors, name); });
  return result;
}

/// What the classes are called, unless they were left "LABEL_0" and so on: the text's `labels`, behind its first
/// comment.
static void addLabels(Imported &imported, const Json &config) {
  const Json *labels = config.find("id2label");
  if (!labels || !labels->isObject() || imported.text.find("\nnum_labels ") == std::string::npos)
    return;
  std::vector<std::string> names(labels->object().size());
  bool named = false;
  for (const Json &label : labels->object()) {
    size_t id = static_cast<size_t>(std::strtoull(label.key().c_str(), nullptr, 10));
    std::optional<std::string> name = label.isString() ? stringText(label.string()) : std::nullopt;
    if (!name || std::to_string(id) != label.key() || id >= names.size() || !names[id].empty())
      return;
    named |= *name != "\"LABEL_" + label.key() + "\"";
    names[id] = *name;
  }
  std::string line = "\nlabels = [", text;
  for (size_t i = 0; named && i < names.size(); ++i) {
    line += names[i] + (i + 1 < names.size() ? ", " : "]\n");
    if (line.size() > 120) {
      text += line + (i + 1 < names.size() ? "\n          " : "");
      line.clear();
    }
  }
  if (named)
    imported.text.insert(imported.text.find("\n\n") + 1, text + line);
}

Imported readFolder(const std::string &path, const std::string &architecture, bool keepBlocks) {
  std::string what = inside(path, "config.json");
  Settings settings(readSettingsFile(what), "'" + what + "'");
  std::optional<Sentences> sentences = readOthers(path, settings);
  PictureText picture;
  readProcessor(path, "image_processor",
                [&](const Json &seen, const std::string &name) { picture = readPicture(seen, name); });
  std::string asked = architecture.empty() && sentences ? modelFor(*sentences, settings) : architecture;
  WeightChoice choice;
  choice.files.push_back({weightsOf(path), ""});
  choice.eightBits = true; // which are widened
  Imported result;
  Safetensors weights = openWeightFiles(choice); // whose errors name their own files
  std::vector<std::string> notes;
  bool quantised = false, apart = false;
  inFile(what, [&] {
    weights = readQuantised(settings, std::move(weights), keepBlocks, notes, quantised);
    weights = apartExperts(settings, std::move(weights), apart);
    result = makeModel(settings, std::move(weights), asked);
  });
  result.gathered = quantised || apart;
  result.notes.insert(result.notes.begin(), notes.begin(), notes.end());
  result.weights = choice.files[0].path;
  if (std::string generation = inside(path, "generation_config.json"); isThere(generation))
    inFile(generation, [&] { takeGeneration(readSettingsFile(generation), "'" + generation + "'", result); });
  else // as files of before have it
    takeGeneration(settings.config(), "'" + what + "'", result);
  addPicture(result, picture);
  addLabels(result, settings.config());
  if (sentences)
    addSentences(result, path, *sentences);
  if (std::string tokenizer = inside(path, "tokenizer.json"); isThere(tokenizer)) {
    result.tokenizer = readText(tokenizer);
    Tokenizer::parse(result.tokenizer, "'" + tokenizer + "'");
    result.text = withChat(std::move(result.text), result.model, readChat(path), result.notes);
  } else {
    readOtherWords(path, settings, result);
  }
  return result;
}

} // namespace kiln::huggingface
