# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes what transformers makes of chat templates with the constructs of the families, and which tokens it counts. See README.md."""

import json
import pathlib

import transformers
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

HERE = pathlib.Path(__file__).parent

# Written for this test in the forms of the published templates: the turns' tokens are the families', the wording is ours.
TEMPLATES = {
    # SmolLM2 and Qwen 2.5: ChatML, with a system turn of its own.
    "chatml": ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
               "{{ '<|im_start|>system\\nBe of help<|im_end|>\\n' }}{% endif %}"
               "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"),
    "qwen": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}{{- tools | tojson }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    # Llama 3.2: a date, a macro-free header, content that is trimmed.
    "llama3": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now_of_a_clock is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{#- The system message has a turn of its own. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    # Gemma: no system turn, the roles alternate, the assistant is called model.
    "gemma": ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role here') }}{% endif %}"
              "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
              "{{ raise_exception('user and assistant take turns') }}{% endif %}"
              "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
              "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
              "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"),
    # TinyLlama and Zephyr: blocks on lines of their own, which trim_blocks and lstrip_blocks take away.
    "zephyr": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    # Marks of what the assistant says, a macro, a namespace, loop controls, filters and tests.
    "marked": """{%- macro turn(role, text, end="<|im_end|>") -%}
<|im_start|>{{ role }}
{{ text }}{{ end }}
{%- endmacro -%}
{%- set ns = namespace(turns=0, seen=[]) -%}
{%- for m in messages if m.content is string and m.content|length > 0 -%}
  {%- if m.role == 'skip' %}{% continue %}{% endif -%}
  {%- set ns.turns = ns.turns + 1 -%}
  {%- if m.role == "assistant" %}
<|im_start|>assistant
{% generation %}{{ m.content.strip() }}<|im_end|>{% endgeneration %}

  {%- else %}{{ turn(m['role'] | upper, m["content"].split("\\n")[0] ~ '!' * 1 if false else m.content | replace("a", "e")) }}
  {%- endif %}
  {%- if ns.turns >= 6 %}{% break %}{% endif -%}
{%- else -%}
nothing
{%- endfor %}
{{ ns.turns }} {{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}
{{ {'a': [1, 2.5, none, true], "b": "é\\"\\n"} | tojson }}{{ messages[-1].role[1:4] }}{{ [1,2,3][::-1] | first }}{{ 7 // 2 }}{{ -7 % 3 }}{{ 1 / 2 }}
{%+ if 'x' not in 'abc' and not (1 > 2 or none is not none) %}  kept{% endif %}
{% set block %}{{ "  t  " | trim }}{% endset %}[{{ block }}]{{ undefined_name }}{{ undefined_name | default('d') }}{% for k, v in {'p': 1}.items() %}{{ k }}={{ v }}{% endfor %}
""",
}

CONVERSATIONS = [
    [{"role": "user", "content": "the sun's watt?"}, {"role": "assistant", "content": "89 % charge"}],
    [{"role": "system", "content": " Be short. "}, {"role": "user", "content": "hi\n\nthere"}, {"role": "assistant", "content": "\nyes\n"},
     {"role": "user", "content": "Zoë 東京"}, {"role": "assistant", "content": "ok ☀"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": " c "}, {"role": "assistant", "content": " d"},
     {"role": "user", "content": "e"}, {"role": "assistant", "content": "f"}, {"role": "user", "content": "g"}],
]
SPECIAL = ["<|endoftext|>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>",
           "<end_of_turn>"]


def tokenizer():
    """Only bytes, and two merges that reach over the border of a turn: line ends, and a line end with a letter."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(alphabet + ["ĊĊ", "Ġt"])}
    made = Tokenizer(BPE(vocabulary, [("Ċ", "Ċ"), ("Ġ", "t")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
    return made


def main():
    made = tokenizer()
    made.save(str(HERE / "tokenizer.json"), pretty=False)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")
    result = {}
    for name, template in TEMPLATES.items():
        cases = []
        for messages in CONVERSATIONS:
            case = {"messages": messages}
            try:
                for prompt in [False, True]:
                    case["text" if not prompt else "prompt"] = fast.apply_chat_template(
                        messages, chat_template=template, tokenize=False, add_generation_prompt=prompt)
                case["tokens"] = fast.apply_chat_template(messages, chat_template=template, tokenize=True)
                if "{% generation %}" in template:
                    marked = fast.apply_chat_template(messages, chat_template=template, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
                    case["mask"] = marked["assistant_masks"]
            except Exception as error:
                case = {"messages": messages, "error": str(error)}
            cases.append(case)
        result[name] = {"template": template, "cases": cases}
        print(name, [list(case) for case in cases])
    (HERE / "expected.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
