// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the validation of hellos and policies, and the bound of every text.
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

template <typename Message>
Message Read(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

TEST(ValidateHelloTest, IncarnationAndNamesAreNeeded) {
  v1::Hello hello;
  hello.set_incarnation(1);
  hello.mutable_device()->set_device_id("d");
  hello.mutable_device()->set_name("n");
  hello.mutable_device()->set_device_class("c");
  EXPECT_THAT(ValidateHello(hello), IsOk());
  hello.set_incarnation(0);
  EXPECT_THAT(ValidateHello(hello),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("incarnation")));
}

absl::Status CheckPolicy(const std::string& text) {
  return ValidatePolicy(Read<v1::Policy>(text));
}

TEST(ValidatePolicyTest, NamesAreLikeOtherNames) {
  EXPECT_THAT(CheckPolicy("name: 'solar-masts.2' max_temperature_celsius: 70"), IsOk());
  for (const char* name : {"", "two words", "new\\nline", "a/b"}) {
    EXPECT_THAT(CheckPolicy(std::string("max_temperature_celsius: 70 name: '") + name + "'"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 to 80 letters, digits")))
        << name;
  }
}

TEST(ValidatePolicyTest, APolicyLimitsSomething) {
  EXPECT_THAT(
      CheckPolicy("name: 'idle'"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("policy idle: limits nothing; give reserve_state_of_charge_ratio")));
  for (const char* const alone : {"patience_ratio_per_hour: 0", "sun_risk_ratio: 0.1"}) {
    EXPECT_THAT(CheckPolicy(std::string("name: \"p\" ") + alone), IsOk()) << alone;
  }
}

TEST(ValidatePolicyTest, SelectorsThatCanMatchNothingAreRefused) {
  EXPECT_THAT(
      CheckPolicy("name: 'p' max_temperature_celsius: 70 selector: 'site=a' selector: 'site=b'"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("can match no device")));
  EXPECT_THAT(
      CheckPolicy("name: 'p' max_temperature_celsius: 70 selector: 'site=a' selector: 'site'"),
      IsOk());
  EXPECT_THAT(CheckPolicy("name: 'p' max_temperature_celsius: 70 selector: 'site = a'"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("without blanks")));
}

TEST(ValidatePolicyTest, ARefusalOfALineEndIsOneLine) {
  EXPECT_THAT(CheckPolicy("name: 'p' max_temperature_celsius: 70 selector: 'two\\nlines'"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"two lines\"")));
}

TEST(ValidatePolicyTest, ReserveIsARatio) {
  v1::Policy policy;
  policy.set_name("field");
  policy.set_reserve_state_of_charge_ratio(20);
  EXPECT_THAT(ValidatePolicy(policy),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("reserve_state_of_charge_ratio: 20: want 0 to 1")));
}

TEST(ValidatePolicyTest, WorkWithoutContactIsForAMinuteAtLeast) {
  EXPECT_THAT(CheckPolicy("name: 'p' offline_seconds: 60"), IsOk());
  for (const char* const seconds : {"0", "59", "-1"}) {
    EXPECT_THAT(CheckPolicy(std::string("name: 'p' offline_seconds: ") + seconds),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("offline_seconds")));
  }
}

TEST(ValidatePolicyTest, NotANumberIsOutOfRange) {
  v1::Policy policy = Read<v1::Policy>("name: 'p'");
  policy.set_max_temperature_celsius(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(ValidatePolicy(policy),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("want 0 to 200")));
}

TEST(ValidatePolicyTest, ScheduleIsChecked) {
  v1::Policy policy =
      Read<v1::Policy>("name: 'p' work_windows: '06:00-18:00' utc_offset_minutes: -300");
  EXPECT_THAT(ValidatePolicy(policy), IsOk());
  policy.add_work_windows("dawn");
  EXPECT_THAT(
      ValidatePolicy(policy),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("policy.work_windows: \"dawn\": want two different times of day")));
  EXPECT_THAT(
      ValidatePolicy(Read<v1::Policy>("name: 'p' stay_alive_until: 'noon'")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("policy.stay_alive_until: \"noon\"")));
  EXPECT_THAT(ValidatePolicy(Read<v1::Policy>("name: 'p' daily_energy_budget_wh: -1")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("daily_energy_budget_wh")));
  EXPECT_THAT(ValidatePolicy(
                  Read<v1::Policy>("name: 'p' daily_energy_budget_wh: 5 utc_offset_minutes: 2000")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("utc_offset_minutes")));
  EXPECT_THAT(ValidatePolicy(Read<v1::Policy>(
                  "name: 'p' work_windows: '06:00-18:00' time_zone: 'Europe/Berlin'")),
              IsOk());
  EXPECT_THAT(ValidatePolicy(Read<v1::Policy>(
                  "name: 'p' work_windows: '06:00-18:00' time_zone: 'Europe/Atlantis'")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("policy: time_zone: \"Europe/Atlantis\": this machine knows no")));
  EXPECT_THAT(ValidatePolicy(Read<v1::Policy>(
                  "name: 'p' daily_energy_budget_wh: 5 time_zone: 'UTC' utc_offset_minutes: 60")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("want one of them")));
}

TEST(ValidateSpecTextTest, AGenerateJobWantsPrompts) {
  EXPECT_THAT(ValidateSpec(Read<v1::JobSpec>("generate { model: 'm' }"), /*files_needed=*/true),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("generate.prompts: missing; give prompts")));
}

TEST(ValidateSpecTextTest, EveryTextHasABound) {
  v1::JobSpec spec = Read<v1::JobSpec>("generate { model: 'm' prompts: 'Who?' }");
  EXPECT_THAT(ValidateSpec(spec, true), IsOk());
  const std::string long_text(5000, 'x');
  spec.set_owner(long_text);
  EXPECT_THAT(ValidateSpec(spec, true),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("owner: 5000 characters: want at most 80")));
  spec.clear_owner();
  spec.mutable_generate()->set_model(long_text);
  EXPECT_THAT(ValidateSpec(spec, true),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("generate.model: 5000 bytes: want at most 500")));
  spec.mutable_generate()->set_model("m");
  spec.add_required_labels(long_text);
  EXPECT_THAT(ValidateSpec(spec, true),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("required_labels: 5000")));
  spec.clear_required_labels();
  spec.mutable_generate()->set_prompts(0, long_text);
  EXPECT_THAT(ValidateSpec(spec, true), IsOk()) << "a prompt has its own, larger bound";
}

TEST(ValidateSpecTextTest, LimitsAreWrittenAsPeopleWriteThem) {
  v1::JobSpec spec =
      Read<v1::JobSpec>("deadline_seconds: 1e9 generate { model: 'm' prompts: 'a' }");
  EXPECT_THAT(ValidateSpec(spec, true),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("deadline_seconds: 1000000000: want 0 to 31622400"),
                             Not(HasSubstr("e+")))));
}

TEST(ValidateHelloTest, EveryTextHasABound) {
  v1::Hello hello = Read<v1::Hello>(
      "incarnation: 1 device { device_id: 'd' name: 'n' device_class: 'c' labels { key: 'k' } }");
  EXPECT_THAT(ValidateHello(hello), IsOk());
  hello.mutable_device()->mutable_labels(0)->set_value(std::string(5000, 'x'));
  EXPECT_THAT(ValidateHello(hello), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("hello.device.labels.value: 5000 bytes")));
}

}  // namespace
}  // namespace wattle::core
