// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/sensor_settings.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::agent {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

TEST(SensorSettingsTest, TheShippedExampleIsRight) {
  EXPECT_THAT(ReadSensorSettings(std::string(WATTLE_SOURCE_DIR) + "/deploy/examples/sensors.yaml"),
              IsOk());
}

TEST(SensorSettingsTest, EntriesKeepTheirTextsAndTheirOrder) {
  const TestDirectory directory;
  const auto entries = ReadSensorSettings(directory.Write("s.yaml",
                                                          "sensors:\n"
                                                          "  - kind: ina2xx\n"
                                                          "    device: 1-0040\n"
                                                          "    current_scale: 10\n"
                                                          "  - {kind: pi_firmware, slope: 1.1}\n"));
  ASSERT_THAT(entries, IsOk());
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ(entries->at(0).Text("device"), "1-0040");
  EXPECT_EQ(entries->at(0).Number("current_scale", 1), 10);
  EXPECT_EQ(entries->at(1).kind, "pi_firmware");
}

TEST(SensorSettingsTest, WrongFilesAreRefusedByFileAndLine) {
  const TestDirectory directory;
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"", ":1: wanted one list"},
      {"sensors: 3\n", ":1: wanted one list"},
      {"sensors: []\nsensor: []\n", ":1: wanted one list"},
      {"sensors:\n  - ina2xx\n", ":2: wanted a map"},
      {"sensors:\n  - kind: ina2xx\n    position: [input]\n", ":3: wanted a setting"},
      {"sensors:\n  - kind: ina2xx\n    position: up\n", ":2: sensor 1, ina2xx: position: \"up\""},
      {"sensors:\n  - position: input\n", "kinds with settings are"},
      {"sensors:\n  - kind: ina2xx\n    device: a\n    device: b\n",
       ":4: device: stands here twice"},
      {"sensors: [\n", ":"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.text);
    EXPECT_THAT(ReadSensorSettings(directory.Write("s.yaml", test.text)),
                StatusIs(StatusCode::kInvalidArgument,
                         testing::AllOf(HasSubstr("s.yaml"), HasSubstr(test.message))));
  }
  EXPECT_THAT(ReadSensorSettings(directory.path()),
              StatusIs(StatusCode::kNotFound, HasSubstr("no such file")));
}

}  // namespace
}  // namespace wattle::agent
