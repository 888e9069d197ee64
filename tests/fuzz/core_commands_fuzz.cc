// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

#include "coordinator/core/core.h"
#include "coordinator/core/enrolment.h"
#include "tests/fuzz/core_in_use.h"
#include "tests/fuzz/fuzz_target.h"
#include "wattle/v1/access.pb.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/service.pb.h"
#include "wattle/v1/upgrade.pb.h"

namespace wattle::fuzz {
namespace {

class Silent final : public google::protobuf::io::ErrorCollector {
  void AddError(int /*line*/, int /*column*/, const std::string& /*message*/) override {}
};

// Reads a message from protobuf's text form: damage to a text stays within the meaning of a field
// more often than damage to bytes.
template <typename Message>
Message Read(absl::string_view text) {
  Silent silent;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&silent);
  parser.AllowPartialMessage(true);
  Message read;
  (void)parser.ParseFromString(std::string(text), &read);  // the part that was read suffices
  Message message;
  // No call delivers a text that is not UTF-8, but this form accepts it.
  return message.ParseFromString(read.SerializeAsString()) ? message : Message();
}

// Commands about access: identities, tokens and lifetimes. Values that the coordinator draws or
// signs for such a request are in the text too.
std::optional<core::Command> AccessOf(absl::string_view word, absl::string_view text) {
  if (word == "token") {
    auto token = Read<v1::EnrolmentToken>(text);
    token.clear_used();
    token.clear_revoked();
    return core::CreateTokens{{std::move(token)}};
  }
  if (word == "revoke_token") {
    return core::RevokeToken{Read<v1::RevokeTokenRequest>(text).token_id(), "ann"};
  }
  if (word == "enrol") {
    const auto enroll = Read<v1::EnrollRequest>(text);
    core::Enrol enrol;
    enrol.secret_sha256 = enroll.secret();
    enrol.identity.set_id(enroll.device_id());
    enrol.identity.set_token_id(enroll.token_id());
    enrol.identity.set_signing_request_sha256(enroll.signing_request_pem());
    enrol.identity.set_public_key_sha256(enroll.signing_request_pem());
    return enrol;
  }
  if (word == "approve") {
    return core::ApproveDevice{DeviceId(Read<v1::ApproveDeviceRequest>(text).device()), "ann"};
  }
  if (word == "renew") {
    const auto renewed = Read<v1::IdentityRecord>(text);
    return core::RenewIdentity{renewed.kind(), renewed.id(), renewed.root_sha256(),
                               core::FromUnix(renewed.not_after_unix_seconds())};
  }
  if (word == "revoke_person") {
    const auto revoke = Read<v1::RevokePersonRequest>(text);
    return core::RevokeIdentity{core::kPersonKind, revoke.person(), revoke.reason(), "ann"};
  }
  return std::nullopt;
}

// Commands that end something by its name.
std::optional<core::Command> EndOf(absl::string_view word, absl::string_view text) {
  if (word == "drain") {
    const auto drain = Read<v1::DrainDeviceRequest>(text);
    return core::DrainDevice{DeviceId(drain.device()), drain.reason()};
  }
  if (word == "resume_device") {
    return core::ResumeDevice{DeviceId(Read<v1::ResumeDeviceRequest>(text).device())};
  }
  if (word == "remove_device") {
    return core::RemoveDevice{DeviceId(Read<v1::RemoveDeviceRequest>(text).device())};
  }
  if (word == "delete_policy") {
    return core::DeletePolicy{Read<v1::DeletePolicyRequest>(text).name()};
  }
  if (word == "remove_forecast") {
    return core::RemoveForecast{Read<v1::RemoveForecastRequest>(text).name()};
  }
  if (word == "remove_project") {
    return core::RemoveProject{Read<v1::RemoveProjectRequest>(text).name(), "ann"};
  }
  return AccessOf(word, text);
}

// Commands about an upgrade in progress.
std::optional<core::Command> UpgradeStepOf(absl::string_view word, absl::string_view text) {
  if (word == "tick") {
    return core::Tick{};
  }
  if (word == "pause") {
    return core::PauseUpgrade{Read<v1::PauseUpgradeRequest>(text).reason()};
  }
  if (word == "resume") {
    return core::ResumeUpgrade{};
  }
  if (word == "abort") {
    return core::AbortUpgrade{Read<v1::AbortUpgradeRequest>(text).reason()};
  }
  return EndOf(word, text);
}

// Commands that name their subject.
std::optional<core::Command> ActionOf(absl::string_view word, absl::string_view text) {
  if (word == "cancel") {
    const auto cancel = Read<v1::CancelJobRequest>(text);
    return core::CancelJob{JobId(cancel.job_id()), cancel.reason()};
  }
  if (word == "artifact") {
    auto info = Read<v1::ArtifactInfo>(text);
    info.set_artifact_id(std::string(64, 'e'));  // computed by the store from the bytes
    info.clear_signatures();
    return core::CommitArtifact{std::move(info), true};
  }
  if (word == "sign") {
    const auto sign = Read<v1::SignArtifactRequest>(text);
    return core::SignArtifact{ArtifactId(sign.reference()), sign.signature(), "ann"};
  }
  if (word == "remove") {
    const auto remove = Read<v1::RemoveArtifactRequest>(text);
    return core::RemoveArtifact{remove.reference(), remove.kind()};
  }
  if (word == "member") {
    const auto member = Read<v1::SetMemberRequest>(text);
    return core::SetMember{
        member.person(), {member.projects().begin(), member.projects().end()}, "ann"};
  }
  if (word == "upgrade") {
    return core::StartUpgrade{Read<v1::StartUpgradeRequest>(text), "1.0.0"};
  }
  if (word == "revoke") {
    const auto revoke = Read<v1::RevokeDeviceRequest>(text);
    return core::RevokeIdentity{core::kDeviceKind, revoke.device(), revoke.reason(), "ann",
                                core::FromUnix(revoke.since_unix_seconds())};
  }
  if (word == "remove_profiles") {
    return core::RemoveImportedProfiles{
        Read<v1::RemoveImportedProfilesRequest>(text).device_class()};
  }
  return UpgradeStepOf(word, text);
}

std::optional<core::Command> CommandOf(absl::string_view word, absl::string_view text) {
  if (word == "submit") {
    return core::SubmitJob{Read<v1::JobSpec>(text), "other key"};
  }
  if (word == "hello") {
    return core::WorkerHello{Read<v1::Hello>(text)};
  }
  if (word == "report") {
    return core::WorkerReport{DeviceId("device-1"), 1, Read<v1::Report>(text)};
  }
  if (word == "policy") {
    return core::ApplyPolicy{Read<v1::Policy>(text)};
  }
  if (word == "forecast") {
    return core::PushForecast{Read<v1::HarvestForecast>(text), "ann"};
  }
  if (word == "profiles") {
    return core::ImportProfiles{Read<v1::ProfileExport>(text), "rows.json"};
  }
  if (word == "quota") {
    return core::SetQuota{Read<v1::Quota>(text), "ann"};
  }
  if (word == "project") {
    return core::SetProject{Read<v1::Project>(text), "ann"};
  }
  return ActionOf(word, text);
}

}  // namespace
}  // namespace wattle::fuzz

// Commands, with "---" between them: a word, a newline, a message as text.
WATTLE_FUZZ_TARGET(core_commands, bytes) {
  constexpr size_t kCommandsMax = 8;
  std::vector<core::Command> commands;
  for (const absl::string_view part : absl::StrSplit(bytes, "---\n")) {
    const std::pair<absl::string_view, absl::string_view> command =
        absl::StrSplit(part, absl::MaxSplits('\n', 1));
    if (auto read = CommandOf(command.first, command.second);
        read.has_value() && commands.size() < kCommandsMax) {
      commands.push_back(*std::move(read));
    }
  }
  return DecideInUse(commands);
}
