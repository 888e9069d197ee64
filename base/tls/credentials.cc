// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/credentials.h"

#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "base/status_macros.h"
#include "base/tls/certificate.h"

namespace wattle::tls {
namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::TlsCustomVerificationCheckRequest;

// TLS 1.2 suites of pre-shared keys alone: gRPC offers no such key, so no handshake of TLS 1.2 can
// succeed. The suites of TLS 1.3 are another list, which stays. gRPC 1.51 has no minimum version.
constexpr char kNoSuiteOfTls12[] = "PSK-AES256-GCM-SHA384";
constexpr unsigned kReadAgainSeconds = 60;

// The peer's certificate first. On a server gRPC's full chain lacks the leaf; a leaf that is there
// twice does no harm.
std::string ChainOf(const TlsCustomVerificationCheckRequest& request) {
  const grpc::string_ref leaf = request.peer_cert();
  const grpc::string_ref chain = request.peer_cert_full_chain();
  return absl::StrCat(absl::string_view(leaf.data(), leaf.size()), "\n",
                      absl::string_view(chain.data(), chain.size()));
}

class Verifier : public ExternalCertificateVerifier {
 public:
  using Check = std::function<absl::Status(const std::string& chain_pem)>;
  explicit Verifier(Check check) : check_(std::move(check)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    const absl::Status checked = check_(ChainOf(*request));
    if (!checked.ok()) {
      *status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(checked.message()));
    }
    return true;  // At once.
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  const Check check_;
};

std::shared_ptr<FileWatcherCertificateProvider> Watch(const CertificateFiles& files) {
  return std::make_shared<FileWatcherCertificateProvider>(files.key_path, files.chain_path,
                                                          kReadAgainSeconds);
}

absl::Status CheckName(const std::string& chain, const std::string& uri) {
  WATTLE_ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(chain));
  if (facts.uris.size() != 1 || facts.uris[0] != uri) {
    return absl::UnauthenticatedError(absl::StrCat("its certificate is for ",
                                                   facts.uris.empty() ? "no name" : facts.uris[0],
                                                   ", not for ", uri));
  }
  return absl::OkStatus();
}

absl::Status CheckServer(const ServerRules& rules, const std::string& chain) {
  WATTLE_RETURN_IF_ERROR(VerifyChain(chain, rules.roots_pem, Use::kServer));
  WATTLE_RETURN_IF_ERROR(CheckName(chain, rules.uri));
  return CheckExpiry(chain, rules.now());
}

std::shared_ptr<grpc::ChannelCredentials> Client(
    const std::shared_ptr<grpc::experimental::CertificateProviderInterface>& own,
    Verifier::Check check) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  if (own != nullptr) {
    options.set_certificate_provider(own);
    options.watch_identity_key_cert_pairs();
  }
  // The verifier alone judges; gRPC's own check knows neither our time nor our names.
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<Verifier>(std::move(check)));
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace

void UseTls13Alone() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  setenv("GRPC_SSL_CIPHER_SUITES", kNoSuiteOfTls12, /*overwrite=*/1);
}

std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const CertificateFiles& own,
                                                           const std::string& client_roots_pem) {
  grpc::experimental::TlsServerCredentialsOptions options(Watch(own));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_check_call_host(false);
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<Verifier>(
      [client_roots_pem](const std::string& chain) -> absl::Status {
        if (chain.find("BEGIN CERTIFICATE") == std::string::npos) {
          return absl::OkStatus();  // No certificate: the gate lets it enrol.
        }
        return VerifyChain(chain, client_roots_pem, Use::kClient);
      }));
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const CertificateFiles& own,
                                                             ServerRules rules) {
  return Client(Watch(own), [rules = std::move(rules)](const std::string& chain) {
    return CheckServer(rules, chain);
  });
}

std::shared_ptr<grpc::ChannelCredentials> PinnedCredentials(const std::string& pin) {
  return Client(nullptr, [pin](const std::string& chain) -> absl::Status {
    WATTLE_ASSIGN_OR_RETURN(const std::string root, PinnedRoot(chain, pin));
    WATTLE_RETURN_IF_ERROR(VerifyChain(chain, root, Use::kServer));
    // A board's certificate is for a server too.
    return CheckName(chain, absl::StrCat("spiffe://", FleetOf(pin), "/coordinator"));
  });
}

}  // namespace wattle::tls
