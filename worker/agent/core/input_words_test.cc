// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/input_words.h"

#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

TEST(InputWordsTest, AnInputIsCalledByItsReference) {
  v1::Assignment assignment;
  for (const char* field : {"model", "data"}) {
    v1::ResolvedInput& input = *assignment.add_inputs();
    input.set_field(field);
    input.set_reference(field == std::string("model") ? "gpt2" : "job:j4/output");
  }
  const std::vector<FetchedInput> inputs = {
      {.field = "model", .directory = "/var/lib/w/cache/ab12", .file = ""},
      {.field = "data",
       .directory = "/var/lib/w/cache/cd34",
       .file = "/var/lib/w/cache/cd34/t.json"},
  };
  EXPECT_EQ(InUsersWords("/var/lib/w/cache/cd34/t.json: data[0]: missing", assignment, inputs),
            "data job:j4/output: data[0]: missing");
  EXPECT_EQ(InUsersWords("/var/lib/w/cache/ab12/config.json: no such file", assignment, inputs),
            "model gpt2/config.json: no such file");
  EXPECT_EQ(InUsersWords("out of memory", assignment, inputs), "out of memory");
}

}  // namespace
}  // namespace wattle::agent
