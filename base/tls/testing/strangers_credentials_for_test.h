// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a client of gRPC that shows no certificate, and accepts every server.
#ifndef WATTLE_BASE_TLS_TESTING_STRANGERS_CREDENTIALS_FOR_TEST_H_
#define WATTLE_BASE_TLS_TESTING_STRANGERS_CREDENTIALS_FOR_TEST_H_

#include <memory>
#include <string>

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

namespace wattle::tls {

// roots_pem: some root; without one gRPC reads those of the machine.
inline std::shared_ptr<grpc::ChannelCredentials> StrangersCredentials(
    const std::string& roots_pem) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<grpc::experimental::StaticDataCertificateProvider>(roots_pem));
  options.watch_root_certs();
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_TESTING_STRANGERS_CREDENTIALS_FOR_TEST_H_
