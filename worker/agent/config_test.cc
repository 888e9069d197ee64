// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that impossible flags are refused at the start, each with its name.
#include "worker/agent/config.h"

#include <functional>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;

struct Case {
  const char* flag;
  std::function<void(Config&)> change;
};

TEST(ConfigTest, TheDefaultsAreFine) {
  EXPECT_THAT(Validate(Config()), IsOk());
}

TEST(ConfigTest, AWorkerMayServeNoMetrics) {
  Config config;
  config.metrics = kNoMetrics;
  EXPECT_THAT(Validate(config), IsOk());
}

TEST(ConfigTest, AFaultOfTheFileOfTokensStopsNoBoard) {
  Config config;
  config.metrics_token_file = "/nope";
  EXPECT_THAT(Validate(config), IsOk());
}

TEST(ConfigTest, ASettingThatCannotBeHonouredIsRefusedWithItsFlag) {
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const Case cases[] = {
      {"--coordinator", [](Config& c) { c.coordinators = {"hub"}; }},
      {"--coordinator",
       [](Config& c) {
         c.coordinators = {"mast:7410", "hub:99999"};
       }},
      {"--coordinator", [](Config& c) { c.coordinators = {""}; }},
      {"--coordinator hub:7410: given twice",
       [](Config& c) {
         c.coordinators = {"hub:7410", "mast:7410", "hub:7410"};
       }},
      {"--coordinator HUB:7410: given twice",
       [](Config& c) {
         c.coordinators = {"hub:7410", "HUB:7410"};
       }},
      {"--metrics", [](Config& c) { c.metrics = "9100"; }},
      {"--peer-listen barn.local:7412", [](Config& c) { c.peer_listen = "barn.local:7412"; }},
      {"--peer-listen", [](Config& c) { c.peer_listen = "99999"; }},
      {"leave --plaintext-loopback out",
       [](Config& c) {
         c.peer_listen = "7412";
         c.plaintext_loopback = true;
       }},
      {"--peer-bytes-per-second", [](Config& c) { c.peer_bytes_per_second = 0; }},
      {"--peer-bytes-per-second", [](Config& c) { c.peer_bytes_per_second = kNan; }},
      {"--device", [](Config& c) { c.device = "tpu"; }},
      {"--threads", [](Config& c) { c.threads = -1; }},
      {"--disk-quota-bytes", [](Config& c) { c.disk_quota_bytes = -1; }},
      {"--sensor-root", [](Config& c) { c.sensor_root = "/nope"; }},
      {"--exclusive",
       [](Config& c) {
         c.exclusive = {"robot", "/opt/robot"};
       }},
      {"--time-scale", [](Config& c) { c.time_scale = kNan; }},
      {"--hidden-offset-percent", [](Config& c) { c.hidden_offset_percent = kNan; }},
      {"--state-of-charge",
       [](Config& c) {
         c.emulate = "raspberry-pi-5";
         c.state_of_charge = kNan;
       }},
      {"--battery-wh",
       [](Config& c) {
         c.emulate = "raspberry-pi-5";
         c.battery_wh = std::numeric_limits<double>::infinity();
       }},
      {"--isolation-min",
       [](Config& c) {
         c.isolation = sandbox::Level::kSeccomp;
         c.isolation_min = sandbox::Level::kFull;
       }},
      {"--label isolation=full",
       [](Config& c) {
         c.labels = {{"isolation", "full"}};
       }},
      {"--label class=jetson-xavier-nx",
       [](Config& c) {
         c.labels = {{"site", "a"}, {"class", "jetson-xavier-nx"}};
       }},
      {"--label site=b: site=a is given too",
       [](Config& c) {
         c.labels = {{"site", "a"}, {"site", "b"}};
       }},
      {"--time-scale", [](Config& c) { c.time_scale = 2; }},  // without --emulate
      {"--sensors",
       [](Config& c) {
         c.emulate = "raspberry-pi-5";
         c.sensors = {{.kind = "nut"}};
       }},
  };
  for (const Case& test : cases) {
    Config config;
    test.change(config);
    EXPECT_THAT(Validate(config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test.flag)))
        << test.flag;
  }
}

}  // namespace
}  // namespace wattle::agent
