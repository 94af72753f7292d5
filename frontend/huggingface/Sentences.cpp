// modules.json of sentence-transformers, and its layers as lines of a family's text.
#include "frontend/huggingface/Sentences.h"

#include "runtime/support/Error.h"

#include <filesystem>

namespace kiln::huggingface {

namespace {

std::string inside(const std::string &folder, const std::string &name) {
  return (std::filesystem::path(folder) / name).string();
}

/// The folder of a module, beside the model.
std::string placeOf(const Json &module, const std::string &path) {
  const std::string &place = module.at("path").string();
  if (place.empty() || place.find('/') != std::string::npos || place.starts_with("."))
    fail("'%s': the path %s is no folder beside it", path.c_str(), jsonQuote(place).c_str());
  return place;
}

/// How tokens are pooled: "mean", "cls", "max", or what the file calls it, which the text then refuses.
std::string poolingOf(const Json &config) {
  std::string how;
  for (const Json &item : config.object()) {
    std::string_view prefix = "pooling_mode_", ending = "_tokens", token = "_token";
    if (item.key() == "pooling_mode" && item.isString())
      return item.string();
    if (!item.key().starts_with(prefix) || item.kind() != Json::Kind::Bool || !item.boolean())
      continue;
    std::string mode = item.key().substr(prefix.size());
    for (std::string_view part : {ending, token})
      if (mode.ends_with(part))
        mode.erase(mode.size() - part.size());
    how += (how.empty() ? "" : "+") + mode;
  }
  return how.empty() ? "none" : how;
}

SentenceDense denseOf(const std::string &folder, const std::string &place) {
  std::string path = inside(inside(folder, place), "config.json");
  Json config = readSettingsFile(path);
  SentenceDense dense;
  dense.place = place;
  dense.inputs = config.at("in_features").integer(1, INT32_MAX);
  dense.outputs = config.at("out_features").integer(1, INT32_MAX);
  dense.bias = config.booleanOr("bias", true);
  std::string name = config.stringOr("activation_function", "torch.nn.modules.activation.Tanh");
  name = name.substr(name.rfind('.') + 1);
  const std::pair<const char *, const char *> known[] = {{"Identity", ""}, {"Tanh", "tanh"}, {"ReLU", "relu"},
                                                         {"GELU", "gelu"}, {"SiLU", "silu"}, {"Sigmoid", "sigmoid"}};
  for (auto [theirs, ours] : known)
    if (name == theirs) {
      dense.activation = ours;
      return dense;
    }
  fail("'%s': 'activation_function' is %s; known are Identity, Tanh, ReLU, GELU, SiLU and Sigmoid", path.c_str(),
       jsonQuote(name).c_str());
}

/// The first line that has the part, from `at` on; npos.
size_t lineWith(const std::string &text, const std::string &part, size_t at = 0) {
  size_t found = text.find(part, at);
  return found == std::string::npos ? found : text.rfind('\n', found) + 1;
}

void replaceFrom(std::string &text, size_t at, const std::string &what, const std::string &by) {
  if (size_t found = text.find(what, at); found != std::string::npos)
    text.replace(found, what.size(), by);
}

} // namespace

std::optional<Sentences> readSentenceModules(const std::string &folder, Settings &settings) {
  std::string path = inside(folder, "modules.json");
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    return std::nullopt;
  Sentences result;
  Json modules = readSettingsFile(path, Json::Kind::Array);
  for (const Json &module : modules.array()) {
    const std::string &type = module.at("type").string();
    std::string kind = type.substr(type.rfind('.') == std::string::npos ? 0 : type.rfind('.') + 1);
    if (kind == "Normalize")
      result.normalized = true;
    else if (kind == "Pooling")
      result.pooling = poolingOf(readSettingsFile(inside(inside(folder, placeOf(module, path)), "config.json")));
    else if (kind == "Dense" && !result.dense && !result.normalized)
      result.dense = denseOf(folder, placeOf(module, path));
    else if (kind != "Transformer")
      fail("'%s': the module %s is not known there; there are Transformer, Pooling, one Dense and Normalize, in this "
           "order",
           path.c_str(), jsonQuote(type).c_str());
  }
  if (!result.pooling.empty())
    settings.set("pooling", jsonQuote(result.pooling));
  settings.set("normalized", result.normalized ? "True" : "False");
  if (std::string lengths = inside(folder, "sentence_bert_config.json"); std::filesystem::exists(lengths, error))
    if (Json json = readSettingsFile(lengths); const Json *most = json.find("max_seq_length"))
      settings.set("longest", std::to_string(most->integer(1, INT32_MAX)));
  return result;
}

std::string modelFor(const Sentences &sentences, const Settings &settings) {
  const Json *list = settings.config().find("architectures");
  if (sentences.pooling.empty() || !list || !list->isArray() || list->array().empty() || !list->array()[0].isString())
    return "";
  std::string name = list->array()[0].string();
  for (std::string_view head : {"ForCausalLM", "LMHeadModel"})
    if (name.ends_with(head))
      return name.substr(0, name.size() - head.size()) + "Model";
  return "";
}

/// `embed` of a language model's states.
static void addEmbed(Imported &imported, const Sentences &sentences) {
  std::string &text = imported.text;
  std::string begin = "\nmodel " + imported.model + "(",
              forward = "    def forward(ids: i32[B <= batch, T <= context]) -> f32[B, T, ";
  if (!imported.model.ends_with("Model") || imported.model.ends_with("LMHeadModel")) // (scores are no states)
    return;
  size_t model = text.find(begin), states = model == std::string::npos ? model : text.find(forward, model);
  if (states == std::string::npos || text.find("    def embed(", model) != std::string::npos)
    return;
  std::string how;
  for (auto [pooling, expression] :
       {std::pair("lasttoken", "x[iota(B), max(where(mask, iota(T)[None, :], 0), axis=1)]"),
        {"mean", "sum(where(mask[:, :, None], x, 0.0), axis=1) / "
                 "maximum(sum(mask.to(f32), axis=1, keepdims=True), 1e-9)"},
        {"cls", "x[:, 0]"},
        {"max", "max(where(mask[:, :, None], x, -1e9), axis=1)"}})
    if (sentences.pooling == pooling)
      how = expression;
  if (how.empty())
    fail("1_Pooling/config.json: tokens are pooled by %s; one of lasttoken, mean, cls and max is known",
         jsonQuote(sentences.pooling).c_str());
  size_t at = states + forward.size();
  std::string width = text.substr(at, text.find(']', at) - at);
  size_t end = text.find("\n\n", at);
  while (end != std::string::npos && end + 2 < text.size() && text[end + 2] == ' ')
    end = text.find("\n\n", end + 2);
  text.insert(std::min(end, text.size() - 1) + 1,
              "\n    def embed(ids: i32[B <= batch, T <= context], mask: bool[B, T]) -> f32[B, " + width +
                  "]:\n        return sentence(forward(ids), mask)\n");
  if (size_t single = model + begin.size(); text.compare(single, 8, "batch=1,") == 0)
    text.replace(single, 8, "batch=16,");
  size_t block = model; // with its comment
  while (block > 0 && text[text.rfind('\n', block - 1) + 1] == '#')
    block = text.rfind('\n', block - 1);
  text.insert(block,
              "\n# What of a text's tokens is its embedding, as sentence-transformers has it; texts are filled up "
              "behind.\ndef sentence(x: f32[B, T, " +
                  width + "], mask: bool[B, T]) -> f32[B, " + width + "]:\n    y = " + how + "\n    return " +
                  (sentences.normalized ? "unit_vectors(y, 1, 1e-12)" : "y") + "\n");
}

static void addDense(Imported &imported, const std::string &folder, const SentenceDense &dense) {
  std::string &text = imported.text;
  size_t model = text.find("\nmodel " + imported.model + "(");
  size_t embed = model == std::string::npos ? model : text.find("    def embed(ids", model);
  if (embed == std::string::npos)
    return;
  std::string path = inside(inside(folder, dense.place), "model.safetensors");
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    fail("'%s' has a layer behind its pooling, and its weights are not in '%s' (a pickle is not read); save the folder "
         "anew: SentenceTransformer(FOLDER).save(FOLDER) does",
         folder.c_str(), path.c_str());
  // From behind to the front, so that places in front stay.
  size_t type = text.find("-> f32[B, ", embed), end = text.find("]:", type);
  text.replace(type, end - type, "-> f32[B, " + std::to_string(dense.outputs));
  replaceFrom(text, embed, ", mask)\n", ", mask, sentence_dense)\n");
  text.insert(text.find('\n', model + 1) + 1, "    sentence_dense = SentenceDense()\n");
  std::string layer = "linear(x)";
  text.insert(model, format("\n# Behind the pooling, as %s of sentence-transformers has it.\nmodule SentenceDense():\n"
                            "    linear = Linear(%lld, %lld%s)\n\n    def forward(x):\n        return %s\n",
                            dense.place.c_str(), static_cast<long long>(dense.inputs),
                            static_cast<long long>(dense.outputs), dense.bias ? "" : ", bias=False",
                            (dense.activation.empty() ? layer : dense.activation + "(" + layer + ")").c_str()));
  size_t sentence = lineWith(text, "def sentence(");
  type = text.find(") -> f32[B, ", sentence);
  text.replace(type, text.find(":\n", type) - type, ", dense)");
  replaceFrom(text, sentence, "\n    return ", "\n    y = dense(y)\n    return ");
  std::vector<Safetensors> files;
  files.push_back(std::move(imported.tensors));
  files.push_back(Safetensors::open(path));
  imported.tensors = Safetensors::join(std::move(files), [](size_t file, const std::string &name) {
    return file == 0 ? name : "sentence_dense." + name;
  });
  imported.gathered = true;
}

void addSentences(Imported &imported, const std::string &folder, const Sentences &sentences) {
  if (!sentences.pooling.empty())
    addEmbed(imported, sentences);
  if (sentences.dense)
    addDense(imported, folder, *sentences.dense);
}

} // namespace kiln::huggingface
