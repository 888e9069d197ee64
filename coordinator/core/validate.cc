// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Validates specs, hellos and policies before they enter the core. Each refusal is one line that
// names the field, its value and the accepted values. Pure.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/inputs_internal.h"
#include "policy/schedule.h"
#include "proto/field_bounds.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/model_shape.h"
#include "proto/quantization_recipe.h"
#include "proto/spec_bounds.h"
#include "scheduler/place/quality_floor.h"

namespace wattle::core {
namespace {

constexpr size_t kNameCharactersMax = 80;
constexpr int kLabelsMax = 64;
constexpr int kWindowsMax = 24;
constexpr int kPromptsMax = 10'000;
constexpr int kStopsMax = 16;
// Limit for inline prompts. The memory, the journal and the snapshots keep every spec; larger
// prompts go into an artifact.
constexpr size_t kPromptBytesMax = size_t{64} << 10;
constexpr size_t kTextBytesMax = 500;  // For every text that has no bound of its own.
constexpr double kYearSeconds = 366.0 * 24 * 3600;

// Refuses fields and enum values that this version does not know. They come from a newer client,
// and a job that ignores them would not be the job that was asked for.
absl::Status RefuseUnknown(const google::protobuf::Message& message, const std::string& path) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty()) {
    return absl::UnimplementedError(absl::StrCat(
        path, ": field number ", reflection.GetUnknownFields(message).field(0).number(),
        ": not supported in this version; update the coordinator"));
  }
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    const std::string name = path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_ENUM &&
        !field->is_repeated() &&
        field->enum_type()->FindValueByNumber(reflection.GetEnumValue(message, field)) == nullptr) {
      return absl::UnimplementedError(absl::StrCat(name, ": value ",
                                                   reflection.GetEnumValue(message, field),
                                                   ": not supported in this version"));
    }
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE &&
        !field->is_repeated()) {
      WATTLE_RETURN_IF_ERROR(RefuseUnknown(reflection.GetMessage(message, field), name));
    }
  }
  return absl::OkStatus();
}

// Checks the length of every text of the message, also in nested messages and lists. Prompts have
// their own bound.
absl::Status CheckTexts(const google::protobuf::Message& message, const std::string& path) {
  using Field = google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const Field*> fields;
  reflection.ListFields(message, &fields);
  for (const Field* field : fields) {
    const std::string name = path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
        WATTLE_RETURN_IF_ERROR(CheckTexts(field->is_repeated()
                                              ? reflection.GetRepeatedMessage(message, field, i)
                                              : reflection.GetMessage(message, field),
                                          name));
      } else if (field->cpp_type() == Field::CPPTYPE_STRING && field->name() != "prompts") {
        WATTLE_RETURN_IF_ERROR(ValidateText(
            name, field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                       : reflection.GetString(message, field)));
      }
    }
  }
  return absl::OkStatus();
}

// Whether the name can be typed in a shell and shown in a table without quotes.
bool IsPlainName(absl::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

absl::Status CheckSchedule(const v1::Policy& policy) {
  if (policy.work_windows_size() > kWindowsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("policy.work_windows: ", policy.work_windows_size(), " entries: want at most ",
                     kWindowsMax));
  }
  for (const std::string& window : policy.work_windows()) {
    WATTLE_RETURN_IF_ERROR(
        WithContext("policy.work_windows", wattle::policy::ParseDailyWindow(window).status()));
  }
  if (!policy.stay_alive_until().empty()) {
    WATTLE_RETURN_IF_ERROR(
        WithContext("policy.stay_alive_until",
                    wattle::policy::ParseAliveTime(policy.stay_alive_until()).status()));
  }
  return WithContext(
      "policy",
      wattle::policy::ParseZone(policy.time_zone(), policy.utc_offset_minutes()).status());
}

// Refuses a policy with two values for one label key, because no device can have both.
absl::Status CheckSelector(const v1::Policy& policy) {
  std::map<std::string, std::string> values;
  for (const std::string& selector : policy.selector()) {
    const size_t equals = selector.find('=');
    if (selector.empty() || equals == 0 || selector.find_first_of(" \t\r\n") != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("policy.selector: \"", selector,
                                                     "\": want key=value or key, without blanks"));
    }
    if (equals == std::string::npos) {
      continue;
    }
    const auto [known, fresh] =
        values.emplace(selector.substr(0, equals), selector.substr(equals + 1));
    if (!fresh && known->second != selector.substr(equals + 1)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "policy.selector: ", known->first, "=", known->second, " and ", selector,
          " can match no device: all selectors must hold at once; write two policies"));
    }
  }
  return absl::OkStatus();
}

// Exactly one of two fields must be set: a reference to files, or a shape that replaces the files
// in a dry run.
struct FilesOrShape {
  std::string prefix;  // "finetune."
  absl::string_view field;
  absl::string_view shape_field;
  bool has_files = false;
  bool has_shape = false;
  absl::string_view list_command;
};

