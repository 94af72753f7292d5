// Tables of names. An architecture that has its own name for a part stands before the one that all others have.
#include "frontend/gguf/Names.h"

#include <string_view>

namespace kiln::gguf {

namespace {

constexpr const char *blocks = "transformer.h.";
constexpr Architecture architectures[] = {
    {"llama", "llama", "LlamaForCausalLM"},
    {"qwen2", "qwen2", "Qwen2ForCausalLM"},
    {"qwen3", "qwen3", "Qwen3ForCausalLM"},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM"},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM"},
    {"gemma", "gemma", "GemmaForCausalLM"},
    {"gemma2", "gemma2", "Gemma2ForCausalLM"},
    {"gemma3", "gemma3_text", "Gemma3ForCausalLM"},
    {"phi2", "phi", "PhiForCausalLM"},
    {"phi3", "phi3", "Phi3ForCausalLM"},
    {"olmo2", "olmo2", "Olmo2ForCausalLM"},
    {"olmoe", "olmoe", "OlmoeForCausalLM"},
    {"granite", "granite", "GraniteForCausalLM"},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM"},
    {"command-r", "cohere", "CohereForCausalLM"},
    {"cohere2", "cohere2", "Cohere2ForCausalLM"},
    {"glm4", "glm4", "Glm4ForCausalLM"},
    {"stablelm", "stablelm", "StableLmForCausalLM"},
    {"nemotron", "nemotron", "NemotronForCausalLM"},
    {"starcoder2", "starcoder2", "Starcoder2ForCausalLM"},
    {"gpt2", "gpt2", "GPT2LMHeadModel", blocks},
    {"starcoder", "gpt_bigcode", "GPTBigCodeForCausalLM", blocks},
    {"bloom", "bloom", "BloomForCausalLM", blocks},
    {"falcon", "falcon", "FalconForCausalLM", blocks},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM", "gpt_neox.layers."},
    {"gpt-oss", "gpt_oss", "GptOssForCausalLM"},
    {"deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM"},
};

struct Renaming {
  const char *theirs, *ours;
  const char *only = ""; ///< the architectures that call it so; empty: all but those that have their own
};
constexpr const char *gpt = "gpt2 starcoder", *joined = "bloom falcon";
constexpr Renaming parts[] = {
    {"attn_norm", "ln_1", gpt},
    {"attn_qkv", "attn.c_attn", gpt},
    {"attn_output", "attn.c_proj", gpt},
    {"ffn_norm", "ln_2", gpt},
    {"ffn_up", "mlp.c_fc", gpt},
    {"ffn_down", "mlp.c_proj", gpt},
    {"attn_qkv", "self_attention.query_key_value", joined},
    {"attn_output", "self_attention.dense", joined},
    {"attn_norm_2", "ln_attn", "falcon"},
    {"attn_qkv", "attention.query_key_value", "gptneox"},
    {"attn_output", "attention.dense", "gptneox"},
    {"ffn_up", "mlp.dense_h_to_4h", "bloom falcon gptneox"},
    {"ffn_down", "mlp.dense_4h_to_h", "bloom falcon gptneox"},
    {"ffn_up", "mlp.c_fc", "starcoder2"},
    {"ffn_down", "mlp.c_proj", "starcoder2"},
    {"attn_output", "self_attn.dense", "phi2"},
    {"ffn_up", "mlp.fc1", "phi2"},
    {"ffn_down", "mlp.fc2", "phi2"},
    {"ffn_up", "mlp.gate_up_proj", "phi3 glm4"},
    {"post_attention_norm", "post_self_attn_layernorm", "glm4"},
    {"post_ffw_norm", "post_mlp_layernorm", "glm4"},
    {"ffn_norm", "pre_feedforward_layernorm", "gemma2 gemma3"},
    {"ffn_gate_inp", "block_sparse_moe.gate", "llama"},
    {"ffn_gate_inp", "mlp.router", "gpt-oss"},
    {"attn_sinks", "self_attn.sinks", "gpt-oss"},
    {"attn_q_a", "self_attn.q_a_proj", "deepseek2"},
    {"attn_q_a_norm", "self_attn.q_a_layernorm", "deepseek2"},
    {"attn_q_b", "self_attn.q_b_proj", "deepseek2"},
    {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa", "deepseek2"},
    {"attn_kv_a_norm", "self_attn.kv_a_layernorm", "deepseek2"},
    {"attn_kv_b", "self_attn.kv_b_proj", "deepseek2"},
    {"exp_probs_b", "mlp.gate.e_score_correction_bias", "deepseek2"},
    {"ffn_gate_shexp", "mlp.shared_experts.gate_proj", "deepseek2"},
    {"ffn_up_shexp", "mlp.shared_experts.up_proj", "deepseek2"},
    {"ffn_down_shexp", "mlp.shared_experts.down_proj", "deepseek2"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_qkv", "self_attn.qkv_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};
/// Of experts, which stand in a stack.
constexpr Renaming stacks[] = {
    {"ffn_gate_exps", "block_sparse_moe.experts.*.w1", "llama"},
    {"ffn_down_exps", "block_sparse_moe.experts.*.w2", "llama"},
    {"ffn_up_exps", "block_sparse_moe.experts.*.w3", "llama"},
    {"ffn_gate_exps", "mlp.experts.*.gate_proj"},
    {"ffn_down_exps", "mlp.experts.*.down_proj"},
    {"ffn_up_exps", "mlp.experts.*.up_proj"},
};
constexpr Renaming wholes[] = {
    {"token_embd", "transformer.wte", gpt},
    {"position_embd", "transformer.wpe", gpt},
    {"output_norm", "transformer.ln_f", "gpt2 starcoder bloom falcon"},
    {"token_embd", "transformer.word_embeddings", joined},
    {"token_embd_norm", "transformer.word_embeddings_layernorm", "bloom"},
    {"token_embd", "gpt_neox.embed_in", "gptneox"},
    {"output_norm", "gpt_neox.final_layer_norm", "gptneox"},
    {"output", "embed_out", "gptneox"},
    {"output_norm", "model.final_layernorm", "phi2"},
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
};

bool isAmong(std::string_view words, const std::string &word) {
  return (" " + std::string(words) + " ").find(" " + word + " ") != std::string::npos;
}

template <size_t n>
std::string renamed(const Renaming (&table)[n], const std::string &architecture, const std::string &name) {
  for (const Renaming &entry : table)
    if (name == entry.theirs && (!*entry.only || isAmong(entry.only, architecture)))
      return entry.ours;
  return "";
}

} // namespace

const Architecture mixtral = {"llama", "mixtral", "MixtralForCausalLM"};
const Architecture mistral = {"llama", "mistral", "MistralForCausalLM"};
const Architecture deepseek3 = {"deepseek2", "deepseek_v3", "DeepseekV3ForCausalLM"};
const Architecture olmo3 = {"olmo2", "olmo3", "Olmo3ForCausalLM"};

const Architecture *architectureCalled(const std::string &name, std::string &known) {
  for (const Architecture &entry : architectures) {
    if (name == entry.theirs)
      return &entry;
    known += (known.empty() ? "" : ", ") + std::string(entry.theirs);
  }
  return nullptr;
}

std::string partCalled(const std::string &name, const std::string &architecture) {
  return renamed(parts, architecture, name);
}
std::string stackCalled(const std::string &name, const std::string &architecture) {
  return renamed(stacks, architecture, name);
}
std::string wholeCalled(const std::string &name, const std::string &architecture) {
  return renamed(wholes, architecture, name);
}

} // namespace kiln::gguf
