// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/labels.h"

#include <cctype>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include <google/protobuf/descriptor.h>

#include "policy/guard_reason.h"
#include "proto/job_summary.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

// JobState → JOB_STATE_, the prefix of its values.
std::string ValuePrefix(absl::string_view type_name) {
  std::string prefix;
  for (size_t i = 0; i < type_name.size(); ++i) {
    if (i > 0 && std::isupper(static_cast<unsigned char>(type_name[i])) != 0) {
      prefix += '_';
    }
    prefix += absl::ascii_toupper(static_cast<unsigned char>(type_name[i]));
  }
  return prefix + "_";
}

// The two words of FormatEnergy: "57.8" and "Wh".
std::pair<std::string, std::string> Split(const std::string& quantity) {
  const size_t blank = quantity.find(' ');
  return {quantity.substr(0, blank), quantity.substr(blank + 1)};
}

}  // namespace

std::string EnumWord(const google::protobuf::EnumDescriptor* type, int value) {
  const google::protobuf::EnumValueDescriptor* found = type->FindValueByNumber(value);
  if (found == nullptr) {
    return absl::StrCat("unknown ", value);  // a value of a newer coordinator
  }
  const std::string prefix = ValuePrefix(type->name());
  const std::string word =
      absl::AsciiStrToLower(absl::StripPrefix(absl::string_view(found->name()), prefix));
  return word == "unspecified" ? "" : word;
}

std::string ObjectiveWord(v1::Objective objective) {
  return objective == v1::OBJECTIVE_UNSPECIFIED ? "energy" : Word(objective);
}

std::string DeviceClassWord(absl::string_view device_class, bool emulated) {
  return absl::StrCat(device_class, emulated ? " (emulated)" : "");
}

std::string DeviceStateWord(const v1::Device& device) {
  if (!device.connected() && !device.heartbeat().power_off_reason().empty()) {
    return "off";
  }
  if (device.unreachable()) {
    return "unreachable";
  }
  if (!device.connected()) {
    return "disconnected";
  }
  if (device.waits_for_approval()) {
    return "waits for approval";
  }
  if (!device.heartbeat().storage_problem().empty()) {
    return "sick disk";
  }
  if (!device.heartbeat().memory_problem().empty()) {
    return "short of memory";
  }
  const bool busy = !device.running_attempt_id().empty();
  if (device.drained()) {
    return busy ? "draining" : "drained";
  }
  if (device.heartbeat().owner_hold_seconds() > 0.0) {
    return "held by owner";
  }
  if (const std::string& reason = device.heartbeat().guard_reason(); !reason.empty()) {
    return policy::IsWeakSupply(reason) ? "weak supply" : "held by policy";
  }
  return busy ? "busy" : "idle";
}

std::string DeviceJobWords(const v1::Device& device) {
  const std::string& attempt = device.running_attempt_id();
  const int waiting = device.queued_attempt_ids_size();
  return absl::StrCat(attempt.substr(0, attempt.find('.')),
                      waiting > 0 ? absl::StrCat(" +", waiting) : "");
}

std::string OwnerHoldWords(const v1::Device& device) {
  const double left_seconds = device.heartbeat().owner_hold_seconds();
  return left_seconds > 0.0
             ? absl::StrCat("held by its owner until ",
                            FormatInstant(device.last_seen_unix_seconds() + left_seconds))
             : "";
}

std::string ModelShapeWords(const v1::ModelShape& shape) {
  if (shape.architecture().empty() && shape.layers() == 0) {
    return "";
  }
  return absl::StrFormat("%s %dx%d, %d heads, %d tokens, context %d", shape.architecture(),
                         shape.layers(), shape.width(), shape.heads(), shape.vocabulary_size(),
                         shape.context_length());
}

std::string UnitWord(v1::WorkUnit unit) {
  return absl::StrReplaceAll(Word(unit), {{"_", " "}});
}

std::string ProvenanceWords(const v1::Prediction& prediction) {
  if (!prediction.provenance_note().empty()) {
    return prediction.provenance_note();
  }
  return absl::StrReplaceAll(Word(prediction.provenance()), {{"_", " "}});
}

