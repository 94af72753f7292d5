"""Settings that a family's text does not do: each is refused by a sentence with its key, its value and what is taken.

usage: refused.py KILN FIXTURES FOLDER
"""
import json
import os
import subprocess
import sys

# A folder of FIXTURES, what its config.json says instead ("a.b": within an object), and what is told.
CASES = [
    ("bert", {"position_embedding_type": "relative_key"}, "only a position_embedding_type of \"absolute\" is known", "position_embedding_type is \"relative_key\""),
    ("electra", {"hidden_act": "gelu_odd"}, "'hidden_act' is \"gelu_odd\"; known activations are gelu,"),
    ("electra", {"num_attention_heads": 3}, "hidden_size is not a multiple of num_attention_heads", "hidden_size is 16, num_attention_heads is 3"),
    ("electra", {"embedding_size": 9}, "'embeddings.word_embeddings.weight': expected f32[48, 9], found f32[48, 8]"),
    ("mpnet", {"relative_attention_num_buckets": 16}, "a relative_attention_num_buckets other than 32 is not known", "relative_attention_num_buckets is 16"),
    ("mpnet", {"max_position_embeddings": "many"}, "'max_position_embeddings' is \"many\"; a whole number from 1 to"),
    ("albert", {"num_hidden_groups": 3}, "num_hidden_layers is not a multiple of num_hidden_groups", "num_hidden_layers is 4, num_hidden_groups is 3"),
    ("albert", {"position_embedding_type": "relative_key_query"}, "only a position_embedding_type of \"absolute\" is known"),
    ("albert", {"inner_group_num": 1000000}, "'inner_group_num' is 1000000, and the weights have"),
    ("modernbert", {"layer_types": ["full_attention", "sliding_attention", "chunked_attention", "full_attention"]}, "layer_types has a kind that is not known"),
    ("modernbert", {"layer_types": ["full_attention"]}, "layer_types is not as long as num_hidden_layers"),
    ("modernbert", {"local_attention": 0}, "local_attention or global_attn_every_n_layers is below 1", "local_attention is 0"),
    ("modernbert_classes", {"classifier_pooling": "max"}, "classifier_pooling is \"cls\" or \"mean\"", "classifier_pooling is \"max\""),
    ("deberta", {"conv_kernel_size": 3}, "a conv_kernel_size other than 0", "conv_kernel_size is 3"),
    ("deberta", {"type_vocab_size": 2}, "a type_vocab_size other than 0 is not known", "type_vocab_size is 2"),
    ("deberta", {"pos_att_type": ["c2p", "p2p"]}, "pos_att_type has \"c2p\" and \"p2c\" alone", "kind is \"p2p\""),
    ("deberta", {"norm_rel_ebd": "batch_norm"}, "norm_rel_ebd is \"none\" or \"layer_norm\"", "norm_rel_ebd is \"batch_norm\""),
    ("bart", {"decoder_attention_heads": 3}, "d_model is not a multiple of the attention heads", "d_model is 16, heads is 3"),
    ("bart", {"decoder_layers": 1000000}, "'decoder_layers' is 1000000, and the weights have"),
    ("gemma2", {"attn_logit_softcapping": 0}, "attn_logit_softcapping is not above 0", "attn_logit_softcapping is 0"),
    ("gemma3", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is not known", "attn_logit_softcapping is 50"),
    ("gemma3", {"final_logit_softcapping": -1.0}, "final_logit_softcapping is not above 0", "final_logit_softcapping is -1"),
    ("marian", {"share_encoder_decoder_embeddings": False}, "words of their own for what is written", "share_encoder_decoder_embeddings is False"),
    ("m2m", {"pad_token_id": 3}, "a pad_token_id other than 1 is not known here", "pad_token_id is 3"),
    ("deit", {"image_size": 13}, "image_size is not a multiple of patch_size", "image_size is 13, patch_size is 4"),
    ("dinov2", {"patch_size": 5}, "the size of an image is not a multiple of patch_size"),
    ("convnext", {"depths": [1, 2, 3]}, "hidden_sizes and depths are not as long as each other"),
    ("regnet", {"layer_type": "z"}, "layer_type is \"x\" or \"y\"", "layer_type is \"z\""),
    ("swin", {"num_heads": [2]}, "num_heads and depths are not as long as each other"),
    ("swin", {"num_heads": [3, 4]}, "a stage's width is not a multiple of its num_heads", "width is 8, heads is 3"),
    ("swin", {"window_size": 20}, "images are too small: a stage has fewer patches a side than window_size", "side is 16, window_size is 20"),
    ("siglip", {"vision_config.vision_use_head": False}, "vision_use_head is false"),
    ("siglip", {"text_config.projection_size": 13}, "projection_size is not the image part's hidden_size", "projection_size is 13, image_width is 12"),
    ("wav2vec2", {"feat_extract_norm": "batch"}, "feat_extract_norm is \"group\" or \"layer\"", "feat_extract_norm is \"batch\""),
    ("wav2vec2", {"add_adapter": True}, "adapters (add_adapter, adapter_attn_dim) are not known", "add_adapter is True"),
    ("hubert", {"conv_pos_batch_norm": True}, "conv_pos_batch_norm is not known", "conv_pos_batch_norm is True"),
    ("hubert", {"feat_proj_layer_norm": False}, "a feat_proj_layer_norm of false is not known"),
    ("ast", {"num_mel_bins": 14}, "'audio_spectrogram_transformer.embeddings.position_embeddings': expected f32[1, 38, 16], found f32[1, 29, 16]"),
]


def main():
    kiln, fixtures, folder = sys.argv[1:]
    wrong = 0
    for number, (name, settings, *told) in enumerate(CASES):
        place = os.path.join(folder, f"{number}-{name}")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(fixtures, name, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        for key, value in settings.items():
            inside = config
            *outer, last = key.split(".")
            for part in outer:
                inside = inside[part]
            inside[last] = value
        with open(os.path.join(place, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        weights = os.path.join(place, "model.safetensors")
        if not os.path.lexists(weights):
            os.symlink(os.path.join(fixtures, name, "model.safetensors"), weights)
        ran = subprocess.run([kiln, "build", place, "-o", os.path.join(place, "program")], capture_output=True, text=True)
        missing = [part for part in told if part not in ran.stderr]
        if ran.returncode != 1 or missing:
            wrong += 1
            print(f"{name} {settings}: exit code {ran.returncode}, {missing} are not in what is told:\n{ran.stderr}")
    print(f"{len(CASES)} refused" if wrong == 0 else f"{wrong} wrong")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
