// Values of config.json, each checked before it becomes text of a program.
#include "frontend/huggingface/Settings.h"

#include "runtime/files/File.h"
#include "runtime/support/Error.h"

#include <cctype>
#include <cmath>
#include <filesystem>

namespace kiln::huggingface {

namespace {

struct Activation {
  const char *theirs, *ours;
};
/// transformers' ACT2FN, but for those with parameters (prelu, xielu).
constexpr Activation activations[] = {
    {"gelu", "gelu"},
    {"gelu_python", "gelu"},
    {"gelu_new", "gelu_tanh"},
    {"gelu_fast", "gelu_tanh"},
    {"gelu_accurate", "gelu_tanh"},
    {"gelu_pytorch_tanh", "gelu_tanh"},
    {"gelu_python_tanh", "gelu_tanh"},
    {"gelu_10", "gelu_10"},
    {"quick_gelu", "quick_gelu"},
    {"relu", "relu"},
    {"relu2", "relu2"},
    {"relu6", "relu6"},
    {"leaky_relu", "leaky_relu"},
    {"silu", "silu"},
    {"swish", "silu"},
    {"hardswish", "hardswish"},
    {"mish", "mish"},
    {"tanh", "tanh"},
    {"sigmoid", "sigmoid"},
    {"laplace", "laplace"},
    {"sqrtsoftplus", "sqrt_softplus"},
    {"linear", "identity"},
};

bool isActivation(const std::string &name) {
  for (const Activation &known : activations)
    if (name == known.ours)
      return true;
  return false;
}

/// What the template's value says of a setting's kind; of "1e-5 if … else …", its first number.
enum class Kind : uint8_t { Any, Text, Flag, Number, Whole, Function };

Kind kindOf(const std::string &value) {
  std::string like = value.substr(0, value.find(" if "));
  if (like == "None" || like.starts_with('['))
    return Kind::Any;
  if (like.starts_with('"'))
    return Kind::Text;
  if (like == "True" || like == "False" || like.find("==") != std::string::npos)
    return Kind::Flag;
  if (isActivation(like))
    return Kind::Function;
  bool digits =
      !like.empty() && std::isdigit(static_cast<unsigned char>(like[0])) && like.find(' ') == std::string::npos;
  return digits && like.find_first_of(".e") != std::string::npos ? Kind::Number : Kind::Whole;
}

std::string listText(const Json &value, const std::string &what) {
  constexpr size_t most = 4096; // as many factors as half a head has entries, kinds of layers, ends of a text
  if (value.array().size() > most)
    fail("%s: '%s' is a list of %zu; up to %zu are expected", what.c_str(), value.key().c_str(), value.array().size(),
         most);
  std::string text = "[";
  for (const Json &item : value.array())
    text += (text.size() > 1 ? ", " : "") + kilnText(item, what);
  return text + "]";
}

bool isName(const std::string &name) {
  bool right = !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0]));
  for (char c : name)
    right &= std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  return right;
}

std::string quoted(const std::string &text, const std::string &what) {
  for (char c : text)
    if (c < ' ' || c > '~' || c == '"' || c == '\\')
      fail("%s: %s cannot be a word of a model's text", what.c_str(), jsonQuote(text).c_str());
  return '"' + text + '"';
}

/// Python writes numbers that JSON has not; they become what transformers writes for them in newer files.
std::string withOddNumbers(const std::string &json) {
  std::string out;
  bool isQuoted = false;
  for (size_t at = 0; at < json.size();) {
    std::string_view odd;
    for (std::string_view name : {"-Infinity", "Infinity", "NaN"})
      if (!isQuoted && odd.empty() && json.compare(at, name.size(), name) == 0)
        odd = name;
    if (!odd.empty()) {
      out += "{\"__float__\":\"" + std::string(odd) + "\"}";
      at += odd.size();
      continue;
    }
    if (isQuoted && json[at] == '\\' && at + 1 < json.size())
      out += json[at++];
    else if (json[at] == '"')
      isQuoted = !isQuoted;
    out += json[at++];
  }
  return out;
}

} // namespace

Json readSettingsFile(const std::string &path, Json::Kind kind) {
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error) && std::filesystem::file_size(path, error) > maxSettingsFile)
    fail("'%s' is larger than 16 MiB: that is no such file", path.c_str());
  Json json = Json::parse(withOddNumbers(readText(path)), "'" + path + "'", 32);
  if (json.kind() != kind)
    fail("'%s': %s is expected", path.c_str(), kind == Json::Kind::Array ? "a list" : "an object, {\"name\": value},");
  return json;
}

