// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Chat templates and the masks of conversations against transformers (tests/golden/chat), and
// refusals.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/chat_examples.h"
#include "formats/data_set.h"
#include "formats/testing/mutation_internal.h"

namespace wattle::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ChatGolden(const std::string& file) {
  const auto text =
      ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/chat/", file), 1 << 22);
  EXPECT_THAT(text, IsOk());
  return text.ok() ? *text : std::string();
}

BytePairEncoding Tokenizer() {
  auto tokenizer =
      BytePairEncoding::ParseTokenizerJson(ChatGolden("tokenizer.json"), "tokenizer.json");
  EXPECT_THAT(tokenizer, IsOk());
  return *std::move(tokenizer);
}

absl::StatusOr<ChatTemplate> TemplateOf(const std::string& text) {
  const nlohmann::json config = {
      {"chat_template", text}, {"bos_token", "<s>"}, {"eos_token", {{"content", "</s>"}}}};
  return ChatTemplate::Parse(config.dump(), std::nullopt, "tokenizer_config.json");
}

std::vector<ChatMessage> MessagesOf(const nlohmann::json& json) {
  std::vector<ChatMessage> messages;
  for (const nlohmann::json& message : json) {
    messages.push_back({message["role"].get<std::string>(), message["content"].get<std::string>()});
  }
  return messages;
}

// The text of the tokens that count.
std::string Counted(const ChatTokens& chat, const BytePairEncoding& tokenizer) {
  std::vector<int64_t> counted;
  for (size_t i = 0; i < chat.tokens.size(); ++i) {
    if (chat.counts[i]) {
      counted.push_back(chat.tokens[i]);
    }
  }
  return tokenizer.Decode(counted);
}

class ChatTemplateTest : public testing::TestWithParam<const char*> {};

TEST_P(ChatTemplateTest, WritesWhatTransformersWrites) {
  const auto expected = nlohmann::json::parse(ChatGolden("expected.json"))[GetParam()];
  const auto chat_template = TemplateOf(expected["template"].get<std::string>());
  ASSERT_THAT(chat_template, IsOk());
  const BytePairEncoding tokenizer = Tokenizer();
  for (const nlohmann::json& each : expected["cases"]) {
    SCOPED_TRACE(each["messages"].dump());
    const std::vector<ChatMessage> messages = MessagesOf(each["messages"]);
    const auto text = chat_template->Write(messages, /*add_generation_prompt=*/false);
    if (each.contains("error")) {
      EXPECT_THAT(text, StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr(each["error"].get<std::string>())));
      continue;
    }
    ASSERT_THAT(text, IsOk());
    EXPECT_EQ(text->text, each["text"].get<std::string>());
    const auto prompt = chat_template->Write(messages, /*add_generation_prompt=*/true);
    ASSERT_THAT(prompt, IsOk());
    EXPECT_EQ(prompt->text, each["prompt"].get<std::string>());
    const auto chat = EncodeChat(messages, *chat_template, tokenizer);
    ASSERT_THAT(chat, IsOk());
    EXPECT_EQ(chat->tokens, each["tokens"].get<std::vector<int64_t>>());
    if (each.contains("mask")) {
      const std::vector<int> mask(chat->counts.begin(), chat->counts.end());
      EXPECT_EQ(mask, each["mask"].get<std::vector<int>>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ChatTemplateTest,
                         testing::Values("chatml", "qwen", "llama3", "gemma", "zephyr", "marked"),
                         [](const auto& row) { return row.param; });

TEST(ChatMaskTest, EachTurnOfTheAssistantCountsToItsEndToken) {
  const auto expected = nlohmann::json::parse(ChatGolden("expected.json"));
  const BytePairEncoding tokenizer = Tokenizer();
  const struct {
    const char* name;
    size_t conversation;
    const char* counted;
  } kRows[] = {
      {"chatml", 0, "89 % charge<|im_end|>"},
      {"chatml", 1, "\nyes\n<|im_end|>ok ☀<|im_end|>"},
      {"qwen", 2, "b<|im_end|> d<|im_end|>f<|im_end|>"},
      {"llama3", 1, "yes<|eot_id|>ok ☀<|eot_id|>"},
      {"gemma", 2, "b<end_of_turn>d<end_of_turn>f<end_of_turn>"},
      {"zephyr", 2, "b</s> d</s>f</s>"},
  };
  for (const auto& row : kRows) {
    const auto chat_template = TemplateOf(expected[row.name]["template"].get<std::string>());
    const auto messages = MessagesOf(expected[row.name]["cases"][row.conversation]["messages"]);
    const auto chat = EncodeChat(messages, *chat_template, tokenizer);
    ASSERT_THAT(chat, IsOk()) << row.name;
    EXPECT_EQ(Counted(*chat, tokenizer), row.counted) << row.name;
  }
}

TEST(ChatMaskTest, ATemplateThatChangesEarlierTurnsIsRefused) {
  const auto chat_template = TemplateOf(
      "{% for m in messages %}{{ m.role }}:{{ m.content if loop.last else '…' }}\n{% endfor %}");
  const BytePairEncoding tokenizer = Tokenizer();
  EXPECT_THAT(EncodeChat({{"user", "a"}, {"assistant", "b"}}, *chat_template, tokenizer),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("messages[1]: the chat template writes this turn otherwise")));
}

TEST(ChatMaskTest, ASpelledSpecialTokenIsRefused) {
  const auto chat_template = TemplateOf("{% for m in messages %}{{ m.content }}{% endfor %}");
  EXPECT_THAT(
      EncodeChat({{"user", "a<|im_end|>"}, {"assistant", "b"}}, *chat_template, Tokenizer()),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("messages[0].content: spells the special token <|im_end|>")));
}

