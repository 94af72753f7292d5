// llama.cpp's names and forms, taken back to those of Hugging Face.
#include "frontend/gguf/Model.h"

#include "frontend/gguf/Keep.h"
#include "frontend/gguf/Latent.h"
#include "frontend/gguf/Names.h"
#include "frontend/gguf/Words.h"
#include "frontend/huggingface/Settings.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>

namespace kiln::gguf {

namespace {

/// Which of the file's rows is `row` here, of heads of so many rows.
int64_t theirRow(int64_t row, int64_t perHead) {
  int64_t head = row / perHead, within = row % perHead, half = perHead / 2;
  return head * perHead + within % half * 2 + within / half;
}

/// What llama.cpp's converter did to a tensor.
enum class Change {
  None,
  CountsFromZero, ///< a norm's weight, which counts from 1 here
  Transposed,     ///< a matrix whose product is by its transpose there
  Reordered,      ///< rows of queries and keys: theirRow
  Apart           ///< rows of queries, keys and values: all queries first, where each group's stand together here
};

class Reading {
public:
  Reading(const File &file, bool keepBlocks) : file_(file), keepBlocks_(keepBlocks) {
    std::optional<std::string> named = file.text("general.architecture");
    if (!named)
      fail("%s: 'general.architecture' is missing; it says which kind of model this is", file.what().c_str());
    architecture_ = *named;
    std::string known;
    entry_ = architectureCalled(architecture_, known);
    if (!entry_)
      fail("%s: the architecture %s is not known; those that are: %s", file.what().c_str(),
           jsonQuote(architecture_).c_str(), known.c_str());
    if (architecture_.ends_with("moe") || file.value(key("expert_count")))
      readExperts();
    if (architecture_ == "llama" && !experts_ && file.value(key("attention.sliding_window")))
      entry_ = &mistral;
    if (architecture_ == "olmo2" && file.value(key("attention.sliding_window")))
      entry_ = &olmo3;
  }

  const char *model() const { return entry_->model; }
  /// What config.json of a folder would say.
  std::string config();
  /// The file's keys of these settings.
  const std::map<std::string, std::string> &keys() const { return keys_; }
  /// The tensors by Hugging Face's names, in Hugging Face's forms; those that are not the file's own are
  /// made when they are read, while this and the file last.
  std::vector<TensorView> tensors();

private:
  /// A tensor as the model has it; of a stack of experts one of several.
  struct Piece {
    std::string name;
    TensorInfo tensor;
  };

  std::string key(const char *name) const { return architecture_ + "." + name; }
  bool is(std::initializer_list<const char *> names) const {
    return std::any_of(names.begin(), names.end(), [&](const char *name) { return architecture_ == name; });
  }
  bool has(const char *tensor) const { return file_.find("blk.0." + std::string(tensor)); }
  bool isLatent() const { return architecture_ == "deepseek2"; }
  bool isGemma() const { return architecture_ == "gemma2" || architecture_ == "gemma3"; }
  int64_t need(const char *name) const;
  void addWhole(const char *ours, const char *theirs);
  void addNumber(const char *ours, const char *theirs);
  void addEpsilon(const char *ours, const char *theirs);
  /// `theirs`: the key that a message about the setting names.
  void add(const std::string &ours, const std::string &json, const std::string &theirs) {
    config_ += ",\"" + ours + "\":" + json;
    keys_[ours] = theirs;
  }
  void addSizes();
  void addRotary();
  void readExperts();
  void addExperts();
  void addFlags();
  std::string yarn() const;
  std::string factorsOf(const char *tensor);
  std::string nameOf(const std::string &theirs) const;
  std::vector<Piece> piecesOf(const TensorInfo &tensor) const;
  void addTensor(const Piece &piece, std::vector<TensorView> &views);
  void addJoined(const TensorInfo &keys, std::vector<TensorView> &views);
  Change changeOf(const std::string &name, const TensorInfo &tensor) const;
  void undo(Change change, Tensor &tensor) const;

  bool keeps(Change change, const TensorInfo &tensor) const;
  int64_t headsOf(const std::string &name, int64_t rows) const;
  std::vector<int64_t> theirRows(Change change, const std::string &name, int64_t rows) const;

