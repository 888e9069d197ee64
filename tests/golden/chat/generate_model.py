# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes the directory model beside this file: a chat model, and what transformers computes of conversations with it. See README.md."""

import json
import pathlib

import torch
import transformers

import generate

HERE = pathlib.Path(__file__).parent / "model"
SEED = 5
TAUGHT_STEPS = 45  # until the model answers the questions, and its loss is still well above zero
NEW_TOKENS = 24
LOSSES = 3  # training steps of the golden
IGNORED = -100  # transformers' label of a position without loss
# ChatML with marks of what the assistant says, its end token included.
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}"
            "{% if message.role == 'assistant' %}{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}"
            "{% else %}{{ message.content + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
PROMPTS = [
    [{"role": "user", "content": "the sun's watt?"}],
    generate.CONVERSATIONS[1][:-1],
]


def batch_of(tokenizer, counts_all):
    """Tokens and labels of all conversations, padded behind."""
    rows = [tokenizer.apply_chat_template(each, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
            for each in generate.CONVERSATIONS]
    longest = max(len(row["input_ids"]) for row in rows)
    tokens = torch.zeros(len(rows), longest, dtype=torch.int64)
    labels = torch.full_like(tokens, IGNORED)
    for i, row in enumerate(rows):
        for t, (token, says) in enumerate(zip(row["input_ids"], row["assistant_masks"])):
            tokens[i, t] = token
            labels[i, t] = token if says or counts_all else IGNORED
    return tokens, labels


def train(model, tokens, labels, steps, learning_rate, epsilon):
    """The loss before each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.999), eps=epsilon, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def answer(model, prompt):
    """The most likely tokens after the prompt, to the first end token of generation_config.json. model.generate does not run on Debian's PyTorch."""
    made = []
    while len(made) < NEW_TOKENS and not (made and made[-1] in model.generation_config.eos_token_id):
        made.append(int(model(input_ids=torch.tensor([prompt + made])).logits[0, -1].argmax()))
    return made


def main():
    torch.manual_seed(SEED)
    made = generate.tokenizer()
    end = made.token_to_id("<|im_end|>")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="<|im_end|>", chat_template=TEMPLATE,
                                                     clean_up_tokenization_spaces=False)
    # config.json names one end token and generation_config.json two, as chat models do.
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=made.get_vocab_size(), hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=made.token_to_id("<s>"), eos_token_id=made.token_to_id("</s>"),
        tie_word_embeddings=True))
    model.generation_config.eos_token_id = [made.token_to_id("</s>"), end]
    batch = batch_of(tokenizer, counts_all=False)
    train(model, *batch, TAUGHT_STEPS, learning_rate=1e-2, epsilon=1e-8)
    tokenizer.save_pretrained(HERE)
    model.save_pretrained(HERE, safe_serialization=True)
    (HERE / "special_tokens_map.json").unlink()  # tokenizer_config.json says the same

    model.eval()
    answers = []
    with torch.no_grad():
        losses = {name: model(input_ids=tokens, labels=labels).loss.item()
                  for name, (tokens, labels) in {"loss": batch, "loss_of_all": batch_of(tokenizer, counts_all=True)}.items()}
        for messages in PROMPTS:
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
            tokens = answer(model, prompt)
            answers.append({"messages": messages, "prompt_tokens": len(prompt), "generated_tokens": len(tokens),
                            "text": tokenizer.decode(tokens, skip_special_tokens=True)})
    # The large epsilon keeps a gradient that is nearly zero from being a step of full length, whose sign is that of a rounding.
    steps = train(model, *batch, LOSSES, learning_rate=1e-3, epsilon=1e-3)
    expected = {"predicted_tokens": int((batch[1][:, 1:] != IGNORED).sum()), **losses, "losses": steps, "answers": answers}
    lines = [json.dumps({"messages": each}, ensure_ascii=False) for each in generate.CONVERSATIONS]
    (HERE / "conversations.jsonl").write_text("\n".join(lines) + "\n")
    (HERE / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")
    print(expected)


if __name__ == "__main__":
    main()
