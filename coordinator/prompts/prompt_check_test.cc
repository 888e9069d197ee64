// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A prompt that fills the context is told before the job is accepted; the work for that is bounded.
#include "coordinator/prompts/prompt_check.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "artifacts/store_fixture.h"
#include "base/file.h"
#include "coordinator/prompts/prompt_count.h"
#include "coordinator/prompts/stored_files.h"
#include "worker/box/isolation.h"

namespace wattle::prompts {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

// For a child that never answers.
constexpr absl::Duration kShort = absl::Milliseconds(100);
const char kCounter[] = WATTLE_BINARY_DIR "/bin/wattle_prompt_counter";

std::string SourceFile(absl::string_view path) {
  const auto text = ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/", path), int64_t{1} << 24);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

// Byte-level and SentencePiece, with and without a begin token, with normalization: the bound that
// spares a tokenizer holds for each of them.
TEST(MostTokensTest, NoTokenizerMakesMore) {
  const std::vector<std::string> texts = {"",
                                          "a",
                                          "plain words, and 12345 numbers\n\n\tand  spaces",
                                          "Zürich ökonomisch naïve",
                                          "\xE0\xA5\x98\xE0\xA5\x98",          // U+0958, grows
                                          "\xF0\x9D\x85\xA0\xF0\x9D\x85\xA0",  // U+1D160, grows
                                          "\xF0\x9F\x8C\x8D\xE6\xBC\xA2\xE5\xAD\x97",
                                          "\xFF\xFE broken \x80"};
  for (const char* name :
       {"gemma", "gpt2", "gpt_neox", "llama2", "llama3", "mistral", "qwen2", "smollm2"}) {
    const auto tokenizer = formats::BytePairEncoding::ParseTokenizerJson(
        SourceFile(absl::StrCat("tests/golden/tokenizer/", name, ".json")), name);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    for (const std::string& text : texts) {
      EXPECT_LE(static_cast<int64_t>(tokenizer->EncodeDocument(text).size()), MostTokens(text))
          << name << ": " << text;
    }
  }
}

class PromptCheckTest : public artifacts::StoreFixture {
 protected:
  PromptCheckTest() : store_(OpenStore()) {
    model_ = AddDirectory("model", {{"vocab.json", SourceFile("deploy/demo/model/vocab.json")},
                                    {"merges.txt", SourceFile("deploy/demo/model/merges.txt")}});
    const auto tokenizer = formats::BytePairEncoding::LoadDirectory(Path("model"));
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    long_prompt_ = "What is the yield of an east-west roof";
    for (int i = 0; i < 40; ++i) {
      long_prompt_ += " in winter";
    }
    long_prompt_tokens_ = static_cast<int64_t>(tokenizer->EncodeDocument(long_prompt_).size());
    // Else the bound by bytes alone would decide, and nothing here would be counted.
    EXPECT_LT(long_prompt_tokens_ + 1, MostTokens(long_prompt_));
  }

  ArtifactId AddDirectory(const std::string& name,
                          const std::vector<std::pair<std::string, std::string>>& files) {
    for (const auto& [file, bytes] : files) {
      WriteFile(name + "/" + file, bytes);
    }
    return Add(*store_, Path(name));
  }

  [[nodiscard]] core::PromptQuestion Question(std::vector<std::string> texts,
                                              int64_t context_length) const {
    core::PromptQuestion question;
    question.prompts = std::move(texts);
    question.model = "tiny";
    question.model_artifact = model_;
    question.context_length = context_length;
    return question;
  }

  core::PromptQuestion FileQuestion(const std::string& lines, int64_t context_length) {
    core::PromptQuestion question = Question({}, context_length);
    question.field = "generate.data";
    question.data = "chats";
    question.data_artifact = AddDirectory("chats", {{"chats.jsonl", lines}});
    return question;
  }

  std::string Ask(const core::PromptQuestion& question, PromptCheckLimits limits = {}) {
    PromptCheck check(*store_, clock_, {.path = kCounter}, limits);
    return AskOf(check, question);
  }
  // Of a child that does what the word says (prompt_counter_main.cc); one that never answers is
  // waited for as long as `patience`.
  std::string AskMisbehaving(const std::string& word, box::Level at_most = box::Level::kFull,
                             absl::Duration patience = absl::Minutes(2)) {
    PromptCheck check(*store_, clock_, {.path = kCounter, .arguments = {word}, .at_most = at_most},
                      {.patience = patience});
    return AskOf(check, Question({long_prompt_}, 8));
  }
  static std::string AskOf(PromptCheck& check, const core::PromptQuestion& question) {
    absl::Notification answered;
    std::string answer;
    check.Ask(question, [&](const std::string& refusal) {
      answer = refusal;
      answered.Notify();
    });
    answered.WaitForNotification();
    return answer;
  }

  std::unique_ptr<artifacts::BlobStore> store_;
  ArtifactId model_;
  std::string long_prompt_;
  int64_t long_prompt_tokens_ = 0;
};

// As worker/engine/generate: the prompt leaves room for one token, or it is refused.
TEST_F(PromptCheckTest, APromptLeavesRoomForOneToken) {
  EXPECT_EQ(Ask(Question({"short", long_prompt_}, long_prompt_tokens_ + 1)), "");
  EXPECT_THAT(Ask(Question({"short", long_prompt_}, long_prompt_tokens_)),
              AllOf(HasSubstr(absl::StrCat("generate.prompts: prompt 2 has ", long_prompt_tokens_,
                                           " tokens")),
                    HasSubstr(absl::StrCat("context of model tiny is ", long_prompt_tokens_)),
                    HasSubstr(absl::StrCat("shorten it to ", long_prompt_tokens_ - 1))));
}

TEST_F(PromptCheckTest, PromptsOfAFileAreNamedByTheirIds) {
  const std::string lines =
      absl::StrCat("{\"prompt\": \"short\"}\n\n{\"prompt\": \"", long_prompt_,
                   "\"}\n{\"id\": \"roof\", \"prompt\": \"", long_prompt_, "\"}\n");
  EXPECT_EQ(Ask(FileQuestion(lines, long_prompt_tokens_ + 1)), "");
  std::filesystem::remove_all(Path("chats"));
  EXPECT_THAT(Ask(FileQuestion(lines, long_prompt_tokens_)),
              AllOf(HasSubstr("generate.data: chats: prompt 3 has"),
                    HasSubstr("1 other prompt is too long too")));
}

TEST_F(PromptCheckTest, ATextOfOneTokenHasNothingToPredict) {
  const auto ask = [&](const std::string& name, const std::string& text) {
    core::PromptQuestion question = Question({}, 256);
    question.is_text = true;
    question.field = "evaluate.data";
    question.data = name;
    question.data_artifact = AddDirectory(name, {{"text.txt", text}});
    return Ask(question);
  };
  EXPECT_THAT(ask("one", " winter"),
              AllOf(HasSubstr("evaluate.data: one: is one token for model tiny"),
                    HasSubstr("push a longer text")));
  EXPECT_EQ(ask("two", " winter winter"), "");
}

TEST_F(PromptCheckTest, ATokenizerIsReadOnce) {
  PromptCheck check(*store_, clock_, {.path = kCounter});
  EXPECT_NE(AskOf(check, Question({long_prompt_}, 8)), "");
  ASSERT_TRUE(store_->Remove(model_).ok());
  EXPECT_NE(AskOf(check, Question({long_prompt_}, 8)), "") << "it was kept";
}

TEST_F(PromptCheckTest, WhatLiesBeyondTheBoundsIsLeftToTheDevice) {
  PromptCheckLimits limits;
  limits.text_bytes = static_cast<int64_t>(long_prompt_.size()) - 1;
  EXPECT_EQ(Ask(Question({long_prompt_}, 8), limits), "");
  const std::string lines =
      absl::StrCat("{\"prompt\": \"short\"}\n{\"prompt\": \"", long_prompt_, "\"}\n");
  limits = {};
  limits.file_bytes = static_cast<int64_t>(lines.size()) - 3;  // Within the second line.
  EXPECT_EQ(Ask(FileQuestion(lines, 8), limits), "");
}

// The demo model's tokenizer with a template that writes "Q: … A:", and one that refuses a role.
TEST_F(PromptCheckTest, ConversationsAreCountedAsTheTemplateWritesThem) {
  const std::string config = nlohmann::json({{"chat_template",
                                              "{% for m in messages %}{% if m.role == 'tool' %}"
                                              "{{ raise_exception('no tools here') }}{% endif %}"
                                              "Q: {{ m.content }}{% endfor %}"
                                              "{% if add_generation_prompt %} A:{% endif %}"}})
                                 .dump();
  const std::string vocabulary = SourceFile("deploy/demo/model/vocab.json");
  const std::string merges = SourceFile("deploy/demo/model/merges.txt");
  const ArtifactId chat_model = AddDirectory(
      "chat_model",
      {{"vocab.json", vocabulary}, {"merges.txt", merges}, {"tokenizer_config.json", config}});
  const auto tokenizer = formats::BytePairEncoding::LoadDirectory(Path("chat_model"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto tokens =
      static_cast<int64_t>(tokenizer->Encode(absl::StrCat("Q: ", long_prompt_, " A:")).size());
  EXPECT_GT(tokens, long_prompt_tokens_);
  const auto ask = [&](core::PromptQuestion question, int64_t context_length) {
    question.chat = question.data.empty();
    question.model_artifact = chat_model;
    question.context_length = context_length;
    return Ask(question);
  };
  EXPECT_EQ(ask(Question({long_prompt_}, 0), tokens + 1), "");
  EXPECT_THAT(ask(Question({"short", long_prompt_}, 0), tokens),
              HasSubstr(absl::StrCat("generate.prompts: prompt 2 has ", tokens, " tokens")));
  const core::PromptQuestion file =
      FileQuestion(R"({"prompt": "plain"})"
                   "\n"
                   R"({"messages": [{"role": "tool", "content": "x"}]})",
                   0);
  EXPECT_THAT(ask(file, 256), AllOf(HasSubstr("generate.data: chats: prompt 2: "),
                                    HasSubstr("the template refuses this: no tools here")));
}

TEST_F(PromptCheckTest, AModelWithoutATemplateIsAskedNoConversation) {
  core::PromptQuestion question = Question({"short"}, 256);
  question.chat = true;
  EXPECT_THAT(Ask(question), AllOf(HasSubstr("generate.chat: model tiny has no chat template"),
                                   HasSubstr("leave chat out")));
  const std::string lines = R"({"messages": [{"role": "user", "content": "x"}]})";
  EXPECT_THAT(Ask(FileQuestion(lines, 256)),
              AllOf(HasSubstr("generate.data: chats: has conversations, and model tiny has no"),
                    HasSubstr("instruction-tuned model")));
}

TEST_F(PromptCheckTest, ConversationsToLearnFromWantATemplateThatWritesThem) {
  const ArtifactId data = AddDirectory(
      "chats",
      {{"chats.jsonl",
        R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})"
        "\n\n"
        R"({"messages": [{"role": "tool", "content": "a"}, {"role": "assistant", "content": "b"}]})"}});
  core::PromptQuestion question = Question({}, 256);
  question.conversations.push_back({"finetune.heldout_data", "chats", data});
  EXPECT_THAT(Ask(question),
              AllOf(HasSubstr("finetune.heldout_data: chats: has conversations, and model tiny has "
                              "no chat template"),
                    HasSubstr("name an instruction-tuned model")));
  const std::string config = nlohmann::json({{"chat_template",
                                              "{% for m in messages %}{% if m.role == 'tool' %}"
                                              "{{ raise_exception('no tools here') }}{% endif %}"
                                              "{{ m.content }}{% endfor %}"}})
                                 .dump();
  question.model_artifact =
      AddDirectory("chat_model", {{"vocab.json", SourceFile("deploy/demo/model/vocab.json")},
                                  {"merges.txt", SourceFile("deploy/demo/model/merges.txt")},
                                  {"tokenizer_config.json", config}});
  EXPECT_THAT(Ask(question), AllOf(HasSubstr("finetune.heldout_data: chats: line 3: "),
                                   HasSubstr("the template refuses this: no tools here")));
  question.conversations[0].limit_examples = 1;
  EXPECT_EQ(Ask(question), "") << "the other one is not read";
  question.conversations[0].limit_examples = 0;
  PromptCheckLimits limits;
  limits.text_bytes = 100;
  EXPECT_EQ(Ask(question, limits), "") << "what lies beyond the bound is left to the device";
}

TEST_F(PromptCheckTest, AModelWithoutATokenizerRefusesNothing) {
  core::PromptQuestion question = Question({long_prompt_}, 8);
  question.model_artifact = AddDirectory("bare", {{"config.json", "{}"}});
  EXPECT_EQ(Ask(question), "");
}

TEST(FindLongPromptsTest, EndsWhenNobodyWaits) {
  const auto tokenizer = formats::BytePairEncoding::ParseTokenizerJson(
      SourceFile("tests/golden/tokenizer/gpt2.json"), "gpt2");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  int asked = 0;
  const auto found = FindLongPrompts(
      {{"a", "one two three"}, {"b", "four five six"}, {"c", "seven"}}, *tokenizer, nullptr,
      /*context_length=*/2, {.text_bytes = 1 << 20, .go_on = [&] { return ++asked <= 1; }});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().id, "a");
}

// The caller would have given up by then, and what comes after must not wait as long.
TEST_F(PromptCheckTest, AQuestionThatWaitedTooLongIsNotCounted) {
  PromptCheck check(*store_, clock_, {.path = kCounter});
  absl::Notification answered;
  std::string answer = "none";
  check.Ask(Question({long_prompt_}, 8), [&](const std::string& first) {
    EXPECT_NE(first, "");
    check.Ask(Question({long_prompt_}, 8), [&](const std::string& second) {
      answer = second;
      answered.Notify();
    });
    clock_.now += absl::Seconds(10);
  });
  answered.WaitForNotification();
  EXPECT_EQ(answer, "");
}

TEST_F(PromptCheckTest, AChildThatEndsHangsOrBabblesRefusesTheSubmitAndSaysWhy) {
  const struct {
    const char* word;
    const char* told;
  } rows[] = {{"die", "was ended by signal 9"},
              {"babble", "gave an answer that is none"},
              {"deaf", "was ended by signal 9"}};
  for (const auto& row : rows) {
    EXPECT_THAT(AskMisbehaving(row.word),
                AllOf(HasSubstr(absl::StrCat("generate.prompts: the count of its tokens with model "
                                             "tiny ",
                                             row.told)),
                      HasSubstr("do not trust the model's tokenizer"), Not(HasSubstr("\n"))))
        << row.word;
  }
  EXPECT_THAT(AskMisbehaving("hang", box::Level::kFull, kShort),
              AllOf(HasSubstr("did not end within 100ms; submit again if"),
                    HasSubstr("do not trust the model's tokenizer")));
}

TEST_F(PromptCheckTest, AChildThatMakesASocketIsEndedByItsBox) {
  if (box::DetectIsolation(box::Level::kSeccomp).level < box::Level::kSeccomp) {
    GTEST_SKIP() << "wants isolation seccomp, which this kernel does not give";
  }
  // Kernels before 5.0 do not tell the call.
  const auto ended = AnyOf(HasSubstr("was stopped by its box at the system call socket"),
                           HasSubstr("was ended by signal 31"));
  EXPECT_THAT(AskMisbehaving("socket"), ended);
  EXPECT_THAT(AskMisbehaving("socket", box::Level::kSeccomp), ended) << "without Landlock";
  EXPECT_THAT(AskMisbehaving("socket", box::Level::kNone), HasSubstr("exit code 40"))
      << "the attack works without the box";
}

TEST_F(PromptCheckTest, AChildReadsNoFile) {
  EXPECT_THAT(AskMisbehaving("read", box::Level::kNone), HasSubstr("exit code 40"))
      << "the attack works without the box";
  if (box::DetectIsolation(box::Level::kFull).level < box::Level::kFull) {
    GTEST_SKIP() << "wants isolation full, which this kernel does not give";
  }
  EXPECT_THAT(AskMisbehaving("read"), HasSubstr("exit code 41"));
}

TEST_F(PromptCheckTest, ATokenizerThatEatsMemoryEndsItsChildAloneAndOthersAreCounted) {
#if defined(__SANITIZE_ADDRESS__) || defined(_GLIBCXX_TSAN)
  GTEST_SKIP() << "a sanitizer takes more memory than any limit gives";
#endif
  std::string json = "[0";
  for (int i = 0; i < 4'000'000; ++i) {
    json += ",0";  // 16 bytes each, once read.
  }
  core::PromptQuestion hostile = Question({long_prompt_}, 8);
  hostile.model_artifact = AddDirectory("large", {{"tokenizer.json", json + "]"}});
  PromptCheck check(*store_, clock_, {.path = kCounter}, {.memory_bytes = int64_t{48} << 20});
  EXPECT_THAT(AskOf(check, hostile), HasSubstr("wanted more than 48 MiB of memory"));
  EXPECT_THAT(AskOf(check, Question({long_prompt_}, 8)), HasSubstr("prompt 1 has"));
  EXPECT_EQ(Ask(hostile), "") << "it is read with memory, and is no tokenizer";
}

// At every level, also where the kernel has no Landlock.
TEST_F(PromptCheckTest, EveryLevelOfTheBoxCountsTheSame) {
  for (const box::Level level : {box::Level::kNone, box::Level::kSeccomp, box::Level::kFull}) {
    PromptCheck check(*store_, clock_, {.path = kCounter, .at_most = level});
    EXPECT_THAT(AskOf(check, Question({long_prompt_}, 8)),
                HasSubstr(absl::StrCat("prompt 1 has ", long_prompt_tokens_, " tokens")))
        << box::LevelName(level);
  }
}

TEST_F(PromptCheckTest, AMissingChildIsNoFaultOfTheModel) {
  PromptCheck check(*store_, clock_, {.path = Path("none")});
  EXPECT_EQ(AskOf(check, Question({long_prompt_}, 8)), "");
}

TEST_F(PromptCheckTest, StopWaitsForNoChild) {
  PromptCheck check(*store_, clock_, {.path = kCounter, .arguments = {"hang"}},
                    {.patience = absl::Hours(1)});
  absl::Notification answered;
  check.Ask(Question({long_prompt_}, 8), [&](const std::string& refusal) {
    EXPECT_EQ(refusal, "");
    answered.Notify();
  });
  check.Stop();
  EXPECT_TRUE(answered.HasBeenNotified());
}

// What LoadFiles and the chat template ask for is what a child gets.
TEST_F(PromptCheckTest, AChildHasEveryFileOfATokenizer) {
  const std::vector<std::vector<std::string>> kinds = {
      {"tokenizer.json"}, {"vocab.json", "merges.txt"}, {"tokenizer.model"}};
  for (const std::vector<std::string>& kind : kinds) {
    std::vector<std::string> asked = {"chat_template.jinja", "tokenizer_config.json"};
    (void)formats::BytePairEncoding::LoadFiles(
        [&](absl::string_view name) -> absl::StatusOr<std::optional<std::string>> {
          asked.emplace_back(name);
          const bool there = std::find(kind.begin(), kind.end(), name) != kind.end();
          return there ? std::optional<std::string>("x") : std::nullopt;
        },
        "model");
    for (const std::string& name : asked) {
      const ArtifactId model =
          AddDirectory(absl::StrCat("with_", kind[0], "_", name), {{name, "x"}});
      EXPECT_EQ(ReadModelFiles(*store_, model).files_size(), 1) << name;
    }
  }
}

TEST_F(PromptCheckTest, AfterStopNothingIsCounted) {
  PromptCheck check(*store_, clock_, {.path = kCounter});
  check.Stop();
  EXPECT_EQ(AskOf(check, Question({long_prompt_}, 8)), "");
}

}  // namespace
}  // namespace wattle::prompts
