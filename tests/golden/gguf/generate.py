# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes GGUF files with the gguf package from the goldens of the engine and of the tokenizers. See README.md."""

import argparse
import json
import pathlib
import re

import gguf
import numpy
import sentencepiece
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file, save_file

HERE = pathlib.Path(__file__).parent
ENGINE = HERE.parent / "engine"
TOKENIZER = HERE.parent / "tokenizer"
TYPES = gguf.GGMLQuantizationType
# A directory of the engine's goldens, and the architecture of llama.cpp that it is written as.
MODELS = {
    "gpt2": ("gpt2", "."), "llama3": ("llama", "families/llama3"), "llama_linear": ("llama", "families/llama_linear"),
    "smollm2": ("llama", "families/smollm2"), "mistral": ("llama", "families/mistral"), "qwen2": ("qwen2", "families/qwen2"),
    "phi": ("phi2", "families/phi"), "gpt_neox": ("gptneox", "families/gpt_neox"),
    "gpt_neox_sequential": ("gptneox", "families/gpt_neox_sequential"), "stablelm": ("stablelm", "families/stablelm"),
    "gemma": ("gemma", "families/gemma"), "gemma2": ("gemma2", "families/gemma2"), "llama_tiny": ("llama", "llama_tiny"),
}
# Byte-level tokenizers, and what convert_hf_to_gguf.py calls their rules.
PRE_TOKENIZERS = {"gpt2": "gpt-2", "gpt_neox": "olmo", "smollm2": "smollm", "qwen2": "qwen2", "llama3": "llama-bpe"}

# Pieces that the models of tests/golden/tokenizer/generate_sentence_piece.py recognize themselves.
USER_DEFINED = {"spm_gemma": ["<start_of_turn>", "\n\n", "▁▁▁", "▁▁▁▁", "watt"], "spm_own": ["<sep>", "sun"]}


def load(name, directory):
    """config.json and weights by the names of transformers."""
    if name == "gpt2":
        tensors = load_file(ENGINE / "gpt2_tiny.safetensors")
        weights = {"transformer." + key[len("weight:"):]: value for key, value in tensors.items() if key.startswith("weight:")}
    else:
        weights = load_file(ENGINE / directory / "model.safetensors")
    return json.loads((ENGINE / directory / "config.json").read_text()), weights


