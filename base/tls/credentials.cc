// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/credentials.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "base/status_macros.h"
#include "base/tls/certificate_chain.h"
#include "base/tls/private_file.h"
#include "base/tls/tpm_key.h"

namespace wattle::tls {
namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::TlsCustomVerificationCheckRequest;

// The only TLS 1.2 suite needs a pre-shared key. gRPC offers no such key, so no handshake of TLS
// 1.2 can succeed. The suites of TLS 1.3 are another list, which stays. gRPC 1.51 has no minimum
// version.
constexpr char kNoSuiteOfTls12[] = "PSK-AES256-GCM-SHA384";
constexpr unsigned kClientReadsAgainSeconds = 10;

// The peer's certificate first, which not every version of gRPC has in its full chain.
std::string ChainOf(const TlsCustomVerificationCheckRequest& request) {
  const absl::string_view leaf(request.peer_cert().data(), request.peer_cert().size());
  const absl::string_view chain(request.peer_cert_full_chain().data(),
                                request.peer_cert_full_chain().size());
  return absl::StartsWith(chain, leaf) ? std::string(chain) : absl::StrCat(leaf, "\n", chain);
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

absl::Status OtherName(const CertificateFacts& facts, absl::string_view wanted) {
  return absl::UnauthenticatedError(absl::StrCat("its certificate is for ",
                                                 facts.uris.empty() ? "no name" : facts.uris[0],
                                                 ", not for ", wanted));
}

// The name of a coordinator, of whatever fleet.
bool IsCoordinator(const CertificateFacts& facts) {
  return facts.uris.size() == 1 && absl::StartsWith(facts.uris[0], "spiffe://") &&
         absl::EndsWith(facts.uris[0], "/coordinator") &&
         std::count(facts.uris[0].begin(), facts.uris[0].end(), '/') == 3;
}

absl::Status CheckServer(const ServerRules& rules, const std::string& chain_pem) {
  const CertificateChain chain(chain_pem);
  if (const absl::Status led = chain.Verify(rules.roots(), Use::kServer); !led.ok()) {
    return absl::UnauthenticatedError(absl::StrCat(
        led.message(),
        "; if the fleet's root was changed meanwhile, enrol or log in again by a new token"));
  }
  WATTLE_ASSIGN_OR_RETURN(const CertificateFacts facts, chain.Facts());
  if (facts.uris.size() != 1 || facts.uris[0] != rules.uri) {
    return OtherName(facts, rules.uri);
  }
  WATTLE_RETURN_IF_ERROR(chain.CheckExpiry(rules.now()));
  rules.on_accepted(facts);
  return absl::OkStatus();
}

// The file from which gRPC takes the key: of a key in a TPM, one beside it that names it. Where
// that cannot be written, the handshake says that there is no key.
std::string KeyFileForGrpc(const std::string& key_path) {
  const absl::StatusOr<std::string> key = ReadPrivateFile(key_path);
  if (!key.ok() || !IsTpmKey(*key)) {
    return key_path;
  }
  std::string path = absl::StrCat(key_path, ".grpc");
  const std::string text = GrpcTextOfTpmKey(key_path);
  // Two writers at once would share a half-written file, and gRPC ends the process at an empty key.
  static absl::Mutex one_writer(absl::kConstInit);
  const absl::MutexLock lock(&one_writer);
  if (const absl::StatusOr<std::string> written = ReadPrivateFile(path);
      !written.ok() || *written != text) {
    (void)WritePrivateFile(path, text);
  }
  return path;
}

// provider: of roots and of what is shown.
std::shared_ptr<grpc::ChannelCredentials> Client(
    const std::shared_ptr<grpc::experimental::CertificateProviderInterface>& provider,
    Verifier::Check check) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  // Only the verifier decides, because gRPC's own check knows neither our time nor our names.
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

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const CertificateFiles& own,
                                                             ServerRules rules) {
  // A client that is given no roots reads those of the machine, about 140, although nobody asks
  // them here: that is half of the processor time of a short program. The own chain stands for
  // them.
  const auto provider = std::make_shared<FileWatcherCertificateProvider>(
      KeyFileForGrpc(own.key_path), own.chain_path, own.chain_path, kClientReadsAgainSeconds);
  return Client(provider, [rules = std::move(rules)](const std::string& chain) {
    absl::Status checked = CheckServer(rules, chain);
    if (!checked.ok()) {
      rules.on_refused(checked);
    }
    return checked;
  });
}

absl::Status CheckPinnedServer(const std::string& pin, const std::string& chain_pem) {
  WATTLE_ASSIGN_OR_RETURN(const std::string root, PinnedRoot(chain_pem, pin));
  WATTLE_RETURN_IF_ERROR(VerifyChain(chain_pem, root, Use::kServer));
  // A board's certificate is for a server too. The fleet has the name of its first root, which may
  // not be the pinned one.
  WATTLE_ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(chain_pem));
  return IsCoordinator(facts) ? absl::OkStatus() : OtherName(facts, "a coordinator");
}

}  // namespace wattle::tls