  /// What is made of the file's bytes when it is read: a tensor, or a part of its blocks.
  struct Made final : TensorSource {
    Made(const Reading &reading, Piece piece, Change change, std::optional<BlockForm> form, size_t part)
        : reading(reading), piece(std::move(piece)), change(change), form(form), part(part) {}
    void make(const TensorView &view, uint8_t *to) const override;
    const Reading &reading;
    Piece piece;
    Change change;
    std::optional<BlockForm> form;
    size_t part;
  };

  const File &file_;
  bool keepBlocks_;
  std::string architecture_, config_;
  std::map<std::string, std::string> keys_;
  int64_t experts_ = 0; ///< of a layer's mixture; 0: there are none
  const Architecture *entry_ = nullptr;
  std::deque<Made> made_;
  std::deque<JoinedHeads> joined_;
};

int64_t Reading::need(const char *name) const {
  std::optional<int64_t> found = file_.whole(key(name));
  if (!found || *found < 1 || *found > INT32_MAX)
    fail("%s: '%s' is %s; a whole number from 1 to 2147483647 is expected", file_.what().c_str(), key(name).c_str(),
         found ? std::to_string(*found).c_str() : "missing");
  return *found;
}

void Reading::addWhole(const char *ours, const char *theirs) {
  keys_[ours] = key(theirs); // also of what is missing
  if (std::optional<int64_t> found = file_.whole(key(theirs)))
    add(ours, std::to_string(*found), key(theirs));
}

void Reading::addNumber(const char *ours, const char *theirs) {
  keys_[ours] = key(theirs);
  if (std::optional<double> found = file_.number(key(theirs)))
    add(ours, jsonNumber(*found), key(theirs));
}

void Reading::addEpsilon(const char *ours, const char *theirs) {
  if (double found = file_.number(key(theirs)).value_or(0); found < 0)
    fail("%s: '%s' is %s; a number from 0 on is expected", file_.what().c_str(), key(theirs).c_str(),
         jsonNumber(found).c_str());
  addNumber(ours, theirs);
}

/// The numbers of a small tensor, widened.
std::string Reading::factorsOf(const char *name) {
  const TensorInfo *tensor = file_.find(name);
  if (!tensor)
    return "";
  if (tensor->shape.size() != 1 || tensor->shape[0] > 1024 || tensor->type->elements != 1)
    fail("%s: '%s' is no list of up to 1024 factors", file_.what().c_str(), name);
  std::string list;
  for (int64_t i = 0; i < tensor->shape[0]; ++i) {
    float value;
    tensor->type->widen(tensor->data + static_cast<size_t>(i) * tensor->type->bytes, &value);
    if (!(value > 0 && std::isfinite(value)))
      fail("%s: '%s' has the factor %g; numbers above 0 are expected", file_.what().c_str(), name,
           static_cast<double>(value));
    list += (list.empty() ? "[" : ",") + jsonNumber(value);
  }
  return list + "]";
}

/// YaRN's settings, whose factor of attention is what llama.cpp makes of them. Throws Error where the file has one that
/// no folder has.
std::string Reading::yarn() const {
  for (const char *name :
       {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_log_multiplier"})
    if (file_.value(key(name)) && !(isLatent() && std::string_view(name).ends_with("log_multiplier")))
      fail("%s: '%s' is a setting of yarn that is not known here; import the model's folder", file_.what().c_str(),
           key(name).c_str());
  double factor = file_.number(key("rope.scaling.factor")).value_or(1);
  int64_t length =
      file_.whole(key("rope.scaling.original_context_length")).value_or(file_.whole(key("context_length")).value_or(0));
  std::string text = R"({"rope_type":"yarn","factor":)" + jsonNumber(factor) +
                     ",\"original_max_position_embeddings\":" + std::to_string(length) +
                     (is({"gpt-oss"}) ? ",\"truncate\":false" : "");
  for (auto [ours, theirs] :
       {std::pair("beta_fast", "rope.scaling.yarn_beta_fast"), {"beta_slow", "rope.scaling.yarn_beta_slow"}})
    if (std::optional<double> found = file_.number(key(theirs)))
      text += ",\"" + std::string(ours) + "\":" + jsonNumber(*found);
  if (std::optional<double> times = file_.number(key("rope.scaling.attn_factor")))
    text += ",\"attention_factor\":" + jsonNumber(*times * (factor > 1 ? 0.1 * std::log(factor) + 1 : 1));
  // (a tenth of mscale_all_dim; a file takes mscale to be the same)
  if (std::optional<double> times = file_.number(key("rope.scaling.yarn_log_multiplier")))
    for (const char *ours : {"mscale", "mscale_all_dim"})
      text += ",\"" + std::string(ours) + "\":" + jsonNumber(*times * 10);
  return text + "}";
}

/// Numbers of rotary positions: the base, and what scales it.
void Reading::addRotary() {
  add("rope_theta", jsonNumber(file_.number(key("rope.freq_base")).value_or(10000)), // as llama.cpp has it
      key("rope.freq_base"));
  addNumber("rope_local_base_freq", "rope.freq_base_swa");
  std::string kind = file_.text(key("rope.scaling.type")).value_or("none"), scaling;
  std::string factors = factorsOf(architecture_ == "phi3" ? "rope_factors_short.weight" : "rope_freqs.weight");
  if (!factors.empty())
    scaling = R"({"rope_type":"longrope","short_factor":)" + factors + "}";
  else if (kind == "linear")
    scaling =
        R"({"rope_type":"linear","factor":)" + jsonNumber(file_.number(key("rope.scaling.factor")).value_or(1)) + "}";
  else if (kind == "yarn")
    scaling = yarn();
  else if (kind != "none")
    scaling = R"({"rope_type":)" + jsonQuote(kind) + "}";
  if (!scaling.empty())
    add("rope_scaling", scaling, key("rope.scaling.type"));
  addWhole("original_max_position_embeddings", "rope.scaling.original_context_length");
  if (isLatent()) // whose heads have a part that turns
    return;
  int64_t width =
      file_.whole(key("attention.key_length")).value_or(need("embedding_length") / need("attention.head_count"));
  std::optional<int64_t> turned = file_.whole(key("rope.dimension_count"));
  if (!turned || *turned == width)
    return;
  if (!is({"phi2", "phi3", "gptneox", "stablelm", "nemotron", "glm4"}))
    fail("%s: '%s' is %lld, and a head has %lld entries: of this architecture, heads that turn in part are not known "
         "here",
         file_.what().c_str(), key("rope.dimension_count").c_str(), static_cast<long long>(*turned),
         static_cast<long long>(width));
  if (*turned < 2 || *turned > width || *turned % 2)
    fail("%s: '%s' is %lld; an even number from 2 to %lld, a head's entries, is expected", file_.what().c_str(),
         key("rope.dimension_count").c_str(), static_cast<long long>(*turned), static_cast<long long>(width));
  add("partial_rotary_factor", jsonNumber(static_cast<double>(*turned) / static_cast<double>(width)),
      key("rope.dimension_count"));
}

void Reading::addSizes() {
  struct Size {
    const char *ours, *theirs;
  };
  static constexpr Size gpt2[] = {{"n_embd", "embedding_length"},
                                  {"n_inner", "feed_forward_length"},
                                  {"n_layer", "block_count"},
                                  {"n_head", "attention.head_count"},
                                  {"n_positions", "context_length"}};
  static constexpr Size others[] = {{"hidden_size", "embedding_length"},
                                    {"intermediate_size", "feed_forward_length"},
                                    {"num_hidden_layers", "block_count"},
                                    {"num_attention_heads", "attention.head_count"},
                                    {"max_position_embeddings", "context_length"}};
  for (const Size &size : is({"gpt2", "starcoder"}) ? gpt2 : others)
    add(size.ours, std::to_string(need(size.theirs)), key(size.theirs));
  const TensorInfo *words = file_.find("token_embd.weight");
  if (!words || words->shape.size() != 2)
    fail("%s: the tensor 'token_embd.weight' is missing, or no matrix", file_.what().c_str());
  add("vocab_size", std::to_string(words->shape[0]), "token_embd.weight");
  add("tie_word_embeddings", file_.find("output.weight") ? "false" : "true", "output.weight");
}

/// How many experts there are, and how many of them a token has.
void Reading::readExperts() {
  constexpr int64_t most = 1024;
  std::optional<int64_t> count = file_.whole(key("expert_count")), used = file_.whole(key("expert_used_count"));
  if (!count || *count < (architecture_ == "llama" ? 0 : 1) || *count > most)
    fail("%s: '%s' is %s; a whole number from 1 to %lld is expected", file_.what().c_str(), key("expert_count").c_str(),
         count ? std::to_string(*count).c_str() : "missing", static_cast<long long>(most));
  if (*count == 0) // so some files of models without experts have it
    return;
  if (!used || *used < 1 || *used > *count)
    fail("%s: '%s' is %s; a whole number from 1 to %lld, the number of experts, is expected", file_.what().c_str(),
         key("expert_used_count").c_str(), used ? std::to_string(*used).c_str() : "missing",
         static_cast<long long>(*count));
  if (isLatent() && choosesBySigmoid(file_, architecture_))
    entry_ = &deepseek3;
  for (auto [name, usual] : {std::pair("expert_gating_func", is({"gpt-oss"}) ? 3.0 : 1.0),
                             {"expert_weights_scale", 1.0},
                             {"expert_shared_count", 0.0},
                             {"expert_group_count", 1.0}}) // softmax, …
    if (double found = file_.number(key(name)).value_or(usual); found != usual && found != 0 && !isLatent())
      fail("%s: '%s' is %s, which is not known here", file_.what().c_str(), key(name).c_str(),
           jsonNumber(found).c_str());
  experts_ = *count;
  if (architecture_ == "llama")
    entry_ = &mixtral;
}

void Reading::addExperts() {
  add("num_experts", std::to_string(experts_), key("expert_count"));
  add("num_local_experts", std::to_string(experts_), key("expert_count"));
  add("num_experts_per_tok", std::to_string(need("expert_used_count")), key("expert_used_count"));
  addWhole("moe_intermediate_size", "expert_feed_forward_length");
  addWhole("shared_expert_intermediate_size", "expert_shared_feed_forward_length");
  add("norm_topk_prob",
      file_.flag(key("expert_weights_norm")).value_or(!is({"qwen2moe", "olmoe", "deepseek2"})) ? "true" : "false",
      key("expert_weights_norm"));
  std::string plain; // layers without a mixture
  for (int64_t layer = 0, layers = std::min<int64_t>(need("block_count"), file_.tensors().size()); layer < layers;
       ++layer)
    if (std::string number = std::to_string(layer); !file_.find("blk." + number + ".ffn_gate_inp.weight"))
      plain += (plain.empty() ? "" : ",") + number;
  add("mlp_only_layers", "[" + plain + "]", "ffn_gate_inp.weight");
}

/// What a folder has words for, and a file by the tensors that are there.
void Reading::addFlags() {
  std::optional<int64_t> heads = file_.whole(key("attention.head_count")),
                         shared = file_.whole(key("attention.head_count_kv"));
  bool two = has("attn_norm_2.weight"), bias = has("attn_q.bias") || has("attn_qkv.bias") || has("attn_kv_a_mqa.bias");
  auto flag = [&](const char *ours, bool value, const char *theirs) { add(ours, value ? "true" : "false", theirs); };
  for (const char *name : {"attention_bias", "use_qkv_bias", "use_bias", "bias"})
    flag(name, bias, "blk.0.attn_q.bias");
  flag("mlp_bias", has("ffn_up.bias"), "blk.0.ffn_up.bias");
  for (const char *name : {"use_qk_norm", "qk_layernorm"})
    flag(name, has("attn_q_norm.weight"), "blk.0.attn_q_norm.weight");
  flag("multi_query", shared == 1, "attention.head_count_kv");
  flag("new_decoder_architecture", two || (shared != 1 && shared != heads), "blk.0.attn_norm_2.weight");
  add("num_ln_in_parallel_attn", two ? "2" : "1", "blk.0.attn_norm_2.weight");
  addWhole("num_kv_heads", "attention.head_count_kv");
  addWhole("ffn_hidden_size", "feed_forward_length");
  if (std::optional<bool> parallel = file_.flag(key("use_parallel_residual")))
    flag("use_parallel_residual", *parallel, key("use_parallel_residual").c_str());
}

std::string Reading::config() {
  config_ = "{\"model_type\":\"" + std::string(entry_->modelType) + "\"";
  addSizes();
  addWhole("num_key_value_heads", "attention.head_count_kv");
  addWhole("head_dim", "attention.key_length");
  addWhole("sliding_window", "attention.sliding_window");
  addEpsilon("rms_norm_eps", "attention.layer_norm_rms_epsilon");
  for (const char *name : {"layer_norm_epsilon", "layer_norm_eps", "norm_epsilon", "norm_eps"})
    addEpsilon(name, "attention.layer_norm_epsilon");
  for (auto [ours, theirs] : {std::pair("embedding_multiplier", "embedding_scale"),
                              {"attention_multiplier", "attention.scale"},
                              {"residual_multiplier", "residual_scale"},
                              {"logits_scaling", "logit_scale"},
                              {"logit_scale", "logit_scale"},
                              {"clip_qkv", "attention.clamp_kqv"}})
    addNumber(ours, theirs);
  addNumber("final_logit_softcapping", "final_logit_softcapping");
  addNumber("attn_logit_softcapping", "attn_logit_softcapping");
  if (experts_)
    addExperts();
  addFlags();
  if (isLatent())
    latentSettings(file_, architecture_, [&](const char *ours, const std::string &json, const std::string &theirs) {
      add(ours, json, theirs);
    });
  if (!is({"gpt2", "starcoder", "bloom"}))
    addRotary();
  if (isGemma()) { // the largest ones alone divide by another width than that of their keys
    bool largest = need("block_count") == (architecture_ == "gemma2" ? 46 : 62);
    add("query_pre_attn_scalar",
        std::to_string(largest ? need("embedding_length") / need("attention.head_count")
                               : need("attention.key_length")),
        key("attention.key_length"));
  }
  std::string ends;
  for (const char *name : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (std::optional<int64_t> token = file_.whole(name))
      ends += (ends.empty() ? "" : ",") + std::to_string(*token);
  if (!ends.empty())
    add("eos_token_id", "[" + ends + "]", "tokenizer.ggml.eos_token_id");
  return config_ + "}";
}

std::string Reading::nameOf(const std::string &theirs) const {
  size_t dot = theirs.rfind('.');
  std::string stem = theirs.substr(0, dot), end = dot == std::string::npos ? "" : theirs.substr(dot);
  if (!stem.starts_with("blk.")) {
    std::string ours = wholeCalled(stem, architecture_);
    return ours.empty() ? theirs : ours + end;
  }
  size_t number = stem.find('.', 4);
  std::string ours = number == std::string::npos ? "" : partCalled(stem.substr(number + 1), architecture_);
  if (ours.empty())
    return theirs;
  if (ours == "input_layernorm" && has("attn_norm_2.weight"))
    ours = "ln_mlp";
  if (ours.ends_with(".sinks") || ours.ends_with("_correction_bias"))
    end = ""; // no weight of a layer
  return entry_->layers + stem.substr(4, number - 4) + "." + ours + end;
}

Change Reading::changeOf(const std::string &name, const TensorInfo &tensor) const {
  if (is({"llama", "granite", "smollm3"}) &&
      (name.find(".q_proj.") != std::string::npos || name.find(".k_proj.") != std::string::npos))
    return Change::Reordered;
  if (is({"gptneox", "bloom", "falcon"}) && name.find(".query_key_value.") != std::string::npos)
    return Change::Apart;
  if ((isGemma() || is({"gemma", "nemotron"})) && name.ends_with("norm.weight"))
    return Change::CountsFromZero;
  if (architecture_ == "gpt2" && name.starts_with("transformer.h.") && tensor.shape.size() == 2)
    return Change::Transposed;
  return Change::None;
}

void Reading::undo(Change change, Tensor &tensor) const {
  float *data = tensor.as<float>();
  int64_t rows = tensor.shape.empty() ? 0 : tensor.shape[0], width = rows ? tensor.count() / rows : 0;
  switch (change) {
  case Change::None:
    return;
  case Change::CountsFromZero:
    for (int64_t i = 0; i < tensor.count(); ++i)
      data[i] -= 1.0F;
    return;
  case Change::Transposed: {
    std::vector<float> old(data, data + tensor.count());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < width; ++c)
        data[c * rows + r] = old[static_cast<size_t>(r * width + c)];
    std::swap(tensor.shape[0], tensor.shape[1]);
    return;
  }
  case Change::Reordered:
  case Change::Apart:
    std::vector<float> old(data, data + tensor.count());
    std::vector<int64_t> theirs = theirRows(change, tensor.name, rows);
    for (int64_t row = 0; row < rows; ++row)
      std::memcpy(data + row * width, old.data() + theirs[static_cast<size_t>(row)] * width,
                  static_cast<size_t>(width) * sizeof(float));
  }
}

/// The file's rows in the order that they have here; empty where that is the same.
std::vector<int64_t> Reading::theirRows(Change change, const std::string &name, int64_t rows) const {
  std::vector<int64_t> theirs;
  if (change == Change::Reordered) {
    int64_t perHead = rows / headsOf(name, rows);
    for (int64_t row = 0; row < rows; ++row)
      theirs.push_back(theirRow(row, perHead));
  } else if (change == Change::Apart) {
    int64_t heads = need("attention.head_count"),
            groups = architecture_ == "falcon" ? need("attention.head_count_kv") : heads;
    if (heads % groups || rows < 1 || rows % (heads + 2 * groups))
      fail("%s: the rows of '%s' are not those of %lld heads and %lld keys and values", file_.what().c_str(),
           name.c_str(), static_cast<long long>(heads), static_cast<long long>(groups));
    int64_t width = rows / (heads + 2 * groups), shared = heads / groups;
    for (int64_t group = 0; group < groups; ++group)
      for (int64_t head = 0; head < shared + 2; ++head)
        for (int64_t i = 0; i < width; ++i)
          theirs.push_back((head < shared ? group * shared + head : heads + (head - shared) * groups + group) * width +
                           i);
  }
  return theirs;
}

/// Of queries and keys of llama, where rows of a head that turn together stand side by side in the file, and half a
/// head apart here: how many heads there are.
int64_t Reading::headsOf(const std::string &name, int64_t rows) const {
  int64_t heads = file_.whole(key("attention.head_count")).value_or(0);
  if (name.find(".q_proj.") == std::string::npos)
    heads = file_.whole(key("attention.head_count_kv")).value_or(heads);
  if (heads < 1 || rows < 1 || rows % (2 * heads))
    fail("%s: the rows of '%s' are not those of %lld heads", file_.what().c_str(), name.c_str(),
         static_cast<long long>(heads));
  return heads;
}

/// Whether the blocks themselves go into the program: those of whole matrices. An order of rows is undone of them; what
/// was transposed is by columns here.
bool Reading::keeps(Change change, const TensorInfo &tensor) const {
  return keepBlocks_ && tensor.type->kept.size && tensor.shape.size() == 2 && tensor.shape[0] > 0 &&
         change != Change::CountsFromZero;
}

/// A stack of experts as the matrices that it is made of; any other tensor as it is.
std::vector<Reading::Piece> Reading::piecesOf(const TensorInfo &tensor) const {
  size_t number = tensor.name.find('.', 4), end = tensor.name.rfind('.');
  std::string ours = experts_ && tensor.name.starts_with("blk.") && number < end
                         ? stackCalled(tensor.name.substr(number + 1, end - number - 1), architecture_)
                         : "";
  if (ours.empty()) {
    Piece whole{nameOf(tensor.name), tensor};
    if (whole.name.ends_with("shared_expert_gate.weight") && tensor.shape.size() == 1) // a matrix of one row
      whole.tensor.shape.insert(whole.tensor.shape.begin(), 1);
    return {std::move(whole)};
  }
  bool isBias = tensor.name.ends_with(".bias");
  if (tensor.shape.size() != (isBias ? 2 : 3) || tensor.shape[0] != experts_)
    fail("%s: the tensor '%s' is no stack of %lld %s, one for each expert", file_.what().c_str(), tensor.name.c_str(),
         static_cast<long long>(experts_), isBias ? "rows" : "matrices");
  std::string front = "model.layers." + tensor.name.substr(4, number - 4) + ".", back = tensor.name.substr(end);
  size_t star = ours.find('*');
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < experts_; ++i) {
    Piece piece{front + ours.substr(0, star) + std::to_string(i) + ours.substr(star + 1) + back, tensor};
    piece.tensor.shape.erase(piece.tensor.shape.begin());
    piece.tensor.bytes = tensor.bytes / static_cast<size_t>(experts_);
    piece.tensor.data += static_cast<size_t>(i) * piece.tensor.bytes;
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

void Reading::addTensor(const Piece &piece, std::vector<TensorView> &views) {
  const auto &[name, tensor] = piece;
  Change change = changeOf(name, tensor);
  if (tensor.type->elements == 1 && change == Change::None) {
    views.push_back({name, tensor.type->plain, tensor.shape, tensor.data, tensor.bytes});
    return;
  }
  theirRows(change, name, tensor.shape.empty() ? 0 : tensor.shape[0]); // which checks them
  std::vector<TensorView> types;
  std::optional<BlockForm> form;
  if (keeps(change, tensor)) {
    form = keptForm(tensor, change == Change::Transposed);
    types = keptTypes(name, tensor, *form);
  } else {
    std::vector<int64_t> shape = tensor.shape;
    if (change == Change::Transposed)
      std::swap(shape[0], shape[1]);
    types.push_back(
        {name, KILN_F32, shape, nullptr, static_cast<size_t>(countElements(shape).value_or(0)) * sizeof(float)});
  }
  for (size_t part = 0; part < types.size(); ++part) {
    types[part].source = &made_.emplace_back(*this, piece, change, form, part);
    views.push_back(std::move(types[part]));
  }
}

void Reading::Made::make(const TensorView &view, uint8_t *to) const {
  const auto &[name, tensor] = piece;
  if (form) {
    std::vector<Tensor> parts = keptParts(name, tensor, *form, reading.theirRows(change, name, tensor.shape[0]));
    std::memcpy(to, parts[part].memory.data(), view.bytes);
    return;
  }
  Tensor wide(name, KILN_F32, tensor.shape);
  widen(tensor, wide.as<float>());
  reading.undo(change, wide);
  std::memcpy(to, wide.memory.data(), view.bytes);
}

/// Keys and values of all heads as one matrix.
void Reading::addJoined(const TensorInfo &keys, std::vector<TensorView> &views) {
  std::string front = keys.name.substr(0, keys.name.find("attn_k_b"));
  const TensorInfo *values = file_.find(front + "attn_v_b.weight");
  if (!values)
    fail("%s: the tensor '%sattn_v_b.weight' is missing", file_.what().c_str(), front.c_str());
  const JoinedHeads &joined = joined_.emplace_back(keys, *values, file_.what());
  size_t bytes = static_cast<size_t>(countElements(joined.shape()).value_or(0)) * sizeof(float);
  views.push_back({nameOf(front + "attn_kv_b.weight"), KILN_F32, joined.shape(), nullptr, bytes});
  views.back().source = &joined;
}

std::vector<TensorView> Reading::tensors() {
  std::vector<TensorView> views;
  for (const TensorInfo &tensor : file_.tensors()) {
    if (bool keys = tensor.name.ends_with(".attn_k_b.weight"); isLatent() && keys)
      addJoined(tensor, views);
    else if (!tensor.name.starts_with("rope_f") && !(isLatent() && tensor.name.ends_with(".attn_v_b.weight")))
      for (const Piece &piece : piecesOf(tensor))
        addTensor(piece, views); // (rope_f…: a setting, factorsOf)
  }
  return views;
}

} // namespace

bool isGguf(const std::string &path) {
  std::error_code error;
  return path.ends_with(".gguf") && std::filesystem::is_regular_file(path, error);
}

huggingface::Imported modelOf(File opened, const std::string &architecture, bool keepBlocks) {
  struct Held {
    Held(File opened, bool keepBlocks) : file(std::move(opened)), reading(file, keepBlocks) {}
    File file;
    Reading reading;
  };
  auto held = std::make_shared<Held>(std::move(opened), keepBlocks);
  const File &file = held->file;
  Reading &reading = held->reading;
  huggingface::Settings settings(Json::parse(reading.config(), file.what()), file.what());
  settings.setKeys(reading.keys());
  Safetensors tensors = Safetensors::of(reading.tensors(), file.what(), held);
  huggingface::Imported model =
      huggingface::makeModel(settings, std::move(tensors), architecture.empty() ? reading.model() : architecture);
  model.tokenizer = tokenizerOf(file);
  if (!model.tokenizer.empty())
    model.text = huggingface::withChat(std::move(model.text), model.model, chatOf(file), model.notes);
  return model;
}

huggingface::Imported readModel(const std::string &path, const std::string &architecture, bool keepBlocks) {
  return modelOf(File::open(path), architecture, keepBlocks);
}

} // namespace kiln::gguf
