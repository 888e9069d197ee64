// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/given_labels.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/repeated_ptr_field.h"

#include "coordinator/core/enrolment.h"
#include "scheduler/place/rules/given_label.h"

namespace wattle::core {

void MarkGivenLabels(const State& state, v1::DeviceInfo& device) {
  auto& labels = *device.mutable_labels();
  labels.erase(std::remove_if(labels.begin(), labels.end(),
                              [](const v1::Label& label) {
                                return absl::StartsWith(label.key(), scheduler::kGivenLabel);
                              }),
               labels.end());
  google::protobuf::RepeatedPtrField<v1::Label> given;
  if (state.identities.empty()) {
    given = labels;
  } else if (const v1::IdentityRecord* const identity =
                 FindIdentity(state, kDeviceKind, device.device_id());
             identity != nullptr) {
    given = identity->labels();
  }
  for (v1::Label& label : given) {
    label.set_key(absl::StrCat(scheduler::kGivenLabel, label.key()));
    *labels.Add() = label;
  }
}

}  // namespace wattle::core
