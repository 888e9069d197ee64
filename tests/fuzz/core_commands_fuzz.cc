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

// Of a message in protobuf's text form: damage to a text stays within the meaning of a field more
// often than damage to bytes.
template <typename Message>
Message Read(absl::string_view text) {
  Silent silent;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&silent);
  parser.AllowPartialMessage(true);
  Message read;
  (void)parser.ParseFromString(std::string(text), &read);  // what was read until then will do
  Message message;
  // No call brings a text that is no UTF-8, which this form lets pass.
  return message.ParseFromString(read.SerializeAsString()) ? message : Message();
}

// Of requests that name what they are about.
std::optional<core::Command> ActionOf(absl::string_view word, absl::string_view text) {
  if (word == "cancel") {
    const auto cancel = Read<v1::CancelJobRequest>(text);
    return core::CancelJob{JobId(cancel.job_id()), cancel.reason()};
  }
  if (word == "artifact") {
    auto info = Read<v1::ArtifactInfo>(text);
    info.set_artifact_id(std::string(64, 'e'));  // Of the bytes, by the store.
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
  return std::nullopt;
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
