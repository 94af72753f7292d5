"""usage: wrong_settings.py KILN FIXTURES FOLDER: folders of decoders, each with a setting that does not fit or is not
known; what `kiln build` says of it has to name the setting, what it is, and what is taken (texts between bars)."""
import json
import os
import shutil
import subprocess
import sys

ROTARY = {"rope_type": "proportional", "rope_theta": 500.0, "partial_rotary_factor": 0.5}
CASES = [
    ("gpt_neox", dict(hidden_act="xielu"), "'hidden_act' is \"xielu\"; known activations are gelu, gelu_python, gelu_new,"),
    ("gpt_neox", dict(rope_parameters=ROTARY), "rope_scaling has a rope_type that is not known; those that are: linear, "
     "llama3, yarn, dynamic and longrope|here rope_scaling is dict(rope_type=\"proportional\")"),
    ("gpt_neox", dict(num_attention_heads=3), "hidden_size is not a multiple of num_attention_heads|here hidden_size is 16, "
     "num_attention_heads is 3"),
    ("gpt_neox", dict(rope_parameters=dict(ROTARY, rope_type="default", partial_rotary_factor=2.0)),
     "partial_rotary_factor does not give an even number of a head's entries|here rotary_width is 8, head_dim is 4"),
    ("gpt_neox", dict(architectures=["GPTNeoXForMultipleChoice"]), "the architecture "
     "\"GPTNeoXForMultipleChoice\" is not known; of the model_type \"gpt_neox\" there are: GPTNeoXModel, "
     "GPTNeoXForCausalLM, GPTNeoXForSequenceClassification, GPTNeoXForTokenClassification, GPTNeoXForQuestionAnswering "
     "(--model NAME takes one of them)"),
    ("gpt_neo", dict(attention_types=[[["global", "sparse"], 1]]), "attention_types has a kind that is not known; those that "
     "are: global and local|here kind is \"sparse\""),
    ("gpt_neo", dict(attention_types=[[["global"], 1]]), "attention_types does not give a kind to each of num_layers"),
    ("gpt_neo", dict(window_size=0), "window_size is below 1|here window_size is 0"),
    ("gpt_neo", dict(num_layers=10**9), "'num_layers' is 1000000000, and the weights have 30 tensors in all"),
    ("opt", dict(word_embed_proj_dim="wide"), "'word_embed_proj_dim' is \"wide\"; a whole number up to 2147483647 is expected"),
    ("opt", dict(do_layer_norm_before=1), "'do_layer_norm_before' is 1; true or false is expected"),
    ("phi", dict(num_key_value_heads=3), "num_attention_heads is not a multiple of num_key_value_heads"
     "|here num_attention_heads is 4, num_key_value_heads is 3"),
    ("phi", dict(qk_layernorm=True), "does not fit the model"),
    ("olmo", dict(clip_qkv=-0.5), "clip_qkv is not above 0|here clip_qkv is -0.5"),
    ("olmo", dict(attention_bias=True), "config.json has attention_bias, and the weights have none (self_attn.q_proj.bias)"),
    ("olmo3", dict(layer_types=["sliding_attention"]), "layer_types is not as long as num_hidden_layers|here layer_types is "
     "[\"sliding_attention\"], num_hidden_layers is 4"),
    ("olmo3", dict(layer_types=["chunked_attention", "full_attention"]), "layer_types has a kind that is not known; those that "
     "are: sliding_attention and full_attention"),
    ("granite", dict(logits_scaling=0.0), "logits_scaling is 0|here logits_scaling is 0"),
    ("granitemoe", dict(num_experts_per_tok=9), "num_experts_per_tok is not among 1 to num_local_experts"
     "|here num_experts_per_tok is 9, num_local_experts is 4"),
    ("smollm3", dict(no_rope_layers=[1]), "no_rope_layers is shorter than num_hidden_layers|here no_rope_layers is [1], "
     "num_hidden_layers is 4"),
    ("smollm3", dict(no_rope_layer_interval=0), "no_rope_layer_interval is below 1|here no_rope_layer_interval is 0"),
    ("starcoder2", dict(sliding_window=0), "sliding_window is below 1|here sliding_window is 0"),
    ("stablelm", dict(layer_norm_eps="small"), "'layer_norm_eps' is \"small\"; a number is expected"),
    ("bloom", dict(pretraining_tp=4, slow_but_exact=True), "slow_but_exact is not known where pretraining_tp is above 1"
     "|here pretraining_tp is 4, slow_but_exact is True"),
    ("falcon", dict(num_ln_in_parallel_attn=3), "num_ln_in_parallel_attn is neither 1 nor 2|here num_ln_in_parallel_attn is 3"),
    ("falcon_groups", dict(num_kv_heads=3), "num_attention_heads is not a multiple of num_kv_heads|here num_attention_heads is 4, "
     "groups is 3"),
    ("falcon_groups", dict(parallel_attn=False), "new_decoder_architecture without parallel_attn is not known"),
    ("cohere2", dict(sliding_window=0), "sliding_window is below 1|here sliding_window is 0"),
    ("glm", dict(head_dim=6), "partial_rotary_factor does not give an even number of a head's entries|here rotary_width is 3, "
     "head_dim is 6"),
    ("gptj", dict(rotary_dim=3), "rotary_dim is not an even number of a head's entries|here rotary_dim is 3, n_embd is 16, "
     "n_head is 4"),
    ("gptj", dict(rotary_dim=None), "rotary_dim is not an even number of a head's entries|here rotary_dim is None"),
    ("codegen", dict(n_head=2), "n_head is not a multiple of 4, the parts of CodeGen's attention"),
    ("gpt_bigcode", dict(add_cross_attention=True), "add_cross_attention is not known|here add_cross_attention is True"),
    ("llama_long", dict(rope_parameters=dict(ROTARY, rope_type="longrope", short_factor=[1.0, 1.0], long_factor=[2.0, 2.0],
                                             original_max_position_embeddings=16)),
     "a context above original_max_position_embeddings is not known here where rotary positions are scaled by a rope_type of "
     "\"longrope\"|context is 32"),
    ("mamba", dict(conv_kernel=0), "conv_kernel is below 1|here conv_kernel is 0"),
    ("mamba", dict(time_step_rank="auto"), "'time_step_rank' is \"auto\"; a whole number up to 2147483647 is expected"),
    ("mamba2", dict(num_heads=3), "num_heads times head_dim is not expand times hidden_size|here num_heads is 3, head_dim is 8"),
    ("phimoe", dict(num_experts_per_tok=3), "num_experts_per_tok is not 2, or num_local_experts below|here num_experts_per_tok "
     "is 3, num_local_experts is 3"),
    ("qwen2", dict(use_sliding_window=False), "layer_types has \"sliding_attention\", and use_sliding_window or sliding_window "
     "says that there is none|layer is 1, use_sliding_window is False, sliding_window is 3"),
    ("qwen2_moe_norm", dict(use_sliding_window=False), "layer_types has \"sliding_attention\", and use_sliding_window or "
     "sliding_window says that there is none"),
    ("smollm3_kinds", dict(sliding_window=None), "layer_types has \"sliding_attention\", and sliding_window is null"),
    ("lfm2", dict(layer_types=["conv", "mamba"]), "layer_types has a kind that is not known; those that are: conv and "
     "full_attention"),
    ("gemma", dict(hidden_act="relu"), "hidden_act is neither \"gelu_pytorch_tanh\" nor \"gelu\", which means the same of this "
     "model|here hidden_act is \"relu\""),
]


def main():
    kiln, fixtures, folder = sys.argv[1:]
    failed = 0
    for name, settings, expected in CASES:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(fixtures, name), folder, copy_function=shutil.copy)
        path = os.path.join(folder, "config.json")
        with open(path) as file:
            config = json.load(file)
        with open(path, "w") as file:
            json.dump(dict(config, **settings), file)
        ran = subprocess.run([kiln, "build", folder, "-o", folder + "-out"], capture_output=True, text=True)
        if ran.returncode != 1 or not all(words in ran.stderr for words in expected.split("|")):
            failed += 1
            print(f"{name} {settings}: {ran.returncode}, expected: {expected}\n{ran.stderr}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
