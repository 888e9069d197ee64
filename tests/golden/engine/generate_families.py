# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes a directory for each model family into families/ beside this file. See README.md."""

import json
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent / "families"
SEED = 31
IGNORED = -100  # transformers' label of a position without loss
VOCABULARY = 47
LENGTHS = [19, 9, 30]

# Grouped heads, a head size that is not width / heads where the family allows one, an epsilon that shows, two end tokens.
SHARED = dict(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
              max_position_embeddings=32, bos_token_id=1, eos_token_id=[2, 3], pad_token_id=None, rope_theta=50.0)
GROUPED = dict(SHARED, num_key_value_heads=2)
RMS = dict(GROUPED, rms_norm_eps=0.03, head_dim=6)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)

FAMILIES = {
    "gpt2": ("GPT2", dict(vocab_size=VOCABULARY, n_embd=16, n_inner=20, n_layer=2, n_head=4, n_positions=32, bos_token_id=1, eos_token_id=2,
                          layer_norm_epsilon=0.03, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0)),
    "llama3": ("Llama", dict(RMS, rope_scaling=LLAMA3, tie_word_embeddings=True)),
    "llama_linear": ("Llama", dict(RMS, rope_scaling=dict(rope_type="linear", factor=4.0), attention_bias=True, mlp_bias=True)),
    "smollm2": ("Llama", dict(GROUPED, rms_norm_eps=0.03, tie_word_embeddings=True)),
    "mistral": ("Mistral", dict(RMS, sliding_window=7)),
    "qwen2": ("Qwen2", dict(GROUPED, rms_norm_eps=0.03, tie_word_embeddings=True)),
    "qwen2_windows": ("Qwen2", dict(GROUPED, rms_norm_eps=0.03, use_sliding_window=True, sliding_window=5, max_window_layers=1)),
    "phi": ("Phi", dict(GROUPED, hidden_size=32, layer_norm_eps=0.03, partial_rotary_factor=0.5)),
    "gpt_neox": ("GPTNeoX", dict(SHARED, hidden_size=32, layer_norm_eps=0.03, rotary_pct=0.5, rotary_emb_base=50)),
    "gpt_neox_sequential": ("GPTNeoX", dict(SHARED, layer_norm_eps=0.03, rotary_pct=1.0, rotary_emb_base=50,
                                            use_parallel_residual=False, attention_bias=False)),
    "stablelm": ("StableLm", dict(GROUPED, layer_norm_eps=0.03, hidden_size=32, partial_rotary_factor=0.25, use_qkv_bias=True)),
    "gemma": ("Gemma", dict(RMS)),
    "gemma2": ("Gemma2", dict(RMS, num_hidden_layers=3, sliding_window=5, query_pre_attn_scalar=3.0, attn_logit_softcapping=2.0,
                              final_logit_softcapping=4.0)),
    "kosmos2_text": ("Kosmos2Text", dict(vocab_size=VOCABULARY, embed_dim=16, ffn_dim=20, layers=2, attention_heads=4,
                                         max_position_embeddings=32, bos_token_id=0, eos_token_id=2, pad_token_id=1,
                                         layer_norm_eps=0.03, dropout=0.0, attention_dropout=0.0)),
    "opt": ("OPT", dict(vocab_size=VOCABULARY, hidden_size=16, ffn_dim=20, num_hidden_layers=2, num_attention_heads=4,
                        max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=3, dropout=0.0)),
}


def make_model(family, fields):
    fields = {name: value for name, value in fields.items() if value is not None or name != "pad_token_id"}
    config = getattr(transformers, family + "Config")(**fields, attn_implementation="eager") if family != "Kosmos2Text" else None
    if family == "Kosmos2Text":
        from transformers.models.kosmos2.configuration_kosmos2 import Kosmos2TextConfig
        from transformers.models.kosmos2.modeling_kosmos2 import Kosmos2TextForCausalLM
        model = Kosmos2TextForCausalLM(Kosmos2TextConfig(**fields, attn_implementation="eager"))
    else:
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    one = 0.0 if family.startswith("Gemma") else 1.0  # their norms multiply by 1 + weight
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            norm = "norm" in name or "_ln" in name or ".ln_" in name
            if norm and name.endswith("weight"):
                parameter.copy_(one + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.3 * noise)
            elif any(part in name for part in ("q_proj", "k_proj", "query_key_value", "c_attn")):
                parameter.copy_(0.7 * noise)
            else:
                parameter.copy_(0.4 * noise)
    return model.train()


def batch_of():
    tokens = torch.full((len(LENGTHS), max(LENGTHS)), 4)
    mask = torch.zeros_like(tokens)
    for row, length in enumerate(LENGTHS):
        tokens[row, :length] = torch.randint(4, VOCABULARY, (length,))
        mask[row, 1 + length // 2:length] = 1  # the second half of each sequence counts
    return tokens, mask


def write(name, family, fields):
    torch.manual_seed(SEED)
    directory = HERE / name
    model = make_model(family, fields)
    tokens, mask = batch_of()
    attention = (torch.arange(tokens.shape[1]) < torch.tensor(LENGTHS).unsqueeze(1)).long()
    labels = torch.where(mask == 1, tokens, torch.tensor(IGNORED))
    output = model(input_ids=tokens, attention_mask=attention, labels=labels)
    output.loss.backward()
    model.save_pretrained(directory, safe_serialization=True)
    (directory / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((directory / "config.json").read_text())
    config.pop("_name_or_path", None)
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    tensors = {"tokens": tokens, "mask": mask, "lengths": torch.tensor(LENGTHS), "logits": output.logits.detach(),
               "loss": output.loss.detach().reshape(1)}
    save_file({k: v.contiguous() for k, v in tensors.items()}, directory / "golden.safetensors")
    stored = load_file(directory / "model.safetensors")
    gradients = {parameter_name: parameter.grad.clone().contiguous() for parameter_name, parameter in model.named_parameters()
                 if parameter_name in stored}
    save_file(gradients, directory / "gradients.safetensors", metadata={"format": "pt"})
    print(f"{name}: loss {output.loss.item():.4f}, logits from {output.logits.min().item():.2f} to {output.logits.max().item():.2f}")


def main():
    """Writes the families named as arguments; without arguments all."""
    for name in sys.argv[1:] or FAMILIES:
        shutil.rmtree(HERE / name, ignore_errors=True)
        write(name, *FAMILIES[name])


if __name__ == "__main__":
    main()
