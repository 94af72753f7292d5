// Settings by their other names, and two tensors as one.
#include "frontend/gguf/Latent.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cstring>

namespace kiln::gguf {

void latentSettings(
    const File &file, const std::string &architecture,
    const std::function<void(const char *ours, const std::string &json, const std::string &key)> &tell) {
  auto key = [&](const char *name) { return architecture + "." + name; };
  auto bad = [&](const char *name, const std::string &found, const char *expected) {
    fail("%s: '%s' is %s; %s is expected", file.what().c_str(), key(name).c_str(), found.c_str(), expected);
  };
  auto whole = [&](const char *name, int64_t least) {
    std::optional<int64_t> found = file.whole(key(name));
    if (!found || *found < least || *found > INT32_MAX)
      bad(name, found ? std::to_string(*found) : "missing", "a whole number that the model is made by");
    return *found;
  };
  auto number = [&](const char *ours, const char *name, int64_t least) {
    tell(ours, std::to_string(whole(name, least)), key(name));
  };
  number("kv_lora_rank", "attention.kv_lora_rank", 1);
  if (file.value(key("attention.q_lora_rank")))
    number("q_lora_rank", "attention.q_lora_rank", 1);
  else
    tell("q_lora_rank", "null", key("attention.q_lora_rank"));
  // Files of before have a head's keys and values themselves, later ones those that all heads share beside them.
  bool later = file.value(key("attention.key_length_mla")) != nullptr;
  const char *keys = later ? "attention.key_length_mla" : "attention.key_length";
  int64_t turned = whole("rope.dimension_count", 2), width = whole(keys, 1);
  if (width <= turned)
    bad(keys, std::to_string(width), "more than rope.dimension_count");
  tell("qk_rope_head_dim", std::to_string(turned), key("rope.dimension_count"));
  tell("qk_nope_head_dim", std::to_string(width - turned), key(keys));
  number("v_head_dim", later ? "attention.value_length_mla" : "attention.value_length", 1);
  number("n_routed_experts", "expert_count", 1);
  number("n_shared_experts", "expert_shared_count", 1);
  number("first_k_dense_replace", "leading_dense_block_count", 0);
  tell("routed_scaling_factor", jsonNumber(file.number(key("expert_weights_scale")).value_or(1)),
       key("expert_weights_scale"));
  int64_t groups = file.whole(key("expert_group_count")).value_or(1),
          used = file.whole(key("expert_group_used_count")).value_or(groups);
  tell("n_group", std::to_string(groups), key("expert_group_count"));
  tell("topk_group", std::to_string(used), key("expert_group_used_count"));
  tell("topk_method", groups > 1 ? "\"group_limited_greedy\"" : "\"greedy\"", key("expert_group_count"));
}

bool choosesBySigmoid(const File &file, const std::string &architecture) {
  std::string key = architecture + ".expert_gating_func"; // 1: a softmax, 2: a sigmoid; files of before do not say it
  int64_t gate = file.whole(key).value_or(0);
  bool corrected = std::any_of(file.tensors().begin(), file.tensors().end(), [](const TensorInfo &tensor) {
    return tensor.name.find(".exp_probs_b") != std::string::npos;
  });
  if (gate < 0 || gate > 2 || (gate == 1 && corrected) || (gate == 2 && !corrected))
    fail("%s: '%s' is %lld, and there are %s tensors 'exp_probs_b': that is neither DeepSeek's version 2 nor its "
         "version 3",
         file.what().c_str(), key.c_str(), static_cast<long long>(gate), corrected ? "its" : "no");
  return corrected;
}

JoinedHeads::JoinedHeads(const TensorInfo &keys, const TensorInfo &values, const std::string &what)
    : keys_(keys), values_(values) {
  const std::vector<int64_t> &k = keys.shape, &v = values.shape;
  if (k.size() != 3 || v.size() != 3 || k[0] != v[0] || k[1] != v[2])
    fail("%s: '%s' and '%s' are no keys and values of the same heads: [heads, row, keys] and [heads, values, row] are "
         "expected",
         what.c_str(), keys.name.c_str(), values.name.c_str());
  heads_ = k[0];
  keyRows_ = k[2];
  valueRows_ = v[1];
  width_ = k[1];
}

static size_t elementsOf(const TensorInfo &tensor) {
  return static_cast<size_t>(countElements(tensor.shape).value_or(0));
}

void JoinedHeads::make(const TensorView & /*view*/, uint8_t *to) const {
  std::vector<float> keys(elementsOf(keys_)), values(elementsOf(values_));
  widen(keys_, keys.data());
  widen(values_, values.data());
  auto *out = reinterpret_cast<float *>(to);
  for (int64_t head = 0; head < heads_; ++head) {
    const float *k = keys.data() + head * width_ * keyRows_;
    for (int64_t row = 0; row < keyRows_; ++row)
      for (int64_t i = 0; i < width_; ++i)
        *out++ = k[i * keyRows_ + row];
    std::memcpy(out, values.data() + head * valueRows_ * width_,
                static_cast<size_t>(valueRows_ * width_) * sizeof(float));
    out += valueRows_ * width_;
  }
}

} // namespace kiln::gguf