TEST(PackChatTest, LongConversationsAreCutAndNamed) {
  const auto chat_template = TemplateOf(
      "{% for m in messages %}{{ m.role[0] }}:{{ m.content + eos_token }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}");
  ASSERT_THAT(chat_template, IsOk());
  const BytePairEncoding tokenizer = Tokenizer();
  const auto chat = ParseChat(
      R"({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "yz"}]}

{"id": 7, "messages": [{"role": "user", "content": "much too long"}, {"role": "assistant", "content": "y"}]}
{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "longer than that"}]})",
      "chat.jsonl");
  ASSERT_THAT(chat, IsOk());
  EXPECT_EQ(chat->at(1).line, 3);
  const auto packed = PackChat(*chat, *chat_template, tokenizer, {.max_length_tokens = 9});
  ASSERT_THAT(packed, IsOk());
  EXPECT_EQ(packed->pool.size(), 2U);
  EXPECT_EQ(packed->dropped, 1);
  EXPECT_EQ(packed->truncated, 1);
  EXPECT_EQ(tokenizer.Decode(packed->pool.Tokens(0)), "u:x</s>a:yz</s>");
  EXPECT_EQ(packed->pool.TargetCount(0), 3U);
  EXPECT_EQ(tokenizer.Decode(packed->pool.Tokens(1)), "u:x</s>a:lon");
  EXPECT_EQ(packed->pool.TargetCount(1), 3U);
  const auto all =
      PackChat(*chat, *chat_template, tokenizer, {.max_length_tokens = 9, .loss_on = LossOn::kAll});
  EXPECT_EQ(all->pool.TargetCount(0), 8U);
  EXPECT_THAT(PackChat(*chat, *chat_template, tokenizer, {.max_length_tokens = 3}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("raise sequence_length")));
  const auto refusing = TemplateOf("{{ raise_exception('no ' + messages[0].role) }}");
  EXPECT_THAT(PackChat(*chat, *refusing, tokenizer, {.max_length_tokens = 9}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("line 1: tokenizer_config.json: chat_template:1: the template "
                                 "refuses this: no user")));
}

TEST(ChatPromptTest, EndsWhereTheAssistantBeginsAndSpellsNoSpecialToken) {
  const auto expected = nlohmann::json::parse(ChatGolden("expected.json"))["qwen"];
  const auto chat_template = TemplateOf(expected["template"].get<std::string>());
  const BytePairEncoding tokenizer = Tokenizer();
  for (const nlohmann::json& each : expected["cases"]) {
    const auto prompt = WriteChatPrompt(MessagesOf(each["messages"]), *chat_template, tokenizer);
    ASSERT_THAT(prompt, IsOk());
    EXPECT_EQ(*prompt, each["prompt"].get<std::string>());
  }
  EXPECT_THAT(WriteChatPrompt({{"user", "a<|im_end|>"}}, *chat_template, tokenizer),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("messages[0].content: spells the special token <|im_end|>")));
}

TEST(ChatDataTest, TheFirstLineSaysWhatAJsonlFileHas) {
  const TestDirectory directory;
  const std::string line =
      R"({"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}]})";
  const std::string chat = directory.Write("chat.jsonl", "\n" + line + "\n");
  EXPECT_EQ(*DataSetKindOf(chat), DataSetKind::kChat);
  EXPECT_EQ(*DataSetKindOf(directory.Write("prompts.jsonl", R"({"prompt": "messages"})")),
            DataSetKind::kPrompts);
  const std::string asked = directory.Write(
      "asked.jsonl",
      R"({"messages": [{"role": "assistant", "content": "c"}, {"role": "user", "content": "abc"}]})"
      "\n{\"prompt\": \"x\"}\n");
  EXPECT_EQ(*DataSetKindOf(asked), DataSetKind::kPrompts);
  const auto prompts = DescribeDataSet(asked);
  ASSERT_THAT(prompts, IsOk());
  EXPECT_EQ(prompts->format(), "prompts");
  EXPECT_DOUBLE_EQ(prompts->mean_byte_length(), (1.0 + 3.0 + 1.0) / 2.0);
  EXPECT_EQ(prompts->message_count_quantiles(0), 0) << "a prompt that is a text";
  EXPECT_EQ(prompts->message_count_quantiles(32), 2);
  const auto described = DescribeDataSet(chat);
  ASSERT_THAT(described, IsOk());
  EXPECT_EQ(described->format(), "chat");
  EXPECT_EQ(described->examples(), 1);
  EXPECT_DOUBLE_EQ(described->mean_byte_length(), 3.0);
  EXPECT_THAT(described->message_count_quantiles(),
              testing::AllOf(testing::SizeIs(33), testing::Each(2)));
}

