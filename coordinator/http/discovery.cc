// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "google/protobuf/struct.pb.h"

#include "coordinator/http/json.h"
#include "coordinator/http/metrics.h"

namespace wattle::http {

std::string DiscoveryJson(const runtime::Api& api) {
  google::protobuf::ListValue list;
  const absl::StatusOr<v1::ListDevicesResponse> devices = api.ListDevices({});
  if (!devices.ok()) {
    return ToPlainJson(list);
  }
  for (const v1::Device& device : devices->devices()) {
    if (device.info().metrics_address().empty() || device.waits_for_approval()) {
      continue;
    }
    auto& group = *list.add_values()->mutable_struct_value()->mutable_fields();
    group["targets"].mutable_list_value()->add_values()->set_string_value(
        device.info().metrics_address());
    auto& labels = *group["labels"].mutable_struct_value()->mutable_fields();
    // A worker's own series carry device, device_class and emulated. Target labels with these names
    // would make Prometheus rename the worker's labels to exported_…. Labels that begin with
    // __meta_ are only for relabelling and reach no series.
    labels["__meta_wattle_device"].set_string_value(device.info().name());
    labels["__meta_wattle_device_id"].set_string_value(device.info().device_id());
    labels["__meta_wattle_device_class"].set_string_value(device.info().device_class());
    labels["__meta_wattle_emulated"].set_string_value(device.info().emulated() ? "true" : "false");
  }
  return ToPlainJson(list);
}

}  // namespace wattle::http
