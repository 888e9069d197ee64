// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/moved_to.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include "base/clock.h"
#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls/credentials.h"
#include "base/tls/private_file.h"
#include "coordinator/core/enrolment.h"
#include "wattle/v1/access.grpc.pb.h"

namespace wattle::rpc {
namespace {

constexpr int kNameBytes = 8;

struct JournalThere {
  std::string lineage_id = {};
  int64_t epoch = 0;
};

// Why the handshake refused who answered. Threads of gRPC tell it.
class HandshakeRefusal {
 public:
  void Tell(const absl::Status& why) {
    absl::MutexLock lock(&mutex_);
    why_ = std::string(why.message());
  }
  [[nodiscard]] std::optional<std::string> why() const {
    absl::MutexLock lock(&mutex_);
    return why_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::optional<std::string> why_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<tls::CertificateFiles> MakeIdentity(const authority::Authority& authority,
                                                   const std::string& folder) {
  WATTLE_ASSIGN_OR_RETURN(const std::string key, tls::NewKey());
  WATTLE_ASSIGN_OR_RETURN(const std::string asked, tls::NewSigningRequest(key));
  WATTLE_ASSIGN_OR_RETURN(const tls::SigningRequest request, tls::ReadSigningRequest(asked));
  WATTLE_ASSIGN_OR_RETURN(const std::string name, tls::RandomHex(kNameBytes));
  WATTLE_ASSIGN_OR_RETURN(
      const std::string chain,
      authority.SignClient(request, core::kDeviceKind, absl::StrCat("moved-to-", name)));
  tls::CertificateFiles files = {.key_path = absl::StrCat(folder, "/key.pem"),
                                 .chain_path = absl::StrCat(folder, "/chain.pem")};
  WATTLE_RETURN_IF_ERROR(tls::MakePrivateDirectory(folder));
  WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(files.key_path, key));
  WATTLE_RETURN_IF_ERROR(tls::WritePrivateFile(files.chain_path, chain));
  return files;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsFor(
    const authority::Authority* authority, const std::string& folder,
    const std::shared_ptr<HandshakeRefusal>& refusal) {
  if (authority == nullptr) {
    return grpc::InsecureChannelCredentials();
  }
  WATTLE_ASSIGN_OR_RETURN(const tls::CertificateFiles own, MakeIdentity(*authority, folder));
  return tls::ChannelCredentials(
      own, {.roots = tls::FixedRoots(authority->roots_pem()),
            .uri = absl::StrCat("spiffe://", authority->fleet(), "/coordinator"),
            .now = [] { return Clock::Real().Now(); },
            .on_refused = [refusal](const absl::Status& why) { refusal->Tell(why); }});
}

std::string TextOf(const grpc::ClientContext& context, const char* name) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find(name);
  return found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
}

absl::StatusOr<JournalThere> AskForJournal(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    absl::Duration patience) {
  const auto stub = v1::AccessService::NewStub(grpc::CreateChannel(address, credentials));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
  v1::WhoAmIResponse response;
  const grpc::Status answered = stub->WhoAmI(&context, v1::WhoAmIRequest(), &response);
  if (!answered.ok()) {
    return absl::UnavailableError(answered.error_message());
  }
  JournalThere there = {.lineage_id = TextOf(context, kLineageMetadata)};
  if (there.lineage_id.empty() ||
      !absl::SimpleAtoi(TextOf(context, kEpochMetadata), &there.epoch)) {
    return absl::UnavailableError("the coordinator there is of a release that does not tell it");
  }
  return there;
}

absl::Status Judge(const MovedTo& to, const JournalThere& there) {
  if (there.lineage_id != to.lineage_id) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--moved-to ", to.address, ": the coordinator there writes another journal (lineage ",
        there.lineage_id, ", here ", to.lineage_id,
        "), and no worker stays with a stranger; give the address of this one's restored copy"));
  }
  if (there.epoch < to.epoch) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--moved-to ", to.address, ": the coordinator there stands at epoch ", there.epoch,
        " of this journal, and workers have seen epoch ", to.epoch,
        "; stop it and run 'wattle-coordinator restore --epoch ", to.epoch + 1, "' there"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMovedTo(const MovedTo& to, const authority::Authority* authority,
                          const std::string& folder, absl::Duration patience) {
  const absl::Cleanup forget_the_key = [&folder] {
    std::error_code without_it;  // Nobody knows the device, so its key opens nothing.
    std::filesystem::remove_all(folder, without_it);
  };
  const auto refusal = std::make_shared<HandshakeRefusal>();
  const auto credentials = CredentialsFor(authority, folder, refusal);
  const absl::StatusOr<JournalThere> there =
      credentials.ok() ? AskForJournal(to.address, *credentials, patience)
                       : absl::StatusOr<JournalThere>(credentials.status());
  if (there.ok()) {
    return Judge(to, *there);
  }
  if (const std::optional<std::string> why = refusal->why()) {
    // Behind the semicolon stands what a client could do.
    const absl::string_view fact = absl::string_view(*why).substr(0, why->find("; "));
    return absl::InvalidArgumentError(absl::StrCat(
        "--moved-to ", to.address, ": no worker of this fleet trusts who answers there: ", fact,
        "; give it a copy of this one's folder authority"));
  }
  return absl::UnavailableError(absl::StrCat(
      "--moved-to ", to.address, ": nobody there told which journal it writes (",
      there.status().message(), "); workers are sent there, and stay only with their own journal"));
}

}  // namespace wattle::rpc