absl::Status CheckFilesOrShape(const FilesOrShape& input, bool files_needed) {
  if (input.has_files && input.has_shape) {
    return absl::InvalidArgumentError(absl::StrCat(input.prefix, input.shape_field,
                                                   ": give either ", input.field, " or ",
                                                   input.shape_field, ", not both"));
  }
  if (files_needed && input.has_shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        input.prefix, input.shape_field, ": files are needed to run: name an artifact in ",
        input.prefix, input.field, "; to predict without files use 'wattle plan'"));
  }
  if (!input.has_files && !input.has_shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(input.prefix, input.field, ": missing; want an artifact's name or id ('",
                     input.list_command, "' lists them) or job:ID/output"));
  }
  return absl::OkStatus();
}

absl::Status CheckModel(const v1::JobSpec& spec, bool files_needed) {
  const std::string prefix = absl::StrCat(KindName(spec), ".");
  const v1::ModelShape* shape = DeclaredModel(spec);
  WATTLE_RETURN_IF_ERROR(CheckFilesOrShape({.prefix = prefix,
                                            .field = kModelInput,
                                            .shape_field = "model_shape",
                                            .has_files = !ReferenceIn(spec, kModelInput).empty(),
                                            .has_shape = shape != nullptr,
                                            .list_command = "wattle model ls"},
                                           files_needed));
  return shape == nullptr ? absl::OkStatus() : CheckModelShape(*shape, prefix + "model_shape");
}

// The identity of the recipe that the spec asks for; empty if it asks for none.
template <typename Spec>
absl::StatusOr<std::string> QuantizationOf(absl::string_view prefix, const Spec& spec) {
  auto wanted =
      WantedQuantization(spec.quantization(), spec.has_recipe() ? &spec.recipe() : nullptr);
  return wanted.ok() ? std::move(wanted)
                     : absl::InvalidArgumentError(
                           absl::StrCat(prefix, std::string(wanted.status().message())));
}

// Checks the quantization that a job runs a model in: any recipe but an adaptive one, which only a
// quantize job can find.
template <typename Spec>
absl::Status CheckRunQuantization(absl::string_view prefix, const Spec& spec) {
  WATTLE_RETURN_IF_ERROR(QuantizationOf(prefix, spec).status());
  return spec.quantization() == v1::QUANTIZATION_ADAPTIVE
             ? absl::InvalidArgumentError(absl::StrCat(
                   prefix,
                   "quantization: adaptive: a quantize job finds this recipe; name that job's "
                   "output as model, and leave quantization out"))
             : absl::OkStatus();
}

constexpr int kTargetsMax = 64;

// Adapters, and the form of the weights beside them, or the one that training rounds to.
absl::Status CheckAdapters(const v1::FinetuneSpec& finetune) {
  WATTLE_RETURN_IF_ERROR(CheckRunQuantization("finetune.", finetune));
  WATTLE_ASSIGN_OR_RETURN(const std::string quantization, QuantizationOf("finetune.", finetune));
  if (!finetune.has_lora()) {
    return absl::OkStatus();
  }
  const v1::LoraSpec& lora = finetune.lora();
  if (lora.targets_size() > kTargetsMax) {
    return absl::InvalidArgumentError(absl::StrCat("finetune.lora.targets: ", lora.targets_size(),
                                                   " names; want at most ", kTargetsMax));
  }
  for (const std::string& target : lora.targets()) {
    if (target.empty()) {
      return absl::InvalidArgumentError(
          "finetune.lora.targets: one of the names is empty; want names such as q_proj or c_attn, "
          "or all-linear");
    }
  }
  if (lora.merge() && !quantization.empty() && quantization != kNoQuantization) {
    return absl::InvalidArgumentError(
        absl::StrCat("finetune.lora.merge: weights that are ", quantization,
                     " cannot take the adapters in; leave merge out, or quantization"));
  }
  return absl::OkStatus();
}

absl::Status CheckFinetune(const v1::JobSpec& spec, bool files_needed) {
  const v1::FinetuneSpec& finetune = spec.finetune();
  WATTLE_RETURN_IF_ERROR(CheckFilesOrShape({.prefix = "finetune.",
                                            .field = "data",
                                            .shape_field = "data_shape",
                                            .has_files = !finetune.data().empty(),
                                            .has_shape = finetune.has_data_shape(),
                                            .list_command = "wattle data ls"},
                                           files_needed));
  return CheckAdapters(finetune);
}

