// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle release push|ls|rm. push checks the programs before it sends a byte.
#include "artifacts/release.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/artifact_commands.h"
#include "cli/artifact_view.h"
#include "cli/session.h"
#include <CLI/App.hpp>

#include "artifacts/manifest.h"
#include "base/status_macros.h"
#include "proto/release_version.h"

namespace wattle::cli {
namespace {

struct ReleaseFlags {
  std::string directory;
  std::string version;
  std::string architecture;
  std::string digest;
};

// The digest is the artifact's id, the hash of all files, as published by the release's builder.
absl::Status CheckDigest(const Session& session, const ReleaseFlags& flags) {
  if (flags.digest.empty()) {
    return absl::OkStatus();
  }
  const auto manifest = artifacts::BuildManifest(
      flags.directory, [&session] { return session.environment().interrupt->raised(); });
  WATTLE_RETURN_IF_ERROR(AsBadInput(manifest.status()));
  const std::string found = artifacts::IdOf(*manifest).value();
  return found == flags.digest ? absl::OkStatus()
                               : absl::InvalidArgumentError(absl::StrCat(
                                     flags.directory, ": its files have the digest ", found,
                                     ", not ", flags.digest, "; fetch the release again"));
}

absl::StatusOr<ExitCode> PushRelease(Session& session, ReleaseFlags flags) {
  flags.version = std::string(absl::StripPrefix(flags.version, "v"));  // a tag begins with v
  if (!ParseReleaseVersion(flags.version).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--version ", flags.version, ": wants a version such as 1.4.0 or 1.5.0-rc.1"));
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string architecture,
                          artifacts::ReleaseArchitecture(flags.directory));
  if (!flags.architecture.empty() && flags.architecture != architecture) {
    return absl::InvalidArgumentError(absl::StrCat("--architecture ", flags.architecture, ": ",
                                                   flags.directory, " has programs for ",
                                                   architecture, "; choose the other build"));
  }
  WATTLE_RETURN_IF_ERROR(CheckDigest(session, flags));
  v1::ArtifactInfo info;
  info.set_kind(v1::ARTIFACT_KIND_RELEASE);
  info.set_name(absl::StrCat("wattle-", flags.version, "-", architecture));
  info.set_release_version(flags.version);
  info.set_release_architecture(architecture);
  WATTLE_ASSIGN_OR_RETURN(
      const v1::ArtifactInfo pushed,
      session.client().PushArtifact(flags.directory, info, /*move_name=*/false, ""));
  session.Print(pushed, [&] { return RenderPushed(pushed); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListReleases(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListArtifactsResponse releases,
                          session.client().ListArtifacts(v1::ARTIFACT_KIND_RELEASE));
  session.Print(releases, [&] { return RenderReleases(releases, session.Now(), session.style()); });
  return ExitCode::kOk;
}

}  // namespace

void AddReleaseCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* noun = AddGroup(app, "release", "Programs of the worker for upgrades: push, ls, rm.",
                            "  wattle release push ./wattle-0.3.0-aarch64 --version 0.3.0\n"
                            "  wattle release ls\n");
  const auto flags = std::make_shared<ReleaseFlags>();
  CLI::App* push =
      AddLeaf(noun, "push",
              "Store the programs of a worker's version for one architecture: a folder with "
              "bin/wattle-worker and bin/wattle-runner. A version never changes.",
              "  wattle release push ./wattle-0.3.0-aarch64 --version 0.3.0\n"
              "  wattle release push ./build/release --version v0.3.0 --architecture x86_64\n");
  push->add_option("DIRECTORY", flags->directory, "Folder of the release")->required();
  push->add_option("--version", flags->version, "Version or tag, such as 0.3.0 or v0.3.0")
      ->required()
      ->type_name("VERSION");
  push->add_option("--architecture", flags->architecture,
                   "aarch64 or x86_64; refuses programs of another one. Without it: the programs' "
                   "own")
      ->type_name("ARCHITECTURE");
  push->add_option("--digest", flags->digest,
                   "Id that the files must have; refuses others. wattle release ls tells ids")
      ->type_name("ID");
  slot->Bind(push, [flags](Session& session) { return PushRelease(session, *flags); });
  slot->Bind(AddLeaf(noun, "ls", "List releases, newest first.", "  wattle release ls\n"),
             ListReleases);
  const auto removed = std::make_shared<std::string>();
  CLI::App* remove = AddLeaf(noun, "rm", "Remove a release. Refused while an upgrade needs it.",
                             "  wattle release rm wattle-0.2.0-aarch64\n");
  remove->add_option("RELEASE", *removed, "Name or id")->required();
  slot->Bind(remove, [removed](Session& session) {
    return RemoveArtifact(session, *removed, v1::ARTIFACT_KIND_RELEASE);
  });
}

}  // namespace wattle::cli
