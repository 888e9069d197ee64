// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

#include "coordinator/core/core.h"
#include "tests/fuzz/core_in_use.h"
#include "tests/fuzz/fuzz_target.h"

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
  return std::nullopt;
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
