// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/heartbeat_changes.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/message_differencer.h>

namespace wattle {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::util::MessageDifferencer;

struct Tolerance {
  int field;
  double below;  // a smaller step is no change
};
constexpr double kWatts = 0.02;
constexpr double kShare = 0.001;
constexpr double kAgeSeconds = 10;
constexpr double kForecastSeconds = 60;
constexpr double kBytes = 4 << 20;
constexpr Tolerance kTolerances[] = {
    {v1::Heartbeat::kPowerWattsFieldNumber, kWatts},
    {v1::Heartbeat::kIdlePowerWattsFieldNumber, kWatts},
    {v1::Heartbeat::kBatteryPowerWattsFieldNumber, kWatts},
    {v1::Heartbeat::kTemperatureCelsiusFieldNumber, 0.2},
    {v1::Heartbeat::kStateOfChargeRatioFieldNumber, kShare},
    {v1::Heartbeat::kGaugeErrorRatioFieldNumber, kShare},
    {v1::Heartbeat::kBatteryAgeSecondsFieldNumber, kAgeSeconds},
    {v1::Heartbeat::kTemperatureAgeSecondsFieldNumber, kAgeSeconds},
    {v1::Heartbeat::kSecondsToEmptyFieldNumber, kForecastSeconds},
    {v1::Heartbeat::kSecondsToFullFieldNumber, kForecastSeconds},
    {v1::Heartbeat::kEnergyJoulesTotalFieldNumber, 20},
    {v1::Heartbeat::kMemoryAvailableBytesFieldNumber, kBytes},
    {v1::Heartbeat::kDiskFreeBytesFieldNumber, kBytes},
    {v1::Heartbeat::kLinkDayBytesFieldNumber, 64 << 10},
};

double ToleranceOf(const FieldDescriptor& field) {
  const auto* const found =
      std::find_if(std::begin(kTolerances), std::end(kTolerances),
                   [&](const Tolerance& one) { return one.field == field.number(); });
  return found == std::end(kTolerances) ? 0 : found->below;
}

bool IsSet(const v1::Heartbeat& heartbeat, const FieldDescriptor& field) {
  const Reflection& reflection = *v1::Heartbeat::GetReflection();
  return field.is_repeated() ? reflection.FieldSize(heartbeat, &field) > 0
                             : reflection.HasField(heartbeat, &field);
}

// REQUIRES: a number.
double NumberIn(const v1::Heartbeat& heartbeat, const FieldDescriptor& field) {
  const Reflection& reflection = *v1::Heartbeat::GetReflection();
  return field.cpp_type() == FieldDescriptor::CPPTYPE_INT64
             ? static_cast<double>(reflection.GetInt64(heartbeat, &field))
             : reflection.GetDouble(heartbeat, &field);
}

// Compares the bytes first, which is fastest; compares fields only if the bytes differ.
bool Equal(const Message& a, const Message& b) {
  return a.SerializePartialAsString() == b.SerializePartialAsString() ||
         MessageDifferencer::Equals(a, b);
}

// Most fields of a heartbeat are plain values, and a MessageDifferencer takes long for each.
bool Equal(const v1::Heartbeat& a, const v1::Heartbeat& b, const FieldDescriptor& field) {
  const Reflection& reflection = *v1::Heartbeat::GetReflection();
  if (!field.is_repeated()) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.GetBool(a, &field) == reflection.GetBool(b, &field);
      case FieldDescriptor::CPPTYPE_STRING:
        return reflection.GetString(a, &field) == reflection.GetString(b, &field);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection.GetDouble(a, &field) == reflection.GetDouble(b, &field);
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection.GetInt64(a, &field) == reflection.GetInt64(b, &field);
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Equal(reflection.GetMessage(a, &field), reflection.GetMessage(b, &field));
      default:
        break;
    }
  }
  MessageDifferencer differencer;
  return differencer.CompareWithFields(a, b, {&field}, {&field});
}

bool Differs(const v1::Heartbeat& told, const v1::Heartbeat& now, const FieldDescriptor& field) {
  const bool was_set = IsSet(told, field);
  if (was_set != IsSet(now, field)) {
    return true;
  }
  if (!was_set) {
    return false;
  }
  if (const double below = ToleranceOf(field); below > 0) {
    return !(std::abs(NumberIn(now, field) - NumberIn(told, field)) < below);
  }
  return !Equal(told, now, field);
}

void Clear(const FieldDescriptor& field, v1::Heartbeat& heartbeat) {
  v1::Heartbeat::GetReflection()->ClearField(&heartbeat, &field);
}

// A list or message replaces the earlier one as a whole. Unknown fields are dropped, because they
// would otherwise be added again with each change.
void Replace(const v1::Heartbeat& by, v1::Heartbeat& heartbeat) {
  std::vector<const FieldDescriptor*> fields;
  v1::Heartbeat::GetReflection()->ListFields(by, &fields);
  for (const FieldDescriptor* field : fields) {
    Clear(*field, heartbeat);
  }
  heartbeat.MergeFrom(by);
  heartbeat.DiscardUnknownFields();
}

}  // namespace

v1::HeartbeatChanges ChangesOf(const v1::Heartbeat& told, const v1::Heartbeat& now) {
  v1::HeartbeatChanges changes;
  *changes.mutable_changed() = now;
  const google::protobuf::Descriptor& descriptor = *v1::Heartbeat::descriptor();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (!Differs(told, now, field)) {
      Clear(field, *changes.mutable_changed());
    } else if (!IsSet(now, field)) {
      changes.add_cleared_fields(field.number());
    }
  }
  return changes;
}

void ApplyChanges(const v1::HeartbeatChanges& changes, v1::Heartbeat& heartbeat) {
  for (const int number : changes.cleared_fields()) {
    if (const auto* field = v1::Heartbeat::descriptor()->FindFieldByNumber(number)) {
      Clear(*field, heartbeat);
    }
  }
  Replace(changes.changed(), heartbeat);
}

void AddChanges(const v1::HeartbeatChanges& later, v1::HeartbeatChanges& changes) {
  // A field that is cleared and then changed stays in both: ApplyChanges clears first.
  auto& cleared = *changes.mutable_cleared_fields();
  for (const int number : later.cleared_fields()) {
    if (std::find(cleared.begin(), cleared.end(), number) == cleared.end()) {
      cleared.Add(number);
    }
  }
  ApplyChanges(later, *changes.mutable_changed());
}

}  // namespace wattle
