// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/heartbeat_changes.h"

#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include <google/protobuf/descriptor.h>

namespace wattle {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Draws messages by their fields, so that new fields of Heartbeat are drawn too.
class Drawn {
 public:
  explicit Drawn(uint64_t seed) : random_(seed) {}

  void Fill(Message& message, double chance) {
    const auto& descriptor = *message.GetDescriptor();
    for (int i = 0; i < descriptor.field_count(); ++i) {
      if (Chance(chance)) {
        Draw(message, *descriptor.field(i));
      }
    }
  }
  bool Chance(double chance) { return std::uniform_real_distribution<>(0, 1)(random_) < chance; }

 private:
  int Below(int end) { return std::uniform_int_distribution<>(0, end - 1)(random_); }

  void Draw(Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    reflection.ClearField(&message, &field);
    const int count = field.is_repeated() ? Below(4) : 1;
    for (int n = 0; n < count; ++n) {
      DrawOne(message, reflection, field);
    }
  }
  void DrawOne(Message& message, const Reflection& reflection, const FieldDescriptor& field) {
    const bool list = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection.SetDouble(&message, &field, Below(2000) * 0.01);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return reflection.AddFloat(&message, &field, static_cast<float>(Below(10)));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection.SetInt64(&message, &field, int64_t{1} << Below(40));
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.SetBool(&message, &field, Chance(0.5));
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection.SetEnumValue(&message, &field, Below(3));
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string text(static_cast<size_t>(Below(5)), static_cast<char>('a' + Below(3)));
        return list ? reflection.AddString(&message, &field, text)
                    : reflection.SetString(&message, &field, text);
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(*(list ? reflection.AddMessage(&message, &field)
                           : reflection.MutableMessage(&message, &field)),
                    0.5);
      default:
        FAIL() << "a kind of field that this test cannot draw: " << field.name();
    }
  }

  std::mt19937_64 random_;
};

double ToleratedStep(const std::string& field) {
  static const std::vector<std::pair<std::string, double>> steps = {
      {"watts", 0.02},    {"temperature_celsius", 0.2}, {"ratio", 0.001},   {"age_seconds", 10},
      {"seconds_to", 60}, {"joules_total", 20},         {"_bytes", 4 << 20}};
  for (const auto& [part, step] : steps) {
    if (field.find(part) != std::string::npos && field != "cache_used_bytes") {
      return step;
    }
  }
  return 0;
}

// Each field equal, or within the step that the header tolerates.
void ExpectAsGood(const v1::Heartbeat& known, const v1::Heartbeat& truth) {
  const Reflection& reflection = *v1::Heartbeat::GetReflection();
  v1::Heartbeat rest = known;
  for (int i = 0; i < v1::Heartbeat::descriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *v1::Heartbeat::descriptor()->field(i);
    const double step = field.is_repeated() ? 0 : ToleratedStep(field.name());
    if (step == 0) {
      continue;
    }
    EXPECT_EQ(reflection.HasField(known, &field), reflection.HasField(truth, &field))
        << field.name();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
      const int64_t value = reflection.GetInt64(truth, &field);
      EXPECT_LT(std::abs(static_cast<double>(reflection.GetInt64(known, &field) - value)), step)
          << field.name();
      reflection.SetInt64(&rest, &field, value);
    } else {
      const double value = reflection.GetDouble(truth, &field);
      EXPECT_LT(std::abs(reflection.GetDouble(known, &field) - value), step) << field.name();
      reflection.SetDouble(&rest, &field, value);
    }
  }
  EXPECT_EQ(rest.DebugString(), truth.DebugString());
}

TEST(HeartbeatChangesTest, TheOtherSideKnowsWhatTheDeviceKnowsAfterAnyChanges) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Drawn drawn(seed);
    v1::Heartbeat truth;
    drawn.Fill(truth, 0.5);
    v1::Heartbeat told = truth;
    v1::Heartbeat known = truth;
    for (int beat = 0; beat < 20; ++beat) {
      drawn.Fill(truth, 0.2);
      const v1::HeartbeatChanges changes = ChangesOf(told, truth);
      ApplyChanges(changes, told);
      ApplyChanges(changes, known);
      ExpectAsGood(known, truth);
    }
    EXPECT_EQ(known.SerializeAsString(), told.SerializeAsString());
  }
}

// The link joins the changes that wait in its queue.
TEST(HeartbeatChangesTest, TwoChangesInOneDoWhatBothDid) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Drawn drawn(seed);
    v1::Heartbeat first;
    v1::Heartbeat second;
    v1::Heartbeat third;
    drawn.Fill(first, 0.5);
    drawn.Fill(second, 0.5);
    drawn.Fill(third, 0.5);
    v1::HeartbeatChanges joined = ChangesOf(first, second);
    v1::Heartbeat apart = first;
    ApplyChanges(joined, apart);
    const v1::HeartbeatChanges later = ChangesOf(apart, third);
    ApplyChanges(later, apart);
    AddChanges(later, joined);
    v1::Heartbeat together = first;
    ApplyChanges(joined, together);
    EXPECT_EQ(together.DebugString(), apart.DebugString());
  }
}

TEST(HeartbeatChangesTest, ASensorThatTremblesSaysNothing) {
  v1::Heartbeat told;
  told.set_power_watts(5.0);
  told.set_temperature_celsius(41.0);
  told.set_memory_available_bytes(int64_t{1} << 30);
  told.add_cached_artifact_ids(std::string(64, 'a'));
  v1::Heartbeat now = told;
  now.set_power_watts(5.004);
  now.set_temperature_celsius(40.9);
  now.set_memory_available_bytes((int64_t{1} << 30) - 4096);
  EXPECT_EQ(ChangesOf(told, now).changed().ByteSizeLong(), 0);
  now.set_power_watts(5.03);
  EXPECT_EQ(ChangesOf(told, now).changed().ShortDebugString(), "power_watts: 5.03");
}

// Small steps in one direction add up: the difference counts from the last sent value, not from the
// last value.
TEST(HeartbeatChangesTest, ASlowDriftIsTold) {
  v1::Heartbeat told;
  told.set_temperature_celsius(30.0);
  v1::Heartbeat now = told;
  for (int beat = 0; beat < 100; ++beat) {
    now.set_temperature_celsius(now.temperature_celsius() + 0.05);
    ApplyChanges(ChangesOf(told, now), told);
    EXPECT_NEAR(told.temperature_celsius(), now.temperature_celsius(), 0.2);
  }
}

TEST(HeartbeatChangesTest, AFieldOfANewerVersionDoesNotPileUp) {
  v1::HeartbeatChanges changes;
  changes.mutable_changed()
      ->GetReflection()
      ->MutableUnknownFields(changes.mutable_changed())
      ->AddVarint(999, 1);
  changes.add_cleared_fields(998);
  v1::Heartbeat known;
  for (int beat = 0; beat < 10; ++beat) {
    ApplyChanges(changes, known);
  }
  EXPECT_EQ(known.ByteSizeLong(), 0);
}

}  // namespace
}  // namespace wattle