std::string EvidenceWord(v1::EnergySource source, bool emulated) {
  if (emulated || source == v1::ENERGY_SOURCE_EMULATED) {
    return "emulated";
  }
  if (source == v1::ENERGY_SOURCE_MODEL || source == v1::ENERGY_SOURCE_UNSPECIFIED) {
    return "modelled";
  }
  return "measured";
}

std::string EvidenceWords(const std::set<v1::EnergySource>& sources) {
  std::set<std::string> words;
  for (const v1::EnergySource source : sources) {
    words.insert(EvidenceWord(source, /*emulated=*/false));
  }
  return absl::StrJoin(words, " and ");
}

std::string PowerWords(const v1::Device& device) {
  const v1::Heartbeat& heartbeat = device.heartbeat();
  const v1::EnergySource source = heartbeat.power_source() != v1::ENERGY_SOURCE_UNSPECIFIED
                                      ? heartbeat.power_source()
                                      : device.info().energy_source();
  const std::string evidence = EvidenceWord(source, device.info().emulated());
  if (device.unreachable() || !heartbeat.has_power() ||
      (evidence == "modelled" && device.running_attempt_id().empty())) {
    return "";
  }
  return absl::StrCat(FormatPower(Watts(heartbeat.power_watts())),
                      evidence == "modelled" ? " modelled" : "");
}

std::string ChargeWords(const v1::Device& device) {
  const v1::Heartbeat& heartbeat = device.heartbeat();
  if (!heartbeat.has_battery()) {
    return "";
  }
  const std::string charge = FormatPercent(Fraction(heartbeat.state_of_charge_ratio()));
  const double error = heartbeat.gauge_error_ratio() > 0.0 ? heartbeat.gauge_error_ratio()
                                                           : device.info().gauge_error_ratio();
  const std::string error_words = FormatPercent(Fraction(error));
  if (error_words == FormatPercent(Fraction(0.0))) {
    return charge;
  }
  return absl::StrCat(absl::StripSuffix(charge, " %"), " ± ", error_words);
}

std::string EnergySourceWords(const v1::EnergyMeasurement& energy, bool emulated) {
  const std::string evidence = EvidenceWord(energy.source(), emulated);
  std::string words = Word(energy.source());
  if (words.empty()) {
    words = "not named";
  }
  if (!energy.scope().empty()) {
    absl::StrAppend(&words, ", ", energy.scope());
  }
  if (evidence != "measured") {
    absl::StrAppend(&words, words.find(evidence) == std::string::npos ? ", " + evidence : "",
                    ": not measured");
  }
  return words;
}

std::string AttemptDevice(const v1::Attempt& attempt) {
  const v1::Candidate* chosen = ChosenCandidate(attempt.placement());
  if (chosen != nullptr && chosen->device_id() == attempt.device_id() &&
      !chosen->device_name().empty()) {
    return chosen->device_name();
  }
  if (!attempt.device_name().empty()) {
    return attempt.device_name();
  }
  return attempt.device_id().substr(0, 8);
}

size_t UniqueDigits(const std::vector<std::string>& ids) {
  constexpr size_t kDigitsMin = 8;
  size_t digits = kDigitsMin;
  std::set<std::string> seen;
  for (size_t i = 0; i < ids.size();) {
    if (!seen.insert(ids[i].substr(0, digits)).second && digits < ids[i].size()) {
      ++digits;  // two ids share this beginning: check all ids again
      seen.clear();
      i = 0;
    } else {
      ++i;
    }
  }
  return digits;
}

std::string FormatSeconds(double seconds) {
  if (std::abs(seconds) < 10.0) {
    return absl::StrFormat("%.2f", seconds);
  }
  return absl::StrFormat("%.*f", std::abs(seconds) < 1000.0 ? 1 : 0, seconds);
}

std::string FormatSeconds(const v1::Interval& range) {
  if (range.high() <= range.low()) {
    return "";
  }
  return absl::StrCat(FormatSeconds(range.low()), "-", FormatSeconds(range.high()), " s");
}

