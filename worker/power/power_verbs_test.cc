// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/power/power_verbs.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RememberedPower final : public BoardPower {
 public:
  absl::Status Set(const PowerModeRow& mode) override {
    done.push_back("set " + mode.name);
    return answer;
  }
  absl::Status Restore() override {
    done.emplace_back("restore");
    return answer;
  }
  absl::Status Forget() override {
    done.emplace_back("forget");
    return answer;
  }

  std::vector<std::string> done;
  absl::Status answer;
};

class PowerVerbsTest : public testing::Test {
 protected:
  PowerVerbs Make(bool with_power_off) {
    return {{{.name = "MODE_10W"}, {.name = "MAXN SUPER"}},
            &power_,
            with_power_off ? std::function<absl::Status()>([this] {
              power_.done.emplace_back("off");
              return absl::OkStatus();
            })
                           : nullptr};
  }
  RememberedPower power_;
};

TEST_F(PowerVerbsTest, DoesWhatItIsAskedAndTellsWhatIsAllowed) {
  PowerVerbs verbs = Make(true);
  EXPECT_EQ(verbs.Answer("verbs").text, "verbs set restore forget power-off");
  for (const char* request : {"set MODE_10W", "set MAXN SUPER", "forget", "restore", "power-off"}) {
    EXPECT_EQ(verbs.Answer(request).exit_code, 0) << request;
  }
  EXPECT_THAT(power_.done,
              ElementsAre("set MODE_10W", "set MAXN SUPER", "forget", "restore", "off"));
}

TEST_F(PowerVerbsTest, NothingElseIsDone) {
  PowerVerbs verbs = Make(false);
  EXPECT_EQ(verbs.Answer("verbs").text, "verbs set restore forget");
  for (const char* request :
       {"power-off", "", "set", "set ", "set /sys/power/state", "set MODE_10W x", "Set MODE_10W",
        "restore now", "reboot", "set MODE_10W\t", "write /etc/passwd"}) {
    const LineAnswer answer = verbs.Answer(request);
    EXPECT_EQ(answer.exit_code, 2) << request;
    EXPECT_EQ(answer.text.find('\t'), std::string::npos) << "an answer is one printable line";
  }
  EXPECT_THAT(verbs.Answer("set X").text, HasSubstr("this board has MODE_10W, MAXN SUPER"));
  EXPECT_THAT(power_.done, ElementsAre());
}

TEST_F(PowerVerbsTest, ARefusalOfTheBoardIsTold) {
  PowerVerbs verbs = Make(false);
  power_.answer = absl::InternalError("/sys/x: cannot write");
  EXPECT_EQ(verbs.Answer("restore").exit_code, 1);
  EXPECT_EQ(verbs.Answer("set MODE_10W").text, "/sys/x: cannot write");
}

}  // namespace
}  // namespace wattle::agent