absl::Status CheckQuantize(const v1::JobSpec& spec, bool files_needed) {
  WATTLE_ASSIGN_OR_RETURN(const std::string wanted, QuantizationOf("quantize.", spec.quantize()));
  if (wanted == kNoQuantization) {
    return absl::InvalidArgumentError(
        "quantize.quantization: none leaves nothing to do; want int8, int4, nf4 or a recipe");
  }
  const v1::QuantizeSpec& quantize = spec.quantize();
  const bool adaptive = quantize.quantization() == v1::QUANTIZATION_ADAPTIVE;
  if (adaptive && quantize.rounding() == v1::ROUNDING_NEAREST) {
    return absl::InvalidArgumentError(
        "quantize.rounding: adaptive quantization rounds with compensation; leave rounding out");
  }
  if (!adaptive &&
      (quantize.size_budget_bytes() != 0 || quantize.perplexity_change_percent_max() != 0)) {
    return absl::InvalidArgumentError(
        "quantize.size_budget_bytes, perplexity_change_percent_max: only adaptive quantization "
        "has them; write quantization: adaptive, or leave them out");
  }
  if (quantize.size_budget_bytes() != 0 && quantize.perplexity_change_percent_max() != 0) {
    return absl::InvalidArgumentError(
        "quantize.size_budget_bytes: stands beside perplexity_change_percent_max; leave one of the "
        "two out");
  }
  const bool compensated = adaptive || quantize.rounding() == v1::ROUNDING_COMPENSATED;
  if (compensated && quantize.calibration_data().empty() && files_needed) {
    return absl::InvalidArgumentError(
        absl::StrCat("quantize.calibration_data: missing; ",
                     adaptive ? "adaptive quantization" : "compensated rounding",
                     " wants a text or SQuAD data set ('wattle data ls' lists them)"));
  }
  if (!compensated && (!quantize.calibration_data().empty() || quantize.calibration_tokens() > 0)) {
    return absl::InvalidArgumentError(
        "quantize.calibration_data: only compensated rounding reads it; write rounding: "
        "compensated, or leave it out");
  }
  return absl::OkStatus();
}

absl::Status CheckGenerate(const v1::JobSpec& spec, bool files_needed) {
  const v1::GenerateSpec& generate = spec.generate();
  WATTLE_RETURN_IF_ERROR(CheckRunQuantization("generate.", generate));
  if (generate.data().empty() && generate.prompts_size() == 0 && generate.prompt_count() == 0) {
    return absl::InvalidArgumentError(
        "generate.prompts: missing; give prompts, or name a data set of prompts in generate.data "
        "('wattle data ls' lists them)");
  }
  if (!generate.data().empty() && generate.prompts_size() > 0) {
    return absl::InvalidArgumentError("generate.prompts: give either data or prompts, not both");
  }
  WATTLE_RETURN_IF_ERROR(
      CheckFilesOrShape({.prefix = "generate.",
                         .field = "data",
                         .shape_field = "prompt_count",
                         .has_files = !generate.data().empty() || generate.prompts_size() > 0,
                         .has_shape = generate.prompt_count() != 0,
                         .list_command = "wattle data ls"},
                        files_needed));
  size_t prompt_bytes = 0;
  for (const std::string& prompt : generate.prompts()) {
    if (prompt.empty()) {
      return absl::InvalidArgumentError("generate.prompts: one of them is empty");
    }
    prompt_bytes += prompt.size();
  }
  if (generate.stop_size() > kStopsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("generate.stop: ", generate.stop_size(), " texts; wants at most ", kStopsMax));
  }
  for (const std::string& stop : generate.stop()) {
    if (stop.empty()) {
      return absl::InvalidArgumentError("generate.stop: one of the texts is empty");
    }
  }
  if (generate.prompts_size() > kPromptsMax || prompt_bytes > kPromptBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("generate.prompts: ", generate.prompts_size(), " prompts of ", prompt_bytes,
                     " bytes: want at most ", kPromptsMax, " and ", kPromptBytesMax,
                     " bytes; push a file with 'wattle data push' and name it in generate.data"));
  }
  return absl::OkStatus();
}

absl::Status CheckEvaluate(const v1::JobSpec& spec, bool files_needed) {
  const v1::EvaluateSpec& evaluate = spec.evaluate();
  WATTLE_RETURN_IF_ERROR(CheckRunQuantization("evaluate.", evaluate));
  WATTLE_RETURN_IF_ERROR(CheckFilesOrShape({.prefix = "evaluate.",
                                            .field = "data",
                                            .shape_field = "data_shape",
                                            .has_files = !evaluate.data().empty(),
                                            .has_shape = evaluate.has_data_shape(),
                                            .list_command = "wattle data ls"},
                                           files_needed));
  if (evaluate.max_answer_tokens() > 0 && !evaluate.score_answers()) {
    return absl::InvalidArgumentError(
        "evaluate.max_answer_tokens: no answers are generated; write score_answers: true");
  }
  return absl::OkStatus();
}