std::string FormatEnergyRange(const v1::Interval& joules) {
  if (joules.high() <= joules.low()) {
    return "";
  }
  const auto [low, low_unit] = Split(FormatEnergy(Joules(joules.low())));
  const auto [high, high_unit] = Split(FormatEnergy(Joules(joules.high())));
  if (low_unit == high_unit) {
    return absl::StrCat(low, "-", high, " ", high_unit);
  }
  return absl::StrCat(low, " ", low_unit, "-", high, " ", high_unit);
}

std::string FormatCount(double count) {
  if (std::abs(count) >= 1e9) {
    return absl::StrFormat("%.2f G", count / 1e9);
  }
  if (std::abs(count) >= 1e6) {
    return absl::StrFormat("%.2f M", count / 1e6);
  }
  if (std::abs(count) < 1000.0) {
    return count == std::floor(count) ? absl::StrFormat("%.0f", count)
                                      : absl::StrFormat("%.1f", count);
  }
  const auto whole = static_cast<int64_t>(std::llround(count));
  return absl::StrFormat("%d,%03d", whole / 1000, std::abs(whole % 1000));
}

std::string FormatAge(absl::Time now, double unix_seconds) {
  if (unix_seconds == 0.0) {
    return "";
  }
  const double age = absl::ToDoubleSeconds(now - absl::UnixEpoch()) - unix_seconds;
  if (age < 2.0) {  // also if a clock runs slightly ahead
    return "now";
  }
  if (age < 60.0) {
    return absl::StrFormat("%.0f s ago", age);
  }
  if (age < 3600.0) {
    return absl::StrFormat("%.0f min ago", std::floor(age / 60.0));
  }
  if (age < 48.0 * 3600.0) {
    return absl::StrFormat("%.0f h ago", std::floor(age / 3600.0));
  }
  return absl::StrFormat("%.0f days ago", std::floor(age / 86400.0));
}

std::string FormatInstant(double unix_seconds) {
  if (unix_seconds == 0.0) {
    return "";
  }
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::UnixEpoch() + absl::Seconds(unix_seconds),
                          absl::UTCTimeZone());
}

std::string FormatClock(double unix_seconds) {
  if (unix_seconds == 0.0) {
    return "";
  }
  return absl::FormatTime("%H:%M:%S", absl::UnixEpoch() + absl::Seconds(unix_seconds),
                          absl::UTCTimeZone());
}

std::string FormatMoment(double unix_seconds, double low_unix_seconds, double high_unix_seconds) {
  const std::string moment = FormatInstant(unix_seconds);
  if (low_unix_seconds >= high_unix_seconds) {
    return moment;
  }
  const auto short_form = [&](double of) {
    const std::string whole = FormatInstant(of);
    const size_t day = moment.find(' ');
    return whole.compare(0, day, moment, 0, day) == 0 ? FormatClock(of) : whole;
  };
  return absl::StrCat(moment, " (90 %: ", short_form(low_unix_seconds), " to ",
                      short_form(high_unix_seconds), ")");
}

std::string FormatScale(double time_scale) {
  return absl::StrFormat("%.4g", time_scale == 0.0 ? 1.0 : time_scale);
}

std::string LastHeardWords(const v1::Device& device, const v1::CoordinatorStatus& coordinator,
                           absl::Time now) {
  const double last = device.last_seen_unix_seconds();
  const double started = coordinator.started_unix_seconds();  // 0: older coordinator
  return last == 0.0 || last < started
             ? absl::StrCat("was not heard of since the coordinator's start",
                            started == 0.0 ? "" : ", ", FormatAge(now, started))
             : absl::StrCat("was last heard of ", FormatAge(now, last));
}

std::string FormatDifference(double predicted, double actual) {
  if (predicted == 0.0) {
    return "";
  }
  const double percent = std::round((actual - predicted) / predicted * 1000.0) / 10.0;
  return absl::StrFormat("%+.1f %%", percent == 0.0 ? 0.0 : percent);  // avoids -0.0
}

}  // namespace wattle::cli