def permute(rows, heads):
    """LlamaModel.permute of convert_hf_to_gguf.py."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def convert(architecture, config, name, data):
    """modify_tensors of convert_hf_to_gguf.py, for one tensor."""
    heads = config.get("num_attention_heads", config.get("n_head"))
    if architecture == "llama" and re.search(r"\.q_proj\.(weight|bias)$", name):
        return permute(data, heads)
    if architecture == "llama" and re.search(r"\.k_proj\.(weight|bias)$", name):
        return permute(data, config["num_key_value_heads"])
    if architecture == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return data.T
    if architecture == "gptneox" and ".query_key_value." in name:
        parts = data.reshape(heads, 3, config["hidden_size"] // heads, -1)
        return numpy.concatenate([parts[:, i].reshape(-1, parts.shape[-1]) for i in range(3)]).reshape(data.shape)
    if architecture.startswith("gemma") and name.endswith("norm.weight"):
        return data + numpy.float32(1)
    return data


def rope_factors(config):
    """generate_extra_tensors of LlamaModel in convert_hf_to_gguf.py, with the positions that rope_scaling names."""
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") != "llama3":
        return None
    dimensions, factors = config["head_dim"], []
    low, high, positions = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["original_max_position_embeddings"]
    for i in range(0, dimensions, 2):
        wavelength = 2 * numpy.pi * config["rope_theta"] ** (i / dimensions)
        smooth = (positions / wavelength - low) / (high - low)
        factors.append(1 if wavelength < positions / high else scaling["factor"] if wavelength > positions / low
                       else 1 / ((1 - smooth) / scaling["factor"] + smooth))
    return numpy.array(factors, dtype=numpy.float32)


def add_fields(writer, architecture, config):
    width = config.get("hidden_size", config.get("n_embd"))
    heads = config.get("num_attention_heads", config.get("n_head"))
    writer.add_context_length(config.get("max_position_embeddings", config.get("n_positions")))
    writer.add_embedding_length(width)
    writer.add_block_count(config.get("num_hidden_layers", config.get("n_layer")))
    writer.add_feed_forward_length(config.get("intermediate_size", 4 * width))
    writer.add_head_count(heads)
    writer.add_vocab_size(config["vocab_size"])
    if architecture == "gpt2":
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    writer.add_rope_freq_base(float(config["rope_theta"]))
    if "rms_norm_eps" in config:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    else:
        writer.add_layer_norm_eps(config["layer_norm_eps"])
    head_size = config.get("head_dim", width // heads)
    if "head_dim" in config:
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    if not architecture.startswith("gemma"):
        writer.add_rope_dimension_count(int(head_size * config.get("partial_rotary_factor", config.get("rotary_pct", 1.0))))
    if architecture in ("gptneox", "stablelm"):
        writer.add_parallel_residual(config["use_parallel_residual"])
    if (config.get("rope_scaling") or {}).get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config["rope_scaling"]["factor"])
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
        writer.add_sliding_window(config["sliding_window"])


def add_tiny_tokenizer(writer):
    """The tokenizer.json of llama_tiny as pieces: a merge of a lower rank is a piece of a higher score."""
    model = json.loads((ENGINE / "llama_tiny/tokenizer.json").read_text())["model"]
    ranks = {merge.replace(" ", ""): rank for rank, merge in enumerate(model["merges"])}
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(ranks.get(token, len(ranks))) for token in tokens])
    writer.add_token_types([kinds.UNKNOWN if i == 0 else kinds.CONTROL if i < 3 else kinds.BYTE if i < 259 else kinds.NORMAL
                            for i in range(len(tokens))])
    writer.add_add_bos_token(True)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for message in messages %}{{ message.role }}: {{ message.content }}{{ eos_token }}{% endfor %}")


def write_model(name, architecture, directory):
    config, weights = load(name, directory)
    layers = config.get("num_hidden_layers", config.get("n_layer"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], layers)
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", architecture)
    add_fields(writer, architecture, config)
    ends = config["eos_token_id"] if isinstance(config["eos_token_id"], list) else [config["eos_token_id"]]
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(ends[0])
    if len(ends) > 1:
        writer.add_eot_token_id(ends[1])
    if name == "llama_tiny":
        add_tiny_tokenizer(writer)
    else:
        writer.add_tokenizer_model("none")
    factors = rope_factors(config)
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", factors)
    for key, data in weights.items():
        new = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert new is not None, key
        writer.add_tensor(new, numpy.ascontiguousarray(convert(architecture, config, key, data)))
    close(writer)


def close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tokenizers():
    """A vocabulary without tensors for each kind, types of tokens as get_vocab_base of convert_hf_to_gguf.py."""
    kinds = gguf.TokenType
    for name, pre in PRE_TOKENIZERS.items():
        tokenizer = json.loads((TOKENIZER / f"{name}.json").read_text())
        ids = dict(tokenizer["model"]["vocab"])
        types = dict.fromkeys(ids, kinds.NORMAL)
        for token in tokenizer["added_tokens"]:
            ids[token["content"]] = token["id"]
            types[token["content"]] = kinds.CONTROL if token["special"] else kinds.USER_DEFINED
        tokens = sorted(ids, key=ids.get)
        assert [ids[token] for token in tokens] == list(range(len(tokens)))
        writer = gguf.GGUFWriter(HERE / f"tokenizer_{name}.gguf", "llama")
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(tokens)
        writer.add_token_types([types[token] for token in tokens])
        writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(0)
        close(writer)
    for name in ("spm_llama", "spm_gemma", "spm_own"):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(TOKENIZER / f"{name}.model"))
        writer = gguf.GGUFWriter(HERE / f"tokenizer_{name}.gguf", "llama")
        pieces = range(processor.vocab_size())
        own = USER_DEFINED.get(name, [])
        kind = [kinds.UNKNOWN if processor.is_unknown(i) else kinds.CONTROL if processor.is_control(i) else kinds.BYTE if processor.is_byte(i)
                else kinds.USER_DEFINED if processor.id_to_piece(i) in own else kinds.NORMAL for i in pieces]
        texts = [processor.id_to_piece(i) for i in pieces]
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        # Room at the end, as the converter fills a vocabulary up, and spaces of the model's own pieces as they are.
        writer.add_token_list([text.replace("▁", " ") if kind[i] == kinds.USER_DEFINED else text for i, text in enumerate(texts)] + ["[PAD0]"])
        writer.add_token_scores([processor.get_score(i) for i in pieces] + [-10000.0])
        writer.add_token_types(kind + [kinds.UNUSED])
        writer.add_bos_token_id(processor.bos_id())
        writer.add_eos_token_id(processor.eos_id())
        writer.add_unk_token_id(processor.unk_id())
        writer.add_add_space_prefix(name != "spm_gemma")
        close(writer)


def write_types():
    """A tensor of each type with its values, and metadata of each type."""
    random = numpy.random.default_rng(7)
    writer = gguf.GGUFWriter(HERE / "types.gguf", "none")
    for kind, value in {"uint8": 200, "int8": -100, "uint16": 60000, "int16": -30000, "uint32": 4000000000, "int32": -2000000000,
                        "uint64": 2**40, "int64": -2**40, "float32": 0.1, "float64": 0.1, "bool": True, "string": "東 mast"}.items():
        getattr(writer, "add_" + kind)("test." + kind, value)
    for kind, value in {"texts": ["a", "", "é"], "wholes": [1, -2, 3], "numbers": [0.5, -1.25], "flags": [True, False]}.items():
        writer.add_array("test." + kind, value)
    values = {}
    for kind, columns in (("F32", 5), ("F16", 7), ("BF16", 6), ("Q8_0", 96), ("Q4_0", 96), ("Q6_K", 512)):
        shape = (2, 3, columns)
        # Ordinary values, zeros, and values at the ends of F16: subnormal scales and large ones.
        source = (random.standard_normal(shape) * 10.0 ** random.integers(-6, 3, shape[:2] + (1,))).astype(numpy.float32)
        source[1, 2] = 0
        if kind == "Q6_K":  # the gguf package does not quantize to it: any bytes are blocks of it, F16 scales that are numbers
            packed = random.integers(0, 256, shape[:2] + (columns // 256 * 210,), dtype=numpy.uint8)
            packed.reshape(-1, 210)[:, 208:] = random.standard_normal((packed.size // 210, 1)).astype(numpy.float16).view(numpy.uint8)
        elif kind == "F32":
            packed = source
        else:
            packed = quantize(source, TYPES[kind])
        writer.add_tensor(kind, packed, raw_dtype=TYPES[kind])
        values[kind] = numpy.ascontiguousarray(dequantize(packed, TYPES[kind]))
        values["source:" + kind] = source
    halves = numpy.arange(0, 65536, 13, dtype=numpy.uint16).view(numpy.float16)
    writer.add_tensor("halves", halves[numpy.isfinite(halves)])
    values["halves"] = halves[numpy.isfinite(halves)].astype(numpy.float32)
    close(writer)
    save_file(values, HERE / "types.safetensors")
    (HERE / "types.safetensors").chmod(0o644)


def check():
    """Logits by llama.cpp itself, where the metadata says all that config.json says."""
    import llama_cpp
    for name, (_, directory) in MODELS.items():
        # A window; another scale of attention; biases wider than the stream; a model without biases.
        if name in ("mistral", "gemma2", "llama_linear", "gpt_neox_sequential"):
            continue
        golden = load_file(ENGINE / ("gpt2_tiny.safetensors" if name == "gpt2" else directory + "/golden.safetensors"))
        worst = 0.0
        for row, length in enumerate(golden["lengths"].tolist()):
            model = llama_cpp.Llama(str(HERE / f"{name}.gguf"), n_ctx=64, logits_all=True, verbose=False, type_k=0, type_v=0)
            model.eval(golden["tokens"][row, :length].tolist())
            wanted = golden["logits"][row, :length]
            worst = max(worst, float(numpy.abs(model.scores[:length] - wanted).max() / numpy.abs(wanted).max()))
        print(f"{name}: relative difference of llama.cpp's logits {worst:.1e}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="compute the logits with llama-cpp-python, and write nothing")
    if parser.parse_args().check:
        check()
        return
    for name, (architecture, directory) in MODELS.items():
        write_model(name, architecture, directory)
    write_tokenizers()
    write_types()


if __name__ == "__main__":
    main()