absl::Status CheckKind(const v1::JobSpec& spec, bool files_needed) {
  if (spec.kind_case() == v1::JobSpec::KIND_NOT_SET) {
    return absl::InvalidArgumentError(absl::StrCat("spec: no kind; want one of ", JobKindNames()));
  }
  WATTLE_RETURN_IF_ERROR(CheckModel(spec, files_needed));
  switch (spec.kind_case()) {
    case v1::JobSpec::kFinetune:
      return CheckFinetune(spec, files_needed);
    case v1::JobSpec::kQuantize:
      return CheckQuantize(spec, files_needed);
    case v1::JobSpec::kGenerate:
      return CheckGenerate(spec, files_needed);
    case v1::JobSpec::kEvaluate:
      return CheckEvaluate(spec, files_needed);
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateSpec(const v1::JobSpec& spec, bool files_needed) {
  WATTLE_RETURN_IF_ERROR(RefuseUnknown(spec, ""));
  if (spec.name().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name: ", spec.name().size(), " characters: want at most ", kNameCharactersMax));
  }
  if (spec.owner().size() > kNameCharactersMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "owner: ", spec.owner().size(), " characters: want at most ", kNameCharactersMax));
  }
  WATTLE_RETURN_IF_ERROR(CheckTexts(spec, ""));
  WATTLE_RETURN_IF_ERROR(scheduler::ValidateQualityFloor(spec));
  if (spec.required_labels_size() > kLabelsMax) {
    return absl::InvalidArgumentError(absl::StrCat("required_labels: ", spec.required_labels_size(),
                                                   " entries: want at most ", kLabelsMax));
  }
  for (const std::string& label : spec.required_labels()) {
    if (label.empty() || label.front() == '=') {
      return absl::InvalidArgumentError(
          absl::StrCat("required_labels: \"", label, "\": want key=value or key"));
    }
  }
  WATTLE_RETURN_IF_ERROR(CheckSpecBounds(spec));
  return CheckKind(spec, files_needed);
}

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
  if (hello.protocol_max() != 0 &&
      (hello.protocol_min() > kProtocol || hello.protocol_max() < kProtocolMin)) {
    return absl::FailedPreconditionError(
        absl::StrCat(device.name(), " speaks protocol ", hello.protocol_min(), " to ",
                     hello.protocol_max(), ", this coordinator ", kProtocolMin, " to ", kProtocol,
                     "; update the ", hello.protocol_min() > kProtocol ? "coordinator" : "worker"));
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

absl::Status ValidatePolicy(const v1::Policy& policy) {
  WATTLE_RETURN_IF_ERROR(RefuseUnknown(policy, "policy"));
  if (policy.name().empty() || policy.name().size() > kNameCharactersMax ||
      !IsPlainName(policy.name())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "policy.name: \"", absl::CHexEscape(policy.name().substr(0, kNameCharactersMax)),
        "\": want 1 to 80 letters, digits, '.', '_' or '-', for example solar-masts"));
  }
  if (policy.selector_size() > kLabelsMax) {
    return absl::InvalidArgumentError(absl::StrCat("policy.selector: ", policy.selector_size(),
                                                   " entries: want at most ", kLabelsMax));
  }
  WATTLE_RETURN_IF_ERROR(CheckTexts(policy, "policy"));
  WATTLE_RETURN_IF_ERROR(CheckSelector(policy));
  static constexpr FieldBound kBounds[] = {
      {"pause_seconds_max", 0, kYearSeconds},    {"reserve_state_of_charge_ratio", 0, 1},
      {"max_temperature_celsius", 0, 200},       {"daily_energy_budget_wh", 0, 1e6},
      {"utc_offset_minutes", -14 * 60, 14 * 60},
  };
  WATTLE_RETURN_IF_ERROR(CheckBounds(policy, "policy.", kBounds));
  WATTLE_RETURN_IF_ERROR(CheckSchedule(policy));
  if (policy.reserve_state_of_charge_ratio() == 0 && policy.max_temperature_celsius() == 0 &&
      policy.pause_seconds_max() == 0 && policy.daily_energy_budget_wh() == 0 &&
      policy.work_windows().empty() && policy.stay_alive_until().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("policy ", policy.name(),
                     ": limits nothing; give reserve_state_of_charge_ratio, "
                     "max_temperature_celsius, daily_energy_budget_wh, work_windows, "
                     "stay_alive_until or pause_seconds_max, or remove it with "
                     "'wattle policy rm ",
                     policy.name(), "'"));
  }
  return absl::OkStatus();
}

absl::Status ValidateText(absl::string_view field, absl::string_view text) {
  if (text.size() > kTextBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", text.size(), " bytes: want at most ", kTextBytesMax));
  }
  return absl::OkStatus();
}

}  // namespace wattle::core
