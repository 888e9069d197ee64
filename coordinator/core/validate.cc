// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Validates hellos and policies before they enter the core (validate_spec.cc: the specs of jobs).
// Each refusal is one line that names the field, its value and the accepted values. Pure.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/message_checks_internal.h"
#include "policy/fields.h"
#include "proto/field_bounds.h"

namespace wattle::core {
namespace {

constexpr double kForecastWattsMax = 1e5;
constexpr double kYear3000 = 3.2504e10;

// Whether the name can be typed in a shell and shown in a table without quotes.
bool IsPlainName(absl::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

// Refuses a policy with two values for one label key, because no device can have both.
// of: "policy", "forecast".
absl::Status CheckSelector(const google::protobuf::RepeatedPtrField<std::string>& selectors,
                           absl::string_view of) {
  if (selectors.size() > kLabelsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(of, ".selector: ", selectors.size(), " entries: want at most ", kLabelsMax));
  }
  std::map<std::string, std::string> values;
  for (const std::string& selector : selectors) {
    const size_t equals = selector.find('=');
    if (selector.empty() || equals == 0 || selector.find_first_of(" \t\r\n") != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(of, ".selector: \"", selector, "\": want key=value or key, without blanks"));
    }
    if (equals == std::string::npos) {
      continue;
    }
    const auto [known, fresh] =
        values.emplace(selector.substr(0, equals), selector.substr(equals + 1));
    if (!fresh && known->second != selector.substr(equals + 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat(of, ".selector: ", known->first, "=", known->second, " and ", selector,
                       " can match no device: all selectors must hold at once; write two"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckName(const std::string& name, absl::string_view of) {
  return name.empty() || name.size() > kNameCharactersMax || !IsPlainName(name)
             ? absl::InvalidArgumentError(absl::StrCat(
                   of, ".name: \"", absl::CHexEscape(name.substr(0, kNameCharactersMax)),
                   "\": want 1 to 80 letters, digits, '.', '_' or '-', for example solar-masts"))
             : absl::OkStatus();
}

absl::Status CheckFields(const v1::Policy& policy) {
  for (const policy::Field& field : policy::Fields()) {
    const google::protobuf::FieldDescriptor* const number =
        policy.GetDescriptor()->FindFieldByName(std::string(field.name));
    const bool is_left_out =
        number->has_presence() && !policy.GetReflection()->HasField(policy, number);
    if (field.high > 0 && !is_left_out) {
      const FieldBound bound = {field.name, field.low, field.high};
      WATTLE_RETURN_IF_ERROR(CheckBounds(policy, "policy.", absl::MakeConstSpan(&bound, 1)));
    }
  }
  std::vector<absl::string_view> limiting;
  bool limits = false;
  for (const policy::Field& field : policy::Fields()) {
    if (field.check != nullptr) {
      WATTLE_RETURN_IF_ERROR(field.check(policy));
    }
    if (field.limits) {
      limiting.push_back(field.name);
      limits = limits || !field.text(policy).empty();
    }
  }
  if (limits) {
    return absl::OkStatus();
  }
  const absl::string_view last = limiting.back();
  limiting.pop_back();
  return absl::InvalidArgumentError(absl::StrCat(
      "policy ", policy.name(), ": limits nothing; give ", absl::StrJoin(limiting, ", "), " or ",
      last, ", or remove it with 'wattle policy rm ", policy.name(), "'"));
}

absl::Status CheckPolicy(const v1::Policy& policy) {
  WATTLE_RETURN_IF_ERROR(RefuseUnknown(policy, "policy"));
  WATTLE_RETURN_IF_ERROR(CheckName(policy.name(), "policy"));
  WATTLE_RETURN_IF_ERROR(CheckTexts(policy, "policy"));
  WATTLE_RETURN_IF_ERROR(CheckSelector(policy.selector(), "policy"));
  return CheckFields(policy);
}

absl::Status CheckForecast(const v1::HarvestForecast& forecast) {
  WATTLE_RETURN_IF_ERROR(RefuseUnknown(forecast, "forecast"));
  WATTLE_RETURN_IF_ERROR(CheckName(forecast.name(), "forecast"));
  WATTLE_RETURN_IF_ERROR(CheckTexts(forecast, "forecast"));
  WATTLE_RETURN_IF_ERROR(CheckSelector(forecast.selector(), "forecast"));
  if (forecast.power_watts().empty() || forecast.power_watts_size() > kForecastHoursMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("forecast.power_watts: ", forecast.power_watts_size(), " hours: want 1 to ",
                     kForecastHoursMax));
  }
  const double first = forecast.first_hour_unix_seconds();
  if (!(first >= 0 && first < kYear3000) || std::fmod(first, 3600) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("forecast.first_hour_unix_seconds: ", first,
                                                   ": want the begin of a full hour, UTC"));
  }
  for (int hour = 0; hour < forecast.power_watts_size(); ++hour) {
    const double watts = forecast.power_watts(hour);
    if (!(watts >= 0 && watts < kForecastWattsMax)) {
      return absl::InvalidArgumentError(absl::StrCat("forecast.power_watts[", hour, "]: ", watts,
                                                     ": want 0 to ", kForecastWattsMax, " W"));
    }
  }
  return absl::OkStatus();
}

constexpr char kSpeaksProtocol[] = " speaks protocol ";  // Only such problems contain these words.

}  // namespace

absl::Status ValidateHello(const v1::Hello& hello) {
  const v1::DeviceInfo& device = hello.device();
  if (device.device_id().empty() || device.device_id().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError("hello.device.device_id: want 1 to 80 characters");
  }
  if (device.name().empty() || device.name().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError("hello.device.name: want 1 to 80 characters");
  }
  if (device.device_class().empty()) {
    return absl::InvalidArgumentError("hello.device.device_class: missing");
  }
  WATTLE_RETURN_IF_ERROR(CheckTexts(device, "hello.device"));
  if (device.labels_size() > kLabelsMax) {
    return absl::InvalidArgumentError(absl::StrCat("hello.device.labels: ", device.labels_size(),
                                                   " entries: want at most ", kLabelsMax));
  }
  if (hello.incarnation() == 0) {
    return absl::InvalidArgumentError("hello.incarnation: 0: want a number made with the spool");
  }
  static constexpr FieldBound kBounds[] = {
      {"time_scale", 0, 1e6},
      {"memory_bytes", 0, 1e15},
      {"idle_power_watts", 0, 1e5},
      {"battery_capacity_wh", 0, 1e6},
      {"link_bytes_per_second", 0, 1e12},
      {"throughput_flops_datasheet", 0, 1e18},
  };
  return CheckBounds(device, "hello.device.", kBounds);
}

absl::Status CheckProtocol(const v1::Hello& hello) {
  if (hello.protocol_max() == 0 ||
      (hello.protocol_min() <= kProtocol && hello.protocol_max() >= kProtocolMin)) {
    return absl::OkStatus();
  }
  const v1::DeviceInfo& device = hello.device();
  return absl::FailedPreconditionError(absl::StrCat(
      device.name(), kSpeaksProtocol, hello.protocol_min(), " to ", hello.protocol_max(),
      device.worker_version().empty() ? ""
                                      : absl::StrCat(" (worker ", device.worker_version(), ")"),
      ", this coordinator ", kProtocolMin, " to ", kProtocol, "; update the ",
      hello.protocol_min() > kProtocol ? "coordinator" : "worker"));
}

bool IsProtocolProblem(absl::string_view problem) {
  return absl::StrContains(problem, kSpeaksProtocol);
}

absl::Status ValidatePolicy(const v1::Policy& policy) {
  return InOneLine(CheckPolicy(policy));
}

absl::Status ValidateForecast(const v1::HarvestForecast& forecast) {
  return InOneLine(CheckForecast(forecast));
}

}  // namespace wattle::core
