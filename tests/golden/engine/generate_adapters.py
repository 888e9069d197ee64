# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes a directory for each model family into adapters/ beside this file: LoRA by peft. See README.md."""

import json
import shutil
import sys

import torch
from generate_families import FAMILIES, HERE as MODELS, IGNORED, LENGTHS, batch_of, make_model
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

HERE = MODELS.parent / "adapters"
SEED = 47
RANK, ALPHA = 3, 8.0  # a scale that is no whole number, so that a wrong one shows
GPT2 = dict(vocab_size=47, n_positions=32, n_embd=16, n_layer=2, n_head=4, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0,
            bos_token_id=1, eos_token_id=2)
SUBSETS = {"llama3_query_value": ("llama3", ["q_proj", "v_proj"]), "gpt2_attention": ("gpt2", ["c_attn", "attn.c_proj"])}


def model_of(name):
    """The family's golden model; GPT-2's, which has none in families/, is written here."""
    if name != "gpt2":
        model = make_model(*FAMILIES[name])
        model.load_state_dict(load_file(MODELS / name / "model.safetensors"), strict=False)
        model.tie_weights()
        return model
    torch.manual_seed(SEED)
    model = GPT2LMHeadModel(GPT2Config(**GPT2)).train()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            norm = "ln_" in parameter_name and parameter_name.endswith("weight")
            parameter.copy_((1.0 if norm else 0.0) + 0.35 * torch.randn_like(parameter))
    directory = HERE / "gpt2_model"
    model.save_pretrained(directory, safe_serialization=True)
    (directory / "generation_config.json").unlink(missing_ok=True)
    return model


def golden_batch(name):
    if name == "gpt2":
        torch.manual_seed(SEED)
        return batch_of()
    golden = load_file(MODELS / name / "golden.safetensors")
    return golden["tokens"], golden["mask"]


def write(name, family, targets):
    model = model_of(family)
    tokens, mask = golden_batch(family)
    peft_model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets,
                                                  fan_in_fan_out=family == "gpt2"))
    torch.manual_seed(SEED)
    with torch.no_grad():
        for parameter_name, parameter in peft_model.named_parameters():
            if "lora_" in parameter_name:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    attention = (torch.arange(tokens.shape[1]) < torch.tensor(LENGTHS).unsqueeze(1)).long()
    labels = torch.where(mask == 1, tokens, torch.tensor(IGNORED))
    output = peft_model(input_ids=tokens, attention_mask=attention, labels=labels)
    output.loss.backward()
    directory = HERE / name
    peft_model.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)
    config = json.loads((directory / "adapter_config.json").read_text())
    config["target_modules"] = sorted(config["target_modules"])
    (directory / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file({"tokens": tokens, "mask": mask, "lengths": torch.tensor(LENGTHS), "logits": output.logits.detach().contiguous(),
               "loss": output.loss.detach().reshape(1)}, directory / "golden.safetensors")
    gradients = {parameter_name.replace(".default", ""): parameter.grad.clone().contiguous()
                 for parameter_name, parameter in peft_model.named_parameters() if parameter.requires_grad}
    save_file(gradients, directory / "gradients.safetensors", metadata={"format": "pt"})
    print(f"{name}: loss {output.loss.item():.4f}, {len(gradients)} tensors")


def main():
    """Writes the adapters named as arguments; without arguments all."""
    adapters = {name: (name, "all-linear") for name in ["gpt2", *FAMILIES]} | SUBSETS
    for name in sys.argv[1:] or adapters:
        shutil.rmtree(HERE / name, ignore_errors=True)
        write(name, *adapters[name])


if __name__ == "__main__":
    main()
