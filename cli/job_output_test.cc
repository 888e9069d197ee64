// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/job_output.h"

#include "cli/testing/sample_messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::cli {
namespace {

using testing::HasSubstr;

constexpr char kLines[] =
    "{\"id\":\"1\",\"prompt\":\"Who?\",\"text\":\"Ada.\\nAgain\\u001b[2J\",\"prompt_tokens\":3,"
    "\"generated_tokens\":2,\"finish_reason\":\"stop\"}\n"
    "{\"id\":2,\"prompt\":\"b\",\"text\":\"\"}\n";

TEST(JobOutputTest, PrintsGeneratedTextWithoutItsControlCharacters) {
  const absl::StatusOr<JobOutput> output =
      ParseJobOutput({{"generations.jsonl", kLines}, {"metrics.json", "{\"tokens\": 2}"}});
  ASSERT_THAT(output, IsOk());
  EXPECT_EQ(output->json, kLines) << "scripts get the job's own lines";
  const std::string text = RenderJobOutput(SampleMeasuredJob(), *output, {});
  EXPECT_THAT(text, HasSubstr("prompt 1: Who?\n  Ada.\n  Again?[2J\n  (2 tokens, stop)\n"));
  EXPECT_THAT(text, HasSubstr("tokens"));
}

TEST(JobOutputTest, PrintsMetricsAndFiles) {
  absl::StatusOr<JobOutput> output =
      ParseJobOutput({{"metrics.json", "{\"perplexity\": 31.25, \"note\": \"x\"}"}});
  ASSERT_THAT(output, IsOk());
  v1::ManifestFile file;
  file.set_path("model.safetensors");
  file.set_size_bytes(5 << 20);
  output->files.push_back(file);
  const std::string text = RenderJobOutput(SampleFinishedJob(), *output, {});
  EXPECT_THAT(text, HasSubstr("perplexity  31.25\n"));
  EXPECT_THAT(text, HasSubstr("model.safetensors  5.0 MiB\n"));
  EXPECT_THAT(text, HasSubstr("wattle model pull job:j1/output DIRECTORY"));
}

TEST(JobOutputTest, OddFilesAreSaid) {
  for (const char* lines : {"not json\n", "[]\n", "{\"text\": 3}\n"}) {
    EXPECT_THAT(ParseJobOutput({{"generations.jsonl", lines}}),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("wattle model pull")))
        << lines;
  }
  EXPECT_THAT(ParseJobOutput({{"metrics.json", "3"}}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("metrics.json")));
}

}  // namespace
}  // namespace wattle::cli