TEST(ChatDataTest, BadLinesAreNamed) {
  const std::pair<const char*, const char*> kRows[] = {
      {"", "chat.jsonl: has no conversation"},
      {"[]", "chat.jsonl:1: the line: wants an object"},
      {R"({"messages": []})", "chat.jsonl:1: messages: wants a list"},
      {R"({"prompt": "x"})", "chat.jsonl:1: prompt: unknown field"},
      {R"({"messages": [7]})", "chat.jsonl:1: messages[0]: wants an object"},
      {R"({"messages": [{"role": "user"}]})", "messages[0]: wants \"role\" and \"content\""},
      {R"({"messages": [{"role": "user", "content": 1}]})", "messages[0].content: wants text"},
      {R"({"messages": [{"role": "user", "content": "x", "x": ""}]})", "messages[0].x: unknown"},
      {R"({"messages": [{"role": "user", "content": "x"}]})", "no turn of the assistant"},
      {"{\"messages\"", "chat.jsonl:1"},
  };
  for (const auto& [text, message] : kRows) {
    EXPECT_THAT(ParseChat(text, "chat.jsonl"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << text;
  }
}

TEST(ChatTemplateFilesTest, WhereTheTemplateStands) {
  const TestDirectory directory;
  EXPECT_THAT(ChatTemplate::LoadDirectory(directory.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("chat_template: missing")));
  directory.Write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "x", "template": "x"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(ChatTemplate::LoadDirectory(directory.path())->Write({}, false)->text, "d");
  directory.Write("chat_template.jinja", "j\n");
  EXPECT_EQ(ChatTemplate::LoadDirectory(directory.path())->Write({}, false)->text, "j");
  EXPECT_THAT(ChatTemplate::Parse(R"({"chat_template": 7})", std::nullopt, "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f: chat_template: wants")));
}

TEST(JinjaTest, WhatItCannotRunIsNamed) {
  const std::pair<const char*, const char*> kRows[] = {
      {"a\n{% include 'x' %}", "t:2: {% include %}: not supported"},
      {"{{ a.b.c }}", "t:1: a part of an undefined value, a"},
      {"{{ 1 + 'a' }}", "\"+\" of a number and text"},
      {"{{ 'a' | sha }}", "filter of text sha: not supported"},
      {"{{ 'a'.encode() }}", "method of text encode: not supported"},
      {"{{ open('x') }}", "there is no function open"},
      {"{{ [1] }}", "printing a list: not supported"},
      {"{% if x %}", "the template ends before {% endif %}"},
      {"{{ x", "the template ends before }}"},
      {"{{ 'x }}", "a string without its end"},
      {"{# x", "a comment"},
      {"{{ x y }}", "wants the end of the tag, found \"y\""},
      {"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
       "too many steps"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "too deeply"},
      {"{{ 1 // 0 }}", "division by zero"},
  };
  for (const auto& [text, message] : kRows) {
    const auto parsed = JinjaTemplate::Parse(text, "t");
    const absl::Status status = parsed.ok() ? parsed->Render({}).status() : parsed.status();
    EXPECT_THAT(status.message(), HasSubstr(message)) << text;
  }
  const std::string deep = "{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}";
  EXPECT_THAT(JinjaTemplate::Parse(deep, "t"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nested too deeply")));
  std::string chain = "{{ 1";
  for (int i = 0; i < 100000; ++i) {
    chain += "+1";
  }
  EXPECT_THAT(JinjaTemplate::Parse(chain + " }}", "t"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too many parts")));
}

TEST(JinjaTest, ATextThatDoublesEndsAtItsLimit) {
  const auto doubling = JinjaTemplate::Parse(
      "{% set ns = namespace(s='0123456789') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s "
      "%}{% endfor %}",
      "t");
  ASSERT_THAT(doubling, IsOk());
  EXPECT_THAT(doubling->Render({}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("longer than 16 MiB")));
}

TEST(JinjaTest, DamageNeverCrashes) {
  const auto expected = nlohmann::json::parse(ChatGolden("expected.json"));
  const nlohmann::ordered_json variables = {
      {"messages",
       {{{"role", "user"}, {"content", "a b"}}, {{"role", "assistant"}, {"content", "c"}}}},
      {"add_generation_prompt", true},
      {"eos_token", "</s>"}};
  for (const char* name : {"qwen", "llama3", "marked"}) {
    int rendered = 0;
    ForEachMutation(expected[name]["template"].get<std::string>(), {.seed = 77, .rounds = 3000},
                    [&](const std::string& mutant) {
                      const auto parsed = JinjaTemplate::Parse(mutant, "t");
                      if (!parsed.ok()) {
                        return parsed.status();
                      }
                      const auto text = parsed->Render(variables);
                      rendered += text.ok() ? 1 : 0;
                      return text.status();
                    });
    EXPECT_GT(rendered, 0) << name << ": every mutation was refused";
  }
}

}  // namespace
}  // namespace wattle::formats
