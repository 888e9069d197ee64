// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "bench/enrolled_boards.h"

#include <atomic>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "base/tls/token.h"
#include "identity/enroll.h"
#include "wattle/v1/access.pb.h"

namespace wattle::bench {
namespace {

constexpr int kCallers = 16;
constexpr absl::Duration kPatience = absl::Seconds(60);

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const std::string& key_pem,
                                                        const v1::IdentityCertificate& answer) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
          answer.roots_pem(), std::vector<grpc::experimental::IdentityKeyCertPair>{
                                  {key_pem, answer.certificate_pem()}}));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  return grpc::experimental::TlsCredentials(options);
}

absl::StatusOr<EnrolledBoard> EnrollBoard(const tls::Token& token, int number) {
  EnrolledBoard board = {absl::StrFormat("load-%05d-0000-0000", number), nullptr};
  WATTLE_ASSIGN_OR_RETURN(const std::string key, tls::NewKey());
  v1::EnrollRequest request;
  WATTLE_ASSIGN_OR_RETURN(*request.mutable_signing_request_pem(), tls::NewSigningRequest(key));
  request.set_token_id(token.id);
  request.set_secret(token.secret);
  request.set_device_id(board.id);
  const absl::Time deadline = absl::Now() + kPatience;
  while (true) {
    const absl::StatusOr<v1::IdentityCertificate> answer = identity::AskToEnroll(token, request);
    if (answer.ok()) {
      board.credentials = CredentialsOf(key, *answer);
      return board;
    }
    if (!absl::IsResourceExhausted(answer.status()) || absl::Now() > deadline) {
      return answer.status();
    }
    absl::SleepFor(absl::Milliseconds(50));
  }
}

}  // namespace

absl::StatusOr<std::vector<EnrolledBoard>> EnrollBoards(const std::string& token_text, int count) {
  WATTLE_ASSIGN_OR_RETURN(const tls::Token token, tls::ParseToken(token_text));
  std::vector<EnrolledBoard> boards(static_cast<size_t>(count));
  std::atomic<int> next = 0;
  absl::Mutex mutex;
  absl::Status failed;  // guarded by the mutex: the first failure
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&] {
      for (int number = next++; number < count; number = next++) {
        absl::StatusOr<EnrolledBoard> board = EnrollBoard(token, number);
        if (!board.ok()) {
          absl::MutexLock lock(&mutex);
          failed.Update(board.status());
          return;
        }
        boards[static_cast<size_t>(number)] = *std::move(board);
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  WATTLE_RETURN_IF_ERROR(failed);
  return boards;
}

}  // namespace wattle::bench