std::string kilnNumber(double value) {
  if (!std::isfinite(value))
    fail("a number of the model's settings is not finite");
  std::string text = shortest(value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::optional<std::string> stringText(const std::string &text) {
  std::string result = "\"";
  for (char c : text) {
    if ((static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') || c == 0x7f)
      return std::nullopt;
    if (c == '\n' || c == '\t')
      result += c == '\n' ? "\\n" : "\\t";
    else
      result += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
  }
  return result + '"';
}

std::string kilnText(const Json &value, const std::string &what) {
  switch (value.kind()) {
  case Json::Kind::Null:
    return "None";
  case Json::Kind::Bool:
    return value.boolean() ? "True" : "False";
  case Json::Kind::Int:
    return std::to_string(value.integer());
  case Json::Kind::Float:
    return kilnNumber(value.number());
  case Json::Kind::String:
    return quoted(value.string(), what);
  case Json::Kind::Array:
    return listText(value, what);
  case Json::Kind::Object:
    break;
  }
  if (const Json *odd = value.find("__float__"); odd && odd->isString()) // as transformers writes what JSON cannot
    for (auto [theirs, ours] : {std::pair("Infinity", "inf"), {"-Infinity", "-inf"}, {"NaN", "nan"}})
      if (odd->string() == theirs)
        return ours;
  std::string text = "dict(";
  for (const Json &item : value.object()) {
    if (!isName(item.key()))
      fail("%s: %s cannot be a name of a model's text", what.c_str(), jsonQuote(item.key()).c_str());
    text += (text.back() == '(' ? "" : ", ") + item.key() + "=" + kilnText(item, what);
  }
  return text + ")";
}

Settings::Settings(Json config, std::string what) : config_(std::move(config)), what_(std::move(what)) {
  if (!config_.isObject())
    fail("%s: an object is expected", what_.c_str());
  readRotary();
}

/// What "longrope" takes from elsewhere: the length that a model began with, and by what texts may be longer.
std::string Settings::longer(const Json &parameters, int64_t most) const {
  const Json *own = config_.find("original_max_position_embeddings"),
             *given = own ? own : parameters.find("original_max_position_embeddings");
  int64_t first = given ? given->integer(2, INT32_MAX) : most;
  std::string text;
  if (!parameters.find("original_max_position_embeddings"))
    text += ", original_max_position_embeddings=" + std::to_string(first);
  if (!parameters.find("factor"))
    text += ", factor=" + kilnNumber(static_cast<double>(most) / static_cast<double>(first));
  return text;
}

/// Rotary positions have stood under two names: rope_theta beside rope_scaling, and rope_parameters for both, which may
/// be one for each kind of layer.
void Settings::readRotary() {
  auto take = [&](const Json &parameters, const char *theta, const char *scaling) {
    if (!parameters.isObject())
      fail("%s: rope_parameters and rope_scaling are objects", what_.c_str());
    for (auto [key, name] : {std::pair("rope_theta", theta), {"partial_rotary_factor", "partial_rotary_factor"}})
      if (const Json *value = parameters.find(key))
        given_[name] = kilnNumber(value->number());
    std::string kind = parameters.stringOr("rope_type", parameters.stringOr("type", "default"));
    std::string text = "dict(rope_type=" + quoted(kind, what_);
    for (const Json &item : parameters.object())
      if (item.key() != "rope_type" && item.key() != "type" && item.key() != "rope_theta" &&
          item.key() != "partial_rotary_factor") {
        if (!isName(item.key()))
          fail("%s: %s cannot be a name of a model's text", what_.c_str(), jsonQuote(item.key()).c_str());
        text += ", " + item.key() + "=" + kilnText(item, what_);
      }
    if (const Json *most = config_.find("max_position_embeddings");
        kind == "longrope" && parameters.find("long_factor"))
      text += longer(parameters, most ? most->integer(1, INT32_MAX) : 1);
    if (scaling)
      given_[scaling] = kind == "default" ? "None" : text + ")";
  };
  for (auto [key, name] : {std::pair("rotary_emb_base", "rope_theta"), {"rotary_pct", "partial_rotary_factor"}})
    if (const Json *value = config_.find(key)) // GPT-NeoX's
      given_[name] = kilnNumber(value->number());
  if (const Json *scaling = config_.find("rope_scaling"))
    take(*scaling, "rope_theta", "rope_scaling");
  const Json *parameters = config_.find("rope_parameters");
  if (!parameters)
    return;
  if (!parameters->isObject())
    fail("%s: rope_parameters is an object", what_.c_str());
  if (const Json *full = parameters->find("full_attention"))
    take(*full, "rope_theta", "rope_scaling");
  if (const Json *sliding = parameters->find("sliding_attention"))
    take(*sliding, "rope_local_base_freq", nullptr);
  if (!parameters->find("full_attention") && !parameters->find("sliding_attention"))
    take(*parameters, "rope_theta", "rope_scaling");
}

const std::string &Settings::called(const std::string &key) const {
  auto own = keys_.find(key);
  return own == keys_.end() ? key : own->second;
}

std::string Settings::said(const std::string &message) const {
  if (keys_.empty())
    return message;
  std::string text, file = "config.json";
  for (size_t at = 0; at < message.size();) {
    if (message.compare(at, file.size(), file) == 0) {
      text += "metadata";
      at += file.size();
      continue;
    }
    size_t end = at;
    while (end < message.size() && (std::isalnum(static_cast<unsigned char>(message[end])) || message[end] == '_'))
      ++end;
    text += end > at ? called(message.substr(at, end - at)) : std::string(1, message[at]);
    at = std::max(end, at + 1);
  }
  return text;
}

const Json *Settings::find(const std::string &key) const {
  size_t dot = key.find('.');
  const Json *outer = dot == std::string::npos ? &config_ : config_.find(key.substr(0, dot));
  if (!outer || !outer->isObject())
    return nullptr;
  if (const Json *own = outer->find(key.substr(dot + 1)))
    return own;
  // What transformers reads by another name, too (attribute_map, and the first files of a family).
  for (auto [name, other] : {std::pair("hidden_size", "n_embed"),
                             {"n_embd", "hidden_size"},
                             {"n_head", "num_attention_heads"},
                             {"n_layer", "num_hidden_layers"},
                             {"intermediate_size", "block_ff_dim"},
                             {"tie_word_embeddings", "tie_embedding"}})
    if (const Json *found = key == name ? config_.find(other) : nullptr)
      return found;
  return nullptr;
}

bool Settings::isNull(const std::string &key) const {
  size_t dot = key.find('.');
  const Json *outer = dot == std::string::npos ? &config_ : config_.find(key.substr(0, dot));
  if (!outer || !outer->isObject())
    return false;
  for (const Json &item : outer->object())
    if (item.key() == key.substr(dot + 1))
      return item.kind() == Json::Kind::Null;
  return false;
}

/// A number of layers, or of experts, is no more than the tensors are; each has several.
static bool countsLayers(const std::string &key) {
  std::string name = key.substr(key.find('.') + 1);
  return name == "num_hidden_layers" || name == "num_layers" || name == "num_decoder_layers" || name == "n_layer" ||
         name == "n_layers" || name == "encoder_layers" || name == "decoder_layers" || name == "depths" ||
         name == "inner_group_num" || name == "num_hidden_groups" || name == "num_local_experts" ||
         name == "num_experts" || name == "n_routed_experts";
}

int64_t Settings::size(const std::string &key) const {
  const Json *value = find(key);
  if (!value)
    fail("%s: '%s' is missing; a whole number is expected", what_.c_str(), called(key).c_str());
  if (!value->isInt() || value->integer() < 1 || value->integer() > INT32_MAX)
    fail("%s: '%s' is %s; a whole number from 1 to 2147483647 is expected", what_.c_str(), called(key).c_str(),
         value->str().substr(0, 60).c_str());
  return value->integer();
}

std::string Settings::activation(const Json &value) const {
  std::string known;
  for (const Activation &activation : activations) {
    if (value.isString() && value.string() == activation.theirs)
      return activation.ours;
    known += (known.empty() ? "" : ", ") + std::string(activation.theirs);
  }
  fail("%s: '%s' is %s; known activations are %s", what_.c_str(), called(value.key()).c_str(),
       value.str().substr(0, 60).c_str(), known.c_str());
}

std::string Settings::text(const std::string &key, const std::string &fallback, bool isSize,
                           const std::string &like) const {
  if (const Json *layers = countsLayers(key) ? find(key) : nullptr) {
    if (layers->isArray() && static_cast<int64_t>(layers->array().size()) > mostLayers_)
      fail("%s: '%s' is longer than the weights have tensors: they are not this model's", what_.c_str(),
           called(key).c_str());
    for (const Json &count : layers->isArray() ? layers->array() : std::vector<Json>{*layers})
      if (count.isInt() && count.integer() > mostLayers_)
        fail("%s: '%s' is %lld, and the weights have %lld tensors in all: they are not this model's", what_.c_str(),
             called(key).c_str(), static_cast<long long>(count.integer()), static_cast<long long>(mostLayers_));
  }
  if (auto given = given_.find(key); given != given_.end())
    return given->second;
  if (isSize)
    return std::to_string(size(key));
  const Json *value = find(key);
  Kind kind = kindOf(like);
  if (!value)
    return fallback;
  auto expected = [&](bool right, const char *what) {
    if (!right)
      fail("%s: '%s' is %s; %s is expected", what_.c_str(), called(key).c_str(), value->str().substr(0, 60).c_str(),
           what);
  };
  switch (kind) {
  case Kind::Any:
    break;
  case Kind::Text:
    expected(value->isString(), "a text");
    break;
  case Kind::Flag:
    expected(value->kind() == Json::Kind::Bool, "true or false");
    break;
  case Kind::Number:
    expected(value->isNumber() && std::fabs(value->number()) < 1e30, "a number");
    return kilnNumber(value->number());
  case Kind::Whole:
    expected(value->isInt() && value->integer() >= -1 && value->integer() <= INT32_MAX,
             "a whole number up to 2147483647");
    break;
  case Kind::Function:
    return activation(*value);
  }
  return kilnText(*value, what_);
}

} // namespace kiln::huggingface
