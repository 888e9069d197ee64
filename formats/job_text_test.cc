// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "formats/job_file.h"

namespace wattle::formats {
namespace {

TEST(JobFileTextTest, IsTheFileThatAPersonWouldWrite) {
  v1::JobSpec spec;
  spec.set_name("night run");
  spec.set_objective(v1::OBJECTIVE_TIME);
  spec.mutable_finetune()->set_model("gpt2");
  spec.mutable_finetune()->set_data("squad");
  spec.mutable_finetune()->set_learning_rate(3e-4);
  spec.mutable_finetune()->set_loss_on(v1::LOSS_ON_ALL);
  spec.add_required_labels("site=mast3");
  EXPECT_EQ(JobFileText(spec),
            "name: \"night run\"\n"
            "objective: time\n"
            "finetune:\n"
            "  model: gpt2\n"
            "  data: squad\n"
            "  loss_on: all\n"
            "  learning_rate: 0.0003\n"
            "required_labels: [\"site=mast3\"]\n");
}

// The written text is read back as the same job, for texts of any form.
TEST(JobFileTextTest, ReadsBackAsTheSameJob) {
  for (const char* text :
       {"plain", "yes", "12", "1e5", "", "a: b", "#x", "\"quoted\"", "back\\slash",
        "two\nlines\tand tab", "°C ü", "- item", "null", "~", "{}", "'"}) {
    v1::JobSpec spec;
    spec.set_name(text);
    spec.set_deadline_seconds(0.1 + 0.2);
    spec.set_priority(-7);
    spec.mutable_generate()->set_model("m");
    spec.mutable_generate()->add_prompts(text);
    spec.mutable_generate()->add_prompts("second, with comma");
    spec.mutable_generate()->set_seed(18446744073709551615ULL);
    const absl::StatusOr<v1::JobSpec> back = ParseJobFile(JobFileText(spec), "job.yaml");
    ASSERT_TRUE(back.ok()) << back.status() << "\n" << JobFileText(spec);
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*back, spec))
        << JobFileText(spec);
  }
}

}  // namespace
}  // namespace wattle::formats
